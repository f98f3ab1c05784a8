//! The hosted Service: files that Twilio serves for us (TWILIO.md "Hosted files").

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use gateway_core::hex::hex;

/// How long a build may take, as Twilio's own tool has it.
pub const BUILD_TIME: Duration = Duration::from_secs(300);

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

/// Why files do not get to callers.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// The folder or a file in it cannot be used.
    #[error("hosted.assets: {path}: {reason}")]
    File { path: String, reason: String },
    #[error("build {build} of the hosted Service failed at Twilio; see its logs at console.twilio.com, or run again")]
    BuildFailed { build: String },
    #[error("build {build} of the hosted Service is not complete after {} minutes; run the command again", BUILD_TIME.as_secs() / 60)]
    BuildSlow { build: String },
    #[error("build {build} is no longer at Twilio; run the command again, or promote another environment")]
    BuildGone { build: String },
    #[error("hosted environment {environment} runs {found} after {build} was put in force; run the command again")]
    NotInForce { environment: String, build: String, found: String },
}

/// Tells sets of files apart: paths and contents.
pub fn fingerprint(files: &[File]) -> String {
    let mut files: Vec<&File> = files.iter().collect();
    files.sort_by_key(|file| &file.path);
    let mut digest = Sha256::new();
    for File { path, sha256, .. } in files {
        // A path has no line break, so no two sets give the same text.
        digest.update(format!("{sha256} {path}\n"));
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_paths_and_contents_and_not_of_the_order() {
        let file = |path: &str, sha256: &str| File {
            path: path.to_owned(),
            source: PathBuf::new(),
            bytes: 0,
            sha256: sha256.to_owned(),
        };
        let (a, b) = (file("/a", "1"), file("/b", "2"));
        let both = fingerprint(&[a.clone(), b.clone()]);
        assert_eq!(both.len(), 64);
        assert_eq!(fingerprint(&[b.clone(), a.clone()]), both);
        for other in [vec![], vec![a.clone()], vec![a.clone(), file("/b", "3")], vec![a, file("/c", "2")]] {
            assert_ne!(fingerprint(&other), both);
        }
    }
}
