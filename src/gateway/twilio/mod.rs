//! The way to the Twilio account: the REST client behind [`gateway_account::api::Api`], the files behind
//! [`gateway_account::local::Local`], and what the service does with the account by itself.

pub mod agent;
pub mod client;
mod connector;
pub mod drift;
pub mod hosted_folder;
pub mod login;
mod on_disk;
pub mod open;
pub mod public_url;
pub mod url_proof;
