//! What must survive a restart, in `site.state_dir`: secrets, owned SIDs, bindings.
//!
//! Files are JSON, mode 0600 in a folder of mode 0700, replaced atomically and only when they change (flash wears out).
//! One that cannot be understood never counts as empty for whoever changes the account: it is an error until a person has
//! decided. The service alone goes on without secrets: they are kept aside as `NAME.bad`, and that is told.

mod atomic;
mod owned;
mod secrets;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use owned::{Changed, MAX_PROMOTIONS, Owned, Promotion, Record, Undo, Upload};
pub use secrets::{ApiKey, Credentials, ExtensionSecrets, Secrets};

use crate::secret::Secret;
use crate::time::WallClock;

const SECRETS: &str = "secrets.json";
const OWNED: &str = "twilio.json";
const BINDINGS: &str = "bindings.json";
const ANSWERS: &str = "answers.toml";
const LOCK: &str = "lock";

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    /// An auth token that shall not be on disk: it goes before the file's, and is never written.
    lent_token: Option<Secret<String>>,
}

/// The right to change secrets and owned SIDs, until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "dropping the file unlocks it")] std::fs::File);

/// A state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path} cannot be {doing}: {source}; check the owner and the space of its folder")]
    Io { path: String, doing: &'static str, source: std::io::Error },
    /// Without it, what is ours and what is at Twilio would be mistaken for something else.
    #[error(
        "{path} cannot be understood ({reason}); put a good copy in its place, or remove {broken} to begin without it"
    )]
    Broken { path: String, broken: String, reason: String },
}

/// What was loaded, and what was odd about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    pub value: T,
    pub warning: Option<Warning>,
}

/// Something about a state file that a person should know; the state was loaded all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Others could read the file; its mode is mended, what was in it may be known.
    Exposed { path: PathBuf },
    /// The file could not be understood, was kept aside and counts as empty.
    Unreadable { path: PathBuf, kept_as: PathBuf, reason: String },
    /// It was kept aside before and counts as empty still.
    KeptAside(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Exposed { path } => {
                write!(f, "{} could be read by others; its mode is now 0600, consider new secrets", path.display())
            }
            Warning::KeptAside(reason) => f.write_str(reason),
            Warning::Unreadable { path, kept_as, reason } => write!(
                f,
                "{} cannot be understood ({reason}); it is kept as {} and counts as empty",
                path.display(),
                kept_as.display()
            ),
        }
    }
}

