//! The trunk with a scripted SIP domain, in virtual time, through real octets.

use std::net::IpAddr;

use rsip::SipMessage;

use super::*;
use crate::config::Host;
use crate::engine::DnsQuestion;
use crate::random::Random;
use crate::secret::Secret;
use crate::sip::digest::Credentials;
use crate::sip::flow::Transport;
use crate::sip::transaction::{self, Transactions};
use crate::sip::wire::{self, Datagram};
use crate::store::{ExtensionSecrets, Secrets};
use crate::time::WallClock;

/// A gateway with `extensions` extensions 101, 102…
struct World {
    now: Instant,
    config: Config,
    secrets: Secrets,
    random: Random,
    transactions: Transactions,
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
}

const SERVERS: &str = r#""192.0.2.1:5061", "192.0.2.2:5061""#;

/// What an extension registers with at Twilio.
fn trunk_passwords(extension: &str) -> std::collections::BTreeMap<String, Secret<String>> {
    [("prod".to_owned(), Secret::new(format!("secret-{extension}")))].into()
}

fn config(servers: &str, extensions: usize) -> Config {
    let list: String =
        (0..extensions).map(|n| format!("[[extension]]\nname = \"{}\"\nemergency = false\n", 101 + n)).collect();
    let text = format!(
        "[site]\nname = \"office\"\n[twilio]\naccount_sid = \"AC0123456789abcdef0123456789abcdef\"\n\
         [trunk]\ndomain = \"office.sip.twilio.com\"\nservers = [{servers}]\n\
         [lan]\nlisten = [\"192.168.1.1:5060\"]\n\
         [webhook]\npublic_url = \"https://gateway.example.com\"\n{list}"
    );
    crate::config::parse(&text, "gateway.toml", &Host { addresses: vec!["192.168.1.1".parse().unwrap()] }).unwrap()
}

fn local(connection: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::from([203, 0, 113, 7]), 40_000 + u16::try_from(connection).unwrap())
}

impl World {
    fn new(servers: &str, extensions: usize, domain: fn(&mut World, &Request) -> Option<Response>) -> Self {
        let config = config(servers, extensions);
        let mut secrets = Secrets::default();
        for extension in &config.extensions {
            let lan_password = Secret::new("lan".to_string());
            let trunk_passwords = trunk_passwords(&extension.name);
            secrets.extensions.insert(extension.name.clone(), ExtensionSecrets { lan_password, trunk_passwords });
        }
        World {
            now: Instant::from_secs(5),
            config,
            secrets,
            random: Random::from_number(3),
            transactions: Transactions::new(),
            outputs: VecDeque::new(),
            trunk: Trunk::new(Instant::from_secs(5)),
            connections: 0,
            requests: Vec::new(),
            seen: Vec::new(),
            domain,
            pongs: true,
            answers_options: true,
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
                        self.with(|trunk, context| trunk.handle_response(context, id, Some(0), &response));
                    }
                    transaction::Event::Failed { id, failure, .. } => {
                        self.with(|trunk, context| trunk.handle_failure(context, id, Some(0), failure));
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
        matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[3] < 100)
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
        self.requests.push(request);
        if let Some(response) = response {
            let octets = wire::write_response(&response);
            let Ok(Datagram::Message(message)) = wire::read_datagram(&octets) else { panic!() };
            self.transactions.receive(self.now, flow, message);
        }
    }

