//! What crosses on the wire, and what gets lost on it.

use crate::agent::{Ended, Reaction, State, ms};
use crate::link::Way;
use crate::world::{DOMAIN, World};

#[test]
fn a_caller_that_gives_up_while_it_rings_ends_the_other_side() {
    let mut world = World::office(1, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    for number in ["102", "5035551212"] {
        let call = world.dial(a, number);
        world.run(ms(1000));
        world.act(call, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        assert_eq!(world.ended(call), Some(Ended::Refused(487)));
        let other = world.last_call(if number == "102" { b } else { DOMAIN });
        assert_eq!(world.ended(other), Some(Ended::TheyCancelled));
    }
    world.finish();
}

#[test]
fn a_caller_outside_that_gives_up_ends_the_ringing() {
    let mut world = World::office(2, &["101"]);
    let call = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    let phone = world.find("101");
    assert_eq!(world.ended(world.last_call(phone)), Some(Ended::TheyCancelled));
    assert_eq!(world.ended(call), Some(Ended::Refused(487)));
    world.finish();
}

#[test]
fn a_cancel_at_any_moment_leaves_nothing_behind() {
    for number in ["102", "5035551212"] {
        // Dense where something is under way: challenge, ports, INVITE, 180; the answer and its ACK.
        let moments = (0..12).chain((40..160).step_by(2)).chain((495..620).step_by(3)).chain([300, 1000, 5000]);
        for after in moments {
            let mut world = World::office(3, &["101", "102"]);
            let (a, b) = (world.find("101"), world.find("102"));
            world.agents[b].reaction = Reaction::answers(500);
            world.outside("+15035551212", Reaction::answers(500));
            let call = world.dial(a, number);
            world.run(ms(after));
            world.act(call, |agent, call| agent.hang_up(call));
            world.run(ms(40_000));
            assert_eq!(world.state(call), State::Over, "cancelled after {after} ms");
            world.finish();
        }
    }
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up() {
    let mut world = World::office(4, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    let other = world.last_call(b);
    // Both at the same moment, so that the 200 and the CANCEL of the gateway pass each other.
    world.links[b].quality.latency = ms(50);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(10));
    world.act(other, |agent, call| agent.pick_up(call));
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(487)));
    assert_eq!(world.ended(other), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn two_handsets_that_answer_at_once_leave_one_in_the_call() {
    let mut world = World::office(5, &["101", "102", "103"]);
    let (a, b, c) = (world.find("101"), world.find("102"), world.find("103"));
    for link in [a, b] {
        world.links[link].quality.latency = ms(30);
    }
    let call = world.dial(c, "5035550100");
    world.run(ms(1000));
    let (first, second) = (world.last_call(a), world.last_call(b));
    world.act(first, |agent, call| agent.pick_up(call));
    world.run(ms(2));
    world.act(second, |agent, call| agent.pick_up(call));
    world.run(ms(2000));
    world.assert_talk(call, first);
    assert_eq!(world.ended(second), Some(Ended::TheyHungUp));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn the_second_answer_of_a_forking_proxy_is_acknowledged_and_hung_up() {
    let mut world = World::office(6, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    let first = world.last_call(b);
    world.act(first, |agent, call| agent.pick_up(call));
    let mut fork = 0;
    world.act(first, |agent, call| fork = agent.fork(call));
    world.run(ms(2000));
    world.assert_talk(call, first);
    let fork = crate::world::CallRef { agent: b, call: fork };
    assert_eq!(world.ended(fork), Some(Ended::TheyHungUp));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn both_ends_hang_up_at_the_same_moment() {
    for number in ["102", "5035551212"] {
        let (mut world, call, other) = World::talking(7, number);
        world.act(call, |agent, call| agent.hang_up(call));
        world.act(other, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_lost_bye_is_repeated() {
    let (mut world, call, far) = World::talking(8, "102");
    let (a, b) = (call.agent, far.agent);
    world.lose(a, Way::ToEngine, "BYE ", 3);
    world.lose(b, Way::ToAgent, "BYE ", 3);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(9000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_lost_ack_makes_the_answer_come_again_and_the_call_stands() {
    let mut world = World::office(9, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[b].reaction = Reaction::answers(500);
    world.lose(a, Way::ToEngine, "ACK ", 3);
    world.lose(b, Way::ToAgent, "ACK ", 3);
    let call = world.dial(a, "102");
    world.run(ms(20_000));
    world.assert_talk(call, world.last_call(b));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_caller_that_never_acknowledges_is_hung_up_after_64_t1() {
    let mut world = World::office(10, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[b].reaction = Reaction::answers(500);
    world.agents[a].traits.never_acks = true;
    let call = world.dial(a, "102");
    world.run(ms(2_000));
    // The 401 was acknowledged: only the ACK to the 200 is missing.
    assert_eq!(world.state(call), State::Talking);
    world.run(ms(34_000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert_eq!(world.ended(world.last_call(b)), Some(Ended::TheyHungUp));
    assert!(world.saw("call.ended", "does not answer any more"));
    world.finish();
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut world = World::office(11, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    let other = world.last_call(b);
    world.lose(a, Way::ToEngine, "ACK ", 1);
    world.act(other, |agent, call| agent.pick_up(call));
    world.run(ms(50));
    world.act(other, |agent, call| agent.hang_up(call));
    world.run(ms(20));
    assert_eq!(world.state(call), State::Talking);
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_handset_that_died_is_given_up_like_a_busy_one() {
    let mut world = World::office(12, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.lose(b, Way::ToAgent, "INVITE ", 100);
    let call = world.dial(a, "102");
    world.run(ms(33_000));
    assert_eq!(world.ended(call), Some(Ended::Refused(480)));
    world.finish();
}

#[test]
fn a_handset_that_dies_while_cancelled_is_forgotten() {
    let mut world = World::office(13, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    world.lose(b, Way::ToAgent, "", 1000);
    world.lose(b, Way::ToEngine, "", 1000);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(60_000));
    assert_eq!(world.ended(call), Some(Ended::Refused(487)));
    let dead = world.last_call(b);
    world.act(dead, |agent, call| agent.refuse(call, 480));
    world.finish();
}

#[test]
fn an_invite_repeated_by_a_nervous_handset_is_one_call() {
    let mut world = World::office(14, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.lose(a, Way::ToAgent, "SIP/2.0 1", 20);
    let call = world.dial(a, "102");
    world.run(ms(10_000));
    assert_eq!(world.calls_of(b), 1);
    world.act(world.last_call(b), |agent, call| agent.pick_up(call));
    world.run(ms(1000));
    world.assert_talk(call, world.last_call(b));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
