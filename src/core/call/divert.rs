//! The call-forward key of a phone: a 3xx with the Contacts where the call shall go (RFC 3261 sections 8.1.3.4, 21.3).
//!
//! Rule: the box follows it, with the rights and limits of the extension that forwards. An extension rings here. A number
//! outside is called by a leg of ours, in the name of the forwarder, unless the call came from outside by our own webhook:
//! then it ends with 480, and the webhook lets Twilio call the number, which can show the caller's own
//! ([`crate::forward`]). A call never comes back to where it has been, and none leads to an emergency number.
//!
//! The phones of a group that do not forward ring on. Several Contacts are tried one after the other, by their `q`.

use std::collections::{BTreeSet, VecDeque};

use rsip::Uri;

use super::setup::{self, Target};
use super::{CallId, Calls, Cause, Core, Kind, LegId};
use crate::context::Output;
use crate::event::{Code, Event, Level};
use crate::forward::Forward;
use crate::route::{self, Caller, Route, route_dialled};
use crate::sip::dialled::Dialled;
use crate::sip::header::{self, Contact, Headers};

/// Contacts of one response that are tried.
const MAX_CONTACTS: usize = 5;

/// Times that one call is sent on.
const MAX_DIVERSIONS: usize = 10;

/// Where a call has been, and where it may still go.
#[derive(Debug, Default)]
pub(super) struct Diversions {
    /// Extensions and numbers that were rung.
    pub been: BTreeSet<String>,
    /// The forwarder, and where to.
    later: VecDeque<(String, Route)>,
    count: usize,
    inbound: Option<String>,
    /// The webhook goes on with it once it has ended here.
    pub is_handed_over: bool,
}

impl Diversions {
    /// Of a call that has been nowhere. `inbound`: a call from outside as our webhook knows it, by Twilio's CallSid of the
    /// caller's leg.
    pub fn of(inbound: Option<String>) -> Self {
        Diversions { inbound, ..Diversions::default() }
    }
}

/// Where a 3xx sends a call, the best first; nothing where it names nobody.
pub(super) fn contacts(headers: &Headers) -> Vec<Uri> {
    let mut all: Vec<(u32, Uri)> = header::contacts(headers)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|contact| match contact {
            Contact::Addr(address) => Some((thousandths(address.params.value("q")), address.uri)),
            Contact::Star => None,
        })
        .collect();
    // Stable: equal ones stay in the phone's order.
    all.sort_by_key(|(q, _)| u32::MAX - q);
    all.into_iter().map(|(_, uri)| uri).take(MAX_CONTACTS).collect()
}

/// `q` in thousandths; 1 where there is none (RFC 3261 section 20.10 leaves it open).
fn thousandths(q: Option<&str>) -> u32 {
    let q = q.and_then(|q| q.parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q));
    q.map_or(1000, |q| (q * 1000.0) as u32)
}

impl Calls {
    /// A phone that was rung sends the call on.
    pub(super) fn on_diverted(
        &mut self,
        core: &mut Core<'_, '_>,
        call_id: CallId,
        id: LegId,
        by: &str,
        (code, targets): (u16, &[Uri]),
    ) {
        let Some(call) = self.calls.get_mut(&call_id) else { return };
        call.ringing.retain(|ringing| *ringing != id);
        let may = matches!(call.kind, Kind::Local | Kind::Inbound | Kind::Outbound);
        for target in targets.iter().filter(|_| may) {
            let dialled = Dialled::of_uri(target);
            let route = match &dialled {
                Ok(dialled) => route_dialled(core.cx.config, Caller::Extension(by), dialled),
                Err(error) => route::unusable(error.clone().into()),
            };
            let to = dialled.map(|dialled| dialled.text()).unwrap_or_default();
            let Some(call) = self.calls.get_mut(&call_id) else { return };
            let (level, why_not) = match call.usable(route) {
                Ok(route) => {
                    call.diversions.later.push_back((by.to_owned(), route));
                    (Level::Info, String::new())
                }
                Err(why) => (Level::Notice, format!(", which is not done: {why}")),
            };
            let text = format!("{by} forwards it to {to} ({code}){why_not}");
            core.cx.event(Event::new(Code::CallForwarded, format!("call {}", call_id.0), text).at(level));
        }
        if !self.ring_next(core, call_id) {
            self.on_refused(core, call_id, id, Cause::Refused(code));
        }
    }

