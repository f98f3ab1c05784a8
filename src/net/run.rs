//! `gateway run`: opens everything, runs until told to stop.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::clock::Clock;
use super::desk::Desk;
use super::drift::Drift;
use super::lan::Lan;
use super::picture::Picture;
use super::recorder::Recorder;
use super::reload::Reloader;
use super::shell::Shell;
use super::tls::{Tls, TlsError};
use super::tunnel::{self, Tunnel};
use super::{control, http, keep, link, listening, metrics, rtp, timekeeper};
use crate::config::{self, Config};
use crate::engine::{Engine, Input};
use crate::event::{Event, Level};
use crate::media::Notice;
use crate::random::Random;
use crate::store::{Store, StoreError};
use crate::tunnel::Place;

/// How long a stop waits for BYEs and deregistrations to be answered.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{what} {address} cannot be opened: {source}{}", way_out(address, source))]
    Listen { what: &'static str, address: String, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// As the end of a sentence.
fn way_out(address: &str, error: &std::io::Error) -> String {
    // The control socket has no such address.
    let way = address.parse().ok().and_then(|address| listening::way_out(address, error));
    way.map(|way| format!("; {way}")).unwrap_or_default()
}

/// What is run.
pub struct Options {
    /// To read again at a reload.
    pub config_path: PathBuf,
    /// The environment to run instead of the file's; a reload keeps to it.
    pub environment: Option<String>,
    /// With that environment selected.
    pub config: Config,
    pub store: Store,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(options: Options) -> Result<(), RunError> {
    // Also the control socket is ours alone from its first moment on.
    umask(Mode::from_bits_truncate(0o077));
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(options))
}

/// Descriptors that the service wants: media of 2000 calls, connections of handsets and webhooks beside them.
const DESCRIPTORS: u64 = 16_384;

/// 1024 is the usual limit outside systemd, and a flood of connections reaches it before calls have their ports.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it fails the service runs with what it has, and tells of each port that it cannot open.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(DESCRIPTORS)), hard);
    }
}

async fn serve(options: Options) -> Result<(), RunError> {
    let Options { config_path, environment, config, store } = options;
    let (clock, recorder) = open_clock_and_recorder(&store);
    let config = Arc::new(config);
    let secrets = store.secrets_or_none()?;
    if let Some(warning) = &secrets.warning {
        recorder.tell(&keep::odd(warning));
    }
    let bindings = keep::bindings(&store, &recorder);
    let secrets = Arc::new(secrets.value);
    let tls = Tls::new(config.trunk.ca_file.as_deref(), &clock)?;

    let (notices, noticed) = mpsc::unbounded_channel();
    let media = rtp::start(
        rtp::MediaConfig { ports: config.media.ports, origin: clock.origin(), random: Random::new(seed()?) },
        // Not bounded: the engine bounds calls, and each makes a handful of notices; blocking would stop all media.
        move |notice| drop(notices.send(notice)),
    )
    .map_err(|source| RunError::Listen { what: "media thread", address: String::new(), source })?;

    let engine =
        Engine::new(Arc::clone(&config), Arc::clone(&secrets), bindings.as_deref(), seed()?, clock.now(), clock.wall());
    let shell = Shell::new(engine, clock.clone(), media, tls, recorder.clone());
    let lan = Lan::start(&shell, &config.lan).await.map_err(|(address, source)| RunError::Listen {
        what: "lan.listen",
        address: address.to_string(),
        source,
    })?;

    let webhooks = bind("webhook.listen", config.webhook.listen).await?;
    let webhook_address = webhooks.local_addr().unwrap_or(config.webhook.listen);
    let shared = Arc::new(http::Shared::new(Arc::clone(&config), secrets));
    let requests = serve_webhooks(webhooks, &shared, &config, &recorder);
    let place = Place { local: webhook_address, store: store.clone(), clock: clock.clone() };
    let random = Random::new(seed()?);
    let tunnel = tunnel::of_service(&config, &config_path, place, &shared, &recorder, random);
    let tunnel = Rc::new(tunnel);
    tokio::task::spawn_local(pass_requests(requests, Rc::clone(&tunnel)));

    let scrapers = match config.metrics.listen {
        Some(listen) => Some(bind("metrics.listen", listen).await?),
        None => None,
    };
    let (control, socket_path) = control::bind(&config.site.run_dir).await.map_err(|source| RunError::Listen {
        what: "control socket",
        address: config.site.run_dir.join(control::SOCKET).display().to_string(),
        source,
    })?;

    let drift = Drift::new(config_path.clone(), store.clone(), clock.clone(), recorder.clone(), Random::new(seed()?));
    let reloader = Rc::new(Reloader {
        path: config_path,
        environment,
        store: store.clone(),
        shell: Rc::clone(&shell),
        shared: Arc::clone(&shared),
        recorder: recorder.clone(),
        tunnel: Rc::clone(&tunnel),
        running: RefCell::new(Arc::clone(&config)),
    });
    let picture = Rc::new(Picture {
        shell: Rc::clone(&shell),
        lan: Rc::clone(&lan),
        drift: Rc::clone(&drift),
        tunnel: Rc::clone(&tunnel),
        webhooks: shared,
        store: store.clone(),
        recorder: recorder.clone(),
    });
    if let Some(scrapers) = scrapers {
        let picture = Rc::clone(&picture);
        tokio::task::spawn_local(metrics::serve(scrapers, Rc::new(move || picture.metrics())));
    }
    let desk = Desk { reloader: Rc::clone(&reloader), drift: Rc::clone(&drift), picture, recorder: recorder.clone() };
    tokio::task::spawn_local(control::serve(control, move |ask| desk.clone().answer(ask)));
    {
        let reloader = Rc::clone(&reloader);
        tokio::task::spawn_local(drift.keep_looking(move || reloader.drift_wanted()));
    }
    tokio::task::spawn_local(Rc::clone(&shell).keep_time());
    tokio::task::spawn_local(recorder.clone().keep());
    tokio::task::spawn_local(keep::keep_bindings(Rc::clone(&shell), store.clone(), clock.clone(), recorder.clone()));
    tokio::task::spawn_local(keep::tell_left_out());
    tokio::task::spawn_local(pass_notices(noticed, Rc::clone(&shell)));
    let office = Office { shell: Rc::clone(&shell), reloader: Rc::clone(&reloader), recorder: recorder.clone() };
    timekeeper::begin(&clock, &office);
    if let Some(trial) = crate::upgrade::on_trial() {
        recorder.tell(&Event::new(Level::Notice, "upgrade.trial", "gateway", trial));
    }
    shell.input(Input::Tick);
    tokio::task::spawn_local(timekeeper::keep(clock.clone(), office, Random::new(seed()?)));
    tokio::task::spawn_local(timekeeper::keep_record(clock.clone(), store.clone(), recorder.clone()));
    tokio::task::spawn_local(link::watch(Rc::clone(&shell), lan, Rc::clone(&reloader)));
    super::ready::tell();
    tokio::task::spawn_local(super::ready::feed_watchdog(Rc::clone(&shell)));

    told_to_stop(&reloader).await?;
    end_calls(&shell, &recorder).await;
    // Calls that end have requests of Twilio's yet to come, so the tunnel goes last.
    tunnel.stop().await;
    timekeeper::record(&clock, &store, &recorder, true);
    if let Some(json) = shell.take_bindings() {
        keep::save_last(&store, &json, &recorder);
    }
    recorder.save_last();
    control::unbind(&socket_path);
    Ok(())
}

