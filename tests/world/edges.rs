//! Emergency calls that one edge does not take: the other edge, the other From, and who wins.

use gateway_core::status::StandbyState;

use crate::agent::{Ended, Reaction, State, Then, ms};
use crate::world::{CallRef, DOMAIN, World};

/// What an edge does with an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Takes,
    /// A number in From gets 403, with this X-Twilio-Error.
    WantsExtension(&'static str),
    Refuses(u16),
    /// No response to an INVITE; the flow stands.
    Silent,
    /// No response to anything.
    Deaf,
    /// Says 100 and nothing more.
    Stuck,
    /// Its connection ends at the moment of the first INVITE.
    Closes,
    /// It takes no connection.
    Down,
}

const TAKES: [Edge; 4] =
    [Edge::Takes, Edge::WantsExtension("32106 SIP: Authentication Error"), Edge::WantsExtension(""), Edge::Closes];
const FAILS: [Edge; 8] = [
    Edge::Refuses(503),
    Edge::Refuses(500),
    Edge::Refuses(408),
    Edge::Refuses(486),
    Edge::Silent,
    Edge::Deaf,
    Edge::Stuck,
    Edge::Down,
];

fn prepare(world: &mut World, agent: usize, edge: Edge) {
    let reaction = match edge {
        Edge::Refuses(code) => Reaction { ring: None, after: ms(0), then: Then::Refuse(code), ..Reaction::default() },
        Edge::Silent => Reaction { then: Then::Dead, ..Reaction::default() },
        Edge::Stuck => Reaction { ring: None, ..Reaction::default() },
        _ => Reaction::answers(500),
    };
    let domain = world.agents[agent].domain.as_mut().expect("it is an edge");
    domain.numbers.insert("911".into(), reaction);
    match edge {
        Edge::WantsExtension(error) => domain.numbers_refused = Some(error),
        Edge::Deaf => domain.deaf = true,
        Edge::Down => {
            world.refusing.insert(agent);
            world.cut(agent);
        }
        _ => {}
    }
}

/// Cuts an edge, and what it holds of calls with it.
fn close(world: &mut World, agent: usize) {
    world.cut(agent);
    world.agents[agent].calls.iter_mut().for_each(|call| call.state = State::Over);
}

/// An office where 101 has dialled 911: the second edge, and the call.
fn dialled(seed: u64, first: Edge, second: Edge) -> (World, usize, CallRef) {
    let (mut world, other) = World::office_of_two_edges(seed, &["101", "102"]);
    prepare(&mut world, DOMAIN, first);
    prepare(&mut world, other, second);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    let mut closing: Vec<usize> = [(DOMAIN, first), (other, second)]
        .into_iter()
        .filter(|(_, edge)| *edge == Edge::Closes)
        .map(|(agent, _)| agent)
        .collect();
    let began = world.now;
    for _ in 0..10_000 {
        world.run(ms(1));
        let due = closing.iter().position(|agent| world.sent(*agent, "INVITE ").is_some_and(|at| at >= began));
        if let Some(at) = due {
            close(&mut world, closing.remove(at));
        }
        if closing.is_empty() || matches!(world.state(call), State::Over) {
            break;
        }
    }
    (world, other, call)
}

/// The end of the call that somebody took.
fn far_end(world: &World, other: usize) -> CallRef {
    let talks = |agent: usize| {
        let call = world.agents[agent].calls.iter().position(|call| call.state == State::Talking)?;
        Some(CallRef { agent, call })
    };
    talks(DOMAIN).or_else(|| talks(other)).expect("somebody took it")
}

fn finish(mut world: World, call: CallRef) {
    world.act(call, |agent, call| agent.hang_up(call));
    // What an edge holds on a connection that was left ends there by itself.
    world.run(ms(40_000));
    for agent in world.agents.iter_mut().filter(|agent| agent.domain.is_some()) {
        let stuck = |call: &&mut crate::agent::Call| call.state == State::Incoming;
        agent.calls.iter_mut().filter(stuck).for_each(|call| call.state = State::Over);
    }
    world.finish();
}

fn one_pair(seed: u64, first: Edge, second: Edge) {
    let (mut world, other, call) = dialled(seed, first, second);
    let works = [first, second].iter().any(|edge| TAKES.contains(edge));
    let over = |world: &World| matches!(world.state(call), State::Talking | State::Over);
    assert!(world.run_until(ms(240_000), over), "{first:?}, {second:?}: the telephone hears nothing");
    match works {
        true => {
            assert_eq!(world.state(call), State::Talking, "{first:?}, {second:?}: {:?}", world.ended(call));
            world.run(ms(1000));
            let far = far_end(&world, other);
            world.assert_talk(call, far);
            let up =
                |agent: usize| world.agents[agent].calls.iter().filter(|call| call.state == State::Talking).count();
            assert_eq!(up(DOMAIN) + up(other), 1, "{first:?}, {second:?}: one call is up");
        }
        false => {
            assert!(
                matches!(world.ended(call), Some(Ended::Refused(_))),
                "{first:?}, {second:?}: {:?}",
                world.ended(call)
            );
        }
    }
    finish(world, call);
}

