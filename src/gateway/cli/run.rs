//! `gateway run`

use std::path::{Path, PathBuf};

use super::in_force::{self, InForce};
use super::{Done, account, failed};
use crate::log::{self, Target};
use crate::service::run::Options;
use crate::store::{Store, StoreError};
use gateway_core::config::Config;

pub(super) fn run(path: PathBuf, environment: Option<&str>, target: Target) -> Done {
    if let Err(error) = log::init(target) {
        // It writes to stderr then: no log is no reason to serve no phones.
        super::warn(&failed(error));
    }
    let (InForce { config, text, fault }, store, odd) = open(&path, environment)?;
    let environment = environment.map(str::to_owned);
    let fault = fault.map(|fault| in_force::told(&path, &fault));
    let odd = odd.map(|odd| odd.to_string());
    crate::service::run::run(Options { config_path: path, environment, config, text, fault, store, odd })
        .map_err(failed)
}

type Opened = (InForce, Store, Option<StoreError>);

/// What can be run: the file with the state folder that it names, else the last good one with its own. A state folder that
/// cannot be opened at all ends the service: without the passwords in it no phone can prove who it is, and Twilio takes
/// no call.
fn open(path: &Path, environment: Option<&str>) -> Result<Opened, Vec<String>> {
    let found = in_force::find(path, environment)?;
    let errors = match store(&found.config) {
        Ok((store, odd)) => return Ok((found, store, odd)),
        Err(errors) => errors,
    };
    let found = in_force::instead(path, environment, errors)?;
    let (store, odd) = store(&found.config)?;
    Ok((found, store, odd))
}

fn store(config: &Config) -> Result<(Store, Option<StoreError>), Vec<String>> {
    let (store, odd) = Store::open_to_serve(&config.site.state_dir).map_err(failed)?;
    Ok((store.with_lent_token(account::lent_token()), odd))
}
