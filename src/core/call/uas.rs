//! Answering an INVITE (RFC 3261 section 13.3): provisional responses, reliable where asked (RFC 3262), the final one,
//! and its ACK.

use rsip::{Request, Response};

use super::Timer;
use super::cause::Cause;
use super::description;
use super::emergency_invite::PRACK_WAIT;
use super::in_dialog::meet;
use super::leg::{
    Answered, Confirmed, Incoming, LateOffer, Leg, LegEvent, LegTimer, Reliable, Role, SUPPORTED, Scope, State,
    Unacknowledged,
};
use super::negotiation::CODECS;
use super::session_timer::{self, SessionTimer};
use crate::emergency::Priority;
use crate::random::Random;
use crate::sip::body;
use crate::sip::dialog::Dialog;
use crate::sip::header;
use crate::sip::sdp::Codec;
use crate::sip::transaction::{ServerId, T1, T2, TIMEOUT, response_to};

impl Leg {
    /// Takes an INVITE that was admitted, and says 100.
    pub fn admit(&mut self, scope: &mut Scope<'_, '_>, server: ServerId, invite: Request, timer: Option<SessionTimer>) {
        let tag = scope.cx.random.hex(8);
        let user = crate::sip::uri::user(&invite.uri).unwrap_or_else(|| "gateway".into());
        let contact = self.contact(scope, &user);
        let rseq = 1 + (scope.cx.random.below(1 << 16) as u32);
        scope.cx.transactions.respond(scope.cx.now, server, response_to(&invite, 100, None));
        // In-dialog requests may come from now on: PRACK, BYE on the early dialog.
        if let Ok(dialog) = Dialog::uas(&invite, &tag, &contact) {
            self.index(scope, dialog.id);
        }
        self.state = State::Incoming(Box::new(Incoming {
            server,
            invite,
            tag,
            contact,
            reliable: None,
            rseq,
            answer: None,
            late_offer: LateOffer::None,
            timer,
        }));
    }

    /// The INVITE that waits for an answer.
    pub fn invite_to_answer(&self) -> Option<(ServerId, &Request)> {
        match &self.state {
            State::Incoming(incoming) => Some((incoming.server, &incoming.invite)),
            _ => None,
        }
    }

    /// 180 or 183, with early media when there is a body.
    pub fn progress(&mut self, scope: &mut Scope<'_, '_>, code: u16, body: Option<Vec<u8>>) {
        let now = scope.cx.now;
        let State::Incoming(incoming) = &mut self.state else { return };
        // RFC 3262 section 3: one at a time; a newer one may be dropped, the final answer tells all.
        if incoming.reliable.is_some() || incoming.answer.is_some() {
            return;
        }
        let is_reliable = header::requires(&incoming.invite.headers, "100rel");
        let body = match (&mut self.negotiation, incoming.late_offer) {
            (Some(negotiation), LateOffer::None) if is_reliable && negotiation.remote().is_none() => {
                incoming.late_offer = LateOffer::Sent;
                Some(negotiation.offer(&CODECS, self.wish, scope.cx.random))
            }
            _ => body,
        };
        let mut response = respond_with(incoming, code, body);
        if is_reliable {
            incoming.rseq = incoming.rseq.wrapping_add(1).max(1);
            header::push_require(&mut response.headers, "100rel");
            header::push_rseq(&mut response.headers, incoming.rseq);
            incoming.reliable = Some(Reliable {
                response: response.clone(),
                rseq: incoming.rseq,
                interval: T1,
                give_up: now
                    + match self.priority {
                        Priority::Ordinary => TIMEOUT,
                        Priority::Emergency => PRACK_WAIT,
                    },
            });
            scope.timers.set(Timer::Leg(self.id, LegTimer::RepeatReliable), now + T1);
        }
        scope.cx.transactions.respond(now, incoming.server, response);
    }

