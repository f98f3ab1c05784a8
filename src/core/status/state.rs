//! Where flows, registrations, handsets and calls stand.

use serde::{Deserialize, Serialize};

use super::word::words;
use crate::sip::flow::Transport;

words! {
    /// Where the flow to the SIP domain stands.
    TrunkState {
        Up = "up",
        Connecting = "connecting",
        /// DNS is asked for the server.
        Resolving = "resolving",
        /// For the next try, or for a time that certificates can be judged by.
        Waiting = "waiting",
        /// The service stops.
        Stopped = "stopped",
    }
}

words! {
    /// Where the second flow to the SIP domain stands.
    StandbyState {
        Up = "up",
        Connecting = "connecting",
        /// DNS is asked for the server.
        Resolving = "resolving",
        /// For the next try, or for the trunk.
        Waiting = "waiting",
        /// The service stops.
        Stopped = "stopped",
        /// There is no second server or address.
        Nowhere = "none",
    }
}

words! {
    /// Where a registration at the SIP domain stands.
    RegistrationState {
        Registered = "registered",
        /// A REGISTER is on its way or due.
        Registering = "registering",
        /// For the flow, or for the next try.
        Waiting = "waiting",
        /// The SIP domain will not have it.
        Refused = "refused",
    }
}

words! {
    /// Where a call stands.
    CallState {
        Ringing = "ringing",
        Answered = "answered",
        /// One of the parties holds it.
        Held = "held",
        WaitingForTrunk = "waiting for the trunk",
        /// It failed, and the caller hears a sentence about it.
        Announcing = "failed, the caller hears so",
    }
}

words! {
    /// What kind of call it is.
    CallKind {
        Local = "local",
        Outbound = "outbound",
        Inbound = "inbound",
        Emergency = "emergency",
        /// The emergency service calls back.
        CallBack = "call-back",
        /// The box tells an extension of an emergency call.
        Notice = "notice",
    }
}

words! {
    /// How a handset reaches us.
    HandsetTransport {
        Udp = "udp",
        Tcp = "tcp",
        Tls = "tls",
    }
}

impl From<Transport> for HandsetTransport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => HandsetTransport::Udp,
            Transport::Tcp => HandsetTransport::Tcp,
            Transport::Tls => HandsetTransport::Tls,
        }
    }
}