#[test]
fn a_call_is_up_wherever_any_way_works_and_fails_only_where_none_does() {
    for (row, first) in TAKES.iter().chain(&FAILS).enumerate() {
        for (column, second) in TAKES.iter().chain(&FAILS).enumerate() {
            one_pair((row * 100 + column) as u64, *first, *second);
        }
    }
}

#[test]
fn the_invite_leaves_without_waiting_for_any_timer() {
    let (mut world, _, call) = dialled(1, Edge::Takes, Edge::Takes);
    world.run(ms(10));
    let took = world.sent(DOMAIN, "INVITE ").expect("it left").since(world.call(call).began);
    // One millisecond on the LAN, and one until each of the two ports is open.
    assert!(took <= ms(3), "{took:?}");
    assert_eq!(world.agents[DOMAIN].domain.as_ref().unwrap().challenges, 2, "only the two REGISTERs were challenged");
    world.run(ms(2000));
    finish(world, call);
}

#[test]
fn the_second_edge_is_reached_within_300_ms_whatever_the_first_does() {
    let firsts = [
        Edge::Refuses(503),
        Edge::Refuses(408),
        Edge::Refuses(486),
        Edge::Silent,
        Edge::Deaf,
        Edge::Closes,
        Edge::Down,
    ];
    for (seed, first) in firsts.into_iter().enumerate() {
        let (mut world, other, call) = dialled(seed as u64, first, Edge::Takes);
        world.run(ms(500));
        // The first of them: the challenge of that edge comes after it.
        let to = world.call(call).began + ms(300);
        let reached = world.first_sent(other, "INVITE ").expect("it left by the second edge");
        assert!(reached <= to, "{first:?}: {:?}", reached.since(world.call(call).began));
        world.run(ms(2000));
        assert_eq!(world.state(call), State::Talking);
        finish(world, call);
    }
}

#[test]
fn the_number_goes_first_and_then_the_extension_by_the_same_edge() {
    for error in ["32106 SIP: Authentication Error", ""] {
        let (mut world, other, call) = dialled(3, Edge::WantsExtension(error), Edge::Takes);
        world.run(ms(2000));
        let far = world.last_call(DOMAIN);
        assert_eq!(world.call(far).caller, "101");
        world.assert_talk(call, far);
        assert_eq!(world.sent(other, "INVITE "), None);
        finish(world, call);
    }
}

#[test]
fn the_second_edge_challenges_and_gets_the_credentials_of_the_caller_and_its_number() {
    let (mut world, other, call) = dialled(4, Edge::Refuses(503), Edge::Takes);
    world.run(ms(2000));
    let far = world.last_call(other);
    assert_eq!(world.call(far).caller, "+15035550101");
    assert_eq!(world.agents[other].domain.as_ref().unwrap().challenges, 1);
    assert_eq!(world.agents[other].domain.as_ref().unwrap().registers, 0);
    world.assert_talk(call, far);
    finish(world, call);
}

#[test]
fn a_busy_line_is_tried_once_by_each_edge_and_then_told() {
    let (mut world, other, call) = dialled(5, Edge::Refuses(486), Edge::Refuses(486));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::Refused(486)));
    assert_eq!((world.calls_of(DOMAIN), world.calls_of(other)), (1, 1));
    finish(world, call);
}

#[test]
fn each_way_is_tried_once_and_the_best_refusal_is_told() {
    let (mut world, other, call) = dialled(6, Edge::Refuses(503), Edge::Refuses(404));
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(404)));
    for edge in [DOMAIN, other] {
        let callers: Vec<&str> = world.agents[edge].calls.iter().map(|call| call.caller.as_str()).collect();
        assert_eq!(callers, ["+15035550101", "101"]);
    }
    finish(world, call);
}

