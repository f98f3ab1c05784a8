//! The registrar with scripted handsets, in virtual time, through real octets.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rsip::{Response, SipMessage};

use super::*;
use crate::config::Config;
use crate::context::Owner;
use crate::office::OfficeFile;
use crate::random::Random;
use crate::secret::Secret;
use crate::secrets::{ExtensionSecrets, Secrets};
use crate::sip::digest::{self, Algorithm, Challenge};
use crate::sip::transaction::{self, Priority, Transactions};
use crate::sip::wire::{self, Datagram};
use crate::streams::outward::Outward;

/// The gateway's side of the LAN.
struct Lan {
    now: Instant,
    wall: WallClock,
    config: Config,
    secrets: Secrets,
    random: Random,
    transactions: Transactions<Owner>,
    outward: Outward,
    outputs: VecDeque<Output>,
    registrar: Registrar,
    /// Where the last answer went.
    replied: Option<Flow>,
}

impl Lan {
    fn new() -> Self {
        let mut secrets = Secrets::default();
        for name in ["101", "102"] {
            let lan_password = Secret::new(format!("lan-{name}"));
            secrets.extensions.insert(
                name.into(),
                ExtensionSecrets {
                    lan_password,
                    trunk_passwords: Default::default(),
                    former_trunk_passwords: Default::default(),
                },
            );
        }
        Lan {
            now: Instant::from_secs(1000),
            wall: WallClock(1_800_000_000),
            config: OfficeFile::new()
                .table("limits")
                .with("bindings_per_extension", 3)
                .extensions(["101", "102"])
                .config(),
            secrets,
            random: Random::from_number(1),
            transactions: Transactions::default(),
            outward: Outward::default(),
            outputs: VecDeque::new(),
            registrar: Registrar::new(None, Instant::ZERO, WallClock(0)),
            replied: None,
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Registrar, &mut Context<'_>) -> R) -> R {
        let mut context = Context {
            now: self.now,
            wall: self.wall,
            config: &self.config,
            secrets: &self.secrets,
            random: &mut self.random,
            transactions: &mut self.transactions,
            outward: &mut self.outward,
            outputs: &mut self.outputs,
        };
        act(&mut self.registrar, &mut context)
    }

    /// Lets time pass, timers included.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.registrar.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.with(|registrar, context| registrar.handle_timeout(context));
        }
        self.now = end;
        self.transactions.handle_timeout(end);
        self.questions();
    }

    /// The ports that OPTIONS went to.
    fn questions(&mut self) -> Vec<u16> {
        let sent = std::iter::from_fn(|| self.transactions.poll_transmit());
        let asked: Vec<u16> =
            sent.filter(|(_, octets)| octets.starts_with(b"OPTIONS ")).map(|(flow, _)| flow.remote.port()).collect();
        asked
    }

    /// Fires what is due now, and gives the ports that are asked.
    fn due(&mut self) -> Vec<u16> {
        self.with(|registrar, context| registrar.handle_timeout(context));
        self.questions()
    }

    /// A request in, the final response out, both as octets.
    fn ask(&mut self, flow: Flow, text: &str) -> (Response, Option<Verdict>) {
        let Ok(Datagram::Message(message)) = wire::read_datagram(text.as_bytes()) else { panic!("{text}") };
        self.questions();
        self.transactions.receive(self.now, flow, message, Priority::Ordinary);
        let mut verdict = None;
        while let Some(event) = self.transactions.poll_event() {
            let transaction::Event::Request { id, flow, request } = event else { continue };
            if request.method == rsip::Method::Register {
                self.with(|registrar, context| registrar.handle_register(context, id, flow, &request));
            } else {
                let judged = self.with(|registrar, context| registrar.authenticate(context, id, flow, &request));
                if let Verdict::Extension(_) = judged {
                    self.transactions.respond(self.now, id, response_to(&request, 200, Some("x")));
                }
                verdict = Some(judged);
            }
        }
        let (to, octets) = self.transactions.poll_transmit().expect("an answer");
        self.replied = Some(to);
        let Ok(Datagram::Message(SipMessage::Response(response))) = wire::read_datagram(&octets) else { panic!() };
        (response, verdict)
    }

    fn contacts(&self, extension: &str) -> Vec<String> {
        self.registrar.bindings(extension, self.now).into_iter().map(|binding| binding.contact.clone()).collect()
    }

    /// What was told and written since the last time.
    fn codes(&mut self) -> Vec<&'static str> {
        let codes = self.outputs.iter().filter_map(|output| match output {
            Output::Event(event) => Some(event.code.word()),
            _ => None,
        });
        let codes = codes.collect();
        self.outputs.clear();
        codes
    }

    fn persisted(&mut self) -> Option<String> {
        let changed = self.outputs.drain(..).any(|output| matches!(output, Output::Persist));
        changed.then(|| self.registrar.save(self.wall))
    }
}

/// A handset.
#[derive(Clone)]
struct Handset {
    user: String,
    password: String,
    flow: Flow,
    contact: String,
    params: String,
    call_id: String,
    cseq: u32,
    /// The challenge at hand, and the uses of its nonce.
    challenge: Option<(Challenge, u32)>,
    algorithm: Option<Algorithm>,
    branch: u32,
    /// Its Via, but for the branch; the usual one says where it sends from, with rport.
    via: Option<&'static str>,
}

fn flow(transport: Transport, remote: &str, connection: u64) -> Flow {
    Flow { transport, local: "192.168.1.1:5060".parse().unwrap(), remote: remote.parse().unwrap(), connection }
}

