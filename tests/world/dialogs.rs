//! Dialogs that outlive the flow that they began on: phones that move, close what they do not need, or stand behind a NAT
//! or an ALG.

use crate::agent::{Ended, Reaction, State, ms};
use crate::link::Way;
use crate::world::{CallRef, DOMAIN, Listening, World, address, office};

/// An office in which 101 is on TCP and talks with 102, and what its phone does with connections to it.
fn talking_by_tcp(seed: u64, listening: Option<Listening>) -> (World, usize, CallRef, CallRef) {
    let mut world = World::new(seed, office(&["101", "102"]));
    let phone = world.tcp_handset("101");
    world.handset("102");
    world.listening.extend(listening.map(|listening| (phone, listening)));
    world.open();
    world.listen();
    let (call, far) = world.connect("102");
    (world, phone, call, far)
}

/// Both hear each other, and a BYE from this end ends the call at the other.
fn ends_by(mut world: World, call: CallRef, far: CallRef) {
    world.assert_talk(call, far);
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(3000));
    assert_eq!(world.call(call).bye_code, Some(200), "the BYE");
    assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_phone_that_got_another_address_goes_on_with_its_call_from_there() {
    let (mut world, call, far) = World::talking(1, "102");
    world.move_to(call.agent, "192.168.1.77:5060");
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvite_code, Some(200));
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    // Requests to it go there.
    world.assert_talk(call, far);
    ends_by(world, far, call);
}

#[test]
fn a_phone_that_registers_anew_from_elsewhere_is_found_there_without_a_word_in_its_call() {
    let (mut world, call, far) = World::talking(2, "5035551212");
    // A lease ran out, and an instance or the same Contact tells that it is the same phone.
    world.seen_at(call.agent, "192.168.1.78:6060");
    world.agents[call.agent].register(600);
    world.run(ms(1000));
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.finish();
}

#[test]
fn a_phone_that_moves_before_it_registers_proves_itself_by_its_password() {
    for seed in 3..6 {
        let (mut world, call, far) = World::talking(seed, "5035551212");
        world.move_to(call.agent, "192.168.7.9:5062");
        world.act(call, |agent, call| agent.hang_up(call));
        world.run(ms(3000));
        assert_eq!(world.call(call).bye_code, Some(200));
        assert_eq!(world.ended(far), Some(Ended::TheyHungUp));
        world.finish();
    }
}

#[test]
fn another_phone_that_overheard_a_dialog_does_not_end_its_call() {
    let (mut world, call, far) = World::talking(6, "102");
    // 103 says what 101 would say, with the password that it has.
    let listener = world.find("103");
    let seen_from = world.agents[listener].flow;
    let own = std::mem::replace(&mut world.agents[call.agent].flow, seen_from);
    let (name, password) = (world.agents[listener].name.clone(), world.agents[listener].password.clone());
    let agent = &mut world.agents[call.agent];
    let own_name = (std::mem::replace(&mut agent.name, name), std::mem::replace(&mut agent.password, password));
    world.agents[listener].flow = None;
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(2000));
    assert_eq!(world.call(call).bye_code, Some(403));
    assert_eq!(world.state(far), State::Talking);
    let agent = &mut world.agents[call.agent];
    (agent.flow, (agent.name, agent.password)) = (own, own_name);
    world.agents[listener].flow = seen_from;
    world.act(far, |agent, call| agent.hang_up(call));
    world.finish();
}

#[test]
fn a_nat_that_forgets_its_port_keeps_the_call_and_is_followed() {
    let (mut world, call, far) = World::talking(7, "102");
    let place = world.agents[call.agent].flow.unwrap().remote;
    for port in [40_001, 40_002] {
        // What goes to the former port is lost from now on.
        world.seen_at(call.agent, &format!("{}:{port}", place.ip()));
        world.act(call, |agent, call| agent.hold(call, port % 2 == 1));
        world.run(ms(1000));
        assert_eq!(world.call(call).reinvite_code, Some(200));
    }
    world.assert_talk(call, far);
    ends_by(world, far, call);
}

