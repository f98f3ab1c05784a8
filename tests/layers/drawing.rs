//! The layers as a crate's `lib.rs` draws them: lines `//! name, name: what they are` in a block of text, lowest first.

use std::collections::BTreeMap;

use crate::graph::Edges;

/// The modules of each line.
pub fn read(lib: &str) -> Vec<Vec<String>> {
    let head = lib.lines().map_while(|line| line.strip_prefix("//!"));
    let block = head.skip_while(|line| line.trim() != "```text").skip(1).take_while(|line| line.trim() != "```");
    block
        .map(|line| line.split(':').next().unwrap_or_default().split(',').map(|name| name.trim().to_owned()).collect())
        .collect()
}

/// Where the drawing and the code differ.
pub fn faults(drawing: &[Vec<String>], edges: &Edges) -> Vec<String> {
    let mut faults = Vec::new();
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (line, name) in drawing.iter().enumerate().flat_map(|(line, names)| names.iter().map(move |name| (line, name)))
    {
        if !edges.contains_key(name) {
            faults.push(format!("{name} is no module"));
        }
        if lines.insert(name, line).is_some() {
            faults.push(format!("{name} stands there twice"));
        }
    }
    for (from, to) in edges {
        let Some(upper) = lines.get(from.as_str()) else {
            faults.push(format!("{from} is missing"));
            continue;
        };
        for (to, place) in to {
            if lines.get(to.as_str()).is_some_and(|lower| lower >= upper) {
                faults.push(format!("{to} is not below {from}, and {} has {}", place.file, place.path));
            }
        }
    }
    faults
}

#[test]
fn a_drawing_that_differs_from_the_code_is_a_fault() {
    let edges = crate::graph::graph(&[("sip", "time"), ("call", "sip"), ("call", "hex")]);
    let drawn = |lines: &str| faults(&read(&format!("//! The core.\n//!\n//! ```text\n{lines}//! ```\n")), &edges);
    assert!(drawn("//! hex, time: numbers\n//! sip: messages\n//! call: calls\n").is_empty());
    assert_eq!(drawn("//! time: numbers\n//! sip: messages\n//! call: calls\n"), ["hex is missing"]);
    assert_eq!(
        drawn("//! hex, time, sip: numbers\n//! call, url, call: calls\n"),
        ["url is no module", "call stands there twice", "time is not below sip, and sip.rs has time::it"]
    );
    assert_eq!(faults(&read("//! The core.\n"), &edges).len(), 4);
}
