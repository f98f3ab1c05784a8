//! How a call begins: who is asked for, whom to ring, which ports to open first.

use std::net::SocketAddr;

use rsip::{Request, Uri};

use super::calling::Calling;
use super::description::Demand;
use super::leg::{Invitation, Leg, LegTimer, Party};
use super::negotiation::{Negotiation, preferring};
use super::outside::{Denied, Paid};
use super::{
    Call, CallId, Calls, Cause, Core, Kind, LegId, Phase, REDIAL_WAIT, TRUNK_RING, Timer, admission, description,
    emergency_invite, srtp,
};
use crate::config::{Secure, Srtp};
use crate::context::Output;
use crate::emergency::Priority;
use crate::event::{Code, Event, Level};
use crate::media::{Command, LastPorts, MediaLeg};
use crate::route::Route;
use crate::route::target::Called;
use crate::sip::dialled::Presentation;
use crate::sip::flow::Flow;
use crate::sip::header::{self, NameAddr, Privacy};
use crate::sip::sdp::Remote;
use crate::sip::status;
use crate::sip::transaction::{ServerId, response_to};
use crate::sip::uri;

/// Handsets of all called extensions that ring at once (Twilio's own limit of nouns and of bindings is ten each).
const MAX_FORKS: usize = 100;

/// Max-Forwards where the caller sent none (RFC 3261 section 8.1.1.6).
pub(super) const MAX_FORWARDS: u32 = 70;

/// Why a call with `Privacy: critical` does not leave.
const UNPRIVATE: &str =
    "Twilio shows a number of the account on each call, and this one asks for none (Privacy: critical)";

/// An INVITE that a handset or the trunk sent, outside any dialog.
pub struct Invite {
    pub server: ServerId,
    pub flow: Flow,
    pub request: Request,
}

/// A party that will be rung.
pub(super) struct Target {
    pub party: Party,
    flow: Flow,
    invitation: Invitation,
    /// Who pays for it, where it is outside.
    paid: Option<Paid>,
}

impl Target {
    /// The same, without who calls where that is withheld.
    fn presenting(mut self, caller: &NameAddr) -> Target {
        if caller.is_anonymous() {
            self.invitation.presentation = Presentation::Withheld;
        }
        self
    }

    /// The extension or the number that is rung.
    fn name(&self) -> Option<String> {
        match &self.party {
            Party::Handset(extension) => extension.clone(),
            Party::Trunk(_) => uri::user(&self.invitation.target),
        }
    }
}

impl Calls {
    /// A handset's INVITE, authenticated or for an emergency, with its route.
    pub fn handle_handset_invite(
        &mut self,
        core: &mut Core<'_, '_>,
        incoming: Invite,
        extension: Option<&str>,
        route: Route,
    ) {
        let caller = Calling::phone(core, extension, &incoming);
        let from = caller.name.clone();
        let dialled = uri::user(&incoming.request.uri).unwrap_or_default();
        let party = Party::Handset(extension.map(str::to_string));
        match route {
            // Decided before the password was asked for ([`Calls::handle_emergency_invite`]).
            Route::Emergency { .. } => refuse(core, &incoming, 403, "an emergency call leaves without a password"),
            Route::Refuse { code, reason } => {
                tell_refused(core, Level::Notice, incoming.flow, &from, &dialled, &format!("{code}, {reason}"));
                refuse(core, &incoming, code, &reason);
            }
            // RFC 3323 section 5: what cannot be withheld is not called.
            Route::Outside { .. } if header::privacy(&incoming.request.headers) == Privacy::Critical => {
                tell_refused(core, Level::Notice, incoming.flow, &from, &dialled, UNPRIVATE);
                refuse(core, &incoming, 500, UNPRIVATE);
            }
            Route::Outside { number, .. } => {
                let trunk = match core.trunk.flow() {
                    Ok(flow) => flow,
                    Err(reason) => {
                        let reason = format!("no connection to the SIP domain: {reason}");
                        tell_refused(core, Level::Warning, incoming.flow, &from, &number, &reason);
                        refuse(core, &incoming, 503, &reason);
                        return;
                    }
                };
                let paid = match extension {
                    Some(extension) => {
                        self.admit_outside(core, extension, &number).map_err(|denied| denied.to_string())
                    }
                    None => Err("no extension pays for it".to_owned()),
                };
                let paid = match paid {
                    Ok(paid) => paid,
                    Err(reason) => {
                        tell_refused(core, Level::Warning, incoming.flow, &caller.name, &number, &reason);
                        refuse(core, &incoming, Denied::STATUS, &reason);
                        return;
                    }
                };
                let target = outside_target(core, trunk, paid, &number);
                let target = target.presenting(&caller.shown);
                if let Some(call) = self.admit(core, incoming, party, Kind::Outbound, caller, number) {
                    self.open(core, call, vec![target]);
                }
            }
            Route::Local { extensions } => {
                if let Some(extension) = extension
                    && let Err(denied) = self.admit_call(core, extension)
                {
                    let reason = denied.to_string();
                    tell_refused(core, Level::Warning, incoming.flow, &caller.name, &dialled, &reason);
                    refuse(core, &incoming, Denied::STATUS, &reason);
                    return;
                }
                let targets = handset_targets(core, &extensions, Some(incoming.flow), &caller.shown, hops(&incoming));
                self.ring_handsets(core, incoming, party, Kind::Local, caller, extensions.join(","), targets);
            }
        }
    }

