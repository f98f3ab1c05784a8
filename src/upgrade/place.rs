//! The files of an upgrade, all in the folder of the binary, so that a rename moves them and its owner (root) alone can:
//!
//! ```text
//! gateway           what the service runs
//! gateway.new       the new one, until it is in place
//! gateway.old       the one before, for the way back
//! gateway.upgrade   the record
//! ```
//!
//! The power may go between any two steps, and within one. A new binary is in place only when the old one and the record
//! of a trial are on the disk; and a record is no trial any more only when the binary that it leaves is in place. So
//! whatever a boot finds is the old binary, or the new one with somebody to judge it.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::FileError;
use super::elf::{self, Machine};
use super::record::{self, Phase, Record};
use super::signature::Hasher;
use crate::hex::hex;

/// Largest binary that is taken, in bytes. Ours are 5 MB; one with debug symbols is 90.
const MAX_BINARY: u64 = 256 << 20;

/// Bytes that are copied at a time.
const PIECE: usize = 64 << 10;

/// Who may read the record: whoever asks for the status.
const RECORD_MODE: u32 = 0o644;

/// The folder of the binary, and the names in it.
#[derive(Clone, Debug)]
pub struct Place {
    pub binary: PathBuf,
    pub new: PathBuf,
    pub old: PathBuf,
    record: PathBuf,
}

/// The right to upgrade and to judge, until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "dropping the file unlocks it")] File);

/// What has been done of a swap, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The old binary has its second name.
    Linked,
    /// And that name is `gateway.old`.
    Kept,
    /// The record's content is on the disk.
    Written,
    /// And under its name: a trial, or its end.
    Recorded,
    /// The binary that comes back has its second name.
    Ready,
    /// `gateway` is another binary than before.
    Swapped,
}

/// Who is told of each step as it is done. An error stops there: that is how tests cut the power.
pub type Told<'t> = &'t mut dyn FnMut(Step) -> io::Result<()>;

/// What a copied binary is.
#[derive(Debug)]
pub struct Copied {
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// BLAKE2b-512, which signatures are made over.
    pub signed: super::signature::Hash,
    /// What it runs on; `None` when it is no program.
    pub machine: Option<Machine>,
}

impl Place {
    /// That of a binary.
    pub fn of(binary: PathBuf) -> Place {
        let beside = |suffix: &str| {
            let mut name = binary.file_name().unwrap_or(OsStr::new("gateway")).to_owned();
            name.push(suffix);
            binary.with_file_name(name)
        };
        Place { new: beside(".new"), old: beside(".old"), record: beside(".upgrade"), binary }
    }

