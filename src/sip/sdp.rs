//! Session descriptions: what a B2BUA of G.711 needs of SDP (RFC 8866), offer/answer (RFC 3264) and SDES (RFC 4568).
//!
//! Everything but one audio stream is refused with port 0 in the answer (RFC 3264 section 6).

use std::net::{IpAddr, SocketAddr};

use crate::media::{MasterKey, Suite};

/// G.711, the only codecs of a Twilio SIP domain (twilio.md 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    Pcmu,
    Pcma,
}

impl Codec {
    /// Static payload type (RFC 3551).
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }
}

/// Direction as its owner writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// What the other party sees.
    pub fn reversed(self) -> Direction {
        todo!()
    }
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// One `a=crypto` that we can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    pub tag: u32,
    pub suite: Suite,
    pub key: MasterKey,
}

/// What their description says, as far as we use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// Where they want RTP; `None` for a port of 0 or an address of 0.0.0.0 (old-style hold).
    pub rtp: Option<SocketAddr>,
    /// Of ours, in their order. Never empty.
    pub codecs: Vec<Codec>,
    /// Payload type of telephone-event/8000.
    pub telephone_event: Option<u8>,
    pub direction: Direction,
    /// RTP/SAVP, with the crypto lines that we can use in their order; `None` for RTP/AVP.
    pub crypto: Option<Vec<Crypto>>,
    /// `m=` lines in order (media, proto, fmts) and which of them is the audio stream: an answer has as many.
    pub streams: Vec<Stream>,
    pub audio: usize,
    /// `a=ptime`, ms.
    pub ptime: Option<u32>,
}

/// One `m=` line, to be refused or answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub media: String,
    pub proto: String,
    pub fmt: String,
}

/// Why a description is refused, and with which SIP code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// 400
    #[error("malformed SDP: {0}")]
    Malformed(String),
    /// 488
    #[error("no audio stream over RTP/AVP or RTP/SAVP")]
    NoAudio,
    /// 488
    #[error("neither PCMU nor PCMA among {0}")]
    NoCodec(String),
    /// 488
    #[error("RTP/SAVP without a usable a=crypto")]
    NoCrypto,
}

impl SdpError {
    /// The SIP status.
    pub fn code(&self) -> u16 {
        if matches!(self, SdpError::Malformed(_)) { 400 } else { 488 }
    }
}

/// Reads an offer or answer. An active RTP/AVP or RTP/SAVP audio stream with a codec of ours is wanted; ICE, DTLS,
/// rtcp-mux and other attributes are ignored. For a session refresh, port 0 of the audio stream is allowed.
pub fn read(body: &[u8]) -> Result<Remote, SdpError> {
    todo!()
}

/// What we put into a description of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Our RTP address; RTCP is one port above.
    pub rtp: SocketAddr,
    /// The `c=` and `o=` address when it differs (public address).
    pub address: IpAddr,
    /// `o=` session id and version: the version grows with each change.
    pub session_id: u64,
    pub version: u64,
    /// In order.
    pub codecs: Vec<Codec>,
    pub telephone_event: Option<u8>,
    pub direction: Direction,
    /// RTP/SAVP with these lines, or RTP/AVP.
    pub crypto: Vec<Crypto>,
    pub ptime: Option<u32>,
}

/// An offer, or an answer to `offer` (as many `m=` lines in the same order, others refused with port 0).
pub fn write(local: &Local, offer: Option<&Remote>) -> Vec<u8> {
    todo!()
}
