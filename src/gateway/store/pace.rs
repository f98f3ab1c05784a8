//! How often the bindings may be written, and how often it is tried and told when they cannot be.
//!
//! The rule: a change after a quiet time is written at once; each further write doubles the wait for the next, from 5 s
//! on, and an hour makes good for one write. So an office that comes back after a power cut is on the flash within a
//! minute or two, a phone that moves by the minute costs what [`MOST_A_DAY`] says, and what is not written yet is lost
//! at a power cut only: a clean stop writes it. Such a phone is found again when it next registers.

use std::time::Duration;

use gateway_core::time::Instant;

/// The wait after a single write.
const FIRST: Duration = Duration::from_secs(5);

/// The time that makes good for one write.
const LEAK: Duration = Duration::from_secs(3600);

/// The most writes that count; the wait after them is longer than [`LEAK`], so that no more can gather.
const FULL: u32 = 11;

/// No day has more writes than this, whatever the phones do.
pub const MOST_A_DAY: u32 = 24 + FULL;

/// The waits after failures: doubled from the first to the last.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(600);

/// A failure that stays as it is, is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// When to write next.
#[derive(Debug, Default)]
pub struct Pace {
    /// Recent writes, and since when the oldest of them is being made good for.
    recent: u32,
    leaking: Instant,
    not_before: Instant,
    failures: u32,
    told: Option<(Instant, String)>,
}

impl Pace {
    /// How long a write has to wait.
    pub fn wait(&self, now: Instant) -> Duration {
        self.not_before.since(now)
    }

    /// A write was made. `true` when the ones before had failed: that it works again shall be told.
    pub fn written(&mut self, now: Instant) -> bool {
        while self.recent > 0 && now.since(self.leaking) >= LEAK {
            self.recent -= 1;
            self.leaking += LEAK;
        }
        if self.recent == 0 {
            self.leaking = now;
        }
        self.not_before = now + FIRST * (1 << self.recent);
        self.recent = (self.recent + 1).min(FULL);
        self.failures = 0;
        self.told.take().is_some()
    }

    /// A write failed. `true` when it shall be told: the first time, when the reason is another, and each hour.
    pub fn failed(&mut self, now: Instant, reason: &str) -> bool {
        self.not_before = now + (FIRST_RETRY * (1 << self.failures.min(10))).min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        let is_known = self.told.as_ref().is_some_and(|(at, told)| told == reason && now.since(*at) < TELL_AGAIN);
        if !is_known {
            self.told = Some((now, reason.to_owned()));
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// The times at which what is always dirty is written.
    fn always_dirty(mut now: Instant, lasting: Duration) -> Vec<Instant> {
        let (mut pace, mut writes, end) = (Pace::default(), Vec::new(), now + lasting);
        loop {
            now += pace.wait(now);
            if now >= end {
                return writes;
            }
            pace.written(now);
            writes.push(now);
        }
    }

    #[test]
    fn a_change_after_a_quiet_time_is_written_at_once() {
        let mut pace = Pace::default();
        let mut now = Instant::from_secs(100);
        for _ in 0..100 {
            assert_eq!(pace.wait(now), Duration::ZERO);
            pace.written(now);
            now += LEAK;
        }
    }

    #[test]
    fn phones_that_come_back_together_are_on_the_flash_within_minutes() {
        let waits: Vec<u64> = always_dirty(Instant::from_secs(9), Duration::from_secs(200))
            .windows(2)
            .map(|two| two[1].since(two[0]).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80]);
    }

    #[test]
    fn whatever_the_phones_do_no_day_has_more_writes_than_told() {
        let writes = always_dirty(Instant::from_secs(5), DAY * 10);
        let in_day_from = |from: Instant| writes.iter().filter(|at| **at >= from && **at < from + DAY).count();
        let most = writes.iter().map(|from| in_day_from(*from)).max();
        println!("always dirty: at most {most:?} writes in any 24 h, {} in ten days", writes.len());
        assert!(most <= Some(MOST_A_DAY as usize) && most > Some(20), "{most:?}");
    }

    #[test]
    fn a_failure_is_told_once_then_each_hour_and_when_the_reason_changes_and_so_is_its_end() {
        let mut pace = Pace::default();
        let (mut now, mut tries, mut told) = (Instant::from_secs(1), 0, Vec::new());
        while now < Instant::from_secs(3 * 3600) {
            let reason = if now < Instant::from_secs(5000) { "no space" } else { "read-only" };
            if pace.failed(now, reason) {
                told.push((now.as_micros() / 1_000_000, reason));
            }
            tries += 1;
            assert!(pace.wait(now) >= FIRST_RETRY && pace.wait(now) <= LAST_RETRY, "{:?}", pace.wait(now));
            now += pace.wait(now);
        }
        assert_eq!(tries, 24, "5, 10, 20 … 600 s");
        assert_eq!(
            told.iter().map(|told| told.1).collect::<Vec<_>>(),
            ["no space", "no space", "read-only", "read-only"]
        );
        assert!(told[1].0 >= 3600 && told[1].0 < 4300, "{told:?}");
        assert!(pace.written(now));
        assert!(!pace.written(now), "told once");
        assert!(pace.failed(now, "read-only"), "a new failure");
    }
}
