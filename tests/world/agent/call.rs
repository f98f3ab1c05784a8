//! What an agent can do with a call.

use std::time::Duration;

use gateway_core::media::MasterKey;
use gateway_core::sip::header;
use gateway_core::sip::transaction::response_to;
use gateway_core::sip::uri;
use gateway_core::time::Instant;
use rsip::{Headers, Method, Request, Response, Version};

use super::sdp::Media;
use super::transaction::Purpose;
use super::{Agent, Reaction, Then, Wake, bytes_of, ms};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ours, nothing heard but 100.
    Calling,
    /// Ours, 18x came.
    Ringing,
    /// Theirs, not answered.
    Incoming,
    Talking,
    /// Our BYE waits for its answer.
    Leaving,
    Over,
}

/// How a call ended, from where the agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Refused(u16),
    /// We refused it.
    Declined(u16),
    TheyHungUp,
    WeHungUp,
    TheyCancelled,
    Timeout,
    /// The stream that it was on is gone.
    Lost,
}

#[derive(Debug)]
pub struct Call {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: Option<String>,
    /// The tag of a provisional response: what a transfer names while it rings.
    pub early_tag: Option<String>,
    /// From and To of our requests, without tags.
    pub local: String,
    pub remote: String,
    /// Their Contact.
    pub target: String,
    /// Route of our requests.
    pub routes: Vec<String>,
    /// The Route that their requests must have.
    pub expected_routes: Vec<String>,
    pub user: String,
    pub cseq: u32,
    pub remote_cseq: u32,
    pub began: Instant,
    pub outgoing: bool,
    /// What was dialled: the user of the Request-URI.
    pub dialled: String,
    /// User of the From of an INVITE that came.
    pub caller: String,
    pub state: State,
    pub ended: Option<Ended>,
    pub ended_at: Option<Instant>,
    pub answered_at: Option<Instant>,
    /// Provisional codes that came, 100 too.
    pub provisional: Vec<u16>,
    /// Reason of the BYE or CANCEL that came.
    pub reason: Option<String>,
    pub media: Media,
    /// Codes of NOTIFYs' sipfrags.
    pub notified: Vec<u16>,
    pub refer_code: Option<u16>,
    pub info_code: Option<u16>,
    pub reinvite_code: Option<u16>,
    /// What our BYE got in the end.
    pub bye_code: Option<u16>,
    pub reinvites_seen: usize,
    pub pracks_seen: usize,
    /// Our INVITE's transaction, theirs.
    pub(super) client: Option<usize>,
    pub(super) server: Option<usize>,
    pub(super) reaction: Reaction,
    /// The last ACK that we sent, with the CSeq number of its INVITE.
    pub(super) ack: Option<(u32, Vec<u8>)>,
    pub rseq: u32,
    /// Session interval, and whether we refresh.
    pub session: Option<(u32, bool)>,
    /// A re-INVITE of ours is under way.
    pub(super) reinviting: bool,
    /// To be done as soon as the first INVITE has been answered.
    pub give_up: bool,
    pub(super) empty_reinvite: bool,
}

impl Call {
    /// An emergency call is answered with G.711 whatever it offers; a phone that has none cannot talk.
    pub(super) fn lacks_codec(&self) -> bool {
        self.outgoing && !self.media.knows_g711() && matches!(&*self.dialled, "911" | "933")
    }
}

impl Agent {
    pub(super) fn is_secure(&self) -> bool {
        self.domain.as_ref().map_or(self.traits.srtp, |domain| domain.secure)
    }

    pub(super) fn new_media(&mut self) -> Media {
        self.next_port += 2;
        let key = MasterKey(self.random.bytes());
        let secure = self.is_secure();
        Media::new(self.rtp_host, self.next_port, key, secure, &self.traits.codecs)
    }

    pub(super) fn blank_call(&mut self, outgoing: bool, reaction: Reaction) -> Call {
        let media = self.new_media();
        Call {
            call_id: String::new(),
            local_tag: self.random.hex(5),
            remote_tag: None,
            early_tag: None,
            local: String::new(),
            remote: String::new(),
            target: String::new(),
            routes: Vec::new(),
            expected_routes: Vec::new(),
            user: self.name.clone(),
            cseq: 0,
            remote_cseq: 0,
            began: self.now,
            outgoing,
            dialled: String::new(),
            caller: String::new(),
            state: if outgoing { State::Calling } else { State::Incoming },
            ended: None,
            ended_at: None,
            answered_at: None,
            provisional: Vec::new(),
            reason: None,
            media,
            notified: Vec::new(),
            refer_code: None,
            info_code: None,
            reinvite_code: None,
            bye_code: None,
            reinvites_seen: 0,
            pracks_seen: 0,
            client: None,
            server: None,
            reaction,
            ack: None,
            rseq: 0,
            session: None,
            reinviting: false,
            give_up: false,
            empty_reinvite: false,
        }
    }

