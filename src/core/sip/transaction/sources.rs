//! Who holds how many server transactions: one phone must not use up the table of all.
//!
//! Rule: a source of the LAN has so many requests that wait for an answer, so many answered ones that are kept for their
//! repetitions (RFC 3261 section 17.2), and so many octets of both. Beyond the first bound its next request gets 503;
//! beyond the others its own oldest answered one is forgotten, which costs itself one repeated answer at most. Where the
//! whole table is full, the source whose answered ones hold the most gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ServerId;
use super::timer::TIMEOUT;
use crate::sip::flow::{Flow, Transport};
use crate::time::Instant;

/// Requests of one source that wait for an answer: far more calls than any phone or PBX has.
pub const MAX_UNANSWERED: usize = 512;
/// Answered requests of one source that are kept for their repetitions.
pub const MAX_ANSWERED: usize = 1024;
/// Octets that the requests of one source hold: a quarter of the table.
pub const MAX_OF_SOURCE: usize = super::MAX_OCTETS / 4;

/// Between two reports of a source beyond its bound: one says as much as a thousand.
const REPORT: std::time::Duration = TIMEOUT;

/// What one source holds.
#[derive(Debug, Default)]
struct Held {
    unanswered: usize,
    /// The oldest first.
    answered: BTreeSet<ServerId>,
    /// Octets of both.
    octets: usize,
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
    /// Whether a source may ask something more, of so many octets.
    pub fn has_room(&self, source: IpAddr, octets: usize) -> bool {
        self.held
            .get(&source)
            .is_none_or(|held| held.unanswered < MAX_UNANSWERED && held.octets + octets <= MAX_OF_SOURCE)
    }

    /// What a source has to forget first, where it asks something more of so many octets.
    pub fn oldest(&self, source: IpAddr, octets: usize) -> Option<ServerId> {
        let held = self.held.get(&source)?;
        let is_over = held.answered.len() > MAX_ANSWERED || held.octets + octets > MAX_OF_SOURCE;
        held.answered.first().copied().filter(|_| is_over)
    }

    pub fn begin(&mut self, source: IpAddr, octets: usize) {
        let held = self.held.entry(source).or_default();
        held.unanswered += 1;
        held.octets += octets;
    }

    /// A response was given: the request holds `octets` now, and held `before`.
    pub fn weigh(&mut self, source: IpAddr, before: usize, octets: usize) {
        let held = self.held.entry(source).or_default();
        held.octets = held.octets - before + octets;
    }

    /// A final answer was given. Whether the source holds too many of these now.
    pub fn answer(&mut self, source: IpAddr, id: ServerId) -> bool {
        let held = self.held.entry(source).or_default();
        held.unanswered = held.unanswered.saturating_sub(1);
        held.answered.insert(id);
        held.answered.len() > MAX_ANSWERED || held.octets > MAX_OF_SOURCE
    }

    /// A transaction is over, which held so much.
    pub fn end(&mut self, source: IpAddr, id: ServerId, octets: usize) {
        let Some(held) = self.held.get_mut(&source) else { return };
        held.octets = held.octets.saturating_sub(octets);
        if !held.answered.remove(&id) {
            held.unanswered = held.unanswered.saturating_sub(1);
        }
        if held.unanswered == 0 && held.answered.is_empty() {
            self.held.remove(&source);
        }
    }

    /// The oldest answered transaction of the source that holds the most.
    pub fn victim(&self) -> Option<ServerId> {
        let answered = self.held.values().filter(|held| !held.answered.is_empty());
        answered.max_by_key(|held| held.octets)?.answered.first().copied()
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
