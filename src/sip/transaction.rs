//! Transactions: the four machines of RFC 3261 section 17 with the corrections of RFC 6026.
//!
//! The layer matches messages to transactions, repeats what UDP may lose, and absorbs what comes twice. What remains
//! reaches the transaction user as [`Event`]s. 2xx to INVITE and their ACKs belong to the user (RFC 3261 section
//! 13.3.1.4), see [`super::dialog`].

use rsip::{Request, Response, SipMessage};

use super::flow::Flow;
use crate::random::Random;
use crate::time::Instant;

/// Names a client transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Names a server transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// Whose client transaction it is; given back with each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A registration at the SIP domain, by index of the extension.
    Registration(usize),
    /// OPTIONS on the trunk flow.
    Probe,
    /// A call's leg.
    Leg(crate::call::LegId),
}

/// What the transaction user gets.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new request, not ACK and not a matched CANCEL. Its top Via carries `received` and `rport`.
    Request { id: ServerId, flow: Flow, request: Request },
    /// The ACK to a 2xx, which has no transaction.
    Ack { flow: Flow, request: Request },
    /// CANCEL for a pending INVITE. The layer has answered it with 200; the user answers the INVITE with 487.
    Cancelled { id: ServerId },
    /// Our final non-2xx to INVITE was never acknowledged (timer H).
    NoAck { id: ServerId },
    /// A provisional or final response; further 2xx to one INVITE (forks, retransmissions) come too.
    Response { id: ClientId, owner: Owner, response: Response },
    /// No final response came (timer B or F), or the flow is gone.
    Failed { id: ClientId, owner: Owner, failure: Failure },
}

/// Why a client transaction ended without a final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Treated as 408 (RFC 3261 section 8.1.3.1).
    Timeout,
    /// Treated as 503.
    Transport,
}

/// All transactions.
#[derive(Debug)]
pub struct Transactions {
    // private
}

impl Transactions {
    /// Most client and server transactions at a time; above it requests get 503 with Retry-After, except emergency
    /// INVITEs, which the caller of [`Transactions::receive`] never sees refused.
    pub const MAX: usize = 8192;

    pub fn new() -> Self {
        todo!()
    }

    /// Takes a message off a flow. What it means is polled with [`Transactions::poll_event`].
    pub fn receive(&mut self, now: Instant, flow: Flow, message: SipMessage) {
        todo!()
    }

    /// Sends a request (not ACK, not CANCEL) in a new client transaction. Puts the top Via on it (our address, a fresh
    /// branch, `rport`), and Max-Forwards 70 when there is none. `contact`: the sent-by to write, `flow.local` if `None`.
    pub fn request(&mut self, now: Instant, flow: Flow, request: Request, owner: Owner, random: &mut Random) -> ClientId {
        todo!()
    }

    /// Cancels a pending INVITE: at once when a provisional response has come, else as soon as one comes
    /// (RFC 3261 section 9.1). Nothing happens after a final response.
    pub fn cancel(&mut self, now: Instant, id: ClientId) {
        todo!()
    }

    /// Answers a request. Top-level headers of the request (Via, From, To, Call-ID, CSeq) must already be in `response`
    /// ([`response_to`]). After a 2xx to INVITE the transaction stays in Accepted (RFC 6026) for 64·T1.
    pub fn respond(&mut self, now: Instant, id: ServerId, response: Response) {
        todo!()
    }

    /// Sends a message outside any transaction: ACK to 2xx, repeated 2xx. For an ACK a Via with a fresh branch is put on.
    pub fn send(&mut self, flow: Flow, message: SipMessage, random: &mut Random) {
        todo!()
    }

    /// The flow is gone: its client transactions fail, its server transactions end.
    pub fn flow_down(&mut self, now: Instant, flow: Flow) {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// The next octets to send.
    pub fn poll_transmit(&mut self) -> Option<(Flow, Vec<u8>)> {
        todo!()
    }

    /// When [`Transactions::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// How many live, for limits, metrics and the leak check after each test.
    pub fn len(&self) -> usize {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A response with what RFC 3261 section 8.2.6 copies from the request: all Vias, From, To, Call-ID, CSeq. With a
/// `to_tag`, To gets it unless it has one.
pub fn response_to(request: &Request, code: u16, to_tag: Option<&str>) -> Response {
    todo!()
}
