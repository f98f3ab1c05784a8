//! `[upgrade]`: what `gateway upgrade` takes, and how long it waits.

use super::reader::Section;
use super::value;
use crate::upgrade::signature::PublicKey;
use crate::upgrade::{Settings, WITHIN};

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
