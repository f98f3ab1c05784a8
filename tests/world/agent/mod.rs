//! A scripted SIP user agent: a handset on the LAN, or the SIP domain at the far end of the trunk.
//!
//! It shares with the product the reading and writing of messages and the digest, and nothing else: transactions,
//! dialogs and offer/answer are done here a second time, small and strict, so that a rule misread in the product is
//! seen. What the other end may not do becomes a line in [`Agent::faults`].

mod call;
mod domain;
mod registration;
mod request;
mod response;
mod sdp;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_core::random::Random;
use gateway_core::sip::flow::Flow;
use gateway_core::sip::header::{self, NameAddr};
use gateway_core::sip::uri;
use gateway_core::sip::wire::{self, Datagram, Frame, StreamReader};
use gateway_core::time::Instant;
use gateway_core::timers::Timers;
use rsip::{Method, Request, Response, SipMessage};

pub use call::{Call, Ended, State};
pub use domain::Domain;
pub use registration::Registration;
pub use sdp::Media;
use transaction::{Client, Server};

/// What an INVITE from outside makes an agent do.
#[derive(Clone, Copy, Debug)]
pub struct Reaction {
    /// When it rings; `None`: it sends no provisional response but 100.
    pub ring: Option<Duration>,
    /// It rings by 183 with its description.
    pub early_media: bool,
    /// When it does something more.
    pub after: Duration,
    pub then: Then,
    /// How long after the answer it hangs up by itself.
    pub hang_up: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The test says.
    Wait,
    Answer,
    Refuse(u16),
    /// Nothing at all, ever: not even a 100.
    Dead,
}

impl Default for Reaction {
    fn default() -> Self {
        Reaction { ring: Some(ms(40)), early_media: false, after: ms(0), then: Then::Wait, hang_up: None }
    }
}

impl Reaction {
    pub fn answers(after: u64) -> Self {
        Reaction { after: ms(after), then: Then::Answer, ..Reaction::default() }
    }

