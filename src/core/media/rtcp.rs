//! RTCP passed on (RFC 3550 section 6): reports of one leg become reports of the other.
//!
//! What goes on is a sender or receiver report in the numbers of the leg that it leaves by, and a CNAME of ours: the
//! one that a handset sends tells its name and address. Everything else is dropped: a BYE because our stream goes on
//! with another partner, feedback and extended reports because nobody here negotiated them.

use super::packet::is_rtp_or_rtcp;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
/// Packet types of RTCP (RFC 5761 section 4).
const TYPES: std::ops::RangeInclusive<u8> = 192..=223;
const CNAME: u8 = 1;
/// Octets of a CNAME here (RFC 7022: long enough to be unique).
pub const CNAME_LEN: usize = 16;
/// Header, SSRC, CNAME item, terminator: a multiple of four.
const DESCRIPTION: usize = 4 + 4 + 2 + CNAME_LEN + 2;
/// Header and SSRC of a report.
const REPORT_HEADER: usize = 8;
/// NTP and RTP time, packet and octet count of a sender report.
const SENDER_INFO: usize = 20;
const REPORT_BLOCK: usize = 24;

/// How the numbers of a received report become those of the leg that it leaves by.
#[derive(Clone, Copy, Debug)]
pub struct Translation {
    /// The SSRC under which we send out there.
    pub ssrc: u32,
    pub cname: [u8; CNAME_LEN],
    /// Packets and octets that we sent out there under that SSRC.
    pub packets: u32,
    pub octets: u32,
    /// The stream that is described by sender reports, and what to add to its timestamps. `None` when none of it was
    /// relayed yet: then there is nothing true to say.
    pub sender: Option<(u32, u32)>,
    /// The report block to pass on.
    pub block: Option<Block>,
}

/// What a report block says about our stream is true of the stream that we relay in it.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Our SSRC, that the block must be about.
    pub ours: u32,
    /// The SSRC that the other party sends under.
    pub theirs: u32,
    /// What to add to our sequence numbers to get theirs.
    pub sequence: u32,
}

/// Rewrites the compound packet in `buffer[..len]`; gives its new length, or `None` when it is malformed or nothing is
/// left to send.
pub fn translate(buffer: &mut [u8], len: usize, translation: &Translation) -> Option<usize> {
    if !is_well_formed(buffer.get(..len)?) {
        return None;
    }
    let (mut read, mut written) = (0, 0);
    while read < len {
        let size = packet_size(&buffer[read..len])?;
        let next = read + size;
        if let Some(size) = report(buffer, read, size, written, translation) {
            written += size;
        }
        read = next;
    }
    if written == 0 {
        return None;
    }
    let end = written + DESCRIPTION;
    describe(buffer.get_mut(written..end)?.first_chunk_mut()?, translation);
    Some(end)
}

/// RFC 3550 appendix A.2, without its demand that the first packet be a report (RFC 5506 dropped it).
fn is_well_formed(packet: &[u8]) -> bool {
    let mut rest = packet;
    while !rest.is_empty() {
        match packet_size(rest) {
            Some(size) if size >= REPORT_HEADER => rest = &rest[size..],
            _ => return false,
        }
    }
    !packet.is_empty()
}

/// Octets of the first packet of a compound, when they are all there.
fn packet_size(packet: &[u8]) -> Option<usize> {
    let header: &[u8; 4] = packet.first_chunk()?;
    let size = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
    (is_rtp_or_rtcp(header[0]) && TYPES.contains(&header[1]) && size <= packet.len()).then_some(size)
}

/// Moves the report at `from` to `to`, at most as far as `from`, and gives its size there.
fn report(buffer: &mut [u8], from: usize, size: usize, to: usize, translation: &Translation) -> Option<usize> {
    let kind = buffer[from + 1];
    let count = usize::from(buffer[from] & 0x1f);
    let info = match kind {
        SENDER_REPORT => SENDER_INFO,
        RECEIVER_REPORT => 0,
        _ => return None,
    };
    if size < REPORT_HEADER + info + count * REPORT_BLOCK {
        return None;
    }
    let word =
        |buffer: &[u8], at: usize| u32::from_be_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]]);
    let put = |buffer: &mut [u8], at: usize, value: u32| buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
    if kind == SENDER_REPORT {
        let (ssrc, offset) = translation.sender?;
        if word(buffer, from + 4) != ssrc {
            return None;
        }
        let time = word(buffer, from + 16).wrapping_add(offset);
        buffer.copy_within(from + 8..from + 16, to + 8);
        put(buffer, to + 16, time);
        put(buffer, to + 20, translation.packets);
        put(buffer, to + 24, translation.octets);
    }
    let blocks = REPORT_HEADER + info;
    let about_us = translation.block.and_then(|block| {
        let at = (0..count).map(|n| from + blocks + n * REPORT_BLOCK).find(|&at| word(buffer, at) == block.ours)?;
        Some((at, block))
    });
    let mut end = to + blocks;
    if let Some((at, block)) = about_us {
        let highest = word(buffer, at + 8).wrapping_add(block.sequence);
        buffer.copy_within(at..at + REPORT_BLOCK, end);
        put(buffer, end, block.theirs);
        put(buffer, end + 8, highest);
        end += REPORT_BLOCK;
    }
    let words = ((end - to) / 4 - 1) as u16;
    buffer[to] = 0x80 | u8::from(about_us.is_some());
    buffer[to + 1] = kind;
    buffer[to + 2..to + 4].copy_from_slice(&words.to_be_bytes());
    put(buffer, to + 4, translation.ssrc);
    Some(end - to)
}

