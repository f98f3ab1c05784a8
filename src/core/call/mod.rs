//! Calls: a back-to-back user agent that owns both legs.
//!
//! [`leg`] knows SIP, this file knows what a call is: who is rung, who is connected with whom, when all of it ends.
//! Every call ends with a [`Cause`].

pub mod cause;
pub mod counts;
pub mod dialog_flow;
pub mod ledger;
pub mod leg;
pub mod outside;
pub mod setup;

mod admission;
mod announcement;
mod bridge;
mod calling;
mod description;
mod divert;
mod early;
mod emergency;
mod emergency_invite;
mod emergency_ways;
mod farewell;
mod in_dialog;
mod media_target;
mod negotiation;
mod notice;
mod outage;
mod repair;
mod session_timer;
mod srtp;
mod transfer;
mod uac;
mod uas;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rsip::{Request, Response};

use self::calling::Calling;
pub use self::cause::Cause;
pub use self::counts::Counts;
use self::divert::Diversions;
use self::emergency::{Emergency, Heard};
use self::leg::{Invitation, Leg, LegEvent, LegTimer, Party, Role, Scope};
use self::negotiation::preferring;
use self::transfer::Transfer;
use crate::context::{Context, LegId, Output, Spending};
use crate::emergency::Priority;
use crate::emergency::bound::Bound;
use crate::emergency::callback::CallBacks;
use crate::event::{Code, Event, Level};
use crate::media::{Command, MediaLeg};
use crate::registrar::Registrar;
use crate::sip::dialog::DialogId;
use crate::sip::flow::Flow;
use crate::sip::header::{self, NameAddr};
use crate::sip::sdp::Direction;
use crate::sip::transaction::{ClientId, Failure, ServerId, response_to};
use crate::status::Sizes;
use crate::status::{CallKind, CallState, CallStatus};
use crate::time::Instant;
use crate::timers::Timers;
use crate::trunk::Trunk;

/// Names a call. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Everything a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Leg(LegId, LegTimer),
    /// Nobody answered.
    Ring(CallId),
    /// `limits.call_duration`.
    Duration(CallId),
    /// The next minute of a leg outside begins ([`outside`]).
    Minute(LegId),
    /// A call waits for the trunk to come up.
    TrunkWait(CallId),
    /// An emergency INVITE has no response yet; see [`emergency_ways`].
    SecondEdge(CallId),
    /// The sentence that the caller hears is over, whatever the media driver says.
    Announcement(CallId),
}

/// How long the trunk side may ring: Twilio ends it earlier by its own `timeout` (at most 600 s), RFC 3261 timer C is
/// more than 3 minutes.
const TRUNK_RING: Duration = Duration::from_secs(200);

/// How long an emergency call waits for the trunk to come back before the handset is told to try another way.
const EMERGENCY_WAIT: Duration = Duration::from_secs(30);

/// How long a call outside that lost its flow before it rang waits for the next one: a change of address takes a second
/// or two, and people wait about as long for a tone before they hang up.
const REDIAL_WAIT: Duration = Duration::from_secs(10);

/// How long an emergency INVITE may be without any response, a 100 even, before its flow counts as dead: Twilio's proxy
/// says 100 at once (TWILIO.md "Call from an extension"), and timer B would take 32 s.
const UNHEARD: Duration = Duration::from_secs(5);

/// What kind of call it is.
#[derive(Debug)]
enum Kind {
    Local,
    Outbound,
    Inbound,
    Emergency(Box<Emergency>),
    /// The emergency service calls back.
    CallBack,
    /// The box tells an extension of an emergency call.
    Notice,
}

impl Kind {
    /// For the log.
    fn word(&self) -> &'static str {
        CallKind::from(self).word()
    }

    /// What it gives way to.
    fn priority(&self) -> Priority {
        match self {
            Kind::Emergency(_) | Kind::CallBack => Priority::Emergency,
            Kind::Local | Kind::Outbound | Kind::Inbound | Kind::Notice => Priority::Ordinary,
        }
    }
}

impl From<&Kind> for CallKind {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::Local => CallKind::Local,
            Kind::Outbound => CallKind::Outbound,
            Kind::Inbound => CallKind::Inbound,
            Kind::Emergency(_) => CallKind::Emergency,
            Kind::CallBack => CallKind::CallBack,
            Kind::Notice => CallKind::Notice,
        }
    }
}

