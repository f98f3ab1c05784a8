//! What a machine may do besides changing its state.

use std::collections::VecDeque;
use std::time::Duration;

use super::timer::{Timer, Timers, all_of};
use crate::sip::flow::Flow;
use crate::time::Instant;

/// Octets to send and timers, for one transaction and one moment.
#[derive(Debug)]
pub(super) struct Io<'a> {
    pub now: Instant,
    pub id: u64,
    pub flow: Flow,
    pub timers: &'a mut Timers,
    pub transmits: &'a mut VecDeque<(Flow, Vec<u8>)>,
}

impl Io<'_> {
    pub fn send(&mut self, octets: Vec<u8>) {
        self.transmits.push_back((self.flow, octets));
    }

    pub fn start(&mut self, timer: Timer, after: Duration) {
        self.timers.set((self.id, timer), self.now + after);
    }

    pub fn stop(&mut self, timer: Timer) {
        self.timers.cancel((self.id, timer));
    }

    pub fn stop_all(&mut self) {
        self.timers.cancel_all(all_of(self.id));
    }

    pub fn is_reliable(&self) -> bool {
        self.flow.transport.is_reliable()
    }
}

/// What becomes of a transaction after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    /// Terminated.
    End,
}
