//! Twilio's REST API over HTTPS: one request at a time (twilio.md 1.6), with time-outs and back-off.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::api::{Api, ApiError, Collection, Form, FormValue, Product, Upload};
use crate::random::Random;
use crate::secret::Secret;

/// The version of the core API.
const VERSION: &str = "2010-04-01";

/// One request from its beginning to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is sent that is answered by 429, 5xx or not at all.
const ATTEMPTS: u32 = 5;

/// Before the second attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(500);

/// Longest pause between attempts, also when `Retry-After` asks for more.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// Records of a page: the most that Twilio gives (twilio.md 1.4).
const PAGE_SIZE: u32 = 1000;

/// Most pages of a collection.
const MAX_PAGES: usize = 100;

/// Names of reply fields whose content is never traced.
const SECRET_FIELDS: [&str; 3] = ["auth_token", "secret", "password"];

/// Is told each request and its answer, secrets masked.
pub type Trace = Box<dyn FnMut(&str)>;

/// What to reach and as whom.
pub struct Options<'a> {
    /// `https://api.twilio.com`, or what stands in for it.
    pub base: &'a str,
    pub account_sid: &'a str,
    /// `AC…` with the auth token, or `SK…` with its secret (twilio.md 1.2).
    pub user: &'a str,
    pub password: &'a Secret<String>,
    /// PEM file of roots to trust instead of Mozilla's.
    pub ca_file: Option<&'a Path>,
    /// Seed for the jitter of pauses.
    pub random: Random,
    /// Waits between attempts.
    pub pause: Box<dyn FnMut(Duration)>,
    pub trace: Option<Trace>,
}

/// Requests sent so far, repeated ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub reads: u32,
    pub writes: u32,
}

/// The client.
pub struct Client {
    agent: ureq::Agent,
    /// Scheme and authority of the base, without path: what page links are relative to.
    origin: String,
    /// Up to `Accounts/AC…`.
    account: String,
    authorization: Secret<String>,
    random: Random,
    pause: Box<dyn FnMut(Duration)>,
    trace: Option<Trace>,
    pub count: Count,
}

/// The CA file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("twilio.ca_file {path}: {reason}")]
pub struct CaError {
    path: String,
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    /// A POST that makes something: a second one may make a second thing.
    Create,
    /// A POST that changes something: a second one changes nothing more.
    Update,
    Delete,
}

