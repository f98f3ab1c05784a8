//! The pure core's frame: inputs in, outputs out, time as an argument. This is the contract between it and its driver.
//!
//! # Four families of methods
//!
//! - [`Engine::handle`] takes one [`Input`] and the time.
//! - [`Engine::poll_output`] gives what follows from it, one [`Output`] after the other.
//! - [`Engine::poll_timeout`] says when time alone is the next input, and for which [`Reason`].
//! - All others are getters. They change nothing, and the driver may call them between any two turns.
//!
//! # What the driver owes
//!
//! A turn:
//!
//! - One task owns the engine. It gives one input, drains `poll_output` until `None`, then asks `poll_timeout`.
//!   The next input comes after that.
//! - It carries the outputs out in their order. Media commands may follow the other outputs of the turn together.
//! - `now` never goes back. `wall` may jump: it dates a header and a file, and no timer reads it.
//! - It gives a [`Tick`](Input::Tick) at the deadline or soon after it, unless another input comes first: each input does
//!   all that is due. A deadline that has passed is due at once. A `Tick` before the deadline changes nothing.
//!
//! Answers:
//!
//! - Each [`Connect`](Output::Connect) gets one [`Connected`](Input::Connected) or
//!   [`ConnectFailed`](Input::ConnectFailed), each [`Resolve`](Output::Resolve) one [`Resolved`](Input::Resolved). The core
//!   does not wait for ever, and closes a connection that comes too late.
//! - Each [`Open`](Output::Open) gets one [`Opened`](Input::Opened), or the [`Disconnected`](Input::Disconnected) that ends
//!   it, within seconds. Its flow is the one that was asked for.
//! - Each media command gets the notices that [`media::Command`] names.
//! - Each stream that was [`Accepted`](Input::Accepted), `Connected` or asked for by `Open` ends with one
//!   [`Disconnected`](Input::Disconnected), also after a [`Close`](Output::Close). A stream's flow never comes again.
//! - An answer to no question brings a line in the log at most.
//!
//! Octets:
//!
//! - A datagram comes whole. A stream comes in order and in any pieces of up to [`MAX_HEAD`](wire::MAX_HEAD) +
//!   [`MAX_BODY`](wire::MAX_BODY) octets; a longer piece can end it.
//! - A [`Send`](Output::Send) to a flow that is gone is no error: the flow may end while the output waits.
//! - What was sent on a stream before its `Close` still goes out, as far as the other end takes it.
//!
//! The rest:
//!
//! - [`Persist`](Output::Persist): write down [`Engine::bindings`], at a pace that the disk bears; one write serves many.
//!   The next process gives it to [`Engine::new`].
//! - [`CallBack`](Output::CallBack): hand the phone to the webhook, which rings it when that number calls.
//! - [`Carrier`](Output::Carrier): hand the user to the webhook, which has calls from outside come by it.
//! - [`Forward`](Output::Forward): hand the call to the webhook before anything is sent, which calls the number.
//! - [`Event`](Output::Event): show it to people. It holds no secret.
//!
//! # What the core owes
//!
//! - `handle` never fails: a bad peer is data, a fault is an [`Event`]. No input makes it panic.
//! - It never blocks. It has no clock, socket, file, lock or thread.
//! - The same seed and the same inputs at the same times give the same outputs, octet for octet.
//! - All that follows from an input comes with the drain after it, or has a deadline.
//! - It sends nothing on a stream after the turn in which the stream ended.
//! - Its memory is bounded: [`MAX_STREAMS`], [`MAX_OF_SOURCE`](crate::streams::MAX_OF_SOURCE) strangers' of one source,
//!   [`MAX_OUTWARD`](crate::streams::outward::MAX_OUTWARD) opened by us to handsets, and
//!   [`MAX_UNFINISHED`](crate::streams::MAX_UNFINISHED) octets on those that no
//!   call uses; [`transaction::MAX`] and [`transaction::RESERVE`] of each side, of one source
//!   [`MAX_UNANSWERED`](transaction::sources::MAX_UNANSWERED) and [`MAX_ANSWERED`](transaction::sources::MAX_ANSWERED);
//!   [`Limits::transactions`](crate::config::Limits::transactions) octets of them on each side, of one source
//!   [`MAX_OF_SOURCE`](transaction::sources::MAX_OF_SOURCE);
//!   [`Limits::calls`](crate::config::Limits::calls), and [`bound::MAX_CALLS`](crate::emergency::bound::MAX_CALLS) emergency
//!   calls; [`Limits::bindings_per_extension`](crate::config::Limits::bindings_per_extension).
//! - The outputs of one input are bounded by its octets and by these tables. A queue that is drained is empty.
//!
//! # After a stop
//!
//! - [`Input::Stop`] ends each call but emergency calls, call backs and notices. A second one changes nothing.
//! - Emergency calls go on, and new ones leave. Every other request that begins something gets 503.
//! - Once [`Engine::has_emergency`] is false the core withdraws the registrations at the SIP domain. The flow stays: to
//!   close it is up to the driver.
//! - [`Engine::is_stopped`] says that each leg is over and each withdrawal was answered or given up. From then on the core
//!   begins nothing. It answers what comes in, and a new emergency call makes `is_stopped` false again.
//! - A driver may end sooner, but not while `has_emergency`.

