//! `X-Twilio-Signature` (TWILIO.md "Signature").

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::url::Url;

/// The signature of a POST with `params`, or of a GET with none. `url` is the one configured at Twilio.
pub fn sign(token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut text = signed_url(url);
    // Step 3: keys in byte order; values of one key without duplicates, sorted.
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in params {
        sorted.entry(name).or_default().insert(value);
    }
    for (name, values) in sorted {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Steps 1 and 2: no `user:pass@`, no fragment, no port over https, the port kept over http.
fn signed_url(url: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    let Some(parts) = Url::parse(url) else { return url.to_owned() };
    let port = match parts.port {
        Some(port) if parts.scheme == "http" => format!(":{port}"),
        _ => String::new(),
    };
    format!("{}://{}{port}{}", parts.scheme, parts.host, parts.path_and_query)
}
