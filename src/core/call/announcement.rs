//! A spoken sentence for a caller whose emergency call cannot leave: "No line. Use a mobile phone."
//!
//! The caller's leg gets 183 with a description, hears `[emergency] failure_sound`, and then the refusal. A caller that
//! cannot hear it (no offer, on hold, a provisional response that still waits for its PRACK) gets the refusal at once.

use std::time::Duration;

use super::negotiation::CODECS;
use super::{CallId, Calls, Cause, Core, LegId, Phase, Timer};
use crate::context::Output;
use crate::event::{Code, Event, Level};
use crate::media::{Command, MediaLeg};

/// How long after the end of the sentence the refusal leaves at the latest: the media driver says sooner that it is
/// over.
const MARGIN: Duration = Duration::from_secs(1);

impl Calls {
    /// Puts off the end of an emergency call that failed until its caller has heard so. `false`: it ends now.
    pub(super) fn announce(&mut self, core: &mut Core<'_, '_>, call_id: CallId, cause: Cause) -> bool {
        let Some(sound) = core.cx.config.emergency.sound.clone() else { return false };
        let Some(call) = self.calls.get_mut(&call_id) else { return false };
        let is_over = call.answered.is_some() || matches!(call.phase, Phase::Announcing(_));
        if call.emergency().is_none() || is_over || !is_failure(cause) {
            return false;
        }
        let caller = call.caller;
        let is_described = call.early_media.is_some();
        if !is_described && !self.describe(core, call_id, caller) {
            return false;
        }
        let Some(leg) = self.legs.get(&caller).filter(|leg| leg.invite_to_answer().is_some()) else { return false };
        let media = leg.media;
        let Some(call) = self.calls.get_mut(&call_id) else { return false };
        call.phase = Phase::Announcing(cause);
        let rung = std::mem::take(&mut call.ringing);
        let text = format!(
            "emergency call from {} to {} fails: {}; the caller hears emergency.failure_sound",
            call.from,
            call.to,
            cause.text()
        );
        core.cx.event(Event::new(Code::CallEmergency, format!("call {}", call_id.0), text).at(Level::Error));
        for timer in [Timer::Ring, Timer::TrunkWait, Timer::SecondEdge].map(|timer| timer(call_id)) {
            self.timers.cancel(timer);
        }
        for id in rung {
            self.drop_leg(core, id, cause);
        }
        self.set_media(core, caller);
        self.timers.set(Timer::Announcement(call_id), core.cx.now + sound.duration() + MARGIN);
        core.cx.outputs.push_back(Output::Media(Command::Play { leg: media, sound }));
        true
    }

    /// Sends the caller a description by which it hears us. `false` when it cannot.
    fn describe(&mut self, core: &mut Core<'_, '_>, call_id: CallId, caller: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(&caller).filter(|leg| leg.can_progress()) else { return false };
        let remote = leg.negotiation.as_ref().and_then(|negotiation| negotiation.remote());
        if !remote.is_some_and(|remote| remote.direction.receives()) {
            return false;
        }
        let Some(body) = leg.describe(&CODECS, core.cx.random) else { return false };
        if let Some(call) = self.calls.get_mut(&call_id) {
            call.early_media = Some(body.clone());
        }
        self.with(core, caller, |leg, scope| leg.progress(scope, 183, Some(body)));
        true
    }

    /// From the media driver: the sentence is over.
    pub(super) fn announced(&mut self, core: &mut Core<'_, '_>, media: MediaLeg) {
        let call = self.media.get(&media).and_then(|id| self.legs.get(id)).map(|leg| leg.call);
        if let Some(id) = call
            && let Some(call) = self.calls.get(&id)
            && let Phase::Announcing(cause) = call.phase
        {
            self.end(core, id, cause);
        }
    }
}

/// Whether the caller must be told: it did not end the call itself, and the box is not being stopped.
fn is_failure(cause: Cause) -> bool {
    match cause {
        Cause::Cleared | Cause::Cancelled | Cause::AnsweredElsewhere | Cause::Transferred | Cause::Forwarded => false,
        // Of a full table the one gives way whose phone is gone.
        Cause::Stopping | Cause::Limit => false,
        Cause::Refused(_)
        | Cause::NoAnswer
        | Cause::NotRegistered
        | Cause::TrunkDown
        | Cause::TrunkCredentials
        | Cause::NoMedia
        | Cause::Incompatible
        | Cause::Lost
        | Cause::Duration
        | Cause::Allowance
        | Cause::Spend => true,
    }
}
