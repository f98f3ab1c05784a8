//! HTTP in front of the resources: credentials, routes, error bodies, the request log, faults on command.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::fault::{self, FaultKind};
use super::page::page;
use super::resource::Kind;
use super::{RequestLine, RestError, Store, account, applications, credentials, domains, mappings, numbers, v1};
use crate::form::decode;
use crate::random;
use crate::twilio::Twilio;

/// No request of this API is longer; uploads are the longest.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How parameters come (1.3).
const FORM: &str = "application/x-www-form-urlencoded";

/// One request as the families see it.
pub struct RestRequest {
    /// GET, POST or DELETE.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark; empty when there is none.
    pub query: String,
    /// `Host`: the address that the client sees; empty when there is none.
    pub host: String,
    /// `Content-Type`; empty when there is none.
    pub content_type: String,
    /// The raw body: an upload is no form.
    pub body: Bytes,
    /// The body as a form.
    pub form: Vec<(String, String)>,
}

/// Serves until the task is aborted.
pub async fn serve(twilio: Arc<Twilio>, listener: TcpListener) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let twilio = twilio.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| handle(twilio.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Torn;

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("torn on demand")
    }
}

impl std::error::Error for Torn {}

async fn handle(twilio: Arc<Twilio>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Torn> {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let (authorization, content_type, host) = (header("authorization"), header("content-type"), header("host"));
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map(|b| b.to_bytes()).unwrap_or_default();
    let form = match content_type.starts_with(FORM) {
        true => decode(&String::from_utf8_lossy(&body)),
        false => Vec::new(),
    };
    let request = RestRequest { method, path, query, host, content_type, body, form };
    if let Some(response) = v1::hosted(&twilio, &request) {
        return Ok(response);
    }

    let fault = fault::take(&mut twilio.store().faults, &request.method, &request.path);
    if let Some(fault) = &fault {
        tokio::time::sleep(std::time::Duration::from_millis(fault.delay_ms)).await;
    }
    let kind = fault.as_ref().map(|fault| fault.kind);
    if kind == Some(FaultKind::TornBefore) {
        note(&twilio, &request, 0, None);
        return Err(Torn);
    }
    let result = match fault {
        Some(fault) if kind == Some(FaultKind::Status) && fault.status != 0 => {
            Err(RestError { status: fault.status, code: fault.code, message: "Fault injected".to_owned() })
        }
        _ => authorize(&twilio, &authorization, &request.path).and_then(|()| answer(&twilio, &request)),
    };
    let (status, body, code) = match result {
        Ok((status, body)) => (status, body, None),
        Err(error) => (error.status, Some(error.body()), Some(error.code)),
    };
    note(&twilio, &request, status, code);
    twilio.trace.write(&request, status, body.as_ref(), !matches!(kind, None | Some(FaultKind::Slow)));
    match kind {
        // hyper drops this future when the client closes.
        Some(FaultKind::NoAnswer) => std::future::pending().await,
        Some(FaultKind::TornAfter) => Err(Torn),
        _ => Ok(respond(&twilio, status, body, code)),
    }
}

fn note(twilio: &Twilio, request: &RestRequest, status: u16, code: Option<u32>) {
    let RestRequest { method, path, query, form, .. } = request;
    let path = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    let parameters = form.iter().map(|(name, _)| name.clone()).collect();
    twilio.store().note(RequestLine { method: method.clone(), path, parameters, status, code });
}

/// All products live on one address here; their paths tell them apart (1.1).
fn answer(twilio: &Twilio, request: &RestRequest) -> Reply {
    if request.path.starts_with("/v1/") {
        return v1::route(twilio, request);
    }
    let RestRequest { method, path, query, content_type, body, form, .. } = request;
    // 1.3: form bodies, not JSON.
    if method == "POST" && !body.is_empty() && !content_type.starts_with(FORM) {
        return Err(RestError { status: 415, code: 20415, message: format!("{content_type} not supported") });
    }
    route(twilio, method, path, query, form)
}

fn respond(twilio: &Twilio, status: u16, body: Option<Value>, code: Option<u32>) -> Response<Full<Bytes>> {
    let text = body.map(|b| b.to_string()).unwrap_or_default();
    let mut builder = Response::builder()
        .status(status)
        .header("Twilio-Request-Id", format!("RQ{}", &random::sid("")[..32]))
        .header("Twilio-Request-Duration", "0.012")
        .header("X-Home-Region", "us1")
        .header("X-API-Domain", "api.twilio.com")
        .header("Twilio-Concurrent-Requests", "1");
    if !text.is_empty() {
        builder = builder.header("Content-Type", "application/json");
    }
    if let Some(code) = code {
        // 1.5: "Header X-Twilio-Error-Code repeats the code".
        builder = builder.header("X-Twilio-Error-Code", code.to_string());
    }
    if status == 401 {
        builder = builder.header("WWW-Authenticate", "Basic realm=\"Twilio API\"");
    }
    if status == 429 && twilio.switches().retry_after {
        builder = builder.header("Retry-After", "1");
    }
    builder.body(Full::new(Bytes::from(text))).unwrap_or_else(|_| Response::new(Full::default()))
}

/// 1.2: AC and token, or SK and secret; a Standard key gets 401/20003 on the Accounts and Keys families.
fn authorize(twilio: &Twilio, authorization: &str, path: &str) -> Result<(), RestError> {
    let Some(encoded) = authorization.strip_prefix("Basic ") else {
        return Err(RestError::unauthorized("Authentication Error - No credentials provided"));
    };
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.unwrap_or_default();
    let (username, password) = decoded.split_once(':').unwrap_or(("", ""));
    let account = &twilio.account;
    if username == account.sid && twilio.accepts_token(password) {
        return Ok(());
    }
    let limited = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "v1", family, ..] => ["Keys", "AuthTokens"].contains(&family),
        ["", _, _, _, family, ..] => family.starts_with("Keys"),
        _ => true,
    };
    if username == account.key.0 && password == account.key.1 && !limited {
        return Ok(());
    }
    Err(RestError::unauthorized("Authenticate"))
}

