//! REFER from a handset (RFC 3515), done here: blind by ringing the target, attended by joining two calls (RFC 3891
//! Replaces, RFC 5589). The far ends notice nothing but another voice: the media is re-plugged.
//!
//! Rule: a phone may transfer at any time. While its second call rings, that is a blind transfer to what rings; what it
//! names and we do not know is refused so that the call it has goes on.

use rsip::Request;

use super::leg::Party;
use super::outside::Denied;
use super::{CallId, Calls, Cause, Core, Kind, LegId, Phase, Timer, calling};
use crate::event::{Code, Event, Level};
use crate::route::{self, Caller, Route, route_dialled};
use crate::sip::dialled::Dialled;
use crate::sip::dialog::DialogId;
use crate::sip::header::{self, Replaces};
use crate::sip::transaction::{ServerId, response_to};
use crate::sip::uri;

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The handset that asked; it stays connected until the target answers.
    pub referrer: LegId,
    pub referrer_gone: bool,
}

/// The leg that an attended transfer names.
enum Replaced {
    Answered(LegId),
    /// It called, and nobody has answered yet.
    Ringing(LegId),
}

impl Calls {
    /// A REFER inside an answered call.
    pub(super) fn on_refer(
        &mut self,
        core: &mut Core<'_, '_>,
        call_id: CallId,
        id: LegId,
        server: ServerId,
        request: &Request,
    ) {
        let reply = |core: &mut Core<'_, '_>, code| {
            core.cx.transactions.respond(core.cx.now, server, response_to(request, code, None));
        };
        let extension = match self.legs.get(&id).map(|leg| &leg.party) {
            Some(Party::Handset(Some(extension))) => extension.clone(),
            // Twilio's <Refer> and unknown handsets: not theirs to say (RFC 3515 section 2.4.2).
            _ => return reply(core, 603),
        };
        // Who dials for help was not asked for a password: the extension is a claim, and must not open other lines.
        if self.was_dialled_for_help(call_id) {
            return reply(core, 603);
        }
        let idle = self.calls.get(&call_id).is_some_and(|call| call.transfer.is_none());
        if self.partner(call_id, id).is_none() || !idle {
            return reply(core, 491);
        }
        let Ok(Some(target)) = header::refer_to(&request.headers) else { return reply(core, 400) };
        if uri::param(&target.uri, "method").flatten().is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return reply(core, 603);
        }
        if let Some(replaces) = uri::header(&target.uri, "Replaces") {
            // Not a blind transfer: somebody else would ring.
            let Ok(replaces) = Replaces::parse(&replaces) else { return reply(core, 400) };
            return match self.replaced(&replaces, &extension, id) {
                Some(Replaced::Answered(other)) => {
                    let ends = self.legs.get(&other).map(|leg| leg.call).and_then(|call| self.partner(call, other));
                    if let Some(ends) = self.partner(call_id, id).zip(ends)
                        && self.admit_bridge(core, &extension, ends.into()).is_err()
                    {
                        return reply(core, Denied::STATUS);
                    }
                    reply(core, 202);
                    self.join(core, call_id, &extension, id, other);
                }
                Some(Replaced::Ringing(other)) => {
                    reply(core, 202);
                    self.take_over(core, call_id, id, other);
                }
                // Not 481: that would end the call that the phone has (RFC 5057 section 5.1).
                None => {
                    let text =
                        format!("transfer by {extension} refused: the call that it names is over, or not its own");
                    core.cx
                        .event(Event::new(Code::CallTransfer, format!("call {}", call_id.0), text).at(Level::Notice));
                    reply(core, 603);
                }
            };
        }
        let route = match Dialled::of_uri(&target.uri) {
            Ok(dialled) => route_dialled(core.cx.config, Caller::Extension(&extension), &dialled),
            Err(error) => route::unusable(error.into()),
        };
        // The party that is kept is no phone of this box, or has no need of another's hand to call for help.
        let route = match route {
            Route::Emergency { .. } => {
                Route::Refuse { code: 403, reason: "no transfer leads to an emergency number; dial it".into() }
            }
            route => route,
        };
        if let Route::Refuse { code, reason } = &route {
            let text = format!("transfer by {extension} refused with {code}: {reason}");
            core.cx.event(Event::new(Code::CallTransfer, format!("call {}", call_id.0), text).at(Level::Notice));
            return reply(core, *code);
        }
        reply(core, 202);
        self.begin_transfer(core, call_id, id);
        self.ring_target(core, call_id, &extension, &route);
    }

    /// From now on the call is between the one who is kept, as its caller, and whoever answers.
    fn begin_transfer(&mut self, core: &mut Core<'_, '_>, call_id: CallId, referrer: LegId) {
        self.with(core, referrer, |leg, scope| leg.notify_transfer(scope, 100));
        if let Some(call) = self.calls.get_mut(&call_id) {
            if let Phase::Answered(answered) = call.phase
                && call.caller == referrer
            {
                call.caller = answered;
            }
            call.phase = Phase::Ringing;
            call.refusal = None;
            call.transfer = Some(Transfer { referrer, referrer_gone: false });
        }
    }

    /// Attended transfer to a call that still rings: what rings there rings in the call of `a` from now on, as after a
    /// blind transfer, and the phone's own call to it is over.
    fn take_over(&mut self, core: &mut Core<'_, '_>, call_id: CallId, a: LegId, b: LegId) {
        let Some(other_id) = self.legs.get(&b).map(|leg| leg.call) else { return };
        let until = self.timers.get(Timer::Ring(other_id));
        let Some(other) = self.calls.get_mut(&other_id) else { return };
        let ringing = std::mem::take(&mut other.ringing);
        let text = format!("takes over what rings in call {}, by a transfer", other_id.0);
        core.cx.event(Event::new(Code::CallTransfer, format!("call {}", call_id.0), text));
        self.begin_transfer(core, call_id, a);
        for id in &ringing {
            if let Some(leg) = self.legs.get_mut(id) {
                leg.call = call_id;
            }
        }
        if let Some(call) = self.calls.get_mut(&call_id) {
            call.ringing = ringing;
        }
        if let Some(until) = until {
            self.timers.set(Timer::Ring(call_id), until);
        }
        self.end(core, other_id, Cause::Transferred);
    }

    /// Rings the target of a transfer that was accepted.
    fn ring_target(&mut self, core: &mut Core<'_, '_>, call_id: CallId, extension: &str, route: &Route) {
        let Some(kept) = self.calls.get(&call_id).map(|call| call.caller) else { return };
        let Some(call) = self.calls.get(&call_id) else { return };
        let shown = match (self.legs.get(&kept).map(|leg| &leg.party), &call.kind) {
            (Some(Party::Handset(Some(kept))), _) if *kept != call.from => calling::colleague(core, kept),
            (Some(Party::Trunk(_)), Kind::Local | Kind::Outbound) => calling::named(&call.to),
            _ => call.shown.clone(),
        };
        let text = format!("transfer by {extension} to {route:?}");
        core.cx.event(Event::new(Code::CallTransfer, format!("call {}", call_id.0), text));
        if let Err(code) = self.ring_for_transfer(core, call_id, Some(extension), route, &shown) {
            self.transfer_failed(core, call_id, Cause::Refused(code));
        }
    }

    /// The leg that an attended transfer names: in another call of the same extension, answered or one that it made and
    /// that rings. The tags in Replaces are those of the referrer's dialog with us, seen from us as its target.
    fn replaced(&self, replaces: &Replaces, extension: &str, referrer: LegId) -> Option<Replaced> {
        let dialog = DialogId {
            call_id: replaces.call_id.clone(),
            local_tag: replaces.to_tag.clone(),
            remote_tag: replaces.from_tag.clone(),
        };
        let id = *self.dialogs.get(&dialog)?;
        let leg = self.legs.get(&id)?;
        // The two ends of one call can not be joined: nobody would be left.
        let other_call = self.legs.get(&referrer).is_some_and(|own| own.call != leg.call);
        let same = matches!(&leg.party, Party::Handset(Some(name)) if name == extension);
        if !other_call || !same || self.was_dialled_for_help(leg.call) {
            return None;
        }
        let call = self.calls.get(&leg.call)?;
        match call.phase {
            // RFC 3891 section 3: `early-only` spares a call that has been answered meanwhile.
            Phase::Answered(_) => {
                (self.partner(leg.call, id).is_some() && !replaces.early_only).then_some(Replaced::Answered(id))
            }
            Phase::Ringing => {
                let rings = call.caller == id && call.transfer.is_none() && !call.ringing.is_empty();
                rings.then_some(Replaced::Ringing(id))
            }
            Phase::Opening(_) | Phase::WaitingForTrunk | Phase::Announcing(_) => None,
        }
    }

    /// Attended transfer: the two partners of `a` and `b` are connected, `a` and `b` are hung up.
    fn join(&mut self, core: &mut Core<'_, '_>, call_a: CallId, extension: &str, a: LegId, b: LegId) {
        let Some(call_b) = self.legs.get(&b).map(|leg| leg.call) else { return };
        let (Some(kept), Some(other)) = (self.partner(call_a, a), self.partner(call_b, b)) else { return };
        if !self.can_hear_each_other(kept, other) {
            // One of them has agreed on nothing: everything stays as it is.
            self.with(core, a, |leg, scope| leg.notify_transfer(scope, 488));
            return;
        }
        let text = format!("joined with call {} by an attended transfer", call_b.0);
        core.cx.event(Event::new(Code::CallTransfer, format!("call {}", call_a.0), text));
        // Out of the second call, before that one ends.
        if let Some(call) = self.calls.get_mut(&call_b) {
            call.caller = b;
            call.phase = Phase::Answered(b);
        }
        if let Some(leg) = self.legs.get_mut(&other) {
            leg.call = call_a;
        }
        if let Some(call) = self.calls.get_mut(&call_a) {
            call.caller = kept;
            call.phase = Phase::Answered(other);
        }
        self.with(core, a, |leg, scope| leg.notify_transfer(scope, 200));
        self.drop_leg(core, a, Cause::Transferred);
        self.end(core, call_b, Cause::Transferred);
        self.unhold(core, kept);
        self.unhold(core, other);
        self.connect_media(core, kept, other);
        self.bridge(core, call_a, extension, [kept, other]);
    }

    /// Whoever was held for the transfer is taken off hold.
    fn unhold(&mut self, core: &mut Core<'_, '_>, id: LegId) {
        use crate::sip::sdp::Direction::SendRecv;
        if self.legs.get(&id).is_some_and(|leg| leg.wish != SendRecv) {
            self.with(core, id, |leg, scope| leg.offer_direction(scope, SendRecv));
        }
    }

    /// The target of a blind transfer answered.
    pub(super) fn complete_transfer(&mut self, core: &mut Core<'_, '_>, call_id: CallId, target: LegId) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let Some(transfer) = call.transfer.take() else { return };
        call.phase = Phase::Answered(target);
        let kept = call.caller;
        if !transfer.referrer_gone {
            self.with(core, transfer.referrer, |leg, scope| leg.notify_transfer(scope, 200));
            self.drop_leg(core, transfer.referrer, Cause::Transferred);
        }
        if !self.can_hear_each_other(kept, target) {
            self.end(core, call_id, Cause::Incompatible);
            return;
        }
        self.unhold(core, kept);
        self.connect_media(core, kept, target);
        if let Some(extension) = self.legs.get(&target).and_then(|leg| leg.paid_by.clone()) {
            self.bridge(core, call_id, &extension, [kept, target]);
        }
    }

    /// The target of a blind transfer did not answer: the one who asked has the call again, if still there.
    pub(super) fn transfer_failed(&mut self, core: &mut Core<'_, '_>, call_id: CallId, cause: Cause) {
        self.timers.cancel(Timer::Ring(call_id));
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let ringing = std::mem::take(&mut call.ringing);
        let Some(transfer) = call.transfer.take() else { return };
        call.phase = Phase::Answered(transfer.referrer);
        for id in ringing {
            self.drop_leg(core, id, cause);
        }
        if transfer.referrer_gone {
            self.end(core, call_id, cause);
            return;
        }
        let text = format!("transfer failed: {}", cause.text());
        core.cx.event(Event::new(Code::CallTransfer, format!("call {}", call_id.0), text).at(Level::Notice));
        self.with(core, transfer.referrer, |leg, scope| leg.notify_transfer(scope, cause.status()));
    }
}
