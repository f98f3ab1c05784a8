//! `[upgrade]`: what `gateway upgrade` takes, and how long it waits.

mod public_key;

use std::time::Duration;

use super::reader::Section;
use super::value;
pub use public_key::{KeyId, PublicKey};

/// Seconds that a binary is given to become healthy, when the config says nothing.
pub const WITHIN: Duration = Duration::from_secs(120);

/// `[upgrade]`
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whose signature a new binary must have; without it, none is taken.
    pub public_key: Option<PublicKey>,
    /// How long a new binary may take to become healthy. Default [`WITHIN`].
    pub within: Duration,
    /// What restarts the service, program and arguments; by default systemd or the init script.
    pub restart: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { public_key: None, within: WITHIN, restart: Vec::new() }
    }
}

pub(super) fn upgrade(mut section: Section<'_>) -> Settings {
    let public_key = section.optional("public_key", |value| PublicKey::parse(&value::text(value)?));
    let within = section.optional("within", value::seconds(10..=3600)).unwrap_or(WITHIN);
    let restart = section.list("restart", value::text);
    if section.is_empty_list("restart") {
        let way = "write restart = [\"/etc/init.d/gateway\", \"restart\"], or leave it out";
        section.error(section.line_of("restart"), format!("restart names no program; {way}"));
    }
    section.finish();
    let restart = restart.unwrap_or_default().into_iter().map(|(argument, _)| argument).collect();
    Settings { public_key, within, restart }
}
