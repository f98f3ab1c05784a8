//! The way to a phone over UDP that names another port than it sends from.
//!
//! Rule: nothing goes to another address than the one that a request came from, and of its ports the one that answers
//! counts. A datagram has one port to come from, and may name another, where responses (Via) or requests (Contact) shall go:
//!
//! - A Cisco 79xx sends from any port and listens on 5060, as Via and Contact say.
//! - A phone behind a NAT of the LAN names a port that is of no use to us.
//!
//! A Via whose address is the source's own is believed (RFC 3261 section 18.2.2); one with another address is a NAT's, and
//! the answer goes where the request came from. Who repeats a request did not get the answer: the next one takes the other
//! port. It is one response for one request, so that nobody is flooded by a forged source. A request of ours goes to its
//! flow; as long as nothing answers, every other repeat goes to the port that its Request-URI names.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rsip::Method;

use super::via;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::Via;
use crate::sip::wire;

/// Phones that name another port and are remembered.
const MAX: usize = 256;
/// Of one address.
const MAX_OF_ADDRESS: usize = 16;

/// Where the last answer to a phone went.
#[derive(Debug)]
struct Answered {
    source: SocketAddr,
    named: u16,
    /// The request, by its branch and method.
    request: (String, &'static str),
    port: u16,
}

/// Where the last answers went, the latest last.
#[derive(Debug, Default)]
pub(super) struct Ways(VecDeque<Answered>);

impl Ways {
    /// Where the answer to this request goes, which has just come, perhaps again.
    pub fn answer(&mut self, flow: Flow, via: &Via, method: Method) -> Flow {
        let reply = via::response_flow(flow, via);
        let (source, named) = (flow.remote, via::named_port(via));
        if reply.transport != Transport::Udp || via::names_source(source, via) {
            return reply;
        }
        let request = (via.branch().unwrap_or_default().to_owned(), wire::method_token(method));
        let known = self.0.iter().position(|known| (known.source, known.named) == (source, named));
        let port = match known.and_then(|at| self.0.remove(at)) {
            Some(known) if known.request != request => known.port,
            Some(known) if known.port == named => source.port(),
            Some(_) => named,
            None => reply.remote.port(),
        };
        let neighbors = || self.0.iter().enumerate().filter(|(_, one)| one.source.ip() == source.ip());
        match neighbors().next().filter(|_| neighbors().count() >= MAX_OF_ADDRESS) {
            Some((oldest, _)) => drop(self.0.remove(oldest)),
            None if self.0.len() >= MAX => drop(self.0.pop_front()),
            None => {}
        }
        self.0.push_back(Answered { source, named, request, port });
        flow.at_port(port)
    }

    /// Phones that are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Where one more response to an earlier request goes.
    pub fn repeat(&self, flow: Flow, via: &Via) -> Flow {
        let (source, named) = (flow.remote, via::named_port(via));
        let known = self.0.iter().find(|known| (known.source, known.named) == (source, named));
        match known.filter(|_| flow.transport == Transport::Udp && !via::names_source(source, via)) {
            Some(known) => flow.at_port(known.port),
            None => via::response_flow(flow, via),
        }
    }
}