fn handset(user: &str, address: &str) -> Handset {
    Handset {
        user: user.into(),
        password: format!("lan-{user}"),
        flow: flow(Transport::Udp, address, 0),
        contact: format!("sip:{user}@{address}"),
        params: String::new(),
        call_id: format!("{user}-{address}"),
        cseq: 0,
        challenge: None,
        algorithm: None,
        branch: 0,
        via: None,
    }
}

impl Handset {
    /// What an emergency INVITE with this password proves; without one it carries no credentials.
    fn prove(&mut self, lan: &mut Lan, password: Option<&str>) -> Proof {
        let mut text = format!(
            "INVITE sip:911@192.168.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK9\r\nFrom: <sip:x@x>;tag=f\r\n\
             To: <sip:911@192.168.1.1>\r\nCall-ID: help\r\nCSeq: 1 INVITE\r\n",
            self.flow.remote
        );
        if let Some(password) = password {
            if self.challenge.is_none() {
                let ip = self.flow.remote.ip();
                let challenge = lan.with(|registrar, context| registrar.auth.challenge(context, ip, false));
                self.challenge = Some((Challenge::parse(&challenge).expect("a challenge"), 0));
            }
            let (challenge, uses) = self.challenge.as_mut().expect("made just now");
            *uses += 1;
            let answer = digest::answer(challenge, "101", password, "INVITE", "sip:911@192.168.1.1", *uses, "c");
            text += &format!("Authorization: {answer}\r\n");
        }
        text += "Content-Length: 0\r\n\r\n";
        let Ok(Datagram::Message(SipMessage::Request(request))) = wire::read_datagram(text.as_bytes()) else {
            panic!("{text}")
        };
        lan.with(|registrar, context| registrar.prove(context, self.flow, &request))
    }

    /// One request, with credentials when a challenge is at hand.
    fn request(&mut self, lan: &mut Lan, method: &str, uri: &str, headers: &str) -> (Response, Option<Verdict>) {
        self.cseq += 1;
        self.branch += 1;
        let Handset { user, flow, call_id, cseq, branch, .. } = self.clone();
        let (transport, from) = (flow.transport.via_token(), flow.remote);
        let via = self.via.map_or(format!("{from};rport"), str::to_owned);
        let to = if method == "REGISTER" { format!("sip:{user}@192.168.1.1") } else { uri.to_string() };
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {via};branch=z9hG4bK{call_id}{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@192.168.1.1>;tag=f\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nUser-Agent: Test/1\r\n{headers}"
        );
        if let Some((challenge, uses)) = &mut self.challenge {
            *uses += 1;
            let mut challenge = challenge.clone();
            challenge.algorithm = self.algorithm.or(challenge.algorithm);
            let answer = digest::answer(&challenge, &user, &self.password, method, uri, *uses, "c0ffee");
            text += &format!("Authorization: {answer}\r\n");
        }
        text += "Content-Length: 0\r\n\r\n";
        let (response, verdict) = lan.ask(flow, &text);
        if self.via.is_none() {
            assert_eq!(lan.replied, Some(flow));
        }
        if let Some(value) = header::value(&response.headers, "WWW-Authenticate") {
            self.challenge = Some((Challenge::parse(value).unwrap(), 0));
        }
        (response, verdict)
    }

    fn send(&mut self, lan: &mut Lan, headers: &str) -> Response {
        self.request(lan, "REGISTER", "sip:192.168.1.1", headers).0
    }

    /// A REGISTER of its contact, with one answer to a challenge.
    fn register(&mut self, lan: &mut Lan, expires: u32) -> Response {
        let headers = format!("Contact: <{}>{}\r\nExpires: {expires}\r\n", self.contact, self.params);
        self.register_with(lan, &headers)
    }

    fn register_with(&mut self, lan: &mut Lan, headers: &str) -> Response {
        let response = self.send(lan, headers);
        if code(&response) == 401 { self.send(lan, headers) } else { response }
    }

    /// With a fresh challenge, so that the answer is only about the password.
    fn try_password(&mut self, lan: &mut Lan) -> Response {
        self.challenge = None;
        self.register(lan, 300)
    }
}

fn code(response: &Response) -> u16 {
    response.status_code.code()
}

fn listed(response: &Response) -> Vec<&str> {
    header::values(&response.headers, "Contact").collect()
}

#[test]
fn a_handset_is_challenged_and_then_registered() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let response = phone.send(&mut lan, "Contact: <sip:101@192.168.1.21>\r\n");
    assert_eq!(code(&response), 401);
    let challenge = phone.challenge.clone().unwrap().0;
    assert_eq!((challenge.realm.as_str(), challenge.qop_auth, challenge.stale), ("gateway", true, false));
    let response = phone.register(&mut lan, 300);
    assert_eq!(code(&response), 200);
    assert_eq!(listed(&response), ["<sip:101@192.168.1.21:5060>;expires=300"]);
    assert_eq!(header::value(&response.headers, "Date"), Some("Fri, 15 Jan 2027 08:00:00 GMT"));
    assert_eq!(lan.registrar.bindings("101", lan.now)[0].flow, phone.flow);
    assert_eq!(lan.registrar.wanted(lan.now), ["101"]);
    assert_eq!(lan.codes(), ["handset.registered"]);
}

#[test]
fn both_hashes_are_good_for_the_answer() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
        phone.algorithm = Some(algorithm);
        assert_eq!(code(&phone.register(&mut lan, 300)), 200, "{algorithm:?}");
    }
}

