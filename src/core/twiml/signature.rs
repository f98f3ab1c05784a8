//! `X-Twilio-Signature` (TWILIO.md "Signature"): who signs, over what, and the comparison.
//!
//! The URL in the signature is the one that we ourselves set at Twilio: the configured public URL with the path and
//! query as they came in, never a Host or X-Forwarded header, which a tunnel rewrites and anyone can send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::form::Form;
use crate::hex::hex;
use crate::secret::Secret;
use crate::url::Url;

/// The fields that, by a field report, Twilio leaves out of the signature; the official rule counts them. Uncertain,
/// so both forms are accepted, and nothing here may ever believe these two fields (TWILIO.md "Signature").
const MAYBE_UNSIGNED: [&str; 2] = ["CallToken", "StirVerstat"];

/// Longest signature header that is looked at: base64 of SHA-256 is 44 bytes.
pub const MAX_SIGNATURE: usize = 64;

/// Which fields the signature turned out to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// All of them, which is the documented rule.
    All,
    /// All but `CallToken` and `StirVerstat`.
    WithoutCallTokenAndStirVerstat,
}

/// What a good signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub covered: Covered,
    /// Which of the verifier's URLs it is over, in the order in which they were given.
    pub url: usize,
}

/// Why a request is not Twilio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("no X-Twilio-Signature")]
    Missing,
    #[error("X-Twilio-Signature is not base64 of a SHA-1 or SHA-256 HMAC")]
    Malformed,
    #[error("the signature is made with a key that is not ours")]
    UnknownKey,
    #[error("the signature does not match; does webhook.public_url say what is set at Twilio, and is the token right?")]
    Mismatch,
    #[error("bodySHA256 is missing or is not the hash of the body")]
    BodyHash,
}

/// A key that requests may be signed with.
pub struct Key {
    /// The id of a SharedKey; the auth token has none.
    id: Option<String>,
    mac: KeyedMac,
}

enum KeyedMac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl Key {
    /// The account's auth token, which signs by HMAC-SHA1.
    pub fn auth_token(token: &Secret<String>) -> Self {
        Key { id: None, mac: KeyedMac::Sha1(keyed(token)) }
    }

    /// A SharedKey that signs by HMAC-SHA256 (Twilio's Webhook Settings, public beta).
    pub fn shared(id: &str, secret: &Secret<String>) -> Self {
        Key { id: Some(id.to_owned()), mac: KeyedMac::Sha256(keyed(secret)) }
    }

    /// Whether `X-Twilio-Webhooks-Signature-Settings: key=ID,algorithm=NAME` names this key; without it the auth
    /// token is meant.
    fn is_meant_by(&self, settings: Option<&str>) -> bool {
        let setting = |name: &str| {
            let mut parts = settings.unwrap_or_default().split(',');
            parts.find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let algorithm = match self.mac {
            KeyedMac::Sha1(_) => "HMAC_SHA1",
            KeyedMac::Sha256(_) => "HMAC_SHA256",
        };
        setting("key") == self.id.as_deref() && setting("algorithm").unwrap_or("HMAC_SHA1") == algorithm
    }

    fn verify(&self, parts: &[&str], expected: &[u8]) -> bool {
        match &self.mac {
            KeyedMac::Sha1(mac) => verify(mac.clone(), parts, expected),
            KeyedMac::Sha256(mac) => verify(mac.clone(), parts, expected),
        }
    }
}

fn keyed<M: Mac + KeyInit>(secret: &Secret<String>) -> M {
    M::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length (RFC 2104)")
}

/// `verify_slice` compares in constant time.
fn verify<M: Mac>(mut mac: M, parts: &[&str], expected: &[u8]) -> bool {
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.verify_slice(expected).is_ok()
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

/// What a signature covers besides the URL.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// GET: the fields are in the URL.
    Nothing,
    /// A form body.
    Form(&'a Form<'a>),
    /// Any other body, such as JSON: its hash is in the URL.
    Raw(&'a [u8]),
}

/// A request as far as signatures go.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// As received, percent-escapes untouched.
    pub path_and_query: &'a str,
    pub content: Content<'a>,
    /// The header `X-Twilio-Signature`.
    pub signature: Option<&'a str>,
    /// The header `X-Twilio-Webhooks-Signature-Settings`.
    pub settings: Option<&'a str>,
}

/// Checks signatures; made once per configuration, so that a request costs two SHA-1 passes and no set-up.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<Key>,
    /// The public URLs, each in the spellings that Twilio may sign, likeliest first.
    bases: Vec<Vec<String>>,
}

