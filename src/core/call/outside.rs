//! What an extension may use outside, and the one place where a leg to the telephone network is admitted and charged.
//!
//! The rule: each leg outside is paid by the extension that caused it (by dialling, by a transfer, by forwarding), and
//! begins only while that extension and the house have something left: calls at once, minutes of the last 24 hours, new
//! numbers of the last hour. A bound refuses its own extension; other extensions go on. A minute is taken as it begins, as
//! Twilio bills it, and where none is left the call ends. Emergency calls, and calls from outside, are never counted,
//! refused or ended by any of this.
//!
//! [`setup::outside_target`](super::setup::outside_target) wants a [`Paid`], and only [`Calls::admit_outside`] makes one.

use std::time::Duration;

use super::leg::{Leg, Party};
use super::{Call, CallId, Calls, Cause, Core, Kind, LegId, Timer};
use crate::config::{Allowance, Config};
use crate::context::Spending;
use crate::event::{Code, Event};
use crate::time::Instant;

/// What Twilio bills by.
const MINUTE: Duration = Duration::from_secs(60);

/// The right to one leg outside, and who pays.
#[derive(Debug)]
pub(super) struct Paid {
    extension: String,
}

impl Paid {
    pub(super) fn extension(&self) -> &str {
        &self.extension
    }
}

/// Why there is no leg outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("it has {0} calls, as many as it may have at once (calls_per_extension)")]
    Calls(usize),
    #[error("it has used its {0} minutes outside of the last 24 hours (minutes_per_day)")]
    Minutes(u32),
    #[error("it has called {0} new numbers in the last hour, as many as it may (new_numbers_per_hour)")]
    Numbers(u32),
    #[error("all extensions together have used their {0} minutes outside of the last 24 hours (house_minutes_per_day)")]
    HouseMinutes(u32),
    #[error("all extensions together have called {0} new numbers in the last hour (house_new_numbers_per_hour)")]
    HouseNumbers(u32),
    #[error("calls outside are stopped: {0}; run \"gateway spend resume\"")]
    Spend(String),
}

impl Denied {
    /// The SIP status that says it: not to be tried again by itself (RFC 3261 section 21.4.4).
    pub const STATUS: u16 = 403;
}

/// More than three quarters of a bound: the first step that is told.
fn is_unusual(used: u32, bound: u32) -> bool {
    u64::from(used) * 4 > u64::from(bound) * 3
}

fn allowance(config: &Config, extension: &str) -> Allowance {
    config.extension(extension).map_or(config.limits.allowance, |extension| extension.allowance)
}

impl Calls {
    /// Whether an extension may have one more leg outside, to this number; it is charged from now on.
    pub(super) fn admit_outside(
        &mut self,
        core: &mut Core<'_, '_>,
        extension: &str,
        number: &str,
    ) -> Result<Paid, Denied> {
        let (config, now) = (core.cx.config, core.cx.now);
        let allowed = allowance(config, extension);
        let is_new = self.ledger.is_new(number, now);
        let result =
            self.admit_call(core, extension).and_then(|()| self.minute_left(config, extension, now)).and_then(|()| {
                let (own, house) = (self.ledger.new_numbers(extension, now), self.ledger.house_new_numbers(now));
                match is_new {
                    true if own >= allowed.new_numbers => Err(Denied::Numbers(own)),
                    true if house >= config.limits.house_new_numbers => Err(Denied::HouseNumbers(house)),
                    _ => Ok(()),
                }
            });
        match result {
            Ok(()) => {
                self.ledger.call(extension, number, now);
                let used = self.ledger.new_numbers(extension, now);
                if is_unusual(used, allowed.new_numbers) && is_new {
                    self.unusual(
                        core,
                        extension,
                        &format!("{used} new numbers in an hour, of {}", allowed.new_numbers),
                    );
                }
                Ok(Paid { extension: extension.to_owned() })
            }
            Err(denied) => {
                self.unusual(core, extension, &denied.to_string());
                Err(denied)
            }
        }
    }

    /// The same for a leg that takes the place of one that was admitted and went with its flow.
    pub(super) fn admit_again(&self, extension: &str) -> Result<Paid, Denied> {
        self.is_open().map(|()| Paid { extension: extension.to_owned() })
    }

    /// Whether an extension may begin one more call, here or outside.
    pub(super) fn admit_call(&mut self, core: &mut Core<'_, '_>, extension: &str) -> Result<(), Denied> {
        let bound = allowance(core.cx.config, extension).calls;
        let up = self.at_once(extension);
        if up >= bound {
            let denied = Denied::Calls(up);
            self.unusual(core, extension, &denied.to_string());
            return Err(denied);
        }
        if is_unusual(up as u32 + 1, bound as u32) && bound > 1 {
            self.unusual(core, extension, &format!("{} calls at once, of {bound}", up + 1));
        }
        Ok(())
    }

    /// Two parties outside are joined by an extension's transfer: one of the legs is that extension's from now on.
    pub(super) fn admit_bridge(
        &mut self,
        core: &mut Core<'_, '_>,
        extension: &str,
        legs: [LegId; 2],
    ) -> Result<(), Denied> {
        if !self.are_outside(legs) || self.is_paid_by(legs, extension) {
            return Ok(());
        }
        self.is_open()?;
        self.minute_left(core.cx.config, extension, core.cx.now)?;
        self.admit_call(core, extension)
    }