/// HTTP status and body, or an error.
pub type Reply = Result<(u16, Option<Value>), RestError>;

fn route(twilio: &Twilio, method: &str, path: &str, query: &str, form: &[(String, String)]) -> Reply {
    let missing = || RestError::not_found(path);
    // 1.1: without `.json` the reply would be XML, which no client of ours reads.
    let inner = path.strip_prefix("/2010-04-01/Accounts/").and_then(|p| p.strip_suffix(".json")).ok_or_else(missing)?;
    let parts: Vec<&str> = inner.split('/').collect();
    if parts[0] != twilio.account.sid {
        return Err(missing());
    }
    let duplicate = twilio.switches().duplicate_credential_code;
    let token = twilio.auth_token();
    let mut guard = twilio.store();
    let store = &mut *guard;
    let list = |key: &str, records: Vec<Value>| page(path, query, key, &records).map(|body| (200, Some(body)));
    let created = |body: Value| Ok((201, Some(body)));
    let ok = |body: Value| Ok((200, Some(body)));
    match (method, &parts[1..]) {
        ("GET", []) => ok(account::account(parts[0], &token)),
        ("GET", ["Balance"]) => ok(account::balance(parts[0])),

        ("GET", ["SIP", "Domains"]) => list("domains", all(store, Kind::Domain, None)),
        ("POST", ["SIP", "Domains"]) => created(domains::create(store, form)?),
        ("GET", ["SIP", "Domains", sid]) => one(store, Kind::Domain, None, sid, path),
        ("POST", ["SIP", "Domains", sid]) => ok(domains::update(store, sid, form)?),
        ("DELETE", ["SIP", "Domains", sid]) => domains::delete(store, sid).map(|()| (204, None)),

        (_, ["SIP", "Domains", domain, "Auth", family, "CredentialListMappings", rest @ ..]) => {
            let kind = match *family {
                "Calls" => Kind::CallsMapping,
                "Registrations" => Kind::RegistrationsMapping,
                _ => return Err(missing()),
            };
            store.get(Kind::Domain, None, domain).ok_or_else(missing)?;
            match (method, rest) {
                // 1.4: "every Auth/Calls/* and Auth/Registrations/* mapping list uses contents".
                ("GET", []) => list("contents", all(store, kind, Some(domain))),
                ("POST", []) => created(mappings::create(store, kind, domain, form)?),
                ("GET", [sid]) => one(store, kind, Some(domain), sid, path),
                ("DELETE", [sid]) => mappings::delete(store, kind, domain, sid).map(|()| (204, None)),
                (_, [] | [_]) => Err(RestError::method(method)),
                _ => Err(missing()),
            }
        }

        ("GET", ["SIP", "CredentialLists"]) => list("credential_lists", all(store, Kind::CredentialList, None)),
        ("POST", ["SIP", "CredentialLists"]) => created(credentials::create_list(store, form)?),
        ("GET", ["SIP", "CredentialLists", sid]) => one(store, Kind::CredentialList, None, sid, path),
        ("POST", ["SIP", "CredentialLists", sid]) => ok(credentials::update_list(store, sid, form)?),
        ("DELETE", ["SIP", "CredentialLists", sid]) => credentials::delete_list(store, sid).map(|()| (204, None)),

        (_, ["SIP", "CredentialLists", parent, "Credentials", rest @ ..]) => {
            store.get(Kind::CredentialList, None, parent).ok_or_else(missing)?;
            match (method, rest) {
                ("GET", []) => list("credentials", all(store, Kind::Credential, Some(parent))),
                ("POST", []) => created(credentials::create(store, parent, form, duplicate)?),
                ("GET", [sid]) => one(store, Kind::Credential, Some(parent), sid, path),
                ("POST", [sid]) => ok(credentials::update(store, parent, sid, form)?),
                ("DELETE", [sid]) => {
                    store.get(Kind::Credential, Some(parent), sid).ok_or_else(missing)?;
                    store.records.retain(|r| r.sid != *sid);
                    Ok((204, None))
                }
                (_, [] | [_]) => Err(RestError::method(method)),
                _ => Err(missing()),
            }
        }

        ("GET", ["Applications"]) => {
            // 2.2: "List can be filtered by exact FriendlyName".
            let wanted = decode(query).into_iter().find(|(n, _)| n == "FriendlyName").map(|(_, v)| v);
            let mut apps = all(store, Kind::Application, None);
            apps.retain(|app| wanted.as_deref().is_none_or(|name| app["friendly_name"] == name));
            list("applications", apps)
        }
        ("POST", ["Applications"]) => created(applications::create(store, form)?),
        ("GET", ["Applications", sid]) => one(store, Kind::Application, None, sid, path),
        ("POST", ["Applications", sid]) => ok(applications::update(store, sid, form)?),
        ("DELETE", ["Applications", sid]) => applications::delete(store, sid).map(|()| (204, None)),

        ("GET", ["IncomingPhoneNumbers"]) => list("incoming_phone_numbers", numbers::filtered(store, &decode(query))),
        ("GET", ["IncomingPhoneNumbers", sid]) => one(store, Kind::Number, None, sid, path),
        ("POST", ["IncomingPhoneNumbers", sid]) => ok(numbers::update(store, sid, form)?),

        (
            _,
            [] | ["Balance"] | ["SIP", "Domains" | "CredentialLists"] | ["Applications"] | ["IncomingPhoneNumbers"],
        ) => Err(RestError::method(method)),
        _ => Err(missing()),
    }
}

fn all(store: &Store, kind: Kind, parent: Option<&str>) -> Vec<Value> {
    store.all(kind, parent).into_iter().map(|r| Value::Object(r.fields.clone())).collect()
}

fn one(store: &Store, kind: Kind, parent: Option<&str>, sid: &str, path: &str) -> Reply {
    let record = store.get(kind, parent, sid).ok_or_else(|| RestError::not_found(path))?;
    Ok((200, Some(Value::Object(record.fields.clone()))))
}