    /// The description of a response to their INVITE: the answer to their offer, taking `codecs` of it. Empty where a late
    /// offer of ours is under way or answered. `None` where nobody has offered anything yet.
    pub fn describe(&mut self, codecs: &[Codec], random: &mut Random) -> Option<Vec<u8>> {
        if self.has_late_offer() {
            return Some(Vec::new());
        }
        let negotiation = self.negotiation.as_mut()?;
        let direction = meet(negotiation.remote()?.direction, self.wish);
        Some(negotiation.answer(codecs, direction, random))
    }

    /// 200 with this description, if it is not empty.
    pub fn answer(&mut self, scope: &mut Scope<'_, '_>, body: Vec<u8>, role: Role) {
        let now = scope.cx.now;
        let State::Incoming(incoming) = &mut self.state else { return };
        if incoming.reliable.is_some() {
            incoming.answer = Some((body, role));
            return;
        }
        let Ok((cseq, _)) = header::cseq(&incoming.invite.headers) else { return };
        let Ok(dialog) = Dialog::uas(&incoming.invite, &incoming.tag, &incoming.contact) else {
            self.refuse(scope, 400, "no usable Contact in the INVITE");
            return;
        };
        let mut response = respond_with(incoming, 200, Some(body));
        header::push_allow(&mut response.headers);
        header::push_supported(&mut response.headers, SUPPORTED);
        if let Some(timer) = incoming.timer {
            timer.put(&mut response.headers);
        }
        let server = incoming.server;
        let timer = incoming.timer;
        scope.cx.transactions.respond(now, server, response.clone());
        scope.timers.set(Timer::Leg(self.id, LegTimer::Repeat2xx), now + T1);
        let unacknowledged = Unacknowledged::new(server, response, cseq, now, role, Answered::Invite);
        self.state = State::Confirmed(Box::new(Confirmed::new(dialog, Some(unacknowledged), None, timer)));
        self.restart_session_timer(scope);
    }

    /// A final refusal. The text goes into a Warning, where a person with a trace finds it (RFC 3261 section 20.43).
    pub fn refuse(&mut self, scope: &mut Scope<'_, '_>, code: u16, text: &str) {
        let State::Incoming(incoming) = &self.state else { return };
        let mut response = response_to(&incoming.invite, code, Some(&incoming.tag));
        let agent = self.flow.local;
        if code != 487 {
            header::push_warning(&mut response.headers, agent, text);
        }
        if code == 503 {
            header::push_retry_after(&mut response.headers, 10);
        }
        scope.cx.transactions.respond(scope.cx.now, incoming.server, response);
        self.end(scope);
    }

    /// Their CANCEL, or a BYE as early: it has been answered, the INVITE gets its 487 here.
    pub fn on_cancel(&mut self, scope: &mut Scope<'_, '_>, request: &Request) -> Option<LegEvent> {
        if !matches!(self.state, State::Incoming(_)) {
            return None;
        }
        self.refuse(scope, 487, "");
        Some(LegEvent::Cancelled(self.reasons(request)))
    }

    /// The ACK to a 2xx of ours.
    pub fn on_ack(&mut self, scope: &mut Scope<'_, '_>, ack: &Request) -> Option<LegEvent> {
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        let (cseq, _) = header::cseq(&ack.headers).ok()?;
        let unacknowledged = confirmed.unacknowledged.take_if(|waiting| waiting.cseq == cseq)?;
        scope.timers.cancel(Timer::Leg(self.id, LegTimer::Repeat2xx));
        let hang_up = confirmed.hang_up.take();
        let answered = match (&mut self.negotiation, unacknowledged.role) {
            (Some(negotiation), Role::Offer) => match negotiation.take_answer(&ack.headers, &ack.body) {
                // What was agreed before goes on.
                Err(_) if unacknowledged.answered == Answered::Reinvite => true,
                Err(_) if self.priority.is_emergency() => {
                    negotiation.assume_answer();
                    true
                }
                taken => taken.is_ok(),
            },
            _ => true,
        };
        if let Some(cause) = hang_up {
            self.bye(scope, cause);
            return None;
        }
        if !answered {
            self.bye(scope, Cause::Incompatible);
            return Some(LegEvent::Broken(Cause::Incompatible));
        }
        self.offer_what_waited(scope);
        Some(LegEvent::Acknowledged { answer: unacknowledged.role == Role::Offer })
    }

