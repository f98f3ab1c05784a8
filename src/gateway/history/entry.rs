//! One thing that happened, and its line in the file.

use serde::{Deserialize, Serialize};

use super::{MAX_SUBJECT, MAX_TEXT};
use gateway_core::event::{Code, Level};
use gateway_core::plain::is_plain;
use gateway_core::time::WallClock;

/// What a line has beside subject, text and code, in bytes, about: field names, numbers, the time.
const FRAME: usize = 110;

/// An event that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which run of the service told it, counted from 1 and from the first file on: order that needs no clock.
    pub run: u32,
    /// Milliseconds since that run began, by the monotonic clock.
    pub up: u64,
    /// When, in UTC; `None` while the clock of the box was not set.
    #[serde(with = "rfc3339")]
    pub at: Option<WallClock>,
    pub level: Level,
    pub code: KeptCode,
    pub subject: String,
    pub text: String,
}

impl Entry {
    /// The line of a file, without its end.
    pub fn line(&self) -> String {
        // Strings and numbers alone: writing them does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads such a line.
    pub fn read(line: &[u8]) -> Option<Entry> {
        let mut entry: Entry = serde_json::from_slice(line).ok()?;
        // The file may have been edited.
        entry.subject = clean(&entry.subject, MAX_SUBJECT);
        entry.text = clean(&entry.text, MAX_TEXT);
        if let KeptCode::Other(word) = &mut entry.code {
            *word = clean(word, MAX_SUBJECT);
        }
        Some(entry)
    }

    /// How much of the ring's bytes it takes.
    pub fn weight(&self) -> usize {
        FRAME + self.code.word().len() + self.subject.len() + self.text.len()
    }
}

/// The code of an entry, which another version may have written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeptCode {
    /// One of this version's.
    Known(Code),
    /// One that this version does not know, as it was written.
    Other(String),
}

impl KeptCode {
    /// The word in the file and for people.
    pub fn word(&self) -> &str {
        match self {
            KeptCode::Known(code) => code.word(),
            KeptCode::Other(word) => word,
        }
    }
}

impl std::fmt::Display for KeptCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// Bounded, and without what a terminal obeys: events may hold what strangers sent.
pub(super) fn clean(text: &str, max: usize) -> String {
    const CUT: char = '…';
    if text.len() <= max && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut clean = String::new();
    for c in text.chars() {
        let escaped: String = if is_plain(c) { c.into() } else { c.escape_default().collect() };
        if clean.len() + escaped.len() + CUT.len_utf8() > max {
            clean.push(CUT);
            break;
        }
        clean.push_str(&escaped);
    }
    clean
}

/// `2026-11-22T07:31:52Z`, or `null`.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use gateway_core::time::WallClock;
    use gateway_core::time::calendar::seconds_of;

    pub fn serialize<S: Serializer>(at: &Option<WallClock>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(WallClock::rfc3339).serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<WallClock>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| read(&text).map(WallClock).ok_or_else(|| de::Error::custom("no time"))).transpose()
    }

    fn read(text: &str) -> Option<u64> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        seconds_of(year, month, day, hour, minute, second)
    }

    fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
        let mut parts = text.split(between).map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok())?
        });
        let three = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(three)
    }
}
