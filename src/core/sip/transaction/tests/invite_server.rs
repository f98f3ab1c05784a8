use super::*;

/// An INVITE that has reached the user.
fn invited(flow: Flow) -> (Layer, ServerId, Request) {
    let mut layer = Layer::new();
    layer.receive(flow, theirs(Method::Invite, "z9hG4bK1"));
    let (id, request) = layer.request();
    (layer, id, request)
}

/// The ACK to a final response that is no 2xx: branch of the INVITE, To of the response.
fn ack(branch: &str) -> Request {
    let mut ack = theirs(Method::Ack, branch);
    header::set(&mut ack.headers, "To", "<sip:5551212@gw>;tag=ours");
    ack
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_response_again_and_is_told_once() {
    let (mut layer, id, request) = invited(udp());
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    assert_eq!(layer.drain(), [""; 0], "the user has not said anything yet");
    layer.respond(id, &request, 100);
    layer.respond(id, &request, 180);
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 > 100", "0.000 > 180", "0.000 > 180"]);
}

#[test]
fn a_refusal_over_udp_is_repeated_by_timer_g_until_timer_h_tells_that_no_ack_came() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 486);
    assert_eq!(
        layer.run(100.0),
        [
            "0.000 > 486",
            "0.500 > 486",
            "1.500 > 486",
            "3.500 > 486",
            "7.500 > 486",
            "11.500 > 486",
            "15.500 > 486",
            "19.500 > 486",
            "23.500 > 486",
            "27.500 > 486",
            "31.500 > 486",
            "32.000 ! NoAck",
        ]
    );
    layer.assert_empty();
}

#[test]
fn a_refusal_over_a_stream_is_sent_once_and_still_waits_for_its_ack() {
    let (mut layer, id, request) = invited(tls());
    layer.respond(id, &request, 486);
    assert_eq!(layer.run(100.0), ["0.000 > 486", "32.000 ! NoAck"]);
    layer.assert_empty();
}

#[test]
fn an_ack_stops_the_repetition_and_further_acks_are_absorbed_until_timer_i() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 486);
    layer.run(1.0);
    layer.receive(udp(), ack("z9hG4bK1"));
    layer.receive(udp(), ack("z9hG4bK1"));
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    assert_eq!(layer.run(5.9), [""; 0]);
    assert_eq!(layer.transactions.len(), 1);
    assert_eq!(layer.run(6.0), [""; 0]);
    layer.assert_empty();
}

#[test]
fn an_ack_just_before_timer_h_is_in_time() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 486);
    layer.run(31.9);
    layer.receive(udp(), ack("z9hG4bK1"));
    assert_eq!(layer.run(100.0), [""; 0]);
    layer.assert_empty();
}

#[test]
fn over_a_stream_the_ack_ends_the_transaction_at_once() {
    let (mut layer, id, request) = invited(tls());
    layer.respond(id, &request, 404);
    layer.receive(tls(), ack("z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 > 404"]);
    layer.assert_empty();
}

#[test]
fn a_repeated_invite_after_a_refusal_gets_the_refusal_again() {
    let (mut layer, id, request) = invited(tls());
    layer.respond(id, &request, 486);
    layer.receive(tls(), theirs(Method::Invite, "z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 > 486", "0.000 > 486"]);
}

#[test]
fn after_a_2xx_repeated_invites_are_absorbed_until_timer_l_and_the_user_repeats_the_2xx() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 200);
    layer.run(0.5);
    layer.receive(udp(), theirs(Method::Invite, "z9hG4bK1"));
    assert_eq!(layer.drain(), [""; 0]);
    layer.respond(id, &request, 200);
    assert_eq!(layer.run(31.9), ["0.500 > 200"]);
    assert_eq!(layer.transactions.len(), 1);
    layer.run(32.0);
    layer.assert_empty();
    layer.respond(id, &request, 200);
    assert_eq!(layer.drain(), [""; 0], "too late");
}