#[test]
fn an_old_handset_without_qop_registers_but_its_nonce_is_good_once() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.send(&mut lan, "");
    phone.challenge.as_mut().unwrap().0.qop_auth = false;
    let old = phone.challenge.clone();
    assert_eq!(code(&phone.send(&mut lan, "")), 200);
    phone.challenge = old;
    assert_eq!(code(&phone.send(&mut lan, "")), 401);
    assert!(phone.challenge.unwrap().0.stale);
}

#[test]
fn a_refresh_uses_the_nonce_again_and_is_neither_told_nor_written() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 300);
    assert!(lan.persisted().is_some());
    lan.pass(150);
    let response = phone.send(&mut lan, "Contact: <sip:101@192.168.1.21:5060>\r\nExpires: 300\r\n");
    assert_eq!(code(&response), 200);
    assert_eq!(listed(&response), ["<sip:101@192.168.1.21:5060>;expires=300"]);
    assert!(lan.outputs.is_empty(), "{:?}", lan.outputs);
}

#[test]
fn a_replayed_request_does_not_pass() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 300);
    let mut thief = phone.clone();
    thief.challenge.as_mut().unwrap().1 = 0;
    assert_eq!(code(&thief.send(&mut lan, "Contact: <sip:evil@192.168.1.99>\r\n")), 401);
    assert!(thief.challenge.unwrap().0.stale);
    // Nor from another address, with a count that was not used yet.
    let mut thief = phone.clone();
    thief.flow = flow(Transport::Udp, "192.168.1.99:5060", 0);
    (thief.branch, thief.cseq) = (thief.branch + 9, thief.cseq + 9);
    assert_eq!(code(&thief.send(&mut lan, "Contact: <sip:evil@192.168.1.99>\r\n")), 401);
    assert_eq!(lan.contacts("101"), ["sip:101@192.168.1.21:5060"]);
}

#[test]
fn an_expired_nonce_is_stale_and_costs_no_try() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 3600);
    lan.codes();
    for _ in 0..10 {
        lan.pass(301);
        let response = phone.send(&mut lan, "");
        assert_eq!(code(&response), 401);
        assert!(phone.challenge.as_ref().unwrap().0.stale);
    }
    assert_eq!(code(&phone.send(&mut lan, "")), 200);
    assert!(lan.codes().is_empty());
}

#[test]
fn a_wrong_password_slows_down_its_source_and_nobody_else() {
    let mut lan = Lan::new();
    let (mut right, mut wrong) = (handset("101", "192.168.1.21:5060"), handset("101", "192.168.1.66:5060"));
    wrong.password = "guess".into();
    for _ in 0..4 {
        assert_eq!(code(&wrong.try_password(&mut lan)), 401);
    }
    assert_eq!(lan.codes(), ["handset.wrong-password"; 4]);
    let response = wrong.try_password(&mut lan);
    assert_eq!(code(&response), 503);
    assert_eq!(header::value(&response.headers, "Retry-After"), Some("3"));
    // Even the right password has to wait there, or guessing would go on.
    wrong.password = "lan-101".into();
    assert_eq!(code(&wrong.try_password(&mut lan)), 503);
    assert_eq!(code(&right.register(&mut lan, 300)), 200);
    lan.pass(3);
    assert_eq!(code(&wrong.try_password(&mut lan)), 200);
}

#[test]
fn two_lines_of_one_ata_do_not_lock_each_other_out() {
    let mut lan = Lan::new();
    let (mut one, mut two) = (handset("101", "192.168.1.21:5060"), handset("102", "192.168.1.21:5061"));
    assert_eq!(code(&one.register(&mut lan, 300)), 200);
    two.password = "old".into();
    for _ in 0..8 {
        two.try_password(&mut lan);
    }
    assert_eq!(code(&two.try_password(&mut lan)), 503);
    assert_eq!(code(&one.register(&mut lan, 300)), 200);
}

#[test]
fn a_forged_source_address_can_not_slow_anybody_down() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    // The forger got a nonce at its own address; it never sees one sent to the victim's.
    let mut forger = handset("101", "192.168.1.66:5060");
    forger.send(&mut lan, "");
    let nonce = forger.challenge.clone();
    forger.password = "guess".into();
    for _ in 0..20 {
        forger.flow = phone.flow;
        forger.challenge = nonce.clone();
        assert_eq!(code(&forger.send(&mut lan, "")), 401);
    }
    assert!(lan.codes().is_empty());
    assert_eq!(code(&phone.register(&mut lan, 300)), 200);
}

#[test]
fn an_unknown_extension_is_answered_as_a_wrong_password_is() {
    let mut lan = Lan::new();
    let (mut unknown, mut wrong) = (handset("999", "192.168.1.66:5060"), handset("101", "192.168.1.67:5060"));
    wrong.password = "guess".into();
    let shape = |response: &Response| {
        let names: Vec<String> = response.headers.iter().map(|h| header::parts(h).0.to_string()).collect();
        (code(response), names)
    };
    for _ in 0..6 {
        let (one, other) = (unknown.try_password(&mut lan), wrong.try_password(&mut lan));
        assert_eq!(shape(&one), shape(&other));
    }
    assert_eq!(code(&unknown.try_password(&mut lan)), 503);
}

#[test]
fn no_event_shows_a_password() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.66:5060"));
    phone.password = "hunter2".into();
    phone.try_password(&mut lan);
    let all = format!("{:?} {:?}", lan.outputs, lan.registrar);
    assert!(all.contains("wrong password for extension 101"));
    assert!(!all.contains("hunter2") && !all.contains("lan-101"), "{all}");
}