    /// An INVITE from the SIP domain (TWILIO.md "Call to an extension"), for its [`target`](crate::route::target).
    pub fn handle_trunk_invite(&mut self, core: &mut Core<'_, '_>, incoming: Invite) {
        let caller = Calling::outside(core, &incoming);
        let carrier = uri::user(&incoming.request.uri).unwrap_or_default();
        let config = core.cx.config;
        let header = header::target(&incoming.request.headers);
        let Some(called) = Called::read(config, header, &carrier) else {
            let wanted = header.unwrap_or(&carrier).to_owned();
            tell_refused(core, Level::Notice, incoming.flow, &caller.name, &wanted, "no such extension");
            refuse(core, &incoming, 404, "no such extension");
            return;
        };
        let party = Party::Trunk(Some(carrier));
        if let Some((to, targets)) = self.call_back_targets(core, called, &incoming, &caller.shown) {
            self.ring_handsets(core, incoming, party, Kind::CallBack, caller, to, targets);
            return;
        }
        let called = called.extensions(config);
        let targets = handset_targets(core, called, Some(incoming.flow), &caller.shown, hops(&incoming));
        self.ring_handsets(core, incoming, party, Kind::Inbound, caller, called.join(","), targets);
    }

    #[expect(clippy::too_many_arguments, reason = "what a call is made of; a struct would only rename them")]
    fn ring_handsets(
        &mut self,
        core: &mut Core<'_, '_>,
        incoming: Invite,
        party: Party,
        kind: Kind,
        caller: Calling,
        to: String,
        targets: Vec<Target>,
    ) {
        if targets.is_empty() {
            // At once, so that Twilio asks the action of its `<Dial>`, which goes on (TWILIO.md "Dial action").
            tell_refused(core, Level::Notice, incoming.flow, &caller.name, &to, &Cause::NotRegistered.text());
            refuse(core, &incoming, Cause::NotRegistered.status(), "no handset is registered");
            return;
        }
        if let Some(call) = self.admit(core, incoming, party, kind, caller, to) {
            self.open(core, call, targets);
        }
    }

