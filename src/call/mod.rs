//! Calls: a back-to-back user agent that owns both legs.

/// Names a leg of a call. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);
