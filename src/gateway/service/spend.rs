//! Spending stops when a usage trigger fires, and what extensions used outside is kept over a restart.
//!
//! The rule: from a trigger on no extension's call leaves, until `gateway spend resume` or the end of the period that the
//! trigger counts by (Twilio counts by days and months of UTC); those that are out end. Calls from outside, local and
//! emergency calls go on, and the account stays as it is. A trigger that was answered does not stop them again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use super::trouble::Troubles;
use crate::net::driver::Driver;
use crate::net::http;
use crate::net::recorder::Recorder;
use crate::store::Store;
use gateway_core::context::Spending;
use gateway_core::engine::Input;
use gateway_core::event::{Code, Event};
use gateway_core::time::{WallClock, calendar};
use gateway_core::twiml::WebhookEvent;

/// Between two writes of what extensions used: flash wears out, and a power cut forgives an hour at most.
const SAVED: Duration = Duration::from_secs(3600);

/// Between two looks at whether the period of a stop is over.
const LOOK: Duration = Duration::from_secs(60);

/// Answered triggers that are remembered: one a period, for each trigger.
const ANSWERED: usize = 16;

/// A usage trigger that fired.
#[derive(Clone, Debug)]
pub(super) struct Fired {
    why: String,
    /// As Twilio writes it: `daily`, `monthly`.
    period: String,
    /// The same when it is repeated.
    token: String,
}

impl Fired {
    /// The trigger that a webhook told of.
    pub(super) fn of(event: &WebhookEvent) -> Option<Fired> {
        let WebhookEvent::Spend { category, value, limit, period, token, .. } = event else { return None };
        let why = format!("{category} has reached {value}, the limit is {limit} ({period})");
        Some(Fired { why, period: period.to_ascii_lowercase(), token: token.clone() })
    }
}

/// A stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stop {
    why: String,
    period: String,
    /// When the period ends; `None` while no clock says, and for a period without an end.
    until: Option<WallClock>,
}

/// `spend.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    stop: Option<Stop>,
    /// Tokens of triggers that were taken.
    tokens: Vec<String>,
    ledger: serde_json::Value,
}

/// Keeps it.
pub(super) struct Spend {
    driver: Rc<Driver>,
    shared: Arc<http::Shared>,
    store: Store,
    recorder: Recorder,
    troubles: Troubles,
    state: RefCell<State>,
    /// Of the ledger, when it was saved last.
    saved: RefCell<u64>,
    changed: Notify,
}