#[test]
fn a_nat_that_forgets_is_followed_by_the_next_register() {
    let (mut world, call, far) = World::talking(8, "102");
    let place = world.agents[call.agent].flow.unwrap().remote;
    world.seen_at(call.agent, &format!("{}:40001", place.ip()));
    world.agents[call.agent].register(600);
    world.run(ms(1000));
    ends_by(world, far, call);
}

#[test]
fn a_tcp_phone_that_closes_its_idle_connection_keeps_its_call_and_says_bye_by_another() {
    let (mut world, phone, call, far) = talking_by_tcp(9, None);
    world.run(ms(33_000));
    world.close(phone);
    world.run(ms(200_000));
    world.assert_talk(call, far);
    world.reconnect(phone);
    ends_by(world, call, far);
}

#[test]
fn a_tcp_phone_that_listens_hears_the_bye_by_a_connection_of_ours() {
    let (mut world, phone, call, far) = talking_by_tcp(10, Some(Listening::Takes));
    for _ in 0..3 {
        world.close(phone);
        world.run(ms(40_000));
    }
    assert!(world.agents[phone].flow.is_none(), "it stays closed");
    assert_eq!(world.engine.status(world.now).extensions[0].handsets.len(), 1, "its binding stays");
    ends_by(world, far, call);
}

#[test]
fn a_tcp_phone_that_closed_its_connection_rings_where_it_listens() {
    let mut world = World::new(11, office(&["101", "102"]));
    let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
    world.listening.insert(phone, Listening::Takes);
    world.open();
    world.close(phone);
    world.run(ms(100_000));
    world.agents[phone].reaction = Reaction::answers(500);
    let call = world.dial(other, "101");
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(phone));
    world.close(phone);
    world.run(ms(50_000));
    let far = world.last_call(phone);
    ends_by(world, call, far);
}

#[test]
fn the_binding_of_a_tcp_phone_that_does_not_listen_goes_with_its_connection() {
    for (listening, wait) in [(None, 100), (Some(Listening::Dead), 5000)] {
        let mut world = World::new(12, office(&["101", "102"]));
        let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
        world.listening.extend(listening.map(|listening| (phone, listening)));
        world.open();
        world.close(phone);
        world.run(ms(wait));
        assert!(world.saw("handset.lost", "its connection ended; it will register again"));
        let call = world.dial(other, "101");
        world.run(ms(1000));
        assert_eq!(world.ended(call), Some(Ended::Refused(480)));
        world.finish();
    }
}

#[test]
fn a_phone_that_stopped_listening_costs_a_call_a_moment() {
    let mut world = World::new(13, office(&["101", "102"]));
    let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
    world.listening.insert(phone, Listening::Takes);
    world.open();
    world.close(phone);
    world.run(ms(60_000));
    world.listening.insert(phone, Listening::Dead);
    let call = world.dial(other, "101");
    world.run(ms(5000));
    assert!(matches!(world.ended(call), Some(Ended::Refused(_))), "{:?}", world.ended(call));
    world.finish();
}

#[test]
fn what_takes_a_connection_and_closes_it_instead_of_an_answer_is_no_phone_that_listens() {
    let mut world = World::new(24, office(&["101", "102"]));
    let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
    world.listening.insert(phone, Listening::Takes);
    world.open();
    world.close(phone);
    world.run(ms(60_000));
    assert_eq!(world.engine.status(world.now).extensions[0].handsets.len(), 1);
    world.agents[phone].off = true;
    let call = world.dial(other, "101");
    world.run(ms(100));
    world.close(phone);
    world.run(ms(1000));
    assert!(matches!(world.ended(call), Some(Ended::Refused(_))), "{:?}", world.ended(call));
    assert!(world.engine.status(world.now).extensions[0].handsets.is_empty(), "its binding goes");
    world.finish();
}

