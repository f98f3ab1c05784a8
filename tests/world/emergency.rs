//! Emergency calls: nothing may stand in their way.

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, Internet, World, office};

fn far(world: &World) -> CallRef {
    world.last_call(DOMAIN)
}

#[test]
fn a_registered_handset_calls_933_with_its_own_number_and_no_challenge() {
    let mut world = World::office(1, &["101", "102"]);
    world.outside("933", Reaction::answers(500));
    let phone = world.find("101");
    // Credentials that would not pass: nobody asks for them.
    world.agents[phone].password = "forgotten".into();
    let call = world.dial(phone, "933");
    world.run(ms(2000));
    assert_eq!(world.call(far(&world)).caller, "+15035550101");
    assert_eq!(world.call(far(&world)).dialled, "933");
    world.assert_talk(call, far(&world));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn an_extension_without_a_number_calls_with_that_of_the_site() {
    let mut world = World::office(2, &["101", "102"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("102");
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    assert_eq!(world.call(far(&world)).caller, "+15035550100");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_handset_that_never_registered_calls_911() {
    let mut world = World::office(3, &["101"]);
    world.outside("911", Reaction::answers(500));
    let stranger = world.handset("nobody");
    let call = world.dial(stranger, "911");
    world.run(ms(2000));
    assert_eq!(world.call(far(&world)).caller, "+15035550100");
    world.assert_talk(call, far(&world));
    world.act(far(&world), |agent, call| agent.hang_up(call));
    // And nothing else.
    let other = world.dial(stranger, "5035551212");
    world.run(ms(1000));
    assert_eq!(world.ended(other), Some(Ended::Refused(401)));
    world.finish();
}

#[test]
fn an_emergency_call_passes_the_limit_of_calls() {
    let mut config = office(&["101", "102", "103"]);
    config.limits.calls = 1;
    let mut world = World::office_of(4, config);
    for handset in ["101", "102", "103"].map(|name| world.find(name)) {
        world.agents[handset].reaction = Reaction::answers(500);
    }
    world.outside("911", Reaction::answers(500));
    let first = world.dial(1, "102");
    world.run(ms(1000));
    let emergency = world.dial(3, "911");
    world.run(ms(2000));
    assert_eq!(world.state(emergency), State::Talking);
    world.act(first, |agent, call| agent.hang_up(call));
    world.act(emergency, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn with_the_trunk_just_down_an_emergency_call_waits_and_leaves_when_it_is_back() {
    let mut world = World::office(5, &["101"]);
    world.outside("911", Reaction::answers(500));
    world.internet = Internet::Down;
    world.cut(DOMAIN);
    world.run(ms(60_000));
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    world.run(ms(5000));
    assert!(matches!(world.state(call), State::Calling | State::Ringing));
    world.internet = Internet::Up;
    world.run(ms(5000));
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, far(&world));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn with_the_trunk_down_for_good_the_handset_is_told_after_a_while() {
    let mut world = World::office(6, &["101"]);
    world.internet = Internet::NoDns;
    world.cut(DOMAIN);
    world.run(ms(1000));
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    world.run(ms(29_000));
    assert_eq!(world.ended(call), None);
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    world.finish();
}

#[test]
fn an_emergency_call_whose_trunk_is_cut_while_it_rings_leaves_again() {
    let mut world = World::office(7, &["101"]);
    world.outside("911", Reaction { after: ms(8000), ..Reaction::answers(0) });
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    world.run(ms(1000));
    assert_eq!(world.calls_of(DOMAIN), 1);
    world.cut(DOMAIN);
    world.run(ms(20_000));
    assert_eq!(world.calls_of(DOMAIN), 2);
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, far(&world));
    world.act(call, |agent, call| agent.hang_up(call));
    // What the cut left at the domain ends by itself there.
    let first = CallRef { agent: DOMAIN, call: 0 };
    world.act(first, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn an_emergency_call_on_a_flow_that_died_silently_leaves_by_the_next_one_within_seconds() {
    let mut world = World::office(9, &["101"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[DOMAIN].domain.as_mut().unwrap().deaf = true;
    let call = world.dial(phone, "911");
    world.run(ms(4000));
    world.agents[DOMAIN].domain.as_mut().unwrap().deaf = false;
    world.run(ms(4000));
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, far(&world));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_domain_that_never_answers_ends_even_an_emergency_call_at_last() {
    let mut world = World::office(10, &["101"]);
    let phone = world.find("101");
    world.agents[DOMAIN].domain.as_mut().unwrap().deaf = true;
    let call = world.dial(phone, "911");
    world.run(ms(240_000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    world.finish();
}

#[test]
fn an_emergency_call_is_not_refused_for_session_timers_that_are_too_short() {
    let mut world = World::office(8, &["101"]);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    world.agents[phone].traits.session = Some(60);
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    assert_eq!(world.state(call), State::Talking);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn who_is_shown_is_proved_and_a_name_in_from_proves_nothing() {
    let mut world = World::office(11, &["101", "102"]);
    world.outside("911", Reaction::answers(500));
    // A phone that says it is 101, which is registered elsewhere.
    let stranger = world.handset("101");
    let call = world.dial(stranger, "911");
    world.run(ms(2000));
    assert_eq!(world.call(far(&world)).caller, "+15035550100", "the site's number");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn every_spelling_of_help_leaves_as_the_number_that_twilio_takes() {
    for (seed, dialled) in ["urn:service:sos", "urn:service:sos.fire", "911%23", "*67911", "112"].iter().enumerate() {
        let mut world = World::office(20 + seed as u64, &["101"]);
        world.outside("911", Reaction::answers(500));
        let phone = world.find("101");
        let call = world.dial(phone, dialled);
        world.run(ms(2000));
        assert_eq!(world.call(far(&world)).dialled, "911", "{dialled}");
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn the_service_s_call_back_rings_the_phone_that_called_past_every_limit_for_an_hour() {
    let mut config = office(&["101", "102", "103"]);
    (config.limits.calls, config.limits.call_duration) = (1, ms(10_000_000));
    let mut world = World::office_of(30, config);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("101");
    // Another phone of the same extension.
    let other = world.handset("101");
    world.act(CallRef { agent: other, call: 0 }, |agent, _| agent.register(3600));
    world.run(ms(3000));
    for handset in 1..world.agents.len() {
        world.agents[handset].reaction = Reaction::answers(500);
    }
    let call = world.dial(phone, "911");
    world.run(ms(2000));
    assert_eq!(world.call_backs.len(), 1, "the webhook hears of it");
    assert_eq!((world.call_backs[0].number.as_str(), world.call_backs[0].is_own), ("+15035550101", true));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    // The office is full.
    let busy = world.dial(world.find("102"), "103");
    world.run(ms(1000));
    world.run(ms(50 * 60_000));
    let back = world.call_in("101", "+15035559111");
    world.run(ms(3000));
    assert_eq!(world.state(back), State::Talking);
    assert_eq!((world.calls_of(phone), world.calls_of(other)), (1, 0), "that phone, and no other");
    world.act(back, |agent, call| agent.hang_up(call));
    world.run(ms(15 * 60_000));
    let late = world.call_in("101", "+15035559111");
    world.run(ms(3000));
    assert_eq!(world.ended(late), Some(Ended::Refused(503)), "after an hour the limits hold");
    world.act(busy, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn the_desk_rings_in_the_same_second_and_an_answer_there_changes_nothing() {
    let mut config = office(&["101", "102", "103"]);
    config.emergency.notify = vec!["102".into(), "103".into()];
    let mut world = World::office_of(31, config);
    world.outside("911", Reaction::answers(500));
    let (phone, desk, guard) = (world.find("101"), world.find("102"), world.find("103"));
    world.agents[desk].reaction = Reaction::answers(3000);
    world.agents[guard].reaction = Reaction::answers(60_000);
    let call = world.dial(phone, "911");
    world.run(ms(1000));
    assert_eq!((world.calls_of(desk), world.calls_of(guard)), (1, 1));
    assert_eq!(world.call(world.last_call(desk)).caller, "101");
    world.run(ms(4000));
    assert_eq!(world.state(world.last_call(desk)), State::Over, "it was seen");
    assert_eq!(world.state(world.last_call(guard)), State::Incoming, "the other one still rings");
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, far(&world));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_transfer_leads_to_no_emergency_number() {
    let mut world = World::office(32, &["101", "102"]);
    let (phone, other) = (world.find("101"), world.find("102"));
    world.agents[other].reaction = Reaction::answers(500);
    let call = world.dial(phone, "102");
    world.run(ms(2000));
    for target in ["sip:911@192.168.1.1", "sip:9911@192.168.1.1", "tel:911", "sip:933@192.168.1.1"] {
        world.act(call, |agent, call| agent.refer(call, target));
        world.run(ms(2000));
    }
    assert_eq!(world.calls_of(DOMAIN), 0);
    assert_eq!(world.state(call), State::Talking, "the call goes on");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
