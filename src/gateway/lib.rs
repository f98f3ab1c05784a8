//! The box between ordinary SIP phones and Twilio: the drivers that give the pure core ([`gateway_core`]) sockets, clocks
//! and files, and the commands. `Cargo.toml` builds the binary `gateway` from it; tests and benches use it as a library.

// Output goes through the log and the commands' writers, which bear a closed pipe; `println!` panics there.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Only a test may unwrap. Where the product knows better, `expect` and the proof beside it say why.
#![deny(clippy::unwrap_used)]

pub mod backup;
pub mod bucket;
pub mod cli;
pub mod config_file;
mod disk;
pub mod history;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod service;
pub mod store;
pub mod tunnel;
pub mod twilio;
pub mod upgrade;

#[cfg(test)]
#[path = "../../tests/golden/mod.rs"]
mod golden;
#[cfg(test)]
#[path = "../../tests/office/mod.rs"]
mod office;
#[cfg(test)]
#[path = "../../tests/status/sample.rs"]
mod sample;
