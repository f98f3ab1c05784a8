use super::super::g711::Law;
use super::super::leg::FORMER_KEY_FOR;
use super::super::packet::{BUFFER, HEADER, Header};
use super::super::sound::Sound;
use super::super::srtp::{SrtpReceiver, SrtpSender};
use super::super::{MasterKey, SrtpKeys, Subnet, Suite};
use super::*;

const LAN: MediaLeg = MediaLeg(1);
const TRUNK: MediaLeg = MediaLeg(2);
const OTHER: MediaLeg = MediaLeg(3);
const PHONE: &str = "192.168.1.20:4000";
const TWILIO: &str = "168.86.128.7:10000";
const SECOND: &str = "192.168.1.30:6000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn key(seed: u64) -> MasterKey {
    MasterKey(Random::from_number(seed).bytes())
}

fn keys() -> SrtpKeys {
    SrtpKeys { suite: Suite::AesCm128HmacSha1_80, local: key(1), remote: key(2) }
}

fn params(remote: &str) -> LegParams {
    LegParams {
        remote: Some(address(remote)),
        rtcp: None,
        latch: vec![Subnet::host(address(remote).ip())],
        send: true,
        receive: true,
        payload_types: vec![0, 8],
        dtmf_in: Some(101),
        dtmf_out: Some(101),
        srtp: None,
        silence: None,
    }
}

fn trunk_params() -> LegParams {
    LegParams { srtp: Some(keys()), latch: vec!["168.86.128.0/18".parse().unwrap()], ..params(TWILIO) }
}

/// An RTP packet of 20 ms.
fn rtp(payload_type: u8, sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[sequence as u8; 160]);
    packet
}

fn event(payload_type: u8, sequence: u16, timestamp: u32) -> Vec<u8> {
    let mut packet = rtp(payload_type, sequence, 7)[..HEADER].to_vec();
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&[5, 10, 0, 160]);
    packet
}

/// A relay with a plain LAN leg, an SRTP trunk leg, and a third leg that is plain.
struct Office {
    relay: Relay,
    slots: [Slot; 3],
    /// What Twilio sends and receives with.
    theirs: SrtpSender,
    opener: SrtpReceiver,
}

impl Office {
    fn new() -> Self {
        let mut relay = Relay::new(Random::from_number(7));
        let slots = [LAN, TRUNK, OTHER].map(|leg| relay.open(leg).unwrap());
        relay.set(at(0), LAN, params(PHONE));
        relay.set(at(0), TRUNK, trunk_params());
        relay.set(at(0), OTHER, params(SECOND));
        relay.connect(LAN, TRUNK);
        let suite = keys().suite;
        Office { relay, slots, theirs: SrtpSender::new(suite, &key(2)), opener: SrtpReceiver::new(suite, &key(1)) }
    }

    fn slot(&self, leg: MediaLeg) -> Slot {
        self.slots[leg.0 as usize - 1]
    }

    /// Gives a packet to a leg's RTP socket; what comes out, as it is on the wire.
    fn give(&mut self, now: u64, leg: MediaLeg, from: &str, packet: &[u8]) -> Option<(Forward, Vec<u8>)> {
        let mut buffer = [0; BUFFER];
        buffer[..packet.len()].copy_from_slice(packet);
        let forward = self.relay.rtp(at(now), self.slot(leg), address(from), &mut buffer, packet.len())?;
        Some((forward, buffer[..forward.len].to_vec()))
    }

    /// As `give`, with what Twilio's side protects.
    fn give_secure(&mut self, now: u64, from: &str, packet: &[u8]) -> Option<(Forward, Vec<u8>)> {
        let sealed = self.seal(packet);
        self.give(now, TRUNK, from, &sealed)
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut sealed = [packet, &[0; 10]].concat();
        let len = self.theirs.protect_rtp(&mut sealed, packet.len()).unwrap();
        sealed.truncate(len);
        sealed
    }

    /// What Twilio reads.
    fn open(&mut self, mut sealed: Vec<u8>) -> Vec<u8> {
        let len = sealed.len();
        let len = self.opener.unprotect_rtp(&mut sealed, len).unwrap();
        sealed.truncate(len);
        sealed
    }

    fn phone_says(&mut self, now: u64, packet: &[u8]) -> Option<Vec<u8>> {
        let (_, sealed) = self.give(now, LAN, PHONE, packet)?;
        Some(self.open(sealed))
    }

    fn transmit(&mut self, now: u64) -> Vec<(Forward, Vec<u8>)> {
        let mut buffer = [0; BUFFER];
        self.relay.handle_timeout(at(now));
        std::iter::from_fn(|| {
            let forward = self.relay.poll_transmit(at(now), &mut buffer)?;
            Some((forward, buffer[..forward.len].to_vec()))
        })
        .collect()
    }

    fn notices(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.relay.poll_notice()).map(|notice| format!("{notice:?}")).collect()
    }

    fn report(&self, leg: MediaLeg) -> Report {
        self.relay.report(leg).unwrap()
    }
}

fn header(packet: &[u8]) -> Header {
    Header::read(packet).unwrap()
}

