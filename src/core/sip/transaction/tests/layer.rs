use std::net::SocketAddr;

use super::sources::{MAX_ANSWERED, MAX_OF_SOURCE, MAX_UNANSWERED};
use super::*;
use crate::sip::uri;

fn via_of(headers: &rsip::Headers) -> header::Via {
    header::Via::parse(header::value(headers, "Via").unwrap()).unwrap()
}

fn with_via(mut request: Request, via: &str) -> Request {
    header::set(&mut request.headers, "Via", via);
    request
}

#[test]
fn with_rport_the_response_goes_to_the_source_and_the_via_says_which() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Options, "z9hG4bK1"));
    let (id, request) = layer.request();
    let via = via_of(&request.headers);
    assert_eq!(via.params.value("received"), Some("192.0.2.101"));
    assert_eq!(via.params.value("rport"), Some("40000"));
    layer.respond(id, &request, 200);
    assert_eq!(layer.sent_response().0.remote, address("192.0.2.101:40000"));
}

#[test]
fn without_rport_the_response_goes_to_the_source_address_and_the_port_of_the_via() {
    for (via, remote, received) in [
        ("SIP/2.0/UDP 192.0.2.101:5066;branch=z9hG4bK1", "192.0.2.101:5066", None),
        ("SIP/2.0/UDP 192.0.2.101;branch=z9hG4bK1", "192.0.2.101:5060", None),
        // A NAT is between: its port is of no use to us.
        ("SIP/2.0/UDP 10.0.0.9:5066;branch=z9hG4bK1", "192.0.2.101:40000", Some("192.0.2.101")),
        ("SIP/2.0/UDP 192.0.2.101:0;branch=z9hG4bK1", "192.0.2.101:5060", None),
        ("SIP/2.0/UDP phone.local;branch=z9hG4bK1;received=198.51.100.1", "192.0.2.101:5060", Some("192.0.2.101")),
        ("SIP/2.0/UDP 192.0.2.101;maddr=198.51.100.1;branch=z9hG4bK1", "192.0.2.101:5060", None),
    ] {
        let mut layer = Layer::new();
        layer.receive(udp(), with_via(theirs(Method::Options, "x"), via));
        let (id, request) = layer.request();
        assert_eq!(via_of(&request.headers).params.value("received"), received, "{via}");
        layer.respond(id, &request, 200);
        assert_eq!(layer.sent_response().0, Flow { remote: address(remote), ..udp() }, "{via}");
    }
}

#[test]
fn a_response_over_a_stream_goes_back_on_the_connection_of_the_request() {
    let mut layer = Layer::new();
    let first = Flow { connection: 1, ..tls() };
    let second = Flow { connection: 2, ..tls() };
    layer.receive(first, with_via(theirs(Method::Options, "x"), "SIP/2.0/TLS 10.0.0.9:5061;branch=z9hG4bK1"));
    let (id, request) = layer.request();
    // Another connection from there, in between.
    layer.receive(second, with_via(theirs(Method::Bye, "x"), "SIP/2.0/TLS 10.0.0.9:5061;branch=z9hG4bK2"));
    layer.respond(id, &request, 200);
    assert_eq!(layer.sent_response().0, first);
}

#[test]
fn an_ipv6_phone_is_answered_at_its_address() {
    let flow = Flow { local: address("[2001:db8::1]:5060"), remote: address("[2001:db8::9]:5070"), ..udp() };
    let mut layer = Layer::new();
    layer.receive(flow, with_via(theirs(Method::Options, "x"), "SIP/2.0/UDP [2001:db8::9]:5062;branch=z9hG4bK1"));
    let (id, request) = layer.request();
    assert_eq!(via_of(&request.headers).params.get("received"), None);
    layer.respond(id, &request, 200);
    assert_eq!(layer.sent_response().0.remote, address("[2001:db8::9]:5062"));
}

#[test]
fn a_2xx_repeated_outside_its_transaction_takes_the_way_of_its_via() {
    let mut layer = Layer::new();
    layer.receive(udp(), with_via(theirs(Method::Invite, "x"), "SIP/2.0/UDP 192.0.2.101:5066;branch=z9hG4bK1"));
    let (_, request) = layer.request();
    let ok = response_to(&request, 200, Some("ours"));
    layer.transactions.send(udp(), ok.into(), &mut layer.random);
    assert_eq!(layer.sent_response().0.remote, address("192.0.2.101:5066"));
}

