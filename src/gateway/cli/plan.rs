//! `gateway plan`: what would change.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::{self, Purpose};
use super::arguments::Trace;
use super::failed;
use super::show::{self, Colours};

/// Whether there is something to change.
pub(super) fn run(path: &Path, environment: Option<&str>, json: bool, trace: Trace) -> Result<bool, Vec<String>> {
    let mut opened = account::open(path, Purpose::Look, trace)?;
    let scope = account::scope(&opened.config, environment)?;
    opened.mint();
    let plan = opened.account().plan(&scope, &BTreeSet::new()).map_err(failed)?;
    match json {
        true => super::print(&format!("{:#}\n", plan.to_json())),
        false => super::print(&show::text(&plan, Colours::of_stdout())),
    }
    match (plan.changes.is_empty(), plan.problems.is_empty()) {
        (true, true) => Ok(false),
        // Nothing that a change can give: somebody has to do something.
        (true, false) => Err(plan.problems),
        (false, _) => {
            super::warn(&plan.problems);
            Ok(true)
        }
    }
}
