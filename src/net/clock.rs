//! The clocks of this machine, as the core wants them.

use std::time::{Duration, SystemTime};

use crate::time::{Instant, WallClock};

/// Monotonic time since the process began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Clock { origin: std::time::Instant::now() }
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

    /// The wall clock; a clock before 1970 counts as 1970.
    pub fn wall(&self) -> WallClock {
        WallClock::from_system(SystemTime::now())
    }
}
