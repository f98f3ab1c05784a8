//! Files that set-up reads and writes for people: the answers file and `gateway.toml`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::answers::Answers;
use crate::store::{self, Existing};
use gateway_core::config::MAX_FILE;

/// Reads an answers file. One with a token in it is for its owner alone.
pub(super) fn answers(path: &Path) -> Result<Answers, String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("{shown} cannot be read: {error}");
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > MAX_FILE {
        return Err(format!("{shown} is {} bytes long; at most {MAX_FILE} are read", metadata.len()));
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    let answers = Answers::read(&text).map_err(|wrong| format!("{shown}: {wrong}"))?;
    if answers.auth_token.is_some() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{shown} holds the auth token and others can read it; run \"chmod 600 {shown}\", and consider a new token"
        ));
    }
    Ok(answers)
}

/// Writes the config file: whole or not at all.
pub(super) fn write(path: &Path, text: &str, existing: Existing) -> Result<(), String> {
    store::write_config(path, text, existing).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// Whether a program can be started by this name, or path.
pub(super) fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_one =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    match name.contains('/') {
        true => is_one(Path::new(name)),
        false => std::env::split_paths(&path).any(|folder| is_one(&folder.join(name))),
    }
}

/// How the kernel calls this machine; empty when it does not say.
pub(super) fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
