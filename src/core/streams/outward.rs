//! Connections that we open to phones by TCP.
//!
//! The rule: a phone whose connection ended is reached where its Contact says that it listens, if that is the address that
//! its last request came from (RFC 3261 sections 12.2 and 18.1.1). A Contact that names another address points us at
//! somebody who asked for nothing.
//!
//! Such a flow is there before its connection is: the first octets for it open one. A phone that ended its own connection
//! is tried at once, so that a binding of one that does not listen goes. Afterwards the phone may close as it likes, but not
//! instead of an answer: what takes a connection and says nothing to a request on it is no phone that listens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use rsip::Uri;
use rsip::common::uri::Scheme;

use crate::sip::flow::{Flow, Transport};
use crate::sip::uri;

/// Connections to phones that we have open or are opening, beside those that phones opened. Beyond it none is opened: what
/// should leave by one fails, as if the phone did not listen.
pub const MAX_OUTWARD: usize = 64;

/// The same to one address: a box of many lines listens once for all of them.
const MAX_OF_ONE: usize = 8;

/// Phones that are known to listen. More are forgotten, those first that no call or binding uses.
const MAX_PHONES: usize = 1024;

/// Connections that we open are numbered apart from the trunk's and from those that come in.
const FIRST: u64 = 1 << 62;

/// Where a phone listens.
#[derive(Debug)]
struct Phone {
    flow: Flow,
    state: State,
    said: Said,
}

/// What went over its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// We asked, and it has never said anything.
    Ours,
    /// It said something.
    Theirs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Idle,
    Opening,
    Open,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The phone had opened it.
    Theirs,
    /// We had: the phone listens.
    Ours,
    /// We could not open it, or it was closed instead of an answer.
    Unreached,
}

/// What sending on a flow needs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Connection,
    /// One more connection than there may be.
    Place,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Outward {
    /// By our address and theirs: one connection to a phone serves its calls and its binding.
    phones: BTreeMap<(SocketAddr, SocketAddr), Phone>,
    /// To be opened before anything is sent.
    tried: Vec<Flow>,
    last: u64,
}

impl Outward {
    /// Where a phone is reached whose stream ended; `None`: nowhere, until it is heard again.
    pub fn instead(&mut self, lost: Flow, ended: Ended, contact: &Uri) -> Option<Flow> {
        let place = Flow { connection: 0, ..listening(lost, contact)? };
        if place.transport == Transport::Udp {
            return Some(place);
        }
        if ended == Ended::Unreached && place.remote == lost.remote {
            return None;
        }
        let key = (place.local, place.remote);
        let flow = match self.phones.get(&key) {
            Some(phone) => phone.flow,
            None => {
                self.last += 1;
                let flow = Flow { connection: FIRST | self.last, ..place };
                self.phones.insert(key, Phone { flow, state: State::Idle, said: Said::Nothing });
                flow
            }
        };
        if ended == Ended::Theirs {
            self.look(flow);
        }
        Some(flow)
    }

    /// Tries at once whether a phone still listens. Only after a flow that it had opened, or one that closes whatever it
    /// takes would keep us busy.
    pub fn look(&mut self, flow: Flow) {
        if self.is_idle(flow) && !self.tried.contains(&flow) {
            self.tried.push(flow);
        }
    }

    /// The next flow to try.
    pub fn pop_tried(&mut self) -> Option<Flow> {
        self.tried.pop()
    }

    /// Something is to be sent on a flow.
    pub fn ask(&mut self, flow: Flow) -> Need {
        let need = self.open(flow);
        if let Some(phone) = self.of(flow).filter(|phone| phone.said == Said::Nothing) {
            phone.said = Said::Ours;
        }
        need
    }

    /// Octets came on a flow.
    pub fn heard(&mut self, flow: Flow) {
        if let Some(phone) = self.of(flow) {
            phone.said = Said::Theirs;
        }
    }

    /// The connection of a flow is wanted.
    pub fn open(&mut self, flow: Flow) -> Need {
        let busy = || self.phones.values().filter(|phone| phone.state != State::Idle);
        let own = busy().filter(|phone| phone.flow.remote.ip() == flow.remote.ip()).count();
        let is_full = busy().count() >= MAX_OUTWARD || own >= MAX_OF_ONE;
        match self.of(flow) {
            Some(phone) if phone.state == State::Idle && is_full => Need::Place,
            Some(phone) if phone.state == State::Idle => {
                phone.state = State::Opening;
                Need::Connection
            }
            _ => Need::Nothing,
        }
    }

    /// Its connection stands. `false`: nobody needs it any more.
    pub fn opened(&mut self, flow: Flow) -> bool {
        let phone = self.of(flow);
        phone.map(|phone| phone.state = State::Open).is_some()
    }

    /// A stream ended. A flow of ours never comes again.
    pub fn ended(&mut self, flow: Flow) -> Ended {
        let Some((state, said)) = self.of(flow).map(|phone| (phone.state, phone.said)) else { return Ended::Theirs };
        self.phones.remove(&(flow.local, flow.remote));
        match (state, said) {
            (State::Open, Said::Nothing | Said::Theirs) => Ended::Ours,
            _ => Ended::Unreached,
        }
    }

    /// Whether it is a flow of ours without a connection.
    pub fn is_idle(&self, flow: Flow) -> bool {
        self.phones.get(&(flow.local, flow.remote)).is_some_and(|one| one.flow == flow && one.state == State::Idle)
    }

    /// Forgets phones that no call and no binding uses, where there are many.
    pub fn settle(&mut self, used: impl FnOnce() -> BTreeSet<Flow>) {
        if self.phones.len() > MAX_PHONES {
            let used = used();
            self.phones.retain(|_, phone| phone.state != State::Idle || used.contains(&phone.flow));
        }
    }

    /// How many connections there are, open or being opened.
    pub fn len(&self) -> usize {
        self.phones.values().filter(|phone| phone.state != State::Idle).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(&mut self, flow: Flow) -> Option<&mut Phone> {
        self.phones.get_mut(&(flow.local, flow.remote)).filter(|phone| phone.flow == flow)
    }
}

/// Where a Contact says that a phone listens, if it is the address that the lost flow led to.
fn listening(lost: Flow, contact: &Uri) -> Option<Flow> {
    if lost.transport != Transport::Tcp || !matches!(contact.scheme, None | Some(Scheme::Sip)) {
        return None;
    }
    let host: IpAddr = uri::host(contact).trim_matches(['[', ']']).parse().ok()?;
    if host.to_canonical() != lost.remote.ip().to_canonical() {
        return None;
    }
    // Without a word on it, the transport that the phone has used.
    let transport = match uri::param(contact, "transport").flatten() {
        None => Transport::Tcp,
        Some(token) if token.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(token) if token.eq_ignore_ascii_case("udp") => Transport::Udp,
        Some(_) => return None,
    };
    let port = uri::port(contact).unwrap_or(transport.default_port());
    Some(Flow { transport, remote: SocketAddr::new(lost.remote.ip(), port), ..lost })
}
