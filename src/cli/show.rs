//! A plan as people read it.

use std::fmt::Write as _;
use std::io::IsTerminal;

use crate::twilio::ACCOUNT;
use crate::twilio::grouping::groups;
use crate::twilio::plan::{Change, Plan};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

impl Colours {
    /// On a terminal, unless `NO_COLOR` (no-color.org) or a terminal that cannot say otherwise.
    pub(super) fn of_stdout() -> Colours {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb {
            true => Colours::On,
            false => Colours::Off,
        }
    }

    /// Of what does not work.
    pub(super) fn red(self, text: &str) -> String {
        self.paint(RED, text)
    }

    /// Of what may not work.
    pub(super) fn yellow(self, text: &str) -> String {
        self.paint(YELLOW, text)
    }

    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Colours::On => format!("{colour}{text}{RESET}"),
            Colours::Off => text.to_owned(),
        }
    }
}

/// A change's sign and colour.
fn look(change: &Change) -> (char, &'static str) {
    match change {
        Change::Create(_) | Change::Buy(_) | Change::Upload(_) | Change::Build { .. } => ('+', GREEN),
        Change::Update(_)
        | Change::Replace { .. }
        | Change::Restore { .. }
        | Change::Await { .. }
        | Change::Deploy { .. }
        | Change::Forget(_) => ('~', YELLOW),
        Change::Remove(_) => ('-', RED),
    }
}

/// The plan as text, problems left out: they are errors and go to stderr.
pub(super) fn text(plan: &Plan, colours: Colours) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for (name, changes) in groups(plan) {
        let title = match name {
            ACCOUNT => "shared by all environments".to_owned(),
            name => format!("environment {name}"),
        };
        let _ = writeln!(text, "{}", colours.paint(BOLD, &format!("{title}:")));
        for change in changes {
            let (sign, colour) = look(change);
            let _ = writeln!(text, "  {}", colours.paint(colour, &format!("{sign} {change}")));
        }
    }
    let _ = writeln!(text, "{}", summary(plan));
    text
}

/// `3 to create, 1 to change, 2 to delete`, or that there is nothing.
fn summary(plan: &Plan) -> String {
    let count = |sign: char| plan.changes.iter().filter(|change| look(change).0 == sign).count();
    let parts: Vec<String> = [('+', "create"), ('~', "change"), ('-', "delete")]
        .into_iter()
        .map(|(sign, word)| (count(sign), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} to {word}"))
        .collect();
    match parts.is_empty() {
        true => "nothing to change".to_owned(),
        false => parts.join(", "),
    }
}
