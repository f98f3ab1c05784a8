//! Keeps NAT bindings open and finds out when a flow has silently died (RFC 5626 sections 3.5.1 and 4.4.1).
//!
//! Whether Twilio answers CRLF CRLF with CRLF is not known (TWILIO.md "Keepalive"). So the first pong decides: from
//! then on a missing one is the end of the flow; without any, OPTIONS is asked, which Twilio is known to answer.
//!
//! The standby is kept by OPTIONS alone: nothing else is ever said on it, so that only OPTIONS shows that SIP is spoken
//! at its other end.

use std::time::Duration;

use super::round_trip::RoundTrip;
use crate::random::Random;
use crate::sip::transaction::ClientId;
use crate::time::{Instant, soonest};

/// What is sent (RFC 5626 section 3.5.1).
pub(super) const PING: &[u8] = b"\r\n\r\n";
/// How long a pong may take (RFC 5626 section 4.4.1).
const PONG_WAIT: Duration = Duration::from_secs(10);
/// The same when there is reason to doubt the flow. TCP itself may need longer after a break, and a new flow does not.
const PONG_WAIT_IN_DOUBT: Duration = Duration::from_secs(3);
/// How long OPTIONS on a standby may take; the flow carries nothing that would be lost with it.
const OPTIONS_WAIT: Duration = Duration::from_secs(10);
/// OPTIONS is sent only when nothing else proved the flow alive for so long.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Ping,
    Probe,
    Dead,
}

/// What keeps a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// CRLF CRLF, and OPTIONS in doubt.
    Crlf,
    Options,
}

/// Of one flow.
#[derive(Debug)]
pub(super) struct Keepalive {
    manner: Manner,
    next: Instant,
    /// The oldest ping without a pong.
    sent: Option<Instant>,
    pong_seen: bool,
    /// Its pong decides; see [`Keepalive::hurry`].
    in_doubt: bool,
    /// The last proof of life.
    heard: Instant,
    /// The OPTIONS in flight.
    pub probe: Option<ClientId>,
    /// When the last OPTIONS went.
    probed: Instant,
    pub round_trip: RoundTrip,
}

impl Keepalive {
    pub fn new(now: Instant, interval: Duration, random: &mut Random) -> Self {
        Keepalive::of(Manner::Crlf, now, now + random.jittered(interval, 80))
    }

    /// By OPTIONS alone, the first one at once.
    pub fn by_options(now: Instant) -> Self {
        Keepalive::of(Manner::Options, now, now)
    }

    fn of(manner: Manner, now: Instant, next: Instant) -> Self {
        Keepalive {
            manner,
            next,
            sent: None,
            pong_seen: false,
            in_doubt: false,
            heard: now,
            probe: None,
            probed: now,
            round_trip: RoundTrip::default(),
        }
    }

    /// Anything came from the other end.
    pub fn on_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn on_pong(&mut self, now: Instant) {
        self.heard = now;
        self.pong_seen = true;
        self.in_doubt = false;
        if let Some(sent) = self.sent.take() {
            self.round_trip.add(now.since(sent));
        }
    }

    /// OPTIONS was sent.
    pub fn on_probe(&mut self, now: Instant, id: ClientId) {
        self.probe = Some(id);
        self.probed = now;
    }

    /// Whether this is a response to our OPTIONS.
    pub fn on_probe_answered(&mut self, now: Instant, id: ClientId) -> bool {
        let own = self.probe == Some(id);
        if own {
            self.probe = None;
            self.heard = now;
            self.round_trip.add(now.since(self.probed));
        }
        own
    }

    /// The path was broken: ask now whether the flow still stands, and wait less for the answer.
    pub fn hurry(&mut self, now: Instant) {
        self.next = now;
        self.sent = None;
        self.in_doubt = true;
    }

    fn pong_due(&self) -> Option<Instant> {
        let wait = if self.in_doubt { PONG_WAIT_IN_DOUBT } else { PONG_WAIT };
        self.sent.map(|sent| sent + wait)
    }

    /// When the OPTIONS of a standby must have been answered.
    fn options_due(&self) -> Option<Instant> {
        (self.manner == Manner::Options && self.probe.is_some()).then(|| self.probed + OPTIONS_WAIT)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        soonest(Some(self.next), soonest(self.pong_due(), self.options_due()))
    }

    /// Call until `None`.
    pub fn handle_timeout(&mut self, now: Instant, interval: Duration, random: &mut Random) -> Option<Action> {
        if self.manner == Manner::Options {
            if self.options_due().is_some_and(|due| now >= due) {
                return Some(Action::Dead);
            }
            if now < self.next {
                return None;
            }
            self.next = now + random.jittered(interval, 80);
            return self.probe.is_none().then_some(Action::Probe);
        }
        if self.pong_due().is_some_and(|due| now >= due) {
            self.sent = None;
            if self.pong_seen {
                return Some(Action::Dead);
            }
            let doubted = std::mem::take(&mut self.in_doubt);
            if self.probe.is_none() && (doubted || now.since(self.heard) >= PROBE_AFTER) {
                return Some(Action::Probe);
            }
        }
        if now >= self.next {
            self.next = now + random.jittered(interval, 80);
            self.sent = self.sent.or(Some(now));
            return Some(Action::Ping);
        }
        None
    }
}
