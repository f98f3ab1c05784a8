//! A Twilio to test against, on loopback, built from `twilio.md` and from nothing of the product.
pub mod call;
pub mod control;
pub mod date;
pub mod form;
pub mod handset;
pub mod journal;
pub mod leg;
pub mod media;
pub mod pstn;
pub mod random;
pub mod rest;
pub mod sip;
pub mod switches;
pub mod tls;
pub mod twilio;
pub mod twiml;
pub mod webhook;
