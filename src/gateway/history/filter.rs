//! Which entries somebody asked for.

use super::Entry;
use gateway_core::time::WallClock;

/// What is looked for; all of it must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A code (`tunnel.down`) or its first part (`tunnel`).
    pub code: Option<String>,
    /// A word: of the code, or one that stands in subject or text (an extension, a number, an address).
    pub word: Option<String>,
    /// Not older than that.
    pub since: Option<WallClock>,
}

impl Filter {
    /// The entries that fit, in their order. One without a time lies somewhere before the next one that has one, and
    /// counts as young as that may be.
    pub fn of(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut next = None;
        let mut fitting: Vec<Entry> = entries
            .into_iter()
            .rev()
            .filter(|entry| {
                next = entry.at.or(next);
                let is_young = self.since.is_none_or(|since| next.is_none_or(|next| next >= since));
                is_young && self.fits(entry)
            })
            .collect();
        fitting.reverse();
        fitting
    }

    fn fits(&self, entry: &Entry) -> bool {
        let by_code = self.code.as_deref().is_none_or(|code| is_code(entry.code.word(), code));
        by_code && self.word.as_deref().is_none_or(|word| mentions(entry, word))
    }
}

fn is_code(code: &str, asked: &str) -> bool {
    code.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn mentions(entry: &Entry, word: &str) -> bool {
    is_code(entry.code.word(), word) || [&entry.subject, &entry.text].into_iter().any(|text| has_word(text, word))
}

/// What stands behind a number that is a length of time and no extension.
const UNITS: [&str; 6] = ["s", "ms", "min", "h", "d", "in"];

fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        let is_word = is_edge(before.chars().next_back()) && is_edge(behind.chars().next());
        let unit = behind.strip_prefix(' ').and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
        is_word && !unit.is_some_and(|unit| UNITS.contains(&unit) && word.bytes().all(|byte| byte.is_ascii_digit()))
    })
}
