//! A dialog outlives the connection that it began on (RFC 3261 sections 12.2 and 18).
//!
//! | a request in a dialog with a phone comes | what happens |
//! |---|---|
//! | from the address that the phone was last heard from | it is taken |
//! | from an address that its extension is registered from | it is taken |
//! | from anywhere else on the LAN | it is challenged, and the extension's credentials take it in |
//! | by the trunk | 481 |
//!
//! A name of a dialog cannot be guessed: our tag has 64 bits of randomness. So a forged source address alone ends no call.
//! An ACK cannot be challenged. It is taken from anywhere on the LAN, for it proves that its sender has read our 2xx, and
//! moves nothing.
//!
//! Requests to the phone go by its newest flow: the one that it was last heard on, or registered by since. Where that was a
//! connection and it ended, they go where the phone is registered, else to its Contact ([`crate::streams::outward`]), else
//! they wait. A call ends when nobody is heard any more, not when a connection goes. A caller who cannot be reached any
//! more before the answer has hung up, except in an emergency.

use std::net::IpAddr;

use rsip::{Request, Uri};

use super::leg::{Leg, LegEvent, Party, Purpose, Scope, State};
use super::{CallId, Calls, Cause, Core, LegId, Timer};
use crate::call::leg::LegTimer;
use crate::registrar::{Binding, Bound};
use crate::sip::dialog::DialogId;
use crate::sip::flow::Flow;
use crate::sip::header::{self, Contact};
use crate::sip::transaction::{ServerId, T1};
use crate::sip::uri;
use crate::streams::outward::Ended;

/// What a request's dialog and the flow that it came on say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no such dialog there.
    None,
    Proved(LegId),
    /// It must prove that it is the phone's.
    Doubted(LegId),
}

impl Calls {
    /// Whose request that is.
    pub fn standing(&self, core: &Core<'_, '_>, flow: Flow, request: &Request) -> Standing {
        let id = DialogId::of_request(request).and_then(|id| self.dialogs.get(&id).copied());
        let Some((id, leg)) = id.and_then(|id| Some((id, self.legs.get(&id)?))) else { return Standing::None };
        let (is_trunk, is_standby) = (core.trunk.is_trunk(flow), core.trunk.is_standby(flow));
        match &leg.party {
            Party::Trunk(_) if is_trunk || is_standby && leg.flow == flow => Standing::Proved(id),
            Party::Trunk(_) => Standing::None,
            Party::Handset(_) if is_trunk || is_standby => Standing::None,
            Party::Handset(extension) => {
                let is_same = address(&flow) == address(&leg.flow);
                let neighbors = || core.registrar.neighbors(flow, core.cx.now).into_iter();
                let is_registered = |extension: &String| neighbors().any(|(name, _)| name == extension);
                match is_same || extension.as_ref().is_some_and(is_registered) {
                    true => Standing::Proved(id),
                    false => Standing::Doubted(id),
                }
            }
        }
    }

    /// Whether a leg is that extension's. Of a phone that is unknown any extension will do: it has none to prove.
    pub fn is_of(&self, id: LegId, extension: &str) -> bool {
        self.legs.get(&id).is_some_and(|leg| leg.extension().is_none_or(|own| own == extension))
    }

    /// A request inside a dialog of ours, from its other end.
    pub fn handle_in_dialog(
        &mut self,
        core: &mut Core<'_, '_>,
        id: LegId,
        server: ServerId,
        flow: Flow,
        request: Request,
    ) {
        let reply = core.cx.transactions.reply_flow(server).unwrap_or(flow);
        self.heard_on(core, id, reply);
        self.drive(core, id, |leg, scope| leg.on_request(scope, server, request));
    }

    /// An ACK to a 2xx.
    pub fn handle_ack(&mut self, core: &mut Core<'_, '_>, flow: Flow, ack: &Request) {
        let id = match self.standing(core, flow, ack) {
            Standing::None => return,
            Standing::Doubted(id) => id,
            Standing::Proved(id) => {
                // Which port a phone listens at, its requests say that we answer.
                if self.legs.get(&id).is_some_and(|leg| leg.flow.at_port(flow.remote.port()) != flow) {
                    self.heard_on(core, id, flow);
                }
                id
            }
        };
        self.drive(core, id, |leg, scope| leg.on_ack(scope, ack));
    }

