//! The sound file that `[emergency] failure_sound` names.
//!
//! A file that cannot be played stops nothing: phones and emergency calls are served, and a caller hears no sentence.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use gateway_core::config::Emergency;
use gateway_core::media::sound::{MAX_FILE, Sound, SoundError};

/// Why the file cannot be played.
#[derive(Debug, thiserror::Error)]
#[error(
    "emergency.failure_sound: {} {problem}; until then a caller whose emergency call cannot leave hears no sentence; {}",
    .path.display(), .problem.advice()
)]
pub struct SoundFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("is not there")]
    Missing,
    #[error("cannot be read: {0}")]
    Unreadable(ErrorKind),
    #[error("is no file")]
    NoFile,
    #[error("is longer than {MAX_FILE} bytes")]
    Large,
    #[error(transparent)]
    Sound(#[from] SoundError),
}

impl Problem {
    fn advice(&self) -> &'static str {
        match self {
            Problem::Missing | Problem::NoFile => "write the path of a WAV file, or remove the key",
            Problem::Unreadable(_) => "let the service's user read it: chmod a+r",
            Problem::Large | Problem::Sound(_) => {
                "convert it: sox FILE -r 8000 -c 1 -e mu-law no-line.wav, 60 seconds at most"
            }
        }
    }
}

/// Reads the file again, if there is one to read. When it cannot be played there is no sound.
pub fn read(emergency: &mut Emergency) -> Result<(), SoundFileError> {
    emergency.sound = None;
    let Some(path) = &emergency.failure_sound else { return Ok(()) };
    emergency.sound = Some(sound(path).map_err(|problem| SoundFileError { path: path.clone(), problem })?);
    Ok(())
}

fn sound(path: &Path) -> Result<Sound, Problem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Problem::Missing,
        kind => Problem::Unreadable(kind),
    };
    // Before it is opened: a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Problem::NoFile);
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Problem::Large);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    Ok(Sound::read(extension, &bytes)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn emergency(path: &Path) -> Emergency {
        let numbers = gateway_core::emergency::Numbers::of_site(None, None, std::iter::empty(), std::iter::empty());
        let (caller_id, notify) = (None, Vec::new());
        Emergency { numbers, caller_id, notify, failure_sound: Some(path.to_owned()), sound: None }
    }

    #[test]
    fn a_sound_is_read_within_bounds_and_a_bad_file_says_what_to_do() {
        let folder = std::env::temp_dir().join(format!("gateway-sound-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let mut good = emergency(&file("no-line.ulaw", &[0xff; 8000]));
        read(&mut good).unwrap();
        assert_eq!(good.sound.as_ref().map(Sound::duration), Some(Duration::from_secs(1)));
        for (path, text) in [
            (folder.join("gone.wav"), "gone.wav is not there;"),
            (folder.clone(), "is no file;"),
            (file("large.ulaw", &vec![0; MAX_FILE as usize + 1]), "large.ulaw is longer than 1048576 bytes;"),
            (file("no-line.mp3", b"ID3"), "no-line.mp3 is neither a WAV file nor named .ulaw or .alaw;"),
            (file("long.alaw", &vec![0; 480_001]), "long.alaw is longer than 60 s;"),
        ] {
            good.failure_sound = Some(path);
            let error = read(&mut good).unwrap_err().to_string();
            assert!(error.starts_with("emergency.failure_sound: ") && error.contains(text), "{error}");
            assert!(error.contains("hears no sentence") && !error.contains("os error"), "{error}");
            assert_eq!(good.sound, None, "the former one is not played either");
        }
        good.failure_sound = None;
        assert!(read(&mut good).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
