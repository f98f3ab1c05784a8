//! What an emergency call is, and what it may never meet. Every other part asks here.
//!
//! | rule | where |
//! | --- | --- |
//! | Which digits call for help, and the number that Twilio takes | [`plan`], [`numbers`] |
//! | Nobody uses up another's allowance; an answered challenge or a password makes room | [`bound`] |
//! | A call from which nothing is heard no longer counts, and goes on | [`bound::QUIET`] |
//! | No timer, reload, stop, upgrade, closed connection or full table ends or refuses one | [`Priority`] |
//! | The number shown is proved, or the site's; a right taken away holds at that phone's address | [`station`] |
//! | For an hour the service's call back rings the phone that called, past every rule | [`callback`] |
//!
//! Only a phone of this box makes one: a call from outside, a forward, a transfer, a group or a menu never does.

pub mod bound;
pub mod callback;
pub mod numbers;
pub mod plan;
pub mod station;

pub use crate::sip::transaction::Priority;
pub use numbers::{Numbers, Wanted};
