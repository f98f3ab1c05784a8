//! A sound that is being sent: which packet is due, and when.

use super::super::g711::Law;
use super::super::packet::HEADER;
use super::{FRAME, INTERVAL, Sound};
use crate::time::Instant;

/// How late a packet may be sent after its time. What is later moves the rest of the sound: a burst would be lost in
/// the phone's buffer.
const LATEST: std::time::Duration = std::time::Duration::from_millis(100);

/// A sound on its way.
#[derive(Clone, Debug)]
pub(in crate::media) struct Playing {
    sound: Sound,
    next: usize,
    due: Instant,
    /// The first packet's, once it is known.
    timestamp: Option<u32>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Step {
    /// Send `buffer[..len]` with this timestamp.
    Packet { len: usize, timestamp: u32, begins: bool },
    /// The sound is over.
    Over,
}

impl Playing {
    pub(in crate::media) fn new(now: Instant, sound: Sound) -> Self {
        Playing { sound, next: 0, due: now, timestamp: None }
    }

    /// When [`Playing::step`] wants to be called.
    pub(in crate::media) fn due(&self) -> Instant {
        self.due
    }

    /// Writes the packet that is due behind the header, in that law. `begin` is the timestamp of this moment.
    pub(in crate::media) fn step(&mut self, now: Instant, law: Law, begin: u32, buffer: &mut [u8]) -> Option<Step> {
        if now < self.due {
            return None;
        }
        let number = self.next;
        let len = HEADER + FRAME;
        if self.sound.frame(number, law, buffer.get_mut(HEADER..len)?).is_none() {
            return Some(Step::Over);
        }
        let first = *self.timestamp.get_or_insert(begin);
        self.next += 1;
        self.due += INTERVAL;
        if now.since(self.due) > LATEST {
            self.due = now;
        }
        // A minute has 3000 packets of 160 ticks.
        let timestamp = first.wrapping_add((number * FRAME) as u32);
        Some(Step::Packet { len, timestamp, begins: number == 0 })
    }
}
