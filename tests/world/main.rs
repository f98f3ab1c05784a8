//! A whole office in virtual time: the real engine between scripted handsets and a scripted SIP domain, over links
//! that lose, repeat and reorder. See [`world`] for the frame, [`invariants`] for what must hold after every run.

mod agent;
mod driver;
mod invariants;
mod link;
mod observe;
#[path = "../office/mod.rs"]
mod office;
mod opening;
mod world;

mod announcement;
mod bits;
mod contract;
mod dead_phones;
mod dialogs;
mod early;
mod edges;
mod emergency;
mod flows;
mod forward;
mod hold;
mod idle;
mod money;
mod network;
mod odd_bodies;
mod own;
mod ports;
mod races;
mod random;
mod rotation;
mod shown;
mod sound;
mod srtp;
mod story;
mod transfer;
mod twilio_says;
