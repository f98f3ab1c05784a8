//! Requests inside an early dialog: the INVITE that began it has no final response yet.
//!
//! | request | of a caller: the answer is ours to give | of a callee: it is theirs |
//! |---|---|---|
//! | BYE | 200, and 487 to its INVITE (RFC 3261 section 15) | 200: it may not, but it is gone; the caller hears 480 |
//! | INVITE | 500 with Retry-After (RFC 3261 section 14.2) | 491, ours is under way |
//! | UPDATE without an offer | 200 (RFC 3311) | 200 |
//! | UPDATE with an offer, one before it answered | 200 with an answer | 200 with an answer |
//! | UPDATE with an offer, theirs not answered | 500 with Retry-After (RFC 3311 section 5.2) | |
//! | UPDATE with an offer, ours not answered | 491 | 491 |
//! | OPTIONS | 200 | 200 |
//! | anything else but PRACK | 481 | 481 |

use rsip::{Method, Request, Response};

use super::cause::Cause;
use super::description;
use super::leg::{LateOffer, Leg, LegEvent, Scope, State};
use crate::sip::body;
use crate::sip::dialog::DialogId;
use crate::sip::header::{self, Contact};
use crate::sip::transaction::{ServerId, response_to};
use crate::sip::uri;

/// Why a callee that hangs up while it rings refused.
const GONE: Cause = Cause::Refused(480);

impl Leg {
    /// Always answered. PRACK is not for here ([`Leg::on_prack`]).
    pub(super) fn on_early_request(
        &mut self,
        scope: &mut Scope<'_, '_>,
        server: ServerId,
        request: &Request,
    ) -> Option<LegEvent> {
        let (response, event) = match request.method {
            Method::Bye => {
                scope.cx.transactions.respond(scope.cx.now, server, response_to(request, 200, None));
                return self.on_early_bye(scope, request);
            }
            Method::Options => {
                self.reply_options(scope, server, request);
                return None;
            }
            Method::Update => self.on_early_update(scope, request),
            Method::Invite => match &self.state {
                State::Incoming(_) => (not_yet(scope, request), None),
                State::Outgoing(_) => (response_to(request, 491, None), None),
                _ => (response_to(request, 481, None), None),
            },
            _ => (response_to(request, 481, None), None),
        };
        scope.cx.transactions.respond(scope.cx.now, server, response);
        event
    }

    fn on_early_bye(&mut self, scope: &mut Scope<'_, '_>, request: &Request) -> Option<LegEvent> {
        let State::Outgoing(outgoing) = &mut self.state else { return self.on_cancel(scope, request) };
        let gone = DialogId::of_request(request);
        outgoing.early.retain(|early| Some(&early.dialog.id) != gone.as_ref());
        // Another fork may ring on.
        if outgoing.cancelled || !outgoing.early.is_empty() {
            return None;
        }
        self.hang_up(scope, Cause::Cleared);
        Some(LegEvent::Refused(GONE))
    }

    fn on_early_update(&mut self, scope: &mut Scope<'_, '_>, request: &Request) -> (Response, Option<LegEvent>) {
        let contact = match &mut self.state {
            State::Incoming(incoming) => {
                // UPDATE refreshes the target (RFC 3311 section 5.1).
                if let Ok([Contact::Addr(contact), ..]) = header::contacts(&request.headers).as_deref()
                    && uri::is_sip(&contact.uri)
                {
                    header::set_contact(&mut incoming.invite.headers, contact.to_string());
                }
                incoming.contact.clone()
            }
            State::Outgoing(outgoing) => {
                let id = DialogId::of_request(request);
                let early = outgoing.early.iter_mut().find(|early| Some(&early.dialog.id) == id.as_ref());
                let Some(early) = early else { return (response_to(request, 481, None), None) };
                early.dialog.refresh(&request.headers);
                early.dialog.contact.clone()
            }
            _ => return (response_to(request, 481, None), None),
        };
        let Some(negotiation) = &self.negotiation else { return (not_yet(scope, request), None) };
        let answer = match description::offer(&request.headers, &request.body, negotiation.demand()) {
            Ok(None) => None,
            Ok(Some(_)) => match self.answer_early_offer(scope, request) {
                Some(answer) => Some(answer),
                None if self.owes_an_answer() => return (not_yet(scope, request), None),
                None => return (response_to(request, 491, None), None),
            },
            Err(error) => {
                let mut response = response_to(request, error.code(), None);
                error.explain(&mut response);
                return (response, None);
            }
        };
        let mut response = response_to(request, 200, None);
        header::push_contact(&mut response.headers, contact);
        header::push_allow(&mut response.headers);
        let event = answer.is_some().then_some(LegEvent::Modified { offered: true });
        if let Some(answer) = answer {
            header::push_content_type(&mut response.headers, body::SDP);
            response.body = answer;
        }
        (response, event)
    }

    /// Whether their INVITE made an offer that is not answered.
    fn owes_an_answer(&self) -> bool {
        matches!(&self.state, State::Incoming(incoming) if incoming.late_offer == LateOffer::None)
    }
}

/// 500: it comes before what was asked first is answered.
pub(super) fn not_yet(scope: &mut Scope<'_, '_>, request: &Request) -> Response {
    let mut response = response_to(request, 500, None);
    header::push_retry_after(&mut response.headers, scope.cx.random.below(11));
    response
}
