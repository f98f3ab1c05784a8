//! Media: legs of RTP and SRTP, relayed in place, two by two.
//!
//! RTP does not pass through the engine. The engine installs, connects, re-keys and removes legs by [`Command`]s and
//! gets [`Report`]s; the media driver (`net::rtp` of the program) runs [`relay::Relay`] on its own thread.

pub mod dtmf;
pub mod g711;
pub mod latch;
mod leg;
pub mod outgoing;
pub mod packet;
pub mod quality;
pub mod relay;
pub mod rtcp;
pub mod sound;
pub mod srtp;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::subnet::Subnet;

/// One SIP leg's media: a local RTP port, RTCP on the port above. Given out by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaLeg(pub u64);

/// What the engine asks of the media driver. A command for a leg that is not open does nothing and gets no answer: its
/// [`Command::Open`] was refused while the command was on its way.
#[derive(Clone, Debug)]
pub enum Command {
    /// Bind an even port of the configured range and the odd one above on this address. Answered by
    /// [`Notice::Opened`] or [`Notice::Refused`].
    Open { leg: MediaLeg, bind: IpAddr, last: LastPorts },
    /// This machine's address changed: bind a leg's ports anew on this one, the same numbers if they can be had.
    /// Everything else of the leg stays: keys, counters, partner, the far end's address. Answered by
    /// [`Notice::Moved`].
    Move { leg: MediaLeg, bind: IpAddr },
    /// What SDP negotiation settled for a leg; sent again whenever it changes (re-INVITE, hold, new keys).
    Set { leg: MediaLeg, params: Box<LegParams> },
    /// From now on, what one of the two receives goes out by the other. A leg has at most one partner: a former
    /// connection of either ends, and so does a sound.
    Connect { a: MediaLeg, b: MediaLeg },
    /// Send an RFC 4733 event out by this leg (SIP INFO from the other side turned into an event).
    Dtmf { leg: MediaLeg, digit: char, duration: Duration },
    /// Send a sound out by this leg, from now on in real time, in the place of what its partner says. A sound that is
    /// under way ends. Answered by [`Notice::Played`], unless another sound or [`Command::Connect`] ends it.
    Play { leg: MediaLeg, sound: sound::Sound },
    /// Close the sockets. Answered by [`Notice::Closed`].
    Close { leg: MediaLeg },
}

/// Calls for which ports are kept back: an emergency call must not find them all in use.
pub const KEPT_CALLS: usize = 4;

/// Whether a leg may take the ports that are kept back for emergency calls ([`KEPT_CALLS`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPorts {
    Leave,
    Take,
}

/// What the media driver tells the engine.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The leg's RTP address to write into SDP (RTCP is one port above).
    Opened { leg: MediaLeg, local: SocketAddr },
    /// No port could be bound: range exhausted or in use.
    Refused { leg: MediaLeg, error: String },
    /// The leg's RTP address from now on; or it stays where it was, and why.
    Moved { leg: MediaLeg, to: Result<SocketAddr, String> },
    /// The leg's first packet came: media flows.
    Started { leg: MediaLeg, from: SocketAddr },
    /// A leg that may receive has received nothing for [`LegParams::silence`].
    Silent { leg: MediaLeg },
    /// A leg's sound is over, or the leg cannot send any.
    Played { leg: MediaLeg },
    /// A leg that was silent has received something again.
    Heard { leg: MediaLeg },
    /// The leg is gone, with its figures.
    Closed { leg: MediaLeg, report: Report },
}

/// What a leg sends and accepts.
#[derive(Clone, Debug)]
pub struct LegParams {
    /// Where their SDP says to send; `None` while unknown: their first packet from a `latch` address shows it.
    pub remote: Option<SocketAddr>,
    /// Where their SDP says to send RTCP (`a=rtcp`); `None`: to the port above RTP's.
    pub rtcp: Option<SocketAddr>,
    /// Addresses whose packets may move `remote` to their source (symmetric RTP behind NAT). For SRTP legs a
    /// packet must in addition be authentic.
    pub latch: Vec<Subnet>,
    /// Whether we send to them (their direction is sendrecv or recvonly).
    pub send: bool,
    /// Whether we pass on what they send.
    pub receive: bool,
    /// Payload types that we declared to them, the only ones we take (0, 8).
    pub payload_types: Vec<u8>,
    /// telephone-event payload type that we declared to them. They send it, or their own: an answer may renumber it
    /// (RFC 3264 section 6.1), and of the phones that do so some send by the one number, some by the other.
    pub dtmf_in: Option<u8>,
    /// telephone-event payload type that they declared to us (we send it).
    pub dtmf_out: Option<u8>,
    /// Keys; `None` for plain RTP.
    pub srtp: Option<SrtpKeys>,
    /// How long nothing may come before [`Notice::Silent`].
    pub silence: Option<Duration>,
}

impl LegParams {
    /// Whether a payload type from them is a telephone-event.
    fn takes_event(&self, payload_type: u8) -> bool {
        self.dtmf_in.is_some() && [self.dtmf_in, self.dtmf_out].contains(&Some(payload_type))
    }

    /// Where their SDP has RTCP.
    fn declared_rtcp(&self) -> Option<SocketAddr> {
        self.rtcp.or_else(|| self.remote.and_then(port_above))
    }
}

/// RTCP's address when nothing else is known (RFC 3550 section 11).
fn port_above(rtp: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
}

/// The SRTP suites of RFC 4568 section 6.2 that Twilio takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    /// As an `a=crypto` line spells it.
    pub fn token(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite of a token.
    pub fn from_token(token: &str) -> Option<Suite> {
        [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32].into_iter().find(|s| s.token() == token)
    }
}

/// Master key (16 octets) and master salt (14 octets), as in `inline:`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey(pub [u8; 30]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Both directions' keys of one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    pub suite: Suite,
    /// Ours: protects what we send.
    pub local: MasterKey,
    /// Theirs: opens what we receive.
    pub remote: MasterKey,
}

/// Figures of one leg, from its opening to now.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    pub packets_received: u64,
    pub octets_received: u64,
    pub packets_sent: u64,
    pub octets_sent: u64,
    /// Lost on the way to us, by sequence numbers (RFC 3550 A.3).
    pub lost: u64,
    /// Interarrival jitter in RTP timestamp units of 1/8000 s (RFC 3550 A.8).
    pub jitter: u32,
    /// Failed authentication or replayed.
    pub rejected: u64,
    /// From a source, or of a payload type, that is not this leg's.
    pub foreign: u64,
    /// telephone-events passed on or made.
    pub dtmf: u64,
}
