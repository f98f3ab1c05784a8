//! An account in memory, for tests: collections of records by path, Twilio's rules, faults on demand.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::api::{Api, ApiError, Collection, Form, FormValue, Upload};
use crate::model::{Kind, reply_name};

type Fields = Map<String, Value>;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Lost on the way there.
    Before,
    /// Carried out; the answer is lost on the way back.
    After,
    /// It had no effect, and is answered so.
    Refused,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    /// Records by collection path.
    pub collections: BTreeMap<String, Vec<Fields>>,
    /// Passwords by SID of the credential: Twilio does not give them back.
    pub passwords: BTreeMap<String, String>,
    /// Names that others have: of domains, and of credential lists.
    pub taken: Vec<String>,
    /// Numbers that can be bought.
    pub for_sale: Vec<String>,
    /// Whether requests come with an API key, which may not touch keys.
    pub by_key: bool,
    /// How often registrations and builds are looked at before they are done.
    pub slowness: usize,
    /// Addresses that cannot be registered, by city.
    pub unknown_city: Option<String>,
    /// From this request on nothing is answered any more: the process was killed there.
    pub kill: Option<(usize, Fault)>,
    /// The process was killed. What it saves from then on is lost.
    pub killed: Rc<Cell<bool>>,
    /// This one request is lost.
    pub lose: Option<(usize, Fault)>,
    pub requests: usize,
    pub writes: usize,
    /// Looks that are left until what has that SID is done.
    pending: BTreeMap<String, usize>,
    /// Addresses that numbers are letting go, by SID of the number.
    letting_go: BTreeMap<String, Value>,
    serial: u64,
}

fn lost() -> ApiError {
    ApiError::NoAnswer { request: "a request".to_owned(), reason: "lost".to_owned() }
}

fn refused(status: u16, code: u32, message: &str) -> ApiError {
    let (request, message) = ("a request".to_owned(), message.to_owned());
    ApiError::Refused { request, status, code: Some(code), message }
}

/// What may be set of a number; more than it takes of other kinds, as nothing of it is needed to make it again.
const NUMBER: [&str; 4] = ["FriendlyName", "VoiceApplicationSid", "TrunkSid", "EmergencyAddressSid"];

impl Fake {
    /// Runs `effect` unless a fault says otherwise.
    fn answer<T>(&mut self, effect: impl FnOnce(&mut Fake) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let at = self.requests;
        self.requests += 1;
        if self.killed.get() {
            return Err(lost());
        }
        let kill = self.kill.filter(|(kill, _)| *kill == at);
        if kill.is_some() {
            self.killed.set(true);
        }
        match kill.or(self.lose.filter(|(lose, _)| *lose == at)) {
            Some((_, Fault::Before)) => Err(lost()),
            Some((_, Fault::Refused)) => Err(refused(400, 20001, "Bad request")),
            Some((_, Fault::After)) => effect(self).and(Err(lost())),
            None => effect(self),
        }
    }

    /// The process starts again, and nothing will stop it.
    pub fn revive(&mut self) {
        self.kill = None;
        self.killed = Rc::default();
    }

    fn kind(collection: &str) -> Kind {
        let matches = |kind: &Kind| {
            let pattern = kind.collection(Some("{}")).path;
            match pattern.split_once("{}") {
                Some((start, end)) => {
                    let sid = collection.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
                    sid.is_some_and(|sid| !sid.contains('/'))
                }
                None => pattern == collection,
            }
        };
        Kind::ALL.into_iter().find(matches).unwrap_or_else(|| panic!("no collection {collection}"))
    }

    fn new_sid(&mut self, prefix: &str) -> String {
        self.serial += 1;
        format!("{prefix}{:032x}", self.serial)
    }

    fn sid(&mut self, kind: Kind, fields: &mut Fields) -> String {
        let prefix = match kind {
            // The mapping has the list's SID and name.
            Kind::CallsMapping | Kind::RegistrationsMapping | Kind::AccessMapping => {
                let sid = fields.remove(&reply_name(kind.schema().key)).unwrap().as_str().unwrap().to_owned();
                let lists = &self.collections[&kind.maps().unwrap().collection(None).path];
                let list = lists.iter().find(|list| list["sid"] == sid.as_str()).expect("no such list");
                fields.insert("friendly_name".to_owned(), list["friendly_name"].clone());
                return sid;
            }
            Kind::ApiKey => "SK",
            Kind::DialingPermissions | Kind::EmergencyCaller => unreachable!("{kind:?} is not made"),
            Kind::UsageTrigger => "UT",
            Kind::Service => "ZS",
            Kind::Asset => "ZH",
            Kind::HostedEnvironment => "ZE",
            Kind::CredentialList => "CL",
            Kind::Credential => "CR",
            Kind::AccessList => "AL",
            Kind::AccessAddress => "IP",
            Kind::Address => "AD",
            Kind::Domain => "SD",
            Kind::Application => "AP",
            Kind::PhoneNumber => "PN",
        };
        self.new_sid(prefix)
    }

