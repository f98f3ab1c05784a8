//! `gateway.toml` on the disk of this machine, and the files that it names.

mod host;
pub mod sound;

use std::path::Path;

use gateway_core::config::{Config, ConfigError, MAX_FILE, parse};
pub use host::host;

/// Reads a config file for this machine. All mistakes are returned, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigError>> {
    read(path).map(|(config, _)| config)
}

/// The same, with the text of the file.
pub fn read(path: &Path) -> Result<(Config, String), Vec<ConfigError>> {
    let file = path.display().to_string();
    let whole = |message: String| vec![ConfigError { file: file.clone(), line: 0, message }];
    let unreadable = |error: std::io::Error| whole(format!("cannot be read: {}", error.kind()));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(whole(format!("is {size} bytes long; at most {MAX_FILE} are read")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        vec![ConfigError { file: file.clone(), line, message: "is not UTF-8; save the file as UTF-8".to_owned() }]
    })?;
    // A machine whose interfaces cannot be listed now has none for `auto` yet.
    let config = parse(&text, &file, &host().unwrap_or_default())?;
    Ok((config, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_not_utf_8_is_told_with_its_name() {
        let missing = load(Path::new("/nonexistent/gateway.toml")).unwrap_err();
        assert!(missing[0].to_string().starts_with("/nonexistent/gateway.toml: cannot be read: "), "{}", missing[0]);
        let path = std::env::temp_dir().join(format!("gateway-config-{}.toml", std::process::id()));
        std::fs::write(&path, b"[site]\nname = \"\xff\"\n").unwrap();
        let told = load(&path).unwrap_err()[0].to_string();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(told, format!("{}:2: is not UTF-8; save the file as UTF-8", path.display()));
    }
}
