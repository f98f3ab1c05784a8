//! A call outlives the trunk's flow: its dialog moves to the new one, its media to the new address.
//!
//! The far end reaches us by the Contact of the dialog, which names the flow that is gone, and sends media to the
//! address of our last description. Both are renewed by one re-INVITE on the new flow: a target refresh with an offer
//! (RFC 3261 sections 12.2.1.1 and 14.1; RFC 5626 section 4.3 leaves it to the user agent). It goes after every change of
//! flow, also one without a change of address: the port in the Contact is another.
//!
//! What Twilio makes of it is not known (TWILIO.md "Requests within a call"). So nothing ends because a repair failed:
//! the call goes on for as long as there is sound, and when the media driver hears nothing, the question whether
//! anybody is there decides.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rsip::Response;

use super::in_dialog::SILENCE;
use super::leg::{Leg, LegEvent, LegTimer, Party, Purpose, Reinvite, Scope, State};
use super::negotiation::Negotiation;
use super::{Calls, Core, LegId, Timer, describe};
use crate::context::Output;
use crate::event::{Code, Event};
use crate::media::{Command, MediaLeg};
use crate::sip::flow::Flow;
use crate::sip::header;
use crate::sip::transaction::T1;
use crate::time::Instant;

/// How often a repair is tried. A far end that says 5xx or nothing may do better later: it still waits for the ACK of
/// its last 2xx, which went with the old flow (RFC 3261 section 14.2).
const TRIES: u8 = 3;

/// Between two tries, unless the far end says how long (Retry-After), and the longest that it may say.
const PAUSE: Duration = Duration::from_secs(3);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A dialog whose flow has gone.
#[derive(Debug)]
pub(super) struct Repair {
    /// Since when there is a flow to repair it by.
    since: Instant,
    tries: u8,
}

impl Leg {
    /// The trunk has a flow again. What waited for it goes; a dialog that stood on the old one moves. Gives the address
    /// that media must move to first, if it must.
    pub fn on_trunk_up(&mut self, scope: &mut Scope<'_, '_>) -> Option<IpAddr> {
        if let Some(bye) = self.parked.take() {
            self.send(scope, bye, Purpose::Bye, 0);
        }
        let flow = self.current_flow(scope)?;
        if flow == self.flow || !self.is_confirmed() {
            return None;
        }
        self.follow(scope, flow);
        let bound = self.negotiation.as_ref().map(|negotiation| negotiation.rtp().ip());
        if bound.is_some_and(|bound| bound != flow.local.ip()) {
            return Some(flow.local.ip());
        }
        self.repair(scope);
        None
    }

    fn follow(&mut self, scope: &mut Scope<'_, '_>, flow: Flow) {
        self.flow = flow;
        self.rename(scope);
        let State::Confirmed(confirmed) = &mut self.state else { return };
        if let Some(waiting) = &mut confirmed.unacknowledged {
            // It, or its ACK, was lost with the flow: again at once.
            waiting.interval = T1 / 2;
            scope.timers.set(Timer::Leg(self.id, LegTimer::Repeat2xx), scope.cx.now);
        }
        confirmed.repair = Some(Repair { since: scope.cx.now, tries: 0 });
    }

    /// Our media has a new address, or none could be had.
    pub fn on_media_moved(&mut self, scope: &mut Scope<'_, '_>, to: Option<(SocketAddr, IpAddr)>) {
        if let Some((rtp, address)) = to {
            let before = match &mut self.state {
                State::Confirmed(confirmed) => confirmed.before_reinvite.as_mut(),
                _ => None,
            };
            for negotiation in before.into_iter().chain(self.negotiation.as_mut()) {
                negotiation.move_to(rtp, address);
            }
        }
        self.repair(scope);
    }

    /// The re-INVITE, now or when another exchange is through.
    fn repair(&mut self, scope: &mut Scope<'_, '_>) {
        // One that was to be sent again after a loss or a 491 is this one.
        scope.timers.cancel(Timer::Leg(self.id, LegTimer::Reinvite));
        self.reinvite(scope, Reinvite::Offer);
    }

