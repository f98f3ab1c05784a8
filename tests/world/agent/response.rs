//! What comes to an agent as a response.

use gateway_core::sip::{digest, header};
use rsip::{Method, Response};

use super::call::{Ended, State};
use super::request::contact_of;
use super::transaction::Purpose;
use super::{Agent, Wake, branch_of, bytes_of, code_of, cseq_of, ms, tag_of, text_of};

impl Agent {
    pub(super) fn on_response(&mut self, response: Response) {
        let branch = branch_of(&response.headers);
        let (_, method) = cseq_of(&response.headers);
        let found = self.clients.iter().position(|client| {
            client.branch == branch && gateway_core::sip::wire::method_token(client.request.method) == method
        });
        let Some(id) = found else {
            let fault = format!("{} at {:?}: got a response to nothing: {method} {branch}", self.name, self.now);
            return self.strays.push((branch, fault));
        };
        let sent: Vec<_> = header::values(&self.clients[id].request.headers, "Via").map(str::to_string).collect();
        let back: Vec<_> = header::values(&response.headers, "Via").map(str::to_string).collect();
        if sent.len() != back.len() || sent.get(1) != back.get(1) {
            self.fault(format!("answered with Via {back:?}, sent was {sent:?}"));
        }
        if code_of(&response) > 100 && tag_of(&response.headers, "To").is_none() {
            self.fault(format!("a {} without To-tag", code_of(&response)));
        }
        if !self.advance(id, &response) {
            return;
        }
        match self.clients[id].purpose {
            Purpose::Register => self.on_registered(id, &response),
            Purpose::Invite(call) => self.on_invite_response(id, call, &response),
            Purpose::Reinvite(call) => self.on_reinvite_response(id, call, &response),
            Purpose::Bye(call) if code_of(&response) >= 200 => {
                if self.authorize_and_repeat(id, &response) {
                    return;
                }
                self.calls[call].bye_code = Some(code_of(&response));
                self.over(call, Ended::WeHungUp);
            }
            Purpose::Other(call) => self.on_other(id, call, &response),
            Purpose::Question if code_of(&response) >= 200 => {
                if code_of(&response) == 500 && header::value(&response.headers, "Retry-After").is_none() {
                    self.fault("a 500 without Retry-After");
                }
                if code_of(&response) == 489 && header::value(&response.headers, "Allow-Events").is_none() {
                    self.fault("a 489 without Allow-Events");
                }
                self.answers.push((self.clients[id].request.method, code_of(&response)));
            }
            Purpose::Question => {}
            Purpose::Bye(_) | Purpose::Cancel(_) => {}
        }
    }

