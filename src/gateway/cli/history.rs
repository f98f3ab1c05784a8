//! `gateway history`: what happened, asked of the running service, or read from its file when it is down.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::ask::{AskError, TIMEOUT};
use super::status::span;
use super::{Done, failed};
use crate::history::filter::Filter;
use crate::history::{Entry, KeptCode, SAVE_SPACING, read};
use crate::net::recorder::FILE;
use crate::store::Store;
use gateway_core::event::{Code, Level};
use gateway_core::time::WallClock;

pub(super) fn run(
    path: &Path,
    subject: Option<String>,
    since: Option<Duration>,
    code: Option<String>,
    json: bool,
) -> Done {
    let dir = super::in_force::state_dir(path);
    let (lines, is_running) = match super::in_force::ask(path, "history", TIMEOUT) {
        Ok(lines) => (lines.into_bytes(), true),
        Err(AskError::NotRunning(_)) => {
            super::warn(&["the service is not running; this is what it wrote down before".to_owned()]);
            let Some(dir) = &dir else { return Err(super::load(path).err().unwrap_or_default()) };
            (Store::open(dir).and_then(|store| store.file(FILE)).map_err(failed)?.unwrap_or_default(), false)
        }
        Err(error) => return Err(failed(error)),
    };
    let (entries, broken) = read(&lines);
    if is_running && entries.is_empty() && broken > 0 {
        return Err(failed("the service answers something else; is it of the same version?"));
    }
    if broken > 0 {
        super::warn(&[format!("broken lines in {}, left out: {broken}", dir.unwrap_or_default().join(FILE).display())]);
    }
    let now = WallClock::from_system(SystemTime::now());
    let since = since.map(|since| WallClock(now.0.saturating_sub(since.as_secs())));
    let everything = Filter::default();
    let filter = Filter { code, word: subject, since };
    let is_whole = filter == everything;
    let fitting = filter.of(entries);
    if fitting.is_empty() && !json {
        super::print(if is_whole { "nothing has happened yet\n" } else { "nothing of that kind is in the history\n" });
        return Ok(());
    }
    super::print(&if json {
        fitting.iter().map(|entry| entry.line() + "\n").collect()
    } else {
        table(&fitting, is_whole)
    });
    Ok(())
}

/// A line for each entry, and between two runs of the service one for the start. `is_whole`: nothing was left out, so
/// that it shows whether a run was stopped.
fn table(entries: &[Entry], is_whole: bool) -> String {
    let mut text = String::new();
    let (mut before, mut stopped) = (None, false);
    for entry in entries {
        if before.is_some_and(|run| run != entry.run) {
            text.push_str("-- the service was started again");
            if is_whole && !stopped {
                let hours = SAVE_SPACING.as_secs() / 3600;
                let _ = write!(text, "; it had not been stopped: up to {hours} h before are missing here");
            }
            text.push('\n');
            stopped = false;
        }
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}  {:7}  {} {}: {}", time(entry), mark(entry), entry.code, entry.subject, entry.text);
        before = Some(entry.run);
        stopped |= entry.code == KeptCode::Known(Code::ServiceStopping);
    }
    text
}

/// Of its level what needs attention.
fn mark(entry: &Entry) -> &'static str {
    match entry.level {
        Level::Error | Level::Warning => entry.level.word(),
        Level::Notice | Level::Info | Level::Debug => "",
    }
}

fn time(entry: &Entry) -> String {
    match entry.at {
        Some(at) => at.rfc3339(),
        None => format!("before the clock was set, {} after the start", span(entry.up / 1000)),
    }
}

/// `90s`, `30m`, `2h`, `7d`
pub(super) fn span_of(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write 30m, 2h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: u32, at: Option<u64>, level: Level, code: Code) -> Entry {
        Entry {
            run,
            up: 12_900,
            at: at.map(WallClock),
            level,
            code: KeptCode::Known(code),
            subject: "ssh".to_owned(),
            text: "what and why".to_owned(),
        }
    }

    #[test]
    fn the_table_shows_times_in_utc_what_needs_attention_and_where_a_run_began() {
        let noon = 1_793_534_400;
        let entries = [
            entry(1, Some(noon), Level::Notice, Code::TunnelProved),
            entry(2, None, Level::Warning, Code::TunnelDown),
            entry(2, Some(noon + 61), Level::Notice, Code::ServiceStopping),
            entry(3, Some(noon + 90), Level::Error, Code::StoreFailed),
        ];
        assert_eq!(
            table(&entries, true),
            "2026-11-01T12:00:00Z           tunnel.proved ssh: what and why\n\
             -- the service was started again; it had not been stopped: up to 2 h before are missing here\n\
             before the clock was set, 12 s after the start  warning  tunnel.down ssh: what and why\n\
             2026-11-01T12:01:01Z           service.stopping ssh: what and why\n\
             -- the service was started again\n\
             2026-11-01T12:01:30Z  error    store.failed ssh: what and why\n"
        );
        assert!(!table(&entries, false).contains("missing"));
    }

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("0h", 0)] {
            assert_eq!(span_of(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "h", "2", "-2h", "2 h", "2y", "1.5h", "99999999999999999999d", "9999999999999999999d", "é"] {
            assert!(span_of(wrong).is_err(), "{wrong}");
        }
    }
}
