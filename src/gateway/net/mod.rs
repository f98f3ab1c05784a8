//! The drivers: they give the pure core sockets, clocks and files, and never decide.

mod apart;
pub mod clock;
pub mod control;
pub mod descriptors;
mod desk;
pub mod dns;
pub mod drift;
pub mod http;
mod keep;
pub mod lan;
pub mod link;
pub mod listening;
pub mod metrics;
pub mod picture;
pub mod ready;
pub mod recorder;
mod reload;
pub mod rtp;
pub mod run;
pub mod shell;
pub mod sntp;
pub mod stream;
pub mod timekeeper;
pub mod tls;
pub mod trouble;
pub mod tunnel;
pub mod udp;
