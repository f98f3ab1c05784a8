//! The way from the account as it is to the account as the config wants it. Pure.
//!
//! It owns what [`Owned`] records and adopts what the config names; everything else is left as it is.

use std::cmp::Reverse;
use std::fmt;

use super::actual::{Actual, Found};
use super::hosted::File;
use super::model::{Deployment, Desired, Id, Kind, Resource, Value, fingerprint};
use super::setting::Setting;
use crate::secret::Secret;
use crate::store::{Changed, Owned, Record};

/// What there is to do and to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they must be made.
    pub changes: Vec<Change>,
    /// What the config wants and no change can give; each with its way out.
    pub problems: Vec<String>,
    /// What a person should know and nobody needs to mend.
    pub notes: Vec<String>,
}

/// One step. It prints as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not there.
    Create(Resource),
    /// It is there and differs, or is not recorded as ours yet.
    Update(Update),
    /// We made it, and the config does not want it any more.
    Remove { id: Id, sid: String, parent_sid: Option<String> },
    /// We adopted it, and the config does not want it any more: what we changed is changed back.
    Restore { id: Id, sid: String, parent_sid: Option<String>, fields: Vec<FieldChange> },
    /// A record of something that is gone or was never made. No request is needed.
    Forget(Id),
    /// A number that is not in the account and may be bought.
    Buy(Resource),
    /// Waits until the emergency address of a number is registered, or is so no longer (twilio.md 8).
    Await { number: Id, status: Registration },
    /// Sends the content of an asset.
    Upload(File),
    /// Makes a build of the files as they are.
    Build { service: Id, files: Vec<File> },
    /// Puts a build in force in a hosted environment.
    Deploy { deployment: Deployment, former: Option<String> },
}

/// Where the registration of a number's emergency address shall arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Registered,
    Unregistered,
}

/// Fields of a resource that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub id: Id,
    /// Whose it is from now on.
    pub environment: String,
    pub sid: String,
    pub parent_sid: Option<String>,
    pub standing: Standing,
    pub fields: Vec<FieldChange>,
    /// Twilio has another one.
    pub password: Option<Secret<String>>,
}

/// What a resource that exists is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Recorded with this SID.
    Ours,
    /// We were about to make it and were stopped before we knew its SID.
    Claim,
    /// It was there before us, and the config names it.
    Adopt,
}

/// A field that shall hold something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    pub param: String,
    pub from: Setting,
    pub to: Value,
}

/// What leads from `actual` to `desired`. Applied, it leaves nothing to do.
pub fn diff(desired: &Desired, actual: &Actual, owned: &Owned) -> Plan {
    let mut plan = Plan::default();
    for resource in &desired.resources {
        match actual.get(&resource.id, owned.sid(&resource.id)) {
            Some(found) => plan.changes.extend(update(resource, found, actual, owned).map(Change::Update)),
            None if resource.id.kind.is_creatable() => plan.changes.push(Change::Create(resource.clone())),
            None => plan.problems.push(format!(
                "{} is not in the account; buy it at console.twilio.com, or remove its [[number]] from the config",
                resource.id
            )),
        }
        plan.notes.extend(namesakes(&resource.id, actual, owned));
    }
    let mut obsolete: Vec<&Record> = owned.iter().filter(|r| !desired.resources.iter().any(|d| d.id == r.id)).collect();
    // Children before their parents, users before what they use.
    obsolete.sort_by_key(|record| Reverse(record.id.kind));
    plan.changes.extend(obsolete.into_iter().map(|record| release(record, actual)));
    plan.notes.extend(strangers(desired, actual, owned));
    plan
}

fn update(resource: &Resource, found: &Found, actual: &Actual, owned: &Owned) -> Option<Update> {
    let record = owned.get(&resource.id);
    let standing = match record {
        Some(Record { sid: Some(sid), .. }) if *sid == found.sid => Standing::Ours,
        Some(Record { sid: None, made: true, .. }) => Standing::Claim,
        _ => Standing::Adopt,
    };
    let is_set = |from: &Setting, to: &Value| match to {
        Value::Text(text) => from == text,
        Value::Bool(wanted) => from.expose() == wanted.to_string(),
        Value::Decimal(wanted) => is_same_number(from.expose(), wanted),
        Value::Sid(id) => actual.get(id, owned.sid(id)).is_some_and(|found| found.sid == from.expose()),
    };
    let fields: Vec<FieldChange> = resource
        .fields
        .iter()
        .map(|(param, to)| FieldChange { param: param.clone(), from: found.field(param), to: to.clone() })
        .filter(|change| !is_set(&change.from, &change.to))
        .collect();
    let known = record.filter(|_| standing == Standing::Ours).and_then(|record| record.fingerprint.as_ref());
    let password = resource.password.clone().filter(|password| known != Some(&fingerprint(password)));
    if standing == Standing::Ours && fields.is_empty() && password.is_none() {
        return None;
    }
    let (sid, parent_sid) = (found.sid.clone(), found.parent_sid.clone());
    Some(Update {
        id: resource.id.clone(),
        environment: resource.environment.clone(),
        sid,
        parent_sid,
        standing,
        fields,
        password,
    })
}

