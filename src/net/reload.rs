//! Another configuration while the service runs: what takes effect at once, and what needs a restart.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::recorder::Recorder;
use super::shell::Shell;
use super::tls::Tls;
use super::tunnel::Tunnel;
use super::{drift, http};
use crate::config::{self, Config};
use crate::engine::Input;
use crate::event::{Event, Level};
use crate::store::Store;
use crate::tunnel::UrlFrom;

/// Reads the configuration again; a broken one changes nothing.
pub struct Reloader {
    pub path: PathBuf,
    pub environment: Option<String>,
    pub store: Store,
    pub shell: Rc<Shell>,
    pub shared: Arc<http::Shared>,
    pub recorder: Recorder,
    pub tunnel: Rc<Tunnel>,
    pub running: RefCell<Arc<Config>>,
}

impl Reloader {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.running.borrow())
    }

    /// Handsets are listened for on these addresses.
    pub fn listens_on(&self, listen: Vec<SocketAddr>) {
        let mut config = Config::clone(&self.config());
        config.lan.listen = listen;
        let config = Arc::new(config);
        *self.running.borrow_mut() = Arc::clone(&config);
        self.shell.input(Input::Reload { config, secrets: self.shared.secrets() });
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
        self.recorder.tell(&Event::new(level, "config.reload", self.path.display().to_string(), text.clone()));
        serde_json::json!({ "ok": result.is_ok(), "text": text }).to_string()
    }

    fn try_reload(&self) -> Result<Vec<String>, Vec<String>> {
        let mut config =
            config::load(&self.path).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if let Some(name) = &self.environment {
            config = config.selected(name).map_err(|error| vec![error.to_string()])?;
        }
        let secrets = self.store.secrets().map_err(|error| vec![error.to_string()])?.value;
        let tls =
            Tls::new(config.trunk.ca_file.as_deref(), &self.shell.clock).map_err(|error| vec![error.to_string()])?;
        let mut notes = Vec::new();
        // Without it everything else works.
        notes.extend(config.emergency.read_sound().err().map(|error| error.to_string()));
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
        // Whatever kept it down may have been mended.
        self.tunnel.retry();
        if config.tunnel.url_from == UrlFrom::Config {
            self.tunnel.configured(&config.webhook.public_url);
        }
        let (config, secrets) = (Arc::new(config), Arc::new(secrets));
        self.shell.set_tls(tls);
        self.shared.replace(Arc::clone(&config), Arc::clone(&secrets));
        *self.running.borrow_mut() = Arc::clone(&config);
        self.shell.input(Input::Reload { config, secrets });
        Ok(notes)
    }
}
