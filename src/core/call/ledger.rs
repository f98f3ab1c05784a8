//! What each extension has used of what it may: minutes outside in the last 24 hours, new numbers in the last hour. It
//! survives a restart ([`Ledger::save`]); a file that is lost or broken is an empty ledger, and blocks nothing.
//!
//! Windows slide, so no clock is asked. Minutes are kept by the hour: they count for 24 to 25 hours.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::time::{Instant, WallClock};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A number that nobody called for so long is new again.
const REMEMBERED: u64 = 30 * DAY;

/// Most numbers that are remembered; beyond them the one that was called the longest ago is new again.
const MAX_KNOWN: usize = 2000;

/// Most new numbers of one extension that are taken from a file.
const MAX_NEW: usize = 1000;

/// Seconds on the ledger's own clock, which began this long before the process: what a file tells lies before the start.
const BEFORE: u64 = 2 * REMEMBERED;

/// The ledger of the house.
#[derive(Debug, Default)]
pub struct Ledger {
    extensions: BTreeMap<String, Used>,
    /// Numbers that anybody here called, by their digits, and when that was last.
    known: BTreeMap<u64, u64>,
    changes: u64,
}

/// What an extension used.
#[derive(Debug, Default)]
struct Used {
    /// Minutes that began in an hour, by its beginning.
    minutes: VecDeque<(u64, u32)>,
    /// When each new number was called.
    new: VecDeque<u64>,
    /// When it was last told that this is unusual.
    told: Option<u64>,
}

/// How it is written down: ages in seconds, for the next process has another clock.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    written: WallClock,
    extensions: BTreeMap<String, FileUsed>,
    known: Vec<(u64, u64)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct FileUsed {
    minutes: Vec<(u64, u32)>,
    new: Vec<u64>,
}

fn clock(now: Instant) -> u64 {
    BEFORE + now.as_micros() / 1_000_000
}

impl Used {
    fn minutes(&self, now: u64) -> u32 {
        self.minutes.iter().filter(|(hour, _)| hour + DAY + HOUR > now).map(|(_, minutes)| minutes).sum()
    }

    fn new_numbers(&self, now: u64) -> u32 {
        // At most as many as are allowed in an hour.
        self.new.iter().filter(|at| **at + HOUR > now).count() as u32
    }

    fn forget(&mut self, now: u64) {
        self.minutes.retain(|(hour, _)| hour + DAY + HOUR > now);
        self.new.retain(|at| at + HOUR > now);
    }
}

impl Ledger {
    /// Minutes of an extension in the last day.
    pub fn minutes(&self, extension: &str, now: Instant) -> u32 {
        self.extensions.get(extension).map_or(0, |used| used.minutes(clock(now)))
    }

    /// Minutes of all of them.
    pub fn house_minutes(&self, now: Instant) -> u32 {
        self.extensions.values().map(|used| used.minutes(clock(now))).sum()
    }

    /// New numbers that an extension called in the last hour.
    pub fn new_numbers(&self, extension: &str, now: Instant) -> u32 {
        self.extensions.get(extension).map_or(0, |used| used.new_numbers(clock(now)))
    }

    /// New numbers that all of them called.
    pub fn house_new_numbers(&self, now: Instant) -> u32 {
        self.extensions.values().map(|used| used.new_numbers(clock(now))).sum()
    }

    /// Whether nobody here called that number lately.
    pub fn is_new(&self, number: &str, now: Instant) -> bool {
        self.known.get(&digits(number)).is_none_or(|at| at + REMEMBERED <= clock(now))
    }

    /// An extension calls a number.
    pub fn call(&mut self, extension: &str, number: &str, now: Instant) {
        let is_new = self.is_new(number, now);
        let now = clock(now);
        let used = self.extensions.entry(extension.to_owned()).or_default();
        used.forget(now);
        if is_new {
            used.new.push_back(now);
        }
        self.known.insert(digits(number), now);
        if self.known.len() > MAX_KNOWN
            && let Some(oldest) = self.known.iter().min_by_key(|(_, at)| **at).map(|(number, _)| *number)
        {
            self.known.remove(&oldest);
        }
        self.extensions.retain(|name, used| {
            used.forget(now);
            name == extension || !used.minutes.is_empty() || !used.new.is_empty()
        });
        self.changes += 1;
    }

    /// A minute of an extension begins.
    pub fn take_minute(&mut self, extension: &str, now: Instant) {
        let now = clock(now);
        let used = self.extensions.entry(extension.to_owned()).or_default();
        used.forget(now);
        let hour = now - now % HOUR;
        match used.minutes.back_mut() {
            Some((last, minutes)) if *last == hour => *minutes = minutes.saturating_add(1),
            _ => used.minutes.push_back((hour, 1)),
        }
        self.changes += 1;
    }

    /// Whether it may be told that an extension does what is unusual: once an hour.
    pub fn tells(&mut self, extension: &str, now: Instant) -> bool {
        let now = clock(now);
        let used = self.extensions.entry(extension.to_owned()).or_default();
        let tells = used.told.is_none_or(|at| at + HOUR <= now);
        if tells {
            used.told = Some(now);
        }
        tells
    }

