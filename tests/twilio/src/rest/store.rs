//! All resources of the account, and the log of what was asked of them.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::RestError;
use super::account::AccountState;
use super::calls::Change;
use super::emergency::Registration;
use super::family::Pairs;
use super::fault::Fault;
use super::litter::Sequence;
use super::resource::{Kind, Param, Record, apply};
use super::v1;
use crate::sip::message::host_of;
use crate::switches::Switches;
use crate::{date, random};

/// Requests that are kept; older ones are dropped.
const MAX_LOG: usize = 10_000;

/// One REST request.
#[derive(Clone, Debug, Serialize)]
pub struct RequestLine {
    /// GET, POST or DELETE.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names of the form's parameters; values may be secrets.
    pub parameters: Vec<String>,
    /// HTTP status of the reply.
    pub status: u16,
    /// Twilio's code when it was refused.
    pub code: Option<u32>,
}

/// The account's resources.
pub struct Store {
    /// `AC...`
    pub account_sid: String,
    /// Every resource in the order of creation.
    pub records: Vec<Record>,
    /// Parameters that no resource knows; a typo fails silently, so it is counted here (TWILIO.md "API requests").
    pub unknown_parameters: Vec<String>,
    /// Errors to inject into coming requests.
    pub faults: Vec<Fault>,
    /// The account itself.
    pub account: AccountState,
    /// The switches as they are during this request.
    pub switches: Switches,
    /// Secrets of API keys, which the API shows once (TWILIO.md "API keys").
    pub key_secrets: HashMap<String, String>,
    /// Emergency addresses on their way to or from numbers, by the number's SID.
    pub registrations: HashMap<String, Registration>,
    /// Domain names of other accounts.
    pub foreign_domains: Vec<String>,
    /// Numbers whose validation call was asked for, with the friendly name.
    pub validations: HashMap<String, String>,
    /// How to reach the calls that the API made and that are not over.
    pub live_calls: HashMap<String, mpsc::Sender<Change>>,
    /// The newer APIs.
    pub v1: v1::State,
    /// Where the next SIDs come from when they must be the same every time.
    pub fixed_sids: Option<Sequence>,
    log: Vec<RequestLine>,
}

impl Store {
    /// An account without resources.
    pub fn new(account_sid: &str) -> Self {
        Self {
            account_sid: account_sid.to_owned(),
            records: Vec::new(),
            unknown_parameters: Vec::new(),
            faults: Vec::new(),
            account: AccountState::default(),
            switches: Switches::default(),
            key_secrets: HashMap::new(),
            registrations: HashMap::new(),
            foreign_domains: Vec::new(),
            validations: HashMap::new(),
            live_calls: HashMap::new(),
            v1: v1::State::default(),
            fixed_sids: None,
            log: Vec::new(),
        }
    }

    /// Writes a request into the log.
    pub fn note(&mut self, line: RequestLine) {
        if self.log.len() >= MAX_LOG {
            self.log.drain(..MAX_LOG / 2);
        }
        self.log.push(line);
    }

    /// The log from its `from`th line.
    pub fn log(&self, from: usize) -> &[RequestLine] {
        self.log.get(from..).unwrap_or(&[])
    }

    /// Reads and writes since the `from`th line.
    pub fn counts(&self, from: usize) -> (usize, usize) {
        let reads = self.log(from).iter().filter(|line| line.method == "GET").count();
        (reads, self.log(from).len() - reads)
    }

    /// All of a family, under a parent if the family has one.
    pub fn all(&self, kind: Kind, parent: Option<&str>) -> Vec<&Record> {
        self.records.iter().filter(|r| r.kind == kind && r.parent.as_deref() == parent).collect()
    }

    /// One of a family.
    pub fn get(&self, kind: Kind, parent: Option<&str>, sid: &str) -> Option<&Record> {
        self.records.iter().find(|r| r.kind == kind && r.parent.as_deref() == parent && r.sid == sid)
    }

    /// A resource by its own SID (mappings, which borrow one, are never found).
    pub fn by_sid(&self, sid: &str) -> Option<Record> {
        self.records.iter().find(|r| r.sid == sid && !r.kind.is_mapping()).cloned()
    }

    /// An owned number in E.164.
    pub fn number(&self, number: &str) -> Option<Record> {
        self.records.iter().find(|r| r.kind == Kind::Number && r.text("phone_number") == number).cloned()
    }

    /// The domain that a host names: the global name, or one with an edge or region inside (TWILIO.md "Domain names").
    pub fn domain_by_host(&self, host: &str) -> Option<Record> {
        let host = host_of(host).to_ascii_lowercase();
        let (label, rest) = host.split_once(".sip.")?;
        let global = match rest.strip_suffix("twilio.com")? {
            "" => host.clone(),
            edge if edge.ends_with('.') && edge.matches('.').count() == 1 => format!("{label}.sip.twilio.com"),
            _ => return None,
        };
        let mut domains = self.records.iter().filter(|r| r.kind == Kind::Domain);
        domains.find(|r| r.text("domain_name") == global).cloned()
    }

