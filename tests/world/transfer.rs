//! REFER.

use crate::agent::{Agent, Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, World};

/// 101 talks with somebody outside who called in.
fn inbound(seed: u64) -> (World, CallRef, CallRef) {
    let mut world = World::office(seed, &["101", "102", "103"]);
    let phone = world.find("101");
    let far = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    let call = world.last_call(phone);
    world.act(call, |agent, call| agent.pick_up(call));
    world.run(ms(1000));
    world.assert_talk(call, far);
    (world, call, far)
}

fn refer(world: &mut World, call: CallRef, target: &str) {
    world.act(call, |agent, call| agent.refer(call, target));
}

#[test]
fn a_blind_transfer_connects_the_caller_with_the_target() {
    for held in [false, true] {
        let (mut world, call, far) = inbound(1);
        if held {
            world.act(call, |agent, call| agent.hold(call, true));
            world.run(ms(1000));
        }
        let target = world.find("102");
        world.agents[target].reaction = Reaction::answers(2000);
        refer(&mut world, call, "<sip:102@192.168.1.1>");
        world.run(ms(1000));
        assert_eq!(world.call(call).refer_code, Some(202));
        let other = world.last_call(target);
        assert_eq!(world.call(other).caller, "+15035550111");
        world.run(ms(4000));
        assert_eq!(world.call(call).notified, [100, 200]);
        assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
        world.assert_talk(far, other);
        world.act(other, |agent, call| agent.hang_up(call));
        world.run(ms(500));
        assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
        world.finish();
    }
}

