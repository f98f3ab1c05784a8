//! The ways by which an emergency call may leave, and in which order they are tried.
//!
//! A way is a flow and what stands in From. The flows are the trunk's own and the standby at a second edge. Twilio's pages
//! contradict each other about From: the emergency page wants a number that has an address, the page of error 32106 wants
//! the user of the credentials (TWILIO.md "Emergency caller"). So the number goes first, because it tells where the
//! caller is, and then the extension: to reach somebody matters more than the right number.
//!
//! What follows from how a way ended ([`Verdict`]):
//!
//! | how it ended | what that says | what goes next |
//! |---|---|---|
//! | 403; 401 or 407 though it was answered | of From or the credentials | same edge with the extension, then the second edge |
//! | 408, 480, 5xx, every other refusal but busy | of the edge, or of what is behind it | second edge, then the extension |
//! | the flow ended | of the flow | the same |
//! | no response within [`patience`], nothing but 100 within [`UNRUNG`] | of the flow | the same, and the first may still win |
//! | 486, 600, 603 | the line to the emergency service is busy | second edge |
//!
//! [`patience`]: crate::trunk::Trunk::patience
//!
//! Every 403 counts as one about From: the words beside it are not certain, and a wrong guess costs one round trip. Busy
//! is tried once more because another edge hands the call to another carrier; another From would ring the same line.
//!
//! The rule: each way is tried once, as long as [`TRUNK_RING`] is not over, and the telephone hears the best failure only
//! when no way is left and no flow may come up soon. Where two INVITEs are out, because the first was silent, the first
//! that rings or answers wins and the other is cancelled; should the winner fail after that, the loser's way is open again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::leg::{Leg, LegTimer};
use super::setup::emergency_target;
use super::{
    Call, CallId, Calls, Cause, Core, EMERGENCY_WAIT, Emergency, Kind, LegId, Phase, TRUNK_RING, Timer, UNHEARD,
};
use crate::event::{Code, Event, Level};
use crate::sip::flow::Flow;
use crate::time::Instant;

/// How long a call that one edge has refused waits for a flow to the other. TCP and TLS take a second at most on a line
/// that works; the caller must hear soon that another telephone is needed.
const SECOND_EDGE_WAIT: Duration = Duration::from_secs(5);

/// How long an edge may say nothing but 100: Twilio rings as soon as it has looked at the credentials
/// (TWILIO.md "Call from an extension").
const UNRUNG: Duration = Duration::from_secs(8);

/// Flows to one address that a call tries where another edge answers: the one that was there, which may have died unseen,
/// and a fresh one. What is silent on both is no line problem.
const FLOWS: usize = 2;

/// What stands in From.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Number,
    Extension,
}

/// One way to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    flow: Flow,
    identity: Identity,
}

/// What the end of a way says of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// From or the credentials were refused.
    Identity,
    /// The edge, or something behind it, does not serve.
    Edge,
    /// The line to the emergency service is busy.
    Busy,
}

impl Verdict {
    fn of(cause: Cause) -> Self {
        match cause {
            Cause::Refused(403) | Cause::TrunkCredentials => Verdict::Identity,
            Cause::Refused(486 | 600 | 603) => Verdict::Busy,
            _ => Verdict::Edge,
        }
    }
}

/// Whether an edge has answered, with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// None: then the line itself may be down, and each new flow is a new hope.
    Silent,
    Answered,
}

/// Where a way that was tried stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    /// This leg is out.
    Out(LegId),
    Failed(Verdict),
}

/// An emergency call's search.
#[derive(Debug)]
pub(super) struct Ways {
    /// What is dialled.
    number: String,
    /// The number that tells where the caller is.
    caller_id: Option<String>,
    tried: Vec<(Way, Tried)>,
    /// When the last way was taken.
    left: Instant,
}

impl Ways {
    /// Nothing has been tried.
    pub fn new(number: String, caller_id: Option<String>, now: Instant) -> Self {
        Ways { number, caller_id, tried: Vec::new(), left: now }
    }

