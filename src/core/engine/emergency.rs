//! What the engine does for emergency calls: they leave before anything can say no, and what would end them waits.

use std::sync::Arc;

use super::{Engine, Stopping};
use crate::call::setup::Invite;
use crate::config::Config;
use crate::emergency::bound::{Account, Admission, Proof};
use crate::emergency::station::{Neighbor, Station};
use crate::event::{Code, Event};
use crate::route::{self, Caller, Route};
use crate::secrets::Secrets;
use crate::sip::dialled::Dialled;
use crate::sip::transaction::{response_to, stateless_tag};
use crate::time::{Instant, WallClock};

impl Engine {
    /// No password is needed. What the source proves decides whose allowance the call counts against, whose number it
    /// shows, and whether that phone may call at all.
    pub(super) fn on_emergency_invite(&mut self, now: Instant, wall: WallClock, incoming: Invite, dialled: &Dialled) {
        let Invite { server, flow, .. } = incoming;
        let proof = self.registrar.prove(&mut self.shared.context(now, wall), flow, &incoming.request);
        let config = Arc::clone(&self.shared.config);
        let neighbor = |extension, by_flow| {
            let may_call = config.extension(extension).is_none_or(|extension| extension.emergency);
            Neighbor { extension, by_flow, may_call }
        };
        let proved = match &proof {
            Proof::Extension(name) => Some(neighbor(name.as_str(), false)),
            Proof::Address | Proof::None => None,
        };
        let here = self.registrar.neighbors(flow, now);
        let here: Vec<Neighbor<'_>> = here.into_iter().map(|(name, by_flow)| neighbor(name, by_flow)).collect();
        let (extension, caller) = match Station::of(proved, &here) {
            Station::Extension(name) => (Some(name.to_owned()), Caller::Extension(name)),
            Station::Barred(name) => (None, Caller::Extension(name)),
            Station::Unknown => (None, Caller::Unknown),
        };
        let route = route::route_dialled(&config, caller, dialled);
        let account = Account::of(&proof, || !here.is_empty());
        let Route::Emergency { number, caller_id } = route else {
            return self.call_part(now, wall, |calls, core| {
                calls.handle_handset_invite(core, incoming, extension.as_deref(), route);
            });
        };
        let admission = self.call_part(now, wall, |calls, core| calls.admit_emergency(core, flow, account));
        match admission {
            Admission::Leaves => self.call_part(now, wall, |calls, core| {
                let shown = (number, caller_id);
                calls.handle_emergency_invite(core, incoming, extension.as_deref(), shown, account);
            }),
            Admission::Challenge => {
                self.registrar.challenge(&mut self.shared.context(now, wall), server, flow, &incoming.request)
            }
            // Nothing of it is kept.
            Admission::Refuse => {
                let tag = stateless_tag(&incoming.request);
                self.shared.transactions.respond_once(now, server, response_to(&incoming.request, 503, Some(&tag)));
            }
        }
    }

    pub(super) fn on_reload(&mut self, now: Instant, wall: WallClock, config: Arc<Config>, secrets: Arc<Secrets>) {
        self.shared.secrets = secrets;
        self.shared.transactions.set_max_octets(config.limits.transactions);
        // Another server, domain or certificate means another flow, and an emergency call must not lose its own.
        let waits = config.trunk != self.shared.config.trunk && self.calls.has_emergency();
        self.shared.config = match waits {
            true => Arc::new(Config { trunk: self.shared.config.trunk.clone(), ..Config::clone(&config) }),
            false => Arc::clone(&config),
        };
        if waits {
            let text = "the new [trunk] takes effect when the emergency call in progress has ended";
            self.shared.event(Event::new(Code::ConfigReload, "trunk", text));
        }
        self.waiting_config = waits.then_some(config);
        self.trunk.handle_reload(&mut self.shared.context(now, wall));
    }

    /// What had to wait for the last emergency call to end: another trunk, and the end of the trunk.
    pub(super) fn after_emergency(&mut self, now: Instant, wall: WallClock) {
        let waits = self.waiting_config.is_some() || self.stopping == Stopping::Calls;
        if !waits || self.calls.has_emergency() {
            return;
        }
        if let Some(config) = self.waiting_config.take() {
            self.shared.config = config;
            self.trunk.handle_reload(&mut self.shared.context(now, wall));
        }
        if self.stopping == Stopping::Calls {
            self.stopping = Stopping::Trunk;
            self.trunk.stop(&mut self.shared.context(now, wall));
            if self.trunk.flow().is_err() {
                self.call_part(now, wall, |calls, core| calls.handle_trunk_stopped(core));
            }
        }
    }
}
