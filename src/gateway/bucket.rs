//! A token bucket in virtual time: how often something may happen.

use std::time::Duration;

use gateway_core::time::Instant;

/// One token, in the unit that buckets count in: so that a rate of n a minute is n units a microsecond.
const TOKEN: u64 = 60_000_000;

/// So many at once, and so many a minute after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    pub per_minute: u32,
}

impl Rate {
    /// So many at once, and so many a second after that.
    pub const fn per_second(burst: u32, per_second: u32) -> Rate {
        Rate { burst, per_minute: per_second.saturating_mul(60) }
    }
}

/// The bucket; full at first.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    /// What is missing in it.
    taken: u64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub const fn new(rate: Rate) -> Bucket {
        Bucket { rate, taken: 0, at: Instant::ZERO }
    }

    /// Takes a token; when there is none, says how long until there is.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let per_micro = u64::from(self.rate.per_minute);
        let gained = now.since(self.at).as_micros().saturating_mul(u128::from(per_micro));
        self.taken = self.taken.saturating_sub(u64::try_from(gained).unwrap_or(u64::MAX));
        self.at = self.at.max(now);
        let wanted = self.taken.saturating_add(TOKEN);
        match wanted.checked_sub(u64::from(self.rate.burst) * TOKEN) {
            None | Some(0) => {
                self.taken = wanted;
                Ok(())
            }
            Some(missing) if per_micro > 0 => Err(Duration::from_micros(missing.div_ceil(per_micro))),
            Some(_) => Err(Duration::MAX),
        }
    }

    /// The token was taken for something that costs none.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(TOKEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(3, 2);

    fn taken(bucket: &mut Bucket, now: Instant) -> usize {
        (0..100).take_while(|_| bucket.take(now).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_whatever_is_asked_meanwhile() {
        let mut bucket = Bucket::new(RATE);
        assert_eq!(taken(&mut bucket, Instant::ZERO), 3);
        let mut passed = 0;
        for milli in 1..=10_000 {
            passed += taken(&mut bucket, Instant::from_micros(milli * 1000));
        }
        assert_eq!(passed, 20);
    }

    #[test]
    fn who_has_to_wait_is_told_how_long_and_that_is_enough() {
        let mut bucket = Bucket::new(RATE);
        taken(&mut bucket, Instant::ZERO);
        let wait = bucket.take(Instant::ZERO).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert!(bucket.take(Instant::from_micros(499_999)).is_err());
        assert!(bucket.take(Instant::from_micros(500_000)).is_ok());
    }

    #[test]
    fn a_long_rest_gives_a_burst_and_no_more() {
        let mut bucket = Bucket::new(RATE);
        taken(&mut bucket, Instant::ZERO);
        assert_eq!(taken(&mut bucket, Instant::from_secs(1_000_000_000)), 3);
        assert_eq!(taken(&mut bucket, Instant::from_micros(u64::MAX)), 3);
    }

    #[test]
    fn time_that_stands_or_runs_back_gives_nothing() {
        let mut bucket = Bucket::new(RATE);
        assert_eq!(taken(&mut bucket, Instant::from_secs(10)), 3);
        assert_eq!(taken(&mut bucket, Instant::from_secs(5)), 0);
        assert_eq!(taken(&mut bucket, Instant::from_secs(10)), 0);
    }

    #[test]
    fn what_is_given_back_does_not_overflow_the_bucket() {
        let mut bucket = Bucket::new(RATE);
        bucket.give_back();
        assert_eq!(taken(&mut bucket, Instant::ZERO), 3);
        bucket.give_back();
        assert_eq!(taken(&mut bucket, Instant::ZERO), 1);
    }

    #[test]
    fn a_rate_of_nothing_never_comes_back() {
        let mut bucket = Bucket::new(Rate { burst: 1, per_minute: 0 });
        assert_eq!(taken(&mut bucket, Instant::from_secs(1)), 1);
        assert_eq!(bucket.take(Instant::from_secs(1_000_000)), Err(Duration::MAX));
    }
}
