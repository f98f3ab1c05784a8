//! Facts about Twilio stand in `src/account/TWILIO.md` alone, and whoever relies on one cites its heading:
//! `TWILIO.md "Keepalive"`, on one line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MANUAL: &str = "src/account/TWILIO.md";
const SWITCHES: &str = "tests/twilio/src/switches.rs";
/// Where citations are looked for.
const PLACES: [&str; 8] = ["src", "tests", "cross", "config", "systemd", "Cargo.toml", "README.md", "README-client.md"];
/// Notes that this project was made from. They are not in the repository, so nobody can look them up.
const ABSENT: [&str; 9] = [
    "twilio.md",
    "hosted.md",
    "handsets.md",
    "futel.md",
    "perf.md",
    "cross.md",
    "crates.md",
    "crates-2.md",
    "models.md",
];
const CERTAINTIES: [&str; 3] = ["documented", "observed", "uncertain"];
/// How a citation begins.
const NAME: &str = "TWILIO.md";

/// A line that names the manual.
#[derive(Debug, PartialEq, Eq)]
enum Mention<'a> {
    /// With a heading.
    Heading(&'a str),
    /// In backticks: the file itself is meant.
    File,
    /// A heading is missing, or does not end on the line.
    Broken,
}

/// All mentions in a text, each with its line number from 1.
fn mentions(text: &str) -> Vec<(usize, Mention<'_>)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (at, _) in line.match_indices(NAME) {
            let after = &line[at + NAME.len()..];
            let mention = match after.strip_prefix(" \"").map(|rest| rest.split_once('"')) {
                Some(Some((heading, _))) if !heading.is_empty() => Mention::Heading(heading),
                None if after.starts_with('`') => Mention::File,
                _ => Mention::Broken,
            };
            found.push((number, mention));
        }
    }
    found
}

/// What is wrong with the citations of a text, given the manual's headings.
fn faults(text: &str, headings: &BTreeSet<&str>) -> Vec<String> {
    let mut faults: Vec<String> = mentions(text)
        .into_iter()
        .filter_map(|(line, mention)| match mention {
            Mention::Heading(heading) if !headings.contains(heading) => Some(format!("{line}: no heading {heading:?}")),
            Mention::Broken => Some(format!("{line}: no heading follows, or it does not end on the line")),
            Mention::Heading(_) | Mention::File => None,
        })
        .collect();
    for (number, line) in (1..).zip(text.lines()) {
        let absent = ABSENT.iter().filter(|name| names(line, name));
        faults.extend(absent.map(|name| format!("{number}: {name} is not in the repository")));
    }
    faults
}

/// Whether a line names that file, and not one whose name only ends so.
fn names(line: &str, file: &str) -> bool {
    line.match_indices(file).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}

/// The manual's headings, in order: its chapters (`##`) and its subjects (`###`).
fn headings<'a>(manual: &'a str, level: &str) -> Vec<&'a str> {
    manual.lines().filter_map(|line| line.strip_prefix(level)).collect()
}

/// The facts below the chapters: each begins with `- `, and its lines are joined.
fn facts(manual: &str) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in manual.lines().skip_while(|line| !line.starts_with("## ")) {
        match line.strip_prefix("- ") {
            Some(first) => facts.push(first.to_owned()),
            None if is_open && line.starts_with("  ") => {
                if let Some(fact) = facts.last_mut() {
                    fact.push(' ');
                    fact.push_str(line.trim());
                }
            }
            None => {}
        }
        is_open = line.starts_with("- ") || (is_open && line.starts_with("  "));
    }
    facts
}

/// The switches that a fact names at its end, in `[certainty; source; switch: NAME]`; `None` where the form is another.
fn switches(fact: &str) -> Option<Vec<&str>> {
    let (_, ending) = fact.strip_suffix(']')?.rsplit_once(" [")?;
    let mut parts = ending.split("; ");
    let (certainty, source) = (parts.next()?, parts.next()?);
    let switch = parts.next()?.strip_prefix("switch: ")?;
    if !CERTAINTIES.contains(&certainty) || source.is_empty() || parts.next().is_some() {
        return None;
    }
    match switch {
        "none" => Some(Vec::new()),
        _ => switch.split(", ").map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect(),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file of the places, but the manual and this test, which name the forms themselves.
fn texts() -> Vec<(PathBuf, String)> {
    let mut open: Vec<PathBuf> = PLACES.iter().map(|place| root().join(place)).collect();
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            open.extend(
                entries.map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", path.display())).path()),
            );
        } else if path != root().join(MANUAL) && path != root().join(file!()) {
            // What is no UTF-8 (captures, malformed messages) cites nothing.
            texts.extend(fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| (path, text)));
        }
    }
    texts
}