/// Where a call is.
#[derive(Debug)]
enum Phase {
    /// Media ports are being opened; who will be rung then.
    Opening(Vec<(LegId, Invitation)>),
    /// An emergency call without a trunk, or a call outside whose flow went before it rang.
    WaitingForTrunk,
    Ringing,
    /// With the leg that answered.
    Answered(LegId),
    /// It failed by this cause, and the caller hears so ([`announcement`]).
    Announcing(Cause),
}

/// One call.
#[derive(Debug)]
struct Call {
    kind: Kind,
    from: String,
    /// The caller, as phones see it.
    shown: NameAddr,
    to: String,
    began: Instant,
    answered: Option<Instant>,
    /// The leg that called; after a transfer, the one that was kept. There is none where the box calls by itself.
    caller: LegId,
    /// The legs that are rung.
    ringing: Vec<LegId>,
    phase: Phase,
    /// A party that was rung said so.
    rang: bool,
    /// The best refusal so far.
    refusal: Option<Cause>,
    /// A description has been sent to the caller in a provisional response; its answer repeats it.
    early_media: Option<Vec<u8>>,
    transfer: Option<Transfer>,
    diversions: Diversions,
}

impl Call {
    fn new(kind: Kind, calling: Calling, to: String, began: Instant, caller: LegId) -> Self {
        Call {
            kind,
            from: calling.name,
            shown: calling.shown,
            to,
            began,
            answered: None,
            caller,
            ringing: Vec::new(),
            phase: Phase::Opening(Vec::new()),
            rang: false,
            refusal: None,
            early_media: None,
            transfer: None,
            diversions: Diversions::of(calling.inbound),
        }
    }

    /// What there is besides to an emergency call.
    fn emergency(&self) -> Option<&Emergency> {
        match &self.kind {
            Kind::Emergency(emergency) => Some(emergency),
            _ => None,
        }
    }

    /// Every leg that is still part of it.
    fn legs(&self) -> Vec<LegId> {
        let mut legs = vec![self.caller];
        legs.extend(&self.ringing);
        if let Phase::Answered(answered) = self.phase {
            legs.push(answered);
        }
        if let Some(transfer) = &self.transfer {
            legs.push(transfer.referrer);
        }
        legs
    }
}

/// All calls and their legs.
#[derive(Debug, Default)]
pub struct Calls {
    calls: BTreeMap<CallId, Call>,
    legs: BTreeMap<LegId, Leg>,
    dialogs: BTreeMap<DialogId, LegId>,
    /// INVITEs that may still be cancelled.
    servers: BTreeMap<ServerId, LegId>,
    media: BTreeMap<MediaLeg, LegId>,
    /// Media being closed: what to write beside its figures.
    closing: BTreeMap<MediaLeg, String>,
    timers: Timers<Timer>,
    emergency_bound: Bound,
    call_backs: CallBacks,
    counts: Counts,
    ledger: ledger::Ledger,
    spending: Spending,
    next: u64,
}

/// What calls may touch besides themselves.
pub struct Core<'a, 'b> {
    pub cx: &'a mut Context<'b>,
    pub trunk: &'a mut Trunk,
    pub registrar: &'a mut Registrar,
}

impl Calls {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Runs `f` on a leg with what it may touch.
    fn with<T>(
        &mut self,
        core: &mut Core<'_, '_>,
        id: LegId,
        f: impl FnOnce(&mut Leg, &mut Scope<'_, '_>) -> T,
    ) -> Option<T> {
        let leg = self.legs.get_mut(&id)?;
        let mut scope = Scope { cx: core.cx, trunk: core.trunk, timers: &mut self.timers, dialogs: &mut self.dialogs };
        let result = f(leg, &mut scope);
        if leg.is_over() {
            self.remove(core, id);
        }
        Some(result)
    }

    /// Lets something happen to a leg, and to its call what follows from it.
    fn drive(
        &mut self,
        core: &mut Core<'_, '_>,
        id: LegId,
        f: impl FnOnce(&mut Leg, &mut Scope<'_, '_>) -> Option<LegEvent>,
    ) {
        let Some(call) = self.legs.get(&id).map(|leg| leg.call) else { return };
        let Some(Some(event)) = self.with(core, id, f) else { return };
        if self.calls.contains_key(&call) {
            self.on_leg_event(core, call, id, event);
        } else if let LegEvent::Refer { server, request } = event {
            // The leg only waits for its ACK to hang up; but no request may stay without an answer.
            core.cx.transactions.respond(core.cx.now, server, response_to(&request, 481, None));
        }
    }

