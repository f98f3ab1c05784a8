//! The files of a backup are put in place so that a power cut leaves the box of before, or one that says "restore again".

use std::io;
use std::path::{Path, PathBuf};

use super::files::{ALL, LOCK, RESTORING};
use super::{Store, StoreError, failed};
use crate::disk::{Disk, atomic};

/// A file outside the state folder.
pub struct Outside<'a> {
    pub path: PathBuf,
    pub content: &'a [u8],
    /// For the owner of the state folder alone, who is the service's user.
    pub is_private: bool,
}

/// What stands in the marker, for who looks at it.
const MARK: &[u8] = b"gateway restore has begun here and is not done; run it again\n";

impl Store {
    /// As [`Store::open`], also where a restore was stopped.
    pub fn open_to_restore(dir: &Path) -> Result<Store, StoreError> {
        Store::on_any(Box::new(super::RealDisk), dir)
    }

    /// Whether a restore was stopped here before its end.
    pub fn is_half_restored(&self) -> Result<bool, StoreError> {
        let marker = self.dir.join(RESTORING);
        self.disk().mode(&marker).map(|mode| mode.is_some()).map_err(|source| failed(&marker, "looked for", source))
    }

    /// An error where a restore was stopped on its way: what belongs together may not be there together.
    pub fn check_whole(&self) -> Result<(), StoreError> {
        match self.is_half_restored()? {
            true => Err(self.half_restored()),
            false => Ok(()),
        }
    }

    pub(super) fn half_restored(&self) -> StoreError {
        let marker = self.dir.join(RESTORING).display().to_string();
        StoreError::HalfRestored { dir: self.dir.display().to_string(), marker }
    }

    /// Puts the files of a backup in place; the config file is the first of `outside`. Those that are there already are
    /// kept as `NAME.old`, and state files that the backup does not have go.
    ///
    /// Old files have their second name before the mark is set, and each new one is whole once the mark is gone: a cut
    /// before the one leaves what was there, a cut before the other is told by [`Store::open`].
    pub fn restore(&self, outside: &[Outside<'_>], state: &[(&'static str, &[u8])]) -> Result<(), StoreError> {
        let disk = self.disk();
        let marker = self.dir.join(RESTORING);
        if !self.is_half_restored()? {
            let inside = own_files().map(|name| self.dir.join(name));
            for path in outside.iter().map(|file| file.path.clone()).chain(inside) {
                keep(disk, &path).map_err(|source| failed(&path, "kept", source))?;
            }
            atomic::write(disk, &marker, MARK).map_err(|source| failed(&marker, "written", source))?;
        }
        for file in outside {
            let owner = file.is_private.then_some(self.dir.as_path());
            atomic::write_outside(disk, &file.path, file.content, owner)
                .map_err(|source| failed(&file.path, "written", source))?;
        }
        for (name, content) in state {
            let path = self.dir.join(name);
            atomic::write(disk, &path, content).map_err(|source| failed(&path, "written", source))?;
        }
        for name in own_files().filter(|name| !state.iter().any(|(kept, _)| kept == name)) {
            let path = self.dir.join(name);
            atomic::remove_for_good(disk, &path).map_err(|source| failed(&path, "removed", source))?;
        }
        atomic::remove_for_good(disk, &marker).map(drop).map_err(|source| failed(&marker, "removed", source))
    }
}

/// The state proper.
fn own_files() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().map(|(name, _)| name).filter(|name| ![LOCK, RESTORING].contains(name))
}

/// Gives a file a second name, in the place of the file that was kept before.
fn keep(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let former = atomic::former(path);
    atomic::remove_for_good(disk, &former)?;
    match disk.mode(path)? {
        Some(_) => {
            disk.link(path, &former)?;
            disk.sync(atomic::folder_of(path))
        }
        None => Ok(()),
    }
}
