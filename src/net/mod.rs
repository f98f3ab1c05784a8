//! The drivers: they turn sockets into inputs and outputs into sockets, and decide nothing.

pub mod http;
