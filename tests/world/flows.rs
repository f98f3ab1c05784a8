//! Streams that end: the trunk's and those of TCP handsets.

use gateway_core::engine::Input;

use crate::agent::{Ended, State, ms};
use crate::world::{DOMAIN, Internet, World, office};

#[test]
fn a_call_outlives_its_trunk_flow_and_bye_takes_the_new_one() {
    for far_end_hangs_up in [false, true] {
        let (mut world, call, far) = World::talking(1, "5035551212");
        world.cut(DOMAIN);
        world.run(ms(100));
        world.assert_talk(call, far);
        world.run(ms(10_000));
        assert!(world.agents[DOMAIN].flow.is_some(), "the trunk is back");
        world.assert_talk(call, far);
        let (leaver, left) = if far_end_hangs_up { (far, call) } else { (call, far) };
        world.act(leaver, |agent, call| agent.hang_up(call));
        world.run(ms(1000));
        assert_eq!(world.ended(left), Some(Ended::TheyHungUp));
        world.finish();
    }
}

#[test]
fn a_handset_that_hangs_up_while_the_trunk_is_down_ends_the_far_end_when_it_is_back() {
    let (mut world, call, far) = World::talking(2, "5035551212");
    world.cut(DOMAIN);
    world.run(ms(100));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(10_000));
    assert_eq!(world.ended(call), Some(Ended::WeHungUp));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_hold_while_the_trunk_is_down_reaches_the_far_end_later() {
    let (mut world, call, far) = World::talking(3, "5035551212");
    world.cut(DOMAIN);
    world.run(ms(100));
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(10_000));
    assert!(!world.hears(call, far));
    assert_eq!(world.call(far).reinvites_seen, 1);
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(5000));
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_re_invite_that_the_cut_swallowed_is_sent_again() {
    let (mut world, call, far) = World::talking(4, "5035551212");
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(10));
    world.cut(DOMAIN);
    world.run(ms(15_000));
    assert!(!world.hears(call, far));
    world.act(far, |agent, call| agent.hold(call, true));
    world.run(ms(15_000));
    assert_eq!(world.call(far).reinvite_code, Some(200));
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_out_that_rings_when_the_trunk_is_cut_ends_with_the_cause() {
    let mut world = World::office(5, &["101"]);
    let phone = world.find("101");
    let call = world.dial(phone, "5035551212");
    world.run(ms(1000));
    world.cut(DOMAIN);
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    assert!(world.saw("call.ended", "no connection to the SIP domain"));
    let far = world.last_call(DOMAIN);
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_call_in_that_rings_when_the_trunk_is_cut_stops_ringing() {
    let mut world = World::office(6, &["101"]);
    let phone = world.find("101");
    let far = world.call_in("101", "+15035550111");
    world.run(ms(1000));
    world.cut(DOMAIN);
    world.run(ms(1000));
    assert_eq!(world.ended(world.last_call(phone)), Some(Ended::TheyCancelled));
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(60_000));
    world.agents[DOMAIN].calls[far.call].state = State::Over;
    world.finish();
}

#[test]
fn a_silent_trunk_is_left_and_calls_go_on_by_the_next_flow() {
    let (mut world, call, far) = World::talking(7, "5035551212");
    world.agents[DOMAIN].domain.as_mut().unwrap().deaf = true;
    world.run(ms(1_000));
    world.agents[DOMAIN].domain.as_mut().unwrap().pongs = false;
    world.run(ms(120_000));
    assert!(world.saw("trunk.lost", "silent"));
    world.agents[DOMAIN].domain.as_mut().unwrap().deaf = false;
    world.run(ms(180_000));
    assert!(world.domain_has("101"));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn the_call_of_a_tcp_handset_that_dies_ends_when_it_is_not_heard_and_the_handset_can_call_again() {
    let mut world = World::new(8, office(&["101", "102"]));
    let (a, b) = (world.tcp_handset("101"), world.handset("102"));
    world.open();
    world.listen();
    world.connect("102");
    world.run(ms(10_000));
    world.cut(a);
    world.run(ms(30_000));
    assert_eq!(world.state(world.last_call(b)), State::Talking);
    world.run(ms(40_000));
    assert_eq!(world.ended(world.last_call(b)), Some(Ended::TheyHungUp));
    world.reconnect(a);
    world.agents[a].register(600);
    world.run(ms(1000));
    let (again, _) = world.connect("102");
    world.act(again, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    // A call to it finds the new connection.
    let back = world.dial(b, "101");
    world.run(ms(500));
    world.act(world.last_call(a), |agent, call| agent.pick_up(call));
    world.run(ms(500));
    world.assert_talk(back, world.last_call(a));
    world.act(back, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_tcp_handset_that_loses_its_connection_while_it_rings_is_out_of_the_fork() {
    let mut world = World::new(9, office(&["101", "102"]));
    let (a, b) = (world.tcp_handset("101"), world.handset("102"));
    world.open();
    let call = world.dial(b, "101");
    world.run(ms(1000));
    world.cut(a);
    world.run(ms(1000));
    assert!(matches!(world.ended(call), Some(Ended::Refused(480 | 504))), "{:?}", world.ended(call));
    world.finish();
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mut world = World::office(10, &["101"]);
    let mute = world.tcp_handset("102");
    world.run(ms(40_000));
    assert!(world.agents[mute].flow.is_none());
    world.finish();
}

#[test]
fn a_stop_with_the_trunk_down_ends_too() {
    let (mut world, call, far) = World::talking(11, "5035551212");
    world.internet = Internet::Down;
    world.cut(DOMAIN);
    world.run(ms(1000));
    world.input(Input::Stop);
    let stopped = world.run_until(ms(70_000), |world| world.engine.is_stopped());
    assert!(stopped);
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.agents[DOMAIN].calls[far.call].state = State::Over;
    world.finish();
}
