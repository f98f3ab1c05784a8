//! Makes the changes of a plan, in order, and writes down each before the next: it may be killed at any request and run
//! again to the same end.
//!
//! Before a request, the way back and the intent are on disk, together with the outcome of the request before: one
//! write for each step, as flash wears out, and one for many credentials. Killed after the request, the next run finds
//! the intent and a resource of its natural key, and takes that for ours.

mod create;
mod dialing;
mod hosted;
mod number;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::{Api, ApiError, Form};
use crate::hosted::HostedError;
use crate::local::{Local, LocalError};
use crate::model::{Id, Kind, Value, fingerprint};
use crate::owned::{Changed, Owned, Record, Undo};
use crate::plan::{Change, FieldChange, Held, Standing, Update};
use crate::progress::{Listener, Progress};
use gateway_core::setting::Setting;

/// How often a request that makes something is tried when it is unknown whether it had an effect.
const CREATE_ATTEMPTS: usize = 3;

/// Why a change could not be made. What was made before it is recorded.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// 21232 and not in our account (TWILIO.md "Duplicates"). The same code is given for a name that Twilio does not
    /// take.
    #[error(
        "SIP domain {name} belongs to another customer of Twilio, or its name is not allowed: {message}; write another \
         domain into the config, for example {}", .proposals.join(" or ")
    )]
    DomainTaken { name: String, message: String, proposals: Vec<String> },
    /// 21240 and not in our account (TWILIO.md "Credential lists"): another list has its name, or Twilio does not take it.
    /// A list of that name that the account does list is adopted.
    #[error(
        "{list}: Twilio refuses its name, and lists none of it ({message}), so that no phone can register; write another \
         site.name into the config, and run: gateway apply"
    )]
    ListTaken { list: Id, message: String },
    /// Twilio knows no such place (21628, TWILIO.md "Addresses"), or misses something in it.
    #[error("{address} was refused{}: {message}; correct its [[address]] in the config and apply again", .code.map(|code| format!(" ({code})")).unwrap_or_default())]
    AddressRefused { address: Id, code: Option<u32>, message: String },
    /// The plan refers to something that is not there: it was made for another account or state.
    #[error("{id} is needed and its SID is not known; run the command again")]
    Unresolved { id: Id },
    /// Twilio needs longer than we wait. All that does not depend on it is made.
    #[error(
        "{number}: its emergency address is {status} still, which Twilio may take half an hour for; run the command again then"
    )]
    Pending { number: Id, status: String },
    /// Twilio gave up.
    #[error("{number}: its emergency address is {status}; correct its [[address]] in the config and apply again")]
    Failed { number: Id, status: String },
    /// Twilio keeps it. All else is made.
    #[error(
        "{id} ({sid}) could not be deleted: {error}; delete it at console.twilio.com, or a key by the same command with TWILIO_AUTH_TOKEN set"
    )]
    Kept { id: Id, sid: String, error: ApiError },
}

impl ApplyError {
    /// Whether the changes that do not depend on this one can be made all the same.
    pub fn is_partial(&self) -> bool {
        matches!(self, ApplyError::Pending { .. } | ApplyError::Failed { .. } | ApplyError::Kept { .. })
    }
}

/// Makes changes.
pub struct Applier<'a> {
    pub api: &'a mut dyn Api,
    pub owned: &'a mut Owned,
    /// Where the records last, and the hosted files are.
    pub local: &'a dyn Local,
    /// Waits, between looks at something that takes time.
    pub pause: &'a mut dyn FnMut(Duration),
    /// Is told what is waited for.
    pub listener: Listener<'a>,
    /// Records changed since they were saved last.
    pub unsaved: bool,
    /// What is written down as about to be made, and was not asked for yet.
    pub ahead: BTreeSet<Id>,
}

