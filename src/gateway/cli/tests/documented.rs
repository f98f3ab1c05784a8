//! Every flag and every command line that is written down somewhere is one that the command line takes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::super::arguments::Arguments;
use super::super::{USAGE, exit_code};
use gateway_core::event::Code;

/// What stands in README.md in the place of our flags, and is another program's.
const OF_OTHERS: [&str; 2] = ["--no-default-features", "--once"];

/// A value that some argument takes: any text, a time.
const VALUES: [&str; 2] = ["x", "2h"];

/// Whether the command line is taken, or asks for help; else what clap says.
fn taken(words: &[String]) -> Result<(), String> {
    thread_local! {
        // It costs more to make than to ask.
        static COMMAND: RefCell<Command> = RefCell::new(Arguments::command());
    }
    let line = [&["gateway".to_owned()], words].concat();
    match COMMAND.with(|command| command.borrow_mut().try_get_matches_from_mut(line)) {
        Err(error) if exit_code(&error) == USAGE => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The commands that do something, each with the words that name it.
fn leaves(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, Command)>) {
    let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        found.push((path.to_vec(), command.clone()));
    }
    for below in below {
        leaves(below, &[path, &[below.get_name().to_owned()]].concat(), found);
    }
}

fn all_leaves() -> Vec<(Vec<String>, Command)> {
    let mut command = Arguments::command();
    // Global flags come to all commands.
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    found
}

/// The spellings of a flag, each with a value if it takes one.
fn spellings(flag: &Arg) -> Vec<Vec<String>> {
    let mut names: Vec<String> =
        flag.get_long_and_visible_aliases().unwrap_or_default().iter().map(|name| format!("--{name}")).collect();
    names.extend(flag.get_short().map(|short| format!("-{short}")));
    let is_alone = matches!(flag.get_action(), ArgAction::SetTrue | ArgAction::Help | ArgAction::Version);
    let possible: Vec<String> = flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let values = if possible.is_empty() { VALUES.map(str::to_owned).to_vec() } else { possible };
    names
        .into_iter()
        .flat_map(|name| match is_alone {
            true => vec![vec![name]],
            false => values.iter().map(|value| vec![name.clone(), value.clone()]).collect(),
        })
        .collect()
}

fn flags(command: &Command) -> Vec<&Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()).collect()
}

/// What a command may need beside the flags in question: nothing, or what stands without a flag, or one more flag.
fn companions(command: &Command) -> Vec<Vec<String>> {
    let positionals: Vec<String> = command.get_positionals().map(|_| "x".to_owned()).collect();
    let mut found = vec![vec![], positionals.clone()];
    for flag in flags(command) {
        for spelling in spellings(flag) {
            found.push(spelling.clone());
            found.push([&positionals[..], &spelling].concat());
        }
    }
    found
}

/// Whether the flags are taken with some companion, before it and behind it.
fn are_taken(path: &[String], command: &Command, given: &[String]) -> bool {
    companions(command).iter().any(|companion| {
        let (before, behind) = ([path, given, companion].concat(), [path, companion, given].concat());
        taken(&before).is_ok() && taken(&behind).is_ok()
    })
}

#[test]
fn every_flag_of_every_command_can_be_used() {
    let mut count = 0;
    for (path, command) in all_leaves() {
        for flag in flags(&command) {
            let spellings = spellings(flag);
            let by_name: BTreeSet<&String> = spellings.iter().map(|words| &words[0]).collect();
            for name in by_name {
                let mut with_values = spellings.iter().filter(|words| &words[0] == name);
                let is_taken = with_values.any(|words| are_taken(&path, &command, words));
                assert!(is_taken, "no command line with \"gateway {} {name}\" is taken", path.join(" "));
                count += 1;
            }
        }
    }
    assert!(count > 150, "the commands were not walked: {count}");
}

