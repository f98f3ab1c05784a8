//! `gateway run`: opens everything, runs until told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::control::Control;
use super::drift::Drift;
use super::reload::{InForce, Reloader};
use super::spend::{Fired, Spend};
use super::status::Overview;
use super::trouble::{Opening, Troubles};
use super::tunnel::{self, Tunnel};
use super::{link, persist, timekeeper};
use crate::config_file;
use crate::memory;
use crate::net::clock::Clock;
use crate::net::control_socket::Unbound;
use crate::net::descriptors::{self, Descriptors};
use crate::net::driver::Driver;
use crate::net::lan::Lan;
use crate::net::recorder::Recorder;
use crate::net::tls::Trust;
use crate::net::udp::Receiver;
use crate::net::{control_socket, http, listening, metrics, rtp};
use crate::store::Store;
use crate::tunnel::Place;
use gateway_core::config::{self, Config};
use gateway_core::engine::{Engine, Input};
use gateway_core::event::{Code, Event, Level};
use gateway_core::media::Notice;
use gateway_core::random::Random;
use gateway_core::time::trusted::{Occasion, TimeState};
use gateway_core::twiml::WebhookEvent;

/// How long a stop waits for BYEs and deregistrations to be answered.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Usage triggers that fired and were not seen to yet: there are a handful.
const FIRED: usize = 8;

/// Between two looks at whether it is through.
const STOP_LOOK: Duration = Duration::from_millis(20);

/// Why the service does not start: without these no phone can be served. Any other failure goes to the log, stops only
/// what needs it, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Two would take each other's calls, and write over each other's state.
    #[error(
        "another gateway is running with this run_dir: it answers at {0}; stop it first: \"systemctl stop gateway\""
    )]
    Running(String),
    /// Not a call has sound without it.
    #[error("the media thread cannot be started: {}; no call would have sound; is the system out of threads or memory?", .0.kind())]
    Media(std::io::Error),
    /// No phone is heard without it.
    #[error("the thread that reads from phones cannot be started: {}; is the system out of threads or memory?", .0.kind())]
    Receiver(std::io::Error),
    /// Tags, branches and nonces would be known beforehand.
    #[error("no randomness from the system: {0}")]
    Random(getrandom::Error),
    /// Nothing can be waited for without it.
    #[error("the runtime cannot be started: {}; is the system out of memory or file descriptors?", .0.kind())]
    Runtime(std::io::Error),
}

/// What is run.
pub struct Options {
    /// To read again at a reload.
    pub config_path: PathBuf,
    /// The environment to run instead of the file's; a reload keeps to it.
    pub environment: Option<String>,
    /// With that environment selected.
    pub config: Config,
    /// What it was read from: kept as the last good one once it has started.
    pub text: String,
    /// Why it is not the file's, and what to do: the last good one runs instead.
    pub fault: Option<String>,
    pub store: Store,
    /// What is odd about the state folder, if anything is.
    pub odd: Option<String>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(options: Options) -> Result<(), RunError> {
    // Also the control socket is ours alone from its first moment on.
    umask(Mode::from_bits_truncate(0o077));
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(options))
}

