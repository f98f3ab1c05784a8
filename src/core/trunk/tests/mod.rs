//! The trunk with a scripted SIP domain, in virtual time, through real octets.

mod flow;
mod link;
mod own;
mod registering;
mod rotating;
mod standby;
mod timing;

use std::net::IpAddr;

use rsip::{Method, Request, SipMessage};

use super::*;
use crate::dns::DnsQuestion;
use crate::office::OfficeFile;
use crate::random::Random;
use crate::secret::Secret;
use crate::secrets::{ExtensionSecrets, Secrets};
use crate::sip::digest::Credentials;
use crate::sip::flow::Transport;
use crate::sip::header;
use crate::sip::transaction::{self, Priority, Transactions};
use crate::sip::wire::{self, Datagram};
use crate::status::{RegistrationState, StandbyState, TrunkState};
use crate::streams::outward::Outward;
use crate::time::WallClock;

/// A gateway with `extensions` extensions 101, 102…
struct World {
    now: Instant,
    config: Config,
    secrets: Secrets,
    random: Random,
    transactions: Transactions<Owner>,
    outward: Outward,
    outputs: VecDeque<Output>,
    trunk: Trunk,
    connections: u64,
    /// What came out and was not looked at yet.
    requests: Vec<Request>,
    seen: Vec<Output>,
    /// How the domain answers a REGISTER.
    domain: fn(&mut World, &Request) -> Option<Response>,
    pongs: bool,
    answers_options: bool,
    /// Who was sent a request, and which.
    heard: Vec<(SocketAddr, Method)>,
    /// A server that refuses connections now.
    down: Option<SocketAddr>,
    /// Of [`rotating`]: the one password that the domain has.
    at_twilio: &'static str,
}

const SERVERS: &[&str] = &["192.0.2.1:5061", "192.0.2.2:5061"];

/// What an extension registers with at Twilio.
fn trunk_passwords(extension: &str) -> std::collections::BTreeMap<String, Secret<String>> {
    [("prod".to_owned(), Secret::new(format!("secret-{extension}")))].into()
}

fn config(servers: &[&str], extensions: usize) -> Config {
    OfficeFile::new().table("trunk").with("servers", servers).extensions((101..).take(extensions)).config()
}

fn local(connection: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::from([203, 0, 113, 7]), 40_000 + u16::try_from(connection).unwrap())
}