    pub fn refuses(code: u16) -> Self {
        Reaction { after: ms(400), then: Then::Refuse(code), ..Reaction::default() }
    }
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How an agent is made.
#[derive(Clone, Debug)]
pub struct Traits {
    /// RTP payload types, without telephone-event.
    pub codecs: Vec<u8>,
    /// Session-Expires of its INVITEs, and its Supported: timer.
    pub session: Option<u32>,
    /// Whether it names itself as the refresher where it may; else the other end.
    pub refreshes: bool,
    /// It agrees to refresh and does not.
    pub forgets: bool,
    /// Require: 100rel in its INVITEs.
    pub reliable_provisionals: bool,
    /// Its INVITEs carry no offer.
    pub offerless: bool,
    /// More headers of its INVITEs.
    pub headers: Vec<(&'static str, String)>,
    /// It never sends ACK to a 2xx.
    pub never_acks: bool,
    /// Its PRACK of a response with a description carries another offer.
    pub offers_in_prack: bool,
    /// It never sends PRACK.
    pub never_pracks: bool,
    /// A handset that speaks SRTP and nothing else.
    pub srtp: bool,
    /// It takes no INVITE that does not support 100rel, and rings reliably.
    pub demands_reliable: bool,
    /// What it makes of each INVITE and UPDATE, and of each response with a description, before they leave.
    pub dress: Option<Dress>,
    /// Where its 3xx responses send a call.
    pub forwards_to: Vec<String>,
    /// The Reason of its CANCELs and BYEs.
    pub reason: Option<String>,
}

/// Headers and body as an odd phone writes them.
pub type Dress = fn(&mut rsip::Headers, &mut Vec<u8>);

impl Default for Traits {
    fn default() -> Self {
        Traits {
            codecs: vec![0, 8],
            session: None,
            refreshes: true,
            forgets: false,
            reliable_provisionals: false,
            offerless: false,
            headers: Vec::new(),
            never_acks: false,
            offers_in_prack: false,
            never_pracks: false,
            srtp: false,
            demands_reliable: false,
            dress: None,
            forwards_to: Vec::new(),
            reason: None,
        }
    }
}

/// What an agent wakes up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Client(usize),
    ClientTimeout(usize),
    Server(usize),
    ServerTimeout(usize),
    Register,
    Ring(usize),
    React(usize),
    HangUp(usize),
    Session(usize),
    Reinvite(usize),
    Abandon(usize),
}

/// The agent.
pub struct Agent {
    /// The extension, or `twilio`.
    pub name: String,
    pub password: String,
    pub traits: Traits,
    pub reaction: Reaction,
    /// As the engine sees it, `None` while a stream is down.
    pub flow: Option<Flow>,
    pub reliable: bool,
    reader: StreamReader,
    /// Our Contact URI's host, port and parameters.
    pub contact_at: String,
    pub sent_by: String,
    /// Left in requests and responses that begin a dialog, as Twilio's two proxies do.
    record_route: Vec<String>,
    pub calls: Vec<Call>,
    clients: Vec<Client>,
    servers: Vec<Server>,
    timers: Timers<Wake>,
    random: Random,
    pub registration: Registration,
    /// Only the SIP domain has it.
    pub domain: Option<Domain>,
    /// To be sent, in order.
    out: Vec<Vec<u8>>,
    pub faults: Vec<String>,
    /// Responses to no request of this agent: their branch, and the fault that it is unless another edge asked.
    pub strays: Vec<(String, String)>,
    next_port: u16,
    pub rtp_host: std::net::IpAddr,
    pub now: Instant,
    pub options_seen: usize,
    /// INVITEs that this handset refused for what they offer.
    pub offers_refused: usize,
    /// Final codes of requests outside dialogs.
    pub answers: Vec<(Method, u16)>,
    /// Refreshes nothing any more, so that a run can become quiet.
    pub resting: bool,
    /// Where it listens, if not where it sends from; its Via names no rport then.
    pub listens: Option<std::net::SocketAddr>,
    /// Its Via asks for rport.
    pub asks_rport: bool,
    /// It has no power: it hears nothing and says nothing.
    pub off: bool,
    /// Its machine answers by ICMP that nothing listens there.
    pub refuses: bool,
    nonce_counts: BTreeMap<String, u32>,
}

impl Agent {
    pub fn new(name: &str, flow: Option<Flow>, contact_at: &str, rtp_host: std::net::IpAddr, seed: u64) -> Self {
        Agent {
            name: name.into(),
            password: String::new(),
            traits: Traits::default(),
            reaction: Reaction::default(),
            reliable: flow.is_none_or(|flow| flow.transport.is_reliable()),
            flow,
            reader: StreamReader::default(),
            contact_at: contact_at.into(),
            sent_by: contact_at.split(';').next().unwrap_or_default().into(),
            record_route: Vec::new(),
            calls: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            timers: Timers::new(),
            random: Random::from_number(seed),
            registration: Registration::default(),
            domain: None,
            out: Vec::new(),
            faults: Vec::new(),
            strays: Vec::new(),
            next_port: 30000,
            rtp_host,
            now: Instant::ZERO,
            options_seen: 0,
            offers_refused: 0,
            answers: Vec::new(),
            resting: false,
            listens: None,
            asks_rport: true,
            off: false,
            refuses: false,
            nonce_counts: BTreeMap::new(),
        }
    }

    /// What it wants to send.
    pub fn take_output(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(wake) = self.timers.pop_due(now) {
            match wake {
                Wake::Client(id) => self.repeat_request(id),
                Wake::ClientTimeout(id) => self.client_timeout(id),
                Wake::Server(id) => self.repeat_response(id),
                Wake::ServerTimeout(id) => self.server_timeout(id),
                Wake::Register => self.register_again(),
                Wake::Ring(call) => self.ring(call),
                Wake::React(call) => self.react(call),
                Wake::HangUp(call) => self.hang_up(call),
                Wake::Session(call) => self.session_due(call),
                Wake::Reinvite(call) => self.reinvite(call),
                Wake::Abandon(call) => {
                    if matches!(self.calls[call].state, State::Calling | State::Ringing) {
                        self.over(call, Ended::Timeout);
                    }
                }
            }
        }
    }

