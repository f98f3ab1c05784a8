//! The on-site notice: when somebody here calls for help, the extensions of `[emergency] notify` ring at once.
//!
//! US law asks for it where it costs no more than this (47 CFR 9.16(b)(2)): who called, and that it was an emergency call,
//! stands on the display. Each extension has a call of its own, so that one who picks up does not silence the others. The
//! box is the caller: there is nobody to talk to, and an answer ends the call.

use super::calling::{self, Calling};
use super::setup::{self, Target};
use super::{Call, CallId, Calls, Core, Kind, LegId};
use crate::event::{Code, Event};
use crate::sip::flow::Flow;
use crate::sip::header::NameAddr;

/// The emergency call that the notice is about.
pub(super) struct Subject<'a> {
    /// What was dialled, as Twilio is asked for it.
    pub number: &'a str,
    /// The extension, or what else the caller is known as.
    pub from: &'a str,
    /// The phone itself is not rung.
    pub flow: Flow,
}

impl Calls {
    /// Rings all who are to hear of an emergency call. An extension that rings for one already is not rung twice: so their
    /// number is bounded however many calls there are.
    pub(super) fn notify(&mut self, core: &mut Core<'_, '_>, subject: &Subject<'_>) {
        for name in core.cx.config.emergency.notify.clone() {
            let rings = self.calls.values().any(|call| matches!(call.kind, Kind::Notice) && call.to == name);
            if !rings {
                self.notify_one(core, subject, name);
            }
        }
    }

    fn notify_one(&mut self, core: &mut Core<'_, '_>, subject: &Subject<'_>, name: String) {
        let display = format!("{} call from {}", subject.number, subject.from);
        let shown = NameAddr { display: Some(display.clone()), ..calling::named(subject.from) };
        let targets: Vec<Target> = setup::bindings_of(core, &name, Some(subject.flow))
            .into_iter()
            .map(|(name, flow, contact)| setup::handset_target(name, flow, contact, &shown, setup::MAX_FORWARDS))
            .collect();
        if targets.is_empty() {
            let text = format!("{display}: no phone of {name} is registered, which is to hear of it");
            core.cx.event(Event::new(Code::CallEmergency, name, text));
            return;
        }
        let id = CallId(self.number());
        // No leg has this number: the box calls by itself.
        let caller = LegId(self.number());
        let calling = Calling { name: subject.from.to_owned(), shown, inbound: None };
        let call = Call::new(Kind::Notice, calling, name, core.cx.now, caller);
        let text = format!("notice to {}: {display}", call.to);
        core.cx.event(Event::new(Code::CallBegun, format!("call {}", id.0), text));
        self.calls.insert(id, call);
        self.open(core, id, targets);
    }
}