fn describe(packet: &mut [u8; DESCRIPTION], translation: &Translation) {
    packet.fill(0);
    packet[0] = 0x81;
    packet[1] = SOURCE_DESCRIPTION;
    packet[3] = (DESCRIPTION / 4 - 1) as u8;
    packet[4..8].copy_from_slice(&translation.ssrc.to_be_bytes());
    packet[8] = CNAME;
    packet[9] = CNAME_LEN as u8;
    packet[10..10 + CNAME_LEN].copy_from_slice(&translation.cname);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const TRANSLATION: Translation = Translation {
        ssrc: 0xaaaa_aaaa,
        cname: *b"0123456789abcdef",
        packets: 77,
        octets: 7700,
        sender: Some((0x1111_1111, 1000)),
        block: Some(Block { ours: 0x2222_2222, theirs: 0x3333_3333, sequence: 0u32.wrapping_sub(50) }),
    };

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    fn translated(packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 64, 0);
        let len = translate(&mut buffer, packet.len(), &TRANSLATION)?;
        Some(buffer[..len].to_vec())
    }

    fn sender_report() -> Vec<u8> {
        words(&[
            0x82c8_0012,
            0x1111_1111,
            1,
            2,
            5000,
            9,
            99, // sender info
            0x9999_9999,
            1,
            2,
            3,
            4,
            5, // about somebody else
            0x2222_2222,
            0x0500_0001,
            450,
            8,
            0xabcd,
            0xef, // about us
        ])
    }

    fn description() -> Vec<u8> {
        [words(&[0x81ca_0006, 0xaaaa_aaaa]), vec![1, 16], TRANSLATION.cname.to_vec(), vec![0, 0]].concat()
    }

    #[test]
    fn a_sender_report_is_put_into_the_numbers_of_the_other_leg() {
        let own_description = [words(&[0x81ca_0003, 0x1111_1111]), b"\x01\x05a@b.c\0".to_vec()].concat();
        let packet = translated(&[sender_report(), own_description].concat()).unwrap();
        let report = [0x81c8_000c, 0xaaaa_aaaa, 1, 2, 6000, 77, 7700, 0x3333_3333, 0x0500_0001, 400, 8, 0xabcd, 0xef];
        assert_eq!(packet, [words(&report), description()].concat());
    }

    #[test]
    fn a_receiver_report_about_nobody_we_know_goes_on_empty() {
        let packet = translated(&words(&[0x81c9_0007, 5, 0x9999_9999, 1, 2, 3, 4, 5])).unwrap();
        assert_eq!(packet, [words(&[0x80c9_0001, 0xaaaa_aaaa]), description()].concat());
    }

    #[test]
    fn bye_feedback_and_extended_reports_are_dropped() {
        for kind in [203u32, 204, 205, 206, 207, 192, 223] {
            let other = words(&[0x8100_0001 | kind << 16, 0x1111_1111]);
            assert_eq!(translated(&other), None, "{kind}");
            let compound = [words(&[0x80c9_0001, 5]), other].concat();
            assert_eq!(translated(&compound).unwrap().len(), 8 + DESCRIPTION);
        }
    }

    #[test]
    fn a_sender_report_of_an_unknown_stream_is_dropped() {
        let mut packet = sender_report();
        packet[4] ^= 1;
        assert_eq!(translated(&packet), None);
    }

    #[test]
    fn a_compound_that_is_cut_off_or_lies_about_its_length_is_dropped() {
        let whole = [sender_report(), words(&[0x81ca_0002, 1, 0])].concat();
        for len in 0..whole.len() {
            if len != sender_report().len() {
                assert_eq!(translated(&whole[..len]), None, "{len}");
            }
        }
        let mut lying = sender_report();
        lying[0] |= 0x1f;
        assert_eq!(translated(&lying), None);
    }

    #[test]
    fn mutated_packets_never_panic_and_never_grow_past_a_description() {
        let mut random = Random::from_number(5);
        for _ in 0..20_000 {
            let mut packet = [sender_report(), words(&[0x80c9_0001, 5])].concat();
            for _ in 0..=random.below(4) {
                let at = random.below(packet.len() as u64) as usize;
                packet[at] = random.bytes::<1>()[0];
            }
            packet.truncate(random.below(packet.len() as u64 + 1) as usize);
            if let Some(out) = translated(&packet) {
                assert!(out.len() <= packet.len() + DESCRIPTION);
                assert!(is_well_formed(&out));
            }
        }
    }
}
