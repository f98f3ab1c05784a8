use super::*;
use crate::random::Random;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn key(seed: u64) -> MasterKey {
    MasterKey(Random::from_number(seed).bytes())
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(b"more of it..");
    packet
}

fn protect(sender: &mut SrtpSender, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = [packet, &[0; 10]].concat();
    let len = sender.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = receiver.unprotect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

const BOTH: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];

fn pair(suite: Suite) -> (SrtpSender, SrtpReceiver) {
    (SrtpSender::new(suite, &key(1)), SrtpReceiver::new(suite, &key(1)))
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_b_2() {
    let keys = SessionKeys {
        cipher: Aes128Enc::new_from_slice(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap(),
        salt: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
        mac: Hmac::<Sha1>::new_from_slice(&[]).unwrap(),
    };
    let mut stream = vec![0; 0xff02 * 16];
    keys.apply(0, 0, &mut stream);
    assert_eq!(
        &stream[..48],
        hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
    );
    assert_eq!(
        &stream[0xfeff * 16..],
        hex("EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44")
    );
}

#[test]
fn session_keys_are_those_of_rfc_3711_b_3() {
    let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey(master.try_into().unwrap());
    let mut key = [0; 16];
    derive(&master, 0, &mut key);
    assert_eq!(key.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    let mut salt = [0; 14];
    derive(&master, 2, &mut salt);
    assert_eq!(salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let mut auth = [0; 94];
    derive(&master, 1, &mut auth);
    let expected = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098
            6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(auth.to_vec(), hex(expected));
}

#[test]
fn what_is_protected_opens_again_and_is_not_readable_between() {
    for (suite, tag) in BOTH.into_iter().zip([10, 4]) {
        let (mut sender, mut receiver) = pair(suite);
        let packet = rtp(7, 100, &[0xd5; 160]);
        let sealed = protect(&mut sender, &packet).unwrap();
        assert_eq!(sealed.len(), packet.len() + tag);
        assert_eq!(sealed[..12], packet[..12]);
        assert_ne!(sealed[12..172], packet[12..]);
        assert_eq!(unprotect(&mut receiver, &sealed).unwrap(), packet);
    }
}

#[test]
fn any_changed_bit_is_refused() {
    for suite in BOTH {
        let (mut sender, mut receiver) = pair(suite);
        let packet = rtp(7, 100, b"speech");
        let sealed = protect(&mut sender, &packet).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut receiver, &forged).is_err(), "bit {bit}");
        }
        assert_eq!(unprotect(&mut receiver, &sealed).unwrap(), packet);
    }
}

#[test]
fn a_replayed_packet_is_refused_and_a_late_one_inside_the_window_is_not() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    let sealed: Vec<_> = (0..200).map(|s| protect(&mut sender, &rtp(7, s, b"x")).unwrap()).collect();
    unprotect(&mut receiver, &sealed[199]).unwrap();
    assert_eq!(unprotect(&mut receiver, &sealed[199]), Err(SrtpError::Replayed));
    unprotect(&mut receiver, &sealed[136]).unwrap();
    assert_eq!(unprotect(&mut receiver, &sealed[136]), Err(SrtpError::Replayed));
    assert_eq!(unprotect(&mut receiver, &sealed[135]), Err(SrtpError::Replayed));
    unprotect(&mut receiver, &sealed[150]).unwrap();
}

#[test]
fn the_sender_never_uses_a_key_stream_twice() {
    let (mut sender, _) = pair(BOTH[0]);
    protect(&mut sender, &rtp(7, 100, b"one")).unwrap();
    assert_eq!(protect(&mut sender, &rtp(7, 100, b"two")), Err(SrtpError::Replayed));
    protect(&mut sender, &rtp(8, 100, b"another ssrc")).unwrap();
    protect(&mut sender, &rtp(7, 300, b"far ahead")).unwrap();
    assert_eq!(protect(&mut sender, &rtp(7, 101, b"too old to know")), Err(SrtpError::Replayed));
}

#[test]
fn a_sender_refuses_ssrcs_beyond_the_bound_and_a_receiver_forgets_the_first() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    let first = protect(&mut sender, &rtp(0, 1, b"x")).unwrap();
    for ssrc in 1..MAX_STREAMS as u32 {
        protect(&mut sender, &rtp(ssrc, 1, b"x")).unwrap();
    }
    assert_eq!(protect(&mut sender, &rtp(99, 1, b"x")), Err(SrtpError::TooManyStreams));
    unprotect(&mut receiver, &first).unwrap();
    let mut other = SrtpSender::new(BOTH[0], &key(1));
    for ssrc in 100..100 + MAX_STREAMS as u32 {
        let sealed = protect(&mut other, &rtp(ssrc, 1, b"x")).unwrap();
        unprotect(&mut receiver, &sealed).unwrap();
        if other.sent.is_full() {
            other = SrtpSender::new(BOTH[0], &key(1));
        }
    }
    assert_eq!(receiver.received.0.len(), MAX_STREAMS);
    assert!(receiver.received.get(0).is_none());
}

