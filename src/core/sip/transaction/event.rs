//! What the layer and its user say to each other.

use rsip::{Request, Response};

use crate::sip::flow::Flow;

/// Names a client transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Names a server transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u64);

/// What the transaction user gets, in the order in which it happened. `O` names whose client transaction it is.
#[derive(Clone, Debug)]
pub enum Event<O> {
    /// A new request, not ACK and not CANCEL. Its top Via carries `received` and, where asked for, `rport`.
    Request { id: ServerId, flow: Flow, request: Request },
    /// An ACK that is not for a final response of this layer: to a 2xx, or to nothing that we know.
    Ack { flow: Flow, request: Request },
    /// CANCEL for a pending INVITE. The layer has answered it with 200; the user answers the INVITE with 487.
    Cancelled { id: ServerId, cancel: Request },
    /// A source asks more than its share of the table: see [`super::sources`].
    Crowded { flow: Flow },
    /// Our final non-2xx to INVITE was never acknowledged (timer H).
    NoAck { id: ServerId },
    /// A provisional or final response; further 2xx to one INVITE (forks, retransmissions) come too. `flow` is where the
    /// request went that was answered: over UDP perhaps another port than it was given (see [`super::ways`]).
    Response { id: ClientId, owner: O, flow: Flow, response: Response },
    /// The 2xx to an INVITE will not be repeated any more (timer M).
    Over { id: ClientId, owner: O },
    /// No final response came (timer B or F, or none within 64·T1 of a CANCEL), or the flow is gone.
    Failed { id: ClientId, owner: O, failure: Failure },
}

/// Why a client transaction ended without a final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Treated as 408 (RFC 3261 section 8.1.3.1).
    Timeout,
    /// Treated as 503.
    Transport,
}
