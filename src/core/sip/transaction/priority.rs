//! Which messages find room where others do not.

/// What a call, a leg or a transaction gives way to.
///
/// An emergency one passes `limits.calls`, the bounds of the transaction table and `limits.call_duration`. It ends when
/// one of its parties ends it, or the SIP domain does; nothing of ours does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    #[default]
    Ordinary,
    Emergency,
}

impl Priority {
    /// Whether it is an emergency call's.
    pub fn is_emergency(self) -> bool {
        self == Priority::Emergency
    }
}
