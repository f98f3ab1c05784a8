//! Runs the [`Watch`] of the tunnel: gives it a clock, starts and stops the driver, makes its proofs.

mod service;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant as Deadline;

use crate::net::blocking::run_blocking;
use crate::net::clock::Clock;
use crate::store::Store;
use crate::tunnel::watch::{Input, Output, Watch};
use crate::tunnel::{Place, Report, Reports, Running, STOP_LIMIT, start};
use crate::twilio::url_proof::fetch;
use gateway_core::config::tunnel::Settings;
use gateway_core::event::Event;
use gateway_core::random::Random;
use gateway_core::status::{TunnelState, TunnelStatus};
use gateway_core::twiml::NONCE_PATH;
use gateway_core::twiml::proof::proof;
pub use service::of_service;

/// Most inputs that wait; signed requests beyond it are not counted as proofs.
const MAX_INPUTS: usize = 64;

/// Whether a URL (first argument) leads to this box: it answers a nonce (second) as only this box can. Blocking.
pub type Prove = Arc<dyn Fn(&str, &str) -> Result<(), String> + Send + Sync>;

/// Has Twilio call the new URL (second argument) instead of the old one, and reads it back. Blocking.
pub type WriteUrl = Arc<dyn Fn(&str, &str) -> Result<(), String> + Send + Sync>;

/// The usual [`Prove`]: fetches [`NONCE_PATH`] through DNS, the internet and the tunnel, and compares the answer with
/// what the secrets say. They are read each time, for they may change.
pub fn prover(store: Store, ca_file: Option<PathBuf>, clock: Clock) -> Prove {
    Arc::new(move |url, nonce| {
        let secrets = store.secrets().map_err(|error| error.to_string())?.value;
        let expected = proof(&secrets, nonce).ok_or("there are no secrets yet; run \"gateway setup\"")?;
        let is_ours = |answer: &str| answer == expected;
        fetch(url, &format!("{NONCE_PATH}{nonce}"), ca_file.as_deref(), &clock, is_ours)
            .map_err(|error| error.to_string())
    })
}

/// Takes the URLs that signatures may be made over from now on, the present one first. Must not block.
pub type TakeUrls = Box<dyn FnMut(Vec<String>) + Send>;

/// Takes events. Must not block.
pub type Tell = Arc<dyn Fn(&Event) + Send + Sync>;

/// What a tunnel is run with.
pub struct Options {
    pub settings: Settings,
    pub place: Place,
    /// What Twilio has been told last.
    pub known_url: String,
    pub seed: [u8; 32],
    pub prove: Prove,
    pub write_url: WriteUrl,
    pub take_urls: TakeUrls,
    /// Takes the URLs that a request of Twilio's would prove.
    pub take_announced: TakeUrls,
    pub events: Tell,
}

/// A tunnel that runs. Dropping it ends it by force; [`Tunnel::stop`] is friendlier.
#[derive(Debug)]
pub struct Tunnel {
    watch: Arc<Mutex<Watch>>,
    clock: Clock,
    inputs: mpsc::Sender<Input>,
    task: AbortHandle,
}

impl Tunnel {
    /// Starts it, within a tokio runtime.
    pub fn start(options: Options) -> Tunnel {
        let clock = options.place.clock.clone();
        let random = Random::new(options.seed);
        let watch = Watch::new(clock.now(), &options.settings, &options.known_url, random);
        let watch = Arc::new(Mutex::new(watch));
        let (inputs, received) = mpsc::channel(MAX_INPUTS);
        let runner = Runner {
            watch: Arc::clone(&watch),
            options,
            inputs: inputs.downgrade(),
            slot: None,
            writing: Writing::Idle,
        };
        Tunnel { watch, clock, inputs, task: tokio::spawn(runner.run(received)).abort_handle() }
    }

    /// For `gateway status`.
    pub fn status(&self) -> TunnelStatus {
        lock(&self.watch).status(self.clock.now())
    }

    /// The public URLs that signatures may be made over, the present one first.
    pub fn urls(&self) -> Vec<String> {
        lock(&self.watch).urls()
    }

    /// A request of Twilio's came in by this URL.
    pub fn request(&self, by: &str) {
        let _ = self.inputs.try_send(Input::Request { by: by.to_owned() });
    }

    /// The configured URL is another one from now on.
    pub fn configured(&self, url: &str) {
        let _ = self.inputs.try_send(Input::Configured(url.to_owned()));
    }

    /// Tries at once what waits: the line is back, or a person has mended something.
    pub fn retry(&self) {
        let _ = self.inputs.try_send(Input::Retry);
    }