impl Store {
    /// Opens the folder, and makes it when it is not there.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        atomic::make_dir(dir).map_err(|source| failed(dir, "opened", source))?;
        Ok(Store { dir: dir.to_owned(), lent_token: None })
    }

    /// With an auth token that takes the place of the one on disk and is never written there.
    pub fn with_lent_token(self, token: Option<Secret<String>>) -> Store {
        Store { lent_token: token, ..self }
    }

    /// Whether the auth token is one that is not on disk.
    pub fn has_lent_token(&self) -> bool {
        self.lent_token.is_some()
    }

    /// Waits for other commands that change secrets or owned SIDs, and keeps them out until the answer is dropped.
    /// `waiting` is told once who is waited for, if anybody is.
    pub fn lock(&self, waiting: &mut dyn FnMut(&str)) -> Result<Lock, StoreError> {
        let path = self.dir.join(LOCK);
        let mut tell = |pid: Option<u32>| match pid {
            Some(pid) => waiting(&format!("another gateway command (pid {pid}) is at work; waiting for it")),
            None => waiting("another gateway command is at work; waiting for it"),
        };
        atomic::lock(&path, &mut tell).map(Lock).map_err(|source| failed(&path, "locked", source))
    }

    /// When a former run last wrote something, by the clock of then.
    pub fn last_change(&self) -> Option<WallClock> {
        let written = |name| std::fs::metadata(self.dir.join(name)).ok()?.modified().ok();
        [SECRETS, OWNED, BINDINGS].into_iter().filter_map(written).max().map(WallClock::from_system)
    }

    /// `secrets.json`, and empty secrets in the place of a broken one, which is kept aside: for the start of the service,
    /// that must serve what it can.
    pub fn secrets_or_none(&self) -> Result<Loaded<Secrets>, StoreError> {
        self.load_or_none(SECRETS).map(|loaded| self.lend(loaded))
    }

    /// `secrets.json`.
    pub fn secrets(&self) -> Result<Loaded<Secrets>, StoreError> {
        self.load(SECRETS).map(|loaded| self.lend(loaded))
    }

    fn lend(&self, mut loaded: Loaded<Secrets>) -> Loaded<Secrets> {
        if let Some(token) = &self.lent_token {
            loaded.value.auth_token = Some(token.clone());
        }
        loaded
    }

    /// Replaces `secrets.json`.
    pub fn save_secrets(&self, secrets: &Secrets) -> Result<(), StoreError> {
        match self.lent_token {
            None => self.save(SECRETS, secrets),
            Some(_) => self.save(SECRETS, &Secrets { auth_token: None, ..secrets.clone() }),
        }
    }

    /// Removes the `secrets.json` that was kept aside because it could not be understood, and gives its path.
    pub fn remove_bad_secrets(&self) -> Result<Option<PathBuf>, StoreError> {
        let path = atomic::aside(&self.dir.join(SECRETS));
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, "removed", source)),
        }
    }

    /// `twilio.json`.
    pub fn owned(&self) -> Result<Loaded<Owned>, StoreError> {
        self.load(OWNED)
    }

    /// Replaces `twilio.json`.
    pub fn save_owned(&self, owned: &Owned) -> Result<(), StoreError> {
        self.save(OWNED, owned)
    }

    /// `bindings.json`: the registrar's bindings, JSON in its own shape; absent at first.
    pub fn bindings(&self) -> Result<Loaded<Option<String>>, StoreError> {
        let loaded: Loaded<Option<serde_json::Value>> = self.load_or_none(BINDINGS)?;
        Ok(Loaded { value: loaded.value.map(|value| value.to_string()), warning: loaded.warning })
    }

    /// Replaces `bindings.json` by what [`crate::engine::Engine::bindings`] gave out.
    pub fn save_bindings(&self, json: &str) -> Result<(), StoreError> {
        self.save_bytes(BINDINGS, json.as_bytes())
    }

    /// `answers.toml`: what set-up was told before it was stopped; its own shape, absent as a rule.
    pub fn answers(&self) -> Result<Option<String>, StoreError> {
        let path = self.dir.join(ANSWERS);
        match atomic::read(&path).map_err(|source| failed(&path, "read", source))? {
            atomic::Found::Content(content, _) => Ok(String::from_utf8(content).ok()),
            atomic::Found::Absent => Ok(None),
        }
    }

    /// Replaces `answers.toml`.
    pub fn save_answers(&self, text: &str) -> Result<(), StoreError> {
        self.save_bytes(ANSWERS, text.as_bytes())
    }

    /// Removes `answers.toml`, also when it is not there.
    pub fn remove_answers(&self) -> Result<(), StoreError> {
        let path = self.dir.join(ANSWERS);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(failed(&path, "removed", source)),
            _ => Ok(()),
        }
    }

    fn load<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Loaded<T>, StoreError> {
        let path = self.dir.join(name);
        let broken = |broken: &Path, reason: String| StoreError::Broken {
            path: path.display().to_string(),
            broken: broken.display().to_string(),
            reason,
        };
        let content = atomic::read(&path).map_err(|source| failed(&path, "read", source))?;
        let atomic::Found::Content(content, exposed) = content else {
            let aside = atomic::aside(&path);
            return match aside.exists() {
                true => Err(broken(&aside, format!("it was kept aside as {}", aside.display()))),
                false => Ok(Loaded { value: T::default(), warning: None }),
            };
        };
        match serde_json::from_slice(&content) {
            Ok(value) => Ok(Loaded { value, warning: exposed.then(|| Warning::Exposed { path: path.clone() }) }),
            // serde_json's own text may quote what it found, and that may be a secret.
            Err(error) => Err(broken(
                &path,
                format!("line {}, column {}: {:?} error", error.line(), error.column(), error.classify()),
            )),
        }
    }

    /// What can be done without: a broken file is kept aside and counts as empty.
    fn load_or_none<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Loaded<T>, StoreError> {
        let path = self.dir.join(name);
        let warning = match self.load(name) {
            Err(StoreError::Broken { reason, .. }) if path.exists() => {
                let kept_as = atomic::keep_aside(&path).map_err(|source| failed(&path, "kept aside", source))?;
                Warning::Unreadable { path, kept_as, reason }
            }
            Err(error @ StoreError::Broken { .. }) => Warning::KeptAside(error.to_string()),
            loaded => return loaded,
        };
        Ok(Loaded { value: T::default(), warning: Some(warning) })
    }

    fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let content = serde_json::to_vec_pretty(value).map_err(|error| {
            failed(&path, "written", std::io::Error::other(format!("{:?} error", error.classify())))
        })?;
        self.save_bytes(name, &content)
    }

    /// A file that is no JSON of ours, as it is (the tunnel's key); `None` when there is none.
    pub fn file(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir.join(name);
        match atomic::read(&path).map_err(|source| failed(&path, "read", source))? {
            atomic::Found::Absent => Ok(None),
            atomic::Found::Content(content, _) => Ok(Some(content)),
        }
    }

    /// Replaces such a file.
    pub fn save_file(&self, name: &'static str, content: &[u8]) -> Result<(), StoreError> {
        self.save_bytes(name, content)
    }

    /// Where such a file is, for people.
    pub fn path(&self, name: &'static str) -> PathBuf {
        self.dir.join(name)
    }

    fn save_bytes(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        // Flash wears out: what is there already is not written again.
        if let Ok(atomic::Found::Content(there, false)) = atomic::read(&path)
            && there == content
        {
            return Ok(());
        }
        atomic::write(&path, content).map_err(|source| failed(&path, "written", source))
    }
}

fn failed(path: &Path, doing: &'static str, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), doing, source }
}

#[cfg(test)]
mod tests;