/// An answer with any status.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    /// `X-Twilio-Error-Code` repeats the body's code (twilio.md 1.5).
    code: Option<u32>,
    body: String,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(options: Options<'_>) -> Result<Client, CaError> {
        let roots = match options.ca_file {
            Some(path) => read_roots(path).map_err(|reason| CaError { path: path.display().to_string(), reason })?,
            None => RootCerts::WebPki,
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            // A redirect would carry the account's name to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("gateway/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        let base = options.base.trim_end_matches('/');
        let authority_end = base.find("://").and_then(|at| base[at + 3..].find('/').map(|slash| at + 3 + slash));
        let credentials = format!("{}:{}", options.user, options.password.expose());
        Ok(Client {
            agent,
            origin: base[..authority_end.unwrap_or(base.len())].to_owned(),
            account: format!("{base}/{VERSION}/Accounts/{}", options.account_sid),
            authorization: Secret::new(format!("Basic {}", BASE64_STANDARD.encode(credentials))),
            random: options.random,
            pause: options.pause,
            trace: options.trace,
            count: Count::default(),
        })
    }

    /// Where a collection is, or one of it.
    fn url(&self, collection: &Collection, sid: Option<&str>) -> String {
        let below = match sid {
            Some(sid) => format!("{}/{sid}", collection.path),
            None => collection.path.clone(),
        };
        match collection.product {
            Product::Core => format!("{}/{below}.json", self.account),
            Product::Voice | Product::Serverless | Product::Upload => todo!(),
        }
    }

    /// Sends until there is an answer that will not change by asking again.
    fn request(&mut self, verb: Verb, url: &str, form: &Form) -> Result<Value, ApiError> {
        let shown = format!("{} {}", verb.method(), self.shown(url));
        for attempt in 1.. {
            match verb {
                Verb::Get => self.count.reads += 1,
                _ => self.count.writes += 1,
            }
            let answer = self.send(verb, url, form);
            self.tell(&shown, form, &answer);
            let (error, retry_after) = match answer {
                Ok(answer) => match answer.status {
                    404 if verb == Verb::Delete => return Ok(Value::Null),
                    204 => return Ok(Value::Null),
                    200..=299 => {
                        return serde_json::from_str(&answer.body).map_err(|error| ApiError::Nonsense {
                            request: shown,
                            reason: format!("no JSON at line {}", error.line()),
                        });
                    }
                    _ => (answer.error(&shown), answer.retry_after),
                },
                Err(reason) => (ApiError::NoAnswer { request: shown.clone(), reason }, None),
            };
            let again = match &error {
                // Never carried out (twilio.md 1.6), so even a creation may be sent again.
                ApiError::Unavailable { status: 429, .. } => true,
                ApiError::Unavailable { .. } | ApiError::NoAnswer { .. } => verb != Verb::Create,
                ApiError::Refused { .. } | ApiError::Nonsense { .. } => false,
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            let pause = self.backoff(attempt, retry_after);
            (self.pause)(pause);
        }
        // The loop ends by `return` at the latest in attempt ATTEMPTS.
        Err(ApiError::NoAnswer { request: shown, reason: "no attempt was made".to_owned() })
    }

    fn send(&mut self, verb: Verb, url: &str, form: &Form) -> Result<Answer, String> {
        let authorization = self.authorization.expose().as_str();
        let answer = match verb {
            Verb::Get => self.agent.get(url).header("Authorization", authorization).call(),
            Verb::Delete => self.agent.delete(url).header("Authorization", authorization).call(),
            Verb::Create | Verb::Update => {
                let fields = form.0.iter().map(|(name, value)| {
                    let value = match value {
                        FormValue::Plain(text) => text.as_str(),
                        FormValue::Secret(secret) => secret.expose().as_str(),
                    };
                    (name.as_str(), value)
                });
                self.agent.post(url).header("Authorization", authorization).send_form(fields)
            }
        };
        let mut response = answer.map_err(|error| error.to_string())?;
        let header = |name: &str| header(&response, name);
        let retry_after = header("Retry-After").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let code = header("X-Twilio-Error-Code").and_then(|text| text.parse().ok());
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after,
            code,
            body: body.map_err(|error| error.to_string())?,
        })
    }

    /// `500 ms · 2^n`, up to a quarter more by chance, and at least what Twilio asks for.
    fn backoff(&mut self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let pause = BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        let jitter = Duration::from_millis(self.random.below(pause.as_millis() as u64 / 4 + 1));
        (pause + jitter).max(retry_after.unwrap_or_default()).min(MAX_BACKOFF)
    }

    /// A URL as errors and traces show it: below the account.
    fn shown<'a>(&self, url: &'a str) -> &'a str {
        let path = url.split('?').next().unwrap_or_default();
        let below = path.strip_prefix(&self.account).and_then(|path| path.strip_prefix('/'));
        below.or_else(|| path.strip_prefix(&self.origin)).unwrap_or(path)
    }

    fn tell(&mut self, shown: &str, form: &Form, answer: &Result<Answer, String>) {
        let Some(trace) = &mut self.trace else { return };
        let form: String = form
            .0
            .iter()
            .map(|(name, value)| match value {
                FormValue::Plain(text) => format!(" {name}={text}"),
                FormValue::Secret(_) => format!(" {name}=***"),
            })
            .collect();
        let answer = match answer {
            Ok(answer) => format!("{} {}", answer.status, masked(&answer.body)),
            Err(reason) => format!("no answer: {reason}"),
        };
        trace(&format!("{shown}{form} -> {answer}"));
    }

    /// Where the next page is: 2010 style, a path; v1 style, a whole URL. Never another host: the token goes with it.
    fn next_page(&self, shown: &str, page: &Value) -> Result<Option<String>, ApiError> {
        let link = page.get("next_page_uri").or_else(|| page.get("meta")?.get("next_page_url"));
        match link.and_then(Value::as_str) {
            None | Some("") => Ok(None),
            Some(path) if path.starts_with('/') && !path.starts_with("//") => {
                Ok(Some(format!("{}{path}", self.origin)))
            }
            Some(url) if url.starts_with(&format!("{}/", self.origin)) => Ok(Some(url.to_owned())),
            Some(_) => Err(ApiError::Nonsense {
                request: shown.to_owned(),
                reason: "the next page is on another host".to_owned(),
            }),
        }
    }
}

