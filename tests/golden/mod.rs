//! Files below `tests/golden` that hold what others read byte for byte. `GATEWAY_BLESS=1 cargo test --workspace --lib golden`
//! writes them.

use std::path::{Path, PathBuf};

/// Compares a text with the golden file of this name.
pub fn assert_golden(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("GATEWAY_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

/// `tests/golden` at the root of the workspace, wherever this package lies below it.
fn folder() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("tests/golden")).find(|folder| folder.is_dir()).expect("tests/golden is in the tree")
}
