//! The box as a user of its own.

use super::*;
use crate::secrets::BoxSecrets;

const BOX: &str = "box-office";

fn with_credential(world: &mut World) {
    world
        .secrets
        .boxes
        .insert(BOX.into(), BoxSecrets { trunk_passwords: trunk_passwords(BOX), ..BoxSecrets::default() });
}

fn carrier(world: &World) -> Option<&str> {
    world.trunk.carrier(&world.config, world.now)
}

fn account(world: &mut World, extension: Option<&str>) -> Option<String> {
    world.with(|trunk, context| trunk.account(context, extension))
}

/// The SIP domain knows the extensions alone.
fn without_the_box(world: &mut World, request: &Request) -> Option<Response> {
    match value(request, "To").contains(BOX) {
        true => Some(crate::sip::transaction::response_to(request, 403, Some("t"))),
        false => twilio(world, request),
    }
}

#[test]
fn the_box_registers_before_its_extensions_and_carries_the_calls() {
    let mut world = World::new(SERVERS, 2, twilio);
    with_credential(&mut world);
    assert_eq!(carrier(&world), None);
    world.pass(1);
    let to = |request: &Request| value(request, "To").to_owned();
    let users: Vec<String> = world.take_requests().iter().map(to).collect();
    assert!(users[0].contains("sip:box-office@office.sip.twilio.com"), "{users:?}");
    assert_eq!(world.state(BOX), RegistrationState::Registered);
    assert_eq!(carrier(&world), Some(BOX));
    assert_eq!(account(&mut world, None).as_deref(), Some(BOX), "a phone that is no extension");
    assert_eq!(account(&mut world, Some("102")).as_deref(), Some("102"));
}

#[test]
fn without_a_credential_the_box_does_not_ask_and_an_extension_carries_the_calls() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.pass(1);
    assert!(world.take_requests().iter().all(|request| !value(request, "To").contains(BOX)));
    assert_eq!(carrier(&world), Some("101"));
    let own = world.trunk.own(&world.config, &world.secrets, world.now);
    assert!(own.reason.unwrap().contains("gateway apply"));
    with_credential(&mut world);
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(carrier(&world), Some(BOX));
    assert_eq!(world.trunk.own(&world.config, &world.secrets, world.now).reason, None);
}

#[test]
fn a_box_that_is_refused_neither_carries_calls_nor_answers_for_a_phone_in_need() {
    let mut world = World::new(SERVERS, 2, without_the_box);
    with_credential(&mut world);
    world.pass(1);
    assert_eq!(world.state(BOX), RegistrationState::Refused);
    assert_eq!(carrier(&world), Some("101"));
    assert_eq!(account(&mut world, None).as_deref(), Some("101"));
    // Nor when all connections are gone: what the SIP domain took before goes first.
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "gone"));
    assert_eq!(carrier(&world), None);
    assert_eq!(account(&mut world, None).as_deref(), Some("101"));
}
