//! Another configuration while the service runs: what takes effect at once, and what needs a restart.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::drift;
use super::trouble::Troubles;
use super::tunnel::Tunnel;
use crate::config_file;
use crate::memory;
use crate::net::driver::Driver;
use crate::net::recorder::Recorder;
use crate::net::tls::Tls;
use crate::net::{descriptors, http};
use crate::store::pace::Pace;
use crate::store::{Store, last_good};
use gateway_core::config::Config;
use gateway_core::config::tunnel::UrlFrom;
use gateway_core::engine::Input;
use gateway_core::event::{Code, Event, Level};

/// Reads the configuration again; a broken one changes nothing.
pub struct Reloader {
    pub path: PathBuf,
    pub environment: Option<String>,
    pub store: Store,
    pub driver: Rc<Driver>,
    pub shared: Arc<http::Shared>,
    pub recorder: Recorder,
    pub tunnel: Rc<Tunnel>,
    pub running: InForce,
    pub troubles: Troubles,
    /// The number of the newest text that is kept as the last good one.
    pub kept: Rc<Cell<u64>>,
}

/// The configuration in force.
#[derive(Debug)]
pub struct InForce {
    config: RefCell<Arc<Config>>,
    /// `limits.calls` as it is written; in force may be less.
    calls: Cell<usize>,
}

impl InForce {
    /// This one, until another is; `calls` is its `limits.calls` as it is written.
    pub fn new(config: Arc<Config>, calls: usize) -> InForce {
        InForce { config: RefCell::new(config), calls: Cell::new(calls) }
    }

    fn get(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    fn set(&self, config: &Arc<Config>) {
        *self.config.borrow_mut() = Arc::clone(config);
    }
}

/// How often it is looked for how many calls there are descriptors.
const LOOK: Duration = Duration::from_secs(2);

impl Reloader {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.running.get()
    }

    /// Handsets are listened for on these addresses.
    pub fn listens_on(&self, listen: Vec<SocketAddr>) {
        let mut config = Config::clone(&self.config());
        config.lan.listen = listen;
        self.put_in_force(config);
    }

    /// A change that no file told of.
    fn put_in_force(&self, config: Config) {
        let config = Arc::new(config);
        self.running.set(&config);
        self.driver.input(Input::Reload { config, secrets: self.shared.secrets() });
    }

