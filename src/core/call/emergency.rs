//! Emergency calls inside [`Calls`]: which may leave, what each remembers, who hears of it.

use std::net::IpAddr;

use super::calling::Calling;
use super::emergency_ways::Ways;
use super::setup::{self, Invite, Target};
use super::{Call, CallId, Calls, Cause, Core, Kind, LegId, Party, notice};
use crate::context::Output;
use crate::emergency::bound::{Account, Admission, MAX_CALLS, MAX_STRANGERS, QUIET};
use crate::emergency::callback::{CALL_BACK, Marked, Phone};
use crate::emergency::plan::Plan;
use crate::event::{Code, Event, Level};
use crate::route::target::Called;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, Contact, NameAddr};
use crate::sip::uri;
use crate::time::Instant;

/// What makes a call an emergency call.
#[derive(Debug)]
pub(super) struct Emergency {
    /// How it may leave, and what was tried.
    pub ways: Ways,
    /// Whose allowance it counts against.
    source: IpAddr,
    account: Account,
    pub heard: Heard,
    /// The same of the emergency service.
    far: Heard,
}

/// When the caller was heard last: RTP once media flows, signaling before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Its INVITE.
    Signaling(Instant),
    /// RTP comes.
    Speaking,
    /// None has come for [`QUIET`].
    Quiet,
}

impl Heard {
    /// Whether the call counts against the bound.
    fn counts(self, now: Instant) -> bool {
        match self {
            Heard::Signaling(at) => now.since(at) < QUIET,
            Heard::Speaking => true,
            Heard::Quiet => false,
        }
    }
}

impl Calls {
    /// Decides whether one more emergency call may leave, and makes room for it.
    pub fn admit_emergency(&mut self, core: &mut Core<'_, '_>, flow: Flow, account: Account) -> Admission {
        let now = core.cx.now;
        let emergencies = self.calls.values().filter_map(Call::emergency);
        let up: Vec<_> = emergencies.filter(|one| one.heard.counts(now)).map(|one| (one.source, one.account)).collect();
        let source = flow.remote.ip().to_canonical();
        let admission = self.emergency_bound.admit(now, source, account, &up);
        if admission == Admission::Leaves && !self.make_room(core, account) {
            return Admission::Refuse;
        }
        if admission != Admission::Leaves && self.emergency_bound.reports(now) {
            let text = format!(
                "{} makes too many emergency calls; it must prove who it is before the next one; \
                 find that device and unplug it",
                flow.remote
            );
            core.cx.event(Event::new(Code::CallEmergency, flow.remote.to_string(), text).at(Level::Error));
        }
        admission
    }

    /// Keeps the table of emergency calls within [`MAX_CALLS`], and strangers within their share: the oldest ends from
    /// which nothing is heard and whose connection or registration is gone. `false`: each of them may be somebody.
    fn make_room(&mut self, core: &mut Core<'_, '_>, account: Account) -> bool {
        let now = core.cx.now;
        let emergencies = || self.calls.iter().filter_map(|(id, call)| Some((*id, call, call.emergency()?)));
        let strangers = || emergencies().filter(|(.., one)| one.account.is_stranger());
        let gives_way =
            |(_, call, one): &(CallId, &Call, &Emergency)| !one.heard.counts(now) && self.caller_is_gone(core, call);
        let oldest = if account.is_stranger() && strangers().count() >= MAX_STRANGERS {
            strangers().filter(gives_way).min_by_key(|(_, call, _)| call.began)
        } else if emergencies().count() >= MAX_CALLS {
            emergencies().filter(gives_way).min_by_key(|(_, call, _)| call.began)
        } else {
            return true;
        };
        let Some((oldest, ..)) = oldest else { return false };
        self.end(core, oldest, Cause::Limit);
        true
    }

    /// Whether the connection or the registration of the phone that called is gone.
    fn caller_is_gone(&self, core: &Core<'_, '_>, call: &Call) -> bool {
        self.legs.get(&call.caller).is_none_or(|leg| {
            let is_udp = leg.flow.transport == Transport::Udp;
            leg.is_cut
                || core.cx.outward.is_idle(leg.flow)
                || is_udp && !core.registrar.is_registered(leg.flow, core.cx.now)
        })
    }

    /// A far end on hold knows no such dialog any more. That ends an emergency call only where its phone is gone, too: a
    /// person may take it off hold again, and the sound may still find its way.
    pub(super) fn on_unknown(&mut self, core: &mut Core<'_, '_>, call_id: CallId, id: LegId) {
        let Some(call) = self.calls.get(&call_id) else { return };
        let waits = call.emergency().is_some_and(|one| one.heard != Heard::Quiet || !self.caller_is_gone(core, call));
        if !waits {
            self.on_gone(core, call_id, id, Cause::Lost);
        }
    }

