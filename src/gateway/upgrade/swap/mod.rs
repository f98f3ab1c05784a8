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
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::FileError;
use super::elf::{self, Machine};
use super::record::{Phase, Record};
use super::signature::Hasher;
use crate::disk::atomic::{self, suffixed};
use crate::disk::{Disk, Owner, RealDisk};
use gateway_core::hex::hex;

/// Largest binary that is taken, in bytes. Ours are 5 MB; one with debug symbols is 90.
const MAX_BINARY: u64 = 256 << 20;

/// A binary that is not checked yet is for root alone, and for nobody to execute.
const UNCHECKED_MODE: u32 = 0o600;

/// Who may read the record: whoever asks for the status.
const RECORD_MODE: u32 = 0o644;

/// The folder of the binary, and the names in it.
#[derive(Clone, Debug)]
pub struct Swap {
    pub binary: PathBuf,
    pub new: PathBuf,
    pub old: PathBuf,
    record: PathBuf,
    disk: Arc<dyn Disk>,
}

/// The right to upgrade and to judge, until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "dropping the file unlocks it")] File);

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

impl Swap {
    /// That of a binary.
    pub fn of(binary: PathBuf) -> Swap {
        Swap::on(Arc::new(RealDisk), binary)
    }

    fn on(disk: Arc<dyn Disk>, binary: PathBuf) -> Swap {
        let beside = |suffix: &str| {
            let mut name = binary.file_name().unwrap_or(OsStr::new("gateway")).to_owned();
            name.push(suffix);
            binary.with_file_name(name)
        };
        Swap { new: beside(".new"), old: beside(".old"), record: beside(".upgrade"), binary, disk }
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
        let folder = atomic::folder_of(&self.binary);
        File::open(folder).map_err(|error| FileError::new(folder, "opened", error))
    }

    /// The record of the last upgrade; `None` when there was none, or when it cannot be understood.
    pub fn record(&self) -> Result<Option<Record>, FileError> {
        let found = self.disk.read(&self.record).map_err(|error| FileError::new(&self.record, "read", error))?;
        Ok(found.and_then(|(content, _)| Record::parse(std::str::from_utf8(&content).ok()?)))
    }

    /// The same as a boot would see it: a trial of a binary that is not in place is over. A disk that fails in the middle
    /// of a swap can leave one behind.
    pub fn standing(&self) -> Result<Option<Record>, FileError> {
        Ok(match self.record()? {
            Some(record) if record.phase == Phase::Trial && self.is_old(&record)? => {
                Some(Record { phase: Phase::Returned, reason: "it was not put in place".to_owned(), ..record })
            }
            record => record,
        })
    }

    /// Whether the binary in place is the one from before that upgrade.
    pub fn is_old(&self, record: &Record) -> Result<bool, FileError> {
        Ok(self.keeps_itself() || self.sha256(&self.binary)? == record.old)
    }

    /// Whether the old binary is the one in place: nothing else is kept.
    pub fn keeps_itself(&self) -> bool {
        self.disk.is_same(&self.binary, &self.old)
    }

    /// SHA-256 of a file in hexadecimal.
    pub fn sha256(&self, path: &Path) -> Result<String, FileError> {
        let failed = |error| FileError::new(path, "read", error);
        let mut reading = Reading::of(self.disk.open(path).map_err(failed)?);
        io::copy(&mut reading, &mut io::sink()).map_err(failed)?;
        Ok(reading.copied().sha256)
    }

    /// Copies a binary to `gateway.new`, on the disk, not executable yet. What is checked later is this copy: the file
    /// itself may change under our hands.
    pub fn copy(&self, file: &Path) -> Result<Copied, FileError> {
        let source = self.disk.open(file).map_err(|error| FileError::new(file, "read", error))?;
        let mut reading = Reading::of(source);
        match atomic::prepare(&*self.disk, &self.new, &mut reading, UNCHECKED_MODE, Owner::Ours) {
            Ok(()) => Ok(reading.copied()),
            Err(error) if reading.has_failed => Err(FileError::new(file, "read", error)),
            Err(error) => Err(FileError::new(&self.new, "written", error)),
        }
    }

    /// Makes the copy executable, as the present binary is.
    pub fn make_executable(&self) -> Result<(), FileError> {
        self.make_like(&self.new, &self.binary).map_err(|error| FileError::new(&self.new, "made executable", error))
    }

    /// Gives a file owner and mode of another, on the disk.
    fn make_like(&self, path: &Path, other: &Path) -> io::Result<()> {
        let mode = self.disk.mode(other)?.ok_or(io::ErrorKind::NotFound)?;
        self.disk.give(path, other)?;
        self.disk.set_mode(path, mode)?;
        self.disk.sync(path)
    }

