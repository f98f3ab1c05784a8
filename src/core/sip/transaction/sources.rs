//! Who holds how many server transactions: one phone must not use up the table of all.
//!
//! Rule: a source of the LAN has so many requests that wait for an answer, and so many answered ones that are kept for
//! their repetitions (RFC 3261 section 17.2). Beyond the first bound its next request gets 503; beyond the second its own
//! oldest answered one is forgotten, which costs itself one repeated answer at most. Where the whole table is full, the
//! source with the most answered ones gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ServerId;
use super::timer::TIMEOUT;
use crate::sip::flow::{Flow, Transport};
use crate::time::Instant;

/// Requests of one source that wait for an answer: far more calls than any phone or PBX has.
pub const MAX_UNANSWERED: usize = 512;
/// Answered requests of one source that are kept for their repetitions.
pub const MAX_ANSWERED: usize = 2048;

/// Between two reports of a source beyond its bound: one says as much as a thousand.
const REPORT: std::time::Duration = TIMEOUT;

/// What one source holds.
#[derive(Debug, Default)]
struct Held {
    unanswered: usize,
    /// The oldest first.
    answered: BTreeSet<ServerId>,
}

/// All sources with a transaction. The trunk is none: what it may ask is bounded by the table.
#[derive(Debug, Default)]
pub(super) struct Sources {
    held: BTreeMap<IpAddr, Held>,
    reported: Option<Instant>,
}

/// The source of a flow.
pub(super) fn of(flow: Flow) -> Option<IpAddr> {
    (flow.transport != Transport::Tls).then(|| flow.remote.ip().to_canonical())
}

impl Sources {
    /// Whether a source may ask something more.
    pub fn has_room(&self, source: IpAddr) -> bool {
        self.held.get(&source).is_none_or(|held| held.unanswered < MAX_UNANSWERED)
    }

    pub fn begin(&mut self, source: IpAddr) {
        self.held.entry(source).or_default().unanswered += 1;
    }

    /// A final answer was given. What the source must forget for it.
    pub fn answer(&mut self, source: IpAddr, id: ServerId) -> Option<ServerId> {
        let held = self.held.entry(source).or_default();
        held.unanswered = held.unanswered.saturating_sub(1);
        held.answered.insert(id);
        if held.answered.len() > MAX_ANSWERED { held.answered.first().copied() } else { None }
    }

    /// A transaction is over.
    pub fn end(&mut self, source: IpAddr, id: ServerId) {
        let Some(held) = self.held.get_mut(&source) else { return };
        if !held.answered.remove(&id) {
            held.unanswered = held.unanswered.saturating_sub(1);
        }
        if held.unanswered == 0 && held.answered.is_empty() {
            self.held.remove(&source);
        }
    }

    /// The oldest answered transaction of the source that has the most.
    pub fn victim(&self) -> Option<ServerId> {
        self.held.values().max_by_key(|held| held.answered.len())?.answered.first().copied()
    }

    /// Whether a source beyond its bound is to be reported now.
    pub fn reports(&mut self, now: Instant) -> bool {
        let due = self.reported.is_none_or(|at| now.since(at) >= REPORT);
        if due {
            self.reported = Some(now);
        }
        due
    }
}
