//! The clocks of this machine, as the core wants them, and the time that TLS trusts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::sync::Notify;

use gateway_core::status::ClockStatus;
use gateway_core::time::trusted::{Doubt, Occasion, Source, TrustedTime};
use gateway_core::time::{Instant, WallClock};

/// Monotonic time since the process began, and the wall clock as far as it can be trusted. All clones know the same.
#[derive(Clone)]
pub struct Clock {
    origin: std::time::Instant,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    system: Box<dyn Fn() -> WallClock + Send + Sync>,
    questioned: Notify,
}

struct State {
    trusted: TrustedTime,
    /// The SNTP server that was believed last.
    server: String,
}

impl Clock {
    /// Starts now. `recorded` is the last time that a former run wrote down ([`crate::store::Store::last_time`]).
    pub fn start(recorded: Option<WallClock>) -> Self {
        // A clock before 1970 counts as 1970.
        Clock::with_system(recorded, || WallClock::from_system(SystemTime::now()))
    }

    /// The same over another clock than the system's.
    pub fn with_system(recorded: Option<WallClock>, system: impl Fn() -> WallClock + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { trusted: TrustedTime::new(recorded), server: String::new() });
        let shared = Shared { state, system: Box::new(system), questioned: Notify::new() };
        Clock { origin: std::time::Instant::now(), shared: Arc::new(shared) }
    }

    /// The machine's instant that is [`Instant::ZERO`].
    pub fn origin(&self) -> std::time::Instant {
        self.origin
    }

    /// Now.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// The machine's instant of a deadline.
    pub fn at(&self, deadline: Instant) -> std::time::Instant {
        self.origin + Duration::from_micros(deadline.as_micros())
    }

    /// The time that TLS goes by, or why there is none.
    pub fn trusted(&self) -> Result<WallClock, Doubt> {
        let system = (self.shared.system)();
        self.state().trusted.now(self.now(), system)
    }

    /// The best that is known, for display and files: the trusted time, or what the system's clock shows.
    pub fn wall(&self) -> WallClock {
        self.trusted().unwrap_or_else(Doubt::shown)
    }

    /// Whether SNTP should be asked.
    pub fn is_wanted(&self) -> bool {
        let system = (self.shared.system)();
        self.state().trusted.is_wanted(self.now(), system)
    }

    /// A certificate is not valid by this time, or could not be checked: somebody should see to it. True when that is
    /// news.
    pub fn question(&self) -> bool {
        let system = (self.shared.system)();
        let news = self.state().trusted.on_refused_certificate(self.now(), system);
        self.shared.questioned.notify_one();
        news
    }

    /// Waits for [`Clock::question`].
    pub async fn questioned(&self) {
        self.shared.questioned.notified().await;
    }

    /// A certificate was valid by this time.
    pub fn verified(&self) {
        let system = (self.shared.system)();
        self.state().trusted.on_verified(self.now(), system);
    }

    /// Whether SNTP may say this.
    pub fn check(&self, time: WallClock) -> Result<WallClock, Doubt> {
        self.state().trusted.check(time)
    }

    /// SNTP says this.
    pub fn observe(&self, time: WallClock, server: &str) -> Result<(), Doubt> {
        let system = (self.shared.system)();
        let mut state = self.state();
        state.trusted.on_told(self.now(), system, time)?;
        server.clone_into(&mut state.server);
        Ok(())
    }

    /// What is to be written down now, if anything; [`Clock::recorded`] says that it is.
    pub fn to_record(&self, occasion: Occasion) -> Option<WallClock> {
        self.state().trusted.to_record(self.now(), occasion)
    }

    /// It is written.
    pub fn recorded(&self, time: WallClock) {
        self.state().trusted.on_recorded(time);
    }

    /// For `gateway status`.
    pub fn status(&self) -> ClockStatus {
        let (now, system) = (self.now(), (self.shared.system)());
        let state = self.state();
        let trusted = state.trusted.now(now, system);
        let is_told = state.trusted.source(now, system) == Source::Sntp;
        ClockStatus {
            system: system.0,
            trusted: trusted.ok().map(|time| time.0),
            server: is_told.then(|| state.server.clone()),
            doubt: trusted.err().map(|doubt| doubt.to_string()),
        }
    }

    /// Every change of the state is one assignment, so that it is whole also after a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("trusted", &self.trusted()).finish_non_exhaustive()
    }
}

/// TLS without a time it can trust is no TLS: rustls refuses every certificate then.
impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let time = self.trusted().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(time.0)))
    }
}
