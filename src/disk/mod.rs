//! What is asked of a file system to keep state, config, backups and binaries: the one place where each request can be
//! made to fail in tests ([`fault`]).

pub(crate) mod atomic;
#[cfg(test)]
pub(crate) mod fault;

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::Path;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The requests, each of which may fail, and between any two of which the power may go.
pub(crate) trait Disk: Debug + Send + Sync {
    /// The content of a file and its permission bits; `None` when there is none.
    fn read(&self, path: &Path) -> io::Result<Option<(Vec<u8>, u32)>>;

    /// The content of a file that is too large to be held, piece by piece.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;

    /// Whether two names are one file. Not so when it cannot be told.
    fn is_same(&self, one: &Path, other: &Path) -> bool;

    /// The permission bits of a file or folder; `None` when there is none.
    fn mode(&self, path: &Path) -> io::Result<Option<u32>>;

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes a file that is not there yet, with all that can be read from `content`. Not synced.
    fn create(&self, path: &Path, content: &mut dyn Read, mode: u32, owner: Owner) -> io::Result<()>;

    /// Gives a file to the owner of another.
    fn give(&self, path: &Path, owned_as: &Path) -> io::Result<()>;

    /// Makes one folder.
    fn make_dir(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Waits until the content of a file, or the names in a folder, would survive a power cut.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Replaces what `to` names.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// A second name for a file; fails when the name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// Whose a new file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Of who runs this.
    Ours,
    /// Of who owns its folder: `gateway setup` runs as root, the service as somebody else, who must be able to read what
    /// set-up wrote.
    OfFolder,
}

/// The file system of this machine.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.len() > MAX_FILE {
            return Err(io::Error::other(format!("{} bytes; at most {MAX_FILE} are read", metadata.len())));
        }
        let mut content = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut content)?;
        Ok(Some((content, metadata.permissions().mode() & 0o777)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        match (fs::metadata(one), fs::metadata(other)) {
            (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
            _ => false,
        }
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.permissions().mode() & 0o777)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    fn create(&self, path: &Path, content: &mut dyn Read, mode: u32, owner: Owner) -> io::Result<()> {
        // `create_new` follows no link that somebody else put there.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        if owner == Owner::OfFolder {
            give_to_owner_of_dir(&file, path)?;
        }
        if mode & 0o077 != 0 {
            // Whatever the umask is. It takes nothing from us alone, and a memory stick may know no modes.
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        io::copy(content, &mut file).map(drop)
    }

    fn give(&self, path: &Path, owned_as: &Path) -> io::Result<()> {
        let (wanted, own) = (fs::metadata(owned_as)?, fs::metadata(path)?);
        match (wanted.uid(), wanted.gid()) == (own.uid(), own.gid()) {
            true => Ok(()),
            false => chown(path, Some(wanted.uid()), Some(wanted.gid())),
        }
    }

    fn make_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// See [`Owner::OfFolder`].
fn give_to_owner_of_dir(file: &File, path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) else { return Ok(()) };
    let (dir, own) = (fs::metadata(dir)?, file.metadata()?);
    match dir.uid() == own.uid() {
        true => Ok(()),
        false => fchown(file, Some(dir.uid()), Some(dir.gid())),
    }
}
