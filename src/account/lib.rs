//! The Twilio account: what the config wants of it, what is there, and the way from one to the other.
//!
//! [`model::Wish::desired`] and [`actual::read`] give the two sides, [`plan::diff`] (pure) the changes between them,
//! [`apply::Applier`] makes them through [`api::Api`]. Facts about Twilio: `TWILIO.md`.
//!
//! The modules stand in layers, lowest first. Each refers to lower layers alone; `tests/layers` proves it.
//!
//! ```text
//! api, hosted: requests, files
//! account_status, kind, numbers: what Twilio has
//! owned: what is ours
//! lists: where users stand
//! local, model: this box, what the config asks for
//! actual, rotation: what is there
//! plan: the changes
//! grouping, progress: for people
//! apply, check: changes made, findings
//! key, undo: API key, the way back
//! account: what a command can do
//! promote, public_url: more of that
//! ```

#![forbid(unsafe_code)]
// Output goes through the log and the commands' writers, which bear a closed pipe; `println!` panics there.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Only a test may unwrap. Where the product knows better, `expect` and the proof beside it say why.
#![deny(clippy::unwrap_used)]

pub mod account;
pub mod account_status;
pub mod actual;
pub mod api;
pub mod apply;
pub mod check;
pub mod grouping;
pub mod hosted;
pub mod key;
pub mod kind;
pub mod lists;
pub mod local;
pub mod model;
pub mod numbers;
pub mod owned;
pub mod plan;
pub mod progress;
mod promote;
pub mod public_url;
pub mod rotation;
mod undo;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_local;
#[cfg(test)]
#[path = "../../tests/office/mod.rs"]
mod office;
#[cfg(test)]
mod tests;