    /// Stops the driver and waits until all that it had started is gone.
    pub async fn stop(&self) {
        let _ = self.inputs.send(Input::Stop).await;
        // The runner holds the only receiver, and ends with it.
        self.inputs.closed().await;
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A driver, from its start until all of it is gone.
struct Slot {
    life: Life,
    reports: mpsc::Receiver<Report>,
}

/// Where a driver is in its life.
enum Life {
    Running(Running),
    /// It was told to stop, and patience ends then.
    Stopping {
        until: Deadline,
        force: AbortHandle,
    },
    /// Patience has ended.
    Forced,
}

/// A URL on its way to Twilio.
enum Writing {
    Idle,
    /// One is being written; the next one, old and new, waits here.
    Busy {
        next: Option<(String, String)>,
    },
}

struct Runner {
    watch: Arc<Mutex<Watch>>,
    options: Options,
    inputs: mpsc::WeakSender<Input>,
    slot: Option<Slot>,
    writing: Writing,
}

impl Runner {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        self.input(Input::Start);
        loop {
            let timeout = self.obey();
            let is_off = lock(&self.watch).state() == TunnelState::Off;
            if is_off && self.slot.is_none() {
                return;
            }
            let until = match &self.slot {
                Some(Slot { life: Life::Stopping { until, .. }, .. }) => Some(*until),
                _ => None,
            };
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => {
                        if let Input::UrlWritten { .. } = input {
                            self.written();
                        }
                        self.input(input);
                    }
                    // The tunnel was dropped.
                    None => return,
                },
                report = next(&mut self.slot) => match report {
                    Some(report) => self.input(Input::Report(report)),
                    None => {
                        self.slot = None;
                        self.input(Input::Stopped);
                    }
                },
                () = sleep_until(timeout) => {
                    let now = self.options.place.clock.now();
                    lock(&self.watch).handle_timeout(now);
                }
                () = sleep_until(until) => {
                    if let Some(slot) = &mut self.slot
                        && let Life::Stopping { force, .. } = std::mem::replace(&mut slot.life, Life::Forced)
                    {
                        force.abort();
                    }
                }
            }
        }
    }

    fn input(&self, input: Input) {
        let now = self.options.place.clock.now();
        lock(&self.watch).handle(now, input);
    }

    /// Does what the watch wants; when it wants to be woken.
    fn obey(&mut self) -> Option<Deadline> {
        loop {
            // Not locked while it is obeyed: what is called may ask for the status.
            let output = lock(&self.watch).poll_output();
            match output {
                None => break,
                Some(Output::StartDriver) => {
                    let (reports, received) = Reports::channel();
                    let running = start(&self.options.settings, self.options.place.clone(), reports);
                    self.slot = Some(Slot { life: Life::Running(running), reports: received });
                }
                Some(Output::StopDriver) => {
                    if let Some(slot) = &mut self.slot
                        && let Life::Running(running) = &slot.life
                    {
                        let (until, force) = (Deadline::now() + STOP_LIMIT, running.force());
                        slot.life = Life::Stopping { until, force };
                    }
                }
                Some(Output::Prove { url, nonce }) => self.prove(url, nonce),
                Some(Output::UrlChanged { old, new }) => self.write(old, new),
                Some(Output::Urls(urls)) => (self.options.take_urls)(urls),
                Some(Output::Announced(urls)) => (self.options.take_announced)(urls),
                Some(Output::Event(event)) => (self.options.events)(&event),
            }
        }
        let at = lock(&self.watch).poll_timeout()?;
        Some(Deadline::from_std(self.options.place.clock.at(at)))
    }

    fn prove(&self, url: String, nonce: String) {
        let (prove, inputs) = (Arc::clone(&self.options.prove), self.inputs.clone());
        tokio::spawn(async move {
            let asked = nonce.clone();
            let result = run_blocking("tunnel", move || prove(&url, &asked)).await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(Input::Proof { nonce, result }).await;
            }
        });
    }

    /// The write under way is over: the next one.
    fn written(&mut self) {
        if let Writing::Busy { next: Some((old, new)) } = std::mem::replace(&mut self.writing, Writing::Idle) {
            self.write(old, new);
        }
    }

    /// One at a time, and of those that wait the last.
    fn write(&mut self, old: String, new: String) {
        if let Writing::Busy { next } = &mut self.writing {
            *next = Some((old, new));
            return;
        }
        self.writing = Writing::Busy { next: None };
        let (write, inputs) = (Arc::clone(&self.options.write_url), self.inputs.clone());
        tokio::spawn(async move {
            let url = new.clone();
            let result = run_blocking("tunnel", move || write(&old, &new)).await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(Input::UrlWritten { url, result }).await;
            }
        });
    }
}

