//! Makes the changes of a plan, in order, and writes down each before the next: it may be killed at any request and run
//! again to the same end.
//!
//! The order around each request is: intent on disk, request, SID on disk. Killed after the request, the next run finds
//! the intent and a resource of its natural key, and takes that for ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::actual::{self, Found};
use super::api::{Api, ApiError, Form};
use super::hosted::HostedError;
use super::model::{Id, Kind, Resource, Value, fingerprint};
use super::plan::{Change, FieldChange, Standing, Update};
use super::setting::Setting;
use crate::store::{Changed, Owned, Record, StoreError};

/// How often the creation of one resource is tried when it is unknown whether it had an effect.
const CREATE_ATTEMPTS: usize = 3;

/// Why a change could not be made. What was made before it is recorded.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// 21232 and not in our account (twilio.md 1.7). The same code is given for a name that Twilio does not take.
    #[error(
        "SIP domain {name} belongs to another customer of Twilio, or its name is not allowed: {message}; write another trunk.domain, for example {proposal}"
    )]
    DomainTaken { name: String, message: String, proposal: String },
    /// The plan refers to something that is not there: it was made for another account or state.
    #[error("{id} is needed and its SID is not known; run the command again")]
    Unresolved { id: Id },
}

/// Makes changes. `save` puts the records on disk.
pub struct Applier<'a> {
    pub api: &'a mut dyn Api,
    pub owned: &'a mut Owned,
    pub save: &'a mut dyn FnMut(&Owned) -> Result<(), StoreError>,
    /// Waits, between looks at something that takes time at Twilio.
    pub pause: &'a mut dyn FnMut(Duration),
}

