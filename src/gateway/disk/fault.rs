//! A file system in memory that fails on request, and forgets at a power cut what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Disk, Owner};

/// What goes wrong at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, having done nothing.
    Error(ErrorKind),
    /// A file was begun: that many eighths of its content were written. Other requests: as [`Fault::Error`].
    Torn(ErrorKind, usize),
    /// It and all after it fail, until [`FaultyDisk::mend`]: a flash that is full stays so.
    Lasting(ErrorKind),
    /// The power goes before it: this request and all after it fail.
    Cut,
}

/// What becomes of content that was not synced, at a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unsynced {
    Whole,
    Empty,
    /// A part, in eighths.
    Prefix(usize),
    /// The length was written, the content was not.
    Zeroes,
}

pub(crate) const UNSYNCED: [Unsynced; 5] =
    [Unsynced::Whole, Unsynced::Empty, Unsynced::Prefix(3), Unsynced::Prefix(7), Unsynced::Zeroes];

/// Content and permission bits by path.
pub(crate) type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

#[derive(Clone, Debug)]
struct Inode {
    content: Vec<u8>,
    synced: bool,
    mode: u32,
    /// As a power cut would leave it, perhaps.
    durable_mode: u32,
}

/// A change of names, not synced yet.
#[derive(Clone, Debug)]
enum Naming {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    /// Atomic: both or none.
    Rename(PathBuf, PathBuf, usize),
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    /// As processes see it.
    names: BTreeMap<PathBuf, usize>,
    /// As a power cut would leave it, but for `pending`, each of which may last or not.
    durable: BTreeMap<PathBuf, usize>,
    pending: Vec<Naming>,
    dirs: Vec<PathBuf>,
    /// Requests that change something, so far.
    requests: usize,
    fault: Option<(usize, Fault)>,
    is_cut: bool,
    unreadable: BTreeSet<PathBuf>,
    has_no_links: bool,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

impl FaultyDisk {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Has a fault happen at the request of that number, counted from now.
    pub fn fail_at(&self, request: usize, fault: Fault) {
        self.with(|state| state.fault = Some((state.requests + request, fault)));
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.with(|state| (state.fault, state.unreadable) = (None, BTreeSet::new()));
    }

    /// Has each read of a file fail: the flash under it is worn out.
    pub fn wear_out(&self, path: &Path) {
        let _ = self.with(|state| state.unreadable.insert(path.to_owned()));
    }

    /// Is a file system without second names, such as FAT.
    pub fn without_links(self) -> FaultyDisk {
        self.with(|state| state.has_no_links = true);
        self
    }

    /// All files.
    pub fn files(&self) -> Files {
        self.with(|state| {
            let file = |inode: &usize| (state.inodes[*inode].content.clone(), state.inodes[*inode].mode);
            state.names.iter().map(|(path, inode)| (path.clone(), file(inode))).collect()
        })
    }

    pub fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    pub fn put(&self, path: &Path, content: &[u8], mode: u32) {
        self.with(|state| {
            state.inodes.push(Inode { content: content.to_vec(), synced: true, mode, durable_mode: mode });
            state.names.insert(path.to_owned(), state.inodes.len() - 1);
            state.durable.insert(path.to_owned(), state.inodes.len() - 1);
        });
    }

    /// Every disk that a power cut now may leave behind.
    pub fn after_cut(&self) -> Vec<FaultyDisk> {
        let state = self.with(|state| state.clone());
        let mut left = Vec::new();
        assert!(state.pending.len() <= 8, "too many names at once for a test: {:?}", state.pending);
        for subset in 0..1_usize << state.pending.len() {
            for unsynced in UNSYNCED {
                left.push(FaultyDisk(Arc::new(Mutex::new(state.left_by_cut(subset, unsynced)))));
            }
            if state.inodes.iter().all(|inode| inode.synced && inode.mode == inode.durable_mode) {
                // The five are one and the same.
                left.truncate(left.len() - UNSYNCED.len() + 1);
            }
        }
        left
    }
}

impl State {
    fn left_by_cut(&self, subset: usize, unsynced: Unsynced) -> State {
        let mut names = self.durable.clone();
        for (number, naming) in self.pending.iter().enumerate() {
            if subset & 1 << number == 0 {
                continue;
            }
            match naming {
                Naming::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
                Naming::Unlink(path) => drop(names.remove(path)),
                Naming::Rename(from, to, inode) => {
                    names.remove(from);
                    names.insert(to.clone(), *inode);
                }
            }
        }
        let mut inodes = self.inodes.clone();
        for inode in &mut inodes {
            match unsynced {
                Unsynced::Whole => inode.durable_mode = inode.mode,
                _ => inode.mode = inode.durable_mode,
            }
        }
        for inode in inodes.iter_mut().filter(|inode| !inode.synced) {
            let length = inode.content.len();
            match unsynced {
                Unsynced::Whole => {}
                Unsynced::Empty => inode.content.clear(),
                Unsynced::Prefix(eighths) => inode.content.truncate(length * eighths / 8),
                Unsynced::Zeroes => inode.content = vec![0; length],
            }
            inode.synced = true;
        }
        State {
            inodes,
            durable: names.clone(),
            names,
            dirs: self.dirs.clone(),
            has_no_links: self.has_no_links,
            ..State::default()
        }
    }