impl World {
    fn new(servers: &[&str], extensions: usize, domain: fn(&mut World, &Request) -> Option<Response>) -> Self {
        let config = config(servers, extensions);
        let mut secrets = Secrets::default();
        for extension in &config.extensions {
            let lan_password = Secret::new("lan".to_string());
            let trunk_passwords = trunk_passwords(&extension.name);
            let former_trunk_passwords = Default::default();
            secrets.extensions.insert(
                extension.name.clone(),
                ExtensionSecrets { lan_password, trunk_passwords, former_trunk_passwords },
            );
        }
        let mut trunk = Trunk::new(Instant::from_secs(5));
        // What these tests count is the trunk's own; [`standby`] has a standby.
        trunk.standby.stop();
        World {
            now: Instant::from_secs(5),
            config,
            secrets,
            random: Random::from_number(3),
            transactions: Transactions::default(),
            outward: Outward::default(),
            outputs: VecDeque::new(),
            trunk,
            connections: 0,
            requests: Vec::new(),
            seen: Vec::new(),
            domain,
            pongs: true,
            answers_options: true,
            heard: Vec::new(),
            down: None,
            at_twilio: "",
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Trunk, &mut Context<'_>) -> R) -> R {
        let mut context = Context {
            now: self.now,
            wall: WallClock(0),
            config: &self.config,
            secrets: &self.secrets,
            random: &mut self.random,
            transactions: &mut self.transactions,
            outward: &mut self.outward,
            outputs: &mut self.outputs,
        };
        act(&mut self.trunk, &mut context)
    }

    /// Carries what is under way: connections stand at once, requests are answered by the domain.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.transactions.poll_event() {
                match event {
                    transaction::Event::Response { id, response, .. } => {
                        self.with(|trunk, context| trunk.handle_response(context, id, &response));
                    }
                    transaction::Event::Failed { id, failure, .. } => {
                        self.with(|trunk, context| trunk.handle_failure(context, id, failure));
                    }
                    _ => {}
                }
            }
            if let Some((flow, octets)) = self.transactions.poll_transmit() {
                self.on_octets(flow, &octets);
            } else if let Some(output) = self.outputs.pop_front() {
                self.on_output(output);
            } else {
                return;
            }
        }
    }

    fn on_output(&mut self, output: Output) {
        match &output {
            Output::Connect { connection, address, .. } if self.is_alive(*address) => {
                let connection = *connection;
                self.connections += 1;
                let local = local(self.connections);
                let flow = Flow { transport: Transport::Tls, local, remote: *address, connection };
                self.with(|trunk, context| trunk.handle_connected(context, connection, flow, &|_| 0));
            }
            Output::Connect { connection, .. } => {
                let connection = *connection;
                self.with(|trunk, context| trunk.handle_connect_failed(context, connection, "connection refused"));
            }
            Output::Send { flow, bytes } if bytes == keepalive::PING && self.pongs => {
                let flow = *flow;
                self.with(|trunk, context| trunk.handle_pong(context, flow));
            }
            _ => {}
        }
        self.seen.push(output);
    }

    /// 192.0.2.1 to .99 are alive.
    fn is_alive(&self, address: SocketAddr) -> bool {
        self.down != Some(address) && matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[3] < 100)
    }

    fn on_octets(&mut self, flow: Flow, octets: &[u8]) {
        let Ok(Datagram::Message(SipMessage::Request(request))) = wire::read_datagram(octets) else { panic!() };
        assert_eq!(flow.transport, Transport::Tls);
        let domain = self.domain;
        let response = match request.method {
            Method::Options if self.answers_options => Some(answer(&request, 200)),
            Method::Options => None,
            _ => domain(self, &request),
        };
        self.heard.push((flow.remote, request.method));
        self.requests.push(request);
        if let Some(response) = response {
            let octets = wire::write_response(&response);
            let Ok(Datagram::Message(message)) = wire::read_datagram(&octets) else { panic!() };
            self.transactions.receive(self.now, flow, message, Priority::Ordinary);
        }
    }

    /// Lets time pass with every timer in it.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.settle();
        let next =
            |world: &Self| soonest(world.trunk.poll_timeout().map(|(at, _)| at), world.transactions.poll_timeout());
        while let Some(at) = next(self).filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.transactions.handle_timeout(self.now);
            self.with(|trunk, context| trunk.handle_timeout(context));
            self.settle();
        }
        self.now = end;
    }

    fn state(&self, extension: &str) -> RegistrationState {
        self.trunk.registration(extension, self.now).state
    }

    fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    fn codes(&mut self) -> Vec<&'static str> {
        let codes = self.seen.drain(..).filter_map(|output| match output {
            Output::Event(event) => Some(event.code.word()),
            _ => None,
        });
        codes.collect()
    }

    fn dialled(&self) -> Vec<String> {
        let dialled = self.seen.iter().filter_map(|output| match output {
            Output::Connect { address, server_name, .. } => Some(format!("{address} as {server_name}")),
            _ => None,
        });
        dialled.collect()
    }
}

fn answer(request: &Request, code: u16) -> Response {
    transaction::response_to(request, code, Some("far"))
}

fn answer_with(request: &Request, code: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = answer(request, code);
    for (name, value) in headers {
        response.headers.push(header::make(name, *value));
    }
    response
}

fn value<'a>(request: &'a Request, name: &str) -> &'a str {
    header::value(&request.headers, name).unwrap_or("")
}

fn credentials(request: &Request) -> Option<Credentials> {
    header::value(&request.headers, "Proxy-Authorization").map(|text| Credentials::parse(text).unwrap())
}

const CHALLENGE: &str = r#"Digest realm="sip.twilio.com",qop="auth",nonce="abc",opaque="0123""#;

/// Twilio: 407 with one nonce, then 200 with the Contact and what was asked for.
fn twilio(_: &mut World, request: &Request) -> Option<Response> {
    Some(twilio_with(request, "abc", &format!("{};expires={}", value(request, "Contact"), value(request, "Expires"))))
}

fn twilio_with(request: &Request, nonce: &str, contact: &str) -> Response {
    let to = header::NameAddr::parse(value(request, "To")).unwrap();
    let user = uri::user(&to.uri).unwrap();
    match credentials(request) {
        Some(credentials) if credentials.nonce == nonce => {
            assert_eq!((credentials.username.as_str(), credentials.realm.as_str()), (user.as_str(), "sip.twilio.com"));
            assert_eq!(credentials.uri, uri::write(&request.uri));
            assert!(credentials.verify("REGISTER", &format!("secret-{user}")));
            answer_with(request, 200, &[("Contact", contact)])
        }
        _ => answer_with(request, 407, &[("Proxy-Authenticate", &CHALLENGE.replace("abc", nonce))]),
    }
}

fn silent(_: &mut World, _: &Request) -> Option<Response> {
    None
}

fn wrong_password(_: &mut World, request: &Request) -> Option<Response> {
    Some(answer_with(request, 407, &[("Proxy-Authenticate", CHALLENGE)]))
}
