//! Twilio's REST API over HTTPS: one request at a time (TWILIO.md "API rate limits"), with time-outs and back-off.

mod answer;
mod clock;
mod hosts;
mod login;
mod multipart;
mod trace;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::SendBody;

use self::answer::Answer;
pub use self::clock::{Ask, Clock};
use self::hosts::Hosts;
use self::login::Login;
use self::multipart::Multipart;
use self::trace::Mask;
use super::agent::{CaError, agent};
use gateway_account::api::{Api, ApiError, Collection, Form, FormValue, Product, Upload};
use gateway_core::backoff::doubled;
use gateway_core::random::Random;
use gateway_core::secret::Secret;
use gateway_core::url::masked;

/// One request from its beginning to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The same for an upload: 25 MB over a line of 350 kbit/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is sent that is answered by 429, 5xx or not at all.
const ATTEMPTS: u32 = 5;

/// Before the second attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(500);

/// Longest pause between attempts, also when `Retry-After` asks for more.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Most pages of a collection.
const MAX_PAGES: usize = 100;

/// Is told each request and its answer, secrets masked.
pub type Trace = Box<dyn FnMut(&str)>;

/// Waits so long, for a reason that a person may be told. The same reason again means that the wait goes on.
pub type Pause = Box<dyn FnMut(Duration, &str)>;

/// What to reach and as whom.
pub struct Options<'a> {
    /// `https://api.twilio.com`, `https://api.EDGE.REGION.twilio.com`, or what stands in for all of Twilio.
    pub base: &'a str,
    pub account_sid: &'a str,
    /// `AC…` with the auth token, or `SK…` with its secret (TWILIO.md "API login").
    pub user: &'a str,
    pub password: &'a Secret<String>,
    /// PEM file of roots to trust instead of Mozilla's.
    pub ca_file: Option<&'a Path>,
    /// Seed for the jitter of pauses and the boundaries of uploads.
    pub random: Random,
    /// Between attempts, and while there is no time that can be trusted. [`logged_pause`] makes one that sleeps.
    pub pause: Pause,
    pub clock: Clock,
    pub trace: Option<Trace>,
}

/// A pause that sleeps, and tells each reason once.
pub fn logged_pause(mut tell: impl FnMut(&str) + 'static) -> Pause {
    let mut told = String::new();
    Box::new(move |pause, reason| {
        if told != reason {
            tell(reason);
            reason.clone_into(&mut told);
        }
        std::thread::sleep(pause);
    })
}

/// Requests sent so far, repeated ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub reads: u32,
    pub writes: u32,
}

impl std::ops::Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count { reads: self.reads + other.reads, writes: self.writes + other.writes }
    }
}

/// `12 reads, 1 write`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |count: u32| if count == 1 { "" } else { "s" };
        write!(f, "{} read{}, {} write{}", self.reads, s(self.reads), self.writes, s(self.writes))
    }
}

/// The client.
pub struct Client {
    agent: ureq::Agent,
    hosts: Hosts,
    account_sid: String,
    login: Login,
    random: Random,
    pause: Pause,
    clock: Clock,
    trace: Option<Trace>,
    pub count: Count,
}

