//! What becomes of what is ours and not wanted any more.

use std::cmp::Reverse;

use super::diff::{Diff, held};
use super::emergency::{self, is_unregistering, transition};
use super::{Change, FieldChange, Held, Registration, Standing, Update};
use crate::actual::Found;
use crate::model::{Id, Kind, Value};
use crate::owned::{Changed, Record};

impl<'a> Diff<'a> {
    /// Releases what the environments that are meant own and do not want.
    pub(super) fn releases(&mut self) {
        let owned = self.owned;
        let mut obsolete: Vec<&Record> = owned.iter().filter(|record| self.is_obsolete(record)).collect();
        // What lives in something before that, and users before what they use.
        obsolete.sort_by_key(|record| Reverse(record.id.kind));
        for record in obsolete {
            match self.found(record) {
                None => self.order.released.push(Change::Forget(record.clone())),
                Some(found) if record.made => self.remove(record, found),
                Some(found) => self.restore(record, found),
            }
        }
    }

    fn is_obsolete(&self, record: &Record) -> bool {
        // Set-up made the key, and is what needs it.
        record.id.kind != Kind::ApiKey
            && self.desired.environments.contains(&record.environment)
            && !self.desired.resources.iter().any(|resource| resource.id == record.id)
    }

    /// The very resource that a record means.
    fn found(&self, record: &Record) -> Option<&'a Found> {
        let actual = self.actual;
        match &record.sid {
            Some(sid) => {
                let is_it = |found: &&Found| {
                    found.id.kind == record.id.kind && found.sid == *sid && found.parent_sid == record.parent_sid
                };
                actual.0.iter().find(is_it)
            }
            // Killed before the answer: it may have been made. An adopted one never was ours.
            None => actual.get(&record.id, None).filter(|_| record.made),
        }
    }

    fn remove(&mut self, record: &Record, found: &Found) {
        let held = held(&record.environment, found);
        let others = self.others(found);
        if !others.is_empty() {
            self.problems.push(format!(
                "{} ({}) is not deleted: {} in it, not ours to delete; delete what is not needed at console.twilio.com",
                record.id,
                found.sid,
                others.join(", ")
            ));
            return;
        }
        match record.id.kind {
            Kind::Address => self.remove_address(held),
            _ => self.order.released.push(Change::Remove(held)),
        }
    }

    /// What lives in something and does not go with this plan.
    fn others(&self, parent: &Found) -> Vec<String> {
        let goes = |found: &Found| {
            let is_it = |record: &&Record| {
                record.id == found.id && record.sid.as_deref().is_none_or(|sid| sid == found.sid) && record.made
            };
            self.owned.iter().find(is_it).is_some_and(|record| self.is_obsolete(record))
        };
        let lives_in = |found: &&Found| {
            let schema = found.id.kind.schema();
            schema.parent == Some(parent.id.kind)
                && schema.facet_of.is_none()
                && found.parent_sid.as_deref() == Some(&parent.sid)
        };
        let others = self.actual.0.iter().filter(lives_in).filter(|found| !goes(found));
        others.map(|found| format!("{} {} ({})", found.id.kind.schema().noun, found.id.own_key(), found.sid)).collect()
    }

    /// An address goes when no number has it any more, and Twilio has let go of it (TWILIO.md "Emergency addresses").
    fn remove_address(&mut self, held: Held) {
        let mut waits = Vec::new();
        for number in self.actual.0.iter().filter(|found| found.id.kind == Kind::PhoneNumber) {
            let has_it = number.field(emergency::ADDRESS).expose() == held.sid;
            if has_it && !is_unregistering(number) && !self.lets_go(&number.id, &held.sid) {
                self.problems.push(format!(
                    "{} ({}) is not deleted: {} ({}) has it as its emergency address; clear that at console.twilio.com",
                    held.id, held.sid, number.id, number.sid
                ));
                return;
            }
            if has_it || is_unregistering(number) {
                waits.push(wait(&number.id, &held.environment, &number.sid));
            }
        }
        for wait in waits {
            if !self.order.unregistered.iter().any(|known| known.id() == wait.id()) {
                self.order.unregistered.push(wait);
            }
        }
        self.order.after_unregistered.push(Change::Remove(held));
    }

    /// Gives back what was adopted: what somebody else changed after us is theirs.
    fn restore(&mut self, record: &Record, found: &Found) {
        let still_ours = |(param, changed): &(&String, &Changed)| {
            let now = found.field(param);
            now != changed.was && self.owned.is_ours(record, param, &now)
        };
        let mut fields: Vec<FieldChange> = record
            .changed
            .iter()
            .filter(still_ours)
            .map(|(param, changed)| FieldChange {
                param: param.clone(),
                from: found.field(param),
                to: Value::Text(changed.was.clone()),
            })
            .collect();
        let held = held(&record.environment, found);
        if record.id.kind == Kind::EmergencyCaller {
            if !fields.is_empty() {
                self.order.callers_released.push(Change::Restore { held, fields });
                return;
            }
        } else if let Some(at) = fields.iter().position(|field| field.param == emergency::ADDRESS) {
            let transition = transition(fields.remove(at), found);
            fields.extend(transition.now);
            if let Some(later) = transition.later {
                return self.restore_later(held, fields, later);
            }
        }
        self.order.released.push(match fields.is_empty() {
            true => Change::Forget(record.clone()),
            false => Change::Restore { held, fields },
        });
    }

    /// Its emergency address was another one before us, and can be set when ours is registered no longer.
    fn restore_later(&mut self, held: Held, fields: Vec<FieldChange>, later: FieldChange) {
        if !fields.is_empty() {
            self.order.released.push(Change::Update(Update {
                id: held.id.clone(),
                environment: held.environment.clone(),
                former: None,
                sid: held.sid.clone(),
                parent_sid: held.parent_sid.clone(),
                standing: Standing::Ours,
                fields,
                password: None,
            }));
        }
        self.order.unregistered.push(wait(&held.id, &held.environment, &held.sid));
        self.order.after_unregistered.push(Change::Restore { held, fields: vec![later] });
    }
}

fn wait(number: &Id, environment: &str, sid: &str) -> Change {
    Change::Await {
        number: number.clone(),
        environment: environment.to_owned(),
        sid: Some(sid.to_owned()),
        status: Registration::Unregistered,
    }
}