    /// Fits the number of calls to the descriptors that the system allows, which may change while we run.
    pub async fn keep_fitting(self: Rc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let mut config = Config::clone(&self.config());
            let before = std::mem::replace(&mut config.limits.calls, self.running.calls.get());
            // What memory lacks was told when the configuration came.
            let _ = self.fit(&mut config);
            if config.limits.calls != before {
                self.put_in_force(config);
            }
        }
    }

    /// What the configuration in force says of the comparison with the account.
    pub fn drift_wanted(&self) -> drift::Wanted {
        let running = self.config();
        drift::Wanted { environment: running.site.environment.clone(), period: running.twilio.drift_check }
    }

    /// The answer for `gateway reload`, as JSON.
    pub fn reload(&self) -> String {
        let result = self.try_reload();
        let (level, text) = match &result {
            Ok(notes) if notes.is_empty() => (Level::Notice, "the new configuration is in force".to_string()),
            Ok(notes) => (Level::Warning, format!("the new configuration is in force, but {}", notes.join("; "))),
            Err(errors) => (Level::Error, format!("the old configuration stays in force: {}", errors.join("; "))),
        };
        self.recorder.record(&Event::new(Code::ConfigReload, self.path.display().to_string(), text.clone()).at(level));
        serde_json::json!({ "ok": result.is_ok(), "text": text }).to_string()
    }

    /// Keeps this text as the last good configuration, off this thread: flash may take seconds. A flash that does not take
    /// it is tried again at the pace of [`Pace`], until there is a newer text.
    pub fn keep(&self, text: String) {
        let (store, path, recorder) = (self.store.clone(), self.path.clone(), self.recorder.clone());
        let clock = self.driver.clock.clone();
        let newest = Rc::clone(&self.kept);
        let own = newest.get() + 1;
        newest.set(own);
        tokio::task::spawn_local(async move {
            let mut pace = Pace::default();
            while newest.get() == own {
                let (store, path, text) = (store.clone(), path.clone(), text.clone());
                let saved = tokio::task::spawn_blocking(move || last_good::save(&store, &path, &text)).await;
                let Ok(Err(error)) = saved else { return };
                if pace.failed(clock.now(), &error.to_string()) {
                    let text = format!("{error}; a later start with a broken config would have no other to run with");
                    recorder.record(&Event::new(Code::StoreFailed, "last good config", text));
                }
                tokio::time::sleep(pace.wait(clock.now())).await;
            }
        });
    }

    /// No more calls than there are descriptors and memory for.
    fn fit(&self, config: &mut Config) -> Option<String> {
        match descriptors::shortage(descriptors::limit(), config.limits.calls) {
            Some(shortage) => {
                if self.troubles.set("descriptors", shortage.clone()) {
                    self.recorder.record(&descriptors::event(&shortage));
                }
            }
            None => drop(self.troubles.clear("descriptors")),
        }
        let memory = memory::hold(config, self.shared.descriptors());
        config.limits.calls = descriptors::calls(descriptors::limit(), config.limits.calls);
        memory
    }

    fn try_reload(&self) -> Result<Vec<String>, Vec<String>> {
        let (mut config, text) = config_file::read(&self.path)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if let Some(name) = &self.environment {
            config = config.selected(name).map_err(|error| vec![error.to_string()])?;
        }
        let secrets = self.store.secrets().map_err(|error| vec![error.to_string()])?.value;
        let tls =
            Tls::new(config.trunk.ca_file.as_deref(), &self.driver.clock).map_err(|error| vec![error.to_string()])?;
        let mut notes = Vec::new();
        // Without it everything else works.
        notes.extend(config_file::sound::read(&mut config.emergency).err().map(|error| error.to_string()));
        let running = self.config();
        // What is bound once stays bound until a restart, and the configuration in force says so.
        if !config.lan.is_written_as(&running.lan) {
            config.lan.auto = running.lan.auto;
            notes.push("lan.listen needs a restart".to_string());
        }
        config.lan.listen.clone_from(&running.lan.listen);
        if config.webhook.listen != running.webhook.listen {
            config.webhook.listen = running.webhook.listen;
            notes.push("webhook.listen needs a restart".to_string());
        }
        if config.media.ports != running.media.ports {
            config.media.ports = running.media.ports;
            notes.push("media.ports needs a restart".to_string());
        }
        if config.dscp != running.dscp {
            config.dscp = running.dscp;
            notes.push("[dscp] needs a restart".to_string());
        }
        if config.site.state_dir != running.site.state_dir || config.site.run_dir != running.site.run_dir {
            config.site.state_dir.clone_from(&running.site.state_dir);
            config.site.run_dir.clone_from(&running.site.run_dir);
            notes.push("site.state_dir and site.run_dir need a restart".to_string());
        }
        if config.metrics != running.metrics {
            config.metrics.clone_from(&running.metrics);
            notes.push("metrics.listen needs a restart".to_string());
        }
        if config.tunnel != running.tunnel {
            config.tunnel.clone_from(&running.tunnel);
            notes.push("[tunnel] needs a restart".to_string());
        }
        self.running.calls.set(config.limits.calls);
        if let Some(shortage) = self.fit(&mut config) {
            self.recorder.record(&memory::event(&shortage));
        }
        self.troubles.clear("config");
        self.troubles.clear("secrets");
        let doors = config.open_doors();
        self.troubles.set_all("webhook", &doors);
        notes.extend(doors);
        self.keep(text);
        // Whatever kept it down may have been mended.
        self.tunnel.retry();
        if config.tunnel.url_from == UrlFrom::Config {
            self.tunnel.configured(&config.webhook.public_url);
        }
        let (config, secrets) = (Arc::new(config), Arc::new(secrets));
        self.driver.set_tls(tls);
        self.shared.replace(Arc::clone(&config), Arc::clone(&secrets));
        self.running.set(&config);
        self.driver.input(Input::Reload { config, secrets });
        Ok(notes)
    }
}