    /// A leg is over: out of every table, its media closed.
    fn remove(&mut self, core: &mut Core<'_, '_>, id: LegId) {
        self.close_media(core, id);
        self.stop_charging(id);
        if let Some(server) = self.legs.remove(&id).and_then(|leg| leg.server) {
            self.servers.remove(&server);
        }
    }

    /// A CANCEL that matched.
    pub fn handle_cancel(&mut self, core: &mut Core<'_, '_>, server: ServerId, cancel: &Request) {
        let Some(id) = self.servers.get(&server).copied() else { return };
        self.drive(core, id, |leg, scope| leg.on_cancel(scope, cancel));
    }

    /// A response to a leg's request, which went by `flow`.
    pub fn handle_response(
        &mut self,
        core: &mut Core<'_, '_>,
        id: LegId,
        client: ClientId,
        flow: Flow,
        response: &Response,
    ) {
        if let Some(leg) = self.legs.get_mut(&id)
            && matches!(leg.party, Party::Handset(_))
        {
            leg.answers_on(flow);
            core.registrar.answered(core.cx, flow);
        }
        self.drive(core, id, |leg, scope| leg.on_response(scope, client, response));
    }

    /// The network says that a handset does not listen there: calls wait for it as for one that is known not to respond.
    pub fn handle_unreachable(&mut self, core: &mut Core<'_, '_>, flow: Flow) {
        let at = core.cx.now + core.registrar.patience(flow, core.cx.now);
        let rung = self.legs.values().filter(|leg| leg.flow.at_port(flow.remote.port()) == flow && leg.is_unheard());
        for leg in rung.filter(|leg| matches!(leg.party, Party::Handset(_))) {
            let timer = Timer::Leg(leg.id, LegTimer::Unheard);
            if self.timers.get(timer).is_some_and(|due| due > at) {
                self.timers.set(timer, at);
            }
        }
    }

    /// The 2xx to a leg's INVITE comes no more.
    pub fn handle_over(&mut self, core: &mut Core<'_, '_>, id: LegId, client: ClientId) {
        self.with(core, id, |leg, _| leg.on_over(client));
    }

    /// A leg's request got no answer.
    pub fn handle_failure(&mut self, core: &mut Core<'_, '_>, id: LegId, client: ClientId, failure: Failure) {
        self.drive(core, id, |leg, scope| leg.on_failure(scope, client, failure));
    }

    /// What happened to a leg, as the call sees it.
    ///
    /// A leg that the event ended is out of the table already; the call still lists it.
    fn on_leg_event(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId, event: LegEvent) {
        match event {
            LegEvent::Progress { media, .. } => self.on_progress(core, call_id, id, media),
            LegEvent::Answered => self.on_answered(core, call_id, id),
            LegEvent::Refused(cause) => self.on_refused(core, call_id, id, cause),
            LegEvent::Unheard => {
                if let Some(leg) = self.legs.get(&id) {
                    core.registrar.silent(core.cx, leg.flow);
                }
                // One that was called off is of no account.
                if self.calls.get(&call_id).is_some_and(|call| call.ringing.contains(&id)) {
                    self.go_on_without(core, call_id, Cause::Refused(408));
                }
            }
            LegEvent::Diverted { by, code, to } => self.on_diverted(core, call_id, id, &by, (code, &to)),
            LegEvent::Cancelled(reasons) => {
                let cause = self.cancelled(core, call_id, &reasons);
                self.pass_on(call_id, &reasons);
                self.end(core, call_id, cause);
            }
            LegEvent::Acknowledged { answer } => {
                self.set_media(core, id);
                if answer {
                    self.pass_on_hold(core, call_id, id);
                }
            }
            LegEvent::Modified { offered } => {
                self.set_media(core, id);
                self.renew_early_media(call_id, id);
                if offered {
                    self.pass_on_hold(core, call_id, id);
                }
            }
            LegEvent::HungUp(reasons) => {
                self.pass_on(call_id, &reasons);
                self.on_gone(core, call_id, id, Cause::Cleared);
            }
            LegEvent::Broken(cause) => self.on_gone(core, call_id, id, cause),
            LegEvent::Unknown => self.on_unknown(core, call_id, id),
            LegEvent::Digit { digit, duration } => {
                if let Some(partner) = self.partner(call_id, id).and_then(|partner| self.legs.get(&partner)) {
                    let leg = partner.media;
                    core.cx.outputs.push_back(Output::Media(Command::Dtmf { leg, digit, duration }));
                }
            }
            LegEvent::Refer { server, request } => self.on_refer(core, call_id, id, server, &request),
        }
    }

