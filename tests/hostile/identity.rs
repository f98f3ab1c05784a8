//! Who somebody is follows from the password and from where it comes, never from what it writes.

use gateway_core::engine::Input;
use gateway_core::sip::flow::Transport;
use gateway_core::sip::{header, uri};
use rsip::Method;

use crate::office::{Ask, Far, Office, codes, handset, response, sdp, udp};

fn invite(office: &mut Office, from: &str, number: &str) -> Ask {
    let unique = office.unique();
    Ask::new("INVITE", &format!("sip:{number}@192.168.1.1"), from, number, unique)
        .header("Contact: <sip:x@192.168.1.66:5060>")
        .sdp(&sdp("192.168.1.66:4000"))
}

#[test]
fn an_unauthenticated_source_cannot_call_whatever_it_claims() {
    let mut office = Office::with_handsets(1);
    let flow = udp("192.168.1.66:5060");
    for number in ["5035551212", "102", "+15035550100", "933333", "0911", "911;ext=1@x", "%39%31%31%31"] {
        for line in [
            "P-Asserted-Identity: <sip:101@192.168.1.1>",
            "P-Preferred-Identity: <sip:101@192.168.1.1>",
            "Remote-Party-ID: <sip:101@192.168.1.1>",
            "Authorization: Digest username=\"101\"",
            "Proxy-Authorization: Basic MTAxOg==",
            "Route: <sip:911@192.168.1.1;lr>",
        ] {
            let ask = invite(&mut office, "101", number).header(line);
            let answers = codes(&office.give(flow, ask.text(flow)));
            assert!(matches!(answers[..], [400 | 401]), "{number} {line}: {answers:?}");
        }
    }
    assert_eq!(office.most.calls, 0);
    assert!(office.trunk_requests(Method::Invite).is_empty());
}

#[test]
fn the_caller_is_who_proved_the_password_not_who_stands_in_from() {
    let mut office = Office::with_handsets(2);
    let flow = handset("103");
    let mut ask = invite(&mut office, "101", "5035551212");
    ask.from = "\"Boss\" <sip:101@192.168.1.1>;tag=x".into();
    office.with_password(flow, "103", "lan-secret-103", &ask);
    let out = office.trunk_requests(Method::Invite).pop().expect("the call is 103's to make");
    let from = header::value(&out.headers, "From").expect("a From");
    assert!(from.contains("sip:103@office.sip.twilio.com") && !from.contains("Boss"), "{from}");
}

#[test]
fn a_handset_cannot_register_as_another_extension() {
    let mut office = Office::new(3);
    let ask = Ask::new("REGISTER", "sip:192.168.1.1", "101", "101", 1).header("Contact: <sip:101@192.168.1.103>");
    assert_eq!(codes(&office.with_password(handset("103"), "103", "lan-secret-103", &ask)), [403]);
    assert_eq!(office.engine.sizes().bindings, 0);
}

#[test]
fn calls_go_to_where_a_handset_registered_from_wherever_its_contact_points() {
    for contact in [
        "<sip:102@198.51.100.1:5060>",
        "<sip:102@224.0.1.75>",
        "<sip:102@255.255.255.255>",
        "<sip:102@127.0.0.1:5060>",
        "<sip:102@192.168.1.1:5060>",
        "<sip:102@evil.example;maddr=198.51.100.1>",
        "<sip:102@192.168.1.101;received=198.51.100.1>",
    ] {
        let mut office = Office::new(4);
        office.register(handset("101"), "101");
        let ask = Ask::new("REGISTER", "sip:192.168.1.1", "102", "102", 77).header(&format!("Contact: {contact}"));
        assert_eq!(codes(&office.with_password(handset("102"), "102", "lan-secret-102", &ask)), [200], "{contact}");
        office.sent.clear();
        office.dial("101", "102");
        let rung: Vec<_> =
            office.sent.iter().filter(|sent| sent.request().is_some_and(|r| r.method == Method::Invite)).collect();
        assert_eq!(rung.len(), 1, "{contact}");
        assert_eq!(rung[0].flow.remote, handset("102").remote, "{contact}");
        office.far = Far::Answers;
        office.assert_quiet();
    }
}

#[test]
fn answers_go_to_the_source_whatever_the_via_says() {
    let mut office = Office::new(5);
    let flow = udp("192.168.1.66:5066");
    for (number, via) in [
        "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK",
        "SIP/2.0/UDP 192.168.1.66:5066;received=198.51.100.1;branch=z9hG4bK",
        "SIP/2.0/UDP 192.168.1.66:5066;received=198.51.100.1;rport=9;branch=z9hG4bK",
        "SIP/2.0/UDP 192.168.1.66:5066;maddr=198.51.100.1;branch=z9hG4bK",
        "SIP/2.0/UDP evil.example;maddr=224.0.0.1;ttl=255;branch=z9hG4bK",
        "SIP/2.0/TCP 192.168.1.66;branch=z9hG4bK",
    ]
    .into_iter()
    .enumerate()
    {
        let mut ask = Ask::new("OPTIONS", "sip:192.168.1.1", "x", "y", number as u64);
        ask.via = Some(format!("{via}{number}"));
        let answers = office.give(flow, ask.text(flow));
        assert_eq!(answers.len(), 1, "{via}");
        assert_eq!(answers[0].flow.remote.ip(), flow.remote.ip(), "{via}");
    }
}

