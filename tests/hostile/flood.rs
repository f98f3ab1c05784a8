//! Much of everything: tables stay within their bounds, answers are few and small, and handsets are served meanwhile.

use std::time::Duration;

use gateway_core::engine::{Input, MAX_STREAMS};
use gateway_core::sip::transaction;

use crate::office::{Ask, Office, codes, handset, source, tcp, udp};

/// Octets by which an answer may be longer than what asked for it: a challenge, a Warning.
const MORE: usize = 600;

#[test]
fn invites_without_a_password_from_everywhere_leave_nothing_behind() {
    // GATEWAY_FUZZ=100000 cargo test --test hostile invites_without; twice what the table holds is enough to see it.
    let count = std::env::var("GATEWAY_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut office = Office::with_handsets(1);
    office.keeps = false;
    for number in 0..count {
        let remote = source(number);
        let ask = Ask::new("INVITE", "sip:5035551212@192.168.1.1", "101", "5035551212", u64::from(number) + 1000)
            .header(&format!("Contact: <sip:101@{remote}>"));
        let flow = udp(&remote.to_string());
        office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
    }
    assert!(office.most.transactions < 100, "{:?}", office.most);
    assert_eq!((office.most.calls, office.most.media), (0, 0));
    office.keeps = true;
    let (_, answers) = office.dial("101", "102");
    assert!(codes(&answers).contains(&100), "a registered handset still calls: {:?}", codes(&answers));
    office.assert_quiet();
}

#[test]
fn what_proved_nothing_gets_one_answer_of_about_its_own_size_and_no_repetition() {
    let mut office = Office::new(2);
    let methods = [
        "INVITE",
        "REGISTER",
        "OPTIONS",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "MESSAGE",
        "INFO",
        "REFER",
        "UPDATE",
        "BYE",
    ];
    for (number, method) in methods.into_iter().enumerate() {
        for to_tag in ["", ";tag=forged"] {
            let mut ask = Ask::new(method, "sip:101@192.168.1.1", "101", "102", number as u64);
            ask.branch += to_tag;
            ask.to += to_tag;
            let flow = handset("101");
            let text = ask.text(flow);
            let before = office.sent.len();
            office.give(flow, &text);
            office.seconds(120);
            let sent = &office.sent[before..];
            let lan: Vec<_> =
                sent.iter().filter(|sent| sent.flow.transport != gateway_core::sip::flow::Transport::Tls).collect();
            assert_eq!(lan.len(), 1, "{method}{to_tag}");
            assert_eq!(lan[0].flow.remote, flow.remote);
            assert!(lan[0].bytes.len() < text.len() + MORE, "{method}{to_tag}: {}", lan[0].text());
        }
    }
    assert!(office.engine.is_quiet());
}

#[test]
fn options_from_everywhere_do_not_fill_the_table_that_registrations_need() {
    let mut office = Office::new(3);
    office.keeps = false;
    for number in 0..2 * transaction::MAX as u32 {
        let flow = udp(&source(number).to_string());
        let ask = Ask::new("OPTIONS", "sip:192.168.1.1", "x", "y", u64::from(number) + 10);
        office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
    }
    office.keeps = true;
    office.register(handset("101"), "101");
}

#[test]
fn ten_thousand_sources_that_guess_passwords_slow_down_nobody_else() {
    let mut office = Office::new(4);
    for number in 0..10_000 {
        let flow = udp(&source(number).to_string());
        let ask = Ask::new("REGISTER", "sip:192.168.1.1", "101", "101", u64::from(number) + 10)
            .header(&format!("Contact: <sip:101@{}>", flow.remote));
        let answers = office.with_password(flow, "101", "guessed", &ask);
        assert_eq!(codes(&answers), [401]);
        office.sent.clear();
    }
    assert!(office.most.gate <= 4096 + 1024, "{:?}", office.most);
    assert_eq!(office.most.bindings, 0);
    office.register(handset("101"), "101");
}

#[test]
fn a_guesser_waits_longer_and_longer_and_is_told_so() {
    let mut office = Office::new(5);
    let flow = handset("103");
    let mut refused = 0;
    for number in 0..1000 {
        let ask = Ask::new("REGISTER", "sip:192.168.1.1", "101", "101", number + 10);
        let answers = office.with_password(flow, "101", &format!("guess-{number}"), &ask);
        refused += usize::from(codes(&answers) == [503]);
        office.pass(Duration::from_millis(100));
    }
    assert!(refused > 900, "{refused}");
    assert!(office.events.len() < 20, "one line for each guess that was looked at, not for each packet");
}

#[test]
fn unknown_dialogs_are_refused_without_memory() {
    let mut office = Office::new(6);
    office.keeps = false;
    for number in 0..10_000_u64 {
        for method in ["ACK", "BYE", "CANCEL", "UPDATE"] {
            let mut ask = Ask::new(method, "sip:101@192.168.1.1", "x", "y", number);
            ask.branch += method;
            ask.to += ";tag=unknown";
            let flow = handset("101");
            office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
        }
    }
    assert_eq!(office.engine.sizes().transactions, 0, "{:?}", office.engine.sizes());
    assert!(office.most.transactions < 20);
}

#[test]
fn an_ack_is_never_answered() {
    let mut office = Office::new(7);
    for text in ["ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n\r\n".to_string(), {
        let mut ask = Ask::new("ACK", "sip:101@192.168.1.1", "x", "y", 1);
        ask.to += ";tag=t";
        ask.text(handset("101"))
    }] {
        assert!(office.give(handset("101"), text).is_empty());
    }
}

#[test]
fn silent_connections_are_closed_and_make_room_for_handsets() {
    let mut office = Office::new(8);
    for number in 0..2 * MAX_STREAMS as u64 {
        office.input(Input::Accepted { flow: tcp(&source(number as u32).to_string(), number + 10) });
    }
    assert!(office.most.streams <= MAX_STREAMS, "{:?}", office.most);
    let flow = tcp("192.168.1.101:5070", 5);
    office.input(Input::Accepted { flow });
    office.register(flow, "101");
    office.seconds(40);
    assert_eq!(office.engine.sizes().streams, 2, "the handset's and the trunk's are left");
}

#[test]
fn connections_that_said_something_harmless_once_make_room_but_not_those_of_handsets_and_calls() {
    let mut office = Office::new(9);
    let handset = tcp("192.168.1.101:5070", 5);
    office.input(Input::Accepted { flow: handset });
    office.register(handset, "101");
    let emergency = tcp("192.168.1.77:5070", 6);
    office.input(Input::Accepted { flow: emergency });
    let ask = Ask::new("INVITE", "sip:911@192.168.1.1", "nobody", "911", 3)
        .header("Contact: <sip:x@192.168.1.77:5070;transport=tcp>")
        .sdp(&crate::office::sdp("192.168.1.77:4000"));
    assert!(codes(&office.give(emergency, ask.text(emergency))).contains(&200));
    for number in 0..2 * MAX_STREAMS as u64 {
        let flow = tcp(&source(number as u32).to_string(), number + 10);
        office.input(Input::Accepted { flow });
        let ask = Ask::new("OPTIONS", "sip:192.168.1.1", "x", "y", number + 100);
        assert_eq!(codes(&office.give(flow, ask.text(flow))), [200]);
    }
    assert!(office.most.streams <= MAX_STREAMS);
    assert!(!office.closed.contains(&handset) && !office.closed.contains(&emergency));
    assert_eq!(office.engine.sizes().calls, 1);
}

#[test]
fn a_stream_that_never_ends_a_head_is_closed() {
    let mut office = Office::new(10);
    let flow = tcp("192.168.1.66:5070", 5);
    office.input(Input::Accepted { flow });
    office.give(flow, "OPTIONS sip:a@b SIP/2.0\r\n");
    for _ in 0..40 {
        office.give(flow, "X-Slow: x\r\n");
        office.seconds(1);
    }
    assert!(office.closed.contains(&flow), "by time");

    let flow = tcp("192.168.1.66:5071", 6);
    office.input(Input::Accepted { flow });
    for _ in 0..20 {
        office.give(flow, vec![b'a'; 1024]);
    }
    assert!(office.closed.contains(&flow), "by length");
    assert_eq!(office.engine.sizes().streams, 1);
}

#[test]
fn pings_without_end_get_pongs_and_no_memory() {
    let mut office = Office::new(11);
    let flow = tcp("192.168.1.66:5070", 5);
    office.input(Input::Accepted { flow });
    let sent = office.give(flow, "\r\n\r\n".repeat(2000));
    assert!(sent.iter().map(|sent| sent.bytes.len()).sum::<usize>() <= 4 * 2000);
    office.seconds(40);
    assert!(office.closed.contains(&flow), "it never said anything");
}

#[test]
fn a_compromised_upstream_is_held_to_the_limit_of_calls() {
    let mut office = Office::with_handsets(12);
    office.far = crate::office::Far::Mute;
    office.keeps = false;
    let trunk = office.trunk.expect("it is up");
    for number in 0..10_000 {
        let ask = Ask::new("INVITE", "sip:101@203.0.113.7", "+15035550111", "101", number + 1000)
            .header("Contact: <sip:x@172.25.75.240>")
            .sdp(&crate::office::secure_sdp("168.86.130.1:9000"));
        office.input(Input::Received { flow: trunk, bytes: ask.text(trunk).into_bytes() });
    }
    let limit = office.config.limits.calls;
    assert_eq!(office.most.calls, limit);
    assert!(office.most.media <= 2 * limit, "{:?}", office.most);
    assert!(office.most.transactions <= 2 * transaction::MAX, "{:?}", office.most);
    office.far = crate::office::Far::Answers;
    office.assert_quiet();
}

#[test]
fn a_far_end_that_floods_a_call_with_reliable_provisional_responses_gets_few_answers() {
    let mut office = Office::with_handsets(13);
    office.far = crate::office::Far::Mute;
    let (_, _) = office.dial("101", "5035551212");
    let invite = office.trunk_requests(rsip::Method::Invite).pop().expect("it went out");
    let trunk = office.trunk.expect("it is up");
    office.sent.clear();
    for number in 0..5000_u32 {
        let mut ringing = gateway_core::sip::transaction::response_to(&invite, 183, Some("far"));
        for (name, value) in [("Require", "100rel"), ("Contact", "<sip:far@172.25.75.240>")] {
            ringing.headers.push(gateway_core::sip::header::make(name, value));
        }
        ringing.headers.push(gateway_core::sip::header::make("RSeq", number.to_string()));
        office.input(Input::Received { flow: trunk, bytes: gateway_core::sip::wire::write_response(&ringing) });
    }
    assert!(office.trunk_requests(rsip::Method::PRack).len() <= 32);
    assert!(office.most.transactions < 100, "{:?}", office.most);
    office.assert_quiet();
}