    pub(super) fn on_timeout(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Register => self.registration_failed(),
            Purpose::Invite(call) => self.over(call, Ended::Timeout),
            Purpose::Bye(call) => self.over(call, Ended::WeHungUp),
            Purpose::Reinvite(call) => {
                self.calls[call].reinviting = false;
                self.hang_up(call);
            }
            Purpose::Other(_) | Purpose::Cancel(_) | Purpose::Question => {}
        }
    }

    /// Sends a request again with credentials or a longer session interval.
    pub(super) fn authorize_and_repeat(&mut self, id: usize, response: &Response) -> bool {
        if self.clients[id].attempts >= 3 {
            return false;
        }
        let mut request = self.clients[id].request.clone();
        match code_of(response) {
            401 | 407 => {
                let Some((challenge, name)) = digest::strongest(response) else { return false };
                let target = gateway_core::sip::uri::write(&request.uri);
                let count = self.nonce_counts.entry(challenge.nonce.clone()).or_insert(0);
                *count += 1;
                let nc = *count;
                let cnonce = self.random.hex(4);
                let method = request.method.to_string();
                let answer = digest::answer(&challenge, &self.name, &self.password, &method, &target, nc, &cnonce);
                header::set_credentials(&mut request.headers, name, answer.to_string());
            }
            422 => {
                let least = header::min_se(&response.headers).ok().flatten().unwrap_or(90);
                // The nonce count has been used: the challenge comes again.
                header::remove(&mut request.headers, "Authorization");
                header::set(&mut request.headers, "Session-Expires", least.to_string());
                header::set(&mut request.headers, "Min-SE", least.to_string());
            }
            _ => return false,
        }
        let (cseq, method) = cseq_of(&request.headers);
        header::set(&mut request.headers, "CSeq", format!("{} {method}", cseq + 1));
        let (purpose, attempts) = (self.clients[id].purpose, self.clients[id].attempts + 1);
        header::remove(&mut request.headers, "Via");
        let new = self.send(request, purpose, attempts);
        match purpose {
            Purpose::Register => self.set_register_cseq(cseq + 1),
            Purpose::Invite(call) | Purpose::Reinvite(call) => {
                self.calls[call].cseq = cseq + 1;
                self.calls[call].client = Some(new);
            }
            _ => {}
        }
        true
    }

    fn on_invite_response(&mut self, id: usize, call: usize, response: &Response) {
        let code = code_of(response);
        match code {
            100..200 => {
                self.calls[call].provisional.push(code);
                if code > 100 && self.calls[call].state == State::Calling {
                    self.calls[call].state = State::Ringing;
                    self.calls[call].early_tag = tag_of(&response.headers, "To");
                }
                self.early(call, response);
            }
            200..300 => self.on_accepted(id, call, response),
            _ => {
                if !self.calls[call].give_up && self.authorize_and_repeat(id, response) {
                    return;
                }
                if let Some(tag) = tag_of(&response.headers, "To") {
                    self.calls[call].remote_tag = Some(tag);
                }
                self.over(call, Ended::Refused(code));
            }
        }
    }

    /// A provisional response: PRACK where it must be, and the early dialog.
    fn early(&mut self, call: usize, response: &Response) {
        self.check_echo(call, response);
        if code_of(response) > 100 {
            self.calls[call].remote_tag = tag_of(&response.headers, "To");
            if let Some(contact) = contact_of(&response.headers) {
                self.calls[call].target = contact;
            }
        }
        let Ok(Some(rseq)) = header::rseq(&response.headers) else {
            if self.traits.reliable_provisionals && code_of(response) > 100 {
                self.fault("an unreliable provisional response where 100rel was required");
            }
            return;
        };
        if rseq <= self.calls[call].rseq {
            return;
        }
        self.calls[call].rseq = rseq;
        if self.traits.never_pracks {
            return;
        }
        let (cseq, _) = cseq_of(&response.headers);
        let mut request = self.in_dialog(call, Method::PRack);
        header::remove(&mut request.headers, "Contact");
        request.headers.push(header::make("RAck", format!("{rseq} {cseq} INVITE")));
        if self.traits.offerless && !response.body.is_empty() {
            match self.calls[call].media.answer(&response.body) {
                Ok(answer) => super::call::describe(&mut request, answer),
                // The offer was theirs and may be of no use to us.
                Err(_) if !self.calls[call].media.knows_g711() => {}
                Err(error) => self.fault(format!("a late offer with {error}")),
            }
        } else if self.traits.offers_in_prack && !response.body.is_empty() {
            let body = self.calls[call].media.offer();
            super::call::describe(&mut request, body);
        }
        self.send(request, Purpose::Other(call), 0);
    }

    /// Record-Route comes back as it was sent, in every response that makes a dialog (RFC 3261 section 12.1.1).
    fn check_echo(&mut self, call: usize, response: &Response) {
        let code = code_of(response);
        if self.domain.is_none() || code == 100 {
            return;
        }
        let echoed: Vec<_> = header::values(&response.headers, "Record-Route").map(str::to_string).collect();
        if echoed != self.record_route {
            self.fault(format!("a {code} with Record-Route {echoed:?}"));
        }
        self.calls[call].expected_routes = self.record_route.clone();
    }

    fn on_accepted(&mut self, id: usize, call: usize, response: &Response) {
        let (cseq, _) = cseq_of(&response.headers);
        if let Some((acked, ack)) = &self.calls[call].ack
            && *acked == cseq
        {
            if !self.traits.never_acks {
                self.out.push(ack.clone());
            }
            return;
        }
        self.check_echo(call, response);
        let now = self.now;
        let entry = &mut self.calls[call];
        entry.remote_tag = tag_of(&response.headers, "To");
        entry.state = State::Talking;
        entry.answered_at = Some(now);
        match contact_of(&response.headers) {
            Some(contact) => entry.target = contact,
            None => self.fault("a 2xx without Contact"),
        }
        let offerless = self.clients[id].request.body.is_empty();
        // A late offer was answered by PRACK (RFC 3261 section 13.2.1: no other offer in a response).
        let is_described = offerless && self.calls[call].rseq > 0 && self.calls[call].media.theirs.is_some();
        if is_described != response.body.is_empty()
            || !is_described && text_of(&response.headers, "Content-Type") != "application/sdp"
        {
            self.fault("a 2xx to INVITE without description, or with a second one");
        }
        let body = match is_described {
            true => None,
            false => self.take_description(call, offerless, &response.body),
        };
        self.agree_as_uac(call, response);
        self.ack(call, cseq, body);
        if self.calls[call].give_up {
            // The CANCEL came too late.
            self.hang_up(call);
        } else if let Some(after) = self.calls[call].reaction.hang_up {
            self.wake(Wake::HangUp(call), after);
        }
    }

    fn take_description(&mut self, call: usize, offerless: bool, body: &[u8]) -> Option<Vec<u8>> {
        let media = &mut self.calls[call].media;
        let result = match offerless {
            true => media.answer(body).map(Some),
            false => media.take_answer(body).map(|()| None),
        };
        match result {
            Ok(answer) => answer,
            // The offer was theirs and may be of no use to us.
            Err(_) if offerless => {
                self.calls[call].give_up = true;
                None
            }
            Err(_) if self.calls[call].lacks_codec() => {
                self.calls[call].give_up = true;
                None
            }
            Err(error) => {
                self.fault(format!("a 2xx with {error}"));
                None
            }
        }
    }

    fn agree_as_uac(&mut self, call: usize, response: &Response) {
        let session = header::session_expires(&response.headers).ok().flatten();
        let session = session.map(|agreed| (agreed.interval, agreed.refresher != Some(header::Refresher::Uas)));
        self.set_session(call, session);
    }

    fn ack(&mut self, call: usize, cseq: u32, body: Option<Vec<u8>>) {
        let before = self.calls[call].cseq;
        self.calls[call].cseq = cseq.wrapping_sub(1);
        let mut ack = self.in_dialog(call, Method::Ack);
        self.calls[call].cseq = before;
        header::remove(&mut ack.headers, "Contact");
        if let Some(body) = body {
            super::call::describe(&mut ack, body);
        }
        let (_, vias) = self.vias(self.domain.is_some());
        let mut headers: Vec<rsip::Header> = vias.iter().map(|via| header::make("Via", via.as_str())).collect();
        headers.extend(ack.headers.iter().cloned());
        ack.headers = headers.into();
        let octets = bytes_of(&ack);
        if !self.traits.never_acks {
            self.out.push(octets.clone());
        }
        self.calls[call].ack = Some((cseq, octets));
    }

    fn on_reinvite_response(&mut self, id: usize, call: usize, response: &Response) {
        let code = code_of(response);
        let (cseq, _) = cseq_of(&response.headers);
        match code {
            100..200 => {}
            200..300 => {
                if let Some((acked, ack)) = &self.calls[call].ack
                    && *acked == cseq
                {
                    self.out.push(ack.clone());
                    return;
                }
                self.calls[call].reinviting = false;
                self.calls[call].reinvite_code = Some(code);
                let offerless = self.clients[id].request.body.is_empty();
                let body = self.take_description(call, offerless, &response.body);
                if let Some(contact) = contact_of(&response.headers) {
                    self.calls[call].target = contact;
                }
                if self.calls[call].state != State::Over {
                    self.agree_as_uac(call, response);
                }
                self.ack(call, cseq, body);
            }
            401 | 407 if self.authorize_and_repeat(id, response) => {}
            _ => {
                self.calls[call].reinviting = false;
                self.calls[call].reinvite_code = Some(code);
                match code {
                    // RFC 3261 section 14.1; 500 has a Retry-After of at most 10 s.
                    491 => self.wake(Wake::Reinvite(call), ms(700)),
                    500 => self.wake(Wake::Reinvite(call), ms(10_000)),
                    481 | 408 => self.hang_up(call),
                    _ => {}
                }
            }
        }
    }

    fn on_other(&mut self, id: usize, call: usize, response: &Response) {
        let code = code_of(response);
        match self.clients[id].request.method {
            Method::Refer if code >= 200 => self.calls[call].refer_code = Some(code),
            Method::Update if code >= 200 => {
                self.calls[call].reinvite_code = Some(code);
                if code < 300 && !response.body.is_empty() {
                    self.take_description(call, false, &response.body);
                }
            }
            Method::PRack if code == 200 && !response.body.is_empty() => {
                self.take_description(call, false, &response.body);
            }
            Method::Info if code >= 200 => self.calls[call].info_code = Some(code),
            _ => {}
        }
    }
}