    /// Puts a record into a collection, as other people do.
    pub fn insert(&mut self, collection: &str, fields: Value) -> String {
        let mut fields = fields.as_object().unwrap().clone();
        let sid = self.sid(Fake::kind(collection), &mut fields);
        fields.insert("sid".to_owned(), json!(sid));
        self.collections.entry(collection.to_owned()).or_default().push(fields);
        sid
    }

    /// The record of a SID.
    pub fn record(&mut self, collection: &str, sid: &str) -> &mut Fields {
        self.find(collection, sid).unwrap_or_else(|_| panic!("no {sid} in {collection}"))
    }

    /// The record of a natural key.
    pub fn named(&mut self, kind: Kind, key: &str) -> &mut Fields {
        let records = self.collections.get_mut(&kind.collection(None).path).unwrap();
        let name = reply_name(kind.schema().key);
        records.iter_mut().find(|record| record[&name] == key).unwrap()
    }

    fn find(&mut self, collection: &str, sid: &str) -> Result<&mut Fields, ApiError> {
        let records = self.collections.get_mut(collection).into_iter().flatten();
        let mut found = records.filter(|record| record.get("sid").is_some_and(|known| known == sid));
        found.next().ok_or_else(|| refused(404, 20404, "The requested resource was not found"))
    }

    fn set(&mut self, kind: Kind, sid: &str, fields: &mut Fields, form: &Form) -> Result<(), ApiError> {
        for (name, value) in &form.0 {
            let schema = kind.schema();
            let may_be_set = match kind {
                Kind::PhoneNumber => NUMBER.contains(&name.as_str()),
                Kind::Credential => name == "Password",
                Kind::Domain if name == "EmergencyCallerSid" => true,
                _ => schema.content.contains(&name.as_str()),
            };
            assert!(may_be_set || name == schema.key, "{kind:?} has no {name}");
            match value {
                FormValue::Secret(secret) => {
                    self.passwords.insert(sid.to_owned(), secret.expose().clone());
                }
                FormValue::Plain(text) => {
                    let value = match text.as_str() {
                        "" => Value::Null,
                        "true" | "false" => json!(text == "true"),
                        text if name == "CidrPrefixLength" => json!(text.parse::<u8>().unwrap()),
                        text if name == "TriggerValue" => json!(format!("{:.6}", text.parse::<f64>().unwrap())),
                        text => json!(text),
                    };
                    self.check(sid, fields, name, &value)?;
                    fields.insert(reply_name(name), value);
                    // Setting an app deletes the trunk, and the other way round
                    // (TWILIO.md "Voice settings of a number").
                    if name == "VoiceApplicationSid" && !text.is_empty() {
                        fields.insert("trunk_sid".to_owned(), Value::Null);
                    }
                    if name == "TrunkSid" && !text.is_empty() {
                        fields.insert("voice_application_sid".to_owned(), Value::Null);
                    }
                }
            }
        }
        Ok(())
    }

