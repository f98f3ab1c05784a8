//! A program that we supervise: cloudflared, ngrok, tailscale funnel, ssh, anything that leads to a local address.
//!
//! It runs in a process group of its own, which is gone when the driver is, and dies with us if we are killed.

use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::announcement::Reader;
use super::lines::{Line, Lines};
use super::{Culprit, Down, Place, Report, Reports, Settings, Stop, UrlFrom};
use gateway_core::config::tunnel::Program;

/// A program that has not told its URL after this time is not going to.
const URL_LIMIT: Duration = Duration::from_secs(45);
/// From SIGTERM to SIGKILL.
const TERM_LIMIT: Duration = Duration::from_secs(3);
/// What a program that has ended has left in its pipes is read for so long; a child of its may keep them open.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);
/// Between two questions for the URL, until it is known.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// For one question.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer.
const MAX_ANSWER: u64 = 1 << 20;

/// Variables that are ours alone: Twilio's credentials, and systemd's sockets.
const OURS: [&str; 6] = ["TWILIO_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM"];
/// Whatever the config lists, programs are found by it.
const PATH: &str = "PATH";

/// The bounds in time; the defaults are the constants of this module.
#[derive(Clone, Copy, Debug)]
struct Limits {
    url: Duration,
    term: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { url: URL_LIMIT, term: TERM_LIMIT }
    }
}

/// Runs the program until it ends (`Err`) or is stopped.
pub(super) async fn run(
    program: &Program,
    settings: &Settings,
    place: &Place,
    reports: &Reports,
    stop: Stop,
) -> Result<(), Down> {
    run_within(Limits::default(), program, settings, place, reports, stop).await
}

async fn run_within(
    limits: Limits,
    program: &Program,
    settings: &Settings,
    place: &Place,
    reports: &Reports,
    mut stop: Stop,
) -> Result<(), Down> {
    let argv = argv(program, place);
    let mut group = Group::spawn(&argv, program)?;
    let name = argv[0].rsplit('/').next().unwrap_or_default().to_owned();
    let mut output = group.output();
    let mut reader = Reader::of_program(&argv, place.local, settings.url_pattern.clone());
    let mut last = None;
    // Later ones are told, too: what they are worth is the watch's business.
    let mut is_known = false;
    let mut asked = match &settings.url_from {
        UrlFrom::Ask(from) => Some(Asker::start(from.clone(), reader.clone())),
        UrlFrom::Output => None,
        UrlFrom::Config => {
            reports.send(Report::Up { public_url: None }).await;
            None
        }
    };
    let is_told = settings.url_from != UrlFrom::Config;
    let too_late = tokio::time::sleep(limits.url);
    tokio::pin!(too_late);
    loop {
        let found = tokio::select! {
            line = output.recv() => match line {
                Some(line) => {
                    reports.said(&line.text);
                    let is_read = settings.url_from == UrlFrom::Output;
                    let found = if is_read { reader.line(&line) } else { None };
                    last = Some(line.text);
                    found
                }
                // Both pipes are closed; the program may live on.
                None => {
                    let down = tokio::select! {
                        status = group.child.wait() => ended(&name, status, last),
                        () = stop.wait() => return group.stop(limits.term).await,
                    };
                    return Err(down);
                }
            },
            answer = Asker::next(&mut asked) => match answer {
                Answer::Url(found) => Some(found),
                Answer::Other(seen) => {
                    reader = *seen;
                    None
                }
            },
            status = group.child.wait() => {
                while let Ok(Some(line)) = tokio::time::timeout(DRAIN_LIMIT, output.recv()).await {
                    reports.said(&line.text);
                    last = Some(line.text);
                }
                return Err(ended(&name, status, last));
            }
            () = &mut too_late, if is_told && !is_known => {
                // Dropping the group ends it by force; so it is asked first.
                group.stop(limits.term).await?;
                let seconds = limits.url.as_secs();
                let what = match &settings.url_from {
                    UrlFrom::Ask(from) => format!("{from} listed no public URL of this box within {seconds} s"),
                    _ => format!("{name} announced no public URL within {seconds} s"),
                };
                return Err(Down::new(Culprit::Program, what, reader.advice()));
            }
            () = stop.wait() => return group.stop(limits.term).await,
        };
        if let Some(found) = found {
            is_known = true;
            reports.send(Report::Up { public_url: Some(found) }).await;
        }
    }
}

/// The program's arguments for this place.
fn argv(program: &Program, place: &Place) -> Vec<String> {
    let (address, port) = (place.local.to_string(), place.local.port().to_string());
    program.argv.iter().map(|argument| argument.replace("{address}", &address).replace("{port}", &port)).collect()
}

fn ended(name: &str, status: std::io::Result<ExitStatus>, last: Option<String>) -> Down {
    use std::os::unix::process::ExitStatusExt;
    let how = match status {
        Err(error) => format!("could not be waited for: {error}"),
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
        },
    };
    let last = last.map(|line| super::presentable(&line)).filter(|line| !line.is_empty());
    let reason = last.map_or_else(|| format!("{name} {how}"), |line| format!("{name} {how}; its last line: {line}"));
    Down::new(Culprit::Program, reason, format!("it is started again; if it always ends, try it by hand: {name}"))
}

