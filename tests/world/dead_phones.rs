//! Phones that have lost their power, and some that come back.

use gateway_core::engine::Input;

use crate::agent::{Ended, Reaction, State, Then, ms};
use crate::world::{CallRef, World, office};

/// An office where 102 has so many phones, the first of which have no power.
fn with_dead(seed: u64, dead: usize, living: usize) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed, office(&["101", "102"]));
    let caller = world.handset("101");
    let phones: Vec<usize> = (0..dead + living).map(|_| world.handset("102")).collect();
    world.open();
    for phone in &phones[..dead] {
        world.power_off(*phone);
    }
    (world, caller, phones)
}

/// How long a call to 102 takes to fail, and with what.
fn fails(world: &mut World, caller: usize) -> (u64, Option<Ended>) {
    let call = world.dial(caller, "102");
    let began = world.now;
    assert!(world.run_until(ms(40_000), |world| matches!(world.state(call), State::Over)));
    (world.now.since(began).as_millis() as u64, world.ended(call))
}

fn silent_for(world: &World, phone: usize) -> Option<u64> {
    let status = world.engine.status(world.now);
    let at = world.agents[phone].flow.unwrap().remote.to_string();
    let mut all = status.extensions.into_iter().flat_map(|extension| extension.handsets);
    all.find(|handset| handset.address == at).unwrap().not_responding_for
}

#[test]
fn a_dead_phone_is_found_by_the_first_call_and_costs_the_next_one_a_second() {
    let (mut world, caller, phones) = with_dead(1, 1, 0);
    let (took, ended) = fails(&mut world, caller);
    assert!((4000..4500).contains(&took), "{took}");
    assert_eq!(ended, Some(Ended::Refused(480)));
    assert!(world.saw("handset.silent", "does not respond"));
    world.run(ms(40_000));
    assert!(silent_for(&world, phones[0]).is_some_and(|since| since >= 40));
    let (took, _) = fails(&mut world, caller);
    assert!((1000..1500).contains(&took), "{took}");
    world.finish();
}

#[test]
fn a_dead_phone_does_not_hold_up_busy_of_the_living_one() {
    for dead in [1, 3] {
        let (mut world, caller, phones) = with_dead(2, dead, 1);
        world.agents[phones[dead]].reaction = Reaction::refuses(486);
        let (first, ended) = fails(&mut world, caller);
        assert_eq!(ended, Some(Ended::Refused(486)));
        assert!(first < 4500, "{first}");
        let (second, ended) = fails(&mut world, caller);
        assert_eq!(ended, Some(Ended::Refused(486)));
        assert!(second < 1500, "{second}");
        world.finish();
    }
}