    /// A handset dials a number, or a whole URI.
    pub fn dial(&mut self, number: &str) -> usize {
        let name = self.name.clone();
        let target = match number.contains(':') {
            true => number.to_owned(),
            false => format!("sip:{number}@192.168.1.1"),
        };
        self.invite(number, &target, &format!("<sip:{name}@192.168.1.1>"), &name, Vec::new())
    }

    /// The SIP domain calls an extension by its binding.
    pub fn call_in(&mut self, extension: &str, from: &str) -> usize {
        let bindings = self.domain.as_ref().and_then(|domain| domain.bindings.get(extension));
        let target =
            bindings.and_then(|bindings| bindings.last()).cloned().unwrap_or(format!("sip:{extension}@203.0.113.7"));
        let headers = vec![
            header::make("X-Twilio-AccountSid", "AC0123456789abcdef0123456789abcdef"),
            header::make("X-Twilio-CallSid", "CA0123456789abcdef0123456789abcdef"),
            header::make("User-Agent", "Twilio Gateway"),
        ];
        self.invite(extension, &target, &format!("<sip:{from}@office.sip.twilio.com>"), from, headers)
    }

    fn invite(&mut self, number: &str, target: &str, local: &str, user: &str, more: Vec<rsip::Header>) -> usize {
        let mut call = self.blank_call(true, Reaction::default());
        call.call_id = format!("{}@{}", self.random.hex(8), self.name);
        call.local = local.into();
        call.remote = match self.domain {
            Some(_) => format!("<sip:{number}@office.sip.twilio.com>"),
            None if number.contains(':') => format!("<{number}>"),
            None => format!("<sip:{number}@192.168.1.1>"),
        };
        call.target = target.into();
        call.user = user.into();
        call.dialled = number.into();
        call.cseq = 1 + u32::from(self.random.bytes::<1>()[0]);
        let id = self.calls.len();
        self.calls.push(call);
        let mut request = self.in_dialog(id, Method::Invite);
        for route in &self.record_route {
            request.headers.push(header::make("Record-Route", route.as_str()));
        }
        more.into_iter().for_each(|header| request.headers.push(header));
        if self.traits.reliable_provisionals {
            request.headers.push(header::make("Require", "100rel"));
        }
        self.ask_for_timer(&mut request.headers);
        if !self.traits.offerless {
            let body = self.calls[id].media.offer();
            describe(&mut request, body);
        }
        for (name, value) in &self.traits.headers {
            header::set(&mut request.headers, name, value.as_str());
        }
        self.calls[id].client = Some(self.send(request, Purpose::Invite(id), 0));
        id
    }

    fn ask_for_timer(&self, headers: &mut Headers) {
        if let Some(seconds) = self.traits.session {
            let refresher = if self.traits.refreshes { "uac" } else { "uas" };
            headers.push(header::make("Supported", "timer"));
            headers.push(header::make("Session-Expires", format!("{seconds};refresher={refresher}")));
        }
    }

    /// The next request of a call (RFC 3261 section 12.2.1.1, loose routers only).
    pub(super) fn in_dialog(&mut self, id: usize, method: Method) -> Request {
        let call = &mut self.calls[id];
        call.cseq += 1;
        let mut headers = Headers::default();
        headers.push(header::make("Max-Forwards", "60"));
        for route in &call.routes {
            headers.push(header::make("Route", route.as_str()));
        }
        headers.push(header::make("From", format!("{};tag={}", call.local, call.local_tag)));
        let tag = call.remote_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        headers.push(header::make("To", format!("{}{tag}", call.remote)));
        headers.push(header::make("Call-ID", call.call_id.as_str()));
        headers.push(header::make("CSeq", format!("{} {}", call.cseq, gateway_core::sip::wire::method_token(method))));
        let uri = uri::parse_request(&call.target).expect("the product's Contact was read before");
        let user = call.user.clone();
        headers.push(header::make("Contact", self.own_contact(&user)));
        Request { method, uri, version: Version::V2, headers, body: Vec::new() }
    }