/// The clock begins with the time that was recorded last. Phones are served also where that cannot be read.
fn open_clock_and_recorder(store: &Store) -> (Clock, Recorder) {
    let recorded = store.last_time();
    let clock = Clock::start(recorded.as_ref().ok().and_then(|recorded| recorded.value));
    let recorder = Recorder::open(store.clone(), clock.clone());
    let warning =
        recorded.map_or_else(|error| Some(error.to_string()), |loaded| loaded.warning.map(|one| one.to_string()));
    if let Some(warning) = warning {
        recorder.tell(&Event::new(Level::Warning, "store.warning", "state", warning));
    }
    (clock, recorder)
}

/// A TCP listener; `what` is the key of the config that names its address.
async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { what, address: address.to_string(), source })
}

/// Serves TwiML from now on. What comes back is told of each request that Twilio signed.
fn serve_webhooks(
    webhooks: TcpListener,
    shared: &Arc<http::Shared>,
    config: &Config,
    recorder: &Recorder,
) -> mpsc::Receiver<()> {
    let (came_in, requests) = mpsc::channel(1);
    let told = recorder.clone();
    tokio::spawn(http::serve(webhooks, Arc::clone(shared), move |event| {
        if event.is_from_twilio() {
            // One that waits says as much as two.
            let _ = came_in.try_send(());
        }
        told.tell(&event.event());
    }));
    recorder.tell(&Event::new(
        Level::Notice,
        "webhook.listening",
        config.webhook.listen.to_string(),
        match config.webhook.public_url.as_str() {
            "" => format!("TwiML for environment {}; the tunnel tells the public URL", config.site.environment),
            url => format!("TwiML for {url}, environment {}", config.site.environment),
        },
    ));
    requests
}

/// What Twilio asked proves the tunnel.
async fn pass_requests(mut requests: mpsc::Receiver<()>, tunnel: Rc<Tunnel>) {
    while requests.recv().await.is_some() {
        tunnel.request();
    }
}

/// What the media thread noticed, for the engine.
async fn pass_notices(mut noticed: mpsc::UnboundedReceiver<Notice>, shell: Rc<Shell>) {
    while let Some(notice) = noticed.recv().await {
        shell.input(Input::Media(notice));
    }
}

/// Until SIGTERM or SIGINT; SIGHUP reads the configuration again.
async fn told_to_stop(reloader: &Reloader) -> Result<(), RunError> {
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate()).map_err(RunError::Runtime)?,
        signal(SignalKind::interrupt()).map_err(RunError::Runtime)?,
        signal(SignalKind::hangup()).map_err(RunError::Runtime)?,
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => drop(reloader.reload()),
        }
    }
}

/// Ends calls and withdraws registrations, as far as that is answered within [`STOP_LIMIT`].
async fn end_calls(shell: &Rc<Shell>, recorder: &Recorder) {
    recorder.tell(&Event::new(
        Level::Notice,
        "service.stopping",
        "gateway",
        "calls are ended, registrations withdrawn",
    ));
    shell.input(Input::Stop);
    let stopped = async {
        while !shell.look(|engine, _| engine.is_stopped()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(STOP_LIMIT, stopped).await;
}

/// A seed from the system.
fn seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(RunError::Random)?;
    Ok(seed)
}

/// What the timekeeper needs of the service.
struct Office {
    shell: Rc<Shell>,
    reloader: Rc<Reloader>,
    recorder: Recorder,
}

impl timekeeper::Office for Office {
    fn servers(&self) -> Vec<config::Server> {
        self.reloader.config().clock.sntp.clone()
    }

    fn tell(&self, doubt: Option<String>) {
        self.shell.input(Input::Time { doubt });
    }

    fn record(&self, event: &Event) {
        self.recorder.tell(event);
    }

    fn is_urgent(&self) -> bool {
        self.shell.look(|engine, _| engine.needs_trunk())
    }
}