#[test]
fn speech_goes_both_ways_and_is_secret_on_the_trunk_only() {
    let mut office = Office::new();
    let packet = rtp(0, 500, 7);
    let (forward, sealed) = office.give(0, LAN, PHONE, &packet).unwrap();
    assert_eq!((forward.slot, forward.to), (office.slot(TRUNK), address(TWILIO)));
    assert_ne!(sealed[HEADER..HEADER + 160], packet[HEADER..]);
    assert_eq!(office.open(sealed)[HEADER..], packet[HEADER..]);
    let (forward, plain) = office.give_secure(0, TWILIO, &packet).unwrap();
    assert_eq!((forward.slot, forward.to), (office.slot(LAN), address(PHONE)));
    assert_eq!(plain[HEADER..], packet[HEADER..]);
    let report = office.report(LAN);
    assert_eq!((report.packets_received, report.packets_sent, report.octets_sent), (1, 1, 160));
}

#[test]
fn nothing_passes_before_parameters_and_a_partner_are_set() {
    let mut relay = Relay::new(Random::from_number(1));
    let slot = relay.open(LAN).unwrap();
    let mut buffer = [0; BUFFER];
    buffer[..172].copy_from_slice(&rtp(0, 1, 1));
    assert_eq!(relay.rtp(at(0), slot, address(PHONE), &mut buffer, 172), None);
    assert_eq!(relay.report(LAN).unwrap().foreign, 1);
    relay.set(at(0), LAN, params(PHONE));
    assert_eq!(relay.rtp(at(0), slot, address(PHONE), &mut buffer, 172), None);
    assert_eq!(relay.report(LAN).unwrap().packets_received, 1);
}

#[test]
fn a_plain_packet_on_the_trunk_is_rejected_and_does_not_latch() {
    let mut office = Office::new();
    let attacker = "168.86.128.66:5000";
    assert_eq!(office.give(0, TRUNK, attacker, &rtp(0, 1, 9)), None);
    assert_eq!(office.report(TRUNK).rejected, 1);
    let (forward, _) = office.give(0, LAN, PHONE, &rtp(0, 1, 7)).unwrap();
    assert_eq!(forward.to, address(TWILIO));
}

#[test]
fn a_replayed_packet_is_rejected() {
    let mut office = Office::new();
    let sealed = office.seal(&rtp(0, 1, 9));
    assert!(office.give(0, TRUNK, TWILIO, &sealed).is_some());
    assert_eq!(office.give(1, TRUNK, TWILIO, &sealed), None);
    assert_eq!(office.report(TRUNK).rejected, 1);
}

#[test]
fn media_goes_back_to_where_it_came_from_inside_the_subnet() {
    let mut office = Office::new();
    let real = "168.86.130.9:20000";
    office.give_secure(0, real, &rtp(0, 1, 9)).unwrap();
    assert_eq!(office.give(0, LAN, PHONE, &rtp(0, 1, 7)).unwrap().0.to, address(real));
    assert!(office.notices().contains(&format!("Started {{ leg: MediaLeg(2), from: {real} }}")));
    let stranger = office.seal(&rtp(0, 2, 9));
    assert_eq!(office.give(1, TRUNK, "10.0.0.1:20000", &stranger), None);
    assert_eq!(office.report(TRUNK).foreign, 1);
}

#[test]
fn a_second_source_waits_until_the_first_is_silent() {
    let mut office = Office::new();
    office.give_secure(0, "168.86.130.9:1000", &rtp(0, 1, 9)).unwrap();
    assert_eq!(office.give_secure(1000, "168.86.130.9:2000", &rtp(0, 2, 9)), None);
    office.give_secure(3000, "168.86.130.9:2000", &rtp(0, 3, 9)).unwrap();
    assert_eq!(office.give(3000, LAN, PHONE, &rtp(0, 1, 7)).unwrap().0.to, address("168.86.130.9:2000"));
}

#[test]
fn a_new_remote_address_releases_the_latch_and_the_same_one_keeps_it() {
    let mut office = Office::new();
    let natted = "168.86.130.9:1000";
    office.give_secure(0, natted, &rtp(0, 1, 9)).unwrap();
    office.relay.set(at(10), TRUNK, trunk_params());
    assert_eq!(office.give(10, LAN, PHONE, &rtp(0, 1, 7)).unwrap().0.to, address(natted));
    let moved = "168.86.128.8:12000";
    office.relay.set(at(20), TRUNK, LegParams { remote: Some(address(moved)), ..trunk_params() });
    assert_eq!(office.give(20, LAN, PHONE, &rtp(0, 2, 7)).unwrap().0.to, address(moved));
    assert!(office.give_secure(20, moved, &rtp(0, 2, 9)).is_some());
}

#[test]
fn only_declared_payload_types_pass() {
    let mut office = Office::new();
    assert!(office.phone_says(0, &rtp(8, 1, 7)).is_some());
    for payload_type in [3, 9, 13, 18, 72, 96, 127] {
        assert_eq!(office.phone_says(0, &rtp(payload_type, 2, 7)), None);
    }
    assert_eq!(office.report(LAN).foreign, 7);
}

