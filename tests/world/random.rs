//! Whole offices at random: everybody does everything at any time, over lines that lose a fifth of what they carry.
//!
//! `WORLD_SEEDS=5000 cargo test --test world random` runs more of them, `WORLD_SEED=17` just one; `WORLD_TRACE=500`
//! shows more of the trace of a run that fails.

use gateway_core::random::Random;

use crate::agent::{Reaction, State, Then, Traits, ms};
use crate::link::Quality;
use crate::world::{CallRef, DOMAIN, Internet, Listening, World, office, office_of_two_edges};

const NAMES: [&str; 8] = ["101", "102", "103", "104", "105", "106", "107", "108"];
const OUTSIDE: [&str; 4] = ["5035551200", "5035551201", "5035551202", "5035551203"];
/// What an office does before it goes home, virtual milliseconds.
const DAY: u64 = 150_000;

/// A worker stops after so many seeds that fail.
const MAX_FAILURES: usize = 5;

/// Dice.
struct Dice(Random);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn reaction(&mut self) -> Reaction {
        let then = match self.below(10) {
            0 => Then::Wait,
            1 => Then::Dead,
            2 => Then::Refuse(self.pick(&[486, 480, 603, 404, 488, 500])),
            _ => Then::Answer,
        };
        Reaction {
            ring: if self.one_in(5) { None } else { Some(ms(self.below(300))) },
            early_media: self.one_in(3),
            after: ms(self.below(8000)),
            then,
            hang_up: self.one_in(2).then(|| ms(self.below(60_000))),
        }
    }

    fn traits(&mut self) -> Traits {
        Traits {
            codecs: self.pick(&[&[0, 8][..], &[8, 0], &[0], &[8], &[9]]).to_vec(),
            session: self.one_in(3).then(|| 180 + self.below(400) as u32),
            refreshes: self.one_in(2),
            forgets: self.one_in(8),
            reliable_provisionals: self.one_in(8),
            offerless: self.one_in(8),
            headers: Vec::new(),
            never_acks: false,
            ..Traits::default()
        }
    }
}

/// Builds an office, lets it work, sends everybody home, and checks what must hold. The fingerprint of the trace.
fn run(seed: u64) -> String {
    let mut dice = Dice(Random::from_number(seed ^ 0x5eed));
    let count = 3 + dice.below(6) as usize;
    let names = &NAMES[..count];
    let two_edges = dice.one_in(2);
    let mut config = if two_edges { office_of_two_edges(names) } else { office(names) };
    config.limits.calls = 2 + dice.below(8) as usize;
    // Even those on hold, to whom nobody listens, end within the run.
    config.limits.call_duration = ms(400_000);
    let mut world = World::new(seed, config);
    for name in names {
        let tcp = dice.one_in(4);
        let handset = if tcp { world.tcp_handset(name) } else { world.handset(name) };
        if tcp && dice.one_in(2) {
            world.listening.insert(handset, Listening::Takes);
        }
        world.agents[handset].traits = dice.traits();
        world.agents[handset].reaction = dice.reaction();
    }
    if dice.one_in(2) {
        // A second handset of the first extension.
        let second = world.handset(names[0]);
        world.agents[second].reaction = dice.reaction();
    }
    world.agents[DOMAIN].traits = Traits { codecs: vec![0, 8], reliable_provisionals: false, ..dice.traits() };
    world.agents[DOMAIN].reaction = dice.reaction();
    if dice.one_in(4) {
        let code = dice.pick(&[403, 408, 481, 488, 500, 503]);
        world.agents[DOMAIN].domain.as_mut().expect("it is the domain").refuses_reinvites = Some(code);
    }
    for number in OUTSIDE {
        let reaction = dice.reaction();
        world.outside(&format!("+1{number}"), reaction);
    }
    let takes = Reaction { hang_up: Some(ms(20_000)), ..Reaction::answers(2000) };
    world.outside("911", takes);
    world.set_lan(Quality {
        latency: ms(1 + dice.below(30)),
        jitter: ms(dice.below(60)),
        loss: dice.below(21),
        duplication: dice.below(6),
    });
    for handset in 1..world.agents.len() {
        world.agents[handset].register(600);
    }
    if two_edges {
        let second = world.add_second_edge();
        let code = dice.pick(&[403, 480, 486, 500, 503]);
        let refuses = Reaction { ring: None, after: ms(0), then: Then::Refuse(code), ..takes };
        let (first, second_takes) = if dice.one_in(2) { (refuses, takes) } else { (takes, refuses) };
        world.outside("911", first);
        world.agents[second].domain.as_mut().expect("it is an edge").numbers.insert("911".into(), second_takes);
    }
    world.start();
    world.listen();
    world.run(ms(10_000));
    let mut time = 0;
    while time < DAY {
        let pause = if dice.one_in(3) { dice.below(60) } else { dice.below(5000) };
        time += pause;
        world.run(ms(pause));
        step(&mut world, &mut dice);
    }
    go_home(&mut world);
    world.finish_in_place();
    world.fingerprint()
}

