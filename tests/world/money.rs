//! What a stolen password can do, and what it cannot: bounds of an extension and of the house, and a usage trigger. They
//! refuse their own extension; other extensions, calls from outside and emergency calls go on.

use gateway_core::config::{Allowance, Config};
use gateway_core::context::Spending;
use gateway_core::engine::Input;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{CallRef, DOMAIN, World, office};

const FAR: &str = "+15035551212";

fn allowing(allowance: Allowance) -> Config {
    let mut config = office(&["101", "102", "103"]);
    config.limits.allowance = allowance;
    config.extensions.iter_mut().for_each(|extension| extension.allowance = allowance);
    config
}

/// An office where everybody outside answers at once.
fn world(seed: u64, config: Config) -> World {
    let mut world = World::office_of(seed, config);
    for last in 10..60 {
        world.outside(&format!("+150355512{last}"), Reaction::answers(200));
    }
    world.outside("911", Reaction::answers(200));
    world
}

fn dial(world: &mut World, extension: &str, number: &str) -> CallRef {
    let phone = world.find(extension);
    let call = world.dial(phone, number);
    world.run(ms(1000));
    call
}

fn talks(world: &World, call: CallRef) -> bool {
    world.state(call) == State::Talking
}

/// 911 and another extension still call, and who calls in is answered.
fn assert_others_go_on(world: &mut World) {
    let help = dial(world, "101", "911");
    assert!(talks(world, help), "911: {:?}", world.ended(help));
    let other = dial(world, "102", FAR);
    assert!(talks(world, other), "102: {:?}", world.ended(other));
    assert_comes_in(world);
    for call in [help, other] {
        world.act(call, |agent, call| agent.hang_up(call));
    }
    world.run(ms(1000));
}

fn assert_comes_in(world: &mut World) {
    let phone = world.find("103");
    world.agents[phone].reaction = Reaction::answers(100);
    let far = world.call_in("103", "+15035550111");
    world.run(ms(1000));
    let call = world.last_call(phone);
    assert!(talks(world, call), "a call from outside");
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}

fn hang_up(world: &mut World, call: CallRef) {
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}

#[test]
fn calls_at_once_of_one_extension_are_bounded_and_told() {
    let mut world = world(1, allowing(Allowance::default()));
    let calls: Vec<_> = (0..7).map(|_| dial(&mut world, "101", FAR)).collect();
    let up: Vec<bool> = calls.iter().map(|call| talks(&world, *call)).collect();
    assert_eq!(up, [true, true, true, true, false, false, false]);
    assert_eq!(world.ended(calls[4]), Some(Ended::Refused(403)));
    assert!(world.saw("call.unusual", "extension 101: 4 calls at once, of 4"), "the first unusual step");
    assert_eq!(world.events_of("call.unusual").len(), 1, "once an hour");
    // Neither by a colleague's phone.
    let local = dial(&mut world, "101", "102");
    assert_eq!(world.ended(local), Some(Ended::Refused(403)));
    assert_others_go_on(&mut world);
    hang_up(&mut world, calls[0]);
    let again = dial(&mut world, "101", FAR);
    assert!(talks(&world, again));
    for call in [again, calls[1], calls[2], calls[3]] {
        hang_up(&mut world, call);
    }
    world.finish();
}

