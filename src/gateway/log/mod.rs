//! One line per event, to the system log or to stderr.
//!
//! What comes from the network may stand in an event, so control characters are escaped (nobody writes a line of their
//! own into our log) and a line has a bound, and so has their number ([`limit`]). Secrets cannot get here: they are
//! [`gateway_core::secret::Secret`], which prints `***`.
//!
//! Writing never waits: a log that nobody takes lines from (a stopped journald, a full pipe) must not stop calls. What it
//! does not take at once is lost, and counted.

mod limit;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use gateway_core::event::Level;
use gateway_core::event::{Code, Event};
use gateway_core::plain::is_plain;
use gateway_core::time::Instant;
use limit::Limit;

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

/// Writes to stderr until [`init`].
static LOG: Mutex<Log> = Mutex::new(Log { sink: Sink::Stderr, limit: Limit::new(), lost: 0 });

struct Log {
    sink: Sink,
    limit: Limit,
    /// Lines that nobody took.
    lost: u64,
}

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
        Target::Syslog => Sink::Syslog(Box::new(Syslog::open(Path::new(SYSLOG_SOCKET))?)),
        Target::Auto if std::io::stderr().is_terminal() => Sink::Stderr,
        // No log at all would be worse than the wrong one.
        Target::Auto => match Syslog::open(Path::new(SYSLOG_SOCKET)) {
            Ok(logger) => Sink::Syslog(Box::new(logger)),
            Err(_) => Sink::Stderr,
        },
    };
    lock().sink = sink;
    Ok(())
}

/// Writes a line for an event. A log that fails must not stop calls: a line that cannot be written is lost.
pub fn write(event: &Event) {
    lock().write(now(), event);
}

/// Tells how many lines were left out, if any were and it is time to. For a timer; it is told with the next line anyway.
pub fn log_left_out() {
    lock().log_left_out(now());
}

fn now() -> Instant {
    static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    Instant::from_micros(u64::try_from(ORIGIN.elapsed().as_micros()).unwrap_or(u64::MAX))
}

fn lock() -> std::sync::MutexGuard<'static, Log> {
    // A panic while the lock was held leaves a log that is still one.
    LOG.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Log {
    fn write(&mut self, now: Instant, event: &Event) {
        self.log_left_out(now);
        if self.limit.passes(now, event.level, event.code) {
            self.put(event.level, &event.to_string());
        }
    }

    fn log_left_out(&mut self, now: Instant) {
        if let Some(text) = self.limit.left_out(now) {
            let event = Event::new(Code::LogLeftOut, "gateway", text);
            self.put(event.level, &event.to_string());
        }
    }

    fn put(&mut self, level: Level, text: &str) {
        if self.lost > 0 {
            let text = format!("{} lines, because nobody took them", self.lost);
            let event = Event::new(Code::LogLost, "gateway", text);
            match self.sink.put(event.level, &line(&event.to_string())) {
                Ok(()) => self.lost = 0,
                Err(_) => return self.lost += 1,
            }
        }
        if self.sink.put(level, &line(text)).is_err() {
            self.lost += 1;
        }
    }
}

impl Sink {
    /// Writes a line, or fails at once.
    fn put(&mut self, level: Level, line: &str) -> io::Result<()> {
        let logger = match self {
            Sink::Stderr => return write_if_ready(&mut io::stderr().lock(), &format!("{} {line}\n", level.word())),
            Sink::Syslog(logger) => logger,
        };
        match logger.put(level, line) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // The daemon was restarted: its socket is a new one.
                let mut again = Syslog::open(&logger.path).map_err(io::Error::other)?;
                again.put(level, line)?;
                **logger = again;
                Ok(())
            }
            done => done,
        }
    }
}

/// Writes a line in one piece when there is room for it. A pipe or socket that is ready has room for a line of ours;
/// our descriptors cannot be told not to block, for others may have them, too.
fn write_if_ready(out: &mut (impl Write + AsFd), line: &str) -> io::Result<()> {
    if poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO)? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    out.write_all(line.as_bytes())
}

