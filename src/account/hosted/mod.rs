//! The hosted Service: files that Twilio serves for us (TWILIO.md "Hosted files").

mod steps;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use gateway_core::hex::hex;

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
    #[error("build {build} of the hosted Service is not complete after {} minutes; run the command again", steps::BUILD_TIME.as_secs() / 60)]
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

/// What Twilio serves a file as, by the end of its name.
fn content_type(path: &str) -> &'static str {
    let extension =
        path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "gsm" => "audio/x-gsm",
        "ulaw" | "ul" => "audio/basic",
        "aif" | "aiff" => "audio/aiff",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "json" => "application/json",
        "xml" | "twiml" => "application/xml",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