    /// Octets from the engine.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.now = now;
        if !self.reliable {
            match wire::read_datagram(bytes) {
                Ok(Datagram::Message(message)) => self.on_message(message),
                Ok(Datagram::Keepalive) => {}
                Err(error) => self.fault(format!("sent something unreadable: {error}")),
            }
            return;
        }
        self.reader.push(bytes);
        loop {
            match self.reader.next() {
                Ok(None) => return,
                Ok(Some(Frame::Message(message))) => self.on_message(message),
                Ok(Some(Frame::Ping)) => {
                    if self.domain.as_ref().is_none_or(|domain| domain.pongs) {
                        self.out.push(b"\r\n".to_vec());
                    }
                }
                Ok(Some(Frame::Pong)) => {}
                Ok(Some(Frame::Bad(error))) => self.fault(format!("sent something unreadable: {error}")),
                Err(error) => return self.fault(format!("sent what is no stream of SIP: {error}")),
            }
        }
    }

    /// Puts octets on the wire that are nobody's.
    pub fn say(&mut self, bytes: &[u8]) {
        self.out.push(bytes.to_vec());
    }

    /// A stream begins or ends: nothing of the old one may be mixed with the new one.
    pub fn set_flow(&mut self, flow: Option<Flow>) {
        self.flow = flow;
        self.reader = StreamReader::default();
        self.out.clear();
    }

    fn on_message(&mut self, message: SipMessage) {
        if self.off || self.domain.as_ref().is_some_and(|domain| domain.deaf) {
            return;
        }
        match message {
            SipMessage::Request(request) => self.on_request(request),
            SipMessage::Response(response) => self.on_response(response),
        }
    }

    /// Whether a request of this branch was made here.
    pub fn asked(&self, branch: &str) -> bool {
        self.clients.iter().any(|client| client.branch == branch)
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(format!("{} at {} us: {}", self.name, self.now.as_micros(), text.into()));
    }

    fn wake(&mut self, wake: Wake, after: Duration) {
        self.timers.set(wake, self.now + after);
    }

    fn contact(&self, user: &str) -> String {
        format!("<sip:{user}@{}>", self.contact_at)
    }

    /// The Via values of a request of ours: Twilio's INVITEs have passed a proxy.
    fn vias(&mut self, behind_proxy: bool) -> (String, Vec<String>) {
        let branch = format!("z9hG4bK{}", self.random.hex(8));
        let transport = self.flow.map_or("TLS", |flow| flow.transport.via_token());
        let rport = if self.reliable || !self.asks_rport { "" } else { ";rport" };
        let mut vias = vec![format!("SIP/2.0/{transport} {};branch={branch}{rport}", self.sent_by)];
        if behind_proxy {
            vias.push(format!("SIP/2.0/UDP 172.25.75.240:5060;rport=5060;branch=z9hG4bK{}", self.random.hex(6)));
        }
        (branch, vias)
    }

    /// The call that a message inside a dialog is for.
    fn call_of(&self, call_id: &str, local_tag: Option<&str>, remote_tag: Option<&str>) -> Option<usize> {
        self.calls.iter().position(|call| {
            call.call_id == call_id
                && Some(call.local_tag.as_str()) == local_tag
                && call.remote_tag.as_deref() == remote_tag
        })
    }
}

pub(super) fn tag_of(message: &rsip::Headers, name: &str) -> Option<String> {
    NameAddr::parse(header::value(message, name)?).ok()?.tag().map(str::to_string)
}

pub(super) fn user_of(message: &rsip::Headers, name: &str) -> Option<String> {
    uri::user(&NameAddr::parse(header::value(message, name)?).ok()?.uri)
}

pub(super) fn text_of(message: &rsip::Headers, name: &str) -> String {
    header::value(message, name).unwrap_or_default().to_string()
}

pub(super) fn branch_of(message: &rsip::Headers) -> String {
    let via = header::value(message, "Via").and_then(|via| header::Via::parse(via).ok());
    via.and_then(|via| via.branch().map(str::to_string)).unwrap_or_default()
}

pub(super) fn code_of(response: &Response) -> u16 {
    response.status_code.code()
}

pub(super) fn cseq_of(headers: &rsip::Headers) -> (u32, String) {
    header::cseq(headers).unwrap_or((0, String::new()))
}

pub(super) fn bytes_of(request: &Request) -> Vec<u8> {
    wire::write_request(request)
}
