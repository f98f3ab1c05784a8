//! How long to wait after a failure, by whose fault it is.

use std::time::Duration;

use crate::random::Random;
use crate::tunnel::Culprit;

/// First and longest wait. A line that is back should find its tunnel back within two minutes; a server that said no
/// is asked rarely, because many of them lock out who asks often.
pub(super) const fn bounds(culprit: Culprit) -> (Duration, Duration) {
    match culprit {
        Culprit::Network | Culprit::Program => (Duration::from_secs(1), Duration::from_secs(120)),
        Culprit::Refused | Culprit::HostKey | Culprit::Config => (Duration::from_secs(30), Duration::from_secs(600)),
    }
}

/// `min(max, base·2^n)` with 50–100 % jitter (RFC 5626 section 4.5), as the trunk waits.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// The first wait of the present kind of failure: another kind begins anew.
    base: Duration,
}

impl Backoff {
    /// One more failure: how long to wait.
    pub fn next(&mut self, base: Duration, max: Duration, random: &mut Random) -> Duration {
        if std::mem::replace(&mut self.base, base) != base {
            self.failures = 0;
        }
        let full = base.saturating_mul(1 << self.failures.min(20)).min(max);
        self.failures = self.failures.saturating_add(1);
        let half = u64::try_from((full / 2).as_micros()).unwrap_or(u64::MAX);
        full / 2 + Duration::from_micros(random.below(half.saturating_add(1)))
    }

    /// Success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}
