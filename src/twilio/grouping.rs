//! Whose a change of a plan is.

use super::ACCOUNT;
use super::kind::Id;
use super::plan::{Change, Plan};
use crate::store::Owned;

/// What it is done to; an upload is to no resource of its own.
pub fn id(change: &Change) -> Option<&Id> {
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
pub fn environment<'a>(change: &'a Change, plan: &'a Plan, owned: &'a Owned) -> &'a str {
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
pub fn groups<'a>(plan: &'a Plan, owned: &'a Owned) -> Vec<(&'a str, Vec<&'a Change>)> {
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
