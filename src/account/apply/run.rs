//! All changes of a plan, one after the other.

use std::collections::BTreeSet;

use super::{Applier, ApplyError};
use crate::model::{Id, Kind, Value};
use crate::owned::Undo;
use crate::plan::{Change, Plan, Registration, Update};
use crate::progress::Progress;

impl Applier<'_> {
    /// Makes all changes. What waits for Twilio, and what Twilio refuses to delete, keeps nothing back that does not
    /// depend on it. Gives the number of changes at Twilio, and what has to wait for the next run.
    pub fn run(&mut self, plan: &Plan) -> Result<(usize, Vec<ApplyError>), ApplyError> {
        // The way back over a run that was stopped leads to where that one began; there is none over a rotation, which
        // leaves the way back over the run before it.
        let is_rotation = |change: &Change| matches!(change, Change::Update(update) if update.is_rotation());
        let has_way_back = !plan.changes.iter().all(is_rotation);
        if has_way_back && !self.owned.unfinished {
            self.owned.undo.clear();
            self.owned.unfinished = true;
            self.unsaved = true;
        }
        let mut left = Left::default();
        let mut made = 0;
        for (at, change) in plan.changes.iter().enumerate() {
            if left.holds_back(change) {
                continue;
            }
            (self.listener)(Progress::Begins { at: at + 1, of: plan.changes.len(), change });
            let result = self.intend_ahead(&plan.changes[at..]).and_then(|()| self.make(change));
            match result {
                Ok(()) => {
                    made += usize::from(change.is_request());
                    (self.listener)(Progress::Done);
                }
                Err(error) => {
                    (self.listener)(Progress::Failed);
                    match error.is_partial() {
                        true => left.add(change, error),
                        false => {
                            self.unintend_ahead();
                            return Err(error);
                        }
                    }
                }
            }
        }
        if has_way_back && left.errors.is_empty() {
            self.end_promotions(plan);
            self.owned.unfinished = false;
            self.unsaved = true;
        }
        self.commit()?;
        Ok((made, left.errors))
    }

    /// An environment that was destroyed was promoted to nothing: it would begin with URLs of long ago if it came again.
    fn end_promotions(&mut self, plan: &Plan) {
        let names: BTreeSet<&str> = plan.changes.iter().map(Change::environment).collect();
        for name in names.into_iter().filter(|name| !self.owned.has_environment(name)).collect::<Vec<_>>() {
            if let Some(promotions) = self.owned.promotions.remove(name) {
                self.journal(Undo::Promoted { environment: name.to_owned(), promotions });
            }
        }
    }
}

/// What an apply could not make, and what therefore has to wait for the next one.
#[derive(Default)]
struct Left {
    errors: Vec<ApplyError>,
    /// Numbers whose emergency addresses are not where they shall be.
    numbers: BTreeSet<Id>,
    /// An address may still be in use.
    letting_go: bool,
}

impl Left {
    fn add(&mut self, change: &Change, error: ApplyError) {
        if let Change::Await { number, status, .. } = change {
            self.numbers.insert(number.clone());
            self.letting_go |= *status == Registration::Unregistered;
        }
        self.errors.push(error);
    }

    /// Whether the change depends on what could not be made.
    fn holds_back(&self, change: &Change) -> bool {
        let refers = |value: &Value| matches!(value, Value::Sid(id) if self.numbers.contains(id));
        match change {
            Change::Remove(held) => self.letting_go && held.id.kind == Kind::Address,
            Change::Create(resource) => resource.fields.iter().any(|(_, value)| refers(value)),
            Change::Update(Update { id, fields, .. }) => {
                self.numbers.contains(id) || fields.iter().any(|field| refers(&field.to))
            }
            Change::Restore { held, .. } => self.numbers.contains(&held.id),
            Change::Await { number, .. } => self.numbers.contains(number),
            _ => false,
        }
    }
}