    /// Lets time pass with every timer in it.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.settle();
        while let Some(at) =
            soonest(self.trunk.poll_timeout(), self.transactions.poll_timeout()).filter(|at| *at <= end)
        {
            self.now = at.max(self.now);
            self.transactions.handle_timeout(self.now);
            self.with(|trunk, context| trunk.handle_timeout(context));
            self.settle();
        }
        self.now = end;
    }

    fn state(&self, extension: &str) -> String {
        self.trunk.registration(extension, self.now).state
    }

    fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    fn codes(&mut self) -> Vec<&'static str> {
        let codes = self.seen.drain(..).filter_map(|output| match output {
            Output::Event(event) => Some(event.code),
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

#[test]
fn each_extension_registers_with_a_407_answered_and_no_secret_in_clear() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.pass(1);
    assert_eq!((world.state("101"), world.state("102")), ("registered".into(), "registered".into()));
    let requests = world.take_requests();
    assert_eq!(requests.len(), 4);
    let first = &requests[0];
    assert_eq!(uri::write(&first.uri), "sip:office.sip.twilio.com");
    assert_eq!(value(first, "To"), "<sip:101@office.sip.twilio.com>");
    assert!(value(first, "From").starts_with("<sip:101@office.sip.twilio.com>;tag="));
    assert!(
        value(first, "Contact").starts_with("<sip:101@203.0.113.7:40001;transport=tls>;+sip.instance=\"<urn:uuid:")
    );
    assert_eq!(value(first, "Expires"), world.config.trunk.expires.as_secs().to_string());
    assert_eq!(value(&requests[0], "Call-ID"), value(&requests[1], "Call-ID"));
    assert_eq!((value(&requests[0], "CSeq"), value(&requests[1], "CSeq")), ("1 REGISTER", "2 REGISTER"));
    let shown = format!("{:?}{:?}{:?}", world.trunk, world.seen, requests);
    assert!(!shown.contains("secret-101"));
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.1:5061".parse().unwrap()));
    assert_eq!(world.codes(), ["trunk.connected", "trunk.registered", "trunk.registered"]);
}

#[test]
fn a_refresh_comes_at_about_half_the_time_and_reuses_the_nonce() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    world.take_requests();
    let granted = world.config.trunk.expires.as_secs();
    world.pass(granted * 44 / 100);
    assert!(world.take_requests().iter().all(|request| request.method != Method::Register));
    world.pass(granted * 7 / 100);
    let requests = world.take_requests();
    assert_eq!(requests.len(), 1);
    let sent = credentials(&requests[0]).unwrap();
    assert_eq!((sent.nonce.as_str(), sent.qop.unwrap().nc), ("abc", 2));
}

#[test]
fn the_time_that_the_server_grants_is_what_counts() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        Some(twilio_with(request, "abc", &format!("{};expires=700", value(request, "Contact"))))
    });
    world.pass(1);
    let left = world.trunk.registration("101", world.now).expires_in.unwrap();
    assert!((698..=700).contains(&left), "{left}");
    assert!(world.trunk.registration("101", world.now).next_in.unwrap() <= 350);
}

#[test]
fn a_423_is_obeyed_once_and_remembered() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        let asked: u32 = value(request, "Expires").parse().unwrap();
        let contact = format!("{};expires={asked}", value(request, "Contact"));
        match (credentials(request), asked) {
            (Some(_), ..5000) => Some(answer_with(request, 423, &[("Min-Expires", "5000")])),
            _ => Some(twilio_with(request, "abc", &contact)),
        }
    });
    world.pass(1);
    assert_eq!(world.state("101"), "registered");
    let asked: Vec<String> = world.take_requests().iter().map(|one| value(one, "Expires").to_string()).collect();
    assert_eq!(asked.last().map(String::as_str), Some("5000"));
    assert_eq!(asked.len(), 3);
}

#[test]
fn a_423_without_end_is_a_refusal_not_a_storm() {
    let mut world = World::new(SERVERS, 1, |_, request| Some(answer_with(request, 423, &[("Min-Expires", "7200")])));
    world.pass(10);
    assert_eq!((world.state("101").as_str(), world.take_requests().len()), ("refused", 2));
}

#[test]
fn a_wrong_password_is_refused_and_tried_again_slowly() {
    let mut world = World::new(SERVERS, 2, wrong_password);
    world.pass(10);
    assert_eq!(world.state("101"), "refused");
    let reason = world.trunk.registration("101", world.now).reason.unwrap();
    assert!(reason.contains("does not accept the password of 101") && reason.contains("gateway setup"), "{reason}");
    let requests = world.take_requests().len();
    assert_eq!(requests, 6);
    world.pass(3600);
    let requests = world.take_requests().iter().filter(|request| request.method == Method::Register).count();
    assert!(requests <= 2 * 3 * 9, "{requests}");
    assert!(world.trunk.flow().is_ok());
}

