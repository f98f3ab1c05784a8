//! The time that certificates are judged by, and what it is trusted for.
//!
//! A box without a battery begins in 1970, and one whose battery is empty anywhere. TLS stays strict all the same, so
//! the question is which time is believed:
//!
//! - the system's clock, when it is within bounds: not before the floor, not past what this version can know. Whoever
//!   sets it (ntpd, chrony, a person) is believed from that moment on;
//! - else, or when a certificate is refused for its dates, what SNTP says, within the same bounds. From then on the
//!   monotonic clock counts, until somebody sets the system's.
//!
//! NTP here is not authenticated: somebody on the way can say any time within the bounds. The floor is what keeps a
//! certificate that ended before it from coming back to life. It is the later of the day that this version was made and
//! the last time that a former run saw proved by a TLS handshake, so a clock that was wrong without being noticed
//! does not move it.

use std::time::Duration;

use super::{Instant, WallClock};

/// A version this much older than the clock says has no roots that are still used: the clock is likelier to be wrong.
const MAX_AGE: Duration = Duration::from_secs(20 * 365 * 86_400);

/// The floor lies this far before the last time: a clock that was saved before a power cut (fake-hwclock) is a little
/// behind, and what ended within a day proves little.
const FLOOR_SLACK: Duration = Duration::from_secs(86_400);

/// The system's clock was set, and did not only run, when it moved this much against the monotonic clock.
const STEP: Duration = Duration::from_secs(2);

/// The last time is written down this often while the service runs: flash wears out.
const RECORD_EVERY: Duration = Duration::from_secs(86_400);
/// At a clean stop it is written unless it was so lately.
const RECORD_AT_STOP: Duration = Duration::from_secs(3600);

/// SNTP is not asked again so soon after it answered, whatever certificates look like.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// Why a time cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("{shown}, before this version was made ({})", WallClock::RELEASED)]
    BeforeRelease { shown: WallClock },
    #[error("{shown}, but this box has seen {seen} already")]
    BeforeLastRun { shown: WallClock, seen: WallClock },
    #[error("{shown}, too far ahead for a version of {}", WallClock::RELEASED)]
    FarAhead { shown: WallClock },
}

/// Whether there is a time that TLS can go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeState {
    /// There is one, or another one than before.
    Trusted,
    /// There is none: why, and what is waited for, for people.
    Doubted(String),
}

impl Doubt {
    /// What was shown.
    pub fn shown(self) -> WallClock {
        match self {
            Doubt::BeforeRelease { shown } | Doubt::BeforeLastRun { shown, .. } | Doubt::FarAhead { shown } => shown,
        }
    }

    /// What a certificate looks like by it.
    pub fn certificate(self) -> &'static str {
        match self {
            Doubt::BeforeRelease { .. } | Doubt::BeforeLastRun { .. } => "not valid yet",
            Doubt::FarAhead { .. } => "expired",
        }
    }
}

/// Where the time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system's clock.
    System,
    /// SNTP, and the monotonic clock since.
    Sntp,
}

/// When the time may be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The service runs: at most once a day.
    Daily,
    /// A clean stop, which is the last chance.
    Stop,
}

/// The state: what is known of the time. `now` and `system` are what the monotonic and the system's clock show.
#[derive(Clone, Debug)]
pub struct TrustedTime {
    /// What a former run wrote down.
    recorded: Option<WallClock>,
    /// What this one wrote down last.
    written: Option<WallClock>,
    told: Option<Told>,
    /// A certificate was refused for its dates, by a clock that looks right.
    questioned: bool,
    /// The last handshake in which a certificate was valid.
    verified: Option<(Instant, WallClock)>,
}

/// What SNTP said, and what the system's clock showed then.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    wall: WallClock,
    system: WallClock,
}

impl TrustedTime {
    /// `recorded` is what a former run wrote down ([`TrustedTime::to_record`]); one that cannot be is not believed.
    pub fn new(recorded: Option<WallClock>) -> Self {
        let recorded = recorded.filter(|time| *time <= ceiling());
        TrustedTime { recorded, written: recorded, told: None, questioned: false, verified: None }
    }

    /// Nothing before it is believed.
    pub fn floor(&self) -> WallClock {
        let seen = self.recorded.map_or(0, |time| time.0.saturating_sub(FLOOR_SLACK.as_secs()));
        WallClock(seen).max(WallClock::RELEASED)
    }

    /// Whether a time lies within the bounds.
    pub fn check(&self, shown: WallClock) -> Result<WallClock, Doubt> {
        match self.recorded {
            _ if shown < WallClock::RELEASED => Err(Doubt::BeforeRelease { shown }),
            Some(seen) if shown < self.floor() => Err(Doubt::BeforeLastRun { shown, seen }),
            _ if shown > ceiling() => Err(Doubt::FarAhead { shown }),
            _ => Ok(shown),
        }
    }