    /// Counts a request; an error when it is the one that fails.
    fn request(&mut self) -> io::Result<()> {
        self.torn().map_or(Ok(()), |(kind, _)| Err(error(kind)))
    }

    fn torn(&mut self) -> Option<(ErrorKind, usize)> {
        if self.is_cut {
            return Some((ErrorKind::Other, 0));
        }
        let number = self.requests;
        self.requests += 1;
        match self.fault {
            Some((at, Fault::Error(kind))) if at == number => Some((kind, 0)),
            Some((at, Fault::Torn(kind, eighths))) if at == number => Some((kind, eighths)),
            Some((at, Fault::Lasting(kind))) if at <= number => Some((kind, 0)),
            Some((at, Fault::Cut)) if at == number => {
                self.is_cut = true;
                Some((ErrorKind::Other, 0))
            }
            _ => None,
        }
    }

    fn readable(&self, path: &Path) -> io::Result<()> {
        match self.unreadable.contains(path) {
            true => Err(error(ErrorKind::Other)),
            false => Ok(()),
        }
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn make(&mut self, path: &Path, content: &[u8], mode: u32) {
        self.inodes.push(Inode { content: content.to_vec(), synced: false, mode, durable_mode: mode });
        let inode = self.inodes.len() - 1;
        self.names.insert(path.to_owned(), inode);
        self.pending.push(Naming::Link(path.to_owned(), inode));
    }
}

/// As the system tells it; what Rust has no name for is EIO.
fn error(kind: ErrorKind) -> io::Error {
    match kind {
        ErrorKind::StorageFull => nix::errno::Errno::ENOSPC.into(),
        ErrorKind::ReadOnlyFilesystem => nix::errno::Errno::EROFS.into(),
        ErrorKind::Other => nix::errno::Errno::EIO.into(),
        kind => kind.into(),
    }
}

/// The end of what could be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(error(ErrorKind::Other))
    }
}

impl Disk for FaultyDisk {
    fn read(&self, path: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
        self.with(|state| {
            state.readable(path)?;
            let inode = state.names.get(path).map(|inode| &state.inodes[*inode]);
            Ok(inode.map(|inode| (inode.content.clone(), inode.mode)))
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        self.with(|state| {
            let inode = state.inode(path)?;
            let content = state.inodes[inode].content.clone();
            let source: Box<dyn Read> = match state.readable(path) {
                Ok(()) => Box::new(Cursor::new(content)),
                // Half-way, as it is with flash.
                Err(_) => Box::new(Cursor::new(content[..content.len() / 2].to_vec()).chain(Broken)),
            };
            Ok(source)
        })
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        self.with(|state| matches!((state.inode(one), state.inode(other)), (Ok(one), Ok(other)) if one == other))
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        self.with(|state| {
            let dir = state.dirs.iter().any(|dir| dir == path).then_some(0o700);
            Ok(dir.or_else(|| state.names.get(path).map(|inode| state.inodes[*inode].mode)))
        })
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            let inode = state.inode(path)?;
            state.inodes[inode].mode = mode;
            Ok(())
        })
    }

    fn create(&self, path: &Path, source: &mut dyn Read, mode: u32, _: Owner<'_>) -> io::Result<()> {
        let mut content = Vec::new();
        let read = source.read_to_end(&mut content);
        self.with(|state| {
            if state.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            match state.torn() {
                None => state.make(path, &content, mode),
                Some((kind, 0)) => return Err(error(kind)),
                Some((kind, eighths)) => {
                    state.make(path, &content[..content.len() * (eighths - 1) / 8], mode);
                    return Err(error(kind));
                }
            }
            read.map(drop)
        })
    }

    fn give(&self, path: &Path, _owned_as: &Path) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            state.inode(path).map(drop)
        })
    }

    fn make_dir(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            state.dirs.push(path.to_owned());
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            if let Some(inode) = state.names.get(path) {
                let inode = &mut state.inodes[*inode];
                (inode.synced, inode.durable_mode) = (true, inode.mode);
            } else {
                // There is one folder with files in it.
                state.durable.clone_from(&state.names);
                state.pending.clear();
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            let inode = state.inode(from)?;
            state.names.remove(from);
            state.names.insert(to.to_owned(), inode);
            state.pending.push(Naming::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|state| {
            state.request()?;
            if state.has_no_links {
                return Err(ErrorKind::PermissionDenied.into());
            }
            let inode = state.inode(from)?;
            if state.names.contains_key(to) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.names.insert(to.to_owned(), inode);
            state.pending.push(Naming::Link(to.to_owned(), inode));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            if !state.names.contains_key(path) {
                return Err(ErrorKind::NotFound.into());
            }
            state.request()?;
            state.names.remove(path);
            state.pending.push(Naming::Unlink(path.to_owned()));
            Ok(())
        })
    }
}
