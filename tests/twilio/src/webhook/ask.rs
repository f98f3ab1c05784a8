//! Sending a webhook, with the limits, retries and the fallback (TWILIO.md "Webhook limits",
//! TWILIO.md "Webhook fallback").

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::signature::sign;
use super::url::Overrides;
use crate::form;
use crate::journal::Event;
use crate::random;
use crate::twilio::Twilio;
use crate::twiml::document::{Element, parse};

/// TWILIO.md "Webhook answers": Body > 64 kB -> 11750.
const MAX_BODY: u64 = 64 * 1024;

/// Where a webhook goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// As configured, with its fragment.
    pub url: String,
    /// GET or POST.
    pub method: String,
}

/// What came back.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type without parameters.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no TwiML: Twilio's code and words.
#[derive(Clone, Debug)]
pub struct Failure {
    /// 11200, 11205, 12100, ...
    pub code: u32,
    /// Words for people.
    pub text: String,
}

/// Asks `primary`, then `fallback` with `ErrorCode` and `ErrorUrl`, for a document; gives it with its URL.
pub async fn document(
    twilio: &Arc<Twilio>,
    primary: &Target,
    fallback: Option<&Target>,
    params: &[(String, String)],
) -> Result<(Element, String), Failure> {
    let failure = match fetch(twilio, primary, params).await {
        Ok(element) => return Ok((element, primary.url.clone())),
        Err(failure) => failure,
    };
    report(twilio, &primary.url, params, &failure);
    let Some(fallback) = fallback else { return Err(failure) };
    let mut params = params.to_vec();
    params.push(("ErrorCode".to_owned(), failure.code.to_string()));
    params.push(("ErrorUrl".to_owned(), primary.url.clone()));
    match fetch(twilio, fallback, &params).await {
        Ok(element) => Ok((element, fallback.url.clone())),
        Err(failure) => {
            report(twilio, &fallback.url, &params, &failure);
            Err(failure)
        }
    }
}

fn report(twilio: &Twilio, url: &str, params: &[(String, String)], failure: &Failure) {
    let (url, call, error) = (url.to_owned(), call_of(params), failure.code);
    twilio.journal.write(Event::WebhookFailed { url, call, error, text: failure.text.clone() });
}

fn call_of(params: &[(String, String)]) -> String {
    params.iter().find(|(n, _)| n == "CallSid").map_or_else(String::new, |(_, v)| v.clone())
}

async fn fetch(twilio: &Arc<Twilio>, target: &Target, params: &[(String, String)]) -> Result<Element, Failure> {
    let answer = ask(twilio, target, params).await?;
    if !(200..300).contains(&answer.status) {
        return Err(Failure { code: 11200, text: format!("HTTP status {}", answer.status) });
    }
    // Which media types are TwiML; any other is 12300 (TWILIO.md "Webhook answers").
    if !["text/xml", "application/xml", "text/html", "text/plain"].contains(&answer.content_type.as_str()) {
        return Err(Failure { code: 12300, text: format!("Content-Type {:?}", answer.content_type) });
    }
    let text = String::from_utf8(answer.body).map_err(|_| Failure { code: 12100, text: "not UTF-8".to_owned() })?;
    let (element, warnings) = parse(&text).map_err(|(code, text)| Failure { code, text })?;
    for warning in warnings {
        twilio.journal.alert(12200, format!("Schema validation warning: {warning}"));
    }
    Ok(element)
}

