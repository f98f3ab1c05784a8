//! Transactions of an agent: repeat until heard, answer repetitions with the same again.

use std::time::Duration;

use gateway_core::sip::{header, wire};
use rsip::{Method, Request, Response};

use super::{Agent, Wake, branch_of, bytes_of, cseq_of, ms, text_of};

const T1: Duration = ms(500);
const T2: Duration = ms(4000);
pub const TIMEOUT: Duration = ms(32_000);

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Register,
    Invite(usize),
    Reinvite(usize),
    Bye(usize),
    Other(usize),
    /// Outside any call.
    Question,
    Cancel(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Trying,
    Proceeding,
    Done(u16),
    /// Nothing came in time.
    Expired,
}

#[derive(Debug)]
pub struct Client {
    pub branch: String,
    pub request: Request,
    pub purpose: Purpose,
    pub phase: Phase,
    octets: Vec<u8>,
    interval: Duration,
    pub attempts: u8,
    /// The ACK to a final response that is no 2xx.
    pub ack: Option<Vec<u8>>,
    pub cancel_wanted: bool,
}

#[derive(Debug)]
pub struct Server {
    key: String,
    pub request: Request,
    /// The last response.
    octets: Option<Vec<u8>>,
    pub code: u16,
    interval: Duration,
    /// Whether the last response is repeated until it is acknowledged (ACK or PRACK).
    pub unacknowledged: bool,
    pub call: Option<usize>,
    /// Our 2xx carries an offer: the ACK must carry the answer.
    pub offers: bool,
}

impl Agent {
    /// Sends a request in a transaction.
    pub(super) fn send(&mut self, mut request: Request, purpose: Purpose, attempts: u8) -> usize {
        let behind_proxy = self.domain.is_some();
        let (branch, vias) = match purpose {
            Purpose::Cancel(_) => (branch_of(&request.headers), Vec::new()),
            _ => self.vias(behind_proxy),
        };
        header_front(&mut request, &vias);
        // A repeated one is dressed already.
        if let Some(dress) = self.traits.dress
            && attempts == 0
            && matches!(request.method, Method::Invite | Method::Update)
        {
            dress(&mut request.headers, &mut request.body);
        }
        let octets = bytes_of(&request);
        self.out.push(octets.clone());
        let id = self.clients.len();
        self.clients.push(Client {
            branch,
            request,
            purpose,
            phase: Phase::Trying,
            octets,
            interval: T1,
            attempts,
            ack: None,
            cancel_wanted: false,
        });
        if !self.reliable {
            self.wake(Wake::Client(id), T1);
        }
        self.wake(Wake::ClientTimeout(id), TIMEOUT);
        id
    }

    pub(super) fn repeat_request(&mut self, id: usize) {
        let client = &mut self.clients[id];
        let invite = client.request.method == Method::Invite;
        match client.phase {
            Phase::Trying => {}
            Phase::Proceeding if !invite => {}
            _ => return,
        }
        client.interval = if invite { client.interval * 2 } else { (client.interval * 2).min(T2) };
        let (octets, interval) = (client.octets.clone(), client.interval);
        self.out.push(octets);
        self.wake(Wake::Client(id), interval);
    }

    pub(super) fn client_timeout(&mut self, id: usize) {
        let client = &mut self.clients[id];
        let invite = client.request.method == Method::Invite;
        if matches!(client.phase, Phase::Done(_) | Phase::Expired) || (invite && client.phase == Phase::Proceeding) {
            return;
        }
        client.phase = Phase::Expired;
        let purpose = client.purpose;
        self.on_timeout(purpose);
    }

    /// A response found its request: the transaction's part. `true` when it is news.
    pub(super) fn advance(&mut self, id: usize, response: &Response) -> bool {
        let code = response.status_code.code();
        let invite = self.clients[id].request.method == Method::Invite;
        match self.clients[id].phase {
            Phase::Expired => false,
            Phase::Done(before) => {
                if invite && before >= 300 {
                    if code >= 200 && code != before {
                        self.fault(format!("answered an INVITE with {code} after {before}"));
                    }
                    let ack = self.clients[id].ack.clone();
                    self.out.extend(ack);
                    return false;
                }
                if invite && code >= 300 {
                    self.fault(format!("answered an INVITE with {code} after {before}"));
                }
                // Repeated 2xx: the dialog's.
                invite && (200..300).contains(&code)
            }
            _ if code < 200 => {
                let fresh = self.clients[id].phase == Phase::Trying;
                self.clients[id].phase = Phase::Proceeding;
                if fresh && self.clients[id].cancel_wanted {
                    self.send_cancel(id);
                }
                true
            }
            _ => {
                self.clients[id].phase = Phase::Done(code);
                self.timers.cancel(Wake::Client(id));
                self.timers.cancel(Wake::ClientTimeout(id));
                if invite && code >= 300 {
                    let mut ack = self.like(id, Method::Ack);
                    header::set(&mut ack.headers, "To", text_of(&response.headers, "To"));
                    let octets = bytes_of(&ack);
                    self.out.push(octets.clone());
                    self.clients[id].ack = Some(octets);
                }
                true
            }
        }
    }