/// A running program with all that it starts.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn spawn(argv: &[String], program: &Program) -> Result<Group, Down> {
        let Some((name, arguments)) = argv.split_first() else {
            return Err(Down::new(Culprit::Config, "the command is empty", "write command = [\"PROGRAM\", …]"));
        };
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        match &program.environment {
            Some(names) => {
                command.env_clear();
                for name in names.iter().map(String::as_str).chain([PATH]) {
                    command.envs(std::env::var_os(name).map(|value| (name, value)));
                }
            }
            None => {
                for (name, _) in std::env::vars_os() {
                    if name.to_str().is_none_or(|name| OURS.iter().any(|ours| name.starts_with(ours))) {
                        command.env_remove(name);
                    }
                }
            }
        }
        die_with_us(&mut command);
        let child = command.spawn().map_err(|error| {
            let next = match error.kind() {
                ErrorKind::NotFound => "install it, or write its whole path in [tunnel] command",
                ErrorKind::PermissionDenied => {
                    "make it executable for the user that gateway runs as; systemd wants tunnel-command.conf (see README.md)"
                }
                _ => "is the system out of processes or memory?",
            };
            Down::new(Culprit::Config, format!("{name} cannot be started: {error}"), next)
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Group { child, id })
    }

    /// The lines of both pipes; ends when both have.
    fn output(&mut self) -> mpsc::Receiver<Line> {
        let (sender, receiver) = mpsc::channel(16);
        if let Some(stdout) = self.child.stdout.take() {
            tokio::spawn(read(stdout, sender.clone()));
        }
        if let Some(stderr) = self.child.stderr.take() {
            tokio::spawn(read(stderr, sender));
        }
        receiver
    }

    /// Asks it to end, then ends it.
    async fn stop(&mut self, limit: Duration) -> Result<(), Down> {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(limit, self.child.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait().await;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // Nobody there is what we want.
            let _ = killpg(id, signal);
        }
    }
}

impl Drop for Group {
    /// What it started and left behind goes too. The number cannot mean others: while a process of the group lives it
    /// is not given out again (POSIX, fork), and when none does nobody else has had the time to get it.
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// SIGKILL to the program when this thread ends, however it ends.
fn die_with_us(command: &mut Command) {
    let parent = nix::unistd::getpid();
    #[expect(unsafe_code, reason = "only between fork and exec can the program ask for this signal")]
    // SAFETY: between fork and exec the closure makes two system calls; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // We may have ended before the call.
            match nix::unistd::getppid() == parent {
                true => Ok(()),
                false => Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH)),
            }
        });
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, lines_to: mpsc::Sender<Line>) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 4096];
    loop {
        let found: Vec<Line> = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                if let Some(line) = lines.rest() {
                    let _ = lines_to.send(line).await;
                }
                return;
            }
            Ok(len) => lines.push(&buffer[..len]),
        };
        for line in found {
            if lines_to.send(line).await.is_err() {
                return;
            }
        }
    }
}

/// What an agent says.
enum Answer {
    /// The URL of the tunnel that leads to this box.
    Url(String),
    /// None yet; what was seen instead, for the error.
    Other(Box<Reader>),
}

/// Asks a local HTTP URL for the public one, until it is known or this is dropped.
struct Asker {
    answers: mpsc::Receiver<Answer>,
    task: tokio::task::AbortHandle,
}

impl Asker {
    fn start(from: String, reader: Reader) -> Asker {
        let (sender, answers) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            loop {
                let (from, mut reader) = (from.clone(), reader.clone());
                let (answer, answered) = tokio::sync::oneshot::channel();
                // Not one of the runtime's threads: those would be waited for at the end of the service.
                let asked = std::thread::Builder::new().spawn(move || {
                    drop(answer.send(match ask(&from, &mut reader) {
                        Some(url) => Answer::Url(url),
                        None => Answer::Other(Box::new(reader)),
                    }));
                });
                if let (Ok(_), Ok(answer)) = (asked, answered.await) {
                    let is_url = matches!(answer, Answer::Url(_));
                    if sender.send(answer).await.is_err() || is_url {
                        return;
                    }
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        Asker { answers, task: task.abort_handle() }
    }

    /// The next answer; never, where nobody is asked any more.
    async fn next(asker: &mut Option<Asker>) -> Answer {
        if let Some(asker) = asker
            && let Some(answer) = asker.answers.recv().await
        {
            return answer;
        }
        std::future::pending().await
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ask(from: &str, reader: &mut Reader) -> Option<String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(ASK_LIMIT)).max_redirects(0).proxy(None).build();
    let mut answer = ureq::Agent::new_with_config(config).get(from).call().ok()?;
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().ok()?;
    reader.answer(&serde_json::from_slice(&body).ok()?)
}

#[cfg(test)]
mod tests;
