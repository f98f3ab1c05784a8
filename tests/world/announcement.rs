//! The sentence that a caller hears when an emergency call cannot leave.

use gateway_core::media::g711::Law;
use gateway_core::media::sound::Sound;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, Internet, World, address, office};

/// How long the sentence lasts.
const SENTENCE: u64 = 3000;

/// An office with a sentence.
fn world(seed: u64) -> World {
    let mut config = office(&["101", "102"]);
    let octets = vec![0x55; SENTENCE as usize * 8];
    config.emergency.sound = Some(Sound::new(Law::Mu, &octets).unwrap());
    World::office_of(seed, config)
}

/// From now on nothing leaves.
fn cut_off(world: &mut World) {
    world.internet = Internet::NoDns;
    world.cut(DOMAIN);
    world.run(ms(1000));
}

/// Lets time pass until the sentence begins.
fn until_played(world: &mut World) {
    assert!(world.run_until(ms(60_000), |world| !world.media.played.is_empty()), "no sentence");
}

/// That the call ends this long from now, with that refusal.
fn ends_after(world: &mut World, call: CallRef, millis: u64, code: u16) {
    world.run(ms(millis - 50));
    assert_eq!(world.ended(call), None);
    world.run(ms(100));
    assert_eq!(world.ended(call), Some(Ended::Refused(code)));
    assert_eq!(world.media.played.len(), 1, "once");
}

#[test]
fn with_the_trunk_down_for_good_the_caller_hears_the_sentence_and_then_the_refusal() {
    let mut world = world(1);
    cut_off(&mut world);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    let (leg, _) = world.media.played[0];
    let port = &world.media.open[&leg];
    assert_eq!(port.params.as_ref().unwrap().remote, Some(world.call(call).media.rtp));
    world.run(ms(100));
    assert_eq!(world.call(call).provisional, [100, 183]);
    assert!(world.saw("call.emergency", "fails: no connection to the SIP domain"));
    ends_after(&mut world, call, SENTENCE - 100, 503);
    world.finish();
}

#[test]
fn a_phone_without_a_name_and_one_that_wants_reliable_responses_hear_it_too() {
    for reliable in [false, true] {
        let mut world = world(2);
        let stranger = world.handset("nobody");
        world.agents[stranger].traits.reliable_provisionals = reliable;
        cut_off(&mut world);
        let call = world.dial(stranger, "911");
        until_played(&mut world);
        ends_after(&mut world, call, SENTENCE, 503);
        world.finish();
    }
}

#[test]
fn every_refusal_of_the_domain_is_spoken_before_it_is_passed_on() {
    for (seed, code, told) in [(3, 404, 404), (4, 603, 603), (5, 488, 488)] {
        let mut world = world(seed);
        world.outside("911", Reaction::refuses(code));
        let phone = world.find("101");
        let call = world.dial(phone, "911");
        until_played(&mut world);
        ends_after(&mut world, call, SENTENCE, told);
        world.finish();
    }
}

#[test]
fn after_early_media_the_sentence_goes_to_where_that_went() {
    let mut world = world(6);
    world.outside("911", Reaction { early_media: true, ..Reaction::refuses(404) });
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    world.run(ms(100));
    assert_eq!(world.call(call).provisional.iter().filter(|code| **code == 183).count(), 1);
    ends_after(&mut world, call, SENTENCE - 100, 404);
    world.finish();
}

#[test]
fn a_caller_that_gives_up_need_not_hear_the_end() {
    let mut world = world(7);
    cut_off(&mut world);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    world.run(ms(500));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(500));
    assert_eq!(world.ended(call), Some(Ended::Refused(487)));
    // What is written down is why it failed.
    assert!(world.saw("call.ended", "no connection to the SIP domain"));
    // And one that gives up before hears none.
    let second = world.dial(phone, "911");
    world.run(ms(2000));
    world.act(second, |agent, call| agent.hang_up(call));
    world.run(ms(60_000));
    assert_eq!((world.ended(second), world.media.played.len()), (Some(Ended::Refused(487)), 1));
    world.finish();
}