#[test]
fn an_extension_can_not_register_another() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.send(&mut lan, "");
    phone.cseq += 1;
    let answer =
        digest::answer(&phone.challenge.clone().unwrap().0, "101", "lan-101", "REGISTER", "sip:192.168.1.1", 1, "c");
    let text = format!(
        "REGISTER sip:192.168.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.21;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
         From: <sip:102@gw>;tag=f\r\nTo: <sip:102@gw>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:101@192.168.1.21>\r\nAuthorization: {answer}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(code(&lan.ask(phone.flow, &text).0), 403);
    assert_eq!(lan.codes(), ["handset.wrong-user"]);
    assert!(lan.contacts("102").is_empty());
}

#[test]
fn several_handsets_share_an_extension_and_the_one_longest_silent_makes_room() {
    let mut lan = Lan::new();
    let mut phones: Vec<Handset> = (1..=4).map(|n| handset("101", &format!("192.168.1.{n}:5060"))).collect();
    for phone in &mut phones[..3] {
        phone.register(&mut lan, 3600);
        lan.pass(10);
    }
    phones[0].register(&mut lan, 3600);
    lan.codes();
    let response = phones[3].register(&mut lan, 3600);
    assert_eq!(listed(&response).len(), 3);
    assert_eq!(
        lan.contacts("101"),
        ["sip:101@192.168.1.4:5060", "sip:101@192.168.1.1:5060", "sip:101@192.168.1.3:5060"]
    );
    assert_eq!(lan.codes(), ["handset.registered", "handset.lost"]);
}

#[test]
fn a_rebooted_handset_replaces_its_old_binding() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.params = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"".into();
    phone.register(&mut lan, 3600);
    let mut rebooted = handset("101", "192.168.1.33:40123");
    rebooted.params = phone.params.clone();
    let response = rebooted.register(&mut lan, 3600);
    assert_eq!(listed(&response), ["<sip:101@192.168.1.33:40123>;expires=3600"]);
    assert_eq!(lan.registrar.bindings("101", lan.now)[0].flow, rebooted.flow);
}

#[test]
fn a_contact_with_expires_0_goes_and_a_star_removes_all() {
    let mut lan = Lan::new();
    let (mut one, mut two) = (handset("101", "192.168.1.21:5060"), handset("101", "192.168.1.22:5060"));
    one.register(&mut lan, 3600);
    two.register(&mut lan, 3600);
    let response = one.register_with(&mut lan, "Contact: <sip:101@192.168.1.21:5060>;expires=0\r\nExpires: 600\r\n");
    assert_eq!(listed(&response), ["<sip:101@192.168.1.22:5060>;expires=3600"]);
    for bad in ["Contact: *\r\n", "Contact: *\r\nExpires: 60\r\n", "Contact: *, <sip:x@y>\r\nExpires: 0\r\n"] {
        assert_eq!(code(&one.register_with(&mut lan, bad)), 400, "{bad}");
    }
    lan.outputs.clear();
    let response = one.register_with(&mut lan, "Contact: *\r\nExpires: 0\r\n");
    assert_eq!((code(&response), listed(&response).len()), (200, 0));
    assert!(lan.registrar.wanted(lan.now).is_empty());
    assert_eq!(lan.codes(), ["handset.unregistered"]);
}

#[test]
fn expiry_is_granted_within_the_bounds_of_the_config() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let granted = |response: &Response| listed(response)[0].rsplit_once('=').unwrap().1.parse::<u32>().unwrap();
    assert_eq!(granted(&phone.register(&mut lan, 86_400)), 3600);
    assert_eq!(granted(&phone.register(&mut lan, 60)), 60);
    assert_eq!(granted(&phone.register_with(&mut lan, "Contact: <sip:101@192.168.1.21:5060>\r\n")), 3600);
    let own = "Contact: <sip:101@192.168.1.21:5060>;expires=120\r\nExpires: 900\r\n";
    assert_eq!(granted(&phone.register_with(&mut lan, own)), 120);
    let response = phone.register(&mut lan, 59);
    assert_eq!((code(&response), header::value(&response.headers, "Min-Expires")), (423, Some("60")));
    assert_eq!(lan.registrar.status("101", lan.now)[0].expires_in, 120);
}

#[test]
fn a_register_without_contact_asks_what_is_registered() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 300);
    lan.pass(100);
    let response = phone.register_with(&mut lan, "");
    assert_eq!(listed(&response), ["<sip:101@192.168.1.21:5060>;expires=200"]);
}

/// What a handset asks before it is challenged.
fn challenged(lan: &mut Lan, phone: &mut Handset) -> (Challenge, u32) {
    phone.challenge = None;
    assert_eq!(code(&phone.send(lan, "")), 401);
    phone.challenge.clone().unwrap()
}

#[test]
fn a_late_register_does_not_undo_a_newer_one() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let older = challenged(&mut lan, &mut phone);
    lan.pass(1);
    phone.cseq = 20_000;
    challenged(&mut lan, &mut phone);
    assert_eq!(code(&phone.register(&mut lan, 300)), 200);
    (phone.cseq, phone.challenge) = (19_000, Some(older));
    for headers in ["Contact: <sip:101@192.168.1.21:5060>\r\nExpires: 0\r\n", "Contact: *\r\nExpires: 0\r\n"] {
        assert_eq!(code(&phone.send(&mut lan, headers)), 500, "{headers}");
        assert_eq!(lan.contacts("101").len(), 1);
    }
}