    fn heard_on(&mut self, core: &mut Core<'_, '_>, id: LegId, flow: Flow) {
        if self.legs.get(&id).is_some_and(|leg| matches!(leg.party, Party::Handset(_))) {
            self.move_leg(core, id, flow);
        }
    }

    /// A phone has registered, perhaps by another flow than before.
    pub fn handle_bound(&mut self, core: &mut Core<'_, '_>, bound: &Bound) {
        let bindings = core.registrar.bindings(&bound.extension, core.cx.now);
        let has_left = |flow: &Flow| bindings.iter().all(|one| address(&one.flow) != address(flow));
        let moves = |leg: &&Leg| {
            let is_lost = leg.is_cut || core.cx.outward.is_idle(leg.flow);
            let is_it = || leg.target().as_ref() == Some(&bound.contact) || address(&leg.flow) == address(&bound.to);
            matches!(&leg.party, Party::Handset(Some(extension)) if *extension == bound.extension)
                && (bound.from.contains(&leg.flow)
                    // By another port than it registered from, where no other phone is.
                    || bound.from.iter().any(|left| address(left) == address(&leg.flow) && has_left(left))
                    || is_lost && is_it())
        };
        let legs: Vec<LegId> = self.legs.values().filter(moves).map(|leg| leg.id).collect();
        for id in legs {
            self.move_leg(core, id, bound.to);
        }
    }

    /// From now on a phone is reached by this flow.
    fn move_leg(&mut self, core: &mut Core<'_, '_>, id: LegId, flow: Flow) {
        let Some(leg) = self.legs.get(&id) else { return };
        if leg.flow == flow && !leg.is_cut {
            return;
        }
        // A leg that only winds down has no media any more.
        let has_sound = leg.is_confirmed() && self.media.contains_key(&leg.media);
        let moves_sound = has_sound && address(&leg.flow) != address(&flow);
        self.with(core, id, |leg, scope| leg.move_to(scope, flow));
        if moves_sound {
            self.set_media(core, id);
        }
    }

    /// A stream of a phone ended.
    pub fn handle_flow_down(&mut self, core: &mut Core<'_, '_>, flow: Flow, ended: Ended) {
        self.call_backs.flow_down(flow, |contact| core.cx.outward.instead(flow, ended, contact));
        let is_on_it = |leg: &&Leg| leg.flow == flow && matches!(leg.party, Party::Handset(_));
        let legs: Vec<LegId> = self.legs.values().filter(is_on_it).map(|leg| leg.id).collect();
        let mut lost: Vec<(CallId, LegId, LegEvent)> = Vec::new();
        for id in legs {
            let Some(leg) = self.legs.get(&id) else { continue };
            let instead = instead(core, leg, ended);
            let (call, is_emergency) = (leg.call, leg.priority.is_emergency());
            let event = self.with(core, id, |leg, scope| match instead {
                Some(flow) => {
                    leg.go_on_by(scope, flow);
                    None
                }
                None => {
                    leg.is_cut = true;
                    let event = match leg.state {
                        State::New => LegEvent::Refused(Cause::Lost),
                        State::Incoming(_) if !is_emergency => LegEvent::Broken(Cause::Lost),
                        // The transactions say so of an INVITE of ours.
                        _ => return None,
                    };
                    leg.end(scope);
                    Some(event)
                }
            });
            lost.extend(event.flatten().map(|event| (call, id, event)));
        }
        // All of them first: what ends with one of them must not be sent to another.
        for (call, id, event) in lost {
            self.on_leg_event(core, call, id, event);
        }
    }
}

fn address(flow: &Flow) -> IpAddr {
    flow.remote.ip().to_canonical()
}