    /// Twilio's rules of emergency addresses (TWILIO.md "Emergency addresses").
    fn check(&mut self, sid: &str, fields: &mut Fields, name: &str, value: &Value) -> Result<(), ApiError> {
        let status = |fields: &Fields| fields.get("emergency_address_status").cloned().unwrap_or_default();
        match name {
            "EmergencyAddressSid" => {
                let now = fields.get("emergency_address_sid").cloned().unwrap_or_default();
                let next = match (value.is_null(), now.is_null()) {
                    (true, true) => return Ok(()),
                    (true, false) => {
                        self.letting_go.insert(sid.to_owned(), now);
                        "pending-unregistration"
                    }
                    (false, true) if status(fields).is_null() || status(fields) == "unregistered" => {
                        self.find("Addresses", value.as_str().unwrap())?;
                        "pending-registration"
                    }
                    (false, _) => return Err(refused(400, 21631, "The number has an address")),
                };
                self.pending.insert(sid.to_owned(), self.slowness);
                fields.insert("emergency_address_status".to_owned(), json!(next));
            }
            "EmergencyCallerSid" if !value.is_null() => {
                let number = self.find("IncomingPhoneNumbers", value.as_str().unwrap())?;
                if status(number) != "registered" {
                    return Err(refused(400, 21631, "The number is not registered"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Somebody looks: what takes time goes on.
    fn look(&mut self) {
        let mut done = Vec::new();
        self.pending.retain(|sid, left| {
            let is_done = *left == 0;
            *left = left.saturating_sub(1);
            if is_done {
                done.push(sid.clone());
            }
            !is_done
        });
        let unknown_city = self.unknown_city.clone();
        let addresses = self.collections.get("Addresses").cloned().unwrap_or_default();
        for sid in done {
            for record in
                self.collections.values_mut().flatten().filter(|record| record.get("sid").is_some_and(|it| *it == sid))
            {
                if record.contains_key("status") {
                    record.insert("status".to_owned(), json!("completed"));
                    continue;
                }
                let address =
                    addresses.iter().find(|address| Some(&address["sid"]) == record.get("emergency_address_sid"));
                let status = match address {
                    Some(address) if unknown_city.is_some() && address["city"] == unknown_city.clone().unwrap() => {
                        "registration-failure"
                    }
                    Some(_) => "registered",
                    None => "unregistered",
                };
                record.insert("emergency_address_status".to_owned(), json!(status));
            }
            self.letting_go.remove(&sid);
        }
    }

    fn permit(&mut self, form: &Form) {
        let request: Value = serde_json::from_str(form.0[0].1.plain().unwrap()).unwrap();
        for update in request.as_array().unwrap() {
            let countries = self.collections.get_mut("DialingPermissions/Countries").unwrap();
            let country = countries.iter_mut().find(|country| country["iso_code"] == update["iso_code"]).unwrap();
            for flag in ["low_risk_numbers", "high_risk_special_numbers", "high_risk_tollfraud_numbers"] {
                let flag = format!("{flag}_enabled");
                let value = update[&flag].as_str().expect("a real boolean has no effect");
                country.insert(flag, json!(value == "true"));
            }
        }
    }

    fn build(&mut self, service: &str, form: &Form) -> Value {
        let versions = format!("Services/{service}/Assets/");
        for (name, version) in &form.0 {
            assert_eq!(name, "AssetVersions");
            let known = self.collections.iter().filter(|(path, _)| path.starts_with(&versions));
            let known = known.flat_map(|(_, records)| records).any(|record| record["sid"] == version.plain().unwrap());
            assert!(known, "no version {version:?}");
        }
        let sid = self.new_sid("ZB");
        self.pending.insert(sid.clone(), self.slowness);
        let build = json!({"sid": sid, "status": "building"});
        let builds = self.collections.entry(format!("Services/{service}/Builds")).or_default();
        builds.push(build.as_object().unwrap().clone());
        build
    }

    fn deploy(&mut self, environments: &str, environment: &str, form: &Form) -> Result<Value, ApiError> {
        let build = form.0[0].1.plain().unwrap().to_owned();
        let builds = format!("{}/Builds", environments.strip_suffix("/Environments").unwrap());
        let state = self.find(&builds, &build)?;
        assert_eq!(state["status"], "completed");
        self.find(environments, environment)?.insert("build_sid".to_owned(), json!(build));
        Ok(json!({"sid": self.new_sid("ZD"), "build_sid": build}))
    }

    fn is_used(&self, collection: &str, sid: &str) -> Option<ApiError> {
        let has = |end: &str, field: &str| {
            let records = self.collections.iter().filter(|(path, _)| path.ends_with(end));
            records.flat_map(|(_, records)| records).any(|record| record.get(field).is_some_and(|it| it == sid))
        };
        let mapped = |end| has(end, "sid");
        match collection {
            "SIP/CredentialLists" if mapped("CredentialListMappings") => Some(refused(400, 21241, "List is mapped")),
            "SIP/IpAccessControlLists" if mapped("IpAccessControlListMappings") => {
                Some(refused(400, 21236, "List is mapped"))
            }
            "Addresses" => {
                let held = has("IncomingPhoneNumbers", "emergency_address_sid");
                (held || self.letting_go.values().any(|it| it == sid)).then(|| refused(400, 21628, "Address is used"))
            }
            _ => None,
        }
    }

    fn check_key(&self, collection: &str) -> Result<(), ApiError> {
        match self.by_key && collection.starts_with("Keys") {
            true => Err(refused(401, 20003, "Authenticate")),
            false => Ok(()),
        }
    }
}

impl Api for Fake {
    fn account(&mut self) -> Result<Value, ApiError> {
        self.answer(|_| Ok(json!({"status": "active", "type": "Full"})))
    }

    fn list(&mut self, collection: &Collection, records: &str) -> Result<Vec<Value>, ApiError> {
        let collection = collection.path.clone();
        assert_eq!(Fake::kind(&collection).schema().records, records);
        self.answer(|fake| {
            fake.check_key(&collection)?;
            fake.look();
            let records = fake.collections.get(&collection).cloned().unwrap_or_default();
            Ok(records.into_iter().map(Value::Object).collect())
        })
    }

    fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError> {
        let (mut collection, mut sid) = (collection.path.clone(), sid.to_owned());
        self.answer(|fake| {
            fake.look();
            if sid == "Status" {
                let (builds, build) = collection.rsplit_once('/').unwrap();
                (collection, sid) = (builds.to_owned(), build.to_owned());
            }
            fake.find(&collection, &sid).map(|fields| Value::Object(fields.clone()))
        })
    }

    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError> {
        self.writes += 1;
        let collection = collection.path.clone();
        self.answer(|fake| {
            fake.check_key(&collection)?;
            if collection == "DialingPermissions/BulkCountryUpdates" {
                fake.permit(form);
                return Ok(json!({"update_count": 1}));
            }
            if let Some(service) = collection.strip_prefix("Services/").and_then(|path| path.strip_suffix("/Builds")) {
                return Ok(fake.build(service, form));
            }
            if let Some(path) = collection.strip_suffix("/Deployments") {
                let (environments, environment) = path.rsplit_once('/').unwrap();
                return fake.deploy(environments, environment, form);
            }
            let kind = Fake::kind(&collection);
            let key = reply_name(kind.schema().key);
            let mut fields = Map::new();
            let plain = form.0.iter().filter(|field| field.1.plain().is_some()).cloned().collect();
            fake.set(kind, "", &mut fields, &Form(plain))?;
            let there = fake.collections.entry(collection.clone()).or_default();
            let name = if kind.maps().is_some() { "sid" } else { key.as_str() };
            let is_unique = !kind.schema().duplicate.is_empty();
            if is_unique && there.iter().any(|record| record[name] == fields[&key]) {
                return Err(refused(400, kind.schema().duplicate[0], "already exists"));
            }
            if kind == Kind::Credential && there.len() >= 1000 {
                return Err(refused(400, 21242, "Maximum Credentials Reached for List"));
            }
            if kind == Kind::Domain && fake.taken.iter().any(|name| fields[&key] == name.as_str()) {
                return Err(refused(400, 21232, "Domain already exists."));
            }
            if kind == Kind::CredentialList && fake.taken.iter().any(|name| fields[&key] == name.as_str()) {
                return Err(refused(400, 21240, "Credential list validation error"));
            }
            if kind == Kind::PhoneNumber {
                let at = fake.for_sale.iter().position(|number| fields[&key] == number.as_str());
                let at = at.ok_or_else(|| refused(400, 21422, "PhoneNumber is not available"))?;
                fake.for_sale.remove(at);
                fields.insert("voice_url".to_owned(), json!("https://demo.twilio.com/"));
                fields.insert("friendly_name".to_owned(), json!("(503) 555"));
                fields.insert("emergency_address_status".to_owned(), json!("unregistered"));
            }
            let sid = fake.sid(kind, &mut fields);
            let secret = form.0.iter().filter(|field| field.1.plain().is_none()).cloned().collect();
            fake.set(kind, &sid, &mut fields, &Form(secret))?;
            fields.insert("sid".to_owned(), json!(sid));
            fake.collections.entry(collection.clone()).or_default().push(fields.clone());
            Ok(Value::Object(fields))
        })
    }

    fn update(&mut self, collection: &Collection, sid: &str, form: &Form) -> Result<Value, ApiError> {
        self.writes += 1;
        let (collection, sid) = (collection.path.clone(), sid.to_owned());
        self.answer(|fake| {
            let kind = Fake::kind(&collection);
            let is_fixed = |(name, _): &(String, FormValue)| kind.schema().fixed.contains(&name.as_str());
            assert!(!form.0.iter().any(is_fixed), "{kind:?} {form:?}");
            let mut fields = fake.find(&collection, &sid)?.clone();
            fake.set(kind, &sid, &mut fields, form)?;
            *fake.record(&collection, &sid) = fields.clone();
            Ok(Value::Object(fields))
        })
    }

    fn delete(&mut self, collection: &Collection, sid: &str) -> Result<(), ApiError> {
        self.writes += 1;
        let (collection, sid) = (collection.path.clone(), sid.to_owned());
        self.answer(|fake| {
            fake.check_key(&collection)?;
            assert_ne!(Fake::kind(&collection), Kind::PhoneNumber, "a number was given up");
            if let Some(error) = fake.is_used(&collection, &sid) {
                return Err(error);
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

    fn upload(&mut self, service: &str, asset: &str, upload: &Upload<'_>) -> Result<Value, ApiError> {
        self.writes += 1;
        let assets = format!("Services/{service}/Assets");
        self.answer(|fake| {
            fake.find(&assets, asset)?;
            let sid = fake.new_sid("ZN");
            let version = json!({"sid": sid, "path": upload.path, "content": upload.content.len()});
            let versions = fake.collections.entry(format!("{assets}/{asset}/Versions")).or_default();
            versions.push(version.as_object().unwrap().clone());
            Ok(version)
        })
    }
}
