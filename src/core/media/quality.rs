//! What one received RTP stream tells about the way it came: loss and jitter (RFC 3550 appendix A.1, A.3, A.8).

use super::packet::CLOCK_RATE;
use crate::time::Instant;

/// A jump forward of this many sequence numbers is loss; a longer one is another start (RFC 3550 A.1).
pub const MAX_DROPOUT: i16 = 3000;
/// A packet this much behind is late; one further back is another start (RFC 3550 A.1).
pub const MAX_MISORDER: i16 = 100;
/// A step of the transit time beyond this is a sender that changed its clock, not jitter: one second of ticks.
const MAX_TRANSIT_STEP: u32 = CLOCK_RATE as u32;

/// Where a packet belongs in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In sequence, with the turns of the 16-bit number counted.
    Valid(u64),
    /// Far away from all before: dropped unless the next one follows it.
    Suspect,
    /// The second packet in a row of another numbering: the stream began anew.
    Restarted,
}

/// One stream: an SSRC from its first packet to the last.
#[derive(Clone, Debug)]
pub struct Reception {
    pub ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
    suspect: Option<u16>,
    transit: Option<u32>,
    /// RFC 3550 A.8: scaled by 16.
    jitter: u32,
}

impl Reception {
    /// A stream whose first packet has `sequence`; that packet is still to be given to [`Reception::arrive`].
    pub fn new(ssrc: u32, sequence: u16) -> Self {
        // One turn ahead, so that a packet from before the first one has a number too.
        let first = (1 << 16) + u64::from(sequence);
        Reception { ssrc, first, highest: first, received: 0, suspect: None, transit: None, jitter: 0 }
    }

    /// Counts a packet.
    pub fn arrive(&mut self, sequence: u16) -> Arrival {
        let distance = sequence.wrapping_sub(self.highest as u16) as i16;
        if !(-MAX_MISORDER..MAX_DROPOUT).contains(&distance) {
            let follows = self.suspect == Some(sequence);
            self.suspect = Some(sequence.wrapping_add(1));
            return if follows { Arrival::Restarted } else { Arrival::Suspect };
        }
        self.suspect = None;
        self.received += 1;
        // `highest` is never below 2^16, and `distance` not below -100.
        let extended = self.highest.saturating_add_signed(i64::from(distance));
        self.highest = self.highest.max(extended);
        Arrival::Valid(extended)
    }

    /// Counts the jitter of an audio packet. Not for telephone-events: theirs carry the time that they began.
    pub fn clock(&mut self, now: Instant, timestamp: u32) {
        let arrival = (now.as_micros() * CLOCK_RATE / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let step = (transit.wrapping_sub(last) as i32).unsigned_abs();
            if step <= MAX_TRANSIT_STEP {
                self.jitter = self.jitter + step - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// Packets that did not come. Duplicates can hide loss, as in RFC 3550 A.3, but never make it negative.
    pub fn lost(&self) -> u64 {
        (self.highest - self.first + 1).saturating_sub(self.received)
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn loss_is_counted_over_the_turn_of_the_sequence_number() {
        let mut stream = Reception::new(1, 65_530);
        for sequence in (65_530..=65_535).chain(0..10).filter(|s| s % 4 != 0) {
            assert!(matches!(stream.arrive(sequence), Arrival::Valid(_)));
        }
        assert_eq!(stream.lost(), 4);
        assert_eq!(stream.arrive(0), Arrival::Valid(2 << 16));
        assert_eq!(stream.lost(), 3);
    }

    #[test]
    fn a_late_packet_keeps_its_place_before_the_turn() {
        let mut stream = Reception::new(1, 2);
        assert_eq!(stream.arrive(2), Arrival::Valid((1 << 16) + 2));
        assert_eq!(stream.arrive(65_535), Arrival::Valid(65_535));
    }

    #[test]
    fn one_stray_number_is_dropped_and_two_in_a_row_begin_anew() {
        let mut stream = Reception::new(1, 100);
        stream.arrive(100);
        assert_eq!(stream.arrive(20_000), Arrival::Suspect);
        assert!(matches!(stream.arrive(101), Arrival::Valid(_)));
        assert_eq!(stream.arrive(20_001), Arrival::Suspect);
        assert_eq!(stream.arrive(20_002), Arrival::Restarted);
        assert_eq!(stream.lost(), 0);
    }

    #[test]
    fn even_spacing_has_no_jitter_and_a_swing_of_10_ms_goes_towards_80_ticks() {
        let mut stream = Reception::new(1, 0);
        for n in 0..200 {
            stream.clock(at(20 * n), (160 * n) as u32);
        }
        assert_eq!(stream.jitter(), 0);
        for n in 200..1000 {
            stream.clock(at(20 * n + n % 2 * 10), (160 * n) as u32);
        }
        assert!((78..=80).contains(&stream.jitter()), "{}", stream.jitter());
    }

    #[test]
    fn another_clock_is_not_jitter() {
        let mut stream = Reception::new(1, 0);
        stream.clock(at(0), 0);
        stream.clock(at(20), 3_000_000_000);
        stream.clock(at(40), 3_000_000_160);
        assert_eq!(stream.jitter(), 0);
    }
}
