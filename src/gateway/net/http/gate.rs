//! Who is let in how often. All requests come from the one address of the tunnel's near end, so nobody can be told by
//! where they come from: what a request shows decides which bucket it draws from, and a flood of strangers empties
//! theirs, not Twilio's. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bucket::{Bucket, Rate};
use gateway_core::time::Instant;

/// Requests that show nothing of Twilio's: no signature, or a path that we do not have. Browsers, scanners and a person
/// who looks whether the URL answers stay below it.
pub const STRANGERS: Rate = Rate::per_second(40, 10);
/// Requests whose signature is to be verified. One that is good gives its token back, so this bounds forged ones alone:
/// each costs a body and an HMAC, some 200 µs on a slow router, hence a fifth of its CPU at most.
pub const SIGNED: Rate = Rate::per_second(1000, 1000);
/// Requests whose signature came more often than Twilio repeats one ([`super::seen::USUAL_REPEATS`]); of a flood that repeats what somebody captured, none costs
/// more than a look at its head.
pub const REPLAYS: Rate = Rate::per_second(40, 10);
/// Nonces that this process has not asked for itself: `gateway setup` proves the URL, too.
pub const NONCES: Rate = Rate::per_second(20, 2);
/// New connections; further ones wait in the listener's backlog instead of being refused, for many tunnels make one
/// for each request and one may be Twilio's. With [`super::MAX_CONNECTIONS`], a connection has a fifth of a second at
/// least to show its request before a flood can push it out.
pub const CONNECTIONS: Rate = Rate::per_second(64, 500);
/// Nonces of our own proofs under way.
const MAX_EXPECTED: usize = 8;

/// The rates of a gate; the defaults are the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub strangers: Rate,
    pub signed: Rate,
    pub replays: Rate,
    pub nonces: Rate,
    pub connections: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Rates { strangers: STRANGERS, signed: SIGNED, replays: REPLAYS, nonces: NONCES, connections: CONNECTIONS }
    }
}

/// A nonce that we are going to fetch ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub nonce: String,
    /// The host by whose name it must come in, in small letters; `None`: by any.
    pub by: Option<String>,
}

/// All buckets.
#[derive(Debug)]
pub struct Gate {
    strangers: Bucket,
    signed: Bucket,
    replays: Bucket,
    nonces: Bucket,
    connections: Bucket,
    expected: VecDeque<Expected>,
}

impl Gate {
    /// With full buckets.
    pub fn new(rates: Rates) -> Gate {
        Gate {
            strangers: Bucket::new(rates.strangers),
            signed: Bucket::new(rates.signed),
            replays: Bucket::new(rates.replays),
            nonces: Bucket::new(rates.nonces),
            connections: Bucket::new(rates.connections),
            expected: VecDeque::new(),
        }
    }

    /// A request that shows nothing; `Err`: how long until one more is let in.
    pub fn stranger(&mut self, now: Instant) -> Result<(), Duration> {
        self.strangers.take(now)
    }

    /// A request whose signature is to be verified.
    pub fn signed(&mut self, now: Instant) -> Result<(), Duration> {
        self.signed.take(now)
    }

    /// A request with a signature that came too often.
    pub fn replay(&mut self, now: Instant) -> Result<(), Duration> {
        self.replays.take(now)
    }

    /// The signature was good.
    pub fn was_good(&mut self) {
        self.signed.give_back();
    }

    /// A nonce that we are going to fetch ourselves: a flood must not look like a dead tunnel.
    pub fn expect(&mut self, expected: Expected) {
        self.expected.push_back(expected);
        if self.expected.len() > MAX_EXPECTED {
            self.expected.pop_front();
        }
    }

    /// A nonce is asked for; what is expected of it, if it is ours.
    pub fn nonce(&mut self, now: Instant, nonce: &str) -> Result<Option<Expected>, Duration> {
        match self.expected.iter().find(|expected| expected.nonce == nonce) {
            Some(expected) => Ok(Some(expected.clone())),
            None => self.nonces.take(now).map(|()| None),
        }
    }

    /// A connection was accepted: how long to accept no further one.
    pub fn connection(&mut self, now: Instant) -> Duration {
        self.connections.take(now).err().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_empty_their_own_bucket_and_nobody_elses() {
        let mut gate = Gate::new(Rates::default());
        let now = Instant::from_secs(1);
        let let_in = (0..10_000).filter(|_| gate.stranger(now).is_ok()).count();
        assert_eq!(let_in, STRANGERS.burst as usize);
        assert!(gate.signed(now).is_ok() && gate.nonce(now, "a").is_ok());
    }

    #[test]
    fn signatures_that_are_good_cost_nothing() {
        let mut gate = Gate::new(Rates::default());
        for _ in 0..100_000 {
            assert!(gate.signed(Instant::ZERO).is_ok());
            gate.was_good();
        }
        let forged = (0..10_000).filter(|_| gate.signed(Instant::ZERO).is_ok()).count();
        assert_eq!(forged, SIGNED.burst as usize);
    }

    #[test]
    fn a_flood_of_replays_costs_fresh_requests_nothing() {
        let mut gate = Gate::new(Rates::default());
        let let_in = (0..10_000).filter(|_| gate.replay(Instant::ZERO).is_ok()).count();
        assert_eq!(let_in, REPLAYS.burst as usize);
        assert!(gate.signed(Instant::ZERO).is_ok() && gate.stranger(Instant::ZERO).is_ok());
    }

    #[test]
    fn our_own_nonce_passes_a_flood_of_nonces() {
        let mut gate = Gate::new(Rates::default());
        let expect = |nonce: &str| Expected { nonce: nonce.to_owned(), by: None };
        gate.expect(expect("ours"));
        while gate.nonce(Instant::ZERO, "theirs").is_ok() {}
        assert!(gate.nonce(Instant::ZERO, "ours").is_ok());
        (0..MAX_EXPECTED).for_each(|i| gate.expect(expect(&i.to_string())));
        assert!(gate.nonce(Instant::ZERO, "ours").is_err());
    }

    #[test]
    fn connections_are_paced() {
        let mut gate = Gate::new(Rates::default());
        let paused = (0..CONNECTIONS.burst).filter(|_| !gate.connection(Instant::ZERO).is_zero()).count();
        assert_eq!(paused, 0);
        assert_eq!(gate.connection(Instant::ZERO), Duration::from_millis(2));
    }
}
