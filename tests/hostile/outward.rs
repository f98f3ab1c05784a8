//! Connections that we open to phones: where they may lead, and how many there may be.

use gateway_core::engine::{Input, MAX_STREAMS};
use gateway_core::sip::flow::Flow;
use gateway_core::streams::outward::MAX_OUTWARD;

use crate::office::{Ask, Office, Reach, codes, handset, sdp, source, tcp};

/// A phone of 101 that registers by TCP with this Contact, and closes its connection.
fn registers_and_closes(office: &mut Office, flow: Flow, contact: &str) {
    office.input(Input::Accepted { flow });
    let number = office.unique();
    let ask = Ask::new("REGISTER", "sip:192.168.1.1", "101", "101", number)
        .header(&format!("Contact: <{contact}>\r\nExpires: 3600"));
    let answers = office.with_password(flow, "101", "lan-secret-101", &ask);
    assert_eq!(codes(&answers), [200], "{contact}");
    office.input(Input::Disconnected { flow, reason: "closed by the other end".into() });
}

#[test]
fn a_contact_that_names_somebody_else_opens_no_connection() {
    let elsewhere = [
        "sip:101@192.168.1.102:5060;transport=tcp",
        "sip:101@127.0.0.1:22;transport=tcp",
        "sip:101@192.168.1.1:5060;transport=tcp",
        "sip:101@54.172.60.1:5061;transport=tcp",
        "sip:101@router.example:80;transport=tcp",
        "sip:101@192.168.1.50:5061;transport=tls",
        "sips:101@192.168.1.50:5061",
        "sip:101@[::1]:5060;transport=tcp",
    ];
    for (number, contact) in (1_u64..).zip(elsewhere) {
        let mut office = Office::new(40);
        registers_and_closes(&mut office, tcp("192.168.1.50:40000", number), contact);
        office.seconds(40);
        assert!(office.opened.is_empty(), "{contact}: {:?}", office.opened);
        assert_eq!(office.engine.sizes().bindings, 0, "{contact}: the binding goes as ever");
    }
}

#[test]
fn phones_that_all_close_at_once_cost_a_bounded_number_of_connections() {
    let mut office = Office::new(41);
    office.reach = Reach::Silent;
    office.keeps = false;
    // Emergency calls need no password: strangers bring many, each with a Contact of its own.
    for number in 0..2 * MAX_OUTWARD as u64 {
        let flow = tcp(&source(number as u32).to_string(), number + 10);
        office.input(Input::Accepted { flow });
        let ask = Ask::new("INVITE", "sip:911@192.168.1.1", "x", "911", number)
            .header(&format!("Contact: <sip:x@{};transport=tcp>", flow.remote))
            .sdp(&sdp(&format!("{}:4000", flow.remote.ip())));
        office.give(flow, ask.text(flow));
        office.input(Input::Disconnected { flow, reason: "closed by the other end".into() });
    }
    office.keeps = true;
    for number in 0..10 {
        let flow = tcp(&format!("192.168.1.{}:40000", 50 + number), 900 + number);
        let contact = format!("sip:101@192.168.1.{}:5060;transport=tcp", 50 + number);
        registers_and_closes(&mut office, flow, &contact);
    }
    let open = office.opened.len();
    assert!(open <= MAX_OUTWARD, "{open} connections at once");
    assert!(office.most.streams <= MAX_STREAMS);
    // A driver that answers nothing is no reason to wait for ever.
    office.seconds(120);
    office.assert_quiet();
}

#[test]
fn one_address_with_many_contacts_leaves_room_for_others() {
    let mut office = Office::new(44);
    office.reach = Reach::Silent;
    for number in 0..30 {
        let flow = tcp("192.168.1.66:40000", number + 10);
        office.input(Input::Accepted { flow });
        let ask = Ask::new("INVITE", "sip:911@192.168.1.1", "x", "911", number)
            .header(&format!("Contact: <sip:x@192.168.1.66:{};transport=tcp>", 7000 + number))
            .sdp(&sdp("192.168.1.66:4000"));
        office.give(flow, ask.text(flow));
        office.input(Input::Disconnected { flow, reason: "closed by the other end".into() });
    }
    let of_one = office.opened.len();
    assert!((1..=8).contains(&of_one), "{of_one}");
    registers_and_closes(&mut office, tcp("192.168.1.50:40000", 1), "sip:101@192.168.1.50:5060;transport=tcp");
    assert_eq!(office.opened.len(), of_one + 1);
}

#[test]
fn a_phone_that_closes_each_connection_at_once_is_not_run_after() {
    let mut office = Office::new(42);
    office.reach = Reach::Opened;
    registers_and_closes(&mut office, tcp("192.168.1.50:40000", 1), "sip:101@192.168.1.50:5060;transport=tcp");
    for _ in 0..20 {
        let open: Vec<Flow> = office.opened.difference(&office.closed).copied().collect();
        for flow in open {
            office.closed.insert(flow);
            office.input(Input::Disconnected { flow, reason: "closed by the other end".into() });
        }
        office.seconds(60);
    }
    assert_eq!(office.opened.len(), 1, "once, and then when there is something to say");
}

#[test]
fn a_bye_from_an_address_that_proved_nothing_is_challenged_and_ends_nothing() {
    let mut office = Office::with_handsets(43);
    let (ask, answers) = office.dial("101", "5035551212");
    let answer = answers.iter().find(|sent| sent.code() == Some(200)).expect("answered").clone();
    office.give(handset("101"), ask.inside("ACK", &answer, 2).text(handset("101")));
    for (number, place) in ["192.168.1.200:5060", "192.168.1.102:5060", "10.9.8.7:5060"].into_iter().enumerate() {
        let flow = crate::office::udp(place);
        let bye = ask.inside("BYE", &answer, 10 + number as u32);
        assert_eq!(codes(&office.give(flow, bye.text(flow))), [401], "{place}");
        let reinvite = ask.inside("INVITE", &answer, 20 + number as u32).sdp(&sdp("192.168.1.200:4000"));
        assert_eq!(codes(&office.give(flow, reinvite.text(flow))), [401], "{place}");
        assert_eq!(office.engine.sizes().calls, 1, "{place}");
    }
    // With the password it is the phone, wherever it is.
    let flow = crate::office::udp("192.168.1.200:5060");
    let bye = ask.inside("BYE", &answer, 30);
    assert_eq!(codes(&office.with_password(flow, "101", "lan-secret-101", &bye)), [200]);
    assert_eq!(office.engine.sizes().calls, 0);
    office.assert_quiet();
}
