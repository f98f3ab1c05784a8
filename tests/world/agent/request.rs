//! What comes to an agent as a request.

use gateway_core::sip::transaction::response_to;
use gateway_core::sip::{header, uri};
use rsip::{Method, Request};

use super::call::{Ended, State, describe_response};
use super::{Agent, Then, Wake, branch_of, cseq_of, tag_of, text_of, user_of};

impl Agent {
    pub(super) fn on_request(&mut self, request: Request) {
        match request.method {
            Method::Ack => return self.on_ack(&request),
            Method::Cancel => return self.on_cancel(&request),
            _ => {}
        }
        let Some(server) = self.admit(&request) else { return };
        if tag_of(&request.headers, "To").is_some() {
            return self.on_request_in_dialog(server, &request);
        }
        match request.method {
            Method::Invite => self.on_invite(server, request),
            Method::Register if self.domain.is_some() => self.on_register(server, &request),
            Method::Options => {
                self.options_seen += 1;
                self.answer(server, &request, 200);
            }
            other => {
                self.fault(format!("got an unexpected {other}"));
                self.answer(server, &request, 405);
            }
        }
    }

    fn answer(&mut self, server: usize, request: &Request, code: u16) {
        let response = response_to(request, code, Some("agent"));
        self.respond(server, &response, false);
    }

    pub(super) fn server_request(&self, server: usize) -> Request {
        self.servers[server].request.clone()
    }

    pub(super) fn server_body(&self, server: usize) -> Vec<u8> {
        self.servers[server].request.body.clone()
    }

    fn on_invite(&mut self, server: usize, request: Request) {
        let dialled = uri::user(&request.uri).unwrap_or_default();
        let reaction = match &self.domain {
            Some(domain) => domain.numbers.get(&dialled).copied().unwrap_or(self.reaction),
            None => self.reaction,
        };
        if reaction.then == Then::Dead {
            // As if it had never come: its repetitions find nothing to repeat.
            return;
        }
        if self.domain.is_none() {
            // RFC 3261 section 8.1.1.8: what we registered is what we are called by.
            let contact = format!("sip:{}@{}", self.name, self.contact_at);
            if uri::write(&request.uri) != contact {
                self.fault(format!("INVITE to {}, registered was {contact}", uri::write(&request.uri)));
            }
        } else if uri::host(&request.uri) != "office.sip.twilio.com" {
            self.fault(format!("INVITE to {}, not to the domain", uri::write(&request.uri)));
        }
        if !self.passes(server, &request) {
            return;
        }
        if self.traits.demands_reliable && !header::supports(&request.headers, "100rel") {
            let mut response = response_to(&request, 421, Some("agent"));
            response.headers.push(header::make("Require", "100rel"));
            return self.respond(server, &response, true);
        }
        let offer = String::from_utf8_lossy(&request.body);
        if self.domain.is_none() && !offer.is_empty() && offer.contains("RTP/SAVP") != self.is_secure() {
            self.offers_refused += 1;
            return self.answer(server, &request, 488);
        }
        let trying = response_to(&request, 100, None);
        self.respond(server, &trying, false);
        let mut call = self.blank_call(false, reaction);
        call.call_id = text_of(&request.headers, "Call-ID");
        call.remote_tag = tag_of(&request.headers, "From");
        call.local = text_of(&request.headers, "To");
        call.remote = strip_tag(&text_of(&request.headers, "From"));
        call.target = contact_of(&request.headers).unwrap_or_default();
        call.dialled = dialled.clone();
        call.user = dialled;
        call.caller = user_of(&request.headers, "From").unwrap_or_default();
        call.remote_cseq = cseq_of(&request.headers).0;
        // The gateway is UAC: it goes through the proxies in the opposite order of our Record-Route.
        call.expected_routes = self.record_route.iter().rev().cloned().collect();
        call.server = Some(server);
        if call.target.is_empty() {
            self.fault("INVITE without Contact");
        }
        let id = self.calls.len();
        self.servers[server].call = Some(id);
        self.calls.push(call);
        if let Some(after) = reaction.ring {
            self.wake(Wake::Ring(id), after);
        }
        if reaction.then != Then::Wait {
            self.wake(Wake::React(id), reaction.after);
        }
        self.check_offer(&request);
    }

    fn check_offer(&mut self, request: &Request) {
        let text = String::from_utf8_lossy(&request.body);
        if !text.is_empty() && text.contains("RTP/SAVP") != self.is_secure() {
            self.fault("an offer with the wrong profile");
        }
    }

    fn on_ack(&mut self, request: &Request) {
        let (cseq, _) = cseq_of(&request.headers);
        let call = self.dialog_of(request);
        let by_branch =
            self.invite_with(&branch_of(&request.headers)).filter(|server| self.servers[*server].code >= 300);
        let server = by_branch.or_else(|| call.and_then(|call| self.accepted(call, cseq)));
        let Some(server) = server else {
            if call.is_none() {
                self.fault("got an ACK that belongs to nothing");
            }
            return;
        };
        if by_branch.is_none() {
            self.check_route(call, request);
        }
        let fresh = self.acknowledge(server);
        if let (true, Some(call), 200..300) = (fresh, call, self.servers[server].code)
            && self.servers[server].offers
            && let Err(error) = self.calls[call].media.take_answer(&request.body)
        {
            self.fault(format!("an ACK with {error}"));
        }
    }

