//! `gateway run`

use std::path::PathBuf;

use super::{Done, failed};
use crate::log::{self, Target};

pub(super) fn run(path: PathBuf, target: Target) -> Done {
    log::init(target).map_err(failed)?;
    let config = super::load(&path)?;
    let store = super::open_store(&config)?;
    let _ = (config, store);
    Ok(())
}
