//! A trunk without a time that certificates can be judged by.

use super::*;

#[test]
fn without_a_time_nothing_is_tried_and_with_one_the_trunk_goes_on_at_once() {
    let mut world = World::new(SERVERS, 1, twilio);
    let doubt = |text: &str| TimeState::Doubted(text.to_owned());
    world.with(|trunk, context| trunk.handle_time(context, doubt("the clock says 1970")));
    world.with(|trunk, context| trunk.handle_time(context, doubt("the clock says 1970, and nobody answers")));
    world.pass(3600);
    // An emergency call cannot make TLS less strict.
    world.with(|trunk, context| trunk.hurry(context));
    world.pass(60);
    assert!(world.dialled().is_empty());
    assert_eq!(world.trunk.flow(), Err("the clock says 1970, and nobody answers"));
    let status = world.trunk.status(world.now);
    assert_eq!((status.state, status.retry_in), (TrunkState::Waiting, None));
    assert_eq!(status.reason.as_deref(), Some("the clock says 1970, and nobody answers"));
    assert_eq!(world.codes(), ["trunk.waiting"]);

    world.with(|trunk, context| trunk.handle_time(context, TimeState::Trusted));
    world.pass(1);
    assert_eq!(world.state("101"), RegistrationState::Registered);
}

#[test]
fn a_flow_that_stands_outlives_a_clock_that_goes_wrong() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(5);
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_time(context, TimeState::Doubted("the clock says 1970".to_owned())));
    world.pass(600);
    assert_eq!(world.trunk.flow(), Ok(flow));
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "closed"));
    world.pass(600);
    assert_eq!(world.trunk.flow(), Err("the clock says 1970"));
}

#[test]
fn another_time_cuts_the_waiting_short() {
    let mut world = World::new(&["192.0.2.101:5061"], 1, twilio);
    world.pass(600);
    let before = world.dialled().len();
    world.with(|trunk, context| trunk.handle_time(context, TimeState::Trusted));
    world.pass(1);
    assert_eq!(world.dialled().len() - before, 1);
}