    /// Keeps other upgrades and judges out until the answer is dropped; `None` when one is at work.
    pub fn try_lock(&self) -> Result<Option<Lock>, FileError> {
        let folder = self.folder()?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(Lock(folder))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(FileError::new(&self.binary, "locked", error)),
        }
    }

    /// The same, waiting for whoever is at work.
    pub fn lock(&self) -> Result<Lock, FileError> {
        let folder = self.folder()?;
        folder.lock().map_err(|error| FileError::new(&self.binary, "locked", error))?;
        Ok(Lock(folder))
    }

    /// The folder itself is what is locked: its files come and go.
    fn folder(&self) -> Result<File, FileError> {
        let folder = self.binary.parent().unwrap_or(Path::new("/"));
        File::open(folder).map_err(|error| FileError::new(folder, "opened", error))
    }

    /// The record of the last upgrade; `None` when there was none, or when it cannot be understood.
    pub fn record(&self) -> Result<Option<Record>, FileError> {
        let failed = |error| FileError::new(&self.record, "read", error);
        let file = match File::open(&self.record) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        file.take(record::MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        Ok(Record::parse(&text))
    }

    /// Copies a binary to `gateway.new`, on the disk, not executable yet. What is checked later is this copy: the file
    /// itself may change under our hands.
    pub fn copy(&self, file: &Path) -> Result<Copied, FileError> {
        let failed = |error| FileError::new(&self.new, "written", error);
        let mut source = File::open(file).map_err(|error| FileError::new(file, "read", error))?;
        self.discard();
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.new).map_err(failed)?;
        let (mut sha256, mut signed) = (Sha256::new(), Hasher::default());
        let (mut head, mut length) = (Vec::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FileError::new(file, "read", error)),
            };
            // `read` is at most the length of the piece.
            let bytes = &piece[..read];
            length += bytes.len() as u64;
            if length > MAX_BINARY {
                let error = io::Error::other(format!("it is larger than {} MB and no gateway", MAX_BINARY >> 20));
                return Err(FileError::new(file, "taken", error));
            }
            head.extend(bytes.iter().take(elf::HEAD.saturating_sub(head.len())));
            sha256.update(bytes);
            signed.update(bytes);
            copy.write_all(bytes).map_err(failed)?;
        }
        copy.sync_all().map_err(failed)?;
        Ok(Copied { sha256: hex(&sha256.finalize()), signed: signed.finish(), machine: Machine::parse(&head) })
    }

    /// Makes the copy executable, as the present binary is.
    pub fn make_executable(&self) -> Result<(), FileError> {
        let failed = |error| FileError::new(&self.new, "made executable", error);
        let present = fs::metadata(&self.binary).map_err(failed)?;
        let copy = File::open(&self.new).map_err(failed)?;
        let own = copy.metadata().map_err(failed)?;
        if (own.uid(), own.gid()) != (present.uid(), present.gid()) {
            fchown(&copy, Some(present.uid()), Some(present.gid())).map_err(failed)?;
        }
        copy.set_permissions(Permissions::from_mode(present.mode() & 0o7777)).map_err(failed)?;
        copy.sync_all().map_err(failed)
    }

    /// Removes a copy that is not wanted, if there is one.
    pub fn discard(&self) {
        // One that stays is written over by the next.
        let _ = fs::remove_file(&self.new);
    }

    /// Puts the copy in place, on trial; the present binary becomes the old one.
    pub fn swap(&self, record: &Record, told: Told<'_>) -> Result<(), FileError> {
        self.keep_present(told)?;
        self.write(record, told)?;
        self.rename(&self.new, &self.binary)?;
        told(Step::Swapped).map_err(|error| FileError::new(&self.binary, "replaced", error))
    }

    /// Gives the present binary the name `gateway.old` beside its own.
    fn keep_present(&self, told: Told<'_>) -> Result<(), FileError> {
        let failed = |error| FileError::new(&self.old, "made", error);
        // After a way back both are one file; renaming it over itself would do nothing and leave the second name.
        if is_same(&self.binary, &self.old) {
            return Ok(());
        }
        let second = suffixed(&self.old, ".new");
        link(&self.binary, &second).map_err(failed)?;
        told(Step::Linked).map_err(failed)?;
        self.rename(&second, &self.old)?;
        told(Step::Kept).map_err(failed)
    }

    /// Puts the old binary in place of the new one, and keeps it as the old one, too. The record says why.
    pub fn back(&self, record: &Record, reason: &str, told: Told<'_>) -> Result<(), FileError> {
        let failed = |error| FileError::new(&self.binary, "replaced", error);
        if !is_same(&self.binary, &self.old) {
            let second = suffixed(&self.binary, ".back");
            link(&self.old, &second).map_err(failed)?;
            told(Step::Ready).map_err(failed)?;
            self.rename(&second, &self.binary)?;
            told(Step::Swapped).map_err(failed)?;
        }
        self.end(record, Phase::Returned, reason, told)
    }

    /// Writes how the trial ended.
    pub fn end(&self, record: &Record, phase: Phase, reason: &str, told: Told<'_>) -> Result<(), FileError> {
        self.write(&Record { phase, reason: reason.to_owned(), ..record.clone() }, told)
    }

    fn write(&self, record: &Record, told: Told<'_>) -> Result<(), FileError> {
        let failed = |error| FileError::new(&self.record, "written", error);
        let second = suffixed(&self.record, ".new");
        remove(&second).map_err(failed)?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(RECORD_MODE).open(&second).map_err(failed)?;
        // Whatever the umask is: the service, which is not root, shows it.
        file.set_permissions(Permissions::from_mode(RECORD_MODE)).map_err(failed)?;
        file.write_all(record.text().as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        told(Step::Written).map_err(failed)?;
        self.rename(&second, &self.record)?;
        told(Step::Recorded).map_err(failed)
    }

    /// A rename that lasts.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::new(to, "replaced", error);
        fs::rename(from, to).map_err(failed)?;
        self.folder()?.sync_all().map_err(failed)
    }
}

/// SHA-256 of a file in hexadecimal.
pub fn sha256(path: &Path) -> Result<String, FileError> {
    let failed = |error| FileError::new(path, "read", error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            // `read` is at most the length of the piece.
            Ok(read) => hash.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Whether two names are one file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A second name for a file; where the file system has none, a copy.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
