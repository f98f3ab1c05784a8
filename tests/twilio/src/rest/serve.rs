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
use super::route::route;
use super::{RequestLine, RestError, v1};
use crate::form::{decode, encode};
use crate::random;
use crate::twilio::Twilio;

/// No request of this API is longer; uploads are the longest.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How parameters come (TWILIO.md "API requests").
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

impl RestRequest {
    /// A POST with a form.
    pub fn post(path: &str, form: &[(&str, &str)]) -> Self {
        let form: Vec<_> = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let (method, path, content_type) = ("POST".to_owned(), path.to_owned(), FORM.to_owned());
        Self { method, path, query: String::new(), host: String::new(), content_type, body: encode(&form).into(), form }
    }
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

/// All products live on one address here; their paths tell them apart (TWILIO.md "API hosts").
fn answer(twilio: &Arc<Twilio>, request: &RestRequest) -> Reply {
    if request.path.starts_with("/v1/") {
        return v1::route(twilio, request);
    }
    let RestRequest { method, content_type, body, .. } = request;
    // Form bodies, not JSON (TWILIO.md "API requests").
    if method == "POST" && !body.is_empty() && !content_type.starts_with(FORM) {
        return Err(RestError { status: 415, code: 20415, message: format!("{content_type} not supported") });
    }
    route(twilio, request)
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
        // TWILIO.md "API errors": Header X-Twilio-Error-Code repeats the code.
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

/// TWILIO.md "API login": AC and token, or SK and secret; a Standard key gets 401/20003 on the Accounts and Keys
/// families.
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
    let known = twilio.store().key_secrets.get(username).is_some_and(|secret| secret == password);
    match known && !is_limited(path) {
        true => Ok(()),
        false => Err(RestError::unauthorized("Authenticate")),
    }
}

/// Is this a path of the Accounts or Keys families, of the 2010 API or of the newer ones?
fn is_limited(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_end_matches(".json").split('/').skip(1).collect();
    matches!(
        parts.as_slice(),
        ["2010-04-01", "Accounts"]
            | ["2010-04-01", "Accounts", _]
            | ["2010-04-01", "Accounts", _, "Keys", ..]
            | ["v1", "Keys" | "AuthTokens", ..]
    )
}

/// HTTP status and body, or an error.
pub type Reply = Result<(u16, Option<Value>), RestError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_key_is_kept_from_accounts_and_keys_alone() {
        for path in ["/2010-04-01/Accounts.json", "/2010-04-01/Accounts/AC1.json", "/2010-04-01/Accounts/AC1/Keys.json"]
        {
            assert!(is_limited(path), "{path}");
        }
        for path in ["/2010-04-01/Accounts/AC1/Balance.json", "/v1/Services", "/v1/DialingPermissions/Countries"] {
            assert!(!is_limited(path), "{path}");
        }
        assert!(is_limited("/2010-04-01/Accounts/AC1/Keys/SK1.json") && is_limited("/v1/Keys"));
    }
}
