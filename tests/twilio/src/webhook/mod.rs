//! Webhooks: what is sent, how it is signed, and how the answer becomes TwiML (twilio.md 5).

pub mod ask;
pub mod signature;
pub mod url;