    /// The next way by one of these flows, the best first.
    fn next(&self, flows: impl IntoIterator<Item = Flow>, others: Others) -> Option<Way> {
        let identities: &[Identity] = match self.caller_id {
            Some(_) => &[Identity::Number, Identity::Extension],
            None => &[Identity::Extension],
        };
        let ways = flows.into_iter().flat_map(|flow| identities.iter().map(move |&identity| Way { flow, identity }));
        ways.filter(|way| self.is_open(way, others)).min_by_key(|way| self.has(way.flow, |how| how == FAILED))
    }

    /// Not tried yet, on a flow where no INVITE waits and no line was busy: another From frees none.
    fn is_open(&self, way: &Way, others: Others) -> bool {
        let closes = |how| matches!(how, Tried::Out(_) | Tried::Failed(Verdict::Busy));
        let is_fresh = others == Others::Silent || self.flows_to(way.flow) < FLOWS || self.has(way.flow, |_| true);
        is_fresh && self.tried.iter().all(|(tried, _)| tried != way) && !self.has(way.flow, closes)
    }

    fn has(&self, flow: Flow, how: impl Fn(Tried) -> bool) -> bool {
        self.tried.iter().any(|(way, one)| way.flow == flow && how(*one))
    }

    /// How many flows to the same address were tried.
    fn flows_to(&self, flow: Flow) -> usize {
        let tried = self.tried.iter().map(|(way, _)| way.flow).filter(|one| one.remote == flow.remote);
        tried.collect::<BTreeSet<_>>().len()
    }

    /// How the way of this leg ended.
    pub fn end(&mut self, leg: LegId, cause: Cause) {
        if let Some((_, how)) = self.tried.iter_mut().find(|(_, how)| *how == Tried::Out(leg)) {
            *how = Tried::Failed(Verdict::of(cause));
        }
    }

    /// Another one was faster; its way is open again.
    fn give_back(&mut self, leg: LegId) {
        self.tried.retain(|(_, how)| *how != Tried::Out(leg));
    }
}

/// How the ways of an edge ended that is better left.
const FAILED: Tried = Tried::Failed(Verdict::Edge);

impl Calls {
    /// Takes the next way, when the last one has ended or is silent. Without one the call waits for a flow that may come
    /// up, or for the INVITE that is out; else it ends.
    pub(super) fn search_on(&mut self, core: &mut Core<'_, '_>, call_id: CallId) {
        let Some(call) = self.calls.get(&call_id) else { return };
        let Some(Emergency { ways, .. }) = call.emergency() else { return };
        if matches!(call.phase, Phase::Answered(_)) || !self.is_stuck(call, core.cx.now) {
            return;
        }
        let in_time = core.cx.now.since(call.began) < TRUNK_RING;
        let flows = core.trunk.flows().into_iter().flatten();
        let others = match call.refusal {
            Some(Cause::Refused(_) | Cause::TrunkCredentials) => Others::Answered,
            _ => Others::Silent,
        };
        match ways.next(flows, others).filter(|_| in_time) {
            Some(way) => self.leave_by(core, call_id, way),
            // The caller hears that it failed, and the end of the sentence ends it.
            None if matches!(call.phase, Phase::Announcing(_)) => {}
            None if call.ringing.is_empty() => {
                let waits = in_time && core.trunk.is_sought();
                match (waits, others) {
                    (true, Others::Answered) => self.wait_for_flow(core, call_id, SECOND_EDGE_WAIT),
                    (true, Others::Silent) => self.wait_for_flow(core, call_id, EMERGENCY_WAIT),
                    (false, _) => {
                        let cause = call.refusal.unwrap_or(Cause::TrunkDown);
                        self.end(core, call_id, cause);
                    }
                }
            }
            None => {}
        }
    }

    /// Whether nothing can be hoped of what is out: there is nothing, it is silent, or nobody rings.
    fn is_stuck(&self, call: &Call, now: Instant) -> bool {
        let unheard = |id: &LegId| self.legs.get(id).is_some_and(Leg::is_unheard);
        let left = call.emergency().map_or(now, |emergency| emergency.ways.left);
        call.ringing.iter().all(unheard) || (!call.rang && now.since(left) >= UNRUNG)
    }

