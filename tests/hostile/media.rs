//! An SDP must not make the relay send to whomever it names.

use std::net::SocketAddr;

use gateway_core::media::packet::BUFFER;
use gateway_core::media::relay::Relay;
use gateway_core::media::{LegParams, MediaLeg};
use gateway_core::random::Random;
use gateway_core::subnet::Subnet;
use gateway_core::time::Instant;
use rsip::Method;

use crate::office::{Ask, Far, Office, codes, handset, sdp, secure_sdp, udp};

/// Where the relay sends by the leg that is bound on the LAN (or on the trunk's address).
fn remotes(office: &Office, lan: bool) -> Vec<Option<String>> {
    let legs = office.media.values().filter(|(local, _)| (local.ip().to_string() == "192.168.1.1") == lan);
    legs.filter_map(|(_, params)| params.as_ref().map(|params| params.remote.map(|remote| remote.to_string())))
        .collect()
}

#[test]
fn a_handset_cannot_point_media_at_the_internet_at_loopback_at_a_group_or_at_the_relay_itself() {
    for (declared, expected) in [
        ("192.168.1.101:4000", Some("192.168.1.101:4000")),
        ("198.51.100.1:4000", Some("192.168.1.101:4000")),
        ("127.0.0.1:4000", Some("192.168.1.101:4000")),
        ("255.255.255.255:4000", Some("192.168.1.101:4000")),
        ("[2001:db8::1]:4000", Some("192.168.1.101:4000")),
        ("224.0.1.75:4000", Some("192.168.1.101:4000")),
        ("[ff02::1]:4000", Some("192.168.1.101:4000")),
        ("192.168.1.1:20002", None),
    ] {
        let mut office = Office::with_handsets(1);
        let number = office.unique();
        let ask = Ask::new("INVITE", "sip:5035551212@192.168.1.1", "101", "5035551212", number)
            .header("Contact: <sip:101@192.168.1.101:5060>")
            .sdp(&sdp(declared));
        let answers = office.with_password(handset("101"), "101", "lan-secret-101", &ask);
        assert!(codes(&answers).contains(&200), "{declared}: {:?}", codes(&answers));
        assert_eq!(remotes(&office, true), [expected.map(str::to_string)], "{declared}");
        let latched = office.media.values().filter_map(|(_, params)| params.as_ref());
        let strangers = ["198.51.100.1", "224.0.1.75", "ff02::1"].map(|ip| ip.parse().expect("an address"));
        let is_strange = |subnet: &Subnet| strangers.iter().any(|stranger| subnet.contains(*stranger));
        assert!(!latched.flat_map(|params| &params.latch).any(is_strange), "{declared}");
        let lan = office.media.values().filter(|(local, _)| local.ip().to_string() == "192.168.1.1");
        let sends = lan.filter_map(|(_, params)| params.as_ref()).all(|params| params.send);
        assert_eq!(sends, expected.is_some(), "{declared}: to itself not even by the latch");
        office.assert_quiet();
    }
}

#[test]
fn a_re_invite_cannot_do_what_the_invite_could_not() {
    let mut office = Office::with_handsets(2);
    let (ask, answers) = office.dial("101", "5035551212");
    let flow = handset("101");
    let answer = answers.iter().find(|sent| sent.flow == flow && sent.code() == Some(200)).expect("answered").clone();
    office.give(flow, ask.inside("ACK", &answer, 2).text(flow));
    let offer = sdp("198.51.100.1:4000").replace("o=- 1 1", "o=- 1 2");
    let again = ask.inside("INVITE", &answer, 3).header("Contact: <sip:101@192.168.1.101:5060>").sdp(&offer);
    assert!(codes(&office.give(flow, again.text(flow))).contains(&200));
    assert_eq!(remotes(&office, true), [Some("192.168.1.101:4000".to_string())]);
    office.give(flow, ask.inside("ACK", &answer, 3).text(flow));
    office.give(flow, ask.inside("BYE", &answer, 4).text(flow));
    office.assert_quiet();
}

