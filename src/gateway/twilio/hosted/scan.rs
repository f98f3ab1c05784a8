//! What stands in the folder: paths, sizes, contents' digests.

use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{File, HostedError};
use crate::disk::folder;
use gateway_core::hex::hex;

/// Most files of the folder.
pub const MAX_FILES: usize = 1000;

/// Largest file, in bytes: Twilio takes no larger one.
pub const MAX_FILE: u64 = 25 << 20;

/// Longest path at Twilio, in bytes (TWILIO.md "Assets").
pub const MAX_PATH: usize = 255;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// All files of a folder and its subfolders, sorted by path. Those whose name begins with a dot are left out.
pub fn scan(folder: &Path) -> Result<Vec<File>, HostedError> {
    let root = fs::canonicalize(folder).map_err(|error| refused(folder, format!("cannot be read: {error}")))?;
    let mut files = Vec::new();
    // Folders that are still to be read, each with its path at Twilio. Paths have a bound, so there is an end.
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, path)) = folders.pop() {
        let unread = |error: std::io::Error| refused(&folder, format!("cannot be read: {error}"));
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let source = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(refused(&source, "its name is not UTF-8; rename it"));
            };
            if name.starts_with('.') {
                continue;
            }
            let path = checked(&source, format!("{path}/{name}"))?;
            let metadata = resolved(&root, &source, &entry)?;
            if metadata.is_dir() {
                folders.push((source, path));
            } else if metadata.is_file() {
                if files.len() == MAX_FILES {
                    return Err(refused(&source, format!("there are more than {MAX_FILES} files; remove some")));
                }
                files.push(read(source, path)?);
            } else {
                return Err(refused(&source, "is neither a file nor a folder; remove it"));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What an entry is. A link may lead to a file in the folder: whatever else it leads to was hardly meant to be shown to
/// the world.
fn resolved(root: &Path, source: &Path, entry: &fs::DirEntry) -> Result<Metadata, HostedError> {
    let failed = |error: std::io::Error| refused(source, format!("cannot be read: {error}"));
    let metadata = entry.metadata().map_err(failed)?;
    if !metadata.is_symlink() {
        return Ok(metadata);
    }
    let target = fs::canonicalize(source).map_err(failed)?;
    let metadata = fs::metadata(&target).map_err(failed)?;
    match target.starts_with(root) && metadata.is_file() {
        true => Ok(metadata),
        false => {
            Err(refused(source, "is a link that does not lead to a file of this folder; put the file itself here"))
        }
    }
}

/// The path, if Twilio takes it and it is the same in every URL.
fn checked(source: &Path, path: String) -> Result<String, HostedError> {
    // RFC 3986 section 2.3
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if let Some(other) = path.chars().find(|c| !is_unreserved(*c)) {
        let way = "rename it, with letters, digits, \"-\", \".\", \"_\" and \"~\" only";
        return Err(refused(source, format!("{other:?} in its name is not fine in a URL; {way}")));
    }
    match path.len() > MAX_PATH {
        true => Err(refused(source, format!("its path has more than {MAX_PATH} characters; rename it"))),
        false => Ok(path),
    }
}

fn read(source: PathBuf, path: String) -> Result<File, HostedError> {
    let failed = |error: std::io::Error| refused(&source, format!("cannot be read: {error}"));
    let mut content = folder::open_file(&source).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        let read = match content.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        bytes += read as u64;
        if bytes > MAX_FILE {
            let reason = format!("it has more than {} MB, the most that Twilio takes; make it smaller", MAX_FILE >> 20);
            return Err(refused(&source, reason));
        }
        digest.update(&chunk[..read]);
    }
    let sha256 = hex(&digest.finalize());
    Ok(File { path, source, bytes, sha256 })
}

impl File {
    /// The content, which must be the one that was planned.
    pub(super) fn content(&self) -> Result<Vec<u8>, HostedError> {
        let failed = |error: std::io::Error| refused(&self.source, format!("cannot be read: {error}"));
        let mut content = Vec::new();
        folder::open_file(&self.source)
            .map_err(failed)?
            .take(MAX_FILE + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        match hex(&Sha256::digest(&content)) == self.sha256 {
            true => Ok(content),
            false => Err(refused(&self.source, "it was changed since the plan was made; run the command again")),
        }
    }
}

fn refused(path: &Path, reason: impl Into<String>) -> HostedError {
    HostedError::File { path: path.display().to_string(), reason: reason.into() }
}
