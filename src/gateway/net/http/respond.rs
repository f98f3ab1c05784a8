//! One request of the webhook endpoint: what it has to pass, and its answer.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::connections::Freshness;
use super::seen::Mark;
use super::shared::{Guard, Shared};
use super::{MAX_BODY, host, replies, report};
use gateway_core::config::Protection;
use gateway_core::hex::hex;
use gateway_core::twiml::credentials::{self, CredentialsError};
use gateway_core::twiml::dialplan::{WebhookRequest, answer};
use gateway_core::twiml::form::Form;
use gateway_core::twiml::proof::proof;
use gateway_core::twiml::refusal::Refusal;
use gateway_core::twiml::signature::{Content, Covered, MAX_SIGNATURE, SignatureError, SignedRequest};
use gateway_core::twiml::{Endpoint, NONCE_PATH, WebhookEvent};

/// The same request again within [`replies::MAX_REPLIES`] others gets the same answer (TWILIO.md "Webhook requests").
const IDEMPOTENCY_TOKEN: &str = "i-twilio-idempotency-token";
/// The field of a usage trigger that stays the same when it is repeated (TWILIO.md "Usage trigger callback").
const USAGE_TOKEN: &str = "IdempotencyToken";
const SIGNATURE: &str = "x-twilio-signature";
const SIGNATURE_SETTINGS: &str = "x-twilio-webhooks-signature-settings";

type Reply = Response<Full<Bytes>>;

