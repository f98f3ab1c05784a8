//! What the service of this box runs, also where its config file is broken: the file, else the copy that the service keeps
//! of the last good one, else what can be read of the file, else the defaults.

use std::path::{Path, PathBuf};

use super::ask::{self, AskError};
use super::failed;
use crate::config_file;
use crate::store::{Store, last_good};
use gateway_core::config::{self, Config, RUN_DIR, STATE_DIR};

/// A configuration that can be run.
pub(super) struct InForce {
    pub config: Config,
    /// The text that it was read from.
    pub text: String,
    /// What is wrong with the file, when this is the last good one.
    pub fault: Option<String>,
}

/// The config in force: the file's, or where that is broken the last good one. `environment` is selected in it.
pub(super) fn find(path: &Path, environment: Option<&str>) -> Result<InForce, Vec<String>> {
    let of_file = config_file::read(path).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>());
    let errors = match of_file.and_then(|(config, text)| Ok((select(config, environment)?, text))) {
        Ok((config, text)) => return Ok(InForce { config, text, fault: None }),
        Err(errors) => errors,
    };
    let fault = summary(&errors);
    let kept = last_good(path).and_then(|(config, text)| Some((select(config, environment).ok()?, text)));
    kept.map(|(config, text)| InForce { config, text, fault: Some(fault) }).ok_or(errors)
}

/// The last good configuration, for a file that is good and yet cannot be run for this reason.
pub(super) fn instead(path: &Path, environment: Option<&str>, errors: Vec<String>) -> Result<InForce, Vec<String>> {
    let Some((config, text)) = last_good(path) else { return Err(errors) };
    let config = select(config, environment)?;
    Ok(InForce { config, text, fault: Some(summary(&errors)) })
}

fn select(config: Config, environment: Option<&str>) -> Result<Config, Vec<String>> {
    match environment {
        Some(name) => config.selected(name).map_err(failed),
        None => Ok(config),
    }
}

/// The first mistake, and how many there are.
fn summary(errors: &[String]) -> String {
    let first = errors.first().cloned().unwrap_or_default();
    match errors.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more)", more - 1),
    }
}

/// What to say of a broken file that the last good one stands in for.
pub(super) fn told(path: &Path, fault: &str) -> String {
    let check = format!("\"gateway check {}\"", path.display());
    format!("{fault}; the last good configuration is used. {check} shows what to fix; then run \"gateway reload\"")
}

/// Each folder that may hold the state of the config file at `path`, the likeliest first.
fn state_folders(path: &Path) -> Vec<PathBuf> {
    let told = config::folders(&std::fs::read(path).unwrap_or_default(), path).state;
    let of_systemd = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    // Where /var is RAM, as on OpenWrt, the state is beside the config.
    let beside = path.parent().unwrap_or(Path::new("")).join("state");
    [told, of_systemd, Some(beside), Some(PathBuf::from(STATE_DIR))].into_iter().flatten().collect()
}

fn last_good(path: &Path) -> Option<(Config, String)> {
    let folders = state_folders(path).into_iter().filter(|dir| last_good::is_in(dir));
    folders.filter_map(|dir| Store::open_to_serve(&dir).ok()).find_map(|(store, _)| last_good::config(&store, path))
}

/// The state folder of the config file at `path`, where there is one. Nothing is made.
pub(super) fn state_dir(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = find(path, None) {
        return Some(found.config.site.state_dir);
    }
    let told = config::folders(&std::fs::read(path).unwrap_or_default(), path).state;
    told.or_else(|| Some(PathBuf::from(STATE_DIR))).filter(|dir| dir.is_dir())
}

/// Asks the running service, wherever its control socket is. A broken file is no reason not to.
pub(super) fn ask(path: &Path, command: &str, timeout: std::time::Duration) -> Result<String, AskError> {
    let (run_dirs, fault) = run_dirs(path);
    if let Some(fault) = fault {
        super::warn(&[told(path, &fault)]);
    }
    let mut first = None;
    for dir in run_dirs {
        match ask::ask_at(&dir.join(crate::net::control_socket::SOCKET), command, timeout) {
            Err(AskError::NotRunning(text)) => drop(first.get_or_insert(AskError::NotRunning(text))),
            answer => return answer,
        }
    }
    // There is always one folder at least.
    Err(first.unwrap_or_else(|| AskError::NotRunning("no control socket".to_owned())))
}

/// Folders that may hold the control socket, and what is wrong with the file.
fn run_dirs(path: &Path) -> (Vec<PathBuf>, Option<String>) {
    let errors = match config_file::load(path) {
        Ok(config) => return (vec![config.site.run_dir], None),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    let told = config::folders(&std::fs::read(path).unwrap_or_default(), path).run;
    let kept = last_good(path).map(|(config, _)| config.site.run_dir);
    // The default stands for a file that says nothing of it.
    let default = (told.is_none() && kept.is_none()).then(|| PathBuf::from(RUN_DIR));
    ([kept, told, default].into_iter().flatten().collect(), Some(summary(&errors)))
}
