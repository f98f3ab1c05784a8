//! The timers of RFC 3261 table 4 and RFC 6026.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Estimate of the round-trip time (RFC 3261 section 17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval between repeats of a non-INVITE request or of a final response to INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// Longest time that a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// How long anything is tried: B, F, H, J, L, M (RFC 3261 table 4).
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// A timer of one transaction. There is no timer C: it belongs to proxies (RFC 3261 section 16.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// INVITE client, UDP: repeat the request.
    A,
    /// INVITE client: no response at all.
    B,
    /// INVITE client: keep the ACK ready for repeated final responses.
    D,
    /// Non-INVITE client, UDP: repeat the request.
    E,
    /// Non-INVITE client: no final response.
    F,
    /// INVITE server, UDP: repeat the final response.
    G,
    /// INVITE server: no ACK.
    H,
    /// INVITE server: absorb repeated ACKs.
    I,
    /// Non-INVITE server: keep the final response ready for repeated requests.
    J,
    /// Non-INVITE client: absorb repeated responses.
    K,
    /// INVITE server: absorb repeated INVITEs after a 2xx (RFC 6026 section 7.1).
    L,
    /// INVITE client: wait for 2xx of other forks (RFC 6026 section 7.2).
    M,
    /// INVITE client: no final response after CANCEL; has no letter (RFC 3261 section 9.1).
    Cancelled,
}

/// Running timers, each of one transaction.
pub(super) type Timers = crate::timers::Timers<(u64, Timer)>;

/// All that the transaction `id` can have.
pub(super) fn all_of(id: u64) -> RangeInclusive<(u64, Timer)> {
    (id, Timer::A)..=(id, Timer::Cancelled)
}
