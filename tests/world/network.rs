//! The network under the office: another address outside, a cable that comes and goes, DNS that is late or lies.

use crate::agent::{Ended, Reaction, State, ms};
use crate::link::Way;
use crate::world::{DOMAIN, Internet, World, office};

const NEW: &str = "203.0.113.99";

fn domain(world: &mut World) -> &mut crate::agent::Domain {
    world.agents[DOMAIN].domain.as_mut().expect("the first agent is the domain")
}

#[test]
fn a_call_goes_on_at_another_address_by_one_re_invite_and_either_end_can_hang_up() {
    for far_end_hangs_up in [false, true] {
        let (mut world, call, far) = World::talking(1, "5035551212");
        world.change_address(NEW, ms(300));
        world.run(ms(200));
        assert!(!world.hears(call, far), "or this test could not fail");
        world.run(ms(1000));
        world.assert_talk(call, far);
        assert_eq!(world.call(far).reinvites_seen, 1);
        assert!(world.call(far).target.contains(NEW), "{}", world.call(far).target);
        assert!(world.saw("call.repaired", NEW));
        assert!(world.saw("trunk.lost", "no longer has the address 203.0.113.7"));
        let (leaver, left) = if far_end_hangs_up { (far, call) } else { (call, far) };
        world.act(leaver, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        assert_eq!(world.ended(left), Some(Ended::TheyHungUp));
        world.finish();
    }
}

#[test]
fn every_extension_registers_again_from_the_new_address_those_who_talk_first_then_those_with_handsets() {
    let mut world = World::new(2, office(&["101", "102", "103"]));
    let phones: Vec<usize> = ["102", "103"].iter().map(|name| world.handset(name)).collect();
    world.open();
    world.outside("+15035551212", Reaction::answers(500));
    world.dial(phones[1], "5035551212");
    world.run(ms(2000));
    domain(&mut world).registered.clear();
    world.change_address(NEW, ms(300));
    world.run(ms(1500));
    assert_eq!(domain(&mut world).registered[..3], ["103", "102", "101"]);
    world.run(ms(5000));
    for name in ["101", "102", "103"] {
        let bindings = &domain(&mut world).bindings[name];
        assert!(bindings.iter().all(|binding| binding.contains(NEW)), "{bindings:?}");
    }
    let far = world.last_call(DOMAIN);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_goes_on_though_the_far_end_refuses_every_repair() {
    for code in [403, 408, 481, 500, 503] {
        let (mut world, call, far) = World::talking(3, "5035551212");
        domain(&mut world).refuses_reinvites = Some(code);
        world.cut(DOMAIN);
        world.run(ms(60_000));
        world.assert_talk(call, far);
        assert!(world.saw("call.not-repaired", &code.to_string()), "{code}");
        world.act(call, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        assert_eq!(world.ended(far), Some(Ended::TheyHungUp), "BYE goes by the new flow");
        world.finish();
    }
}

#[test]
fn a_call_that_nobody_repairs_and_nobody_hears_ends_by_its_silence() {
    let (mut world, call, far) = World::talking(4, "5035551212");
    world.listen();
    domain(&mut world).refuses_reinvites = Some(481);
    world.change_address(NEW, ms(300));
    // What Twilio sends still goes to the old address.
    world.agents[DOMAIN].calls[far.call].media.holding = true;
    world.agents[DOMAIN].calls[far.call].media.direction = gateway_core::sip::sdp::Direction::Inactive;
    world.run(ms(30_000));
    assert_eq!(world.state(call), State::Talking);
    world.run(ms(60_000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert!(world.saw("call.ended", "does not answer"));
    world.finish();
}

#[test]
fn a_held_call_that_the_far_end_does_not_know_any_more_ends_once_its_phone_is_gone() {
    for (number, outside) in [("5035551212", "+15035551212"), ("911", "911")] {
        let mut world = World::new(41, office(&["101"]));
        world.outside(outside, Reaction::answers(1000));
        let phone = world.tcp_handset("101");
        world.open();
        let call = world.dial(phone, number);
        world.run(ms(5000));
        let far = world.last_call(DOMAIN);
        world.listen();
        world.act(call, |agent, call| agent.hold(call, true));
        world.run(ms(1000));
        domain(&mut world).refuses_reinvites = Some(481);
        world.cut(DOMAIN);
        world.run(ms(10_000));
        assert_eq!(world.state(call), State::Talking, "{number}");
        world.agents[DOMAIN].calls[far.call].state = State::Over;
        world.agents[phone].calls[call.call].state = State::Over;
        world.cut(phone);
        world.finish();
    }
}

#[test]
fn a_held_emergency_call_that_the_far_end_does_not_know_any_more_waits_for_its_phone() {
    let mut world = World::office(42, &["101"]);
    world.outside("911", Reaction::answers(1000));
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    world.run(ms(5000));
    let far = world.last_call(DOMAIN);
    world.listen();
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    domain(&mut world).refuses_reinvites = Some(481);
    world.cut(DOMAIN);
    world.run(ms(300_000));
    assert_eq!(world.state(call), State::Talking);
    domain(&mut world).refuses_reinvites = None;
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(70_000));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_repair_that_meets_their_re_invite_comes_later() {
    let (mut world, call, far) = World::talking(5, "5035551212");
    world.cut(DOMAIN);
    let up = world.run_until(ms(10_000), |world| world.agents[DOMAIN].flow.is_some());
    assert!(up);
    world.act(far, |agent, call| agent.reinvite(call));
    world.run(ms(10_000));
    world.assert_talk(call, far);
    assert!(world.saw("call.repaired", ""));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_that_has_not_rung_leaves_again_by_the_new_flow() {
    let mut world = World::office(6, &["101"]);
    world.outside("+15035551212", Reaction { ring: None, ..Reaction::answers(3000) });
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(500));
    let first = world.last_call(DOMAIN);
    world.change_address(NEW, ms(300));
    world.run(ms(10_000));
    let second = world.last_call(DOMAIN);
    assert_ne!(first, second);
    world.assert_talk(call, second);
    assert!(world.saw("call.waiting", "no longer has the address"));
    world.act(call, |agent, call| agent.hang_up(call));
    world.agents[DOMAIN].calls[first.call].state = State::Over;
    world.finish();
}

#[test]
fn a_call_that_has_not_rung_is_refused_when_no_flow_comes() {
    let mut world = World::office(7, &["101"]);
    world.outside("+15035551212", Reaction { ring: None, ..Reaction::answers(3000) });
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(500));
    let first = world.last_call(DOMAIN);
    world.internet = Internet::Down;
    world.cut(DOMAIN);
    world.run(ms(9000));
    assert_eq!(world.ended(call), None);
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    world.agents[DOMAIN].calls[first.call].state = State::Over;
    world.finish();
}

#[test]
fn an_answer_whose_ack_was_lost_with_the_flow_is_given_again_on_the_new_one() {
    let mut world = World::office(8, &["101"]);
    let phone = world.find("101");
    let far = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    let call = world.last_call(phone);
    world.lose(DOMAIN, Way::ToEngine, "ACK ", 1);
    world.act(call, |agent, call| agent.pick_up(call));
    world.run(ms(100));
    world.change_address(NEW, ms(300));
    world.run(ms(60_000));
    world.assert_talk(call, far);
    assert!(world.call(far).target.contains(NEW), "{}", world.call(far).target);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_nat_that_forgets_the_flow_is_noticed_by_the_keepalive_and_calls_are_repaired() {
    let (mut world, call, far) = World::talking(9, "5035551212");
    world.run(ms(30_000));
    world.break_trunk();
    let lost = world.run_until(ms(40_000), |world| world.saw("trunk.lost", "keepalive"));
    assert!(lost);
    world.run(ms(5000));
    assert_eq!(world.call(far).reinvites_seen, 1);
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_cable_that_was_out_for_a_while_is_answered_for_within_seconds() {
    for out in [2_000, 10_000, 100_000, 600_000] {
        let (mut world, call, far) = World::talking(10, "5035551212");
        world.run(ms(30_000));
        world.plug(false);
        world.run(ms(out));
        world.plug(true);
        let back = world.run_until(ms(6000), |world| world.call(far).reinvites_seen > 0);
        assert!(back, "after {out} ms");
        world.run(ms(2000));
        world.assert_talk(call, far);
        assert!(world.domain_has("101"));
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn the_lan_works_while_dns_is_silent_and_the_trunk_says_what_it_waits_for() {
    let mut world = World::new(11, office(&["101", "102"]));
    world.internet = Internet::LateDns;
    let (a, b) = (world.handset("101"), world.handset("102"));
    for phone in [a, b] {
        world.agents[phone].register(600);
    }
    world.agents[b].reaction = Reaction::answers(300);
    world.start();
    world.run(ms(300_000));
    let call = world.dial(a, "102");
    world.run(ms(1000));
    world.assert_talk(call, world.last_call(b));
    world.act(call, |agent, call| agent.hang_up(call));
    let status = world.engine.status(world.now).trunk;
    assert!(status.reason.is_some_and(|reason| reason.contains("ashburn.twilio.com can not be resolved")));
    world.internet = Internet::Up;
    let up = world.run_until(ms(75_000), |world| world.domain_has("101"));
    assert!(up, "a question is given up after 15 s, three make a round, the pause is 15 s");
    world.finish();
}

#[test]
fn a_dns_that_lies_is_told_apart_by_the_certificate_and_leaves_no_trace() {
    let mut world = World::new(12, office(&["101"]));
    world.internet = Internet::LyingDns;
    world.start();
    world.run(ms(120_000));
    let reason = world.engine.status(world.now).trunk.reason.unwrap_or_default();
    assert!(reason.contains("198.51.100.66") && reason.contains("another's"), "{reason}");
    world.internet = Internet::Up;
    let up = world.run_until(ms(125_000), |world| world.domain_has("101"));
    assert!(up);
    world.run(ms(1000));
    // Now the good address is known: DNS may lie as it likes.
    world.internet = Internet::LyingDns;
    world.cut(DOMAIN);
    world.run(ms(5000));
    assert!(world.agents[DOMAIN].flow.is_some());
    world.finish();
}
