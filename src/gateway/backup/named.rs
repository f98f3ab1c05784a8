//! The files that a config names: those beside it go with a backup, the others are told.

use std::path::{Component, Path, PathBuf, absolute};

use gateway_core::config::Config;
use gateway_core::config::tunnel::Driver;

/// A file or folder, and the key that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub key: &'static str,
    pub path: PathBuf,
    pub is_folder: bool,
}

/// All of them.
pub fn named(config: &Config) -> Vec<Named> {
    let file = |key, path: &Path| Named { key, path: path.to_owned(), is_folder: false };
    let mut named = Vec::new();
    named.extend(config.twilio.ca_file.as_deref().map(|path| file("twilio.ca_file", path)));
    named.extend(config.trunk.ca_file.as_deref().map(|path| file("trunk.ca_file", path)));
    if let Driver::Direct(direct) = &config.tunnel.driver {
        named.push(file("tunnel.certificate", &direct.certificate));
        named.push(file("tunnel.key", &direct.key));
    }
    let sound = config.emergency.failure_sound.as_deref();
    named.extend(sound.map(|path| file("emergency.failure_sound", path)));
    let assets = config.hosted.assets.as_deref();
    named.extend(assets.map(|path| Named { is_folder: true, ..file("hosted.assets", path) }));
    named
}

impl Named {
    /// Its path from a folder, parts separated by `/`; `None` when it is not below it.
    pub fn below(&self, folder: &Path) -> Option<String> {
        below(&self.path, folder)
    }
}

/// As [`Named::below`], by the names alone: no link is followed.
pub fn below(path: &Path, folder: &Path) -> Option<String> {
    // Of an empty path there is no absolute one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (path, folder) = (absolute(path).ok()?, absolute(folder).ok()?);
    let mut parts = Vec::new();
    for part in path.strip_prefix(folder).ok()?.components() {
        let Component::Normal(part) = part else { return None };
        parts.push(part.to_str()?.to_owned());
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_a_folder_by_its_names_has_a_path_from_it() {
        let told = |path: &str, folder: &str| below(Path::new(path), Path::new(folder));
        assert_eq!(told("/etc/gateway/tls/ca.pem", "/etc/gateway").as_deref(), Some("tls/ca.pem"));
        assert_eq!(told("ca.pem", "").as_deref(), Some("ca.pem"));
        assert_eq!(told("/etc/gateway/../shadow", "/etc/gateway"), None);
        assert_eq!(told("/etc/gateway", "/etc/gateway"), None);
        assert_eq!(told("/etc/gateway2/ca.pem", "/etc/gateway"), None);
    }
}
