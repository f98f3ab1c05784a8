//! Files that set-up reads and writes for people: the answers file and `gateway.toml`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::answers::Answers;
use crate::config::MAX_FILE;

/// The config file holds no secrets, and the service reads it as somebody else.
const MODE: u32 = 0o644;

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

/// Writes the config file: whole or not at all. One that is there is replaced only when `replace` says so, and is kept
/// under another name.
pub(super) fn write(path: &Path, text: &str, replace: bool) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let new = suffixed(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if replace {
            match fs::remove_file(former(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::hard_link(path, former(path))?;
            fs::rename(&new, path)?;
        } else {
            // Unlike a rename, a link never replaces what somebody wrote meanwhile.
            fs::hard_link(&new, path)?;
            fs::remove_file(&new)?;
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(failed)
}

/// Where the former config file is kept.
pub(super) fn former(path: &Path) -> PathBuf {
    suffixed(path, ".old")
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
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