    /// The credential lists mapped to a domain.
    pub fn mapped_lists(&self, domain_sid: &str, kind: Kind) -> Vec<String> {
        self.all(kind, Some(domain_sid)).into_iter().map(|r| r.sid.clone()).collect()
    }

    /// The stored digest of a username in any of `lists`; names are compared exactly (TWILIO.md "Credentials").
    pub fn ha1(&self, lists: &[String], username: &str) -> Option<String> {
        let credentials = self.records.iter().filter(|r| r.kind == Kind::Credential);
        let mut own = credentials.filter(|r| r.parent.as_ref().is_some_and(|p| lists.contains(p)));
        own.find(|r| r.text("username") == username).and_then(|r| r.ha1.clone())
    }

    /// `auth_type` follows from the mappings for calls (TWILIO.md "Domain settings").
    pub fn recompute_auth_type(&mut self, domain_sid: &str) {
        let mapped = |kind| !self.all(kind, Some(domain_sid)).is_empty();
        // The order of the pair was seen both ways (TWILIO.md "Domain settings").
        let auth_type = match (mapped(Kind::CallsMapping), mapped(Kind::AccessListMapping)) {
            (false, false) => "",
            (true, false) => "CREDENTIAL_LIST",
            (false, true) => "IP_ACL",
            (true, true) if self.switches.auth_type_acl_first => "IP_ACL,CREDENTIAL_LIST",
            (true, true) => "CREDENTIAL_LIST,IP_ACL",
        };
        let domain = self.records.iter_mut().find(|r| r.kind == Kind::Domain && r.sid == domain_sid);
        if let Some(domain) = domain {
            domain.fields.insert("auth_type".to_owned(), json!(auth_type));
        }
    }

    /// Gives the account a number.
    pub fn seed_number(&mut self, number: &str) {
        let (sid, fields) = super::numbers::fresh(self, number);
        self.add(Kind::Number, None, sid, fields);
    }

    /// A number as which calls may be made: an owned one, or a verified caller ID.
    pub fn may_call_as(&self, number: &str) -> bool {
        let mut callers = self.records.iter().filter(|r| matches!(r.kind, Kind::Number | Kind::CallerId));
        callers.any(|r| r.text("phone_number") == number)
    }

    /// A new SID.
    pub fn sid(&mut self, prefix: &str) -> String {
        match &mut self.fixed_sids {
            Some(sequence) => sequence.sid(prefix),
            None => random::sid(prefix),
        }
    }

    /// The path of something of this account.
    pub fn uri(&self, inner: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{inner}", self.account_sid)
    }

    /// Applies a form to fields and counts the parameters that nobody knows.
    pub fn apply(&mut self, params: &[Param], form: &Pairs, fields: &mut Map<String, Value>) -> Result<(), RestError> {
        let unknown = apply(params, form, fields)?;
        self.unknown_parameters.extend(unknown);
        Ok(())
    }

    /// Adds a resource; gives what the API shows of it.
    pub fn add(&mut self, kind: Kind, parent: Option<&str>, sid: String, fields: Map<String, Value>) -> Value {
        let body = Value::Object(fields.clone());
        self.records.push(Record { kind, sid, parent: parent.map(str::to_owned), fields, ha1: None });
        body
    }

    /// Puts changed fields into a resource; gives what the API shows of it.
    pub fn change(&mut self, kind: Kind, sid: &str, mut fields: Map<String, Value>) -> Value {
        fields.insert("date_updated".to_owned(), json!(date::now()));
        self.replace(kind, sid, fields.clone());
        Value::Object(fields)
    }

    /// The fields of a resource that is there.
    pub fn fields(&self, kind: Kind, parent: Option<&str>, sid: &str) -> Result<Map<String, Value>, RestError> {
        self.get(kind, parent, sid).map(|r| r.fields.clone()).ok_or_else(|| RestError::not_found(sid))
    }

    /// Takes a resource away.
    pub fn remove(&mut self, kind: Kind, parent: Option<&str>, sid: &str) {
        self.records.retain(|r| !(r.kind == kind && r.parent.as_deref() == parent && r.sid == sid));
    }

    /// Puts new fields into a record.
    pub fn replace(&mut self, kind: Kind, sid: &str, fields: Map<String, Value>) {
        if let Some(record) = self.records.iter_mut().find(|r| r.kind == kind && r.sid == sid) {
            record.fields = fields;
        }
    }
}
