//! The Twilio account: what the config wants of it, what is there, and the way from one to the other.
//!
//! [`model::desired`] and [`actual::read`] give the two sides, [`plan::diff`] (pure) the changes between them,
//! [`apply::apply`] makes them through [`client::Client`].

pub mod account;
pub mod actual;
pub mod agent;
pub mod api;
pub mod apply;
pub mod check;
pub mod client;
mod connector;
pub mod drift;
pub mod grouping;
pub mod hosted;
pub mod hosted_folder;
pub mod key;
pub mod kind;
pub mod local;
pub mod login;
pub mod model;
pub mod moved;
pub mod numbers;
mod on_disk;
pub mod opening;
pub mod owned;
pub mod plan;
mod promote;
pub mod public_url;
pub mod reach;
pub mod rotation;
pub mod standing;
mod undo;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_local;
#[cfg(test)]
mod tests;