    /// ACK or CANCEL to an INVITE: its top Via, its identity.
    fn like(&self, id: usize, method: Method) -> Request {
        let invite = &self.clients[id].request;
        let mut request = Request { method, body: Vec::new(), headers: Default::default(), ..invite.clone() };
        let via = text_of(&invite.headers, "Via");
        request.headers.push(header::make("Via", via));
        for route in header::values(&invite.headers, "Route") {
            request.headers.push(header::make("Route", route));
        }
        for name in ["Max-Forwards", "From", "To", "Call-ID"] {
            request.headers.push(header::make(name, text_of(&invite.headers, name)));
        }
        let (number, _) = cseq_of(&invite.headers);
        request.headers.push(header::make("CSeq", format!("{number} {method}")));
        request
    }

    /// CANCEL, now or after the first provisional response.
    pub(super) fn cancel(&mut self, id: usize) {
        match self.clients[id].phase {
            Phase::Trying => self.clients[id].cancel_wanted = true,
            Phase::Proceeding => self.send_cancel(id),
            Phase::Done(_) | Phase::Expired => {}
        }
    }

    fn send_cancel(&mut self, id: usize) {
        let mut request = self.like(id, Method::Cancel);
        self.give_reason(&mut request);
        if let Purpose::Invite(call) = self.clients[id].purpose {
            self.send(request, Purpose::Cancel(call), 0);
            // RFC 3261 section 9.1: as if the INVITE had never been answered.
            self.wake(Wake::Abandon(call), TIMEOUT);
        }
    }

    pub(super) fn give_reason(&self, request: &mut Request) {
        if let Some(reason) = &self.traits.reason {
            request.headers.push(header::make("Reason", reason.as_str()));
        }
    }

    /// Whether a request is new; a repetition is answered here.
    pub(super) fn admit(&mut self, request: &Request) -> Option<usize> {
        let key = format!("{} {}", branch_of(&request.headers), request.method);
        if let Some(known) = self.servers.iter().find(|server| server.key == key) {
            let octets = known.octets.clone();
            self.out.extend(octets);
            return None;
        }
        self.servers.push(Server {
            key,
            request: request.clone(),
            octets: None,
            code: 0,
            interval: T1,
            unacknowledged: false,
            call: None,
            offers: false,
        });
        Some(self.servers.len() - 1)
    }

    /// The INVITE that an ACK or CANCEL is for, by branch.
    pub(super) fn invite_with(&self, branch: &str) -> Option<usize> {
        let key = format!("{branch} INVITE");
        self.servers.iter().position(|server| server.key == key)
    }

    /// The 2xx that an ACK of a dialog acknowledges.
    pub(super) fn accepted(&self, call: usize, cseq: u32) -> Option<usize> {
        self.servers.iter().position(|server| {
            server.call == Some(call)
                && server.request.method == Method::Invite
                && cseq_of(&server.request.headers).0 == cseq
        })
    }

    /// Answers; with `repeat`, until it is acknowledged.
    pub(super) fn respond(&mut self, id: usize, response: &Response, repeat: bool) {
        let mut response = response.clone();
        if let Some(dress) = self.traits.dress
            && !response.body.is_empty()
        {
            dress(&mut response.headers, &mut response.body);
        }
        let octets = wire::write_response(&response);
        self.out.push(octets.clone());
        let server = &mut self.servers[id];
        server.octets = Some(octets);
        server.code = response.status_code.code();
        server.unacknowledged = repeat;
        server.interval = T1;
        if repeat {
            self.wake(Wake::Server(id), T1);
            self.wake(Wake::ServerTimeout(id), TIMEOUT);
        }
    }

    pub(super) fn acknowledge(&mut self, id: usize) -> bool {
        self.timers.cancel(Wake::Server(id));
        self.timers.cancel(Wake::ServerTimeout(id));
        std::mem::take(&mut self.servers[id].unacknowledged)
    }

    pub(super) fn repeat_response(&mut self, id: usize) {
        let server = &mut self.servers[id];
        if !server.unacknowledged {
            return;
        }
        server.interval = (server.interval * 2).min(T2);
        let (octets, interval) = (server.octets.clone(), server.interval);
        // Over a stream only a 2xx is repeated.
        if !self.reliable || (200..300).contains(&self.servers[id].code) {
            self.out.extend(octets);
        }
        self.wake(Wake::Server(id), interval);
    }

    pub(super) fn server_timeout(&mut self, id: usize) {
        if !std::mem::take(&mut self.servers[id].unacknowledged) {
            return;
        }
        self.timers.cancel(Wake::Server(id));
        let code = self.servers[id].code;
        if let Some(call) = self.servers[id].call.filter(|_| (200..300).contains(&code)) {
            self.unacknowledged(call);
        }
    }
}

fn header_front(request: &mut Request, vias: &[String]) {
    if vias.is_empty() {
        return;
    }
    let mut headers: Vec<rsip::Header> = vias.iter().map(|via| header::make("Via", via.as_str())).collect();
    headers.extend(request.headers.iter().filter(|h| !header::parts(h).0.eq_ignore_ascii_case("Via")).cloned());
    request.headers = headers.into();
}
