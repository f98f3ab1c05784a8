//! What the pure core costs, without sockets: allocations, octets that are kept, and time.
//!
//! `cargo bench --bench core`. The counts are the same at each run, however busy the machine is. So are instructions:
//! `valgrind --tool=callgrind --toggle-collect='*Core*turn*' target/release/deps/core-… --bench registrations` (or
//! `calls`) counts what the engine does and nothing of what phones and domain here do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use gateway_core::config::Config;
use gateway_core::context::Output;
use gateway_core::dns::{DnsAnswer, DnsQuestion};
use gateway_core::engine::{Engine, Input};
use gateway_core::media::relay::Relay;
use gateway_core::media::{Command, Notice};
use gateway_core::random::Random;
use gateway_core::sip::digest::{Challenge, answer};
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::time::{Instant, WallClock};

#[path = "../office/mod.rs"]
mod office;

use office::{OfficeFile, secrets_of};

const LAN: &str = "192.168.1.1:5060";
const EDGE: &str = "54.172.60.1:5061";
const WALL: WallClock = WallClock(1_800_000_000);
/// As in tests/bench/load.
const EXTENSIONS: u64 = 1000;
const CALLS: u64 = 300;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
// SAFETY: everything is handed to the system's allocator as it came; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        HELD.fetch_add(size, Relaxed);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn main() {
    let (mut registrations, mut calls) = (true, true);
    match std::env::args().skip(1).find(|arg| !arg.starts_with('-')).as_deref() {
        Some("registrations") => calls = false,
        Some("calls") => registrations = false,
        _ => {}
    }
    if registrations {
        measure_registrations();
    }
    if calls {
        measure_calls();
    }
}

/// Refreshes, each challenged as a new handset is.
fn measure_registrations() {
    let mut core = Core::new(EXTENSIONS, false);
    core.spent = Spent::default();
    let quiet = HELD.load(Relaxed);
    for n in 0..EXTENSIONS {
        core.register(n);
    }
    core.tick(Duration::from_secs(40));
    let held = (HELD.load(Relaxed) - quiet) as u64 / EXTENSIONS;
    core.spent = Spent::default();
    for n in 0..EXTENSIONS {
        core.register(n);
    }
    core.spent.print("registration (401, digest, 200)", EXTENSIONS);
    println!("binding: {held} octets held");
}

fn measure_calls() {
    let mut core = Core::new(CALLS, true);
    for n in 0..CALLS {
        core.register(n);
    }
    core.tick(Duration::from_secs(60));
    // The first ones grow the tables.
    for n in 0..CALLS {
        core.call(n, 1);
        core.hang_up(n, 1);
    }
    core.tick(Duration::from_secs(40));
    let quiet = HELD.load(Relaxed);
    core.spent = Spent::default();
    for n in 0..CALLS {
        core.call(n, 2);
    }
    let fresh = (HELD.load(Relaxed) - quiet) as u64 / CALLS;
    core.tick(Duration::from_secs(40));
    let held = (HELD.load(Relaxed) - quiet) as u64 / CALLS;
    for n in 0..CALLS {
        core.hang_up(n, 2);
    }
    core.spent.print("call out (challenge, ring, answer, bye), media relay included", CALLS);
    println!("call: {fresh} octets held when it is answered, {held} from 40 s on");
    core.tick(Duration::from_secs(40));
    println!("after the calls: {} octets more than before", HELD.load(Relaxed) as i64 - quiet as i64);
}

/// What turns of the core cost.
#[derive(Default)]
struct Spent {
    time: Duration,
    allocations: usize,
    turns: u64,
}

impl Spent {
    fn print(&self, what: &str, count: u64) {
        let each = self.time / count as u32;
        let (allocations, turns) = (self.allocations as u64 / count, self.turns / count);
        println!("{what}: {allocations} allocations, {turns} inputs, {each:?}");
    }
}

