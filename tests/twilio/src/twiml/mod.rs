//! TwiML: reading documents and doing what they say (twilio.md 6).

pub mod dial;
pub mod document;
pub mod run;
