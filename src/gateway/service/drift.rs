//! The running service compares the account with the config: once in a while, and when it is asked.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::net::blocking::run_blocking;
use crate::net::clock::Clock;
use crate::net::recorder::Recorder;
use crate::store::Store;
use crate::twilio::drift::{Report, Schedule, compare};
use gateway_core::event::{Code, Event};
use gateway_core::random::Random;
use gateway_core::status::DriftStatus;
use gateway_core::time::Instant;

/// What all looks share.
pub struct Drift {
    pub config_path: PathBuf,
    pub store: Store,
    pub clock: Clock,
    recorder: Recorder,
    random: RefCell<Random>,
    last: RefCell<Option<Report>>,
    next: Cell<Option<Instant>>,
    /// One look at a time.
    looking: Mutex<()>,
}

/// What the config in force says of it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub environment: String,
    pub period: Duration,
}

impl Drift {
    pub fn new(config_path: PathBuf, store: Store, clock: Clock, recorder: Recorder, random: Random) -> Rc<Drift> {
        Rc::new(Drift {
            config_path,
            store,
            clock,
            recorder,
            random: RefCell::new(random),
            last: RefCell::default(),
            next: Cell::new(None),
            looking: Mutex::const_new(()),
        })
    }

    /// Looks for ever. `wanted` is asked before each wait.
    pub async fn keep_looking(self: Rc<Self>, wanted: impl Fn() -> Wanted) {
        let seed = self.random.borrow_mut().bytes();
        let mut schedule = Schedule::new(Random::new(seed));
        let mut wait = schedule.first(wanted().period);
        loop {
            self.next.set(Some(self.clock.now() + wait));
            tokio::time::sleep(wait).await;
            self.look(&wanted().environment).await;
            wait = schedule.next(wanted().period);
        }
    }

    /// Looks now, tells the log, and keeps what was found for the status.
    pub async fn look(&self, environment: &str) {
        let _one_at_a_time = self.looking.lock().await;
        let (path, store, clock) = (self.config_path.clone(), self.store.clone(), self.clock.clone());
        let seed = self.random.borrow_mut().bytes();
        let name = environment.to_owned();
        let recorder = self.recorder.clone();
        let look = move || {
            let tell = move |reason: &str| {
                recorder.record(&Event::new(Code::AccountDriftWaits, "Twilio", reason));
            };
            compare(&path, &name, &store, &clock, Random::new(seed), tell).map_err(|error| error.to_string())
        };
        let found = run_blocking("drift", look).await;
        let report = Report { at: self.clock.wall(), environment: environment.to_owned(), found };
        for event in report.events() {
            self.recorder.record(&event);
        }
        *self.last.borrow_mut() = Some(report);
    }

    /// For `gateway status`.
    pub fn status(&self) -> DriftStatus {
        let next_in = self.next.get().map(|next| next.since(self.clock.now()).as_secs());
        let last = self.last.borrow();
        let Some(report) = &*last else { return DriftStatus { next_in, ..DriftStatus::default() } };
        let mut status = DriftStatus {
            checked_at: Some(report.at.0),
            checked_ago: Some(self.clock.wall().0.saturating_sub(report.at.0)),
            next_in,
            ..DriftStatus::default()
        };
        match &report.found {
            Ok(found) => {
                status.changes = Some(found.count);
                status.sentences.clone_from(&found.sentences);
            }
            Err(reason) => status.failed = Some(reason.clone()),
        }
        status
    }
}