impl Verifier {
    /// `public_url` is what stands before the path in the URLs set at Twilio. More than one key is for the time
    /// between creating a new token and promoting it.
    pub fn new(public_url: &str, keys: Vec<Key>) -> Self {
        Verifier { keys, bases: vec![bases(public_url)] }
    }

    /// Takes signatures over another URL, too: one that Twilio may still call after the tunnel's has changed.
    pub fn also(mut self, public_url: &str) -> Self {
        self.bases.push(bases(public_url));
        self
    }

    /// Whether Twilio signed the request, and over which fields.
    pub fn verify(&self, request: &SignedRequest<'_>) -> Result<Covered, SignatureError> {
        self.verified(request).map(|verified| verified.covered)
    }

    /// The same, and which URL it is over: Twilio's word for where it sent the request.
    pub fn verified(&self, request: &SignedRequest<'_>) -> Result<Verified, SignatureError> {
        let signature = request.signature.ok_or(SignatureError::Missing)?;
        let expected = match signature.len() {
            ..=MAX_SIGNATURE => BASE64.decode(signature).map_err(|_| SignatureError::Malformed)?,
            _ => return Err(SignatureError::Malformed),
        };
        let mut keys = self.keys.iter().filter(|key| key.is_meant_by(request.settings)).peekable();
        keys.peek().ok_or(SignatureError::UnknownKey)?;

        let fields = match request.content {
            Content::Form(form) => sorted_fields(form),
            Content::Nothing | Content::Raw(_) => Vec::new(),
        };
        let verified = keys.find_map(|key| self.covered(key, request.path_and_query, &fields, &expected));
        match (verified, request.content) {
            (Some(verified), Content::Raw(body)) => check_body_hash(request.path_and_query, body).map(|()| verified),
            (Some(verified), _) => Ok(verified),
            (None, _) => Err(SignatureError::Mismatch),
        }
    }

    fn covered(&self, key: &Key, path: &str, fields: &[(&str, &str)], expected: &[u8]) -> Option<Verified> {
        let mut parts = Vec::with_capacity(2 + 2 * fields.len());
        let mut matches = |skip: &[&str]| {
            let spellings =
                self.bases.iter().enumerate().flat_map(|(of, bases)| bases.iter().map(move |base| (of, base)));
            spellings.into_iter().find_map(|(of, base)| {
                parts.clear();
                parts.extend([base.as_str(), path]);
                parts.extend(fields.iter().filter(|(n, _)| !skip.contains(n)).flat_map(|(n, v)| [*n, *v]));
                key.verify(&parts, expected).then_some(of)
            })
        };
        if let Some(url) = matches(&[]) {
            return Some(Verified { covered: Covered::All, url });
        }
        let doubtful = fields.iter().any(|(name, _)| MAYBE_UNSIGNED.contains(name));
        let url = doubtful.then(|| matches(&MAYBE_UNSIGNED)).flatten()?;
        Some(Verified { covered: Covered::WithoutCallTokenAndStirVerstat, url })
    }
}

/// By name in byte order, the values of one name sorted and each once.
fn sorted_fields<'a>(form: &'a Form<'_>) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<_> = form.fields().collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn check_body_hash(path_and_query: &str, body: &[u8]) -> Result<(), SignatureError> {
    let (_, query) = path_and_query.split_once('?').ok_or(SignatureError::BodyHash)?;
    let said = query.split('&').find_map(|field| field.strip_prefix("bodySHA256=")).ok_or(SignatureError::BodyHash)?;
    let hash = hex(&Sha256::digest(body));
    // The hash is no secret: the signature covers it.
    if said == hash { Ok(()) } else { Err(SignatureError::BodyHash) }
}

/// Without user info and fragment. Voice over https is signed without the port, over http with it; as other products
/// differ, SDKs test both, and so do we. A host is the same in any case (RFC 3986 section 6.2.2.1): it may be signed as
/// it was written, or in small letters.
fn bases(public_url: &str) -> Vec<String> {
    let Some(url) = Url::parse(public_url) else {
        return vec![public_url.to_owned()];
    };
    let (scheme, path) = (url.scheme(), url.path_and_query().trim_end_matches('/'));
    let default = if url.is_https() { "443" } else { "80" };
    let port = format!(":{}", url.written_port().unwrap_or(default));
    let ports = match url.written_port() {
        Some(_) if !url.is_https() => [port.as_str(), ""],
        _ => ["", port.as_str()],
    };
    let mut hosts = vec![url.host().to_owned(), url.host().to_ascii_lowercase()];
    hosts.dedup();
    hosts.iter().flat_map(|host| ports.map(|port| format!("{scheme}://{host}{port}{path}"))).collect()
}