#[test]
fn minutes_are_taken_as_they_begin_and_the_call_ends_with_the_last() {
    let mut world = world(2, allowing(Allowance { minutes: 5, ..Allowance::default() }));
    // Each answered call is a minute at least.
    for _ in 0..2 {
        let call = dial(&mut world, "101", FAR);
        hang_up(&mut world, call);
    }
    let call = dial(&mut world, "101", FAR);
    let help = dial(&mut world, "101", "911");
    world.run(ms(178_000));
    assert!(talks(&world, call), "{:?}", world.ended(call));
    assert!(world.saw("call.unusual", "4 minutes outside in a day, of 5"));
    world.run(ms(3000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    let refused = dial(&mut world, "101", FAR);
    assert_eq!(world.ended(refused), Some(Ended::Refused(403)));
    assert!(talks(&world, help), "a call for help has no minutes");
    hang_up(&mut world, help);
    assert_others_go_on(&mut world);
    // A day later it may call again.
    world.run(ms(26 * 3_600_000));
    let again = dial(&mut world, "101", FAR);
    assert!(talks(&world, again));
    hang_up(&mut world, again);
    world.finish();
}

#[test]
fn new_numbers_are_bounded_and_a_known_number_can_still_be_called() {
    let mut world = world(3, allowing(Allowance { new_numbers: 8, ..Allowance::default() }));
    let mut results = Vec::new();
    for last in 10..22 {
        let call = dial(&mut world, "101", &format!("50355512{last}"));
        results.push(talks(&world, call));
        if talks(&world, call) {
            hang_up(&mut world, call);
        }
    }
    assert_eq!(results.iter().filter(|up| **up).count(), 8);
    assert!(world.saw("call.unusual", "extension 101: 7 new numbers in an hour, of 8"));
    let known = dial(&mut world, "101", "5035551211");
    assert!(talks(&world, known));
    hang_up(&mut world, known);
    assert_others_go_on(&mut world);
    world.run(ms(3_600_000));
    let new = dial(&mut world, "101", "5035551230");
    assert!(talks(&world, new));
    hang_up(&mut world, new);
    world.finish();
}

#[test]
fn the_house_has_a_bound_of_its_own_that_no_emergency_call_knows() {
    let mut config = allowing(Allowance::default());
    config.limits.house_minutes = 2;
    let mut world = world(4, config);
    for extension in ["101", "102"] {
        let call = dial(&mut world, extension, FAR);
        hang_up(&mut world, call);
    }
    let refused = dial(&mut world, "103", FAR);
    assert_eq!(world.ended(refused), Some(Ended::Refused(403)));
    let help = dial(&mut world, "103", "911");
    assert!(talks(&world, help));
    hang_up(&mut world, help);
    assert_comes_in(&mut world);
    let local = dial(&mut world, "101", "103");
    assert!(talks(&world, local));
    hang_up(&mut world, local);
    world.finish();
}

#[test]
fn a_call_that_a_transfer_joins_outside_counts_for_its_extension_and_ends_with_its_minutes() {
    let mut world = world(5, allowing(Allowance { calls: 4, minutes: 9, new_numbers: 20 }));
    let mut kept = Vec::new();
    for n in 0..3 {
        let call = dial(&mut world, "101", FAR);
        if !talks(&world, call) {
            break;
        }
        world.act(call, |agent, call| agent.refer(call, "<sip:5035551213@192.168.1.1>"));
        world.run(ms(2000));
        kept.push(call);
        assert!(n < 2, "two legs each");
    }
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|call| world.ended(*call) == Some(Ended::TheyHungUp)), "the phone is out of it");
    assert!(world.saw("call.unusual", "joins two parties outside"));
    assert!(world.events_of("call.unusual").iter().any(|event| event.text.contains("101")));
    assert_others_go_on(&mut world);
    let talking = |world: &World| world.agents[DOMAIN].calls.iter().filter(|call| call.state == State::Talking).count();
    assert_eq!(talking(&world), 4);
    // Nine minutes by four legs.
    world.run(ms(185_000));
    assert_eq!(talking(&world), 0);
    world.finish();
}

#[test]
fn two_callers_from_outside_that_are_joined_count_too() {
    let mut world = world(6, allowing(Allowance { calls: 1, minutes: 3, new_numbers: 20 }));
    let phone = world.find("101");
    world.agents[phone].reaction = Reaction::answers(100);
    let mut calls = Vec::new();
    for from in ["+15035550111", "+15035550112"] {
        world.call_in("101", from);
        world.run(ms(1000));
        calls.push(world.last_call(phone));
    }
    let (first, second) = (calls[0], calls[1]);
    world.act(first, |agent, call| agent.refer_to_call(call, second.call));
    world.run(ms(2000));
    assert_eq!(world.call(first).refer_code, Some(202));
    let refused = dial(&mut world, "101", FAR);
    assert_eq!(world.ended(refused), Some(Ended::Refused(403)), "its one call is the joined one");
    world.run(ms(181_000));
    assert!(world.agents[DOMAIN].calls.iter().all(|call| call.state != State::Talking));
    world.finish();
}