/// What to do with something of ours that the config does not want any more.
fn release(record: &Record, actual: &Actual) -> Change {
    let id = record.id.clone();
    let found = match &record.sid {
        Some(sid) => {
            actual.0.iter().find(|f| f.id.kind == id.kind && f.sid == *sid && f.parent_sid == record.parent_sid)
        }
        None => actual.get(&id, None),
    };
    let Some(found) = found else { return Change::Forget(id) };
    let (sid, parent_sid) = (found.sid.clone(), found.parent_sid.clone());
    if record.made {
        return Change::Remove { id, sid, parent_sid };
    }
    // What somebody else changed after us is theirs.
    let still_ours =
        |(param, changed): &(&String, &Changed)| found.field(param) == changed.set && changed.was != changed.set;
    let fields: Vec<FieldChange> = record
        .changed
        .iter()
        .filter(still_ours)
        .map(|(param, changed)| FieldChange {
            param: param.clone(),
            from: changed.set.clone(),
            to: Value::Text(changed.was.clone()),
        })
        .collect();
    match fields.is_empty() {
        true => Change::Forget(id),
        false => Change::Restore { id, sid, parent_sid, fields },
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

/// Other resources of the same natural key, where Twilio allows that.
fn namesakes(id: &Id, actual: &Actual, owned: &Owned) -> Option<String> {
    let used = actual.get(id, owned.sid(id))?;
    let others: Vec<&str> = actual
        .0
        .iter()
        .filter(|found| found.id == *id && found.sid != used.sid)
        .map(|found| found.sid.as_str())
        .collect();
    match others.is_empty() {
        true => None,
        false => {
            Some(format!("{id} is there more than once; {} is used, {} left as it is", used.sid, others.join(", ")))
        }
    }
}

/// Credentials and mappings beside ours in what is ours: they can register and call, and are left as they are.
fn strangers<'a>(desired: &'a Desired, actual: &'a Actual, owned: &'a Owned) -> impl Iterator<Item = String> + 'a {
    let parents = |found: &Found| {
        let parent = found.id.kind.schema().parent;
        desired.resources.iter().any(|d| {
            Some(d.id.kind) == parent && owned.sid(&d.id).is_some() && owned.sid(&d.id) == found.parent_sid.as_deref()
        })
    };
    let known = |id: &Id| owned.get(id).is_some() || desired.resources.iter().any(|d| d.id == *id);
    actual
        .0
        .iter()
        .filter(move |found| parents(found) && !known(&found.id))
        .map(|found| format!("{} ({}) is not ours and is left as it is", found.id, found.sid))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Create(resource) => {
                match resource.id.kind {
                    Kind::CallsMapping | Kind::RegistrationsMapping => write!(f, "make the {}", resource.id)?,
                    _ => write!(f, "create {}", resource.id)?,
                }
                let fields: Vec<String> =
                    resource.fields.iter().map(|(param, value)| format!("{param} {value}")).collect();
                match fields.is_empty() {
                    true => Ok(()),
                    false => write!(f, " with {}", fields.join(", ")),
                }
            }
            Change::Update(update) => update.fmt(f),
            Change::Remove { id, sid, .. } => write!(f, "delete {id} ({sid}), ours and no longer in the config"),
            Change::Restore { id, sid, fields, .. } => {
                write!(f, "give back {id} ({sid}), no longer in the config: {}", sentence(fields, false))
            }
            Change::Forget(id) => write!(f, "forget {id}, no longer in the config and not at Twilio as we left it"),
            Change::Buy(_)
            | Change::Await { .. }
            | Change::Upload(_)
            | Change::Build { .. }
            | Change::Deploy { .. } => {
                todo!()
            }
        }
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.standing {
            Standing::Ours => write!(f, "change {}", self.id)?,
            Standing::Claim => write!(f, "take up {} ({}), made by a run that was stopped", self.id, self.sid)?,
            Standing::Adopt => write!(f, "adopt {} ({})", self.id, self.sid)?,
        }
        let mut steps = Vec::new();
        if !self.fields.is_empty() {
            steps.push(sentence(&self.fields, true));
        }
        if self.password.is_some() {
            steps.push("set its password".to_owned());
        }
        match steps.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", steps.join(", ")),
        }
    }
}

/// `set VoiceUrl to https://new (was https://old), clear TrunkSid (was TK…)`.
fn sentence(fields: &[FieldChange], with_former: bool) -> String {
    let one = |change: &FieldChange| {
        let what = match &change.to {
            Value::Text(text) if text.is_empty() => format!("clear {}", change.param),
            to => format!("set {} to {to}", change.param),
        };
        match with_former && !change.from.is_empty() {
            true => format!("{what} (was {})", change.from),
            false => what,
        }
    };
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => text.fmt(f),
            Value::Decimal(number) => f.write_str(number),
            Value::Bool(boolean) => boolean.fmt(f),
            Value::Sid(id) => id.fmt(f),
        }
    }
}
