//! A new binary is run before it is put in place: does it start here, and can it live with the config and state of now?

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::FileError;
use crate::disk::{Disk, Owner, RealDisk};
use crate::history::{Entry, History};
use crate::store::{Pass, Store, StoreError, Warning, files};
use crate::twilio::public_url;
use gateway_account::owned::Owned;
use gateway_core::registrar::Registrar;
use gateway_core::secrets::Secrets;
use gateway_core::status::Sizes;
use gateway_core::time::{self, WallClock};

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
            // No more than was counted, should it grow meanwhile.
            let mut content = RealDisk.open(&path).map_err(failed)?.take(metadata.len());
            let to = copy.dir.join(entry.file_name());
            // What is full is the memory here, and not the flash.
            let created = RealDisk.create(&to, &mut content, 0o600, Owner::Ours);
            created.map_err(|error| FileError::new(&to, "written", error))?;
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
/// But for the answers of a set-up that was stopped: what cannot be read of those is asked again.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    secrets: Secrets,
    owned: Owned,
    bindings: usize,
    last_time: Option<WallClock>,
    history: Vec<Entry>,
    /// What was used outside, and a stop of spending.
    spend: Option<serde_json::Value>,
    tunnel_url: Option<(String, String)>,
    #[cfg(feature = "ssh-tunnel")]
    tunnel: crate::tunnel::ssh::Kept,
}

/// Reads a state; every file that cannot be understood is told.
pub fn read(state: &Path) -> Result<Content, Vec<String>> {
    through(state, Pass::Read)
}

/// Reads a state and writes it again, as this version does.
pub fn rewrite(state: &Path) -> Result<Content, Vec<String>> {
    through(state, Pass::Rewrite)
}

fn through(state: &Path, pass: Pass) -> Result<Content, Vec<String>> {
    let failed = |error: StoreError| vec![error.to_string()];
    let store = Store::open(state).map_err(failed)?;
    let (secrets, owned) = (store.secrets().map_err(failed)?, store.owned().map_err(failed)?);
    let (bindings, last_time) = (store.bindings().map_err(failed)?, store.last_time().map_err(failed)?);
    let spend = store.spend::<serde_json::Value>().map_err(failed)?;
    let warnings = [&secrets.warning, &owned.warning, &bindings.warning, &last_time.warning, &spend.warning];
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
    let history = store.file(files::HISTORY).map_err(failed)?;
    // Broken lines cost themselves alone (see there); those of another version are missing when it has written.
    let (mut lines, _) = History::load(history.as_deref().unwrap_or_default(), time::Instant::ZERO);
    if pass == Pass::Rewrite {
        store.save_secrets(&secrets.value).map_err(failed)?;
        store.save_owned(&owned.value).map_err(failed)?;
        store.save_bindings(&registrar.save(wall)).map_err(failed)?;
        if let Some(time) = last_time.value {
            store.save_last_time(time).map_err(failed)?;
        }
        if let Some(spend) = &spend.value {
            store.save_spend(spend).map_err(failed)?;
        }
        if history.is_some() {
            let lines = lines.lines(time::Instant::ZERO, wall);
            store.save_file(files::HISTORY, lines.as_bytes()).map_err(failed)?;
        }
    }
    Ok(Content {
        secrets: secrets.value,
        owned: owned.value,
        bindings: registrar.sizes(Sizes::default()).bindings,
        last_time: last_time.value,
        history: lines.entries().cloned().collect(),
        spend: spend.value,
        tunnel_url: public_url::kept(&store, pass).map_err(|error| vec![error])?,
        #[cfg(feature = "ssh-tunnel")]
        tunnel: crate::tunnel::ssh::kept(&store, pass)?,
    })
}