    /// PRACK (RFC 3262 section 3). Answers it, and the offer that it may carry (section 5).
    pub(super) fn on_prack(
        &mut self,
        scope: &mut Scope<'_, '_>,
        server: ServerId,
        request: &Request,
    ) -> Option<LegEvent> {
        let (now, priority) = (scope.cx.now, self.priority);
        let State::Incoming(incoming) = &mut self.state else {
            // An emergency call's answer did not wait for it.
            let is_late = priority.is_emergency() && matches!(self.state, State::Confirmed(_));
            scope.cx.transactions.respond(now, server, response_to(request, if is_late { 200 } else { 481 }, None));
            return None;
        };
        let matches = match (header::rack(&request.headers), header::cseq(&incoming.invite.headers)) {
            (Ok(Some((rseq, cseq, method))), Ok((invite_cseq, _))) => {
                method.eq_ignore_ascii_case("INVITE")
                    && cseq == invite_cseq
                    && incoming.reliable.as_ref().is_some_and(|reliable| reliable.rseq == rseq)
            }
            _ => false,
        };
        let tag = incoming.tag.clone();
        if !matches {
            scope.cx.transactions.respond(now, server, response_to(request, 481, Some(&tag)));
            return None;
        }
        incoming.reliable = None;
        let waiting = incoming.answer.take();
        scope.timers.cancel(Timer::Leg(self.id, LegTimer::RepeatReliable));
        let mut response = response_to(request, 200, Some(&tag));
        if incoming.late_offer == LateOffer::Sent {
            incoming.late_offer = LateOffer::Answered;
            scope.cx.transactions.respond(now, server, response);
            return self.on_late_answer(scope, request, waiting);
        }
        let body = self.answer_early_offer(scope, request);
        let is_modified = body.is_some();
        if let Some(body) = body {
            header::push_content_type(&mut response.headers, body::SDP);
            response.body = body;
        }
        scope.cx.transactions.respond(now, server, response);
        if let Some((body, role)) = waiting {
            self.answer(scope, body, role);
        }
        is_modified.then_some(LegEvent::Modified { offered: true })
    }

    /// The PRACK answers our late offer.
    fn on_late_answer(
        &mut self,
        scope: &mut Scope<'_, '_>,
        prack: &Request,
        waiting: Option<(Vec<u8>, Role)>,
    ) -> Option<LegEvent> {
        let negotiation = self.negotiation.as_mut()?;
        match negotiation.take_answer(&prack.headers, &prack.body) {
            Ok(()) => {}
            Err(_) if self.priority.is_emergency() => negotiation.assume_answer(),
            Err(error) => {
                self.refuse(scope, 488, &error.to_string());
                return Some(LegEvent::Broken(Cause::Incompatible));
            }
        }
        if let Some((body, role)) = waiting {
            self.answer(scope, body, role);
        }
        Some(LegEvent::Modified { offered: false })
    }

    /// Whether a late offer of ours is under way or answered: no response describes anything else.
    pub fn has_late_offer(&self) -> bool {
        matches!(&self.state, State::Incoming(incoming) if incoming.late_offer != LateOffer::None)
    }

    /// The answer to an offer in a PRACK or an UPDATE. Only where the INVITE's offer is answered already may there be another.
    pub(super) fn answer_early_offer(&mut self, scope: &mut Scope<'_, '_>, request: &Request) -> Option<Vec<u8>> {
        let negotiation = self.negotiation.as_mut()?;
        let agreed = negotiation.codecs();
        if agreed.is_empty() {
            return None;
        }
        let offer = description::offer(&request.headers, &request.body, negotiation.demand()).ok().flatten()?;
        negotiation.take_offer(offer);
        let direction = meet(negotiation.remote_direction(), self.wish);
        Some(negotiation.answer(&agreed, direction, scope.cx.random))
    }

