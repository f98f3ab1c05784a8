//! The SIP side: text, digest, SDP, the TLS edge, the registrar, the legs of calls, and the strict checks.

pub mod auth;
pub mod check;
pub mod confirmed;
pub mod dialog;
pub mod digest;
pub mod edge;
pub mod flow;
pub mod framing;
pub mod inbound;
pub mod message;
pub mod outbound;
pub mod registered;
pub mod registrar;
pub mod sdp;
