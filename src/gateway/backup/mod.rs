//! A backup: the config, the state, and the files beside the config that it names, as a tar in an age file, so that a new
//! box takes over with the same credentials, and a person can look inside without us. Pure; `cli::backup` and
//! `cli::restore` have the disk and the terminal.

pub mod age;
pub mod named;
pub mod tar;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::files::{self, Fate};
use crate::upgrade::candidate::is_lower;
use age::AgeError;
use gateway_core::config::{self, Config};
use gateway_core::random::Random;
use gateway_core::time::WallClock;
use named::named;
use tar::{Entry, TarError};

/// The shape of what is in the archive; another one gets another number.
pub const FORMAT: u32 = 1;

/// Most bytes of all files together: they are in memory at once, on both boxes.
pub const MAX_CONTENT: usize = 16 << 20;

/// Largest backup that is read, in bytes: the content, a header and padding for each file, and what age adds.
pub const MAX_FILE: u64 = (MAX_CONTENT + tar::MAX_ENTRIES * 1024 + (1 << 20)) as u64;

/// Fewest characters of a passphrase: a backup lies where others may find it, and can be guessed at for ever.
pub const MIN_PASSPHRASE: usize = 12;

/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

/// Names in the archive.
const ABOUT: &str = "backup.json";
const CONFIG: &str = "config/gateway.toml";
const CONFIG_FOLDER: &str = "config/";
const STATE_FOLDER: &str = "state/";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// [`FORMAT`]
    pub format: u32,
    /// The version that made it.
    pub gateway: String,
    /// `site.name`
    #[serde(default)]
    pub site: String,
    /// By the clock of the box.
    #[serde(default)]
    pub made: WallClock,
    /// Where the config was, as an absolute path; empty where no older version said so.
    #[serde(default)]
    pub folder: String,
}

/// A file that the config names.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedFile {
    pub content: Vec<u8>,
    /// It is not for everybody on the box, such as a private key.
    pub is_private: bool,
}

/// What is in a backup. No `Debug`: it is full of secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Backup {
    pub about: About,
    /// The config file.
    pub config: String,
    /// By path from the config's folder.
    pub named: BTreeMap<String, NamedFile>,
    /// By name in the state folder.
    pub state: BTreeMap<&'static str, Vec<u8>>,
}

/// Why there is no backup, or it is not taken. Nothing of the content is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Age(#[from] AgeError),
    #[error("holds no archive of ours: {0}")]
    Tar(#[from] TarError),
    #[error("holds no {0}")]
    Missing(&'static str),
    #[error("holds {0:?}, which is no part of a backup")]
    Stranger(String),
    #[error("holds a {name} that cannot be understood ({reason})")]
    Broken { name: String, reason: String },
    #[error(
        "was made by gateway {gateway}, which is newer than this {own}: upgrade this box first (\"gateway upgrade FILE\")"
    )]
    Newer { gateway: String, own: &'static str },
    #[error("cannot be made: {0}")]
    Archive(TarError),
    #[error("has {0} bytes of files, and may have {MAX_CONTENT}: keep large files out of the config's folder")]
    Large(usize),
}

impl Backup {
    /// Says what it is.
    pub fn about(site: &str, made: WallClock, folder: &Path) -> About {
        let folder = std::path::absolute(folder).unwrap_or_default().display().to_string();
        About { format: FORMAT, gateway: env!("CARGO_PKG_VERSION").to_owned(), site: site.to_owned(), made, folder }
    }

    /// Names and sizes of all files in it, in the archive's spelling.
    pub fn list(&self) -> Vec<(String, usize)> {
        self.entries()
            .into_iter()
            .map(|(name, _, content)| (name, content.len()))
            .filter(|(name, _)| name != ABOUT)
            .collect()
    }

    /// Name, mode and content.
    fn entries(&self) -> Vec<(String, u32, &[u8])> {
        let mut entries = vec![(CONFIG.to_owned(), 0o644, self.config.as_bytes())];
        for (path, file) in &self.named {
            let mode = if file.is_private { 0o600 } else { 0o644 };
            entries.push((format!("{CONFIG_FOLDER}{path}"), mode, &file.content));
        }
        for (name, content) in &self.state {
            entries.push((format!("{STATE_FOLDER}{name}"), 0o600, content));
        }
        entries
    }

