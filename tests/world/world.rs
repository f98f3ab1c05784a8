//! The world: one engine, agents, links, a media driver and a clock that only this file moves.
//!
//! Events are ordered by time and then by the order in which they were made, so that the same seed gives the same
//! trace. Nothing here is a thread, a socket or a real clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::{self, Config, Extension, Srtp};
use gateway_core::context::Output;
use gateway_core::dns::{DnsAnswer, DnsQuestion};
use gateway_core::emergency::callback::Phone;
use gateway_core::engine::{Engine, Input};
use gateway_core::event::Event;
use gateway_core::forward::Forward;
use gateway_core::media::{Command, Notice};
use gateway_core::random::Random;
use gateway_core::secrets::Secrets;
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::time::{Instant, WallClock, soonest};
use gateway_core::trunk;
use gateway_core::wake::Counts;
use sha2::{Digest, Sha256};

use crate::agent::{Agent, Reaction, State, ms};
use crate::driver::Driver;
use crate::link::{Drop as Loss, Link, Quality, Way};
use crate::office::{OfficeFile, secrets_of};

/// The SIP domain is the first agent.
pub const DOMAIN: usize = 0;
pub const LAN: &str = "192.168.1.1:5060";
const EDGE: &str = "54.172.60.1:5061";
const SECOND_EDGE: &str = "54.244.51.1:5061";
const WAN: &str = "203.0.113.7";
/// Where DNS leads when it lies.
const PORTAL: &str = "198.51.100.66:5061";
/// Steps without time passing that mean a live-lock.
const MAX_STEPS: usize = 20_000;

/// A call of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRef {
    pub agent: usize,
    pub call: usize,
}

enum Delivery {
    ToEngine(Flow, Vec<u8>),
    ToAgent(usize, Flow, Vec<u8>),
    Input(Input),
    /// The stream's other end hears that it is gone.
    Gone(usize, Flow),
    /// What becomes of a connection to a handset.
    Reached(Flow, Option<usize>),
    /// The driver has looked at interfaces and routes.
    Link,
    /// The media driver looks for silence.
    Listen,
}

/// What a handset does with connections to its Contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    Takes,
    /// Nobody answers at all; others refuse.
    Dead,
}

/// What an ALG makes of octets that go this way.
pub type Rewriter = fn(Way, Vec<u8>) -> Vec<u8>;

/// How the internet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Internet {
    Up,
    /// Connections are refused.
    Down,
    /// No name can be resolved.
    NoDns,
    /// Questions are not answered at all.
    LateDns,
    /// Every name is at another host, which has another certificate.
    LyingDns,
    /// There is no way out: the cable is unplugged.
    Unplugged,
}

