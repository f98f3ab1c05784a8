//! SRTP and SRTCP (RFC 3711) with AES in counter mode and HMAC-SHA1, in place, without allocation per packet.
//!
//! One direction of one leg is one [`SrtpSender`] or [`SrtpReceiver`]. A sender never uses a key stream twice, and a
//! receiver never takes a packet twice: both keep, for each SSRC, the highest index and a window of those below it.

use aes::Aes128Enc;
use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::packet::Header;
use super::{MasterKey, Suite};

/// SSRCs that one direction keeps state for. Telephony needs one, and another for each transfer at the far end.
pub const MAX_STREAMS: usize = 8;

/// Octets of the SRTCP tag under every suite here (RFC 4568 section 6.2: also with `_32`).
const RTCP_TAG: usize = 10;
/// Octets of E flag and SRTCP index.
const RTCP_INDEX: usize = 4;
/// Octets of SRTCP that stay in clear text: the first header and SSRC.
const RTCP_CLEAR: usize = 8;
/// The flag "this SRTCP packet is encrypted" (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// Packets of SRTP one master key may protect for an SSRC (RFC 3711 section 9.2).
const RTP_LIFETIME: u64 = 1 << 48;

/// Why a packet was neither protected nor opened. The buffer is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Not RTP or RTCP, cut off, or no room for the tag.
    #[error("malformed packet")]
    Malformed,
    /// The tag is not right: another key, or changed on the way.
    #[error("authentication failed")]
    Forged,
    /// Seen before, or older than the window.
    #[error("replayed packet")]
    Replayed,
    /// RFC 3711 section 9.2: the key has protected as many packets as it may.
    #[error("the key is used up")]
    KeyUsedUp,
    /// A sender with [`MAX_STREAMS`] SSRCs. It must not forget one: that would let its key stream be used again.
    #[error("more than {MAX_STREAMS} SSRCs under one key")]
    TooManyStreams,
}

/// Octets that a suite adds to an RTP packet.
fn rtp_tag(suite: Suite) -> usize {
    match suite {
        Suite::AesCm128HmacSha1_80 => 10,
        Suite::AesCm128HmacSha1_32 => 4,
    }
}

/// Key derivation labels (RFC 3711 section 4.3.2): encryption; authentication and salt are one and two above.
#[derive(Clone, Copy)]
enum Label {
    Rtp = 0,
    Rtcp = 3,
}

/// The keys of SRTP or of SRTCP, derived from a master key.
struct SessionKeys {
    cipher: Aes128Enc,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

impl SessionKeys {
    fn derive(master: &MasterKey, label: Label) -> Self {
        let label = label as u8;
        let mut key = [0; 16];
        derive(master, label, &mut key);
        let mut mac = [0; 20];
        derive(master, label + 1, &mut mac);
        let mut salt = [0; 14];
        derive(master, label + 2, &mut salt);
        let mac = Hmac::<Sha1>::new_from_slice(&mac).expect("HMAC takes keys of any length");
        SessionKeys { cipher: Aes128Enc::new(&key.into()), salt, mac }
    }

    /// Encrypts or decrypts: RFC 3711 section 4.1.1.
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        key_stream(&self.cipher, iv, data);
    }

    fn tag(&self, packet: &[u8], suffix: &[u8]) -> [u8; 20] {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(suffix);
        mac.finalize().into_bytes().into()
    }
}

/// Keys do not print.
impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// RFC 3711 section 4.3.1 with a key derivation rate of 0.
fn derive(master: &MasterKey, label: u8, out: &mut [u8]) {
    let (key, salt) = master.0.split_at(16);
    let key: [u8; 16] = key.try_into().expect("split at 16");
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    key_stream(&Aes128Enc::new(&key.into()), iv, out);
}