    fn leave_by(&mut self, core: &mut Core<'_, '_>, call_id: CallId, way: Way) {
        let Some(call) = self.calls.get(&call_id) else { return };
        let Some(Emergency { ways, .. }) = call.emergency() else { return };
        let extension = self.legs.get(&call.caller).and_then(Leg::extension);
        let account = core.trunk.account(core.cx, extension);
        let caller_id = ways.caller_id.clone().filter(|_| way.identity == Identity::Number);
        if !ways.tried.is_empty() {
            let why = call.refusal.map_or_else(|| "no response yet".into(), Cause::text);
            let who = caller_id.as_deref().or(account.as_deref()).unwrap_or("gateway");
            let text = format!("emergency call to {} goes again to {} as {who}: {why}", ways.number, way.flow.remote);
            core.cx.event(Event::new(Code::CallEmergency, format!("call {}", call_id.0), text));
        }
        let target = emergency_target(core, way.flow, account.as_deref(), &ways.number, caller_id);
        for timer in [Timer::TrunkWait, Timer::Announcement].map(|timer| timer(call_id)) {
            self.timers.cancel(timer);
        }
        let legs = self.open(core, call_id, vec![target]);
        if let Some(Call { kind: Kind::Emergency(emergency), .. }) = self.calls.get_mut(&call_id) {
            let ways = &mut emergency.ways;
            ways.left = core.cx.now;
            ways.tried.extend(legs.into_iter().map(|leg| (way, Tried::Out(leg))));
        }
    }