#[test]
fn a_rebooted_handset_that_counts_anew_proves_itself_by_a_newer_challenge() {
    for start in [0, 1, 19_998] {
        let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
        phone.cseq = 20_000;
        phone.register(&mut lan, 300);
        lan.pass(1);
        (phone.cseq, phone.challenge) = (start, None);
        assert_eq!(code(&phone.register(&mut lan, 300)), 200, "from {start}");
        // By the next use of the same challenge, too.
        phone.cseq = start;
        assert_eq!(code(&phone.register(&mut lan, 600)), 200, "from {start}");
        let response = phone.send(&mut lan, "Contact: *\r\nExpires: 0\r\n");
        assert_eq!((code(&response), lan.contacts("101").len()), (200, 0));
    }
}

#[test]
fn a_replay_of_an_old_register_is_challenged_whatever_its_cseq() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 300);
    let thief = phone.clone();
    phone.register(&mut lan, 600);
    for cseq in [0, 50_000] {
        let mut thief = Handset { cseq, branch: 1000 + cseq, ..thief.clone() };
        thief.challenge.as_mut().unwrap().1 = 0;
        assert_eq!(code(&thief.send(&mut lan, "Contact: *\r\nExpires: 0\r\n")), 401);
        assert_eq!(lan.contacts("101").len(), 1);
    }
}

/// A REGISTER with several credentials: an Authorization of each challenge and password, in this order.
fn register_with_all(lan: &mut Lan, phone: &mut Handset, all: &[(&Challenge, u32, &str)]) -> u16 {
    phone.challenge = None;
    let headers: String = all
        .iter()
        .map(|(challenge, nc, password)| {
            let answer = digest::answer(challenge, "101", password, "REGISTER", "sip:192.168.1.1", *nc, "c0ffee");
            format!("Authorization: {answer}\r\n")
        })
        .collect();
    code(&phone.send(lan, &(headers + "Contact: <sip:101@192.168.1.21:5060>\r\n")))
}

#[test]
fn of_several_credentials_those_of_the_newest_challenge_count_in_any_order() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let (used, _) = challenged(&mut lan, &mut phone);
    assert_eq!(register_with_all(&mut lan, &mut phone, &[(&used, 1, "lan-101")]), 200);
    let foreign = Challenge { realm: "other.example".into(), nonce: "5f3a".into(), ..used.clone() };
    let forged = Challenge { nonce: "0123456789abcdef".into(), ..used.clone() };
    for others in [vec![&used], vec![&foreign], vec![&forged], vec![&foreign, &used, &forged]] {
        for at in 0..=others.len() {
            lan.pass(1);
            let (mine, _) = challenged(&mut lan, &mut phone);
            let mut all: Vec<_> = others.iter().map(|other| (*other, 1, "lan-101")).collect();
            all.insert(at, (&mine, 1, "lan-101"));
            assert_eq!(register_with_all(&mut lan, &mut phone, &all), 200, "{all:?}");
        }
    }
    // Two uses of one nonce: the later one.
    let (mine, _) = challenged(&mut lan, &mut phone);
    assert_eq!(register_with_all(&mut lan, &mut phone, &[(&mine, 1, "lan-101"), (&mine, 2, "lan-101")]), 200);
    assert_eq!(register_with_all(&mut lan, &mut phone, &[(&mine, 3, "lan-101"), (&mine, 2, "lan-101")]), 200);
    assert_eq!(register_with_all(&mut lan, &mut phone, &[(&mine, 3, "lan-101")]), 401);
}

#[test]
fn several_credentials_are_one_try_of_a_password() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let (older, _) = challenged(&mut lan, &mut phone);
    lan.pass(1);
    let (newer, _) = challenged(&mut lan, &mut phone);
    let tries = [(&older, 1, "lan-101"), (&newer, 1, "guess-1"), (&older, 2, "guess-2")];
    assert_eq!(register_with_all(&mut lan, &mut phone, &tries), 401);
    assert_eq!(lan.codes(), ["handset.wrong-password"]);
}

#[test]
fn a_wrong_password_names_the_command_that_shows_the_right_one() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.password = "wrong".into();
    phone.register(&mut lan, 300);
    let said = lan.outputs.iter().find_map(|output| match output {
        Output::Event(event) => Some(event.text.as_str()),
        _ => None,
    });
    assert!(said.unwrap().contains("`gateway handset 101` shows"), "{said:?}");
}

/// A phone at 192.168.1.21 that sends from port 50933, with this Via and Contact: where calls go once it is registered.
fn asymmetric(lan: &mut Lan, via: &'static str, contact: &str) -> (Handset, u16) {
    let mut phone = handset("101", "192.168.1.21:50933");
    (phone.via, phone.contact) = (Some(via), contact.to_owned());
    assert_eq!(code(&phone.register(lan, 300)), 200);
    let port = lan.registrar.bindings("101", lan.now)[0].reach().remote.port();
    (phone, port)
}

#[test]
fn calls_go_where_the_handset_got_its_challenge() {
    for (via, contact, expected) in [
        ("192.168.1.21:5060", "sip:101@192.168.1.21:5060", 5060),
        ("192.168.1.21", "sip:101@192.168.1.21", 5060),
        ("192.168.1.21:50933", "sip:101@192.168.1.21:5060", 50933),
        ("192.168.1.21:5060;rport", "sip:101@192.168.1.21:5060", 50933),
        ("10.35.21.143:18944", "sip:101@10.35.21.143:18944", 50933),
    ] {
        let mut lan = Lan::new();
        let (_, port) = asymmetric(&mut lan, via, contact);
        assert_eq!(port, expected, "{via} {contact}");
        let status = &lan.registrar.status("101", lan.now)[0];
        assert_eq!(status.address, "192.168.1.21:50933");
        let at = (expected != 50933).then(|| format!("192.168.1.21:{expected}"));
        assert_eq!(status.answers_at, at);
    }
}

