//! Phones that listen on another port than they send from.

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, World, office};

/// An office where 101 is the odd phone.
fn odd(seed: u64, add: impl FnOnce(&mut World) -> usize) -> (World, usize, usize) {
    let mut world = World::new(seed, office(&["101", "102"]));
    let odd = add(&mut world);
    let plain = world.handset("102");
    world.open();
    assert!(world.agents[odd].registration.registered, "{seed}");
    (world, odd, plain)
}

/// Both call each other, the odd one calls outside and hangs up or is hung up on.
fn calls_both_ways(mut world: World, odd: usize, plain: usize) {
    for (from, to, name) in [(plain, odd, "101"), (odd, plain, "102")] {
        for caller_hangs_up in [true, false] {
            world.agents[to].reaction = Reaction::answers(500);
            let call = world.dial(from, name);
            world.run(ms(3000));
            let answered = world.last_call(to);
            assert_eq!((world.state(call), world.state(answered)), (State::Talking, State::Talking), "to {name}");
            world.assert_talk(call, answered);
            let (leaver, left) = if caller_hangs_up { (call, answered) } else { (answered, call) };
            world.act(leaver, |agent, call| agent.hang_up(call));
            world.run(ms(3000));
            assert_eq!(world.ended(left), Some(Ended::TheyHungUp), "to {name}");
        }
    }
    world.outside("911", Reaction::answers(500));
    let call = world.dial(odd, "911");
    world.run(ms(3000));
    let far = world.last_call(DOMAIN);
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(3000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_phone_that_sends_from_another_port_than_its_via_and_contact_name_calls_and_is_called() {
    for seed in 0..3 {
        let (world, odd, plain) = odd(seed, |world| world.asymmetric_handset("101", false));
        calls_both_ways(world, odd, plain);
    }
}

#[test]
fn a_phone_behind_a_nat_of_the_lan_that_knows_nothing_of_it_calls_and_is_called() {
    for seed in 0..3 {
        let (world, odd, plain) = odd(seed, |world| world.nat_handset("101"));
        calls_both_ways(world, odd, plain);
    }
}

#[test]
fn a_phone_whose_via_has_a_host_name_is_answered_at_the_first_repeat() {
    for seed in 0..3 {
        let (world, odd, plain) = odd(seed, |world| {
            let odd = world.nat_handset("101");
            world.agents[odd].sent_by = "phone.local:18944".into();
            odd
        });
        calls_both_ways(world, odd, plain);
    }
}

#[test]
fn the_first_call_finds_the_port_and_the_second_goes_there_at_once_also_after_a_restart_of_the_phone() {
    let (mut world, odd, plain) = odd(1, |world| world.asymmetric_handset("101", false));
    world.agents[odd].reaction = Reaction::refuses(486);
    let took = |world: &mut World| {
        let call = world.dial(plain, "101");
        let began = world.now;
        world.run_until(ms(5000), |world| matches!(world.state(call), State::Over));
        world.now.since(began)
    };
    assert!(took(&mut world) < ms(900));
    let status = world.engine.status(world.now);
    let handset = &status.extensions[0].handsets[0];
    assert!(handset.address.ends_with(":50933"), "{handset:?}");
    assert!(handset.answers_at.as_ref().is_some_and(|at| at.ends_with(":5060")), "{handset:?}");
    // Another port to send from, the same to listen on.
    world.moves_to(odd, 50934);
    world.agents[odd].register(300);
    world.run(ms(1000));
    assert!(took(&mut world) < ms(900));
    world.finish();
}