    /// The leg at the other end of an answered call.
    fn partner(&self, call: CallId, id: LegId) -> Option<LegId> {
        let call = self.calls.get(&call)?;
        match call.phase {
            Phase::Answered(answered) if answered == id => Some(call.caller),
            Phase::Answered(answered) if call.caller == id => Some(answered),
            _ => None,
        }
    }

    fn on_progress(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId, media: bool) {
        self.first_rings(core, call_id, id);
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let rings = matches!(call.phase, Phase::Ringing | Phase::Opening(_));
        if call.transfer.is_some() || !rings {
            return;
        }
        let is_first = !std::mem::replace(&mut call.rang, true);
        let caller = call.caller;
        if call.early_media.is_some() {
            // Before anything rang, the description was for our sentence: the line is back, and it rings after all.
            if is_first {
                self.with(core, caller, |leg, scope| leg.progress(scope, 180, None));
            }
            return;
        }
        // Early media of one party is passed on; with several ringing, whose would it be?
        let body = match media && call.ringing.len() == 1 {
            true => self.answer_for(core, caller, id),
            false => None,
        };
        match body {
            Some(body) => {
                if let Some(call) = self.calls.get_mut(&call_id) {
                    call.early_media = Some(body.clone());
                }
                self.connect_media(core, caller, id);
                self.with(core, caller, |leg, scope| leg.progress(scope, 183, Some(body)));
            }
            None => {
                self.with(core, caller, |leg, scope| leg.progress(scope, 180, None));
            }
        }
    }

    fn on_answered(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId) {
        self.minute_begins(core, id);
        if let Some(profile) = self.legs.get(&id).and_then(|leg| leg.negotiation.as_ref()).map(|n| n.profile()) {
            self.learn_profile(core, id, profile);
        }
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        if let Some(at) = call.ringing.iter().position(|ringing| *ringing == id) {
            call.ringing.remove(at);
        }
        let losers = std::mem::take(&mut call.ringing);
        let (is_notice, priority) = (matches!(call.kind, Kind::Notice), call.kind.priority());
        self.timers.cancel(Timer::Ring(call_id));
        for loser in losers {
            self.drop_leg(core, loser, Cause::AnsweredElsewhere);
        }
        if is_notice {
            self.drop_leg(core, id, Cause::Cleared);
            self.end(core, call_id, Cause::Cleared);
            return;
        }
        if self.calls.get(&call_id).is_some_and(|call| call.transfer.is_some()) {
            self.complete_transfer(core, call_id, id);
            return;
        }
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let (caller, early) = (call.caller, call.early_media.take());
        let offered =
            self.legs.get(&caller).and_then(|leg| leg.negotiation.as_ref()).is_some_and(|n| n.remote().is_some());
        let late = self.legs.get(&caller).is_some_and(Leg::has_late_offer);
        let role = if offered || late { Role::Answer } else { Role::Offer };
        let body = match (early, role) {
            _ if late => Some(Vec::new()),
            // RFC 3261 section 13.2.1: the description in the 2xx is the one of the provisional response.
            (Some(body), _) => self.can_hear_each_other(caller, id).then_some(body),
            (None, Role::Answer) => self.answer_for(core, caller, id),
            (None, Role::Offer) => {
                let codecs = self.legs.get(&id).map(Leg::codecs).unwrap_or_default();
                let random = &mut *core.cx.random;
                self.legs.get_mut(&caller).and_then(|leg| {
                    let wish = leg.wish;
                    leg.negotiation.as_mut().map(|negotiation| negotiation.offer(&preferring(&codecs), wish, random))
                })
            }
        };
        let Some(body) = body else {
            // It rings no more and has not become the partner: the call does not list it.
            self.drop_leg(core, id, Cause::Incompatible);
            self.end(core, call_id, Cause::Incompatible);
            return;
        };
        let now = core.cx.now;
        let limit = core.cx.config.limits.call_duration;
        if let Some(call) = self.calls.get_mut(&call_id) {
            call.phase = Phase::Answered(id);
            call.answered = Some(now);
            let text = format!("{} call from {} to {} answered", call.kind.word(), call.from, call.to);
            core.cx.event(Event::new(Code::CallAnswered, format!("call {}", call_id.0), text));
        }
        if !priority.is_emergency() {
            self.timers.set(Timer::Duration(call_id), now + limit);
        }
        self.with(core, caller, |leg, scope| leg.answer(scope, body, role));
        self.connect_media(core, caller, id);
    }

