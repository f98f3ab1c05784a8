//! What becomes of calls when the trunk's connection goes, or the service stops.

use super::leg::{LegEvent, State};
use super::{Call, CallId, Calls, Cause, Core, Kind};
use crate::sip::flow::Flow;

impl Calls {
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
