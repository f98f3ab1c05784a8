//! Why it is over: who hears what at the end of a call.
//!
//! Rule: a phone hears the Reason (RFC 3326) that Twilio gives; a phone that loses to another one hears
//! `SIP;cause=200;text="Call completed elsewhere"`, so that it shows no missed call; all others hear our [`Cause`].

use std::time::Duration;

use rsip::Request;

use super::leg::Leg;
use super::{Call, CallId, Calls, Cause, Core, Kind, Party};
use crate::sip::header::{self, Reason};

/// Twilio rings a group by an INVITE for each of its phones, and cancels the losers as soon as one answers: so far apart
/// the INVITEs can be, and so long after the answer the CANCEL can come.
const TOGETHER: Duration = Duration::from_secs(3);

impl Leg {
    /// Why the other end leaves, where that concerns the other side of the call: what Twilio says. A phone's words stay
    /// here.
    pub(super) fn reasons(&self, request: &Request) -> Vec<Reason> {
        match self.party {
            Party::Trunk(_) => header::reasons(&request.headers),
            Party::Handset(_) => Vec::new(),
        }
    }
}

impl Calls {
    /// The phones of a call will hear what Twilio said when it left.
    pub(super) fn pass_on(&mut self, call_id: CallId, reasons: &[Reason]) {
        let Some(call) = self.calls.get(&call_id).filter(|_| !reasons.is_empty()) else { return };
        let said = reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join(", ");
        for id in call.legs() {
            if let Some(leg) = self.legs.get_mut(&id).filter(|leg| matches!(leg.party, Party::Handset(_))) {
                leg.passed_on = Some(said.clone());
            }
        }
    }

    /// Why a caller cancelled: it gave up, or Twilio has another phone that answered. Twilio need not say so: then the
    /// same caller's call to another phone here, answered just now, says it.
    pub(super) fn cancelled(&self, core: &Core<'_, '_>, call_id: CallId, reasons: &[Reason]) -> Cause {
        let is_said =
            reasons.iter().any(|reason| reason.protocol.eq_ignore_ascii_case("SIP") && reason.cause == Some(200));
        let is_shown = || {
            let Some(call) = self.calls.get(&call_id).filter(|_| reasons.is_empty()) else { return false };
            self.calls.iter().any(|(id, other)| *id != call_id && call.lost_to(other, core))
        };
        if is_said || is_shown() { Cause::AnsweredElsewhere } else { Cause::Cancelled }
    }
}

impl Call {
    /// Whether both are one call from outside to several phones, and the other one was answered.
    fn lost_to(&self, other: &Call, core: &Core<'_, '_>) -> bool {
        let apart = self.began.max(other.began).since(self.began.min(other.began));
        matches!((&self.kind, &other.kind), (Kind::Inbound, Kind::Inbound))
            && self.from == other.from
            && apart <= TOGETHER
            && other.answered.is_some_and(|at| core.cx.now.since(at) <= TOGETHER)
    }
}