mod emergency;
pub mod glance;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use rsip::{Method, Request, SipMessage};

use crate::call::dialog_flow::Standing;
use crate::call::setup::Invite;
use crate::call::{self, Calls, Core, options_response};
use crate::config::Config;
use crate::context::{Context, Output, Owner, Spending};
use crate::dns::DnsAnswer;
use crate::event::{Code, Event};
use crate::media;
use crate::random::Random;
use crate::registrar::{Registrar, Verdict};
use crate::route::{self, Caller};
use crate::secrets::Secrets;
use crate::sip::dialled::Dialled;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header;
use crate::sip::transaction::{self, Priority, ServerId, Transactions, give_back, response_to};
use crate::sip::wire::{self, Datagram, Frame, ReadError};
use crate::status::usage::{ExtensionUsage, Usage};
use crate::status::{ClockStatus, DriftStatus, ExtensionStatus, LanStatus, OwnStatus, Sizes, Status, StoreStatus};
pub use crate::streams::MAX_STREAMS;
use crate::streams::outward::{Need, Outward};
use crate::streams::{Kept, Streams};
use crate::time::trusted::TimeState;
use crate::time::{Instant, WallClock, soonest};
use crate::trunk::{Link, Trunk};
use crate::wake::Reason;

/// What the drivers give.
#[derive(Debug)]
pub enum Input {
    /// One UDP datagram, or octets of a stream.
    Received { flow: Flow, bytes: Vec<u8> },
    /// A handset connected by TCP. Its flow is new.
    Accepted { flow: Flow },
    /// The system has descriptors for so many connections of handsets.
    Places(usize),
    /// The connection asked for by [`Output::Connect`] stands: TCP done, TLS verified.
    Connected { connection: u64, flow: Flow },
    /// The connection asked for by [`Output::Open`] stands.
    Opened { flow: Flow },
    /// It does not, and why (no secrets, for people).
    ConnectFailed { connection: u64, error: String },
    /// A stream ended, by the other end, by a fault or by [`Output::Close`]. The reason is for people.
    Disconnected { flow: Flow, reason: String },
    /// The answer to [`Output::Resolve`].
    Resolved { query: u64, answer: DnsAnswer },
    /// Interfaces, addresses or routes of this machine changed, or were looked at for the first time.
    LinkChanged(Link),
    /// From the media driver.
    Media(media::Notice),
    /// Whether there is a time that TLS can go by. What TLS refused is tried again at once when there is one.
    Time(TimeState),
    /// A new configuration, already checked.
    Reload { config: Arc<Config>, secrets: Arc<Secrets> },
    /// What [`Engine::ledger`] gave out in a former process.
    Ledger(String),
    /// Whether calls outside are stopped.
    Spending(Spending),
    /// Stop; see [what holds then](self#after-a-stop).
    Stop,
    /// The network says that nothing listens at the other end of this flow over UDP (ICMP).
    Unreachable { flow: Flow },
    /// Nothing but time passed.
    Tick,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    shared: Shared,
    registrar: Registrar,
    trunk: Trunk,
    /// The flows that the calls know of.
    trunk_flows: [Option<Flow>; 2],
    /// The user that the webhook knows of.
    carrier: Option<String>,
    calls: Calls,
    streams: Streams,
    /// Flows that something was to be sent on, where one more connection is too many.
    unopened: Vec<Flow>,
    began: Instant,
    /// The configuration with the `[trunk]` that waits for an emergency call to end.
    waiting_config: Option<Arc<Config>>,
    stopping: Stopping,
}

