//! The story of issue 2, step by step.

use gateway_core::event::Level;
use gateway_core::sip::header::Reason;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, Internet, World, office};

#[test]
fn handsets_register_with_digest_and_the_trunk_registers_them_at_the_domain() {
    let mut world = World::office(1, &["101", "102"]);
    let domain = world.agents[DOMAIN].domain.as_ref().unwrap();
    assert_eq!((domain.registers, domain.bindings.len()), (2, 2));
    world.run(ms(3_600_000));
    // Both sides refresh on and on.
    assert!(world.agents[1].registration.successes > 10);
    assert!(world.agents[DOMAIN].domain.as_ref().unwrap().registers > 20);
    assert!(world.domain_has("101"));
    world.finish();
}

#[test]
fn a_wrong_password_is_refused_and_does_not_stop_the_others() {
    let mut world = World::new(2, office(&["101", "102"]));
    let (bad, good) = (world.handset("101"), world.handset("102"));
    world.agents[bad].password = "guess".into();
    world.agents[bad].register(600);
    world.agents[good].register(600);
    world.start();
    world.run(ms(2000));
    assert_eq!(world.agents[bad].registration.code, Some(401));
    assert!(world.agents[good].registration.registered);
    assert!(world.saw("handset.wrong-password", "101"));
    let call = world.dial(bad, "5035551212");
    world.run(ms(2000));
    assert!(matches!(world.ended(call), Some(Ended::Refused(401 | 503))), "{:?}", world.ended(call));
    world.finish();
}

#[test]
fn a_call_out_is_answered_and_the_far_end_hangs_up() {
    let mut world = World::office(3, &["101", "102"]);
    world.outside("+15035551212", Reaction::answers(2000));
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(1000));
    assert_eq!(world.state(call), State::Ringing);
    world.run(ms(2000));
    assert_eq!(world.state(call), State::Talking);
    let far = world.last_call(DOMAIN);
    assert_eq!(world.call(far).caller, "101");
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_call_out_is_answered_and_the_caller_hangs_up() {
    let mut world = World::office(4, &["101"]);
    world.outside("+15035551212", Reaction { early_media: true, ..Reaction::answers(3000) });
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(2000));
    let far = world.last_call(DOMAIN);
    // The ring tone of the network is heard before the answer.
    assert_eq!(world.state(call), State::Ringing);
    assert!(world.call(call).provisional.contains(&183));
    world.run(ms(2000));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    let reason = Reason::parse(world.call(far).reason.as_deref().unwrap()).unwrap();
    assert_eq!((reason.protocol.as_str(), reason.cause), ("Q.850", Some(16)));
    assert!(world.saw("call.ended", "a party hung up"));
    world.finish();
}

#[test]
fn the_second_call_of_an_extension_needs_no_challenge() {
    let mut world = World::office(5, &["101"]);
    world.outside("+15035551212", Reaction { hang_up: Some(ms(500)), ..Reaction::answers(500) });
    let phone = world.find("101");
    world.dial(phone, "5035551212");
    world.run(ms(3000));
    let challenges = world.agents[DOMAIN].domain.as_ref().unwrap().challenges;
    world.dial(phone, "5035551212");
    world.run(ms(3000));
    assert_eq!(world.agents[DOMAIN].domain.as_ref().unwrap().challenges, challenges);
    assert_eq!(world.calls_of(DOMAIN), 2);
    world.finish();
}

