//! Sees to it that TLS has a time to go by: watches the system's clock while it cannot be right, asks SNTP, tells the
//! engine, and writes down what was proved.

use std::time::Duration;

use crate::net::clock::Clock;
use crate::net::recorder::Recorder;
use crate::net::sntp::{Sntp, names};
use crate::store::Store;
use gateway_core::config::Server;
use gateway_core::event::{Code, Event};
use gateway_core::random::Random;
use gateway_core::time::WallClock;
use gateway_core::time::trusted::{Doubt, Occasion, TimeState};

/// Between looks at a clock that cannot be right: whoever sets it is noticed within this time.
const LOOK: Duration = Duration::from_secs(1);

/// Between looks whether the time should be written down ([`Clock::to_record`] says when, once a day).
const RECORD_LOOK: Duration = Duration::from_secs(600);

/// SNTP's answer is news when it differs so much from the time before, in seconds.
const NEWS: u64 = 60;

/// What the timekeeper asks of the service, and tells it.
pub trait Office {
    /// `[clock] sntp` of the configuration in force.
    fn servers(&self) -> Vec<Server>;
    /// Whether there is a time, or another one than before.
    fn on_time(&self, time: TimeState);
    /// For people.
    fn record(&self, event: &Event);
    /// Whether somebody's emergency call waits.
    fn is_urgent(&self) -> bool;
}

/// Before anything else is done: without a time nothing is tried that needs one.
pub fn begin(clock: &Clock, office: &impl Office) {
    if let Err(doubt) = clock.trusted() {
        office.on_time(doubted(doubt, &office.servers(), None));
    }
}

/// Keeps time, for ever.
pub async fn keep(clock: Clock, office: impl Office, random: Random) {
    let mut servers = office.servers();
    let mut sntp = Sntp::new(&servers, random);
    loop {
        let now = office.servers();
        if now != servers {
            sntp.set_servers(&now);
            servers = now;
        }
        let before = clock.trusted();
        let nothing_to_do = !clock.is_wanted() || before.is_ok() && sntp.is_empty();
        if nothing_to_do {
            clock.questioned().await;
            continue;
        }
        if let Err(doubt) = before {
            office.on_time(doubted(doubt, &servers, None));
        }
        find(&clock, &office, &servers, &mut sntp).await;
        let Ok(time) = clock.trusted() else { continue };
        if before.is_err() || before.is_ok_and(|before| before.0.abs_diff(time.0) > NEWS) {
            office.record(&found(&clock, time));
            office.on_time(TimeState::Trusted);
        }
    }
}

