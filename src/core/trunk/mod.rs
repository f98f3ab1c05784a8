//! The Twilio side of SIP: one TLS flow to the domain, on it a registration of the box itself and one per extension, and
//! who may call in on it; and a second flow, the [`standby`], that emergency calls may leave by.
//!
//! ```text
//! Waiting ──▶ Resolving ──▶ Connecting ──▶ Up
//!    ▲            │ next server │ next address │ closed, silent
//!    └────────────┴─────────────┴──────────────┘
//! ```

mod credentials;
mod keepalive;
mod link;
mod locate;
mod noted;
mod own;
mod registration;
mod round_trip;
mod search;
mod standby;
mod status;
#[cfg(test)]
mod tests;
pub mod twilio_error;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rsip::Response;

use crate::backoff::Backoff;
use crate::config::Config;
use crate::context::Owner;
use crate::context::{Context, Output};
use crate::dns::DnsAnswer;
use crate::event::{Code, Event};
use crate::secrets::Secrets;
use crate::sip::digest::Challenge;
use crate::sip::flow::Flow;
use crate::sip::header::AuthHeader;
use crate::sip::transaction::{ClientId, Failure, Priority};
use crate::sip::uri;
use crate::time::trusted::TimeState;
use crate::time::{Instant, soonest};
use crate::wake::Reason;
pub use credentials::Choice;
use keepalive::{Action, Keepalive};
pub use link::Link;
use link::PublicAddress;
use locate::Lookup;
use noted::Noted;
use own::{instance, options};
use registration::{Origin, Outcome, Registration};
use round_trip::RoundTrip;
use search::{CONNECT_TIMEOUT, RESOLVE_TIMEOUT, server_name};
use standby::Standby;
pub use standby::second_edge_warning;

/// Between two attempts at a flow. One office asks one edge: two minutes of waiting burden nobody, and half an hour
/// (RFC 5626 section 4.5) after the internet is back would cost the office its calls.
const CONNECT_BASE: Duration = Duration::from_secs(2);
const CONNECT_MAX: Duration = Duration::from_secs(120);
/// Between two first REGISTERs, so that a big office does not come as a flood (20/s).
const PACE: Duration = Duration::from_millis(50);
/// REGISTERs in a row without any answer that make a flow dead.
const DEAD_AFTER: u32 = 2;

/// The trunk.
#[derive(Debug)]
pub struct Trunk {
    state: State,
    /// Why there is no flow, for people.
    fault: String,
    /// Of the box and of the extensions.
    registrations: Vec<Registration>,
    /// The soonest of them.
    due: Option<Instant>,
    /// No first REGISTER before.
    next_send: Instant,
    /// The server to begin a round with, and how many of this round have failed.
    first: usize,
    failed: usize,
    backoff: Backoff,
    /// Numbers of queries and connections.
    last_number: u64,
    /// Whether there is a time to judge certificates by. Nothing is tried without.
    time: TimeState,
    /// The address at which each server has shown its certificate last, for the time when DNS is silent or lies. Others
    /// are forgotten with the round that they were found in.
    proven: Vec<Option<SocketAddr>>,
    /// What the last look-up of the server in use gave.
    found: VecDeque<SocketAddr>,
    standby: Standby,
    /// What was measured on the last flow: the next one most likely has the same line.
    line: RoundTrip,
    /// An address was tried in this round.
    dialled: bool,
    /// The local address of the way to the SIP domain, once it was looked at; see [`Link`].
    path: Option<Option<IpAddr>>,
    public: PublicAddress,
    noted: Noted,
    /// What the flow and its search hang on; a reload that changes it begins anew.
    config: Option<crate::config::Trunk>,
    stopping: bool,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    /// For the time.
    Timeless,
    Resolving {
        server: usize,
        query: u64,
        lookup: Lookup,
        deadline: Instant,
    },
    Connecting {
        server: usize,
        connection: u64,
        address: SocketAddr,
        rest: VecDeque<SocketAddr>,
        deadline: Instant,
    },
    Up(Up),
    Stopped,
}

