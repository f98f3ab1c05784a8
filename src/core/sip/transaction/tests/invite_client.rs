use super::*;

#[test]
fn an_invite_over_udp_is_repeated_by_timer_a_until_timer_b_gives_up() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    assert_eq!(
        layer.run(60.0),
        [
            "0.000 > INVITE",
            "0.500 > INVITE",
            "1.500 > INVITE",
            "3.500 > INVITE",
            "7.500 > INVITE",
            "15.500 > INVITE",
            "31.500 > INVITE",
            "32.000 ! Failed Timeout",
        ]
    );
    layer.assert_empty();
}

#[test]
fn an_invite_over_a_stream_is_sent_once() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Invite));
    assert_eq!(layer.run(60.0), ["0.000 > INVITE", "32.000 ! Failed Timeout"]);
    layer.assert_empty();
}

#[test]
fn every_repetition_has_the_same_octets() {
    let mut layer = Layer::new();
    // At a phone that names the port that it sends from.
    let uri = crate::sip::uri::parse("sip:102@192.0.2.101:40000").unwrap();
    layer.send(udp(), Request { uri, ..ours(Method::Invite) });
    let first = layer.transactions.poll_transmit().unwrap();
    layer.transactions.handle_timeout(Instant::from_secs(1));
    assert_eq!(layer.transactions.poll_transmit().unwrap(), first);
}

#[test]
fn the_request_gets_our_via_in_front_and_max_forwards() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Invite));
    let sent = layer.sent_request();
    let via = header::Via::parse(header::value(&sent.headers, "Via").unwrap()).unwrap();
    assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("TLS", "192.0.2.1", Some(5060)));
    assert_eq!(via.params.get("rport"), Some(None));
    assert!(via.branch().unwrap().starts_with("z9hG4bK"));
    assert_eq!(header::value(&sent.headers, "Max-Forwards"), Some("70"));
    assert!(header::parts(sent.headers.iter().next().unwrap()).0.eq_ignore_ascii_case("Via"));
}

#[test]
fn a_provisional_response_stops_the_repetition_and_the_invite_then_waits_as_long_as_it_takes() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 180, "x"));
    assert_eq!(layer.run(3600.0), ["0.000 ! 180"]);
    layer.receive(udp(), answer(&invite, 183, "x"));
    assert_eq!(layer.drain(), ["3600.000 ! 183"]);
    assert_eq!(layer.transactions.len(), 1);
}

#[test]
fn a_final_response_is_acknowledged_again_each_time_but_told_once_until_timer_d() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 486, "x"));
    assert_eq!(layer.drain(), ["0.000 > ACK", "0.000 ! 486"]);
    layer.run(31.9);
    layer.receive(udp(), answer(&invite, 486, "x"));
    assert_eq!(layer.drain(), ["31.900 > ACK"]);
    assert_eq!(layer.run(32.1), [""; 0]);
    layer.assert_empty();
    layer.receive(udp(), answer(&invite, 486, "x"));
    assert_eq!((layer.drain(), layer.transactions.strays()), (vec![], 1));
}

#[test]
fn over_a_stream_a_final_response_ends_the_transaction_at_once() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(tls(), answer(&invite, 403, "x"));
    assert_eq!(layer.drain(), ["0.000 > ACK", "0.000 ! 403"]);
    layer.assert_empty();
}

#[test]
fn the_ack_to_a_refusal_has_the_invites_branch_route_and_number_and_the_responses_to() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 486, "far"));
    let ack = layer.sent_request();
    assert_eq!(ack.method, Method::Ack);
    assert_eq!(ack.uri, invite.uri);
    for name in ["Via", "Route", "From", "Call-ID"] {
        assert_eq!(header::value(&ack.headers, name), header::value(&invite.headers, name), "{name}");
    }
    assert_eq!(header::value(&ack.headers, "CSeq"), Some("7 ACK"));
    assert_eq!(header::value(&ack.headers, "To"), Some("<sip:102@gw>;tag=far"));
    assert_eq!(header::value(&ack.headers, "Contact"), None);
}