    /// The time; without one that can be trusted, what is wrong with the system's.
    pub fn now(&self, now: Instant, system: WallClock) -> Result<WallClock, Doubt> {
        let checked = self.check(system);
        match self.told {
            Some(told) if checked.is_err() || !told.was_set_since(now, system) => Ok(told.now(now)),
            _ => checked,
        }
    }

    /// Where that comes from.
    pub fn source(&self, now: Instant, system: WallClock) -> Source {
        match self.told {
            Some(told) if self.check(system).is_err() || !told.was_set_since(now, system) => Source::Sntp,
            _ => Source::System,
        }
    }

    /// Whether SNTP should be asked: there is no time, or a certificate makes it doubtful.
    pub fn is_wanted(&self, now: Instant, system: WallClock) -> bool {
        self.questioned || self.now(now, system).is_err()
    }

    /// A certificate is not valid by the time that is trusted. True when that is news, and SNTP should be asked.
    pub fn on_refused_certificate(&mut self, now: Instant, system: WallClock) -> bool {
        let answered = self.told.is_some_and(|told| now.since(told.at) < ASK_AGAIN && !told.was_set_since(now, system));
        let news = !answered && !self.questioned && self.now(now, system).is_ok();
        self.questioned |= news;
        news
    }

    /// A certificate is valid by this time: it was issued before, and has not ended.
    pub fn on_verified(&mut self, now: Instant, system: WallClock) {
        if let Ok(time) = self.now(now, system) {
            self.verified = Some((now, time));
            self.questioned = false;
        }
    }

    /// What SNTP says. Refused when it lies outside of the bounds, and nothing changes.
    pub fn on_told(&mut self, now: Instant, system: WallClock, wall: WallClock) -> Result<(), Doubt> {
        self.check(wall)?;
        self.told = Some(Told { at: now, wall, system });
        self.questioned = false;
        Ok(())
    }

    /// What a handshake proved, and the monotonic clock since, when it is time to write it down.
    pub fn to_record(&self, now: Instant, occasion: Occasion) -> Option<WallClock> {
        let (at, wall) = self.verified?;
        // A clock a little behind the last run does not move the floor back, run by run.
        let time = wall.after(now.since(at)).max(self.recorded.unwrap_or_default());
        let spacing = match occasion {
            Occasion::Daily => RECORD_EVERY,
            Occasion::Stop => RECORD_AT_STOP,
        };
        // One that is lower than what this run wrote: the clock was ahead then.
        let is_due = |written: WallClock| time < written || time >= written.after(spacing);
        self.written.is_none_or(is_due).then_some(time)
    }

    /// It is written.
    pub fn on_recorded(&mut self, time: WallClock) {
        self.written = Some(time);
    }
}

impl Told {
    fn now(self, now: Instant) -> WallClock {
        self.wall.after(now.since(self.at))
    }

    /// Whether somebody set the system's clock after SNTP spoke.
    fn was_set_since(self, now: Instant, system: WallClock) -> bool {
        self.system.after(now.since(self.at)).0.abs_diff(system.0) > STEP.as_secs()
    }
}

