//! What must survive a restart, in `site.state_dir`: secrets, owned SIDs, bindings, the last time that was certain.
//!
//! Files are JSON, mode 0600 in a folder of mode 0700, replaced atomically and only when they change (flash wears out).
//! One that cannot be understood never counts as empty for whoever changes the account: it is an error until a person has
//! decided. The service alone goes on without secrets: they are kept aside as `NAME.bad`, and that is told.
//!
//! Where the flash is full, read-only or broken a save fails and nothing else does: what was there stays, what the
//! service knows stays in memory, [`Store::trouble`] tells.

pub mod files;
pub mod last_good;
pub mod pace;
mod restore;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use restore::Outside;

pub use crate::disk::atomic::Existing;
use crate::disk::atomic::{self, Exposed, Found};
use crate::disk::{Disk, RealDisk, folder};
use files::{ANSWERS, BINDINGS, LOCK, OWNED, SECRETS, SPEND, TIME};
use gateway_account::owned::Owned;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;
use gateway_core::time::WallClock;

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    shared: Arc<Shared>,
    /// An auth token that shall not be on disk: it goes before the file's, and is never written.
    lent_token: Option<Secret<String>>,
}

/// What all clones of a store have in common.
#[derive(Debug)]
struct Shared {
    disk: Box<dyn Disk>,
    /// Writes of files that were begun.
    writes: AtomicU64,
    /// Files whose last save failed, and why.
    failed: Mutex<BTreeMap<&'static str, String>>,
}

/// The right to change secrets and owned SIDs, until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "dropping the file unlocks it")] std::fs::File);

/// A state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path} cannot be {doing}: {source}{}", way_out(source))]
    Io { path: String, doing: &'static str, source: std::io::Error },
    /// Without it, what is ours and what is at Twilio would be mistaken for something else.
    #[error(
        "{path} cannot be understood ({reason}); put a good copy in its place, or remove {broken} to begin without it"
    )]
    Broken { path: String, broken: String, reason: String },
    /// A part of it may be new and a part old.
    #[error(
        "{dir} holds a part of a backup: a restore was stopped before its end; run \"gateway restore FILE\" again, or \
         remove {marker} to go on with what is there"
    )]
    HalfRestored { dir: String, marker: String },
}

