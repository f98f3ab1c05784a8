//! The second flow.