    /// The file. `memory` is how many bytes can be spared for the passphrase.
    pub fn seal(&self, passphrase: &str, memory: u64, random: &mut Random) -> Result<Vec<u8>, BackupError> {
        let about = serde_json::to_vec_pretty(&self.about).map_err(|error| broken(ABOUT, &error))?;
        let own = |(name, mode, content): (String, u32, &[u8])| Entry { name, mode, content: content.to_vec() };
        let mut entries = vec![own((ABOUT.to_owned(), 0o644, &about))];
        entries.extend(self.entries().into_iter().map(own));
        is_small(&entries)?;
        let archive = tar::write(&entries, self.about.made.0).map_err(BackupError::Archive)?;
        drop(entries);
        Ok(age::encrypt(&archive, passphrase, memory, random)?)
    }

    /// What is in a file: all of it whole and known to this version, or an error.
    pub fn open(file: &[u8], passphrase: &str, memory: u64) -> Result<Backup, BackupError> {
        let mut entries = tar::read(&age::decrypt(file, passphrase, memory)?)?;
        is_small(&entries)?;
        let about = take(&mut entries, ABOUT)?;
        let about: About = serde_json::from_slice(&about.content).map_err(|error| broken(ABOUT, &error))?;
        // Before anything else of it is looked at: what a newer version keeps is not ours to judge.
        if about.format > FORMAT || is_lower(env!("CARGO_PKG_VERSION"), &about.gateway) {
            return Err(BackupError::Newer { gateway: about.gateway, own: env!("CARGO_PKG_VERSION") });
        }
        let config = take(&mut entries, CONFIG)?.content;
        let config = String::from_utf8(config).ok().filter(|config| config.len() as u64 <= config::MAX_FILE);
        let config = config.ok_or_else(|| broken(CONFIG, &"it is no text"))?;
        let (mut named, mut state) = (BTreeMap::new(), BTreeMap::new());
        for Entry { name, mode, content } in entries {
            if let Some(path) = name.strip_prefix(CONFIG_FOLDER) {
                named.insert(path.to_owned(), NamedFile { content, is_private: mode & 0o004 == 0 });
                continue;
            }
            let known = name.strip_prefix(STATE_FOLDER).and_then(files::find);
            let Some((known, Fate::Taken)) = known else { return Err(BackupError::Stranger(name)) };
            files::check(known, &content).map_err(|reason| BackupError::Broken { name, reason })?;
            state.insert(known, content);
        }
        Ok(Backup { about, config, named, state })
    }

    /// The config for a box where it lies in another folder. What it names by an absolute path, and what came with it from
    /// its former folder, is named from the new one: it goes beside the config, as it was.
    pub fn moved(&self, config: &Config) -> String {
        let former = Path::new(&self.about.folder);
        let mut text = self.config.clone();
        for file in named(config).iter().filter(|_| !self.about.folder.is_empty()) {
            let Some(beside) = file.below(former).filter(|beside| self.holds(beside)) else { continue };
            let Some(absolute) = file.path.to_str() else { continue };
            text = text.split_inclusive('\n').map(|line| renamed(line, file.key, absolute, &beside)).collect();
        }
        text
    }

    /// Whether it has this file, or files in this folder.
    fn holds(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.named.keys().any(|path| path == name || path.starts_with(&below))
    }

    /// Whether the config names every file that came with it: nothing else is put beside it.
    pub fn is_named_by(&self, config: &Config, folder: &Path) -> Result<(), BackupError> {
        let names: Vec<_> =
            named(config).into_iter().filter_map(|file| Some((file.below(folder)?, file.is_folder))).collect();
        let is_named = |path: &str| {
            names.iter().any(|(name, is_folder)| match is_folder {
                true => path.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/')),
                false => path == name,
            })
        };
        match self.named.keys().find(|path| !is_named(path)) {
            Some(path) => Err(BackupError::Stranger(format!("{CONFIG_FOLDER}{path}"))),
            None => Ok(()),
        }
    }
}

/// A line of a config; where it says `KEY = "FROM"`, it says `KEY = "TO"`.
fn renamed(line: &str, key: &str, from: &str, to: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let Some((before, value)) = line.split_once('=') else { return line.to_owned() };
    let is_it = before.trim().rsplit('.').next().is_some_and(|last| last.trim().trim_matches(['"', '\'']) == name);
    for quote in ['"', '\''] {
        let quoted = format!("{quote}{from}{quote}");
        if is_it && value.trim_start().starts_with(&quoted) {
            return format!("{before}={}", value.replacen(&quoted, &format!("{quote}{to}{quote}"), 1));
        }
    }
    line.to_owned()
}

