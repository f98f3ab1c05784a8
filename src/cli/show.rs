//! A plan as people read it, and as programs do.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::store::Owned;
use crate::twilio::ACCOUNT;
use crate::twilio::model::{Id, Kind};
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

    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Colours::On => format!("{colour}{text}{RESET}"),
            Colours::Off => text.to_owned(),
        }
    }
}

/// What a change does, in one word for programs, with a sign and a colour for people.
struct Look {
    action: &'static str,
    sign: char,
    colour: &'static str,
}

fn look(change: &Change) -> Look {
    let (action, sign, colour) = match change {
        Change::Create(_) => ("create", '+', GREEN),
        Change::Buy(_) => ("buy", '+', GREEN),
        Change::Upload(_) => ("upload", '+', GREEN),
        Change::Build { .. } => ("build", '+', GREEN),
        Change::Update(_) => ("update", '~', YELLOW),
        Change::Restore { .. } => ("restore", '~', YELLOW),
        Change::Await { .. } => ("await", '~', YELLOW),
        Change::Deploy { .. } => ("deploy", '~', YELLOW),
        Change::Forget(_) => ("forget", '~', YELLOW),
        Change::Remove { .. } => ("delete", '-', RED),
    };
    Look { action, sign, colour }
}

/// What it is done to; an upload is to no resource of its own.
pub(super) fn id(change: &Change) -> Option<&Id> {
    match change {
        Change::Create(resource) | Change::Buy(resource) => Some(&resource.id),
        Change::Update(update) => Some(&update.id),
        Change::Remove { id, .. } | Change::Restore { id, .. } | Change::Forget(id) => Some(id),
        Change::Await { number, .. } => Some(number),
        Change::Build { service, .. } => Some(service),
        Change::Deploy { deployment, .. } => Some(&deployment.environment),
        Change::Upload(_) => None,
    }
}

/// Whose it is: the name of an environment, or [`ACCOUNT`].
fn environment<'a>(change: &'a Change, plan: &'a Plan, owned: &'a Owned) -> &'a str {
    let named = |change: &'a Change| match change {
        Change::Create(resource) | Change::Buy(resource) => Some(resource.environment.as_str()),
        Change::Update(update) => Some(update.environment.as_str()),
        Change::Upload(_) | Change::Build { .. } => Some(ACCOUNT),
        Change::Deploy { deployment, .. } => Some(deployment.environment.own_key()),
        _ => None,
    };
    let of_id = |id: &'a Id| {
        let recorded = owned.get(id).map(|record| record.environment.as_str());
        // A step that waits for a number belongs where the step before it changes that number.
        recorded.or_else(|| plan.changes.iter().filter(|other| self::id(other) == Some(id)).find_map(named))
    };
    named(change).or_else(|| of_id(id(change)?)).unwrap_or(ACCOUNT)
}

/// The changes by environment, each in the order in which it is made; what all share comes first.
fn groups<'a>(plan: &'a Plan, owned: &'a Owned) -> Vec<(&'a str, Vec<&'a Change>)> {
    let mut groups: Vec<(&str, Vec<&Change>)> = Vec::new();
    for change in &plan.changes {
        let name = environment(change, plan, owned);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, changes)) => changes.push(change),
            None => groups.push((name, vec![change])),
        }
    }
    groups.sort_by_key(|(name, _)| (*name != ACCOUNT, *name));
    groups
}

/// The plan as text, problems left out: they are errors and go to stderr.
pub(super) fn text(plan: &Plan, owned: &Owned, colours: Colours) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for (name, changes) in groups(plan, owned) {
        let title = match name {
            ACCOUNT => "shared by all environments".to_owned(),
            name => format!("environment {name}"),
        };
        let _ = writeln!(text, "{}", colours.paint(BOLD, &format!("{title}:")));
        for change in changes {
            let Look { sign, colour, .. } = look(change);
            let _ = writeln!(text, "  {}", colours.paint(colour, &format!("{sign} {change}")));
        }
    }
    let _ = writeln!(text, "{}", summary(plan));
    text
}

/// `3 to create, 1 to change, 2 to delete`, or that there is nothing.
fn summary(plan: &Plan) -> String {
    let count = |sign: char| plan.changes.iter().filter(|change| look(change).sign == sign).count();
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

/// The plan for programs.
pub(super) fn json(plan: &Plan, owned: &Owned) -> Value {
    let change = |change: &Change| {
        let id = id(change);
        json!({
            "environment": environment(change, plan, owned),
            "action": look(change).action,
            "kind": id.map(|id| id.kind).or(matches!(change, Change::Upload(_)).then_some(Kind::Asset)),
            "key": id.map(|id| id.key.as_str()).or(match change {
                Change::Upload(file) => Some(file.path.as_str()),
                _ => None,
            }),
            "text": change.to_string(),
        })
    };
    json!({
        "changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "notes": plan.notes,
        "problems": plan.problems,
    })
}