#[test]
fn a_telephone_event_gets_the_number_that_the_other_side_declared() {
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { dtmf_in: Some(96), ..params(PHONE) });
    office.phone_says(0, &rtp(0, 1, 7)).unwrap();
    for sequence in 2..6 {
        let out = office.phone_says(20, &event(96, sequence, 320)).unwrap();
        assert_eq!(header(&out).payload_type, 101);
        assert_eq!(out[HEADER..], [5, 10, 0, 160]);
    }
    assert_eq!(office.report(TRUNK).dtmf, 1);
    assert_eq!(office.phone_says(20, &event(102, 6, 320)), None);
    office.relay.set(at(30), TRUNK, LegParams { dtmf_out: None, ..trunk_params() });
    assert_eq!(office.phone_says(40, &event(96, 6, 320)), None);
}

#[test]
fn an_event_is_taken_by_the_number_that_we_declared_and_by_theirs() {
    for (ours, theirs) in [(101, 96), (96, 101), (101, 127), (101, 101)] {
        let mut office = Office::new();
        office.relay.set(at(0), LAN, LegParams { dtmf_in: Some(ours), dtmf_out: Some(theirs), ..params(PHONE) });
        for (sequence, number) in [(1, ours), (2, theirs)] {
            let out = office.phone_says(20, &event(number, sequence, 320)).unwrap();
            assert_eq!(header(&out).payload_type, 101, "{ours} {theirs}: {number}");
        }
        // The other way it leaves by theirs.
        let (_, out) = office.give_secure(40, TWILIO, &event(101, 1, 320)).unwrap();
        assert_eq!(header(&out).payload_type, theirs);
    }
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { dtmf_in: None, ..params(PHONE) });
    assert_eq!(office.phone_says(20, &event(101, 1, 320)), None, "none was declared");
}

#[test]
fn an_event_without_its_four_octets_is_dropped() {
    let mut office = Office::new();
    assert_eq!(office.phone_says(0, &event(101, 1, 0)[..HEADER + 3]), None);
    assert_eq!(office.report(LAN).foreign, 1);
}

#[test]
fn the_stream_stays_one_when_the_partner_changes_and_loss_stays_visible() {
    let mut office = Office::new();
    let a = header(&office.phone_says(0, &rtp(0, 500, 7)).unwrap());
    let b = header(&office.phone_says(40, &rtp(0, 502, 7)).unwrap());
    assert_eq!(b.sequence, a.sequence + 2);
    office.relay.connect(TRUNK, OTHER);
    assert_eq!(office.give(50, LAN, PHONE, &rtp(0, 503, 7)), None);
    let (_, sealed) = office.give(1040, OTHER, SECOND, &rtp(0, 60_000, 1234)).unwrap();
    let c = header(&office.open(sealed));
    assert_eq!((c.ssrc, c.sequence), (a.ssrc, b.sequence + 1));
    assert_eq!(c.timestamp.wrapping_sub(b.timestamp), 8000);
    assert!(c.marker);
}

#[test]
fn a_former_partner_hears_nothing_any_more() {
    let mut office = Office::new();
    office.relay.connect(LAN, OTHER);
    assert_eq!(office.give_secure(0, TWILIO, &rtp(0, 1, 9)), None);
    assert_eq!(office.give(0, LAN, PHONE, &rtp(0, 1, 7)).unwrap().0.slot, office.slot(OTHER));
    office.relay.connect(LAN, OTHER);
    assert!(office.give(20, OTHER, SECOND, &rtp(0, 1, 8)).is_some());
    office.relay.connect(LAN, LAN);
    assert!(office.give(40, OTHER, SECOND, &rtp(0, 2, 8)).is_some());
}

#[test]
fn a_duplicate_from_the_lan_is_not_protected_twice() {
    let mut office = Office::new();
    assert!(office.phone_says(0, &rtp(0, 1, 7)).is_some());
    let mut other = rtp(0, 1, 7);
    other[20] ^= 0xff;
    assert_eq!(office.give(0, LAN, PHONE, &other), None);
    assert_eq!(office.report(TRUNK).packets_sent, 1);
}

#[test]
fn a_new_ssrc_of_the_same_phone_goes_on_in_our_stream() {
    let mut office = Office::new();
    let a = header(&office.phone_says(0, &rtp(0, 500, 7)).unwrap());
    let b = header(&office.phone_says(20, &rtp(0, 9, 8)).unwrap());
    assert_eq!((b.ssrc, b.sequence), (a.ssrc, a.sequence + 1));
}

#[test]
fn the_same_keys_keep_their_state_over_a_re_invite() {
    let mut office = Office::new();
    let mut sequence = 60_000u16;
    for n in 0..8_000u64 {
        let out = office.phone_says(n * 20, &rtp(0, sequence, 7)).unwrap();
        let back = office.give_secure(n * 20, TWILIO, &rtp(0, sequence, 9));
        assert!(back.is_some() && out.len() == 172, "packet {n}");
        if n % 500 == 0 {
            office.relay.set(at(n * 20), TRUNK, trunk_params());
        }
        sequence = sequence.wrapping_add(1);
    }
    assert_eq!(office.report(TRUNK).rejected, 0);
}

