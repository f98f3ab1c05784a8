//! An emergency call needs no password and no room, so that it has bounds of its own; and nobody uses up another's.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::Config;
use gateway_core::emergency::bound::{
    ALL_UNPROVED_AT_A_TIME, ALL_UNPROVED_IN_WINDOW, HANDSET_AT_A_TIME, MAX_CALLS, MAX_STRANGERS, UNPROVED_IN_WINDOW,
};
use gateway_core::engine::Input;
use gateway_core::media::{MediaLeg, Notice};
use rsip::Method;

use crate::office::{Ask, Far, Office, codes, config, handset, sdp, source, tcp, udp};

/// An INVITE to 911, as a phone at this address writes it.
fn emergency(office: &mut Office, from: &str, at: &str) -> Ask {
    let number = office.unique();
    Ask::new("INVITE", "sip:911@192.168.1.1", from, "911", number)
        .header(&format!("Contact: <sip:x@{at}>"))
        .sdp(&sdp(&at.replace(":5060", ":4000")))
}

/// One datagram of a flood.
fn forged(office: &mut Office, at: &str) {
    let ask = emergency(office, "nobody", at);
    let flow = udp(at);
    office.input(Input::Received { flow, bytes: ask.text(flow).into_bytes() });
}

fn leaves(office: &mut Office, at: &str) -> bool {
    let ask = emergency(office, "nobody", at);
    codes(&office.give(udp(at), ask.text(udp(at)))).contains(&200)
}

/// The media driver hears nothing on any port.
fn fall_silent(office: &mut Office) {
    let legs: Vec<MediaLeg> = office.media.keys().copied().collect();
    for leg in legs {
        office.input(Input::Media(Notice::Silent { leg }));
    }
}

#[test]
fn a_flood_of_emergency_calls_from_one_source_opens_few_lines_and_the_next_person_still_gets_through() {
    let mut office = Office::with_handsets(1);
    for _ in 0..10_000 {
        forged(&mut office, "192.168.1.66:5060");
    }
    assert_eq!(office.most.calls, 2, "one, and another one beside it");
    assert!(office.most_media <= 4);
    assert_eq!(office.trunk_requests(Method::Invite).len(), 2);
    let reported = office.events.iter().filter(|event| event.text.contains("unplug")).count();
    assert_eq!(reported, 1, "one line, not ten thousand");
    for at in ["192.168.1.67:5060", "192.168.1.101:5060"] {
        assert!(leaves(&mut office, at), "{at}");
    }
    office.assert_quiet();
}

#[test]
fn a_flood_from_forged_sources_is_bounded_and_registered_handsets_still_get_through() {
    let mut office = Office::with_handsets(2);
    office.keeps = false;
    for number in 0..10_000 {
        forged(&mut office, &source(number).to_string());
    }
    assert_eq!(office.most.calls, ALL_UNPROVED_AT_A_TIME);
    assert!(office.most.emergency <= ALL_UNPROVED_IN_WINDOW);
    office.keeps = true;
    for name in ["101", "102", "103"] {
        let at = handset(name).remote.to_string();
        assert!(leaves(&mut office, &at), "{name}");
    }
    office.assert_quiet();
}

#[test]
fn beyond_the_bound_an_answer_to_the_challenge_makes_room_with_any_password() {
    for (name, password) in [("101", "lan-secret-101"), ("101", "wrong"), ("stranger", "none")] {
        let mut office = Office::new(3);
        office.keeps = false;
        for number in 0..1000 {
            forged(&mut office, &source(number).to_string());
        }
        office.keeps = true;
        let at = "192.168.1.77:5060";
        assert!(!leaves(&mut office, at), "a datagram alone is challenged");
        let ask = emergency(&mut office, name, at);
        let answers = office.with_password(udp(at), name, password, &ask);
        assert!(codes(&answers).contains(&200), "{name} with {password}: {:?}", codes(&answers));
        office.assert_quiet();
    }
}