    fn on_refused(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId, cause: Cause) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        call.ringing.retain(|ringing| *ringing != id);
        call.refusal = Some(match (call.refusal, cause) {
            (Some(Cause::Refused(a)), Cause::Refused(b)) => Cause::Refused(cause::better(a, b)),
            (Some(kept @ Cause::Refused(_)), _) => kept,
            (_, new) => new,
        });
        if let Kind::Emergency(emergency) = &mut call.kind {
            emergency.ways.end(id, cause);
            return self.search_on(core, call_id);
        }
        self.go_on_without(core, call_id, cause);
    }

    /// A leg failed for this cause, or says nothing. Where no other is waited for, the call goes on as if all had failed;
    /// calls that help depends on wait for each leg as long as it may still answer.
    fn go_on_without(&mut self, core: &mut Core<'_, '_>, call_id: CallId, cause: Cause) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let is_urgent = matches!(call.kind, Kind::CallBack | Kind::Notice | Kind::Emergency(_));
        let is_waited_for = |id: &LegId| is_urgent || self.legs.get(id).is_none_or(Leg::is_waited_for);
        if call.ringing.iter().any(is_waited_for) || self.ring_next(core, call_id) {
            return;
        }
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let flow_lost = cause == Cause::TrunkDown && core.trunk.flow().is_err();
        let age = core.cx.now.since(call.began);
        let redial = match call.kind {
            // Where it rings already, the far end's telephone would ring a second time, beside the first call that
            // nobody can take back any more: better the caller hears that it failed and decides.
            Kind::Outbound => age < REDIAL_WAIT && !call.rang,
            Kind::Local | Kind::Inbound | Kind::Emergency(_) | Kind::CallBack | Kind::Notice => false,
        };
        if flow_lost && redial && call.transfer.is_none() {
            // Its flow went: by the next one, then.
            self.dial_trunk(core, call_id);
            return;
        }
        let cause = match call.diversions.is_handed_over {
            true => Cause::Forwarded,
            false => call.refusal.unwrap_or(cause),
        };
        if call.transfer.is_some() {
            self.transfer_failed(core, call_id, cause);
        } else {
            self.end(core, call_id, cause);
        }
    }

    /// A leg ended by itself.
    fn on_gone(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId, cause: Cause) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        if let Some(transfer) = &mut call.transfer
            && transfer.referrer == id
        {
            // The usual blind transfer: the one who asked hangs up while the target rings.
            transfer.referrer_gone = true;
            self.close_media(core, id);
            return;
        }
        if call.ringing.contains(&id) {
            self.on_refused(core, call_id, id, cause);
            return;
        }
        self.end(core, call_id, cause);
    }

    /// Takes one leg out of its call and lets it wind down.
    fn drop_leg(&mut self, core: &mut Core<'_, '_>, id: LegId, cause: Cause) {
        self.close_media(core, id);
        self.stop_charging(id);
        self.with(core, id, |leg, scope| leg.hang_up(scope, cause));
    }

    /// Ends a call: every leg winds down by itself, the call is forgotten at once.
    fn end(&mut self, core: &mut Core<'_, '_>, call_id: CallId, cause: Cause) {
        if self.announce(core, call_id, cause) {
            return;
        }
        let Some(call) = self.calls.remove(&call_id) else { return };
        // The end of the sentence does not change why the call failed.
        let cause = if let Phase::Announcing(failure) = call.phase { failure } else { cause };
        let timers = [Timer::Ring, Timer::Duration, Timer::TrunkWait, Timer::SecondEdge, Timer::Announcement]
            .map(|timer| timer(call_id));
        for timer in timers {
            self.timers.cancel(timer);
        }
        let now = core.cx.now;
        let lasted = call.answered.map_or(0, |answered| now.since(answered).as_secs());
        self.counts.end((&call.kind).into(), call.answered.map(|_| lasted), cause);
        let level = match cause {
            Cause::Cleared
            | Cause::Cancelled
            | Cause::AnsweredElsewhere
            | Cause::Forwarded
            | Cause::Transferred
            | Cause::NoAnswer
            | Cause::Refused(486) => Level::Info,
            _ if call.kind.priority().is_emergency() => Level::Error,
            _ => Level::Warning,
        };
        let text = format!(
            "{} call from {} to {}, {}, {lasted} s: {}",
            call.kind.word(),
            call.from,
            call.to,
            if call.answered.is_some() { "answered" } else { "not answered" },
            cause.text()
        );
        core.cx.event(Event::new(Code::CallEnded, format!("call {}", call_id.0), text).at(level));
        for id in call.legs() {
            self.drop_leg(core, id, cause);
        }
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, core: &mut Core<'_, '_>) {
        while let Some(timer) = self.timers.pop_due(core.cx.now) {
            match timer {
                Timer::Leg(id, timer) => {
                    self.drive(core, id, |leg, scope| leg.on_timer(scope, timer));
                }
                Timer::Ring(id) => {
                    let call = self.calls.get(&id);
                    if call.is_some_and(|call| call.transfer.is_some()) {
                        self.transfer_failed(core, id, Cause::NoAnswer);
                    } else {
                        // An emergency call that rang nowhere: what its ways said.
                        let said =
                            call.filter(|call| call.emergency().is_some() && !call.rang).and_then(|call| call.refusal);
                        self.end(core, id, said.unwrap_or(Cause::NoAnswer));
                    }
                }
                Timer::Duration(id) => self.end(core, id, Cause::Duration),
                Timer::Minute(id) => self.minute_begins(core, id),
                Timer::TrunkWait(id) => {
                    let refusal = self.calls.get(&id).and_then(|call| call.refusal);
                    self.end(core, id, refusal.unwrap_or(Cause::TrunkDown));
                }
                Timer::SecondEdge(id) => self.second_edge_due(core, id),
                Timer::Announcement(id) => self.end(core, id, Cause::Lost),
            }
        }
    }

    /// When [`Calls::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether nothing is left: no call, no leg that winds down, no dialog, no timer.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.legs.is_empty()
            && self.dialogs.is_empty()
            && self.servers.is_empty()
            && self.media.is_empty()
            && self.timers.is_empty()
    }

    /// The flows that legs use.
    pub fn flows(&self) -> BTreeSet<Flow> {
        self.legs.values().map(|leg| leg.flow).collect()
    }

    /// How many there are of everything.
    pub fn sizes(&self, sizes: Sizes) -> Sizes {
        Sizes {
            calls: self.calls.len(),
            legs: self.legs.len(),
            dialogs: self.dialogs.len(),
            media: self.media.len() + self.closing.len(),
            emergency: self.emergency_bound.len(),
            ..sizes
        }
    }

    /// For metrics.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// For `gateway status`.
    pub fn status(&self, now: Instant) -> Vec<CallStatus> {
        self.calls
            .iter()
            .map(|(id, call)| {
                let held = |id: &LegId| self.legs.get(id).is_some_and(|leg| leg.wish != Direction::SendRecv);
                let state = match &call.phase {
                    Phase::Answered(answered) if held(answered) || held(&call.caller) => CallState::Held,
                    Phase::Answered(_) => CallState::Answered,
                    Phase::WaitingForTrunk => CallState::WaitingForTrunk,
                    Phase::Opening(_) | Phase::Ringing => CallState::Ringing,
                    Phase::Announcing(_) => CallState::Announcing,
                };
                CallStatus {
                    id: id.0,
                    from: call.from.clone(),
                    to: call.to.clone(),
                    state,
                    kind: (&call.kind).into(),
                    since: now.since(call.began).as_secs(),
                }
            })
            .collect()
    }
}

/// A leg for the log: direction is in the event.
fn describe(leg: &Leg) -> String {
    match &leg.party {
        Party::Handset(Some(extension)) => format!("handset {extension} at {}", leg.flow.remote),
        Party::Handset(None) => format!("unknown handset at {}", leg.flow.remote),
        Party::Trunk(_) => "trunk".into(),
    }
}

/// What OPTIONS gets (RFC 3261 section 11.2).
pub fn options_response(request: &Request) -> Response {
    let mut response = response_to(request, 200, Some("options"));
    header::push_allow(&mut response.headers);
    let accept = format!("{}, application/dtmf-relay, application/dtmf", crate::sip::body::ACCEPT);
    header::push_accept(&mut response.headers, accept);
    header::push_supported(&mut response.headers, leg::SUPPORTED);
    header::push_server(&mut response.headers, crate::USER_AGENT);
    response
}