/// What all parts of the engine work with: a [`Context`] lends it to one of them at a time.
#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    secrets: Arc<Secrets>,
    random: Random,
    transactions: Transactions<Owner>,
    outward: Outward,
    outputs: VecDeque<Output>,
}

impl Shared {
    fn context(&mut self, now: Instant, wall: WallClock) -> Context<'_> {
        Context {
            now,
            wall,
            config: &self.config,
            secrets: &self.secrets,
            random: &mut self.random,
            transactions: &mut self.transactions,
            outward: &mut self.outward,
            outputs: &mut self.outputs,
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    /// Calls are ended. Emergency calls go on, and the trunk stays for them.
    Calls,
    /// Registrations are withdrawn.
    Trunk,
}

impl Engine {
    /// `bindings` is what [`Engine::bindings`] gave out last, `seed` is all the randomness there will be.
    pub fn new(
        config: Arc<Config>,
        secrets: Arc<Secrets>,
        bindings: Option<&str>,
        seed: [u8; 32],
        now: Instant,
        wall: WallClock,
    ) -> Self {
        let mut transactions = Transactions::default();
        transactions.set_max_octets(config.limits.transactions);
        let (random, outward) = (Random::new(seed), Outward::default());
        let shared = Shared { config, secrets, random, transactions, outward, outputs: VecDeque::new() };
        Engine {
            shared,
            registrar: Registrar::new(bindings, now, wall),
            trunk: Trunk::new(now),
            trunk_flows: [None; 2],
            carrier: None,
            calls: Calls::default(),
            streams: Streams::default(),
            unopened: Vec::new(),
            began: now,
            waiting_config: None,
            stopping: Stopping::No,
        }
    }

    /// Takes one input, and does all that is due. What follows is polled with [`Engine::poll_output`].
    pub fn handle(&mut self, now: Instant, wall: WallClock, input: Input) {
        match input {
            Input::Received { flow, bytes } if flow.transport == Transport::Udp => self.on_datagram(now, flow, &bytes),
            Input::Received { flow, bytes } => self.on_stream(now, wall, flow, &bytes),
            Input::Accepted { flow } => {
                let (calls, registrar) = (&self.calls, &self.registrar);
                let closed = self.streams.accepted(now, flow, || kept(calls, registrar, now).all());
                self.close(now, wall, closed, "too many connections");
            }
            Input::Places(places) => {
                let (calls, registrar) = (&self.calls, &self.registrar);
                let closed = self.streams.set_places(places, || kept(calls, registrar, now).all());
                self.close(now, wall, closed, "too few file descriptors");
            }
            Input::Connected { connection, flow } => {
                self.streams.connected(now, flow);
                let (calls, registrar) = (&self.calls, &self.registrar);
                // Who talks and who can be rung first.
                let rank = |name: &str| match () {
                    () if calls.on_trunk().any(|extension| extension == name) => 0,
                    () if !registrar.bindings(name, now).is_empty() => 1,
                    () => 2,
                };
                self.trunk.handle_connected(&mut self.shared.context(now, wall), connection, flow, &rank);
            }
            Input::Opened { flow } => {
                if !self.shared.outward.opened(flow) {
                    self.shared.outputs.push_back(Output::Close { flow });
                }
            }
            Input::ConnectFailed { connection, error } => {
                self.trunk.handle_connect_failed(&mut self.shared.context(now, wall), connection, &error);
            }
            Input::Disconnected { flow, reason } => self.on_disconnected(now, wall, flow, &reason),
            Input::Resolved { query, answer } => {
                self.trunk.handle_resolved(&mut self.shared.context(now, wall), query, answer);
            }
            Input::LinkChanged(link) => self.trunk.handle_link(&mut self.shared.context(now, wall), &link),
            Input::Media(notice) => self.call_part(now, wall, |calls, core| calls.handle_media(core, notice)),
            Input::Time(time) => self.trunk.handle_time(&mut self.shared.context(now, wall), time),
            Input::Reload { config, secrets } => self.on_reload(now, wall, config, secrets),
            Input::Ledger(text) => self.call_part(now, wall, |calls, core| calls.restore_ledger(core, &text)),
            Input::Spending(spending) => self.call_part(now, wall, |calls, core| calls.set_spending(core, spending)),
            // Once is enough: a second signal hurries nobody who called for help.
            Input::Stop if self.stopping != Stopping::No => {}
            Input::Stop => {
                self.stopping = Stopping::Calls;
                self.call_part(now, wall, |calls, core| calls.stop(core));
            }
            Input::Unreachable { flow } => {
                if self.shared.transactions.unreachable(now, flow) {
                    self.registrar.silent(&mut self.shared.context(now, wall), flow);
                    self.call_part(now, wall, |calls, core| calls.handle_unreachable(core, flow));
                }
            }
            Input::Tick => {}
        }
        self.settle(now, wall);
    }

