//! Inviting (RFC 3261 section 13.2): our INVITE, what is answered to it, forks and late answers.

use rsip::{Method, Response};

use super::cause::Cause;
use super::divert;
use super::leg::{
    Confirmed, Early, Invitation, Leg, LegEvent, Outgoing, Party, Purpose, SUPPORTED, Scope, Sign, State,
};
use super::negotiation::NegotiationError;
use super::session_timer;
use crate::event::{Code, Event, Level};
use crate::sip::body;
use crate::sip::dialled::Presentation;
use crate::sip::dialog::Dialog;
use crate::sip::header::{self, SessionExpires};
use crate::sip::sdp::Codec;
use crate::sip::status;
use crate::trunk::Choice;
use crate::trunk::twilio_error::{TwilioError, clip};

/// Early dialogs of one INVITE that are kept (a forking proxy behind a handset's address is rare; ten is Twilio's own
/// limit of contacts).
const MAX_EARLY_DIALOGS: usize = 10;

impl Leg {
    /// Calls out with an offer of `codecs`.
    pub fn invite(&mut self, scope: &mut Scope<'_, '_>, invitation: Invitation, codecs: &[Codec]) {
        let Some(negotiation) = &mut self.negotiation else { return };
        let description = negotiation.offer(codecs, self.wish, scope.cx.random);
        let tag = scope.cx.random.hex(8);
        let mut from = invitation.from;
        from.params.set("tag", Some(&tag));
        let cseq = 1 + scope.cx.random.below(1 << 16) as u32;
        let mut request = header::request(Method::Invite, invitation.target);
        let headers = &mut request.headers;
        header::push_from(headers, from.to_string());
        header::push_to(headers, invitation.to.to_string());
        header::push_call_id(headers, scope.cx.random.hex(16));
        header::push_cseq(headers, cseq, "INVITE");
        header::push_contact(headers, self.contact(scope, &invitation.contact_user));
        header::push_max_forwards(headers, invitation.max_forwards);
        header::push_allow(headers);
        header::push_supported(headers, SUPPORTED);
        header::push_session_expires(headers, SessionExpires { interval: session_timer::INTERVAL, refresher: None });
        header::push_min_se(headers, session_timer::MIN_SE);
        header::push_user_agent(headers, crate::USER_AGENT);
        if invitation.presentation == Presentation::Withheld {
            header::push_privacy(headers);
        }
        header::push_content_type(headers, body::SDP);
        request.body = description;
        // Credentials at once save the challenge's round trip (RFC 7616 section 3.6 allows nonce reuse).
        self.authorize(scope, &mut request, None, Choice::First);
        self.state = State::Outgoing(Outgoing {
            early: Vec::new(),
            cancelled: false,
            sign: Sign::None,
            offered_again: false,
            sent: scope.cx.now,
        });
        self.send(scope, request, Purpose::Invite, 0);
    }

    pub(super) fn on_invite_response(
        &mut self,
        scope: &mut Scope<'_, '_>,
        position: usize,
        code: u16,
        response: &Response,
    ) -> Option<LegEvent> {
        if let State::Outgoing(outgoing) = &mut self.state {
            outgoing.sign = Sign::Heard;
        }
        self.note_refusal(scope, code, response);
        match code {
            ..=100 => None,
            101..=199 => self.on_provisional(scope, position, code, response),
            200..=299 => self.on_answer(scope, position, response),
            _ => {
                self.pending.remove(position);
                let State::Outgoing(outgoing) = &self.state else { return None };
                let cancelled = outgoing.cancelled;
                self.end(scope);
                if let (300..=399, Party::Handset(Some(by)), false) = (code, &self.party, cancelled) {
                    return Some(LegEvent::Diverted { by: by.clone(), code, to: divert::contacts(&response.headers) });
                }
                let cause = match (code, &self.party) {
                    (401 | 407, Party::Trunk(_)) => Cause::TrunkCredentials,
                    _ => Cause::Refused(code),
                };
                (!cancelled).then_some(LegEvent::Refused(cause))
            }
        }
    }

    /// Tells what Twilio says of its final response: its own error code and a Reason (RFC 3326).
    fn note_refusal(&self, scope: &mut Scope<'_, '_>, code: u16, response: &Response) {
        if !matches!(self.party, Party::Trunk(_)) || code <= 100 {
            return;
        }
        if code < 300 {
            return scope.trunk.note_taken();
        }
        let reason = header::reason(&response.headers).map(|reason| clip(&format!(", Reason: {reason}")));
        let said = TwilioError::of(response);
        let refused = format!("refused with {code} {}{}", status::reason(code), reason.as_deref().unwrap_or_default());
        let event = match (said, reason) {
            (None, None) => return,
            (None, Some(_)) => Event::new(Code::TrunkRefusedCall, self.subject(), refused).at(Level::Info),
            (Some(error), _) => {
                let why = format!("{refused}, {error}; {}", error.next_step());
                scope.trunk.note_refused(scope.cx.now, why.clone());
                Event::new(Code::TrunkRefusedCall, self.subject(), why)
            }
        };
        scope.cx.event(event);
    }

