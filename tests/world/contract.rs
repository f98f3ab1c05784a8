//! What the core and its driver owe each other, as the head of `gateway_core::engine` has it. Each input of each test of
//! the world checks two promises more: see [`World::input`].

use std::net::SocketAddr;

use gateway_core::context::Output;
use gateway_core::dns::DnsAnswer;
use gateway_core::engine::Input;
use gateway_core::media::{MediaLeg, Notice, Report};
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::time::trusted::TimeState;
use gateway_core::wake::Reason;

use crate::agent::{Reaction, State, ms};
use crate::link::Quality;
use crate::world::{World, address};

/// An office in which somebody talks, somebody rings, and the second edge cannot be reached.
fn busy(seed: u64) -> World {
    let (mut world, second) = World::office_of_two_edges(seed, &["101", "102", "103"]);
    world.refusing.insert(second);
    world.cut(second);
    world.set_lan(Quality { jitter: ms(40), loss: 10, ..Quality::GOOD });
    world.connect("5035551212");
    let ringing = world.find("102");
    world.dial(ringing, "103");
    world
}

#[test]
fn a_tick_before_its_time_changes_nothing_at_all() {
    let mut world = busy(1);
    let (mut early, until) = (0, world.now + ms(60_000));
    while world.now < until {
        world.run(ms(300));
        let Some((at, _)) = world.engine.poll_timeout().filter(|(at, _)| *at > world.now) else { continue };
        let before = format!("{:?}", world.engine);
        let wall = world.wall();
        world.engine.handle(world.now, wall, Input::Tick);
        assert!(world.engine.poll_output().is_none());
        assert_eq!(before, format!("{:?}", world.engine), "at {:?}, before {at:?}", world.now);
        early += 1;
    }
    assert!(early > 100, "{early}");
}

#[test]
fn an_answer_to_no_question_of_the_core_brings_a_line_in_the_log_at_most() {
    let mut world = busy(2);
    let local: SocketAddr = address("192.168.1.1:5060");
    let flow = Flow { transport: Transport::Tcp, local, remote: address("192.168.1.99:5060"), connection: 1 << 40 };
    let leg = MediaLeg(1 << 40);
    let answers = [
        Input::ConnectFailed { connection: 1 << 40, error: "connection refused".into() },
        Input::Resolved { query: 1 << 40, answer: DnsAnswer::Address(vec![local.ip()]) },
        Input::Disconnected { flow, reason: "closed".into() },
        Input::Received { flow, bytes: b"OPTIONS sip:192.168.1.1 SIP/2.0\r\n\r\n".to_vec() },
        Input::Media(Notice::Opened { leg, local }),
        Input::Media(Notice::Refused { leg, error: "no port".into() }),
        Input::Media(Notice::Moved { leg, to: Ok(local) }),
        Input::Media(Notice::Started { leg, from: local }),
        Input::Media(Notice::Silent { leg }),
        Input::Media(Notice::Heard { leg }),
        Input::Media(Notice::Played { leg }),
        Input::Media(Notice::Closed { leg, report: Report::default() }),
    ];
    for answer in answers {
        let (wall, shown) = (world.wall(), format!("{answer:?}"));
        world.engine.handle(world.now, wall, answer);
        while let Some(output) = world.engine.poll_output() {
            assert!(matches!(output, Output::Event(_)), "{shown} brought {output:?}");
        }
    }
}

#[test]
fn nothing_is_sent_and_nothing_but_a_binding_is_waited_for_after_a_stop_is_through() {
    let mut world = World::office(4, &["101", "102", "103"]);
    world.outside("+15035551212", Reaction::answers(500));
    let (talks, rings) = (world.find("101"), world.find("102"));
    let talking = world.dial(talks, "5035551212");
    let ringing = world.dial(rings, "103");
    world.run(ms(2000));
    world.agents.iter_mut().for_each(|agent| agent.resting = true);
    world.input(Input::Stop);
    assert!(world.run_until(ms(70_000), |world| world.engine.is_stopped()));
    assert_eq!([world.state(talking), world.state(ringing)], [State::Over; 2]);
    let stopped = world.now;
    let clock = Input::Time(TimeState::Trusted);
    world.input(clock);
    world.run(ms(3_600_000));
    for agent in 0..world.agents.len() {
        let last = world.sent(agent, "");
        assert!(last.is_none_or(|at| at <= stopped), "{} got something at {last:?}", world.agents[agent].name);
    }
    assert!(world.engine.is_stopped());
    assert!(world.engine.poll_timeout().is_none_or(|(_, reason)| reason == Reason::Binding));
    world.finish();
}

#[test]
fn what_came_on_a_stream_is_answered_before_its_close() {
    let mut world = World::office(5, &["101"]);
    let local: SocketAddr = address("192.168.1.1:5060");
    let flow = Flow { transport: Transport::Tcp, local, remote: address("192.168.1.99:5060"), connection: 1 << 40 };
    let head = |method: &str| {
        format!(
            "{method} sip:101@192.168.1.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.99;branch=z9hG4bK{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:x@192.168.1.1>;tag=1\r\nTo: <sip:101@192.168.1.1>\r\nCall-ID: x\r\n\
             CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let garbage = "\u{1}\u{2}";
    let wall = world.wall();
    world.engine.handle(world.now, wall, Input::Accepted { flow });
    let bytes = [&head("OPTIONS"), &head("CANCEL"), garbage].concat().into_bytes();
    world.engine.handle(world.now, wall, Input::Received { flow, bytes });
    let outputs: Vec<Output> = std::iter::from_fn(|| world.engine.poll_output()).collect();
    let about: Vec<String> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { flow: to, bytes } if *to == flow => {
                Some(String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned())
            }
            Output::Close { flow: closed } if *closed == flow => Some("close".into()),
            _ => None,
        })
        .collect();
    assert_eq!(about.last().map(String::as_str), Some("close"), "{about:?}");
    assert!(about.iter().any(|line| line.contains("200")), "{about:?}");
}