#[test]
fn a_stale_nonce_is_answered_with_the_new_one() {
    let mut world = World::new(SERVERS, 1, |world, request| {
        let nonce = if world.now < Instant::from_secs(100) { "old" } else { "new" };
        let contact = format!("{};expires=600", value(request, "Contact"));
        Some(twilio_with(request, nonce, &contact))
    });
    world.pass(1);
    world.take_requests();
    world.pass(400);
    let requests = world.take_requests();
    let sent: Vec<_> = requests.iter().filter_map(credentials).map(|one| (one.nonce, one.qop.unwrap().nc)).collect();
    assert_eq!(sent, [("old".to_string(), 2), ("new".to_string(), 1)]);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_401_with_sha_256_is_answered_in_its_own_header() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        let Some(text) = header::value(&request.headers, "Authorization") else {
            let (sha, md5) =
                (r#"Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth""#, r#"Digest realm="r", nonce="n""#);
            return Some(answer_with(request, 401, &[("WWW-Authenticate", sha), ("WWW-Authenticate", md5)]));
        };
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.algorithm, Some(crate::sip::digest::Algorithm::Sha256));
        assert!(credentials.verify("REGISTER", "secret-101"));
        Some(answer_with(request, 200, &[("Contact", &format!("{};expires=600", value(request, "Contact")))]))
    });
    world.pass(1);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_403_names_twilios_error_and_the_way_out() {
    let mut world = World::new(SERVERS, 1, |_, request| {
        Some(answer_with(request, 403, &[("X-Twilio-Error", "32212 no credential list mapped")]))
    });
    world.pass(1);
    let status = world.trunk.registration("101", world.now);
    let reason = status.reason.unwrap();
    assert_eq!(status.state, "refused");
    assert!(reason.contains("403 Forbidden, Twilio error 32212") && reason.contains("gateway setup"), "{reason}");
}

#[test]
fn a_503_waits_as_long_as_the_server_says() {
    let mut world = World::new(SERVERS, 1, |_, request| Some(answer_with(request, 503, &[("Retry-After", "600")])));
    world.pass(599);
    assert_eq!(world.take_requests().iter().filter(|request| request.method == Method::Register).count(), 1);
    assert_eq!(world.state("101"), "waiting");
    world.pass(2);
    assert_eq!(world.take_requests().iter().filter(|request| request.method == Method::Register).count(), 1);
}

#[test]
fn a_big_office_registers_at_a_steady_pace() {
    let mut world = World::new(SERVERS, 60, twilio);
    world.pass(1);
    let now = world.take_requests().len();
    assert!((38..=44).contains(&now), "{now}");
    world.pass(3);
    assert_eq!(world.state("160"), "registered");
    assert_eq!(world.take_requests().len() + now, 120);
}

#[test]
fn an_extension_without_a_password_is_told_of_and_the_others_register() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.secrets.extensions.remove("101");
    world.pass(1);
    assert_eq!((world.state("101"), world.state("102")), ("refused".into(), "registered".into()));
    assert!(world.trunk.registration("101", world.now).reason.unwrap().contains("gateway setup"));
}