#[test]
fn the_trunk_cannot_point_media_into_the_lan() {
    let mut office = Office::with_handsets(4);
    office.far = Far::Mute;
    office.dial("101", "5035551212");
    let invite = office.trunk_requests(Method::Invite).pop().expect("it went out");
    let mut ok = gateway_core::sip::transaction::response_to(&invite, 200, Some("far"));
    ok.headers.push(gateway_core::sip::header::make("Contact", "<sip:far@172.25.75.240>"));
    ok.headers.push(gateway_core::sip::header::make("Content-Type", "application/sdp"));
    ok.body = secure_sdp("192.168.1.66:53").into_bytes();
    let trunk = office.trunk.expect("it is up");
    office.give(trunk, gateway_core::sip::wire::write_response(&ok));
    let remotes = remotes(&office, false);
    assert_eq!(remotes.len(), 1);
    assert!(remotes[0].as_ref().is_some_and(|remote| remote.starts_with("54.172.60.1:")), "{remotes:?}");
    office.far = Far::Answers;
    office.assert_quiet();
}

#[test]
fn a_caller_without_a_password_cannot_have_an_emergency_line_play_to_a_third_party() {
    let mut office = Office::new(5);
    let flow = udp("192.168.1.66:5060");
    let ask = Ask::new("INVITE", "sip:933@192.168.1.1", "x", "933", 1)
        .header("Contact: <sip:x@192.168.1.66>")
        .sdp(&sdp("198.51.100.1:53"));
    assert!(codes(&office.give(flow, ask.text(flow))).contains(&200));
    assert_eq!(remotes(&office, true), [Some("192.168.1.66:53".to_string())]);
    office.assert_quiet();
}

#[test]
fn packets_from_ever_more_foreign_sources_cost_no_memory_and_take_no_latch() {
    let phone: SocketAddr = "192.168.1.101:4000".parse().expect("an address");
    let params = |remote: SocketAddr| LegParams {
        remote: Some(remote),
        rtcp: None,
        latch: vec![Subnet::host(remote.ip())],
        send: true,
        receive: true,
        payload_types: vec![0, 8],
        dtmf_in: Some(101),
        dtmf_out: Some(101),
        srtp: None,
        silence: None,
    };
    let mut relay = Relay::new(Random::from_number(1));
    let (a, b) = (MediaLeg(1), MediaLeg(2));
    let slot = relay.open(a).expect("there is room");
    relay.open(b).expect("there is room");
    relay.set(Instant::ZERO, a, params(phone));
    relay.set(Instant::ZERO, b, params("192.168.1.102:4000".parse().expect("an address")));
    relay.connect(a, b);

    let mut random = Random::from_number(2);
    let mut buffer = [0; BUFFER];
    let before = crate::allocation::count();
    for number in 0..50_000_u32 {
        let [_, x, y, z] = number.to_be_bytes();
        let from = SocketAddr::from(([10, x, y, z], 4000));
        let now = Instant::from_micros(u64::from(number) * 100);
        random.fill(&mut buffer[..172]);
        // Every second one looks like speech.
        if number % 2 == 0 {
            buffer[..2].copy_from_slice(&[0x80, 0]);
        }
        assert_eq!(relay.rtp(now, slot, from, &mut buffer, 172), None);
        random.fill(&mut buffer[..172]);
        assert_eq!(relay.rtcp(now, slot, from, &mut buffer, 172), None);
    }
    assert_eq!(crate::allocation::count(), before);

    // The phone is heard all the same, twice: the first packet begins its stream.
    let heard = (1..=4_u8).filter(|sequence| {
        buffer[..12].copy_from_slice(&[0x80, 0, 0, *sequence, 0, 0, 0, 160 * (sequence % 2), 1, 2, 3, 4]);
        relay.rtp(Instant::from_secs(6), slot, phone, &mut buffer, 172).is_some()
    });
    assert!(heard.count() >= 2);
}