    /// Behind the proxies Twilio's Contact is a private address.
    pub(super) fn own_contact(&self, user: &str) -> String {
        match self.domain {
            Some(_) => format!("<sip:{user}@172.25.75.240:5060;transport=udp>"),
            None => self.contact(user),
        }
    }

    // What people do.

    /// 180 or 183.
    pub fn ring(&mut self, id: usize) {
        if self.calls[id].state != State::Incoming {
            return;
        }
        let early = self.calls[id].reaction.early_media;
        let Some(mut response) = self.reply(id, if early { 183 } else { 180 }) else { return };
        if early && let Some(body) = self.early_answer(id) {
            response.headers.push(header::make("Content-Type", "application/sdp"));
            response.body = body;
        }
        if self.traits.demands_reliable {
            self.calls[id].rseq += 1;
            response.headers.push(header::make("Require", "100rel"));
            response.headers.push(header::make("RSeq", self.calls[id].rseq.to_string()));
        }
        let server = self.calls[id].server.expect("an INVITE that came has a transaction");
        self.respond(server, &response, false);
    }

    fn early_answer(&mut self, id: usize) -> Option<Vec<u8>> {
        let server = self.calls[id].server?;
        let offer = self.server_body(server);
        if offer.is_empty() {
            return None;
        }
        self.calls[id].media.answer(&offer).ok()
    }

    /// Answers a call that came in.
    pub fn pick_up(&mut self, id: usize) {
        if self.calls[id].state != State::Incoming {
            return;
        }
        let server = self.calls[id].server.expect("an INVITE that came has a transaction");
        let offer = self.server_body(server);
        let body = if offer.is_empty() {
            self.servers[server].offers = true;
            Ok(self.calls[id].media.offer())
        } else {
            self.calls[id].media.answer(&offer)
        };
        let Ok(body) = body else { return self.refuse(id, 488) };
        let Some(mut response) = self.reply(id, 200) else { return };
        self.agree_on_timer(id, server, &mut response);
        response.headers.push(header::make("Content-Type", "application/sdp"));
        response.body = body;
        self.respond(server, &response, true);
        let now = self.now;
        let call = &mut self.calls[id];
        call.state = State::Talking;
        call.answered_at = Some(now);
        if let Some(after) = call.reaction.hang_up {
            self.wake(Wake::HangUp(id), after);
        }
    }

    /// A second 2xx to the same INVITE, as a forking proxy lets through. The call of the second fork.
    pub fn fork(&mut self, id: usize) -> usize {
        let server = self.calls[id].server.expect("an INVITE that came has a transaction");
        let offer = self.server_body(server);
        let mut fork = self.blank_call(false, self.calls[id].reaction);
        let first = &self.calls[id];
        fork.call_id.clone_from(&first.call_id);
        fork.remote_tag.clone_from(&first.remote_tag);
        fork.local.clone_from(&first.local);
        fork.remote.clone_from(&first.remote);
        fork.target.clone_from(&first.target);
        fork.expected_routes.clone_from(&first.expected_routes);
        fork.user.clone_from(&first.user);
        fork.server = first.server;
        fork.remote_cseq = first.remote_cseq;
        fork.state = State::Talking;
        let new = self.calls.len();
        self.calls.push(fork);
        let body = self.calls[new].media.answer(&offer).unwrap_or_default();
        let Some(mut response) = self.reply(new, 200) else { return new };
        describe_response(&mut response, body);
        self.out.push(gateway_core::sip::wire::write_response(&response));
        new
    }

    /// Refuses a call that came in.
    pub fn refuse(&mut self, id: usize, code: u16) {
        if self.calls[id].state != State::Incoming {
            return;
        }
        let Some(mut response) = self.reply(id, code) else { return };
        if matches!(code, 488 | 606) {
            self.offers_refused += 1;
        }
        for contact in self.traits.forwards_to.iter().filter(|_| (300..400).contains(&code)) {
            response.headers.push(header::make("Contact", contact.as_str()));
        }
        let server = self.calls[id].server.expect("an INVITE that came has a transaction");
        self.respond(server, &response, true);
        self.over(id, Ended::Declined(code));
    }