    /// The two are joined, and the extension that did it pays for one of them at least, until its limits end that.
    pub(super) fn bridge(&mut self, core: &mut Core<'_, '_>, call: CallId, extension: &str, legs: [LegId; 2]) {
        if !self.are_outside(legs) {
            return;
        }
        let text = format!(
            "a transfer by {extension} joins two parties outside, and none of your phones is in the call any more; it counts \
             for {extension} and ends with its limits"
        );
        core.cx.event(Event::new(Code::CallUnusual, format!("call {}", call.0), text));
        if !self.is_paid_by(legs, extension)
            && let Some(leg) = self.legs.get_mut(&legs[1])
        {
            leg.paid_by = Some(extension.to_owned());
            self.minute_begins(core, legs[1]);
        }
    }

    fn are_outside(&self, legs: [LegId; 2]) -> bool {
        legs.iter().all(|id| self.legs.get(id).is_some_and(|leg| matches!(leg.party, Party::Trunk(_))))
    }

    fn is_paid_by(&self, legs: [LegId; 2], extension: &str) -> bool {
        legs.iter().any(|id| self.legs.get(id).is_some_and(|leg| leg.paid_by.as_deref() == Some(extension)))
    }

    /// A paid leg was answered, or its next minute begins. Without one that is left the call ends.
    pub(super) fn minute_begins(&mut self, core: &mut Core<'_, '_>, id: LegId) {
        let Some((call, extension)) = self.legs.get(&id).and_then(|leg| Some((leg.call, leg.paid_by.clone()?))) else {
            return;
        };
        let (config, now) = (core.cx.config, core.cx.now);
        if let Err(denied) = self.minute_left(config, &extension, now) {
            self.unusual(core, &extension, &denied.to_string());
            return self.end(core, call, Cause::Allowance);
        }
        self.ledger.take_minute(&extension, now);
        self.timers.set(Timer::Minute(id), now + MINUTE);
        let (used, bound) = (self.ledger.minutes(&extension, now), allowance(config, &extension).minutes);
        if is_unusual(used, bound) {
            self.unusual(core, &extension, &format!("{used} minutes outside in a day, of {bound}"));
        }
    }

    /// A leg ends: nothing more is taken for it.
    pub(super) fn stop_charging(&mut self, id: LegId) {
        if let Some(leg) = self.legs.get_mut(&id)
            && leg.paid_by.take().is_some()
        {
            self.timers.cancel(Timer::Minute(id));
        }
    }

    /// A usage trigger has fired, or was answered. A stop ends what is outside and paid by an extension; calls from
    /// outside, local and emergency calls go on.
    pub fn set_spending(&mut self, core: &mut Core<'_, '_>, spending: Spending) {
        self.spending = spending;
        if self.spending == Spending::Open {
            return;
        }
        let paid = |leg: &&Leg| leg.paid_by.is_some();
        let calls: Vec<CallId> = self.legs.values().filter(paid).map(|leg| leg.call).collect();
        for call in calls {
            self.end(core, call, Cause::Spend);
        }
    }

    /// What was used, for a restart and for people.
    pub fn ledger(&self) -> &super::ledger::Ledger {
        &self.ledger
    }

    /// Takes up the ledger of a former process.
    pub fn restore_ledger(&mut self, core: &mut Core<'_, '_>, text: &str) {
        self.ledger.restore(text, core.cx.now, core.cx.wall);
    }

    /// Calls that count for an extension: those that it began, and each leg outside that it pays.
    pub fn at_once(&self, extension: &str) -> usize {
        let ordinary = self.calls.values().filter(|call| !call.kind.priority().is_emergency());
        ordinary.map(|call| self.counted(call, extension)).sum()
    }

    fn counted(&self, call: &Call, extension: &str) -> usize {
        let leg = |id: &LegId| self.legs.get(id);
        let paid = |leg: &&Leg| leg.paid_by.as_deref() == Some(extension);
        let began = matches!(call.kind, Kind::Local | Kind::Outbound)
            && leg(&call.caller)
                .is_some_and(|leg| matches!(&leg.party, Party::Handset(Some(name)) if name == extension));
        call.legs().iter().filter_map(leg).filter(paid).count().max(usize::from(began))
    }

    fn is_open(&self) -> Result<(), Denied> {
        match &self.spending {
            Spending::Open => Ok(()),
            Spending::Stopped(why) => Err(Denied::Spend(why.clone())),
        }
    }

    fn minute_left(&self, config: &Config, extension: &str, now: Instant) -> Result<(), Denied> {
        self.is_open()?;
        let (own, house) = (self.ledger.minutes(extension, now), self.ledger.house_minutes(now));
        match () {
            () if own >= allowance(config, extension).minutes => Err(Denied::Minutes(own)),
            () if house >= config.limits.house_minutes => Err(Denied::HouseMinutes(house)),
            () => Ok(()),
        }
    }

    /// The first unusual step of an extension, and each hour that it goes on.
    fn unusual(&mut self, core: &mut Core<'_, '_>, extension: &str, what: &str) {
        if self.ledger.tells(extension, core.cx.now) {
            let text =
                format!("extension {extension}: {what}; if these calls are not yours, somebody has its password");
            core.cx.event(Event::new(Code::CallUnusual, extension, text));
        }
    }
}
