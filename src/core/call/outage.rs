//! What becomes of calls when a connection goes, or the service stops.

use super::leg::{Leg, LegEvent, Party, State};
use super::{Call, CallId, Calls, Cause, Core, Kind, LegId};
use crate::sip::flow::Flow;

impl Calls {
    /// A handset's connection ended: nothing can reach its legs any more, until it calls or registers anew. Those of
    /// emergency calls go on: sound needs no connection, and the phone may come back by another one.
    pub fn handle_flow_down(&mut self, core: &mut Core<'_, '_>, flow: Flow) {
        let is_handset = |leg: &&mut Leg| leg.flow == flow && matches!(leg.party, Party::Handset(_));
        for leg in self.legs.values_mut().filter(is_handset).filter(|leg| leg.priority.is_emergency()) {
            leg.is_cut = true;
        }
        self.call_backs.flow_down(flow);
        let on_it =
            |leg: &&Leg| leg.flow == flow && matches!(leg.party, Party::Handset(_)) && !leg.priority.is_emergency();
        let lost: Vec<(CallId, LegId)> = self.legs.values().filter(on_it).map(|leg| (leg.call, leg.id)).collect();
        // All of them first: what ends with one of them must not be sent to another.
        for (_, id) in &lost {
            self.with(core, *id, |leg, scope| leg.end(scope));
        }
        for (call, id) in lost {
            self.on_leg_event(core, call, id, LegEvent::Broken(Cause::Lost));
        }
    }

    /// A flow of the trunk is gone. Nobody can answer an INVITE that came on it, and none of ours that waits for its port
    /// can leave by it; calls that talk go on.
    pub fn handle_trunk_down(&mut self, core: &mut Core<'_, '_>, flow: Flow) {
        for id in self.trunk_legs() {
            self.drive(core, id, |leg, scope| {
                if leg.flow != flow {
                    return None;
                }
                let event = match leg.state {
                    State::New => LegEvent::Refused(Cause::TrunkDown),
                    State::Incoming(_) => LegEvent::Broken(Cause::TrunkDown),
                    _ => return None,
                };
                leg.end(scope);
                Some(event)
            });
        }
    }

    /// The trunk will not come back.
    pub fn handle_trunk_stopped(&mut self, core: &mut Core<'_, '_>) {
        for id in self.trunk_legs() {
            self.with(core, id, |leg, scope| leg.on_trunk_stopped(scope));
        }
    }

    /// The service stops: everybody hears of it, but for those who called for help. Their calls end by themselves.
    pub fn stop(&mut self, core: &mut Core<'_, '_>) {
        let ends = |call: &Call| !call.kind.priority().is_emergency() && !matches!(call.kind, Kind::Notice);
        let calls: Vec<CallId> = self.calls.iter().filter(|(_, call)| ends(call)).map(|(id, _)| *id).collect();
        for call in calls {
            self.end(core, call, Cause::Stopping);
        }
    }
}