/// AES in counter mode over `data`. The counter is the lower 16 bits of the IV: no packet here needs 2^16 blocks.
fn key_stream(cipher: &Aes128Enc, iv: [u8; 16], data: &mut [u8]) {
    let core = CtrCore::<_, Ctr128BE>::inner_iv_init(cipher, &iv.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}

fn xor(target: &mut [u8], other: &[u8]) {
    target.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
}

/// The highest index of an SSRC and which of the 64 up to it were used (RFC 3711 section 3.3.2).
#[derive(Clone, Copy, Debug)]
struct Window {
    ssrc: u32,
    highest: u64,
    /// Bit n: `highest - n` was used.
    used: u64,
}

impl Window {
    fn is_fresh(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < 64 && self.used >> behind & 1 == 0,
        }
    }

    fn record(&mut self, index: u64) {
        match self.highest.checked_sub(index) {
            Some(behind) => self.used |= 1u64.checked_shl(behind as u32).unwrap_or(0),
            None => {
                let ahead = index - self.highest;
                self.used = if ahead < 64 { self.used << ahead | 1 } else { 1 };
                self.highest = index;
            }
        }
    }
}

/// The windows of one direction, the most recently started last.
#[derive(Debug, Default)]
struct Windows(Vec<Window>);

impl Windows {
    fn get(&self, ssrc: u32) -> Option<&Window> {
        self.0.iter().find(|window| window.ssrc == ssrc)
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_STREAMS
    }

    fn record(&mut self, ssrc: u32, index: u64) {
        match self.0.iter_mut().find(|window| window.ssrc == ssrc) {
            Some(window) => window.record(index),
            None => self.0.push(Window { ssrc, highest: index, used: 1 }),
        }
    }

    /// As [`Windows::record`]; of too many SSRCs the one that started first is forgotten. Only authentic packets come
    /// here, so only the holder of the key can bring that about.
    fn record_received(&mut self, ssrc: u32, index: u64) {
        if self.is_full() && self.get(ssrc).is_none() {
            self.0.remove(0);
        }
        self.record(ssrc, index);
    }
}

/// The index nearest to the highest one that ends in `sequence`: RFC 3711 section 3.3.1 and appendix A. `None` when
/// it lies before the first packet there can be.
fn estimate(highest: u64, sequence: u16) -> Option<u64> {
    let distance = sequence.wrapping_sub(highest as u16) as i16;
    highest.checked_add_signed(i64::from(distance))
}

/// The rollover counter of an index, as it is authenticated.
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// Protects what we send.
#[derive(Debug)]
pub struct SrtpSender {
    suite: Suite,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    sent: Windows,
    /// One counter for all SSRCs keeps every key stream of SRTCP apart.
    rtcp_index: u32,
}

impl SrtpSender {
    /// A context at rollover 0.
    pub fn new(suite: Suite, key: &MasterKey) -> Self {
        let (rtp, rtcp) = (SessionKeys::derive(key, Label::Rtp), SessionKeys::derive(key, Label::Rtcp));
        SrtpSender { suite, rtp, rtcp, sent: Windows::default(), rtcp_index: 0 }
    }

    /// Encrypts the RTP packet in `buffer[..len]` and appends the tag; gives the new length. A packet whose index was
    /// used before is [`SrtpError::Replayed`]: two texts under one key stream would betray both.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let tag = rtp_tag(self.suite);
        let header = Header::read(buffer.get(..len).ok_or(SrtpError::Malformed)?).ok_or(SrtpError::Malformed)?;
        if buffer.len() < len + tag {
            return Err(SrtpError::Malformed);
        }
        let index = match self.sent.get(header.ssrc) {
            Some(window) => {
                let index = estimate(window.highest, header.sequence).ok_or(SrtpError::Replayed)?;
                if !window.is_fresh(index) {
                    return Err(SrtpError::Replayed);
                }
                index
            }
            None if self.sent.is_full() => return Err(SrtpError::TooManyStreams),
            None => u64::from(header.sequence),
        };
        if index >= RTP_LIFETIME {
            return Err(SrtpError::KeyUsedUp);
        }
        self.sent.record(header.ssrc, index);
        self.rtp.apply(header.ssrc, index, &mut buffer[header.payload..len]);
        let digest = self.rtp.tag(&buffer[..len], &rollover(index));
        buffer[len..len + tag].copy_from_slice(&digest[..tag]);
        Ok(len + tag)
    }

    /// Encrypts the RTCP packet in `buffer[..len]` and appends index and tag; gives the new length.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        if len < RTCP_CLEAR || buffer.len() < len + RTCP_INDEX + RTCP_TAG {
            return Err(SrtpError::Malformed);
        }
        if self.rtcp_index >= ENCRYPTED - 1 {
            return Err(SrtpError::KeyUsedUp);
        }
        self.rtcp_index += 1;
        let ssrc = u32::from_be_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
        self.rtcp.apply(ssrc, u64::from(self.rtcp_index), &mut buffer[RTCP_CLEAR..len]);
        let end = len + RTCP_INDEX;
        buffer[len..end].copy_from_slice(&(ENCRYPTED | self.rtcp_index).to_be_bytes());
        let digest = self.rtcp.tag(&buffer[..end], &[]);
        buffer[end..end + RTCP_TAG].copy_from_slice(&digest[..RTCP_TAG]);
        Ok(end + RTCP_TAG)
    }
}

