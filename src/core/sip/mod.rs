//! SIP (RFC 3261): bytes to messages and back, digest, transactions, dialogs, session descriptions.
//!
//! rsip is the vocabulary only. Its parser, printer and digest must never touch network bytes (they reject folded and
//! compact headers and IPv6, read `nc` as decimal, ignore Content-Length and corrupt binary bodies).

pub mod body;
pub mod dialled;
pub mod dialog;
pub mod digest;
pub mod flow;
pub mod header;
pub mod sdp;
pub mod status;
pub mod transaction;
pub mod uri;
pub mod wire;