#[test]
fn a_refused_call_does_not_wait_long_for_a_second_edge_that_is_down() {
    let (mut world, _, call) = dialled(7, Edge::Refuses(503), Edge::Down);
    world.run(ms(4000));
    assert_eq!(world.ended(call), None);
    world.run(ms(2000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    finish(world, call);
}

#[test]
fn a_second_edge_that_comes_back_in_time_takes_the_call() {
    let (mut world, other, call) = dialled(8, Edge::Refuses(503), Edge::Down);
    world.run(ms(2000));
    world.refusing.clear();
    world.run(ms(3000));
    assert_eq!(world.state(call), State::Talking);
    world.assert_talk(call, world.last_call(other));
    finish(world, call);
}

/// The line to the first edge becomes slow once it was measured.
fn slow_first_edge(seed: u64, one_way: u64, first: Reaction, second: Reaction) -> (World, usize, CallRef) {
    let (mut world, other) = World::office_of_two_edges(seed, &["101", "102"]);
    world.links[DOMAIN].quality.latency = ms(one_way);
    world.outside("911", first);
    world.agents[other].domain.as_mut().unwrap().numbers.insert("911".into(), second);
    let phone = world.find("101");
    let call = world.dial(phone, "911");
    (world, other, call)
}

#[test]
fn of_two_invites_the_first_that_rings_wins_and_the_other_is_cancelled() {
    let rings_after = |after| Reaction { ring: Some(ms(after)), ..Reaction::answers(2500) };
    for (seed, first, second, first_wins) in [(1, 20, 1500, true), (2, 1500, 20, false)] {
        let (mut world, other, call) = slow_first_edge(seed, 200, rings_after(first), rings_after(second));
        world.run(ms(6000));
        let (winner, loser) = if first_wins { (DOMAIN, other) } else { (other, DOMAIN) };
        world.assert_talk(call, world.last_call(winner));
        assert_eq!(world.ended(world.last_call(loser)), Some(Ended::TheyCancelled));
        world.act(call, |agent, call| agent.hang_up(call));
        world.finish();
    }
}

#[test]
fn an_answer_that_comes_too_late_is_acknowledged_and_hung_up() {
    // It answers before the CANCEL can reach it.
    let first = Reaction { ring: None, ..Reaction::answers(0) };
    let (mut world, other, call) = slow_first_edge(3, 300, first, Reaction::answers(1000));
    world.run(ms(5000));
    world.assert_talk(call, world.last_call(other));
    assert_eq!(world.ended(world.last_call(DOMAIN)), Some(Ended::TheyHungUp));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_winner_that_fails_after_all_leaves_the_loser_another_chance() {
    let second = Reaction { after: ms(600), then: Then::Refuse(503), ..Reaction::default() };
    let (mut world, _, call) =
        slow_first_edge(4, 300, Reaction { ring: Some(ms(900)), ..Reaction::answers(1500) }, second);
    world.run(ms(8000));
    assert!(world.calls_of(DOMAIN) >= 2);
    world.assert_talk(call, world.last_call(DOMAIN));
    world.act(call, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_caller_who_gives_up_ends_both_invites() {
    let (mut world, other, call) =
        slow_first_edge(5, 400, Reaction::default(), Reaction { ring: None, ..Reaction::default() });
    world.run(ms(450));
    assert!(world.sent(other, "INVITE ").is_some());
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(3000));
    for edge in [DOMAIN, other] {
        assert_eq!(world.ended(world.last_call(edge)), Some(Ended::TheyCancelled));
    }
    world.finish();
}

/// A call that is up by the second edge: both ends.
fn talking_by_the_second_edge(seed: u64) -> (World, usize, CallRef, CallRef) {
    let (mut world, other, call) = dialled(seed, Edge::Refuses(503), Edge::Takes);
    world.run(ms(3000));
    let far = world.last_call(other);
    world.assert_talk(call, far);
    (world, other, call, far)
}

#[test]
fn requests_in_its_dialog_go_and_come_by_the_second_edge() {
    let (mut world, other, call, far) = talking_by_the_second_edge(1);
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert!(!world.hears(call, far));
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.reinvite(call));
    world.run(ms(1000));
    assert_eq!(world.call(far).reinvite_code, Some(200));
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    assert!(world.agents[other].faults.is_empty());
    world.finish();
}

#[test]
fn a_call_by_the_second_edge_goes_on_when_the_first_edge_is_lost() {
    let (mut world, _, call, far) = talking_by_the_second_edge(2);
    world.refusing.insert(DOMAIN);
    world.cut(DOMAIN);
    world.run(ms(60_000));
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn no_call_comes_in_by_the_second_edge_and_no_ordinary_call_leaves_by_it() {
    let (mut world, other) = World::office_of_two_edges(9, &["101", "102"]);
    world.agents[other].now = world.now;
    let stray = world.agents[other].call_in("101", "+15035550111");
    world.run(ms(1000));
    assert_eq!(world.ended(CallRef { agent: other, call: stray }), Some(Ended::Refused(480)));
    world.refusing.insert(DOMAIN);
    world.cut(DOMAIN);
    let phone = world.find("102");
    let call = world.dial(phone, "5035551212");
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::Refused(503)));
    assert_eq!(world.sent(other, "INVITE "), None);
    world.finish();
}

#[test]
fn status_shows_both_flows() {
    let (mut world, other) = World::office_of_two_edges(10, &["101"]);
    let standby = |world: &World| world.engine.status(world.now).trunk.standby.expect("there is one");
    assert_eq!(standby(&world).state, StandbyState::Up);
    assert!(standby(&world).flow.unwrap().contains("office.sip.umatilla.twilio.com (54.244.51.1:5061)"));
    world.refusing.insert(other);
    world.cut(other);
    world.run(ms(10_000));
    assert_ne!(standby(&world).state, StandbyState::Up);
    assert!(standby(&world).reason.unwrap().contains("connection refused"));
    world.finish();
}