    /// Fires what is due, and turns what the transactions have into outputs, until nothing more follows.
    fn settle(&mut self, now: Instant, wall: WallClock) {
        while let Some(flow) = self.streams.pop_due(now, || self.calls.flows()) {
            self.close(now, wall, vec![flow], "no whole message in time");
        }
        self.shared.transactions.handle_timeout(now);
        if self.registrar.poll_timeout().is_some_and(|at| at <= now) {
            self.registrar.handle_timeout(&mut self.shared.context(now, wall));
        }
        if self.trunk.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.trunk.handle_timeout(&mut self.shared.context(now, wall));
        }
        if self.calls.poll_timeout().is_some_and(|at| at <= now) {
            self.call_part(now, wall, |calls, core| calls.handle_timeout(core));
        }
        // One thing leads to another: a lost flow fails transactions, that ends calls, and the last emergency call among
        // them lets the trunk go.
        loop {
            self.drain_events(now, wall);
            self.follow_trunk(now, wall);
            self.after_emergency(now, wall);
            if !self.shared.transactions.has_events() && self.trunk_flows == self.trunk.flows() {
                self.transmit(now, wall);
                match self.unopened.pop() {
                    Some(flow) => self.on_disconnected(now, wall, flow, "too many connections to handsets"),
                    None => break,
                }
            }
        }
        let carrier = self.trunk.carrier(&self.shared.config, now);
        if carrier != self.carrier.as_deref() {
            self.carrier = carrier.map(str::to_owned);
            self.shared.outputs.push_back(Output::Carrier(self.carrier.clone()));
        }
        // First what is cheap: most of the time both flows stand.
        if self.trunk.is_sought() && self.calls.needs_trunk() {
            self.trunk.hurry(&mut self.shared.context(now, wall));
        }
        self.transmit(now, wall);
    }

    /// Turns what the transactions have to send into outputs, and opens the connections that it needs.
    fn transmit(&mut self, now: Instant, wall: WallClock) {
        while let Some(flow) = self.shared.outward.pop_tried() {
            let need = self.shared.outward.open(flow);
            self.opening(now, wall, flow, need);
        }
        while let Some((flow, bytes)) = self.shared.transactions.poll_transmit() {
            let need = self.shared.outward.ask(flow);
            self.opening(now, wall, flow, need);
            match need {
                Need::Nothing | Need::Connection => self.shared.outputs.push_back(Output::Send { flow, bytes }),
                Need::Place => self.unopened.push(flow),
            }
        }
        let (calls, registrar) = (&self.calls, &self.registrar);
        self.shared.outward.settle(|| kept(calls, registrar, now).all());
    }

    /// Asks for the connection to a handset that has none yet.
    fn opening(&mut self, now: Instant, wall: WallClock, flow: Flow, need: Need) {
        if need == Need::Connection {
            self.shared.outputs.push_back(Output::Open { flow });
            let (calls, registrar) = (&self.calls, &self.registrar);
            let closed = self.streams.accepted(now, flow, || kept(calls, registrar, now).all());
            self.close(now, wall, closed, "too many connections");
        }
    }

