//! Message bodies (RFC 3261 section 7.4, RFC 5621): which part of one is the session description.
//!
//! One rule for every message that can carry an offer or an answer, request or response: **the first `application/sdp`
//! part counts, however deep it lies and whatever lies beside it.** A location (RFC 6442), a picture or a part that
//! nobody knows beside it says nothing about the packets on the wire, so it is passed over.
//!
//! | the body | what counts |
//! |---|---|
//! | `application/sdp`, any case, any parameters | it |
//! | no Content-Type, and it begins with `v=0` | it |
//! | `multipart/alternative` | its last part that can be used (RFC 2046 section 5.1.4: the last is the best) |
//! | any other `multipart/…` | its first part that can be used (RFC 2046 section 5.1.3 takes unknown kinds for mixed) |
//! | disposition `early-session` (RFC 3959) | not it: that is another session |
//! | anything else with `handling=optional`, or no octets at all | no description, and no fault |
//! | anything else | [`BodyError`]: 415 |

mod multipart;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsip::{Headers, Response};

use super::header::{self, Params};

/// Most parts of a body that are looked at, on all levels together. What lies behind them is not seen.
pub const MAX_PARTS: usize = 16;

/// How deep parts may lie in one another. What lies deeper is not seen.
pub const MAX_DEPTH: usize = 4;

/// What we accept, for 415 and OPTIONS (RFC 3261 section 20.1).
pub const ACCEPT: &str = "application/sdp, multipart/mixed, multipart/alternative";

/// The media type of a session description.
pub const SDP: &str = "application/sdp";

/// Why no session description is in a body that is there. Its status is 415.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is {0:?} and holds no session description")]
    Type(String),
    #[error("the body has Content-Encoding {0:?}; only identity is read")]
    Coding(String),
}

impl BodyError {
    /// The SIP status.
    pub const CODE: u16 = 415;

    /// Says in a 415 what would be taken (RFC 3261 section 8.2.3).
    pub fn explain(&self, response: &mut Response) {
        match self {
            BodyError::Type(_) => header::push_accept(&mut response.headers, ACCEPT),
            BodyError::Coding(_) => header::push_accept_encoding(&mut response.headers, "identity"),
        }
    }
}

/// The session description of a message; `None` when it has none and need not have one.
pub fn description<'a>(headers: &Headers, body: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, BodyError> {
    let mut parts = MAX_PARTS;
    match find(headers, body, MAX_DEPTH, &mut parts) {
        Found::Description(text) => Ok(Some(text)),
        Found::Nothing => Ok(None),
        Found::Unknown(error) => Err(error),
    }
}

/// The media type of a body in lower case, without parameters; empty when it is not named.
pub fn media_type(headers: &Headers) -> String {
    let kind = header::content_type(headers).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

/// What was found in a body or part.
enum Found<'a> {
    Description(Cow<'a, [u8]>),
    /// None, and it may be passed over.
    Nothing,
    Unknown(BodyError),
}

fn find<'a>(headers: &Headers, body: &'a [u8], depth: usize, parts: &mut usize) -> Found<'a> {
    if body.trim_ascii().is_empty() {
        return Found::Nothing;
    }
    let coded = header::content_encoding(headers).map(str::trim);
    let found = match coded.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Found::Unknown(BodyError::Coding(shown(coding))),
        None => match media_type(headers) {
            kind if kind.starts_with("multipart/") => find_in_parts(headers, &kind, body, depth, parts),
            kind => leaf(headers, kind, body),
        },
    };
    match found {
        Found::Unknown(_) if disposition(headers).1 == Handling::Optional => Found::Nothing,
        found => found,
    }
}

fn find_in_parts<'a>(headers: &Headers, kind: &str, body: &'a [u8], depth: usize, parts: &mut usize) -> Found<'a> {
    let unknown = Found::Unknown(BodyError::Type(shown(kind)));
    if depth == 0 {
        return unknown;
    }
    let is_alternative = kind == "multipart/alternative";
    let (mut best, mut any, mut odd) = (None, false, false);
    for part in multipart::split(body, parameter(header::content_type(headers), "boundary").as_deref()) {
        let Some(left) = parts.checked_sub(1) else { break };
        *parts = left;
        any = true;
        let (headers, body) = multipart::read(part);
        match find(&headers, body, depth - 1, parts) {
            Found::Description(text) if is_alternative => best = Some(text),
            Found::Description(text) => return Found::Description(text),
            Found::Nothing => {}
            Found::Unknown(_) => odd = true,
        }
    }
    match best {
        Some(text) => Found::Description(text),
        None if any && !odd => Found::Nothing,
        None => unknown,
    }
}

/// A body that has no parts.
fn leaf<'a>(headers: &Headers, kind: String, body: &'a [u8]) -> Found<'a> {
    let Some(text) = decode(headers, body) else { return Found::Unknown(BodyError::Type(shown(&kind))) };
    let is_sdp = kind == SDP || kind.is_empty() && text.trim_ascii_start().starts_with(b"v=0");
    match disposition(headers).0.as_str() {
        "early-session" if is_sdp => Found::Nothing,
        _ if is_sdp => Found::Description(text),
        _ => Found::Unknown(BodyError::Type(shown(&kind))),
    }
}

/// Whether a part must be understood (RFC 3261 section 20.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handling {
    Required,
    Optional,
}

/// Disposition in lower case, and handling.
fn disposition(headers: &Headers) -> (String, Handling) {
    let value = header::content_disposition(headers).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match parameter(header::content_disposition(headers), "handling") {
        Some(handling) if handling.eq_ignore_ascii_case("optional") => (kind, Handling::Optional),
        _ => (kind, Handling::Required),
    }
}

/// A parameter of a header's value.
fn parameter(value: Option<&str>, parameter: &str) -> Option<String> {
    let value = value?;
    Params::parse(value.get(value.find(';')?..)?)?.value(parameter).map(str::to_owned)
}

/// Content-Transfer-Encoding (RFC 2045 section 6), which SIP does not need and gateways from mail write all the same.
fn decode<'a>(headers: &Headers, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let coding = header::content_transfer_encoding(headers).unwrap_or_default().trim().to_ascii_lowercase();
    match coding.as_str() {
        "" | "7bit" | "8bit" | "binary" => Some(Cow::Borrowed(body)),
        "base64" => {
            let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            STANDARD.decode(text).ok().map(Cow::Owned)
        }
        "quoted-printable" => Some(Cow::Owned(multipart::unquote(body))),
        _ => None,
    }
}

/// What the sender wrote, short enough for a log line and on one line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