#[test]
fn a_host_with_many_addresses_of_its_own_uses_up_nobody_else_s_allowance() {
    let mut office = Office::with_handsets(4);
    for number in 0..32 {
        let at = format!("192.168.2.{number}:5060");
        for _ in 0..8 {
            let ask = emergency(&mut office, "x", &at);
            office.with_password(udp(&at), "x", "guess", &ask);
        }
    }
    for at in ["192.168.1.101:5060", "192.168.1.102:5060"] {
        assert!(leaves(&mut office, at), "{at}");
    }
    let at = "192.168.1.66:5060";
    let ask = emergency(&mut office, "x", at);
    assert!(codes(&office.with_password(udp(at), "x", "wrong", &ask)).contains(&200), "a phone that was never set up");
    office.assert_quiet();
}

#[test]
fn forged_datagrams_from_a_phone_s_address_do_not_silence_that_phone() {
    let mut office = Office::with_handsets(5);
    let at = handset("101").remote.to_string();
    for _ in 0..HANDSET_AT_A_TIME + 20 {
        forged(&mut office, &at);
    }
    assert!(!leaves(&mut office, &at), "a datagram alone is challenged");
    for _ in 0..20 {
        let ask = emergency(&mut office, "101", &at);
        let answers = office.with_password(handset("101"), "101", "lan-secret-101", &ask);
        assert!(codes(&answers).contains(&200), "a proved handset always leaves");
    }
    office.assert_quiet();
}

#[test]
fn a_connection_proves_its_address() {
    let mut office = Office::new(6);
    office.keeps = false;
    for number in 0..1000 {
        forged(&mut office, &source(number).to_string());
    }
    office.keeps = true;
    let flow = tcp("192.168.1.66:40000", 9);
    office.input(Input::Accepted { flow });
    let ask = emergency(&mut office, "x", "192.168.1.66:5060");
    assert!(codes(&office.give(flow, ask.text(flow))).contains(&200));
    office.assert_quiet();
}

#[test]
fn calls_from_which_nothing_is_heard_make_room_and_go_on() {
    let mut office = Office::with_handsets(7);
    let at = "192.168.1.66:5060";
    assert!(leaves(&mut office, at) && leaves(&mut office, at));
    assert!(!leaves(&mut office, at), "both may be somebody");
    fall_silent(&mut office);
    assert!(leaves(&mut office, at), "the third");
    assert_eq!(office.engine.sizes().calls, 3, "none was ended");
    // One speaks again.
    let leg = *office.media.keys().next().expect("a port");
    office.input(Input::Media(Notice::Heard { leg }));
    assert!(!leaves(&mut office, at));
    office.assert_quiet();
}

#[test]
fn a_call_that_rings_counts_for_as_long_as_its_caller_was_heard() {
    let mut office = Office::new(8);
    office.far = Far::Rings;
    let at = "192.168.1.66:5060";
    let rings = |office: &mut Office| {
        let ask = emergency(office, "x", at);
        codes(&office.give(udp(at), ask.text(udp(at)))).contains(&180)
    };
    assert!(rings(&mut office) && rings(&mut office) && !rings(&mut office));
    office.seconds(6);
    assert!(rings(&mut office), "after five seconds without a sign of the others");
    assert_eq!(office.engine.sizes().calls, 3);
    office.far = Far::Answers;
}

#[test]
fn a_full_table_gives_up_the_oldest_that_is_silent_and_gone_and_no_other() {
    let mut office = Office::with_handsets(9);
    let phone = handset("101");
    let at = phone.remote.to_string();
    let call = |office: &mut Office| {
        let ask = emergency(office, "101", &at);
        codes(&office.with_password(phone, "101", "lan-secret-101", &ask))
    };
    // All of them may be somebody: that phone is registered.
    for n in 0..MAX_CALLS {
        assert!(call(&mut office).contains(&200), "{n}");
    }
    fall_silent(&mut office);
    assert!(call(&mut office).contains(&503), "there is nobody to give up");
    // Others are gone.
    office.far_hangs_up();
    office.seconds(120);
    assert_eq!(office.engine.sizes().calls, 0);
    for number in 0..MAX_STRANGERS + 20 {
        if number % 8 == 0 {
            fall_silent(&mut office);
            office.seconds(61);
        }
        let at = source(u32::try_from(number).expect("small")).to_string();
        assert!(leaves(&mut office, &at), "{number}");
    }
    assert_eq!(office.engine.sizes().calls, MAX_STRANGERS, "the oldest gave way");
    for n in 0..MAX_CALLS - MAX_STRANGERS {
        assert!(call(&mut office).contains(&200), "{n}");
    }
    assert_eq!(office.engine.sizes().calls, MAX_CALLS);
    fall_silent(&mut office);
    assert!(call(&mut office).contains(&200));
    assert_eq!(office.engine.sizes().calls, MAX_CALLS, "one more gave way");
    office.assert_quiet();
}