#[test]
fn a_forged_packet_leaves_no_state() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    for ssrc in 0..100 {
        let mut forged = rtp(ssrc, 1, b"x");
        forged.extend_from_slice(&[0; 10]);
        assert_eq!(unprotect(&mut receiver, &forged), Err(SrtpError::Forged));
    }
    assert!(receiver.received.0.is_empty());
    let sealed = protect(&mut sender, &rtp(7, 1, b"x")).unwrap();
    unprotect(&mut receiver, &sealed).unwrap();
}

#[test]
fn the_rollover_counter_follows_two_turns_with_loss_and_reordering() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    let mut random = Random::from_number(3);
    let sequence: Vec<u16> = (65_000u32..65_000 + 67_000).map(|s| s as u16).collect();
    let mut held: Option<(Vec<u8>, Vec<u8>)> = None;
    for sequence in sequence {
        let packet = rtp(7, sequence, b"speech");
        let sealed = protect(&mut sender, &packet).unwrap();
        match random.below(10) {
            0 => continue,
            1 if held.is_none() => held = Some((sealed, packet)),
            _ => {
                assert_eq!(unprotect(&mut receiver, &sealed).unwrap(), packet);
                if let Some((sealed, packet)) = held.take() {
                    assert_eq!(unprotect(&mut receiver, &sealed).unwrap(), packet);
                }
            }
        }
    }
    assert_eq!(receiver.received.get(7).unwrap().highest >> 16, 2);
}

#[test]
fn a_stream_whose_first_turn_was_lost_is_still_opened() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    protect(&mut sender, &rtp(7, 65_535, b"lost")).unwrap();
    let packet = rtp(7, 0, b"heard");
    let sealed = protect(&mut sender, &packet).unwrap();
    assert_eq!(unprotect(&mut receiver, &sealed).unwrap(), packet);
}

#[test]
fn srtcp_opens_once_under_its_own_keys_with_a_long_tag() {
    for suite in BOTH {
        let (mut sender, mut receiver) = pair(suite);
        let packet = rtcp(7);
        let mut sealed = [&packet[..], &[0; 14]].concat();
        let len = sender.protect_rtcp(&mut sealed, packet.len()).unwrap();
        assert_eq!(len, packet.len() + 14);
        assert_eq!(sealed[packet.len()..packet.len() + 4], [0x80, 0, 0, 1]);
        assert_ne!(sealed[8..packet.len()], packet[8..]);
        let mut opened = sealed.clone();
        assert_eq!(receiver.unprotect_rtcp(&mut opened, len), Ok(packet.len()));
        assert_eq!(opened[..packet.len()], packet);
        assert_eq!(receiver.unprotect_rtcp(&mut sealed, len), Err(SrtpError::Replayed));
    }
}

#[test]
fn srtcp_ends_before_its_index_comes_round() {
    let (mut sender, _) = pair(BOTH[0]);
    sender.rtcp_index = ENCRYPTED - 2;
    let mut buffer = [&rtcp(7)[..], &[0; 14]].concat();
    assert_eq!(sender.protect_rtcp(&mut buffer, 20), Ok(34));
    assert_eq!(sender.protect_rtcp(&mut buffer, 20), Err(SrtpError::KeyUsedUp));
}

#[test]
fn keys_are_not_in_debug() {
    let (sender, receiver) = pair(BOTH[0]);
    let text = format!("{sender:?} {receiver:?} {:?}", key(1));
    assert!(text.contains("***"));
    assert!(!text.contains(&format!("{}, {}", key(1).0[0], key(1).0[1])), "{text}");
}

#[test]
fn garbage_of_every_length_is_refused() {
    let (mut sender, mut receiver) = pair(BOTH[0]);
    let mut random = Random::from_number(4);
    for round in 0..20_000 {
        let len = (round % 64) as usize;
        let mut buffer = [0; 80];
        random.fill(&mut buffer);
        buffer[0] = buffer[0] & 0x3f | 0x80;
        assert!(receiver.unprotect_rtp(&mut buffer, len).is_err());
        assert!(receiver.unprotect_rtcp(&mut buffer, len).is_err());
        let _ = sender.protect_rtp(&mut buffer, len);
        let _ = sender.protect_rtcp(&mut buffer, len);
    }
    assert!(sender.protect_rtp(&mut [0x80; 4], 100).is_err());
}
