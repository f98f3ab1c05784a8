//! `gateway check [FILE]`

use std::path::Path;

use super::Done;

pub(super) fn run(file: &Path) -> Done {
    let config = super::load(file)?;
    let (extensions, numbers) = (config.extensions.len(), config.numbers.len());
    super::print(&format!("{}: no mistakes; extensions: {extensions}, numbers: {numbers}\n", file.display()));
    Ok(())
}

/// `gateway check --account`
pub(super) fn account(path: &Path, environment: Option<&str>, json: bool, trace: bool) -> Done {
    let _ = (path, environment, json, trace);
    Err(super::failed("check --account is not there yet"))
}