#[test]
fn an_ack_sent_outside_a_transaction_gets_a_via_with_a_branch_of_its_own() {
    let mut layer = Layer::new();
    for _ in 0..2 {
        layer.transactions.send(tls(), ours(Method::Ack).into(), &mut layer.random);
    }
    let (first, second) = (layer.sent_request(), layer.sent_request());
    assert_ne!(via_of(&first.headers).branch(), via_of(&second.headers).branch());
    layer.assert_empty();
}

#[test]
fn the_same_request_by_another_way_is_a_merged_request() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK2"));
    assert_eq!(layer.drain(), ["0.000 > 482", "0.000 ! INVITE"]);
    assert_eq!(layer.transactions.len(), 1);
}

#[test]
fn requests_inside_a_dialog_are_never_merged() {
    let mut layer = Layer::new();
    for branch in ["z9hG4bK1", "z9hG4bK2"] {
        let mut request = theirs(Method::Options, branch);
        header::set(&mut request.headers, "To", "<sip:5551212@gw>;tag=ours");
        layer.receive(udp(), request);
    }
    assert_eq!(layer.drain(), ["0.000 ! OPTIONS", "0.000 ! OPTIONS"]);
}

#[test]
fn the_lan_can_not_touch_a_transaction_of_the_trunk() {
    let mut layer = Layer::new();
    layer.receive(tls(), theirs(Method::Invite, "z9hG4bK1"));
    layer.drain();
    layer.receive(udp(), theirs(Method::Cancel, "z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 > 481"]);
}

#[test]
fn the_branch_alone_does_not_make_two_phones_requests_the_same() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Options, "z9hG4bK1"));
    let mut other = with_via(theirs(Method::Options, "x"), "SIP/2.0/UDP 192.0.2.102:5060;branch=z9hG4bK1");
    header::set(&mut other.headers, "Call-ID", "other");
    layer.receive(udp(), other);
    assert_eq!(layer.drain(), ["0.000 ! OPTIONS", "0.000 ! OPTIONS"]);
}

#[test]
fn a_response_to_nothing_of_ours_is_dropped_and_counted() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Options));
    let options = layer.sent_request();
    layer.receive(udp(), answer(&theirs(Method::Options, "z9hG4bK1"), 200, "x"));
    // Our branch, another method.
    let mut wrong = answer(&options, 200, "x");
    header::set(&mut wrong.headers, "CSeq", "7 INVITE");
    layer.receive(udp(), wrong);
    // More than one Via: it was not for us (RFC 3261 section 8.1.3.3).
    let mut proxied = answer(&options, 200, "x");
    proxied.headers.push(header::make("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx"));
    layer.receive(udp(), proxied);
    assert_eq!((layer.drain(), layer.transactions.strays()), (vec![], 3));
}

#[test]
fn when_a_flow_goes_down_its_pending_requests_fail_and_nothing_of_it_is_left() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Invite));
    let answered = layer.send(tls(), ours(Method::Invite));
    layer.sent_request();
    let invite = layer.sent_request();
    layer.receive(tls(), answer(&invite, 200, "x"));
    layer.receive(tls(), theirs(Method::Invite, "z9hG4bK1"));
    layer.send(udp(), ours(Method::Register));
    layer.drain();
    layer.transactions.flow_down(layer.now, tls());
    assert_eq!(layer.drain(), ["0.000 ! Failed Transport"], "{answered:?} has its final response");
    assert_eq!(layer.transactions.len(), 1, "the other flow's stays");
    layer.transactions.flow_down(layer.now, udp());
    layer.drain();
    layer.assert_empty();
}

#[test]
fn another_connection_of_the_same_addresses_is_another_flow() {
    let mut layer = Layer::new();
    layer.send(Flow { connection: 2, ..tls() }, ours(Method::Register));
    layer.drain();
    layer.transactions.flow_down(layer.now, Flow { connection: 1, ..tls() });
    assert_eq!(layer.drain(), [""; 0]);
}

/// A request of theirs with everything of its own.
fn nth(like: &Request, n: usize) -> Request {
    let mut request = like.clone();
    header::set(&mut request.headers, "Via", format!("SIP/2.0/UDP 192.0.2.101:5060;rport;branch=z9hG4bK{n}"));
    header::set(&mut request.headers, "Call-ID", format!("call-{n}"));
    request
}

fn to(method: Method, user: &str) -> Request {
    let mut request = theirs(method, "x");
    request.uri = uri::sip(Some(user), "192.0.2.1", None);
    request
}

/// One of many sources, far below the bound of each.
fn spread(n: usize) -> Flow {
    let host = u8::try_from(n % 200).expect("below 200");
    Flow { remote: SocketAddr::from(([192, 0, 2, host], 5060)), ..udp() }
}

