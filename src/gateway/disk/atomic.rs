//! Files that are whole or absent, whenever the power goes or the flash says no.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::folder::{Last, Spot};
use super::{Disk, Owner};

/// Nothing in the state folder is for others.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The config file holds no secrets, and the service reads it as somebody else than who wrote it.
const CONFIG_MODE: u32 = 0o644;
const CONFIG_DIR_MODE: u32 = 0o755;

/// Longest process id in a lock file, in bytes.
const MAX_PID: u64 = 20;

/// What reading found.
pub(crate) enum Found {
    Absent,
    /// The content, and whether others could read the file until now.
    Content(Vec<u8>, Exposed),
}

/// Whether a file was open to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposed {
    No,
    /// It was; its mode is mended.
    Mended,
    /// It is: the file system is read-only.
    Still,
}

/// Makes the folder, for us alone. One that is there keeps its mode when others can do nothing with it.
pub(crate) fn make_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    match disk.mode(dir)? {
        Some(mode) if mode & 0o077 != 0 => match disk.set_mode(dir, DIR_MODE) {
            // What cannot be mended must not stop the phones; nobody can write there anyway.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
            done => done,
        },
        Some(_) => Ok(()),
        None => make_missing(disk, dir, DIR_MODE),
    }
}

/// Makes a folder and those above it that are missing; each name is synced, or what is synced in it were lost with it.
pub(crate) fn make_missing(disk: &dyn Disk, dir: &Path, mode: u32) -> io::Result<()> {
    if dir.as_os_str().is_empty() || disk.mode(dir)?.is_some() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_missing(disk, above, mode)?;
    }
    match disk.make_dir(dir, mode) {
        // Another command was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync(folder_of(dir)),
    }
}

/// Reads a file as [`write()`] left it.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Found> {
    let Some((content, mode)) = disk.read(path)? else { return Ok(Found::Absent) };
    if mode & 0o077 == 0 {
        return Ok(Found::Content(content, Exposed::No));
    }
    match disk.set_mode(path, FILE_MODE) {
        Ok(()) => Ok(Found::Content(content, Exposed::Mended)),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(Found::Content(content, Exposed::Still)),
        Err(error) => Err(error),
    }
}

/// Replaces a file. After a cut at any byte the old content or the new is there, never a mixture: the new one is
/// written and synced beside it and then renamed over it, and the folder is synced for the rename to last.
pub(crate) fn write(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let new = suffixed(path, ".new");
    prepare(disk, &new, &mut &*content, FILE_MODE, Owner::OfFolder)?;
    disk.rename(&new, path)?;
    disk.sync(folder_of(path))
}

/// Replaces a file of ours alone in a folder of somebody else, or on a memory stick that knows no owners, modes and links.
pub(crate) fn write_elsewhere(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let new = suffixed(path, ".new");
    prepare(disk, &new, &mut &*content, FILE_MODE, Owner::Ours)?;
    replace(disk, &new, path)
}

/// Puts a prepared file in the place of another, for good. One that cannot be put there goes: it would take the room of
/// what else is written.
pub(crate) fn replace(disk: &dyn Disk, new: &Path, path: &Path) -> io::Result<()> {
    if let Err(error) = disk.rename(new, path) {
        let _ = disk.remove(new);
        return Err(error);
    }
    disk.sync(folder_of(path))
}

/// What happens to an existing config file when another one is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, and kept under another name.
    Replace,
    /// It stays, and the error is `AlreadyExists`.
    Keep,
}

/// Writes a config file, and its folder if there is none. One that is replaced is kept as [`former`].
pub(crate) fn write_config(disk: &dyn Disk, path: &Path, content: &[u8], existing: Existing) -> io::Result<()> {
    let folder = folder_of(path);
    make_missing(disk, folder, CONFIG_DIR_MODE)?;
    let new = suffixed(path, ".new");
    prepare(disk, &new, &mut &*content, CONFIG_MODE, Owner::OfFolder)?;
    match existing {
        Existing::Replace => {
            remove(disk, &former(path))?;
            disk.link(path, &former(path))?;
            // Before the rename, or a cut could keep that and lose this.
            disk.sync(folder)?;
            disk.rename(&new, path)?;
        }
        Existing::Keep => {
            // Unlike a rename, a link never replaces what somebody wrote meanwhile.
            let linked = disk.link(&new, path);
            let _ = disk.remove(&new);
            linked?;
        }
    }
    disk.sync(folder)
}

/// Replaces a file outside the state folder, and makes its folder if there is none. It is for everybody, or for `owner`
/// alone: whoever that folder belongs to.
pub(crate) fn write_outside(disk: &dyn Disk, path: &Path, content: &[u8], owner: Option<&Path>) -> io::Result<()> {
    let folder = folder_of(path);
    make_missing(disk, folder, CONFIG_DIR_MODE)?;
    let new = suffixed(path, ".new");
    let (mode, owner) = match owner {
        Some(owner) => (FILE_MODE, Owner::Of(owner)),
        None => (CONFIG_MODE, Owner::OfFolder),
    };
    prepare(disk, &new, &mut &*content, mode, owner)?;
    disk.rename(&new, path)?;
    disk.sync(folder)
}

/// Where the former config file is kept.
pub(crate) fn former(path: &Path) -> PathBuf {
    suffixed(path, ".old")
}

/// Writes and syncs the file that takes the place of another by a rename.
pub(crate) fn prepare(
    disk: &dyn Disk,
    new: &Path,
    content: &mut dyn Read,
    mode: u32,
    owner: Owner<'_>,
) -> io::Result<()> {
    // One that a cut left behind may have any mode and owner.
    remove(disk, new)?;
    let prepared = disk.create(new, content, mode, owner).and_then(|()| disk.sync(new));
    if prepared.is_err() {
        // On a full flash the torn part would take the room of the next try.
        let _ = disk.remove(new);
    }
    prepared
}

/// Removes a file; whether there was one. Not synced: after a cut it may be back.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file for good.
pub(crate) fn remove_for_good(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let removed = remove(disk, path)?;
    if removed {
        disk.sync(folder_of(path))?;
    }
    Ok(removed)
}

/// Takes the lock of a file, waiting for whoever has it: `waiting` is told their process id, if it can be read. It is
/// released when the file is closed, also by a kill.
pub(crate) fn lock(path: &Path, waiting: &mut dyn FnMut(Option<u32>)) -> io::Result<File> {
    let spot = Spot::of(path, Last::Target)?;
    let mut file = spot.open_or_create(FILE_MODE)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = (&file).take(MAX_PID).read_to_string(&mut holder);
            waiting(read.ok().and_then(|_| holder.trim().parse().ok()));
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The lock alone shows its owner, also on a flash without room for the rest.
    if file.set_len(0).is_ok() {
        // Not before it is empty: what stood in it may be no business of the folder's owner.
        spot.folder.give(&file)?;
        // For those that wait for us.
        let _ = file.rewind().and_then(|()| writeln!(file, "{}", std::process::id()));
    }
    Ok(file)
}

/// Puts a file that cannot be understood out of the way, readable for whoever mends it. Gives its new name.
pub(crate) fn keep_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let aside = aside(path);
    disk.rename(path, &aside)?;
    disk.sync(folder_of(path))?;
    Ok(aside)
}

/// Where [`keep_aside`] puts a file.
pub(crate) fn aside(path: &Path) -> PathBuf {
    suffixed(path, ".bad")
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name beside another.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
