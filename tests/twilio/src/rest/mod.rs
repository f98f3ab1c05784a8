//! The REST API: what `gateway setup` needs of the 2010 API (twilio.md 1 and 2).
//!
//! One file per resource family says what its parameters are and which rules hold; `resource` and `store` do the rest.
//! A family that is not there (addresses, queues, ...) answers 404/20404 like any unknown path.

mod account;
mod applications;
mod credentials;
mod domains;
mod error;
mod fault;
mod mappings;
mod numbers;
mod page;
mod resource;
mod serve;
mod store;
mod trace;
mod v1;

pub use error::RestError;
pub use fault::{Fault, FaultKind};
pub use resource::{Kind, Record};
pub use serve::serve;
pub use store::{RequestLine, Store};
pub use trace::Trace;
