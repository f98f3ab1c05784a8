//! An account in memory, for tests: collections of records by path, Twilio's duplicate rules, faults on demand.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::api::{Api, ApiError, Form, FormValue};
use super::model::{Kind, reply_name};

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Lost on the way there.
    Before,
    /// Carried out; the answer is lost on the way back.
    After,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    /// Records by collection path.
    pub collections: BTreeMap<String, Vec<Map<String, Value>>>,
    /// Passwords by SID of the credential: Twilio does not give them back.
    pub passwords: BTreeMap<String, String>,
    /// Domain names of other customers.
    pub taken: Vec<String>,
    /// From this request on nothing is answered any more: the process was killed there.
    pub kill: Option<(usize, Fault)>,
    /// This one request is lost.
    pub lose: Option<(usize, Fault)>,
    pub requests: usize,
    pub writes: usize,
    serial: u64,
}

fn lost() -> ApiError {
    ApiError::NoAnswer { request: "a request".to_owned(), reason: "lost".to_owned() }
}

fn refused(code: u32, message: &str) -> ApiError {
    let (request, message) = ("a request".to_owned(), message.to_owned());
    ApiError::Refused { request, status: 400, code: Some(code), message }
}

impl Fake {
    /// Runs `effect` unless a fault says otherwise.
    fn answer<T>(&mut self, effect: impl FnOnce(&mut Fake) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let at = self.requests;
        self.requests += 1;
        if self.kill.is_some_and(|(kill, _)| at > kill) {
            return Err(lost());
        }
        let fault = self.kill.filter(|(kill, _)| *kill == at).or(self.lose.filter(|(lose, _)| *lose == at));
        match fault {
            Some((_, Fault::Before)) => Err(lost()),
            Some((_, Fault::After)) => effect(self).and(Err(lost())),
            None => effect(self),
        }
    }

    fn kind(collection: &str) -> Kind {
        let matches = |kind: &Kind| {
            let pattern = kind.collection(Some("{}"));
            match pattern.split_once("{}") {
                Some((start, end)) => {
                    collection.starts_with(start) && collection.ends_with(end) && collection.len() > pattern.len()
                }
                None => pattern == collection,
            }
        };
        Kind::ALL.into_iter().find(matches).unwrap_or_else(|| panic!("no collection {collection}"))
    }

    fn sid(&mut self, kind: Kind, fields: &Map<String, Value>) -> String {
        self.serial += 1;
        let prefix = match kind {
            // The mapping has the list's SID.
            Kind::CallsMapping | Kind::RegistrationsMapping => {
                return fields["credential_list_sid"].as_str().unwrap().to_owned();
            }
            Kind::CredentialList => "CL",
            Kind::Credential => "CR",
            Kind::Domain => "SD",
            Kind::Application => "AP",
            Kind::PhoneNumber => "PN",
        };
        format!("{prefix}{:032x}", self.serial)
    }

    /// Puts a record into a collection, as other people do.
    pub fn insert(&mut self, collection: &str, fields: Value) -> String {
        let mut fields = fields.as_object().unwrap().clone();
        let sid = self.sid(Fake::kind(collection), &fields);
        fields.insert("sid".to_owned(), json!(sid));
        self.collections.entry(collection.to_owned()).or_default().push(fields);
        sid
    }

    /// The record of a SID.
    pub fn record(&mut self, collection: &str, sid: &str) -> &mut Map<String, Value> {
        let records = self.collections.get_mut(collection).unwrap();
        records.iter_mut().find(|record| record["sid"] == sid).unwrap()
    }

    fn set(&mut self, sid: &str, fields: &mut Map<String, Value>, form: &Form) {
        for (name, value) in &form.0 {
            match value {
                FormValue::Secret(secret) => {
                    self.passwords.insert(sid.to_owned(), secret.expose().clone());
                }
                FormValue::Plain(text) => {
                    let value = match text.as_str() {
                        "" => Value::Null,
                        "true" | "false" => json!(text == "true"),
                        text => json!(text),
                    };
                    fields.insert(reply_name(name), value);
                    // Setting an app deletes the trunk, and the other way round (twilio.md 2.9).
                    if name == "VoiceApplicationSid" && !text.is_empty() {
                        fields.insert("trunk_sid".to_owned(), Value::Null);
                    }
                    if name == "TrunkSid" && !text.is_empty() {
                        fields.insert("voice_application_sid".to_owned(), Value::Null);
                    }
                }
            }
        }
    }
}

impl Api for Fake {
    fn account(&mut self) -> Result<Value, ApiError> {
        self.answer(|_| Ok(json!({"status": "active", "type": "Full"})))
    }

    fn list(&mut self, collection: &str, records: &str) -> Result<Vec<Value>, ApiError> {
        assert_eq!(Fake::kind(collection).schema().records, records);
        let collection = collection.to_owned();
        self.answer(|fake| {
            let records = fake.collections.get(&collection).cloned().unwrap_or_default();
            Ok(records.into_iter().map(Value::Object).collect())
        })
    }

    fn create(&mut self, collection: &str, form: &Form) -> Result<Value, ApiError> {
        self.writes += 1;
        let collection = collection.to_owned();
        self.answer(|fake| {
            let kind = Fake::kind(&collection);
            assert!(kind.is_creatable(), "a number was bought");
            let mut fields = Map::new();
            fake.set(
                "",
                &mut fields,
                &Form(form.0.iter().filter(|f| matches!(f.1, FormValue::Plain(_))).cloned().collect()),
            );
            let key = reply_name(kind.schema().key);
            let there = fake.collections.entry(collection.clone()).or_default();
            if kind != Kind::Application && there.iter().any(|record| record[&key] == fields[&key]) {
                return Err(refused(kind.schema().duplicate[0], "already exists"));
            }
            if kind == Kind::Domain && fake.taken.iter().any(|name| fields[&key] == name.as_str()) {
                return Err(refused(21232, "Domain already exists."));
            }
            let sid = fake.sid(kind, &fields);
            fake.set(&sid, &mut fields, form);
            fields.insert("sid".to_owned(), json!(sid));
            fake.collections.entry(collection.clone()).or_default().push(fields.clone());
            Ok(Value::Object(fields))
        })
    }

    fn update(&mut self, collection: &str, sid: &str, form: &Form) -> Result<Value, ApiError> {
        self.writes += 1;
        let (collection, sid) = (collection.to_owned(), sid.to_owned());
        self.answer(|fake| {
            let mut fields = fake.record(&collection, &sid).clone();
            fake.set(&sid, &mut fields, form);
            *fake.record(&collection, &sid) = fields.clone();
            Ok(Value::Object(fields))
        })
    }

    fn delete(&mut self, collection: &str, sid: &str) -> Result<(), ApiError> {
        self.writes += 1;
        let (collection, sid) = (collection.to_owned(), sid.to_owned());
        self.answer(|fake| {
            let mapped = |(path, records): (&String, &Vec<Map<String, Value>>)| {
                path.contains("Mappings") && records.iter().any(|record| record["sid"] == sid.as_str())
            };
            if collection == "SIP/CredentialLists" && fake.collections.iter().any(mapped) {
                return Err(refused(21241, "Credential list is mapped"));
            }
            if let Some(records) = fake.collections.get_mut(&collection) {
                records.retain(|record| record["sid"] != sid.as_str());
            }
            let below = format!("{collection}/{sid}/");
            fake.collections.retain(|path, _| !path.starts_with(&below));
            fake.passwords.remove(&sid);
            Ok(())
        })
    }
}
