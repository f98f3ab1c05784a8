//! Sound: the real relay under the real signalling, fed with RTP by the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway_core::media::relay::{Relay, Slot};
use gateway_core::media::srtp::{SrtpReceiver, SrtpSender};
use gateway_core::media::{Command, MediaLeg, Suite};
use gateway_core::random::Random;

use crate::agent::{Reaction, ms};
use crate::world::{CallRef, DOMAIN, World};

const HEADER: usize = 12;

/// The relay, run by what the engine told the media driver.
struct Desk {
    relay: Relay,
    slots: BTreeMap<MediaLeg, Slot>,
    done: usize,
}

impl Desk {
    fn new() -> Self {
        Desk { relay: Relay::new(Random::from_number(5)), slots: BTreeMap::new(), done: 0 }
    }

    fn follow(&mut self, world: &World) {
        for command in &world.media.commands[self.done..] {
            match command.clone() {
                Command::Open { leg, .. } => drop(self.slots.insert(leg, self.relay.open(leg).unwrap())),
                Command::Move { .. } => {}
                Command::Set { leg, params } => self.relay.set(world.now, leg, *params),
                Command::Connect { a, b } => self.relay.connect(a, b),
                Command::Dtmf { leg, digit, duration } => assert!(self.relay.dtmf(leg, digit, duration)),
                Command::Play { leg, sound } => self.relay.play(world.now, leg, sound),
                Command::Close { leg } => drop(self.relay.close(leg)),
            }
        }
        self.done = world.media.commands.len();
    }
}

/// One way of a call: what its speaker sends, and what its listener makes of what comes.
struct Way {
    from: SocketAddr,
    into: SocketAddr,
    to: SocketAddr,
    sender: Option<SrtpSender>,
    receiver: Option<SrtpReceiver>,
    sequence: u16,
}

impl Way {
    fn new(world: &World, speaker: CallRef, listener: CallRef) -> Self {
        let (a, b) = (&world.call(speaker).media, &world.call(listener).media);
        let suite = Suite::AesCm128HmacSha1_80;
        let theirs = b.theirs.as_ref().unwrap().crypto.as_ref().map(|lines| lines[0].key);
        Way {
            from: a.rtp,
            into: a.theirs.as_ref().unwrap().rtp().unwrap(),
            to: b.rtp,
            sender: a.secure.then(|| SrtpSender::new(suite, &a.key)),
            receiver: theirs.map(|key| SrtpReceiver::new(suite, &key)),
            sequence: 100,
        }
    }

    /// Says 20 ms of something; what arrives, if anything.
    fn say(&mut self, world: &World, desk: &mut Desk, sample: u8) -> Option<Vec<u8>> {
        desk.follow(world);
        let mut buffer = vec![0; gateway_core::media::packet::BUFFER];
        buffer[0] = 0x80;
        self.sequence += 1;
        buffer[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        buffer[4..8].copy_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        buffer[8..12].copy_from_slice(&self.from.port().to_be_bytes().repeat(2));
        buffer[HEADER..HEADER + 160].fill(sample);
        let clear = HEADER + 160;
        let len = match &mut self.sender {
            Some(sender) => sender.protect_rtp(&mut buffer, clear).unwrap(),
            None => clear,
        };
        assert!(self.sender.is_none() || buffer[HEADER..clear].iter().any(|byte| *byte != sample));
        let (leg, _) = world.media.at(self.into)?;
        let forward = desk.relay.rtp(world.now, desk.slots[&leg], self.from, &mut buffer, len)?;
        assert_eq!(forward.to, self.to);
        let len = match &mut self.receiver {
            Some(receiver) => receiver.unprotect_rtp(&mut buffer, forward.len).expect("authentic"),
            None => forward.len,
        };
        Some(buffer[HEADER..len].to_vec())
    }
}

#[test]
fn sound_passes_both_ways_with_srtp_outside_and_rtp_inside_over_hold_and_a_new_flow() {
    let (mut world, call, far) = World::talking(1, "5035551212");
    let mut desk = Desk::new();
    let mut out = Way::new(&world, call, far);
    let mut back = Way::new(&world, far, call);
    let speak = |world: &World, desk: &mut Desk, way: &mut Way| way.say(world, desk, 0x5a);
    assert_eq!(speak(&world, &mut desk, &mut out), Some(vec![0x5a; 160]));
    assert_eq!(speak(&world, &mut desk, &mut back), Some(vec![0x5a; 160]));
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    // Music on hold goes out, nothing comes in.
    assert_eq!(speak(&world, &mut desk, &mut out), Some(vec![0x5a; 160]));
    assert_eq!(speak(&world, &mut desk, &mut back), None);
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    // Keys and counters have outlived the re-INVITEs: the same contexts go on.
    assert_eq!(speak(&world, &mut desk, &mut back), Some(vec![0x5a; 160]));
    world.cut(DOMAIN);
    world.run(ms(100));
    assert_eq!(speak(&world, &mut desk, &mut out), Some(vec![0x5a; 160]));
    assert_eq!(speak(&world, &mut desk, &mut back), Some(vec![0x5a; 160]));
    world.run(ms(10_000));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(100));
    assert_eq!(speak(&world, &mut desk, &mut out), None);
    world.finish();
}