#[test]
fn calls_that_are_cancelled_at_once_are_counted_too() {
    let mut office = Office::new(10);
    office.far = Far::Rings;
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
    assert_eq!(office.trunk_requests(Method::Invite).len(), UNPROVED_IN_WINDOW);
    office.far = Far::Answers;
    office.assert_quiet();
}

#[test]
fn who_called_for_help_without_a_password_cannot_transfer_to_another_number() {
    let mut office = Office::with_handsets(11);
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
    let mut config = config(&["101", "102", "103"]);
    // One extension may fill the house.
    for extension in &mut config.extensions {
        extension.allowance.calls = usize::MAX;
    }
    let mut office = Office::with_config(12, config).registered();
    office.far = Far::Rings;
    for _ in 0..office.config.limits.calls + 5 {
        office.dial("101", "102");
    }
    assert_eq!(office.engine.sizes().calls, office.config.limits.calls);
    office.far = Far::Answers;
    assert!(leaves(&mut office, "192.168.1.66:5060"));
    office.assert_quiet();
}

#[test]
fn one_phone_with_thousands_of_unanswered_invites_silences_nobody_and_is_named() {
    let mut office = Office::with_handsets(13);
    office.far = Far::Mute;
    for _ in 0..9_500 {
        office.dial("102", "5035551212");
        office.pass(Duration::from_micros(100));
    }
    office.far = Far::Answers;
    let named =
        office.events.iter().filter(|event| event.code.word() == "sip.crowded" && event.text.contains("102")).count();
    assert_eq!(named, 1);
    assert!(leaves(&mut office, "192.168.1.66:5060"), "911 of a stranger");
    assert!(leaves(&mut office, "192.168.1.102:5060"), "911 of that phone");
    // The others are served.
    office.register(handset("103"), "103");
}

/// The codes that a stranger gets who dials this URI, and whether a call left.
fn stranger_dials(uri: &str) -> (Vec<u16>, bool) {
    let mut office = Office::new(17);
    let flow = udp("192.168.1.66:5060");
    let ask = Ask { uri: uri.into(), ..emergency(&mut office, "nobody", "192.168.1.66:5060") };
    let answers = codes(&office.give(flow, ask.text(flow)));
    let left = !office.trunk_requests(Method::Invite).is_empty();
    office.assert_quiet();
    (answers, left)
}

#[test]
fn what_is_911_only_when_it_is_decoded_twice_is_no_emergency_call() {
    for uri in [
        "sip:%2539%2531%2531@192.168.1.1",
        "sip:sip%3A911%40x@192.168.1.1",
        "sip:%3Csip%3A911%40x%3E@192.168.1.1",
        "sip:tel%3A911@192.168.1.1",
        "sip:%22Help%22%20%3Ctel%3A911%3E@192.168.1.1",
        "sip:urn%3Aservice%3Asos@192.168.1.1",
        "sip:911%3Bphone-context=+1@192.168.1.1",
        "sip:911%40x@192.168.1.1",
    ] {
        assert_eq!(stranger_dials(uri), (vec![401], false), "{uri}");
    }
}

#[test]
fn what_is_911_when_it_is_decoded_once_leaves_without_a_password() {
    for uri in [
        "sip:911@192.168.1.1",
        "sips:911@192.168.1.1;transport=tls",
        "sip:%39%31%31@192.168.1.1",
        "sip:9%2D1%2d1@192.168.1.1;user=phone",
        "sip:911;phone-context=+1@192.168.1.1",
        "sip:911%23@192.168.1.1",
        "sip:sos@192.168.1.1",
        "tel:911",
        "tel:9-1-1;phone-context=+1",
        "urn:service:sos",
        "URN:Service:SOS.Fire",
    ] {
        let (answers, left) = stranger_dials(uri);
        assert!(answers.contains(&200) && left, "{uri}: {answers:?}");
    }
}