/// Whether this version finds all that was there in what the other one wrote over it: else there is no way back.
pub fn compare(before: &Content, state: &StateCopy) -> Result<(), Vec<String>> {
    let after = read(state.dir())?;
    let lost = [
        (before.secrets != after.secrets, "passwords or keys are lost"),
        (before.owned != after.owned, "records of what is ours at Twilio are lost"),
        (before.bindings != after.bindings, "the phones' registrations are lost"),
        (before.last_time != after.last_time, "the last time that was certain is lost"),
        (before.history != after.history, "the history is lost, or a part of it"),
        (before.spend != after.spend, "what was used outside, or a stop of spending, is lost"),
        (before.tunnel_url != after.tunnel_url, "the tunnel's URL is lost"),
        #[cfg(feature = "ssh-tunnel")]
        (before.tunnel != after.tunnel, "the tunnel's key or those of its servers are lost"),
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

    const SECRETS: &str = r#"{"extensions":{"101":{"lan_password":"kept","trunk_passwords":{}}}}"#;
    const ENTRY: &str =
        r#"{"run":1,"up":5,"at":null,"level":"notice","code":"call.ended","subject":"101","text":"busy"}"#;
    const SERVER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    /// A state folder with something in each file, in the memory of a copy; removed at the end.
    fn state() -> StateCopy {
        let state = StateCopy::empty().unwrap();
        let put = |name: &str, content: &str| fs::write(state.dir().join(name), content).unwrap();
        let binding = r#"{"extension":"101","contact":"sip:101@192.0.2.9","instance":null,"local":"192.0.2.1:5060",
            "remote":"192.0.2.9:5060","granted":300,"user_agent":null,"call_id":"1","cseq":1}"#;
        put(files::SECRETS, SECRETS);
        put(files::OWNED, r#"{"uploads":{"f":{"sha256":"00","version_sid":"ZN1"}}}"#);
        put(files::BINDINGS, &format!(r#"{{"version":1,"written":0,"bindings":[{binding}]}}"#));
        put(files::TIME, "1800000000");
        put(files::HISTORY, &format!("{ENTRY}\ntorn by a cut\n{ENTRY}\n"));
        put(files::SPEND, r#"{"stop":null,"tokens":["t"],"ledger":null}"#);
        put(files::TUNNEL_URL, "prod https://one.tunnel.example.com\n");
        put(files::TUNNEL_KNOWN_HOSTS, &format!("server.example.com {SERVER}\n"));
        put(files::TUNNEL_REFUSED_HOST_KEY, "");
        put(files::ANSWERS, "site = \"a\"\n");
        #[cfg(feature = "ssh-tunnel")]
        crate::tunnel::ssh::load_or_make(&Store::open(state.dir()).unwrap()).unwrap();
        state
    }

    #[test]
    fn a_state_that_this_version_writes_again_has_all_that_was_in_it() {
        let original = state();
        let copy = StateCopy::of(original.dir()).unwrap();
        let before = read(copy.dir()).unwrap();
        assert_eq!((before.secrets.extensions.len(), before.bindings, before.history.len()), (1, 1, 2));
        assert_eq!(before.last_time, Some(WallClock(1_800_000_000)));
        assert_eq!(before.tunnel_url.as_ref().unwrap().0, "prod");
        assert_eq!(rewrite(copy.dir()).unwrap(), before);
        compare(&before, &copy).unwrap();
        assert_eq!(fs::read_to_string(original.dir().join(files::SECRETS)).unwrap(), SECRETS);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_told_by_its_file_and_the_original_is_untouched() {
        for name in [files::SECRETS, files::OWNED, files::BINDINGS, files::TIME, files::TUNNEL_URL] {
            let original = state();
            fs::write(original.dir().join(name), "{").unwrap();
            let copy = StateCopy::of(original.dir()).unwrap();
            let told = rewrite(copy.dir()).unwrap_err();
            assert!(told[0].contains(&format!("/{name} ")), "{told:?}");
            assert_eq!(fs::read_to_string(original.dir().join(name)).unwrap(), "{");
        }
    }

    #[cfg(feature = "ssh-tunnel")]
    #[test]
    fn a_key_of_the_tunnel_that_cannot_be_read_is_told_by_its_file() {
        for (name, content) in [(files::TUNNEL_KEY, "no key"), (files::TUNNEL_KNOWN_HOSTS, "server.example.com moon\n")]
        {
            let copy = state();
            fs::write(copy.dir().join(name), content).unwrap();
            let told = rewrite(copy.dir()).unwrap_err();
            assert!(told[0].contains(&format!("/{name}")) && told[0].contains("; remove "), "{told:?}");
        }
    }

    #[test]
    fn a_state_that_another_version_lost_something_of_is_no_way_back() {
        let copy = state();
        let before = read(copy.dir()).unwrap();
        let mut lossy = vec![
            (files::SECRETS, Some("{}"), "passwords or keys"),
            (files::OWNED, Some("{}"), "records of what is ours"),
            (files::BINDINGS, Some(r#"{"version":2}"#), "the phones' registrations"),
            (files::TIME, Some("1700000000"), "the last time"),
            (files::TIME, None, "the last time"),
            (files::HISTORY, Some(ENTRY), "the history"),
            (files::SPEND, Some("{}"), "what was used outside"),
            (files::TUNNEL_URL, None, "the tunnel's URL"),
        ];
        if cfg!(feature = "ssh-tunnel") {
            lossy.extend([files::TUNNEL_KEY, files::TUNNEL_KNOWN_HOSTS].map(|name| (name, None, "the tunnel's key")));
        }
        for (name, content, what) in lossy {
            let after = StateCopy::of(copy.dir()).unwrap();
            let path = after.dir().join(name);
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            let told = compare(&before, &after).unwrap_err();
            assert!(told.len() == 1 && told[0].starts_with(what), "{name}: {told:?}");
        }
    }

    #[test]
    fn every_file_of_the_state_is_in_the_test_above_or_nothing_to_lose() {
        let state = state();
        for (name, _) in files::ALL {
            let is_made = state.dir().join(name).exists() || cfg!(not(feature = "ssh-tunnel"));
            let is_made_anew = [files::LOCK, files::RESTORING, files::LAST_GOOD].contains(&name);
            assert!(is_made || is_made_anew, "{name}");
        }
    }

    #[test]
    fn a_copy_is_for_us_alone_and_goes_away() {
        use std::os::unix::fs::PermissionsExt;
        let copy = state();
        let dir = copy.dir().to_owned();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        drop(copy);
        assert!(!dir.exists());
    }
}