/// Where the phone of a leg is reached, whose flow ended.
fn instead(core: &mut Core<'_, '_>, leg: &Leg, ended: Ended) -> Option<Flow> {
    let contact = leg.target();
    let is_it = |one: &&Binding| {
        one.reach() != leg.flow
            && (contact.as_ref().is_some_and(|contact| one.is_contact(contact))
                || address(&one.flow) == address(&leg.flow))
    };
    let bindings = leg.extension().map(|extension| core.registrar.bindings(extension, core.cx.now));
    let bound = bindings.and_then(|bindings| bindings.into_iter().find(is_it).map(|one| one.reach()));
    if let Some(bound) = bound.filter(|_| ended == Ended::Theirs) {
        core.cx.outward.look(bound);
    }
    bound.or_else(|| core.cx.outward.instead(leg.flow, ended, &contact?))
}

impl Leg {
    /// Their Contact, as far as it is known.
    fn target(&self) -> Option<Uri> {
        match &self.state {
            State::New | State::Ended => None,
            State::Incoming(incoming) => match header::contacts(&incoming.invite.headers).ok()?.into_iter().next()? {
                Contact::Addr(address) => Some(address.uri),
                Contact::Star => None,
            },
            State::Outgoing(outgoing) => match outgoing.early.last() {
                Some(early) => Some(early.dialog.target.clone()),
                None => self.asked(Purpose::Invite),
            },
            State::Confirmed(confirmed) => Some(confirmed.dialog.target.clone()),
            State::Ending => self.asked(Purpose::Bye),
        }
    }

    fn asked(&self, purpose: Purpose) -> Option<Uri> {
        let pending = self.pending.iter().find(|pending| pending.purpose == purpose);
        pending.map(|pending| pending.request.uri.clone())
    }

    /// The phone's flow ended, and there is another: what waits for an answer waits there.
    fn go_on_by(&mut self, scope: &mut Scope<'_, '_>, flow: Flow) {
        let unacknowledged = match &self.state {
            State::Confirmed(confirmed) => confirmed.unacknowledged.as_ref().map(|waiting| waiting.server),
            _ => None,
        };
        for server in self.server.into_iter().chain(unacknowledged) {
            scope.cx.transactions.move_server(server, flow);
        }
        let is_heard = matches!(&self.state, State::Outgoing(_)) && !self.is_unheard();
        if let Some(pending) = self.pending.iter().find(|one| is_heard && one.purpose == Purpose::Invite) {
            scope.cx.transactions.move_client(pending.client, flow);
        }
        self.move_to(scope, flow);
    }

    /// From now on the phone is reached by this flow. What waited for one goes.
    pub(super) fn move_to(&mut self, scope: &mut Scope<'_, '_>, flow: Flow) {
        self.is_cut = false;
        let is_renamed = flow.local != self.flow.local || flow.transport != self.flow.transport;
        self.flow = flow;
        if is_renamed {
            self.rename(scope);
        }
        if let Some(bye) = self.parked.take() {
            self.send(scope, bye, Purpose::Bye, 0);
        }
        if let State::Confirmed(confirmed) = &mut self.state
            && let Some(waiting) = &mut confirmed.unacknowledged
            && !scope.cx.transactions.is_open(waiting.server)
        {
            // It, or its ACK, was lost with the flow: again at once.
            waiting.interval = T1 / 2;
            scope.timers.set(Timer::Leg(self.id, LegTimer::Repeat2xx), scope.cx.now);
        }
        self.offer_what_waited(scope);
    }

    /// Our Contact names the address that this flow leads to.
    pub(super) fn rename(&mut self, scope: &mut Scope<'_, '_>) {
        let State::Confirmed(confirmed) = &self.state else { return };
        let user = header::NameAddr::parse(&confirmed.dialog.contact).ok().and_then(|contact| uri::user(&contact.uri));
        let contact = self.contact(scope, user.as_deref().unwrap_or("gateway"));
        let State::Confirmed(confirmed) = &mut self.state else { return };
        if let Some(waiting) = &mut confirmed.unacknowledged {
            header::set_contact(&mut waiting.response.headers, contact.as_str());
        }
        confirmed.dialog.contact = contact;
    }
}
