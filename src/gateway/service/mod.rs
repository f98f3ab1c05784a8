//! The running service, above the drivers: `gateway run` and what it keeps going.

mod control;
pub mod drift;
pub mod link;
mod persist;
mod reload;
pub mod run;
pub mod sd_notify;
mod spend;
pub mod status;
pub mod timekeeper;
pub mod trouble;
pub mod tunnel;
