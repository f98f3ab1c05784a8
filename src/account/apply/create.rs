//! Makes what is not there. A request that makes something has no key that would make it safe to send twice
//! (TWILIO.md "Duplicates"): when it is unknown whether it had an effect, the collection is read again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Applier, ApplyError, CREATE_ATTEMPTS};
use crate::actual::{self, Found};
use crate::api::{ApiError, Form};
use crate::model::{Id, Kind, Resource, Value, fingerprint};
use crate::owned::{Record, Undo};
use crate::plan::{Change, FieldChange, Standing, Update};
use gateway_core::hex::hex;
use gateway_core::setting::Setting;

/// How many credentials are written down before the first of them is made. After a kill each that was made is set once
/// more.
const AHEAD: usize = 50;

/// What came of a request that makes something.
pub enum Posted {
    /// Made, with this SID.
    Made(String),
    /// There: made by a request whose answer was lost (`true`), or by somebody else.
    Found(Found, bool),
}

impl Applier<'_> {
    pub(super) fn create(&mut self, resource: &Resource) -> Result<(), ApplyError> {
        let id = &resource.id;
        let parent_sid = resource.parent.as_ref().map(|parent| self.sid(parent)).transpose()?;
        let mut form = Form::default();
        let key = match &resource.key_of {
            Some(other) => self.sid(other)?,
            None => id.own_key().to_owned(),
        };
        form.plain(id.kind.schema().key, key);
        for (param, value) in &resource.fields {
            let value = self.resolve(value)?;
            if !value.is_empty() {
                form.plain(param, value);
            }
        }
        if let Some(password) = &resource.password {
            form.secret("Password", password);
        }
        let mut record = match self.ahead.remove(id) {
            true => intent(resource, parent_sid.clone()),
            false => {
                let record = self.intend(resource, parent_sid.clone());
                self.commit()?;
                record
            }
        };
        let posted = self.post(id, parent_sid.as_deref(), &form);
        match posted {
            Ok(Posted::Made(sid)) => {
                record.sid = Some(sid);
                record.fingerprint = resource.password.as_ref().map(fingerprint);
                self.record(&record);
                Ok(())
            }
            Ok(Posted::Found(found, true)) => self.take_over(resource, found, Standing::Claim),
            Ok(Posted::Found(found, false)) => {
                self.owned.unjournal_made(id);
                self.unsaved = true;
                self.take_over(resource, found, Standing::Adopt)
            }
            Err(error) => {
                // A clear no: nothing was made, and nothing of that name may be taken for ours later.
                if !is_uncertain(&error) {
                    self.unintend(id);
                }
                Err(error)
            }
        }
    }

    /// Writes down that a resource is about to be made, for the next [`Applier::commit`].
    fn intend(&mut self, resource: &Resource, parent_sid: Option<String>) -> Record {
        let record = intent(resource, parent_sid);
        self.journal(Undo::Made { id: resource.id.clone() });
        self.record(&record);
        record
    }

    /// It was not made, and nothing of that name may be taken for ours later.
    fn unintend(&mut self, id: &Id) {
        self.owned.unjournal_made(id);
        self.forget(id);
    }

    /// Where credentials begin that go into the same list, writes down that they are about to be made, [`AHEAD`] at a
    /// time: the records grow with each, and one write for each of a thousand would wear the flash out. Killed on the
    /// way, the next run finds those that were made by their natural keys, as it finds a single one.
    pub(super) fn intend_ahead(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        let first = changes.first().and_then(credential).filter(|first| !self.ahead.contains(&first.id));
        let Some(Resource { parent, .. }) = first else { return Ok(()) };
        let parent_sid = parent.as_ref().map(|parent| self.sid(parent)).transpose()?;
        let credentials = changes.iter().map_while(credential).take_while(|one| one.parent == *parent);
        for resource in credentials.take(AHEAD) {
            self.intend(resource, parent_sid.clone());
            self.ahead.insert(resource.id.clone());
        }
        self.commit()
    }

    /// No request was sent for what is still ahead.
    pub(super) fn unintend_ahead(&mut self) {
        for id in std::mem::take(&mut self.ahead) {
            self.unintend(&id);
        }
    }

    /// Sends a request that makes something until it is known what came of it. The error is a clear no, or uncertain.
    pub fn post(&mut self, id: &Id, parent_sid: Option<&str>, form: &Form) -> Result<Posted, ApplyError> {
        let collection = id.kind.collection(parent_sid);
        let mut uncertain = false;
        for attempt in 1.. {
            let error = match self.api.create(&collection, form) {
                Ok(reply) => match reply.get("sid").and_then(serde_json::Value::as_str) {
                    Some(sid) => return Ok(Posted::Made(sid.to_owned())),
                    None => {
                        ApiError::Nonsense { request: format!("POST {}", collection.path), reason: "no sid".to_owned() }
                    }
                },
                Err(error) => error,
            };
            let duplicate = error.code().is_some_and(|code| id.kind.schema().duplicate.contains(&code));
            uncertain |= error.is_uncertain();
            if !duplicate && !error.is_uncertain() {
                return Err(not_made(id, error));
            }
            // List again (TWILIO.md "Duplicates").
            if let Some(found) = self.find(id, parent_sid, form)? {
                return Ok(Posted::Found(found, uncertain));
            }
            if duplicate || attempt == CREATE_ATTEMPTS {
                return Err(not_made(id, error));
            }
        }
        // The last attempt returns in any case.
        Err(ApplyError::Unresolved { id: id.clone() })
    }

    /// What is there of the natural key of a form that makes something.
    fn find(&mut self, id: &Id, parent_sid: Option<&str>, form: &Form) -> Result<Option<Found>, ApiError> {
        let key = form.0.iter().find(|(param, _)| param == id.kind.schema().key).and_then(|(_, value)| value.plain());
        actual::read_one(self.api, id, parent_sid, key)
    }

    /// Takes what was made meanwhile, and gives it every field that it shall have.
    fn take_over(&mut self, resource: &Resource, found: Found, standing: Standing) -> Result<(), ApplyError> {
        let change = |(param, to): &(String, Value)| FieldChange {
            param: param.clone(),
            from: found.field(param),
            to: to.clone(),
        };
        let is_fixed = |param: &String| resource.id.kind.schema().fixed.contains(&param.as_str());
        let fields = resource.fields.iter().filter(|(param, _)| !is_fixed(param)).map(change).collect();
        self.update(&Update {
            id: resource.id.clone(),
            environment: resource.environment.clone(),
            former: None,
            sid: found.sid.clone(),
            parent_sid: found.parent_sid.clone(),
            standing,
            fields,
            password: resource.password.clone(),
        })
    }

    /// A setting of something that was made by the same plan.
    pub(super) fn set_facet(&mut self, resource: &Resource) -> Result<(), ApplyError> {
        let whole = resource.id.parent().unwrap_or_else(|| resource.id.clone());
        let sid = self.sid(&whole)?;
        let change = |(param, to): &(String, Value)| FieldChange {
            param: param.clone(),
            from: Setting::default(),
            to: to.clone(),
        };
        self.update(&Update {
            id: resource.id.clone(),
            environment: resource.environment.clone(),
            former: None,
            sid,
            parent_sid: None,
            standing: Standing::Adopt,
            fields: resource.fields.iter().map(change).collect(),
            password: None,
        })
    }

    /// Makes what was removed again, as it was, and gives its new SID; finds it where a stopped run has made it already.
    pub fn make_again(&mut self, record: &Record, form: &Form) -> Result<String, ApplyError> {
        let Record { id, parent_sid, .. } = record;
        let former = record.sid.as_deref();
        // Somebody may have killed the undo when it was made already.
        let resume = self.owned.get(id).is_some_and(|known| known.sid.is_none());
        if let Some(found) = self.find(id, parent_sid.as_deref(), form)?
            && (resume || former == Some(found.sid.as_str()))
        {
            return Ok(found.sid);
        }
        self.record(&Record { sid: None, made: true, ..record.clone() });
        self.commit()?;
        match self.post(id, parent_sid.as_deref(), form) {
            Ok(Posted::Made(sid)) => Ok(sid),
            Ok(Posted::Found(found, _)) => Ok(found.sid),
            Err(error) => {
                if !is_uncertain(&error) {
                    self.forget(id);
                }
                Err(error)
            }
        }
    }
}

