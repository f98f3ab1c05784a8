//! The changes of a plan by whose they are, as people want to see them.

use crate::plan::{Change, Plan};
use gateway_core::config::ACCOUNT;

/// The changes by environment, each in the order in which it is made; what all share comes first.
pub fn groups(plan: &Plan) -> Vec<(&str, Vec<&Change>)> {
    let mut groups: Vec<(&str, Vec<&Change>)> = Vec::new();
    for change in &plan.changes {
        let name = change.environment();
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, changes)) => changes.push(change),
            None => groups.push((name, vec![change])),
        }
    }
    groups.sort_by_key(|(name, _)| (*name != ACCOUNT, *name));
    groups
}