/// The next report, `None` when the driver is gone; never, where there is none.
async fn next(slot: &mut Option<Slot>) -> Option<Report> {
    match slot {
        Some(slot) => slot.reports.recv().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::store::Store;
    use gateway_core::config::tunnel::{Driver, Program, UrlFrom};

    const OLD: &str = "https://old.trycloudflare.com";

    /// A tunnel whose program is this script, and what was asked of it.
    struct Scene {
        tunnel: Tunnel,
        proofs: mpsc::UnboundedReceiver<String>,
        writes: mpsc::UnboundedReceiver<(String, String)>,
        urls: mpsc::UnboundedReceiver<Vec<String>>,
    }

    fn scene(script: &str, proved: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Scene {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let driver = Driver::Command(Program { argv, environment: None });
        let settings = Settings { driver, url_from: UrlFrom::Output, ..Settings::default() };
        let store = Store::open(&std::env::temp_dir().join("gateway-net-tunnel-tests")).unwrap();
        let (asked, proofs) = mpsc::unbounded_channel();
        let (wrote, writes) = mpsc::unbounded_channel();
        let (took, urls) = mpsc::unbounded_channel();
        let tunnel = Tunnel::start(Options {
            settings,
            place: Place { local: SocketAddr::from(([127, 0, 0, 1], 8080)), store, clock: Clock::start(None) },
            known_url: OLD.into(),
            seed: [7; 32],
            prove: Arc::new(move |url, _| {
                let _ = asked.send(url.to_owned());
                proved()
            }),
            write_url: Arc::new(move |old, new| {
                wrote.send((old.into(), new.into())).map_err(|error| error.to_string())
            }),
            take_urls: Box::new(move |urls| drop(took.send(urls))),
            take_announced: Box::new(drop),
            events: Arc::new(|_| {}),
        });
        Scene { tunnel, proofs, writes, urls }
    }

    async fn until(scene: &Scene, state: TunnelState) {
        while scene.tunnel.status().state != state {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_url_that_the_program_announces_is_proved_taken_for_signatures_and_written_to_twilio() {
        let mut scene = scene("echo https://new.trycloudflare.com; exec sleep 1000", || Ok(()));
        let new = "https://new.trycloudflare.com".to_owned();
        until(&scene, TunnelState::Connected).await;
        assert!(scene.writes.try_recv().is_err() && scene.urls.try_recv().is_err(), "it is not proved yet");
        assert_eq!(scene.tunnel.urls(), [OLD]);
        // Some seconds later: a new name may not be in DNS yet.
        assert_eq!(scene.proofs.recv().await.as_deref(), Some(new.as_str()));
        assert_eq!(scene.urls.recv().await, Some(vec![new.clone(), OLD.to_owned()]));
        assert_eq!(scene.writes.recv().await, Some((OLD.to_owned(), new.clone())));
        until(&scene, TunnelState::Proved).await;
        while !scene.tunnel.status().written {
            tokio::task::yield_now().await;
        }
        assert_eq!(scene.tunnel.urls(), [new, OLD.to_owned()]);
        scene.tunnel.stop().await;
    }

    #[tokio::test]
    async fn the_known_url_is_proved_at_once_and_stopping_leaves_nothing_behind() {
        let dir = std::env::temp_dir().join(format!("gateway-net-tunnel-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("pid");
        let script = format!("echo $$ > {}; echo {OLD}; exec sleep 1000", file.display());
        let mut scene = scene(&script, || Ok(()));
        assert_eq!(scene.proofs.recv().await.as_deref(), Some(OLD));
        until(&scene, TunnelState::Proved).await;
        let pid = std::fs::read_to_string(&file).unwrap();
        let status = format!("/proc/{}", pid.trim());
        assert!(std::path::Path::new(&status).exists());
        scene.tunnel.stop().await;
        assert!(!std::path::Path::new(&status).exists(), "it was waited for, so that not even a zombie is left");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_told_in_the_status() {
        let scene = scene("echo 'no such tunnel'; exit 7", || Ok(()));
        until(&scene, TunnelState::Waiting).await;
        let reason = scene.tunnel.status().reason.unwrap();
        assert!(reason.contains("exit code 7") && reason.contains("no such tunnel"), "{reason}");
        scene.tunnel.stop().await;
    }
}
