//! The standby: a second TLS flow, to another server than the trunk's, that stands ready for emergency calls.
//!
//! Nothing is registered on it and nothing comes in by it: only responses, and requests inside dialogs that began on it,
//! are taken. An edge takes an INVITE without a registration (TWILIO.md "Edges"). OPTIONS keeps it. It costs one
//! connection and one OPTIONS per `trunk.keepalive`.
//!
//! ```text
//! Idle ──▶ Resolving ──▶ Connecting ──▶ Up ──▶ the trunk's own flow, where the trunk's search comes to its address
//!   ▲          │ next server │ next address │ closed, silent
//!   └──────────┴─────────────┴──────────────┘
//! ```
//!
//! Where it leads: to the servers of the config after the trunk's, in their order, then to another address of the trunk's
//! own server. An edge that the config does not name is never used: somebody may have left it out with a reason.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::keepalive::{Action, Keepalive};
use super::link::Link;
use super::locate::{Lookup, Next};
use super::search::{CONNECT_TIMEOUT, RESOLVE_TIMEOUT, certificate_name, server_name};
use super::{CONNECT_BASE, CONNECT_MAX, HURRY, Trunk, contact_at, options};
use crate::backoff::Backoff;
use crate::config;
use crate::context::Owner;
use crate::context::{Context, Output};
use crate::dns::DnsAnswer;
use crate::event::{Code, Event};
use crate::sip::flow::Flow;
use crate::sip::transaction::{ClientId, Failure, Priority};
use crate::status::{StandbyState, StandbyStatus};
use crate::time::Instant;
use crate::time::trusted::TimeState;

/// Why there is no standby, and what to do.
const NOWHERE: &str = "[trunk] names one server and it has one address; name two edges or two servers in gateway.toml";

/// The second flow.
#[derive(Debug)]
pub(super) struct Standby {
    state: State,
    /// Why it is not up, for people.
    fault: String,
    backoff: Backoff,
    /// It was said that it is not up; one line is enough until it was.
    told: bool,
}

#[derive(Debug)]
enum State {
    /// The next search begins then; without a time, something else must happen first.
    Idle(Option<Instant>),
    /// There is no other server and no other address.
    Nowhere,
    Resolving {
        search: Search,
        query: u64,
        lookup: Lookup,
        deadline: Instant,
    },
    Connecting {
        search: Search,
        connection: u64,
        address: SocketAddr,
        rest: VecDeque<SocketAddr>,
        deadline: Instant,
    },
    Up(Box<Up>),
    /// We stop: what is up stays, nothing more is looked for.
    Stopped,
}

/// One round through the servers.
#[derive(Debug)]
struct Search {
    server: usize,
    /// Those to try after it.
    left: VecDeque<usize>,
}

#[derive(Debug)]
struct Up {
    flow: Flow,
    /// `server (address)`, for people.
    name: String,
    keepalive: Keepalive,
    /// It answered an OPTIONS: SIP is spoken there.
    proven: bool,
}

impl Standby {
    pub fn new(now: Instant) -> Self {
        Standby {
            state: State::Idle(Some(now)),
            fault: "not connected yet".into(),
            backoff: Backoff::new(CONNECT_BASE, CONNECT_MAX),
            told: false,
        }
    }

    /// The flow, if it is up.
    pub fn flow(&self) -> Option<Flow> {
        match &self.state {
            State::Up(up) => Some(up.flow),
            _ => None,
        }
    }

    /// What was measured on it.
    pub fn keepalive(&self) -> Option<&Keepalive> {
        match &self.state {
            State::Up(up) => Some(&up.keepalive),
            _ => None,
        }
    }

    /// Whether it may come up.
    pub fn is_sought(&self) -> bool {
        match &self.state {
            State::Idle(at) => at.is_some(),
            State::Resolving { .. } | State::Connecting { .. } => true,
            State::Nowhere | State::Up(_) | State::Stopped => false,
        }
    }

    /// No reason to wait any longer: looks for a server now.
    pub fn begin_at_once(&mut self, now: Instant) {
        if matches!(self.state, State::Idle(_) | State::Nowhere) {
            self.backoff.reset();
            self.state = State::Idle(Some(now));
        }
    }

    /// The trunk is up, and may know more addresses of its server.
    pub fn on_trunk_up(&mut self, now: Instant) {
        if matches!(self.state, State::Idle(None) | State::Nowhere) {
            self.state = State::Idle(Some(now));
        }
    }

