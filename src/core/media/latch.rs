//! Symmetric RTP (RFC 4961): media goes back to where it comes from, within bounds.
//!
//! A phone behind NAT writes an address into SDP that does not reach it, so the source of its packets is believed,
//! but not everybody's: only the declared address and the leg's subnets count, and whoever came first is not pushed
//! aside by another one while it speaks.

use std::net::SocketAddr;
use std::time::Duration;

use crate::subnet::Subnet;
use crate::time::Instant;

/// How long the latched source must be silent before another one may take over.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(3);

/// Whom a socket listens to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latch {
    source: Option<SocketAddr>,
    heard: Instant,
}

impl Latch {
    /// The latched source.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }

    /// Whether a packet from `from` may be looked at. The address that their SDP declares is always right: it takes
    /// the latch back from a neighbour that was faster.
    pub fn admits(&self, now: Instant, from: SocketAddr, declared: Option<SocketAddr>, subnets: &[Subnet]) -> bool {
        if self.source == Some(from) || declared == Some(from) {
            return true;
        }
        let free = self.source.is_none() || now.since(self.heard) >= TAKEOVER_AFTER;
        free && subnets.iter().any(|subnet| subnet.contains(from.ip()))
    }

    /// Latches to the source of a packet that was admitted and is authentic.
    pub fn record(&mut self, now: Instant, from: SocketAddr) {
        self.source = Some(from);
        self.heard = now;
    }

    /// Forgets the source: their SDP declares another address.
    pub fn release(&mut self) {
        self.source = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "192.168.1.20:4000";
    const NEIGHBOUR: &str = "192.168.1.66:5000";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn admits(latch: &Latch, seconds: u64, from: &str) -> bool {
        let lan = ["192.168.1.0/24".parse().unwrap()];
        latch.admits(Instant::from_secs(seconds), address(from), Some(address(PHONE)), &lan)
    }

    #[test]
    fn only_the_declared_address_and_the_subnets_are_admitted() {
        let latch = Latch::default();
        assert!(admits(&latch, 1, PHONE));
        assert!(admits(&latch, 1, NEIGHBOUR));
        assert!(!admits(&latch, 1, "192.168.2.20:4000"));
        assert!(!admits(&latch, 1, "[2001:db8::1]:4000"));
    }

    #[test]
    fn another_source_takes_over_only_after_silence() {
        let mut latch = Latch::default();
        latch.record(Instant::from_secs(10), address("192.168.1.20:4002"));
        assert!(!admits(&latch, 12, NEIGHBOUR));
        assert!(admits(&latch, 13, NEIGHBOUR));
        assert!(!admits(&latch, 100, "10.0.0.1:4000"));
    }

    #[test]
    fn the_declared_address_takes_the_latch_back_at_once() {
        let mut latch = Latch::default();
        latch.record(Instant::from_secs(10), address(NEIGHBOUR));
        assert!(admits(&latch, 10, PHONE));
        latch.record(Instant::from_secs(10), address(PHONE));
        assert!(!admits(&latch, 11, NEIGHBOUR));
    }
}