#[test]
fn new_keys_begin_anew_and_the_old_ones_end_soon() {
    let mut office = Office::new();
    let before = header(&office.phone_says(0, &rtp(0, 1, 7)).unwrap());
    office.give_secure(0, TWILIO, &rtp(0, 1, 9)).unwrap();
    let fresh = SrtpKeys { suite: keys().suite, local: key(3), remote: key(4) };
    office.relay.set(at(100), TRUNK, LegParams { srtp: Some(fresh), ..trunk_params() });
    office.give_secure(200, TWILIO, &rtp(0, 2, 9)).expect("the former key is good for a while");
    let late = 100 + FORMER_KEY_FOR.as_millis() as u64;
    assert_eq!(office.give_secure(late, TWILIO, &rtp(0, 3, 9)), None);
    office.theirs = SrtpSender::new(keys().suite, &key(4));
    office.give_secure(late, TWILIO, &rtp(0, 4, 9)).unwrap();
    office.opener = SrtpReceiver::new(keys().suite, &key(3));
    let after = header(&office.phone_says(300, &rtp(0, 2, 7)).unwrap());
    assert_ne!(after.ssrc, before.ssrc);
}

#[test]
fn a_changed_remote_key_alone_leaves_what_we_send_untouched() {
    let mut office = Office::new();
    let before = header(&office.phone_says(0, &rtp(0, 1, 7)).unwrap());
    let srtp = Some(SrtpKeys { remote: key(4), ..keys() });
    office.relay.set(at(10), TRUNK, LegParams { srtp, ..trunk_params() });
    let after = header(&office.phone_says(20, &rtp(0, 2, 7)).unwrap());
    assert_eq!((after.ssrc, after.sequence), (before.ssrc, before.sequence + 1));
}

#[test]
fn a_held_leg_neither_gets_nor_passes_on() {
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { send: false, receive: false, ..params(PHONE) });
    assert_eq!(office.give_secure(0, TWILIO, &rtp(0, 1, 9)), None);
    assert_eq!(office.phone_says(0, &rtp(0, 1, 7)), None);
    assert_eq!(office.report(LAN).packets_received, 1);
    office.relay.set(at(10), LAN, LegParams { remote: None, ..params(PHONE) });
    assert_eq!(office.give_secure(20, TWILIO, &rtp(0, 2, 9)), None);
}

#[test]
fn silence_is_told_once_until_media_comes_back() {
    let mut office = Office::new();
    let silence = Some(Duration::from_secs(10));
    office.relay.set(at(1000), LAN, LegParams { silence, ..params(PHONE) });
    assert_eq!(office.relay.poll_timeout(), Some(at(11_000)));
    office.phone_says(5000, &rtp(0, 1, 7));
    office.transmit(11_000);
    assert_eq!(office.relay.poll_timeout(), Some(at(15_000)));
    office.notices();
    office.transmit(15_000);
    assert_eq!(office.notices(), ["Silent { leg: MediaLeg(1) }"]);
    assert_eq!(office.relay.poll_timeout(), None);
    office.transmit(60_000);
    assert!(office.notices().is_empty());
    office.phone_says(61_000, &rtp(0, 2, 7));
    assert_eq!(office.relay.poll_timeout(), Some(at(71_000)));
    assert_eq!(office.notices(), ["Heard { leg: MediaLeg(1) }"]);
    office.transmit(71_000);
    assert_eq!(office.notices(), ["Silent { leg: MediaLeg(1) }"]);
}

#[test]
fn a_held_leg_is_not_called_silent() {
    let mut office = Office::new();
    let held = LegParams { receive: false, silence: Some(Duration::from_secs(10)), ..params(PHONE) };
    office.relay.set(at(0), LAN, held.clone());
    office.transmit(60_000);
    assert!(office.notices().is_empty());
    office.relay.set(at(60_000), LAN, LegParams { receive: true, ..held });
    assert_eq!(office.relay.poll_timeout(), Some(at(70_000)));
}

#[test]
fn a_digit_goes_out_as_an_event_and_speech_waits_for_it() {
    let mut office = Office::new();
    let before = header(&office.phone_says(0, &rtp(0, 100, 7)).unwrap());
    assert!(office.relay.dtmf(TRUNK, '#', Duration::from_millis(100)));
    assert!(office.relay.poll_timeout().is_some_and(|due| due <= at(20)));
    let mut events = Vec::new();
    for tick in 1..=7 {
        let now = tick * 20;
        for (forward, sealed) in office.transmit(now) {
            assert_eq!((forward.slot, forward.to), (office.slot(TRUNK), address(TWILIO)));
            events.push(office.open(sealed));
        }
        assert_eq!(office.phone_says(now, &rtp(0, 100 + tick as u16, 7)).is_some(), tick == 7);
    }
    let headers: Vec<_> = events.iter().map(|event| header(event)).collect();
    let sequences: Vec<_> = headers.iter().map(|h| h.sequence - before.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7]);
    assert!(headers.iter().all(|h| h.payload_type == 101 && h.timestamp == headers[0].timestamp));
    assert_eq!(headers[0].timestamp.wrapping_sub(before.timestamp), 160);
    assert!(headers[0].marker && headers[1..].iter().all(|h| !h.marker));
    assert!(events.iter().all(|event| event[HEADER] == 11));
    let after = header(&office.phone_says(160, &rtp(0, 108, 7)).unwrap());
    assert_eq!(after.sequence - before.sequence, 9);
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 8 * 160);
    assert_eq!(office.report(TRUNK).dtmf, 1);
    assert_eq!(office.relay.poll_timeout(), None);
}

