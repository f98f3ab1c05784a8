//! TwiML: reading documents and doing what they say (TWILIO.md "Documents").

pub mod dial;
pub mod document;
pub mod run;
