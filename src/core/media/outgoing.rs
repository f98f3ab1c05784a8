//! The one RTP stream that a leg sends, whoever speaks on it: SSRC, sequence numbers and timestamps go on without a
//! break when the leg is connected to another partner, and between audio and telephone-events of our own.

use std::time::Duration;

use super::MediaLeg;
use super::packet::CLOCK_RATE;
use crate::random::Random;
use crate::time::Instant;

/// Least ticks between the last packet of one source and the first of the next: one packet of 20 ms.
const PACKET_TICKS: u32 = 160;

/// One received stream: a leg, and the how-manieth stream that it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub leg: MediaLeg,
    pub stream: u32,
}

/// How the numbers of an origin become ours.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    origin: Origin,
    /// First extended sequence number that belongs to this mapping, theirs and ours.
    first_in: u64,
    first_out: u64,
    timestamp_offset: u32,
    /// Numbers were used for something else since: the next packet takes the next free one.
    broken: bool,
}

/// What a packet gets before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub sequence: u16,
    pub timestamp: u32,
    /// The first packet after a change of the source: the far end's jitter buffer may adapt (RFC 3551 section 4.1).
    pub begins: bool,
}

/// The sending side of a leg's RTP.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub ssrc: u32,
    highest: u64,
    timestamp: u32,
    sent_at: Option<Instant>,
    mapping: Option<Mapping>,
    /// Packets and payload octets under this SSRC, as sender reports count them.
    pub packets: u32,
    pub octets: u32,
}

impl Outgoing {
    /// A stream with random SSRC and timestamp. The first sequence number lies below 2^15, so that the far end cannot
    /// mistake the rollover counter when the first packets are lost (RFC 3711 section 3.3.1).
    pub fn new(random: &mut Random) -> Self {
        let highest = random.below(1 << 15);
        let (ssrc, timestamp) = (random.u32(), random.u32());
        Outgoing { ssrc, highest, timestamp, sent_at: None, mapping: None, packets: 0, octets: 0 }
    }

    /// Numbers for a relayed packet. Gaps and reordering within one origin stay visible. `None` for a packet from
    /// before the moment at which its origin got this stream.
    pub fn relay(&mut self, now: Instant, origin: Origin, extended: u64, timestamp: u32) -> Option<Numbers> {
        let mut begins = false;
        let mapping = match self.mapping {
            Some(mapping) if mapping.origin == origin && !mapping.broken => mapping,
            Some(mapping) if mapping.origin == origin => {
                Mapping { first_in: extended, first_out: self.highest + 1, broken: false, ..mapping }
            }
            _ => {
                begins = true;
                let timestamp_offset = self.now(now).wrapping_sub(timestamp);
                Mapping { origin, first_in: extended, first_out: self.highest + 1, timestamp_offset, broken: false }
            }
        };
        self.mapping = Some(mapping);
        let extended = mapping.first_out + extended.checked_sub(mapping.first_in)?;
        let timestamp = timestamp.wrapping_add(mapping.timestamp_offset);
        if extended > self.highest {
            self.highest = extended;
            // The packets of a telephone-event all carry the time of its beginning.
            if timestamp != self.timestamp || self.sent_at.is_none() {
                self.timestamp = timestamp;
                self.sent_at = Some(now);
            }
        }
        Some(Numbers { sequence: extended as u16, timestamp, begins })
    }

    /// The next sequence number, for a packet of our own.
    pub fn take(&mut self) -> u16 {
        self.highest += 1;
        if let Some(mapping) = &mut self.mapping {
            mapping.broken = true;
        }
        self.highest as u16
    }

    /// The timestamp of this moment on our stream's clock.
    pub fn now(&self, now: Instant) -> u32 {
        let Some(sent_at) = self.sent_at else {
            return self.timestamp;
        };
        let passed = ticks(now.since(sent_at)).max(PACKET_TICKS);
        self.timestamp.wrapping_add(passed)
    }