#[test]
fn above_the_limit_new_requests_get_503_but_an_emergency_call_finds_room() {
    let mut layer = Layer::new();
    let invite = to(Method::Invite, "5551212");
    for n in 0..MAX {
        layer.receive(spread(n), nth(&invite, n));
    }
    assert_eq!(layer.transactions.len(), MAX);
    while layer.transactions.poll_event().is_some() {}

    layer.receive(spread(0), nth(&invite, 10_000));
    layer.receive(spread(0), nth(&to(Method::Register, "911"), 10_001));
    for _ in 0..2 {
        let (_, refusal) = layer.sent_response();
        assert_eq!(refusal.status_code.code(), 503);
        assert_eq!(header::value(&refusal.headers, "Retry-After"), Some("5"));
    }
    layer.receive_as(spread(0), nth(&to(Method::Invite, "911"), 10_002), Priority::Emergency);
    // What is known already still works.
    layer.receive(spread(0), nth(&to(Method::Cancel, "5551212"), 0));
    assert_eq!(layer.drain(), ["0.000 > 200", "0.000 ! INVITE", "0.000 ! Cancelled"]);
}

#[test]
fn even_emergency_calls_can_not_make_the_tables_grow_without_bound() {
    let mut layer = Layer::new();
    let invite = to(Method::Invite, "911");
    for n in 0..MAX + RESERVE + 10 {
        layer.receive_as(spread(n), nth(&invite, n), Priority::Emergency);
    }
    assert_eq!(layer.transactions.len(), MAX + RESERVE);
}

#[test]
fn one_source_that_gets_no_answers_is_refused_and_named_while_others_are_served() {
    let mut layer = Layer::new();
    let invite = to(Method::Invite, "5551212");
    for n in 0..9_500 {
        layer.receive(spread(1), nth(&invite, n));
    }
    assert_eq!(layer.transactions.len(), MAX_UNANSWERED);
    let events = std::iter::from_fn(|| layer.transactions.poll_event());
    let crowded: Vec<_> = events.filter(|event| matches!(event, Event::Crowded { .. })).collect();
    assert!(matches!(&crowded[..], [Event::Crowded { flow }] if *flow == spread(1)), "{crowded:?}");
    layer.receive(spread(2), nth(&invite, 20_000));
    layer.receive_as(spread(1), nth(&to(Method::Invite, "911"), 20_001), Priority::Emergency);
    assert_eq!(layer.transactions.len(), MAX_UNANSWERED + 2);
}

#[test]
fn one_source_s_answered_requests_make_room_for_its_own_newer_ones() {
    let mut layer = Layer::new();
    let mut crowded = 0;
    for n in 0..MAX_ANSWERED + 700 {
        layer.receive(spread(1), nth(&to(Method::Register, "101"), n));
        let event = layer.transactions.poll_event();
        let event = match event {
            Some(Event::Crowded { .. }) => {
                crowded += 1;
                layer.transactions.poll_event()
            }
            event => event,
        };
        let Some(Event::Request { id, request, .. }) = event else { panic!("no request: {event:?}") };
        layer.respond(id, &request, 200);
        layer.sent_response();
    }
    assert_eq!((layer.transactions.len(), crowded), (MAX_ANSWERED, 1));
    // The newest are repeated, the oldest are asked anew.
    layer.receive(spread(1), nth(&to(Method::Register, "101"), MAX_ANSWERED + 699));
    assert_eq!(layer.sent_response().1.status_code.code(), 200);
    layer.receive(spread(1), nth(&to(Method::Register, "101"), 0));
    layer.request();
}

#[test]
fn in_a_table_full_of_answered_requests_the_source_with_the_most_gives_way() {
    let mut layer = Layer::new();
    let mut n = 0;
    let mut ask = |layer: &mut Layer, from: usize, method: Method| {
        n += 1;
        layer.receive(spread(from), nth(&to(method, "101"), n));
        let (id, request) = layer.request();
        layer.respond(id, &request, if method == Method::Invite { 486 } else { 200 });
        while layer.transactions.poll_transmit().is_some() {}
    };
    for from in 1..=5 {
        for _ in 0..MAX_ANSWERED - 10 * from {
            ask(&mut layer, from, Method::Invite);
        }
    }
    assert_eq!(layer.transactions.len(), MAX);
    for _ in 0..300 {
        ask(&mut layer, 9, Method::Register);
    }
    assert_eq!(layer.transactions.len(), MAX, "nobody was refused");
}

