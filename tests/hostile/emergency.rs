//! An emergency call needs no password and no room, so that it has bounds of its own.

use std::time::Duration;

use gateway::call::emergency_bound::{ALL_UNKNOWN_AT_A_TIME, ALL_UNKNOWN_IN_WINDOW, UNKNOWN_IN_WINDOW};
use gateway::engine::Input;
use rsip::Method;

use crate::office::{Ask, Office, codes, handset, sdp, source, udp};

fn emergency(office: &mut Office, from: &str, at: &str) -> Ask {
    let number = office.unique();
    Ask::new("INVITE", "sip:911@192.168.1.1", from, "911", number)
        .header(&format!("Contact: <sip:x@{at}>"))
        .sdp(&sdp(&at.replace(":5060", ":4000")))
}

#[test]
fn a_flood_of_emergency_calls_from_one_source_opens_few_lines_and_the_next_person_still_gets_through() {
    let mut office = Office::with_handsets(1);
    let flow = udp("192.168.1.66:5060");
    for _ in 0..10_000 {
        let ask = emergency(&mut office, "nobody", "192.168.1.66:5060");
        office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
    }
    assert_eq!(office.most.calls, 2, "one, and another one beside it");
    assert!(office.most_media <= 4);
    assert_eq!(office.trunk_requests(Method::Invite).len(), 2);
    let told = office.events.iter().filter(|event| event.text.contains("unplug")).count();
    assert_eq!(told, 1, "one line, not ten thousand");
    for at in ["192.168.1.67:5060", "192.168.1.101:5060"] {
        let ask = emergency(&mut office, "nobody", at);
        let flow = udp(at);
        assert!(codes(&office.give(flow, ask.text(flow))).contains(&200), "{at}");
    }
    office.assert_quiet();
}

#[test]
fn a_flood_from_forged_sources_is_bounded_and_registered_handsets_still_get_through() {
    let mut office = Office::with_handsets(2);
    office.keeps = false;
    for number in 0..10_000 {
        let at = source(number).to_string();
        let ask = emergency(&mut office, "nobody", &at);
        let flow = udp(&at);
        office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
    }
    assert_eq!(office.most.calls, ALL_UNKNOWN_AT_A_TIME);
    assert!(office.most.emergency <= ALL_UNKNOWN_IN_WINDOW);
    office.keeps = true;
    for name in ["101", "102", "103"] {
        let at = handset(name).remote.to_string();
        let ask = emergency(&mut office, name, &at);
        assert!(codes(&office.give(handset(name), ask.text(handset(name)))).contains(&200), "{name}");
    }
    office.assert_quiet();
}

#[test]
fn calls_that_are_cancelled_at_once_are_counted_too() {
    let mut office = Office::new(3);
    office.far = crate::office::Far::Rings;
    let flow = udp("192.168.1.66:5060");
    for _ in 0..200 {
        let ask = emergency(&mut office, "nobody", "192.168.1.66:5060");
        office.give(flow, ask.text(flow));
        let mut cancel = ask.clone();
        cancel.method = "CANCEL".into();
        (cancel.headers, cancel.body) = (String::new(), String::new());
        office.give(flow, cancel.text(flow));
        office.pass(Duration::from_millis(10));
    }
    assert_eq!(office.trunk_requests(Method::Invite).len(), UNKNOWN_IN_WINDOW);
    office.far = crate::office::Far::Answers;
    office.assert_quiet();
}

#[test]
fn who_called_for_help_without_a_password_cannot_transfer_to_another_number() {
    let mut office = Office::with_handsets(4);
    for (from, at) in [("101", "192.168.1.66:5060"), ("nobody", "192.168.1.101:5060")] {
        let flow = udp(at);
        let ask = emergency(&mut office, from, at);
        let answers = office.give(flow, ask.text(flow));
        let answer =
            answers.iter().find(|sent| sent.flow == flow && sent.code() == Some(200)).expect("answered").clone();
        office.give(flow, ask.inside("ACK", &answer, 1).text(flow));
        office.sent.clear();
        let refer = ask.inside("REFER", &answer, 2).header("Refer-To: <sip:+19005551212@x>");
        assert_eq!(codes(&office.give(flow, refer.text(flow))), [603], "{from}");
        assert!(office.trunk_requests(Method::Invite).is_empty());
        let bye = ask.inside("BYE", &answer, 3);
        assert!(codes(&office.give(flow, bye.text(flow))).contains(&200));
    }
    office.assert_quiet();
}

#[test]
fn emergency_calls_pass_a_full_table_and_a_full_house() {
    let mut office = Office::with_handsets(5);
    office.far = crate::office::Far::Rings;
    for _ in 0..office.config.limits.calls + 5 {
        office.dial("101", "5035551212");
    }
    assert_eq!(office.engine.sizes().calls, office.config.limits.calls);
    office.far = crate::office::Far::Answers;
    let flow = udp("192.168.1.66:5060");
    let ask = emergency(&mut office, "nobody", "192.168.1.66:5060");
    assert!(codes(&office.give(flow, ask.text(flow))).contains(&200));
    office.assert_quiet();
}
