//! The webhook endpoint: HTTP/1.1 on a local address that a tunnel makes public, so everything here faces the internet.
//!
//! It limits, checks that the request is Twilio's, asks the pure dialplan in place and writes the answer; it decides nothing itself.
//! A request that is refused ends its connection, so that a stranger pays a handshake for each try.

mod gate;
mod refusals;
mod replies;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub use crate::bucket::Rate;
use crate::config::{Config, Protection};
use crate::hex::hex;
use crate::store::Secrets;
use crate::time::Instant;
use crate::twilio::setting::Setting;
use crate::twiml::credentials::{self, BasicVerifier, CredentialsError};
use crate::twiml::dialplan::{WebhookRequest, answer};
use crate::twiml::form::Form;
use crate::twiml::proof::proof;
pub use crate::twiml::refusal::{Counts, Refusal};
use crate::twiml::signature::{Content, Covered, Key, SignatureError, SignedRequest, Verifier};
use crate::twiml::{Endpoint, NONCE_PATH, WebhookEvent};
use gate::Gate;
pub use gate::Rates;
use refusals::Refusals;
use replies::Replies;

/// Largest body; Twilio's requests are about 1 kB.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest request line with all headers; more gets 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most headers.
pub const MAX_HEADERS: usize = 64;
/// Most connections at a time, and so a bound of memory: [`MAX_HEAD`] and [`MAX_BODY`] for each. For a further one the
/// oldest goes on which nothing of Twilio's has come: strangers who connect and keep silent must not lock Twilio out.
pub const MAX_CONNECTIONS: usize = 256;
/// From the start of a connection, or the end of its last request, to the end of the next request's headers.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of the headers to the end of the body. Twilio itself gives up after 15 s (twilio.md section 5.1).
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the cause (no descriptors left) does not go away by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The same request again within [`replies::MAX_REPLIES`] others gets the same answer (twilio.md section 5.1).
const IDEMPOTENCY_TOKEN: &str = "i-twilio-idempotency-token";
/// The field of a usage trigger that stays the same when it is repeated (twilio.md section 5.9).
const USAGE_TOKEN: &str = "IdempotencyToken";
const SIGNATURE: &str = "x-twilio-signature";
const SIGNATURE_SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// The bounds of a server; the defaults are the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: MAX_CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            rates: Rates::default(),
        }
    }
}

/// What all connections share; the configuration in it can be replaced while they run.
#[derive(Debug)]
pub struct Shared {
    current: RwLock<Arc<Current>>,
    /// What Twilio calls, the present one first, where a tunnel tells; else what the configuration says.
    urls: Mutex<Vec<String>>,
    limits: Limits,
    counts: Counters,
    gate: Mutex<Gate>,
    began: std::time::Instant,
}

/// One configuration with what was made of it.
#[derive(Debug)]
struct Current {
    config: Arc<Config>,
    secrets: Arc<Secrets>,
    guard: Guard,
    /// What stands before the path in URLs that Twilio is told.
    base: Setting,
    /// An answer of another configuration is no answer any more.
    replies: Mutex<Replies>,
}

/// How a request proves that it is Twilio's.
#[derive(Debug)]
enum Guard {
    Signature(Verifier),
    Credentials(BasicVerifier),
    /// The secrets hold nothing to check requests with.
    Nothing,
}

impl Current {
    fn new(mut config: Arc<Config>, secrets: Arc<Secrets>, urls: &[String]) -> Arc<Self> {
        if let Some(present) = urls.first().filter(|present| **present != config.webhook.public_url) {
            Arc::make_mut(&mut config).webhook.public_url.clone_from(present);
        }
        let public_url = &config.webhook.public_url;
        let guard = match (config.webhook.protect, &secrets.auth_token, &secrets.webhook) {
            (Protection::Signature, Some(token), _) => {
                let verifier = Verifier::new(public_url, vec![Key::auth_token(token)]);
                Guard::Signature(urls.iter().skip(1).fold(verifier, |verifier, former| verifier.also(former)))
            }
            (Protection::Credentials, _, Some(credentials)) => Guard::Credentials(BasicVerifier::new(credentials)),
            _ => Guard::Nothing,
        };
        let base = credentials::told(&config, &secrets, public_url);
        Arc::new(Current { config, secrets, guard, base, replies: Mutex::default() })
    }
}

