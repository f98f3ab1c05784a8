//! Where a broken config file says that state and control socket are: what can be read of it is enough for that.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

/// Default of `site.state_dir`.
pub const STATE_DIR: &str = "/var/lib/gateway";

/// Default of `site.run_dir`.
pub const RUN_DIR: &str = "/run/gateway";

/// What the file says of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// `site.state_dir`
    pub state: Option<PathBuf>,
    /// `site.run_dir`
    pub run: Option<PathBuf>,
}

/// The folders that a file names, however broken the rest of it is. Relative ones are meant from the file's folder.
pub fn folders(bytes: &[u8], path: &Path) -> Folders {
    let text = String::from_utf8_lossy(bytes);
    let (document, _) = DeTable::parse_recoverable(&text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let site = document.get_ref().get("site").and_then(|site| site.get_ref().as_table());
    let named = |key: &str| site?.get(key)?.get_ref().as_str().map(|named| folder.join(named));
    Folders { state: named("state_dir"), run: named("run_dir") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Option<String>) {
        let shown = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
        let folders = folders(text.as_bytes(), Path::new("/etc/gateway/gateway.toml"));
        (shown(folders.state), shown(folders.run))
    }

    #[test]
    fn the_folders_of_a_file_are_found_whatever_else_is_wrong_with_it() {
        let site = "[site]\nname = \"office\"\nstate_dir = \"state\"\nrun_dir = \"/run/office\"\n";
        let found = (Some("/etc/gateway/state".to_owned()), Some("/run/office".to_owned()));
        for broken in ["", "[trunk\n", "[lan]\nlisten = 5\n", "[[extension]]\nname = \n", "key = \"never closed\n"] {
            assert_eq!(read(&format!("{site}{broken}")), found, "{broken:?}");
        }
        let latin: Vec<u8> = [site.as_bytes(), b"# caf\xe9\n"].concat();
        assert_eq!(folders(&latin, Path::new("/etc/gateway/gateway.toml")).run, Some("/run/office".into()));
    }

    #[test]
    fn what_names_no_folder_has_none() {
        for text in ["", "site = 5", "[site]\nstate_dir = 5\nrun_dir = []\n", "\0\0\0", "[site]\nname = \"a\"\n"] {
            assert_eq!(read(text), (None, None), "{text:?}");
        }
    }
}
