//! The codes of events and the levels that each may have, as people have them in their log filters: they stay.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

const GOLDEN: &str = include_str!("golden/events.txt");

/// What the sources say in code, without the tests at the end of a file.
fn sources(folder: &Path, text: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, text)?;
        } else if !path.to_string_lossy().contains("tests") && path.extension().is_some_and(|end| end == "rs") {
            let file = fs::read_to_string(path)?;
            text.push_str(file.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
        }
    }
    Ok(())
}

#[test]
fn each_code_of_the_golden_list_is_told_somewhere() {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text).unwrap();
    let codes: Vec<&str> = GOLDEN.lines().filter_map(|line| line.split(' ').next()).collect();
    let lost: Vec<&&str> = codes.iter().filter(|code| !text.contains(&format!("\"{code}"))).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 99);
}
