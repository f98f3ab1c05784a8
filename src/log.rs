//! One line per event, to the system log or to stderr.
//!
//! What comes from the network may stand in an event, so control characters are escaped (nobody writes a line of their
//! own into our log) and a line has a bound. Secrets cannot get here: they are [`crate::secret::Secret`], which prints
//! `***`.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

pub use crate::event::Level;

/// Longest line, in bytes: RFC 3164 section 4.1 gives 1024 octets to a whole packet.
pub const MAX_LINE: usize = 900;

/// What a cut line ends with.
const CUT: &str = "…";

/// Where local syslog daemons, journald included, listen.
const SYSLOG_SOCKET: &str = "/dev/log";

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The system log, when stderr is no terminal and there is a system log; else stderr.
    Auto,
    Syslog,
    Stderr,
}

/// The chosen target; stderr until [`init`].
static SINK: Mutex<Sink> = Mutex::new(Sink::Stderr);

enum Sink {
    Stderr,
    Syslog(Box<Syslog>),
}

/// There is no system log.
#[derive(Debug, thiserror::Error)]
#[error("no system log at {SYSLOG_SOCKET}: {0}; use --log stderr")]
pub struct LogError(String);

/// Chooses where lines go. Called once, before anything is written.
pub fn init(target: Target) -> Result<(), LogError> {
    let sink = match target {
        Target::Stderr => Sink::Stderr,
        Target::Syslog => Sink::Syslog(Box::new(open_syslog()?)),
        Target::Auto if std::io::stderr().is_terminal() => Sink::Stderr,
        // No log at all would be worse than the wrong one.
        Target::Auto => open_syslog().map_or(Sink::Stderr, |logger| Sink::Syslog(Box::new(logger))),
    };
    *lock() = sink;
    Ok(())
}

/// Writes a line. A log that fails must not stop calls: a line that cannot be written is lost.
pub fn write(level: Level, text: &str) {
    let line = line(text);
    match &mut *lock() {
        Sink::Stderr => drop(writeln!(std::io::stderr().lock(), "{} {line}", name(level))),
        Sink::Syslog(logger) => {
            let written = match level {
                Level::Error => logger.err(&line),
                Level::Warning => logger.warning(&line),
                Level::Notice => logger.notice(&line),
                Level::Info => logger.info(&line),
                Level::Debug => logger.debug(&line),
            };
            // The daemon was restarted: its socket is a new one.
            if written.is_err()
                && let Ok(mut again) = open_syslog()
            {
                let _ = again.notice(&line);
                **logger = again;
            }
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Sink> {
    // A panic while the lock was held leaves a sink that is still one.
    SINK.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

type Syslog = syslog::Logger<syslog::LoggerBackend, syslog::Formatter3164>;

fn open_syslog() -> Result<Syslog, LogError> {
    let formatter = syslog::Formatter3164 {
        facility: syslog::Facility::LOG_DAEMON,
        // Local daemons know the host.
        hostname: None,
        process: "gateway".to_owned(),
        pid: std::process::id(),
    };
    syslog::unix_custom(formatter, SYSLOG_SOCKET).map_err(|error| LogError(error.to_string()))
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// One line of bounded length without control characters.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for c in text.chars() {
        let escaped: String = match c {
            // C0, DEL, C1, and what turns a terminal's line around or breaks it.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                c.escape_default().collect()
            }
            c => c.to_string(),
        };
        if line.len() + escaped.len() + CUT.len() > MAX_LINE {
            line.push_str(CUT);
            break;
        }
        line.push_str(&escaped);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_from_the_network_does_not_begin_a_line() {
        assert_eq!(
            line("handset.refused 101\r\nerror forged\x1b[2J\0"),
            "handset.refused 101\\r\\nerror forged\\u{1b}[2J\\u{0}"
        );
    }

    #[test]
    fn text_that_runs_backwards_is_shown_as_what_it_is() {
        assert_eq!(line("a\u{202e}b\u{2028}c"), "a\\u{202e}b\\u{2028}c");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        for text in ["x".repeat(5000), "é".repeat(5000), "\u{1}".repeat(5000), "日".repeat(5000)] {
            let line = line(&text);
            assert!(line.len() <= MAX_LINE && line.ends_with(CUT), "{}", line.len());
        }
    }

    #[test]
    fn a_line_that_fits_is_left_as_it_is() {
        assert_eq!(line("call.ended 101: 486 Büro"), "call.ended 101: 486 Büro");
    }
}
