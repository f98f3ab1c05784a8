//! Keeps the bindings on the flash, and says when that fails.
//!
//! The service needs no flash that can be written to: with a full or read-only one it serves phones from memory, tells
//! it once and then each hour, and saves as soon as it can.

use std::rc::Rc;
use std::time::Duration;

use super::trouble::Troubles;
use crate::log;
use crate::net::clock::Clock;
use crate::net::driver::Driver;
use crate::net::recorder::Recorder;
use crate::store::pace::Pace;
use crate::store::{Store, Warning};
use gateway_core::event::{Code, Event, Level};
use gateway_core::secrets::Secrets;
use gateway_core::status::StoreStatus;

/// How often it is looked whether there is something to tell of lines that the log left out.
const LEFT_OUT: Duration = Duration::from_secs(60);

/// The secrets, none where they are damaged: phones whose passwords are gone cannot register, and an emergency call goes as
/// far as Twilio lets it.
pub(super) fn secrets(store: &Store, recorder: &Recorder, troubles: &Troubles) -> Secrets {
    let loaded = store.secrets_or_none();
    match &loaded.warning {
        None => {}
        Some(warning @ (Warning::Exposed { .. } | Warning::StillExposed { .. })) => recorder.record(&odd(warning)),
        Some(warning @ (Warning::Unreadable { .. } | Warning::KeptAside(_))) => {
            let text = format!(
                "{warning}; phones cannot register and Twilio refuses this box until it is back; restore a backup with \
                 \"gateway restore FILE\""
            );
            recorder.record(&Event::new(Code::StoreWarning, "state", &text).at(Level::Error));
            troubles.set("secrets", text);
        }
    }
    loaded.value
}

/// The bindings of the former run. Without them the phones come back by themselves, so that nothing here is a reason
/// not to start.
pub(super) fn bindings(store: &Store, recorder: &Recorder) -> Option<String> {
    match store.bindings() {
        Ok(loaded) => {
            if let Some(warning) = &loaded.warning {
                recorder.record(&odd(warning));
            }
            loaded.value
        }
        Err(error) => {
            let text = format!("{error}; phones are known again when they next register");
            recorder.record(&Event::new(Code::StoreFailed, "bindings", text));
            None
        }
    }
}

/// Something odd about a state file.
pub(super) fn odd(warning: &Warning) -> Event {
    Event::new(Code::StoreWarning, "state", warning.to_string())
}

/// Writes the newest bindings at the pace of [`Pace`], off this thread: flash may take seconds.
pub(super) async fn persist_bindings(driver: Rc<Driver>, store: Store, clock: Clock, recorder: Recorder) {
    let mut pace = Pace::default();
    loop {
        driver.bindings_changed.notified().await;
        let wait = pace.wait(clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let Some(json) = driver.take_bindings() else { continue };
        let keeping = store.clone();
        let written = tokio::task::spawn_blocking(move || keeping.save_bindings(&json)).await;
        let failure = match written {
            Ok(Ok(())) => {
                if pace.written(clock.now()) {
                    recorder.record(&Event::new(Code::StoreSaved, "bindings", "the state is saved again"));
                }
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            // The thread could not be started, or panicked.
            Err(error) => error.to_string(),
        };
        driver.put_back_bindings();
        if pace.failed(clock.now(), &failure) {
            let text = format!("{failure}; the phones are served from memory, and it is tried again");
            recorder.record(&Event::new(Code::StoreFailed, "bindings", text));
        }
    }
}

/// At the end, what the pace has held back. A flash that cannot take it does not make the end a failure.
pub(super) fn save_last(store: &Store, json: &str, recorder: &Recorder) {
    if let Err(error) = store.save_bindings(json) {
        recorder.record(&Event::new(Code::StoreFailed, "bindings", error.to_string()));
    }
}

/// For `gateway status`.
pub(super) fn status(store: &Store) -> StoreStatus {
    StoreStatus { writes: store.writes(), trouble: store.trouble() }
}

/// Tells of lines that a flood left out of the log, also when no other line follows.
pub(super) async fn log_left_out() {
    loop {
        tokio::time::sleep(LEFT_OUT).await;
        log::log_left_out();
    }
}