    /// Checks an INVITE and makes a call of it, with its caller's leg. `None`: it has been refused.
    pub(super) fn admit(
        &mut self,
        core: &mut Core<'_, '_>,
        incoming: Invite,
        party: Party,
        kind: Kind,
        calling: Calling,
        to: String,
    ) -> Option<CallId> {
        let mut incoming = incoming;
        let timer = match kind.priority() {
            Priority::Emergency => Ok(emergency_invite::settle(&mut incoming.request, incoming.flow)),
            Priority::Ordinary => {
                let demand = demand_of(core, &party, kind.priority(), Some(&incoming.request));
                admission::check(core, &incoming.request, demand)
            }
        };
        let timer = match timer {
            Ok(timer) => timer,
            Err(response) => {
                let code = response.status_code.code();
                let warning = header::warning(&response.headers).map(|warning| format!(": {warning}"));
                let why = format!("{code} {}{}", status::reason(code), warning.unwrap_or_default());
                tell_refused(core, Level::Notice, incoming.flow, &calling.name, &to, &why);
                core.cx.transactions.respond(core.cx.now, incoming.server, *response);
                return None;
            }
        };
        if !kind.priority().is_emergency() && self.calls.len() >= core.cx.config.limits.calls {
            tell_refused(core, Level::Warning, incoming.flow, &calling.name, &to, &Cause::Limit.text());
            refuse(core, &incoming, 503, "too many calls");
            return None;
        }
        if matches!(party, Party::Trunk(_)) && core.cx.config.trunk.secure.is_on() && is_plain(&incoming.request) {
            core.trunk.note_plain(core.cx.now);
            let text = format!("call from {} to {to}: Twilio offers plain RTP, without ;secure=true", calling.name);
            core.cx.event(Event::new(Code::CallPlain, incoming.flow.remote.to_string(), text));
        }
        let id = CallId(self.number());
        let flow = match party {
            Party::Handset(_) => core.cx.transactions.reply_flow(incoming.server).unwrap_or(incoming.flow),
            Party::Trunk(_) => incoming.flow,
        };
        let caller = self.new_leg(id, party, kind.priority(), flow);
        self.servers.insert(incoming.server, caller);
        let call = Call::new(kind, calling, to, core.cx.now, caller);
        let text = format!("{} call from {} to {}", call.kind.word(), call.from, call.to);
        core.cx.event(Event::new(Code::CallBegun, format!("call {}", id.0), text));
        self.calls.insert(id, call);
        self.with(core, caller, |leg, scope| {
            leg.server = Some(incoming.server);
            leg.admit(scope, incoming.server, incoming.request, timer);
        });
        self.open_media(core, caller);
        Some(id)
    }

    fn new_leg(&mut self, call: CallId, party: Party, priority: Priority, flow: Flow) -> LegId {
        let id = LegId(self.number());
        let media = MediaLeg(self.number());
        self.legs.insert(id, Leg::new(id, call, party, priority, flow, media));
        self.media.insert(media, id);
        id
    }

    fn open_media(&self, core: &mut Core<'_, '_>, id: LegId) {
        if let Some(leg) = self.legs.get(&id) {
            let last = match leg.priority {
                Priority::Emergency => LastPorts::Take,
                Priority::Ordinary => LastPorts::Leave,
            };
            core.cx.outputs.push_back(Output::Media(Command::Open { leg: leg.media, bind: leg.flow.local.ip(), last }));
        }
    }

    /// Opens the media of those to be rung; they are invited as soon as all ports are known.
    pub(super) fn open(&mut self, core: &mut Core<'_, '_>, call_id: CallId, targets: Vec<Target>) -> Vec<LegId> {
        let mut plan = Vec::new();
        let priority = self.calls.get(&call_id).map_or(Priority::Ordinary, |call| call.kind.priority());
        if let Some(call) = self.calls.get_mut(&call_id) {
            call.diversions.been.extend(targets.iter().filter_map(Target::name));
        }
        for target in targets {
            let id = self.new_leg(call_id, target.party, priority, target.flow);
            if let Some((leg, paid)) = self.legs.get_mut(&id).zip(target.paid) {
                leg.paid_by = Some(paid.extension().to_owned());
            }
            self.open_media(core, id);
            plan.push((id, target.invitation));
        }
        let legs: Vec<LegId> = plan.iter().map(|(id, _)| *id).collect();
        if let Some(call) = self.calls.get_mut(&call_id) {
            call.ringing.extend(&legs);
            // Who was to be rung already waits for a port still.
            if let Phase::Opening(waiting) = &mut call.phase {
                waiting.extend(plan);
            } else {
                call.phase = Phase::Opening(plan);
            }
        }
        self.invite_when_open(core, call_id);
        legs
    }

