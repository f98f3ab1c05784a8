//! The states of the watch, each with what is known in it alone.

use gateway_core::status::TunnelState;
use gateway_core::time::Instant;

/// Where the tunnel stands. A driver of ours runs while it is connecting or up, and at no other time.
#[derive(Debug)]
pub(super) enum Phase {
    Off(Former),
    /// A driver was started.
    Connecting,
    Up(Up),
    /// The next try is set.
    Waiting(Former),
}

/// The last driver that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Former {
    /// It was told to stop.
    Stopping,
    /// It is gone, or there was none.
    Gone,
}

/// The driver says that it is up, or there is none of ours.
#[derive(Debug)]
pub(super) struct Up {
    /// Since when.
    pub began: Instant,
    /// What the driver has announced first: its URL for as long as it lives.
    pub heard: Option<String>,
    pub outstanding: Option<Outstanding>,
    pub trust: Trust,
}

/// A proof under way.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub nonce: String,
    /// What was asked, and when.
    pub url: String,
    pub sent: Instant,
}

/// Whether Twilio can reach us, as far as we know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trust {
    /// Nothing has come through yet; the proofs that failed so far.
    Unproved(Option<Failures>),
    Proved,
    /// Something had come through before these.
    Doubtful(Failures),
}

/// Proofs that failed in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    pub count: u32,
    /// When the first of them was sent.
    pub since: Instant,
}

impl Phase {
    /// The same for people.
    pub fn state(&self) -> TunnelState {
        match self {
            Phase::Off(_) => TunnelState::Off,
            Phase::Connecting => TunnelState::Connecting,
            Phase::Up(Up { trust: Trust::Unproved(_), .. }) => TunnelState::Connected,
            Phase::Up(Up { trust: Trust::Proved, .. }) => TunnelState::Proved,
            Phase::Up(Up { trust: Trust::Doubtful(_), .. }) => TunnelState::Doubtful,
            Phase::Waiting(_) => TunnelState::Waiting,
        }
    }
}

impl Trust {
    /// Whether anything has come through since it is up.
    pub fn came_through(self) -> bool {
        matches!(self, Trust::Proved | Trust::Doubtful(_))
    }

    /// A proof that was sent then has failed: all that failed in a row.
    pub fn fail(&mut self, sent: Instant) -> Failures {
        let before = match *self {
            Trust::Unproved(failures) => failures,
            Trust::Proved => None,
            Trust::Doubtful(failures) => Some(failures),
        };
        let failures = match before {
            Some(Failures { count, since }) => Failures { count: count.saturating_add(1), since },
            None => Failures { count: 1, since: sent },
        };
        *self = if self.came_through() { Trust::Doubtful(failures) } else { Trust::Unproved(Some(failures)) };
        failures
    }
}
