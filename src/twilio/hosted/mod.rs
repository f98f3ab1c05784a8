//! The hosted Service: files that Twilio serves for us (twilio.md 3).

use std::path::{Path, PathBuf};

/// A file of the folder `hosted.assets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it will be found: `/sounds/busy.mp3`.
    pub path: String,
    /// Where it is.
    pub source: PathBuf,
    pub bytes: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
}

/// The folder or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("hosted.assets: {path}: {reason}")]
pub struct HostedError {
    pub path: String,
    pub reason: String,
}

/// All files of a folder and its subfolders, sorted by path.
pub fn scan(folder: &Path) -> Result<Vec<File>, HostedError> {
    let _ = folder;
    todo!()
}

/// Tells sets of files apart: paths and contents.
pub fn fingerprint(files: &[File]) -> String {
    let _ = files;
    todo!()
}
