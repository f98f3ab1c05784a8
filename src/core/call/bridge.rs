//! Who hears whom: what the media driver is told, hold passed on, what the caller is answered with.

use super::leg::LegEvent;
use super::{CallId, Calls, Cause, Core, Heard, LegId, describe};
use crate::context::Output;
use crate::event::{Code, Event};
use crate::media::{Command, MediaLeg, Notice};
use crate::sip::sdp::Direction;

impl Calls {
    /// From the media driver.
    pub fn handle_media(&mut self, core: &mut Core<'_, '_>, notice: Notice) {
        match notice {
            Notice::Opened { leg, local } => {
                // Otherwise the call ended meanwhile, and its Close is on the way.
                if let Some(id) = self.media.get(&leg).copied() {
                    self.media_opened(core, id, local);
                }
            }
            Notice::Refused { leg, error } => {
                // Its Close, if one is on the way, finds nothing and is not answered.
                self.closing.remove(&leg);
                let Some(id) = self.media.remove(&leg) else { return };
                core.cx.event(Event::new(Code::MediaNoPort, format!("leg {}", id.0), error));
                let Some(call) = self.legs.get(&id).map(|leg| leg.call) else { return };
                match self.calls.get(&call).is_some_and(|call| call.emergency().is_some() && call.ringing.contains(&id))
                {
                    // Beside another INVITE of it that is out, or as the last of its ways.
                    true => self.drive(core, id, |leg, scope| {
                        leg.end(scope);
                        Some(LegEvent::Refused(Cause::NoMedia))
                    }),
                    false => self.end(core, call, Cause::NoMedia),
                }
            }
            Notice::Started { .. } => {}
            Notice::Moved { leg, to } => self.media_moved(core, leg, to),
            Notice::Silent { leg } => self.media_silent(core, leg),
            Notice::Played { leg } => self.announced(core, leg),
            Notice::Heard { leg } => {
                if let Some(id) = self.media.get(&leg).copied() {
                    self.heard(id, Heard::Speaking);
                    self.with(core, id, |leg, _| leg.is_heard());
                }
            }
            Notice::Closed { leg, report } => {
                self.counts.close(&report);
                let subject = self.closing.remove(&leg).unwrap_or_else(|| format!("media {}", leg.0));
                let text = format!(
                    "received {} packets, {} lost, {} rejected, {} foreign, jitter {:.1} ms; sent {} packets; {} dtmf",
                    report.packets_received,
                    report.lost,
                    report.rejected,
                    report.foreign,
                    f64::from(report.jitter) / 8.0,
                    report.packets_sent,
                    report.dtmf
                );
                core.cx.event(Event::new(Code::MediaClosed, subject, text));
            }
        }
    }

    /// Silence: a handset that lost power sends no BYE. On hold it is expected.
    fn media_silent(&mut self, core: &mut Core<'_, '_>, media: MediaLeg) {
        let Some(id) = self.media.get(&media).copied() else { return };
        if self.heard(id, Heard::Quiet) {
            return;
        }
        let Some(leg) = self.legs.get(&id) else { return };
        let expected = leg.negotiation.as_ref().is_none_or(|negotiation| !negotiation.remote_direction().sends());
        if expected || !leg.is_confirmed() {
            return;
        }
        let subject = format!("call {} {}", leg.call.0, describe(leg));
        core.cx.event(Event::new(Code::MediaSilent, subject, "no RTP for a minute; asking whether it is there"));
        self.drive(core, id, |leg, scope| leg.probe(scope));
    }

    pub(super) fn close_media(&mut self, core: &mut Core<'_, '_>, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        if self.media.remove(&leg.media).is_some() {
            let what = format!("call {} {}", leg.call.0, describe(leg));
            self.closing.insert(leg.media, what);
            core.cx.outputs.push_back(Output::Media(Command::Close { leg: leg.media }));
        }
    }

    /// Tells the media driver what a leg has agreed on.
    pub(super) fn set_media(&mut self, core: &mut Core<'_, '_>, id: LegId) {
        let params = self.with(core, id, |leg, scope| leg.media_params(scope).map(|params| (leg.media, params)));
        if let Some(Some((leg, params))) = params {
            core.cx.outputs.push_back(Output::Media(Command::Set { leg, params: Box::new(params) }));
        }
    }

    pub(super) fn connect_media(&mut self, core: &mut Core<'_, '_>, a: LegId, b: LegId) {
        self.set_media(core, a);
        self.set_media(core, b);
        for id in [a, b] {
            self.heard(id, Heard::Speaking);
        }
        if let (Some(a), Some(b)) = (self.legs.get(&a), self.legs.get(&b)) {
            core.cx.outputs.push_back(Output::Media(Command::Connect { a: a.media, b: b.media }));
        }
    }

    /// The caller's answer, with the codecs that the callee took. `None` when the caller made no offer, or the callee took
    /// nothing yet.
    pub(super) fn answer_for(&mut self, core: &mut Core<'_, '_>, caller: LegId, callee: LegId) -> Option<Vec<u8>> {
        let codecs = Some(self.legs.get(&callee)?.codecs()).filter(|codecs| !codecs.is_empty())?;
        self.legs.get_mut(&caller)?.describe(&codecs, core.cx.random)
    }

    /// The caller changed its description before the answer (by PRACK): the answer repeats what was agreed last.
    pub(super) fn renew_early_media(&mut self, call: CallId, caller: LegId) {
        if let Some(call) = self.calls.get_mut(&call)
            && call.caller == caller
            && let Some(early) = &mut call.early_media
            && let Some(negotiation) = self.legs.get(&caller).and_then(|leg| leg.negotiation.as_ref())
        {
            *early = negotiation.repeat();
        }
    }

    /// Whether both have agreed on a codec: on the same one, or the relay converts.
    pub(super) fn can_hear_each_other(&self, a: LegId, b: LegId) -> bool {
        [a, b].iter().all(|id| self.legs.get(id).is_some_and(|leg| !leg.codecs().is_empty()))
    }

    /// Hold is answered at once and then told to the other side: it must never fail because the other side is slow.
    pub(super) fn pass_on_hold(&mut self, core: &mut Core<'_, '_>, call: CallId, id: LegId) {
        let Some(partner) = self.partner(call, id) else { return };
        let Some(theirs) = self.legs.get(&id).and_then(|leg| leg.negotiation.as_ref()).map(|n| n.remote_direction())
        else {
            return;
        };
        // What they do not want to hear need not be sent; that they do not speak is their own business.
        let wish = if theirs.receives() { Direction::SendRecv } else { theirs };
        if self.legs.get(&partner).is_some_and(|leg| leg.wish != wish) {
            self.with(core, partner, |leg, scope| leg.offer_direction(scope, wish));
        }
    }
}
