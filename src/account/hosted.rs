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

/// Whether `<Play>` takes a file (TWILIO.md "Play"). The rule: sound of another kind is named by `gateway check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// It does.
    Takes,
    /// It is sound, and it does not: 13420, and the caller hears nothing.
    Refuses,
    /// It is no sound.
    NoSound,
}

/// Ends of names, and what a file of such a name is.
const MEDIA_TYPES: &[(&[&str], &str, Play)] = &[
    (&["wav"], "audio/wav", Play::Takes),
    (&["mp3"], "audio/mpeg", Play::Takes),
    (&["gsm"], "audio/x-gsm", Play::Takes),
    (&["ulaw", "ul"], "audio/ulaw", Play::Takes),
    (&["aif", "aiff"], "audio/aiff", Play::Takes),
    (&["aifc"], "audio/x-aifc", Play::Takes),
    (&["ogg", "oga", "opus"], "audio/ogg", Play::Refuses),
    (&["flac"], "audio/flac", Play::Refuses),
    (&["m4a", "m4b"], "audio/mp4", Play::Refuses),
    (&["aac"], "audio/aac", Play::Refuses),
    (&["amr"], "audio/amr", Play::Refuses),
    (&["wma"], "audio/x-ms-wma", Play::Refuses),
    (&["weba"], "audio/webm", Play::Refuses),
    (&["alaw", "al"], "audio/x-alaw-basic", Play::Refuses),
    (&["au", "snd"], "audio/basic", Play::Refuses),
    (&["mid", "midi"], "audio/midi", Play::Refuses),
    (&["txt"], "text/plain", Play::NoSound),
    (&["md"], "text/markdown", Play::NoSound),
    (&["csv"], "text/csv", Play::NoSound),
    (&["html", "htm"], "text/html", Play::NoSound),
    (&["css"], "text/css", Play::NoSound),
    (&["js"], "text/javascript", Play::NoSound),
    (&["json"], "application/json", Play::NoSound),
    (&["xml", "twiml"], "application/xml", Play::NoSound),
    (&["pdf"], "application/pdf", Play::NoSound),
    (&["png"], "image/png", Play::NoSound),
    (&["jpg", "jpeg"], "image/jpeg", Play::NoSound),
    (&["gif"], "image/gif", Play::NoSound),
    (&["svg"], "image/svg+xml", Play::NoSound),
    (&["ico"], "image/x-icon", Play::NoSound),
    (&["mp4"], "video/mp4", Play::NoSound),
];

/// What Twilio serves a file as, by the end of its name, and whether `<Play>` takes it.
pub fn media_type(path: &str) -> (&'static str, Play) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let end = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    let row = MEDIA_TYPES.iter().find(|(ends, ..)| ends.contains(&end.as_str()));
    row.map_or(("application/octet-stream", Play::NoSound), |(_, media_type, play)| (media_type, *play))
}

/// What `gateway check` says of files that `<Play>` does not take; nothing where there are none.
pub fn unplayable(files: &[File]) -> Option<String> {
    let refused = files.iter().map(|file| file.path.as_str()).filter(|path| media_type(path).1 == Play::Refuses);
    let names: Vec<&str> = refused.collect();
    (!names.is_empty()).then(|| {
        format!(
            "hosted: Twilio's <Play> does not take {} (13420): callers hear nothing; make it .mp3, .wav or .ulaw",
            names.join(", ")
        )
    })
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
    fn sound_that_play_does_not_take_is_named_and_other_files_are_not() {
        let file = |path: &str| File { path: path.to_owned(), source: PathBuf::new(), bytes: 0, sha256: String::new() };
        let good = ["/a.mp3", "/b.WAV", "/c.ulaw", "/d.aiff", "/e.gsm", "/f.xml", "/ogg", "/x.ogg/y.mp3", "/g.mp4"];
        assert_eq!(unplayable(&good.map(file)), None);
        let said = unplayable(&["/s/a.OGG", "/b.opus", "/c.m4a", "/d.flac", "/e.alaw", "/f.mp3"].map(file)).unwrap();
        assert!(
            said.contains("/s/a.OGG, /b.opus, /c.m4a, /d.flac, /e.alaw (13420)") && !said.contains("/f.mp3"),
            "{said}"
        );
    }

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
