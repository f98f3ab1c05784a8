//! `[emergency]`: which numbers call for help, what is shown, and who on site hears of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::parse::{nearest, path};
use super::reader::{Section, Source};
use super::{Address, Emergency, Extension, Number, value};
use crate::emergency::Numbers;

/// Extensions that hear of an emergency call: a desk, a guard, a manager.
const MAX_NOTIFY: usize = 8;

/// What the section says by itself; [`Written::complete`] knows the rest of the file.
pub(super) struct Written {
    numbers: Option<Vec<String>>,
    country: Option<String>,
    pub caller_id: Option<String>,
    failure_sound: Option<PathBuf>,
    notify: Vec<(String, usize)>,
}

pub(super) fn read(mut section: Section<'_>, extensions: &BTreeMap<String, usize>, folder: &Path) -> Written {
    let mut notify = Vec::new();
    for (name, line) in section.list("notify", value::extension).unwrap_or_default() {
        if extensions.contains_key(&name) {
            notify.push((name, line));
        } else {
            let known = nearest(&name, extensions.keys(), "an [[extension]]");
            section.error(line, format!("notify {name:?} is no extension; {known}"));
        }
    }
    if notify.len() > MAX_NOTIFY {
        section.error(section.line_of("notify"), format!("notify has too many extensions; write at most {MAX_NOTIFY}"));
    }
    let written = Written {
        numbers: section
            .list("numbers", value::short_number)
            .map(|numbers| numbers.into_iter().map(|(number, _)| number).collect()),
        country: section.optional("country", value::country),
        caller_id: section.optional("caller_id", value::e164),
        failure_sound: path(&mut section, "failure_sound", folder),
        notify,
    };
    section.finish();
    written
}

impl Written {
    /// With what the file says of the site: the country is where its addresses and numbers are.
    pub(super) fn complete(self, extensions: &[Extension], numbers: &[Number], addresses: &[Address]) -> Emergency {
        let caller_ids = self
            .caller_id
            .iter()
            .chain(extensions.iter().filter_map(|extension| extension.caller_id.as_ref()))
            .chain(numbers.iter().map(|number| &number.number));
        let countries = addresses.iter().map(|address| address.country.as_str());
        let numbers =
            Numbers::of_site(self.numbers, self.country.as_deref(), countries, caller_ids.map(String::as_str));
        Emergency {
            numbers,
            caller_id: self.caller_id.clone(),
            failure_sound: self.failure_sound.clone(),
            sound: None,
            notify: self.notify.into_iter().map(|(name, _)| name).collect(),
        }
    }
}

/// An extension cannot have the name of a number that always calls for help.
pub(super) fn check_names(source: &Source<'_>, emergency: &Emergency, lines: &BTreeMap<String, usize>) {
    for (name, line) in lines {
        if emergency.numbers.has(name) {
            source.error(*line, format!("extension {name}: is an emergency number; give it another name"));
        }
    }
}
