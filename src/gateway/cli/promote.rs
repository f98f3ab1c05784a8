//! `gateway promote FROM TO`, `gateway promote --back TO`: an environment runs what another one runs, and not any more.

use std::path::Path;

use super::account::{self, Opened, Purpose};
use super::apply::{self, Outcome};
use super::arguments::Trace;
use super::{Done, failed};
use gateway_account::account::Scope;
use gateway_account::owned::Promotion;

pub(super) fn forth(path: &Path, from: &str, to: &str, yes: bool, trace: Trace) -> Done {
    if from == to {
        return Err(failed(format!("{from} runs what {from} runs; name two environments")));
    }
    let opened = account::open(path, Purpose::Change, trace)?;
    run(opened, to, yes, &format!("gateway promote {from} {to} --yes"), |opened| {
        opened.account().promote(from, to).map_err(failed)
    })
}

pub(super) fn back(path: &Path, to: &str, yes: bool, trace: Trace) -> Done {
    let opened = account::open(path, Purpose::Change, trace)?;
    run(opened, to, yes, &format!("gateway promote --back {to} --yes"), |opened| {
        opened.account().step_back(to).map_err(failed)
    })
}

/// Records, plans, asks, applies. Where nothing was changed because a person said no, or because the plan could not be
/// made, the record is as before; once the first change is made it stays, and `gateway apply` goes on.
fn run(mut opened: Opened, to: &str, yes: bool, again: &str, record: impl FnOnce(&mut Opened) -> Done) -> Done {
    account::environment(&opened.config, Some(to))?;
    if !yes && !account::is_interactive() {
        return Err(failed(format!("nothing was changed: this is no terminal to ask on; run \"{again}\"")));
    }
    opened.mint();
    opened.save_secrets()?;
    let before: Option<Vec<Promotion>> = opened.owned.promotions.get(to).cloned();
    record(&mut opened)?;
    opened.read_owned()?;
    let planned = opened.account().plan(&Scope::Environment(to.to_owned()), &Default::default());
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            take_back(&mut opened, to, before)?;
            return Err(failed(error));
        }
    };
    match apply::show_and_make(&mut opened, &plan, yes, again)? {
        Outcome::Declined => take_back(&mut opened, to, before),
        Outcome::Applied | Outcome::Unchanged if plan.problems.is_empty() => Ok(()),
        Outcome::Applied | Outcome::Unchanged => Err(plan.problems),
    }
}

/// The record as it was before.
fn take_back(opened: &mut Opened, to: &str, before: Option<Vec<Promotion>>) -> Done {
    match before {
        Some(before) => opened.owned.promotions.insert(to.to_owned(), before),
        None => opened.owned.promotions.remove(to),
    };
    opened.store.save_owned(&opened.owned).map_err(failed)
}