#[test]
fn a_request_of_ours_beyond_the_limit_fails_at_once_and_an_emergency_call_s_does_not() {
    let mut layer = Layer::new();
    let options = ours(Method::Options);
    for _ in 0..MAX {
        layer.send(tls(), options.clone());
    }
    while layer.transactions.poll_transmit().is_some() {}
    layer.send(tls(), options.clone());
    assert_eq!(layer.drain(), ["0.000 ! Failed Transport"]);
    let Layer { transactions, random, now, .. } = &mut layer;
    transactions.request(*now, tls(), options, OWNER, Priority::Emergency, random);
    assert!(layer.transactions.poll_transmit().is_some());
}

#[test]
fn a_refusal_without_transaction_is_the_same_each_time() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK2"));
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK2"));
    assert_eq!(layer.transactions.poll_transmit().unwrap(), layer.transactions.poll_transmit().unwrap());
}

#[test]
fn a_response_copies_what_section_8_2_6_says_and_keeps_a_tag_that_is_there() {
    let mut request = theirs(Method::Bye, "z9hG4bK1");
    request.headers.push(header::make("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa"));
    request.headers.push(header::make("Timestamp", "54"));
    let response = response_to(&request, 200, Some("ours"));
    assert_eq!(header::values(&response.headers, "Via").count(), 2);
    assert_eq!(header::value(&response.headers, "To"), Some("<sip:5551212@gw>;tag=ours"));
    assert_eq!(header::value(&response.headers, "Timestamp"), None);
    assert_eq!(header::value(&response.headers, "Contact"), None);
    assert_eq!(header::value(&response_to(&request, 100, None).headers, "Timestamp"), Some("54"));
    assert_eq!(header::value(&response_to(&request, 100, None).headers, "To"), Some("<sip:5551212@gw>"));
    header::set(&mut request.headers, "To", "sip:5551212@gw;tag=old");
    assert_eq!(header::value(&response_to(&request, 200, Some("ours")).headers, "To"), Some("sip:5551212@gw;tag=old"));
}

/// A request whose texts are as long as a head may be.
fn long(method: Method, n: usize) -> Request {
    let via = format!("SIP/2.0/UDP 192.0.2.101;branch=z9hG4bK{n}-{}", "b".repeat(12_000));
    with_via(nth(&to(method, "5551212"), n), &via)
}

#[test]
fn a_source_of_long_requests_holds_its_part_of_the_octets_whether_they_are_answered_or_not() {
    for answers in [true, false] {
        let mut layer = Layer::new();
        for n in 0..1000 {
            layer.receive(spread(1), long(Method::Register, n));
            if let Some(Event::Request { id, request, .. }) = layer.transactions.poll_event()
                && answers
            {
                layer.respond(id, &request, 200);
            }
            while layer.transactions.poll_transmit().is_some() || layer.transactions.poll_event().is_some() {}
            assert!(layer.transactions.octets() <= MAX_OF_SOURCE + 64 * 1024, "{}", layer.transactions.octets());
        }
        assert!(layer.transactions.octets() > MAX_OF_SOURCE / 2);
        // Others are served meanwhile, and an emergency call of the same source.
        layer.receive(spread(2), nth(&to(Method::Invite, "5551212"), 5000));
        layer.request();
        layer.receive_as(spread(1), nth(&to(Method::Invite, "911"), 5001), Priority::Emergency);
        layer.request();
    }
}

#[test]
fn many_sources_of_long_requests_fill_the_octets_and_an_emergency_call_finds_room_all_the_same() {
    let mut layer = Layer::new();
    for n in 0..2000 {
        layer.receive(spread(n), long(Method::Invite, n));
        while layer.transactions.poll_transmit().is_some() || layer.transactions.poll_event().is_some() {}
    }
    let full = layer.transactions.octets();
    assert!(full <= MAX_OCTETS && full > MAX_OCTETS - 64 * 1024, "{full}");
    layer.receive_as(spread(7000), nth(&to(Method::Invite, "911"), 7000), Priority::Emergency);
    layer.request();
    for n in 0..1000 {
        layer.receive_as(spread(n), long(Method::Invite, 8000 + n), Priority::Emergency);
    }
    assert!(layer.transactions.octets() <= MAX_OCTETS + RESERVE_OCTETS);
}

#[test]
fn with_less_memory_answered_requests_give_way_sooner_and_emergency_calls_do_not() {
    let mut layer = Layer::new();
    layer.transactions.set_max_octets(100_000);
    for n in 0..1000 {
        layer.receive(spread(n), nth(&to(Method::Register, "101"), n));
        let (id, request) = layer.request();
        layer.respond(id, &request, 200);
        layer.sent_response();
        assert!(layer.transactions.octets() <= 101_000);
    }
    for n in 0..RESERVE {
        layer.receive_as(spread(n), nth(&to(Method::Invite, "911"), 2000 + n), Priority::Emergency);
        layer.request();
    }
}