/// Sends one webhook (with its retries) and gives the answer whatever its status.
pub async fn ask(twilio: &Arc<Twilio>, target: &Target, params: &[(String, String)]) -> Result<Answer, Failure> {
    let overrides = Overrides::of(&target.url);
    // TWILIO.md "Webhook requests": I-Twilio-Idempotency-Token (same token on retries).
    let token = random::uuid();
    let deadline = Instant::now() + Duration::from_millis(overrides.total_ms);
    let mut attempt = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = once(twilio, target, params, &token, &overrides, left).await;
        let again = match &outcome {
            // Default policy `ct`: connect failures only.
            Err(failure) => failure.code == 11205 || overrides.policy.contains("all"),
            Ok(answer) if answer.status >= 500 => ["5xx", "all"].iter().any(|p| overrides.policy.contains(p)),
            Ok(answer) if answer.status >= 400 => ["4xx", "all"].iter().any(|p| overrides.policy.contains(p)),
            Ok(_) => false,
        };
        if !again || attempt >= overrides.retries || Instant::now() >= deadline {
            return outcome;
        }
        attempt += 1;
    }
}

async fn once(
    twilio: &Arc<Twilio>,
    target: &Target,
    params: &[(String, String)],
    token: &str,
    overrides: &Overrides,
    limit: Duration,
) -> Result<Answer, Failure> {
    let mut sorted = params.to_vec();
    // TWILIO.md "Webhook requests": Fields arrive sorted by name.
    sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let url = target.url.split('#').next().unwrap_or("").to_owned();
    let get = target.method == "GET";
    let full_url = match get {
        true if url.contains('?') => format!("{url}&{}", form::encode(&sorted)),
        true => format!("{url}?{}", form::encode(&sorted)),
        false => url,
    };
    let left_out = twilio.switches().sign_without_call_token;
    let signed: Vec<(String, String)> = match get {
        true => Vec::new(),
        false => sorted
            .iter()
            .filter(|(name, _)| !(left_out && ["CallToken", "StirVerstat"].contains(&name.as_str())))
            .cloned()
            .collect(),
    };
    let signature = sign(&twilio.auth_token(), &full_url, &signed);
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .user_agent("TwilioProxy/1.1")
        .accept("*/*")
        .max_redirects(10)
        .timeout_connect(Some(Duration::from_millis(overrides.connect_ms)))
        .timeout_global(Some(limit))
        .tls_config(TlsConfig::builder().root_certs(twilio.webhook_roots.clone()).build())
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let (body, token, sent_url) = (form::encode(&sorted), token.to_owned(), full_url.clone());
    let start = Instant::now();
    let sent = tokio::task::spawn_blocking(move || {
        let result = if get {
            agent
                .get(&sent_url)
                .header("X-Twilio-Signature", &signature)
                .header("I-Twilio-Idempotency-Token", &token)
                .call()
        } else {
            agent
                .post(&sent_url)
                .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
                .header("X-Twilio-Signature", &signature)
                .header("I-Twilio-Idempotency-Token", &token)
                .send(body.as_str())
        };
        let mut response = result.map_err(failure)?;
        let header = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("");
        let content_type = header.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let body = response.body_mut().with_config().limit(MAX_BODY).read_to_vec().map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => Failure { code: 11750, text: "TwiML body over 64 kB".to_owned() },
            other => failure(other),
        })?;
        Ok(Answer { status: response.status().as_u16(), content_type, body })
    });
    let outcome = sent.await.unwrap_or_else(|e| Err(Failure { code: 12400, text: e.to_string() }));
    let millis = start.elapsed().as_millis() as u64;
    let status = outcome.as_ref().map_or(0, |answer| answer.status);
    let call = call_of(&sorted);
    twilio.journal.write(Event::Webhook { url: full_url, call, status, millis, params: sorted });
    outcome
}

/// Whom webhooks by https trust: the certificates of a PEM file, in the place of the known authorities.
pub fn roots(path: Option<&Path>) -> Result<RootCerts, std::io::Error> {
    let Some(path) = path else { return Ok(RootCerts::WebPki) };
    let pem = std::fs::read(path)?;
    let certificates = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::Specific(Arc::new(certificates.collect())))
}

fn failure(error: ureq::Error) -> Failure {
    let code = match &error {
        ureq::Error::HostNotFound => 11210,
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect) => 11205,
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => 11205,
        ureq::Error::TooManyRedirects => 11215,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => 11220,
        _ => 11200,
    };
    Failure { code, text: error.to_string() }
}
