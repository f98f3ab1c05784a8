//! Phones that name another port than they send from.

use super::*;

/// The ports that the answers to a request go to, which comes so often, without rport.
fn answered_at(layer: &mut Layer, via: &str, times: usize) -> Vec<u16> {
    let mut ports = Vec::new();
    for _ in 0..times {
        let mut request = theirs(Method::Options, "x");
        header::set(&mut request.headers, "Via", via);
        layer.receive(udp(), request);
        while let Some(event) = layer.transactions.poll_event() {
            let Event::Request { id, request, .. } = event else { panic!("{event:?}") };
            layer.transactions.respond_once(layer.now, id, response_to(&request, 401, Some("x")));
        }
        ports.push(layer.sent().0.remote.port());
        assert!(layer.transactions.poll_transmit().is_none(), "one answer to one request");
    }
    ports
}

#[test]
fn who_repeats_a_request_gets_the_next_answer_at_the_other_port() {
    for (via, ports) in [
        ("192.0.2.101:5060", [5060, 40000, 5060]),
        ("192.0.2.101", [5060, 40000, 5060]),
        ("phone.local:5070", [5070, 40000, 5070]),
        ("10.35.21.143:18944", [40000, 18944, 40000]),
        ("192.0.2.101:40000", [40000, 40000, 40000]),
    ] {
        let via = format!("SIP/2.0/UDP {via};branch=z9hG4bK1");
        assert_eq!(answered_at(&mut Layer::new(), &via, 3), ports, "{via}");
    }
    assert_eq!(
        answered_at(&mut Layer::new(), "SIP/2.0/UDP 192.0.2.101:5060;rport;branch=z9hG4bK1", 3),
        [40000, 40000, 40000]
    );
}

#[test]
fn the_port_where_an_answer_was_heard_is_kept_for_the_next_request() {
    let mut layer = Layer::new();
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local;branch=z9hG4bK1", 2), [5060, 40000]);
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local;branch=z9hG4bK2", 1), [40000]);
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local;branch=z9hG4bK3", 1), [40000]);
}

#[test]
fn a_repeated_request_gets_its_kept_answer_at_the_other_port_and_an_ack_changes_nothing() {
    let mut layer = Layer::new();
    let mut invite = theirs(Method::Invite, "x");
    header::set(&mut invite.headers, "Via", "SIP/2.0/UDP phone.local:5060;branch=z9hG4bK1");
    layer.receive(udp(), invite.clone());
    let (id, request) = layer.request();
    layer.respond(id, &request, 486);
    assert_eq!(layer.sent().0.remote.port(), 5060);
    layer.receive(udp(), invite.clone());
    assert_eq!(layer.sent().0.remote.port(), 40000);
    // It is repeated there, too, until the ACK comes.
    layer.now = Instant::from_micros(600_000);
    layer.transactions.handle_timeout(layer.now);
    assert_eq!(layer.sent().0.remote.port(), 40000);
    let mut ack = theirs(Method::Ack, "x");
    header::set(&mut ack.headers, "Via", "SIP/2.0/UDP phone.local:5060;branch=z9hG4bK1");
    layer.receive(udp(), ack);
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local:5060;branch=z9hG4bK2", 1), [40000]);
}

#[test]
fn a_flood_of_ports_forgets_its_own_address_first_and_grows_no_table() {
    let mut layer = Layer::new();
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local;branch=z9hG4bK1", 2), [5060, 40000]);
    let via = header::Via::parse("SIP/2.0/UDP other.local;branch=z9hG4bK1").unwrap();
    for port in 1..3000 {
        let flow = Flow { remote: SocketAddr::new([192, 0, 2, 66].into(), port), ..udp() };
        layer.transactions.ways.answer(flow, &via, Method::Options);
    }
    assert_eq!(answered_at(&mut layer, "SIP/2.0/UDP phone.local;branch=z9hG4bK2", 1), [40000]);
    for last in 0..=255 {
        for port in 1..20 {
            let flow = Flow { remote: SocketAddr::new([192, 0, 3, last].into(), port), ..udp() };
            layer.transactions.ways.answer(flow, &via, Method::Options);
        }
    }
    assert_eq!(layer.transactions.ways.len(), 256);
}