/// What is wrong with a passphrase, for who chose it; it is not repeated.
pub fn passphrase_mistake(passphrase: &str) -> Option<String> {
    let characters = passphrase.chars().count();
    if characters < MIN_PASSPHRASE {
        let way = "write some words that do not belong together";
        return Some(format!("has {characters} characters and needs {MIN_PASSPHRASE}; {way}"));
    }
    if passphrase.len() > MAX_PASSPHRASE {
        return Some(format!("has more than {MAX_PASSPHRASE} bytes; write a shorter one"));
    }
    let is_odd = passphrase.chars().any(char::is_control);
    is_odd.then(|| "has characters that no keyboard types; write another one".to_owned())
}

fn is_small(entries: &[Entry]) -> Result<(), BackupError> {
    match entries.iter().map(|entry| entry.content.len()).sum() {
        0..=MAX_CONTENT => Ok(()),
        size => Err(BackupError::Large(size)),
    }
}

fn take(entries: &mut Vec<Entry>, name: &'static str) -> Result<Entry, BackupError> {
    let at = entries.iter().position(|entry| entry.name == name).ok_or(BackupError::Missing(name))?;
    Ok(entries.remove(at))
}

fn broken(name: &str, reason: &dyn std::fmt::Display) -> BackupError {
    BackupError::Broken { name: name.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    //! A backup is taken whole or not at all.

    use super::tar::Entry;
    use super::*;
    use crate::office::OfficeFile;
    use gateway_core::config::Host;

    const PASSPHRASE: &str = "correct horse battery";

    fn backup() -> Backup {
        let about = Backup::about("office", WallClock(1_800_000_000), Path::new("/etc/gateway"));
        let key = NamedFile { content: b"key".to_vec(), is_private: true };
        let state = BTreeMap::from([
            (files::SECRETS, b"{\"auth_token\": \"sesame\"}".to_vec()),
            (files::TUNNEL_KEY, b"-----BEGIN".to_vec()),
        ]);
        Backup { about, config: "[site]\n".to_owned(), named: BTreeMap::from([("tls/key.pem".to_owned(), key)]), state }
    }

    /// A backup of these files, as somebody with the passphrase may make one.
    fn sealed(entries: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(name, content): &(&str, &str)| Entry {
            name: (*name).to_owned(),
            mode: 0o600,
            content: content.as_bytes().to_vec(),
        };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        age::encrypt(&tar::write(&entries, 0).unwrap(), PASSPHRASE, 0, &mut Random::from_number(1)).unwrap()
    }

    fn refused(entries: &[(&str, &str)]) -> String {
        match Backup::open(&sealed(entries), PASSPHRASE, 0) {
            Ok(_) => panic!("taken: {entries:?}"),
            Err(error) => error.to_string(),
        }
    }

    const OURS: (&str, &str) = ("backup.json", r#"{"format": 1, "gateway": "0.1.0"}"#);

    #[test]
    fn what_was_sealed_is_opened() {
        let sealed = backup().seal(PASSPHRASE, 0, &mut Random::from_number(1)).unwrap();
        let opened = Backup::open(&sealed, PASSPHRASE, 0).unwrap();
        assert!(opened == backup());
        let names: Vec<String> = opened.list().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["config/gateway.toml", "config/tls/key.pem", "state/secrets.json", "state/tunnel_key"]);
        let text = String::from_utf8_lossy(&sealed).into_owned();
        assert!(!text.contains("sesame") && !text.contains("secrets.json"), "{text}");
    }

    #[test]
    fn a_backup_of_a_newer_version_is_refused_with_the_way_out() {
        for about in [r#"{"format": 2, "gateway": "0.9.0", "shape": []}"#, r#"{"format": 1, "gateway": "99.0.0"}"#] {
            let told = refused(&[("backup.json", about), ("config/gateway.toml", ""), ("more", "of it")]);
            assert!(told.starts_with("was made by gateway ") && told.contains("upgrade this box first"), "{told}");
        }
    }

    #[test]
    fn what_is_no_part_of_a_backup_is_refused_by_its_name() {
        let config = ("config/gateway.toml", "[site]");
        for name in
            ["state/lock", "state/secrets.json.bad", "state/answers.toml", "state/x/y", "etc/passwd", "notes.txt"]
        {
            assert_eq!(refused(&[OURS, config, (name, "")]), format!("holds {name:?}, which is no part of a backup"));
        }
        assert_eq!(refused(&[OURS]), "holds no config/gateway.toml");
        assert_eq!(refused(&[config]), "holds no backup.json");
    }

    #[test]
    fn a_state_that_cannot_be_read_is_refused_without_repeating_it() {
        let config = ("config/gateway.toml", "[site]");
        let told = refused(&[OURS, config, ("state/secrets.json", "{\"auth_token\": sesame")]);
        assert!(told.starts_with("holds a state/secrets.json that cannot be understood (line 1"), "{told}");
        assert!(!told.contains("sesame"), "{told}");
    }

    #[test]
    fn only_files_that_the_config_names_may_lie_beside_it() {
        let office = OfficeFile::new()
            .table("twilio")
            .with("ca_file", "tls/ca.pem")
            .table("hosted")
            .with("assets", "assets")
            .table("emergency")
            .with("failure_sound", "no-line.wav");
        let config = config::parse(&office.to_string(), "/etc/gateway/gateway.toml", &Host::default()).unwrap();
        let with = |path: &str| {
            let file = NamedFile { content: Vec::new(), is_private: false };
            let backup = Backup { named: BTreeMap::from([(path.to_owned(), file)]), ..backup() };
            backup.is_named_by(&config, Path::new("/etc/gateway")).map_err(|error| error.to_string())
        };
        assert_eq!(with("tls/ca.pem"), Ok(()));
        assert_eq!(with("assets/a/b.mp3"), Ok(()));
        assert_eq!(with("no-line.wav"), Ok(()));
        for path in ["tls/other.pem", "assets", "assetsx", "cron.d/job"] {
            assert_eq!(with(path), Err(format!("holds {:?}, which is no part of a backup", format!("config/{path}"))));
        }
    }

    #[test]
    fn files_beside_a_config_that_names_them_by_absolute_paths_move_with_it() {
        let office = OfficeFile::new()
            .table("twilio")
            .with("ca_file", "/etc/gateway/tls/ca.pem")
            .table("trunk")
            .with("ca_file", "/etc/ssl/ca.pem")
            .table("hosted")
            .with("assets", "/etc/gateway/assets")
            .table("tunnel")
            .with("driver", "command")
            .with("command", ["/etc/gateway/tls/ca.pem"]);
        let text = office.to_string();
        let read = |text: &str, at: &str| config::parse(text, at, &Host::default()).unwrap();
        let file = || NamedFile { content: Vec::new(), is_private: false };
        let named = ["tls/ca.pem", "assets/a/b.mp3"].map(|name| (name.to_owned(), file()));
        let backup = Backup { config: text.clone(), named: BTreeMap::from(named), ..backup() };
        let at = "/srv/box/gateway.toml";
        assert!(backup.is_named_by(&read(&text, at), Path::new("/srv/box")).is_err());
        let moved = backup.moved(&read(&text, at));
        let config = read(&moved, at);
        assert_eq!(backup.is_named_by(&config, Path::new("/srv/box")), Ok(()));
        assert_eq!(config.twilio.ca_file.as_deref(), Some(Path::new("/srv/box/tls/ca.pem")));
        assert_eq!(config.hosted.assets.as_deref(), Some(Path::new("/srv/box/assets")));
        assert_eq!(config.trunk.ca_file.as_deref(), Some(Path::new("/etc/ssl/ca.pem")), "it was left where it is");
        assert!(
            moved.contains("command = [\"/etc/gateway/tls/ca.pem\"]"),
            "a program's arguments are its own: {moved}"
        );
        // In its own folder nothing changes, and a backup of an older version says nothing of its folder.
        assert_eq!(backup.is_named_by(&read(&text, "/etc/gateway/gateway.toml"), Path::new("/etc/gateway")), Ok(()));
        let older = Backup { about: About { folder: String::new(), ..backup.about.clone() }, ..backup.clone() };
        assert_eq!(older.moved(&read(&text, at)), text);
        // A folder of a stranger's making moves no file out of the new one.
        let odd = Backup { about: About { folder: "/".to_owned(), ..backup.about.clone() }, ..backup };
        assert_eq!(odd.moved(&read(&text, at)), text);
    }

    #[test]
    fn a_passphrase_that_can_be_guessed_is_told_and_not_repeated() {
        assert_eq!(passphrase_mistake(PASSPHRASE), None);
        let told = passphrase_mistake("sesame").unwrap();
        assert_eq!(told, "has 6 characters and needs 12; write some words that do not belong together");
        assert!(passphrase_mistake(&"x".repeat(1025)).unwrap().contains("1024 bytes"));
        assert!(passphrase_mistake("correct\nhorse battery").is_some());
    }
}