    /// Hangs up, or cancels, or declines: whatever the state of the call makes of the red button.
    pub fn hang_up(&mut self, id: usize) {
        match self.calls[id].state {
            State::Calling | State::Ringing => {
                self.calls[id].give_up = true;
                if let Some(client) = self.calls[id].client {
                    self.cancel(client);
                }
            }
            State::Incoming => self.refuse(id, 486),
            State::Talking => {
                let mut request = self.in_dialog(id, Method::Bye);
                self.give_reason(&mut request);
                self.send(request, Purpose::Bye(id), 0);
                self.calls[id].state = State::Leaving;
                self.calls[id].ended = Some(Ended::WeHungUp);
            }
            State::Leaving | State::Over => {}
        }
    }

    /// What was scripted for the INVITE.
    pub(super) fn react(&mut self, id: usize) {
        match self.calls[id].reaction.then {
            Then::Answer => self.pick_up(id),
            Then::Refuse(code) => self.refuse(id, code),
            Then::Wait | Then::Dead => {}
        }
    }

    /// Hold and resume.
    pub fn hold(&mut self, id: usize, hold: bool) {
        self.calls[id].media.holding = hold;
        self.calls[id].empty_reinvite = false;
        self.reinvite(id);
    }

    /// A re-INVITE that asks for an offer.
    pub fn reinvite_empty(&mut self, id: usize) {
        self.calls[id].empty_reinvite = true;
        self.reinvite(id);
    }

    pub fn reinvite(&mut self, id: usize) {
        if self.calls[id].state != State::Talking {
            return;
        }
        if self.calls[id].reinviting {
            return self.wake(Wake::Reinvite(id), ms(2300));
        }
        let mut request = self.in_dialog(id, Method::Invite);
        if self.calls[id].session.is_some() {
            self.ask_for_timer(&mut request.headers);
        }
        if !self.calls[id].empty_reinvite {
            let body = self.calls[id].media.offer();
            describe(&mut request, body);
        }
        self.calls[id].reinviting = true;
        self.calls[id].client = Some(self.send(request, Purpose::Reinvite(id), 0));
    }

    /// UPDATE: a refresh, or with `hold` an offer.
    pub fn update(&mut self, id: usize, hold: Option<bool>) {
        let mut request = self.in_dialog(id, Method::Update);
        if let Some(hold) = hold {
            self.calls[id].media.holding = hold;
            let body = self.calls[id].media.offer();
            describe(&mut request, body);
        }
        self.send(request, Purpose::Other(id), 0);
    }

    /// A request inside the dialog of a call, early or not; its answer goes to `answers`.
    pub fn ask_inside(&mut self, id: usize, method: Method, offers: bool) {
        let mut request = self.in_dialog(id, method);
        if offers {
            let body = self.calls[id].media.offer();
            describe(&mut request, body);
        }
        self.send(request, Purpose::Question, 0);
    }

    /// A request outside any call.
    pub fn ask(&mut self, method: Method, headers: &[(&str, &str)]) {
        let mut call = self.blank_call(true, Reaction::default());
        call.call_id = self.random.hex(8);
        call.local = format!("<sip:{}@192.168.1.1>", self.name);
        call.remote = "<sip:192.168.1.1>".into();
        call.target = "sip:192.168.1.1".into();
        call.state = State::Over;
        self.calls.push(call);
        let mut request = self.in_dialog(self.calls.len() - 1, method);
        headers.iter().for_each(|(name, value)| request.headers.push(header::make(name, *value)));
        self.send(request, Purpose::Question, 0);
    }

    /// The octets of a BYE of this call that somebody else could forge.
    pub fn forge_bye(&mut self, id: usize) -> Vec<u8> {
        let mut request = self.in_dialog(id, Method::Bye);
        self.calls[id].cseq -= 1;
        let (_, vias) = self.vias(false);
        request.headers.push(header::make("Via", vias[0].as_str()));
        bytes_of(&request)
    }

    /// REFER to a URI.
    pub fn refer(&mut self, id: usize, target: &str) {
        if self.calls[id].state != State::Talking {
            return;
        }
        let mut request = self.in_dialog(id, Method::Refer);
        request.headers.push(header::make("Refer-To", target));
        request.headers.push(header::make("Referred-By", format!("<sip:{}@192.168.1.1>", self.name)));
        self.send(request, Purpose::Other(id), 0);
    }

