//! Where every event of the service goes: to the log, to the counters, and to the history and its file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::clock::Clock;
use crate::history::History;
use crate::log;
use crate::store::{Store, StoreError, files};
use gateway_core::event::{Code, Event, Level};

/// The history's file in the state folder.
pub const FILE: &str = files::HISTORY;

/// A handle; all of them are the same recorder.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    store: Store,
    history: Mutex<History>,
    recorded: Notify,
    levels: [AtomicU64; Level::ALL.len()],
}

impl Recorder {
    /// Continues the history of the state folder. One that cannot be read is told, and begins anew.
    pub fn open(store: Store, clock: Clock) -> Recorder {
        let file = store.file(FILE);
        let content = file.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        let (history, broken) = History::load(content, clock.now());
        let recorder = Recorder(Arc::new(Inner {
            clock,
            store,
            history: Mutex::new(history),
            recorded: Notify::new(),
            levels: Default::default(),
        }));
        let warn = |text: String| recorder.record(&Event::new(Code::StoreWarning, "history", text));
        if let Err(error) = file {
            warn(error.to_string());
        }
        if broken > 0 {
            warn(format!("broken lines in {FILE}, left out: {broken}"));
        }
        recorder
    }

    /// Logs an event, counts it and keeps it. Must not block for long: one line of the log.
    pub fn record(&self, event: &Event) {
        self.0.levels[event.level as usize].fetch_add(1, Ordering::Relaxed);
        // Bytes that are not SIP come from every scanner of the internet's own LANs: not a line each.
        if event.level != Level::Debug {
            log::write(event);
        }
        let clock = &self.0.clock;
        let was = self.history().save_at();
        self.history().record(clock.now(), clock.wall(), event);
        if was.is_none() {
            self.0.recorded.notify_one();
        }
    }

    /// How many events there were since the start, by [`Level::ALL`].
    pub fn levels(&self) -> [u64; Level::ALL.len()] {
        self.0.levels.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// How many entries the history holds.
    pub fn len(&self) -> usize {
        self.history().entries().count()
    }

    /// Whether nothing has been worth keeping.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history as lines of its file.
    pub fn lines(&self) -> String {
        self.history().lines(self.0.clock.now(), self.0.clock.wall())
    }

    /// Writes the file when it is due, for ever.
    pub async fn keep(self) {
        loop {
            let due = self.history().save_at();
            let Some(due) = due else {
                self.0.recorded.notified().await;
                continue;
            };
            tokio::time::sleep_until(self.0.clock.at(due).into()).await;
            let recorder = self.clone();
            // Off this thread: the flash of a router may take its time.
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || recorder.save()).await {
                self.record(&Event::new(Code::StoreFailed, "history", error.to_string()));
            }
        }
    }

    /// At the end. A flash that cannot take it does not make the end a failure.
    pub fn save_last(&self) {
        if let Err(error) = self.save() {
            self.record(&Event::new(Code::StoreFailed, "history", error.to_string()));
        }
    }

    /// Writes the file now.
    pub fn save(&self) -> Result<(), StoreError> {
        let lines = self.lines();
        self.history().set_saved(self.0.clock.now());
        self.0.store.save_file(FILE, lines.as_bytes())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