#[test]
fn every_citation_leads_to_a_heading_that_exists() {
    let manual = read(MANUAL);
    let all = ["## ", "### "].into_iter().flat_map(|level| headings(&manual, level)).collect();
    let found: Vec<String> = texts()
        .iter()
        .flat_map(|(path, text)| faults(text, &all).into_iter().map(move |fault| format!("{}:{fault}", path.display())))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_subject_is_cited_and_no_two_headings_are_alike() {
    let manual = read(MANUAL);
    let mut seen = BTreeSet::new();
    for heading in ["## ", "### "].into_iter().flat_map(|level| headings(&manual, level)) {
        assert!(seen.insert(heading), "two headings {heading:?}");
    }
    let texts = texts();
    let cited: BTreeSet<&str> = texts
        .iter()
        .flat_map(|(_, text)| mentions(text))
        .filter_map(|(_, mention)| match mention {
            Mention::Heading(heading) => Some(heading),
            Mention::File | Mention::Broken => None,
        })
        .collect();
    let unused: Vec<&str> = headings(&manual, "### ").into_iter().filter(|heading| !cited.contains(heading)).collect();
    assert!(unused.is_empty(), "nothing relies on {unused:?}");
}

#[test]
fn every_fact_says_how_sure_it_is_where_it_comes_from_and_which_switch_turns_it() {
    let manual = read(MANUAL);
    let facts = facts(&manual);
    assert!(facts.len() > 100, "{} facts", facts.len());
    let bad: Vec<&String> = facts.iter().filter(|fact| switches(fact).is_none()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_switch_of_the_simulator_stands_at_a_fact_and_no_other_does() {
    let manual = read(MANUAL);
    let code = read(SWITCHES);
    let fields = code.split_once("pub struct Switches {").and_then(|(_, rest)| rest.split_once("\n}"));
    let fields = fields.map(|(fields, _)| fields).unwrap_or_default();
    let known: BTreeSet<&str> = fields
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':').map(|(name, _)| name))
        .collect();
    assert!(!known.is_empty());
    let facts = facts(&manual);
    let named: BTreeSet<&str> = facts.iter().filter_map(|fact| switches(fact)).flatten().collect();
    assert_eq!(named, known);
}

#[test]
fn a_citation_of_a_missing_heading_is_found() {
    let headings = BTreeSet::from(["Keepalive", "TLS"]);
    let good = "/// One (TWILIO.md \"Keepalive\", TWILIO.md \"TLS\").\n//! See `TWILIO.md`.\nr#\"TWILIO.md \"TLS\"\"#";
    assert_eq!(faults(good, &headings), [""; 0]);
    let bad = "fine\n// (TWILIO.md \"Keepalives\")\n// TWILIO.md \"Keep\n// TWILIO.md 4.1\n// TWILIO.md \"\"\n";
    let lines: Vec<char> = faults(bad, &headings).iter().filter_map(|fault| fault.chars().next()).collect();
    assert_eq!(lines, ['2', '3', '4', '5']);
}

#[test]
fn a_citation_of_an_absent_file_is_found() {
    let none = BTreeSet::new();
    assert_eq!(faults("see (twilio.md 4.1)", &none).len(), 1);
    assert_eq!(faults("see `reference/crates-2.md`", &none).len(), 1);
    assert_eq!(faults("README-cross.md and my-perf.md", &none), [""; 0]);
}

#[test]
fn a_fact_without_its_ending_is_found() {
    assert_eq!(switches("A. [documented; docs x; switch: none]"), Some(vec![]));
    assert_eq!(switches("A. [uncertain; docs x, error 5; switch: `a`, `b`]"), Some(vec!["a", "b"]));
    for bad in ["A.", "A. [sure; docs x; switch: none]", "A. [observed; ; switch: none]", "A. [observed; x; none]"] {
        assert_eq!(switches(bad), None, "{bad}");
    }
}