#[test]
fn the_next_server_is_tried_at_once_and_then_all_again_later() {
    let mut world = World::new(r#""192.0.2.101:5061", "192.0.2.102:5061""#, 1, twilio);
    world.pass(0);
    assert_eq!(
        world.dialled(),
        ["192.0.2.101:5061 as office.sip.twilio.com", "192.0.2.102:5061 as office.sip.twilio.com"]
    );
    assert!(world.trunk.flow().unwrap_err().contains("192.0.2.102:5061): connection refused"));
    let status = world.trunk.status(world.now);
    assert_eq!((status.state.as_str(), status.retry_in.is_some()), ("waiting", true));
    world.pass(3600);
    // Two servers a round, rounds between one and two minutes apart once the back-off is at its end.
    let rounds = world.dialled().len() / 2;
    assert!((30..75).contains(&rounds), "{rounds}");
}

#[test]
fn a_server_that_comes_back_is_found() {
    let mut world = World::new(r#""192.0.2.101:5061", "192.0.2.2:5061""#, 1, twilio);
    world.pass(1);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.2:5061".parse().unwrap()));
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn after_a_lost_connection_everybody_registers_again_and_the_dead_binding_is_removed() {
    // The domain lists every contact that was ever registered with it.
    let mut world = World::new(SERVERS, 1, |_, request| {
        let listed = if value(request, "Contact").contains(":40002") {
            format!("<sip:101@203.0.113.7:40001;transport=tls>;expires=500, {};expires=600", value(request, "Contact"))
        } else {
            format!("{};expires=600", value(request, "Contact"))
        };
        Some(twilio_with(request, "abc", &listed))
    });
    world.pass(1);
    world.codes();
    world.take_requests();
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset by the other end"));
    assert!(!world.trunk.is_trunk(flow));
    assert!(world.trunk.flow().unwrap_err().contains("reset by the other end"));
    assert_eq!(world.state("101"), "waiting");
    world.pass(5);
    assert_eq!(world.state("101"), "registered");
    let requests = world.take_requests();
    let last = requests.last().unwrap();
    assert_eq!((value(last, "Contact"), value(last, "Expires")), ("<sip:101@203.0.113.7:40001;transport=tls>", "0"));
    assert_eq!(world.codes(), ["trunk.lost", "trunk.waiting", "trunk.connected", "trunk.registered", "trunk.cleaned"]);
}

#[test]
fn a_server_that_takes_connections_but_no_registrations_is_left_for_the_next() {
    let mut world = World::new(SERVERS, 1, |world, request| {
        let first = world.trunk.flow().unwrap().remote.ip() == IpAddr::from([192, 0, 2, 1]);
        if first { None } else { twilio(world, request) }
    });
    world.pass(60);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.2:5061".parse().unwrap()));
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn silence_does_not_make_a_storm() {
    let mut world = World::new(SERVERS, 3, silent);
    world.pass(3600);
    let registers = world.take_requests().iter().filter(|request| request.method == Method::Register).count();
    assert!(registers < 3 * 3600 / 32, "{registers}");
}

#[test]
fn a_keepalive_goes_out_in_each_interval() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1000);
    let pings =
        world.seen.iter().filter(|one| matches!(one, Output::Send { bytes, .. } if bytes == b"\r\n\r\n")).count();
    assert!((40..=50).contains(&pings), "{pings}");
    assert!(world.take_requests().iter().all(|request| request.method == Method::Register));
}

#[test]
fn a_pong_that_stops_coming_is_the_end_of_the_flow() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(30);
    world.pongs = false;
    world.codes();
    world.pass(36);
    assert!(world.codes().starts_with(&["trunk.lost", "trunk.waiting"]));
    assert_eq!(world.connections, 2);
}

#[test]
fn a_server_that_never_pongs_is_asked_with_options() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pongs = false;
    world.pass(1500);
    let requests = world.take_requests();
    let options = requests.iter().filter(|request| request.method == Method::Options).count();
    assert!((10..=25).contains(&options), "{options}");
    assert_eq!(world.connections, 1);
    world.answers_options = false;
    world.codes();
    world.pass(150);
    assert!(world.codes().contains(&"trunk.lost"));
    assert!(world.connections >= 2);
}