    /// Attended transfer: `id` shall be connected with the other end of `other`.
    pub fn refer_to_call(&mut self, id: usize, other: usize) {
        let call = &self.calls[other];
        let theirs = call.remote_tag.clone().or(call.early_tag.clone()).unwrap_or_default();
        let target = call.target.clone();
        let replaces = format!("{};to-tag={theirs};from-tag={}", call.call_id, call.local_tag);
        let escaped = replaces.replace('@', "%40").replace(';', "%3B").replace('=', "%3D");
        self.refer(id, &format!("<{target}?Replaces={escaped}>"));
    }

    /// A digit as Cisco's phones send it.
    pub fn info(&mut self, id: usize, kind: &str, body: &str) {
        let mut request = self.in_dialog(id, Method::Info);
        request.headers.push(header::make("Content-Type", kind));
        request.body = body.as_bytes().to_vec();
        self.send(request, Purpose::Other(id), 0);
    }

    // What follows.

    /// The handset's connection is gone, and all calls with it.
    pub fn lose_calls(&mut self) {
        for id in 0..self.calls.len() {
            if self.calls[id].state != State::Over {
                self.over(id, Ended::Lost);
            }
        }
    }

    pub(super) fn over(&mut self, id: usize, ended: Ended) {
        let now = self.now;
        let call = &mut self.calls[id];
        call.state = State::Over;
        call.ended.get_or_insert(ended);
        call.ended_at.get_or_insert(now);
        for wake in [Wake::Ring(id), Wake::React(id), Wake::HangUp(id), Wake::Session(id), Wake::Reinvite(id)] {
            self.timers.cancel(wake);
        }
    }

    /// A response of ours to the INVITE of a call that came in.
    pub(super) fn reply(&mut self, id: usize, code: u16) -> Option<Response> {
        let server = self.calls[id].server?;
        let request = self.server_request(server);
        let mut response = response_to(&request, code, Some(&self.calls[id].local_tag));
        if code < 300 {
            for route in &self.record_route {
                response.headers.push(header::make("Record-Route", route.as_str()));
            }
            let user = self.calls[id].user.clone();
            response.headers.push(header::make("Contact", self.own_contact(&user)));
        }
        Some(response)
    }

    /// What our 2xx says of the session timer that the INVITE asked for.
    pub(super) fn agree_on_timer(&mut self, id: usize, server: usize, response: &mut Response) {
        let request = self.server_request(server);
        let Ok(Some(asked)) = header::session_expires(&request.headers) else { return };
        if self.traits.session.is_none() {
            return;
        }
        let refreshes = match asked.refresher {
            Some(header::Refresher::Uas) => true,
            Some(header::Refresher::Uac) => false,
            None => self.traits.refreshes,
        };
        let who = if refreshes { "uas" } else { "uac" };
        response.headers.push(header::make("Session-Expires", format!("{};refresher={who}", asked.interval)));
        response.headers.push(header::make("Require", "timer"));
        self.set_session(id, Some((asked.interval, refreshes)));
    }

    pub(super) fn set_session(&mut self, id: usize, session: Option<(u32, bool)>) {
        self.calls[id].session = session;
        self.timers.cancel(Wake::Session(id));
        if let Some((interval, refreshes)) = session {
            let seconds = if refreshes { interval / 2 } else { interval - (interval / 3).min(32) };
            self.wake(Wake::Session(id), Duration::from_secs(seconds.into()));
        }
    }

    pub(super) fn session_due(&mut self, id: usize) {
        match self.calls[id].session {
            Some((_, true)) if !self.traits.forgets => {
                self.reinvite(id);
                let session = self.calls[id].session;
                self.set_session(id, session);
            }
            Some((_, false)) => {
                // Who refuses every re-INVITE has refused the refresh, too.
                if self.domain.as_ref().is_none_or(|domain| domain.refuses_reinvites.is_none()) {
                    self.fault("the other end did not refresh the session");
                }
                self.hang_up(id);
            }
            _ => {}
        }
    }

    /// Our 2xx got no ACK.
    pub(super) fn unacknowledged(&mut self, id: usize) {
        if self.calls[id].state == State::Talking {
            self.hang_up(id);
        }
    }
}

pub(super) fn describe(request: &mut Request, body: Vec<u8>) {
    request.headers.push(header::make("Content-Type", "application/sdp"));
    request.body = body;
}

pub(super) fn describe_response(response: &mut Response, body: Vec<u8>) {
    response.headers.push(header::make("Content-Type", "application/sdp"));
    response.body = body;
}