impl Api for Client {
    fn account(&mut self) -> Result<Value, ApiError> {
        let url = format!("{}.json", self.account);
        self.request(Verb::Get, &url, &Form::default())
    }

    fn list(&mut self, collection: &Collection, records: &str) -> Result<Vec<Value>, ApiError> {
        let mut url = format!("{}?PageSize={PAGE_SIZE}", self.url(collection, None));
        let shown = format!("GET {}", self.shown(&url));
        let nonsense = |reason: String| ApiError::Nonsense { request: shown.clone(), reason };
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut page = self.request(Verb::Get, &url, &Form::default())?;
            let next = self.next_page(&shown, &page)?;
            // The v1 shape names its own array.
            let key = page.pointer("/meta/key").and_then(Value::as_str).unwrap_or(records).to_owned();
            match page.get_mut(&key).map(Value::take) {
                Some(Value::Array(records)) => all.extend(records),
                _ => return Err(nonsense(format!("no list {key:?}"))),
            }
            match next {
                Some(next) => url = next,
                None => return Ok(all),
            }
        }
        Err(nonsense(format!("more than {MAX_PAGES} pages")))
    }

    fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError> {
        let url = self.url(collection, Some(sid).filter(|sid| !sid.is_empty()));
        self.request(Verb::Get, &url, &Form::default())
    }

    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError> {
        let url = self.url(collection, None);
        self.request(Verb::Create, &url, form)
    }

    fn update(&mut self, collection: &Collection, sid: &str, form: &Form) -> Result<Value, ApiError> {
        let url = self.url(collection, Some(sid));
        self.request(Verb::Update, &url, form)
    }

    fn delete(&mut self, collection: &Collection, sid: &str) -> Result<(), ApiError> {
        let url = self.url(collection, Some(sid));
        self.request(Verb::Delete, &url, &Form::default()).map(drop)
    }

    fn upload(&mut self, _service: &str, _asset: &str, _upload: &Upload<'_>) -> Result<Value, ApiError> {
        todo!()
    }
}

impl Verb {
    fn method(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Create | Verb::Update => "POST",
            Verb::Delete => "DELETE",
        }
    }
}

impl Answer {
    /// Reads both shapes: Twilio's `{code, message, status}` and RFC 9457's `{type, title, detail, status}`, and an
    /// answer that is neither, from a proxy on the way.
    fn error(&self, request: &str) -> ApiError {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = body
            .get("code")
            .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .and_then(|code| u32::try_from(code).ok())
            .or(self.code);
        let message = text("message").or(text("detail")).or(text("title")).unwrap_or("no reason given");
        let message = match self.status {
            401 => format!("{message}; check the account SID and the auth token"),
            _ => message.to_owned(),
        };
        let (request, status) = (request.to_owned(), self.status);
        match status {
            429 | 500..=599 => ApiError::Unavailable { request, status, code, message },
            _ => ApiError::Refused { request, status, code, message },
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("account", &self.account).field("count", &self.count).finish_non_exhaustive()
    }
}

fn header<'a, T>(response: &'a Response<T>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// A reply's JSON with secrets masked; nothing of a reply that is not JSON.
fn masked(body: &str) -> String {
    fn mask(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match SECRET_FIELDS.contains(&name.as_str()) {
                        true => *value = Value::from("***"),
                        false => mask(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(mask),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(body) {
        Ok(mut value) => {
            mask(&mut value);
            value.to_string()
        }
        Err(_) => format!("({} bytes)", body.len()),
    }
}

pub(super) fn read_roots(path: &Path) -> Result<RootCerts, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut roots = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            roots.push(certificate);
        }
    }
    match roots.is_empty() {
        true => Err("holds no certificate; write a PEM file".to_owned()),
        false => Ok(RootCerts::Specific(Arc::new(roots))),
    }
}

#[cfg(test)]
mod tests;