/// As the end of a sentence.
fn way_out(error: &std::io::Error) -> &'static str {
    if folder::is_refused(error) { "" } else { "; check the owner and the space of its folder" }
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
    /// Others can read the file, and on a read-only file system that stays so.
    StillExposed { path: PathBuf },
    /// The file could not be understood, was kept aside and counts as empty.
    Unreadable { path: PathBuf, kept_as: PathBuf, reason: String },
    /// It cannot be read, or was kept aside before, and counts as empty.
    KeptAside(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Exposed { path } => {
                write!(f, "{} could be read by others; its mode is now 0600, consider new secrets", path.display())
            }
            Warning::StillExposed { path } => write!(
                f,
                "{} can be read by others, and its file system is read-only; mount it for writing, run \"chmod 600\" on \
                 the file and consider new secrets",
                path.display()
            ),
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
        Store::on(Box::new(RealDisk), dir)
    }

    fn on(disk: Box<dyn Disk>, dir: &Path) -> Result<Store, StoreError> {
        let (store, half_restored) = Store::on_to_serve(disk, dir)?;
        half_restored.map_or(Ok(store), Err)
    }

    /// The same for the service: it serves with what is there, and tells what is odd about it.
    pub fn open_to_serve(dir: &Path) -> Result<(Store, Option<StoreError>), StoreError> {
        Store::on_to_serve(Box::new(RealDisk), dir)
    }

    fn on_to_serve(disk: Box<dyn Disk>, dir: &Path) -> Result<(Store, Option<StoreError>), StoreError> {
        let store = Store::on_any(disk, dir)?;
        let odd = store.is_half_restored()?.then(|| store.half_restored());
        Ok((store, odd))
    }

    fn on_any(disk: Box<dyn Disk>, dir: &Path) -> Result<Store, StoreError> {
        atomic::make_dir(&*disk, dir).map_err(|source| failed(dir, "opened", source))?;
        let shared = Shared { disk, writes: AtomicU64::new(0), failed: Mutex::default() };
        Ok(Store { dir: dir.to_owned(), shared: Arc::new(shared), lent_token: None })
    }

    /// How many writes of files were begun since this process began: what the flash had to bear.
    pub fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::Relaxed)
    }

    /// Why a file of this folder cannot be saved now; `None` once each was.
    pub fn trouble(&self) -> Option<String> {
        self.failed().values().next().cloned()
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        // A panic while the lock was held leaves a map that is still one.
        self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> &dyn Disk {
        &*self.shared.disk
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

    /// `time.json`: the last time that a former run knew for certain (not when a file was written: by a clock of 1970
    /// that says nothing).
    pub fn last_time(&self) -> Result<Loaded<Option<WallClock>>, StoreError> {
        self.load_or_none(TIME)
    }

    /// Replaces `time.json`; the caller does so once a day at most.
    pub fn save_last_time(&self, time: WallClock) -> Result<(), StoreError> {
        self.save(TIME, &time)
    }

    /// `secrets.json`, and empty secrets in the place of one that is broken, which is kept aside, or that cannot be read:
    /// for the start of the service, that must serve what it can.
    pub fn secrets_or_none(&self) -> Loaded<Secrets> {
        let loaded = self.load_or_none(SECRETS).unwrap_or_else(|error| Loaded {
            value: Secrets::default(),
            warning: Some(Warning::KeptAside(error.to_string())),
        });
        self.lend(loaded)
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
        let removed = atomic::remove_for_good(self.disk(), &path).map_err(|source| failed(&path, "removed", source))?;
        Ok(removed.then_some(path))
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

    /// Replaces `bindings.json` by what [`gateway_core::engine::Engine::bindings`] gave out.
    pub fn save_bindings(&self, json: &str) -> Result<(), StoreError> {
        self.save_bytes(BINDINGS, json.as_bytes())
    }

    /// `spend.json`: what was used outside, and a stop; absent at first.
    pub fn spend<T: DeserializeOwned>(&self) -> Result<Loaded<Option<T>>, StoreError> {
        self.load_or_none(SPEND)
    }

    /// Replaces `spend.json`.
    pub fn save_spend<T: Serialize>(&self, spend: &T) -> Result<(), StoreError> {
        self.save(SPEND, spend)
    }

    /// `answers.toml`: what set-up was told before it was stopped; its own shape, absent as a rule.
    pub fn answers(&self) -> Result<Option<String>, StoreError> {
        Ok(self.file(ANSWERS)?.and_then(|content| String::from_utf8(content).ok()))
    }

    /// Replaces `answers.toml`.
    pub fn save_answers(&self, text: &str) -> Result<(), StoreError> {
        self.save_bytes(ANSWERS, text.as_bytes())
    }

    /// Removes `answers.toml`, also when it is not there.
    pub fn remove_answers(&self) -> Result<(), StoreError> {
        let path = self.dir.join(ANSWERS);
        match atomic::remove_for_good(self.disk(), &path) {
            Ok(_) => Ok(()),
            Err(source) => Err(failed(&path, "removed", source)),
        }
    }

    fn load<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Loaded<T>, StoreError> {
        let path = self.dir.join(name);
        let broken = |broken: &Path, reason: String| StoreError::Broken {
            path: path.display().to_string(),
            broken: broken.display().to_string(),
            reason,
        };
        let content = atomic::read(self.disk(), &path).map_err(|source| failed(&path, "read", source))?;
        let Found::Content(content, exposed) = content else {
            let aside = atomic::aside(&path);
            return match self.is_there(&aside) {
                true => Err(broken(&aside, format!("it was kept aside as {}", aside.display()))),
                false => Ok(Loaded { value: T::default(), warning: None }),
            };
        };
        match serde_json::from_slice(&content) {
            Ok(value) => {
                let warning = match exposed {
                    Exposed::No => None,
                    Exposed::Mended => Some(Warning::Exposed { path: path.clone() }),
                    Exposed::Still => Some(Warning::StillExposed { path: path.clone() }),
                };
                Ok(Loaded { value, warning })
            }
            Err(error) => Err(broken(&path, files::reason(&error))),
        }
    }

    /// What can be done without: a broken file is kept aside and counts as empty.
    fn load_or_none<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Loaded<T>, StoreError> {
        let path = self.dir.join(name);
        let warning = match self.load(name) {
            Err(StoreError::Broken { reason, .. }) if self.is_there(&path) => {
                match atomic::keep_aside(self.disk(), &path) {
                    Ok(kept_as) => Warning::Unreadable { path, kept_as, reason },
                    // It stays where it is, and is found broken again.
                    Err(source) => Warning::KeptAside(failed(&path, "kept aside", source).to_string()),
                }
            }
            Err(error @ StoreError::Broken { .. }) => Warning::KeptAside(error.to_string()),
            loaded => return loaded,
        };
        Ok(Loaded { value: T::default(), warning: Some(warning) })
    }

    fn is_there(&self, path: &Path) -> bool {
        matches!(self.disk().mode(path), Ok(Some(_)))
    }

    fn save<T: Serialize>(&self, name: &'static str, value: &T) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let content = serde_json::to_vec_pretty(value).map_err(|error| {
            failed(&path, "written", std::io::Error::other(format!("{:?} error", error.classify())))
        })?;
        self.save_bytes(name, &content)
    }

    /// A file that is no JSON of ours, as it is (the tunnel's key); `None` when there is none.
    pub fn file(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir.join(name);
        match atomic::read(self.disk(), &path).map_err(|source| failed(&path, "read", source))? {
            Found::Absent => Ok(None),
            Found::Content(content, _) => Ok(Some(content)),
        }
    }

    /// Replaces such a file.
    pub fn save_file(&self, name: &'static str, content: &[u8]) -> Result<(), StoreError> {
        self.save_bytes(name, content)
    }

    /// Where such a file is, for people.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn save_bytes(&self, name: &'static str, content: &[u8]) -> Result<(), StoreError> {
        debug_assert!(files::find(name).is_some(), "src/store/files.rs must say whether a backup takes {name}");
        let path = self.dir.join(name);
        let failed_before = self.failed().contains_key(name);
        // Flash wears out: what is there already is not written again. After a failure what is there may not last.
        if !failed_before
            && let Ok(Found::Content(there, Exposed::No)) = atomic::read(self.disk(), &path)
            && there == content
        {
            return Ok(());
        }
        self.shared.writes.fetch_add(1, Ordering::Relaxed);
        match atomic::write(self.disk(), &path, content) {
            Ok(()) => {
                self.failed().remove(name);
                Ok(())
            }
            Err(source) => {
                let error = failed(&path, "written", source);
                self.failed().insert(name, error.to_string());
                Err(error)
            }
        }
    }
}

/// How the whole state is passed through: an upgrade asks whether one version finds again what the other one wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Read,
    /// What was read is written again, as this version does.
    Rewrite,
}

/// Writes a config file: whole or not at all, its folder with it if there is none. One that is replaced is kept under
/// [`former_config`].
pub fn write_config(path: &Path, text: &str, existing: Existing) -> std::io::Result<()> {
    atomic::write_config(&RealDisk, path, text.as_bytes(), existing)
}

/// Replaces a file in a folder of somebody else, such as a backup's: whole or not at all, and for us alone.
pub fn write_elsewhere(path: &Path, content: &[u8]) -> std::io::Result<()> {
    atomic::write_elsewhere(&RealDisk, path, content)
}

/// Where the former config file is kept.
pub fn former_config(path: &Path) -> PathBuf {
    atomic::former(path)
}

fn failed(path: &Path, doing: &'static str, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), doing, source }
}

#[cfg(test)]
mod tests;
