//! Bad input, from the LAN, from the trunk and from files: the engine in virtual time, and the real binary as a process.
//!
//! What is held after each attack: no panic, every table within its bound, no amplification, nothing alive after
//! quiescence, and the honest handsets served.

mod allocation;
mod dns;
mod emergency;
mod exhaustive;
mod flood;
mod identity;
mod media;
mod mutation;
mod office;
mod outward;
mod process;
mod record;
mod service;
mod starting;
mod unfinished;
