//! The pure core's frame: inputs in, outputs out, time as an argument.
//!
//! [`Engine::handle`] never fails: a bad peer is data, a fault is an [`Event`]. One task owns the engine.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::Config;
use crate::event::Event;
use crate::media;
use crate::random::Random;
use crate::sip::flow::Flow;
use crate::sip::transaction::Transactions;
use crate::store::Secrets;
use crate::time::{Instant, WallClock};

/// What the drivers give.
#[derive(Debug)]
pub enum Input {
    /// One UDP datagram, or octets of a stream.
    Received { flow: Flow, bytes: Vec<u8> },
    /// A handset connected by TCP.
    Accepted { flow: Flow },
    /// The connection asked for by [`Output::Connect`] stands: TCP done, TLS verified.
    Connected { connection: u64, flow: Flow },
    /// It does not, and why (no secrets, for people).
    ConnectFailed { connection: u64, error: String },
    /// A stream ended.
    Disconnected { flow: Flow, reason: String },
    /// The answer to [`Output::Resolve`].
    Resolved { query: u64, answer: DnsAnswer },
    /// From the media driver.
    Media(media::Notice),
    /// A new configuration, already checked.
    Reload { config: Arc<Config>, secrets: Arc<Secrets> },
    /// Stop: calls are told, then nothing more is sent.
    Stop,
    /// Only time passed.
    Tick,
}

/// What the drivers do.
#[derive(Debug)]
pub enum Output {
    /// Write octets to a flow; a flow that is gone is no error.
    Send { flow: Flow, bytes: Vec<u8> },
    /// Connect by TCP and TLS; the certificate must be valid for `server_name`. `connection` will be the flow's number.
    Connect { connection: u64, address: SocketAddr, server_name: String },
    /// Close a stream.
    Close { flow: Flow },
    /// Look a name up.
    Resolve { query: u64, question: DnsQuestion },
    /// To the media driver.
    Media(media::Command),
    /// The registrar's bindings changed: keep them (JSON). The driver writes the newest, at its own pace.
    Persist(String),
    /// Tell people.
    Event(Event),
}

/// A DNS question (RFC 3263).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsQuestion {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Address(String),
}

/// Its answer. An empty list means: no such records. TTL is for the asker to honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Address(Vec<IpAddr>),
    /// No answer: timeout, SERVFAIL, no resolver.
    Failed(String),
}

/// NAPTR (RFC 3403) as far as SIP uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    /// `SIPS+D2T` and so on.
    pub service: String,
    pub replacement: String,
}

/// SRV (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// What a part of the core may touch besides its own state.
pub struct Context<'a> {
    pub now: Instant,
    /// For files that outlive the process.
    pub wall: WallClock,
    pub config: &'a Config,
    pub secrets: &'a Secrets,
    pub random: &'a mut Random,
    pub transactions: &'a mut Transactions,
    pub outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    /// Tells people.
    pub fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