pub struct World {
    pub seed: u64,
    pub now: Instant,
    pub engine: Engine,
    pub config: Arc<Config>,
    pub secrets: Arc<Secrets>,
    pub random: Random,
    pub agents: Vec<Agent>,
    pub links: Vec<Link>,
    pub media: Driver,
    pub internet: Internet,
    /// Edges that take no connection.
    pub refusing: BTreeSet<usize>,
    /// Our address outside.
    pub wan: IpAddr,
    /// Set when it was up at that time or later.
    pub trunk_up_since: Option<Instant>,
    pub trunk_last_up: Instant,
    pub events: Vec<(Instant, Event)>,
    pub persisted: Option<String>,
    /// Phones whose emergency calls may be called back.
    pub call_backs: Vec<Phone>,
    /// By whom calls from outside come, as the webhook knows it.
    pub carrier: Option<String>,
    pub forwards: Vec<Forward>,
    pub faults: Vec<String>,
    /// What woke the engine.
    pub wake_ups: Counts,
    /// When the process was started again.
    pub restarted: Option<Instant>,
    /// What the wall clock is off by.
    pub clock_error: i64,
    queue: BTreeMap<(Instant, u64), Delivery>,
    serial: u64,
    connections: u64,
    /// Of the newest connection outwards.
    port: u16,
    dead: BTreeSet<Flow>,
    /// Numbers of connections and look-ups that the engine asked for.
    asked: BTreeSet<u64>,
    /// Streams that carry nothing any more, which neither end knows.
    pub broken: BTreeSet<Flow>,
    /// Handsets that take connections at their Contact, and what becomes of one to them.
    pub listening: BTreeMap<usize, Listening>,
    /// Connections to handsets that are being made, with what was sent on them meanwhile.
    opening: BTreeMap<Flow, Vec<Vec<u8>>>,
    /// What stands between a handset and us, and rewrites what it reads.
    pub gateways: BTreeMap<usize, Rewriter>,
    trace: Vec<(Instant, &'static str, String, Vec<u8>)>,
    hash: Sha256,
    /// A run that ended well prints nothing.
    pub finished: bool,
}

/// An office whose calls may leave by two edges; see [`World::add_second_edge`].
pub fn office_of_two_edges(extensions: &[&str]) -> Config {
    let mut config = office(extensions);
    config.trunk.servers.push(config::Server { host: "office.sip.umatilla.twilio.com".into(), port: None });
    config
}

pub fn office(extensions: &[&str]) -> Config {
    let file = OfficeFile::new().table("trunk").with("servers", ["office.sip.ashburn.twilio.com"]);
    let file = extensions.iter().fold(file, |file, name| match *name {
        "102" => file.extension(name),
        name => file.extensions([name]),
    });
    file.number("+15035550100", &extensions[..extensions.len().min(2)]).config()
}

/// How far the edges are.
const OUTSIDE: Quality = Quality { latency: ms(25), ..Quality::GOOD };

fn edge_of(config: &Config, name: &str, at: &str, seed: u64) -> Agent {
    let mut edge = Agent::new(name, None, at, "168.86.130.1".parse().expect("an address"), seed);
    let passwords =
        config.extensions.iter().map(|extension| (extension.name.clone(), format!("trunk-secret-{}", extension.name)));
    edge.become_domain(passwords.collect(), config.trunk.secure.is_on());
    edge
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(seed: u64, config: Config) -> Self {
        let config = Arc::new(config);
        let secrets = Arc::new(secrets_of(&config));
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let engine = Engine::new(Arc::clone(&config), Arc::clone(&secrets), None, key, Instant::ZERO, WallClock(0));
        let domain = edge_of(&config, "twilio", EDGE, seed ^ 0xd0);
        World {
            seed,
            now: Instant::ZERO,
            engine,
            config,
            secrets,
            random: Random::from_number(seed ^ 0x11),
            agents: vec![domain],
            links: vec![Link::new(OUTSIDE, true)],
            media: Driver::default(),
            internet: Internet::Up,
            refusing: BTreeSet::new(),
            wan: WAN.parse().expect("an address"),
            broken: BTreeSet::new(),
            listening: BTreeMap::new(),
            opening: BTreeMap::new(),
            gateways: BTreeMap::new(),
            trunk_up_since: None,
            trunk_last_up: Instant::ZERO,
            events: Vec::new(),
            persisted: None,
            call_backs: Vec::new(),
            carrier: None,
            forwards: Vec::new(),
            faults: Vec::new(),
            wake_ups: Counts::default(),
            restarted: None,
            clock_error: 0,
            queue: BTreeMap::new(),
            serial: 0,
            connections: 1 << 32,
            port: 40_000,
            dead: BTreeSet::new(),
            asked: BTreeSet::new(),
            trace: Vec::new(),
            hash: Sha256::new(),
            finished: false,
        }
    }

    /// The SIP domain's other edge, with nonces of its own.
    pub fn add_second_edge(&mut self) -> usize {
        self.agents.push(edge_of(&self.config, "twilio-2", SECOND_EDGE, self.seed ^ 0xd1));
        self.links.push(Link::new(OUTSIDE, true));
        self.agents.len() - 1
    }

    fn edge_at(&self, remote: SocketAddr) -> Option<usize> {
        self.agents.iter().position(|agent| agent.domain.is_some() && agent.contact_at == remote.to_string())
    }

    /// Whether a flow is that of the first edge.
    fn is_first(flow: Flow) -> bool {
        flow.remote == address(EDGE)
    }

    /// The engine's first input.
    pub fn start(&mut self) {
        self.input(Input::Tick);
        self.later(self.now, Delivery::Link);
    }

    /// Another process on the same state.
    pub fn restart(&mut self) {
        let bindings = self.persisted.clone();
        let seed = self.random.bytes();
        let old: Vec<Flow> = self.agents.iter().filter(|agent| agent.reliable).filter_map(|agent| agent.flow).collect();
        for flow in old {
            let agent = self.agent_at(flow).expect("it has that flow");
            self.agents[agent].set_flow(None);
            self.agents[agent].now = self.now;
            if self.agents[agent].domain.is_none() {
                self.agents[agent].lose_calls();
            }
        }
        self.queue.clear();
        self.dead.clear();
        self.broken.clear();
        self.opening.clear();
        self.asked.clear();
        // Calls of the old process have no end, and numbers begin anew.
        self.events.clear();
        self.restarted = Some(self.now);
        self.media = Driver::default();
        let wall = self.wall();
        self.engine =
            Engine::new(Arc::clone(&self.config), Arc::clone(&self.secrets), bindings.as_deref(), seed, self.now, wall);
        self.start();
    }

    /// A handset on UDP, not registered yet.
    pub fn handset(&mut self, name: &str) -> usize {
        let host = self.agents.len() + 100;
        let remote = address(&format!("192.168.1.{host}:5060"));
        let flow = Flow { transport: Transport::Udp, local: address(LAN), remote, connection: 0 };
        self.add(name, flow, &remote.to_string())
    }

    /// A handset that sends from port 50933 and hears nothing there: it listens on 5060, as Contact and Via say.
    pub fn asymmetric_handset(&mut self, name: &str, asks_rport: bool) -> usize {
        let agent = self.handset(name);
        let listens = self.agents[agent].flow.expect("UDP is always there").remote;
        self.agents[agent].listens = Some(listens);
        self.agents[agent].asks_rport = asks_rport;
        self.moves_to(agent, 50933);
        agent
    }

    /// A handset behind a NAT of the LAN, which knows nothing of it.
    pub fn nat_handset(&mut self, name: &str) -> usize {
        let agent = self.handset(name);
        let own = "10.35.21.143:18944".to_owned();
        (self.agents[agent].contact_at, self.agents[agent].sent_by) = (own.clone(), own);
        self.agents[agent].asks_rport = false;
        self.moves_to(agent, 40001);
        agent
    }

    /// It sends from another port.
    pub fn moves_to(&mut self, agent: usize, port: u16) {
        let flow = self.agents[agent].flow.map(|flow| flow.at_port(port));
        self.agents[agent].set_flow(flow);
    }

    /// The handset's program ends: its machine refuses what is sent there.
    pub fn close_port(&mut self, agent: usize) {
        self.power_off(agent);
        self.agents[agent].refuses = true;
    }

    /// A handset loses its power.
    pub fn power_off(&mut self, agent: usize) {
        (self.agents[agent].off, self.agents[agent].resting) = (true, true);
    }

    /// It is back, and does not know that it was away.
    pub fn power_on(&mut self, agent: usize) {
        self.agents[agent].off = false;
    }

    /// A handset on TCP.
    pub fn tcp_handset(&mut self, name: &str) -> usize {
        let host = self.agents.len() + 100;
        let remote = address(&format!("192.168.1.{host}:5060"));
        let flow = self.tcp_flow(remote);
        let agent = self.add(name, flow, &format!("{remote};transport=tcp"));
        self.input(Input::Accepted { flow });
        agent
    }

    pub fn tcp_flow(&mut self, remote: SocketAddr) -> Flow {
        self.connections += 1;
        Flow { transport: Transport::Tcp, local: address(LAN), remote, connection: self.connections }
    }

    /// The handset connects again.
    pub fn reconnect(&mut self, agent: usize) {
        let remote = address(&format!("192.168.1.{}:5060", agent + 100));
        let flow = self.tcp_flow(remote);
        self.agents[agent].set_flow(Some(flow));
        self.input(Input::Accepted { flow });
    }

    pub fn add(&mut self, name: &str, flow: Flow, contact: &str) -> usize {
        let seed = self.seed ^ (self.agents.len() as u64) << 8;
        let mut agent = Agent::new(name, Some(flow), contact, flow.remote.ip(), seed);
        agent.password = format!("lan-secret-{name}");
        agent.now = self.now;
        self.agents.push(agent);
        self.links.push(Link::new(Quality::GOOD, flow.transport.is_reliable()));
        self.agents.len() - 1
    }

    /// The (first) handset of an extension.
    pub fn find(&self, name: &str) -> usize {
        self.agents.iter().position(|agent| agent.name == name).unwrap_or_else(|| panic!("no agent {name}"))
    }

    pub fn domain_has(&self, name: &str) -> bool {
        let domain = self.agents[DOMAIN].domain.as_ref().expect("the first agent is the domain");
        domain.bindings.get(name).is_some_and(|bindings| !bindings.is_empty())
    }

    /// How calls to a number outside go.
    pub fn outside(&mut self, number: &str, reaction: Reaction) {
        let domain = self.agents[DOMAIN].domain.as_mut().expect("the first agent is the domain");
        domain.numbers.insert(number.into(), reaction);
    }

    pub fn wall(&self) -> WallClock {
        let seconds = 1_700_000_000 + self.now.as_micros() / 1_000_000;
        WallClock(seconds.saturating_add_signed(self.clock_error))
    }

    // Time.

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.flush();
        let (mut steps, mut last) = (0, self.now);
        while self.step(until) {
            steps = if self.now == last { steps + 1 } else { 0 };
            last = self.now;
            assert!(steps < MAX_STEPS, "live-lock at {:?}", self.now);
        }
        self.now = until;
        for agent in &mut self.agents {
            agent.now = until;
        }
    }

