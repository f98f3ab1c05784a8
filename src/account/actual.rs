//! What is in the account, as far as the config or our records name it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::{Api, ApiError};
use crate::kind::COUNTRIES;
use crate::model::{Desired, Id, Kind, reply_name};
use crate::owned::Owned;
use gateway_core::setting::Setting;

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

/// Reads every collection that the config or our records need: the parents that matter, and all that lives in them.
pub fn read(api: &mut dyn Api, desired: &Desired, owned: &Owned) -> Result<Actual, ApiError> {
    let wanted: BTreeSet<&Id> =
        desired.resources.iter().map(|resource| &resource.id).chain(owned.iter().map(|record| &record.id)).collect();
    let is_wanted = |kind: Kind| match kind {
        // A key may not ask for keys (TWILIO.md "API keys"), and no plan needs to know.
        Kind::ApiKey => false,
        // An address cannot go before the last number has let go of it.
        Kind::PhoneNumber => wanted.iter().any(|id| matches!(id.kind, Kind::PhoneNumber | Kind::Address)),
        kind => wanted.iter().any(|id| id.kind == kind),
    };
    let mut actual = Actual::default();
    for kind in Kind::ALL {
        let schema = kind.schema();
        if let Some(whole) = schema.facet_of {
            let is_facet = |found: &&Found| found.id.kind == whole && wanted.contains(&Id::new(kind, &found.id.key));
            let facet = |found: &Found| Found { id: Id::new(kind, &found.id.key), ..found.clone() };
            let facets: Vec<Found> = actual.0.iter().filter(is_facet).map(facet).collect();
            actual.0.extend(facets);
        } else if let Some(parent_kind) = schema.parent {
            let is_parent = |found: &&Found| found.id.kind == parent_kind && wanted.contains(&found.id);
            let parents: Vec<Found> = actual.0.iter().filter(is_parent).cloned().collect();
            for parent in parents {
                read_collection(api, kind, Some(&parent), &mut actual)?;
            }
        } else if is_wanted(kind) {
            read_collection(api, kind, None, &mut actual)?;
        }
    }
    Ok(actual)
}

/// The resource of that id and SID, read again.
pub fn read_sid(api: &mut dyn Api, id: &Id, sid: &str, parent_sid: Option<&str>) -> Result<Option<Found>, ApiError> {
    if id.kind == Kind::DialingPermissions {
        return read_one(api, id, None, None);
    }
    match api.get(&id.kind.collection(parent_sid), sid) {
        Ok(fields) => {
            let parent_sid = parent_sid.map(str::to_owned);
            Ok(Some(Found { id: id.clone(), sid: sid.to_owned(), parent_sid, fields }))
        }
        Err(ApiError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The resource of that id, read again: after a failure that may have had an effect. `maps` is the SID of the list that
/// a mapping maps.
pub fn read_one(
    api: &mut dyn Api,
    id: &Id,
    parent_sid: Option<&str>,
    maps: Option<&str>,
) -> Result<Option<Found>, ApiError> {
    let stand_in = |id: Id, sid: &str| Found { id, sid: sid.to_owned(), parent_sid: None, fields: Value::Null };
    let parent = id.parent().zip(parent_sid).map(|(id, sid)| stand_in(id, sid));
    let mut actual = Actual::default();
    if let (Some(kind), Some(sid)) = (id.kind.maps(), maps) {
        actual.0.push(stand_in(Id::new(kind, id.own_key()), sid));
    }
    read_collection(api, id.kind, parent.as_ref(), &mut actual)?;
    Ok(actual.get(id, None).cloned())
}

fn read_collection(api: &mut dyn Api, kind: Kind, parent: Option<&Found>, actual: &mut Actual) -> Result<(), ApiError> {
    let parent_sid = parent.map(|parent| parent.sid.clone());
    let records = api.list(&kind.collection(parent_sid.as_deref()), kind.schema().records)?;
    if kind == Kind::DialingPermissions {
        actual.0.push(countries(&records));
        return Ok(());
    }
    for fields in records {
        let found = found(kind, parent, fields, actual);
        actual.0.extend(found);
    }
    Ok(())
}

/// All countries as one resource: whether each may be called.
fn countries(records: &[Value]) -> Found {
    let country = |record: &Value| {
        let code = reply_name(record.get("iso_code")?.as_str()?);
        Some((code, record.get("low_risk_numbers_enabled").cloned().unwrap_or_default()))
    };
    let fields = Value::Object(records.iter().filter_map(country).collect());
    Found { id: Id::new(Kind::DialingPermissions, COUNTRIES), sid: COUNTRIES.to_owned(), parent_sid: None, fields }
}

/// A record of a page; `None` for one without SID or key, which nothing of ours can be.
fn found(kind: Kind, parent: Option<&Found>, fields: Value, actual: &Actual) -> Option<Found> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let sid = text("sid")?;
    let own_key = match kind.maps() {
        Some(maps) => {
            let list = actual.0.iter().find(|found| found.id.kind == maps && found.sid == sid);
            list.map_or_else(|| sid.clone(), |list| list.id.key.clone())
        }
        None => text(&reply_name(kind.schema().key))?,
    };
    let id = match parent {
        Some(parent) => Id::child(kind, &parent.id.key, &own_key),
        None => Id::new(kind, own_key),
    };
    Some(Found { id, sid, parent_sid: parent.map(|parent| parent.sid.clone()), fields })
}
