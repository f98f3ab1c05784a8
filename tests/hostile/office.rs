//! One engine with drivers that answer at once, a far end on the trunk, and hands to throw things at it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::Config;
use gateway_core::context::Output;
use gateway_core::dns::{DnsAnswer, DnsQuestion};
use gateway_core::engine::{Engine, Input};
use gateway_core::event::Event;
use gateway_core::media::{Command, LegParams, MediaLeg, Notice, Report};
use gateway_core::secrets::Secrets;
use gateway_core::sip::digest;
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::sip::header;
use gateway_core::sip::transaction::response_to;
use gateway_core::sip::wire::{self, Datagram, Frame, StreamReader};
use gateway_core::status::Sizes;
use gateway_core::time::{Instant, WallClock};
use rsip::{Method, Request, Response, SipMessage};

#[path = "../office/mod.rs"]
pub mod file;

use file::{OfficeFile, secrets_of};

pub const LAN: &str = "192.168.1.1:5060";
const WAN: &str = "203.0.113.7:40000";
const EDGE: &str = "54.172.60.1:5061";
/// Where the far end wants media, unless a test says otherwise.
const FAR_MEDIA: &str = "168.86.130.1:10000";

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn udp(remote: &str) -> Flow {
    Flow { transport: Transport::Udp, local: address(LAN), remote: address(remote), connection: 0 }
}

pub fn tcp(remote: &str, connection: u64) -> Flow {
    Flow { transport: Transport::Tcp, connection, ..udp(remote) }
}

/// A source that differs for each number.
pub fn source(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 5060))
}

/// A message that the engine sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub flow: Flow,
    pub bytes: Vec<u8>,
}

impl Sent {
    /// `None` for the refusal of what could not be read: it repeats what was wrong.
    pub fn message(&self) -> Option<SipMessage> {
        match wire::read_datagram(&self.bytes) {
            Ok(Datagram::Message(message)) => Some(message),
            _ => None,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn code(&self) -> Option<u16> {
        self.text().strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn request(&self) -> Option<Request> {
        match self.message()? {
            SipMessage::Request(request) => Some(request),
            SipMessage::Response(_) => None,
        }
    }
}

/// How the far end of the trunk behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// Answers calls, and whatever else is asked.
    Answers,
    /// Takes registrations and lets calls ring.
    Rings,
    /// The test writes to the trunk by itself.
    Mute,
}

/// What becomes of a connection to a handset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Opened,
    Refused,
    /// The test says so later.
    Silent,
}

pub struct Office {
    pub engine: Engine,
    pub config: Arc<Config>,
    pub secrets: Arc<Secrets>,
    pub now: Instant,
    pub far: Far,
    pub trunk: Option<Flow>,
    /// What was sent, but for what the far end of the trunk answered.
    pub sent: Vec<Sent>,
    pub events: Vec<Event>,
    /// Whether `sent` and `events` are kept; floods would fill them.
    pub keeps: bool,
    pub media: BTreeMap<MediaLeg, (SocketAddr, Option<LegParams>)>,
    pub most_media: usize,
    pub most: Sizes,
    pub closed: BTreeSet<Flow>,
    /// Connections to handsets that the engine asked for, and what becomes of them.
    pub opened: BTreeSet<Flow>,
    pub reach: Reach,
    /// How often the bindings were to be kept.
    pub persists: u64,
    /// The INVITEs that the far end got.
    far_calls: Vec<Request>,
    next_port: u16,
    pending: Vec<Input>,
    trunk_reader: StreamReader,
    serial: u64,
}

pub fn config(extensions: &[&str]) -> Config {
    OfficeFile::new()
        .table("trunk")
        .with("servers", ["office.sip.ashburn.twilio.com"])
        .extensions(extensions.iter().copied())
        .number("+15035550100", &extensions[..1])
        .config()
}

impl Office {
    /// Extensions 101, 102 and 103, the trunk up, nobody registered on the LAN.
    pub fn new(seed: u64) -> Self {
        Office::with_extensions(seed, &["101", "102", "103"])
    }

    /// The same with these extensions.
    pub fn with_extensions(seed: u64, names: &[&str]) -> Self {
        Office::with_config(seed, config(names))
    }