#[test]
fn a_digit_is_refused_where_it_cannot_be_sent() {
    let mut office = Office::new();
    let short = Duration::from_millis(100);
    assert!(!office.relay.dtmf(MediaLeg(99), '1', short));
    assert!(!office.relay.dtmf(TRUNK, 'x', short));
    office.relay.set(at(0), TRUNK, LegParams { dtmf_out: None, ..trunk_params() });
    assert!(!office.relay.dtmf(TRUNK, '1', short));
    office.relay.set(at(0), TRUNK, LegParams { send: false, ..trunk_params() });
    assert!(!office.relay.dtmf(TRUNK, '1', short));
    assert_eq!(office.relay.poll_timeout(), None);
}

#[test]
fn closing_during_a_digit_leaves_nothing_behind() {
    let mut office = Office::new();
    office.relay.dtmf(TRUNK, '1', Duration::from_millis(100));
    let (slot, report) = office.relay.close(TRUNK).unwrap();
    assert_eq!((slot, report), (office.slot(TRUNK), Report::default()));
    assert!(office.transmit(20).is_empty());
    assert_eq!(office.give(20, LAN, PHONE, &rtp(0, 1, 7)), None);
    assert_eq!(office.relay.close(TRUNK), None);
    assert_eq!(office.relay.poll_timeout(), None);
    assert_eq!(office.relay.open(MediaLeg(50)), Ok(slot));
}

#[test]
fn legs_are_bounded_and_not_opened_twice() {
    let mut relay = Relay::new(Random::from_number(1));
    for leg in 0..MAX_LEGS as u64 {
        relay.open(MediaLeg(leg)).unwrap();
    }
    assert_eq!(relay.open(MediaLeg(5)), Err(OpenError::Duplicate(MediaLeg(5))));
    assert_eq!(relay.open(MediaLeg(1 << 40)), Err(OpenError::TooMany));
    relay.close(MediaLeg(5)).unwrap();
    relay.open(MediaLeg(1 << 40)).unwrap();
}