    /// Rings where a forwarded call goes next. `false`: nowhere.
    pub(super) fn ring_next(&mut self, core: &mut Core<'_, '_>, call_id: CallId) -> bool {
        while let Some(call) = self.calls.get_mut(&call_id) {
            let Some((by, route)) = call.diversions.later.pop_front() else { return false };
            let targets = match &route {
                Route::Local { extensions } => {
                    let but = self.legs.get(&call.caller).map(|leg| leg.flow);
                    Onward::Rings(setup::handset_targets(core, extensions, but, &call.shown, setup::MAX_FORWARDS))
                }
                Route::Outside { number, .. } => self.forward_outside(core, call_id, &by, number),
                Route::Emergency { .. } | Route::Refuse { .. } => Onward::Rings(Vec::new()),
            };
            let targets = match targets {
                Onward::Rings(targets) if !targets.is_empty() => targets,
                Onward::HandedOver => continue,
                Onward::Rings(_) | Onward::Denied(_) => {
                    let why = match targets {
                        Onward::Denied(why) => why,
                        _ => "nobody can be reached there".into(),
                    };
                    let text = format!("{by} cannot forward it: {why}");
                    let event = Event::new(Code::CallForwarded, format!("call {}", call_id.0), text);
                    core.cx.event(event.at(Level::Notice));
                    continue;
                }
            };
            self.open(core, call_id, targets);
            return true;
        }
        false
    }

    /// A number outside, charged to the forwarder whoever calls it.
    fn forward_outside(&mut self, core: &mut Core<'_, '_>, call_id: CallId, by: &str, number: &str) -> Onward {
        let paid = match self.admit_outside(core, by, number) {
            Ok(paid) => paid,
            Err(denied) => return Onward::Denied(denied.to_string()),
        };
        if self.calls.get_mut(&call_id).is_some_and(|call| call.handed_over(core, by, number)) {
            return Onward::HandedOver;
        }
        match core.trunk.flow() {
            Ok(flow) => Onward::Rings(vec![setup::outside_target(core, flow, paid, number)]),
            Err(reason) => Onward::Denied(format!("no connection to the SIP domain: {reason}")),
        }
    }
}

/// What comes of a forwarded call.
enum Onward {
    Rings(Vec<Target>),
    /// The webhook goes on with it.
    HandedOver,
    Denied(String),
}

impl super::Call {
    /// What of a route is left where the call has not been; why nothing.
    fn usable(&mut self, route: Route) -> Result<Route, String> {
        self.diversions.count += 1;
        if self.diversions.count > MAX_DIVERSIONS {
            return Err("it has been forwarded too often".into());
        }
        let is_new = |name: &String| *name != self.from && !self.diversions.been.contains(name);
        let looped = || Err("the call has been there".into());
        match route {
            Route::Local { mut extensions } => {
                extensions.retain(is_new);
                if extensions.is_empty() { looped() } else { Ok(Route::Local { extensions }) }
            }
            Route::Outside { ref number, .. } => {
                if is_new(number) {
                    Ok(route)
                } else {
                    looped()
                }
            }
            Route::Emergency { .. } => Err("no call is forwarded to an emergency number".into()),
            Route::Refuse { reason, .. } => Err(reason),
        }
    }

    /// Leaves a number outside to the webhook, where that asked for this call and the caller still waits. `false`: it is
    /// for a leg of ours.
    fn handed_over(&mut self, core: &mut Core<'_, '_>, by: &str, number: &str) -> bool {
        let is_waiting = self.answered.is_none() && self.transfer.is_none();
        let Some(call_sid) = self.diversions.inbound.as_ref().filter(|_| is_waiting) else { return false };
        // One number: with the next one Twilio could not tell which of them did not answer.
        if !self.diversions.is_handed_over {
            self.diversions.is_handed_over = true;
            core.cx.outputs.push_back(Output::Forward(Box::new(Forward {
                call_sid: call_sid.clone(),
                by: by.to_owned(),
                number: number.to_owned(),
                from: self.from.clone(),
                at: core.cx.now,
            })));
        }
        true
    }
}
