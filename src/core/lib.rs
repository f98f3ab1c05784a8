//! The pure core of gateway: SIP, calls, registrations, media, TwiML. It has no clock, socket, file or thread; the driver
//! gives it time, octets and text, and does what it asks.
//!
//! The contract in short; [`engine`] has it in full. [`Engine::handle`](engine::Engine::handle) takes an input and never
//! fails. The driver drains [`poll_output`](engine::Engine::poll_output), then sleeps until
//! [`poll_timeout`](engine::Engine::poll_timeout) or the next input. It answers each question of the core once. The same
//! seed and inputs give the same outputs, and all tables are bounded.
//!
//! The modules stand in layers, lowest first. Each refers to lower layers alone; `tests/layers` proves it.
//!
//! ```text
//! dns, event, hex, plain, secret, subnet, time, url: values
//! random, setting, timers, wake: small tools
//! backoff, media, secrets: waits, RTP, passwords
//! sip: messages, transactions, dialogs
//! emergency, forward, status, streams: what SIP meets
//! config: gateway.toml
//! context, route: what parts share, where calls go
//! registrar, trunk, twiml: handsets, Twilio, webhooks
//! call: both legs of a call
//! engine: inputs in, outputs out
//! ```

#![forbid(unsafe_code)]
// Output goes through the log and the commands' writers, which bear a closed pipe; `println!` panics there.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Only a test may unwrap. Where the product knows better, `expect` and the proof beside it say why.
#![deny(clippy::unwrap_used)]
// Clocks, threads, files, sockets and random numbers are the driver's: `.clippy.toml` here lists them.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod backoff;
pub mod call;
pub mod config;
pub mod context;
pub mod dns;
pub mod emergency;
pub mod engine;
pub mod event;
pub mod forward;
pub mod hex;
pub mod media;
pub mod plain;
pub mod random;
pub mod registrar;
pub mod route;
pub mod secret;
pub mod secrets;
pub mod setting;
pub mod sip;
pub mod status;
pub mod streams;
pub mod subnet;
pub mod time;
pub mod timers;
pub mod trunk;
pub mod twiml;
pub mod url;
pub mod wake;

// Shared with the tests of other crates, which call this one by its name.
#[cfg(test)]
extern crate self as gateway_core;
#[cfg(test)]
#[path = "../../tests/golden/mod.rs"]
mod golden;
#[cfg(test)]
#[path = "../../tests/office/mod.rs"]
mod office;
#[cfg(test)]
#[path = "../../tests/status/sample.rs"]
mod sample;

/// Server and User-Agent header.
pub const USER_AGENT: &str = concat!("gateway/", env!("CARGO_PKG_VERSION"));