#[test]
fn the_port_where_a_handset_answers_is_kept_over_refreshes_and_a_restart() {
    let mut lan = Lan::new();
    let (mut phone, port) = asymmetric(&mut lan, "192.168.1.21:5060;rport", "sip:101@192.168.1.21:5062");
    assert_eq!(port, 50933);
    lan.persisted();
    let at = |port| phone.flow.at_port(port);
    let (elsewhere, contact) = (at(6000), at(5062));
    lan.with(|registrar, context| registrar.answered(context, elsewhere));
    assert!(lan.persisted().is_none(), "a port that nobody named");
    lan.with(|registrar, context| registrar.answered(context, contact));
    let saved = lan.persisted().expect("it is worth a write");
    assert_eq!(code(&phone.register(&mut lan, 300)), 200);
    let reach = |registrar: &Registrar, now| registrar.bindings("101", now)[0].reach();
    assert_eq!(reach(&lan.registrar, lan.now), contact);
    lan.registrar = Registrar::new(Some(&saved), lan.now, lan.wall);
    assert_eq!(reach(&lan.registrar, lan.now), contact);
    // From another place it is asked anew.
    phone.flow = flow(Transport::Udp, "192.168.1.21:50934", 0);
    assert_eq!(code(&phone.register(&mut lan, 300)), 200);
    assert_eq!(reach(&lan.registrar, lan.now), phone.flow);
}

#[test]
fn a_handset_is_known_by_either_of_its_ports() {
    let mut lan = Lan::new();
    let (phone, _) = asymmetric(&mut lan, "192.168.1.21", "sip:101@192.168.1.21");
    for port in [50933, 5060] {
        assert!(lan.registrar.is_registered(phone.flow.at_port(port), lan.now), "{port}");
    }
    assert!(!lan.registrar.is_registered(phone.flow.at_port(5061), lan.now));
}

#[test]
fn a_handset_is_asked_at_once_where_its_port_is_in_doubt_and_else_when_it_was_quiet_for_long() {
    for (contact, expected) in [("sip:101@192.168.1.21:5060", vec![50933]), ("sip:101@10.0.0.7:5060", vec![])] {
        let mut lan = Lan::new();
        asymmetric(&mut lan, "192.168.1.21:5060;rport", contact);
        assert_eq!(lan.due(), expected, "{contact}");
        assert!(lan.due().is_empty(), "once");
        lan.now += Duration::from_secs(299);
        assert!(lan.due().is_empty());
    }
    let mut lan = Lan::new();
    let mut phone = handset("101", "192.168.1.21:5060");
    phone.register(&mut lan, 3600);
    for quiet in [599, 601, 1202, 1802] {
        let at = lan.now;
        lan.now = Instant::from_secs(1000 + quiet);
        assert_eq!(lan.due().len(), usize::from(quiet > 600), "{at:?} {quiet}");
    }
}

#[test]
fn silence_to_options_says_something_of_a_model_that_answers_them_alone() {
    let (mut lan, mut first, mut second) =
        (Lan::new(), handset("101", "192.168.1.21:5060"), handset("102", "192.168.1.22:5060"));
    first.register(&mut lan, 3600);
    second.register(&mut lan, 3600);
    lan.codes();
    lan.with(|registrar, context| registrar.left_options(context, first.flow));
    assert!(!lan.registrar.is_silent(first.flow, lan.now), "it may be one that never answers them");
    lan.with(|registrar, context| registrar.answered_options(context, second.flow));
    lan.with(|registrar, context| registrar.left_options(context, first.flow));
    assert!(lan.registrar.is_silent(first.flow, lan.now));
    assert_eq!(lan.codes(), ["handset.silent"]);
    lan.now += Duration::from_secs(7);
    assert_eq!(lan.registrar.status("101", lan.now)[0].not_responding_for, Some(7));
    // Its own request with the right password brings it back, over a refresh that changes nothing.
    first.register(&mut lan, 3600);
    assert_eq!(lan.codes(), ["handset.responding"]);
    assert_eq!(lan.registrar.status("101", lan.now)[0].not_responding_for, None);
}

#[test]
fn the_same_model_from_another_address_casts_doubt_on_the_first_and_a_full_house_loses_the_dead_one() {
    let mut lan = Lan::new();
    let mut phones: Vec<Handset> = (1..=4).map(|n| handset("101", &format!("192.168.1.{n}:506{n}"))).collect();
    phones[0].register(&mut lan, 3600);
    assert!(lan.due().is_empty());
    phones[1].register(&mut lan, 3600);
    assert_eq!(lan.due(), [5061]);
    phones[2].register(&mut lan, 3600);
    lan.due();
    let dead = phones[1].flow;
    lan.with(|registrar, context| registrar.silent(context, dead));
    phones[3].register(&mut lan, 3600);
    assert_eq!(
        lan.contacts("101"),
        ["sip:101@192.168.1.4:5064", "sip:101@192.168.1.3:5063", "sip:101@192.168.1.1:5061"]
    );
}

#[test]
fn many_handsets_are_asked_a_few_at_a_time() {
    let mut lan = Lan::new();
    lan.config.limits.bindings_per_extension = 100;
    for n in 0..40 {
        handset("101", &format!("192.168.1.{n}:5060")).register(&mut lan, 3600);
    }
    lan.questions();
    lan.now += Duration::from_secs(700);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(lan.due().len());
        lan.now += Duration::from_secs(1);
    }
    assert_eq!(asked, [16, 16, 8, 0]);
}

