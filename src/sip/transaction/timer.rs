//! The timers of RFC 3261 table 4 and RFC 6026, and the queue they wait in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Instant;

/// Estimate of the round-trip time (RFC 3261 section 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval between repeats of a non-INVITE request or of a final response to INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// Longest time that a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// How long anything is tried: B, F, H, J, L, M (RFC 3261 table 4).
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// A timer of one transaction. There is no timer C: it belongs to proxies (RFC 3261 section 16.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// INVITE client, UDP: repeat the request.
    A,
    /// INVITE client: no response at all.
    B,
    /// INVITE client: keep the ACK ready for repeated final responses.
    D,
    /// Non-INVITE client, UDP: repeat the request.
    E,
    /// Non-INVITE client: no final response.
    F,
    /// INVITE server, UDP: repeat the final response.
    G,
    /// INVITE server: no ACK.
    H,
    /// INVITE server: absorb repeated ACKs.
    I,
    /// Non-INVITE server: keep the final response ready for repeated requests.
    J,
    /// Non-INVITE client: absorb repeated responses.
    K,
    /// INVITE server: absorb repeated INVITEs after a 2xx (RFC 6026 section 7.1).
    L,
    /// INVITE client: wait for 2xx of other forks (RFC 6026 section 7.2).
    M,
    /// INVITE client: no final response after CANCEL; has no letter (RFC 3261 section 9.1).
    Cancelled,
}

/// Running timers. A transaction has each timer at most once, so that it can be stopped exactly: what is not running
/// is not in here.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, u64, Timer)>,
    due: BTreeMap<(u64, Timer), Instant>,
}

impl Timers {
    /// Starts a timer of the transaction `id`, or moves it.
    pub fn start(&mut self, id: u64, timer: Timer, at: Instant) {
        self.stop(id, timer);
        self.due.insert((id, timer), at);
        self.queue.insert((at, id, timer));
    }

    /// Stops a timer, if it runs.
    pub fn stop(&mut self, id: u64, timer: Timer) {
        if let Some(at) = self.due.remove(&(id, timer)) {
            self.queue.remove(&(at, id, timer));
        }
    }

    /// Stops all timers of a transaction.
    pub fn stop_all(&mut self, id: u64) {
        while let Some((&(owner, timer), _)) = self.due.range((id, Timer::A)..=(id, Timer::Cancelled)).next() {
            self.stop(owner, timer);
        }
    }

    /// When the next timer fires.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _, _)| at)
    }

    /// Takes the next timer that is due: by time, then by age of its transaction, then by letter.
    pub fn pop(&mut self, now: Instant) -> Option<(u64, Timer)> {
        let &(at, id, timer) = self.queue.first().filter(|&&(at, _, _)| at <= now)?;
        self.queue.remove(&(at, id, timer));
        self.due.remove(&(id, timer));
        Some((id, timer))
    }
}
