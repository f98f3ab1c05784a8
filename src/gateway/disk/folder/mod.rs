//! Names in a folder that another user may own: the one place that opens, makes, gives and replaces by name.
//!
//! **The rule: from the first folder on whose names another user can change, no link is followed, a file counts only when
//! it is a regular one that has one name or is that user's own, and what is given or changed is the open file, no path.**
//!
//! Root's commands work in folders of the service's user, which can put there what it likes, at any time: a symbolic link
//! at any part of a path, a second name of a file of root's, a pipe that nobody writes to. So each request walks its path
//! part by part, and then acts within the folder that it found (openat(2) and its relatives).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, getegid, geteuid, linkat, unlinkat};

/// Most symbolic links on the way to one name, as the kernel has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// How often a file is opened or else made, where somebody makes and removes it meanwhile.
const MAX_TRIES: usize = 8;

/// Permission bits: who else may change the names of a folder, and "each only those of its own files" (sticky).
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What another user may have put in a folder. It names itself and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error(
        "{0} is a symbolic link in a folder that another user can change, so nobody follows it; look where it leads, and \
         remove it: rm {0}"
    )]
    Link(String),
    #[error("{0} is no {1}; look what it is, and remove it: rm -r {0}")]
    Kind(String, &'static str),
    #[error(
        "{0} is a second name of somebody else's file, in a folder that another user can change; remove that name: rm {0}"
    )]
    SecondName(String),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        io::Error::other(refused)
    }
}

/// Whether an error is one of the above, which says all that there is to say.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Refused>())
}

/// Which of two a path means that ends in a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// The link.
    Name,
    /// What it leads to, where it may be followed.
    Target,
}

/// What may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    FileOrFolder,
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    stat: FileStat,
    /// Only root and we can change its names, and could change those of the way to it.
    is_ours: bool,
}

impl Folder {
    fn open(above: Option<&Folder>, name: &OsStr) -> io::Result<Folder> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match above {
            Some(above) => openat(&above.fd, name, flags, Mode::empty())?,
            None => openat(AT_FDCWD, name, flags, Mode::empty())?,
        };
        let stat = fstat(&fd)?;
        let is_own = is_own(stat.st_uid);
        // Of a user's own group nobody else is a member; root's may have some.
        let is_own_group = !geteuid().is_root() && stat.st_gid == getegid().as_raw();
        let is_closed = stat.st_mode & OTHERS_WRITE == 0 && (stat.st_mode & GROUP_WRITES == 0 || is_own_group);
        let is_sure = above.is_none_or(|above| above.is_ours || (above.stat.st_mode & STICKY != 0 && is_own));
        Ok(Folder { fd, stat, is_ours: is_own && is_closed && is_sure })
    }

    /// Gives a file that was opened here to this folder's owner.
    pub fn give(&self, file: &File) -> io::Result<()> {
        give(file, &self.stat)
    }

    fn spot(self, name: OsString, path: &Path) -> Spot {
        Spot { folder: self, name, path: path.to_owned() }
    }
}

