//! Client transactions: RFC 3261 figures 5 and 6, with the Accepted state of RFC 6026.

use std::time::Duration;

use rsip::{Method, Request, Response};

use super::Failure;
use super::io::{Io, Next};
use super::timer::{T1, T2, T4, TIMEOUT, Timer};
use crate::sip::flow::Flow;
use crate::sip::{header, wire};

/// One request of ours.
#[derive(Debug)]
pub(super) struct Client<O> {
    /// Where it was sent last.
    pub flow: Flow,
    /// The port that the next repeat goes to, as long as nothing has answered (see [`super::ways`]).
    pub other: Option<u16>,
    pub branch: String,
    /// `None`: a CANCEL that the layer sent by itself, nobody wants to hear of it.
    pub owner: Option<O>,
    pub machine: Machine,
    /// What it holds at most, as the table counts it.
    pub octets: usize,
}

#[derive(Debug)]
pub(super) enum Machine {
    Invite(Invite),
    Other(Other),
}

impl Machine {
    pub fn method(&self) -> Method {
        match self {
            Machine::Invite(_) => Method::Invite,
            Machine::Other(other) => other.method,
        }
    }
}

impl Machine {
    /// Whether no response has come at all.
    pub fn is_unheard(&self) -> bool {
        match self {
            Machine::Invite(invite) => matches!(invite.state, InviteState::Calling { .. }),
            Machine::Other(other) => matches!(other.state, OtherState::Trying { .. }),
        }
    }
}

/// What a response or a timer means to the user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Up {
    Nothing,
    /// The response goes up.
    Response,
    Failed(Failure),
}

/// The INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 8.4).
#[derive(Debug)]
pub(super) struct Invite {
    /// The request without body: ACK and CANCEL are made of it. `None` once a final response has come.
    request: Option<Box<Request>>,
    state: InviteState,
    cancel: Cancel,
    /// Reason of the CANCEL.
    reason: Option<String>,
}

#[derive(Debug)]
enum InviteState {
    Calling {
        /// To repeat; empty where nothing is.
        octets: Vec<u8>,
        interval: Duration,
    },
    Proceeding,
    /// A final response that is no 2xx was acknowledged so.
    Completed {
        ack: Vec<u8>,
    },
    Accepted,
}

#[derive(Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response comes (RFC 3261 section 9.1).
    Wanted,
    Sent,
}

impl Invite {
    /// Sends the INVITE.
    pub fn new(mut request: Request, io: &mut Io<'_>) -> Self {
        let octets = send_first(wire::write_request(&request), Timer::A, io);
        io.start(Timer::B, TIMEOUT);
        request.body = Vec::new();
        Invite {
            request: Some(Box::new(request)),
            state: InviteState::Calling { octets, interval: T1 },
            cancel: Cancel::No,
            reason: None,
        }
    }

    pub fn on_response(&mut self, response: &Response, io: &mut Io<'_>) -> (Up, Next) {
        let code = response.status_code.code();
        match (&mut self.state, code) {
            (InviteState::Calling { .. } | InviteState::Proceeding, 100..=199) => {
                io.stop(Timer::A);
                io.stop(Timer::B);
                self.state = InviteState::Proceeding;
                (Up::Response, Next::Stay)
            }
            (InviteState::Calling { .. } | InviteState::Proceeding, 200..=299) => {
                io.stop_all();
                io.start(Timer::M, TIMEOUT);
                self.state = InviteState::Accepted;
                self.request = None;
                (Up::Response, Next::Stay)
            }
            (InviteState::Calling { .. } | InviteState::Proceeding, _) => {
                io.stop_all();
                if let Some(request) = self.request.take() {
                    let ack = wire::write_request(&ack(&request, response));
                    io.send(ack.clone());
                    self.state = InviteState::Completed { ack };
                }
                // Timer D is zero where nothing is repeated.
                if io.is_reliable() {
                    return (Up::Response, Next::End);
                }
                io.start(Timer::D, TIMEOUT);
                (Up::Response, Next::Stay)
            }
            (InviteState::Accepted, 200..=299) => (Up::Response, Next::Stay),
            (InviteState::Completed { ack }, 300..) => {
                io.send(ack.clone());
                (Up::Nothing, Next::Stay)
            }
            (InviteState::Accepted | InviteState::Completed { .. }, _) => (Up::Nothing, Next::Stay),
        }
    }

    /// Wants the INVITE cancelled. `true` when the CANCEL can go now.
    pub fn cancel(&mut self, reason: Option<String>) -> bool {
        if self.cancel == Cancel::No {
            self.cancel = Cancel::Wanted;
            self.reason = reason;
        }
        self.cancel_due()
    }

    /// Whether a CANCEL is wanted, may be sent and was not.
    pub fn cancel_due(&self) -> bool {
        self.cancel == Cancel::Wanted && matches!(self.state, InviteState::Proceeding)
    }

    /// The CANCEL (RFC 3261 section 9.1). From now on a final response is due within 64·T1.
    pub fn take_cancel(&mut self, io: &mut Io<'_>) -> Option<Request> {
        self.cancel = Cancel::Sent;
        io.start(Timer::Cancelled, TIMEOUT);
        let mut cancel = derived(self.request.as_deref()?, Method::Cancel);
        if let Some(reason) = self.reason.take() {
            header::push_reason(&mut cancel.headers, reason);
        }
        Some(cancel)
    }