    /// Until something is so, at most for a time. Says whether it came to be.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let until = self.now + limit;
        self.flush();
        while !done(self) {
            if !self.step(until) {
                self.run(until - self.now);
                return done(self);
            }
        }
        true
    }

    fn step(&mut self, until: Instant) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let (engine, reason) = self.engine.poll_timeout().map(|(at, reason)| (at.max(self.now), reason)).unzip();
        let agents = self.agents.iter().filter_map(Agent::poll_timeout).min().map(|at| at.max(self.now));
        let Some(next) = soonest(queued, soonest(engine, agents)).filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        if queued == Some(next) {
            let (_, delivery) = self.queue.pop_first().expect("it was seen a moment ago");
            self.deliver(delivery);
        } else if let Some(reason) = reason.filter(|_| engine == Some(next)) {
            self.wake_ups.add(reason);
            self.input(Input::Tick);
        } else {
            for id in 0..self.agents.len() {
                if self.agents[id].poll_timeout().is_some_and(|at| at <= next) {
                    self.agents[id].handle_timeout(next);
                }
            }
        }
        self.flush();
        true
    }

    fn later(&mut self, at: Instant, delivery: Delivery) {
        self.serial += 1;
        self.queue.insert((at, self.serial), delivery);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToEngine(flow, bytes) => {
                if self.dead.contains(&flow) || self.broken.contains(&flow) {
                    return;
                }
                self.record("<-", flow.remote.to_string(), &bytes);
                self.input(Input::Received { flow, bytes });
            }
            Delivery::ToAgent(agent, flow, bytes) => {
                if self.agent_at(flow) == Some(agent) && !self.broken.contains(&flow) {
                    let bytes = self.rewritten(agent, Way::ToAgent, bytes);
                    self.agents[agent].receive(self.now, &bytes);
                }
            }
            Delivery::Input(input) => {
                if let Input::Connected { flow, connection } = &input
                    && flow.local.ip() != self.wan
                {
                    // The address went meanwhile.
                    let (connection, error) = (*connection, "no route to host".into());
                    return self.input(Input::ConnectFailed { connection, error });
                }
                if let Input::Connected { flow, .. } = &input {
                    if let Some(edge) = self.edge_at(flow.remote) {
                        self.agents[edge].set_flow(Some(*flow));
                    }
                    if World::is_first(*flow) {
                        self.trunk_up_since = Some(self.now);
                    }
                }
                self.input(input);
            }
            Delivery::Link => {
                let towards = (self.internet != Internet::Unplugged).then_some(self.wan);
                let addresses = vec![address(LAN).ip(), self.wan];
                self.input(Input::LinkChanged(trunk::Link { addresses, towards }));
            }
            Delivery::Listen => self.listen(),
            Delivery::Reached(flow, agent) => self.reached(flow, agent),
            Delivery::Gone(agent, flow) => {
                if self.agents[agent].flow == Some(flow) {
                    self.agents[agent].set_flow(None);
                }
            }
        }
    }

    /// From now on the media driver tells of legs that hear nothing, as the real one does.
    pub fn listen(&mut self) {
        let agents = &self.agents;
        let calls = || agents.iter().flat_map(|agent| &agent.calls).filter(|call| call.state == State::Talking);
        let notices = self.media.listen(self.now, |local| {
            calls().any(|call| {
                let into = call.media.theirs.as_ref().and_then(|theirs| theirs.rtp());
                into == Some(local) && call.media.direction.sends()
            })
        });
        for notice in notices {
            self.input(Input::Media(notice));
        }
        self.later(self.now + ms(5000), Delivery::Listen);
    }

    /// Gives the engine an input and carries out what it wants.
    pub fn input(&mut self, input: Input) {
        if !matches!(input, Input::Tick | Input::Received { .. }) {
            let text = format!("{input:?}");
            let text = text.split(['{', '(']).next().unwrap_or_default().to_string();
            self.record("in", text, &[]);
        }
        if let Input::Disconnected { flow, .. } = &input {
            self.dead.insert(*flow);
            if World::is_first(*flow) {
                self.trunk_up_since = None;
                self.trunk_last_up = self.now;
            }
        }
        if let Input::Reload { config, secrets } = &input {
            (self.config, self.secrets) = (Arc::clone(config), Arc::clone(secrets));
        }
        let wall = self.wall();
        self.engine.handle(self.now, wall, input);
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(output);
        }
        self.tick_early(wall);
    }

    /// A Tick before its time brings nothing: all that follows from an input came with it.
    fn tick_early(&mut self, wall: WallClock) {
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            return;
        }
        self.engine.handle(self.now, wall, Input::Tick);
        while let Some(output) = self.engine.poll_output() {
            self.faults.push(format!("a Tick before its time brought {output:?}"));
        }
    }

    /// A question has a number of its own, so that its answer is not taken for another's.
    fn ask_once(&mut self, number: u64) {
        if !self.asked.insert(number) {
            self.faults.push(format!("number {number} was asked for twice"));
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { flow, bytes } => self.send(flow, bytes),
            Output::Connect { connection, address, .. } => {
                self.ask_once(connection);
                self.record("connect", address.to_string(), &[]);
                let refuses = self.edge_at(address).is_none_or(|edge| self.refusing.contains(&edge));
                let input = match self.internet {
                    _ if refuses && address.to_string() != PORTAL => {
                        Input::ConnectFailed { connection, error: "connection refused".into() }
                    }
                    _ if address.to_string() == PORTAL => {
                        let error = "the certificate there is another's: it is for portal.example".into();
                        Input::ConnectFailed { connection, error }
                    }
                    Internet::Up | Internet::LateDns | Internet::LyingDns => {
                        self.port = 40_000 + (self.port + 1) % 20_000;
                        let port = self.port;
                        let local = SocketAddr::new(self.wan, port);
                        Input::Connected {
                            connection,
                            flow: Flow { transport: Transport::Tls, local, remote: address, connection },
                        }
                    }
                    _ => Input::ConnectFailed { connection, error: "connection refused".into() },
                };
                self.later(self.now + ms(60), Delivery::Input(input));
            }
            Output::Open { flow } => self.reach(flow),
            Output::Close { flow } => {
                self.record("close", flow.remote.to_string(), &[]);
                if self.dead.insert(flow) {
                    if World::is_first(flow) {
                        self.trunk_up_since = None;
                        self.trunk_last_up = self.now;
                    }
                    let agent = self.agent_at(flow);
                    self.later(
                        self.now + ms(1),
                        Delivery::Input(Input::Disconnected { flow, reason: "closed".into() }),
                    );
                    if let Some(agent) = agent {
                        self.later(self.now + ms(25), Delivery::Gone(agent, flow));
                    }
                }
            }
            Output::Resolve { query, question } => {
                self.ask_once(query);
                let answer = match (self.internet, question) {
                    (Internet::LateDns | Internet::Unplugged, _) => return,
                    (Internet::LyingDns, DnsQuestion::Address(_)) => DnsAnswer::Address(vec![address(PORTAL).ip()]),
                    (Internet::NoDns, _) => DnsAnswer::Failed("no answer from 192.168.1.254".into()),
                    (_, DnsQuestion::Naptr(_)) => DnsAnswer::Naptr(Vec::new()),
                    (_, DnsQuestion::Srv(_)) => DnsAnswer::Srv(Vec::new()),
                    (_, DnsQuestion::Address(name)) => {
                        let edge = if name.contains("umatilla") { SECOND_EDGE } else { EDGE };
                        DnsAnswer::Address(vec![address(edge).ip()])
                    }
                };
                self.later(self.now + ms(15), Delivery::Input(Input::Resolved { query, answer }));
            }
            Output::Media(command) => {
                self.record("media", format!("{command:?}"), &[]);
                if let Command::Play { leg, sound } = &command
                    && !self.media.forgets_sounds
                {
                    let over = Input::Media(Notice::Played { leg: *leg });
                    self.later(self.now + sound.duration(), Delivery::Input(over));
                }
                if let Some(notice) = self.media.command(command) {
                    self.later(self.now + ms(1), Delivery::Input(Input::Media(notice)));
                }
            }
            Output::Persist => self.persisted = Some(self.engine.bindings(self.wall())),
            Output::CallBack(phone) => self.call_backs.push(*phone),
            Output::Carrier(user) => self.carrier = user,
            Output::Forward(forward) => self.forwards.push(*forward),
            Output::Event(event) => {
                self.record("event", event.to_string(), &[]);
                let secret = |text: &str| text.contains("-secret-");
                if secret(&event.text) || secret(&event.subject) {
                    self.faults.push(format!("a secret in the log: {event}"));
                }
                self.events.push((self.now, event));
            }
        }
    }

    fn agent_at(&self, flow: Flow) -> Option<usize> {
        self.agents.iter().position(|agent| match flow.transport {
            Transport::Udp => {
                let own = agent.flow.filter(|own| own.transport == Transport::Udp);
                own.is_some_and(|own| agent.listens.unwrap_or(own.remote) == flow.remote)
            }
            _ => agent.flow == Some(flow),
        })
    }

    fn send(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.record("->", flow.remote.to_string(), &bytes);
        if flow.transport != Transport::Udp && self.dead.contains(&flow) {
            let head = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_string();
            self.faults.push(format!("sent to a flow that is gone, {}: {head}", flow.remote));
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("lan-secret-") || text.contains("trunk-secret-") {
            self.faults.push("a password on the wire".into());
        }
        if flow.transport == Transport::Tls {
            // Where Twilio offers plain RTP, it gets it.
            let offers_srtp = self.agents[DOMAIN].domain.as_ref().is_none_or(|domain| domain.secure);
            if self.config.trunk.secure.is_on() && offers_srtp && text.contains("RTP/AVP") {
                self.faults.push("plain RTP described on the trunk".into());
            }
            if text.contains("192.168.") {
                let line = text.lines().find(|line| line.contains("192.168.")).unwrap_or_default().to_string();
                self.faults.push(format!("an address of the LAN on the trunk: {line}"));
            }
        }
        if let Some(waiting) = self.opening.get_mut(&flow) {
            return waiting.push(bytes);
        }
        let Some(agent) = self.agent_at(flow) else { return };
        if flow.transport == Transport::Udp && text.contains("a=crypto:") && !self.knows_srtp(agent) {
            self.faults.push("keys in the clear on the LAN".into());
        }
        if self.agents[agent].refuses {
            return self.later(self.now + ms(2), Delivery::Input(Input::Unreachable { flow }));
        }
        for at in self.links[agent].carry(self.now, Way::ToAgent, &bytes, &mut self.random) {
            self.later(at, Delivery::ToAgent(agent, flow, bytes.clone()));
        }
    }

    /// Whether a handset has asked for keys, or its extension has.
    fn knows_srtp(&self, agent: usize) -> bool {
        let agent = &self.agents[agent];
        let required = |extension: &Extension| extension.srtp == Srtp::Required;
        agent.traits.srtp || agent.offers_refused > 0 || self.config.extension(&agent.name).is_some_and(required)
    }

    /// Puts what the agents have to say onto their links.
    fn flush(&mut self) {
        for id in 0..self.agents.len() {
            for bytes in self.agents[id].take_output() {
                let Some(flow) = self.agents[id].flow.filter(|_| !self.agents[id].off) else { continue };
                let bytes = self.rewritten(id, Way::ToEngine, bytes);
                for at in self.links[id].carry(self.now, Way::ToEngine, &bytes, &mut self.random) {
                    self.later(at, Delivery::ToEngine(flow, bytes.clone()));
                }
            }
        }
    }

    fn rewritten(&self, agent: usize, way: Way, bytes: Vec<u8>) -> Vec<u8> {
        match self.gateways.get(&agent) {
            Some(gateway) => gateway(way, bytes),
            None => bytes,
        }
    }

    /// The engine connects to a handset.
    fn reach(&mut self, flow: Flow) {
        self.ask_once(flow.connection);
        self.record("open", flow.remote.to_string(), &[]);
        self.opening.insert(flow, Vec::new());
        let at = flow.remote.to_string();
        let is_there = |id: &&usize| self.agents[**id].contact_at.split(';').next() == Some(at.as_str());
        let agent = self.listening.keys().find(is_there).copied();
        match agent.map(|agent| self.listening[&agent]) {
            Some(Listening::Dead) => self.later(self.now + ms(4000), Delivery::Reached(flow, None)),
            Some(Listening::Takes) => self.later(self.now + ms(1), Delivery::Reached(flow, agent)),
            None => self.later(self.now + ms(1), Delivery::Reached(flow, None)),
        }
    }

    fn reached(&mut self, flow: Flow, agent: Option<usize>) {
        let waiting = self.opening.remove(&flow).unwrap_or_default();
        if self.dead.contains(&flow) {
            return;
        }
        let Some(agent) = agent else {
            return self.input(Input::Disconnected { flow, reason: "connection refused".into() });
        };
        // One connection is enough for it.
        if let Some(old) = self.agents[agent].flow.filter(|old| !self.dead.contains(old)) {
            self.input(Input::Disconnected { flow: old, reason: "closed by the other end".into() });
        }
        self.agents[agent].set_flow(Some(flow));
        self.input(Input::Opened { flow });
        for bytes in waiting {
            for at in self.links[agent].carry(self.now, Way::ToAgent, &bytes, &mut self.random) {
                self.later(at, Delivery::ToAgent(agent, flow, bytes.clone()));
            }
        }
    }

    // What tests do to it.

    /// The next messages that hold this text are lost.
    pub fn lose(&mut self, agent: usize, way: Way, holds: &str, count: usize) {
        self.links[agent].drops.push(Loss { way, holds: holds.into(), count });
    }

    /// Cuts a stream: what is under way on it is lost, both ends are told.
    pub fn cut(&mut self, agent: usize) {
        let Some(flow) = self.agents[agent].flow else { return };
        self.agents[agent].set_flow(None);
        self.agents[agent].now = self.now;
        if self.agents[agent].domain.is_none() {
            self.agents[agent].lose_calls();
        }
        self.input(Input::Disconnected { flow, reason: "connection reset".into() });
    }

    /// A handset closes a connection that it does not need just now. Its calls go on.
    pub fn close(&mut self, agent: usize) {
        self.flush();
        let Some(flow) = self.agents[agent].flow else { return };
        self.agents[agent].set_flow(None);
        self.agents[agent].now = self.now;
        self.input(Input::Disconnected { flow, reason: "closed by the other end".into() });
    }

    /// A handset on UDP has another address from now on, for SIP and for sound.
    pub fn move_to(&mut self, agent: usize, place: &str) {
        let remote = address(place);
        self.seen_at(agent, place);
        let moved = &mut self.agents[agent];
        moved.contact_at = place.into();
        moved.sent_by = place.into();
        moved.rtp_host = remote.ip();
        moved.now = self.now;
        for call in &mut moved.calls {
            call.media.rtp.set_ip(remote.ip());
        }
    }

    /// What a handset sends comes from another address from now on, of which it knows nothing: a NAT has forgotten it. What
    /// goes to the former address is lost.
    pub fn seen_at(&mut self, agent: usize, place: &str) {
        self.flush();
        let flow = self.agents[agent].flow.expect("it has a flow");
        self.agents[agent].flow = Some(Flow { remote: address(place), ..flow });
    }

    /// From now on the trunk's flow carries nothing, and nobody is told: another router's NAT forgot it.
    pub fn break_trunk(&mut self) {
        let edges = self.agents.iter().filter(|agent| agent.domain.is_some());
        self.broken.extend(edges.filter_map(|edge| edge.flow));
    }

    /// We get another address outside; the driver tells a moment later.
    pub fn change_address(&mut self, wan: &str, after: Duration) {
        self.wan = address(&format!("{wan}:0")).ip();
        self.break_trunk();
        self.later(self.now + after, Delivery::Link);
    }

    /// The cable outside, by which nothing gets through until it is plugged in again.
    pub fn plug(&mut self, plugged: bool) {
        self.internet = if plugged { Internet::Up } else { Internet::Unplugged };
        self.break_trunk();
        self.later(self.now + ms(300), Delivery::Link);
    }

    /// All bad links at once.
    pub fn set_lan(&mut self, quality: Quality) {
        for link in &mut self.links[1..] {
            link.quality = quality;
        }
    }

    pub fn dial(&mut self, handset: usize, number: &str) -> CallRef {
        self.agents[handset].now = self.now;
        let call = self.agents[handset].dial(number);
        self.flush();
        CallRef { agent: handset, call }
    }

    /// The SIP domain calls a user, for what `X-Gateway-Target` names.
    pub fn call_in_for(&mut self, user: &str, target: &str) -> CallRef {
        self.agents[DOMAIN].traits.headers = vec![("X-Gateway-Target", target.to_owned())];
        let call = self.call_in(user, "+15035559111");
        self.agents[DOMAIN].traits.headers.clear();
        call
    }

    pub fn call_in(&mut self, extension: &str, from: &str) -> CallRef {
        self.agents[DOMAIN].now = self.now;
        let call = self.agents[DOMAIN].call_in(extension, from);
        self.flush();
        CallRef { agent: DOMAIN, call }
    }

    /// Does something with a call.
    pub fn act(&mut self, call: CallRef, f: impl FnOnce(&mut Agent, usize)) {
        self.agents[call.agent].now = self.now;
        f(&mut self.agents[call.agent], call.call);
        self.flush();
    }

    // The trace.

    fn record(&mut self, what: &'static str, subject: String, bytes: &[u8]) {
        self.hash.update(self.now.as_micros().to_be_bytes());
        self.hash.update(what);
        self.hash.update(&subject);
        self.hash.update(bytes);
        self.trace.push((self.now, what, subject, bytes.to_vec()));
    }

    /// Whether a message that begins so and holds this text was sent to a far end.
    pub fn was_sent(&self, to: usize, begins: &str, holds: &str) -> bool {
        let remote = self.agents[to].contact_at.split(';').next().unwrap_or_default();
        let is_it =
            |bytes: &[u8]| bytes.starts_with(begins.as_bytes()) && String::from_utf8_lossy(bytes).contains(holds);
        self.trace.iter().any(|(_, what, subject, bytes)| *what == "->" && subject == remote && is_it(bytes))
    }

    /// When messages that begin so were sent to a far end.
    fn sendings<'w>(&'w self, to: usize, begins: &'w str) -> impl DoubleEndedIterator<Item = Instant> + 'w {
        let remote = self.agents[to].contact_at.split(';').next().unwrap_or_default();
        let sent = move |what: &str, subject: &str, bytes: &[u8]| {
            what == "->" && subject == remote && bytes.starts_with(begins.as_bytes())
        };
        self.trace.iter().filter(move |(_, what, subject, bytes)| sent(what, subject, bytes)).map(|(at, ..)| *at)
    }

    /// The last of them.
    pub fn sent(&self, to: usize, begins: &str) -> Option<Instant> {
        self.sendings(to, begins).next_back()
    }

    /// The first of them.
    pub fn first_sent(&self, to: usize, begins: &str) -> Option<Instant> {
        self.sendings(to, begins).next()
    }

    /// What happened, as one number.
    pub fn fingerprint(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The last lines of the trace, for people.
    pub fn tail(&self, lines: usize) -> String {
        let mut out = String::new();
        for (at, what, subject, bytes) in self.trace.iter().skip(self.trace.len().saturating_sub(lines)) {
            let text = String::from_utf8_lossy(bytes);
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
            let seconds = at.as_micros() as f64 / 1e6;
            let _ = write!(out, "{seconds:>12.6} {what:>5} {subject} ");
            let mut rest = head.lines();
            let _ = write!(out, "{}", rest.next().unwrap_or_default());
            for line in rest {
                let wanted = ["CSeq", "From", "To:", "Reason", "Warning", "Call-ID"];
                if wanted.iter().any(|name| line.starts_with(name)) {
                    let _ = write!(out, " | {line}");
                }
            }
            if let Some(line) =
                body.lines().find(|line| ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(line))
            {
                let _ = write!(out, " | {line}");
            }
            out.push('\n');
        }
        out
    }
}

impl std::ops::Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.finished {
            let lines = std::env::var("WORLD_TRACE").ok().and_then(|lines| lines.parse().ok()).unwrap_or(80);
            eprintln!("seed {}; the last of the trace:\n{}", self.seed, self.tail(lines));
        }
    }
}
