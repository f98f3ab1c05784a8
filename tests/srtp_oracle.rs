//! Our SRTP against webrtc-srtp, which was written by others: what one protects the other opens, and both give the
//! same bytes, over loss, reordering and the turn of the sequence number.

use gateway_core::media::srtp::{SrtpError, SrtpReceiver, SrtpSender};
use gateway_core::media::{MasterKey, Suite};
use gateway_core::random::Random;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

const SUITES: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];
const SSRC: u32 = 0xcafe_babe;

fn key(seed: u64) -> MasterKey {
    MasterKey(Random::from_number(seed).bytes())
}

/// Theirs does not protect from replays unless it is asked to.
fn oracle(suite: Suite, key: &MasterKey) -> Context {
    let profile = match suite {
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let replay = (Some(srtp_replay_protection(64)), Some(srtcp_replay_protection(64)));
    Context::new(&key.0[..16], &key.0[16..], profile, replay.0, replay.1).unwrap()
}

fn rtp(random: &mut Random, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&random.bytes::<4>());
    packet.extend_from_slice(&SSRC.to_be_bytes());
    let mut payload = vec![0; random.below(200) as usize];
    random.fill(&mut payload);
    packet.extend_from_slice(&payload);
    packet
}

/// A receiver report with one block, and a description.
fn rtcp(random: &mut Random) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7];
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.extend_from_slice(&random.bytes::<24>());
    packet.extend_from_slice(&[0x81, 202, 0, 2]);
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.extend_from_slice(&[1, 1, b'x', 0]);
    packet
}

fn protect(sender: &mut SrtpSender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; 10]].concat();
    let len = sender.protect_rtp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

fn unprotect(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = receiver.unprotect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

/// Sequence numbers over the turn: those that arrive, in the order in which they do, with the order of sending.
fn journey(random: &mut Random, first: u16, count: usize) -> (Vec<u16>, Vec<usize>) {
    let sent: Vec<u16> = (0..count).map(|n| first.wrapping_add(n as u16)).collect();
    let mut order: Vec<usize> = (0..count).filter(|_| random.below(10) > 0).collect();
    for at in 1..order.len() {
        if random.below(5) == 0 {
            let other = at.saturating_sub(random.below(8) as usize);
            order.swap(at, other);
        }
    }
    (sent, order)
}

#[test]
fn what_we_protect_is_byte_for_byte_theirs_and_they_open_it() {
    for suite in SUITES {
        let mut random = Random::from_number(1);
        let (mut ours, mut theirs) = (SrtpSender::new(suite, &key(1)), oracle(suite, &key(1)));
        let mut opener = oracle(suite, &key(1));
        for n in 0..2000u16 {
            let packet = rtp(&mut random, 65_000u16.wrapping_add(n));
            let sealed = protect(&mut ours, &packet);
            assert_eq!(sealed, theirs.encrypt_rtp(&packet).unwrap(), "{suite:?} packet {n}");
            assert_eq!(opener.decrypt_rtp(&sealed).unwrap(), packet);
        }
    }
}

#[test]
fn what_they_protect_we_open_over_loss_reordering_and_the_turn() {
    for (suite, seed) in SUITES.into_iter().zip(2..) {
        let mut random = Random::from_number(seed);
        let (sent, order) = journey(&mut random, 64_000, 4000);
        let (mut theirs, mut ours) = (oracle(suite, &key(1)), SrtpReceiver::new(suite, &key(1)));
        let packets: Vec<_> = sent.iter().map(|&sequence| rtp(&mut random, sequence)).collect();
        let sealed: Vec<_> = packets.iter().map(|packet| theirs.encrypt_rtp(packet).unwrap()).collect();
        for at in order {
            assert_eq!(unprotect(&mut ours, &sealed[at]).unwrap(), packets[at], "{suite:?} packet {at}");
            assert_eq!(unprotect(&mut ours, &sealed[at]), Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn they_open_what_we_protect_over_loss_reordering_and_the_turn() {
    for (suite, seed) in SUITES.into_iter().zip(4..) {
        let mut random = Random::from_number(seed);
        let (sent, order) = journey(&mut random, 65_200, 2000);
        let (mut ours, mut theirs) = (SrtpSender::new(suite, &key(1)), oracle(suite, &key(1)));
        let packets: Vec<_> = sent.iter().map(|&sequence| rtp(&mut random, sequence)).collect();
        let sealed: Vec<_> = packets.iter().map(|packet| protect(&mut ours, packet)).collect();
        for at in order {
            assert_eq!(theirs.decrypt_rtp(&sealed[at]).unwrap(), packets[at], "{suite:?} packet {at}");
        }
    }
}

#[test]
fn a_relay_that_reorders_protects_late_packets_as_they_would() {
    for (suite, seed) in SUITES.into_iter().zip(6..) {
        let mut random = Random::from_number(seed);
        let (sent, order) = journey(&mut random, 65_200, 2000);
        let (mut ours, mut receiver) = (SrtpSender::new(suite, &key(1)), oracle(suite, &key(1)));
        for at in order {
            let packet = rtp(&mut random, sent[at]);
            assert_eq!(receiver.decrypt_rtp(&protect(&mut ours, &packet)).unwrap(), packet, "{suite:?} packet {at}");
        }
    }
}

#[test]
fn srtcp_is_theirs_in_both_directions() {
    for suite in SUITES {
        let mut random = Random::from_number(8);
        let (mut ours, mut theirs) = (SrtpSender::new(suite, &key(1)), oracle(suite, &key(1)));
        let (mut our_opener, mut opener) = (SrtpReceiver::new(suite, &key(1)), oracle(suite, &key(1)));
        for n in 0..300 {
            let packet = rtcp(&mut random);
            let mut buffer = [&packet[..], &[0; 14]].concat();
            let len = ours.protect_rtcp(&mut buffer, packet.len()).unwrap();
            let sealed = theirs.encrypt_rtcp(&packet).unwrap();
            assert_eq!(buffer[..len], sealed, "{suite:?} packet {n}");
            assert_eq!(opener.decrypt_rtcp(&buffer[..len]).unwrap(), packet);
            assert_eq!(our_opener.unprotect_rtcp(&mut buffer, len), Ok(packet.len()));
            assert_eq!(buffer[..packet.len()], packet);
            let mut again = sealed.to_vec();
            assert_eq!(our_opener.unprotect_rtcp(&mut again, len), Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn keys_of_the_other_direction_open_nothing() {
    for suite in SUITES {
        let mut random = Random::from_number(9);
        let packet = rtp(&mut random, 1);
        let sealed = oracle(suite, &key(1)).encrypt_rtp(&packet).unwrap();
        assert_eq!(unprotect(&mut SrtpReceiver::new(suite, &key(2)), &sealed), Err(SrtpError::Forged));
        let sealed = protect(&mut SrtpSender::new(suite, &key(1)), &packet);
        assert!(oracle(suite, &key(2)).decrypt_rtp(&sealed).is_err());
    }
}