    /// How often it changed: whoever writes it down sees by it whether there is something to write.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// As JSON, for [`Ledger::restore`].
    pub fn save(&self, now: Instant, wall: WallClock) -> String {
        let now = clock(now);
        let age = |at: &u64| now.saturating_sub(*at);
        let extensions = self.extensions.iter().map(|(name, used)| {
            let minutes = used.minutes.iter().map(|(hour, minutes)| (age(hour), *minutes)).collect();
            (name.clone(), FileUsed { minutes, new: used.new.iter().map(age).collect() })
        });
        let known = self.known.iter().map(|(number, at)| (*number, age(at))).collect();
        let file = File { written: wall, extensions: extensions.collect(), known };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// Takes up what a former process saved. By a clock that cannot be right no time has passed since.
    pub fn restore(&mut self, text: &str, now: Instant, wall: WallClock) {
        let Ok(file) = serde_json::from_str::<File>(text) else { return };
        let passed = match file.written >= WallClock::RELEASED {
            true => wall.0.saturating_sub(file.written.0),
            false => 0,
        };
        let at = |age: u64| clock(now).saturating_sub(age.saturating_add(passed));
        for (name, used) in file.extensions.into_iter().take(crate::config::MAX_EXTENSIONS) {
            let mut minutes: Vec<_> = used.minutes.into_iter().take(26).map(|(age, count)| (at(age), count)).collect();
            minutes.sort_unstable();
            let new = used.new.into_iter().take(MAX_NEW).map(at).collect();
            self.extensions.insert(name, Used { minutes: minutes.into(), new, told: None });
        }
        self.known.extend(file.known.into_iter().take(MAX_KNOWN).map(|(number, age)| (number, at(age))));
    }
}

/// An E.164 number as one: 15 digits at most.
fn digits(number: &str) -> u64 {
    number.trim_start_matches('+').parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Instant = Instant::from_secs(1000);
    const WALL: WallClock = WallClock(WallClock::RELEASED.0 + 1_000_000);

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * HOUR)
    }

    #[test]
    fn minutes_count_for_a_day_and_new_numbers_for_an_hour() {
        let mut ledger = Ledger::default();
        ledger.call("101", "+15035551212", START);
        ledger.call("101", "+15035551212", START);
        ledger.call("102", "+15035551212", START);
        ledger.call("102", "+15035551213", START);
        ledger.take_minute("101", START);
        assert_eq!((ledger.new_numbers("101", START), ledger.new_numbers("102", START)), (1, 1));
        ledger.take_minute("102", START + hours(1));
        assert_eq!(ledger.house_new_numbers(START + hours(1)), 0);
        assert_eq!((ledger.minutes("101", START + hours(23)), ledger.house_minutes(START + hours(23))), (1, 2));
        assert_eq!(ledger.house_minutes(START + hours(26)), 0);
        assert!(!ledger.is_new("+15035551213", START + hours(24)));
        assert!(ledger.is_new("+15035551213", START + hours(24 * 31)));
    }

    #[test]
    fn a_restart_keeps_what_was_used_and_a_wrong_clock_forgives_nothing() {
        let mut before = Ledger::default();
        before.call("101", "+15035551212", START);
        for _ in 0..7 {
            before.take_minute("101", START);
        }
        let file = before.save(START, WALL);
        for (wall, minutes, new) in [
            (WALL, 7, 1),
            (WALL.after(hours(2)), 7, 0),
            (WALL.after(hours(30)), 0, 0),
            // 1970: no time passed.
            (WallClock(5), 7, 1),
        ] {
            let mut after = Ledger::default();
            after.restore(&file, Instant::ZERO, wall);
            let found = (after.minutes("101", Instant::ZERO), after.new_numbers("101", Instant::ZERO));
            assert_eq!(found, (minutes, new), "{wall:?}");
            assert!(!after.is_new("+15035551212", Instant::ZERO));
        }
    }

    #[test]
    fn a_file_that_is_lost_or_broken_is_an_empty_ledger() {
        for text in [
            "",
            "{",
            "[]",
            "{\"written\":-1}",
            "null",
            "{\"extensions\":{\"101\":{\"minutes\":[[99999999999999999999,1]]}}}",
        ] {
            let mut ledger = Ledger::default();
            ledger.restore(text, START, WALL);
            assert_eq!(ledger.house_minutes(START), 0, "{text}");
        }
        let mut ledger = Ledger::default();
        let far = format!(
            "{{\"written\":0,\"extensions\":{{\"1\":{{\"minutes\":[[{0},4]],\"new\":[{0}]}}}},\"known\":[[1,{0}]]}}",
            u64::MAX
        );
        ledger.restore(&far, START, WALL);
        assert_eq!((ledger.house_minutes(START), ledger.house_new_numbers(START)), (0, 0));
    }

    #[test]
    fn no_more_numbers_are_remembered_than_the_bound() {
        let mut ledger = Ledger::default();
        for n in 0..MAX_KNOWN as u64 + 10 {
            ledger.call("101", &format!("+1503{n:07}"), Instant::from_secs(n * 200));
        }
        assert_eq!(ledger.known.len(), MAX_KNOWN);
        assert!(ledger.extensions["101"].new.len() <= 18);
    }
}