struct Core {
    engine: Engine,
    relay: Relay,
    now: Instant,
    trunk: Option<Flow>,
    pending: VecDeque<Input>,
    /// What the phones got since they last looked.
    replies: Vec<String>,
    spent: Spent,
    /// To of calls that are up, by phone.
    tags: BTreeMap<u64, String>,
    serial: u64,
    port: u16,
}

impl Core {
    fn new(extensions: u64, trunk: bool) -> Core {
        let config = Arc::new(config(extensions));
        let secrets = Arc::new(secrets_of(&config));
        let now = Instant::from_secs(1);
        let mut core = Core {
            engine: Engine::new(config, secrets, None, [3; 32], now, WALL),
            relay: Relay::new(Random::from_number(1)),
            now,
            trunk: None,
            pending: VecDeque::new(),
            replies: Vec::new(),
            spent: Spent::default(),
            tags: BTreeMap::new(),
            serial: 0,
            port: 20_000,
        };
        if trunk {
            core.input(Input::Tick);
            assert!(core.trunk.is_some(), "the trunk is up");
        }
        core
    }

    /// What a driver does with one input; all that is measured.
    #[inline(never)]
    fn turn(&mut self, input: Input) -> Vec<Output> {
        let began = std::time::Instant::now();
        let allocations = ALLOCATIONS.load(Relaxed);
        self.engine.handle(self.now, WALL, input);
        let outputs = std::iter::from_fn(|| self.engine.poll_output()).collect();
        self.engine.poll_timeout();
        self.spent.allocations += ALLOCATIONS.load(Relaxed) - allocations;
        self.spent.time += began.elapsed();
        self.spent.turns += 1;
        outputs
    }

