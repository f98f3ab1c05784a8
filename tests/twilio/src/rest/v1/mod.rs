//! The newer APIs, each on a host of its own at Twilio and below `/v1/` here (TWILIO.md "API hosts"): the path tells
//! the product.
//!
//! ```text
//! page.rs        `meta` with absolute URLs (TWILIO.md "API pages")
//! serverless.rs  Services, Environments, Assets and their versions, Builds, Deployments, Variables (3)
//! build.rs       what a build is made of, and how it ends
//! upload.rs      multipart/form-data of an asset version (TWILIO.md "Assets")
//! hosted.rs      the deployed assets themselves
//! dialing.rs     voice: dialing permissions (TWILIO.md "Dialing permissions")
//! iam.rs         iam: keys, restricted ones too (TWILIO.md "Restricted keys")
//! litter.rs      a stranger's service
//! tokens.rs      accounts: rotation of the auth token (TWILIO.md "Auth token rotation")
//! ```

mod build;
mod dialing;
mod hosted;
mod iam;
mod litter;
mod page;
mod serverless;
mod tokens;
mod upload;

use serde_json::{Value, json};

pub use hosted::hosted;
pub use litter::scatter;

use super::resource::{Param, apply};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::switches::Switches;
use crate::twilio::Twilio;

/// How parameters come (TWILIO.md "API requests").
const FORM: &str = "application/x-www-form-urlencoded";

/// What these APIs know of the account.
#[derive(Default)]
pub struct State {
    serverless: serverless::Serverless,
    permissions: dialing::Permissions,
    policies: iam::Policies,
    /// The auth tokens after rotations.
    pub tokens: tokens::Tokens,
}

impl State {
    /// Whether dialing permissions let that number be called (TWILIO.md "Dialing permissions").
    pub fn may_call(&self, number: &str) -> bool {
        self.permissions.allow(number)
    }

    /// Every resource below `/v1/`, and the dialing permissions, as [`super::Record`]s are shown.
    pub fn records(&self) -> Vec<Value> {
        let permissions =
            json!({ "kind": "DialingPermissions", "sid": "", "parent": null, "fields": self.permissions });
        let policies = self.policies.iter().map(
            |(sid, policy)| json!({ "kind": "KeyPolicy", "sid": sid, "parent": null, "fields": { "policy": policy } }),
        );
        self.serverless.records().chain([permissions]).chain(policies).collect()
    }
}

/// One request and what is needed to answer it.
struct Call<'a> {
    request: &'a RestRequest,
    /// Scheme and address that the client sees: all URLs in answers start with it.
    base: String,
    account: String,
    switches: Switches,
    /// Parameters that no resource knows are counted here (TWILIO.md "API requests").
    unknown: Vec<String>,
}

/// Answers a request below `/v1/`.
pub fn route(twilio: &Twilio, request: &RestRequest) -> Reply {
    let switches = twilio.switches();
    let base = match request.host.as_str() {
        "" => format!("http://{}", twilio.rest_address),
        host => format!("http://{host}"),
    };
    let mut call = Call { request, base, account: twilio.account.sid.clone(), switches, unknown: Vec::new() };
    let parts: Vec<&str> = request.path.split('/').skip(2).collect();
    let upload = matches!(parts[..], ["Services", _, "Assets", _, "Versions"]);
    if request.method == "POST" && !upload && !request.body.is_empty() && !request.content_type.starts_with(FORM) {
        let message = format!("{} not supported", request.content_type);
        return Err(RestError { status: 415, code: 20415, message });
    }
    let mut store = twilio.store();
    let reply = answer(&mut store, &mut call, &parts);
    store.unknown_parameters.append(&mut call.unknown);
    reply
}

fn answer(store: &mut Store, call: &mut Call, parts: &[&str]) -> Reply {
    match parts {
        ["Services", rest @ ..] => serverless::route(&mut store.v1.serverless, call, rest),
        ["DialingPermissions", rest @ ..] => dialing::route(&mut store.v1.permissions, call, rest),
        ["Settings"] => dialing::settings(&mut store.v1.permissions, call),
        ["Keys", rest @ ..] => iam::route(store, call, rest),
        ["AuthTokens", which] => tokens::route(&mut store.v1.tokens, call, which),
        _ => Err(call.missing()),
    }
}

impl Call<'_> {
    fn method(&self) -> &str {
        &self.request.method
    }

    /// 404/20404 about the path that was asked.
    fn missing(&self) -> RestError {
        RestError::not_found(&self.request.path)
    }

    /// 405/20004.
    fn refuse_method(&self) -> RestError {
        RestError::method(&self.request.method)
    }

    /// The first value of a form field; an empty one counts as absent.
    fn value(&self, name: &str) -> Option<&str> {
        self.request.form.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// A form field that must be there.
    fn required(&self, name: &str) -> Result<&str, RestError> {
        self.value(name).ok_or_else(|| invalid(format!("Missing required parameter {name} in the post body")))
    }

    /// Fields changed by the form, as far as `params` knows them.
    fn apply(&mut self, params: &[Param], fields: &mut serde_json::Map<String, Value>) -> Result<(), RestError> {
        let unknown = apply(params, &self.request.form, fields)?;
        self.unknown.extend(unknown);
        Ok(())
    }

    /// Counts the form's fields that are not in `known`.
    fn note_unknown(&mut self, known: &[&str]) {
        let names = self.request.form.iter().map(|(name, _)| name.clone());
        self.unknown.extend(names.filter(|name| !known.contains(&name.as_str())));
    }

    /// One page of a list.
    fn list(&self, key: &str, records: Vec<Value>) -> Reply {
        page::page(&self.base, &self.request.path, &self.request.query, key, &records).map(|body| (200, Some(body)))
    }
}

fn created(body: Value) -> Reply {
    Ok((201, Some(body)))
}

fn ok(body: Value) -> Reply {
    Ok((200, Some(body)))
}

const GONE: (u16, Option<Value>) = (204, None);

/// 400/20001: a parameter that is wrong.
fn invalid(message: impl Into<String>) -> RestError {
    RestError::bad(20001, message)
}

/// 409/20409 of the newer products (TWILIO.md "API errors").
fn conflict(message: impl Into<String>) -> RestError {
    RestError { status: 409, code: 20409, message: message.into() }
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}