/// When to look for another flow.
#[derive(Clone, Copy, Debug)]
enum Again {
    /// We know what ended this one, and that it does not concern the next.
    AtOnce,
    Later,
}

#[derive(Debug)]
struct Up {
    flow: Flow,
    server: usize,
    /// `server (address)`, for people.
    name: String,
    /// Host and port of our Contacts.
    local: SocketAddr,
    instance: String,
    keepalive: Keepalive,
    /// A registration succeeded on it.
    proven: bool,
    unanswered: u32,
}

/// See [`Trunk::hurry`].
const HURRY: Duration = Duration::from_secs(1);

/// Our Contact URI on a flow for a user, without `<>`.
fn contact_at(config: &Config, flow: Flow, user: &str) -> String {
    let ip = config.media.public_address.unwrap_or(flow.local.ip());
    contact(SocketAddr::new(ip, flow.local.port()), user)
}

fn contact(local: SocketAddr, user: &str) -> String {
    let mut contact = uri::sip(Some(user), &local.ip().to_string(), Some(local.port()));
    uri::set_param(&mut contact, "transport", Some("tls"));
    uri::write(&contact)
}

/// Who registers at the SIP domain: the box, where a password was made for it (by `gateway apply`), and each extension.
fn users<'a>(config: &'a Config, secrets: &'a Secrets) -> impl Iterator<Item = &'a str> {
    let own = Some(config.site.user.as_str());
    let own = own.filter(|user| secrets.trunk_password(&config.site.environment, user).is_some());
    own.into_iter().chain(config.extensions.iter().map(|extension| extension.name.as_str()))
}

impl Up {
    fn contact(&self, user: &str) -> String {
        contact(self.local, user)
    }

    fn origin(&self, user: &str) -> Origin<'_> {
        Origin { flow: self.flow, contact: self.contact(user), instance: &self.instance }
    }
}

impl Trunk {
    /// Nothing is sent before the first [`Trunk::handle_timeout`].
    pub fn new(now: Instant) -> Self {
        Trunk {
            state: State::Waiting { until: now },
            fault: "not connected yet".into(),
            registrations: Vec::new(),
            due: None,
            next_send: now,
            first: 0,
            failed: 0,
            backoff: Backoff::new(CONNECT_BASE, CONNECT_MAX),
            last_number: 0,
            time: TimeState::Trusted,
            proven: Vec::new(),
            found: VecDeque::new(),
            standby: Standby::new(now),
            line: RoundTrip::default(),
            dialled: false,
            path: None,
            public: PublicAddress::default(),
            noted: Noted::default(),
            config: None,
            stopping: false,
        }
    }

    /// The flow to send calls on; `Err` says, for people, why there is none.
    pub fn flow(&self) -> Result<Flow, &str> {
        match &self.state {
            State::Up(up) => Ok(up.flow),
            _ => Err(&self.fault),
        }
    }

    /// The flow that calls leave by, and the standby: the edges of an emergency call, in order.
    pub fn flows(&self) -> [Option<Flow>; 2] {
        [self.flow().ok(), self.standby.flow()]
    }

    /// The flow for what stands on `flow`: the standby for what began there, as long as it is up, else the trunk's.
    pub fn flow_for(&self, flow: Flow) -> Option<Flow> {
        if self.is_standby(flow) { Some(flow) } else { self.flow().ok() }
    }

    /// Whether this is the standby. Nothing begins on it but what we begin.
    pub fn is_standby(&self, flow: Flow) -> bool {
        self.standby.flow() == Some(flow)
    }

    /// Whether a flow that is down may come up.
    pub fn is_sought(&self) -> bool {
        !matches!(self.state, State::Up(_) | State::Stopped) || self.standby.is_sought()
    }