#[test]
fn a_cancel_from_elsewhere_does_not_end_a_call() {
    let mut office = Office::with_handsets(6);
    office.far = Far::Rings;
    let (ask, _) = office.dial("101", "5035551212");
    let mut cancel = ask.clone();
    cancel.method = "CANCEL".into();
    (cancel.headers, cancel.body) = (String::new(), String::new());
    // The second INVITE, that with credentials, is the one that rings.
    (cancel.branch, cancel.cseq) = (cancel.branch + "b", 2);
    let text = cancel.text(handset("101"));
    for foreign in [udp("192.168.1.66:5060"), handset("102")] {
        assert_eq!(codes(&office.give(foreign, &text)), [481]);
    }
    assert_eq!(office.engine.sizes().calls, 1);
    assert!(codes(&office.give(handset("101"), &text)).contains(&487), "the caller itself may");
    office.assert_quiet();
}

#[test]
fn requests_inside_a_dialog_from_a_foreign_address_do_nothing() {
    let mut office = Office::with_handsets(7);
    let (ask, answers) = office.dial("101", "5035551212");
    let answer = answers.iter().find(|sent| sent.flow == handset("101") && sent.code() == Some(200)).expect("answered");
    office.give(handset("101"), ask.inside("ACK", answer, 2).text(handset("101")));
    let trunk = office.trunk.expect("it is up");
    for (cseq, method) in (3..).zip(["BYE", "INVITE", "UPDATE", "REFER", "INFO", "NOTIFY"]) {
        for foreign in [udp("192.168.1.66:5060"), handset("102"), trunk] {
            let mut attack = ask.inside(method, answer, cseq);
            attack.branch += &foreign.remote.ip().to_string();
            let request = attack.sdp(&sdp("198.51.100.1:4000")).text(foreign);
            // On the LAN it may be the phone, which has moved.
            let code = if foreign == trunk { 481 } else { 401 };
            assert_eq!(codes(&office.give(foreign, request)), [code], "{method} from {}", foreign.remote);
        }
    }
    assert_eq!(office.engine.sizes().calls, 1);
    let remotes: Vec<_> = office.media.values().filter_map(|(_, params)| params.as_ref()?.remote).collect();
    assert!(remotes.iter().all(|remote| remote.ip().to_string() != "198.51.100.1"), "{remotes:?}");
    office.give(handset("101"), ask.inside("BYE", answer, 20).text(handset("101")));
    office.assert_quiet();
}

#[test]
fn a_response_from_a_foreign_address_is_no_response() {
    let mut office = Office::with_handsets(8);
    office.dial("101", "102");
    let invite = office.sent.iter().find(|sent| sent.flow == handset("102")).and_then(|sent| sent.request());
    let invite = invite.expect("102 rings");
    let answer = gateway_core::sip::transaction::response_to(&invite, 486, Some("forged"));
    let bytes = gateway_core::sip::wire::write_response(&answer);
    office.give(udp("192.168.1.66:5060"), &bytes);
    assert_eq!(office.engine.sizes().calls, 1);
    office.give(handset("102"), &bytes);
    assert_eq!(office.engine.sizes().calls, 0);
    office.assert_quiet();
}

#[test]
fn max_forwards_0_ends_here() {
    let mut office = Office::with_handsets(9);
    let ask = invite(&mut office, "101", "5035551212").header("Max-Forwards: 0");
    let answers = office.with_password(handset("101"), "101", "lan-secret-101", &ask);
    assert_eq!(codes(&answers), [483]);
    assert!(office.trunk_requests(Method::Invite).is_empty());
}

#[test]
fn our_own_address_as_source_or_target_is_no_loop() {
    let mut office = Office::with_handsets(10);
    let own = udp(crate::office::LAN);
    let options = Ask::new("OPTIONS", "sip:192.168.1.1", "x", "y", 900);
    // What we answer ourselves comes back as an answer to nothing.
    for sent in office.give(own, options.text(own)) {
        assert!(office.give(own, &sent.bytes).is_empty());
    }
    let ask = invite(&mut office, "101", "101");
    office.with_password(handset("101"), "101", "lan-secret-101", &ask);
    assert!(office.most.calls <= 1);
    office.assert_quiet();
}