/// A request, as often as it is sent.
#[derive(Clone, Copy)]
enum Request<'a> {
    Get,
    /// A POST that makes something: a second one may make a second thing.
    Create(&'a Form),
    /// A POST that changes something: a second one changes nothing more.
    Update(&'a Form),
    /// A second one makes a version more, which nothing uses.
    Upload(&'a Upload<'a>),
    Delete,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(options: Options<'_>) -> Result<Client, CaError> {
        let agent = agent(options.ca_file, &options.clock.trusted, TIMEOUT, CONNECT_TIMEOUT)?;
        Ok(Client {
            agent,
            hosts: Hosts::new(options.base, options.account_sid),
            account_sid: options.account_sid.to_owned(),
            login: Login::new(options.user, options.password),
            random: options.random,
            pause: options.pause,
            clock: options.clock,
            trace: options.trace,
            count: Count::default(),
        })
    }

    /// Makes further requests as somebody else: `AC…` with the auth token, or `SK…` with its secret.
    pub fn authenticate(&mut self, user: &str, password: &Secret<String>) {
        self.login = Login::new(user, password);
    }

    /// Sends until there is an answer that will not change by asking again.
    fn request(&mut self, request: Request<'_>, url: &str) -> Result<Value, ApiError> {
        let shown = format!("{} {}", request.method(), self.hosts.shown(url));
        let mut clock_waits = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let sent = self.send(request, url);
            if let Err(error) = &sent
                && clock::is_about_time(error)
                && self.see_to_clock(&shown, &mut clock_waits)?
            {
                // Nothing was sent: the handshake comes before the request.
                continue;
            }
            match request {
                Request::Get => self.count.reads += 1,
                _ => self.count.writes += 1,
            }
            let sent = sent.map_err(|error| masked(&error.to_string()));
            let mask = Mask::new(&self.login.password, request.form());
            if let Some(trace) = &mut self.trace {
                trace(&line(&shown, request, &sent, &mask));
            }
            let (error, retry_after, reason) = match sent {
                Ok(answer) => match answer.status {
                    404 if matches!(request, Request::Delete) => return Ok(Value::Null),
                    204 => return Ok(Value::Null),
                    200..=299 => {
                        return serde_json::from_str(&answer.body).map_err(|error| ApiError::Nonsense {
                            request: shown,
                            reason: format!("no JSON at line {}", error.line()),
                        });
                    }
                    status => {
                        let advice = self.login.advice(&self.account_sid);
                        let error = answer.error(&shown, &advice, &mask);
                        (error, answer.retry_after, format!("Twilio is busy or in trouble ({status})"))
                    }
                },
                Err(reason) => {
                    let told = format!("no answer from Twilio ({reason})");
                    (ApiError::NoAnswer { request: shown.clone(), reason }, None, told)
                }
            };
            let again = match &error {
                // Never carried out (TWILIO.md "API rate limits"), so even a creation may be sent again.
                ApiError::Unavailable { status: 429, .. } => true,
                ApiError::Unavailable { .. } | ApiError::NoAnswer { .. } => !matches!(request, Request::Create(_)),
                ApiError::Refused { .. } | ApiError::Nonsense { .. } | ApiError::Clock { .. } => false,
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            let pause = self.backoff(attempt, retry_after);
            (self.pause)(pause, &format!("{reason}; next try in {:.1} s", pause.as_secs_f64()));
            attempt += 1;
        }
    }

    fn send(&mut self, request: Request<'_>, url: &str) -> Result<Answer, ureq::Error> {
        let authorization = self.login.authorization.expose().as_str();
        let response = match request {
            Request::Get => self.agent.get(url).header("Authorization", authorization).call(),
            Request::Delete => self.agent.delete(url).header("Authorization", authorization).call(),
            Request::Create(form) | Request::Update(form) => {
                let fields = form.0.iter().map(|(name, value)| {
                    let value = match value {
                        FormValue::Plain(text) => text.as_str(),
                        FormValue::Secret(secret) => secret.expose().as_str(),
                    };
                    (name.as_str(), value)
                });
                self.agent.post(url).header("Authorization", authorization).send_form(fields)
            }
            Request::Upload(upload) => {
                let body = Multipart::new(upload, &mut self.random);
                let post = self.agent.post(url).header("Authorization", authorization);
                let post = post.header("Content-Type", body.content_type()).header("Content-Length", body.len());
                let post = post.config().timeout_global(Some(UPLOAD_TIMEOUT)).build();
                post.send(SendBody::from_reader(&mut body.reader()))
            }
        };
        Answer::read(response?)
    }

    /// Waits until there is a time that can be trusted, for what is asked over TLS without this client.
    pub fn wait_for_time(&mut self, shown: &str) -> Result<(), ApiError> {
        let mut waited = Duration::ZERO;
        match self.clock.trusted.trusted() {
            Ok(_) => Ok(()),
            Err(_) => self.see_to_clock(shown, &mut waited).map(drop),
        }
    }

    /// What requests go by.
    pub fn time(&self) -> &crate::net::clock::Clock {
        &self.clock.trusted
    }

    /// Whether there is another time than the one by which a certificate was refused.
    fn see_to_clock(&mut self, shown: &str, waited: &mut Duration) -> Result<bool, ApiError> {
        let seen_to = self.clock.see_to(&mut self.pause, waited);
        seen_to.map_err(|doubt| ApiError::Clock { request: shown.to_owned(), doubt })
    }

    /// `500 ms · 2^n`, up to a quarter more by chance, and at least what Twilio asks for.
    fn backoff(&mut self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let pause = doubled(BACKOFF, attempt.saturating_sub(1), MAX_BACKOFF);
        let jitter = Duration::from_millis(self.random.below(pause.as_millis() as u64 / 4 + 1));
        (pause + jitter).max(retry_after.unwrap_or_default()).min(MAX_BACKOFF)
    }
}

impl Api for Client {
    fn account(&mut self) -> Result<Value, ApiError> {
        let url = self.hosts.account();
        self.request(Request::Get, &url)
    }

    fn list(&mut self, collection: &Collection, records: &str) -> Result<Vec<Value>, ApiError> {
        let mut url = self.hosts.first_page(collection);
        let shown = format!("GET {}", self.hosts.shown(&url));
        let nonsense = |reason: String| ApiError::Nonsense { request: shown.clone(), reason };
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut page = self.request(Request::Get, &url)?;
            // The v1 shape names its own array.
            let key = page.pointer("/meta/key").and_then(Value::as_str).unwrap_or(records).to_owned();
            match page.get_mut(&key).map(Value::take) {
                Some(Value::Array(records)) => all.extend(records),
                _ => return Err(nonsense(format!("no list {key:?}"))),
            }
            let link = page.get("next_page_uri").or_else(|| page.get("meta")?.get("next_page_url"));
            url = match link.and_then(Value::as_str) {
                None | Some("") => return Ok(all),
                Some(link) => {
                    let foreign = |_| nonsense("the next page is on another host".to_owned());
                    self.hosts.follow(&url, link).map_err(foreign)?
                }
            };
        }
        Err(nonsense(format!("more than {MAX_PAGES} pages")))
    }

    fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError> {
        let url = self.hosts.resource(collection, Some(sid).filter(|sid| !sid.is_empty()));
        self.request(Request::Get, &url)
    }

    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError> {
        let url = self.hosts.resource(collection, None);
        self.request(Request::Create(form), &url)
    }

    fn update(&mut self, collection: &Collection, sid: &str, form: &Form) -> Result<Value, ApiError> {
        let url = self.hosts.resource(collection, Some(sid));
        self.request(Request::Update(form), &url)
    }

    fn delete(&mut self, collection: &Collection, sid: &str) -> Result<(), ApiError> {
        let url = self.hosts.resource(collection, Some(sid));
        self.request(Request::Delete, &url).map(drop)
    }

    fn upload(&mut self, service: &str, asset: &str, upload: &Upload<'_>) -> Result<Value, ApiError> {
        let path = format!("Services/{service}/Assets/{asset}/Versions");
        let url = self.hosts.resource(&Collection::new(Product::Upload, path), None);
        self.request(Request::Upload(upload), &url)
    }
}

impl<'a> Request<'a> {
    fn method(self) -> &'static str {
        match self {
            Request::Get => "GET",
            Request::Create(_) | Request::Update(_) | Request::Upload(_) => "POST",
            Request::Delete => "DELETE",
        }
    }

    fn form(self) -> Option<&'a Form> {
        match self {
            Request::Create(form) | Request::Update(form) => Some(form),
            Request::Get | Request::Upload(_) | Request::Delete => None,
        }
    }
}

/// One request and what came of it, for the trace.
fn line(shown: &str, request: Request<'_>, sent: &Result<Answer, String>, mask: &Mask<'_>) -> String {
    let body = match request {
        Request::Get | Request::Delete => String::new(),
        Request::Create(form) | Request::Update(form) => mask.form(form),
        Request::Upload(upload) => trace::upload(upload),
    };
    match sent {
        Ok(answer) => format!("{shown}{body} -> {} {}", answer.status, mask.answer(&answer.body)),
        Err(reason) => format!("{shown}{body} -> no answer: {reason}"),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Client { account_sid, count, .. } = self;
        f.debug_struct("Client").field("account", account_sid).field("count", count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
