//! Files that are whole or absent, whenever the power goes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Nothing in the state folder is for others.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Largest state file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Longest process id in a lock file, in bytes.
const MAX_PID: u64 = 20;

/// What reading found.
pub(super) enum Found {
    Absent,
    /// The content, and whether others could read the file until now (its mode is mended).
    Content(Vec<u8>, Exposed),
}

/// Whether a file was open to others.
pub(super) type Exposed = bool;

/// Makes the folder, for us alone. One that is there keeps its mode when others cannot write to it.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(dir, Permissions::from_mode(DIR_MODE))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
        }
        Err(error) => Err(error),
    }
}

/// Reads a file as [`write`] left it.
pub(super) fn read(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let exposed = metadata.permissions().mode() & 0o077 != 0;
    if exposed {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    if metadata.len() > MAX_FILE {
        return Err(io::Error::other(format!("{} bytes; at most {MAX_FILE} are read", metadata.len())));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(Found::Content(content, exposed))
}

/// Replaces a file. After a cut at any byte the old content or the new is there, never a mixture: the new one is
/// written and synced beside it and then renamed over it, and the folder is synced for the rename to last.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    // One that a cut left behind may have any mode and owner.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temporary)?;
    give_to_owner_of_dir(&file, path)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_dir(path)
}

/// Takes the lock of a file, waiting for whoever has it: `waiting` is told their process id, if it can be read. It is
/// released when the file is closed, also by a kill.
pub(super) fn lock(path: &Path, waiting: &mut dyn FnMut(Option<u32>)) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    give_to_owner_of_dir(&file, path)?;
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
    // For whoever waits for us; who has the lock is told by the lock alone.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// `gateway setup` runs as root, the service as somebody else, who must be able to read what set-up wrote.
fn give_to_owner_of_dir(file: &File, path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let (dir, own) = (fs::metadata(dir)?, file.metadata()?);
    match dir.uid() == own.uid() {
        true => Ok(()),
        false => fchown(file, Some(dir.uid()), Some(dir.gid())),
    }
}

/// Puts a file that cannot be understood out of the way, readable for whoever mends it. Gives its new name.
pub(super) fn keep_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = aside(path);
    fs::rename(path, &aside)?;
    sync_dir(path)?;
    Ok(aside)
}

/// Where [`keep_aside`] puts a file.
pub(super) fn aside(path: &Path) -> PathBuf {
    suffixed(path, ".bad")
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn temporary(path: &Path) -> PathBuf {
    suffixed(path, ".new")
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
