//! The REST API: what `gateway setup` needs of the 2010 API (TWILIO.md "REST API").
//!
//! One file per resource family says what its parameters are and which rules hold; `family`, `resource` and `store` do
//! the rest. A family that is not there (queues, conferences, recordings, ...) answers 404/20404 like any unknown path.

mod access_lists;
pub mod account;
mod addresses;
mod applications;
mod available;
pub mod caller_ids;
mod calls;
mod credentials;
mod domains;
mod emergency;
mod error;
mod family;
mod fault;
pub mod keys;
pub mod litter;
mod mappings;
mod numbers;
mod page;
mod resource;
mod route;
mod serve;
mod store;
mod trace;
pub mod usage;
mod v1;

pub use error::RestError;
pub use fault::{Fault, FaultKind};
pub use resource::{Kind, Record};
pub use serve::serve;
pub use store::{RequestLine, Store};
pub use trace::Trace;
