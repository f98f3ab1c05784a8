//! Whether Twilio can reach us: the state of the tunnel in virtual time, without I/O.
//!
//! ```text
//! Off ──▶ Connecting ──▶ Connected ──▶ Proved ◀──▶ Doubtful
//!              ▲  │ Down     │ Down        │ Down       │ Down, or failed proofs in a row: connected but dead
//!              │  ▼          ▼             ▼            ▼
//!              └───────────────── Waiting (back-off) ◀──┘
//! ```
//!
//! "Up" is what a driver says; "Proved" is what we know: our own public URL answered our nonce through the tunnel. A
//! URL that a driver announces is nothing before that: only then Twilio is told, and documents name it.

mod io;
mod output_limit;
mod phase;
mod proofs;
mod publish;
mod retry;
#[cfg(test)]
mod tests;
mod urls;

use std::collections::VecDeque;
use std::time::Duration;

use super::{Culprit, Down, Report, Settings, UrlFrom};
use gateway_core::backoff::Backoff;
use gateway_core::event::{Code, Event, Level};
use gateway_core::random::Random;
use gateway_core::status::{TunnelState as State, TunnelStatus};
use gateway_core::time::Instant;
use gateway_core::timers::Timers;
pub use io::{Input, Output};
use output_limit::OutputLimit;
use phase::{Former, Phase, Trust, Up};
use proofs::PROOF_LIMIT;
pub use proofs::SLOW;
use publish::Writing;
use retry::Pace;
use urls::Urls;

/// From the start of a driver to its word that it is up.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// A URL that was just given out may not be in DNS yet, and resolvers remember that they did not find it.
const SETTLE: Duration = Duration::from_secs(3);
/// Up for so long, a tunnel that was proved has not flapped, and earlier failures are forgotten.
const STEADY: Duration = Duration::from_secs(30);
/// A tunnel that was proved is tried again soon for so long after it was lost.
const SOON: Duration = Duration::from_secs(120);
/// A driver that has been told to stop is looked for so often.
const STOP_CHECK: Duration = Duration::from_secs(1);
/// Whoever waits longer than this from the first failure on is told how not to.
const MINOR: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Connect,
    Prove,
    ProofLimit,
    Retry,
    Write,
    Former,
}

/// What the config says of the tunnel.
#[derive(Debug)]
struct Plan {
    driver: &'static str,
    is_driven: bool,
    is_restartable: bool,
    /// Each start finds the same URL.
    keeps_url: bool,
    prove_every: Duration,
}

/// What became of the drivers before: it decides how long the next waits are.
#[derive(Debug, Default)]
struct Lives {
    /// When the last one was lost that had been proved.
    lost_at: Option<Instant>,
    /// Those in a row that were proved and not up for long.
    short: u32,
    /// Restarts in a row of drivers through which nothing ever came.
    never_proved: u32,
}

/// What is counted and measured since the start.
#[derive(Debug, Default)]
struct Figures {
    last_proof: Option<Instant>,
    /// Of the last proof.
    latency: Option<Duration>,
    proofs: u64,
    failures: u64,
    slow: u64,
    starts: u64,
}

/// The watch.
#[derive(Debug)]
pub struct Watch {
    plan: Plan,
    phase: Phase,
    /// Since when its state is the same for people.
    since: Instant,
    urls: Urls,
    timers: Timers<Timer>,
    lives: Lives,
    figures: Figures,
    /// Why it is not proved.
    reason: Option<String>,
    backoff: Backoff,
    writing: Writing,
    output_limit: OutputLimit,
    random: Random,
    outputs: VecDeque<Output>,
}

impl Watch {
    /// Off. `known_url` is what Twilio has been told: the last URL written, or `webhook.public_url`.
    pub fn new(now: Instant, settings: &Settings, known_url: &str, random: Random) -> Self {
        Watch {
            plan: Plan {
                driver: settings.driver.name(),
                is_driven: settings.driver != super::Driver::None,
                is_restartable: settings.driver.is_restartable(),
                keeps_url: settings.url_from == UrlFrom::Config,
                prove_every: settings.prove_every,
            },
            phase: Phase::Off(Former::Gone),
            since: now,
            urls: Urls::new(known_url),
            timers: Timers::new(),
            lives: Lives::default(),
            figures: Figures::default(),
            reason: None,
            backoff: Backoff::new(retry::FIRST, retry::LONGEST),
            writing: Writing::new(),
            output_limit: OutputLimit::default(),
            random,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start if matches!(self.phase, Phase::Off(_)) => self.begin(now),
            Input::Start => {}
            Input::Stop => self.stop(now),
            Input::Report(report) => self.report(now, report),
            Input::Stopped => self.stopped(now),
            Input::Proof { nonce, result } => self.proof(now, &nonce, result),
            Input::Request { by } => self.request(now, &by),
            Input::UrlWritten { url, result } => self.written(now, &url, result),
            Input::Configured(url) => {
                if self.urls.change(now, &url) {
                    self.urls.set_written(&url);
                    self.watch_expiry();
                    self.outputs.push_back(Output::Urls(self.urls.all()));
                    if let Phase::Up(up) = &mut self.phase {
                        let heard = up.heard.take();
                        self.connected(now, Duration::ZERO, heard);
                    }
                }
            }
            Input::Retry => {
                if matches!(self.phase, Phase::Waiting(_)) {
                    self.backoff.reset();
                    self.timers.set(Timer::Retry, now);
                }
                if self.timers.get(Timer::Write).is_some() {
                    self.writing.backoff.reset();
                    self.timers.set(Timer::Write, now);
                }
            }
        }
    }