    /// They did not take it, or said nothing.
    ///
    /// On hold no sound shows whether a far end that knows no such dialog is there. A second 481, a minute later, stands
    /// for the silence.
    pub(super) fn not_repaired(
        &mut self,
        scope: &mut Scope<'_, '_>,
        code: u16,
        response: Option<&Response>,
    ) -> Option<LegEvent> {
        let listens = self.negotiation.as_ref().is_some_and(Negotiation::listens);
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        let repair = confirmed.repair.as_mut()?;
        repair.tries = repair.tries.saturating_add(1);
        let again = matches!(code, 408 | 500..=599) && repair.tries < TRIES;
        let tries = repair.tries;
        self.restart_session_timer(scope);
        if again {
            let said = response.and_then(|response| header::retry_after(&response.headers).ok().flatten());
            let pause = said.map_or(PAUSE, |seconds| Duration::from_secs(seconds.into()).min(MAX_PAUSE)).max(PAUSE);
            scope.timers.set(Timer::Leg(self.id, LegTimer::Reinvite), scope.cx.now + pause);
        } else if tries == 1 || tries == TRIES {
            let why = if response.is_some() {
                format!("{code} {}", crate::sip::status::reason(code))
            } else {
                "no answer".into()
            };
            let text =
                format!("the far end does not take the new connection: {why}; the call goes on while there is sound");
            self.tell(scope, Code::CallNotRepaired, text);
        }
        if code != 481 || listens {
            return None;
        }
        scope.timers.set(Timer::Leg(self.id, LegTimer::Reinvite), scope.cx.now + SILENCE);
        (tries > 1).then_some(LegEvent::Unknown)
    }

    pub(super) fn tell_repaired(&self, scope: &mut Scope<'_, '_>, repair: &Repair) {
        let took = scope.cx.now.since(repair.since).as_millis();
        let text = format!("goes on by the new connection from {}, {took} ms after it came up", self.flow.local);
        self.tell(scope, Code::CallRepaired, text);
    }

    fn tell(&self, scope: &mut Scope<'_, '_>, code: Code, text: String) {
        scope.cx.event(Event::new(code, format!("call {} {}", self.call.0, describe(self)), text));
    }

    /// A response outside its transaction, by the flow that there is.
    pub(super) fn send_outside(&mut self, scope: &mut Scope<'_, '_>, response: Response) {
        if let Some(flow) = self.current_flow(scope) {
            scope.cx.transactions.send(flow, response.into(), scope.cx.random);
        }
    }
}

impl Calls {
    /// A flow of the trunk is up, or another one: calls that waited for it leave now, calls that talk move to it.
    pub fn handle_trunk_up(&mut self, core: &mut Core<'_, '_>) {
        self.search_again(core);
        let waiting = if core.trunk.flow().is_ok() { self.waiting_for_trunk() } else { Vec::new() };
        for id in waiting {
            self.dial_trunk(core, id);
        }
        for id in self.trunk_legs() {
            let bind = self.with(core, id, |leg, scope| leg.on_trunk_up(scope).map(|bind| (leg.media, bind)));
            // A leg that only winds down has no media any more.
            if let Some(Some((leg, bind))) = bind
                && self.media.contains_key(&leg)
            {
                core.cx.outputs.push_back(Output::Media(Command::Move { leg, bind }));
            }
        }
    }

    /// The media driver has moved a leg, or could not.
    pub(super) fn media_moved(&mut self, core: &mut Core<'_, '_>, media: MediaLeg, to: Result<SocketAddr, String>) {
        let Some(id) = self.media.get(&media).copied() else { return };
        let public = core.cx.config.media.public_address;
        let to = match to {
            Ok(rtp) => Some((rtp, public.unwrap_or(rtp.ip()))),
            Err(error) => {
                core.cx.event(Event::new(Code::MediaNotMoved, format!("leg {}", id.0), error));
                None
            }
        };
        self.with(core, id, |leg, scope| leg.on_media_moved(scope, to));
    }

    /// Extensions whose calls stand on the trunk: their registrations come first.
    pub fn on_trunk(&self) -> impl Iterator<Item = &str> {
        self.legs.values().filter(|leg| matches!(leg.party, Party::Trunk(_))).filter_map(Leg::extension)
    }

    pub(super) fn trunk_legs(&self) -> Vec<LegId> {
        self.legs.values().filter(|leg| matches!(leg.party, Party::Trunk(_))).map(|leg| leg.id).collect()
    }
}