#[test]
fn a_call_in_rings_both_handsets_and_the_slower_one_learns_that_it_was_answered_elsewhere() {
    let mut world = World::new(6, office(&["101", "102"]));
    let (a, b) = (world.handset("101"), world.handset("101"));
    world.open();
    let call = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    assert_eq!(world.state(call), State::Ringing);
    let (first, second) = (world.last_call(a), world.last_call(b));
    assert_eq!(world.call(first).caller, "+15035550111");
    world.act(second, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.assert_talk(call, second);
    assert_eq!(world.ended(first), Some(Ended::TheyCancelled));
    let reason = world.call(first).reason.clone().expect("the CANCEL has a Reason");
    let reason = Reason::parse(&reason).unwrap();
    assert_eq!((reason.protocol.as_str(), reason.cause), ("SIP", Some(200)));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(500));
    assert_eq!(world.ended(second), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_number_called_from_inside_rings_every_extension_of_it() {
    let mut world = World::office(7, &["101", "102", "103"]);
    let (a, b, c) = (world.find("101"), world.find("102"), world.find("103"));
    let call = world.dial(c, "5035550100");
    world.run(ms(1000));
    let (first, second) = (world.last_call(a), world.last_call(b));
    world.act(second, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.assert_talk(call, second);
    assert_eq!(world.ended(first), Some(Ended::TheyCancelled));
    world.act(second, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn two_handsets_talk_with_the_trunk_up_and_with_the_internet_down() {
    for internet in [Internet::Up, Internet::Down, Internet::NoDns] {
        let mut world = World::new(8, office(&["101", "102"]));
        world.internet = internet;
        let (a, b) = (world.handset("101"), world.handset("102"));
        world.agents[a].register(600);
        world.agents[b].register(600);
        world.start();
        world.run(ms(3000));
        world.agents[b].reaction = Reaction::answers(500);
        let call = world.dial(a, "102");
        world.run(ms(2000));
        let far = world.last_call(b);
        assert_eq!(world.call(far).caller, "101");
        world.assert_talk(call, far);
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn a_call_out_without_the_trunk_is_refused_at_once() {
    let mut world = World::office(9, &["101"]);
    world.internet = Internet::Down;
    world.cut(DOMAIN);
    world.run(ms(100));
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(50));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    assert!(world.saw("call.refused", "no connection to the SIP domain"));
    world.finish();
}

#[test]
fn a_refusal_outside_reaches_the_caller_with_its_cause() {
    for (code, heard) in [(486, 486), (404, 404), (603, 603), (488, 488), (500, 500)] {
        let mut world = World::office(10, &["101"]);
        world.outside("+15035551212", Reaction::refuses(code));
        let phone = world.find("101");
        let call = world.dial(phone, "5035551212");
        world.run(ms(3000));
        assert_eq!(world.ended(call), Some(Ended::Refused(heard)));
        world.finish();
    }
}

#[test]
fn a_call_to_an_extension_without_handset_is_refused_at_once_on_both_sides() {
    let mut world = World::office(11, &["101", "102"]);
    let gone = world.find("102");
    world.agents[gone].register(0);
    world.run(ms(500));
    let phone = world.find("101");
    let call = world.dial(phone, "102");
    let outside = world.call_in("102", "+15035550111");
    world.run(ms(500));
    assert_eq!(world.ended(call), Some(Ended::Refused(480)));
    assert_eq!(world.ended(outside), Some(Ended::Refused(480)));
    world.finish();
}

#[test]
fn a_handset_that_does_not_answer_is_given_up_after_the_ring_time() {
    let mut world = World::office(12, &["101", "102"]);
    let phone = world.find("101");
    let call = world.dial(phone, "102");
    world.run(ms(29_000));
    assert_eq!(world.state(call), State::Ringing);
    world.run(ms(3_000));
    assert_eq!(world.ended(call), Some(Ended::Refused(480)));
    assert!(world.saw("call.ended", "nobody answered"));
    let other = world.find("102");
    assert_eq!(world.ended(world.last_call(other)), Some(Ended::TheyCancelled));
    world.finish();
}

#[test]
fn over_the_limit_of_calls_the_next_is_refused_and_the_trunk_side_too() {
    let mut config = office(&["101", "102", "103"]);
    config.limits.calls = 1;
    let mut world = World::office_of(13, config);
    for handset in ["101", "102", "103"].map(|name| world.find(name)) {
        world.agents[handset].reaction = Reaction::answers(500);
    }
    let first = world.dial(1, "102");
    world.run(ms(1000));
    let second = world.dial(3, "102");
    let inbound = world.call_in("103", "+15035550111");
    world.run(ms(1000));
    assert_eq!(world.state(first), State::Talking);
    assert_eq!(world.ended(second), Some(Ended::Refused(503)));
    assert_eq!(world.ended(inbound), Some(Ended::Refused(503)));
    assert!(world.saw("call.refused", "limits.calls"));
    let level = world.events_of("call.refused")[0].level;
    assert_eq!(level, Level::Warning);
    world.act(first, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_ends_when_it_has_lasted_as_long_as_the_limit_allows() {
    let mut world = World::office(14, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(3_605_000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert!(world.saw("call.ended", "limits.call_duration"));
    world.finish();
}

#[test]
fn without_a_free_port_the_call_is_refused_with_the_cause() {
    for room in [0, 1] {
        let mut world = World::office(15, &["101", "102"]);
        let phone = world.find("101");
        world.media.room = Some(room);
        let call = world.dial(phone, "102");
        world.run(ms(500));
        assert_eq!(world.ended(call), Some(Ended::Refused(503)));
        assert!(world.saw("call.ended", "media.ports"));
        world.finish();
    }
}

#[test]
fn a_stop_tells_every_party_and_leaves_the_domain() {
    let mut world = World::office(16, &["101", "102", "103"]);
    world.outside("+15035551212", Reaction::answers(500));
    let (a, b) = (world.find("101"), world.find("102"));
    let out = world.dial(a, "5035551212");
    let ringing = world.dial(b, "103");
    world.run(ms(2000));
    world.input(gateway_core::engine::Input::Stop);
    let stopped = world.run_until(ms(40_000), |world| world.engine.is_stopped());
    assert!(stopped);
    assert_eq!(world.ended(out), Some(Ended::TheyHungUp));
    assert_eq!(world.ended(ringing), Some(Ended::Refused(503)));
    assert!(!world.domain_has("101") && !world.domain_has("102"));
    world.finish();
}

#[test]
fn bindings_outlive_a_restart_and_a_call_in_finds_the_handset() {
    let mut world = World::office(17, &["101"]);
    let phone = world.find("101");
    world.agents[phone].resting = true;
    world.restart();
    world.run(ms(3000));
    let call = world.call_in("101", "+15035550111");
    world.run(ms(500));
    let rung = world.last_call(phone);
    world.act(rung, |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.assert_talk(call, rung);
    world.act(rung, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_reload_keeps_calls_and_registers_the_new_extension() {
    let mut world = World::office(18, &["101", "102"]);
    let (a, b) = (world.find("101"), world.find("102"));
    world.agents[b].reaction = Reaction::answers(500);
    let call = world.dial(a, "102");
    world.run(ms(1000));
    let fresh = World::new(0, office(&["101", "102", "107"]));
    let (config, secrets) = (fresh.config.clone(), fresh.secrets.clone());
    let domain = world.agents[DOMAIN].domain.as_mut().unwrap();
    domain.passwords.insert("107".into(), "trunk-secret-107".into());
    world.input(gateway_core::engine::Input::Reload { config, secrets });
    world.run(ms(2000));
    assert!(world.domain_has("107"));
    assert_eq!(world.state(call), State::Talking);
    let late = world.handset("107");
    world.agents[late].register(600);
    world.run(ms(1000));
    assert!(world.agents[late].registration.registered);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
