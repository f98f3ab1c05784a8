//! How long to wait after a failure, by whose fault it is.
//!
//! What is right for the server: it has one connection of ours at a time (sshd's MaxStartups counts those that have not
//! logged in), and the next try begins when the last has ended. A try after a fault of the line either does not get
//! there or ends in a login, which no fail2ban counts: these may come soon. A server that takes the connection and ends
//! it before the login may be full, or be shutting us out (PerSourcePenalties, a ban): there the waits grow. One that
//! said no in words is asked rarely.

use std::time::Duration;

use crate::random::Random;
use crate::tunnel::Culprit;

/// First wait for the line, a program, or a server that is away.
const FIRST: Duration = Duration::from_millis(500);
/// Longest of them: a line that is back after hours should find its tunnel back within two minutes.
const LONGEST: Duration = Duration::from_secs(120);
/// Longest while the tunnel was proved a short time ago: callers are waiting, and lines come back.
const LONGEST_SOON: Duration = Duration::from_secs(4);
/// First and longest wait for a server that said no, which nothing but a person will change.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// So many short lives in a row double the first wait after the next one, so many times at most: a tunnel that is lost
/// again and again costs the server a login every four seconds, no more.
const SHORT_LIVES: u32 = 10;
const SHORT_LIVES_MAX: u32 = 3;

/// First and longest wait. `soon`: it was proved a short time ago.
pub(super) const fn bounds(culprit: Culprit, soon: bool) -> (Duration, Duration) {
    match culprit {
        Culprit::Network if soon => (FIRST, LONGEST_SOON),
        Culprit::Network | Culprit::Program | Culprit::Login => (FIRST, LONGEST),
        Culprit::Refused | Culprit::HostKey | Culprit::Config => REFUSED,
    }
}

/// `min(max, base·2^n)` with 50–100 % jitter (RFC 5626 section 4.5), as the trunk waits.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// How often the first wait has been doubled. Not beyond `max`, so that one that is raised later is grown to.
    doubled: u32,
    /// The first wait of the present kind of failure: another kind begins anew.
    base: Duration,
}

impl Backoff {
    /// One more failure: how long to wait.
    pub fn next(&mut self, (base, max): (Duration, Duration), random: &mut Random) -> Duration {
        if std::mem::replace(&mut self.base, base) != base {
            self.doubled = 0;
        }
        let full = base.saturating_mul(1 << self.doubled.min(20)).min(max);
        if full < max {
            self.doubled += 1;
        }
        random.jittered(full, 50)
    }

    /// Success.
    pub fn reset(&mut self) {
        self.doubled = 0;
    }

    /// Success, but so many in a row did not last.
    pub fn reset_after(&mut self, short_lives: u32) {
        self.doubled = (short_lives / SHORT_LIVES).min(SHORT_LIVES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits in a row, in milliseconds, the jitter aside: the powers of two above them, times half a second.
    fn waits(backoff: &mut Backoff, bounds: (Duration, Duration), count: usize) -> Vec<u64> {
        let mut random = Random::from_number(1);
        let mut wait = || u64::try_from(backoff.next(bounds, &mut random).as_millis()).unwrap();
        (0..count).map(|_| wait().div_ceil(500).next_power_of_two() * 500).collect()
    }

    #[test]
    fn a_bound_that_is_lifted_is_grown_beyond_from_where_it_held() {
        let mut backoff = Backoff::default();
        let soon = waits(&mut backoff, bounds(Culprit::Network, true), 6);
        assert_eq!(soon, [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(waits(&mut backoff, bounds(Culprit::Network, false), 3), [4000, 8000, 16_000]);
    }

    #[test]
    fn who_ends_connections_before_the_login_is_asked_rarer_and_rarer_even_if_it_worked_just_now() {
        let waits = waits(&mut Backoff::default(), bounds(Culprit::Login, true), 6);
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000]);
    }

    #[test]
    fn many_short_lives_make_the_first_wait_longer_and_never_longer_than_four_seconds() {
        let mut backoff = Backoff::default();
        let first = |lives| {
            backoff.reset_after(lives);
            waits(&mut backoff, bounds(Culprit::Network, true), 1)[0]
        };
        let firsts = [0, 9, 10, 20, 30, 1000, u32::MAX].map(first);
        assert_eq!(firsts, [500, 500, 1000, 2000, 4000, 4000, 4000]);
    }
}