fn ceiling() -> WallClock {
    WallClock::RELEASED.after(MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: WallClock = WallClock(1_795_332_000);
    const DAY: u64 = 86_400;
    const YEAR: u64 = 365 * DAY;

    fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    fn later(secs: u64) -> WallClock {
        WallClock(TODAY.0 + secs)
    }

    #[test]
    fn a_clock_between_the_floor_and_twenty_years_ahead_is_believed() {
        let time = TrustedTime::new(None);
        assert_eq!(time.now(at(0), TODAY), Ok(TODAY));
        // What 32 bits of seconds cannot count.
        let year_2040 = WallClock(2_209_000_000);
        assert_eq!(time.now(at(0), year_2040), Ok(year_2040));
        assert!(!time.is_wanted(at(0), TODAY));
        for (shown, text) in [
            (WallClock(4), "1970-01-01, before this version was made (2026-11-01)"),
            (WallClock(WallClock::RELEASED.0 - 1), "2026-10-31, before this version was made (2026-11-01)"),
            (later(21 * YEAR), "2047-11-17, too far ahead for a version of 2026-11-01"),
            (WallClock(u64::MAX), "a year after 9999, too far ahead for a version of 2026-11-01"),
        ] {
            let doubt = time.now(at(0), shown).unwrap_err();
            assert_eq!((doubt.to_string().as_str(), doubt.shown()), (text, shown));
            assert!(time.is_wanted(at(0), shown));
        }
    }

    #[test]
    fn the_last_run_raises_the_floor_and_a_day_before_it_is_still_good() {
        let time = TrustedTime::new(Some(TODAY));
        let a_day_before = WallClock(TODAY.0 - DAY);
        assert_eq!(time.now(at(0), a_day_before), Ok(a_day_before));
        let doubt = time.now(at(0), WallClock(a_day_before.0 - 1)).unwrap_err();
        assert_eq!(doubt.to_string(), "2026-11-21, but this box has seen 2026-11-22 already");
        assert_eq!(TrustedTime::new(Some(WallClock(5))).floor(), WallClock::RELEASED);
        assert_eq!(TrustedTime::new(Some(WallClock(u64::MAX))).floor(), WallClock::RELEASED);
    }

    #[test]
    fn what_sntp_says_runs_on_with_the_monotonic_clock() {
        let mut time = TrustedTime::new(None);
        time.on_told(at(10), WallClock(10), TODAY).unwrap();
        assert_eq!(time.now(at(110), WallClock(110)), Ok(later(100)));
        assert_eq!(time.source(at(110), WallClock(110)), Source::Sntp);
        // The system's clock is set to what cannot be: that changes nothing.
        assert_eq!(time.now(at(110), WallClock(7)), Ok(later(100)));
    }

    #[test]
    fn whoever_sets_the_clock_later_is_believed() {
        let mut time = TrustedTime::new(None);
        time.on_told(at(10), WallClock(10), TODAY).unwrap();
        assert_eq!(time.now(at(20), later(500)), Ok(later(500)));
        assert_eq!(time.source(at(20), later(500)), Source::System);
    }

    #[test]
    fn sntp_below_the_floor_or_far_ahead_is_refused_and_changes_nothing() {
        let mut time = TrustedTime::new(Some(TODAY));
        for wall in [WallClock(WallClock::RELEASED.0 + DAY), WallClock(0), later(30 * YEAR)] {
            assert!(time.on_told(at(0), WallClock(0), wall).is_err());
            assert!(time.now(at(0), WallClock(0)).is_err());
        }
        time.on_told(at(0), WallClock(0), TODAY).unwrap();
    }

    #[test]
    fn a_clock_that_is_years_ahead_is_put_right_when_a_certificate_looks_expired() {
        let mut time = TrustedTime::new(None);
        let wrong = |secs| later(4 * YEAR + secs);
        assert_eq!(time.now(at(0), wrong(0)), Ok(wrong(0)));
        assert!(time.on_refused_certificate(at(0), wrong(0)));
        assert!(time.is_wanted(at(0), wrong(0)));
        assert!(!time.on_refused_certificate(at(1), wrong(1)), "it is asked already");
        time.on_told(at(2), wrong(2), TODAY).unwrap();
        assert_eq!(time.now(at(3), wrong(3)), Ok(later(1)));
        assert!(!time.is_wanted(at(3), wrong(3)));
        // The certificate is bad after all: SNTP is not asked with each try.
        assert!(!time.on_refused_certificate(at(4), wrong(4)));
        assert!(time.on_refused_certificate(at(3602), wrong(3602)));
    }

    #[test]
    fn only_a_time_that_a_certificate_proved_is_written_down_and_once_a_day() {
        let mut time = TrustedTime::new(Some(TODAY));
        assert_eq!(time.to_record(at(0), Occasion::Stop), None);
        time.on_verified(at(10), WallClock(TODAY.0 - 100));
        assert_eq!(time.to_record(at(20), Occasion::Daily), None, "the floor does not move back");
        time.on_verified(at(20), later(20));
        assert_eq!(time.to_record(at(DAY - 1), Occasion::Daily), None);
        assert_eq!(time.to_record(at(DAY), Occasion::Stop), Some(later(DAY)));
        assert_eq!(time.to_record(at(2 * DAY), Occasion::Daily), Some(later(2 * DAY)));
        time.on_recorded(later(2 * DAY));
        assert_eq!(time.to_record(at(2 * DAY + 60), Occasion::Stop), None);
        // A clock without a time proves nothing.
        let mut time = TrustedTime::new(None);
        time.on_verified(at(0), WallClock(0));
        assert_eq!(time.to_record(at(0), Occasion::Stop), None);
        time.on_verified(at(0), TODAY);
        assert_eq!(time.to_record(at(0), Occasion::Daily), Some(TODAY));
    }

    #[test]
    fn a_clock_that_was_ahead_in_this_run_is_taken_back() {
        let mut time = TrustedTime::new(Some(TODAY));
        time.on_verified(at(0), later(90 * DAY));
        time.on_recorded(later(90 * DAY));
        time.on_verified(at(10), later(10));
        assert_eq!(time.to_record(at(10), Occasion::Daily), Some(later(10)));
    }
}
