//! How many emergency calls one source may make. They need no password and pass `limits.calls`, so that this alone
//! stands between a flood of forged INVITEs and the emergency line.
//!
//! Rule: nobody uses up another's allowance. What a source has proved decides whose allowance a call counts against:
//!
//! | proof | counts against | beyond it |
//! | --- | --- | --- |
//! | [`Proof::None`]: a datagram, whose source anybody can write | its address, and all such datagrams together | a challenge |
//! | [`Proof::Address`]: it answered a challenge, or has a TCP connection | its address | 503 |
//! | [`Proof::Extension`]: the right password, or a connection that it registered by | nothing | – |
//!
//! So a forged datagram can take room from other forged datagrams, and from nobody who answers.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;

/// A call from which nothing was heard for this long does not count. It goes on: a person in hiding is silent.
pub const QUIET: Duration = Duration::from_secs(5);

/// Emergency calls at a time by unproved datagrams of an address with no registered handset: one, and another one.
pub const UNPROVED_AT_A_TIME: usize = 2;
/// From all such addresses together.
pub const ALL_UNPROVED_AT_A_TIME: usize = 16;
/// By unproved datagrams of an address with registered handsets: all lines of an ATA.
pub const HANDSET_AT_A_TIME: usize = 8;
/// From an address that is proved.
pub const PROVED_AT_A_TIME: usize = 2;

/// What begins and ends at once fills no line and still rings at the emergency service: calls begun within [`WINDOW`].
pub const UNPROVED_IN_WINDOW: usize = 10;
/// From all such addresses together.
pub const ALL_UNPROVED_IN_WINDOW: usize = 30;
/// By unproved datagrams of an address with registered handsets.
pub const HANDSET_IN_WINDOW: usize = 30;
/// From an address that is proved.
pub const PROVED_IN_WINDOW: usize = 30;
pub const WINDOW: Duration = Duration::from_secs(60);

/// Emergency calls that there can be. Beyond it the oldest goes from which nothing is heard and whose connection or
/// registration is gone; where there is none, a new one waits its turn.
pub const MAX_CALLS: usize = 160;
/// Of these, from sources that are no proved extension and have no registered handset at their address: the rest is for
/// the phones of this box.
pub const MAX_STRANGERS: usize = 96;

/// Entries that are kept; the oldest goes first.
const MAX_BEGUN: usize = 1024;

/// What a source has proved about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing.
    None,
    /// That its address is its own.
    Address,
    /// That it is a phone of this extension.
    Extension(String),
}

/// Whose allowance a call counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Datagrams from an address where no handset is registered.
    Unproved,
    /// Datagrams from an address where one is.
    Handset,
    /// A proved address.
    Proved,
    /// A proved extension.
    Free,
}

impl Account {
    /// Of a source; `registered` says whether a handset is registered at its address.
    pub fn of(proof: &Proof, registered: impl FnOnce() -> bool) -> Account {
        match proof {
            Proof::Extension(_) => Account::Free,
            Proof::Address => Account::Proved,
            Proof::None if registered() => Account::Handset,
            Proof::None => Account::Unproved,
        }
    }

    /// Whether nothing is known of it but its address.
    pub fn is_stranger(self) -> bool {
        matches!(self, Account::Unproved | Account::Proved)
    }

    /// At a time, and within [`WINDOW`], from one address.
    fn allowance(self) -> (usize, usize) {
        match self {
            Account::Unproved => (UNPROVED_AT_A_TIME, UNPROVED_IN_WINDOW),
            Account::Handset => (HANDSET_AT_A_TIME, HANDSET_IN_WINDOW),
            Account::Proved => (PROVED_AT_A_TIME, PROVED_IN_WINDOW),
            Account::Free => (usize::MAX, usize::MAX),
        }
    }
}

/// What becomes of an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Leaves,
    /// It may be forged: 401, and an answer to that proves that it is not.
    Challenge,
    /// 503: this address makes too many.
    Refuse,
}

/// Emergency calls begun lately.
#[derive(Debug, Default)]
pub struct Bound {
    begun: VecDeque<(Instant, IpAddr, Account)>,
    /// When a refusal was last reported: one line a minute says as much as a thousand.
    reported: Option<Instant>,
}

impl Bound {
    /// Decides on one more call, and counts it if it leaves. `up` are the sources of those calls that count now.
    pub fn admit(&mut self, now: Instant, source: IpAddr, account: Account, up: &[(IpAddr, Account)]) -> Admission {
        self.begun.retain(|(at, ..)| now.since(*at) < WINDOW);
        let begun: Vec<_> = self.begun.iter().map(|(_, source, account)| (*source, *account)).collect();
        let (at_a_time, in_window) = account.allowance();
        let of_source = |all: &[(IpAddr, Account)]| all.iter().filter(|one| **one == (source, account)).count();
        let of_all = |all: &[(IpAddr, Account)]| all.iter().filter(|one| one.1 == account).count();
        let mut has_room = of_source(up) < at_a_time && of_source(&begun) < in_window;
        if account == Account::Unproved {
            has_room &= of_all(up) < ALL_UNPROVED_AT_A_TIME && of_all(&begun) < ALL_UNPROVED_IN_WINDOW;
        }
        match (has_room, account) {
            (true, _) => {
                if self.begun.len() >= MAX_BEGUN {
                    self.begun.pop_front();
                }
                self.begun.push_back((now, source, account));
                Admission::Leaves
            }
            (false, Account::Unproved | Account::Handset) => Admission::Challenge,
            (false, Account::Proved | Account::Free) => Admission::Refuse,
        }
    }