#[test]
fn the_ack_to_a_2xx_goes_up_whether_its_branch_is_new_or_that_of_the_invite() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 200);
    layer.drain();
    layer.receive(udp(), ack("z9hG4bKnew"));
    layer.receive(udp(), ack("z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 ! ACK", "0.000 ! ACK"]);
}

#[test]
fn nothing_can_be_said_after_a_final_response() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 486);
    layer.respond(id, &request, 180);
    layer.respond(id, &request, 200);
    layer.respond(id, &request, 603);
    assert_eq!(layer.drain(), ["0.000 > 486"]);
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 200);
    layer.respond(id, &request, 486);
    assert_eq!(layer.drain(), ["0.000 > 200"]);
}

#[test]
fn a_cancel_is_answered_with_the_tag_of_the_invite_and_told_while_the_invite_is_pending() {
    let (mut layer, id, request) = invited(udp());
    layer.respond(id, &request, 180);
    layer.drain();
    layer.receive(udp(), theirs(Method::Cancel, "z9hG4bK1"));
    let (_, ok) = layer.sent_response();
    assert_eq!(ok.status_code.code(), 200);
    assert_eq!(header::value(&ok.headers, "CSeq"), Some("1 CANCEL"));
    assert_eq!(header::value(&ok.headers, "To"), Some("<sip:5551212@gw>;tag=ours"));
    assert_eq!(layer.drain(), ["0.000 ! Cancelled"]);

    // Its 200 got lost.
    layer.receive(udp(), theirs(Method::Cancel, "z9hG4bK1"));
    assert_eq!(layer.drain(), ["0.000 > 200"], "the user hears of it once");

    layer.respond(id, &request, 487);
    layer.receive(udp(), ack("z9hG4bK1"));
    assert_eq!(layer.run(40.0), ["0.000 > 487"]);
    layer.assert_empty();
}

#[test]
fn a_cancel_that_crosses_the_final_response_is_answered_and_has_no_effect() {
    for code in [200, 486] {
        let (mut layer, id, request) = invited(tls());
        layer.respond(id, &request, code);
        layer.drain();
        layer.receive(tls(), theirs(Method::Cancel, "z9hG4bK1"));
        assert_eq!(layer.drain(), ["0.000 > 200"], "{code}");
    }
}

#[test]
fn a_cancel_of_nothing_gets_481() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Cancel, "z9hG4bK9"));
    let (_, response) = layer.sent_response();
    assert_eq!(response.status_code.code(), 481);
    assert!(header::value(&response.headers, "To").unwrap().contains(";tag="));
    layer.assert_empty();
}

#[test]
fn a_phone_of_rfc_2543_repeats_acknowledges_and_cancels_without_a_magic_cookie() {
    let old = |method: Method, cseq: u32| {
        let mut request = theirs(method, "1");
        header::set(&mut request.headers, "CSeq", format!("{cseq} {}", wire::method_token(method)));
        header::set(&mut request.headers, "Via", "SIP/2.0/UDP 192.0.2.101");
        request
    };
    let mut layer = Layer::new();
    layer.receive(udp(), old(Method::Invite, 1));
    let (id, request) = layer.request();
    layer.respond(id, &request, 180);
    layer.receive(udp(), old(Method::Invite, 1));
    layer.receive(udp(), old(Method::Cancel, 1));
    assert_eq!(layer.drain(), ["0.000 > 180", "0.000 > 180", "0.000 > 200", "0.000 ! Cancelled"]);
    layer.respond(id, &request, 487);
    let mut ack = old(Method::Ack, 1);
    header::set(&mut ack.headers, "To", "<sip:5551212@gw>;tag=ours");
    layer.receive(udp(), ack);
    assert_eq!(layer.run(4.9), ["0.000 > 487"]);
    // The same Via, but another request.
    layer.receive(udp(), old(Method::Invite, 2));
    assert_eq!(layer.drain(), ["4.900 ! INVITE"]);
}
