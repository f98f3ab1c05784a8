//! Every timer and every race of the four machines, in virtual time.

mod invite_client;
mod invite_server;
mod layer;
mod noise;
mod non_invite;
mod pair;
mod ways;

use std::net::SocketAddr;

use super::*;
use crate::sip::flow::Transport;
use crate::sip::wire::{Datagram, read_datagram};

const OWNER: u8 = 7;

/// A layer, its clock and what it did: `0.500 > INVITE` for octets sent, `32.000 ! Failed Timeout` for events.
struct Layer {
    transactions: Transactions<u8>,
    random: Random,
    now: Instant,
}

impl Layer {
    fn new() -> Self {
        Layer { transactions: Transactions::default(), random: Random::from_number(1), now: Instant::ZERO }
    }

    /// Lets time pass up to `seconds` and gives what was done on the way, now included.
    fn run(&mut self, seconds: f64) -> Vec<String> {
        let end = Instant::from_micros((seconds * 1e6) as u64);
        let mut done = self.drain();
        while let Some(at) = self.transactions.poll_timeout().filter(|&at| at <= end) {
            assert!(at > self.now, "a timer must be ahead");
            self.now = at;
            self.transactions.handle_timeout(at);
            done.extend(self.drain());
        }
        self.now = end;
        done
    }

    fn drain(&mut self) -> Vec<String> {
        let at = self.now.as_micros() as f64 / 1e6;
        let mut done = Vec::new();
        while let Some((_, octets)) = self.transactions.poll_transmit() {
            done.push(format!("{at:.3} > {}", summary(&message(&octets))));
        }
        while let Some(event) = self.transactions.poll_event() {
            done.push(format!("{at:.3} ! {}", event_summary(&event)));
        }
        done
    }

    fn sent(&mut self) -> (Flow, SipMessage) {
        let (flow, octets) = self.transactions.poll_transmit().expect("something was sent");
        (flow, message(&octets))
    }

    fn sent_request(&mut self) -> Request {
        match self.sent().1 {
            SipMessage::Request(request) => request,
            SipMessage::Response(response) => panic!("a response was sent: {}", response.status_code),
        }
    }

    fn sent_response(&mut self) -> (Flow, Response) {
        match self.sent() {
            (flow, SipMessage::Response(response)) => (flow, response),
            (_, SipMessage::Request(request)) => panic!("a request was sent: {}", request.method),
        }
    }

    fn receive(&mut self, flow: Flow, message: impl Into<SipMessage>) {
        self.receive_as(flow, message, Priority::Ordinary);
    }

    fn receive_as(&mut self, flow: Flow, message: impl Into<SipMessage>, priority: Priority) {
        self.transactions.receive(self.now, flow, message.into(), priority);
    }

    fn send(&mut self, flow: Flow, request: Request) -> ClientId {
        self.transactions.request(self.now, flow, request, OWNER, Priority::Ordinary, &mut self.random)
    }

    fn respond(&mut self, id: ServerId, request: &Request, code: u16) {
        self.transactions.respond(self.now, id, response_to(request, code, Some("ours")));
    }

    /// The id and request of the next event, which must be a request.
    fn request(&mut self) -> (ServerId, Request) {
        match self.transactions.poll_event() {
            Some(Event::Request { id, request, .. }) => (id, request),
            other => panic!("no request: {other:?}"),
        }
    }

    fn cancel(&mut self, id: ClientId) {
        self.transactions.cancel(self.now, id, None);
    }

    /// Nothing may be left of anything.
    fn assert_empty(&self) {
        let t = &self.transactions;
        assert!(t.is_empty());
        assert_eq!(t.poll_timeout(), None);
        assert_eq!(t.octets(), 0);
        assert!(t.client_keys.is_empty() && t.server_keys.is_empty() && t.merge_keys.is_empty());
    }
}

fn message(octets: &[u8]) -> SipMessage {
    match read_datagram(octets) {
        Ok(Datagram::Message(message)) => message,
        other => panic!("what we send can be read: {other:?}"),
    }
}

fn summary(message: &SipMessage) -> String {
    match message {
        SipMessage::Request(request) => wire::method_token(request.method).to_owned(),
        SipMessage::Response(response) => response.status_code.code().to_string(),
    }
}

fn event_summary(event: &Event<u8>) -> String {
    match event {
        Event::Request { request, .. } => wire::method_token(request.method).to_owned(),
        Event::Ack { .. } => "ACK".to_owned(),
        Event::Cancelled { .. } => "Cancelled".to_owned(),
        Event::Crowded { .. } => "Crowded".to_owned(),
        Event::NoAck { .. } => "NoAck".to_owned(),
        Event::Response { response, .. } => response.status_code.code().to_string(),
        Event::Over { .. } => "Over".to_owned(),
        Event::Failed { failure, .. } => format!("Failed {failure:?}"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn flow(transport: Transport) -> Flow {
    let connection = u64::from(transport.is_reliable());
    Flow { transport, local: address("192.0.2.1:5060"), remote: address("192.0.2.101:40000"), connection }
}

fn udp() -> Flow {
    flow(Transport::Udp)
}

fn tls() -> Flow {
    flow(Transport::Tls)
}

/// A request of ours, as a user hands it in: no Via.
fn ours(method: Method) -> Request {
    let token = wire::method_token(method);
    request(&format!(
        "{token} sip:102@192.0.2.101 SIP/2.0\r\nRoute: <sip:192.0.2.101;lr>\r\nFrom: <sip:101@gw>;tag=a\r\n\
         To: <sip:102@gw>\r\nCall-ID: c1\r\nCSeq: 7 {token}\r\nContact: <sip:101@192.0.2.1>\r\n"
    ))
}

/// A request of theirs with this branch, `rport` asked for.
fn theirs(method: Method, branch: &str) -> Request {
    let token = wire::method_token(method);
    request(&format!(
        "{token} sip:5551212@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.101:5060;rport;branch={branch}\r\n\
         From: <sip:101@gw>;tag=b\r\nTo: <sip:5551212@gw>\r\nCall-ID: c2\r\nCSeq: 1 {token}\r\n\
         Contact: <sip:101@192.0.2.101>\r\nMax-Forwards: 70\r\n"
    ))
}

/// The request of a head without Via or blank line.
fn request(head: &str) -> Request {
    let via = if head.contains("Via:") { "" } else { "Via: SIP/2.0/UDP none;branch=z9hG4bKnone\r\n" };
    let SipMessage::Request(mut request) = message(format!("{head}{via}\r\n").as_bytes()) else { panic!("a request") };
    if !via.is_empty() {
        header::remove(&mut request.headers, "Via");
    }
    request
}

/// Their answer to a request of ours.
fn answer(request: &Request, code: u16, tag: &str) -> Response {
    response_to(request, code, Some(tag))
}