#[test]
fn forked_and_repeated_2xx_all_go_up_until_timer_m_and_the_layer_acknowledges_none() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 180, "one"));
    layer.receive(udp(), answer(&invite, 200, "one"));
    layer.receive(udp(), answer(&invite, 200, "two"));
    layer.receive(udp(), answer(&invite, 200, "one"));
    assert_eq!(layer.drain(), ["0.000 ! 180", "0.000 ! 200", "0.000 ! 200", "0.000 ! 200"]);
    // Nothing else of other forks matters any more.
    layer.receive(udp(), answer(&invite, 180, "three"));
    layer.receive(udp(), answer(&invite, 486, "three"));
    assert_eq!(layer.run(31.9), [""; 0]);
    layer.receive(udp(), answer(&invite, 200, "four"));
    assert_eq!(layer.run(32.0), ["31.900 ! 200", "32.000 ! Over"]);
    layer.assert_empty();
}

#[test]
fn a_cancel_before_any_response_waits_for_the_first_provisional_one() {
    let mut layer = Layer::new();
    let id = layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.cancel(id);
    assert_eq!(layer.run(0.6), ["0.500 > INVITE"], "no CANCEL yet, and the INVITE goes on");
    layer.receive(udp(), answer(&invite, 100, "x"));
    let cancel = layer.sent_request();
    assert_eq!(cancel.method, Method::Cancel);
    for name in ["Via", "Route", "From", "To", "Call-ID"] {
        assert_eq!(header::value(&cancel.headers, name), header::value(&invite.headers, name), "{name}");
    }
    assert_eq!(header::value(&cancel.headers, "CSeq"), Some("7 CANCEL"));
    assert_eq!(layer.drain(), ["0.600 ! 100"]);

    layer.receive(udp(), answer(&cancel, 200, "x"));
    layer.receive(udp(), answer(&invite, 487, "x"));
    assert_eq!(layer.run(100.0), ["0.600 > ACK", "0.600 ! 487"], "the 200 to the CANCEL is nobody's business");
    layer.assert_empty();
}

#[test]
fn a_cancel_after_a_provisional_response_goes_at_once_and_once() {
    let mut layer = Layer::new();
    let id = layer.send(tls(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(tls(), answer(&invite, 180, "x"));
    layer.cancel(id);
    layer.cancel(id);
    layer.receive(tls(), answer(&invite, 180, "x"));
    assert_eq!(layer.drain(), ["0.000 > CANCEL", "0.000 ! 180", "0.000 ! 180"]);
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_told_and_stays_the_users_to_end() {
    let mut layer = Layer::new();
    let id = layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 180, "x"));
    layer.cancel(id);
    let cancel = layer.sent_request();
    layer.receive(udp(), answer(&invite, 200, "x"));
    layer.receive(udp(), answer(&cancel, 481, "x"));
    assert_eq!(layer.run(100.0), ["0.000 ! 180", "0.000 ! 200", "32.000 ! Over"]);
    layer.assert_empty();
}

#[test]
fn a_cancel_after_a_final_response_does_nothing() {
    let mut layer = Layer::new();
    let id = layer.send(udp(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(udp(), answer(&invite, 200, "x"));
    layer.cancel(id);
    layer.receive(udp(), answer(&invite, 100, "x"));
    assert_eq!(layer.drain(), ["0.000 ! 200"]);
}

#[test]
fn a_cancelled_invite_without_final_response_fails_64_t1_after_the_cancel() {
    let mut layer = Layer::new();
    let id = layer.send(tls(), ours(Method::Invite));
    let invite = layer.sent_request();
    layer.receive(tls(), answer(&invite, 180, "x"));
    layer.run(60.0);
    layer.cancel(id);
    assert_eq!(layer.run(200.0), ["60.000 > CANCEL", "92.000 ! Failed Timeout"]);
    layer.assert_empty();
}

#[test]
fn an_invite_that_nobody_answers_and_that_was_cancelled_still_fails_by_timer_b() {
    let mut layer = Layer::new();
    let id = layer.send(tls(), ours(Method::Invite));
    layer.cancel(id);
    assert_eq!(layer.run(200.0), ["0.000 > INVITE", "32.000 ! Failed Timeout"]);
    layer.assert_empty();
}
