//! Keeps NAT bindings open and finds out when a flow has silently died (RFC 5626 sections 3.5.1 and 4.4.1).
//!
//! Whether Twilio answers CRLF CRLF with CRLF is not known (twilio.md 4.1). So the first pong decides: from then on a
//! missing one is the end of the flow; without any, OPTIONS is asked, which Twilio is known to answer.

use std::time::Duration;

use super::backoff::jitter;
use crate::random::Random;
use crate::sip::transaction::ClientId;
use crate::time::{Instant, soonest};

/// What is sent (RFC 5626 section 3.5.1).
pub(super) const PING: &[u8] = b"\r\n\r\n";
/// How long a pong may take (RFC 5626 section 4.4.1).
const PONG_WAIT: Duration = Duration::from_secs(10);
/// OPTIONS is sent only when nothing else proved the flow alive for so long.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Ping,
    Probe,
    Dead,
}

/// Of one flow.
#[derive(Debug)]
pub(super) struct Keepalive {
    next: Instant,
    /// The oldest ping without a pong.
    sent: Option<Instant>,
    pong_seen: bool,
    /// The last proof of life.
    heard: Instant,
    /// The OPTIONS in flight.
    pub probe: Option<ClientId>,
}

impl Keepalive {
    pub fn new(now: Instant, interval: Duration, random: &mut Random) -> Self {
        let next = now + jitter(interval, 80, random);
        Keepalive { next, sent: None, pong_seen: false, heard: now, probe: None }
    }

    /// Anything came from the other end.
    pub fn on_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn on_pong(&mut self, now: Instant) {
        self.heard = now;
        self.pong_seen = true;
        self.sent = None;
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        soonest(Some(self.next), self.sent.map(|sent| sent + PONG_WAIT))
    }

    /// Call until `None`.
    pub fn handle_timeout(&mut self, now: Instant, interval: Duration, random: &mut Random) -> Option<Action> {
        if self.sent.is_some_and(|sent| now >= sent + PONG_WAIT) {
            self.sent = None;
            if self.pong_seen {
                return Some(Action::Dead);
            }
            if self.probe.is_none() && now.since(self.heard) >= PROBE_AFTER {
                return Some(Action::Probe);
            }
        }
        if now >= self.next {
            self.next = now + jitter(interval, 80, random);
            self.sent = self.sent.or(Some(now));
            return Some(Action::Ping);
        }
        None
    }
}
