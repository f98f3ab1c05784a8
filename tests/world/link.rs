//! Ways between the engine and an agent: a LAN that loses and reorders, or a stream that does neither but may be cut.

use std::time::Duration;

use gateway_core::random::Random;
use gateway_core::time::Instant;

/// One way of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToEngine,
    ToAgent,
}

/// How bad a datagram link is.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    pub latency: Duration,
    /// Added at random: more than the distance of two datagrams reorders them.
    pub jitter: Duration,
    /// Percent.
    pub loss: u64,
    pub duplication: u64,
}

impl Quality {
    pub const GOOD: Quality =
        Quality { latency: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0, duplication: 0 };
}

/// What a test takes off the wire: the next `count` messages that hold a text.
#[derive(Clone, Debug)]
pub struct Drop {
    pub way: Way,
    pub holds: String,
    pub count: usize,
}

#[derive(Debug)]
pub struct Link {
    pub quality: Quality,
    pub drops: Vec<Drop>,
    reliable: bool,
    /// A stream delivers in order.
    last: [Instant; 2],
}

impl Link {
    pub fn new(quality: Quality, reliable: bool) -> Self {
        Link { quality, drops: Vec::new(), reliable, last: [Instant::ZERO; 2] }
    }

    /// When the octets arrive: never, once, or twice.
    pub fn carry(&mut self, now: Instant, way: Way, bytes: &[u8], random: &mut Random) -> Vec<Instant> {
        let dropped = self
            .drops
            .iter_mut()
            .find(|drop| drop.count > 0 && drop.way == way && String::from_utf8_lossy(bytes).contains(&drop.holds));
        if let Some(drop) = dropped {
            drop.count -= 1;
            return Vec::new();
        }
        let jitter = u64::try_from(self.quality.jitter.as_micros()).unwrap_or(0);
        let arrival =
            |random: &mut Random| now + self.quality.latency + Duration::from_micros(random.below(jitter + 1));
        if self.reliable {
            let last = &mut self.last[way as usize];
            *last = (*last).max(arrival(random));
            return vec![*last];
        }
        if random.below(100) < self.quality.loss {
            return Vec::new();
        }
        let mut arrivals = vec![arrival(random)];
        if random.below(100) < self.quality.duplication {
            arrivals.push(arrival(random));
        }
        arrivals
    }
}
