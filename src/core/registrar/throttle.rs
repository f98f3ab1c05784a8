//! Slows down who guesses passwords. A source hurts only itself: nothing here depends on which extension it tried.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::backoff::doubled;
use crate::time::Instant;

/// Wrong passwords that cost nothing: people mistype.
const FREE_TRIES: u32 = 3;
/// How long a source waits after the first try that is not free; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(2);
/// The longest wait, so that a handset whose password was put right is back soon.
const MAX_DELAY: Duration = Duration::from_secs(120);
/// A source that was quiet for so long starts anew. Longer than [`MAX_DELAY`], or waiting would be forgiven at once.
const FORGET: Duration = Duration::from_secs(900);
/// Sources remembered; above it the one quiet for longest goes.
pub(super) const MAX_SOURCES: usize = 1024;

#[derive(Debug)]
struct Offence {
    failures: u32,
    last: Instant,
    until: Instant,
}

/// The sources with wrong passwords.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    sources: BTreeMap<IpAddr, Offence>,
}

impl Throttle {
    /// Sources remembered.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// How long this source still has to wait.
    pub fn wait(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let wait = self.sources.get(&source)?.until.since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// A wrong password; how many these were, and how long the source must wait now.
    pub fn wrong(&mut self, source: IpAddr, now: Instant) -> (u32, Duration) {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            let quietest = self.sources.iter().min_by_key(|(_, offence)| offence.last).map(|(source, _)| *source);
            quietest.map(|source| self.sources.remove(&source));
        }
        let offence = self.sources.entry(source).or_insert(Offence { failures: 0, last: now, until: now });
        if now.since(offence.last) > FORGET {
            offence.failures = 0;
        }
        offence.failures = offence.failures.saturating_add(1);
        offence.last = now;
        let delay = match offence.failures.checked_sub(FREE_TRIES + 1) {
            None => Duration::ZERO,
            Some(doublings) => doubled(FIRST_DELAY, doublings, MAX_DELAY),
        };
        offence.until = now + delay;
        (offence.failures, delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn each_wrong_password_beyond_the_free_ones_doubles_the_wait_up_to_a_bound() {
        let mut brake = Throttle::default();
        let delays: Vec<u64> = (0..12).map(|n| brake.wrong(source(1), Instant::from_secs(n)).1.as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(brake.wait(source(1), Instant::from_secs(12)), Some(Duration::from_secs(119)));
        assert_eq!(brake.wait(source(1), Instant::from_secs(131)), None);
    }

    #[test]
    fn one_source_does_not_slow_down_another() {
        let mut brake = Throttle::default();
        for _ in 0..10 {
            brake.wrong(source(1), Instant::ZERO);
        }
        assert!(brake.wait(source(1), Instant::ZERO).is_some());
        assert_eq!(brake.wait(source(2), Instant::ZERO), None);
    }

    #[test]
    fn a_source_that_was_quiet_for_long_starts_anew() {
        let mut brake = Throttle::default();
        for _ in 0..10 {
            brake.wrong(source(1), Instant::ZERO);
        }
        assert_eq!(brake.wrong(source(1), Instant::ZERO + FORGET + Duration::from_secs(1)), (1, Duration::ZERO));
    }

    #[test]
    fn a_flood_of_sources_does_not_grow_the_table() {
        let mut brake = Throttle::default();
        for n in 0..5000 {
            brake.wrong(source(n), Instant::from_secs(u64::from(n)));
        }
        assert_eq!(brake.sources.len(), MAX_SOURCES);
        assert!(brake.sources.contains_key(&source(4999)));
    }
}