#[test]
fn a_phone_that_rings_late_is_waited_for_beside_a_dead_one() {
    let (mut world, caller, phones) = with_dead(3, 1, 1);
    world.agents[phones[1]].reaction = Reaction::answers(20_000);
    let call = world.dial(caller, "102");
    world.run(ms(21_000));
    let answered = world.last_call(phones[1]);
    world.assert_talk(call, answered);
    world.run(ms(20_000));
    assert_eq!(world.state(call), State::Talking, "the silence of the other one ends no call");
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_phone_that_is_back_rings_at_once_and_is_said_to_respond() {
    let (mut world, caller, phones) = with_dead(4, 1, 0);
    fails(&mut world, caller);
    world.run(ms(1000));
    world.power_on(phones[0]);
    world.agents[phones[0]].reaction = Reaction::answers(500);
    let call = world.dial(caller, "102");
    world.run(ms(2000));
    let answered = world.last_call(phones[0]);
    world.assert_talk(call, answered);
    assert!(world.saw("handset.responding", "responds again"));
    assert_eq!(silent_for(&world, phones[0]), None);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_phone_that_is_back_is_found_by_options_within_a_minute_and_by_its_register() {
    for registers in [false, true] {
        let (mut world, caller, phones) = with_dead(5, 1, 0);
        fails(&mut world, caller);
        world.power_on(phones[0]);
        if registers {
            world.agents[phones[0]].register(300);
        }
        world.run(ms(if registers { 1000 } else { 61_000 }));
        assert_eq!(silent_for(&world, phones[0]), None, "{registers}");
        assert!(world.saw("handset.responding", "responds again"));
        world.finish();
    }
}

#[test]
fn a_quiet_phone_is_asked_every_ten_minutes_and_found_dead_when_it_has_answered_before() {
    let (mut world, _, phones) = with_dead(6, 0, 1);
    world.agents[phones[0]].register(3600);
    world.agents[phones[0]].resting = true;
    world.run(ms(700_000));
    let asked = world.agents[phones[0]].options_seen;
    assert_eq!(asked, 1, "once in ten minutes");
    world.power_off(phones[0]);
    world.run(ms(700_000));
    assert!(silent_for(&world, phones[0]).is_some());
    world.finish();
}

#[test]
fn a_phone_without_100_that_answers_within_the_patience_is_no_dead_one() {
    let (mut world, caller, phones) = with_dead(7, 0, 1);
    world.agents[phones[0]].reaction = Reaction { then: Then::Dead, ..Reaction::default() };
    let (took, _) = fails(&mut world, caller);
    assert!((4000..4500).contains(&took), "nothing to an INVITE, whatever it says to OPTIONS: {took}");
    world.agents[phones[0]].reaction = Reaction::answers(500);
    let call = world.dial(caller, "102");
    world.run(ms(3000));
    assert_eq!(world.state(call), State::Talking);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

/// 101 calls for help and hangs up; the service calls back.
fn called_back(world: &mut World, phone: usize) -> CallRef {
    world.outside("911", Reaction::answers(500));
    let help = world.dial(phone, "911");
    world.run(ms(3000));
    world.act(help, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    world.call_in("101", "911")
}

#[test]
fn a_call_back_goes_on_trying_a_phone_that_does_not_respond() {
    let mut world = World::new(8, office(&["101", "102"]));
    let (phone, caller) = (world.handset("101"), world.handset("102"));
    world.open();
    let back = called_back(&mut world, phone);
    world.act(back, |agent, call| agent.hang_up(call));
    world.run(ms(2000));
    world.power_off(phone);
    let call = world.dial(caller, "101");
    world.run(ms(10_000));
    assert_eq!(world.state(call), State::Over);
    assert!(silent_for(&world, phone).is_some());
    let back = world.call_in("101", "911");
    world.run(ms(15_000));
    assert_ne!(world.state(back), State::Over, "it is tried as long as it may answer");
    world.power_on(phone);
    world.agents[phone].reaction = Reaction::answers(500);
    world.run(ms(17_000));
    assert_eq!(world.state(back), State::Talking);
    world.act(back, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_refused_port_is_a_dead_phone_within_a_second_unless_it_answers_meanwhile() {
    let (mut world, caller, phones) = with_dead(9, 0, 2);
    world.close_port(phones[0]);
    world.agents[phones[1]].reaction = Reaction::refuses(486);
    let (took, ended) = fails(&mut world, caller);
    assert_eq!(ended, Some(Ended::Refused(486)));
    assert!(took < 1500, "{took}");
    assert!(silent_for(&world, phones[0]).is_some());
    // Forged: the phone answers, and talks on.
    let (mut world, caller, phones) = with_dead(10, 0, 1);
    world.agents[phones[0]].reaction = Reaction::answers(3000);
    let flow = world.agents[phones[0]].flow.unwrap();
    let call = world.dial(caller, "102");
    for _ in 0..50 {
        world.run(ms(100));
        world.input(Input::Unreachable { flow });
    }
    let answered = world.last_call(phones[0]);
    world.assert_talk(call, answered);
    assert_eq!(silent_for(&world, phones[0]), None);
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}
