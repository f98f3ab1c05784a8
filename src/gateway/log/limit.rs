//! How many lines get into the log: a flood from the LAN or the internet must not fill it, or wash out of it what matters.
//!
//! Each code has a burst and a rate of its own, and all together have one. Faults of the service itself
//! ([`Level::Error`]) are counted by themselves, so that no flood takes their place. What was left out is told by number,
//! at most once a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bucket::{Bucket, Rate};
use gateway_core::event::{Code, Level};
use gateway_core::time::Instant;

/// Lines of one code: at once, and then a minute.
const OF_A_CODE: Rate = Rate { burst: 200, per_minute: 30 };
/// Lines of all codes, errors aside.
const OF_ALL: Rate = Rate { burst: 600, per_minute: 120 };
/// Error lines of one code.
const OF_AN_ERROR: Rate = Rate { burst: 100, per_minute: 10 };

/// What was left out is told after this long.
const TELL: Duration = Duration::from_secs(60);

/// Who gets through, by code. Codes are words of this program, so that there are not many.
#[derive(Debug)]
pub(super) struct Limit {
    codes: BTreeMap<(bool, Code), OfCode>,
    all: Bucket,
    left_out_since: Option<Instant>,
}

#[derive(Debug)]
struct OfCode {
    bucket: Bucket,
    left_out: u64,
}

impl Limit {
    pub(super) const fn new() -> Limit {
        Limit { codes: BTreeMap::new(), all: Bucket::new(OF_ALL), left_out_since: None }
    }

    /// Whether a line is written; if not, it is counted.
    pub(super) fn passes(&mut self, now: Instant, level: Level, code: Code) -> bool {
        let is_error = level == Level::Error;
        let rate = if is_error { OF_AN_ERROR } else { OF_A_CODE };
        let fresh = || OfCode { bucket: Bucket::new(rate), left_out: 0 };
        let own = self.codes.entry((is_error, code)).or_insert_with(fresh);
        let mut passes = own.bucket.take(now).is_ok();
        if passes && !is_error && self.all.take(now).is_err() {
            own.bucket.give_back();
            passes = false;
        }
        if !passes {
            own.left_out = own.left_out.saturating_add(1);
            self.left_out_since.get_or_insert(now);
        }
        passes
    }

    /// A line that says what was left out, when it is time for one.
    pub(super) fn left_out(&mut self, now: Instant) -> Option<String> {
        let since = self.left_out_since.filter(|since| now.since(*since) >= TELL)?;
        self.left_out_since = None;
        let mut codes: Vec<(u64, Code)> = Vec::new();
        for ((_, code), own) in &mut self.codes {
            if own.left_out > 0 {
                codes.push((std::mem::take(&mut own.left_out), *code));
            }
        }
        // A line has a bound: the most frequent first.
        codes.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
        let list: Vec<String> = codes.iter().map(|(count, code)| format!("{code} {count}")).collect();
        Some(format!("too many lines for the log in {} s; left out: {}", now.since(since).as_secs(), list.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that pass when one comes each `every`, for that long.
    fn flood(limit: &mut Limit, from: u64, seconds: u64, a_second: u64, level: Level, codes: &[Code]) -> u64 {
        let mut passed = 0;
        for tick in 0..seconds * a_second {
            let now = Instant::from_micros(from * 1_000_000 + tick * 1_000_000 / a_second);
            for code in codes {
                passed += u64::from(limit.passes(now, level, *code));
            }
        }
        passed
    }

    #[test]
    fn an_office_at_work_has_all_its_lines() {
        let mut limit = Limit::new();
        // 200 phones come back after a power cut, then calls.
        assert_eq!(flood(&mut limit, 0, 20, 10, Level::Info, &[Code::HandsetRegistered]), 200);
        assert_eq!(flood(&mut limit, 60, 3600, 1, Level::Info, &[Code::CallEnded]), 200 + 1799, "30 a minute for ever");
        assert_eq!(limit.codes[&(false, Code::HandsetRegistered)].left_out, 0);
    }

    #[test]
    fn a_day_of_flood_is_a_bounded_log_and_the_errors_of_the_service_are_in_it() {
        let mut limit = Limit::new();
        let (mut lines, mut told, mut last) = (0, 0, String::new());
        use Code::{CallRefused, HandsetWrongPassword, HandsetWrongUser, SipCrowded, WebhookBadForm, WebhookUnsigned};
        let codes = [HandsetWrongPassword, HandsetWrongUser, WebhookUnsigned, CallRefused, SipCrowded, WebhookBadForm];
        for minute in 0..24 * 60 {
            lines += flood(&mut limit, minute * 60, 60, 20, Level::Warning, &codes);
            let now = Instant::from_secs(minute * 60 + 60);
            assert!(limit.passes(now, Level::Error, Code::StoreFailed), "an error, {minute}");
            if let Some(line) = limit.left_out(now) {
                (told, last) = (told + 1, line);
            }
        }
        println!("flood of {} lines in a day: {lines} are written, {told} times told what was left out", 86_400 * 120);
        assert!(lines <= 600 + 120 * 24 * 60 + 120, "{lines}");
        assert!(told > 700 && told <= 24 * 60, "{told}");
        assert!(last.starts_with("too many lines for the log in ") && last.contains("webhook.unsigned 1"), "{last}");
    }

    #[test]
    fn a_loop_of_errors_is_bounded_too() {
        let mut limit = Limit::new();
        let lines = flood(&mut limit, 0, 3600, 10, Level::Error, &[Code::StoreFailed]);
        assert!((690..=710).contains(&lines), "{lines}");
    }

    #[test]
    fn what_was_left_out_is_told_after_a_minute_and_once() {
        let mut limit = Limit::new();
        assert_eq!(flood(&mut limit, 0, 1, 1000, Level::Warning, &[Code::SipCrowded]), 200);
        assert_eq!(limit.left_out(Instant::from_secs(30)), None);
        let told = limit.left_out(Instant::from_secs(62));
        assert_eq!(told.as_deref(), Some("too many lines for the log in 61 s; left out: sip.crowded 800"));
        assert_eq!(limit.left_out(Instant::from_secs(500)), None);
        // The flood is over: the code has its burst again.
        assert_eq!(flood(&mut limit, 3600, 1, 150, Level::Warning, &[Code::SipCrowded]), 150);
    }
}