#[test]
fn the_refusal_leaves_also_when_nobody_says_that_the_sentence_is_over() {
    let mut world = world(8);
    world.media.forgets_sounds = true;
    cut_off(&mut world);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    ends_after(&mut world, call, SENTENCE + 1000, 503);
    world.finish();
}

#[test]
fn who_cannot_hear_it_is_refused_at_once() {
    type Dress = crate::agent::Dress;
    let held: Dress = |_, body| {
        *body = String::from_utf8_lossy(body).replace("a=sendrecv", "a=sendonly").into_bytes();
    };
    let offerless: Dress = |_, body| body.clear();
    let garbage: Dress = |_, body| *body = b"hello".to_vec();
    for (seed, dress) in [(9, held), (10, offerless), (11, garbage)] {
        let mut world = world(seed);
        world.outside("911", Reaction::refuses(404));
        let phone = world.find("101");
        world.agents[phone].traits.dress = Some(dress);
        let call = world.dial(phone, "911");
        assert!(world.run_until(ms(60_000), |world| world.ended(call).is_some()));
        assert_eq!((world.ended(call), world.media.played.len()), (Some(Ended::Refused(404)), 0));
        world.finish();
    }
}

#[test]
fn other_calls_and_answered_ones_end_without_a_sentence() {
    let mut world = world(12);
    world.outside("911", Reaction::answers(500));
    world.outside("+15035551212", Reaction::refuses(404));
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(404)));
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    assert_eq!(world.state(call), State::Talking);
    let far = world.last_call(DOMAIN);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert!(world.media.played.is_empty());
    world.finish();
}

#[test]
fn the_sentence_goes_to_a_phone_that_named_no_address_as_far_as_it_can() {
    let mut world = world(13);
    let phone = world.find("101");
    world.agents[phone].traits.dress = Some(|_, body| {
        *body = String::from_utf8_lossy(body).replace("IN IP4 192", "IN IP4 phone-12.lan.192").into_bytes();
    });
    cut_off(&mut world);
    let call = world.dial(phone, "911");
    until_played(&mut world);
    let (leg, _) = world.media.played[0];
    let remote = world.media.open[&leg].params.as_ref().unwrap().remote;
    assert_eq!(remote, Some(address("192.168.1.101:30002")));
    ends_after(&mut world, call, SENTENCE, 503);
    world.finish();
}

/// An office with a sentence of half a minute.
fn patient_world(seed: u64) -> World {
    let mut config = office(&["101", "102"]);
    config.emergency.sound = Some(Sound::new(Law::Mu, &[0x55; 30 * 8000]).unwrap());
    World::office_of(seed, config)
}

#[test]
fn a_line_that_is_back_while_the_sentence_is_heard_takes_the_call_and_its_end_ends_nothing() {
    let mut world = patient_world(14);
    world.outside("911", Reaction::answers(1000));
    cut_off(&mut world);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    world.internet = Internet::Up;
    assert!(world.run_until(ms(29_000), |world| world.state(call) == State::Talking), "{:?}", world.ended(call));
    assert_eq!(world.call(call).provisional, [100, 183, 180]);
    world.run(ms(120_000));
    assert_eq!((world.state(call), world.media.played.len()), (State::Talking, 1));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_line_that_is_back_without_a_new_way_lets_the_sentence_end() {
    let mut world = patient_world(15);
    world.outside("911", Reaction::refuses(603));
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    until_played(&mut world);
    // A second flow to the edge is one more way, and a third is none.
    for heard in [2, 2] {
        world.cut(DOMAIN);
        world.run(ms(10_000));
        assert_eq!((world.ended(call), world.media.played.len()), (None, heard));
    }
    world.run(ms(30_000));
    assert_eq!((world.ended(call), world.media.played.len()), (Some(Ended::Refused(603)), 2));
    world.finish();
}
