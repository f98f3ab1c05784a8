//! The box as a user of its own at the SIP domain: what comes by it, and what leaves by it.

use std::sync::Arc;

use gateway_core::engine::Input;
use gateway_core::secret::Secret;
use gateway_core::secrets::BoxSecrets;

use crate::agent::{Ended, Reaction, State, ms};
use crate::world::{DOMAIN, World};

const BOX: &str = "box-office";
const GROUP: &str = "+15035550100";

/// What `gateway apply` makes: a password here and a credential there.
fn apply(world: &mut World) {
    let password = "Box1-secret-of-its-own";
    let domain = world.agents[DOMAIN].domain.as_mut().expect("it is one");
    domain.passwords.insert(BOX.into(), password.into());
    let mut secrets = (*world.secrets).clone();
    let trunk_passwords = [("prod".to_owned(), Secret::new(password.to_owned()))].into();
    secrets.boxes.insert(BOX.into(), BoxSecrets { trunk_passwords, ..BoxSecrets::default() });
    world.secrets = Arc::new(secrets);
    let (config, secrets) = (Arc::clone(&world.config), Arc::clone(&world.secrets));
    world.input(Input::Reload { config, secrets });
    world.run(ms(2000));
}

fn office(seed: u64) -> World {
    let mut world = World::office(seed, &["101", "102", "103"]);
    for name in ["101", "102", "103"] {
        let phone = world.find(name);
        world.agents[phone].reaction = Reaction::answers(60_000);
    }
    world
}

/// How often each phone has rung.
fn rang(world: &World) -> [usize; 3] {
    ["101", "102", "103"].map(|name| world.calls_of(world.find(name)))
}

#[test]
fn one_call_to_the_box_rings_each_phone_of_the_group_and_the_first_answer_wins() {
    let mut world = office(50);
    apply(&mut world);
    assert_eq!(world.carrier.as_deref(), Some(BOX));
    let first = world.find("102");
    world.agents[first].reaction = Reaction::answers(1000);
    let call = world.call_in_for(BOX, GROUP);
    world.run(ms(3000));
    assert_eq!(rang(&world), [1, 1, 0]);
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, world.last_call(first));
    assert_eq!(world.state(world.last_call(world.find("101"))), State::Over, "it rings no more");
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    world.call_in_for(BOX, "103");
    world.run(ms(1000));
    assert_eq!(rang(&world), [1, 1, 1]);
}

#[test]
fn what_is_no_target_is_not_found() {
    let mut world = office(51);
    apply(&mut world);
    for target in ["104", "", "101,102", "+15035550199", "911", "5035551212", BOX] {
        let call = world.call_in_for(BOX, target);
        world.run(ms(1000));
        assert_eq!(world.ended(call), Some(Ended::Refused(404)), "{target:?}");
    }
    let bare = world.call_in(BOX, "+15035559111");
    world.run(ms(1000));
    assert_eq!(world.ended(bare), Some(Ended::Refused(404)));
    assert_eq!(rang(&world), [0, 0, 0]);
}

#[test]
fn a_phone_s_own_header_names_no_target() {
    let mut world = office(52);
    apply(&mut world);
    let phone = world.find("101");
    world.agents[phone].traits.headers = vec![("X-Gateway-Target", "103".to_owned())];
    let call = world.dial(phone, "102");
    world.run(ms(1000));
    assert_eq!(rang(&world), [0, 1, 0]);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    let unknown = world.dial(phone, BOX);
    world.run(ms(1000));
    assert!(matches!(world.ended(unknown), Some(Ended::Refused(_))));
    assert_eq!(rang(&world)[2], 0);
}

#[test]
fn before_the_account_knows_the_box_calls_come_by_an_extension_and_ring_the_same_phones() {
    let mut world = office(53);
    assert_eq!(world.carrier.as_deref(), Some("101"));
    let group = world.call_in_for("101", GROUP);
    world.run(ms(1000));
    assert_eq!(rang(&world), [1, 1, 0]);
    world.act(group, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    world.call_in_for("101", "103");
    world.run(ms(1000));
    assert_eq!(rang(&world), [1, 1, 1], "another extension by 101's credential");
    world.call_in("102", "+15035559111");
    world.run(ms(1000));
    assert_eq!(rang(&world), [1, 2, 1], "and what older TwiML says");
    // It lost the password, and goes on.
    apply(&mut world);
    assert_eq!(world.carrier.as_deref(), Some(BOX));
    world.cut(DOMAIN);
    world.run(ms(500));
    assert_eq!(world.carrier, None, "nothing is registered");
    world.run(ms(60_000));
    assert_eq!(world.carrier.as_deref(), Some(BOX));
}

#[test]
fn a_box_that_the_account_refuses_leaves_the_calls_to_an_extension() {
    let mut world = office(54);
    apply(&mut world);
    let domain = world.agents[DOMAIN].domain.as_mut().expect("it is one");
    domain.passwords.insert(BOX.into(), "another".into());
    world.cut(DOMAIN);
    world.run(ms(60_000));
    assert_eq!(world.carrier.as_deref(), Some("101"));
    world.call_in_for("101", GROUP);
    world.run(ms(1000));
    assert_eq!(rang(&world), [1, 1, 0]);
}

#[test]
fn a_phone_that_is_no_extension_calls_for_help_by_the_box() {
    let mut world = office(55);
    apply(&mut world);
    world.outside("911", Reaction::answers(500));
    let stranger = world.handset("stranger");
    let call = world.dial(stranger, "911");
    world.run(ms(3000));
    assert_eq!(world.state(call), State::Talking);
    let sent = |text: &str| world.was_sent(DOMAIN, "INVITE sip:911", text);
    assert!(sent("username=\"box-office\""), "its credentials");
    assert!(sent("From: <sip:+15035550100@"), "the site's number");
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    // The service calls back the number that it saw.
    let back = world.call_in_for(BOX, GROUP);
    world.run(ms(1000));
    assert_eq!(world.calls_of(stranger), 1, "the call back");
    assert_eq!(rang(&world), [0, 0, 0], "and nobody else");
    world.act(back, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}

#[test]
fn an_extension_still_calls_for_help_by_its_own_credential() {
    let mut world = office(56);
    apply(&mut world);
    world.outside("911", Reaction::answers(500));
    let phone = world.find("102");
    let call = world.dial(phone, "911");
    world.run(ms(3000));
    assert_eq!(world.state(call), State::Talking);
    assert!(world.was_sent(DOMAIN, "INVITE sip:911", "username=\"102\""));
    assert!(!world.was_sent(DOMAIN, "INVITE sip:911", "username=\"box-office\""));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
}
