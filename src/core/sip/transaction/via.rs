//! The top Via: ours on requests, the way back on responses (RFC 3261 section 18, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use rsip::{Header, Headers};

use super::key::MAGIC_COOKIE;
use crate::random::Random;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, Params, Via};

/// Octets of randomness in a branch.
const BRANCH_OCTETS: usize = 12;

/// A branch that was never used before.
pub(super) fn branch(random: &mut Random) -> String {
    format!("{MAGIC_COOKIE}{}", random.hex(BRANCH_OCTETS))
}

/// The Via of a request of ours on a flow. `rport` always: the answer comes back through NAT.
pub(super) fn ours(flow: Flow, branch: &str) -> Header {
    let via = Via {
        transport: flow.transport.via_token().to_owned(),
        host: flow.local.ip().to_string(),
        port: Some(flow.local.port()),
        params: Params(vec![("branch".to_owned(), Some(branch.to_owned())), ("rport".to_owned(), None)]),
    };
    header::make("Via", via.to_string())
}

/// Puts a header in front of all others.
pub(super) fn push_front(headers: &mut Headers, first: Header) {
    let mut all: Vec<Header> = std::mem::take(headers).into();
    all.insert(0, first);
    *headers = all.into();
}

/// Writes into the top Via where the request came from: `received` when it differs from sent-by (RFC 3261 section
/// 18.2.1), both where `rport` asks for it (RFC 3581 section 4).
pub(super) fn mark_received(via: &mut Via, source: SocketAddr) {
    let asked = via.params.get("rport").is_some();
    let same = via.host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == source.ip().to_canonical());
    // One that they wrote themselves would send our answer to whomever they like.
    via.params.remove("received");
    if asked || !same {
        via.params.set("received", Some(&source.ip().to_canonical().to_string()));
    }
    if asked {
        via.params.set("rport", Some(&source.port().to_string()));
    }
}

/// Replaces the top Via.
pub(super) fn set_top(headers: &mut Headers, via: &Via) {
    if let Some(top) = headers.iter_mut().find(|h| header::parts(h).0.eq_ignore_ascii_case("Via")) {
        *top = header::make("Via", via.to_string());
    }
}

/// The flow that a response with this top Via takes at first, when its request came on `flow` (RFC 3261 section 18.2.2):
/// the same connection; over UDP the source with `rport`, else the source address and the port of sent-by. That port is
/// not believed where sent-by is another address: that is a NAT between. `maddr` is not followed: it would let anybody
/// point us at anybody.
pub(super) fn response_flow(flow: Flow, via: &Via) -> Flow {
    let noted = via.params.value("rport").and_then(|port| port.parse().ok());
    let port = match noted {
        Some(port) => port,
        None if names_source(flow.remote, via) || is_foreign(flow.remote, via) => flow.remote.port(),
        None => named_port(via),
    };
    if flow.transport == Transport::Udp { flow.at_port(port) } else { flow }
}

/// The port of sent-by (RFC 3261 section 18.2.2); nothing listens on 0.
pub(super) fn named_port(via: &Via) -> u16 {
    via.port.filter(|port| *port != 0).unwrap_or(Transport::Udp.default_port())
}

/// Whether the source's own port is asked for, or named.
pub(super) fn names_source(source: SocketAddr, via: &Via) -> bool {
    via.params.get("rport").is_some() || named_port(via) == source.port()
}

/// Whether sent-by is the address of somebody else. A host name may be anybody's.
fn is_foreign(source: SocketAddr, via: &Via) -> bool {
    let host = via.host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.is_ok_and(|host| host.to_canonical() != source.ip().to_canonical())
}