    /// A leg's port is known.
    pub(super) fn media_opened(&mut self, core: &mut Core<'_, '_>, id: LegId, local: SocketAddr) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let address = match leg.party {
            Party::Trunk(_) => core.cx.config.media.public_address.unwrap_or(local.ip()),
            Party::Handset(_) => local.ip(),
        };
        let offered = leg.invite_to_answer().map(|(_, invite)| invite);
        let demand = demand_of(core, &leg.party, leg.priority, offered);
        let mut negotiation = Negotiation::new(local, address, demand, core.cx.random);
        if let Some(profile) = srtp::proposal(core, leg) {
            negotiation.propose(profile);
        }
        let offer = leg.invite_to_answer().and_then(|(_, invite)| offer_of(invite, demand, leg.priority));
        let spoken = offer.as_ref().map(Remote::profile);
        if let Some(offer) = offer {
            negotiation.take_offer(offer);
        }
        leg.negotiation = Some(negotiation);
        let call = leg.call;
        if let Some(spoken) = spoken {
            self.learn_profile(core, id, spoken);
        }
        self.invite_when_open(core, call);
    }

    fn invite_when_open(&mut self, core: &mut Core<'_, '_>, call_id: CallId) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let Phase::Opening(plan) = &mut call.phase else { return };
        let open = |id: &LegId| self.legs.get(id).is_some_and(|leg| leg.negotiation.is_some());
        let caller_is_open = matches!(call.kind, Kind::Notice) || open(&call.caller);
        if plan.is_empty() || !caller_is_open || !plan.iter().all(|(id, _)| open(id)) {
            return;
        }
        let plan = std::mem::take(plan);
        call.phase = Phase::Ringing;
        let (caller, is_emergency) = (call.caller, call.emergency().is_some());
        let now = core.cx.now;
        let until = match call.kind {
            Kind::Local | Kind::Inbound | Kind::Notice => Some(now + core.cx.config.limits.ring),
            Kind::Outbound => Some(now + TRUNK_RING),
            // All its ways together. What rings then rings for as long as somebody waits.
            Kind::Emergency(_) => (!call.rang).then_some(call.began + TRUNK_RING),
            Kind::CallBack => None,
        };
        // After a transfer begins, the kept leg has settled on its codecs; before an answer, the caller's offer counts.
        let offered = self.legs.get(&caller).and_then(|leg| leg.negotiation.as_ref());
        let codecs = match offered.map(|negotiation| (negotiation.codecs(), negotiation.remote())) {
            Some((agreed, _)) if !agreed.is_empty() => preferring(&agreed),
            Some((_, Some(remote))) => preferring(&remote.codecs),
            _ => preferring(&[]),
        };
        if let Some(until) = until {
            self.timers.set(Timer::Ring(call_id), until);
        }
        for (id, invitation) in plan {
            self.with(core, id, |leg, scope| leg.invite(scope, invitation, &codecs));
            match self.legs.get(&id) {
                Some(leg) if matches!(leg.party, Party::Handset(_)) => {
                    let patience = core.registrar.patience(leg.flow, now);
                    self.timers.set(Timer::Leg(id, LegTimer::Unheard), now + patience);
                }
                _ if is_emergency => self.listen_for(core, call_id, id),
                _ => {}
            }
        }
    }

    /// A call leaves by the trunk, or waits for it.
    pub(super) fn dial_trunk(&mut self, core: &mut Core<'_, '_>, call_id: CallId) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        let extension = self.legs.get(&call.caller).and_then(|leg| leg.extension()).map(str::to_owned);
        match core.trunk.flow() {
            Ok(flow) => {
                let number = call.to.clone();
                let shown = call.shown.clone();
                self.timers.cancel(Timer::TrunkWait(call_id));
                match extension.map(|extension| self.admit_again(&extension)) {
                    Some(Ok(paid)) => {
                        let target = outside_target(core, flow, paid, &number).presenting(&shown);
                        self.open(core, call_id, vec![target]);
                    }
                    // Who pays is gone, or nobody may.
                    Some(Err(_)) | None => self.end(core, call_id, Cause::Spend),
                }
            }
            Err(reason) => {
                let (kind, to) = (call.kind.word(), &call.to);
                let text = format!("{kind} call to {to} waits, no connection to the SIP domain: {reason}");
                call.phase = Phase::WaitingForTrunk;
                core.cx.event(Event::new(Code::CallWaiting, format!("call {}", call_id.0), text));
                self.timers.cancel(Timer::Ring(call_id));
                self.timers.set(Timer::TrunkWait(call_id), core.cx.now + REDIAL_WAIT);
            }
        }
    }

    /// Calls that wait for the trunk's own flow.
    pub(super) fn waiting_for_trunk(&self) -> Vec<CallId> {
        let waits = |call: &Call| matches!(call.phase, Phase::WaitingForTrunk) && call.emergency().is_none();
        self.calls.iter().filter(|(_, call)| waits(call)).map(|(id, _)| *id).collect()
    }

    /// Whether a call waits for the trunk, or an emergency call might need its other edge: then no back-off counts.
    pub fn needs_trunk(&self) -> bool {
        self.calls.values().any(|call| matches!(call.phase, Phase::WaitingForTrunk))
            || self.searching().next().is_some()
    }

    /// Rings the target of a transfer inside the call that goes on.
    pub(super) fn ring_for_transfer(
        &mut self,
        core: &mut Core<'_, '_>,
        call_id: CallId,
        extension: Option<&str>,
        route: &Route,
        caller: &NameAddr,
    ) -> Result<(), u16> {
        let targets = match route {
            Route::Refuse { code, .. } => return Err(*code),
            Route::Local { extensions } => handset_targets(core, extensions, None, caller, MAX_FORWARDS),
            // Refused when the transfer was asked for.
            Route::Emergency { .. } => return Err(403),
            Route::Outside { number, .. } => {
                let flow = core.trunk.flow().map_err(|_| 503_u16)?;
                let extension = extension.ok_or(Denied::STATUS)?;
                let paid = self.admit_outside(core, extension, number).map_err(|_| Denied::STATUS)?;
                vec![outside_target(core, flow, paid, number)]
            }
        };
        if targets.is_empty() {
            return Err(480);
        }
        self.open(core, call_id, targets);
        Ok(())
    }
}