/// What the gateway does by itself.
type Act = fn(&mut Office);

#[test]
fn nothing_of_ours_ends_an_emergency_call() {
    let acts: [(&str, Act); 7] = [
        ("ten hours", |office| office.seconds(36_000)),
        ("silence", fall_silent),
        ("a reload with a shorter call_duration", |office| {
            let mut config = Config::clone(&office.config);
            config.limits.call_duration = Duration::from_secs(60);
            let secrets = Arc::clone(&office.secrets);
            office.input(Input::Reload { config: Arc::new(config), secrets });
            office.seconds(600);
        }),
        ("a reload with another trunk", |office| {
            let mut config = Config::clone(&office.config);
            config.trunk.servers.clear();
            config.trunk.domain = "other.sip.twilio.com".into();
            let secrets = Arc::clone(&office.secrets);
            office.input(Input::Reload { config: Arc::new(config), secrets });
            office.seconds(600);
        }),
        ("a reload that takes the extension away", |office| {
            let mut config = Config::clone(&office.config);
            config.extensions.remove(0);
            let secrets = Arc::clone(&office.secrets);
            office.input(Input::Reload { config: Arc::new(config), secrets });
            office.seconds(600);
        }),
        ("a stop", |office| {
            office.input(Input::Stop);
            office.seconds(600);
            assert!(!office.engine.is_stopped(), "the stop waits");
        }),
        ("its closed connection", |office| {
            office.input(Input::Disconnected { flow: tcp("192.168.1.101:40000", 9), reason: "closed".into() });
            office.seconds(600);
        }),
    ];
    for (what, act) in acts {
        let mut office = Office::new(14);
        let flow = tcp("192.168.1.101:40000", 9);
        office.input(Input::Accepted { flow });
        office.register(flow, "101");
        office.seconds(2);
        let ask = emergency(&mut office, "101", "192.168.1.101:5060");
        let answers = office.give(flow, ask.text(flow));
        let answer = answers.iter().find(|sent| sent.flow == flow && sent.code() == Some(200)).expect("answered");
        office.give(flow, ask.inside("ACK", answer, 1).text(flow));
        let trunk = office.trunk;
        office.sent.clear();
        act(&mut office);
        assert_eq!(office.engine.sizes().calls, 1, "{what}");
        assert!(office.trunk_requests(Method::Bye).is_empty(), "{what}: no BYE went to Twilio");
        assert_eq!(office.trunk, trunk, "{what}: the flow is the same");
        // The phone comes back by another connection, and hangs up.
        let again = tcp("192.168.1.101:40001", 10);
        office.input(Input::Accepted { flow: again });
        let bye = ask.inside("BYE", answer, 2);
        assert!(codes(&office.give(again, bye.text(again))).contains(&200), "{what}");
        assert_eq!(office.engine.sizes().calls, 0, "{what}");
        office.seconds(120);
        if what == "a stop" {
            assert!(office.engine.is_stopped(), "and then it is through");
        }
    }
}

#[test]
fn a_stop_still_lets_an_emergency_call_begin() {
    let mut office = Office::with_handsets(15);
    assert!(leaves(&mut office, "192.168.1.101:5060"));
    office.input(Input::Stop);
    assert!(leaves(&mut office, "192.168.1.102:5060"), "a second person");
    let (_, answers) = office.dial("103", "101");
    assert!(codes(&answers).contains(&503), "others do not");
    let status = office.engine.status(office.now);
    assert!(status.stopping.is_some_and(|text| text.contains("emergency call")), "status says what is waited for");
    office.far_hangs_up();
    office.seconds(120);
    assert!(office.engine.is_stopped());
}

#[test]
fn a_stop_does_not_wait_for_a_call_in_which_neither_side_is_heard() {
    let mut office = Office::with_handsets(16);
    assert!(leaves(&mut office, "192.168.1.101:5060"));
    assert!(office.engine.has_emergency());
    fall_silent(&mut office);
    assert!(!office.engine.has_emergency());
    let leg = *office.media.keys().last().expect("a port");
    office.input(Input::Media(Notice::Heard { leg }));
    assert!(office.engine.has_emergency(), "one of them is heard");
    office.assert_quiet();
}