    /// An emergency call that may leave.
    pub fn handle_emergency_invite(
        &mut self,
        core: &mut Core<'_, '_>,
        incoming: Invite,
        extension: Option<&str>,
        (number, caller_id): (String, Option<String>),
        account: Account,
    ) {
        let calling = Calling::phone(core, extension, &incoming);
        let from = calling.name.clone();
        let party = Party::Handset(extension.map(str::to_string));
        let flow = incoming.flow;
        let contact = contact_of(&incoming);
        let heard = Heard::Signaling(core.cx.now);
        let kind = Kind::Emergency(Box::new(Emergency {
            ways: Ways::new(number.clone(), caller_id.clone(), core.cx.now),
            source: flow.remote.ip().to_canonical(),
            account,
            heard,
            far: heard,
        }));
        let Some(call) = self.admit(core, incoming, party, kind, calling, number.clone()) else {
            return;
        };
        core.cx.event(Event::new(
            Code::CallEmergency,
            format!("call {}", call.0),
            format!("emergency call to {number} from {from} as {}", caller_id.as_deref().unwrap_or("no caller ID")),
        ));
        // The test line calls nobody back.
        if caller_id.as_deref().is_some_and(|shown| Plan::of_number(shown).test != Some(number.as_str())) {
            self.remember_phone(core, extension, caller_id.as_deref(), flow, contact);
        }
        self.search_on(core, call);
        self.notify(core, &notice::Subject { number: &number, from: &from, flow });
    }

    /// For the emergency service's call back.
    fn remember_phone(
        &mut self,
        core: &mut Core<'_, '_>,
        extension: Option<&str>,
        caller_id: Option<&str>,
        flow: Flow,
        contact: rsip::Uri,
    ) {
        let any = || core.cx.config.extensions.first().map(|first| first.name.as_str());
        let (Some(number), Some(target)) = (caller_id, extension.or_else(any)) else { return };
        let phone = Phone {
            number: number.to_owned(),
            extension: target.to_owned(),
            is_own: extension.is_some(),
            flow: Some(flow),
            address: flow.remote.ip().to_canonical(),
            contact,
            until: core.cx.now + CALL_BACK,
        };
        core.cx.outputs.push_back(Output::CallBack(Box::new(phone.clone())));
        self.call_backs.remember(core.cx.now, phone);
    }

    /// Whom a call from outside rings where it is the emergency service's call back: the phone that called, wherever it is
    /// registered now; its other phones where it is not; the place that it called from where nothing is known.
    pub(super) fn call_back_targets(
        &self,
        core: &Core<'_, '_>,
        called: Called<'_>,
        incoming: &Invite,
        caller: &NameAddr,
    ) -> Option<(String, Vec<Target>)> {
        let marked = match header::is_call_back(&incoming.request.headers) {
            true => Marked::Yes,
            false => Marked::No,
        };
        let phone = match called {
            Called::Extension(extension) => self.call_backs.phone(core.cx.now, extension, marked),
            Called::Number(number) => self.call_backs.of_number(core.cx.now, number),
        }?;
        let target = |(name, flow, contact)| {
            let mut target = setup::handset_target(name, flow, contact, caller, setup::MAX_FORWARDS);
            if !phone.is_own {
                // What is not known to be a phone of the extension gets none of its rights.
                target.party = Party::Handset(None);
            }
            target
        };
        let mut bindings = match phone.is_own {
            true => setup::bindings_of(core, &phone.extension, None),
            false => Vec::new(),
        };
        // One that does not respond is rung beside the others, not alone.
        let is_here = |flow: Flow| {
            flow.remote.ip().to_canonical() == phone.address && !core.registrar.is_silent(flow, core.cx.now)
        };
        if bindings.iter().any(|(_, flow, _)| is_here(*flow)) {
            bindings.retain(|(_, flow, _)| is_here(*flow));
        }
        if bindings.is_empty() {
            bindings.push((phone.extension.clone(), phone.flow?, phone.contact.clone()));
        }
        Some((phone.extension.clone(), bindings.into_iter().map(target).collect()))
    }

    /// The media driver hears a leg of a call again, or has heard nothing for a while. `true`: it is the caller of an
    /// emergency call, and nothing else follows from that.
    pub(super) fn heard(&mut self, id: LegId, heard: Heard) -> bool {
        let Some(call) = self.legs.get(&id).and_then(|leg| self.calls.get_mut(&leg.call)) else { return false };
        let is_caller = call.caller == id;
        match &mut call.kind {
            Kind::Emergency(emergency) if is_caller => emergency.heard = heard,
            Kind::Emergency(emergency) => emergency.far = heard,
            _ => return false,
        }
        is_caller
    }

    /// Whether an emergency call is in progress: a stop and a new trunk wait for it. One in which neither side is heard any
    /// more (the phone lost its power, and the line is gone) holds nothing up.
    pub fn has_emergency(&self) -> bool {
        let is_somebody = |call: &Call| match call.emergency() {
            Some(one) => call.answered.is_none() || one.heard != Heard::Quiet || one.far != Heard::Quiet,
            None => true,
        };
        self.calls.values().any(|call| call.kind.priority().is_emergency() && is_somebody(call))
    }

    /// Whether the phone in it was not asked for a password.
    pub(super) fn was_dialled_for_help(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|call| call.emergency().is_some())
    }
}

/// What the phone calls itself; where it says nothing useful, the place that it called from.
fn contact_of(incoming: &Invite) -> rsip::Uri {
    let contacts = header::contacts(&incoming.request.headers).unwrap_or_default();
    let own = contacts.into_iter().find_map(|contact| match contact {
        Contact::Addr(address) if uri::is_sip(&address.uri) => Some(address.uri),
        _ => None,
    });
    let remote = incoming.flow.remote;
    own.unwrap_or_else(|| uri::sip(None, &remote.ip().to_string(), Some(remote.port())))
}
