//! Sound: G.711, tones, a meter, and an RTP/SRTP endpoint.

pub mod endpoint;
pub mod g711;
pub mod meter;
pub mod port;
pub mod tone;