async fn serve(options: Options) -> Result<(), RunError> {
    let Options { config_path, environment, mut config, text, fault, store, odd } = options;
    // Before anything of the other's state is touched.
    let socket = control_socket::bind(&config.site.run_dir).await;
    if let Err(Unbound::Answered(path)) = &socket {
        return Err(RunError::Running(path.display().to_string()));
    }
    let (clock, recorder) = open_clock_and_recorder(&store);
    let troubles = Troubles::default();
    if let Some(fault) = &fault {
        recorder.record(&Event::new(Code::ConfigBroken, config_path.display().to_string(), fault));
        troubles.set("config", fault.clone());
    }
    troubles.set_all("webhook", &config.open_doors());
    if let Some(odd) = odd {
        recorder.record(&Event::new(Code::StoreWarning, "state", &odd).at(Level::Error));
        troubles.set("state", odd);
    }
    if let Some(shortage) = descriptors::shortage(descriptors::limit(), config.limits.calls) {
        recorder.record(&descriptors::event(&shortage));
        troubles.set("descriptors", shortage);
    }
    if let Err(error) = config_file::sound::read(&mut config.emergency) {
        recorder.record(&Event::new(Code::EmergencySound, "gateway", error.to_string()));
    }
    let calls = config.limits.calls;
    let descriptors = Descriptors::default();
    if let Some(shortage) = memory::hold(&mut config, &descriptors) {
        recorder.record(&memory::event(&shortage));
    }
    config.limits.calls = descriptors::calls(descriptors::limit(), config.limits.calls);
    let config = Arc::new(config);
    let secrets = Arc::new(persist::secrets(&store, &recorder, &troubles));
    let bindings = persist::bindings(&store, &recorder);
    let trust = Trust::new(config.trunk.ca_file.as_deref(), &clock);

    let (notices, noticed) = mpsc::unbounded_channel();
    let media = rtp::start(
        rtp::MediaConfig {
            ports: config.media.ports,
            dscp: config.dscp.rtp,
            origin: clock.origin(),
            random: Random::new(seed()?),
        },
        // Not bounded: the engine bounds calls, and each makes a handful of notices; blocking would stop all media.
        move |notice| drop(notices.send(notice)),
    )
    .map_err(RunError::Media)?;

    let engine =
        Engine::new(Arc::clone(&config), Arc::clone(&secrets), bindings.as_deref(), seed()?, clock.now(), clock.wall());
    let receiver =
        Receiver::start(clock.clone(), Arc::clone(&config), Random::new(seed()?).u64()).map_err(RunError::Receiver)?;
    let driver = Driver::new(engine, clock.clone(), media, trust, config.dscp.sip, recorder.clone(), receiver);
    let lan = Lan::start(&driver, &config.lan, descriptors.clone()).await;

    let opening = |what, code, subject: String, breaks| Opening {
        troubles: troubles.clone(),
        recorder: recorder.clone(),
        what,
        code,
        subject,
        breaks,
    };
    let webhooks = opening(
        "webhook.listen",
        Code::WebhookFailed,
        config.webhook.listen.to_string(),
        "Twilio's requests are not answered, so that no call comes in and none goes out but emergency calls",
    );
    let shared = Arc::new(http::Shared::new(Arc::clone(&config), secrets).with_descriptors(descriptors));
    driver.set_webhooks(Arc::clone(&shared));
    let (webhooks, local) = first_try(webhooks, config.webhook.listen).await;
    let spend = Spend::open(&driver, &shared, &store, &recorder, &troubles);
    let (fired, firing) = mpsc::channel(FIRED);
    tokio::task::spawn_local(Rc::clone(&spend).keep(firing));
    let requests = serve_webhooks(webhooks, &shared, &config, &recorder, fired);
    let place = Place { local, store: store.clone(), clock: clock.clone() };
    let random = Random::new(seed()?);
    let tunnel = tunnel::of_service(&config, &config_path, place, &shared, &recorder, random);
    let tunnel = Rc::new(tunnel);
    tokio::task::spawn_local(pass_requests(requests, Arc::clone(&shared), Rc::clone(&tunnel)));

    let drift = Drift::new(config_path.clone(), store.clone(), clock.clone(), recorder.clone(), Random::new(seed()?));
    let reloader = Rc::new(Reloader {
        path: config_path,
        environment,
        store: store.clone(),
        driver: Rc::clone(&driver),
        shared: Arc::clone(&shared),
        recorder: recorder.clone(),
        tunnel: Rc::clone(&tunnel),
        running: InForce::new(Arc::clone(&config), calls),
        troubles: troubles.clone(),
        kept: Rc::default(),
    });
    let overview = Rc::new(Overview {
        driver: Rc::clone(&driver),
        lan: Rc::clone(&lan),
        drift: Rc::clone(&drift),
        tunnel: Rc::clone(&tunnel),
        webhooks: shared,
        store: store.clone(),
        recorder: recorder.clone(),
        troubles: troubles.clone(),
    });
    if let Some(listen) = config.metrics.listen {
        let breaks = "nobody can read the figures";
        let metrics = opening("metrics.listen", Code::MetricsFailed, listen.to_string(), breaks);
        let overview = Rc::clone(&overview);
        tokio::task::spawn_local(async move {
            let scrapers = listener(&metrics, listen).await;
            metrics::serve(scrapers, Rc::new(move || overview.metrics())).await;
        });
    }
    let control = Control {
        reloader: Rc::clone(&reloader),
        drift: Rc::clone(&drift),
        overview,
        recorder: recorder.clone(),
        spend: Rc::clone(&spend),
    };
    let socket_path = config.site.run_dir.join(control_socket::SOCKET);
    let opening_socket = opening(
        "control socket",
        Code::ControlFailed,
        socket_path.display().to_string(),
        "\"gateway status\", \"reload\" and \"history\" get no answer",
    );
    let run_dir = config.site.run_dir.clone();
    tokio::task::spawn_local(async move {
        let mut first = socket.ok();
        let again = async || match first.take() {
            Some(bound) => Ok(bound),
            None => control_socket::bind(&run_dir).await.map_err(Unbound::into_error),
        };
        let helps = |_: &std::io::Error| Some("write a folder that its user may write to in site.run_dir");
        let listener = opening_socket.opened(again, helps).await;
        control_socket::serve(listener, move |ask| control.clone().answer(ask)).await;
    });
    {
        let reloader = Rc::clone(&reloader);
        tokio::task::spawn_local(drift.keep_looking(move || reloader.drift_wanted()));
    }
    tokio::task::spawn_local(Rc::clone(&reloader).keep_fitting());
    tokio::task::spawn_local(Rc::clone(&driver).keep_time());
    tokio::task::spawn_local(recorder.clone().keep());
    tokio::task::spawn_local(persist::persist_bindings(
        Rc::clone(&driver),
        store.clone(),
        clock.clone(),
        recorder.clone(),
    ));
    tokio::task::spawn_local(persist::log_left_out());
    tokio::task::spawn_local(pass_notices(noticed, Rc::clone(&driver)));
    let office = Office { driver: Rc::clone(&driver), reloader: Rc::clone(&reloader), recorder: recorder.clone() };
    timekeeper::begin(&clock, &office);
    if let Some(trial) = crate::upgrade::on_trial() {
        recorder.record(&Event::new(Code::UpgradeTrial, "gateway", trial));
    }
    driver.input(Input::Tick);
    tokio::task::spawn_local(timekeeper::keep(clock.clone(), office, Random::new(seed()?)));
    tokio::task::spawn_local(timekeeper::keep_record(clock.clone(), store.clone(), recorder.clone()));
    tokio::task::spawn_local(link::watch(Rc::clone(&driver), lan, Rc::clone(&reloader)));
    super::sd_notify::ready();
    tokio::task::spawn_local(super::sd_notify::feed_watchdog(Rc::clone(&driver)));
    if fault.is_none() {
        reloader.keep(text);
    }

    stop_requested(&reloader).await?;
    end_calls(&driver, &recorder).await;
    // Calls that end have requests of Twilio's yet to come, so the tunnel goes last.
    tunnel.stop().await;
    timekeeper::record(&clock, &store, &recorder, Occasion::Stop);
    if let Some(json) = driver.take_bindings() {
        persist::save_last(&store, &json, &recorder);
    }
    spend.save_last();
    recorder.save_last();
    control_socket::unbind(&socket_path);
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
        recorder.record(&Event::new(Code::StoreWarning, "state", warning));
    }
    (clock, recorder)
}

