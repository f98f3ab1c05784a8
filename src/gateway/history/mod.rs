//! What happened lately, kept for people: a bounded ring of events with their order and, as far as it is known, their
//! time. Pure: whoever has a clock and a disk gives the time and keeps the lines.
//!
//! A line of the file is an [`Entry`] as JSON. The order of lines is the order of events, whatever the clock said.

mod entry;
pub mod filter;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use entry::{Entry, KeptCode};

use gateway_core::event::{Code, Event, Level};
use gateway_core::time::{Instant, WallClock};

/// Most entries: some days of a busy office.
pub const MAX_ENTRIES: usize = 1000;
/// Most bytes of all entries together, each counted as [`Entry::weight`] does: what one write costs the flash.
pub const MAX_BYTES: usize = 192 * 1024;
/// Longest subject that is kept, in bytes.
pub const MAX_SUBJECT: usize = 120;
/// Longest text that is kept, in bytes.
pub const MAX_TEXT: usize = 400;
/// Of a longer file the end is read.
pub const MAX_FILE: usize = 1 << 20;
/// Between two writes: 12 a day at most, for flash wears out. The start of the service counts as one.
pub const SAVE_SPACING: Duration = Duration::from_secs(2 * 3600);
/// From an event to the write for it: what follows from the event shall be in the file, too.
pub const SAVE_SETTLE: Duration = Duration::from_secs(60);

/// Kept whatever their level: how calls ended, and each change of the tunnel's state.
const ALWAYS: [Code; 2] = [Code::CallEnded, Code::TunnelState];

/// Whether an event is kept.
pub fn is_kept(event: &Event) -> bool {
    event.level <= Level::Notice || ALWAYS.contains(&event.code)
}

/// The ring.
#[derive(Debug)]
pub struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many entries there are of each code.
    by_code: BTreeMap<KeptCode, usize>,
    run: u32,
    began: Instant,
    /// Entries of this run still wait for the clock to be set.
    is_timeless: bool,
    changed: Option<Instant>,
    saved: Instant,
}

impl History {
    /// What an earlier run left behind, continued by a run that begins now; and how many lines were broken.
    pub fn load(file: &[u8], now: Instant) -> (History, usize) {
        let (entries, broken) = read(file);
        let run = entries.last().map_or(0, |entry| entry.run).saturating_add(1);
        let mut history = History {
            entries: VecDeque::new(),
            bytes: 0,
            by_code: BTreeMap::new(),
            run,
            began: now,
            is_timeless: false,
            changed: None,
            saved: now,
        };
        for entry in entries {
            history.push(entry);
        }
        (history, broken)
    }

    /// Keeps an event, if it is one to keep.
    pub fn record(&mut self, now: Instant, wall: WallClock, event: &Event) {
        if !is_kept(event) {
            return;
        }
        self.date_earlier(now, wall);
        let at = is_set(wall).then_some(wall);
        self.is_timeless |= at.is_none();
        self.push(Entry {
            run: self.run,
            up: self.up(now),
            at,
            level: event.level,
            code: KeptCode::Known(event.code),
            subject: entry::clean(&event.subject, MAX_SUBJECT),
            text: entry::clean(&event.text, MAX_TEXT),
        });
        self.changed.get_or_insert(now);
    }

    /// Once the clock is set, the time of what came before in this run is known by the monotonic clock.
    fn date_earlier(&mut self, now: Instant, wall: WallClock) {
        if !self.is_timeless || !is_set(wall) {
            return;
        }
        self.is_timeless = false;
        let (run, up) = (self.run, self.up(now));
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.run == run) {
            let ago = Duration::from_millis(up.saturating_sub(entry.up)).as_secs();
            entry.at.get_or_insert(WallClock(wall.0.saturating_sub(ago)));
        }
    }

    fn up(&self, now: Instant) -> u64 {
        u64::try_from(now.since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.weight();
        *self.by_code.entry(entry.code.clone()).or_default() += 1;
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            self.drop_one();
        }
    }

    /// The oldest of the code that takes most of the room goes: a tunnel that flaps, or a stranger who guesses
    /// passwords, pushes out what it filled itself, not the rest.
    fn drop_one(&mut self) {
        let fullest = self.by_code.iter().max_by_key(|(_, count)| **count).map(|(code, _)| code.clone());
        let oldest = fullest.and_then(|code| self.entries.iter().position(|entry| entry.code == code));
        let Some(gone) = self.entries.remove(oldest.unwrap_or(0)) else { return };
        self.bytes -= gone.weight();
        if let Some(count) = self.by_code.get_mut(&gone.code) {
            *count -= 1;
            if *count == 0 {
                self.by_code.remove(&gone.code);
            }
        }
    }

    /// The oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The lines of the file, as it is to be written now.
    pub fn lines(&mut self, now: Instant, wall: WallClock) -> String {
        self.date_earlier(now, wall);
        let mut text = String::with_capacity(self.bytes);
        for entry in &self.entries {
            text.push_str(&entry.line());
            text.push('\n');
        }
        text
    }

    /// When the file is to be written, if anything has changed since it was.
    pub fn save_at(&self) -> Option<Instant> {
        self.changed.map(|changed| (changed + SAVE_SETTLE).max(self.saved + SAVE_SPACING))
    }

    /// What [`History::lines`] says goes to the disk now; one that fails waits for the next turn.
    pub fn set_saved(&mut self, now: Instant) {
        (self.changed, self.saved) = (None, now);
    }
}

/// The entries of a file, and how many of its lines are none: a cut may have torn the last one, and a file that was
/// edited or damaged shall cost its broken lines only.
pub fn read(file: &[u8]) -> (Vec<Entry>, usize) {
    let end = &file[file.len().saturating_sub(MAX_FILE)..];
    let (mut entries, mut broken) = (VecDeque::new(), 0);
    for line in end.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace)) {
        match Entry::read(line) {
            Some(entry) => entries.push_back(entry),
            None => broken += 1,
        }
        if entries.len() > MAX_ENTRIES {
            entries.pop_front();
        }
    }
    (entries.into(), broken)
}

/// A clock that shows a time before this version was made has not been set since the box was switched on.
fn is_set(wall: WallClock) -> bool {
    wall >= WallClock::RELEASED
}
