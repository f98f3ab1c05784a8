//! `gateway apply`: the plan, a question, the changes. Other commands that change the account end here, too.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::account::{self, Opened, Purpose};
use super::arguments::Trace;
use super::show::{self, Colours};
use super::{Done, failed};
use gateway_account::plan::{Change, Plan};
use gateway_account::progress::Progress;
use gateway_core::plain::plain_lines;

/// How the question before the changes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was nothing to change.
    Unchanged,
    Applied,
    /// A person said no.
    Declined,
}

pub(super) fn run(path: &Path, environment: Option<&str>, buy: &[String], yes: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Change, trace)?;
    let scope = account::scope(&opened.config, environment)?;
    let buy: BTreeSet<String> = buy.iter().cloned().collect();
    if let Some(stranger) = buy.iter().find(|number| opened.config.number(number).is_none()) {
        return Err(failed(format!(
            "--buy {stranger}: it is not in {}; add a [[number]] with it, or run \"gateway number buy {stranger}\"",
            path.display()
        )));
    }
    // Passwords are on disk before Twilio has them.
    opened.mint();
    opened.save_secrets()?;
    let plan = opened.account().plan(&scope, &buy).map_err(failed)?;
    show_and_make(&mut opened, &plan, yes, "gateway apply --yes")?;
    // Told last and with exit code 1: the account is not what the config says.
    if plan.problems.is_empty() { Ok(()) } else { Err(plan.problems) }
}

/// Shows a plan, asks unless `yes`, makes the changes, tells the way back, and has the running service read again what
/// it knows. `again` is the command that asks nothing.
pub(super) fn show_and_make(opened: &mut Opened, plan: &Plan, yes: bool, again: &str) -> Result<Outcome, Vec<String>> {
    super::print(&show::text(plan, Colours::of_stdout()));
    if plan.changes.is_empty() {
        super::print(&format!("{}\n", opened.client.count));
        return Ok(Outcome::Unchanged);
    }
    if !yes && !agreed("apply this?", again)? {
        super::print("nothing was changed\n");
        return Ok(Outcome::Declined);
    }
    make(opened, plan)?;
    Ok(Outcome::Applied)
}

/// Asks on a terminal; without one, `again` is the way.
pub(super) fn agreed(question: &str, again: &str) -> Result<bool, Vec<String>> {
    match account::is_interactive() {
        true => Ok(account::confirm(question)),
        false => Err(failed(format!("nothing was changed: this is no terminal to ask on; run \"{again}\""))),
    }
}

/// Makes the changes, with progress on stdout.
pub(super) fn make(opened: &mut Opened, plan: &Plan) -> Done {
    make_quietly(opened, plan)?;
    super::print("\"gateway undo\" goes back\n");
    Ok(())
}

/// As [`make`], for what has no way back.
pub(super) fn make_quietly(opened: &mut Opened, plan: &Plan) -> Done {
    let mut reason_told = String::new();
    let mut listener = |progress: Progress<'_>| {
        // A wait is told once, not at each look.
        if let Progress::Waits { reason } = &progress {
            if *reason == reason_told {
                return;
            }
            reason_told.clone_from(reason);
        }
        print_progress(&progress);
    };
    announce(opened, plan)?;
    let made = opened.account().apply(plan, &mut listener);
    opened.read_owned()?;
    super::print(&format!("{}\n", opened.client.count));
    match made {
        Ok(1) => super::print("applied 1 change\n"),
        Ok(changes) => super::print(&format!("applied {changes} changes\n")),
        Err(error) => {
            let way = "what was done is recorded: run the command again to go on, or \"gateway undo\" to go back";
            return Err(vec![error.to_string(), way.to_owned()]);
        }
    }
    reload(opened);
    Ok(())
}

/// A running service knows another password before Twilio does: if this command is stopped in between, or its requests
/// are, the service tries both.
pub(super) fn announce(opened: &Opened, plan: &Plan) -> Done {
    let sets_password = |change: &Change| matches!(change, Change::Update(update) if update.password.is_some());
    if !plan.changes.iter().any(sets_password) {
        return Ok(());
    }
    match super::reload::if_running(&opened.config) {
        Some(Err(error)) => {
            let way =
                "nothing was changed at Twilio: mend that, or restart the service, and run the same command again";
            Err(vec![format!("the running service does not read the new passwords: {error}"), way.to_owned()])
        }
        Some(Ok(_)) | None => Ok(()),
    }
}

/// `3/17 create … done`
pub(super) fn print_progress(progress: &Progress<'_>) {
    match progress {
        Progress::Begins { at, of, change } => {
            super::print(&format!("{at}/{of} {} ... ", plain_lines(&change.headline())));
        }
        Progress::Waits { reason } => super::print(&format!("\n  {} ... ", plain_lines(reason))),
        Progress::Done => super::print("done\n"),
        Progress::Failed => super::print("failed\n"),
    }
    let _ = std::io::stdout().flush();
}

/// A running service learns of new secrets.
pub(super) fn reload(opened: &Opened) {
    match super::reload::if_running(&opened.config) {
        Some(Ok(text)) => super::print(&format!("the running service: {text}\n")),
        Some(Err(error)) => super::warn(&[format!("the running service did not reload: {error}")]),
        None => {}
    }
}