/// A TCP listener, as soon as there is one.
async fn listener(opening: &Opening, address: SocketAddr) -> TcpListener {
    opening.opened(async || TcpListener::bind(address).await, |error| listening::way_out(address, error)).await
}

/// What becomes a listener.
type Coming = std::pin::Pin<Box<dyn Future<Output = TcpListener>>>;

/// The listener when it is there, and the address that it has: known now, unless the address is taken and any port will do.
async fn first_try(opening: Opening, address: SocketAddr) -> (Coming, SocketAddr) {
    match TcpListener::bind(address).await {
        Ok(bound) => {
            let local = bound.local_addr().unwrap_or(address);
            (Box::pin(std::future::ready(bound)), local)
        }
        Err(_) => (Box::pin(async move { listener(&opening, address).await }), address),
    }
}

/// Serves TwiML as soon as it can. The receiver hears of each request that Twilio signed.
fn serve_webhooks(
    webhooks: Coming,
    shared: &Arc<http::Shared>,
    config: &Config,
    recorder: &Recorder,
    fired: mpsc::Sender<Fired>,
) -> mpsc::Receiver<()> {
    let (came_in, requests) = mpsc::channel(1);
    let (told, shared) = (recorder.clone(), Arc::clone(shared));
    let listening = Event::new(
        Code::WebhookListening,
        config.webhook.listen.to_string(),
        match config.webhook.public_url.as_str() {
            "" => format!("TwiML for environment {}; the tunnel tells the public URL", config.site.environment),
            url => format!("TwiML for {url}, environment {}", config.site.environment),
        },
    );
    tokio::task::spawn_local(async move {
        let webhooks = webhooks.await;
        told.record(&listening);
        let events = move |event: WebhookEvent| {
            if event.is_from_twilio() {
                // One that waits says as much as two.
                let _ = came_in.try_send(());
            }
            told.record(&event.event());
            if let Some(trigger) = Fired::of(&event) {
                // One that finds no room is one more of many.
                let _ = fired.try_send(trigger);
            }
        };
        http::serve(webhooks, shared, events).await;
    });
    requests
}

