//! How long to wait after a failure, by whose fault it is.
//!
//! What is right for the server: it has one connection of ours at a time (sshd's MaxStartups counts those that have not
//! logged in), and the next try begins when the last has ended. A try after a fault of the line either does not get
//! there or ends in a login, which no fail2ban counts: these may come soon. A server that takes the connection and ends
//! it before the login may be full, or be shutting us out (PerSourcePenalties, a ban): there the waits grow. One that
//! said no in words is asked rarely.

use std::time::Duration;

use crate::tunnel::Culprit;

/// First wait for the line, a program, or a server that is away.
pub(super) const FIRST: Duration = Duration::from_millis(500);
/// Longest of them: a line that is back after hours should find its tunnel back within two minutes.
pub(super) const LONGEST: Duration = Duration::from_secs(120);
/// Longest while the tunnel was proved a short time ago: callers are waiting, and lines come back.
const LONGEST_SOON: Duration = Duration::from_secs(4);
/// First and longest wait for a server that said no, which nothing but a person will change.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// So many short lives in a row double the first wait after the next one, so many times at most: a tunnel that is lost
/// again and again costs the server a login every four seconds, no more.
const SHORT_LIVES: u32 = 10;
const SHORT_LIVES_MAX: u32 = 3;

/// How soon the tunnel is tried again where the line is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It was proved a short time ago.
    Soon,
    Patient,
}

/// First and longest wait.
pub(super) const fn bounds(culprit: Culprit, pace: Pace) -> (Duration, Duration) {
    match (culprit, pace) {
        (Culprit::Network, Pace::Soon) => (FIRST, LONGEST_SOON),
        (Culprit::Network | Culprit::Program | Culprit::Login, _) => (FIRST, LONGEST),
        (Culprit::Refused | Culprit::HostKey | Culprit::Config, _) => REFUSED,
    }
}

/// With what the next wait begins after so many short lives in a row: its doublings.
pub(super) fn doublings(short_lives: u32) -> u32 {
    (short_lives / SHORT_LIVES).min(SHORT_LIVES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::backoff::Backoff;
    use gateway_core::random::Random;

    /// Waits in a row, in milliseconds, the jitter aside: the powers of two above them, times half a second.
    fn waits(backoff: &mut Backoff, (first, longest): (Duration, Duration), count: usize) -> Vec<u64> {
        let mut random = Random::from_number(1);
        backoff.set_bounds(first, longest);
        let mut wait = || u64::try_from(backoff.next(&mut random).as_millis()).unwrap();
        (0..count).map(|_| wait().div_ceil(500).next_power_of_two() * 500).collect()
    }

    #[test]
    fn a_tunnel_that_was_proved_just_now_is_tried_soon_and_later_from_where_that_ended() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let soon = waits(&mut backoff, bounds(Culprit::Network, Pace::Soon), 6);
        assert_eq!(soon, [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(waits(&mut backoff, bounds(Culprit::Network, Pace::Patient), 3), [4000, 8000, 16_000]);
    }

    #[test]
    fn who_ends_connections_before_the_login_is_asked_rarer_and_rarer_even_if_it_worked_just_now() {
        let waits = waits(&mut Backoff::new(FIRST, LONGEST), bounds(Culprit::Login, Pace::Soon), 6);
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000]);
    }

    #[test]
    fn many_short_lives_make_the_first_wait_longer_and_never_longer_than_four_seconds() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let first = |lives| {
            backoff.reset_to(doublings(lives));
            waits(&mut backoff, bounds(Culprit::Network, Pace::Soon), 1)[0]
        };
        let firsts = [0, 9, 10, 20, 30, 1000, u32::MAX].map(first);
        assert_eq!(firsts, [500, 500, 1000, 2000, 4000, 4000, 4000]);
    }
}