    pub fn on_timer(&mut self, timer: Timer, io: &mut Io<'_>) -> (Up, Next) {
        match (timer, &mut self.state) {
            (Timer::A, InviteState::Calling { octets, interval }) => {
                io.send(octets.clone());
                *interval *= 2;
                io.start(Timer::A, *interval);
                (Up::Nothing, Next::Stay)
            }
            (Timer::B | Timer::Cancelled, _) => (Up::Failed(Failure::Timeout), Next::End),
            (Timer::D | Timer::M, _) => (Up::Nothing, Next::End),
            _ => (Up::Nothing, Next::Stay),
        }
    }

    /// Whether the user still waits for a final response.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, InviteState::Calling { .. } | InviteState::Proceeding)
    }
}

/// The non-INVITE client transaction (RFC 3261 section 17.1.2).
#[derive(Debug)]
pub(super) struct Other {
    method: Method,
    state: OtherState,
}

#[derive(Debug)]
enum OtherState {
    Trying { octets: Vec<u8>, interval: Duration },
    Proceeding { octets: Vec<u8> },
    Completed,
}

impl Other {
    /// Sends the request.
    pub fn new(request: &Request, io: &mut Io<'_>) -> Self {
        let octets = send_first(wire::write_request(request), Timer::E, io);
        io.start(Timer::F, TIMEOUT);
        Other { method: request.method, state: OtherState::Trying { octets, interval: T1 } }
    }

    pub fn on_response(&mut self, response: &Response, io: &mut Io<'_>) -> (Up, Next) {
        let provisional = response.status_code.code() < 200;
        match &mut self.state {
            OtherState::Trying { octets, .. } if provisional => {
                self.state = OtherState::Proceeding { octets: std::mem::take(octets) };
                (Up::Response, Next::Stay)
            }
            OtherState::Proceeding { .. } if provisional => (Up::Response, Next::Stay),
            OtherState::Trying { .. } | OtherState::Proceeding { .. } => {
                io.stop_all();
                self.state = OtherState::Completed;
                // Timer K is zero where nothing is repeated.
                if io.is_reliable() {
                    return (Up::Response, Next::End);
                }
                io.start(Timer::K, T4);
                (Up::Response, Next::Stay)
            }
            OtherState::Completed => (Up::Nothing, Next::Stay),
        }
    }

    pub fn on_timer(&mut self, timer: Timer, io: &mut Io<'_>) -> (Up, Next) {
        match (timer, &mut self.state) {
            (Timer::E, OtherState::Trying { octets, interval }) => {
                io.send(octets.clone());
                *interval = (*interval * 2).min(T2);
                io.start(Timer::E, *interval);
                (Up::Nothing, Next::Stay)
            }
            (Timer::E, OtherState::Proceeding { octets }) => {
                io.send(octets.clone());
                io.start(Timer::E, T2);
                (Up::Nothing, Next::Stay)
            }
            (Timer::F, _) => (Up::Failed(Failure::Timeout), Next::End),
            (Timer::K, _) => (Up::Nothing, Next::End),
            _ => (Up::Nothing, Next::Stay),
        }
    }

    pub fn is_pending(&self) -> bool {
        !matches!(self.state, OtherState::Completed)
    }
}

/// Sends a request; what is given back is there to repeat it by `timer`, and nothing where nothing is repeated.
fn send_first(octets: Vec<u8>, timer: Timer, io: &mut Io<'_>) -> Vec<u8> {
    if io.is_reliable() {
        io.send(octets);
        return Vec::new();
    }
    io.send(octets.clone());
    io.start(timer, T1);
    octets
}

/// A request with the identity of another: same Request-URI, top Via, From, To, Call-ID, CSeq number and Route.
fn derived(original: &Request, method: Method) -> Request {
    let mut request = Request {
        method,
        uri: original.uri.clone(),
        version: original.version.clone(),
        headers: Default::default(),
        body: Vec::new(),
    };
    let mut via = false;
    for original in original.headers.iter() {
        let (name, value) = header::parts(original);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("CSeq") {
            let number = value.split_ascii_whitespace().next().unwrap_or_default();
            request.headers.push(header::make("CSeq", format!("{number} {}", wire::method_token(method))));
        } else if is("Via") {
            // One Via only (sections 9.1 and 17.1.1.3).
            if !std::mem::replace(&mut via, true) {
                request.headers.push(original.clone());
            }
        } else if ["From", "To", "Call-ID", "Max-Forwards", "Route"].into_iter().any(is) {
            request.headers.push(original.clone());
        }
    }
    request
}

/// The ACK to a final response that is no 2xx (RFC 3261 section 17.1.1.3).
fn ack(invite: &Request, response: &Response) -> Request {
    let mut ack = derived(invite, Method::Ack);
    if let Some(to) = header::value(&response.headers, "To") {
        header::set(&mut ack.headers, "To", to);
    }
    ack
}