/// Until nobody needs to be asked any more.
async fn find(clock: &Clock, office: &impl Office, servers: &[Server], sntp: &mut Sntp) {
    let (mut failures, lost) = (0_u32, clock.trusted().is_err());
    let righted = async {
        while !lost || clock.trusted().is_err() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::pin!(righted);
    while clock.is_wanted() && office.servers() == servers {
        if sntp.is_empty() {
            tokio::select! {
                () = &mut righted => return,
                () = tokio::time::sleep(LOOK) => continue,
            }
        }
        let asked = tokio::select! {
            asked = sntp.ask(clock) => asked,
            () = &mut righted => return,
        };
        let Err(error) = asked else { return };
        failures = failures.saturating_add(1);
        if let Err(doubt) = clock.trusted() {
            office.on_time(doubted(doubt, servers, Some(&error.to_string())));
        }
        // The first one, and then ever more seldom.
        if failures.is_power_of_two() {
            office.record(&Event::new(Code::ClockNoAnswer, names(servers), error.to_string()));
        }
        tokio::select! {
            () = pause(office, sntp) => {}
            () = &mut righted => return,
        }
    }
}

/// Between two rounds of questions: shorter when a life may hang on it.
async fn pause(office: &impl Office, sntp: &Sntp) {
    let mut waited = Duration::ZERO;
    while waited < sntp.pause() && !(office.is_urgent() && waited >= sntp.shortest_pause()) {
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
}

/// Why the trunk waits.
fn doubted(doubt: Doubt, servers: &[Server], failed: Option<&str>) -> TimeState {
    let from = match (names(servers).as_str(), failed) {
        ("", _) => String::new(),
        (names, None) => format!(" from {names},"),
        (names, Some(failed)) => format!(" from {names} ({failed}),"),
    };
    let looks = doubt.certificate();
    TimeState::Doubted(format!(
        "this box's clock says {doubt}: the certificate of the SIP domain is {looks} by it; waiting for the time{from} \
         or \"date -s\""
    ))
}

fn found(clock: &Clock, time: WallClock) -> Event {
    let status = clock.status();
    match status.server {
        Some(server) => {
            let system = WallClock(status.system);
            let text = format!("it is {time}; the system's clock says {system} and is left as it is");
            Event::new(Code::ClockTold, server, text)
        }
        None => Event::new(Code::ClockSet, "system", format!("the clock was set, it is {time}")),
    }
}

/// Writes the time down for the next run, once a day, for ever.
pub async fn keep_record(clock: Clock, store: Store, recorder: Recorder) {
    loop {
        tokio::time::sleep(RECORD_LOOK).await;
        let (clock, store, recorder) = (clock.clone(), store.clone(), recorder.clone());
        // The disk may be slow, and the phones do not wait for it.
        let _ = tokio::task::spawn_blocking(move || record(&clock, &store, &recorder, Occasion::Daily)).await;
    }
}

/// Writes the time down when it is due.
pub fn record(clock: &Clock, store: &Store, recorder: &Recorder, occasion: Occasion) {
    let Some(time) = clock.to_record(occasion) else { return };
    match store.save_last_time(time) {
        Ok(()) => clock.recorded(time),
        Err(error) => recorder.record(&Event::new(Code::StoreFailed, "time", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::net::sntp::packet::tests::served;
    use crate::net::sntp::tests::{TODAY, says, server};

    struct Desk {
        servers: Rc<RefCell<Vec<Server>>>,
        told: UnboundedSender<TimeState>,
    }

    impl Office for Desk {
        fn servers(&self) -> Vec<Server> {
            self.servers.borrow().clone()
        }

        fn on_time(&self, time: TimeState) {
            self.told.send(time).unwrap();
        }

        fn record(&self, _: &Event) {}

        fn is_urgent(&self) -> bool {
            false
        }
    }

    /// A system's clock that a test sets.
    fn clock(shown: WallClock) -> (Clock, Arc<AtomicU64>) {
        let system = Arc::new(AtomicU64::new(shown.0));
        let read = Arc::clone(&system);
        (Clock::with_system(None, move || WallClock(read.load(Ordering::Relaxed))), system)
    }

    fn start(clock: &Clock, servers: Vec<Server>) -> UnboundedReceiver<TimeState> {
        let (told, heard) = unbounded_channel();
        let desk = Desk { servers: Rc::new(RefCell::new(servers)), told };
        tokio::task::spawn_local(keep(clock.clone(), desk, Random::from_number(1)));
        heard
    }

    /// Why there is no time, as it was heard.
    fn doubt(heard: Option<TimeState>) -> String {
        match heard.unwrap() {
            TimeState::Doubted(text) => text,
            TimeState::Trusted => panic!("there is a time"),
        }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test)
    }

    #[test]
    fn a_clock_of_1970_is_told_with_its_reason_and_over_when_sntp_answers() {
        run(async {
            let (clock, _) = clock(WallClock(5));
            let mut heard = start(&clock, vec![says(TODAY)]);
            assert_eq!(
                doubt(heard.recv().await),
                "this box's clock says 1970-01-01, before this version was made (2026-11-01): the certificate of the SIP \
                 domain is not valid yet by it; waiting for the time from 127.0.0.1, or \"date -s\""
            );
            assert_eq!(heard.recv().await, Some(TimeState::Trusted));
            assert!(clock.trusted().unwrap() >= TODAY);
            assert_eq!(clock.status().server.as_deref(), Some("127.0.0.1"));
        });
    }

    #[test]
    fn a_clock_that_is_set_while_servers_are_silent_is_noticed() {
        run(async {
            let (clock, system) = clock(WallClock(5));
            let (asked, mut was_asked) = unbounded_channel();
            let silent = server(move |_| {
                asked.send(()).unwrap();
                Vec::new()
            });
            let mut heard = start(&clock, vec![silent]);
            assert_ne!(heard.recv().await.unwrap(), TimeState::Trusted);
            was_asked.recv().await.unwrap();
            system.store(TODAY.0, Ordering::Relaxed);
            while heard.recv().await.unwrap() != TimeState::Trusted {}
            assert_eq!(clock.trusted(), Ok(TODAY));
            assert_eq!(clock.status().server, None);
        });
    }

    #[test]
    fn a_clock_that_looks_right_is_questioned_only_for_a_certificate() {
        run(async {
            let ahead = WallClock(TODAY.0 + 4 * 365 * 86_400);
            let (clock, _) = clock(ahead);
            let asked = Rc::new(RefCell::new(0));
            let count = Rc::clone(&asked);
            let counted = server(move |question| {
                *count.borrow_mut() += 1;
                vec![served(question, TODAY).to_vec()]
            });
            let mut heard = start(&clock, vec![counted]);
            tokio::task::yield_now().await;
            assert_eq!((*asked.borrow(), clock.trusted()), (0, Ok(ahead)));
            assert!(clock.question());
            assert_eq!(heard.recv().await, Some(TimeState::Trusted));
            assert!(clock.trusted().unwrap().0.abs_diff(TODAY.0) < 5);
            assert_eq!(*asked.borrow(), 1);
        });
    }

    #[test]
    fn without_servers_only_the_systems_clock_is_waited_for() {
        run(async {
            let (clock, system) = clock(WallClock(u64::from(u32::MAX)));
            let mut heard = start(&clock, Vec::new());
            let text = doubt(heard.recv().await);
            assert!(text.ends_with("is expired by it; waiting for the time or \"date -s\""), "{text}");
            system.store(TODAY.0, Ordering::Relaxed);
            assert_eq!(heard.recv().await, Some(TimeState::Trusted));
        });
    }
}
