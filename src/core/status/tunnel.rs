//! Where the tunnel stands, for people and for metrics.

use serde::{Deserialize, Serialize};

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelState {
    Off,
    /// A driver was started.
    Connecting,
    /// It says that it is up; nothing has come through yet.
    Connected,
    /// Our public URL answered.
    Proved,
    /// It did, and does not any more.
    Doubtful,
    /// No driver runs; the next try is set.
    Waiting,
    /// A word of another version.
    #[serde(other)]
    Unknown,
}

impl TunnelState {
    /// One word for people.
    pub fn name(self) -> &'static str {
        match self {
            TunnelState::Off => "off",
            TunnelState::Connecting => "connecting",
            TunnelState::Connected => "connected, not proved",
            TunnelState::Proved => "proved",
            TunnelState::Doubtful => "doubtful",
            TunnelState::Waiting => "down",
            TunnelState::Unknown => "unknown",
        }
    }

    /// One word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            TunnelState::Connected => "connected",
            other => other.name(),
        }
    }
}

/// For `gateway status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    pub state: TunnelState,
    /// `ssh`, `command`, `direct`, `none`.
    pub driver: String,
    /// What Twilio calls, or shall call once it is proved.
    pub public_url: String,
    /// Whether Twilio has been told so.
    pub written: bool,
    /// Seconds in this state.
    pub since: u64,
    /// Seconds since something came through.
    pub last_proof: Option<u64>,
    /// Milliseconds that the last proof took.
    pub latency: Option<u64>,
    /// Since the start: proofs that failed, proofs that took longer than 5 s, drivers started after the first.
    pub failures: u64,
    pub slow: u64,
    pub restarts: u64,
    /// Proofs that did not fail.
    #[serde(default)]
    pub proofs: u64,
    /// Why it is not proved, with the next step.
    pub reason: Option<String>,
    /// Seconds until the next try, while waiting.
    pub retry_in: Option<u64>,
}
