//! `last-good.toml`: the config file with which the service last started, or which it took at a reload. A box whose file
//! is broken at a start runs with this one: its emergency numbers, its phones, its trunk.

use std::path::{Path, PathBuf};

use super::files::LAST_GOOD;
use super::{Store, StoreError};
use crate::config_file;
use gateway_core::config::{self, Config, ConfigError};

/// Before the name of the file that it is a copy of: another installation's copy is of no use here.
const HEAD: &str = "# Kept by gateway, which last started with this copy of ";

/// Keeps the text of the config file at `path`. Nothing is written when it is kept already.
pub fn save(store: &Store, path: &Path, text: &str) -> Result<(), StoreError> {
    store.save_file(LAST_GOOD, format!("{}{text}", head(path)).as_bytes())
}

/// The text that is kept of the config file at `path`.
pub fn text(store: &Store, path: &Path) -> Option<String> {
    let content = String::from_utf8(store.file(LAST_GOOD).ok()??).ok()?;
    content.strip_prefix(&head(path)).map(str::to_owned)
}

/// What is kept of the config file at `path`, read as if it stood there.
pub fn config(store: &Store, path: &Path) -> Option<(Config, String)> {
    let text = text(store, path)?;
    let host = config_file::host().unwrap_or_default();
    let config = config::parse(&text, &path.display().to_string(), &host).ok()?;
    Some((config, text))
}

/// The config that the service runs with: the file's, or where that is broken the one that is kept.
pub fn in_force(store: &Store, path: &Path) -> Result<Config, Vec<ConfigError>> {
    config_file::load(path).or_else(|errors| config(store, path).map(|(config, _)| config).ok_or(errors))
}

/// Whether a state folder has one, of whatever file. Nothing is made or changed.
pub fn is_in(dir: &Path) -> bool {
    dir.join(LAST_GOOD).is_file()
}

fn head(path: &Path) -> String {
    let whole: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // One line, whatever the name is.
    format!("{HEAD}{:?}\n", whole.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn office() -> String {
        OfficeFile::new().table("trunk").with("ca_file", "ca.pem").to_string()
    }

    fn store(name: &str) -> (Store, PathBuf) {
        let dir = std::env::temp_dir().join(format!("gateway-last-good-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        (Store::open(&dir).unwrap(), dir)
    }

    #[test]
    fn what_is_kept_is_read_as_if_it_stood_where_the_file_was() {
        let (store, dir) = store("place");
        let path = Path::new("/etc/gateway/gateway.toml");
        assert_eq!(config(&store, path), None);
        assert!(!is_in(&dir));
        save(&store, path, &office()).unwrap();
        assert!(is_in(&dir));
        let (kept, text) = config(&store, path).unwrap();
        assert_eq!(text, office());
        assert_eq!(kept.trunk.ca_file, Some("/etc/gateway/ca.pem".into()));
        assert_eq!(kept.emergency.numbers.list(), ["911", "933"]);
        assert_eq!(in_force(&store, path), Ok(kept), "there is no such file here");
        let writes = store.writes();
        save(&store, path, &office()).unwrap();
        assert_eq!(store.writes(), writes, "flash wears out");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_copy_of_another_file_or_a_damaged_one_is_none() {
        let (store, dir) = store("other");
        let path = Path::new("/etc/gateway/gateway.toml");
        save(&store, Path::new("/srv/other/gateway.toml"), &office()).unwrap();
        assert_eq!(config(&store, path), None);
        for damaged in [&b""[..], b"\xff\xfe", b"[site]\nname = \"office\"\n"] {
            store.save_file(LAST_GOOD, damaged).unwrap();
            assert_eq!(config(&store, path), None);
        }
        save(&store, path, "[site]\n").unwrap();
        assert_eq!(config(&store, path), None, "it never was a config");
        assert!(in_force(&store, path).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
