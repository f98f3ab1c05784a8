//! How full the tables of the core are.

/// How full the tables are: for metrics, and to see in tests that each has its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub transactions: usize,
    pub streams: usize,
    pub bindings: usize,
    /// Nonces and sources that the registrar remembers.
    pub gate: usize,
    pub calls: usize,
    /// Legs, those that wind down included.
    pub legs: usize,
    pub dialogs: usize,
    /// Media legs, those that are being closed included.
    pub media: usize,
    /// Emergency calls begun lately.
    pub emergency: usize,
}
