//! Webhooks: what is sent, how it is signed, and how the answer becomes TwiML (TWILIO.md "Webhooks").

pub mod ask;
pub mod signature;
pub mod url;