#[test]
fn line_breaks_and_quotes_in_names_do_not_become_headers_on_the_other_side() {
    let mut office = Office::with_handsets(11);
    let evil = [
        "<sip:%0d%0aX-Evil:%20yes@x>;tag=1",
        "\"a\\\"\r\n X-Evil: yes\" <sip:101@x>;tag=1",
        "\"\\\r\\\nX-Evil: yes\" <sip:%00%0a%1b[2J@x>;tag=1",
        "\"Bob\" <sip:1%22%3e%3csip:x@x>;tag=1",
    ];
    let trunk = office.trunk.expect("it is up");
    for (number, from) in evil.into_iter().enumerate() {
        for trunk_side in [false, true] {
            let mut ask = invite(&mut office, "x", if trunk_side { "101" } else { "5035551212" });
            ask.from = from.into();
            let before = office.sent.len();
            if trunk_side {
                ask.body = crate::office::secure_sdp("168.86.130.1:9000");
                office.give(trunk, ask.text(trunk));
            } else {
                office.with_password(handset("101"), "101", "lan-secret-101", &ask);
            }
            for sent in &office.sent[before..] {
                let Some(request) = sent.request() else { continue };
                assert_eq!(header::value(&request.headers, "X-Evil"), None, "{number}: {}", sent.text());
                let head = sent.text();
                let head = head.split("\r\n\r\n").next().unwrap_or_default();
                let bad = head.replace("\r\n", "").chars().find(|c| c.is_control());
                assert_eq!(bad, None, "{number}: {head:?}");
            }
        }
    }
    office.assert_quiet();
}

#[test]
fn a_dialled_number_with_line_breaks_is_refused_or_escaped() {
    let mut office = Office::with_handsets(12);
    for number in ["5035551212%0d%0aX-Evil:%20yes", "%0a911", "503%00555%1b1212", "5035551212%3Btag%3D1"] {
        let ask = invite(&mut office, "101", number);
        office.with_password(handset("101"), "101", "lan-secret-101", &ask);
    }
    for request in office.trunk_requests(Method::Invite) {
        assert_eq!(header::value(&request.headers, "X-Evil"), None);
        let user = uri::user(&request.uri).unwrap_or_default();
        assert!(user.bytes().all(|b| b.is_ascii_digit() || b == b'+'), "{user:?}");
    }
    for event in &office.events {
        assert!(!event.subject.chars().any(char::is_control), "{event:?}");
    }
    office.assert_quiet();
}

#[test]
fn a_refer_to_odd_places_is_refused_and_the_call_goes_on() {
    let mut office = Office::with_handsets(13);
    let (ask, answers) = office.dial("101", "5035551212");
    let answer =
        answers.iter().find(|sent| sent.flow == handset("101") && sent.code() == Some(200)).expect("answered").clone();
    office.give(handset("101"), ask.inside("ACK", &answer, 2).text(handset("101")));
    office.sent.clear();
    for (cseq, target) in (3..).zip([
        "<http://evil.example/>",
        "<tel:>",
        "<sip:@>",
        "<sip:>",
        "nonsense",
        "<sip:5035551212@x;method=BYE>",
        "<sip:102@x?Replaces=nonsense>",
        "<sip:102@x?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
        "<sip:102@x?Route=%3Csip:evil%3E>",
        "<sip:%0d%0a@x>",
        "<sip:****@x>",
        "<sip:+19005551212000000000000000000@x>",
        "<mailto:a@b>",
    ]) {
        let refer = ask.inside("REFER", &answer, cseq).header(&format!("Refer-To: {target}"));
        let answers = office.give(handset("101"), refer.text(handset("101")));
        let code = codes(&answers).first().copied();
        assert!(code.is_some(), "{target}: no answer");
        if target.contains("Route") {
            // A header of the URI is ignored, the extension is rung; it goes wherever it likes.
            let rung: Vec<_> = answers.iter().filter_map(|sent| sent.request()).collect();
            assert!(rung.iter().all(|request| header::value(&request.headers, "Route").is_none()));
            break;
        }
        assert!(code >= Some(400), "{target}: {code:?}");
    }
    assert_eq!(office.engine.sizes().calls, 1);
    let out = office.sent.iter().filter(|sent| sent.flow.transport == Transport::Tls);
    assert_eq!(out.filter(|sent| sent.request().is_some_and(|r| r.method == Method::Invite)).count(), 0);
    let bye = ask.inside("BYE", &answer, 90);
    office.give(handset("101"), bye.text(handset("101")));
    office.assert_quiet();
}

#[test]
fn a_challenge_answered_for_one_number_is_no_licence_for_another() {
    let mut office = Office::with_handsets(14);
    let ask = invite(&mut office, "101", "102");
    let flow = handset("101");
    let first = office.give(flow, ask.text(flow));
    let (challenge, name) = gateway_core::sip::digest::strongest(&response(&first[0])).expect("a challenge");
    let credentials =
        gateway_core::sip::digest::answer(&challenge, "101", "lan-secret-101", "INVITE", &ask.uri, 1, "c");
    let stolen = invite(&mut office, "101", "5035551212").header(&format!("{name}: {credentials}"));
    assert_eq!(codes(&office.give(flow, stolen.text(flow))), [401], "another callee");
    let replayed = invite(&mut office, "101", "102").header(&format!("{name}: {credentials}"));
    let elsewhere = udp("192.168.1.66:5060");
    assert_eq!(codes(&office.give(elsewhere, replayed.text(elsewhere))), [401], "another address");
    office.input(Input::Tick);
}