impl Applier<'_> {
    /// Makes one change of a plan; those before it must have been made.
    pub fn make(&mut self, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::Create(resource) => self.create(resource),
            Change::Update(update) => self.update(update),
            Change::Remove { id, sid, parent_sid } => {
                self.api.delete(&id.kind.collection(parent_sid.as_deref()), sid)?;
                self.forget(id)
            }
            Change::Restore { id, sid, parent_sid, fields } => {
                let form = self.form(fields)?;
                self.api.update(&id.kind.collection(parent_sid.as_deref()), sid, &form)?;
                self.forget(id)
            }
            Change::Forget(id) => self.forget(id),
            Change::Upload(file) => self.upload(file),
            Change::Build { service, files } => self.build(service, files),
            Change::Deploy { deployment, .. } => self.deploy(deployment),
            Change::Buy(_) | Change::Await { .. } => {
                todo!()
            }
        }
    }

    fn create(&mut self, resource: &Resource) -> Result<(), ApplyError> {
        let id = &resource.id;
        let parent_sid = resource.parent.as_ref().map(|parent| self.sid(parent)).transpose()?;
        let mut form = Form::default();
        let key = match &resource.key_of {
            Some(other) => self.sid(other)?,
            None => id.own_key().to_owned(),
        };
        form.plain(id.kind.schema().key, key);
        for (param, value) in &resource.fields {
            form.plain(param, self.resolve(value)?);
        }
        if let Some(password) = &resource.password {
            form.secret("Password", password);
        }

        let mut record = Record {
            id: id.clone(),
            environment: resource.environment.clone(),
            sid: None,
            parent_sid: parent_sid.clone(),
            made: true,
            changed: BTreeMap::new(),
            fingerprint: None,
        };
        self.record(&record)?;
        let collection = id.kind.collection(parent_sid.as_deref());
        let mut uncertain = false;
        for attempt in 1..=CREATE_ATTEMPTS {
            let error = match self.api.create(&collection, &form) {
                Ok(reply) => match reply.get("sid").and_then(serde_json::Value::as_str) {
                    Some(sid) => {
                        record.sid = Some(sid.to_owned());
                        record.fingerprint = resource.password.as_ref().map(fingerprint);
                        return self.record(&record);
                    }
                    None => {
                        ApiError::Nonsense { request: format!("POST {}", collection.path), reason: "no sid".to_owned() }
                    }
                },
                Err(error) => error,
            };
            let duplicate = error.code().is_some_and(|code| id.kind.schema().duplicate.contains(&code));
            uncertain |= error.is_uncertain();
            if !duplicate && !error.is_uncertain() {
                // A clear no: nothing was made, and nothing of that name may be taken for ours later.
                if !uncertain {
                    self.forget(id)?;
                }
                return Err(error.into());
            }
            // List again, by the natural key (twilio.md 1.7).
            if let Some(found) = self.read_again(resource, parent_sid.as_deref())? {
                let standing = if uncertain { Standing::Claim } else { Standing::Adopt };
                return self.take_over(resource, found, standing);
            }
            if duplicate || attempt == CREATE_ATTEMPTS {
                if duplicate {
                    self.forget(id)?;
                }
                return Err(not_made(id, error));
            }
        }
        // The last attempt returns in any case.
        Ok(())
    }

    /// Takes what was made meanwhile, and gives it every field that it shall have.
    fn take_over(&mut self, resource: &Resource, found: Found, standing: Standing) -> Result<(), ApplyError> {
        let change = |(param, to): &(String, Value)| FieldChange {
            param: param.clone(),
            from: found.field(param),
            to: to.clone(),
        };
        let fields = resource.fields.iter().map(change).collect();
        self.update(&Update {
            id: resource.id.clone(),
            environment: resource.environment.clone(),
            sid: found.sid.clone(),
            parent_sid: found.parent_sid.clone(),
            standing,
            fields,
            password: resource.password.clone(),
        })
    }

    fn update(&mut self, update: &Update) -> Result<(), ApplyError> {
        let known = self.owned.get(&update.id).cloned();
        let mut record = match (update.standing, known) {
            (Standing::Ours, Some(record)) => record,
            (standing, _) => Record {
                id: update.id.clone(),
                environment: update.environment.clone(),
                sid: Some(update.sid.clone()),
                parent_sid: update.parent_sid.clone(),
                made: standing == Standing::Claim,
                changed: BTreeMap::new(),
                fingerprint: None,
            },
        };
        if !record.made {
            for change in &update.fields {
                let set = Setting::new(self.resolve(&change.to)?);
                let was = record.changed.get(&change.param).map_or(&change.from, |changed| &changed.was).clone();
                record.changed.insert(change.param.clone(), Changed { was, set });
            }
        }
        // The former values are on disk before they are overwritten.
        self.record(&record)?;
        let mut form = self.form(&update.fields)?;
        if let Some(password) = &update.password {
            form.secret("Password", password);
        }
        if !form.0.is_empty() {
            let collection = update.id.kind.collection(update.parent_sid.as_deref());
            self.api.update(&collection, &update.sid, &form)?;
        }
        if let Some(password) = &update.password {
            record.fingerprint = Some(fingerprint(password));
            self.record(&record)?;
        }
        Ok(())
    }

    fn read_again(&mut self, resource: &Resource, parent_sid: Option<&str>) -> Result<Option<Found>, ApplyError> {
        let stand_in =
            |id: &Id, sid: String| Found { id: id.clone(), sid, parent_sid: None, fields: serde_json::Value::Null };
        let parent = resource.parent.as_ref().zip(parent_sid).map(|(id, sid)| stand_in(id, sid.to_owned()));
        let other = match &resource.key_of {
            Some(id) => Some(stand_in(id, self.sid(id)?)),
            None => None,
        };
        Ok(actual::read_one(self.api, &resource.id, parent.as_ref(), other.as_ref())?)
    }

    fn form(&self, fields: &[FieldChange]) -> Result<Form, ApplyError> {
        let mut form = Form::default();
        for change in fields {
            form.plain(&change.param, self.resolve(&change.to)?);
        }
        Ok(form)
    }

    fn resolve(&self, value: &Value) -> Result<String, ApplyError> {
        match value {
            Value::Text(text) => Ok(text.expose().to_owned()),
            Value::Decimal(number) => Ok(number.clone()),
            Value::Bool(boolean) => Ok(boolean.to_string()),
            Value::Sid(id) => self.sid(id),
        }
    }

    fn sid(&self, id: &Id) -> Result<String, ApplyError> {
        self.owned.sid(id).map(str::to_owned).ok_or_else(|| ApplyError::Unresolved { id: id.clone() })
    }

    fn record(&mut self, record: &Record) -> Result<(), ApplyError> {
        self.owned.put(record.clone());
        Ok((self.save)(self.owned)?)
    }

    fn forget(&mut self, id: &Id) -> Result<(), ApplyError> {
        self.owned.remove(id);
        Ok((self.save)(self.owned)?)
    }
}

fn not_made(id: &Id, error: ApiError) -> ApplyError {
    match error {
        ApiError::Refused { code: Some(21232), message, .. } if id.kind == Kind::Domain => {
            let proposal = match id.key.split_once('.') {
                Some((name, rest)) => format!("{name}-2.{rest}"),
                None => id.key.clone(),
            };
            ApplyError::DomainTaken { name: id.key.clone(), message, proposal }
        }
        error => error.into(),
    }
}