    /// How long an INVITE on this flow may be without any response before it counts as silent.
    pub fn patience(&self, flow: Flow) -> Duration {
        let keepalive = match &self.state {
            State::Up(up) if up.flow == flow => Some(&up.keepalive),
            _ => self.standby.keepalive().filter(|_| self.is_standby(flow)),
        };
        keepalive.map_or_else(|| RoundTrip::default().patience(), |keepalive| keepalive.round_trip.patience())
    }

    /// The user that answers for an emergency call: the caller's own extension, unless the SIP domain refuses it; else the
    /// box, or another extension that the SIP domain takes.
    pub fn account(&self, context: &Context<'_>, extension: Option<&str>) -> Option<String> {
        let is = |user: &str, so: fn(&Registration) -> bool| {
            self.registrations.iter().any(|one| one.user == user && so(one))
        };
        let own = extension.filter(|own| context.config.extension(own).is_some());
        let user = match own {
            Some(own) if !is(own, Registration::is_refused) => Some(own),
            own => self
                .carrier(context.config, context.now)
                .or_else(|| users(context.config, context.secrets).find(|user| is(user, Registration::was_taken)))
                .or_else(|| context.config.extensions.first().map(|first| first.name.as_str()))
                .or(own),
        };
        user.map(str::to_owned)
    }

