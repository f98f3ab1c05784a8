//! Waiting longer after each failure.

use std::time::Duration;

use crate::random::Random;

/// `min(max, base·2^n)` with 50–100 % jitter (RFC 5626 section 4.5, baresip's `reg.c`).
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub const fn new(base: Duration, max: Duration) -> Self {
        Backoff { base, max, failures: 0 }
    }

    /// One more failure: how long to wait.
    pub fn next(&mut self, random: &mut Random) -> Duration {
        let full = self.base.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        random.jittered(full, 50)
    }

    /// Success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