#[test]
fn loss_and_jitter_are_in_the_report_over_a_change_of_ssrc() {
    let mut office = Office::new();
    for (n, sequence) in [1u16, 2, 5, 6].into_iter().enumerate() {
        office.phone_says(20 * n as u64, &rtp(0, sequence, 7));
    }
    for (n, sequence) in [100u16, 102].into_iter().enumerate() {
        office.phone_says(100 + 20 * n as u64, &rtp(0, sequence, 8));
    }
    let report = office.report(LAN);
    assert_eq!((report.lost, report.packets_received), (3, 6));
    assert!(report.jitter > 0);
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn word(packet: &[u8], index: usize) -> u32 {
    u32::from_be_bytes(packet[index * 4..index * 4 + 4].try_into().unwrap())
}

#[test]
fn reports_cross_in_the_numbers_of_each_side() {
    let mut office = Office::new();
    let heard = header(&office.phone_says(0, &rtp(0, 500, 7)).unwrap());
    let (_, played) = office.give_secure(0, TWILIO, &rtp(0, 900, 9)).unwrap();
    let played = header(&played);
    // The phone's sender report, about Twilio's stream as the phone hears it.
    let report = words(&[0x81c8_000c, 7, 1, 2, 500 * 160, 1, 160, played.ssrc, 0, played.sequence.into(), 0, 0, 0]);
    let mut buffer = [0; BUFFER];
    buffer[..report.len()].copy_from_slice(&report);
    let from = address("192.168.1.20:4001");
    let forward = office.relay.rtcp(at(10), office.slot(LAN), from, &mut buffer, report.len()).unwrap();
    assert_eq!((forward.slot, forward.to), (office.slot(TRUNK), address("168.86.128.7:10001")));
    let len = office.opener.unprotect_rtcp(&mut buffer, forward.len).unwrap();
    assert_eq!(len, report.len() + 28);
    assert_eq!((word(&buffer, 1), word(&buffer, 4)), (heard.ssrc, heard.timestamp));
    assert_eq!((word(&buffer, 7), word(&buffer, 9)), (9, 900));
    assert_eq!((word(&buffer, 5), word(&buffer, 6)), (1, 160));

    // Twilio's receiver report about the phone's stream, from an address of its own.
    let report = words(&[0x81c9_0007, 9, heard.ssrc, 0x0500_0001, heard.sequence.into(), 3, 0, 0]);
    buffer[..report.len()].copy_from_slice(&report);
    let len = office.theirs.protect_rtcp(&mut buffer, report.len()).unwrap();
    let from = address("168.86.128.7:40001");
    let forward = office.relay.rtcp(at(20), office.slot(TRUNK), from, &mut buffer, len).unwrap();
    assert_eq!(forward.to, address("192.168.1.20:4001"));
    assert_eq!((word(&buffer, 1), word(&buffer, 2), word(&buffer, 4)), (played.ssrc, 7, 500));
    assert_eq!(word(&buffer, 3), 0x0500_0001);
}

#[test]
fn reports_go_where_the_phone_has_them_unless_its_sdp_is_wrong_about_rtp() {
    let report = |office: &mut Office| {
        let report = words(&[0x80c9_0001, 9]);
        let mut buffer = [0; BUFFER];
        buffer[..report.len()].copy_from_slice(&report);
        let len = office.theirs.protect_rtcp(&mut buffer, report.len()).unwrap();
        let from = address("168.86.128.7:40001");
        office.relay.rtcp(at(20), office.slot(TRUNK), from, &mut buffer, len).unwrap().to.to_string()
    };
    let nat = || vec!["192.168.1.0/24".parse().unwrap()];
    for (rtcp, heard_at, to) in [
        (None, None, "192.168.1.20:4001"),
        (Some("192.168.1.20:53020"), None, "192.168.1.20:53020"),
        (Some("192.168.1.20:53020"), Some("192.168.1.20:4100"), "192.168.1.20:53020"),
        (Some("192.168.1.21:53020"), Some(PHONE), "192.168.1.21:53020"),
        (Some("192.168.1.20:53020"), Some("192.168.1.99:4000"), "192.168.1.99:4001"),
    ] {
        let mut office = Office::new();
        let rtcp = rtcp.map(address);
        office.relay.set(at(0), LAN, LegParams { rtcp, latch: nat(), ..params(PHONE) });
        if let Some(from) = heard_at {
            office.give(10, LAN, from, &rtp(0, 1, 7)).unwrap();
        }
        assert_eq!(report(&mut office), to, "{rtcp:?} {heard_at:?}");
    }
    // A report of the phone's shows its place better than any SDP.
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { rtcp: Some(address("192.168.1.20:53020")), ..params(PHONE) });
    let mut buffer = [0; BUFFER];
    buffer[..8].copy_from_slice(&words(&[0x80c9_0001, 7]));
    office.relay.rtcp(at(10), office.slot(LAN), address("192.168.1.20:4001"), &mut buffer, 8);
    assert_eq!(report(&mut office), "192.168.1.20:4001");
}

#[test]
fn rtcp_that_is_foreign_forged_or_malformed_is_dropped() {
    let mut office = Office::new();
    let report = words(&[0x80c9_0001, 9]);
    let mut give = |leg: MediaLeg, from: &str, packet: &[u8]| {
        let mut buffer = [0; BUFFER];
        buffer[..packet.len()].copy_from_slice(packet);
        office.relay.rtcp(at(0), office.slots[leg.0 as usize - 1], address(from), &mut buffer, packet.len())
    };
    assert!(give(LAN, "192.168.1.20:4001", &report).is_some());
    assert_eq!(give(LAN, "10.0.0.1:4001", &report), None);
    assert_eq!(give(LAN, "192.168.1.20:4001", &report[..7]), None);
    assert_eq!(give(LAN, "192.168.1.20:4001", &[]), None);
    assert_eq!(give(TRUNK, "168.86.128.7:10001", &report), None);
    assert_eq!(give(TRUNK, "168.86.128.7:10001", &[report.clone(), vec![0; 14]].concat()), None);
    assert_eq!(office.report(TRUNK).rejected, 2);
}

#[test]
fn stun_dtls_and_oversized_packets_are_dropped() {
    let mut office = Office::new();
    for first in [0, 1, 20, 22, 63, 127, 192, 255] {
        let mut packet = rtp(0, 1, 7);
        packet[0] = first;
        assert_eq!(office.give(0, LAN, PHONE, &packet), None);
    }
    let mut long = rtp(0, 1, 7);
    long.resize(MAX_PACKET + 1, 0);
    assert_eq!(office.give(0, LAN, PHONE, &long), None);
    long.pop();
    assert_eq!(office.give(0, LAN, PHONE, &long).unwrap().0.len, MAX_PACKET + 10);
    assert_eq!(office.report(LAN).foreign, 9);
}