#[test]
fn what_was_used_outlives_a_restart() {
    let config = allowing(Allowance { minutes: 2, new_numbers: 3, ..Allowance::default() });
    let mut world = world(7, config);
    for last in [11, 12] {
        let call = dial(&mut world, "101", &format!("50355512{last}"));
        hang_up(&mut world, call);
    }
    let ledger = world.engine.ledger(world.now, world.wall());
    for (text, may) in [(ledger.as_str(), false), ("no JSON", true)] {
        world.restart();
        world.input(Input::Ledger(text.to_owned()));
        world.run(ms(120_000));
        let call = dial(&mut world, "101", FAR);
        assert_eq!(talks(&world, call), may, "{text}: {:?}", world.ended(call));
        if may {
            hang_up(&mut world, call);
        }
        let help = dial(&mut world, "101", "911");
        assert!(talks(&world, help));
        hang_up(&mut world, help);
    }
    world.finish();
}

#[test]
fn a_usage_trigger_stops_what_is_outside_and_nothing_else_until_it_is_answered() {
    let mut world = world(8, allowing(Allowance::default()));
    let phone = world.find("102");
    world.agents[phone].reaction = Reaction::answers(100);
    let outside = dial(&mut world, "101", FAR);
    let local = dial(&mut world, "101", "102");
    let help = dial(&mut world, "103", "911");
    world.input(Input::Spending(Spending::Stopped("the day has cost 12.75".into())));
    world.run(ms(1000));
    assert_eq!(world.ended(outside), Some(Ended::TheyHungUp));
    assert!(talks(&world, local) && talks(&world, help));
    let refused = dial(&mut world, "102", FAR);
    assert_eq!(world.ended(refused), Some(Ended::Refused(403)));
    assert!(world.saw("call.unusual", "calls outside are stopped: the day has cost 12.75"));
    assert_comes_in(&mut world);
    let more_help = dial(&mut world, "101", "911");
    assert!(talks(&world, more_help));
    // Neither is there a way round by a transfer.
    world.act(local, |agent, call| agent.refer(call, "<sip:5035551213@192.168.1.1>"));
    world.run(ms(1000));
    assert_eq!(world.call(local).notified.last(), Some(&403));
    assert!(talks(&world, local));
    world.input(Input::Spending(Spending::Open));
    let again = dial(&mut world, "101", FAR);
    assert!(talks(&world, again));
    for call in [again, local, help, more_help] {
        hang_up(&mut world, call);
    }
    world.finish();
}

/// The figure that README names: one stolen password for an hour, with all defaults.
#[test]
fn one_stolen_password_reaches_240_minutes_and_20_numbers_in_an_hour() {
    let mut world = world(9, allowing(Allowance::default()));
    let began = world.now;
    let (mut tries, mut answered, mut joined) = (0, 0, 0);
    for last in 10..60 {
        // As fast as it can: two calls a minute, every second one sent on to another number.
        for number in [format!("50355512{last}"), format!("50355512{}", 69 - last)] {
            let call = dial(&mut world, "101", &number);
            tries += 1;
            if talks(&world, call) {
                answered += 1;
                if answered % 2 == 0 {
                    world.act(call, |agent, call| agent.refer(call, &format!("<sip:50355512{last}@192.168.1.1>")));
                    world.run(ms(2000));
                    joined += usize::from(world.ended(call).is_some());
                }
            }
        }
        world.run(ms(60_000));
        let help = dial(&mut world, "101", "911");
        assert!(talks(&world, help), "a phone whose password was stolen still calls for help");
        hang_up(&mut world, help);
        if world.now.since(began) >= ms(3_600_000) {
            break;
        }
    }
    let usage = world.engine.usage(world.now);
    let (one, hour) = (&usage.extensions[0], world.now.since(began).as_secs());
    println!(
        "{hour} s: {tries} calls tried, {answered} answered, {joined} joined outside; {} minutes, {} new numbers",
        one.minutes, one.new_numbers
    );
    assert!(one.minutes <= 240 && one.new_numbers <= 20, "{one:?}");
    assert!(one.minutes >= 200, "the attack is one: {one:?}");
    world.run(ms(900_000));
    assert!(world.engine.usage(world.now).extensions[0].minutes <= 240);
    world.agents[DOMAIN].calls.iter().for_each(|call| assert_ne!(call.state, State::Talking));
    world.finish();
}