#[test]
fn an_unknown_required_extension_is_refused_by_name() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let response = phone.register_with(&mut lan, "Require: gruu\r\nContact: <sip:101@192.168.1.21>\r\n");
    assert_eq!((code(&response), header::value(&response.headers, "Unsupported")), (420, Some("gruu")));
}

#[test]
fn hostile_contacts_are_refused_whole() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let long = format!("Contact: <sip:{}@192.168.1.21>\r\n", "x".repeat(600));
    let many: String = (0..4).map(|n| format!("Contact: <sip:101@192.168.1.{n}>\r\n")).collect();
    let half = "Contact: <sip:101@192.168.1.21>\r\nContact: <sip:101@192.168.1.22>;expires=5\r\n".to_string();
    let other = "Contact: <tel:+15551234567>\r\n".to_string();
    for (headers, expected) in [(long, 400), (many, 403), (half, 423), (other, 400)] {
        assert_eq!(code(&phone.register_with(&mut lan, &headers)), expected, "{headers}");
        assert!(lan.contacts("101").is_empty());
    }
}

#[test]
fn a_handset_that_does_not_come_back_is_lost() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 300);
    lan.codes();
    lan.pass(299);
    assert_eq!(lan.contacts("101").len(), 1);
    lan.pass(1);
    assert!(lan.contacts("101").is_empty());
    assert_eq!(lan.outputs.iter().filter(|output| matches!(output, Output::Persist)).count(), 1);
    assert_eq!(lan.codes(), ["handset.lost"]);
    assert_eq!(lan.registrar.poll_timeout(), None);
}

#[test]
fn a_tcp_handset_goes_with_its_connection() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:50000"));
    phone.flow = flow(Transport::Tcp, "192.168.1.21:50000", 7);
    assert_eq!(code(&phone.register(&mut lan, 300)), 200);
    assert_eq!(lan.persisted(), None);
    let later = flow(Transport::Tcp, "192.168.1.21:50000", 8);
    lan.with(|registrar, context| registrar.flow_down(context, later, Ended::Theirs));
    assert_eq!(lan.contacts("101").len(), 1);
    lan.with(|registrar, context| registrar.flow_down(context, phone.flow, Ended::Theirs));
    // It may listen at its Contact.
    assert_eq!(lan.contacts("101").len(), 1);
    let tried = lan.outward.pop_tried().unwrap();
    assert_eq!((tried.transport, tried.remote), (Transport::Tcp, phone.flow.remote));
    lan.with(|registrar, context| {
        let ended = context.outward.ended(tried);
        registrar.flow_down(context, tried, ended);
    });
    assert!(lan.contacts("101").is_empty());
    assert_eq!(lan.codes(), ["handset.lost"]);
}

#[test]
fn bindings_survive_a_restart_whatever_the_clock_says() {
    let mut lan = Lan::new();
    let (mut udp, mut tcp) = (handset("101", "192.168.1.21:5060"), handset("102", "192.168.1.22:50000"));
    udp.register(&mut lan, 600);
    tcp.flow = flow(Transport::Tcp, "192.168.1.22:50000", 7);
    tcp.register(&mut lan, 600);
    let text = lan.persisted().unwrap();
    assert!(!text.contains("lan-101"));
    for wall in [WallClock(0), WallClock(9_999_999_999)] {
        let registrar = Registrar::new(Some(&text), Instant::ZERO, wall);
        let restored = registrar.bindings("101", Instant::from_secs(599));
        assert_eq!(
            (restored.len(), restored[0].flow, restored[0].contact.as_str()),
            (1, udp.flow, udp.contact.as_str())
        );
        assert!(registrar.bindings("102", Instant::ZERO).is_empty());
        // The time that it was registered for, rounded up.
        assert_eq!(restored[0].expires, Instant::from_secs(1024));
    }
}

#[test]
fn a_damaged_file_of_bindings_is_an_empty_one() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 600);
    let text = lan.persisted().unwrap();
    for cut in 0..text.len() {
        assert!(Registrar::new(Some(&text[..cut]), Instant::ZERO, WallClock(0)).wanted(Instant::ZERO).is_empty());
    }
    let future = text.replace("\"version\":1", "\"version\":2");
    assert!(Registrar::new(Some(&future), Instant::ZERO, WallClock(0)).wanted(Instant::ZERO).is_empty());
}

#[test]
fn a_call_needs_credentials_for_the_callee_that_it_names() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    let (response, verdict) = phone.request(&mut lan, "OPTIONS", "sip:5035551212@192.168.1.1", "");
    assert_eq!((code(&response), verdict), (401, Some(Verdict::Answered)));
    let (_, verdict) = phone.request(&mut lan, "OPTIONS", "sip:5035551212@192.168.1.1", "");
    assert_eq!(verdict, Some(Verdict::Extension("101".into())));
    // The same credentials, with a count not seen yet, for another callee.
    let mut thief = phone.clone();
    thief.branch += 100;
    let (challenge, _) = phone.challenge.clone().unwrap();
    let answer = digest::answer(&challenge, "101", "lan-101", "OPTIONS", "sip:5035551212@192.168.1.1", 2, "c");
    thief.challenge = None;
    let header = format!("Authorization: {answer}\r\n");
    let (response, _) = thief.request(&mut lan, "OPTIONS", "sip:19005551212@192.168.1.1", &header);
    assert_eq!(code(&response), 401);
}