/// What is recorded of a resource before it is made.
fn intent(resource: &Resource, parent_sid: Option<String>) -> Record {
    Record {
        id: resource.id.clone(),
        environment: resource.environment.clone(),
        sid: None,
        parent_sid,
        made: true,
        changed: BTreeMap::new(),
        fingerprint: None,
    }
}

/// The credential that a change makes.
fn credential(change: &Change) -> Option<&Resource> {
    match change {
        Change::Create(resource) if resource.id.kind == Kind::Credential => Some(resource),
        _ => None,
    }
}

fn is_uncertain(error: &ApplyError) -> bool {
    match error {
        ApplyError::Api(error) => error.is_uncertain(),
        _ => false,
    }
}

fn not_made(id: &Id, error: ApiError) -> ApplyError {
    match error {
        ApiError::Refused { code: Some(21232), message, .. } if id.kind == Kind::Domain => {
            ApplyError::DomainTaken { name: id.key.clone(), message, proposals: proposals(&id.key) }
        }
        ApiError::Refused { code: Some(21240), message, .. } if id.kind == Kind::CredentialList => {
            ApplyError::ListTaken { list: id.clone(), message }
        }
        ApiError::Refused { status: 400, code, message, .. } if id.kind == Kind::Address => {
            ApplyError::AddressRefused { address: id.clone(), code, message }
        }
        error => error.into(),
    }
}

/// Names that are probably free.
pub fn proposals(domain: &str) -> Vec<String> {
    let (name, rest) = domain.split_once('.').unwrap_or((domain, "sip.twilio.com"));
    let digest = hex(&Sha256::digest(domain)[..2]);
    ["2", "pbx", &digest].iter().map(|suffix| format!("{name}-{suffix}.{rest}")).collect()
}
