//! How many emergency calls one source may make. They need no password and pass `limits.calls`, so that this alone
//! stands between a flood of forged INVITEs and the helpers' line.
//!
//! Nobody else's flood counts against a registered handset: its allowance is its own. What is refused here has the
//! same address in two calls already (or ten within the minute), which no person in need does.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;

/// Emergency calls at a time from an address with no registered handset: one, and another one beside it.
pub const UNKNOWN_AT_A_TIME: usize = 2;
/// From all such addresses together.
pub const ALL_UNKNOWN_AT_A_TIME: usize = 16;
/// From an address with registered handsets: all lines of an ATA.
pub const HANDSET_AT_A_TIME: usize = 8;

/// What begins and ends at once fills no line and still rings at the helpers': calls begun within [`WINDOW`].
pub const UNKNOWN_IN_WINDOW: usize = 10;
/// From all unknown addresses together.
pub const ALL_UNKNOWN_IN_WINDOW: usize = 30;
/// From an address with registered handsets.
pub const HANDSET_IN_WINDOW: usize = 30;
pub const WINDOW: Duration = Duration::from_secs(60);

/// Entries that are kept; the oldest goes first.
const MAX_BEGUN: usize = 1024;

/// Emergency calls begun lately.
#[derive(Debug, Default)]
pub(super) struct EmergencyBound {
    begun: VecDeque<(Instant, IpAddr, bool)>,
    /// When a refusal was last told: one line a minute says as much as a thousand.
    told: Option<Instant>,
}

impl EmergencyBound {
    /// Whether one more may begin, and counts it then. `registered`: a handset is registered at the source. `now_up` are
    /// the sources of the emergency calls there are, with the same mark.
    pub fn admit(&mut self, now: Instant, source: IpAddr, registered: bool, now_up: &[(IpAddr, bool)]) -> bool {
        self.begun.retain(|(at, ..)| now.since(*at) < WINDOW);
        let up = || now_up.iter().copied();
        let begun = || self.begun.iter().map(|(_, source, registered)| (*source, *registered));
        let admitted = match registered {
            true => {
                up().filter(|one| *one == (source, true)).count() < HANDSET_AT_A_TIME
                    && begun().filter(|one| *one == (source, true)).count() < HANDSET_IN_WINDOW
            }
            false => {
                up().filter(|one| *one == (source, false)).count() < UNKNOWN_AT_A_TIME
                    && up().filter(|(_, registered)| !registered).count() < ALL_UNKNOWN_AT_A_TIME
                    && begun().filter(|one| *one == (source, false)).count() < UNKNOWN_IN_WINDOW
                    && begun().filter(|(_, registered)| !registered).count() < ALL_UNKNOWN_IN_WINDOW
            }
        };
        if admitted {
            if self.begun.len() >= MAX_BEGUN {
                self.begun.pop_front();
            }
            self.begun.push_back((now, source, registered));
        }
        admitted
    }

    /// Whether a refusal is to be told now.
    pub fn tells(&mut self, now: Instant) -> bool {
        let due = self.told.is_none_or(|at| now.since(at) >= WINDOW);
        if due {
            self.told = Some(now);
        }
        due
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.begun.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn a_second_call_beside_the_first_passes_and_a_third_does_not() {
        let mut bound = EmergencyBound::default();
        let mut up = Vec::new();
        for expected in [true, true, false] {
            assert_eq!(bound.admit(Instant::ZERO, source(1), false, &up), expected);
            up.push((source(1), false));
        }
        assert!(bound.admit(Instant::ZERO, source(2), false, &up), "another address is another person");
    }

    #[test]
    fn a_flood_from_everywhere_ends_at_the_common_bound_and_leaves_registered_handsets_alone() {
        let mut bound = EmergencyBound::default();
        let admitted = (0..10_000).filter(|n| bound.admit(Instant::ZERO, source(*n), false, &[])).count();
        assert_eq!(admitted, ALL_UNKNOWN_IN_WINDOW);
        assert!(bound.admit(Instant::ZERO, source(1), true, &[]));
        assert!(bound.admit(Instant::ZERO + WINDOW, source(1), false, &[]), "a minute later it is forgotten");
    }

    #[test]
    fn calls_that_end_at_once_count_for_a_minute() {
        let mut bound = EmergencyBound::default();
        let admitted = (0..100).filter(|_| bound.admit(Instant::ZERO, source(1), false, &[])).count();
        assert_eq!(admitted, UNKNOWN_IN_WINDOW);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut bound = EmergencyBound::default();
        for n in 0..10_000 {
            bound.admit(Instant::ZERO, source(n), true, &[]);
        }
        assert_eq!(bound.len(), MAX_BEGUN);
    }

    #[test]
    fn a_flood_of_refusals_is_one_line_a_minute() {
        let mut bound = EmergencyBound::default();
        let told = (0..240).filter(|n| bound.tells(Instant::from_secs(*n))).count();
        assert_eq!(told, 4);
    }
}