/// What the description of that party must be: [`Secure`]'s rule outside, [`Srtp`]'s inside. `offered` is its INVITE,
/// where it calls. An emergency call, and an emergency service that calls back, is taken in any case.
fn demand_of(core: &Core<'_, '_>, party: &Party, priority: Priority, offered: Option<&Request>) -> Demand {
    let is_required = |name| core.cx.config.extension(name).is_some_and(|extension| extension.srtp == Srtp::Required);
    match (party, core.cx.config.trunk.secure) {
        (Party::Handset(Some(name)), _) if !priority.is_emergency() && is_required(name) => Demand::Srtp,
        (Party::Handset(_), _) | (_, Secure::Off) => Demand::Any,
        (_, Secure::On) if offered.is_some_and(is_plain) => Demand::Any,
        (_, Secure::Only) if priority.is_emergency() && offered.is_some_and(is_plain) => Demand::Any,
        (_, Secure::On | Secure::Only) => Demand::Srtp,
    }
}

/// Whether an INVITE offers RTP alone.
fn is_plain(invite: &Request) -> bool {
    let offer = description::offer(&invite.headers, &invite.body, Demand::Any);
    offer.is_ok_and(|offer| offer.is_some_and(|offer| offer.crypto.is_none()))
}

/// What an INVITE that was admitted offers.
fn offer_of(invite: &Request, demand: Demand, priority: Priority) -> Option<Remote> {
    match priority {
        Priority::Emergency => emergency_invite::offer(invite, demand),
        // Read once before, by `admission::check`: an error is not possible any more, and would only mean no offer.
        Priority::Ordinary => description::offer(&invite.headers, &invite.body, demand).ok().flatten(),
    }
}

/// For the log: a call that never began, and why.
fn tell_refused(core: &mut Core<'_, '_>, level: Level, flow: Flow, from: &str, to: &str, why: &str) {
    let text = format!("call from {from} to {to} refused: {why}");
    core.cx.event(Event::new(Code::CallRefused, flow.remote.to_string(), text).at(level));
}

fn refuse(core: &mut Core<'_, '_>, incoming: &Invite, code: u16, text: &str) {
    let tag = core.cx.random.hex(8);
    let mut response = response_to(&incoming.request, code, Some(&tag));
    header::push_warning(&mut response.headers, "gateway", text);
    if code == 503 {
        header::push_retry_after(&mut response.headers, 10);
    }
    core.cx.transactions.respond(core.cx.now, incoming.server, response);
}