    /// The user by which calls from outside reach this box: the box itself, or as long as the SIP domain does not know it
    /// an extension. `None` while nothing is registered.
    pub fn carrier<'a>(&self, config: &'a Config, now: Instant) -> Option<&'a str> {
        let State::Up(_) = self.state else { return None };
        let registered = || self.registrations.iter().filter(|one| one.is_registered(now) && !one.leaving);
        match registered().find(|one| one.user == config.site.user) {
            Some(_) => Some(&config.site.user),
            None => registered().find_map(|one| config.extension(&one.user)).map(|extension| extension.name.as_str()),
        }
    }

    /// Whether a request that came on this flow is from the SIP domain (only the TLS flow that we opened is).
    pub fn is_trunk(&self, flow: Flow) -> bool {
        matches!(&self.state, State::Up(up) if up.flow == flow)
    }

    /// A call came in on it without SRTP, and was taken.
    pub fn note_plain(&mut self, now: Instant) {
        self.noted.plain(now);
    }

    /// Twilio refused a call, and said why.
    pub fn note_refused(&mut self, now: Instant, why: String) {
        self.noted.refused(now, why);
    }

    /// Twilio took a call.
    pub fn note_taken(&mut self) {
        self.noted.taken();
    }

    /// What calls showed of it, for people: a sentence each.
    pub fn troubles(&self, now: Instant) -> Vec<String> {
        self.noted.troubles(now)
    }

    /// Our Contact URI on the flow for a user, without `<>`: what is registered, and what calls must carry too.
    pub fn contact(&self, user: &str) -> Option<String> {
        match &self.state {
            State::Up(up) => Some(up.contact(user)),
            _ => None,
        }
    }

    /// Header and value with credentials for one more request of `extension`. With `challenge` (and the header
    /// that answers it, as [`strongest`](crate::sip::digest::strongest) gives them), that of the 401 or 407 just
    /// received; without, the last one seen, so that an INVITE can carry credentials at once. Where credentials for a
    /// challenge to this very request were refused, `choice` is the other password. `None`: nothing known yet, or no
    /// password.
    #[expect(clippy::too_many_arguments, reason = "what a request is answered by; a struct would only rename them")]
    pub fn authorization(
        &mut self,
        context: &mut Context<'_>,
        flow: Flow,
        extension: &str,
        method: &str,
        uri: &str,
        challenge: Option<(&Challenge, AuthHeader)>,
        choice: Choice,
    ) -> Option<(AuthHeader, String)> {
        let on_standby = self.is_standby(flow);
        let registration = self.registrations.iter_mut().find(|one| one.user == extension)?;
        let environment = &context.config.site.environment;
        let password = registration.password_for_call(context.secrets, environment, choice)?;
        let known = match on_standby {
            true => registration.for_standby(flow, challenge),
            false => registration.for_call(challenge),
        };
        Some(known?.answer(extension, password, method, uri, context.random))
    }

    /// Whether a rotation is not done: the SIP domain may have one password of `extension` or the other.
    pub fn has_two_passwords(&self, context: &Context<'_>, extension: &str) -> bool {
        context.secrets.former_trunk_password(&context.config.site.environment, extension).is_some()
    }

    /// The connection that [`Output::Connect`] asked for stands.
    ///
    /// `rank` orders the registrations that are all due now: the lowest first.
    pub fn handle_connected(
        &mut self,
        context: &mut Context<'_>,
        connection: u64,
        flow: Flow,
        rank: &dyn Fn(&str) -> u8,
    ) {
        if self.standby_connected(context, connection, flow) {
            return;
        }
        let server = match &self.state {
            State::Connecting { server, connection: asked, .. } if *asked == connection => *server,
            // Too late: given up, or the config changed.
            _ => return context.outputs.push_back(Output::Close { flow }),
        };
        self.up(context, server, flow, &format!("TLS from {}", flow.local));
        for registration in &mut self.registrations {
            // The box first: it carries all calls from outside.
            let is_box = registration.user == context.config.site.user;
            registration.rank = if is_box { 0 } else { rank(&registration.user) };
        }
        self.handle_timeout(context);
    }

    /// From now on this is the flow: everybody registers on it.
    fn up(&mut self, context: &mut Context<'_>, server: usize, flow: Flow, how: &str) {
        let trunk = &context.config.trunk;
        let name = format!("{} ({})", server_name(trunk, server), flow.remote);
        let ip = context.config.media.public_address.unwrap_or(flow.local.ip());
        context.event(Event::new(Code::TrunkConnected, name.as_str(), how));
        let mut keepalive = Keepalive::new(context.now, trunk.keepalive, context.random);
        keepalive.round_trip = self.line.clone();
        self.state = State::Up(Up {
            flow,
            server,
            name,
            local: SocketAddr::new(ip, flow.local.port()),
            instance: instance(context.config),
            keepalive,
            proven: false,
            unanswered: 0,
        });
        self.sync(context);
        for registration in &mut self.registrations {
            registration.start(context.now);
        }
        if let Some(proven) = self.proven.get_mut(server) {
            *proven = Some(flow.remote);
        }
        self.standby.on_trunk_up(context.now);
        self.next_send = context.now;
        self.settle();
    }

    /// It does not.
    pub fn handle_connect_failed(&mut self, context: &mut Context<'_>, connection: u64, error: &str) {
        if self.standby_not_connected(context, connection, error) {
            return;
        }
        if matches!(&self.state, State::Connecting { connection: asked, .. } if *asked == connection) {
            self.connect_failed(context, error);
        }
    }

    /// A flow ended; anything but our flows is ignored.
    pub fn handle_disconnected(&mut self, context: &mut Context<'_>, flow: Flow, reason: &str) {
        if self.is_trunk(flow) {
            self.lose(context, reason, Again::Later);
        } else if self.is_standby(flow) {
            self.standby_lost(context, reason);
        }
    }

    /// The answer to a question of ours.
    pub fn handle_resolved(&mut self, context: &mut Context<'_>, query: u64, answer: DnsAnswer) {
        if self.standby_resolved(context, query, &answer) {
            return;
        }
        if let State::Resolving { server, query: asked, lookup, .. } = &mut self.state
            && *asked == query
        {
            let (server, next) = (*server, lookup.answer(answer, context.random));
            self.look_up(context, server, next);
        }
    }

    /// CRLF answer to our keepalive.
    pub fn handle_pong(&mut self, context: &mut Context<'_>, flow: Flow) {
        if let State::Up(up) = &mut self.state
            && up.flow == flow
        {
            up.keepalive.on_pong(context.now);
        }
    }

    /// A response to a REGISTER or to an OPTIONS.
    pub fn handle_response(&mut self, context: &mut Context<'_>, id: ClientId, response: &Response) {
        if self.standby_answered(context, id) {
            return;
        }
        let State::Up(up) = &mut self.state else { return };
        up.keepalive.on_heard(context.now);
        up.unanswered = 0;
        self.public.on_response(context, response);
        if up.keepalive.on_probe_answered(context.now, id) {
            return;
        }
        let Some(registration) = self.registrations.iter_mut().find(|one| one.is_in_flight(id)) else { return };
        if let Some(waited) = registration.waits(context.now) {
            up.keepalive.round_trip.add(waited);
        }
        let outcome = registration.on_response(context, &up.origin(&registration.user), response);
        if outcome == Outcome::Registered && !up.proven {
            up.proven = true;
            self.backoff.reset();
            self.first = 0;
        }
        self.settle();
    }

    /// No response came.
    pub fn handle_failure(&mut self, context: &mut Context<'_>, id: ClientId, failure: Failure) {
        if self.standby_unanswered(context, id, failure) {
            return;
        }
        let State::Up(up) = &mut self.state else { return };
        if up.keepalive.probe == Some(id) {
            up.keepalive.probe = None;
            if failure == Failure::Transport {
                // The end of the flow is told by itself.
                return;
            }
            return self.dead(context, "the SIP domain is silent: OPTIONS had no answer within 32 s");
        }
        let Some(registration) = self.registrations.iter_mut().find(|one| one.is_in_flight(id)) else { return };
        registration.on_failure(context, failure);
        up.unanswered += u32::from(failure == Failure::Timeout);
        let enough = DEAD_AFTER.min(u32::try_from(self.registrations.len()).unwrap_or(DEAD_AFTER));
        if up.unanswered >= enough && !self.stopping {
            return self.dead(context, "the SIP domain is silent: REGISTER had no answer within 32 s");
        }
        self.settle();
    }

    /// The configuration or the secrets changed: new extensions register, removed ones leave, what was refused is tried
    /// again, and another server or domain means another flow.
    pub fn handle_reload(&mut self, context: &mut Context<'_>) {
        if self.config.as_ref().is_some_and(|old| *old != context.config.trunk) {
            match &self.state {
                State::Up(_) => self.dead(context, "[trunk] in gateway.toml changed"),
                State::Stopped => {}
                _ => self.state = State::Waiting { until: context.now },
            }
            self.reload_standby(context);
            (self.first, self.failed) = (0, 0);
            self.proven.clear();
            self.found.clear();
            self.backoff.reset();
            if let State::Waiting { until } = &mut self.state {
                *until = context.now;
            }
            return;
        }
        if let State::Up(_) = self.state {
            self.sync(context);
            for registration in &mut self.registrations {
                // Idle ones were refused or are new; the others keep their pace, but for those whose password Twilio took
                // last is no more.
                let is_idle = !registration.is_registered(context.now)
                    || registration.is_outdated(context.secrets, &context.config.site.environment);
                if is_idle && !registration.is_busy() && !registration.leaving {
                    registration.start(context.now);
                }
            }
            self.settle();
        }
    }

    /// There is a time that TLS can go by, or another one than before; or there is none, and why.
    pub fn handle_time(&mut self, context: &mut Context<'_>, time: TimeState) {
        self.time = time;
        let is_trusted = self.time == TimeState::Trusted;
        if is_trusted {
            self.standby.begin_at_once(context.now);
        }
        match &mut self.state {
            // What is under way ends by itself, and a flow that stands was judged when it was made.
            State::Up(_) | State::Resolving { .. } | State::Connecting { .. } | State::Stopped => {}
            State::Waiting { until } if is_trusted => *until = context.now,
            State::Timeless if is_trusted => {
                self.backoff.reset();
                self.state = State::Waiting { until: context.now };
            }
            State::Waiting { .. } | State::Timeless => {
                self.wait_for_time(context);
            }
        }
    }

    /// Whether there is no time; then nothing else is done.
    fn wait_for_time(&mut self, context: &mut Context<'_>) -> bool {
        let TimeState::Doubted(doubt) = &self.time else { return false };
        self.fault.clone_from(doubt);
        if !matches!(self.state, State::Timeless) {
            let domain = context.config.trunk.domain.as_str();
            context.event(Event::new(Code::TrunkWaiting, domain, doubt.as_str()));
        }
        self.state = State::Timeless;
        true
    }

    /// We stop for good: each binding is removed, as far as the server answers in time, or Twilio would ring a
    /// connection that is gone until it expires. [`Trunk::is_quiet`] tells when that is done.
    pub fn stop(&mut self, context: &mut Context<'_>) {
        self.stopping = true;
        self.standby.stop();
        match &self.state {
            State::Up(up) => {
                for registration in &mut self.registrations {
                    registration.leave(context, &up.origin(&registration.user));
                }
            }
            _ => self.state = State::Stopped,
        }
        self.settle();
    }

    /// Whether no REGISTER waits for its response.
    pub fn is_quiet(&self) -> bool {
        !self.registrations.iter().any(Registration::is_busy)
    }

    /// When [`Trunk::handle_timeout`] wants to be called, and for what.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let own = match &self.state {
            State::Waiting { until } => Some((*until, Reason::Search)),
            State::Resolving { deadline, .. } | State::Connecting { deadline, .. } => Some((*deadline, Reason::Search)),
            State::Up(_) if self.stopping => None,
            State::Up(up) => soonest(
                Reason::Keepalive.at(up.keepalive.poll_timeout()),
                Reason::Registration.at(self.due.map(|due| due.max(self.next_send))),
            ),
            State::Timeless | State::Stopped => None,
        };
        soonest(own, Reason::Standby.at(self.standby.poll_timeout().filter(|_| !self.stopping)))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        if self.stopping {
            return;
        }
        self.own_timeout(context);
        self.standby_timeout(context);
    }

    fn own_timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        match &mut self.state {
            State::Waiting { until } if *until <= now => {
                (self.failed, self.dialled) = (0, false);
                self.next_server(context);
            }
            State::Resolving { server, lookup, deadline, .. } if *deadline <= now => {
                let late = DnsAnswer::Failed(format!("no answer within {} s", RESOLVE_TIMEOUT.as_secs()));
                let (server, next) = (*server, lookup.answer(late, context.random));
                self.look_up(context, server, next);
            }
            State::Connecting { deadline, .. } if *deadline <= now => {
                self.connect_failed(context, &format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
            }
            State::Up(_) => {
                self.keep_alive(context);
                self.register_next(context);
            }
            State::Waiting { .. }
            | State::Timeless
            | State::Resolving { .. }
            | State::Connecting { .. }
            | State::Stopped => {}
        }
    }

    /// The flow does not carry what matters, whatever TCP believes: away with it, the next one may.
    pub fn abandon(&mut self, context: &mut Context<'_>, flow: Flow, reason: &str) {
        if self.is_trunk(flow) {
            self.dead(context, reason);
        } else {
            self.standby_dead(context, flow, reason);
        }
    }

    /// The server that the flow leads to, or that is tried now.
    fn server_in_use(&self) -> usize {
        match &self.state {
            State::Up(up) => up.server,
            State::Resolving { server, .. } | State::Connecting { server, .. } => *server,
            State::Waiting { .. } | State::Timeless | State::Stopped => self.first,
        }
    }

    /// The same for its address.
    fn address_in_use(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Up(up) => Some(up.flow.remote),
            State::Connecting { address, .. } => Some(*address),
            State::Waiting { .. } | State::Timeless | State::Resolving { .. } | State::Stopped => None,
        }
    }

    /// An emergency call waits for a flow, or might need the other one: no back-off longer than a second (and none shorter, or a server that refuses
    /// at once would be asked without end).
    pub fn hurry(&mut self, context: &mut Context<'_>) {
        if let State::Waiting { until } = &mut self.state {
            *until = (*until).min(context.now + HURRY);
        }
        self.standby.hurry(context.now);
    }

    /// Brings the registrations in line with the config and the secrets.
    fn sync(&mut self, context: &mut Context<'_>) {
        self.config = Some(context.config.trunk.clone());
        for registration in &mut self.registrations {
            let is_wanted = users(context.config, context.secrets).any(|user| user == registration.user);
            if !is_wanted && !registration.leaving {
                registration.leaving = true;
                if let State::Up(up) = &self.state {
                    registration.leave(context, &up.origin(&registration.user));
                }
            } else if is_wanted {
                registration.leaving = false;
            }
        }
        for user in users(context.config, context.secrets) {
            if !self.registrations.iter().any(|one| one.user == user) {
                let call_id = format!("{}@gateway", context.random.hex(16));
                self.registrations.push(Registration::new(user.to_owned(), call_id));
            }
        }
        self.registrations.retain(|one| !one.leaving || one.is_busy());
    }

    fn settle(&mut self) {
        self.registrations.retain(|one| !one.leaving || one.is_busy());
        self.due = self.registrations.iter().filter_map(Registration::due).min();
    }

    /// The flow is silent, or no longer wanted: away with it.
    fn dead(&mut self, context: &mut Context<'_>, reason: &str) {
        let State::Up(up) = &self.state else { return };
        let flow = up.flow;
        context.outputs.push_back(Output::Close { flow });
        self.lose(context, reason, Again::Later);
        context.transactions.flow_down(context.now, flow);
    }

    fn lose(&mut self, context: &mut Context<'_>, reason: &str, again: Again) {
        let State::Up(up) = &self.state else { return };
        self.fault = format!("{}: {reason}", up.name);
        self.line = up.keepalive.round_trip.clone();
        // A server that took the connection but never a registration is no better than one that is down.
        self.first = if up.proven { 0 } else { (up.server + 1) % context.config.trunk.servers.len().max(1) };
        for registration in &mut self.registrations {
            registration.flow_lost(&up.contact(&registration.user));
        }
        let text = format!("the connection is gone: {reason}; calls to and from outside fail until it is back");
        context.event(Event::new(Code::TrunkLost, up.name.as_str(), text));
        match again {
            _ if self.stopping => self.state = State::Stopped,
            Again::AtOnce => {
                self.backoff.reset();
                self.state = State::Waiting { until: context.now };
            }
            Again::Later => self.wait(context, "reconnecting"),
        }
        self.settle();
    }

    fn keep_alive(&mut self, context: &mut Context<'_>) {
        while let State::Up(up) = &mut self.state {
            let interval = context.config.trunk.keepalive;
            match up.keepalive.handle_timeout(context.now, interval, context.random) {
                Some(Action::Ping) => {
                    context.outputs.push_back(Output::Send { flow: up.flow, bytes: keepalive::PING.to_vec() });
                }
                Some(Action::Probe) => {
                    let request = options(context, &up.contact("gateway"));
                    let (owner, priority) = (Owner::Probe, Priority::Ordinary);
                    let id =
                        context.transactions.request(context.now, up.flow, request, owner, priority, context.random);
                    up.keepalive.on_probe(context.now, id);
                }
                Some(Action::Dead) => {
                    self.dead(context, "the SIP domain is silent: a keepalive had no answer within 10 s")
                }
                None => return,
            }
        }
    }

    /// Sends the one REGISTER that is due for longest; [`PACE`] holds back the next.
    fn register_next(&mut self, context: &mut Context<'_>) {
        let State::Up(up) = &self.state else { return };
        if self.due.is_none_or(|due| due > context.now) || context.now < self.next_send {
            return;
        }
        let waiting = self.registrations.iter_mut().filter_map(|one| Some((one.due()?, one)));
        if let Some((_, registration)) = waiting.min_by_key(|(due, one)| (*due, one.rank)) {
            registration.send_due(context, &up.origin(&registration.user));
            self.next_send = context.now + PACE;
        }
        self.settle();
    }
}