    /// [`LegTimer::RepeatReliable`].
    pub(super) fn repeat_reliable(&mut self, scope: &mut Scope<'_, '_>) -> Option<LegEvent> {
        let now = scope.cx.now;
        let State::Incoming(incoming) = &mut self.state else { return None };
        let reliable = incoming.reliable.as_mut()?;
        if now >= reliable.give_up && self.priority.is_emergency() {
            // It goes on without: the final answer is repeated by itself, and makes the offer that nobody has answered.
            incoming.reliable = None;
            let unanswered = std::mem::replace(&mut incoming.late_offer, LateOffer::None) == LateOffer::Sent;
            if let Some((mut body, mut role)) = incoming.answer.take() {
                if let (true, Some(negotiation)) = (unanswered, &self.negotiation) {
                    (body, role) = (negotiation.repeat(), Role::Offer);
                }
                self.answer(scope, body, role);
            }
            return None;
        }
        if now >= reliable.give_up {
            // RFC 3262 section 3: reject with a 5xx.
            self.refuse(scope, 504, "no PRACK came");
            return Some(LegEvent::Broken(Cause::Lost));
        }
        reliable.interval *= 2;
        let next = (now + reliable.interval).min(reliable.give_up);
        scope.timers.set(Timer::Leg(self.id, LegTimer::RepeatReliable), next);
        scope.cx.transactions.respond(now, incoming.server, reliable.response.clone());
        None
    }

    /// [`LegTimer::Repeat2xx`]: at T1, doubling to T2, whatever the transport (RFC 3261 section 13.3.1.4).
    pub(super) fn repeat_2xx(&mut self, scope: &mut Scope<'_, '_>) -> Option<LegEvent> {
        let now = scope.cx.now;
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        let waiting = confirmed.unacknowledged.as_mut()?;
        if now >= waiting.give_up {
            confirmed.unacknowledged = None;
            let goes_on = confirmed.repair.is_some() || self.priority.is_emergency();
            if goes_on && confirmed.hang_up.is_none() {
                // The ACK may have gone with the flow; whether they are there is for the repair to find out.
                self.offer_what_waited(scope);
                return None;
            }
            // Section 13.3.1.4: the dialog is confirmed, but the session is to be ended by BYE.
            self.bye(scope, Cause::Lost);
            return Some(LegEvent::Broken(Cause::Lost));
        }
        waiting.interval = (waiting.interval * 2).min(T2);
        let next = (now + waiting.interval).min(waiting.give_up);
        scope.timers.set(Timer::Leg(self.id, LegTimer::Repeat2xx), next);
        let (server, response) = (waiting.server, waiting.response.clone());
        if scope.cx.transactions.is_open(server) {
            scope.cx.transactions.respond(now, server, response);
        } else {
            // Its transaction went with the flow that the INVITE came on.
            self.send_outside(scope, response);
        }
        None
    }
}

/// What RFC 4028 section 9 says to an INVITE: the agreement, or a 422. Outside a dialog that needs a To-tag.
pub fn session_timer_of(invite: &Request, to_tag: Option<&str>) -> Result<Option<SessionTimer>, Box<Response>> {
    session_timer::as_uas(&invite.headers).map_err(|_| {
        let mut response = response_to(invite, 422, to_tag);
        header::push_min_se(&mut response.headers, session_timer::MIN_SE);
        Box::new(response)
    })
}

fn respond_with(incoming: &Incoming, code: u16, body: Option<Vec<u8>>) -> Response {
    let mut response = response_to(&incoming.invite, code, Some(&incoming.tag));
    // RFC 3261 section 12.1.1: Record-Route is copied, or the route set would be lost.
    for route in header::record_routes(&incoming.invite.headers) {
        header::push_record_route(&mut response.headers, route);
    }
    header::push_contact(&mut response.headers, incoming.contact.clone());
    header::push_server(&mut response.headers, crate::USER_AGENT);
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        header::push_content_type(&mut response.headers, body::SDP);
        response.body = body;
    }
    response
}