    fn subject(&self) -> String {
        format!("call {}", self.call.0)
    }

    fn on_provisional(
        &mut self,
        scope: &mut Scope<'_, '_>,
        position: usize,
        code: u16,
        response: &Response,
    ) -> Option<LegEvent> {
        let invite = &self.pending[position].request;
        let dialog = Dialog::uac(invite, response).ok();
        let State::Outgoing(outgoing) = &mut self.state else { return None };
        if outgoing.cancelled {
            return None;
        }
        let mut prack = None;
        if let Some(dialog) = dialog {
            let id = dialog.id.clone();
            let known = outgoing.early.iter().position(|early| early.dialog.id == id);
            let at = match known {
                Some(at) => at,
                None if outgoing.early.len() < MAX_EARLY_DIALOGS => {
                    outgoing.early.push(Early { dialog, rseq: None });
                    outgoing.early.len() - 1
                }
                None => return None,
            };
            let early = &mut outgoing.early[at];
            // RFC 3262 section 4: each reliable provisional response is acknowledged inside its early dialog, and once.
            if header::requires(&response.headers, "100rel")
                && let Ok(Some(rseq)) = header::rseq(&response.headers)
            {
                if early.rseq.is_some_and(|last| rseq <= last) {
                    return None;
                }
                early.rseq = Some(rseq);
                let (cseq, _) = header::cseq(&invite.headers).ok()?;
                let mut request = early.dialog.request(Method::PRack);
                header::push_rack(&mut request.headers, rseq, cseq);
                prack = Some(request);
            }
            self.index(scope, id);
        }
        if let Some(request) = prack {
            self.send(scope, request, Purpose::Other, 0);
        }
        let media = self
            .negotiation
            .as_mut()
            .is_some_and(|negotiation| negotiation.take_answer(&response.headers, &response.body).is_ok());
        Some(LegEvent::Progress { code, media })
    }

    /// A 2xx to our INVITE: the first, a repeated one, or one of another fork (RFC 3261 section 13.2.2.4).
    fn on_answer(&mut self, scope: &mut Scope<'_, '_>, position: usize, response: &Response) -> Option<LegEvent> {
        let invite = &self.pending[position].request;
        let (cseq, _) = header::cseq(&invite.headers).ok()?;
        let Ok(mut dialog) = Dialog::uac(invite, response) else {
            // Without a To-tag or Contact no dialog can be kept or even ended.
            self.end(scope);
            return Some(LegEvent::Refused(Cause::Refused(502)));
        };
        if let State::Confirmed(confirmed) = &self.state
            && confirmed.dialog.id == dialog.id
        {
            if let Some((_, ack)) = &confirmed.ack {
                let ack = ack.clone();
                self.send_ack(scope, ack);
            }
            return None;
        }
        let ack = dialog.ack(cseq, invite);
        self.send_ack(scope, ack.clone());
        // From here on it only names the dialogs of repeated 2xx.
        self.pending[position].request.body = Vec::new();
        let State::Outgoing(outgoing) = &self.state else {
            // Another fork answered too, or this one repeats what we are ending already.
            if !self.indexed.contains(&dialog.id) && !matches!(self.state, State::Ending) {
                let request = dialog.request(Method::Bye);
                self.send(scope, request, Purpose::Other, 0);
            }
            return None;
        };
        let cancelled = outgoing.cancelled;
        let answered = match &mut self.negotiation {
            Some(negotiation) => match negotiation.take_answer(&response.headers, &response.body) {
                // RFC 3261 section 13.2.1: the answer may have come in a provisional response.
                Err(NegotiationError::Missing) if negotiation.remote().is_some() => Ok(()),
                taken => taken,
            },
            None => Err(NegotiationError::NoCommonCodec),
        };
        let timer = session_timer::as_uac(&response.headers);
        for id in std::mem::take(&mut self.indexed) {
            scope.dialogs.remove(&id);
        }
        self.index(scope, dialog.id.clone());
        self.state = State::Confirmed(Box::new(Confirmed::new(dialog, None, Some((cseq, ack)), timer)));
        self.restart_session_timer(scope);
        match (cancelled, answered) {
            // The CANCEL came too late (RFC 3261 section 9.1): hang up what they answered.
            (true, _) => {
                self.bye(scope, Cause::Cancelled);
                None
            }
            (false, Err(error)) => {
                let far_end = self.flow.remote.to_string();
                scope.cx.event(Event::new(Code::CallIncompatible, far_end, error.to_string()));
                self.bye(scope, Cause::Incompatible);
                Some(LegEvent::Refused(Cause::Incompatible))
            }
            (false, Ok(())) => Some(LegEvent::Answered),
        }
    }
}