/// Two flags exclude each other by a rule that is written beside one of them, or by a group of which one is chosen.
fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    let says =
        |one: &Arg, other: &Arg| command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id());
    let choice = |arg: &Arg| {
        command.get_groups().any(|group| group.get_id() == "what" && group.get_args().any(|id| id == arg.get_id()))
    };
    says(one, other) || says(other, one) || (choice(one) && choice(other))
}

#[test]
fn any_two_flags_of_a_command_can_be_used_together_unless_a_rule_excludes_it() {
    for (path, command) in all_leaves() {
        let flags = flags(&command);
        for (at, one) in flags.iter().enumerate() {
            for other in &flags[at + 1..] {
                if exclude(&command, one, other) {
                    continue;
                }
                let is_taken = spellings(one).iter().any(|one| {
                    spellings(other).iter().any(|other| are_taken(&path, &command, &[&one[..], other].concat()))
                });
                assert!(is_taken, "gateway {}: --{} and --{}", path.join(" "), one.get_id(), other.get_id());
            }
        }
    }
}

#[test]
fn what_was_refused_once_is_taken_in_every_order() {
    for line in [
        "upgrade FILE --now",
        "upgrade --now FILE",
        "upgrade --downgrade FILE",
        "upgrade FILE --downgrade --now",
        "upgrade --now FILE --downgrade",
        "--config PATH upgrade FILE --now",
        "upgrade --status",
        "upgrade --back",
        "upgrade --judge",
        "upgrade --try STATE",
    ] {
        taken(&words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for line in [
        "upgrade",
        "upgrade --now",
        "upgrade --downgrade",
        "upgrade --now --status",
        "upgrade FILE --status",
        "upgrade FILE --back",
        "upgrade --status --back",
    ] {
        assert!(taken(&words(line)).is_err(), "{line}");
    }
}

/// The words of a command line as a shell splits it, up to where another command or a redirection begins.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if ">|&;#)".contains(c) && (word.is_none() || c == ';' || c == ')') => break,
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Where a line of a shell begins with our command, what follows it.
fn of_shell(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("$ ");
    let (first, rest) = line.split_once(' ')?;
    match first {
        "gateway" | "ExecStart=/usr/bin/gateway" | "ExecReload=/usr/bin/gateway" => Some(rest),
        _ if is_assignment(first) => of_shell(rest),
        _ => None,
    }
}

/// A variable of the environment for this one command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

/// What stands between two marks, our command being the first word there.
fn quoted<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).step_by(2).filter_map(|inside| inside.strip_prefix("gateway "))
}

/// A file with lines that were broken put together.
fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut whole = String::new();
    for line in text.lines() {
        match line.strip_suffix('\\') {
            Some(begun) => whole.push_str(begun),
            None => {
                // In Rust what begins the next line of a string is no part of it.
                whole.push_str(if whole.ends_with(' ') { line.trim_start() } else { line });
                whole.push('\n');
            }
        }
    }
    whole
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A document's paragraphs and rows of tables, with their headings; code is apart.
struct Document {
    sections: Vec<Section>,
}

#[derive(Default)]
struct Section {
    heading: String,
    /// Lines of the shell.
    code: Vec<String>,
    /// Rows of tables.
    rows: Vec<String>,
    prose: String,
}

impl Document {
    fn read(name: &str) -> Document {
        let text = read(&root().join(name));
        let mut sections = vec![Section::default()];
        let mut is_code = false;
        for line in text.lines() {
            if line.starts_with("```") {
                is_code = !is_code;
                continue;
            }
            if !is_code && line.starts_with('#') {
                sections.push(Section { heading: line.to_owned(), ..Section::default() });
                continue;
            }
            let Some(section) = sections.last_mut() else { continue };
            if is_code {
                section.code.push(line.to_owned());
            } else if line.starts_with('|') {
                section.rows.push(line.to_owned());
            } else {
                section.prose.push_str(line);
                section.prose.push(' ');
            }
        }
        Document { sections }
    }
}