/// Opens what we receive.
#[derive(Debug)]
pub struct SrtpReceiver {
    suite: Suite,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    received: Windows,
    rtcp_received: Windows,
}

impl SrtpReceiver {
    /// A context that has received nothing.
    pub fn new(suite: Suite, key: &MasterKey) -> Self {
        let (rtp, rtcp) = (SessionKeys::derive(key, Label::Rtp), SessionKeys::derive(key, Label::Rtcp));
        SrtpReceiver { suite, rtp, rtcp, received: Windows::default(), rtcp_received: Windows::default() }
    }

    /// Authenticates and decrypts the SRTP packet in `buffer[..len]`; gives the length of the RTP packet.
    pub fn unprotect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let clear = len.checked_sub(rtp_tag(self.suite)).ok_or(SrtpError::Malformed)?;
        let packet = buffer.get(..clear).ok_or(SrtpError::Malformed)?;
        let header = Header::read(packet).ok_or(SrtpError::Malformed)?;
        let tag = buffer.get(clear..len).ok_or(SrtpError::Malformed)?;
        let authentic = |index: u64| bool::from(self.rtp.tag(packet, &rollover(index))[..tag.len()].ct_eq(tag));
        let index = match self.received.get(header.ssrc) {
            Some(window) => {
                let index = estimate(window.highest, header.sequence).ok_or(SrtpError::Replayed)?;
                if index >= RTP_LIFETIME || !window.is_fresh(index) {
                    return Err(SrtpError::Replayed);
                }
                Some(index).filter(|&index| authentic(index))
            }
            // A stream starts at rollover 0; at 1 when all before the turn of the sequence number were lost.
            None => [0, 1 << 16].map(|turn| turn + u64::from(header.sequence)).into_iter().find(|&i| authentic(i)),
        };
        let index = index.ok_or(SrtpError::Forged)?;
        self.received.record_received(header.ssrc, index);
        self.rtp.apply(header.ssrc, index, &mut buffer[header.payload..clear]);
        Ok(clear)
    }

    /// Authenticates and decrypts the SRTCP packet in `buffer[..len]`; gives the length of the RTCP packet. Packets
    /// with E = 0 are authentic but in clear text (RFC 3711 section 3.4): the offer did not allow that, so they are
    /// [`SrtpError::Forged`].
    pub fn unprotect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let end = len.checked_sub(RTCP_TAG).ok_or(SrtpError::Malformed)?;
        let clear = end.checked_sub(RTCP_INDEX).filter(|&c| c >= RTCP_CLEAR).ok_or(SrtpError::Malformed)?;
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (ssrc, index) = (word(4), word(clear));
        let digest = self.rtcp.tag(&packet[..end], &[]);
        if !bool::from(digest[..RTCP_TAG].ct_eq(&packet[end..])) || index & ENCRYPTED == 0 {
            return Err(SrtpError::Forged);
        }
        let index = u64::from(index & !ENCRYPTED);
        if self.rtcp_received.get(ssrc).is_some_and(|window| !window.is_fresh(index)) {
            return Err(SrtpError::Replayed);
        }
        self.rtcp_received.record_received(ssrc, index);
        self.rtcp.apply(ssrc, index, &mut buffer[RTCP_CLEAR..clear]);
        Ok(clear)
    }
}

#[cfg(test)]
mod tests;
