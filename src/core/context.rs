//! What every part of the core may touch besides its own state, and what it asks of the drivers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::config::Config;
use crate::dns::DnsQuestion;
use crate::emergency::callback;
use crate::event::Event;
use crate::forward::Forward;
use crate::media;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::sip::flow::Flow;
use crate::sip::transaction::Transactions;
use crate::streams::outward::Outward;
use crate::time::{Instant, WallClock};

/// Names a leg of a call. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// Whether money may be spent outside at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Spending {
    #[default]
    Open,
    /// A usage trigger has fired; why, for people.
    Stopped(String),
}

/// Whose client transaction it is; each event of the transaction gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A registration at the SIP domain.
    Registration,
    /// OPTIONS on the trunk flow.
    Probe,
    /// OPTIONS to the handset that is reached by this flow.
    Handset(Flow),
    /// A call's leg.
    Leg(LegId),
}

/// What a part of the core may touch besides its own state.
pub struct Context<'a> {
    pub now: Instant,
    /// For files that outlive the process.
    pub wall: WallClock,
    pub config: &'a Config,
    pub secrets: &'a Secrets,
    pub random: &'a mut Random,
    pub transactions: &'a mut Transactions<Owner>,
    pub outward: &'a mut Outward,
    pub outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    /// Tells people.
    pub fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// What the drivers do.
#[derive(Debug)]
pub enum Output {
    /// Write octets to a flow; a flow that is gone is no error.
    Send { flow: Flow, bytes: Vec<u8> },
    /// Connect by TCP and TLS; the certificate must be valid for `server_name`. `connection` will be the flow's number.
    Connect { connection: u64, address: SocketAddr, server_name: String },
    /// Connect to a handset by TCP, from the address of `flow.local`, whose port is the listener's. What is sent on the flow
    /// meanwhile waits.
    Open { flow: Flow },
    /// Close a stream.
    Close { flow: Flow },
    /// Look a name up.
    Resolve { query: u64, question: DnsQuestion },
    /// To the media driver.
    Media(media::Command),
    /// The registrar's bindings changed: keep what [`Engine::bindings`](crate::engine::Engine::bindings) says. The
    /// driver asks at its own pace, so that a thousand handsets that come back after a power cut do not cost a thousand
    /// tables.
    Persist,
    /// A call from outside to this number is the emergency service's call back: the webhook rings that phone.
    CallBack(Box<callback::Phone>),
    /// Calls from outside reach this box by this user at the SIP domain: the webhook names it. `None`: by none now.
    Carrier(Option<String>),
    /// A call from outside ends here and goes on outside: the webhook lets Twilio call the number.
    Forward(Box<Forward>),
    /// Tell people.
    Event(Event),
}