    fn wait_for_flow(&mut self, core: &mut Core<'_, '_>, call_id: CallId, wait: Duration) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        if matches!(call.phase, Phase::WaitingForTrunk) {
            return;
        }
        call.phase = Phase::WaitingForTrunk;
        let reason = match core.trunk.flow() {
            Err(reason) => format!("no connection to the SIP domain: {reason}"),
            Ok(_) => "no connection to a second edge".into(),
        };
        let text = format!("emergency call to {} waits, {reason}", call.to);
        core.cx.event(Event::new(Code::CallEmergency, format!("call {}", call_id.0), text).at(Level::Error));
        self.timers.cancel(Timer::Ring(call_id));
        self.timers.set(Timer::TrunkWait(call_id), core.cx.now + wait);
    }

    /// The INVITE of an emergency call is on its way: from when on its silence counts.
    pub(super) fn listen_for(&mut self, core: &Core<'_, '_>, call_id: CallId, id: LegId) {
        let Some(leg) = self.legs.get(&id).filter(|leg| leg.is_unheard()) else { return };
        self.timers.set(Timer::Leg(id, LegTimer::Unheard), core.cx.now + UNHEARD);
        self.timers.set(Timer::SecondEdge(call_id), core.cx.now + core.trunk.patience(leg.flow));
    }

    /// [`Timer::SecondEdge`]: what is out had its time to answer, or to ring.
    pub(super) fn second_edge_due(&mut self, core: &mut Core<'_, '_>, call_id: CallId) {
        let Some(call) = self.calls.get(&call_id) else { return };
        let Some(Emergency { ways, .. }) = call.emergency() else { return };
        let legs = call.ringing.iter().filter_map(|id| self.legs.get(id));
        let patient = legs.filter_map(|leg| Some(leg.unheard_since()? + core.trunk.patience(leg.flow))).max();
        if let Some(until) = patient.filter(|until| *until > core.cx.now) {
            // It went again with credentials.
            return self.timers.set(Timer::SecondEdge(call_id), until);
        }
        if !self.is_stuck(call, core.cx.now) && !call.rang && matches!(call.phase, Phase::Ringing) {
            self.timers.set(Timer::SecondEdge(call_id), ways.left + UNRUNG);
        }
        self.search_on(core, call_id);
    }

    /// Another flow is up: calls that nothing was heard of, or that wait, may leave by it.
    pub(super) fn search_again(&mut self, core: &mut Core<'_, '_>) {
        let is_due = |id: &CallId| self.timers.get(Timer::SecondEdge(*id)).is_none();
        let due: Vec<CallId> = self.searching().filter(is_due).collect();
        for id in due {
            self.search_on(core, id);
        }
    }

    /// Emergency calls that nobody has answered.
    pub(super) fn searching(&self) -> impl Iterator<Item = CallId> {
        let searches = |call: &Call| call.emergency().is_some() && !matches!(call.phase, Phase::Answered(_));
        self.calls.iter().filter(move |(_, call)| searches(call)).map(|(id, _)| *id)
    }

    /// An INVITE rings: of two, it wins.
    pub(super) fn first_rings(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let Kind::Emergency(emergency) = &mut call.kind else { return };
        // From now on it rings for as long as somebody waits.
        self.timers.cancel(Timer::Ring(call_id));
        let losers: Vec<LegId> = call.ringing.iter().copied().filter(|ringing| *ringing != id).collect();
        call.ringing.retain(|ringing| *ringing == id);
        losers.iter().for_each(|loser| emergency.ways.give_back(*loser));
        for loser in losers {
            self.drop_leg(core, loser, Cause::AnsweredElsewhere);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::flow::Transport;

    fn flow(connection: u64, remote: &str) -> Flow {
        let address = |text: &str| text.parse().expect("an address");
        Flow { transport: Transport::Tls, local: address("203.0.113.7:4000"), remote: address(remote), connection }
    }

    /// First and second edge.
    fn flows() -> [Flow; 2] {
        [flow(1, "192.0.2.1:5061"), flow(2, "192.0.2.2:5061")]
    }

    /// The ways that are taken where each ends so: the number of the flow, and N or E for what stands in From.
    fn taken(caller_id: Option<&str>, end: impl Fn(Way) -> Cause) -> String {
        let mut ways = Ways::new("911".into(), caller_id.map(str::to_owned), Instant::ZERO);
        let mut taken = Vec::new();
        while let Some(way) = ways.next(flows(), Others::Answered) {
            let leg = LegId(taken.len() as u64);
            ways.tried.push((way, Tried::Out(leg)));
            ways.end(leg, end(way));
            let identity = if way.identity == Identity::Number { 'N' } else { 'E' };
            taken.push(format!("{}{identity}", way.flow.connection));
        }
        taken.join(" ")
    }

    #[test]
    fn a_refused_number_is_followed_by_the_extension_and_a_refusing_edge_by_the_other() {
        let number = Some("+15035550101");
        assert_eq!(taken(number, |_| Cause::Refused(403)), "1N 1E 2N 2E");
        assert_eq!(taken(number, |_| Cause::TrunkCredentials), "1N 1E 2N 2E");
        for code in [408, 480, 404, 488, 500, 503, 504] {
            assert_eq!(taken(number, |_| Cause::Refused(code)), "1N 2N 1E 2E");
        }
        assert_eq!(taken(number, |_| Cause::Incompatible), "1N 2N 1E 2E");
        assert_eq!(taken(None, |_| Cause::Refused(503)), "1E 2E");
    }

    #[test]
    fn a_busy_line_is_tried_by_each_edge_and_by_no_other_name() {
        for code in [486, 600, 603] {
            assert_eq!(taken(Some("+15035550101"), |_| Cause::Refused(code)), "1N 2N");
        }
        let second_wants_extension = |way: Way| match (way.flow.connection, way.identity) {
            (2, Identity::Number) => Cause::Refused(403),
            _ => Cause::Refused(486),
        };
        assert_eq!(taken(Some("+15035550101"), second_wants_extension), "1N 2N 2E");
    }

    #[test]
    fn where_another_edge_answers_a_silent_address_gets_one_fresh_flow_and_no_more() {
        let mut ways = Ways::new("911".into(), None, Instant::ZERO);
        let mut tried = 0;
        for connection in 10..20 {
            if let Some(way) = ways.next([flow(connection, "192.0.2.1:5061")], Others::Answered) {
                ways.tried.push((way, Tried::Failed(Verdict::Edge)));
                tried += 1;
            }
        }
        assert_eq!(tried, FLOWS);
        assert!(ways.next([flow(20, "192.0.2.1:5061")], Others::Silent).is_some());
    }

    #[test]
    fn no_second_invite_goes_where_one_is_out_and_a_loser_may_be_asked_again() {
        let mut ways = Ways::new("911".into(), Some("+15035550101".into()), Instant::ZERO);
        let first = ways.next(flows(), Others::Silent).unwrap();
        ways.tried.push((first, Tried::Out(LegId(1))));
        assert_eq!(ways.next(flows(), Others::Silent).unwrap().flow, flows()[1]);
        assert_eq!(ways.next([flows()[0]], Others::Silent), None);
        ways.give_back(LegId(1));
        assert_eq!(ways.next(flows(), Others::Silent), Some(first));
    }
}