impl Applier<'_> {
    /// Makes one change of a plan; those before it must have been made. Its outcome is on disk after the next one, or
    /// after [`Applier::commit`].
    pub fn make(&mut self, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::Create(resource) if resource.id.kind.is_facet() => self.set_facet(resource),
            Change::Create(resource) => self.create(resource),
            Change::Update(update) => self.update(update),
            Change::Replace { held, resource, .. } => {
                self.remove(held)?;
                self.create(resource)
            }
            Change::Remove(held) => self.remove(held),
            Change::Restore { held, fields } => self.restore(held, fields),
            Change::Forget(record) => {
                self.let_go(&record.id, BTreeMap::new());
                Ok(())
            }
            Change::Buy(resource) => self.buy(resource),
            Change::Await { number, sid, status, .. } => self.wait(number, sid.as_deref(), *status),
            Change::Upload(file) => {
                self.commit()?;
                self.upload(file)
            }
            Change::Build { service, files } => {
                self.commit()?;
                self.build(service, files)
            }
            Change::Deploy { deployment, former } => {
                self.commit()?;
                self.deploy(deployment, former.as_deref())
            }
        }
    }

    /// Puts on disk what is not there yet. Comes before each request that changes something.
    pub fn commit(&mut self) -> Result<(), ApplyError> {
        if self.unsaved {
            self.local.save_owned(self.owned)?;
            self.unsaved = false;
        }
        Ok(())
    }

    /// Writes down the way back, for the next [`Applier::commit`].
    pub fn journal(&mut self, step: Undo) {
        self.owned.journal(step);
        self.unsaved = true;
    }

    /// Takes back the last entry: its step had no effect.
    fn unjournal(&mut self) {
        self.owned.undo.pop();
        self.unsaved = true;
    }

    /// Records a resource, for the next [`Applier::commit`].
    pub fn record(&mut self, record: &Record) {
        self.owned.put(record.clone());
        self.unsaved = true;
    }

    /// Removes a record, for the next [`Applier::commit`].
    pub fn forget(&mut self, id: &Id) {
        self.owned.remove(id);
        self.unsaved = true;
    }

    /// The SID of something that is recorded.
    pub fn sid(&self, id: &Id) -> Result<String, ApplyError> {
        self.owned.sid(id).map(str::to_owned).ok_or_else(|| ApplyError::Unresolved { id: id.clone() })
    }

    /// Tells that it waits, and does.
    pub fn wait_for(&mut self, reason: String, pause: Duration) {
        (self.listener)(Progress::Waits { reason });
        (self.pause)(pause);
    }

    fn update(&mut self, update: &Update) -> Result<(), ApplyError> {
        let Update { id, environment, sid, parent_sid, standing, .. } = update;
        let known = self.owned.get(id).cloned();
        let mut record = match (standing, &known) {
            (Standing::Ours, Some(record)) => record.clone(),
            (standing, _) => Record {
                id: id.clone(),
                environment: environment.clone(),
                sid: Some(sid.clone()),
                parent_sid: parent_sid.clone(),
                made: *standing == Standing::Claim,
                changed: BTreeMap::new(),
                fingerprint: None,
            },
        };
        let before = match standing {
            Standing::Ours => known,
            // That it was made stands in the way back already.
            Standing::Claim => Some(record.clone()),
            Standing::Adopt => None,
        };
        record.environment.clone_from(environment);
        let mut fields = BTreeMap::new();
        // What is as it was before us is not ours any more, as soon as it is.
        let mut given_back = Vec::new();
        for FieldChange { param, from, to } in &update.fields {
            let set = Setting::new(self.resolve(to)?);
            fields.insert(param.clone(), Changed { was: from.clone(), set: set.clone() });
            if !record.made {
                let was = record.changed.get(param).map_or(from, |changed| &changed.was).clone();
                match was == set {
                    true => given_back.push(param),
                    false => drop(record.changed.insert(param.clone(), Changed { was, set })),
                }
            }
        }
        let mut form = form(&fields);
        if !update.is_rotation() {
            if update.password.is_some() && *standing != Standing::Claim {
                let told = format!("the former password of {id} is not known; it keeps the new one");
                self.journal(Undo::Final { told });
            }
            let (id, sid, parent_sid) = (id.clone(), sid.clone(), parent_sid.clone());
            self.journal(Undo::Changed { id, sid, parent_sid, fields, before });
        }
        // The former values are on disk before they are overwritten.
        self.record(&record);
        if let Some(password) = &update.password {
            form.secret("Password", password);
        }
        self.set(&update.id, &update.sid, update.parent_sid.as_deref(), &form)?;
        for param in given_back {
            record.changed.remove(param);
        }
        if let Some(password) = &update.password {
            record.fingerprint = Some(fingerprint(password));
        }
        self.record(&record);
        Ok(())
    }

    /// Sets fields of something that is there. Records are on disk before.
    pub fn set(&mut self, id: &Id, sid: &str, parent_sid: Option<&str>, form: &Form) -> Result<(), ApplyError> {
        if form.0.is_empty() {
            return Ok(());
        }
        self.commit()?;
        match id.kind {
            Kind::DialingPermissions => self.permit(form),
            kind => Ok(self.api.update(&kind.collection(parent_sid), sid, form).map(drop)?),
        }
    }

    fn remove(&mut self, held: &Held) -> Result<(), ApplyError> {
        let Held { id, sid, parent_sid, .. } = held;
        match self.owned.get(id).cloned() {
            Some(before) if id.kind != Kind::ApiKey => {
                let before = Record { sid: Some(sid.clone()), parent_sid: parent_sid.clone(), ..before };
                self.journal(Undo::Removed { before, parent: id.parent(), fields: held.content.clone() });
            }
            _ => self.journal(Undo::Final { told: format!("{id} ({sid}) was deleted and cannot come back") }),
        }
        self.commit()?;
        match self.api.delete(&id.kind.collection(parent_sid.as_deref()), sid) {
            Ok(()) => {}
            Err(error @ ApiError::Refused { .. }) => {
                self.unjournal();
                return Err(ApplyError::Kept { id: id.clone(), sid: sid.clone(), error });
            }
            Err(error) => return Err(error.into()),
        }
        self.forget_deleted(id);
        Ok(())
    }

    /// Removes all that is recorded of something that is at Twilio no more.
    pub fn forget_deleted(&mut self, id: &Id) {
        self.forget(id);
        match id.kind {
            Kind::Asset => drop(self.owned.uploads.remove(id.own_key())),
            Kind::Service => {
                self.owned.uploads.clear();
                self.owned.builds.clear();
            }
            _ => {}
        }
    }

    fn restore(&mut self, held: &Held, fields: &[FieldChange]) -> Result<(), ApplyError> {
        let mut changed = BTreeMap::new();
        for FieldChange { param, from, to } in fields {
            changed.insert(param.clone(), Changed { was: from.clone(), set: Setting::new(self.resolve(to)?) });
        }
        let form = form(&changed);
        self.journal_release(&held.id, changed);
        self.set(&held.id, &held.sid, held.parent_sid.as_deref(), &form)?;
        self.forget(&held.id);
        Ok(())
    }

    fn let_go(&mut self, id: &Id, fields: BTreeMap<String, Changed>) {
        self.journal_release(id, fields);
        self.forget(id);
    }

    fn journal_release(&mut self, id: &Id, fields: BTreeMap<String, Changed>) {
        let Some(before) = self.owned.get(id).cloned() else { return };
        // Without a SID it was never made.
        let Some(sid) = before.sid.clone() else { return };
        let (id, parent_sid) = (id.clone(), before.parent_sid.clone());
        self.journal(Undo::Changed { id, sid, parent_sid, fields, before: Some(before) });
    }

    /// A field's content, now that all that it refers to is there.
    fn resolve(&self, value: &Value) -> Result<String, ApplyError> {
        match value {
            Value::Text(text) => Ok(text.expose().to_owned()),
            Value::Decimal(number) => Ok(number.clone()),
            Value::Bool(boolean) => Ok(boolean.to_string()),
            Value::Sid(id) => self.sid(id),
        }
    }
}

/// What is set, as a form.
pub(super) fn form(fields: &BTreeMap<String, Changed>) -> Form {
    let mut form = Form::default();
    for (param, changed) in fields {
        form.plain(param, changed.set.expose());
    }
    form
}