/// A request of ours to this URI at the phone, and the ports that it goes to within five seconds.
fn sent_to(layer: &mut Layer, method: Method, uri: &str) -> Vec<u16> {
    let mut request = ours(method);
    request.uri = crate::sip::uri::parse(uri).unwrap();
    layer.send(udp(), request);
    let mut ports = Vec::new();
    loop {
        while let Some((flow, _)) = layer.transactions.poll_transmit() {
            assert_eq!(flow.remote.ip(), udp().remote.ip(), "no other host, whatever a Contact says");
            ports.push(flow.remote.port());
        }
        layer.now = layer.transactions.poll_timeout().expect("it is repeated");
        if layer.now > Instant::from_secs(5) {
            return ports;
        }
        layer.transactions.handle_timeout(layer.now);
    }
}

#[test]
fn a_request_that_nothing_answers_goes_to_both_ports_by_turns() {
    let both = [40000, 5060, 40000, 5060];
    for (uri, ports) in [
        ("sip:101@192.0.2.101", both),
        ("sip:101@192.0.2.101:5060;line=1", both),
        ("sip:101@[::ffff:192.0.2.101]:5060", both),
        ("sip:101@192.0.2.101:40000", [40000; 4]),
        ("sip:101@10.35.21.143:18944", [40000; 4]),
        ("sip:101@phone.local:5060", [40000; 4]),
        ("sip:101@192.0.2.101:0", [40000; 4]),
    ] {
        assert_eq!(sent_to(&mut Layer::new(), Method::Invite, uri), ports, "{uri}");
    }
    assert_eq!(sent_to(&mut Layer::new(), Method::Bye, "sip:101@192.0.2.101")[..4], both);
}

#[test]
fn what_was_answered_is_acknowledged_and_cancelled_at_that_port() {
    for (code, expected) in [(180, "CANCEL"), (486, "ACK")] {
        let mut layer = Layer::new();
        let id = layer.send(udp(), ours(Method::Invite));
        let invite = layer.sent_request();
        layer.now = layer.transactions.poll_timeout().unwrap();
        layer.transactions.handle_timeout(layer.now);
        assert_eq!(layer.sent().0.remote.port(), 5060);
        let mut answer = response_to(&invite, code, Some("theirs"));
        header::set(&mut answer.headers, "Via", header::value(&invite.headers, "Via").unwrap());
        layer.receive(Flow { remote: address("192.0.2.101:50000"), ..udp() }, answer);
        let Some(Event::Response { flow, .. }) = layer.transactions.poll_event() else { panic!() };
        assert_eq!(flow.remote.port(), 5060, "by what was asked last, from whatever port it is answered");
        layer.cancel(id);
        let (flow, sent) = layer.sent();
        assert_eq!((flow.remote.port(), summary(&sent).as_str()), (5060, expected));
    }
}

#[test]
fn a_refused_port_sends_the_request_to_the_other_one_at_once_and_two_refusals_make_no_storm() {
    for method in [Method::Invite, Method::Options] {
        let mut layer = Layer::new();
        layer.send(udp(), ours(method));
        assert_eq!(layer.sent().0.remote.port(), 40000);
        assert!(!layer.transactions.unreachable(layer.now, udp()));
        assert_eq!(layer.sent().0.remote.port(), 5060);
        assert!(layer.transactions.unreachable(layer.now, udp().at_port(5060)), "both");
        assert!(!layer.transactions.unreachable(layer.now, udp()), "nothing waits there");
        assert!(layer.transactions.poll_transmit().is_none());
        layer.now = layer.transactions.poll_timeout().unwrap();
        layer.transactions.handle_timeout(layer.now);
        assert_eq!(layer.sent().0.remote.port(), 5060, "it goes on all the same");
    }
}

#[test]
fn a_forged_refusal_changes_nothing_once_the_phone_has_answered() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    let mut answer = response_to(&invite, 180, Some("theirs"));
    header::set(&mut answer.headers, "Via", header::value(&invite.headers, "Via").unwrap());
    layer.receive(udp(), answer);
    assert!(!layer.transactions.unreachable(layer.now, udp()));
    assert!(layer.transactions.poll_transmit().is_none());
}