#[test]
fn credentials_that_name_no_callee_are_good_for_one_request() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.request(&mut lan, "OPTIONS", "sip:5035551212@192.168.1.1", "");
    let (challenge, _) = phone.challenge.take().unwrap();
    // As sipp writes it: the registrar alone.
    let answer = digest::answer(&challenge, "101", "lan-101", "OPTIONS", "sip:192.168.1.1:5060", 1, "c");
    let header = format!("Authorization: {answer}\r\n");
    let (_, verdict) = phone.request(&mut lan, "OPTIONS", "sip:5035551212@192.168.1.1", &header);
    assert_eq!(verdict, Some(Verdict::Extension("101".into())));
    let (response, _) = phone.request(&mut lan, "OPTIONS", "sip:19005551212@192.168.1.1", &header);
    assert_eq!(code(&response), 401);
}

#[test]
fn the_extensions_at_an_address_are_known_with_the_flow_that_one_registered_by() {
    let mut lan = Lan::new();
    let (mut one, mut two) = (handset("101", "192.168.1.21:5060"), handset("102", "192.168.1.22:5060"));
    one.register(&mut lan, 600);
    two.register(&mut lan, 600);
    let at = |lan: &Lan, address: &str| -> Vec<(String, bool)> {
        let here = lan.registrar.neighbors(flow(Transport::Udp, address, 0), lan.now);
        here.into_iter().map(|(extension, by_flow)| (extension.to_owned(), by_flow)).collect()
    };
    let is = |extension: &str, by_flow: bool| (extension.to_owned(), by_flow);
    assert_eq!(at(&lan, "192.168.1.21:5060"), [is("101", true)]);
    assert_eq!(at(&lan, "192.168.1.22:49152"), [is("102", false)]);
    assert_eq!(at(&lan, "192.168.1.23:5060"), []);
    let mut second = handset("102", "192.168.1.21:5062");
    second.register(&mut lan, 600);
    assert_eq!(at(&lan, "192.168.1.21:5062"), [is("101", false), is("102", true)]);
    lan.pass(601);
    assert_eq!(at(&lan, "192.168.1.21:5060"), []);
}

#[test]
fn a_source_proves_its_address_by_an_answered_challenge_and_its_extension_by_the_password() {
    let mut lan = Lan::new();
    let mut phone = handset("101", "192.168.1.21:5060");
    assert_eq!(phone.prove(&mut lan, None), Proof::None);
    assert_eq!(phone.prove(&mut lan, Some("wrong")), Proof::Address);
    assert_eq!(phone.prove(&mut lan, Some("lan-101")), Proof::Extension("101".into()));
    // Another address shows the nonce that was sent to this one.
    let nonce = phone.challenge.clone();
    let mut forger = handset("101", "192.168.1.22:5060");
    forger.challenge = nonce;
    assert_eq!(forger.prove(&mut lan, Some("lan-101")), Proof::None);
    // A nonce of long ago.
    lan.pass(301);
    assert_eq!(phone.prove(&mut lan, Some("wrong")), Proof::None);
}

#[test]
fn a_connection_proves_its_address_and_a_registration_on_it_the_extension() {
    let mut lan = Lan::new();
    let mut phone = handset("101", "192.168.1.21:5060");
    phone.flow = flow(Transport::Tcp, "192.168.1.21:40000", 7);
    assert_eq!(phone.prove(&mut lan, None), Proof::Address);
    phone.register(&mut lan, 600);
    assert_eq!(phone.prove(&mut lan, None), Proof::Extension("101".into()));
    phone.flow = flow(Transport::Tcp, "192.168.1.21:40001", 8);
    assert_eq!(phone.prove(&mut lan, None), Proof::Address, "another connection");
}

#[test]
fn emergency_calls_are_no_way_to_guess_a_password() {
    let mut lan = Lan::new();
    let mut phone = handset("101", "192.168.1.21:5060");
    assert_eq!(phone.prove(&mut lan, None), Proof::None);
    for _ in 0..4 {
        assert_eq!(phone.prove(&mut lan, Some("guess")), Proof::Address);
    }
    assert_eq!(phone.prove(&mut lan, Some("lan-101")), Proof::Address, "it must wait, and leaves all the same");
}

#[test]
fn a_remote_address_is_kept_as_it_is_seen_not_as_the_contact_says() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.contact = "sip:101@10.9.9.9:5060;line=abc".into();
    phone.register(&mut lan, 600);
    let status = lan.registrar.status("101", lan.now);
    assert_eq!(
        (status[0].contact.as_str(), status[0].address.as_str()),
        ("sip:101@10.9.9.9:5060;line=abc", "192.168.1.21:5060")
    );
    assert_eq!(
        lan.registrar.bindings("101", lan.now)[0].flow.remote,
        "192.168.1.21:5060".parse::<SocketAddr>().unwrap()
    );
}

#[test]
fn a_phone_that_registers_for_longer_than_ever_is_written_again_and_other_refreshes_are_not() {
    let (mut lan, mut phone) = (Lan::new(), handset("101", "192.168.1.21:5060"));
    phone.register(&mut lan, 60);
    assert!(lan.persisted().is_some());
    phone.register(&mut lan, 3600);
    let text = lan.persisted().expect("a restart would forget it after a minute");
    for expires in [60, 3540, 3600, 61, 3600] {
        lan.pass(30);
        phone.register(&mut lan, expires);
        assert_eq!(lan.persisted(), None, "{expires}");
    }
    // The phone last registered just before the restart, and comes again after half its time or more.
    let restarted = Registrar::new(Some(&text), Instant::from_secs(5), WallClock(0));
    assert_eq!(restarted.wanted(Instant::from_secs(5 + 3599)), ["101"]);
    assert!(restarted.wanted(Instant::from_secs(5 + 2 * 3600)).is_empty());
}
