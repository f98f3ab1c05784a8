//! The Twilio account: what the config wants of it, what is there, and the way from one to the other.
//!
//! [`model::Wish::desired`] and [`actual::read`] give the two sides, [`plan::diff`] (pure) the changes between them,
//! [`apply::Applier`] makes them through [`api::Api`]. Facts about Twilio: `TWILIO.md`.

#![forbid(unsafe_code)]
// Output goes through the log and the commands' writers, which bear a closed pipe; `println!` panics there.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Only a test may unwrap. Where the product knows better, `expect` and the proof beside it say why.
#![deny(clippy::unwrap_used)]

pub mod account;
pub mod actual;
pub mod api;
pub mod apply;
pub mod check;
pub mod grouping;
pub mod hosted;
pub mod key;
pub mod kind;
pub mod local;
pub mod model;
pub mod numbers;
pub mod owned;
pub mod plan;
pub mod progress;
mod promote;
pub mod public_url;
pub mod rotation;
pub mod standing;
mod undo;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_local;
#[cfg(test)]
mod tests;