    fn drain_events(&mut self, now: Instant, wall: WallClock) {
        while let Some(event) = self.shared.transactions.poll_event() {
            self.on_transaction(now, wall, event);
        }
    }

    /// Calls must know when a flow of the trunk changes, whatever ended it: the other end, a silent keepalive, a reload.
    fn follow_trunk(&mut self, now: Instant, wall: WallClock) {
        let flows = self.trunk.flows();
        if flows == self.trunk_flows {
            return;
        }
        let before = std::mem::replace(&mut self.trunk_flows, flows);
        for lost in before.into_iter().flatten().filter(|flow| !flows.contains(&Some(*flow))) {
            self.call_part(now, wall, |calls, core| calls.handle_trunk_down(core, lost));
        }
        if flows != [None; 2] {
            self.call_part(now, wall, |calls, core| calls.handle_trunk_up(core));
        }
    }

    /// The next thing for the drivers to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front().or_else(|| {
            give_back(&mut self.shared.outputs);
            None
        })
    }

    /// When the next [`Input::Tick`] is due, and for what; `None` while nothing waits for time. May be early, and may have
    /// passed already.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        [
            Reason::Transaction.at(self.shared.transactions.poll_timeout()),
            Reason::Binding.at(self.registrar.poll_timeout()),
            self.trunk.poll_timeout(),
            Reason::Call.at(self.calls.poll_timeout()),
            Reason::Stream.at(self.streams.poll_timeout()),
        ]
        .into_iter()
        .fold(None, soonest)
    }

    /// Whether a stop is through: every leg has wound down, every registration is withdrawn or its withdrawal given up.
    pub fn is_stopped(&self) -> bool {
        self.stopping == Stopping::Trunk && self.calls.is_idle() && self.trunk.is_quiet()
    }

    /// Whether an emergency call is in progress, which a stop, an upgrade and another trunk wait for.
    pub fn has_emergency(&self) -> bool {
        self.calls.has_emergency()
    }

    /// Whether nothing of any call or transaction is left (bindings and registrations stay).
    pub fn is_quiet(&self) -> bool {
        self.calls.is_idle() && self.shared.transactions.is_empty()
    }

    /// Where phones are registered from by UDP now.
    pub fn phones(&self, now: Instant) -> BTreeSet<SocketAddr> {
        let flows = self.registrar.flows(now).into_iter();
        flows.filter(|flow| flow.transport == Transport::Udp).map(|flow| flow.remote).collect()
    }

    /// The server that [`Link::towards`] is about.
    pub fn trunk_remote(&self) -> Option<SocketAddr> {
        self.trunk.remote()
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        let sizes =
            Sizes { transactions: self.shared.transactions.len(), streams: self.streams.len(), ..Sizes::default() };
        self.calls.sizes(self.registrar.sizes(sizes))
    }

    /// Whether an emergency call waits for the trunk.
    pub fn needs_trunk(&self) -> bool {
        self.calls.needs_trunk()
    }

    /// How calls ended since the start.
    pub fn call_counts(&self) -> &call::Counts {
        self.calls.counts()
    }

    /// The registrar's bindings as JSON, for [`Engine::new`] after a restart.
    pub fn bindings(&self, wall: WallClock) -> String {
        self.registrar.save(wall)
    }

    /// What extensions used outside, as JSON, for [`Input::Ledger`] after a restart.
    pub fn ledger(&self, now: Instant, wall: WallClock) -> String {
        self.calls.ledger().save(now, wall)
    }

    /// How often that changed.
    pub fn ledger_changes(&self) -> u64 {
        self.calls.ledger().changes()
    }

    /// What was used of what may be, for `gateway spend`.
    pub fn usage(&self, now: Instant) -> Usage {
        let (config, ledger) = (&self.shared.config, self.calls.ledger());
        let extensions = config.extensions.iter().map(|extension| ExtensionUsage {
            name: extension.name.clone(),
            calls: self.calls.at_once(&extension.name),
            minutes: ledger.minutes(&extension.name, now),
            new_numbers: ledger.new_numbers(&extension.name, now),
            allowed_calls: extension.allowance.calls,
            allowed_minutes: extension.allowance.minutes,
            allowed_new_numbers: extension.allowance.new_numbers,
        });
        Usage {
            extensions: extensions.collect(),
            minutes: ledger.house_minutes(now),
            new_numbers: ledger.house_new_numbers(now),
            allowed_minutes: config.limits.house_minutes,
            allowed_new_numbers: config.limits.house_new_numbers,
            stopped: None,
        }
    }

    /// The picture for `gateway status`.
    pub fn status(&self, now: Instant) -> Status {
        let extensions = self.shared.config.extensions.iter().map(|extension| ExtensionStatus {
            name: extension.name.clone(),
            handsets: self.registrar.status(&extension.name, now),
            registration: self.trunk.registration(&extension.name, now),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: now.since(self.began).as_secs(),
            environment: self.shared.config.site.environment.clone(),
            domain: self.shared.config.trunk.domain.clone(),
            public_url: self.shared.config.webhook.public_url.clone(),
            trunk: self.trunk.status(now),
            own: Some(OwnStatus {
                name: self.shared.config.site.user.clone(),
                registration: self.trunk.own(&self.shared.config, &self.shared.secrets, now),
            }),
            extensions: extensions.collect(),
            calls: self.calls.status(now),
            troubles: self.trunk.troubles(now),
            // The drivers know these and fill them in.
            lan: LanStatus::default(),
            drift: DriftStatus::default(),
            tunnel: None,
            store: StoreStatus::default(),
            clock: ClockStatus::default(),
            upgrade: None,
            stopping: (self.stopping != Stopping::No).then(|| match self.calls.has_emergency() {
                true => "the service stops when the emergency call in progress has ended".to_owned(),
                false => "the service stops".to_owned(),
            }),
        }
    }

    /// Runs `f` on the calls with all that they may touch.
    fn call_part<T>(&mut self, now: Instant, wall: WallClock, f: impl FnOnce(&mut Calls, &mut Core<'_, '_>) -> T) -> T {
        let cx = &mut self.shared.context(now, wall);
        f(&mut self.calls, &mut Core { cx, trunk: &mut self.trunk, registrar: &mut self.registrar })
    }

    fn on_datagram(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        match wire::read_datagram(bytes) {
            Ok(Datagram::Message(message)) => self.receive(now, flow, message),
            Ok(Datagram::Keepalive) => {}
            Err(error) => self.on_bad_message(flow, &error),
        }
    }

    fn receive(&mut self, now: Instant, flow: Flow, message: SipMessage) {
        let priority = match &message {
            SipMessage::Request(request) if request.method == Method::Invite && flow.transport != Transport::Tls => {
                let wanted = Dialled::of_uri(&request.uri).ok();
                match wanted.and_then(|dialled| route::emergency_number(&self.shared.config, &dialled)) {
                    Some(_) => Priority::Emergency,
                    None => Priority::Ordinary,
                }
            }
            _ => Priority::Ordinary,
        };
        self.shared.transactions.receive(now, flow, message, priority);
    }

    /// Ends streams from our side. What came on them is answered before.
    fn close(&mut self, now: Instant, wall: WallClock, flows: Vec<Flow>, reason: &str) {
        if flows.is_empty() {
            return;
        }
        self.drain_events(now, wall);
        self.transmit(now, wall);
        for flow in flows {
            self.shared.outputs.push_back(Output::Close { flow });
            self.on_disconnected(now, wall, flow, reason);
        }
    }

    fn on_stream(&mut self, now: Instant, wall: WallClock, flow: Flow, bytes: &[u8]) {
        self.shared.outward.heard(flow);
        self.streams.push(flow, bytes);
        loop {
            match self.streams.next(flow) {
                Ok(None) => break,
                Ok(Some(Frame::Message(message))) => self.receive(now, flow, message),
                // RFC 5626 section 3.5.1.
                Ok(Some(Frame::Ping)) => self.shared.outputs.push_back(Output::Send { flow, bytes: b"\r\n".to_vec() }),
                Ok(Some(Frame::Pong)) => self.trunk.handle_pong(&mut self.shared.context(now, wall), flow),
                Ok(Some(Frame::Bad(error))) => self.on_bad_message(flow, &error),
                Err(error) => {
                    self.on_bad_message(flow, &error);
                    return self.close(now, wall, vec![flow], "not SIP");
                }
            }
        }
        let (calls, registrar) = (&self.calls, &self.registrar);
        let closed = self.streams.settle(now, flow, || kept(calls, registrar, now));
        self.close(now, wall, closed, "too much of unfinished messages");
    }

    fn on_bad_message(&mut self, flow: Flow, error: &ReadError) {
        let text = format!("message dropped: {}", error.fault);
        self.shared.event(Event::new(Code::SipBadMessage, flow.remote.to_string(), text));
        if let Some(reply) = &error.reply {
            self.shared.outputs.push_back(Output::Send { flow, bytes: wire::write_response(reply) });
        }
    }

    fn on_disconnected(&mut self, now: Instant, wall: WallClock, flow: Flow, reason: &str) {
        self.streams.remove(flow);
        if self.trunk.is_trunk(flow) || self.trunk.is_standby(flow) {
            self.shared.transactions.flow_down(now, flow);
            return self.trunk.handle_disconnected(&mut self.shared.context(now, wall), flow, reason);
        }
        let ended = self.shared.outward.ended(flow);
        self.registrar.flow_down(&mut self.shared.context(now, wall), flow, ended);
        // What goes on by another flow moves there first.
        self.call_part(now, wall, |calls, core| calls.handle_flow_down(core, flow, ended));
        self.shared.transactions.flow_down(now, flow);
    }

    fn on_transaction(&mut self, now: Instant, wall: WallClock, event: transaction::Event<Owner>) {
        match event {
            transaction::Event::Request { id, flow, request } => self.on_request(now, wall, id, flow, request),
            transaction::Event::Ack { flow, request } => {
                self.call_part(now, wall, |calls, core| calls.handle_ack(core, flow, &request));
            }
            transaction::Event::Cancelled { id, cancel } => {
                self.call_part(now, wall, |calls, core| calls.handle_cancel(core, id, &cancel));
            }
            transaction::Event::Crowded { flow } => self.on_crowded(now, flow),
            // The leg was over with its refusal.
            transaction::Event::NoAck { .. } => {}
            transaction::Event::Response { id, owner, flow, response } => match owner {
                Owner::Registration | Owner::Probe => {
                    self.trunk.handle_response(&mut self.shared.context(now, wall), id, &response);
                }
                Owner::Handset(_) => self.registrar.answered_options(&mut self.shared.context(now, wall), flow),
                Owner::Leg(leg) => {
                    self.call_part(now, wall, |calls, core| calls.handle_response(core, leg, id, flow, &response));
                }
            },
            transaction::Event::Over { id, owner } => {
                if let Owner::Leg(leg) = owner {
                    self.call_part(now, wall, |calls, core| calls.handle_over(core, leg, id));
                }
            }
            transaction::Event::Failed { id, owner, failure } => match owner {
                Owner::Registration | Owner::Probe => {
                    self.trunk.handle_failure(&mut self.shared.context(now, wall), id, failure);
                }
                Owner::Handset(flow) => self.registrar.left_options(&mut self.shared.context(now, wall), flow),
                Owner::Leg(leg) => {
                    self.call_part(now, wall, |calls, core| calls.handle_failure(core, leg, id, failure));
                }
            },
        }
    }

    fn on_request(&mut self, now: Instant, wall: WallClock, server: ServerId, flow: Flow, request: Request) {
        let in_dialog = header::to_tag(&request.headers).is_some();
        if in_dialog && request.method != Method::Register {
            return self.on_request_in_dialog(now, wall, server, flow, request);
        }
        let (trunk, standby) = (self.trunk.is_trunk(flow), self.trunk.is_standby(flow));
        if request.method == Method::Invite && !trunk && !standby {
            return self.on_handset_invite(now, wall, server, flow, request);
        }
        if self.stopping != Stopping::No {
            return self.shared.transactions.respond_once(now, server, response_to(&request, 503, Some("stopping")));
        }
        match request.method {
            // Nothing is registered there, so that no call belongs there; other forks of it may ring on.
            Method::Invite if standby => {
                let text = "a call came in by the standby, where nothing is registered; 480";
                self.shared.event(Event::new(Code::CallRefused, flow.remote.to_string(), text));
                self.shared.transactions.respond_once(now, server, response_to(&request, 480, Some("standby")));
            }
            Method::Register if !trunk && !standby => {
                let cx = &mut self.shared.context(now, wall);
                if let Some(bound) = self.registrar.handle_register(cx, server, flow, &request) {
                    self.call_part(now, wall, |calls, core| calls.handle_bound(core, &bound));
                }
            }
            Method::Options => self.shared.transactions.respond_once(now, server, options_response(&request)),
            Method::Invite => self.call_part(now, wall, |calls, core| {
                calls.handle_trunk_invite(core, Invite { server, flow, request });
            }),
            // RFC 6665 section 4.2.1.3: no event package that we give out, and which there are.
            Method::Subscribe | Method::Publish => {
                let mut response = response_to(&request, 489, Some("none"));
                header::push_allow_events(&mut response.headers);
                self.shared.transactions.respond_once(now, server, response);
            }
            // A subscription that we never made.
            Method::Notify => {
                self.shared.transactions.respond_once(now, server, response_to(&request, 481, Some("none")))
            }
            _ => {
                let mut response = response_to(&request, 405, Some("none"));
                header::push_allow(&mut response.headers);
                self.shared.transactions.respond_once(now, server, response);
            }
        }
    }

    /// See [`call::dialog_flow`].
    fn on_request_in_dialog(&mut self, now: Instant, wall: WallClock, server: ServerId, flow: Flow, request: Request) {
        match self.call_part(now, wall, |calls, core| calls.standing(core, flow, &request)) {
            Standing::None => {
                self.shared.transactions.respond_once(now, server, response_to(&request, 481, None));
            }
            Standing::Proved(leg) => {
                self.call_part(now, wall, |calls, core| calls.handle_in_dialog(core, leg, server, flow, request));
            }
            Standing::Doubted(leg) => {
                let verdict = self.registrar.authenticate(&mut self.shared.context(now, wall), server, flow, &request);
                let Verdict::Extension(name) = verdict else { return };
                if self.calls.is_of(leg, &name) {
                    self.call_part(now, wall, |calls, core| calls.handle_in_dialog(core, leg, server, flow, request));
                } else {
                    self.shared.transactions.respond_once(now, server, response_to(&request, 403, None));
                }
            }
        }
    }

    /// Emergency first: what was dialled is known before anything can say no.
    fn on_handset_invite(&mut self, now: Instant, wall: WallClock, server: ServerId, flow: Flow, request: Request) {
        let dialled = Dialled::of_uri(&request.uri);
        if let Ok(dialled) = &dialled
            && route::emergency_number(&self.shared.config, dialled).is_some()
        {
            return self.on_emergency_invite(now, wall, Invite { server, flow, request }, dialled);
        }
        if self.stopping != Stopping::No {
            return self.shared.transactions.respond_once(now, server, response_to(&request, 503, Some("stopping")));
        }
        let verdict = self.registrar.authenticate(&mut self.shared.context(now, wall), server, flow, &request);
        let Verdict::Extension(name) = verdict else { return };
        let route = match &dialled {
            Ok(dialled) => route::route_dialled(&self.shared.config, Caller::Extension(&name), dialled),
            Err(error) => route::unusable(error.clone().into()),
        };
        self.call_part(now, wall, |calls, core| {
            calls.handle_handset_invite(core, Invite { server, flow, request }, Some(&name), route);
        });
    }

    /// One phone asks more than we can answer.
    fn on_crowded(&mut self, now: Instant, flow: Flow) {
        let names: Vec<&str> = self.registrar.neighbors(flow, now).into_iter().map(|(name, _)| name).collect();
        let who = match names[..] {
            [] => "which no extension is registered from".to_owned(),
            _ => format!("where {} is registered", names.join(", ")),
        };
        let text = format!(
            "{}, {who}, sends far more requests than a phone does; some of them get 503, and others are served \
             before it; restart that phone, or unplug it",
            flow.remote
        );
        let event = Event::new(Code::SipCrowded, flow.remote.to_string(), text);
        self.shared.event(event);
    }
}

/// The streams that strangers must not cost.
fn kept(calls: &Calls, registrar: &Registrar, now: Instant) -> Kept {
    Kept { busy: calls.flows(), bound: registrar.flows(now) }
}