    fn input(&mut self, input: Input) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            for output in self.turn(input) {
                self.carry_out(output);
            }
        }
    }

    /// Time passes, with all that is due meanwhile.
    fn tick(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.engine.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { flow, bytes } => {
                let text = String::from_utf8(bytes).expect("SIP of ours is UTF-8");
                if flow.transport == Transport::Udp {
                    self.replies.push(text);
                } else if !text.trim().is_empty() {
                    self.on_domain(flow, &text);
                }
            }
            Output::Connect { connection, address, .. } => {
                let flow = Flow {
                    transport: Transport::Tls,
                    local: address_of("203.0.113.7:40000"),
                    remote: address,
                    connection,
                };
                self.trunk = Some(flow);
                self.pending.push_back(Input::Connected { connection, flow });
            }
            Output::Resolve { query, question } => {
                let answer = match question {
                    DnsQuestion::Address(_) => DnsAnswer::Address(vec![address_of(EDGE).ip()]),
                    DnsQuestion::Naptr(_) => DnsAnswer::Naptr(Vec::new()),
                    DnsQuestion::Srv(_) => DnsAnswer::Srv(Vec::new()),
                };
                self.pending.push_back(Input::Resolved { query, answer });
            }
            Output::Media(command) => self.media(command),
            Output::Open { .. } | Output::Close { .. } => {}
            Output::Persist | Output::CallBack(_) | Output::Carrier(_) | Output::Forward(_) | Output::Event(_) => {}
        }
    }

    fn media(&mut self, command: Command) {
        match command {
            Command::Open { leg, bind, .. } => {
                self.relay.open(leg).expect("there is room");
                self.port = 20_000 + (self.port + 2) % 20_000;
                let local = SocketAddr::new(bind, self.port);
                self.pending.push_back(Input::Media(Notice::Opened { leg, local }));
            }
            Command::Set { leg, params } => self.relay.set(self.now, leg, *params),
            Command::Connect { a, b } => self.relay.connect(a, b),
            Command::Close { leg } => {
                if let Some((_, report)) = self.relay.close(leg) {
                    self.pending.push_back(Input::Media(Notice::Closed { leg, report }));
                }
            }
            Command::Move { .. } | Command::Dtmf { .. } | Command::Play { .. } => {}
        }
    }

    // The phones.

    fn receive(&mut self, phone: u64, text: String) -> Vec<String> {
        let octets = u32::try_from(phone).expect("few phones").to_be_bytes();
        let remote = SocketAddr::from(([192, 168, 8 + octets[2], octets[3]], 5060));
        let flow = Flow { transport: Transport::Udp, local: address_of(LAN), remote, connection: 0 };
        self.input(Input::Received { flow, bytes: text.into_bytes() });
        std::mem::take(&mut self.replies)
    }

    /// The head that all requests of a phone share.
    fn request(&mut self, phone: u64, start: &str, call_id: &str, cseq: &str, to: &str) -> String {
        self.serial += 1;
        let (name, serial) = (name(phone), self.serial);
        format!(
            "{start} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.8.1:5060;branch=z9hG4bK-{serial};rport\r\n\
             From: <sip:{name}@192.168.1.1>;tag=phone{phone}\r\nTo: {to}\r\nCall-ID: {call_id}@192.168.8.1\r\n\
             CSeq: {cseq}\r\nContact: <sip:{name}@192.168.8.1:5060>\r\nMax-Forwards: 70\r\nUser-Agent: bench\r\n"
        )
    }

    fn register(&mut self, phone: u64) {
        self.tick(Duration::from_millis(10));
        let (to, id) = (format!("<sip:{}@192.168.1.1>", name(phone)), format!("register{}-{phone}", self.serial));
        let ask = |core: &mut Core, cseq, credentials: &str| {
            let head = core.request(phone, "REGISTER sip:192.168.1.1", &id, cseq, &to);
            core.receive(phone, format!("{head}{credentials}Expires: 3600\r\nContent-Length: 0\r\n\r\n"))
        };
        let challenge = ask(self, "1 REGISTER", "");
        let credentials = credentials(&challenge[0], phone, "REGISTER", "sip:192.168.1.1");
        let done = ask(self, "2 REGISTER", &credentials);
        assert!(done[0].starts_with("SIP/2.0 200"), "{done:?}");
    }

    /// A call outside that is answered.
    fn call(&mut self, phone: u64, round: u64) {
        self.tick(Duration::from_millis(10));
        let (uri, id) = ("sip:5035551212@192.168.1.1", format!("call{round}-{phone}"));
        let to = format!("<{uri}>");
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.168.8.1\r\ns=-\r\nc=IN IP4 192.168.8.1\r\nt=0 0\r\n\
                   m=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
                   a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
        let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
        let head = self.request(phone, &format!("INVITE {uri}"), &id, "1 INVITE", &to);
        let challenge = self.receive(phone, format!("{head}{body}"));
        let tagged = header(&challenge[0], "To").to_owned();
        let ack = self.request(phone, &format!("ACK {uri}"), &id, "1 ACK", &tagged);
        self.receive(phone, format!("{ack}Content-Length: 0\r\n\r\n"));
        let head = self.request(phone, &format!("INVITE {uri}"), &id, "2 INVITE", &to);
        let credentials = credentials(&challenge[0], phone, "INVITE", uri);
        let replies = self.receive(phone, format!("{head}{credentials}{body}"));
        let answer = replies.last().expect("an answer");
        assert!(answer.starts_with("SIP/2.0 200"), "{replies:?}");
        let tagged = header(answer, "To").to_owned();
        let ack = self.request(phone, &format!("ACK {uri}"), &id, "2 ACK", &tagged);
        self.receive(phone, format!("{ack}Content-Length: 0\r\n\r\n"));
        self.tags.insert(phone, tagged);
    }

    fn hang_up(&mut self, phone: u64, round: u64) {
        self.tick(Duration::from_millis(10));
        let (uri, id) = ("sip:5035551212@192.168.1.1", format!("call{round}-{phone}"));
        let tagged = self.tags.remove(&phone).expect("a call");
        let bye = self.request(phone, &format!("BYE {uri}"), &id, "3 BYE", &tagged);
        let replies = self.receive(phone, format!("{bye}Content-Length: 0\r\n\r\n"));
        assert!(replies[0].starts_with("SIP/2.0 200"), "{replies:?}");
    }

    // The SIP domain.

    fn on_domain(&mut self, flow: Flow, request: &str) {
        let (method, _) = request.split_once(' ').expect("a request line");
        let replies = match method {
            "REGISTER" if header(request, "Authorization").is_empty() => {
                vec![reply(request, "401 Unauthorized", &format!("WWW-Authenticate: {CHALLENGE}\r\n"), "")]
            }
            "REGISTER" => {
                let contact = format!("Contact: {};expires=3600\r\n", header(request, "Contact"));
                vec![reply(request, "200 OK", &contact, "")]
            }
            "INVITE" if header(request, "Proxy-Authorization").is_empty() => {
                let challenge = format!("Proxy-Authenticate: {CHALLENGE}\r\n");
                vec![reply(request, "407 Proxy Authentication Required", &challenge, "")]
            }
            "INVITE" => {
                let more = "Record-Route: <sip:54.172.60.1:5061;transport=tls;r2=on;lr>\r\n\
                            Record-Route: <sip:54.172.60.1;r2=on;lr>\r\nContact: <sip:172.25.75.240:5060>\r\n";
                let sdp = "v=0\r\no=- 1 1 IN IP4 168.86.130.1\r\ns=-\r\nc=IN IP4 168.86.130.1\r\nt=0 0\r\n\
                           m=audio 40000 RTP/SAVP 0 101\r\n\
                           a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNk\r\n\
                           a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
                           a=ptime:20\r\na=sendrecv\r\n";
                let typed = format!("{more}Content-Type: application/sdp\r\n");
                vec![
                    reply(request, "100 Trying", "", ""),
                    reply(request, "180 Ringing", more, ""),
                    reply(request, "200 OK", &typed, sdp),
                ]
            }
            "ACK" => Vec::new(),
            _ => vec![reply(request, "200 OK", "", "")],
        };
        let inputs = replies.into_iter().map(|text| Input::Received { flow, bytes: text.into_bytes() });
        self.pending.extend(inputs);
    }
}

