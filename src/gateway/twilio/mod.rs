//! The way to the Twilio account: the REST client behind [`gateway_account::api::Api`], the files behind
//! [`gateway_account::local::Local`], and what the service does with the account by itself.

pub mod agent;
pub mod client;
mod connector;
pub mod drift;
pub mod hosted_folder;
pub mod login;
pub mod moved;
mod on_disk;
pub mod opening;
pub mod reach;