    /// Sets our clock, for a packet of our own.
    pub fn set_clock(&mut self, now: Instant, timestamp: u32) {
        self.timestamp = timestamp;
        self.sent_at = Some(now);
    }

    /// What to add to the timestamps of `origin`; `None` when it is not what we relay.
    pub fn timestamp_offset(&self, origin: Origin) -> Option<u32> {
        self.mapping.filter(|mapping| mapping.origin == origin).map(|mapping| mapping.timestamp_offset)
    }

    /// What to add to our sequence numbers to get those of `origin`.
    pub fn sequence_back(&self, origin: Origin) -> Option<u32> {
        let mapping = self.mapping.filter(|mapping| mapping.origin == origin)?;
        // Their extended numbers begin one turn up, see `Reception::new`.
        Some((mapping.first_in as u32).wrapping_sub(mapping.first_out as u32).wrapping_sub(1 << 16))
    }
}

/// RTP ticks in a duration.
pub fn ticks(duration: Duration) -> u32 {
    (duration.as_micros() as u64).saturating_mul(CLOCK_RATE).div_euclid(1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(leg: u64) -> Origin {
        Origin { leg: MediaLeg(leg), stream: 0 }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn gaps_and_reordering_stay_visible() {
        let mut out = Outgoing::new(&mut Random::from_number(1));
        let first = out.relay(at(0), origin(1), 100, 0).unwrap();
        let gap = out.relay(at(60), origin(1), 103, 480).unwrap();
        let late = out.relay(at(61), origin(1), 101, 160).unwrap();
        assert_eq!(gap.sequence, first.sequence + 3);
        assert_eq!(late.sequence, first.sequence + 1);
        assert_eq!(gap.timestamp.wrapping_sub(first.timestamp), 480);
        assert!(first.begins && !gap.begins && !late.begins);
    }

    #[test]
    fn another_origin_goes_on_at_the_next_number_and_at_the_time_that_passed() {
        let mut out = Outgoing::new(&mut Random::from_number(1));
        let last = out.relay(at(0), origin(1), 100, 0).unwrap();
        let next = out.relay(at(1000), origin(2), 70_000, 5).unwrap();
        assert_eq!(next.sequence, last.sequence + 1);
        assert_eq!(next.timestamp.wrapping_sub(last.timestamp), 8000);
        assert!(next.begins);
        assert_eq!(out.relay(at(1001), origin(2), 69_999, 0), None);
    }

    #[test]
    fn packets_of_our_own_leave_no_gap_and_no_number_twice() {
        let mut out = Outgoing::new(&mut Random::from_number(1));
        let before = out.relay(at(0), origin(1), 100, 0).unwrap();
        assert_eq!(out.take(), before.sequence + 1);
        assert_eq!(out.take(), before.sequence + 2);
        let after = out.relay(at(200), origin(1), 110, 1600).unwrap();
        assert_eq!(after.sequence, before.sequence + 3);
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 1600);
        assert!(!after.begins);
        assert_eq!(out.relay(at(201), origin(1), 105, 800), None);
    }

    #[test]
    fn the_first_number_is_in_the_lower_half() {
        for seed in 0..100 {
            let mut out = Outgoing::new(&mut Random::from_number(seed));
            assert!(out.relay(at(0), origin(1), 65_535, 0).unwrap().sequence <= 1 << 15);
        }
    }

    #[test]
    fn numbers_map_back_for_receiver_reports() {
        let mut out = Outgoing::new(&mut Random::from_number(1));
        let extended = (1 << 16) + 500;
        let sent = out.relay(at(0), origin(1), extended, 0).unwrap();
        let back = out.sequence_back(origin(1)).unwrap();
        assert_eq!(u32::from(sent.sequence).wrapping_add(back), 500);
        assert_eq!(out.sequence_back(origin(2)), None);
    }
}
