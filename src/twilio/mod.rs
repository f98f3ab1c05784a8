//! The Twilio account: what the config wants of it, what is there, and the way from one to the other.
//!
//! [`model::desired`] and [`actual::read`] give the two sides, [`plan::diff`] (pure) the changes between them,
//! [`apply::apply`] makes them through [`client::Client`].

pub mod actual;
pub mod api;
pub mod apply;
pub mod client;
pub mod model;
pub mod plan;
pub mod setup;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

/// The environment of a config that names none.
pub const DEFAULT_ENVIRONMENT: &str = "prod";
