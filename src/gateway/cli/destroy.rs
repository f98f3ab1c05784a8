//! `gateway destroy --environment NAME`: the account without what is ours in an environment.

use std::path::Path;

use super::account::{self, Purpose};
use super::arguments::Trace;
use super::show::{self, Colours};
use super::{Done, apply, failed};
use gateway_core::config::DEFAULT_ENVIRONMENT;

pub(super) fn run(path: &Path, environment: Option<&str>, yes: Option<&str>, prod: bool, trace: Trace) -> Done {
    let Some(name) = environment else {
        return Err(failed("say which environment: \"gateway destroy --environment stage\""));
    };
    if name == DEFAULT_ENVIRONMENT && !prod {
        return Err(failed(format!(
            "{name} is what callers reach; if it shall go all the same: \"gateway destroy --environment {name} --prod\""
        )));
    }
    if let Some(other) = yes.filter(|yes| *yes != name) {
        return Err(failed(format!("--yes {other} is not --environment {name}; nothing was changed")));
    }
    // It need not be in the config any more.
    let mut opened = account::open(path, Purpose::Change, trace)?;
    // A key may not delete keys (TWILIO.md "API keys"), and ours goes with the last environment.
    opened.prefer_token();
    if !opened.owned.has_environment(name) && opened.config.environment(name).is_none() {
        return Err(failed(format!("there is no environment {name:?}: none in the config, and none that is ours")));
    }
    let plan = opened.account().plan_destroy(name).map_err(failed)?;
    super::print(&show::text(&plan, Colours::of_stdout()));
    if plan.changes.is_empty() {
        return if plan.problems.is_empty() { Ok(()) } else { Err(plan.problems) };
    }
    if yes.is_none() {
        if !account::is_interactive() {
            let way = format!("gateway destroy --environment {name} --yes {name}");
            return Err(failed(format!("nothing was changed: this is no terminal to ask on; run \"{way}\"")));
        }
        if !account::confirm_by_name("Phones of this environment stop working.", name) {
            super::print("nothing was changed\n");
            return Ok(());
        }
    }
    apply::make(&mut opened, &plan)?;
    if plan.problems.is_empty() { Ok(()) } else { Err(plan.problems) }
}
