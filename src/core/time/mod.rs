//! Time as the core sees it: an argument, never read.

pub mod calendar;
pub mod trusted;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point on the monotonic clock of the drivers, in microseconds since the process began.
///
/// Not `std::time::Instant`, because that one cannot be written down, and a test must be able to say "at 32 s".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Instant = Instant(0);

    /// The point `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The point `secs` seconds after the start.
    pub const fn from_secs(secs: u64) -> Self {
        Instant(secs * 1_000_000)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, rhs: Duration) -> Instant {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, rhs: Instant) -> Duration {
        self.since(rhs)
    }
}

/// Seconds since 1970 (UTC) as the box believes them to be. A router without a battery clock may be decades off:
/// for display and for files that outlive the process, never for timers. What certificates are judged by is
/// [`trusted::TrustedTime`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct WallClock(pub u64);

impl WallClock {
    /// This version was not there before (2026-11-01): a clock that shows less was never set.
    pub const RELEASED: WallClock = WallClock(1_793_491_200);

    /// A clock before 1970 counts as 1970.
    pub fn from_system(time: SystemTime) -> WallClock {
        WallClock(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// So much later.
    pub fn after(self, duration: Duration) -> WallClock {
        WallClock(self.0.saturating_add(duration.as_secs()))
    }

    /// `2026-11-22T07:31:52Z` (RFC 3339), always UTC.
    pub fn rfc3339(self) -> String {
        let second = self.0 % 86_400;
        format!("{self}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }

    /// Year, month and day, counted from 1; nothing from the year 10000 on.
    pub fn date(self) -> Option<(u64, u64, u64)> {
        calendar::date_of(self.0 / 86_400)
    }
}

/// `1970-01-01`
impl fmt::Display for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some((year, month, day)) => write!(f, "{year}-{month:02}-{day:02}"),
            None => f.write_str("a year after 9999"),
        }
    }
}

/// The earlier of two optional deadlines, which may have a [`Reason`](crate::wake::Reason) each.
pub fn soonest<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from 1970 to 10000-01-01.
    const YEAR_10000: u64 = 253_402_300_800;

    #[test]
    fn a_date_is_shown_year_first() {
        for (seconds, shown) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_793_491_200, "2026-11-01"),
            (1_798_761_599, "2026-12-31"),
            (YEAR_10000 - 1, "9999-12-31"),
            (YEAR_10000, "a year after 9999"),
            (u64::MAX, "a year after 9999"),
        ] {
            assert_eq!(WallClock(seconds).to_string(), shown);
        }
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(WallClock(951_869_109).rfc3339(), "2000-03-01T00:05:09Z");
        assert_eq!(WallClock(1_793_534_399).rfc3339(), "2026-11-01T11:59:59Z");
    }
}