#[test]
fn mutated_and_truncated_packets_never_panic() {
    let mut random = Random::from_number(11);
    let mut office = Office::new();
    let mut buffer = [0; BUFFER];
    let sources = [PHONE, TWILIO, SECOND, "192.168.1.20:4001", "168.86.128.7:10001"].map(address);
    for round in 0..20_000u64 {
        let leg = [LAN, TRUNK, OTHER][random.below(3) as usize];
        let mut packet = match random.below(4) {
            0 => event(101, random.u32() as u16, random.u32()),
            1 => words(&[0x82c8_0012, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]),
            _ => rtp(0, random.u32() as u16, random.below(3) as u32),
        };
        if leg == TRUNK && random.below(2) == 0 {
            let mut sealed = [&packet[..], &[0; 14]].concat();
            // A number that was used before is not sealed, and goes as it is.
            if let Ok(len) = office.theirs.protect_rtp(&mut sealed, packet.len()) {
                sealed.truncate(len);
                packet = sealed;
            }
        }
        for _ in 0..random.below(4) {
            let at = random.below(packet.len() as u64) as usize;
            packet[at] = random.bytes::<1>()[0];
        }
        if random.below(4) == 0 {
            packet.truncate(random.below(packet.len() as u64 + 1) as usize);
        }
        buffer[..packet.len()].copy_from_slice(&packet);
        let from = sources[random.below(sources.len() as u64) as usize];
        let (slot, now) = (office.slot(leg), at(round * 5));
        let forward = match random.below(4) {
            0 => office.relay.rtcp(now, slot, from, &mut buffer, packet.len()),
            _ => office.relay.rtp(now, slot, from, &mut buffer, packet.len()),
        };
        assert!(forward.is_none_or(|forward| forward.len <= BUFFER));
        match random.below(200) {
            0 => office.relay.connect([LAN, OTHER][random.below(2) as usize], TRUNK),
            1 => office.relay.set(now, LAN, params(PHONE)),
            2 => drop(office.relay.dtmf(TRUNK, '5', Duration::from_millis(200))),
            _ => {}
        }
        office.transmit(round * 5);
        office.notices();
    }
    let sent: u64 = [LAN, TRUNK, OTHER].iter().map(|&leg| office.report(leg).packets_sent).sum();
    assert!(sent > 1000, "{sent} packets passed: the test tests something");
}

/// A sound of that many packets, each full of its number.
fn sound(law: Law, frames: u8) -> Sound {
    let octets: Vec<u8> = (1..=frames).flat_map(|frame| [frame; 160]).collect();
    Sound::new(law, &octets).unwrap()
}

#[test]
fn a_sound_leaves_in_real_time_as_one_stream_and_its_end_is_told() {
    let mut office = Office::new();
    office.relay.disconnect(office.slot(LAN));
    office.relay.play(at(1000), LAN, sound(Law::Mu, 3));
    let mut packets = Vec::new();
    for now in 1000..1080 {
        // Not before its time, and not again.
        packets.extend(office.transmit(now).into_iter().map(|(forward, packet)| (now, forward.to, packet)));
    }
    let told: Vec<_> = packets.iter().map(|(now, to, packet)| (*now, *to, packet.len(), packet[12])).collect();
    let phone = address(PHONE);
    assert_eq!(told, [(1000, phone, 172, 1), (1020, phone, 172, 2), (1040, phone, 172, 3)]);
    let headers: Vec<_> = packets.iter().map(|(_, _, packet)| Header::read(packet).unwrap()).collect();
    for (number, header) in (0..).zip(&headers) {
        assert_eq!((header.marker, header.payload_type, header.ssrc), (number == 0, 0, headers[0].ssrc));
        assert_eq!(header.sequence, headers[0].sequence + number);
        assert_eq!(header.timestamp, headers[0].timestamp.wrapping_add(160 * u32::from(number)));
    }
    assert!(matches!(office.relay.poll_notice(), Some(Notice::Played { leg: LAN })));
    assert_eq!(office.relay.poll_timeout(), None);
}

fn in_law(payload_type: u8, remote: LegParams) -> LegParams {
    LegParams { payload_types: vec![payload_type], ..remote }
}

#[test]
fn two_legs_on_one_law_each_hear_each_other_in_their_own() {
    for (phone, trunk) in [(8, 0), (0, 8)] {
        let mut office = Office::new();
        office.relay.set(at(0), LAN, in_law(phone, params(PHONE)));
        office.relay.set(at(0), TRUNK, in_law(trunk, trunk_params()));
        let (theirs, ours) = (Law::of_payload_type(phone).unwrap(), Law::of_payload_type(trunk).unwrap());
        for sequence in 1..=255 {
            let out = office.phone_says(0, &rtp(phone, sequence, 7)).unwrap();
            assert_eq!((header(&out).payload_type, out.len()), (trunk, 172));
            assert!(out[HEADER..].iter().all(|octet| *octet == theirs.convert(sequence as u8, ours)));
        }
        let (_, out) = office.give_secure(0, TWILIO, &rtp(trunk, 3, 9)).unwrap();
        assert_eq!((header(&out).payload_type, out[HEADER]), (phone, ours.convert(3, theirs)));
        // Digits are no sound, and what was not agreed is not taken.
        let out = office.phone_says(20, &event(101, 256, 320)).unwrap();
        assert_eq!((header(&out).payload_type, &out[HEADER..]), (101, &[5, 10, 0, 160][..]));
        assert_eq!(office.phone_says(20, &rtp(13, 257, 7)), None, "comfort noise");
        assert_eq!(office.phone_says(20, &rtp(trunk, 257, 7)), None);
    }
}

