//! A new binary is run before it is put in place: does it start here, and can it live with the config and state of now?

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::FileError;
use crate::engine::Sizes;
use crate::registrar::Registrar;
use crate::store::{Owned, Secrets, Store, Warning};
use crate::time::{self, WallClock};

/// How long a run may take. It reads files. The error says it, too.
const LIMIT: Duration = Duration::from_secs(20);

/// How often a run is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Most that a run may print, in bytes: what a pipe holds, so that it never waits for us.
const MAX_PRINTED: u64 = 60 << 10;

/// Largest state that is copied, in bytes.
const MAX_STATE: u64 = 64 << 20;

/// Names that are tried for the folder of a copy.
const MAX_ATTEMPTS: u32 = 8;

/// Why a new binary is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    #[error("the new binary cannot be started on this machine: {0}")]
    NoStart(io::Error),
    #[error("the new binary did not end within 20 s: {0}")]
    Hangs(&'static str),
    #[error("the new binary fails: {0}: {1}")]
    Fails(&'static str, String),
    #[error("the new binary is no gateway: it says {0:?} of its version")]
    Stranger(String),
    #[error("the state cannot be copied for a trial: {0}")]
    State(#[from] FileError),
}

/// What `--version` of a binary says.
pub fn version(binary: &Path) -> Result<String, CandidateError> {
    let said = run(binary, "--version", &["--version".into()])?;
    match said.trim().strip_prefix("gateway ") {
        Some(version) if !version.contains(char::is_whitespace) => Ok(version.to_owned()),
        _ => Err(CandidateError::Stranger(said.trim().chars().take(80).collect())),
    }
}

/// Whether a version is lower than another, by its numbers; one that has other parts is not.
pub fn is_lower(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> { text.split('.').map(|part| part.parse().ok()).collect() };
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version < than,
        _ => false,
    }
}

/// Lets a binary read the config and a copy of the state, and write the state again: [`rewrite`] in its own words.
pub fn try_on(
    binary: &Path,
    config: &Path,
    environment: Option<&str>,
    state: &StateCopy,
) -> Result<(), CandidateError> {
    let mut arguments: Vec<OsString> = vec!["--config".into(), config.into()];
    if let Some(environment) = environment {
        arguments.extend(["--environment".into(), environment.into()]);
    }
    arguments.extend(["upgrade".into(), "--try".into(), state.dir().into()]);
    run(binary, "reading the config and the state that are here", &arguments).map(drop)
}

/// Runs it; what it printed. Without the variables that make systemd listen to it.
fn run(binary: &Path, what: &'static str, arguments: &[OsString]) -> Result<String, CandidateError> {
    let mut child = Command::new(binary)
        .args(arguments)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CandidateError::NoStart)?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(CandidateError::NoStart)? {
            Some(status) => break status,
            None if began.elapsed() < LIMIT => std::thread::sleep(LOOK),
            None => {
                end(&mut child);
                return Err(CandidateError::Hangs(what));
            }
        }
    };
    let (out, error) = (printed(child.stdout.take()), printed(child.stderr.take()));
    match status.success() {
        true => Ok(out),
        false => {
            let reason: Vec<&str> = error.lines().map(|line| line.trim_start_matches("gateway: ")).collect();
            let reason = if reason.is_empty() { status.to_string() } else { reason.join("; ") };
            Err(CandidateError::Fails(what, reason.chars().filter(|c| !c.is_control()).take(2000).collect()))
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself just now.
    let _ = child.kill();
    let _ = child.wait();
}

/// What is in a pipe whose writer has ended.
fn printed(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(MAX_PRINTED).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A copy of the state folder in memory (`/run`), for us alone; removed when dropped.
#[derive(Debug)]
pub struct StateCopy {
    dir: PathBuf,
}

impl StateCopy {
    /// Copies the files of the folder; what is below it is not ours.
    pub fn of(state: &Path) -> Result<StateCopy, FileError> {
        let copy = StateCopy::empty()?;
        let entries = match fs::read_dir(state) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(copy),
            Err(error) => return Err(FileError::new(state, "read", error)),
        };
        let mut left = MAX_STATE;
        for entry in entries {
            let entry = entry.map_err(|error| FileError::new(state, "read", error))?;
            let path = entry.path();
            let failed = |error| FileError::new(&path, "copied", error);
            let metadata = entry.metadata().map_err(failed)?;
            // What a cut left behind, and what nobody could read, is not loaded.
            let is_loaded = !path.extension().is_some_and(|extension| extension == "new" || extension == "bad");
            if !metadata.is_file() || !is_loaded {
                continue;
            }
            left = left
                .checked_sub(metadata.len())
                .ok_or_else(|| failed(io::Error::other(format!("the state is larger than {} MB", MAX_STATE >> 20))))?;
            fs::copy(&path, copy.dir.join(entry.file_name())).map_err(failed)?;
        }
        Ok(copy)
    }

    fn empty() -> Result<StateCopy, FileError> {
        let elsewhere = std::env::temp_dir();
        for attempt in 0..MAX_ATTEMPTS {
            for parent in [Path::new("/run"), &elsewhere] {
                let dir = parent.join(format!("gateway-upgrade-{}-{attempt}", std::process::id()));
                // Not one that is there: somebody else made it.
                if fs::DirBuilder::new().mode(0o700).create(&dir).is_ok() {
                    return Ok(StateCopy { dir });
                }
            }
        }
        Err(FileError::new(&elsewhere, "used", io::Error::other("no folder can be made there, nor in /run")))
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for StateCopy {
    fn drop(&mut self) {
        // It is in memory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What this version finds in a state, to be the same after another version wrote it.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    secrets: Secrets,
    owned: Owned,
    bindings: usize,
}

/// Reads a state; every file that cannot be understood is told.
pub fn read(state: &Path) -> Result<Content, Vec<String>> {
    through(state, false)
}

/// Reads a state and writes it again, as this version does.
pub fn rewrite(state: &Path) -> Result<Content, Vec<String>> {
    through(state, true)
}

fn through(state: &Path, is_written: bool) -> Result<Content, Vec<String>> {
    let failed = |error: crate::store::StoreError| vec![error.to_string()];
    let store = Store::open(state).map_err(failed)?;
    let (secrets, owned) = (store.secrets().map_err(failed)?, store.owned().map_err(failed)?);
    let bindings = store.bindings().map_err(failed)?;
    let warnings = [&secrets.warning, &owned.warning, &bindings.warning];
    let unreadable: Vec<String> = warnings
        .into_iter()
        .flatten()
        .filter(|warning| matches!(warning, Warning::Unreadable { .. }))
        .map(ToString::to_string)
        .collect();
    if !unreadable.is_empty() {
        return Err(unreadable);
    }
    let wall = WallClock::RELEASED;
    let registrar = Registrar::new(bindings.value.as_deref(), time::Instant::ZERO, wall);
    if is_written {
        store.save_secrets(&secrets.value).map_err(failed)?;
        store.save_owned(&owned.value).map_err(failed)?;
        store.save_bindings(&registrar.save(wall)).map_err(failed)?;
    }
    let bindings = registrar.sizes(Sizes::default()).bindings;
    Ok(Content { secrets: secrets.value, owned: owned.value, bindings })
}

/// Whether this version finds all that was there in what the other one wrote over it: else there is no way back.
pub fn compare(before: &Content, state: &StateCopy) -> Result<(), Vec<String>> {
    let after = read(state.dir())?;
    let lost = [
        (before.secrets != after.secrets, "passwords or keys are lost"),
        (before.owned != after.owned, "records of what is ours at Twilio are lost"),
        (before.bindings != after.bindings, "the phones' registrations are lost"),
    ];
    let lost: Vec<String> = lost.iter().filter(|(is_lost, _)| *is_lost).map(|(_, what)| (*what).to_owned()).collect();
    if lost.is_empty() { Ok(()) } else { Err(lost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_lower("0.9.0", "0.10.0"));
        assert!(is_lower("0.1", "0.1.1"));
        for (version, than) in [("0.10.0", "0.9.0"), ("1.0.0", "1.0.0"), ("0.1.0-rc1", "0.2.0")] {
            assert!(!is_lower(version, than), "{version} {than}");
        }
    }

    #[test]
    fn a_program_that_is_no_gateway_is_refused_with_what_it_says() {
        let error = version(Path::new("/bin/echo")).unwrap_err().to_string();
        assert!(error.starts_with("the new binary is no gateway: it says \"echo (GNU"), "{error}");
        let error = version(Path::new("/bin/false")).unwrap_err().to_string();
        assert_eq!(error, "the new binary fails: --version: exit status: 1");
        assert!(matches!(version(Path::new("/nonexistent")), Err(CandidateError::NoStart(_))));
    }

    /// A state folder in the memory of a copy, removed at the end.
    fn state(secrets: &str) -> StateCopy {
        let state = StateCopy::empty().unwrap();
        fs::write(state.dir().join("secrets.json"), secrets).unwrap();
        let binding = r#"{"extension":"101","contact":"sip:101@192.0.2.9","instance":null,"local":"192.0.2.1:5060",
            "remote":"192.0.2.9:5060","granted":300,"user_agent":null,"call_id":"1","cseq":1}"#;
        let bindings = format!(r#"{{"version":1,"written":0,"bindings":[{binding}]}}"#);
        fs::write(state.dir().join("bindings.json"), bindings).unwrap();
        state
    }

    const SECRETS: &str = r#"{"extensions":{"101":{"lan_password":"kept","trunk_passwords":{}}}}"#;

    #[test]
    fn a_state_that_this_version_writes_again_has_all_that_was_in_it() {
        let original = state(SECRETS);
        let copy = StateCopy::of(original.dir()).unwrap();
        let before = read(copy.dir()).unwrap();
        assert_eq!((before.secrets.extensions.len(), before.bindings), (1, 1));
        assert_eq!(rewrite(copy.dir()).unwrap(), before);
        compare(&before, &copy).unwrap();
        assert_eq!(fs::read_to_string(original.dir().join("secrets.json")).unwrap(), SECRETS);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_told_and_the_original_is_untouched() {
        let original = state("{");
        let copy = StateCopy::of(original.dir()).unwrap();
        assert!(rewrite(copy.dir()).unwrap_err()[0].contains("secrets.json cannot be understood"));
        assert_eq!(fs::read_to_string(original.dir().join("secrets.json")).unwrap(), "{");
    }

    #[test]
    fn a_state_that_another_version_lost_something_of_is_no_way_back() {
        let copy = state(SECRETS);
        let before = read(copy.dir()).unwrap();
        for (name, content) in [("secrets.json", "{}"), ("bindings.json", r#"{"version":2}"#)] {
            let lossy = StateCopy::of(copy.dir()).unwrap();
            fs::write(lossy.dir().join(name), content).unwrap();
            assert!(compare(&before, &lossy).is_err(), "{name}");
        }
    }

    #[test]
    fn a_copy_is_for_us_alone_and_goes_away() {
        use std::os::unix::fs::PermissionsExt;
        let copy = state(SECRETS);
        let dir = copy.dir().to_owned();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        drop(copy);
        assert!(!dir.exists());
    }
}