fn step(world: &mut World, dice: &mut Dice) {
    let edges: Vec<usize> = (0..world.agents.len()).filter(|agent| world.agents[*agent].domain.is_some()).collect();
    let handset = 1 + dice.below((world.agents.len() - edges.len()) as u64) as usize;
    let somebody = dice.pick(&NAMES[..3]);
    match dice.below(44) {
        0..6 => dial(world, handset, somebody),
        6..12 => {
            let number = dice.pick(&OUTSIDE);
            dial(world, handset, number);
        }
        12 => dial(world, handset, "911"),
        13..18 => {
            if world.agents[DOMAIN].flow.is_some() {
                world.call_in(somebody, "+15035550111");
            }
        }
        18..23 => with_call(world, dice, |_| true, |agent, call, _| agent.hang_up(call)),
        23..27 => with_call(
            world,
            dice,
            |state| state == State::Talking,
            |agent, call, dice| {
                let hold = !agent.calls[call].media.holding;
                agent.hold(call, hold);
                if dice.one_in(4) {
                    agent.hold(call, !hold);
                }
            },
        ),
        27 => with_call(world, dice, |state| state == State::Talking, |agent, call, _| agent.reinvite_empty(call)),
        28..31 => with_call(
            world,
            dice,
            |state| state == State::Talking,
            |agent, call, dice| {
                if agent.domain.is_none() {
                    let target = dice.pick(&["102", "103", "5035551200", "911", "77"]);
                    agent.refer(call, &format!("<sip:{target}@192.168.1.1>"));
                    if dice.one_in(2) {
                        agent.hang_up(call);
                    }
                }
            },
        ),
        31 | 32 => attended(world, dice),
        33 => with_call(
            world,
            dice,
            |state| state == State::Talking,
            |agent, call, _| {
                if agent.domain.is_none() {
                    agent.info(call, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
                }
            },
        ),
        34 => with_call(world, dice, |state| state == State::Incoming, |agent, call, _| agent.pick_up(call)),
        35 => {
            let edge = dice.pick(&edges);
            world.cut(edge);
        }
        36 => {
            let all =
                [Internet::Up, Internet::Down, Internet::NoDns, Internet::LateDns, Internet::LyingDns, Internet::Up];
            world.internet = dice.pick(&all);
            if world.internet != Internet::Up {
                edges.iter().for_each(|edge| world.cut(*edge));
            }
        }
        37 => world.internet = Internet::Up,
        40 => {
            let (host, after) = (10 + dice.below(90), dice.below(2000));
            world.change_address(&format!("203.0.113.{host}"), ms(after));
        }
        41 => {
            let plugged = world.internet == Internet::Unplugged || dice.one_in(4);
            world.plug(plugged);
        }
        42 => world.break_trunk(),
        43 => {
            // DHCP takes an address away before it gives another one.
            world.plug(false);
            let pause = dice.below(8000);
            world.run(ms(pause));
            let host = 10 + dice.below(90);
            world.internet = Internet::Up;
            world.change_address(&format!("203.0.113.{host}"), ms(200));
        }
        38 if dice.one_in(10) => {
            world.restart();
            world.listen();
        }
        38 => world.clock_error = dice.below(4_000_000_000) as i64 - 1_700_000_000,
        _ => {
            if world.agents[handset].reliable {
                match world.agents[handset].flow {
                    Some(_) if dice.one_in(2) => world.cut(handset),
                    Some(_) => world.close(handset),
                    None => {
                        world.reconnect(handset);
                        world.agents[handset].register(600);
                    }
                }
            } else if dice.one_in(4) {
                // A NAT forgets its port; now and then the phone has another address.
                let (host, port) = (handset as u64 + 100 + 50 * dice.below(2), 5060 + dice.below(3));
                match dice.one_in(2) {
                    true => world.seen_at(handset, &format!("192.168.1.{host}:{port}")),
                    false => world.move_to(handset, &format!("192.168.1.{host}:{port}")),
                }
                if dice.one_in(2) {
                    world.agents[handset].register(600);
                }
            } else {
                world.agents[handset].reaction = dice.reaction();
            }
        }
    }
}

/// A handset dials, if it is connected.
fn dial(world: &mut World, handset: usize, number: &str) {
    if world.agents[handset].flow.is_some() {
        world.dial(handset, number);
    }
}

/// Does something with a random call in a state.
fn with_call(
    world: &mut World,
    dice: &mut Dice,
    fits: impl Fn(State) -> bool,
    f: impl FnOnce(&mut crate::agent::Agent, usize, &mut Dice),
) {
    let calls: Vec<CallRef> = all_calls(world).into_iter().filter(|call| fits(world.state(*call))).collect();
    if !calls.is_empty() {
        let call = dice.pick(&calls);
        world.act(call, |agent, call| f(agent, call, dice));
    }
}

fn attended(world: &mut World, dice: &mut Dice) {
    let talking = |call: &CallRef| world.state(*call) == State::Talking && world.agents[call.agent].domain.is_none();
    let calls: Vec<CallRef> = all_calls(world).into_iter().filter(talking).collect();
    let pairs: Vec<(CallRef, CallRef)> = calls
        .iter()
        .flat_map(|a| calls.iter().filter(|b| a.agent == b.agent && a.call != b.call).map(|b| (*a, *b)))
        .collect();
    if !pairs.is_empty() {
        let (a, b) = dice.pick(&pairs);
        world.act(a, |agent, call| agent.refer_to_call(call, b.call));
    }
}

/// Every call that is not over.
fn all_calls(world: &World) -> Vec<CallRef> {
    let of = |agent: usize| {
        let calls = world.agents[agent].calls.iter().enumerate();
        calls.filter(|(_, call)| call.state != State::Over).map(move |(call, _)| CallRef { agent, call })
    };
    (0..world.agents.len()).flat_map(of).collect()
}

/// The internet works, and everybody hangs up until nobody talks.
fn go_home(world: &mut World) {
    world.plug(true);
    for agent in &mut world.agents {
        agent.reaction = Reaction::refuses(480);
        agent.resting = true;
    }
    for number in OUTSIDE {
        world.outside(&format!("+1{number}"), Reaction::refuses(480));
    }
    for _ in 0..20 {
        let calls = all_calls(world);
        if calls.is_empty() {
            return;
        }
        for call in calls {
            world.act(call, |agent, call| agent.hang_up(call));
        }
        world.run(ms(10_000));
    }
}

#[test]
fn random_offices_leave_nothing_behind() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("WORLD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WORLD_SEEDS").unwrap_or(200),
    };
    // A world has no threads, but several may stand side by side.
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let fails = |seed: &u64| std::panic::catch_unwind(|| run(*seed)).is_err();
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let work = |worker| seeds.clone().filter(move |seed| seed % workers == worker).filter(fails).take(MAX_FAILURES);
        let running: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || work(worker).collect::<Vec<_>>())).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("panics of runs are caught")).collect()
    });
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in [1, 17, 4711] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}
