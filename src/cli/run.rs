//! `gateway run`

use std::path::PathBuf;

use super::{Done, failed};
use crate::log::{self, Target};
use crate::net::run::Options;

pub(super) fn run(path: PathBuf, environment: Option<&str>, target: Target) -> Done {
    log::init(target).map_err(failed)?;
    let config = super::load_selected(&path, environment)?;
    let store = super::open_store(&config)?;
    crate::net::run::run(Options { config_path: path, environment: environment.map(str::to_owned), config, store })
        .map_err(failed)
}
