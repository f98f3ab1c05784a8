//! What is asked of a file system to keep state, config, backups and binaries: the one place where each request can be
//! made to fail in tests (`fault`).

pub(crate) mod atomic;
#[cfg(test)]
pub(crate) mod fault;
pub(crate) mod folder;

use std::fmt::Debug;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use folder::{Kind, Last, Spot};
use nix::fcntl::OFlag;

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
    fn create(&self, path: &Path, content: &mut dyn Read, mode: u32, owner: Owner<'_>) -> io::Result<()>;

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
pub(crate) enum Owner<'a> {
    /// Of who runs this.
    Ours,
    /// Of who owns its folder: `gateway setup` runs as root, the service as somebody else, who must be able to read what
    /// set-up wrote.
    OfFolder,
    /// Of who owns this file or folder.
    Of(&'a Path),
}

/// The file system of this machine, by the rule of [`folder`].
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
        let file = match folder::open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
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
        Ok(Box::new(folder::open_file(path)?))
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        match (fs::metadata(one), fs::metadata(other)) {
            (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
            _ => false,
        }
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        match Spot::of(path, Last::Target).and_then(|spot| spot.stat()) {
            Ok(stat) => Ok(stat.map(|stat| stat.st_mode & 0o777)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let file = Spot::of(path, Last::Target)?.open(OFlag::O_RDONLY, Kind::FileOrFolder)?;
        file.set_permissions(Permissions::from_mode(mode))
    }

    fn create(&self, path: &Path, content: &mut dyn Read, mode: u32, owner: Owner<'_>) -> io::Result<()> {
        let spot = Spot::of(path, Last::Name)?;
        let mut file = spot.create(mode)?;
        match owner {
            Owner::Ours => {}
            Owner::OfFolder => spot.folder.give(&file)?,
            Owner::Of(other) => folder::give_as(&file, other)?,
        }
        if mode & 0o077 != 0 {
            // Whatever the umask is. It takes nothing from us alone, and a memory stick may know no modes.
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        io::copy(content, &mut file).map(drop)
    }

    fn give(&self, path: &Path, owned_as: &Path) -> io::Result<()> {
        folder::give_as(&folder::open_file(path)?, owned_as)
    }

    fn make_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        Spot::of(path, Last::Name)?.make_dir(mode)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        Spot::of(path, Last::Target)?.open(OFlag::O_RDONLY, Kind::FileOrFolder)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Spot::of(from, Last::Name)?.rename(&Spot::of(to, Last::Name)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        Spot::of(from, Last::Name)?.link(&Spot::of(to, Last::Name)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Spot::of(path, Last::Name)?.remove()
    }
}