#[derive(Debug, Default)]
struct Counters {
    answered: AtomicU64,
    refusals: Mutex<Refusals>,
    told_of_missing_fields: AtomicU64,
}

impl Shared {
    /// With the default limits.
    pub fn new(config: Arc<Config>, secrets: Arc<Secrets>) -> Self {
        Shared::with_limits(config, secrets, Limits::default())
    }

    /// With limits of one's own.
    pub fn with_limits(config: Arc<Config>, secrets: Arc<Secrets>, limits: Limits) -> Self {
        let current = RwLock::new(Current::new(config, secrets, &[]));
        Shared {
            current,
            urls: Mutex::default(),
            limits,
            counts: Counters::default(),
            gate: Mutex::new(Gate::new(limits.rates)),
            began: std::time::Instant::now(),
        }
    }

    /// From the next request on, this configuration and these secrets.
    pub fn replace(&self, config: Arc<Config>, secrets: Arc<Secrets>) {
        let next = Current::new(config, secrets, &self.urls.lock().unwrap_or_else(PoisonError::into_inner));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// From the next request on, Twilio calls the first of these URLs, and may still call the others.
    pub fn set_public_urls(&self, urls: Vec<String>) {
        *self.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
        let current = self.current();
        self.replace(Arc::clone(&current.config), Arc::clone(&current.secrets));
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        let reasons = self.refusals().totals();
        Counts { answered: self.counts.answered.load(Ordering::Relaxed), refused: reasons.iter().sum(), reasons }
    }

    /// Those of the configuration in force.
    pub fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.current().secrets)
    }

    /// This nonce is going to be fetched by ourselves: no rate holds for it.
    pub fn expect_nonce(&self, nonce: &str) {
        self.gate().expect(nonce);
    }

    /// Counts a refusal; its place in the row of its reason, if it is to be told.
    fn refuse(&self, reason: Refusal) -> Option<u64> {
        self.refusals().add(self.now(), reason)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.counts.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts connections until it is dropped, which closes them all. `events` is called in place and must not block.
pub async fn serve<E>(listener: TcpListener, shared: Arc<Shared>, events: E)
where
    E: Fn(WebhookEvent) + Send + Sync + 'static,
{
    let events = Arc::new(events);
    let mut connections = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        open.retain(|open| !open.task.is_finished());
        match accepted {
            Ok((stream, _)) => {
                if open.len() >= shared.limits.connections {
                    let row = shared.refuse(Refusal::TooManyConnections);
                    tell(row, &*events, |in_a_row| WebhookEvent::TooManyConnections { in_a_row });
                    let stranger = open.iter().position(|open| !open.is_twilio.load(Ordering::Relaxed));
                    match stranger.and_then(|stranger| open.remove(stranger)) {
                        Some(oldest) => oldest.task.abort(),
                        None => continue,
                    }
                }
                let is_twilio = Arc::new(AtomicBool::new(false));
                let task = connection(stream, shared.clone(), events.clone(), is_twilio.clone());
                open.push_back(Open { task: connections.spawn(task), is_twilio });
                let pause = shared.gate().connection(shared.now());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Err(error) => {
                let error = error.to_string();
                let row = shared.refuse(Refusal::AcceptFailed);
                tell(row, &*events, |in_a_row| WebhookEvent::AcceptFailed { error, in_a_row });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that is open.
struct Open {
    task: AbortHandle,
    /// A request of Twilio's came on it.
    is_twilio: Arc<AtomicBool>,
}

fn tell(in_a_row: Option<u64>, events: &impl Fn(WebhookEvent), event: impl FnOnce(u64) -> WebhookEvent) {
    if let Some(in_a_row) = in_a_row {
        events(event(in_a_row));
    }
}

async fn connection<E: Fn(WebhookEvent)>(
    stream: TcpStream,
    shared: Arc<Shared>,
    events: Arc<E>,
    is_twilio: Arc<AtomicBool>,
) {
    // An answer is one small write; a failure costs a delay, not the answer.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (shared, events, is_twilio) = (shared.clone(), events.clone(), is_twilio.clone());
        async move { Ok::<_, Infallible>(respond(&shared, request, &*events, &is_twilio).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // Garbage, a time-out or a reset: hyper has answered what can be answered, and it is over. Twilio's own connection
    // may wait for the next request until it is closed.
    if served.is_err_and(|error| error.is_timeout()) && !is_twilio.load(Ordering::Relaxed) {
        stray(&shared, Refusal::TooSlow, &*events);
    }
}

type Reply = Response<Full<Bytes>>;

async fn respond(
    shared: &Shared,
    request: Request<Incoming>,
    events: &impl Fn(WebhookEvent),
    is_twilio: &AtomicBool,
) -> Reply {
    let current = shared.current();
    let path = request.uri().path();
    let Some(endpoint) = Endpoint::from_path(path) else {
        let nonce = path.strip_prefix(NONCE_PATH).filter(|_| request.method() == Method::GET);
        let let_in = match nonce {
            Some(nonce) => shared.gate().nonce(shared.now(), nonce),
            None => shared.gate().stranger(shared.now()),
        };
        if let Err(wait) = let_in {
            return too_many(shared, wait, events);
        }
        if let Some(proven) = nonce.and_then(|nonce| proof(&current.secrets, nonce)) {
            return proven_reply(proven);
        }
        stray(shared, Refusal::NoSuchPath, events);
        return refusal(StatusCode::NOT_FOUND);
    };
    // Whoever is asked for credentials (RFC 7617) costs no more than whoever is turned away, and may be Twilio.
    let is_signed = request.headers().contains_key(SIGNATURE);
    if let Guard::Signature(_) = current.guard {
        let let_in = match is_signed {
            true => shared.gate().signed(shared.now()),
            false => shared.gate().stranger(shared.now()),
        };
        if let Err(wait) = let_in {
            return too_many(shared, wait, events);
        }
    }
    if !matches!(*request.method(), Method::POST | Method::GET) {
        stray(shared, Refusal::NoSuchMethod, events);
        let mut reply = refusal(StatusCode::METHOD_NOT_ALLOWED);
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        return reply;
    }
    let (head, body) = request.into_parts();
    // What can be refused without its body is not read.
    match &current.guard {
        Guard::Nothing => {
            let row = shared.refuse(Refusal::NothingToCheckWith);
            tell(row, events, |in_a_row| match current.config.webhook.protect {
                Protection::Signature => WebhookEvent::NoAuthToken { in_a_row },
                Protection::Credentials => WebhookEvent::NoCredentials { in_a_row },
            });
            return refusal(StatusCode::SERVICE_UNAVAILABLE);
        }
        Guard::Credentials(verifier) => {
            if let Err(error) = verifier.verify(text(&head.headers, header::AUTHORIZATION.as_str())) {
                // Twilio may ask once without, to be asked for them: the first in a row is nothing to tell of.
                let first = |in_a_row: &u64| *in_a_row > 1 || error != CredentialsError::Missing;
                let row = shared.refuse(Refusal::Unauthorized).filter(first);
                tell(row, events, |in_a_row| WebhookEvent::Unauthorized { endpoint, error, in_a_row });
                return unauthorized();
            }
        }
        Guard::Signature(_) => {}
    }
    let body = match read(body, shared.limits.body_timeout).await {
        Ok(body) => body,
        Err(status) => {
            match status {
                StatusCode::PAYLOAD_TOO_LARGE => stray(shared, Refusal::TooLarge, events),
                StatusCode::REQUEST_TIMEOUT => stray(shared, Refusal::TooSlow, events),
                // Whoever went away needs no telling of.
                _ => drop(shared.refuse(Refusal::Broken)),
            }
            return refusal(status);
        }
    };

    let path_and_query = head.uri.path_and_query().map_or("/", |p| p.as_str());
    let is_get = head.method == Method::GET;
    let is_form = is_form(&head.headers);
    let fields = match (is_get, is_form) {
        (true, _) => head.uri.query().unwrap_or_default().as_bytes(),
        (false, true) => &body[..],
        (false, false) => &[],
    };
    let form = match Form::decode(fields) {
        Ok(form) => form,
        Err(error) => {
            let row = shared.refuse(Refusal::BadForm);
            tell(row, events, |in_a_row| WebhookEvent::BadForm { endpoint, error, in_a_row });
            return refusal(StatusCode::BAD_REQUEST);
        }
    };
    let content = match (is_get, is_form) {
        (true, _) => Content::Nothing,
        (false, true) => Content::Form(&form),
        (false, false) => Content::Raw(&body),
    };
    let signature = text(&head.headers, SIGNATURE);
    let settings = text(&head.headers, SIGNATURE_SETTINGS);
    let covered = match &current.guard {
        Guard::Signature(verifier) => {
            match verifier.verify(&SignedRequest { path_and_query, content, signature, settings }) {
                Ok(covered) => {
                    shared.gate().was_good();
                    covered
                }
                Err(error) => return unsigned(shared, endpoint, error, events),
            }
        }
        Guard::Credentials(_) | Guard::Nothing => Covered::All,
    };
    shared.counts.answered.fetch_add(1, Ordering::Relaxed);
    // Twilio's own question for the credentials came before its request with them.
    shared.refusals().end_row(Refusal::Unauthorized);
    is_twilio.store(true, Ordering::Relaxed);

    let token = text(&head.headers, IDEMPOTENCY_TOKEN);
    let key = match (endpoint, &current.guard) {
        // A trigger that fires is told once, however often and with whatever amount Twilio repeats it.
        (Endpoint::Usage, _) => form.get(USAGE_TOKEN).or(token).and_then(|token| replies::key(token, "usage")),
        // What stands for URL and fields is part of the key, so no token can fetch another request's answer.
        (_, Guard::Signature(_)) => token.zip(signature).and_then(|(token, sig)| replies::key(token, sig)),
        _ => token.and_then(|token| replies::key(token, &digest(path_and_query, &body))),
    };
    let replies = || current.replies.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(document) = key.as_ref().and_then(|key| replies().get(key)) {
        return reply(document);
    }
    if covered == Covered::WithoutCallTokenAndStirVerstat
        && shared.counts.told_of_missing_fields.fetch_max(1, Ordering::Relaxed) == 0
    {
        let call_sid = form.get("CallSid").unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        events(WebhookEvent::SignedWithoutCallToken { call_sid });
    }
    let answer = answer(&current.config, &WebhookRequest { endpoint, base: &current.base, form });
    events(answer.event);
    let document = answer.document.map(|document| Bytes::from(document.to_xml()));
    if let Some(key) = key {
        replies().insert(key, document.clone());
    }
    reply(document)
}

fn unsigned(shared: &Shared, endpoint: Endpoint, error: SignatureError, events: &impl Fn(WebhookEvent)) -> Reply {
    let row = shared.refuse(Refusal::Unsigned);
    tell(row, events, |in_a_row| WebhookEvent::Unsigned { endpoint, error, in_a_row });
    refusal(StatusCode::FORBIDDEN)
}

fn stray(shared: &Shared, reason: Refusal, events: &impl Fn(WebhookEvent)) {
    tell(shared.refuse(reason), events, |in_a_row| WebhookEvent::Stray { reason, in_a_row });
}

/// Longest Retry-After, in seconds.
const MAX_RETRY_AFTER: u64 = 60;

/// Turned away before anything of it is read (RFC 6585 section 4).
fn too_many(shared: &Shared, wait: Duration, events: &impl Fn(WebhookEvent)) -> Reply {
    let row = shared.refuse(Refusal::TooMany);
    tell(row, events, |in_a_row| WebhookEvent::TooMany { in_a_row });
    let mut reply = refusal(StatusCode::TOO_MANY_REQUESTS);
    let seconds = wait.as_secs().saturating_add(1).min(MAX_RETRY_AFTER);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// Stands for a request's content.
fn digest(path_and_query: &str, body: &[u8]) -> String {
    hex(&Sha256::new().chain_update(path_and_query).chain_update([0]).chain_update(body).finalize())
}

/// The whole body, within size and time.
async fn read(body: Incoming, timeout: Duration) -> Result<Bytes, StatusCode> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match tokio::time::timeout(timeout, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Twilio's forms carry their type; what has none is taken for one.
fn is_form(headers: &HeaderMap) -> bool {
    const FORM: &str = "application/x-www-form-urlencoded";
    let Some(value) = text(headers, header::CONTENT_TYPE.as_str()) else {
        return true;
    };
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn reply(document: Option<Bytes>) -> Reply {
    let status = if document.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
    let has_body = document.is_some();
    let mut reply = Response::new(Full::new(document.unwrap_or_default()));
    *reply.status_mut() = status;
    if has_body {
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    }
    reply
}

/// The answer to a nonce.
fn proven_reply(proven: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(proven)));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Asks for the credentials (RFC 7617 section 2).
fn unauthorized() -> Reply {
    let mut reply = refusal(StatusCode::UNAUTHORIZED);
    let challenge = HeaderValue::from_static("Basic realm=\"gateway\"");
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    reply
}

fn refusal(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}