#[test]
fn a_leg_on_both_laws_gets_what_comes_and_one_on_a_single_law_gets_that() {
    let mut office = Office::new();
    office.relay.set(at(0), TRUNK, in_law(0, trunk_params()));
    // The phone changes in mid-stream, as both were agreed with it.
    for (payload_type, sequence, first) in [(0, 1, 1), (8, 2, Law::A.convert(2, Law::Mu)), (0, 3, 3)] {
        let out = office.phone_says(0, &rtp(payload_type, sequence, 7)).unwrap();
        assert_eq!((header(&out).payload_type, out[HEADER]), (0, first));
    }
    let (_, out) = office.give_secure(0, TWILIO, &rtp(0, 3, 9)).unwrap();
    assert_eq!((header(&out).payload_type, out[HEADER]), (0, 3));
}

#[test]
fn padding_and_what_stands_before_the_payload_are_not_converted() {
    let mut office = Office::new();
    office.relay.set(at(0), LAN, in_law(8, params(PHONE)));
    office.relay.set(at(0), TRUNK, in_law(0, trunk_params()));
    let mut packet = vec![0x80 | 0x20 | 0x10 | 1, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7];
    // A source, an extension of one word, two octets of sound, padding.
    packet.extend([9, 9, 9, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 0xd5, 0x2a, 0, 0, 3]);
    let out = office.phone_says(0, &packet).unwrap();
    assert_eq!(out[HEADER..24], packet[HEADER..24]);
    assert_eq!(out[24..], [Law::A.convert(0xd5, Law::Mu), Law::A.convert(0x2a, Law::Mu), 0, 0, 3]);
}

#[test]
fn a_sound_is_sent_in_the_law_and_under_the_keys_of_the_leg() {
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { payload_types: vec![8], ..params(PHONE) });
    office.relay.play(at(0), LAN, sound(Law::Mu, 1));
    let (_, packet) = office.transmit(0).remove(0);
    assert_eq!((packet[1] & 0x7f, packet[12]), (8, Law::Mu.convert(1, Law::A)));
    office.relay.play(at(0), TRUNK, sound(Law::A, 1));
    let (_, sealed) = office.transmit(0).remove(0);
    let clear = office.open(sealed);
    assert_eq!((clear[1] & 0x7f, clear[12]), (0, Law::A.convert(1, Law::Mu)));
}

#[test]
fn while_a_sound_is_sent_the_partner_is_not_heard_and_afterwards_it_is() {
    let mut office = Office::new();
    office.relay.play(at(0), LAN, sound(Law::Mu, 2));
    assert_eq!(office.transmit(0).len(), 1);
    assert!(office.give_secure(5, TWILIO, &rtp(0, 1, 9)).is_none());
    assert_eq!(office.transmit(20).len(), 1);
    assert!(office.transmit(40).is_empty(), "it is over");
    let (_, after) = office.give_secure(45, TWILIO, &rtp(0, 3, 9)).unwrap();
    assert_eq!(after[12], 3);
}

#[test]
fn a_sound_ends_when_the_leg_gets_a_partner() {
    let mut office = Office::new();
    office.relay.disconnect(office.slot(LAN));
    office.relay.play(at(0), LAN, sound(Law::Mu, 100));
    assert_eq!(office.transmit(0).len(), 1);
    office.relay.connect(LAN, TRUNK);
    assert!(office.transmit(20).is_empty());
    let (_, packet) = office.give_secure(25, TWILIO, &rtp(0, 1, 9)).unwrap();
    assert_eq!(packet[12], 1);
}

#[test]
fn a_sound_passes_in_its_time_where_it_cannot_be_sent_and_finds_the_phone_that_speaks() {
    let mut office = Office::new();
    let unknown = LegParams { remote: None, ..params(PHONE) };
    office.relay.set(at(0), LAN, unknown);
    office.relay.play(at(0), LAN, sound(Law::Mu, 4));
    assert!(office.transmit(0).is_empty() && office.transmit(20).is_empty());
    office.give(30, LAN, PHONE, &rtp(0, 1, 5));
    let (forward, packet) = office.transmit(40).remove(0);
    assert_eq!((forward.to, packet[12]), (address(PHONE), 3));
    // A thread that slept too long goes on from where it was, without a burst.
    assert_eq!(office.transmit(1000).len(), 1);
    assert!(office.relay.poll_notice().is_some_and(|notice| matches!(notice, Notice::Started { .. })));
    assert!(office.transmit(1001).is_empty());
    assert!(matches!(office.relay.poll_notice(), Some(Notice::Played { leg: LAN })));
}

#[test]
fn a_leg_that_has_agreed_on_nothing_tells_at_once_that_the_sound_is_over() {
    let mut office = Office::new();
    office.relay.set(at(0), LAN, LegParams { payload_types: Vec::new(), ..params(PHONE) });
    office.relay.play(at(0), LAN, sound(Law::Mu, 4));
    assert!(matches!(office.relay.poll_notice(), Some(Notice::Played { leg: LAN })));
    office.relay.close(OTHER);
    office.relay.play(at(0), OTHER, sound(Law::Mu, 4));
    assert!(office.relay.poll_notice().is_none() && office.transmit(20).is_empty());
}