    /// An emergency call could use it: no back-off longer than [`HURRY`].
    pub fn hurry(&mut self, now: Instant) {
        if let State::Idle(Some(at)) = &mut self.state {
            *at = (*at).min(now + HURRY);
        }
    }

    /// Looks for nothing more.
    pub fn stop(&mut self) {
        if !matches!(self.state, State::Up(_)) {
            self.state = State::Stopped;
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Idle(at) => *at,
            State::Resolving { deadline, .. } | State::Connecting { deadline, .. } => Some(*deadline),
            State::Up(up) => up.keepalive.poll_timeout(),
            State::Nowhere | State::Stopped => None,
        }
    }

    /// For `gateway status`.
    pub fn status(&self, now: Instant) -> StandbyStatus {
        let (state, flow, retry_in) = match &self.state {
            State::Up(up) => (StandbyState::Up, Some(format!("{} from {}", up.name, up.flow.local)), None),
            State::Idle(at) => (StandbyState::Waiting, None, at.map(|at| at.since(now).as_secs())),
            State::Resolving { .. } => (StandbyState::Resolving, None, None),
            State::Connecting { address, .. } => (StandbyState::Connecting, Some(address.to_string()), None),
            State::Nowhere => (StandbyState::Nowhere, None, None),
            State::Stopped => (StandbyState::Stopped, None, None),
        };
        let reason = (state != StandbyState::Up).then(|| self.fault.clone());
        StandbyStatus { state, flow, reason, retry_in }
    }
}

