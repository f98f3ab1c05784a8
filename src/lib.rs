//! The box between ordinary SIP phones and Twilio: a pure core ([`engine`]) and the drivers that give it sockets,
//! clocks and files. `Cargo.toml` builds the binary `gateway` from it; tests, benches and fuzz targets use it as a library.

// Output goes through the log and the commands' writers, which bear a closed pipe; `println!` panics there.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Only a test may unwrap. Where the product knows better, `expect` and the proof beside it say why.
#![deny(clippy::unwrap_used)]

pub mod backoff;
pub mod backup;
pub mod bucket;
pub mod call;
pub mod cli;
pub mod config;
pub mod config_file;
pub mod context;
mod disk;
pub mod dns;
pub mod emergency;
pub mod engine;
pub mod event;
mod hex;
pub mod history;
pub mod log;
pub mod media;
pub mod metrics;
pub mod net;
pub mod random;
pub mod registrar;
pub mod route;
pub mod secret;
pub mod secrets;
pub mod setting;
pub mod sip;
pub mod status;
pub mod store;
pub mod streams;
pub mod subnet;
pub mod time;
pub mod timers;
pub mod trunk;
pub mod tunnel;
pub mod twilio;
pub mod twiml;
pub mod upgrade;
pub mod url;

/// Server and User-Agent header.
pub const USER_AGENT: &str = concat!("gateway/", env!("CARGO_PKG_VERSION"));
