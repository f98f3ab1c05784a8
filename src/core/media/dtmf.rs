//! telephone-events of our own (RFC 4733), for digits that came by SIP INFO.

use std::collections::VecDeque;
use std::time::Duration;

use super::outgoing::ticks;
use crate::time::Instant;

/// Octets of an event's payload.
pub const PAYLOAD: usize = 4;
/// Time between the packets of an event, as between those of audio.
pub const INTERVAL: Duration = Duration::from_millis(20);
/// Copies of the packet that ends an event (RFC 4733 section 2.5.1.4).
const END_PACKETS: u8 = 3;
/// Silence between two digits.
const PAUSE: Duration = Duration::from_millis(60);
/// Shortest digit: RFC 4733 section 2.5.1.3 wants what a detector of tones would need.
const SHORTEST: Duration = Duration::from_millis(60);
/// Longest digit: the duration field ends at 8.19 s.
const LONGEST: Duration = Duration::from_secs(6);
/// Digits that may wait; more are refused.
pub const MAX_QUEUED: usize = 32;
/// -10 dBm0, as most handsets send.
const VOLUME: u8 = 10;
const END: u8 = 0x80;

/// The event number of a digit (RFC 4733 section 3.2): `0`-`9`, `*`, `#`, `A`-`D`, and `!` for flash.
pub fn event(digit: char) -> Option<u8> {
    match digit.to_ascii_uppercase() {
        digit @ '0'..='9' => Some(digit as u8 - b'0'),
        '*' => Some(10),
        '#' => Some(11),
        digit @ 'A'..='D' => Some(digit as u8 - b'A' + 12),
        '!' => Some(16),
        _ => None,
    }
}

/// One packet of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// The first packet of the event: it carries the marker bit.
    pub begins: bool,
    pub payload: [u8; PAYLOAD],
}

#[derive(Clone, Copy, Debug)]
struct Digit {
    event: u8,
    /// In timestamp units.
    duration: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is being sent; a queued digit may begin at this time.
    Pause(Instant),
    Sending {
        digit: Digit,
        sent: u32,
        due: Instant,
    },
    Ending {
        digit: Digit,
        left: u8,
        due: Instant,
    },
}

/// What a leg has to send.
#[derive(Clone, Debug)]
pub struct Events {
    state: State,
    queue: VecDeque<Digit>,
}

impl Default for Events {
    fn default() -> Self {
        Events { state: State::Pause(Instant::ZERO), queue: VecDeque::new() }
    }
}

impl Events {
    /// Queues a digit; false when it is none, or when [`MAX_QUEUED`] wait already.
    pub fn push(&mut self, digit: char, duration: Duration) -> bool {
        let Some(event) = event(digit).filter(|_| self.queue.len() < MAX_QUEUED) else {
            return false;
        };
        let duration = ticks(duration.clamp(SHORTEST, LONGEST));
        self.queue.push_back(Digit { event, duration });
        true
    }

    /// Whether an event is under way: audio waits.
    pub fn is_sending(&self) -> bool {
        !matches!(self.state, State::Pause(_))
    }

    /// When the next packet is due.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Pause(until) => (!self.queue.is_empty()).then_some(until),
            State::Sending { due, .. } | State::Ending { due, .. } => Some(due),
        }
    }

    /// The packet that is due now, if any.
    pub fn poll(&mut self, now: Instant) -> Option<EventPacket> {
        let due = self.due().filter(|&due| due <= now)?;
        let (digit, sent, due) = match self.state {
            State::Pause(_) => (self.queue.pop_front()?, 0, now),
            State::Sending { digit, sent, .. } => (digit, sent, due),
            State::Ending { digit, left, .. } => {
                self.state = match left - 1 {
                    0 => State::Pause(now + PAUSE),
                    left => State::Ending { digit, left, due: due + INTERVAL },
                };
                return Some(end(digit, false));
            }
        };
        // The first packet covers the interval that begins: a duration of 0 has another meaning (section 2.3.5).
        let sent = sent + ticks(INTERVAL);
        let begins = sent == ticks(INTERVAL);
        let next = due + INTERVAL;
        if sent < digit.duration {
            self.state = State::Sending { digit, sent, due: next };
            Some(packet(digit, sent, begins))
        } else {
            self.state = State::Ending { digit, left: END_PACKETS - 1, due: next };
            Some(end(digit, begins))
        }
    }

    /// Forgets everything: the leg may not send any more.
    pub fn clear(&mut self) {
        *self = Events::default();
    }
}

fn packet(digit: Digit, duration: u32, begins: bool) -> EventPacket {
    // LONGEST keeps the duration inside 16 bits.
    let [high, low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
    EventPacket { begins, payload: [digit.event, VOLUME, high, low] }
}

fn end(digit: Digit, begins: bool) -> EventPacket {
    let mut packet = packet(digit, digit.duration, begins);
    packet.payload[1] |= END;
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs to the end: milliseconds and packet.
    fn run(events: &mut Events) -> Vec<(u64, EventPacket)> {
        let mut sent = Vec::new();
        while let Some(due) = events.due() {
            sent.push((due.as_micros() / 1000, events.poll(due).unwrap()));
            assert_eq!(events.poll(due), None);
        }
        sent
    }

    #[test]
    fn digits_have_the_numbers_of_rfc_4733() {
        let numbers: Vec<_> = "0189*#ABCDd!".chars().map(|digit| event(digit).unwrap()).collect();
        assert_eq!(numbers, [0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 15, 16]);
        for digit in "eE x+é٣".chars() {
            assert_eq!(event(digit), None);
        }
    }

    #[test]
    fn an_event_begins_with_a_marker_grows_and_ends_three_times() {
        let mut events = Events::default();
        assert!(events.push('5', Duration::from_millis(100)));
        let sent = run(&mut events);
        let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 20, 40, 60, 80, 100, 120]);
        let durations: Vec<_> = sent.iter().map(|(_, p)| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let markers: Vec<_> = sent.iter().map(|(_, p)| p.begins).collect();
        assert_eq!(markers, [true, false, false, false, false, false, false]);
        let ends: Vec<_> = sent.iter().map(|(_, p)| p.payload[1] & END != 0).collect();
        assert_eq!(ends, [false, false, false, false, true, true, true]);
        assert!(sent.iter().all(|(_, p)| p.payload[0] == 5 && p.payload[1] & 0x7f == VOLUME));
    }

    #[test]
    fn two_digits_have_a_pause_between_them_in_which_audio_may_pass() {
        let mut events = Events::default();
        events.push('1', Duration::from_millis(60));
        events.push('1', Duration::from_millis(60));
        let mut begins = Vec::new();
        while let Some(due) = events.due() {
            if !events.is_sending() {
                begins.push(due.as_micros() / 1000);
            }
            events.poll(due);
        }
        assert_eq!(begins, [0, 80 + 60]);
    }

    #[test]
    fn durations_are_brought_inside_their_bounds() {
        for (asked, expected) in [(0, 480), (60_000, 48_000)] {
            let mut events = Events::default();
            events.push('1', Duration::from_millis(asked));
            let last = run(&mut events).last().unwrap().1;
            assert_eq!(u16::from_be_bytes([last.payload[2], last.payload[3]]), expected);
        }
    }

    #[test]
    fn too_many_digits_are_refused() {
        let mut events = Events::default();
        assert_eq!((0..100).filter(|_| events.push('1', PAUSE)).count(), MAX_QUEUED);
        assert!(!events.push('x', PAUSE));
    }
}
