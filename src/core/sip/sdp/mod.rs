//! Session descriptions: what a B2BUA of G.711 needs of SDP (RFC 8866), offer/answer (RFC 3264) and SDES (RFC 4568).
//!
//! Everything but one audio stream is refused with port 0 in the answer (RFC 3264 section 6).

mod crypto;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::net::{IpAddr, SocketAddr};

pub use crypto::{Crypto, CryptoError};
pub use read::{read, salvage};
pub use write::{rewrite, write};

/// Most `m=` lines of a description. An answer has as many.
pub const MAX_STREAMS: usize = 16;

/// G.711, the only codecs of a Twilio SIP domain (TWILIO.md "Codecs").
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

    /// As an `a=rtpmap` line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
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
    const ALL: [Direction; 4] = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];

    /// As an attribute spells it.
    pub fn token(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The direction of a token.
    pub fn from_token(token: &str) -> Option<Direction> {
        Direction::ALL.into_iter().find(|direction| direction.token() == token)
    }

    /// The direction with these abilities.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// What the other party sees.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// How an audio stream has its keys. With feedback (AVPF, SAVPF) the packets are the same (RFC 4585 section 4, RFC 5124),
/// and an answer keeps the profile that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// RTP/AVP: none.
    Plain,
    /// RTP/SAVP with `a=crypto`.
    Secure,
    /// RTP/AVP with `a=crypto` beside it: SRTP where both ends can (RFC 8643).
    Beside,
}

/// What their description says, as far as we use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// Where they want RTP.
    pub place: Place,
    /// Of ours, in their order. Never empty.
    pub codecs: Vec<Codec>,
    /// Payload type of telephone-event/8000.
    pub telephone_event: Option<u8>,
    /// Theirs. With an address of 0.0.0.0 they do not receive, whatever they wrote (RFC 3264 section 8.4).
    pub direction: Direction,
    /// RTP/SAVP or RTP/SAVPF, with the crypto lines that we can use in their order; `None` for RTP/AVP and RTP/AVPF.
    pub crypto: Option<Vec<Crypto>>,
    /// Of RTP/AVP the crypto lines that we could use: plain RTP does as well, unless a setting demands them.
    pub beside: Vec<Crypto>,
    /// `m=` lines in order (media, proto, fmts) and which of them is the audio stream: an answer has as many.
    pub streams: Vec<Stream>,
    pub audio: usize,
    /// `a=ptime`, ms.
    pub ptime: Option<u32>,
    /// `a=rtcp`: where they want RTCP, if not at the port above RTP's.
    pub rtcp: Option<RtcpPlace>,
}

/// What `a=rtcp` says (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpPlace {
    pub port: u16,
    /// `None`: the address is RTP's.
    pub address: Option<IpAddr>,
}

impl Remote {
    /// The address and port that they name, if both can be used.
    pub fn rtp(&self) -> Option<SocketAddr> {
        match self.place {
            Place::At(rtp) => Some(rtp),
            _ => None,
        }
    }

    /// How it has its keys.
    pub fn profile(&self) -> Profile {
        match self.crypto {
            _ if !self.beside.is_empty() => Profile::Beside,
            Some(_) => Profile::Secure,
            None => Profile::Plain,
        }
    }

    /// Takes the keys beside RTP/AVP for keys that count.
    pub fn with_keys_beside(mut self) -> Self {
        if self.profile() == Profile::Beside {
            self.crypto = Some(self.beside.clone());
        }
        self
    }

    /// Takes an address of 0.0.0.0 for one that is not known yet: they receive if they wrote so.
    pub fn awaiting(mut self) -> Self {
        if let Place::Zeros { written, .. } = self.place {
            self.direction = written;
        }
        self
    }

    /// Whether the address is 0.0.0.0 and no hold.
    pub fn is_awaiting(&self) -> bool {
        matches!(self.place, Place::Zeros { written, .. } if written == self.direction)
    }
}

/// Where a description says that RTP shall go. What names no address that can be used is no fault: the packets of that
/// phone are the same, and the first of them shows the address (RFC 4961).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    At(SocketAddr),
    /// A port, and no address: a host name, a multicast group, no `c=` line, or one that nobody can read.
    Port(u16),
    /// A port, and 0.0.0.0: hold of old phones, or at the beginning an address that is not known yet.
    Zeros {
        port: u16,
        /// The direction that they wrote.
        written: Direction,
    },
    /// Port 9 (discard): the address would come by ICE (RFC 8839), which we do not do.
    Unknown,
}

/// One `m=` line, to be refused or answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub media: String,
    /// 0 in an offer: the stream is not wanted, and 0 in the answer.
    pub port: u16,
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
    #[error("no audio stream over RTP/AVP, RTP/AVPF, RTP/SAVP or RTP/SAVPF")]
    NoAudio,
    /// 488
    #[error("neither PCMU nor PCMA among {0}")]
    NoCodec(String),
    /// 488
    #[error("no RTP/SAVP with a usable a=crypto")]
    NoCrypto,
}

impl SdpError {
    /// The SIP status.
    pub fn code(&self) -> u16 {
        if matches!(self, SdpError::Malformed(_)) { 400 } else { 488 }
    }
}

/// What we put into a description of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Our RTP address; RTCP is one port above.
    pub rtp: SocketAddr,
    /// The `c=` address when it differs (public address).
    pub address: IpAddr,
    /// The `o=` address: with the session id it names the session, and stays when `address` moves (RFC 3264 section 8).
    pub origin: IpAddr,
    /// `o=` session id and version: the version grows with each change.
    pub session_id: u64,
    pub version: u64,
    /// In order.
    pub codecs: Vec<Codec>,
    pub telephone_event: Option<u8>,
    pub direction: Direction,
    /// How an offer names the stream; an answer, and an offer after one of theirs, names it as they did.
    pub profile: Profile,
    /// The lines of it; none for plain RTP.
    pub crypto: Vec<Crypto>,
    pub ptime: Option<u32>,
}