impl Spend {
    /// With what a former run saved. A file that is lost or broken blocks no call.
    pub(super) fn open(
        driver: &Rc<Driver>,
        shared: &Arc<http::Shared>,
        store: &Store,
        recorder: &Recorder,
        troubles: &Troubles,
    ) -> Rc<Spend> {
        let (state, warning) = match store.spend::<State>() {
            Ok(loaded) => (loaded.value, loaded.warning.map(|warning| warning.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(warning) = warning {
            recorder.record(&Event::new(Code::StoreWarning, "state", warning));
        }
        let spend = Rc::new(Spend {
            driver: Rc::clone(driver),
            shared: Arc::clone(shared),
            store: store.clone(),
            recorder: recorder.clone(),
            troubles: troubles.clone(),
            state: RefCell::new(state.unwrap_or_default()),
            saved: RefCell::default(),
            changed: Notify::new(),
        });
        let ledger = spend.state.borrow().ledger.clone();
        if !ledger.is_null() {
            driver.input(Input::Ledger(ledger.to_string()));
        }
        spend.apply();
        spend
    }

    /// Sees to triggers, to the end of their periods, and to the file, for ever.
    pub(super) async fn keep(self: Rc<Self>, mut firing: mpsc::Receiver<Fired>) {
        let mut saved = self.driver.clock.now();
        loop {
            let wait = if self.state.borrow().stop.is_some() { LOOK } else { SAVED };
            let is_urgent = tokio::select! {
                Some(fired) = firing.recv() => self.fired(fired),
                () = self.changed.notified() => true,
                () = tokio::time::sleep(wait) => self.period_over(),
            };
            let now = self.driver.clock.now();
            let is_due = now.since(saved) >= SAVED && self.changes() != *self.saved.borrow();
            if is_urgent || is_due {
                saved = now;
                let (state, store) = (self.picture(), self.store.clone());
                let written = tokio::task::spawn_blocking(move || store.save_spend(&state)).await;
                if let Ok(Err(error)) = written {
                    self.failed(&error.to_string());
                }
            }
        }
    }

    /// At the end of the service.
    pub(super) fn save_last(&self) {
        if self.changes() != *self.saved.borrow()
            && let Err(error) = self.store.save_spend(&self.picture())
        {
            self.failed(&error.to_string());
        }
    }

    /// For `gateway spend`.
    pub(super) fn told(&self) -> String {
        let mut usage = self.driver.look(|engine, now| engine.usage(now));
        usage.stopped = self.state.borrow().stop.as_ref().map(told);
        serde_json::to_string(&usage).unwrap_or_else(|error| error.to_string())
    }

    /// `gateway spend resume`.
    pub(super) fn resume(&self) -> String {
        if self.state.borrow_mut().stop.take().is_some() {
            self.open_again("by \"gateway spend resume\"");
            self.changed.notify_one();
        }
        self.told()
    }

    /// Whether that changed anything.
    fn fired(&self, fired: Fired) -> bool {
        let until = self.driver.clock.trusted().ok().and_then(|now| end_of(&fired.period, now));
        {
            let mut state = self.state.borrow_mut();
            if fired.token != "?" && state.tokens.contains(&fired.token) {
                return false;
            }
            if state.tokens.len() >= ANSWERED {
                state.tokens.remove(0);
            }
            state.tokens.push(fired.token);
            // Of two periods the longer one counts, and one without an end is the longest.
            let is_longer = match &state.stop {
                Some(stop) => stop.until.is_some_and(|before| until.is_none_or(|until| until > before)),
                None => true,
            };
            if is_longer {
                state.stop = Some(Stop { why: fired.why, period: fired.period, until });
            }
        }
        self.apply();
        true
    }

    /// Whether the period of the stop has ended, or its end is known only now.
    fn period_over(&self) -> bool {
        let Ok(now) = self.driver.clock.trusted() else { return false };
        let mut state = self.state.borrow_mut();
        let Some(stop) = &mut state.stop else { return false };
        match stop.until {
            None => {
                stop.until = end_of(&stop.period, now);
                stop.until.is_some()
            }
            Some(until) if until > now => false,
            Some(_) => {
                state.stop = None;
                drop(state);
                self.open_again("its period is over");
                true
            }
        }
    }

    fn open_again(&self, why: &str) {
        let text = format!("calls outside may be made again, {why}");
        self.recorder.record(&Event::new(Code::AccountSpendResumed, "account", text));
        self.apply();
    }

    /// Tells engine and webhooks what holds.
    fn apply(&self) {
        let stop = self.state.borrow().stop.clone();
        let spending = match &stop {
            Some(stop) => Spending::Stopped(stop.why.clone()),
            None => Spending::Open,
        };
        match &stop {
            Some(stop) => drop(self.troubles.set("spend", told(stop))),
            None => drop(self.troubles.clear("spend")),
        }
        self.shared.set_spending(spending.clone());
        self.driver.input(Input::Spending(spending));
    }

    fn changes(&self) -> u64 {
        self.driver.look(|engine, _| engine.ledger_changes())
    }

    /// All that the file holds, now.
    fn picture(&self) -> State {
        let (wall, mut state) = (self.driver.clock.wall(), self.state.borrow().clone());
        let (ledger, changes) = self.driver.look(|engine, now| (engine.ledger(now, wall), engine.ledger_changes()));
        *self.saved.borrow_mut() = changes;
        state.ledger = serde_json::from_str(&ledger).unwrap_or_default();
        state
    }

    fn failed(&self, error: &str) {
        let text = format!("{error}; the limits of calls outside are kept in memory until it can be saved");
        self.recorder.record(&Event::new(Code::StoreFailed, "spend", text));
    }
}

/// For people.
fn told(stop: &Stop) -> String {
    let until = match stop.until {
        Some(until) => format!("until {} or \"gateway spend resume\"", until.rfc3339()),
        None => "until \"gateway spend resume\"".to_owned(),
    };
    format!("calls outside are stopped {until}: {}; calls from outside, local and emergency calls go on", stop.why)
}

/// When the day or month of UTC ends that a trigger counts by (TWILIO.md "Usage triggers"); other periods have no end here.
fn end_of(period: &str, now: WallClock) -> Option<WallClock> {
    let (year, month, _) = now.date()?;
    match period {
        "daily" => Some(WallClock((now.0 / 86_400 + 1) * 86_400)),
        "monthly" if month == 12 => calendar::seconds_of(year + 1, 1, 1, 0, 0, 0).map(WallClock),
        "monthly" => calendar::seconds_of(year, month + 1, 1, 0, 0, 0).map(WallClock),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_with_the_day_or_month_of_its_trigger() {
        let at = |year, month, day, hour| WallClock(calendar::seconds_of(year, month, day, hour, 0, 0).unwrap());
        assert_eq!(end_of("daily", at(2026, 11, 29, 13)), Some(at(2026, 11, 30, 0)));
        assert_eq!(end_of("daily", at(2026, 11, 30, 0)), Some(at(2026, 12, 1, 0)));
        assert_eq!(end_of("monthly", at(2026, 11, 29, 13)), Some(at(2026, 12, 1, 0)));
        assert_eq!(end_of("monthly", at(2026, 12, 31, 23)), Some(at(2027, 1, 1, 0)));
        assert_eq!(end_of("yearly", at(2026, 12, 31, 23)), None);
    }
}
