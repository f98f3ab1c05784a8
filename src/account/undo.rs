//! The way back over the last apply, from its end. Each step can be repeated, and is struck off the journal when it is
//! done, so that it may be killed at any request.

use std::collections::BTreeMap;

use crate::actual;
use crate::api::{ApiError, Collection, Form, Product};
use crate::apply::{Applier, ApplyError};
use crate::kind::BUILD;
use crate::model::{Id, Kind, fingerprint};
use crate::owned::{Changed, Record, Undo};
use crate::plan::Registration;
use gateway_core::secrets::Secrets;
use gateway_core::setting::Setting;

/// What a step does, for people. `None` when it touches our records only.
pub fn sentence(step: &Undo) -> Option<String> {
    match step {
        Undo::Made { id } => Some(format!("delete {id}")),
        Undo::Changed { id, sid, fields, .. } => {
            let one = |(param, changed): (&String, &Changed)| match changed.was.is_empty() {
                true => format!("clear {param}"),
                false => format!("set {param} to {}", changed.was),
            };
            let fields: Vec<String> = fields.iter().map(one).collect();
            (!fields.is_empty()).then(|| format!("change {id} ({sid}) back: {}", fields.join(", ")))
        }
        Undo::Removed { before, .. } => Some(format!("make {} again", before.id)),
        Undo::Deployed { id, build_sid: Some(build), .. } => Some(format!("put build {build} in force in {id} again")),
        Undo::Deployed { id, build_sid: None, .. } => Some(format!("{id} keeps its build: it had none before")),
        Undo::Promoted { .. } => None,
        Undo::Final { told } => Some(format!("not undone: {told}")),
    }
}