impl Trunk {
    /// Does what is due on the standby.
    pub(super) fn standby_timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        match &mut self.standby.state {
            State::Idle(Some(at)) if *at <= now => self.seek_standby(context),
            State::Resolving { lookup, deadline, .. } if *deadline <= now => {
                let late = DnsAnswer::Failed(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs()));
                let next = lookup.answer(late, context.random);
                self.standby_look_up(context, next);
            }
            State::Connecting { deadline, .. } if *deadline <= now => {
                self.standby_refused(context, &format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
            }
            State::Up(_) => self.keep_standby(context),
            State::Idle(_) | State::Resolving { .. } | State::Connecting { .. } | State::Nowhere | State::Stopped => {}
        }
    }

    /// Begins a round: the servers after the trunk's, then the other addresses of the trunk's own.
    fn seek_standby(&mut self, context: &mut Context<'_>) {
        if let TimeState::Doubted(doubt) = &self.time {
            // Goes on with [`Trunk::handle_time`].
            self.standby.fault.clone_from(doubt);
            self.standby.state = State::Idle(None);
            return;
        }
        let count = context.config.trunk.servers.len();
        let own = self.server_in_use();
        self.standby_next(context, (1..=count).map(|step| (own + step) % count).collect());
    }

    fn standby_next(&mut self, context: &mut Context<'_>, mut left: VecDeque<usize>) {
        let Some(server) = left.pop_front() else { return self.standby_waits(context) };
        let search = Search { server, left };
        if server == self.server_in_use() {
            // The trunk's own look-up has told its addresses.
            let addresses = self.found.clone();
            return self.standby_connects(context, search, addresses);
        }
        let (lookup, next) = Lookup::start(&context.config.trunk.servers[server]);
        self.standby.state = State::Resolving { search, query: self.last_number, lookup, deadline: context.now };
        self.standby_look_up(context, next);
    }

    fn standby_look_up(&mut self, context: &mut Context<'_>, next: Next) {
        let State::Resolving { search, query, deadline, .. } = &mut self.standby.state else { return };
        let proven = self.proven.get(search.server).copied().flatten();
        let addresses = match next {
            Next::Ask(question) => {
                self.last_number += 1;
                (*query, *deadline) = (self.last_number, context.now + RESOLVE_TIMEOUT);
                return context.outputs.push_back(Output::Resolve { query: self.last_number, question });
            }
            Next::Found(addresses) => addresses,
            Next::Nothing(fault) => {
                self.standby.fault = fault;
                VecDeque::new()
            }
        };
        let search = Search { server: search.server, left: std::mem::take(&mut search.left) };
        let addresses = addresses.into_iter().chain(proven).collect();
        self.standby_connects(context, search, addresses);
    }

    /// Tries the first address that the trunk does not use itself, or the next server.
    fn standby_connects(&mut self, context: &mut Context<'_>, search: Search, mut addresses: VecDeque<SocketAddr>) {
        let used = self.address_in_use();
        addresses.retain(|address| Some(*address) != used);
        let trunk = &context.config.trunk;
        let (Some(address), Some(configured)) = (addresses.pop_front(), trunk.servers.get(search.server)) else {
            return self.standby_next(context, search.left);
        };
        self.last_number += 1;
        let (connection, deadline) = (self.last_number, context.now + CONNECT_TIMEOUT);
        let server_name = certificate_name(trunk, configured);
        context.outputs.push_back(Output::Connect { connection, address, server_name });
        self.standby.state = State::Connecting { search, connection, address, rest: addresses, deadline };
    }

    fn standby_refused(&mut self, context: &mut Context<'_>, error: &str) {
        let State::Connecting { search, address, rest, .. } = &mut self.standby.state else { return };
        let name = server_name(&context.config.trunk, search.server);
        self.standby.fault = format!("{name} ({address}): {error}");
        let search = Search { server: search.server, left: std::mem::take(&mut search.left) };
        let rest = std::mem::take(rest);
        self.standby_connects(context, search, rest);
    }

    /// A round in vain.
    fn standby_waits(&mut self, context: &mut Context<'_>) {
        let alone = context.config.trunk.servers.len() <= 1;
        if alone && self.flow().is_err() {
            // The trunk's own look-up may tell more addresses; see [`Trunk::up`].
            self.standby.state = State::Idle(None);
            return;
        }
        if alone && self.found.len() <= 1 {
            self.standby.state = State::Nowhere;
            NOWHERE.clone_into(&mut self.standby.fault);
        } else {
            let wait = self.standby.backoff.next(context.random);
            self.standby.state = State::Idle(Some(context.now + wait));
        }
        if !std::mem::replace(&mut self.standby.told, true) {
            let text = format!("an emergency call has no second edge: {}", self.standby.fault);
            context.event(Event::new(Code::StandbyDown, context.config.trunk.domain.as_str(), text));
        }
    }

    /// The answer to a question for the standby. `false`: the question was not its own.
    pub(super) fn standby_resolved(&mut self, context: &mut Context<'_>, query: u64, answer: &DnsAnswer) -> bool {
        let State::Resolving { query: asked, lookup, .. } = &mut self.standby.state else { return false };
        if *asked != query {
            return false;
        }
        let next = lookup.answer(answer.clone(), context.random);
        self.standby_look_up(context, next);
        true
    }

    /// A connection stands. `false`: it is not the standby's.
    pub(super) fn standby_connected(&mut self, context: &mut Context<'_>, connection: u64, flow: Flow) -> bool {
        let server = match &self.standby.state {
            State::Connecting { search, connection: asked, .. } if *asked == connection => search.server,
            _ => return false,
        };
        let name = format!("{} ({})", server_name(&context.config.trunk, server), flow.remote);
        let text = format!("TLS from {}: the second edge of emergency calls", flow.local);
        context.event(Event::new(Code::StandbyConnected, name.as_str(), text));
        let keepalive = Keepalive::by_options(context.now);
        self.standby.state = State::Up(Box::new(Up { flow, name, keepalive, proven: false }));
        self.sync(context);
        if let Some(proven) = self.proven.get_mut(server) {
            *proven = Some(flow.remote);
        }
        self.keep_standby(context);
        true
    }

    /// It does not. `false`: it is not the standby's.
    pub(super) fn standby_not_connected(&mut self, context: &mut Context<'_>, connection: u64, error: &str) -> bool {
        let own = matches!(&self.standby.state, State::Connecting { connection: asked, .. } if *asked == connection);
        if own {
            self.standby_refused(context, error);
        }
        own
    }

    fn keep_standby(&mut self, context: &mut Context<'_>) {
        let interval = context.config.trunk.keepalive;
        while let State::Up(up) = &mut self.standby.state {
            match up.keepalive.handle_timeout(context.now, interval, context.random) {
                Some(Action::Probe) => {
                    let request = options(context, &contact_at(context.config, up.flow, "gateway"));
                    let (owner, priority) = (Owner::Probe, Priority::Ordinary);
                    let id =
                        context.transactions.request(context.now, up.flow, request, owner, priority, context.random);
                    up.keepalive.on_probe(context.now, id);
                }
                Some(Action::Ping) => {}
                Some(Action::Dead) => {
                    let flow = up.flow;
                    return self.standby_dead(context, flow, "OPTIONS had no answer within 10 s");
                }
                None => return,
            }
        }
    }

    /// A response to an OPTIONS. `false`: not to the standby's.
    pub(super) fn standby_answered(&mut self, context: &mut Context<'_>, id: ClientId) -> bool {
        let State::Up(up) = &mut self.standby.state else { return false };
        if !up.keepalive.on_probe_answered(context.now, id) {
            return false;
        }
        if !std::mem::replace(&mut up.proven, true) {
            self.standby.backoff.reset();
            self.standby.told = false;
        }
        true
    }

    /// An OPTIONS got no response. `false`: not the standby's.
    pub(super) fn standby_unanswered(&mut self, context: &mut Context<'_>, id: ClientId, failure: Failure) -> bool {
        let State::Up(up) = &self.standby.state else { return false };
        if up.keepalive.probe != Some(id) {
            return false;
        }
        // The end of the flow is told by itself.
        if failure == Failure::Timeout {
            self.standby_dead(context, up.flow, "OPTIONS had no answer");
        }
        true
    }

    /// The standby's flow is silent, or no longer wanted: away with it.
    pub(super) fn standby_dead(&mut self, context: &mut Context<'_>, flow: Flow, reason: &str) {
        if self.standby.flow() != Some(flow) {
            return;
        }
        context.outputs.push_back(Output::Close { flow });
        self.standby_lost(context, reason);
        context.transactions.flow_down(context.now, flow);
    }

    /// The standby's flow is gone.
    pub(super) fn standby_lost(&mut self, context: &mut Context<'_>, reason: &str) {
        let State::Up(up) = &self.standby.state else { return };
        self.standby.fault = format!("{}: {reason}", up.name);
        context.event(Event::new(Code::StandbyLost, up.name.as_str(), reason));
        let wait = self.standby.backoff.next(context.random);
        self.standby.state = if self.stopping { State::Stopped } else { State::Idle(Some(context.now + wait)) };
    }

    /// The trunk's search comes to this address. Where the standby is up there, its flow is the trunk's now; where it is
    /// on the way there, it goes elsewhere.
    pub(super) fn take_standby(&mut self, context: &mut Context<'_>, address: SocketAddr) -> Option<Flow> {
        let taken = match &self.standby.state {
            State::Up(up) if up.flow.remote == address => Some(up.flow),
            State::Connecting { address: tried, .. } if *tried == address => None,
            _ => return None,
        };
        "the trunk took its flow".clone_into(&mut self.standby.fault);
        self.standby.state = State::Idle(Some(context.now));
        taken
    }

    /// The configuration changed: other servers, perhaps.
    pub(super) fn reload_standby(&mut self, context: &mut Context<'_>) {
        if let Some(flow) = self.standby.flow() {
            self.standby_dead(context, flow, "[trunk] in gateway.toml changed");
        }
        if !matches!(self.standby.state, State::Stopped) {
            self.standby = Standby::new(context.now);
        }
    }

    /// The network changed; see [`Trunk::handle_link`] for the rules.
    pub(super) fn standby_link(&mut self, context: &mut Context<'_>, link: &Link, changed: bool) {
        let State::Up(up) = &mut self.standby.state else {
            if changed && link.towards.is_some() && !self.stopping && self.standby.is_sought() {
                self.standby.begin_at_once(context.now);
            }
            return;
        };
        let (flow, own) = (up.flow, up.flow.local.ip());
        let reason = match link.towards {
            _ if !link.addresses.contains(&own) => format!("this box no longer has the address {own}"),
            Some(from) if from != own && changed => format!("the way to it begins at {from} now, no longer at {own}"),
            Some(_) if changed => return up.keepalive.hurry(context.now),
            _ => return,
        };
        self.standby_dead(context, flow, &reason);
        self.standby.begin_at_once(context.now);
    }
}

/// Whether emergency calls can have a second edge, as far as the file tells; if not, what to do.
pub fn second_edge_warning(trunk: &config::Trunk) -> Option<String> {
    let [server] = trunk.servers.as_slice() else { return None };
    let host = &server.host;
    let fix = "name two, such as edges = [\"ashburn\", \"umatilla\"]";
    Some(match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(_) => format!(
            "[trunk] names one server, {host}: an emergency call that it does not take has no second edge; {fix}"
        ),
        Err(_) => format!(
            "[trunk] names one server, {host}: an emergency call has a second way only where that name has two \
             addresses; {fix}"
        ),
    })
}
