//! A network that changes under the trunk.

use super::*;

fn link(addresses: &[&str], towards: Option<&str>) -> Link {
    let ip = |text: &&str| text.parse().unwrap();
    Link { addresses: addresses.iter().map(ip).collect(), towards: towards.map(|text| ip(&text)) }
}

#[test]
fn a_flow_whose_address_is_gone_is_left_at_once_and_the_next_one_begins_at_once() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.7"], Some("203.0.113.7"))));
    world.pass(10);
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.9"], Some("203.0.113.9"))));
    assert!(world.trunk.flow().unwrap_err().contains("no longer has the address 203.0.113.7"));
    assert!(matches!(world.outputs.back(), Some(Output::Event(_))));
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Close { .. })));
    world.pass(0);
    assert_eq!(world.connections, 2);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_better_way_moves_the_flow_once_even_if_the_kernel_then_chooses_the_old_one_again() {
    let mut world = World::new(SERVERS, 1, twilio);
    let both = &["203.0.113.7", "198.51.100.7"];
    world.with(|trunk, context| trunk.handle_link(context, &link(both, Some("203.0.113.7"))));
    world.pass(10);
    for _ in 0..3 {
        // The world connects from 203.0.113.7 whatever the routes say.
        world.with(|trunk, context| trunk.handle_link(context, &link(both, Some("198.51.100.7"))));
        world.pass(10);
        assert_eq!(world.connections, 2);
    }
}

#[test]
fn a_way_that_is_back_is_pinged_and_a_flow_that_stays_silent_is_left_after_three_seconds() {
    for answers in [true, false] {
        let mut world = World::new(SERVERS, 1, twilio);
        let here = |towards| link(&["203.0.113.7"], towards);
        world.with(|trunk, context| trunk.handle_link(context, &here(Some("203.0.113.7"))));
        world.pass(60);
        world.pongs = answers;
        world.with(|trunk, context| trunk.handle_link(context, &here(None)));
        assert!(world.trunk.flow().is_ok(), "a cable that is out ends nothing by itself");
        world.with(|trunk, context| trunk.handle_link(context, &here(Some("203.0.113.7"))));
        world.pass(6);
        assert_eq!(world.connections, if answers { 1 } else { 2 });
    }
}

#[test]
fn a_way_that_is_back_ends_the_waiting() {
    let mut world = World::new(&["192.0.2.101:5061"], 1, twilio);
    world.with(|trunk, context| trunk.handle_link(context, &link(&[], None)));
    world.pass(3600);
    let before = world.dialled().len();
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.7"], Some("203.0.113.7"))));
    world.pass(0);
    assert_eq!(world.dialled().len(), before + 1);
}

#[test]
fn a_public_address_that_changes_is_told_and_one_that_the_config_has_wrong_is_a_warning() {
    fn domain(world: &mut World, request: &Request) -> Option<Response> {
        let mut response = twilio(world, request)?;
        let seen = if world.connections == 1 { "198.51.100.1" } else { "198.51.100.2" };
        let via = format!("{};received={seen}", value(request, "Via"));
        header::set(&mut response.headers, "Via", via);
        Some(response)
    }
    let mut world = World::new(SERVERS, 1, domain);
    world.config.media.public_address = Some("198.51.100.1".parse().unwrap());
    world.pass(1);
    let told = |world: &World| {
        let told = world.seen.iter().filter_map(|output| match output {
            Output::Event(event) if event.code.word() == "trunk.address" => Some(event.text.clone()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert!(told(&world).is_empty());
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    let told = told(&world);
    assert!(told.len() == 1 && told[0].contains("198.51.100.2, not as 198.51.100.1"), "{told:?}");
}