#[test]
fn a_referrer_that_hangs_up_at_once_leaves_the_transfer_alive() {
    let (mut world, call, far) = inbound(2);
    let target = world.find("102");
    world.agents[target].reaction = Reaction::answers(2000);
    refer(&mut world, call, "<sip:102@192.168.1.1>");
    world.run(ms(100));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(5000));
    world.assert_talk(far, world.last_call(target));
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_target_that_refuses_gives_the_call_back() {
    let (mut world, call, far) = inbound(3);
    let target = world.find("102");
    world.agents[target].reaction = Reaction::refuses(486);
    refer(&mut world, call, "<sip:102@192.168.1.1>");
    world.run(ms(3000));
    assert_eq!(world.call(call).notified, [100, 486]);
    world.assert_talk(call, far);
    // And once more, to somebody who answers.
    let second = world.find("103");
    world.agents[second].reaction = Reaction::answers(500);
    refer(&mut world, call, "<sip:103@192.168.1.1>");
    world.run(ms(3000));
    world.assert_talk(far, world.last_call(second));
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_target_that_refuses_after_the_referrer_left_ends_the_call() {
    let (mut world, call, far) = inbound(4);
    let target = world.find("102");
    world.agents[target].reaction = Reaction { after: ms(3000), ..Reaction::refuses(486) };
    refer(&mut world, call, "<sip:102@192.168.1.1>");
    world.run(ms(100));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(5000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_target_that_nobody_answers_gives_the_call_back_after_the_ring_time() {
    let (mut world, call, far) = inbound(5);
    let target = world.find("102");
    refer(&mut world, call, "<sip:102@192.168.1.1>");
    world.run(ms(35_000));
    assert_eq!(world.ended(world.last_call(target)), Some(Ended::TheyCancelled));
    assert_eq!(world.call(call).notified, [100, 480]);
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_caller_that_hangs_up_during_the_transfer_ends_everything() {
    let (mut world, call, far) = inbound(6);
    let target = world.find("102");
    refer(&mut world, call, "<sip:102@192.168.1.1>");
    world.run(ms(1000));
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(world.last_call(target)), Some(Ended::TheyCancelled));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_transfer_to_the_outside_goes_out_by_the_trunk_in_the_name_of_the_referrer() {
    let (mut world, call, far) = inbound(7);
    world.outside("+15035551212", Reaction::answers(1000));
    refer(&mut world, call, "<sip:5035551212@192.168.1.1>");
    world.run(ms(4000));
    let other = world.last_call(DOMAIN);
    assert_eq!(world.call(other).caller, "101");
    world.assert_talk(far, other);
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_transfer_to_nowhere_is_refused_and_the_call_goes_on() {
    let (mut world, call, far) = inbound(8);
    for (target, code) in [("<sip:12@192.168.1.1>", 404), ("<sip:102@192.168.1.1;method=BYE>", 603), ("nonsense<", 400)]
    {
        refer(&mut world, call, target);
        world.run(ms(500));
        let answered = world.call(call).refer_code;
        assert!(
            answered == Some(code) || (code == 404 && answered.is_some_and(|c| c >= 400)),
            "{target}: {answered:?}"
        );
    }
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn an_attended_transfer_joins_the_two_far_ends() {
    for referrer_of_second in [false, true] {
        let (mut world, call, far) = inbound(9);
        let (phone, target) = (world.find("101"), world.find("102"));
        world.agents[target].reaction = Reaction::answers(500);
        world.act(call, |agent, call| agent.hold(call, true));
        world.run(ms(500));
        let consult = world.dial(phone, "102");
        world.run(ms(2000));
        let other = world.last_call(target);
        world.assert_talk(consult, other);
        let (refers, named) = if referrer_of_second { (consult, call) } else { (call, consult) };
        world.act(refers, |agent, call| agent.refer_to_call(call, named.call));
        world.run(ms(3000));
        assert_eq!(world.call(refers).refer_code, Some(202));
        assert_eq!(world.call(refers).notified, [200]);
        assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
        assert_eq!(world.ended(consult), Some(Ended::TheyHungUp));
        world.assert_talk(far, other);
        world.act(other, |agent, call| agent.hang_up(call));
        world.run(ms(500));
        assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
        world.finish();
    }
}

#[test]
fn a_transfer_joins_legs_that_settled_on_different_laws() {
    for (first, second) in [(8, 0), (0, 8)] {
        for attended in [true, false] {
            let mut world = World::office(16, &["101", "102", "103"]);
            let (phone, target, caller) = (world.find("101"), world.find("102"), world.find("103"));
            world.agents[caller].traits.codecs = vec![first];
            world.agents[phone].reaction = Reaction::answers(500);
            world.agents[target].traits.codecs = vec![second];
            world.agents[target].reaction = Reaction::answers(500);
            let far = world.dial(caller, "101");
            world.run(ms(2000));
            let call = world.last_call(phone);
            if attended {
                world.act(call, |agent, call| agent.hold(call, true));
                world.run(ms(500));
                let consult = world.dial(phone, "102");
                world.run(ms(2000));
                world.act(call, |agent, call| agent.refer_to_call(call, consult.call));
            } else {
                refer(&mut world, call, "<sip:102@192.168.1.1>");
            }
            world.run(ms(4000));
            assert_eq!(world.call(call).notified.last(), Some(&200), "{first} {second} {attended}");
            let other = world.last_call(target);
            world.assert_talk(far, other);
            world.act(other, |agent, call| agent.hang_up(call));
            world.run(ms(500));
            assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
            world.finish();
        }
    }
}

#[test]
fn a_refer_on_a_leg_that_is_only_waiting_to_hang_up_is_answered() {
    let mut world = World::office(12, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    let other = world.last_call(b);
    world.lose(a, crate::link::Way::ToEngine, "ACK ", 2);
    world.act(other, |agent, call| agent.pick_up(call));
    world.run(ms(50));
    world.act(other, |agent, call| agent.hang_up(call));
    world.run(ms(50));
    refer(&mut world, call, "<sip:101@192.168.1.1>");
    world.run(ms(100));
    assert_eq!(world.call(call).refer_code, Some(481));
    world.run(ms(5000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn what_a_transfer_names_and_nobody_knows_is_refused_so_that_the_call_survives() {
    let (mut world, call, far) = inbound(10);
    let refused = |world: &mut World, what: &str, act: &dyn Fn(&mut Agent, usize)| {
        world.act(call, act);
        world.run(ms(500));
        // 481 would end the dialog at the phone (RFC 5057).
        assert_eq!(world.call(call).refer_code, Some(603), "{what}");
        world.assert_talk(call, far);
    };
    refused(&mut world, "an unknown dialog", &|agent, call| {
        agent.refer(call, "<sip:102@192.168.1.1?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>");
    });
    // The consultation is over before the key is pressed.
    let phone = world.find("101");
    let target = world.find("102");
    let over = world.dial(phone, "102");
    world.run(ms(500));
    let ringing = world.last_call(target);
    world.act(ringing, |agent, call| agent.refuse(call, 486));
    world.run(ms(500));
    refused(&mut world, "a call that is over", &|agent, call| agent.refer_to_call(call, over.call));
    // A call that another extension makes.
    let stranger = world.find("103");
    let foreign = world.dial(stranger, "102");
    world.run(ms(500));
    let named = world.call(foreign);
    let tag = named.early_tag.clone().expect("it rings");
    let replaces = format!("{}%3Bto-tag%3D{tag}%3Bfrom-tag%3D{}", named.call_id, named.local_tag);
    let replaces = replaces.replace('@', "%40");
    refused(&mut world, "another phone's call", &|agent, call| {
        agent.refer(call, &format!("<sip:102@192.168.1.1?Replaces={replaces}>"));
    });
    world.act(foreign, |agent, call| agent.hang_up(call));
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

/// 101 talks with somebody outside, and calls `number`, which rings.
fn consulting(seed: u64, number: &str) -> (World, CallRef, CallRef, CallRef) {
    let (mut world, call, far) = inbound(seed);
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(500));
    let phone = world.find("101");
    let second = world.dial(phone, number);
    world.run(ms(1500));
    assert_eq!(world.state(second), State::Ringing);
    (world, call, far, second)
}

#[test]
fn a_transfer_while_the_second_call_rings_is_a_blind_one_to_what_rings() {
    for cancels in [false, true] {
        let (mut world, call, far, second) = consulting(20, "102");
        let target = world.find("102");
        let ringing = world.last_call(target);
        world.act(call, |agent, call| agent.refer_to_call(call, second.call));
        if cancels {
            // Some phones cancel their second call by themselves.
            world.act(second, |agent, call| agent.hang_up(call));
        }
        world.run(ms(1000));
        assert_eq!(world.call(call).refer_code, Some(202));
        assert_eq!(world.ended(second), Some(Ended::Refused(487)));
        assert_eq!((world.last_call(target), world.state(ringing)), (ringing, State::Incoming), "it rings on");
        world.act(ringing, |agent, call| agent.pick_up(call));
        world.run(ms(1000));
        assert_eq!(world.call(call).notified, [100, 200]);
        assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
        world.assert_talk(far, ringing);
        world.act(far, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_target_that_rang_already_and_refuses_or_is_not_answered_gives_the_call_back() {
    for refuses in [true, false] {
        let (mut world, call, far, second) = consulting(21, "102");
        let target = world.find("102");
        let ringing = world.last_call(target);
        world.act(call, |agent, call| agent.refer_to_call(call, second.call));
        world.run(ms(500));
        if refuses {
            world.act(ringing, |agent, call| agent.refuse(call, 486));
        }
        // As long as it would have rung for 101.
        world.run(ms(29_000));
        assert_eq!(world.call(call).notified, [100, if refuses { 486 } else { 480 }]);
        world.act(call, |agent, call| agent.hold(call, false));
        world.run(ms(1000));
        world.assert_talk(call, far);
        world.act(far, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_target_outside_that_rings_is_taken_over_and_a_referrer_may_leave() {
    let (mut world, call, far) = inbound(22);
    world.outside("+15035551212", Reaction::answers(4000));
    let phone = world.find("101");
    let second = world.dial(phone, "5035551212");
    world.run(ms(2000));
    assert_eq!(world.state(second), State::Ringing);
    world.act(call, |agent, call| agent.refer_to_call(call, second.call));
    world.run(ms(200));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(5000));
    let other = world.last_call(DOMAIN);
    assert_eq!(world.call(other).caller, "101");
    world.assert_talk(far, other);
    world.act(other, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_between_two_handsets_of_one_extension_is_not_joined_with_itself() {
    let mut world = World::office(11, &["101"]);
    let second = world.handset("101");
    world.agents[second].register(600);
    world.run(ms(1000));
    let first = world.find("101");
    world.agents[second].reaction = Reaction::answers(500);
    let call = world.dial(first, "101");
    world.run(ms(2000));
    let other = world.last_call(second);
    assert_eq!(world.state(call), State::Talking);
    let theirs = world.call(other);
    let replaces = format!(
        "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
        theirs.call_id.replace('@', "%40"),
        theirs.remote_tag.clone().unwrap(),
        theirs.local_tag
    );
    refer(&mut world, call, &format!("<sip:101@192.168.1.1?Replaces={replaces}>"));
    world.run(ms(1000));
    world.assert_talk(call, other);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