#[test]
fn a_phone_that_closes_while_it_rings_may_answer_by_another_connection() {
    let mut world = World::new(14, office(&["101", "102"]));
    let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
    world.listening.insert(phone, Listening::Takes);
    world.open();
    let call = world.dial(other, "101");
    world.run(ms(1000));
    world.close(phone);
    world.run(ms(1000));
    let far = world.last_call(phone);
    assert_eq!(world.state(call), State::Ringing);
    world.act(far, |agent, call| agent.pick_up(call));
    world.run(ms(1000));
    ends_by(world, call, far);
}

#[test]
fn a_caller_whose_connection_closes_hears_the_answer_where_it_listens_and_has_hung_up_where_not() {
    let mut world = World::new(15, office(&["101", "102"]));
    let (phone, other) = (world.tcp_handset("101"), world.handset("102"));
    world.listening.insert(phone, Listening::Takes);
    world.open();
    let call = world.dial(phone, "102");
    world.run(ms(1000));
    world.close(phone);
    world.run(ms(2000));
    world.act(world.last_call(other), |agent, call| agent.pick_up(call));
    world.run(ms(2000));
    world.assert_talk(call, world.last_call(other));
    world.act(call, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    world.close(phone);
    world.listening.clear();
    world.reconnect(phone);
    world.dial(phone, "102");
    world.run(ms(1000));
    world.cut(phone);
    world.run(ms(1000));
    assert_eq!(world.ended(world.last_call(other)), Some(Ended::TheyCancelled));
    world.finish();
}

#[test]
fn a_phone_that_called_by_tcp_for_a_large_message_is_reached_by_the_udp_that_it_registered_by() {
    let mut world = World::office(22, &["101", "102"]);
    let phone = world.find("101");
    let udp = world.agents[phone].flow;
    let tcp = world.tcp_flow(address("192.168.1.101:40123"));
    world.agents[phone].set_flow(Some(tcp));
    world.agents[phone].reliable = true;
    world.input(gateway_core::engine::Input::Accepted { flow: tcp });
    let (call, far) = world.connect("102");
    world.run(ms(33_000));
    world.close(phone);
    world.agents[phone].set_flow(udp);
    world.agents[phone].reliable = false;
    world.run(ms(30_000));
    world.act(far, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert_eq!(world.call(call).reinvites_seen, 1, "the hold");
    world.act(far, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    ends_by(world, call, far);
}

#[test]
fn a_call_on_hold_outlives_the_connection_of_the_phone_that_held_it() {
    let (mut world, phone, call, far) = talking_by_tcp(16, None);
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    world.close(phone);
    world.run(ms(100_000));
    assert_eq!(world.state(far), State::Talking);
    world.reconnect(phone);
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    ends_by(world, call, far);
}

#[test]
fn what_waited_for_a_phone_goes_by_its_next_connection() {
    let (mut world, phone, call, far) = talking_by_tcp(17, None);
    world.close(phone);
    world.act(far, |agent, call| agent.hold(call, true));
    world.run(ms(5000));
    world.reconnect(phone);
    world.agents[phone].register(600);
    world.run(ms(3000));
    assert_eq!(world.call(call).reinvites_seen, 1, "the hold");
    world.act(far, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    ends_by(world, far, call);
}

#[test]
fn an_emergency_call_outlives_the_connection_of_a_phone_that_nobody_knows() {
    for listening in [None, Some(Listening::Takes)] {
        let mut world = World::office(18, &["101"]);
        let phone = world.tcp_handset("unknown");
        world.listening.extend(listening.map(|listening| (phone, listening)));
        world.listen();
        world.outside("911", Reaction::answers(500));
        let call = world.dial(phone, "911");
        world.run(ms(3000));
        let far = world.last_call(DOMAIN);
        world.assert_talk(call, far);
        world.close(phone);
        world.run(ms(300_000));
        world.assert_talk(call, far);
        world.reconnect(phone);
        ends_by(world, call, far);
    }
}

#[test]
fn an_emergency_call_answered_after_its_connection_closed_is_heard_of() {
    let mut world = World::office(19, &["101"]);
    let phone = world.tcp_handset("unknown");
    world.listening.insert(phone, Listening::Takes);
    world.outside("911", Reaction::answers(5000));
    let call = world.dial(phone, "911");
    world.run(ms(3000));
    world.close(phone);
    world.run(ms(6000));
    let far = world.last_call(DOMAIN);
    ends_by(world, call, far);
}

#[test]
fn what_forges_an_address_and_has_read_nothing_ends_nothing() {
    let (mut world, call, far) = World::talking(20, "102");
    let flow = world.agents[call.agent].flow.unwrap();
    for from_tag in [world.call(call).local_tag.clone(), "guessed".into()] {
        for to_tag in ["", "0", "guessed", "0123456789abcdef"] {
            let bye = format!(
                "BYE sip:102@192.168.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{to_tag}{from_tag}\r\n\
                 From: <sip:101@192.168.1.1>;tag={from_tag}\r\nTo: <sip:102@192.168.1.1>;tag={to_tag}\r\n\
                 Call-ID: {}\r\nCSeq: 900 BYE\r\nContent-Length: 0\r\n\r\n",
                flow.remote,
                world.call(call).call_id
            );
            let bytes = bye.into_bytes();
            world.input(gateway_core::engine::Input::Received { flow, bytes });
        }
    }
    world.run(ms(1000));
    // The phone knows of no such request.
    world.agents[call.agent].strays.clear();
    ends_by(world, call, far);
}

#[test]
fn a_phone_behind_an_alg_that_rewrites_all_that_it_reads_talks_holds_and_hangs_up() {
    let mut world = World::office(21, &["101", "102"]);
    let phone = world.find("101");
    let outer = world.agents[phone].flow.unwrap().remote;
    assert_eq!(outer, address(OUTER));
    // It calls itself by an address of its own network.
    let own = &mut world.agents[phone];
    (own.contact_at, own.sent_by) = (INNER.into(), INNER.into());
    own.rtp_host = address(INNER).ip();
    world.gateways.insert(phone, alg);
    world.agents[phone].register(600);
    world.run(ms(1000));
    let (call, far) = world.connect("102");
    world.act(call, |agent, call| agent.hold(call, true));
    world.run(ms(1000));
    assert!(!world.hears(call, far));
    world.act(call, |agent, call| agent.hold(call, false));
    world.run(ms(1000));
    world.assert_talk(call, far);
    world.act(far, |agent, call| agent.hang_up(call));
    world.run(ms(1000));
    assert_eq!(world.ended(call), Some(Ended::TheyHungUp));
    world.agents[phone].reaction = Reaction::answers(500);
    let back = world.dial(far.agent, "101");
    world.run(ms(2000));
    let call = world.last_call(phone);
    world.assert_talk(back, call);
    ends_by(world, call, back);
}

const OUTER: &str = "192.168.1.101:5060";
const INNER: &str = "10.0.0.5:5060";

/// Puts the outer address in place of the inner one, in headers and SDP, and the other way round.
fn alg(way: Way, bytes: Vec<u8>) -> Vec<u8> {
    let (inner, outer) = (INNER.split(':').next().unwrap_or_default(), OUTER.split(':').next().unwrap_or_default());
    let (from, to) = match way {
        Way::ToEngine => (inner, outer),
        Way::ToAgent => (outer, inner),
    };
    let text = String::from_utf8(bytes).expect("SIP of ours is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("it is whole");
    let body = body.replace(from, to);
    let head: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(':') {
            Some((name, _)) if name.eq_ignore_ascii_case("Content-Length") => format!("{name}: {}", body.len()),
            _ => line.replace(from, to),
        })
        .collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}
