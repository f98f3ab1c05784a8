//! How Twilio reaches this box: a driver that makes the webhook listener public, and a watch that knows whether it is.
//!
//! ```text
//! watch (pure) ──StartDriver──▶ driver: ssh │ command │ direct ──▶ webhook listener
//!     ▲  │                        │
//!     │  └──Prove──▶ our own public URL, through the tunnel
//!     └──────────Report───────────┘
//! ```
//!
//! The rest of the code knows [`start`], [`Running`] and [`Report`], not which driver it is.

pub mod announcement;
mod carry;
mod command;
mod direct;
mod lines;
#[cfg(feature = "ssh-tunnel")]
pub mod ssh;
pub mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::net::clock::Clock;
use crate::store::Store;
use gateway_core::config::tunnel::{Driver, Settings, UrlFrom};
use gateway_core::url::masked;

/// Most reports that wait to be read. Lines that a program says beyond it are lost, everything else waits.
const MAX_REPORTS: usize = 64;

/// Longest line of a program's output that is passed on, in bytes.
pub const MAX_LINE: usize = 600;

/// A driver that does not end within this time after its stop is ended by force.
pub const STOP_LIMIT: Duration = Duration::from_secs(8);

/// What a driver tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It begins.
    Connecting,
    /// The session stands, or the program has told its URL. `None`: the URL is the configured one.
    Up { public_url: Option<String> },
    /// It is over; the driver ends by itself after this.
    Down(Down),
    /// A line that the supervised program or the server printed, without control characters and secrets.
    Said(String),
    /// A server was met for the first time; from now on it must show this key.
    HostKeyPinned { server: String, fingerprint: String },
    /// Something that a person should know while the tunnel stands.
    Warning(String),
}

/// Why there is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {next_step}")]
pub struct Down {
    pub culprit: Culprit,
    /// What happened.
    pub reason: String,
    /// What a person can do about it.
    pub next_step: String,
}

/// Whose fault it is; the wait until the next try hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// No way to the other end: the line, DNS, a server that is down. Trying again helps.
    Network,
    /// The other end took the connection and ended it before it let us in, without a reason: it is full, or it shuts out
    /// who comes too often.
    Login,
    /// The program ended or does not do what it should.
    Program,
    /// The other end said no. Trying often makes it worse.
    Refused,
    /// The other end is not who it was. Never accepted without a person.
    HostKey,
    /// A file or a setting on this box.
    Config,
}

impl Down {
    pub fn new(culprit: Culprit, reason: impl Into<String>, next_step: impl Into<String>) -> Down {
        Down { culprit, reason: reason.into(), next_step: next_step.into() }
    }
}

/// The driver's end of the channel of reports.
#[derive(Clone, Debug)]
pub struct Reports(mpsc::Sender<Report>);

impl Reports {
    /// A channel; its receiver ends when the driver has ended, and with it all that it had started.
    pub fn channel() -> (Reports, mpsc::Receiver<Report>) {
        let (sender, receiver) = mpsc::channel(MAX_REPORTS);
        (Reports(sender), receiver)
    }

    /// Sends a report. Nobody listening is no fault.
    pub async fn send(&self, report: Report) {
        let _ = self.0.send(report).await;
    }

    /// Passes a line on that a program printed. It never waits: a chatty program does not hold anything up.
    pub fn said(&self, line: &str) {
        let line = presentable(line);
        if !line.is_empty() {
            let _ = self.0.try_send(Report::Said(line));
        }
    }
}

/// A foreign line as it may stand in our log: printable, without passwords, bounded.
fn presentable(line: &str) -> String {
    let mut line = masked(lines::plain(line).trim());
    if line.len() > MAX_LINE {
        line.truncate(line.floor_char_boundary(MAX_LINE));
        line.push('…');
    }
    line
}

/// Resolves when the driver shall end.
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

impl Stop {
    /// Waits for the stop; may be called again after it came.
    pub async fn wait(&mut self) {
        if !self.0.is_terminated() {
            // The sender never sends: it is dropped.
            let _ = (&mut self.0).await;
        }
    }
}

/// A driver at work. Dropping it stops it; it has ended when the receiver of its reports has.
#[derive(Debug)]
pub struct Running {
    _stop: oneshot::Sender<()>,
    task: AbortHandle,
}

impl Running {
    /// Ends it by force: for one that was told to stop and has not ended within [`STOP_LIMIT`].
    pub fn force(&self) -> AbortHandle {
        self.task.clone()
    }
}

/// What every driver needs to know.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where the webhook listener is, to which the tunnel leads.
    pub local: SocketAddr,
    /// Where our key and the pinned host keys are kept.
    pub store: Store,
    /// What certificates are judged by.
    pub clock: Clock,
}

/// Starts the driver that the settings name, within a tokio runtime. With [`Driver::None`] nothing is started and the
/// receiver ends at once.
pub fn start(settings: &Settings, place: Place, reports: Reports) -> Running {
    let (sender, receiver) = oneshot::channel();
    let stop = Stop(receiver);
    let settings = settings.clone();
    let task = tokio::spawn(async move {
        reports.send(Report::Connecting).await;
        if let Err(down) = run(&settings, &place, &reports, stop).await {
            reports.send(Report::Down(down)).await;
        }
    });
    Running { _stop: sender, task: task.abort_handle() }
}

/// Runs until it is stopped (`Ok`) or there is no tunnel any more.
async fn run(settings: &Settings, place: &Place, reports: &Reports, stop: Stop) -> Result<(), Down> {
    match &settings.driver {
        Driver::None => Ok(()),
        Driver::Command(program) => command::run(program, settings, place, reports, stop).await,
        Driver::Direct(direct) => direct::run(direct, place, reports, stop).await,
        #[cfg(feature = "ssh-tunnel")]
        Driver::Ssh(ssh) => ssh::run(ssh, settings, place, reports, stop).await,
        #[cfg(not(feature = "ssh-tunnel"))]
        Driver::Ssh(_) => Err(Down::new(
            Culprit::Config,
            "this gateway was built without the ssh driver",
            "use driver = \"command\" with command = [\"ssh\", …], or a build with the feature ssh-tunnel",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_program_is_shown_without_escapes_and_passwords_and_with_a_bound() {
        let line = "\x1b[32mINF\x1b[0m https://u:secret@h.example/x\x07\r\n";
        assert_eq!(presentable(line), "INF https://***@h.example/x");
        let long = presentable(&"ä".repeat(MAX_LINE));
        assert!(long.len() <= MAX_LINE + "…".len() && long.ends_with('…'));
    }

    #[tokio::test]
    async fn a_driver_that_is_none_ends_at_once() {
        let (reports, mut received) = Reports::channel();
        let store = Store::open(&std::env::temp_dir().join("gateway-tunnel-tests")).unwrap();
        let place = Place { local: ([127, 0, 0, 1], 1).into(), store, clock: Clock::start(None) };
        let _running = start(&Settings::default(), place, reports);
        assert_eq!(received.recv().await, Some(Report::Connecting));
        assert_eq!(received.recv().await, None);
    }
}