    fn dialog_of(&self, request: &Request) -> Option<usize> {
        let headers = &request.headers;
        let call_id = text_of(headers, "Call-ID");
        self.call_of(&call_id, tag_of(headers, "To").as_deref(), tag_of(headers, "From").as_deref())
    }

    /// Requests inside a dialog go by the route set, to our Contact (RFC 3261 section 12.2.1.1).
    fn check_route(&mut self, call: Option<usize>, request: &Request) {
        let Some(call) = call else { return };
        let routes: Vec<String> = header::values(&request.headers, "Route").map(str::to_string).collect();
        if routes != self.calls[call].expected_routes {
            let expected = self.calls[call].expected_routes.clone();
            self.fault(format!("{} with Route {routes:?} where {expected:?} is the route set", request.method));
        }
        let user = self.calls[call].user.clone();
        let contact = format!("<{}>", uri::write(&request.uri));
        if contact != self.own_contact(&user) {
            self.fault(format!("{} to {contact}, our Contact is {}", request.method, self.own_contact(&user)));
        }
    }

    fn on_cancel(&mut self, request: &Request) {
        let Some(own) = self.admit(request) else { return };
        let Some(invite) = self.invite_with(&branch_of(&request.headers)) else {
            return self.answer(own, request, 481);
        };
        self.answer(own, request, 200);
        let Some(call) = self.servers[invite].call else { return };
        if self.calls[call].state == State::Incoming {
            self.calls[call].reason = header::value(&request.headers, "Reason").map(str::to_string);
            if let Some(response) = self.reply(call, 487) {
                self.respond(invite, &response, true);
            }
            self.over(call, Ended::TheyCancelled);
        }
    }

    fn on_request_in_dialog(&mut self, server: usize, request: &Request) {
        let Some(call) = self.dialog_of(request) else { return self.answer(server, request, 481) };
        self.check_route(Some(call), request);
        let (cseq, _) = cseq_of(&request.headers);
        let state = self.calls[call].state;
        if !matches!(state, State::Talking | State::Leaving) && request.method != Method::PRack {
            // A NOTIFY may be overtaken by the BYE that follows it.
            return self.answer(server, request, 481);
        }
        if cseq < self.calls[call].remote_cseq {
            return self.answer(server, request, 500);
        }
        self.calls[call].remote_cseq = cseq;
        match request.method {
            Method::Bye => {
                self.calls[call].reason = header::value(&request.headers, "Reason").map(str::to_string);
                self.answer(server, request, 200);
                self.over(call, Ended::TheyHungUp);
            }
            Method::Invite | Method::Update => self.on_reinvite(server, call, request),
            Method::Notify => {
                let body = String::from_utf8_lossy(&request.body);
                let code = body.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
                self.calls[call].notified.push(code);
                self.answer(server, request, 200);
            }
            Method::PRack if self.calls[call].rseq > 0 => {
                self.calls[call].pracks_seen += 1;
                self.answer(server, request, 200);
            }
            Method::Info | Method::Options => self.answer(server, request, 200),
            other => {
                self.fault(format!("got an unexpected {other} in a dialog"));
                self.answer(server, request, 405);
            }
        }
    }

    fn on_reinvite(&mut self, server: usize, call: usize, request: &Request) {
        if self.calls[call].reinviting {
            return self.answer(server, request, 491);
        }
        if let Some(code) = self.domain.as_ref().and_then(|domain| domain.refuses_reinvites) {
            return self.respond(server, &response_to(request, code, None), true);
        }
        self.servers[server].call = Some(call);
        self.calls[call].reinvites_seen += 1;
        let body = match request.body.is_empty() {
            true => {
                self.servers[server].offers = true;
                Ok(self.calls[call].media.offer())
            }
            false => self.calls[call].media.answer(&request.body),
        };
        let Ok(body) = body else {
            if !self.calls[call].lacks_codec() {
                self.fault("an offer in a re-INVITE that cannot be answered");
            }
            let response = response_to(request, 488, None);
            return self.respond(server, &response, true);
        };
        if let Some(contact) = contact_of(&request.headers) {
            self.calls[call].target = contact;
        }
        let mut response = response_to(request, 200, None);
        let user = self.calls[call].user.clone();
        response.headers.push(header::make("Contact", self.own_contact(&user)));
        self.agree_on_timer(call, server, &mut response);
        describe_response(&mut response, body);
        self.respond(server, &response, request.method == Method::Invite);
    }
}

pub(super) fn contact_of(headers: &rsip::Headers) -> Option<String> {
    match header::contacts(headers).ok()?.into_iter().next()? {
        header::Contact::Addr(address) => Some(uri::write(&address.uri)),
        header::Contact::Star => None,
    }
}

fn strip_tag(value: &str) -> String {
    value.split(";tag=").next().unwrap_or_default().to_string()
}