/// The answer to a request. `freshness` is touched when it is Twilio's and did not come before.
pub(super) async fn respond(
    shared: &Shared,
    request: Request<Incoming>,
    events: &impl Fn(WebhookEvent),
    freshness: &Freshness,
) -> Reply {
    let current = shared.current();
    let path = request.uri().path();
    let Some(endpoint) = Endpoint::from_path(path) else {
        let nonce = path.strip_prefix(NONCE_PATH).filter(|_| request.method() == Method::GET);
        let let_in = match nonce {
            Some(nonce) => shared.gate().nonce(shared.now(), nonce),
            None => shared.gate().stranger(shared.now()).map(|()| None),
        };
        let expected = match let_in {
            Ok(expected) => expected,
            Err(wait) => return too_many(shared, wait, events),
        };
        // A proof of one URL that came in by another's name proves nothing (RFC 9110 section 15.5.20).
        if let Some(by) = expected.and_then(|expected| expected.by)
            && host::named(request.headers()).is_some_and(|named| named != by)
        {
            return refusal(StatusCode::MISDIRECTED_REQUEST);
        }
        if let Some(proven) = nonce.and_then(|nonce| proof(&current.secrets, nonce)) {
            return proven_reply(proven);
        }
        stray(shared, Refusal::NoSuchPath, events);
        return refusal(StatusCode::NOT_FOUND);
    };
    // Whoever is asked for credentials (RFC 7617) costs no more than whoever is turned away, and may be Twilio.
    let mark = text(request.headers(), SIGNATURE).map(mark_of_signature);
    let is_worn = mark.flatten().is_some_and(|mark| shared.is_worn(&mark));
    if let Guard::Signature(_) = current.guard {
        let let_in = match mark {
            Some(_) if is_worn => shared.gate().replay(shared.now()),
            Some(_) => shared.gate().signed(shared.now()),
            None => shared.gate().stranger(shared.now()),
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
            report(row, events, |in_a_row| match current.config.webhook.protect {
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
                report(row, events, |in_a_row| WebhookEvent::Unauthorized { endpoint, error, in_a_row });
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
            report(row, events, |in_a_row| WebhookEvent::BadForm { endpoint, error, in_a_row });
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
    let (covered, by) = match &current.guard {
        Guard::Signature(verifier) => {
            match verifier.verified(&SignedRequest { path_and_query, content, signature, settings }) {
                Ok(verified) => {
                    // It was taken from the replays' bucket then.
                    if !is_worn {
                        shared.gate().was_good();
                    }
                    (verified.covered, current.url(verified.url))
                }
                Err(error) => return unsigned(shared, endpoint, error, events),
            }
        }
        Guard::Credentials(_) | Guard::Nothing => (Covered::All, named_url(&current.urls, &head.headers)),
    };
    if !form.is_of_account(&current.config.twilio.account_sid) {
        let row = shared.refuse(Refusal::OtherAccount);
        report(row, events, |in_a_row| WebhookEvent::OtherAccount { endpoint, in_a_row });
        return refusal(StatusCode::FORBIDDEN);
    }
    shared.counts.answered.fetch_add(1, Ordering::Relaxed);
    // Twilio's own question for the credentials came before its request with them.
    shared.refusals().end_row(Refusal::Unauthorized);
    let mark = match &current.guard {
        Guard::Signature(_) => mark.flatten(),
        Guard::Credentials(_) | Guard::Nothing => Some(mark_of_content(path_and_query, &body)),
    };
    // A good signature has a mark.
    let is_fresh = mark.is_some_and(|mark| shared.is_fresh(mark));
    if is_fresh {
        freshness.touch(shared.now());
        if let Some(url) = by.filter(|url| !url.is_empty()) {
            shared.note_came_by(url);
        }
    } else {
        let row = shared.refusals().add_replay(shared.now());
        report(row, events, |in_a_row| WebhookEvent::Replayed { endpoint, in_a_row });
    }

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
    let call_back = &|number: &str| shared.call_back(number);
    let forward = &|call_sid: &str| shared.forward(call_sid);
    let over = forward_that_ends(endpoint, &form);
    // A call goes on by the URL that Twilio knows to work.
    let announced = by.filter(|by| current.announced.contains(by));
    let base = announced.map(|by| credentials::told(&current.config, &current.secrets, by));
    let (carrier, spending) = (shared.carrier(), shared.spending());
    let (base, carrier, spending) = (base.as_ref().unwrap_or(&current.base), carrier.as_deref(), &spending);
    let request = WebhookRequest { endpoint, base, form, carrier, call_back, forward, spending };
    let answer = answer(&current.config, &request);
    if let Some(call_sid) = over.filter(|_| !matches!(answer.event, WebhookEvent::Forwarded { .. })) {
        shared.forward_over(&call_sid);
    }
    // What came before was told then.
    if is_fresh {
        events(answer.event);
    }
    let document = answer.document.map(|document| Bytes::from(document.to_xml()));
    if let Some(key) = key {
        replies().insert(key, document.clone());
    }
    reply(document)
}

/// The call that a request ends, as far as it was forwarded: a `<Dial>` is over, or the call itself.
fn forward_that_ends(endpoint: Endpoint, form: &Form<'_>) -> Option<String> {
    let goes_on = matches!(form.get("CallStatus"), Some("queued" | "initiated" | "ringing" | "in-progress"));
    let ends = match endpoint {
        Endpoint::Dialed | Endpoint::Forwarded => true,
        Endpoint::Status => !goes_on,
        Endpoint::Outgoing | Endpoint::Incoming | Endpoint::CalledBack | Endpoint::Usage => false,
    };
    form.get("CallSid").filter(|_| ends).map(str::to_owned)
}

fn unsigned(shared: &Shared, endpoint: Endpoint, error: SignatureError, events: &impl Fn(WebhookEvent)) -> Reply {
    let row = shared.refuse(Refusal::Unsigned);
    report(row, events, |in_a_row| WebhookEvent::Unsigned { endpoint, error, in_a_row });
    refusal(StatusCode::FORBIDDEN)
}

pub(super) fn stray(shared: &Shared, reason: Refusal, events: &impl Fn(WebhookEvent)) {
    report(shared.refuse(reason), events, |in_a_row| WebhookEvent::Stray { reason, in_a_row });
}

/// Longest Retry-After, in seconds.
const MAX_RETRY_AFTER: u64 = 60;

/// Turned away before anything of it is read (RFC 6585 section 4).
fn too_many(shared: &Shared, wait: Duration, events: &impl Fn(WebhookEvent)) -> Reply {
    let row = shared.refuse(Refusal::TooMany);
    report(row, events, |in_a_row| WebhookEvent::TooMany { in_a_row });
    let mut reply = refusal(StatusCode::TOO_MANY_REQUESTS);
    let seconds = wait.as_secs().saturating_add(1).min(MAX_RETRY_AFTER);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// What stands for a signed request: the front of its HMAC. `None` for what is no signature.
fn mark_of_signature(signature: &str) -> Option<Mark> {
    let signature = Some(signature).filter(|signature| signature.len() <= MAX_SIGNATURE)?;
    BASE64.decode(signature).ok()?.first_chunk().copied()
}

/// What stands for a request that carries credentials: all of it, for nothing signs it.
fn mark_of_content(path_and_query: &str, body: &[u8]) -> Mark {
    let hash = hash(path_and_query, body);
    std::array::from_fn(|at| hash[at])
}

/// Stands for a request's content.
fn digest(path_and_query: &str, body: &[u8]) -> String {
    hex(&hash(path_and_query, body))
}

fn hash(path_and_query: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(path_and_query).chain_update([0]).chain_update(body).finalize().into()
}

/// The URL that a request came by, where no signature tells: the one that it names, or the only one that there is.
fn named_url<'a>(urls: &'a [String], headers: &HeaderMap) -> Option<&'a String> {
    match (host::named(headers), urls) {
        (_, [only]) => Some(only),
        (named, urls) => urls.iter().find(|url| named.is_some() && host::of_url(url) == named),
    }
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