const CHALLENGE: &str =
    "Digest realm=\"sip.twilio.com\", nonce=\"oMJZVe_lvfmXUcIrVFmK3A\", opaque=\"2f1\", qop=\"auth\"";

/// A response with what it must repeat.
fn reply(request: &str, status: &str, more: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.split("\r\n").skip(1).take_while(|line| !line.is_empty()) {
        match line.split_once(':').expect("a header").0 {
            "To" if !line.contains(";tag=") && !status.starts_with("100") => text += &format!("{line};tag=far\r\n"),
            "Via" | "From" | "To" | "Call-ID" | "CSeq" => text += &format!("{line}\r\n"),
            _ => {}
        }
    }
    text + &format!("{more}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A header's value, or nothing.
fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let lines = message.split("\r\n").take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(": ")).find(|(one, _)| *one == name).map_or("", |(_, value)| value)
}

/// The Authorization header that answers a 401.
fn credentials(challenge: &str, phone: u64, method: &str, uri: &str) -> String {
    let name = name(phone);
    let challenge = Challenge::parse(header(challenge, "WWW-Authenticate")).expect("a challenge");
    format!("Authorization: {}\r\n", answer(&challenge, &name, &password(&name), method, uri, 1, "0a4f113b"))
}

fn name(phone: u64) -> String {
    (1000 + phone).to_string()
}

fn password(name: &str) -> String {
    format!("lan-secret-{name}")
}

fn address_of(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn config(extensions: u64) -> Config {
    let file = OfficeFile::new().table("trunk").with("servers", ["office.sip.ashburn.twilio.com"]);
    let file = file.table("limits").with("calls", 400);
    let add = |file: OfficeFile, n| file.extension(&name(n)).with("caller_id", "+15035550100");
    (0..extensions).fold(file, add).config()
}