#[test]
fn a_phone_that_names_no_address_is_found_by_its_first_packet_and_nobody_else_is() {
    for (seed, number) in [(3, "911"), (4, "5035551212")] {
        let mut world = World::office(seed, &["101"]);
        world.outside("911", Reaction::answers(500));
        world.outside("+15035551212", Reaction::answers(500));
        let phone = world.find("101");
        // The discard port: the address would come by ICE.
        world.agents[phone].traits.dress = Some(|_, body| {
            let text = String::from_utf8_lossy(body).replace("m=audio 30002", "m=audio 9");
            *body = text.replace("c=IN IP4 192.168.1.101", "c=IN IP4 phone.invalid").into_bytes();
        });
        let call = world.dial(phone, number);
        world.run(ms(2000));
        let far = world.last_call(DOMAIN);
        let mut desk = Desk::new();
        let mut out = Way::new(&world, call, far);
        let mut back = Way::new(&world, far, call);
        assert_eq!(back.say(&world, &mut desk, 1), None, "nobody knows where to");
        let own = std::mem::replace(&mut out.from, "192.168.1.66:30002".parse().unwrap());
        assert_eq!(out.say(&world, &mut desk, 2), None, "a neighbour");
        assert_eq!(back.say(&world, &mut desk, 3), None);
        out.from = own;
        assert_eq!(out.say(&world, &mut desk, 4), Some(vec![4; 160]));
        assert_eq!(back.say(&world, &mut desk, 5), Some(vec![5; 160]));
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn an_emergency_call_whose_offer_is_garbage_is_heard_all_the_same() {
    let mut world = World::office(5, &["101"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[phone].traits.dress = Some(|headers, body| {
        gateway_core::sip::header::set(headers, "Content-Type", "application/x-office");
        *body = b"hello".to_vec();
    });
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    let far = world.last_call(DOMAIN);
    let mut desk = Desk::new();
    let (mut out, mut back) = (Way::new(&world, call, far), Way::new(&world, far, call));
    assert_eq!(out.say(&world, &mut desk, 6), Some(vec![6; 160]));
    assert_eq!(back.say(&world, &mut desk, 7), Some(vec![7; 160]));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn after_a_transfer_the_two_who_stay_hear_each_other_and_the_referrer_nobody() {
    let mut world = World::office(2, &["101", "102"]);
    let (phone, target) = (world.find("101"), world.find("102"));
    let far = world.call_in("101", "+15035550111");
    world.run(ms(500));
    let call = world.last_call(phone);
    world.act(call, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    let mut desk = Desk::new();
    let mut old = Way::new(&world, call, far);
    assert_eq!(old.say(&world, &mut desk, 1), Some(vec![1; 160]));
    world.agents[target].reaction = Reaction::answers(500);
    world.act(call, |agent, call| agent.refer(call, "<sip:102@192.168.1.1>"));
    world.run(ms(3000));
    let other = world.last_call(target);
    let mut out = Way::new(&world, other, far);
    let mut back = Way::new(&world, far, other);
    assert_eq!(out.say(&world, &mut desk, 2), Some(vec![2; 160]));
    assert_eq!(back.say(&world, &mut desk, 3), Some(vec![3; 160]));
    assert_eq!(old.say(&world, &mut desk, 4), None);
    world.act(other, |agent, call| agent.hang_up(call));
    world.finish();
}