impl Applier<'_> {
    /// Undoes the whole journal; `listener` is told each step and what could not be brought back. Gives the number of
    /// steps that have a [`sentence`].
    pub fn undo_all(&mut self, secrets: &Secrets, listener: &mut dyn FnMut(&str)) -> Result<usize, ApplyError> {
        let mut steps = 0;
        while let Some(step) = self.owned.undo.last().cloned() {
            if self.postpone(&step) {
                continue;
            }
            let sentence = sentence(&step);
            if let Some(sentence) = &sentence {
                listener(sentence);
            }
            let told = match self.undo(&step, secrets) {
                Ok(told) => told,
                // Somebody else was here since. What can never be undone does not keep the rest back.
                Err(ApplyError::Api(error @ ApiError::Refused { status: 400 | 404 | 409, .. })) => {
                    Some(format!("not undone: {error}; see console.twilio.com"))
                }
                Err(
                    error @ (ApplyError::Unresolved { .. }
                    | ApplyError::DomainTaken { .. }
                    | ApplyError::ListTaken { .. }
                    | ApplyError::AddressRefused { .. }),
                ) => Some(format!("not undone: {error}")),
                Err(error) => return Err(error),
            };
            if let Some(told) = told {
                listener(&told);
            }
            self.owned.undo.pop();
            self.unsaved = true;
            steps += usize::from(sentence.is_some());
        }
        self.owned.unfinished = false;
        self.unsaved = true;
        self.commit()?;
        Ok(steps)
    }

    /// Emergency callers come back when all numbers have: they must be registered by then
    /// (TWILIO.md "Emergency addresses").
    fn postpone(&mut self, step: &Undo) -> bool {
        let is_caller = |step: &Undo| matches!(step, Undo::Changed { id, .. } if id.kind == Kind::EmergencyCaller);
        let postpone = is_caller(step) && !self.owned.undo.iter().all(is_caller);
        if postpone {
            self.owned.undo.rotate_right(1);
            self.unsaved = true;
        }
        postpone
    }

    /// Undoes the last step of the journal, which may be repeated. Gives what could not be brought back.
    fn undo(&mut self, step: &Undo, secrets: &Secrets) -> Result<Option<String>, ApplyError> {
        let told = match step {
            Undo::Made { id } => self.unmake(id).map(|()| None)?,
            Undo::Changed { id, sid, parent_sid, fields, before } => {
                self.change_back(id, sid, parent_sid.as_deref(), fields)?;
                match before {
                    // Twilio keeps the password that it has: there is no way back over that.
                    Some(before) => {
                        let now = self.owned.get(id).filter(|now| now.sid == before.sid);
                        let fingerprint = now.map_or(&before.fingerprint, |now| &now.fingerprint).clone();
                        self.record(&Record { fingerprint, ..before.clone() });
                    }
                    None => self.forget(id),
                }
                None
            }
            Undo::Removed { before, parent, fields } => self.bring_back(before, parent.as_ref(), fields, secrets)?,
            Undo::Deployed { sid, parent_sid, build_sid, .. } => {
                self.deploy_back(sid, parent_sid, build_sid.as_deref())?
            }
            Undo::Promoted { environment, promotions } => {
                self.owned.promotions.insert(environment.clone(), promotions.clone());
                None
            }
            Undo::Final { .. } => None,
        };
        Ok(told)
    }

    fn unmake(&mut self, id: &Id) -> Result<(), ApplyError> {
        let Some(record) = self.owned.get(id).cloned() else { return Ok(()) };
        let parent_sid = record.parent_sid.as_deref();
        // Without a SID, the run was killed before it knew whether there is one.
        let sid = match record.sid {
            Some(sid) => Some(sid),
            None => {
                let maps = id.kind.maps().and_then(|kind| self.owned.sid(&Id::new(kind, id.own_key())));
                actual::read_one(self.api, id, parent_sid, maps)?.map(|found| found.sid)
            }
        };
        if id.kind == Kind::Address {
            self.wait_until_no_number_lets_go()?;
        }
        if let Some(sid) = sid {
            self.commit()?;
            self.api.delete(&id.kind.collection(parent_sid), &sid)?;
        }
        self.forget_deleted(id);
        Ok(())
    }

    /// Sets fields to what they were, unless somebody else has set them since.
    fn change_back(
        &mut self,
        id: &Id,
        sid: &str,
        parent_sid: Option<&str>,
        fields: &BTreeMap<String, Changed>,
    ) -> Result<(), ApplyError> {
        if fields.is_empty() {
            return Ok(());
        }
        let Some(found) = actual::read_sid(self.api, id, sid, parent_sid)? else { return Ok(()) };
        let mut form = Form::default();
        for (param, changed) in fields {
            if found.field(param) == changed.set && changed.was != changed.set {
                form.plain(param, changed.was.expose());
            }
        }
        let sets_address = |(param, _): &(String, _)| param == "EmergencyAddressSid";
        if id.kind == Kind::PhoneNumber
            && form.0.iter().any(sets_address)
            && found.field("EmergencyAddressSid").is_empty()
        {
            // One address after the other (TWILIO.md "Emergency addresses").
            self.wait(id, Some(sid), Registration::Unregistered)?;
        }
        if id.kind == Kind::EmergencyCaller {
            self.wait_until_registered(&form)?;
        }
        self.set(id, sid, parent_sid, &form)
    }

    /// A domain's emergency caller must have its address registered (TWILIO.md "Emergency addresses").
    fn wait_until_registered(&mut self, caller: &Form) -> Result<(), ApplyError> {
        for (_, sid) in &caller.0 {
            let is_it = |record: &&Record| record.id.kind == Kind::PhoneNumber && record.sid.as_deref() == sid.plain();
            let number = self.owned.iter().find(is_it).map(|record| record.id.clone());
            if let Some(number) = number {
                self.wait(&number, sid.plain(), Registration::Registered)?;
            }
        }
        Ok(())
    }

    fn bring_back(
        &mut self,
        before: &Record,
        parent: Option<&Id>,
        fields: &BTreeMap<String, Setting>,
        secrets: &Secrets,
    ) -> Result<Option<String>, ApplyError> {
        let id = &before.id;
        let mut record = before.clone();
        record.parent_sid = parent.map(|parent| self.sid(parent)).transpose()?;
        let mut form = Form::default();
        for (param, value) in fields.iter().filter(|(param, _)| *param != BUILD) {
            form.plain(param, value.expose());
        }
        if id.kind == Kind::Credential {
            let Some(password) = secrets.trunk_password(&before.environment, id.own_key()) else {
                self.forget(id);
                return Ok(Some(format!("{id} stays deleted: its password is not known any more")));
            };
            form.secret("Password", password);
            record.fingerprint = Some(fingerprint(password));
        }
        let sid = self.make_again(&record, &form)?;
        if let Some(former) = before.sid.as_deref().filter(|former| *former != sid) {
            self.owned.rename(former, &sid);
        }
        record.sid = Some(sid.clone());
        self.record(&record);
        if let (Some(service), Some(build)) = (&record.parent_sid, fields.get(BUILD)) {
            return self.deploy_back(&sid, service, Some(build.expose()));
        }
        match id.kind {
            Kind::Asset => Ok(Some(format!("{id} is empty until \"gateway apply\" uploads its file again"))),
            _ => Ok(None),
        }
    }

    fn deploy_back(&mut self, sid: &str, service: &str, build: Option<&str>) -> Result<Option<String>, ApplyError> {
        let Some(build) = build else { return Ok(None) };
        let environments = Kind::HostedEnvironment.collection(Some(service));
        let now = self.api.get(&environments, sid)?;
        if now.get("build_sid").and_then(serde_json::Value::as_str) == Some(build) {
            return Ok(None);
        }
        let mut form = Form::default();
        form.plain("BuildSid", build);
        self.commit()?;
        let path = format!("{}/{sid}/Deployments", environments.path);
        match self.api.create(&Collection::new(Product::Serverless, path), &form) {
            Ok(_) => Ok(None),
            Err(ApiError::Refused { status: 400 | 404, .. }) => {
                Ok(Some(format!("build {build} is not at Twilio any more; \"gateway apply\" makes another")))
            }
            Err(error) => Err(error.into()),
        }
    }
}
