//! Compares the two sides, resource by resource, and puts the changes in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, FieldChange, Held, Plan, Standing, Update};
use crate::actual::{Actual, Found};
use crate::model::{Desired, Id, Kind, Resource, Value, fingerprint, reply_name};
use crate::owned::{Owned, Record};
use gateway_core::setting::Setting;
use gateway_core::url::is_same;

/// What leads from `actual` to `desired`; `buy` holds the numbers that may be bought. Applied, it leaves nothing to do.
pub fn diff(desired: &Desired, actual: &Actual, owned: &Owned, buy: &BTreeSet<String>) -> Plan {
    let mut diff = Diff { desired, actual, owned, buy, order: Order::default(), problems: Vec::new() };
    for resource in &desired.resources {
        diff.resource(resource);
    }
    diff.hosted();
    diff.releases();
    let notes = diff.notes();
    Plan { changes: diff.order.changes(), problems: diff.problems, notes }
}

/// Changes by when they are made. What waits for somebody is last, so that it keeps nothing else from being made.
#[derive(Default)]
pub(super) struct Order {
    /// Emergency callers that are let go, while their numbers still have an address.
    pub callers_released: Vec<Change>,
    /// By kind: what is made, changed and bought.
    pub made: BTreeMap<Kind, Vec<Change>>,
    /// What is not wanted any more, users before what they use.
    pub released: Vec<Change>,
    /// For addresses that numbers let go.
    pub unregistered: Vec<Change>,
    /// What had to wait for that.
    pub after_unregistered: Vec<Change>,
    /// For addresses that numbers were given.
    pub registered: Vec<Change>,
    /// Emergency callers that are set: their numbers must be registered (TWILIO.md "Emergency addresses").
    pub callers: Vec<Change>,
}

impl Order {
    fn changes(self) -> Vec<Change> {
        let Order { callers_released, made, released, unregistered, after_unregistered, registered, callers } = self;
        callers_released
            .into_iter()
            .chain(made.into_values().flatten())
            .chain(released)
            .chain(unregistered)
            .chain(after_unregistered)
            .chain(registered)
            .chain(callers)
            .collect()
    }

    pub fn make(&mut self, kind: Kind, change: Change) {
        self.made.entry(kind).or_default().push(change);
    }
}

pub(super) struct Diff<'a> {
    pub desired: &'a Desired,
    pub actual: &'a Actual,
    pub owned: &'a Owned,
    pub buy: &'a BTreeSet<String>,
    pub order: Order,
    pub problems: Vec<String>,
}

