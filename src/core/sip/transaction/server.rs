//! Server transactions: RFC 3261 figures 7 and 8, with the Accepted state of RFC 6026.

use std::time::Duration;

use rsip::Response;

use super::io::{Io, Next};
use super::key::{MergeKey, ServerKey};
use super::timer::{T1, T2, T4, TIMEOUT, Timer};
use crate::sip::flow::Flow;
use crate::sip::{header, wire};

/// One request of theirs.
#[derive(Debug)]
pub(super) struct Server {
    /// The flow that the request came on; it ends with it.
    pub flow: Flow,
    /// The way back; over UDP the remote port may differ.
    pub reply: Flow,
    pub key: ServerKey,
    pub merge: Option<MergeKey>,
    /// The To-tag of our responses, once one had it.
    pub to_tag: Option<String>,
    pub machine: Machine,
    /// What it holds, as the table counts it.
    pub octets: usize,
}

/// Octets of the keys of a request, which stand in two tables each.
pub(super) fn held(key: &ServerKey, merge: Option<&MergeKey>) -> usize {
    2 * (key.octets() + merge.map_or(0, MergeKey::octets))
}

impl Server {
    /// Octets that its keys and its last response hold.
    pub fn held(&self) -> usize {
        let last = match &self.machine {
            Machine::Invite(Invite::Proceeding { last: Some(octets) } | Invite::Completed { octets, .. })
            | Machine::Other(Other::Proceeding { last: octets } | Other::Completed { octets }) => octets.capacity(),
            _ => 0,
        };
        held(&self.key, self.merge.as_ref()) + last + self.to_tag.as_ref().map_or(0, String::len)
    }

    /// Whether the final response was given.
    pub fn is_answered(&self) -> bool {
        match &self.machine {
            Machine::Invite(invite) => !invite.is_pending(),
            Machine::Other(other) => matches!(other, Other::Completed { .. }),
        }
    }

    /// A response of the user. What comes too late is dropped.
    pub fn respond(&mut self, response: &Response, io: &mut Io<'_>) -> Next {
        if let Some(tag) = header::to_tag(&response.headers) {
            self.to_tag = Some(tag.into_owned());
        }
        match &mut self.machine {
            Machine::Invite(invite) => invite.respond(response, io),
            Machine::Other(other) => other.respond(response, io),
        }
    }
}

#[derive(Debug)]
pub(super) enum Machine {
    Invite(Invite),
    Other(Other),
}

/// The INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 8.5).
#[derive(Debug)]
pub(super) enum Invite {
    /// With the last provisional response.
    Proceeding {
        last: Option<Vec<u8>>,
    },
    /// A final response that is no 2xx waits for its ACK.
    Completed {
        octets: Vec<u8>,
        interval: Duration,
    },
    Confirmed,
    Accepted,
}

/// What an ACK with the branch of an INVITE is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// A final response that is no 2xx, or nothing at all: it ends here.
    Here,
    /// A 2xx: it is the user's, from phones that do not take a new branch.
    Accepted,
}

impl Invite {
    /// The INVITE came again.
    pub fn on_repeat(&mut self, io: &mut Io<'_>) {
        match self {
            Invite::Proceeding { last: Some(octets) } | Invite::Completed { octets, .. } => io.send(octets.clone()),
            // After a 2xx the user repeats it (RFC 3261 section 13.3.1.4).
            Invite::Proceeding { last: None } | Invite::Confirmed | Invite::Accepted => {}
        }
    }

    pub fn on_ack(&mut self, io: &mut Io<'_>) -> (Acknowledged, Next) {
        match self {
            Invite::Completed { .. } => {
                *self = Invite::Confirmed;
                io.stop_all();
                // Timer I is zero where nothing is repeated.
                if io.is_reliable() {
                    return (Acknowledged::Here, Next::End);
                }
                io.start(Timer::I, T4);
                (Acknowledged::Here, Next::Stay)
            }
            Invite::Accepted => (Acknowledged::Accepted, Next::Stay),
            Invite::Proceeding { .. } | Invite::Confirmed => (Acknowledged::Here, Next::Stay),
        }
    }

    fn respond(&mut self, response: &Response, io: &mut Io<'_>) -> Next {
        let code = response.status_code.code();
        match (&mut *self, code) {
            (Invite::Proceeding { last }, 100..=199) => {
                let octets = wire::write_response(response);
                io.send(octets.clone());
                *last = Some(octets);
            }
            (Invite::Proceeding { .. }, 200..=299) => {
                io.send(wire::write_response(response));
                io.start(Timer::L, TIMEOUT);
                *self = Invite::Accepted;
            }
            (Invite::Proceeding { .. }, _) => {
                let octets = wire::write_response(response);
                io.send(octets.clone());
                if !io.is_reliable() {
                    io.start(Timer::G, T1);
                }
                io.start(Timer::H, TIMEOUT);
                *self = Invite::Completed { octets, interval: T1 };
            }
            // The user repeats its 2xx.
            (Invite::Accepted, 200..=299) => io.send(wire::write_response(response)),
            _ => {}
        }
        Next::Stay
    }

    /// Whether the final response was never acknowledged, and what becomes of the transaction.
    pub fn on_timer(&mut self, timer: Timer, io: &mut Io<'_>) -> (bool, Next) {
        match (timer, self) {
            (Timer::G, Invite::Completed { octets, interval }) => {
                io.send(octets.clone());
                *interval = (*interval * 2).min(T2);
                io.start(Timer::G, *interval);
                (false, Next::Stay)
            }
            (Timer::H, _) => (true, Next::End),
            (Timer::I | Timer::L, _) => (false, Next::End),
            _ => (false, Next::Stay),
        }
    }

    /// Whether no final response was given: only then a CANCEL has an effect.
    pub fn is_pending(&self) -> bool {
        matches!(self, Invite::Proceeding { .. })
    }
}

/// The non-INVITE server transaction (RFC 3261 section 17.2.2).
#[derive(Debug)]
pub(super) enum Other {
    Trying,
    Proceeding { last: Vec<u8> },
    Completed { octets: Vec<u8> },
}

impl Other {
    /// The request came again.
    pub fn on_repeat(&mut self, io: &mut Io<'_>) {
        match self {
            Other::Trying => {}
            Other::Proceeding { last: octets } | Other::Completed { octets } => io.send(octets.clone()),
        }
    }

    fn respond(&mut self, response: &Response, io: &mut Io<'_>) -> Next {
        if matches!(self, Other::Completed { .. }) {
            return Next::Stay;
        }
        let octets = wire::write_response(response);
        io.send(octets.clone());
        if response.status_code.code() < 200 {
            *self = Other::Proceeding { last: octets };
            return Next::Stay;
        }
        *self = Other::Completed { octets };
        // Timer J is zero where nothing is repeated.
        if io.is_reliable() {
            return Next::End;
        }
        io.start(Timer::J, TIMEOUT);
        Next::Stay
    }

    pub fn on_timer(&mut self, timer: Timer) -> Next {
        if timer == Timer::J { Next::End } else { Next::Stay }
    }
}
