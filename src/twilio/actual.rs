//! What is in the account, as far as the config or our records name it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api::{Api, ApiError};
use super::model::{Desired, Id, Kind, reply_name};
use super::setting::Setting;
use crate::store::Owned;

/// A resource that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: Id,
    pub sid: String,
    /// The SID of what it lives in.
    pub parent_sid: Option<String>,
    /// The whole reply.
    pub fields: Value,
}

impl Found {
    /// A field by its form parameter, as the text that a form would hold; nothing and null are empty.
    pub fn field(&self, param: &str) -> Setting {
        Setting::new(match self.fields.get(reply_name(param)) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        })
    }
}

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual(pub Vec<Found>);

impl Actual {
    /// The resource of that natural key. Where several have it (apps may), the one that is ours, else the first.
    pub fn get(&self, id: &Id, ours: Option<&str>) -> Option<&Found> {
        let matching = || self.0.iter().filter(|found| found.id == *id);
        matching().find(|found| Some(found.sid.as_str()) == ours).or_else(|| matching().next())
    }

    /// Whether that very resource exists.
    pub fn has(&self, kind: Kind, sid: &str, parent_sid: Option<&str>) -> bool {
        let same = |found: &&Found| found.sid == sid && found.parent_sid.as_deref() == parent_sid;
        self.0.iter().filter(same).any(|found| found.id.kind == kind)
    }
}

/// Reads every collection that the config or our records need: the parents, and the children of those that matter.
pub fn read(api: &mut dyn Api, desired: &Desired, owned: &Owned) -> Result<Actual, ApiError> {
    let wanted: BTreeSet<&Id> =
        desired.resources.iter().map(|resource| &resource.id).chain(owned.iter().map(|record| &record.id)).collect();
    let mut actual = Actual::default();
    for kind in Kind::ALL {
        if !wanted.iter().any(|id| id.kind == kind) {
            continue;
        }
        match kind.schema().parent {
            None => read_collection(api, kind, None, &mut actual)?,
            Some(parent_kind) => {
                let parents: Vec<Found> = actual
                    .0
                    .iter()
                    .filter(|found| found.id.kind == parent_kind && wanted.contains(&found.id))
                    .cloned()
                    .collect();
                for parent in parents {
                    read_collection(api, kind, Some(&parent), &mut actual)?;
                }
            }
        }
    }
    Ok(actual)
}

fn read_collection(api: &mut dyn Api, kind: Kind, parent: Option<&Found>, actual: &mut Actual) -> Result<(), ApiError> {
    let parent_sid = parent.map(|parent| parent.sid.clone());
    for fields in api.list(&kind.collection(parent_sid.as_deref()), kind.schema().records)? {
        let found = found(kind, parent, fields, actual);
        actual.0.extend(found);
    }
    Ok(())
}

/// A record of a page; `None` for one without SID or key, which nothing of ours can be.
fn found(kind: Kind, parent: Option<&Found>, fields: Value, actual: &Actual) -> Option<Found> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let sid = text("sid")?;
    let own_key = match kind {
        // The SID of a mapping is that of the list (twilio.md 2.6).
        Kind::CallsMapping | Kind::RegistrationsMapping => {
            let list = actual.0.iter().find(|found| found.id.kind == Kind::CredentialList && found.sid == sid);
            list.map_or_else(|| sid.clone(), |list| list.id.key.clone())
        }
        kind => text(&reply_name(kind.schema().key))?,
    };
    let id = match parent {
        Some(parent) => Id::child(kind, &parent.id.key, &own_key),
        None => Id::new(kind, own_key),
    };
    Some(Found { id, sid, parent_sid: parent.map(|parent| parent.sid.clone()), fields })
}

/// The resource of that id, read again: after a failure that may have had an effect.
pub fn read_one(
    api: &mut dyn Api,
    id: &Id,
    parent: Option<&Found>,
    list: Option<&Found>,
) -> Result<Option<Found>, ApiError> {
    let mut actual = Actual(list.cloned().into_iter().collect());
    read_collection(api, id.kind, parent, &mut actual)?;
    Ok(actual.get(id, None).cloned())
}