/// What Twilio asked proves the URL that it came by.
async fn pass_requests(mut requests: mpsc::Receiver<()>, shared: Arc<http::Shared>, tunnel: Rc<Tunnel>) {
    while requests.recv().await.is_some() {
        shared.came_by().iter().for_each(|url| tunnel.request(url));
    }
}

/// What the media thread noticed, for the engine.
async fn pass_notices(mut noticed: mpsc::UnboundedReceiver<Notice>, driver: Rc<Driver>) {
    while let Some(notice) = noticed.recv().await {
        driver.input(Input::Media(notice));
    }
}

/// Until SIGTERM or SIGINT; SIGHUP reads the configuration again.
async fn stop_requested(reloader: &Reloader) -> Result<(), RunError> {
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

/// Ends calls and withdraws registrations, as far as that is answered within [`STOP_LIMIT`]. An emergency call ends by
/// itself, however long that takes.
async fn end_calls(driver: &Rc<Driver>, recorder: &Recorder) {
    let text = match driver.look(|engine, _| engine.has_emergency()) {
        true => "calls are ended; the emergency call in progress goes on, and the service stops after it",
        false => "calls are ended, registrations withdrawn",
    };
    recorder.record(&Event::new(Code::ServiceStopping, "gateway", text));
    driver.input(Input::Stop);
    let (mut waited, mut asked) = (Duration::ZERO, None);
    while waited < STOP_LIMIT && !driver.look(|engine, _| engine.is_stopped()) {
        tokio::time::sleep(STOP_LOOK).await;
        waited += STOP_LOOK;
        if driver.look(|engine, _| engine.has_emergency()) {
            waited = Duration::ZERO;
            let now = driver.clock.now();
            if asked.is_none_or(|at| now.since(at) >= super::sd_notify::MORE_TIME / 3) {
                super::sd_notify::ask_for_time();
                asked = Some(now);
            }
        }
    }
}

/// A seed from the system.
fn seed() -> Result<[u8; 32], RunError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(RunError::Random)?;
    Ok(seed)
}

/// What the timekeeper needs of the service.
struct Office {
    driver: Rc<Driver>,
    reloader: Rc<Reloader>,
    recorder: Recorder,
}

impl timekeeper::Office for Office {
    fn servers(&self) -> Vec<config::Server> {
        self.reloader.config().clock.sntp.clone()
    }

    fn on_time(&self, time: TimeState) {
        self.driver.input(Input::Time(time));
    }

    fn record(&self, event: &Event) {
        self.recorder.record(event);
    }

    fn is_urgent(&self) -> bool {
        self.driver.look(|engine, _| engine.needs_trunk())
    }
}