    /// Removes a copy that is not wanted, if there is one.
    pub fn discard(&self) {
        // One that stays is written over by the next.
        let _ = self.disk.remove(&self.new);
    }

    /// Puts the copy in place, on trial; the present binary becomes the old one. When that fails the present binary is
    /// in place, and nobody's trial, as far as the disk lets us; what it does not let us do, the guard does at the next
    /// start.
    pub fn install(&self, record: &Record) -> Result<(), FileError> {
        let swapped =
            self.keep_present().and_then(|()| self.write(record)).and_then(|()| self.rename(&self.new, &self.binary));
        if let Err(error) = &swapped {
            if self.record().is_ok_and(|there| there.as_ref() == Some(record)) {
                let _ = self.put_back().and_then(|()| self.end(record, Phase::Returned, &error.to_string()));
            }
            // It would take the room of what the box writes.
            self.discard();
        }
        swapped
    }

    /// Gives the present binary the name `gateway.old` beside its own.
    fn keep_present(&self) -> Result<(), FileError> {
        // After a way back both are one file; renaming it over itself would do nothing and leave the second name.
        if self.keeps_itself() {
            return Ok(());
        }
        let second = suffixed(&self.old, ".new");
        self.link(&self.binary, &second)?;
        self.rename(&second, &self.old)
    }

    /// Puts the old binary in place of the new one, and keeps it as the old one, too. The record does not know yet.
    pub fn put_back(&self) -> Result<(), FileError> {
        if self.keeps_itself() {
            return Ok(());
        }
        let second = suffixed(&self.binary, ".back");
        self.link(&self.old, &second)?;
        self.rename(&second, &self.binary)
    }

    /// Writes how the trial ended.
    pub fn end(&self, record: &Record, phase: Phase, reason: &str) -> Result<(), FileError> {
        self.write(&Record { phase, reason: reason.to_owned(), ..record.clone() })
    }

    fn write(&self, record: &Record) -> Result<(), FileError> {
        let second = suffixed(&self.record, ".new");
        // For everybody: the service, which is not root, shows it.
        atomic::prepare(&*self.disk, &second, &mut record.text().as_bytes(), RECORD_MODE, Owner::Ours)
            .map_err(|error| FileError::new(&self.record, "written", error))?;
        self.rename(&second, &self.record)
    }

    /// A rename that lasts.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        atomic::replace(&*self.disk, from, to).map_err(|error| FileError::new(to, "replaced", error))
    }

    /// A second name for a file; where the file system has none, a copy.
    fn link(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::new(to, "made", error);
        atomic::remove(&*self.disk, to).map_err(failed)?;
        if self.disk.link(from, to).is_ok() {
            return Ok(());
        }
        let mut reading = Reading::of(self.disk.open(from).map_err(|error| FileError::new(from, "read", error))?);
        let copied = atomic::prepare(&*self.disk, to, &mut reading, UNCHECKED_MODE, Owner::Ours)
            .and_then(|()| self.make_like(to, from));
        if copied.is_err() {
            let _ = self.disk.remove(to);
        }
        match copied {
            Err(error) if reading.has_failed => Err(FileError::new(from, "read", error)),
            copied => copied.map_err(failed),
        }
    }
}

/// A binary that is read, and what it is.
struct Reading {
    source: Box<dyn Read>,
    sha256: Sha256,
    signed: Hasher,
    head: Vec<u8>,
    length: u64,
    /// The source could not be read: what is written is not to blame.
    has_failed: bool,
}

impl Reading {
    fn of(source: Box<dyn Read>) -> Reading {
        Reading {
            source,
            sha256: Sha256::new(),
            signed: Hasher::default(),
            head: Vec::new(),
            length: 0,
            has_failed: false,
        }
    }

    /// What it was, at its end.
    fn copied(self) -> Copied {
        Copied {
            sha256: hex(&self.sha256.finalize()),
            signed: self.signed.finish(),
            machine: Machine::parse(&self.head),
        }
    }

    fn read_piece(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(piece)?;
        // `read` is at most the length of the piece.
        let bytes = &piece[..read];
        self.length += bytes.len() as u64;
        if self.length > MAX_BINARY {
            return Err(io::Error::other(format!("it is larger than {} MB and no gateway", MAX_BINARY >> 20)));
        }
        self.head.extend(bytes.iter().take(elf::HEAD.saturating_sub(self.head.len())));
        self.sha256.update(bytes);
        self.signed.update(bytes);
        Ok(read)
    }
}

impl Read for Reading {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.read_piece(piece);
        self.has_failed |= read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

#[cfg(test)]
mod tests;