impl Diff<'_> {
    fn resource(&mut self, resource: &Resource) {
        let id = &resource.id;
        match (id.kind, self.actual.get(id, self.owned.sid(id))) {
            (Kind::PhoneNumber, Some(found)) => self.number(resource, found),
            (Kind::PhoneNumber, None) => self.missing_number(resource),
            (Kind::EmergencyCaller, found) => self.caller(resource, found),
            (_, Some(found)) => {
                let change = self.compare(resource, found);
                if let Some(change) = change {
                    self.order.make(id.kind, change);
                }
            }
            (kind, None) => self.order.make(kind, Change::Create(resource.clone())),
        }
    }

    /// What makes a resource that is there the wanted one.
    fn compare(&mut self, resource: &Resource, found: &Found) -> Option<Change> {
        let id = &resource.id;
        let mut update = self.update(resource, found);
        if id.kind == Kind::DialingPermissions {
            let is_known = |field: &FieldChange| found.fields.get(reply_name(&field.param)).is_some();
            let (known, unknown) = std::mem::take(&mut update.fields).into_iter().partition(is_known);
            update.fields = known;
            for FieldChange { param, .. } in unknown {
                self.problems.push(format!("Twilio knows no country {param}; correct dialing.countries"));
            }
        }
        let is_fixed = |field: &&FieldChange| id.kind.schema().fixed.contains(&field.param.as_str());
        if let Some(fixed) = update.fields.iter().find(is_fixed) {
            let made = self.owned.get(id).is_some_and(|record| record.made);
            if made && update.standing != Standing::Adopt {
                let held = held(&resource.environment, found);
                return Some(Change::Replace { held, resource: resource.clone(), fields: update.fields });
            }
            self.problems.push(format!(
                "{id} ({}) was not made by us and has {} {}, which can never become {}; delete it at console.twilio.com, \
                 or write another site.name",
                found.sid, fixed.param, fixed.from, fixed.to
            ));
            return None;
        }
        update.is_needed().then_some(Change::Update(update))
    }

    /// How the fields of a resource that is there differ from the wanted ones; perhaps not at all.
    pub fn update(&self, resource: &Resource, found: &Found) -> Update {
        let record = self.owned.get(&resource.id);
        let standing = match record {
            Some(Record { sid: Some(sid), .. }) if *sid == found.sid => Standing::Ours,
            Some(Record { sid: None, made: true, .. }) => Standing::Claim,
            _ => Standing::Adopt,
        };
        let ours = record.filter(|_| standing == Standing::Ours);
        let change = |param: &String, to: Value| FieldChange { param: param.clone(), from: found.field(param), to };
        let wanted = resource.fields.iter().map(|(param, to)| change(param, to.clone()));
        // What we set once, and nobody wants so any more, becomes what it was, unless somebody else has set it since.
        let is_wanted = |param: &String| resource.fields.iter().any(|(wanted, _)| wanted == param);
        let former = ours.into_iter().flat_map(|record| &record.changed);
        let is_ours = |param: &String| ours.is_some_and(|ours| self.owned.is_ours(ours, param, &found.field(param)));
        let former = former.filter(|(param, _)| !is_wanted(param) && is_ours(param));
        let former = former.map(|(param, changed)| change(param, Value::Text(changed.was.clone())));
        let fields = wanted.chain(former).filter(|change| !self.is_set(&change.from, &change.to)).collect();
        let known = ours.and_then(|record| record.fingerprint.as_ref());
        Update {
            id: resource.id.clone(),
            environment: resource.environment.clone(),
            former: ours.map(|record| record.environment.clone()).filter(|former| *former != resource.environment),
            sid: found.sid.clone(),
            parent_sid: found.parent_sid.clone(),
            standing,
            fields,
            password: resource.password.clone().filter(|password| known != Some(&fingerprint(password))),
        }
    }

    fn is_set(&self, from: &Setting, to: &Value) -> bool {
        match to {
            Value::Text(text) => is_same(from.expose(), text.expose()),
            Value::Bool(wanted) => from.expose() == wanted.to_string(),
            Value::Decimal(wanted) => is_same_number(from.expose(), wanted),
            Value::Sid(id) => self.sid(id).is_some_and(|sid| sid == from.expose()),
        }
    }

    /// The SID of a resource that is there.
    pub fn sid(&self, id: &Id) -> Option<&str> {
        Some(self.actual.get(id, self.owned.sid(id))?.sid.as_str())
    }
}

impl Update {
    /// Whether it does anything, to the account or to our records.
    pub(super) fn is_needed(&self) -> bool {
        self.standing != Standing::Ours || self.former.is_some() || !self.fields.is_empty() || self.password.is_some()
    }
}

/// Something that is there, with what it takes to make it again.
pub(super) fn held(environment: &str, found: &Found) -> Held {
    let schema = found.id.kind.schema();
    let key = match found.id.kind.maps() {
        Some(_) => Setting::new(&found.sid),
        None => Setting::new(found.id.own_key()),
    };
    let content = schema.content.iter().map(|param| ((*param).to_owned(), found.field(param)));
    Held {
        id: found.id.clone(),
        environment: environment.to_owned(),
        sid: found.sid.clone(),
        parent_sid: found.parent_sid.clone(),
        content: content.filter(|(_, value)| !value.is_empty()).chain([(schema.key.to_owned(), key)]).collect(),
    }
}

/// `10.00` is `10.000000`.
fn is_same_number(a: &str, b: &str) -> bool {
    fn trimmed(number: &str) -> &str {
        match number.contains('.') {
            true => number.trim_end_matches('0').trim_end_matches('.'),
            false => number,
        }
    }
    trimmed(a) == trimmed(b)
}