    /// Call when [`Watch::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connect => {
                    let seconds = CONNECT_LIMIT.as_secs();
                    let reason = format!("the {} driver was not up within {seconds} s", self.plan.driver);
                    let next = "look at what it printed, and at the line";
                    self.fail(now, Down::new(Culprit::Network, reason, next));
                }
                Timer::Prove => self.prove(now),
                Timer::ProofLimit => {
                    if let Phase::Up(Up { outstanding: Some(asked), .. }) = &self.phase {
                        let nonce = asked.nonce.clone();
                        self.proof(now, &nonce, Err(format!("no answer within {} s", PROOF_LIMIT.as_secs())));
                    }
                }
                Timer::Retry => self.begin(now),
                Timer::Write => self.write(now),
                Timer::Former => {
                    let gone = self.urls.expire(now);
                    self.watch_expiry();
                    if gone {
                        self.outputs.push_back(Output::Urls(self.urls.all()));
                    }
                }
            }
        }
    }

    /// What shall be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Watch::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The public URLs that a signature may be made over, the present one first.
    pub fn urls(&self) -> Vec<String> {
        self.urls.all()
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// A snapshot for people.
    pub fn status(&self, now: Instant) -> TunnelStatus {
        TunnelStatus {
            state: self.state(),
            driver: self.plan.driver.to_owned(),
            public_url: self.urls.subject().to_owned(),
            written: self.urls.is_settled() && self.urls.to_write().is_none(),
            since: now.since(self.since).as_secs(),
            last_proof: self.figures.last_proof.map(|at| now.since(at).as_secs()),
            latency: self.figures.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            failures: self.figures.failures,
            slow: self.figures.slow,
            restarts: self.figures.starts.saturating_sub(1),
            proofs: self.figures.proofs,
            reason: self.reason.clone(),
            retry_in: self.timers.get(Timer::Retry).map(|at| at.since(now).as_secs()),
        }
    }

    /// Starts the driver, or, where there is none of ours, the proofs.
    fn begin(&mut self, now: Instant) {
        if !self.plan.is_driven {
            return self.up(now, None);
        }
        match self.phase {
            Phase::Off(Former::Gone) | Phase::Waiting(Former::Gone) => {
                self.figures.starts += 1;
                self.enter(now, Phase::Connecting);
                self.timers.set(Timer::Connect, now + CONNECT_LIMIT);
                self.outputs.push_back(Output::StartDriver);
            }
            Phase::Off(Former::Stopping) | Phase::Waiting(Former::Stopping) => {
                self.enter(now, Phase::Waiting(Former::Stopping));
                self.timers.set(Timer::Retry, now + STOP_CHECK);
            }
            Phase::Connecting | Phase::Up(_) => {}
        }
    }

    fn stop(&mut self, now: Instant) {
        let former = self.stop_driver();
        self.forget_proof();
        for timer in [Timer::Connect, Timer::Retry, Timer::Write] {
            self.timers.cancel(timer);
        }
        self.reason = None;
        self.enter(now, Phase::Off(former));
    }

    fn is_running(&self) -> bool {
        self.plan.is_driven && matches!(self.phase, Phase::Connecting | Phase::Up(_))
    }

    /// Tells the driver to stop, if it runs. What is left of it.
    fn stop_driver(&mut self) -> Former {
        if self.is_running() {
            self.outputs.push_back(Output::StopDriver);
            return Former::Stopping;
        }
        match self.phase {
            Phase::Off(former) | Phase::Waiting(former) => former,
            Phase::Connecting | Phase::Up(_) => Former::Gone,
        }
    }

    fn report(&mut self, now: Instant, report: Report) {
        if let Report::Said(line) = report {
            return self
                .outputs
                .extend(self.output_limit.line(now, self.plan.driver, line).into_iter().map(Output::Event));
        }
        // What a driver says that is being stopped does not count.
        if !self.is_running() {
            return;
        }
        match report {
            Report::Connecting | Report::Said(_) => {}
            Report::Up { public_url } => self.up(now, public_url),
            Report::Down(down) => self.fail(now, down),
            Report::HostKeyPinned { server, fingerprint } => {
                let text = format!(
                    "met for the first time, and its key {fingerprint} is taken; compare it with the server's own \
                     (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), any other is refused from now on"
                );
                self.log(Event::new(Code::TunnelHostKey, server, text).at(Level::Notice));
            }
            Report::Warning(text) => self.event(Code::TunnelWarning, self.plan.driver, text),
        }
    }

    fn stopped(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Off(former) | Phase::Waiting(former) => *former = Former::Gone,
            Phase::Connecting | Phase::Up(_) if self.plan.is_driven => {
                let next = "look at what it printed";
                let down = Down::new(Culprit::Program, format!("the {} driver ended", self.plan.driver), next);
                self.wait(now, down, Former::Gone);
            }
            Phase::Connecting | Phase::Up(_) => {}
        }
    }

    /// The driver says that it is up, with what URL.
    fn up(&mut self, now: Instant, url: Option<String>) {
        let kept = match &mut self.phase {
            Phase::Up(up) => up.heard.take(),
            Phase::Off(_) | Phase::Connecting | Phase::Waiting(_) => None,
        };
        let is_new = url.as_deref().is_some_and(|url| self.announced(url, kept.as_deref()));
        let heard = kept.or(url);
        self.timers.cancel(Timer::Connect);
        match &mut self.phase {
            Phase::Up(up) if !is_new => up.heard = heard,
            _ => self.connected(now, if is_new { SETTLE } else { Duration::ZERO }, heard),
        }
    }

    /// Nothing has come through yet; the first proof is made after `settle`.
    fn connected(&mut self, now: Instant, settle: Duration, heard: Option<String>) {
        self.forget_proof();
        self.enter(now, Phase::Up(Up { began: now, heard, outstanding: None, trust: Trust::Unproved(None) }));
        if self.plan.is_driven {
            let text = format!("the {} driver is up; {} is being proved", self.plan.driver, self.urls.subject());
            self.event(Code::TunnelConnected, self.plan.driver, text);
        }
        self.timers.set(Timer::Prove, now + settle);
    }

    /// There is no tunnel: stops what is left of the driver, and waits.
    fn fail(&mut self, now: Instant, down: Down) {
        let former = self.stop_driver();
        self.wait(now, down, former);
    }

    fn wait(&mut self, now: Instant, down: Down, former: Former) {
        self.forget_proof();
        self.timers.cancel(Timer::Connect);
        // What waits to be written is written when it has been proved again.
        self.timers.cancel(Timer::Write);
        self.forgive(now);
        let pace = match self.lives.lost_at {
            Some(at) if self.plan.keeps_url && now.since(at) < SOON => Pace::Soon,
            _ => Pace::Patient,
        };
        let (first, longest) = retry::bounds(down.culprit, pace);
        self.backoff.set_bounds(first, longest);
        let wait = self.backoff.next(&mut self.random);
        let text = down.to_string();
        // The same again and again is told once.
        let level = match (self.reason.as_deref() == Some(&text), down.culprit) {
            (true, _) => Level::Info,
            (false, Culprit::HostKey | Culprit::Refused | Culprit::Config) => Level::Error,
            (false, Culprit::Network | Culprit::Program | Culprit::Login) => Level::Warning,
        };
        let code = if down.culprit == Culprit::HostKey { Code::TunnelHostKey } else { Code::TunnelDown };
        // Waits of minutes are shortened by whoever has mended it.
        let sooner = if first > MINOR { ", or at once after \"gateway reload\"" } else { "" };
        let line = format!("{text}; tried again in {:.1} s{sooner}", wait.as_secs_f64());
        self.log(Event::new(code, self.plan.driver, line).at(level));
        self.reason = Some(text);
        self.enter(now, Phase::Waiting(former));
        self.timers.set(Timer::Retry, now + wait);
    }

    /// Forgets the failures that lie before a tunnel that was proved and has ended now.
    fn forgive(&mut self, now: Instant) {
        let Phase::Up(Up { began, trust, .. }) = self.phase else { return };
        if !trust.came_through() {
            return;
        }
        self.lives.lost_at = Some(now);
        if now.since(began) >= STEADY {
            self.lives.short = 0;
            self.backoff.reset();
        } else if self.plan.keeps_url {
            self.lives.short = self.lives.short.saturating_add(1);
            self.backoff.reset_to(retry::doublings(self.lives.short));
        }
        // Otherwise the next start has a new URL, which DNS, Twilio and our flash have to learn: the waits go on growing.
    }

    fn enter(&mut self, now: Instant, phase: Phase) {
        let was = self.state();
        self.phase = phase;
        self.entered(now, was);
    }

    /// Tells of the state, if it is another one than it was.
    fn entered(&mut self, now: Instant, was: State) {
        let state = self.state();
        if state == was {
            return;
        }
        let (was, lasted) = (was.name(), now.since(self.since).as_secs());
        self.since = now;
        let is_fault = matches!(state, State::Doubtful | State::Waiting);
        let cause = self.reason.as_ref().filter(|_| is_fault).map(|reason| format!(": {reason}")).unwrap_or_default();
        // For the history; the log has a line of its own for what people should see.
        self.event(Code::TunnelState, self.plan.driver, format!("{} after {lasted} s {was}{cause}", state.name()));
    }

    fn event(&mut self, code: Code, subject: &str, text: impl Into<String>) {
        self.log(Event::new(code, subject, text));
    }

    fn log(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