/// A connection to the system log that does not block.
struct Syslog {
    logger: syslog::Logger<syslog::LoggerBackend, syslog::Formatter3164>,
    path: Box<Path>,
}

impl Syslog {
    fn open(path: &Path) -> Result<Syslog, LogError> {
        let formatter = syslog::Formatter3164 {
            facility: syslog::Facility::LOG_DAEMON,
            // Local daemons know the host.
            hostname: None,
            process: "gateway".to_owned(),
            pid: std::process::id(),
        };
        let logger = syslog::unix_custom(formatter, path).map_err(|error| LogError(error.to_string()))?;
        match &logger.backend {
            syslog::LoggerBackend::Unix(socket) => socket.set_nonblocking(true),
            syslog::LoggerBackend::UnixStream(socket) => socket.get_ref().set_nonblocking(true),
            // Not for a path.
            syslog::LoggerBackend::Udp(..) | syslog::LoggerBackend::Tcp(_) => Ok(()),
        }
        .map_err(|error| LogError(error.to_string()))?;
        Ok(Syslog { logger, path: path.into() })
    }

    fn put(&mut self, level: Level, line: &str) -> io::Result<()> {
        let written = match level {
            Level::Error => self.logger.err(line),
            Level::Warning => self.logger.warning(line),
            Level::Notice => self.logger.notice(line),
            Level::Info => self.logger.info(line),
            Level::Debug => self.logger.debug(line),
        };
        written.map_err(|error| match error {
            syslog::Error::Io(error) | syslog::Error::Write(error) => error,
            other => io::Error::other(other.to_string()),
        })
    }
}

/// One line of bounded length without control characters.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for c in text.chars() {
        let whole = line.len();
        match c {
            c if is_plain(c) => line.push(c),
            c => line.extend(c.escape_default()),
        }
        if line.len() + CUT.len() > MAX_LINE {
            line.truncate(whole);
            line.push_str(CUT);
            break;
        }
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

    /// What a socket or pipe has taken so far, without waiting for more.
    fn taken(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Vec<String> {
        let mut packet = [0; 2000];
        std::iter::from_fn(|| read(&mut packet).ok().map(|n| String::from_utf8_lossy(&packet[..n]).into_owned()))
            .collect()
    }

    #[test]
    fn a_system_log_that_takes_nothing_stops_nobody_and_what_was_lost_is_told() {
        use std::os::unix::net::UnixDatagram;
        let path = std::env::temp_dir().join(format!("gateway-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_nonblocking(true).unwrap();
        let sink = Sink::Syslog(Box::new(Syslog::open(&path).unwrap()));
        let mut log = Log { sink, limit: Limit::new(), lost: 0 };
        for number in 0..5000 {
            log.put(Level::Notice, &format!("line {number}"));
        }
        let taken_first = taken(|packet| daemon.recv(packet)).len() as u64;
        assert!(log.lost > 0 && taken_first > 0 && log.lost + taken_first == 5000, "{} {taken_first}", log.lost);
        let lost = log.lost;
        log.put(Level::Notice, "it works again");
        let lines = taken(|packet| daemon.recv(packet));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(&format!("log.lost gateway: {lost} lines")) && lines[1].ends_with("it works again"));

        // Its socket is another one after a restart, and none in between.
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        log.put(Level::Notice, "nobody is there");
        assert_eq!(log.lost, 1);
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_nonblocking(true).unwrap();
        log.put(Level::Error, "somebody is");
        let lines = taken(|packet| daemon.recv(packet));
        assert!(lines.len() == 2 && lines[1].ends_with("somebody is"), "{lines:?}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_pipe_that_nobody_reads_stops_nobody() {
        let (reader, mut writer) = io::pipe().unwrap();
        let long = "x".repeat(MAX_LINE);
        let mut written = 0;
        let refused = (0..1000).find(|_| {
            let done = write_if_ready(&mut writer, &long);
            written += usize::from(done.is_ok());
            done.is_err()
        });
        assert!(refused.is_some() && written > 10, "{written}");
        drop(reader);
        let error = write_if_ready(&mut writer, &long).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