/// Nobody else's: root's or ours.
fn is_own(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Gives an open file to an owner. Whose it is already, it stays: the service's sandbox knows no chown.
fn give(file: &File, owner: &FileStat) -> io::Result<()> {
    match file.metadata()?.uid() == owner.st_uid {
        true => Ok(()),
        false => fchown(file, Some(owner.st_uid), Some(owner.st_gid)),
    }
}

/// A name in an open folder, whether there is something of that name or not.
#[derive(Debug)]
pub(crate) struct Spot {
    pub folder: Folder,
    name: OsString,
    /// As it was asked for, for people.
    path: PathBuf,
}

impl Spot {
    /// Walks a path by the rule above.
    pub fn of(path: &Path, last: Last) -> io::Result<Spot> {
        let start = |path: &Path| Folder::open(None, OsStr::new(if path.is_absolute() { "/" } else { "." }));
        let mut folder = start(path)?;
        let mut rest: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if rest.is_empty() && last == Last::Name {
                return Ok(folder.spot(name, path));
            }
            match readlinkat(&folder.fd, &*name) {
                Ok(_) if !folder.is_ours => return Err(Refused::Link(path.display().to_string()).into()),
                Ok(_) if links == MAX_LINKS => return Err(Errno::ELOOP.into()),
                Ok(target) => {
                    links += 1;
                    let target = Path::new(&target);
                    if target.is_absolute() {
                        folder = start(target)?;
                    }
                    parts(target).rev().for_each(|part| rest.push_front(part));
                    continue;
                }
                // No link; or nothing, which is for the caller to find.
                Err(Errno::EINVAL) => {}
                Err(Errno::ENOENT) if rest.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
            if rest.is_empty() {
                return Ok(folder.spot(name, path));
            }
            folder = Folder::open(Some(&folder), &name)?;
        }
        Ok(folder.spot(".".into(), path))
    }

    /// Opens what is there. It never waits, and never makes anything.
    pub fn open(&self, access: OFlag, kind: Kind) -> io::Result<File> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.folder.fd, &*self.name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ELOOP) => return Err(Refused::Link(self.shown()).into()),
            // A folder, a pipe without a reader, a socket.
            Err(Errno::EISDIR | Errno::ENXIO) => return Err(Refused::Kind(self.shown(), "regular file").into()),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        match type_of(&stat) {
            SFlag::S_IFREG => self.has_one_owner(&stat)?,
            SFlag::S_IFDIR if kind == Kind::FileOrFolder => {}
            _ => return Err(Refused::Kind(self.shown(), "regular file").into()),
        }
        Ok(file)
    }

    /// Where others can make names, a file that has several may be anybody's: unless it is the folder's owner's own.
    fn has_one_owner(&self, stat: &FileStat) -> io::Result<()> {
        let of_folder = self.folder.stat.st_uid;
        let is_theirs = stat.st_uid == of_folder && !is_own(of_folder);
        match self.folder.is_ours || stat.st_nlink <= 1 || is_theirs {
            true => Ok(()),
            false => Err(Refused::SecondName(self.shown()).into()),
        }
    }

    /// Makes a file that is not there, not even as a link.
    pub fn create(&self, mode: u32) -> io::Result<File> {
        self.make(OFlag::O_WRONLY, mode)
    }

    /// Opens a file to read and write, and makes it if there is none.
    pub fn open_or_create(&self, mode: u32) -> io::Result<File> {
        for _ in 0..MAX_TRIES {
            match self.open(OFlag::O_RDWR, Kind::File) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                opened => return opened,
            }
            match self.make(OFlag::O_RDWR, mode) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn make(&self, access: OFlag, mode: u32) -> io::Result<File> {
        let flags = access | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.folder.fd, &*self.name, flags, Mode::from_bits_truncate(mode))?))
    }

    /// What stands at the name, `None` when nothing does. A link is shown as a link.
    pub fn stat(&self) -> io::Result<Option<FileStat>> {
        match fstatat(&self.folder.fd, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn make_dir(&self, mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.folder.fd, &*self.name, Mode::from_bits_truncate(mode))?)
    }

    /// Replaces what `to` names.
    pub fn rename(&self, to: &Spot) -> io::Result<()> {
        Ok(renameat(&self.folder.fd, &*self.name, &to.folder.fd, &*to.name)?)
    }

    /// A second name, also of a link itself.
    pub fn link(&self, to: &Spot) -> io::Result<()> {
        Ok(linkat(&self.folder.fd, &*self.name, &to.folder.fd, &*to.name, AtFlags::empty())?)
    }

    pub fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder.fd, &*self.name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// A path by which a socket can be bound at this spot and nowhere else, as long as the spot is held.
    pub fn path_to_bind(&self) -> PathBuf {
        match self.folder.is_ours {
            true => self.path.clone(),
            false => by_descriptor(&self.folder.fd).join(&self.name),
        }
    }

    /// A path by which the socket that is here can be connected to, and no other one, as long as the answer is held.
    pub fn socket(&self) -> io::Result<Socket> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.folder.fd, &*self.name, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        match type_of(&stat) {
            SFlag::S_IFSOCK => self.has_one_owner(&stat)?,
            SFlag::S_IFLNK => return Err(Refused::Link(self.shown()).into()),
            _ => return Err(Refused::Kind(self.shown(), "socket").into()),
        }
        let path = if self.folder.is_ours { self.path.clone() } else { by_descriptor(&fd) };
        Ok(Socket { path, _held: fd })
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// See [`Spot::socket`].
#[derive(Debug)]
pub(crate) struct Socket {
    pub path: PathBuf,
    _held: OwnedFd,
}

/// proc(5): leads to what is open, whatever its name is now.
fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn type_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The parts of a path that lead somewhere.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let leads = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(leads).map(|part| part.as_os_str().to_owned())
}

/// Opens a file to read it.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    Spot::of(path, Last::Target)?.open(OFlag::O_RDONLY, Kind::File)
}

/// Gives an open file to the owner of something else.
pub(crate) fn give_as(file: &File, other: &Path) -> io::Result<()> {
    let owner = Spot::of(other, Last::Target)?.stat()?.ok_or(ErrorKind::NotFound)?;
    give(file, &owner)
}

#[cfg(test)]
mod tests;