impl Section {
    fn lines(&self) -> Vec<String> {
        let code = self.code.iter().filter_map(|line| of_shell(line)).map(str::to_owned);
        let rows = self.rows.iter().flat_map(|row| quoted(row, "`")).map(str::to_owned);
        code.chain(rows).chain(quoted(&self.prose, "`").map(str::to_owned)).collect()
    }
}

/// The flags that a text names by themselves, each with its value.
fn named_flags(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split('`').skip(1).step_by(2);
    inside
        .filter(|inside| inside.starts_with("--") && !OF_OTHERS.contains(&inside.split(' ').next().unwrap_or_default()))
}

/// Every file of a folder and those below it.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn every_command_line_of_the_documents_is_taken() {
    let mut count = 0;
    for name in ["README.md", "README-client.md"] {
        for section in Document::read(name).sections {
            for line in section.lines() {
                taken(&words(&line))
                    .unwrap_or_else(|error| panic!("{name}, {}: gateway {line}: {error}", section.heading));
                count += 1;
            }
        }
    }
    assert!(count > 60, "the documents were not read: {count}");
}

#[test]
fn every_command_line_of_the_help_the_messages_and_the_units_is_taken() {
    let mut paths = Vec::new();
    for folder in ["src", "systemd", "config"] {
        files(&root().join(folder), &mut paths);
    }
    let mut count = 0;
    for path in paths.iter().filter(|path| !path.ends_with("cli/tests/documented.rs")) {
        let text = read(path);
        let shell = text.lines().filter_map(of_shell).filter(|_| path.extension().is_none_or(|of| of != "rs"));
        let told: Vec<String> = shell.map(str::to_owned).chain(in_messages(&text)).collect();
        for line in told {
            // What a message fills in is one word.
            let line = line.replace("{}", "x");
            taken(&words(&line)).unwrap_or_else(|error| panic!("{}: gateway {line}: {error}", path.display()));
            count += 1;
        }
    }
    assert!(count > 60, "the messages were not read: {count}");
}

#[test]
fn every_command_line_of_the_list_of_events_is_taken() {
    let mut count = 0;
    for code in Code::ALL {
        for text in [Some(code.meaning()), code.next_step()].into_iter().flatten() {
            for line in quoted(text, "`") {
                taken(&words(line)).unwrap_or_else(|error| panic!("{code}: gateway {line}: {error}"));
                count += 1;
            }
        }
    }
    assert!(count > 10, "the list was not read: {count}");
}

/// The commands that messages of the program name, in escaped quotes.
fn in_messages(text: &str) -> Vec<String> {
    let after = text.split("\\\"gateway ").skip(1);
    after.filter_map(|rest| rest.split_once("\\\"")).map(|(line, _)| line.to_owned()).collect()
}

#[test]
fn every_flag_that_the_readme_names_goes_with_a_command_that_stands_beside_it() {
    let mut count = 0;
    for section in Document::read("README.md").sections {
        // Of a table the row tells which command is meant, else the section does.
        let mut places: Vec<(&str, Vec<String>)> = Vec::new();
        for row in &section.rows {
            places.push((row, quoted(row, "`").map(str::to_owned).collect()));
        }
        places.push((&section.prose, section.lines()));
        for (text, beside) in places {
            for flag in named_flags(text) {
                let is_taken = beside.iter().any(|line| {
                    let (line, flag) = (words(line), words(flag));
                    let is_there = line.contains(&flag[0]);
                    let with = |more: &[String]| taken(&[&line[..], &flag, more].concat()).is_ok();
                    // A name without its value is the same flag; some go by two, and both are named then.
                    let x = || "x".to_owned();
                    let pair = |other: &str| with(&[x(), words(other)[0].clone(), x()]);
                    is_there || with(&[]) || with(&[x()]) || named_flags(text).any(pair)
                });
                assert!(is_taken, "{}: {flag} goes with none of {beside:?}", section.heading);
                count += 1;
            }
        }
    }
    assert!(count > 25, "the document was not read: {count}");
}