    /// Whether a refusal is to be reported now.
    pub fn reports(&mut self, now: Instant) -> bool {
        let due = self.reported.is_none_or(|at| now.since(at) >= WINDOW);
        if due {
            self.reported = Some(now);
        }
        due
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Account::{Free, Handset, Proved, Unproved};
    use Admission::{Challenge, Leaves, Refuse};

    fn source(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    fn flood(bound: &mut Bound, count: u32, account: Account, from: impl Fn(u32) -> IpAddr) -> usize {
        (0..count).filter(|n| bound.admit(Instant::ZERO, from(*n), account, &[]) == Leaves).count()
    }

    #[test]
    fn a_second_call_beside_the_first_leaves_and_a_third_is_challenged() {
        let mut bound = Bound::default();
        let mut up = Vec::new();
        for expected in [Leaves, Leaves, Challenge] {
            assert_eq!(bound.admit(Instant::ZERO, source(1), Unproved, &up), expected);
            up.push((source(1), Unproved));
        }
        assert_eq!(bound.admit(Instant::ZERO, source(2), Unproved, &up), Leaves, "another address is another person");
        assert_eq!(bound.admit(Instant::ZERO, source(1), Proved, &up), Leaves, "the answer to the challenge");
    }

    #[test]
    fn forged_datagrams_from_everywhere_take_room_from_nobody_who_proves_something() {
        let mut bound = Bound::default();
        assert_eq!(flood(&mut bound, 10_000, Unproved, source), ALL_UNPROVED_IN_WINDOW);
        assert_eq!(bound.admit(Instant::ZERO, source(77), Unproved, &[]), Challenge);
        for account in [Handset, Proved, Free] {
            assert_eq!(bound.admit(Instant::ZERO, source(1), account, &[]), Leaves, "{account:?}");
        }
        let later = Instant::ZERO + WINDOW;
        assert_eq!(bound.admit(later, source(1), Unproved, &[]), Leaves, "a minute later it is forgotten");
    }

    #[test]
    fn forged_datagrams_from_a_phone_s_address_leave_that_phone_its_own_allowance() {
        let mut bound = Bound::default();
        assert_eq!(flood(&mut bound, 500, Handset, |_| source(1)), HANDSET_IN_WINDOW);
        assert_eq!(bound.admit(Instant::ZERO, source(1), Handset, &[]), Challenge);
        for account in [Proved, Free] {
            assert_eq!(bound.admit(Instant::ZERO, source(1), account, &[]), Leaves, "{account:?}");
        }
        assert_eq!(bound.admit(Instant::ZERO, source(2), Handset, &[]), Leaves, "another phone");
    }

    #[test]
    fn a_host_with_many_proved_addresses_takes_room_from_none_but_those() {
        let mut bound = Bound::default();
        let mut up = Vec::new();
        for n in 0..32 {
            for _ in 0..PROVED_AT_A_TIME {
                assert_eq!(bound.admit(Instant::ZERO, source(n), Proved, &up), Leaves);
                up.push((source(n), Proved));
            }
            assert_eq!(bound.admit(Instant::ZERO, source(n), Proved, &up), Refuse);
        }
        assert_eq!(bound.admit(Instant::ZERO, source(40), Proved, &up), Leaves);
        assert_eq!(bound.admit(Instant::ZERO, source(40), Unproved, &up), Leaves);
    }

    #[test]
    fn calls_that_end_at_once_count_for_a_minute() {
        assert_eq!(flood(&mut Bound::default(), 100, Unproved, |_| source(1)), UNPROVED_IN_WINDOW);
        assert_eq!(flood(&mut Bound::default(), 100, Proved, |_| source(1)), PROVED_IN_WINDOW);
        assert_eq!(flood(&mut Bound::default(), 100, Free, |_| source(1)), 100, "a password's bearer always leaves");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut bound = Bound::default();
        flood(&mut bound, 10_000, Handset, source);
        assert_eq!(bound.len(), MAX_BEGUN);
    }

    #[test]
    fn a_flood_of_refusals_is_one_line_a_minute() {
        let mut bound = Bound::default();
        let reported = (0..240).filter(|n| bound.reports(Instant::from_secs(*n))).count();
        assert_eq!(reported, 4);
    }
}
