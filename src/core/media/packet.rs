//! The RTP header (RFC 3550 section 5.1), read without copying.

use std::ops::Range;

/// Octets of the fixed header.
pub const HEADER: usize = 12;

/// Longest RTP or RTCP packet that is taken or sent, tag included: one Ethernet frame's payload.
pub const MAX_PACKET: usize = 1500;

/// What a buffer for one packet must hold: reading more than [`MAX_PACKET`] shows that a packet was too long, and
/// there is room for what SRTP and RTCP add.
pub const BUFFER: usize = 2048;

/// Clock of telephony payload types (PCMU, PCMA, telephone-event): ticks in a second.
pub const CLOCK_RATE: u64 = 8000;

/// Whether the first octet says RTP or RTCP, not STUN, DTLS or TURN (RFC 7983 section 7).
pub fn is_rtp_or_rtcp(first: u8) -> bool {
    (128..=191).contains(&first)
}

/// The fields of an RTP header that a relay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Where the payload starts: behind CSRC list and extension.
    pub payload: usize,
    /// The last octet of the payload counts padding.
    pub padded: bool,
}

impl Header {
    /// Reads the header; `None` when it is not RTP version 2 or is cut off.
    pub fn read(packet: &[u8]) -> Option<Header> {
        let fixed: &[u8; HEADER] = packet.first_chunk()?;
        if !is_rtp_or_rtcp(fixed[0]) {
            return None;
        }
        let mut payload = HEADER + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(payload + 2..payload + 4)?;
            payload += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        (payload <= packet.len()).then_some(Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload,
            padded: fixed[0] & 0x20 != 0,
        })
    }

    /// The payload without padding, in clear text; `None` when the padding count is impossible.
    pub fn body(&self, packet: &[u8]) -> Option<Range<usize>> {
        let end = match (self.padded, packet.last()) {
            (false, _) => packet.len(),
            (true, Some(&count)) if count > 0 => packet.len().checked_sub(usize::from(count))?,
            (true, _) => return None,
        };
        (self.payload <= end).then_some(self.payload..end)
    }
}

/// Writes what a relay changes in a header; the packet must be at least [`HEADER`] long.
pub fn rewrite(packet: &mut [u8; HEADER], marker: bool, payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) {
    packet[1] = (u8::from(marker) << 7) | (payload_type & 0x7f);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [u8; 14] = [0x80, 0x80, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 0xaa, 0xbb];

    #[test]
    fn a_header_is_read_field_by_field() {
        let header = Header::read(&PLAIN).unwrap();
        assert_eq!((header.marker, header.payload_type, header.sequence), (true, 0, 1));
        assert_eq!((header.timestamp, header.ssrc, header.payload), (160, 0x0102_0304, 12));
        assert_eq!(header.body(&PLAIN), Some(12..14));
    }

    #[test]
    fn csrc_list_and_extension_lie_before_the_payload() {
        let mut packet = vec![0x91; 1];
        packet.extend_from_slice(&PLAIN[1..12]);
        packet.extend_from_slice(&[9; 4]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.push(0x55);
        assert_eq!(Header::read(&packet).unwrap().payload, 24);
        assert_eq!(Header::read(&packet[..23]), None);
        assert_eq!(Header::read(&packet[..17]), None);
    }

    #[test]
    fn stun_and_dtls_are_not_rtp() {
        for first in [0, 1, 20, 63, 64, 127, 192, 255] {
            let mut packet = PLAIN;
            packet[0] = first;
            assert_eq!(Header::read(&packet), None, "{first}");
        }
    }

    #[test]
    fn padding_longer_than_the_payload_is_refused() {
        let mut packet = PLAIN;
        packet[0] |= 0x20;
        for (count, body) in [(0, None), (1, Some(12..13)), (2, Some(12..12)), (3, None), (255, None)] {
            packet[13] = count;
            assert_eq!(Header::read(&packet).unwrap().body(&packet), body);
        }
    }
}
