//! The search for a flow: the servers of the config in turn, the addresses of each, and the wait after a round in vain.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::locate::{Lookup, Next};
use super::{State, Trunk};
use crate::context::{Context, Output};
use crate::event::{Code, Event};

/// Longest wait after a round in which no server could even be looked up: at boot the line often comes after us, and a
/// question to the local DNS burdens nobody.
const UNRESOLVED_MAX: Duration = Duration::from_secs(15);
/// For one DNS question, beside the driver's own limit.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(15);
/// For TCP and TLS to one address.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

impl Trunk {
    /// Begins with the next server of this round; waits when all have failed.
    pub(super) fn next_server(&mut self, context: &mut Context<'_>) {
        if self.wait_for_time(context) {
            return;
        }
        let trunk = &context.config.trunk;
        self.config = Some(trunk.clone());
        if self.failed >= trunk.servers.len() {
            self.first = 0;
            return self.wait(context, if trunk.servers.is_empty() { "no server" } else { "every server failed" });
        }
        let index = (self.first + self.failed) % trunk.servers.len();
        let (lookup, next) = Lookup::start(&trunk.servers[index]);
        self.state = State::Resolving { server: index, query: self.last_number, lookup, deadline: context.now };
        self.look_up(context, index, next);
    }

    pub(super) fn wait(&mut self, context: &mut Context<'_>, what: &str) {
        let mut wait = self.backoff.next(context.random);
        if !self.dialled {
            wait = wait.min(UNRESOLVED_MAX);
        }
        self.state = State::Waiting { until: context.now + wait };
        let text = format!("{what}: {}; next try in {} s", self.fault, wait.as_secs().max(1));
        context.event(Event::new(Code::TrunkWaiting, context.config.trunk.domain.as_str(), text));
    }

    /// One step of resolving.
    pub(super) fn look_up(&mut self, context: &mut Context<'_>, server: usize, next: Next) {
        self.proven.resize(context.config.trunk.servers.len(), None);
        match next {
            Next::Ask(question) => {
                self.last_number += 1;
                if let State::Resolving { query, deadline, .. } = &mut self.state {
                    (*query, *deadline) = (self.last_number, context.now + RESOLVE_TIMEOUT);
                }
                context.outputs.push_back(Output::Resolve { query: self.last_number, question });
            }
            Next::Found(mut addresses) => {
                // DNS may lie; the certificate did not.
                let proven = self.proven.get(server).copied().flatten();
                self.found.clone_from(&addresses);
                addresses.extend(proven.filter(|proven| !addresses.contains(proven)));
                self.connect(context, server, addresses);
            }
            Next::Nothing(fault) => {
                let addresses: VecDeque<SocketAddr> = self.proven.get(server).copied().flatten().into_iter().collect();
                let next = if addresses.is_empty() { "" } else { "; trying the address it had before" };
                let text = format!("{fault}{next}; see whether this box has internet and DNS");
                context.event(Event::new(Code::TrunkNotResolved, server_name(&context.config.trunk, server), text));
                self.fault = fault;
                self.connect(context, server, addresses);
            }
        }
    }

    /// Tries the first of the addresses, or the next server.
    fn connect(&mut self, context: &mut Context<'_>, server: usize, mut addresses: VecDeque<SocketAddr>) {
        let trunk = &context.config.trunk;
        let (Some(address), Some(configured)) = (addresses.pop_front(), trunk.servers.get(server)) else {
            self.failed += 1;
            return self.next_server(context);
        };
        self.dialled = true;
        if let Some(flow) = self.take_standby(context, address) {
            return self.up(context, server, flow, &format!("by the standby, TLS from {}", flow.local));
        }
        self.last_number += 1;
        let (connection, deadline) = (self.last_number, context.now + CONNECT_TIMEOUT);
        let name = certificate_name(trunk, configured);
        context.outputs.push_back(Output::Connect { connection, address, server_name: name });
        self.state = State::Connecting { server, connection, address, rest: addresses, deadline };
    }

    pub(super) fn connect_failed(&mut self, context: &mut Context<'_>, error: &str) {
        let State::Connecting { server, address, rest, .. } = &mut self.state else { return };
        let (server, rest) = (*server, std::mem::take(rest));
        let name = server_name(&context.config.trunk, server);
        self.fault = format!("{name} ({address}): {error}");
        context.event(Event::new(Code::TrunkConnectFailed, format!("{name} ({address})"), error));
        self.connect(context, server, rest);
    }
}

pub(super) fn server_name(trunk: &crate::config::Trunk, index: usize) -> String {
    match trunk.servers.get(index) {
        Some(server) => match server.port {
            Some(port) => format!("{}:{port}", server.host),
            None => server.host.clone(),
        },
        None => trunk.domain.clone(),
    }
}

/// The name that the certificate must carry: what was configured, not what DNS made of it (RFC 5922 section 4). A server
/// given by its address has a certificate for the domain, not for the address.
pub(super) fn certificate_name(trunk: &crate::config::Trunk, server: &crate::config::Server) -> String {
    let name = host(&server.host);
    match &trunk.server_name {
        Some(server_name) => server_name.clone(),
        None if name.parse::<std::net::IpAddr>().is_ok() => trunk.domain.clone(),
        None => name,
    }
}

/// A host as TLS wants it: an IPv6 address without brackets, a name without its final dot.
fn host(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_string()
}