    /// The same with the config of one's own.
    pub fn with_config(seed: u64, config: Config) -> Self {
        let config = Arc::new(config);
        let secrets = Arc::new(secrets_of(&config));
        let mut key = [3; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        let engine = Engine::new(Arc::clone(&config), Arc::clone(&secrets), None, key, Instant::ZERO, WallClock(0));
        let mut office = Office {
            engine,
            config,
            secrets,
            now: Instant::from_secs(1),
            far: Far::Answers,
            trunk: None,
            sent: Vec::new(),
            events: Vec::new(),
            keeps: true,
            media: BTreeMap::new(),
            most_media: 0,
            most: Sizes::default(),
            closed: BTreeSet::new(),
            opened: BTreeSet::new(),
            reach: Reach::Refused,
            persists: 0,
            far_calls: Vec::new(),
            next_port: 20_000,
            pending: Vec::new(),
            trunk_reader: StreamReader::default(),
            serial: 0,
        };
        office.input(Input::Tick);
        office.pass(Duration::from_secs(1));
        assert!(office.trunk.is_some(), "no trunk");
        office.sent.clear();
        office
    }

    /// Gives the engine an input, and all that follows at once.
    pub fn input(&mut self, input: Input) {
        self.pending.push(input);
        while let Some(input) = (!self.pending.is_empty()).then(|| self.pending.remove(0)) {
            self.engine.handle(self.now, WallClock(1_700_000_000), input);
            while let Some(output) = self.engine.poll_output() {
                self.carry_out(output);
            }
        }
        let sizes = self.engine.sizes();
        for (most, now) in [
            (&mut self.most.transactions, sizes.transactions),
            (&mut self.most.streams, sizes.streams),
            (&mut self.most.bindings, sizes.bindings),
            (&mut self.most.gate, sizes.gate),
            (&mut self.most.calls, sizes.calls),
            (&mut self.most.legs, sizes.legs),
            (&mut self.most.dialogs, sizes.dialogs),
            (&mut self.most.media, sizes.media),
            (&mut self.most.emergency, sizes.emergency),
        ] {
            *most = (*most).max(now);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { flow, bytes } if Some(flow) == self.trunk && self.far != Far::Mute => {
                self.sent.push(Sent { flow, bytes: bytes.clone() });
                if !self.keeps {
                    self.sent.clear();
                }
                self.trunk_reader.push(&bytes);
                while let Ok(Some(frame)) = self.trunk_reader.next() {
                    if let Frame::Message(SipMessage::Request(request)) = frame {
                        self.answer_on_trunk(flow, &request);
                    }
                }
            }
            Output::Send { flow, bytes } => {
                if self.keeps {
                    self.sent.push(Sent { flow, bytes });
                }
            }
            Output::Connect { connection, address, .. } => {
                let local = self::address(WAN);
                let flow = Flow { transport: Transport::Tls, local, remote: address, connection };
                self.trunk = Some(flow);
                self.trunk_reader = StreamReader::default();
                self.pending.push(Input::Connected { connection, flow });
            }
            Output::Open { flow } => {
                self.opened.insert(flow);
                match self.reach {
                    Reach::Opened => self.pending.push(Input::Opened { flow }),
                    Reach::Refused => {
                        self.pending.push(Input::Disconnected { flow, reason: "connection refused".into() });
                    }
                    Reach::Silent => {}
                }
            }
            Output::Close { flow } => {
                self.closed.insert(flow);
                self.pending.push(Input::Disconnected { flow, reason: "closed".into() });
            }
            Output::Resolve { query, question } => {
                let answer = match question {
                    DnsQuestion::Naptr(_) => DnsAnswer::Naptr(Vec::new()),
                    DnsQuestion::Srv(_) => DnsAnswer::Srv(Vec::new()),
                    DnsQuestion::Address(_) => DnsAnswer::Address(vec![address(EDGE).ip()]),
                };
                self.pending.push(Input::Resolved { query, answer });
            }
            Output::Media(command) => self.on_media(command),
            Output::Persist => self.persists += 1,
            Output::CallBack(_) | Output::Carrier(_) | Output::Forward(_) => {}
            Output::Event(event) => {
                let secret = format!("{event}");
                assert!(!secret.contains("-secret-"), "a password in the log: {event}");
                if self.keeps {
                    self.events.push(event);
                }
            }
        }
    }

    fn on_media(&mut self, command: Command) {
        match command {
            Command::Open { leg, bind, .. } => {
                self.next_port = if self.next_port >= 29_998 { 20_000 } else { self.next_port + 2 };
                let local = SocketAddr::new(bind, self.next_port);
                self.media.insert(leg, (local, None));
                self.most_media = self.most_media.max(self.media.len());
                self.pending.push(Input::Media(Notice::Opened { leg, local }));
            }
            Command::Set { leg, params } => {
                if let Some((_, kept)) = self.media.get_mut(&leg) {
                    *kept = Some(*params);
                }
            }
            Command::Close { leg } => {
                if self.media.remove(&leg).is_some() {
                    self.pending.push(Input::Media(Notice::Closed { leg, report: Report::default() }));
                }
            }
            Command::Move { leg, bind } => {
                if let Some((local, _)) = self.media.get_mut(&leg) {
                    local.set_ip(bind);
                    self.pending.push(Input::Media(Notice::Moved { leg, to: Ok(*local) }));
                }
            }
            Command::Connect { .. } | Command::Dtmf { .. } | Command::Play { .. } => {}
        }
    }

    fn answer_on_trunk(&mut self, flow: Flow, request: &Request) {
        if request.method == Method::Invite {
            self.far_calls.push(request.clone());
        }
        let codes: &[u16] = match (request.method, self.far) {
            (Method::Ack, _) => &[],
            (Method::Invite, Far::Rings) => &[180],
            (Method::Invite, _) => &[180, 200],
            _ => &[200],
        };
        for code in codes {
            let mut response = response_to(request, *code, Some("far"));
            response.headers.push(header::make("Contact", "<sip:far@172.25.75.240:5060>"));
            if request.method == Method::Register {
                let contact = header::value(&request.headers, "Contact").unwrap_or_default();
                header::set(&mut response.headers, "Contact", format!("{contact};expires=600"));
            }
            if request.method == Method::Invite && *code == 200 {
                response.headers.push(header::make("Content-Type", "application/sdp"));
                response.body = secure_sdp(FAR_MEDIA).into_bytes();
            }
            self.pending.push(Input::Received { flow, bytes: wire::write_response(&response) });
        }
    }

    /// Calls of before are the far end's own business.
    pub fn far_forgets(&mut self) {
        self.far_calls.clear();
    }

    /// The far end hangs up all that it was called for.
    pub fn far_hangs_up(&mut self) {
        let Some(flow) = self.trunk else { return };
        for (number, invite) in std::mem::take(&mut self.far_calls).into_iter().enumerate() {
            let value = |name| header::value(&invite.headers, name).expect("every INVITE has it");
            let bye = format!(
                "BYE sip:x@203.0.113.7 SIP/2.0\r\nVia: SIP/2.0/TLS 54.172.60.1;branch=z9hG4bKbye{number}-{}\r\n\
                 Max-Forwards: 70\r\nFrom: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\n\
                 Content-Length: 0\r\n\r\n",
                self.now.as_micros(),
                value("To"),
                value("From"),
                value("Call-ID")
            );
            self.input(Input::Received { flow, bytes: bye.into_bytes() });
        }
    }

    /// Lets virtual time pass, waking the engine when it wants to be.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut wakings = 0;
        while let Some((at, _)) = self.engine.poll_timeout().filter(|(at, _)| *at <= until) {
            wakings = if at <= self.now { wakings + 1 } else { 0 };
            assert!(wakings < 10_000, "a live-lock at {:?}", self.now);
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = until;
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Octets from somewhere; what was sent because of them.
    pub fn give(&mut self, flow: Flow, bytes: impl AsRef<[u8]>) -> Vec<Sent> {
        let before = self.sent.len();
        self.input(Input::Received { flow, bytes: bytes.as_ref().to_vec() });
        self.sent.get(before..).unwrap_or_default().to_vec()
    }

    /// A number that was not used before.
    pub fn unique(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Sends a request with credentials, as a handset does: once without, once with the answer to the challenge.
    pub fn with_password(&mut self, flow: Flow, name: &str, password: &str, request: &Ask) -> Vec<Sent> {
        let first = self.give(flow, request.text(flow));
        let challenge = first.iter().find_map(|sent| match sent.message()? {
            SipMessage::Response(response) => digest::strongest(&response),
            SipMessage::Request(_) => None,
        });
        let Some((challenge, header)) = challenge else { return first };
        let credentials = digest::answer(&challenge, name, password, &request.method, &request.uri, 1, "cnonce");
        let mut again = request.clone();
        again.branch += "b";
        again.cseq += 1;
        again.headers.push_str(&format!("{header}: {credentials}\r\n"));
        self.give(flow, again.text(flow))
    }

    /// Registers a handset of an extension; it must succeed.
    pub fn register(&mut self, flow: Flow, name: &str) {
        let number = self.unique();
        let ask = Ask::new("REGISTER", "sip:192.168.1.1", name, name, number)
            .header(&format!("Contact: <sip:{name}@{}>\r\nExpires: 3600", flow.remote));
        let answers = self.with_password(flow, name, &format!("lan-secret-{name}"), &ask);
        assert_eq!(codes(&answers), [200], "{name} is not registered");
    }

    /// Registers each extension's handset over UDP at 192.168.1.101 and so on.
    pub fn with_handsets(seed: u64) -> Self {
        Office::new(seed).registered()
    }

    /// Registers them.
    pub fn registered(mut self) -> Self {
        let office = &mut self;
        for name in ["101", "102", "103"] {
            office.register(handset(name), name);
        }
        office.seconds(2);
        office.sent.clear();
        self
    }

    /// A call of a registered handset to a number; its last answers.
    pub fn dial(&mut self, name: &str, number: &str) -> (Ask, Vec<Sent>) {
        let unique = self.unique();
        let flow = handset(name);
        let ask = Ask::new("INVITE", &format!("sip:{number}@192.168.1.1"), name, number, unique)
            .header(&format!("Contact: <sip:{name}@{}>", flow.remote))
            .sdp(&sdp(&format!("{}:4000", flow.remote.ip())));
        let sent = self.with_password(flow, name, &format!("lan-secret-{name}"), &ask);
        (ask, sent)
    }

    /// Nothing of any call is left after a while, and the handsets are served.
    pub fn assert_quiet(&mut self) {
        self.seconds(3600);
        // What nothing of ours ends.
        self.far_hangs_up();
        self.seconds(3600);
        assert!(self.engine.is_quiet(), "something is left: {:?}", self.engine.sizes());
        assert!(self.media.is_empty(), "media ports are left: {:?}", self.media);
        let sizes = self.engine.sizes();
        assert_eq!((sizes.calls, sizes.legs, sizes.dialogs, sizes.media, sizes.transactions), (0, 0, 0, 0, 0));
    }

    /// What went to the trunk as requests of a method.
    pub fn trunk_requests(&self, method: Method) -> Vec<Request> {
        let trunk = self.sent.iter().filter(|sent| sent.flow.transport == Transport::Tls && sent.bytes.len() > 4);
        trunk.filter_map(Sent::request).filter(|request| request.method == method).collect()
    }
}

/// The flow of an extension's handset.
pub fn handset(name: &str) -> Flow {
    udp(&format!("192.168.1.{name}:5060"))
}

pub fn codes(sent: &[Sent]) -> Vec<u16> {
    sent.iter().filter_map(Sent::code).collect()
}

pub fn response(sent: &Sent) -> Response {
    match sent.message() {
        Some(SipMessage::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

/// Plain RTP at an address.
pub fn sdp(at: &str) -> String {
    let at = address(at);
    let family = if at.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n",
        ip = at.ip(),
        port = at.port()
    )
}

pub fn secure_sdp(at: &str) -> String {
    let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    sdp(at).replace("RTP/AVP", "RTP/SAVP") + &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")
}

/// A request as a handset writes it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    pub uri: String,
    pub from: String,
    pub to: String,
    pub call_id: String,
    pub branch: String,
    pub cseq: u32,
    /// Further lines, each with CRLF.
    pub headers: String,
    pub via: Option<String>,
    pub body: String,
}

impl Ask {
    pub fn new(method: &str, uri: &str, from: &str, to: &str, number: u64) -> Self {
        Ask {
            method: method.into(),
            uri: uri.into(),
            from: format!("<sip:{from}@192.168.1.1>;tag=from{number}"),
            to: format!("<sip:{to}@192.168.1.1>"),
            call_id: format!("call{number}@phone"),
            branch: format!("z9hG4bK{number}"),
            cseq: 1,
            headers: String::new(),
            via: None,
            body: String::new(),
        }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.headers += &format!("{line}\r\n");
        self
    }

    pub fn sdp(mut self, body: &str) -> Self {
        self.headers += "Content-Type: application/sdp\r\n";
        self.body = body.into();
        self
    }

    /// A request of the same dialog: our To-tag as an answer gave it.
    pub fn inside(&self, method: &str, answer: &Sent, cseq: u32) -> Self {
        let to = header::value(&response(answer).headers, "To").expect("every answer has a To").to_string();
        Ask {
            method: method.into(),
            to,
            branch: format!("{}-{method}{cseq}", self.branch),
            cseq,
            headers: String::new(),
            body: String::new(),
            ..self.clone()
        }
    }

    pub fn text(&self, flow: Flow) -> String {
        let via = self.via.clone().unwrap_or_else(|| {
            format!("SIP/2.0/{} {};rport;branch={}", flow.transport.via_token(), flow.remote, self.branch)
        });
        let forwards = if self.headers.contains("Max-Forwards") { "" } else { "Max-Forwards: 70\r\n" };
        format!(
            "{} {} SIP/2.0\r\nVia: {via}\r\n{forwards}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n{}\
             Content-Length: {}\r\n\r\n{}",
            self.method,
            self.uri,
            self.from,
            self.to,
            self.call_id,
            self.cseq,
            self.method,
            self.headers,
            self.body.len(),
            self.body
        )
    }
}