#[test]
fn names_are_looked_up_and_the_certificate_must_carry_the_configured_one() {
    let mut world = World::new(r#""office.sip.ashburn.twilio.com""#, 1, twilio);
    world.pass(0);
    let mut asked = Vec::new();
    for answer in
        [DnsAnswer::Naptr(vec![]), DnsAnswer::Srv(vec![]), DnsAnswer::Address(vec!["192.0.2.1".parse().unwrap()])]
    {
        let Some(Output::Resolve { query, question }) = world.seen.pop() else { panic!() };
        asked.push(question);
        world.with(|trunk, context| trunk.handle_resolved(context, query, answer));
        world.settle();
    }
    let name = "office.sip.ashburn.twilio.com".to_string();
    let srv = format!("_sips._tcp.{name}");
    assert_eq!(asked, [DnsQuestion::Naptr(name.clone()), DnsQuestion::Srv(srv), DnsQuestion::Address(name)]);
    assert_eq!(world.dialled(), ["192.0.2.1:5061 as office.sip.ashburn.twilio.com"]);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn without_dns_the_addresses_of_before_are_tried() {
    let mut world = World::new(r#""edge.example:5061""#, 1, twilio);
    world.pass(0);
    let answer_dns = |world: &mut World, answer: DnsAnswer| {
        let last = world.seen.iter().rev().find_map(|output| match output {
            Output::Resolve { query, .. } => Some(*query),
            _ => None,
        });
        world.with(|trunk, context| trunk.handle_resolved(context, last.unwrap(), answer));
        world.settle();
    };
    answer_dns(&mut world, DnsAnswer::Address(vec!["192.0.2.1".parse().unwrap()]));
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    answer_dns(&mut world, DnsAnswer::Failed("no DNS server answered".into()));
    assert!(world.trunk.flow().is_ok());
}

#[test]
fn a_resolver_that_never_answers_does_not_hold_up_the_next_server() {
    let mut world = World::new(r#""edge.example:5061", "192.0.2.2:5061""#, 1, twilio);
    world.pass(16);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_connection_that_comes_too_late_is_closed() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    let late = Flow { connection: 77, ..world.trunk.flow().unwrap() };
    world.seen.clear();
    world.with(|trunk, context| trunk.handle_connected(context, 77, late, &|_| 0));
    assert!(matches!(world.outputs.pop_back(), Some(Output::Close { flow }) if flow == late));
    assert!(!world.trunk.is_trunk(late));
}

#[test]
fn a_call_carries_credentials_at_once_and_answers_its_own_challenge() {
    let mut world = World::new(SERVERS, 1, twilio);
    let target = "sip:+15035551212@office.sip.twilio.com";
    assert_eq!(world.with(|trunk, context| trunk.authorization(context, "101", "INVITE", target, None)), None);
    world.pass(1);
    let (name, value) =
        world.with(|trunk, context| trunk.authorization(context, "101", "INVITE", target, None)).unwrap();
    let sent = Credentials::parse(&value).unwrap();
    assert_eq!((name, sent.nonce.as_str(), sent.qop.as_ref().unwrap().nc), ("Proxy-Authorization", "abc", 2));
    assert!(sent.verify("INVITE", "secret-101"));
    let fresh = Challenge::parse(r#"Digest realm="calls", qop="auth", nonce="xyz""#).unwrap();
    for (challenge, nc) in [(Some((&fresh, "Authorization")), 1), (None, 2)] {
        let (name, value) =
            world.with(|trunk, context| trunk.authorization(context, "101", "INVITE", target, challenge)).unwrap();
        let sent = Credentials::parse(&value).unwrap();
        assert_eq!((name, sent.nonce.as_str(), sent.qop.unwrap().nc), ("Authorization", "xyz", nc));
    }
    assert_eq!(world.with(|trunk, context| trunk.authorization(context, "999", "INVITE", target, None)), None);
    // The nonce of the registration again: its count goes on.
    let same = Challenge::parse(CHALLENGE).unwrap();
    let same = Some((&same, "Proxy-Authorization"));
    let (_, value) = world.with(|trunk, context| trunk.authorization(context, "101", "INVITE", target, same)).unwrap();
    assert_eq!(Credentials::parse(&value).unwrap().qop.unwrap().nc, 3);
}

#[test]
fn a_clean_stop_leaves_no_binding_behind() {
    let mut world = World::new(SERVERS, 2, twilio);
    world.pass(1);
    world.take_requests();
    world.with(|trunk, context| trunk.stop(context));
    assert!(!world.trunk.is_quiet());
    world.settle();
    assert!(world.trunk.is_quiet());
    let requests = world.take_requests();
    assert_eq!(requests.iter().map(|request| value(request, "Expires")).collect::<Vec<_>>(), ["0", "0"]);
    world.pass(7200);
    assert!(world.take_requests().is_empty());
    assert_eq!(world.trunk.poll_timeout(), None);
}

#[test]
fn a_reload_registers_new_extensions_and_unregisters_removed_ones() {
    let mut world = World::new(SERVERS, 3, twilio);
    world.pass(1);
    world.take_requests();
    let mut config = config(SERVERS, 3);
    config.extensions.remove(0);
    config.extensions[0].name = "201".into();
    let secrets = world.secrets.extensions["102"].clone();
    world
        .secrets
        .extensions
        .insert("201".into(), ExtensionSecrets { trunk_passwords: trunk_passwords("201"), ..secrets });
    world.config = config;
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!((world.state("201"), world.state("103")), ("registered".into(), "registered".into()));
    assert_eq!((world.state("101"), world.state("102")), ("waiting".into(), "waiting".into()));
    let left: Vec<Request> = world.take_requests().into_iter().filter(|one| value(one, "Expires") == "0").collect();
    assert_eq!(
        left.iter().map(|one| value(one, "To")).collect::<Vec<_>>(),
        ["<sip:101@office.sip.twilio.com>", "<sip:102@office.sip.twilio.com>"]
    );
    assert_eq!(world.connections, 1);
}

#[test]
fn a_reload_with_another_server_moves_the_flow() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(1);
    world.config = config(r#""192.0.2.9:5061""#, 1);
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(world.trunk.flow().map(|flow| flow.remote), Ok("192.0.2.9:5061".parse().unwrap()));
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_refusal_that_was_put_right_is_tried_at_once_after_a_reload() {
    let mut world = World::new(SERVERS, 1, wrong_password);
    world.pass(5);
    assert_eq!(world.state("101"), "refused");
    world.domain = twilio;
    world.with(|trunk, context| trunk.handle_reload(context));
    world.pass(1);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn an_emergency_call_cuts_the_waiting_short() {
    let mut world = World::new(r#""192.0.2.101:5061""#, 1, twilio);
    world.pass(600);
    let before = world.dialled().len();
    for _ in 0..10 {
        world.with(|trunk, context| trunk.hurry(context));
    }
    world.pass(2);
    assert!((1..=2).contains(&(world.dialled().len() - before)));
}

#[test]
fn without_a_time_nothing_is_tried_and_with_one_the_trunk_goes_on_at_once() {
    let mut world = World::new(SERVERS, 1, twilio);
    let doubt = |text: &str| Some(text.to_owned());
    world.with(|trunk, context| trunk.handle_time(context, doubt("the clock says 1970")));
    world.with(|trunk, context| trunk.handle_time(context, doubt("the clock says 1970, and nobody answers")));
    world.pass(3600);
    // An emergency call cannot make TLS less strict.
    world.with(|trunk, context| trunk.hurry(context));
    world.pass(60);
    assert!(world.dialled().is_empty());
    assert_eq!(world.trunk.flow(), Err("the clock says 1970, and nobody answers"));
    let status = world.trunk.status(world.now);
    assert_eq!((status.state.as_str(), status.retry_in), ("waiting", None));
    assert_eq!(status.reason.as_deref(), Some("the clock says 1970, and nobody answers"));
    assert_eq!(world.codes(), ["trunk.waiting"]);

    world.with(|trunk, context| trunk.handle_time(context, None));
    world.pass(1);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_flow_that_stands_outlives_a_clock_that_goes_wrong() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.pass(5);
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_time(context, Some("the clock says 1970".to_owned())));
    world.pass(600);
    assert_eq!(world.trunk.flow(), Ok(flow));
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "closed"));
    world.pass(600);
    assert_eq!(world.trunk.flow(), Err("the clock says 1970"));
}

#[test]
fn another_time_cuts_the_waiting_short() {
    let mut world = World::new(r#""192.0.2.101:5061""#, 1, twilio);
    world.pass(600);
    let before = world.dialled().len();
    world.with(|trunk, context| trunk.handle_time(context, None));
    world.pass(1);
    assert_eq!(world.dialled().len() - before, 1);
}

#[test]
fn the_same_seed_gives_the_same_octets() {
    let run = || {
        let mut world = World::new(SERVERS, 5, twilio);
        world.pass(2000);
        format!("{:?}{:?}", world.requests, world.seen)
    };
    assert_eq!(run(), run());
}

fn link(addresses: &[&str], towards: Option<&str>) -> Link {
    let ip = |text: &&str| text.parse().unwrap();
    Link { addresses: addresses.iter().map(ip).collect(), towards: towards.map(|text| ip(&text)) }
}

#[test]
fn a_flow_whose_address_is_gone_is_left_at_once_and_the_next_one_begins_at_once() {
    let mut world = World::new(SERVERS, 1, twilio);
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.7"], Some("203.0.113.7"))));
    world.pass(10);
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.9"], Some("203.0.113.9"))));
    assert!(world.trunk.flow().unwrap_err().contains("no longer has the address 203.0.113.7"));
    assert!(matches!(world.outputs.back(), Some(Output::Event(_))));
    assert!(world.outputs.iter().any(|output| matches!(output, Output::Close { .. })));
    world.pass(0);
    assert_eq!(world.connections, 2);
    assert_eq!(world.state("101"), "registered");
}

#[test]
fn a_better_way_moves_the_flow_once_even_if_the_kernel_then_chooses_the_old_one_again() {
    let mut world = World::new(SERVERS, 1, twilio);
    let both = &["203.0.113.7", "198.51.100.7"];
    world.with(|trunk, context| trunk.handle_link(context, &link(both, Some("203.0.113.7"))));
    world.pass(10);
    for _ in 0..3 {
        // The world connects from 203.0.113.7 whatever the routes say.
        world.with(|trunk, context| trunk.handle_link(context, &link(both, Some("198.51.100.7"))));
        world.pass(10);
        assert_eq!(world.connections, 2);
    }
}

#[test]
fn a_way_that_is_back_is_pinged_and_a_flow_that_stays_silent_is_left_after_three_seconds() {
    for answers in [true, false] {
        let mut world = World::new(SERVERS, 1, twilio);
        let here = |towards| link(&["203.0.113.7"], towards);
        world.with(|trunk, context| trunk.handle_link(context, &here(Some("203.0.113.7"))));
        world.pass(60);
        world.pongs = answers;
        world.with(|trunk, context| trunk.handle_link(context, &here(None)));
        assert!(world.trunk.flow().is_ok(), "a cable that is out ends nothing by itself");
        world.with(|trunk, context| trunk.handle_link(context, &here(Some("203.0.113.7"))));
        world.pass(6);
        assert_eq!(world.connections, if answers { 1 } else { 2 });
    }
}

#[test]
fn a_way_that_is_back_ends_the_waiting() {
    let mut world = World::new(r#""192.0.2.101:5061""#, 1, twilio);
    world.with(|trunk, context| trunk.handle_link(context, &link(&[], None)));
    world.pass(3600);
    let before = world.dialled().len();
    world.with(|trunk, context| trunk.handle_link(context, &link(&["203.0.113.7"], Some("203.0.113.7"))));
    world.pass(0);
    assert_eq!(world.dialled().len(), before + 1);
}

#[test]
fn an_address_that_dns_gave_is_remembered_only_once_its_certificate_was_seen() {
    let mut world = World::new(r#""edge.example:5061""#, 1, twilio);
    let answer_dns = |world: &mut World, addresses: &[&str]| {
        let last = world.seen.iter().rev().find_map(|output| match output {
            Output::Resolve { query, .. } => Some(*query),
            _ => None,
        });
        let answer = DnsAnswer::Address(addresses.iter().map(|text| text.parse().unwrap()).collect());
        world.with(|trunk, context| trunk.handle_resolved(context, last.unwrap(), answer));
        world.settle();
    };
    world.pass(0);
    answer_dns(&mut world, &["192.0.2.166"]);
    assert!(world.trunk.remote().is_none());
    world.pass(3);
    answer_dns(&mut world, &["192.0.2.1"]);
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    world.seen.retain(|output| !matches!(output, Output::Connect { .. }));
    answer_dns(&mut world, &["192.0.2.166"]);
    assert_eq!(world.dialled(), ["192.0.2.166:5061 as edge.example", "192.0.2.1:5061 as edge.example"]);
    assert!(world.trunk.flow().is_ok());
}

#[test]
fn a_public_address_that_changes_is_told_and_one_that_the_config_has_wrong_is_a_warning() {
    fn domain(world: &mut World, request: &Request) -> Option<Response> {
        let mut response = twilio(world, request)?;
        let seen = if world.connections == 1 { "198.51.100.1" } else { "198.51.100.2" };
        let via = format!("{};received={seen}", value(request, "Via"));
        header::set(&mut response.headers, "Via", via);
        Some(response)
    }
    let mut world = World::new(SERVERS, 1, domain);
    world.config.media.public_address = Some("198.51.100.1".parse().unwrap());
    world.pass(1);
    let told = |world: &World| {
        let told = world.seen.iter().filter_map(|output| match output {
            Output::Event(event) if event.code == "trunk.address" => Some(event.text.clone()),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert!(told(&world).is_empty());
    let flow = world.trunk.flow().unwrap();
    world.with(|trunk, context| trunk.handle_disconnected(context, flow, "reset"));
    world.pass(3);
    let told = told(&world);
    assert!(told.len() == 1 && told[0].contains("198.51.100.2, not as 198.51.100.1"), "{told:?}");
}
