//! The drivers: they give the pure core sockets, clocks and files, and never decide. [`driver`] drives the engine.

pub mod blocking;
pub mod clock;
pub mod control_socket;
pub mod descriptors;
pub mod dns;
pub mod driver;
pub mod dscp;
pub mod http;
pub mod lan;
pub mod listening;
pub mod metrics;
pub mod recorder;
pub mod rtp;
pub mod sntp;
pub mod stream;
pub mod tls;
pub mod udp;
pub mod unreachable;