/// Twilio wants the domain in Request-URI and To, and the extension (or, for an emergency, its number) in From.
fn trunk_target(core: &Core<'_, '_>, flow: Flow, account: Option<&str>, user: &str, number: &str) -> Target {
    let domain = &core.cx.config.trunk.domain;
    let target = uri::sip(Some(number), domain, None);
    Target {
        party: Party::Trunk(account.map(str::to_string)),
        paid: None,
        flow,
        invitation: Invitation {
            to: NameAddr::new(target.clone()),
            target,
            from: NameAddr::new(uri::sip(Some(user), domain, None)),
            contact_user: account.unwrap_or("gateway").to_string(),
            // Twilio wants 20 at least (TWILIO.md "Max-Forwards").
            max_forwards: MAX_FORWARDS,
            presentation: Presentation::Shown,
        },
    }
}

/// A leg to the telephone network, which its extension pays.
pub(super) fn outside_target(core: &Core<'_, '_>, flow: Flow, paid: Paid, number: &str) -> Target {
    let extension = paid.extension();
    let target = trunk_target(core, flow, Some(extension), extension, number);
    Target { paid: Some(paid), ..target }
}

/// An emergency call: From is a number, because it is what Twilio looks at (TWILIO.md "Emergency caller"); the
/// credentials are of `account` ([`Trunk::account`](crate::trunk::Trunk::account)).
pub(super) fn emergency_target(
    core: &Core<'_, '_>,
    flow: Flow,
    account: Option<&str>,
    number: &str,
    caller_id: Option<String>,
) -> Target {
    let user = caller_id.or_else(|| account.map(str::to_string)).unwrap_or_else(|| "gateway".into());
    trunk_target(core, flow, account, &user, number)
}

/// Name, flow and Contact of every handset of an extension, but for the one that calls.
pub(super) fn bindings_of(core: &Core<'_, '_>, extension: &str, but: Option<Flow>) -> Vec<(String, Flow, Uri)> {
    core.registrar
        .bindings(extension, core.cx.now)
        .into_iter()
        .filter(|binding| !but.is_some_and(|but| binding.is_at(but)))
        .filter_map(|binding| Some((extension.to_string(), binding.reach(), uri::parse(&binding.contact).ok()?)))
        .collect()
}

/// Every handset of these extensions, but for the one that calls. `hops` are left to reach them.
pub(super) fn handset_targets(
    core: &Core<'_, '_>,
    extensions: &[String],
    but: Option<Flow>,
    caller: &NameAddr,
    hops: u32,
) -> Vec<Target> {
    extensions
        .iter()
        .flat_map(|name| bindings_of(core, name, but))
        .map(|(name, flow, contact)| handset_target(name, flow, contact, caller, hops))
        .take(MAX_FORKS)
        .collect()
}

/// Max-Forwards of what follows from an INVITE: a loop over other boxes ends.
fn hops(incoming: &Invite) -> u32 {
    header::max_forwards(&incoming.request.headers).ok().flatten().unwrap_or(MAX_FORWARDS).saturating_sub(1)
}

pub(super) fn handset_target(name: String, flow: Flow, contact: Uri, caller: &NameAddr, max_forwards: u32) -> Target {
    let host = flow.local.ip().to_string();
    let user = uri::user(&caller.uri);
    let from = match caller.is_anonymous() {
        true => caller.clone(),
        // Each phone sees the address that it reaches us by.
        false => NameAddr { display: caller.display.clone(), ..NameAddr::new(uri::sip(user.as_deref(), &host, None)) },
    };
    Target {
        party: Party::Handset(Some(name.clone())),
        paid: None,
        flow,
        invitation: Invitation {
            target: contact,
            from,
            to: NameAddr::new(uri::sip(Some(&name), &host, None)),
            // So that a call back from the handset's list of calls reaches who called.
            contact_user: user.unwrap_or_else(|| "gateway".into()),
            max_forwards,
            presentation: Presentation::Shown,
        },
    }
}
