//! Phone numbers: they are bought, and wait for the registration of their emergency addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Applier, ApplyError};
use crate::actual::{self, Found};
use crate::api::Form;
use crate::model::{Id, Kind, Resource, Value};
use crate::owned::{Record, Undo};
use crate::plan::{FieldChange, Registration, Standing, Update};
use gateway_core::backoff::doubled;

/// Between the first two looks at the registration of an emergency address; doubled after each, up to [`MAX_POLL`].
const POLL: Duration = Duration::from_millis(500);

const MAX_POLL: Duration = Duration::from_secs(10);

/// How often it is looked at: five minutes in all. Registering takes seconds; letting go may take half an hour
/// (TWILIO.md "Emergency addresses"), which nobody waits for at a terminal.
const MAX_POLLS: u32 = 34;

impl Applier<'_> {
    /// Buys a number and makes it ours. Never sent again on its own: each success costs money
    /// (TWILIO.md "Buying a number").
    pub(super) fn buy(&mut self, resource: &Resource) -> Result<(), ApplyError> {
        let id = &resource.id;
        let mut form = Form::default();
        form.plain(id.kind.schema().key, &id.key);
        let mut record = Record {
            id: id.clone(),
            environment: resource.environment.clone(),
            sid: None,
            parent_sid: None,
            made: false,
            changed: BTreeMap::new(),
            fingerprint: None,
        };
        let told = format!("{id} was bought and stays; \"gateway number release {}\" gives it up", id.key);
        self.journal(Undo::Final { told });
        self.record(&record);
        self.commit()?;
        let found = match self.api.create(&id.kind.collection(None), &form) {
            Ok(fields) => {
                let sid = fields.get("sid").and_then(Json::as_str).map(str::to_owned);
                sid.map(|sid| Found { id: id.clone(), sid, parent_sid: None, fields })
            }
            Err(error) if error.is_uncertain() => {
                let found = actual::read_one(self.api, id, None, None)?;
                Some(found.ok_or(error)?)
            }
            Err(error) => {
                self.unjournal();
                self.forget(id);
                return Err(error.into());
            }
        };
        let found = found.ok_or_else(|| ApplyError::Unresolved { id: id.clone() })?;
        record.sid = Some(found.sid.clone());
        self.record(&record);
        let change = |(param, to): &(String, Value)| FieldChange {
            param: param.clone(),
            from: found.field(param),
            to: to.clone(),
        };
        let differs = |field: &FieldChange| !matches!(&field.to, Value::Text(text) if *text == field.from);
        self.update(&Update {
            id: id.clone(),
            environment: resource.environment.clone(),
            former: None,
            sid: found.sid.clone(),
            parent_sid: None,
            standing: Standing::Ours,
            fields: resource.fields.iter().map(change).filter(differs).collect(),
            password: None,
        })
    }

    /// Waits until the emergency address of a number is registered, or no longer so.
    pub fn wait(&mut self, number: &Id, sid: Option<&str>, wanted: Registration) -> Result<(), ApplyError> {
        let sid = match self.owned.sid(number).or(sid) {
            Some(sid) => sid.to_owned(),
            None => return Err(ApplyError::Unresolved { id: number.clone() }),
        };
        // What was done is on disk before a wait that somebody may cut short.
        self.commit()?;
        let mut status = String::new();
        for poll in 0..MAX_POLLS {
            let Some(found) = actual::read_sid(self.api, number, &sid, None)? else { return Ok(()) };
            status = found.field("EmergencyAddressStatus").expose().to_owned();
            match (wanted, status.as_str()) {
                (Registration::Registered, "registered") | (Registration::Unregistered, "unregistered" | "") => {
                    return Ok(());
                }
                (Registration::Registered, "registration-failure")
                | (Registration::Unregistered, "unregistration-failure") => {
                    return Err(ApplyError::Failed { number: number.clone(), status });
                }
                _ => {}
            }
            if poll + 1 < MAX_POLLS {
                let wait = doubled(POLL, poll, MAX_POLL);
                self.wait_for(format!("the emergency address of {number} is {status}"), wait);
            }
        }
        Err(ApplyError::Pending { number: number.clone(), status })
    }

    /// Waits until no number is on its way to let go of an address.
    pub fn wait_until_no_number_lets_go(&mut self) -> Result<(), ApplyError> {
        let schema = Kind::PhoneNumber.schema();
        for number in self.api.list(&Kind::PhoneNumber.collection(None), schema.records)? {
            let text = |name: &str| number.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
            if text("emergency_address_status") == "pending-unregistration" {
                let id = Id::new(Kind::PhoneNumber, text("phone_number"));
                self.wait(&id, Some(&text("sid")), Registration::Unregistered)?;
            }
        }
        Ok(())
    }
}
