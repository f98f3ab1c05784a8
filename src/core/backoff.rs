//! Waiting longer after each failure.

use std::time::Duration;

use crate::random::Random;

/// `first`, doubled so many times, and never more than `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}

/// `min(longest, first·2^n)` with 50–100 % jitter (RFC 5626 section 4.5, baresip's `reg.c`).
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// How often the first wait is doubled now. Not beyond `longest`, so that one that is raised later is grown to.
    doublings: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, doublings: 0 }
    }

    /// Other bounds from the next failure on. Another first wait is another kind of failure, and begins anew.
    pub fn set_bounds(&mut self, first: Duration, longest: Duration) {
        if self.first != first {
            self.doublings = 0;
        }
        (self.first, self.longest) = (first, longest);
    }

    /// One more failure: how long to wait.
    pub fn next(&mut self, random: &mut Random) -> Duration {
        let full = doubled(self.first, self.doublings, self.longest);
        if full < self.longest {
            self.doublings = self.doublings.saturating_add(1);
        }
        random.jittered(full, 50)
    }

    /// Success.
    pub fn reset(&mut self) {
        self.doublings = 0;
    }

    /// Success of a doubtful kind: the next wait is the first one, doubled so many times.
    pub fn reset_to(&mut self, doublings: u32) {
        self.doublings = doublings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it waits without jitter: no shorter than the wait, and less than twice as long.
    fn waits(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        let mut random = Random::from_number(1);
        let mut wait = || backoff.next(&mut random).as_secs_f64() / backoff.first.as_secs_f64();
        (0..count).map(|_| wait().ceil() as u64).map(u64::next_power_of_two).collect()
    }

    #[test]
    fn each_failure_waits_twice_as_long_up_to_a_bound_and_never_less_than_half_of_it() {
        let mut random = Random::from_number(1);
        let mut backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(1800));
        for full in [30, 60, 120, 240, 480, 960, 1800, 1800, 1800] {
            let wait = backoff.next(&mut random);
            assert!(wait >= Duration::from_secs(full) / 2 && wait <= Duration::from_secs(full), "{wait:?} of {full} s");
        }
        backoff.reset();
        assert!(backoff.next(&mut random) <= Duration::from_secs(30));
    }

    #[test]
    fn a_bound_that_is_lifted_is_grown_beyond_from_where_it_held() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 8);
        assert_eq!(waits(&mut backoff, 6), [1, 2, 4, 8, 8, 8]);
        backoff.set_bounds(second, second * 1000);
        assert_eq!(waits(&mut backoff, 3), [8, 16, 32]);
    }

    #[test]
    fn another_first_wait_begins_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 8);
        waits(&mut backoff, 6);
        backoff.set_bounds(second * 30, second * 600);
        assert_eq!(waits(&mut backoff, 2), [1, 2]);
    }
}
