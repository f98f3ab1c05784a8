//! Datagrams, and what a message must have to be one (RFC 3261 section 8.1.1, 18.3 and 20).

use rsip::common::Version;
use rsip::{Headers, Request, Response, SipMessage};

use super::head::{Head, Start, head_length, shown};
use super::reply::refuse;
use super::{Datagram, Fault, MAX_BODY, MAX_HEAD, ReadError, method_of};
use crate::sip::header::{self, NameAddr, Via};
use crate::sip::status::status;
use crate::sip::uri::{self, UriError};

/// Reads one datagram (RFC 3261 section 18.3: octets behind Content-Length are dropped, a short body is an error).
pub fn read_datagram(bytes: &[u8]) -> Result<Datagram, ReadError> {
    let Some(start) = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n' | 0)) else {
        return Ok(Datagram::Keepalive);
    };
    let bytes = &bytes[start..];
    // The search stops where the head may end at the latest.
    let window = &bytes[..bytes.len().min(MAX_HEAD)];
    let Some(head_end) = head_length(window, 0) else {
        let fault = if bytes.len() > MAX_HEAD { Fault::TooLarge } else { Fault::Truncated };
        return Err(refuse(&Head::scan(window), fault));
    };
    let head = Head::scan(&bytes[..head_end]);
    let rest = &bytes[head_end..];
    let body = match body_length(&head) {
        Ok(Some(length)) if length > MAX_BODY => Err(Fault::BodyTooLarge),
        Ok(Some(length)) => rest.get(..length).ok_or(Fault::Truncated),
        Ok(None) if rest.len() > MAX_BODY => Err(Fault::BodyTooLarge),
        Ok(None) => Ok(rest),
        Err(fault) => Err(fault),
    };
    message(head, body).map(Datagram::Message)
}

/// What Content-Length says, if it is there.
pub(super) fn body_length(head: &Head) -> Result<Option<usize>, Fault> {
    let mut lengths = header::values(&head.headers, "Content-Length");
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(Fault::Repeated("Content-Length"));
    }
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Header("Content-Length".into()));
    }
    // More digits than a usize has room for are too many octets, not a malformed header.
    Ok(Some(length.parse().unwrap_or(usize::MAX)))
}

/// Checks a head and its body, and makes the message of them.
pub(super) fn message(head: Head, body: Result<&[u8], Fault>) -> Result<SipMessage, ReadError> {
    match check(&head, &body) {
        Ok(start) => {
            let (headers, body) = (head.headers, body.unwrap_or_default().to_vec());
            Ok(match start {
                Checked::Request(method, uri) => {
                    SipMessage::Request(Request { method, uri, version: Version::V2, headers, body })
                }
                Checked::Response(code) => {
                    SipMessage::Response(Response { status_code: status(code), version: Version::V2, headers, body })
                }
            })
        }
        Err(fault) => Err(refuse(&head, fault)),
    }
}

enum Checked {
    Request(rsip::Method, rsip::Uri),
    Response(u16),
}

fn check(head: &Head, body: &Result<&[u8], Fault>) -> Result<Checked, Fault> {
    match &head.start {
        Start::Other => Err(Fault::NotSip),
        Start::Response { rest } => {
            let code = status_line(rest)?;
            check_headers(head, body)?;
            Ok(Checked::Response(code))
        }
        Start::Request { method, rest } => {
            // First the version: what another one writes in the headers is not ours to judge.
            let uri = request_line(rest)?;
            let cseq_method = check_headers(head, body)?;
            let uri = uri::parse_request(uri).map_err(|error| match error {
                UriError::Scheme(scheme) => Fault::UriScheme(shown(&scheme)),
                UriError::Malformed(_) => Fault::RequestLine,
            })?;
            // Headers of a URI have no place in a Request-URI (RFC 3261 section 19.1.1).
            if uri::has_headers(&uri) {
                return Err(Fault::RequestLine);
            }
            let known = method_of(method).ok_or_else(|| Fault::UnknownMethod(shown(method)))?;
            if cseq_method != method.as_ref() {
                return Err(Fault::CSeqMethod);
            }
            Ok(Checked::Request(known, uri))
        }
    }
}

/// `Request-URI SP SIP-Version`: exactly one space, which the URI can not hold. Gives the URI.
fn request_line(rest: &str) -> Result<&str, Fault> {
    let (uri, version) = rest.split_once(' ').ok_or(Fault::RequestLine)?;
    check_version(version, Fault::RequestLine)?;
    Ok(uri)
}

/// `SIP-Version SP Status-Code SP Reason-Phrase`. Gives the code; the phrase is for people only.
fn status_line(rest: &str) -> Result<u16, Fault> {
    let (version, rest) = rest.split_once(' ').ok_or(Fault::StatusLine)?;
    check_version(version, Fault::StatusLine)?;
    let code = rest.split(' ').next().unwrap_or_default();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::StatusLine);
    }
    code.parse().ok().filter(|code| (100..700).contains(code)).ok_or(Fault::StatusLine)
}

fn check_version(version: &str, malformed: Fault) -> Result<(), Fault> {
    if version.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match version.split_once('/').and_then(|(name, number)| Some((name, number.split_once('.')?))) {
        Some((name, (major, minor))) if name.eq_ignore_ascii_case("SIP") && digits(major) && digits(minor) => {
            Err(Fault::Version)
        }
        _ => Err(malformed),
    }
}

/// What a message of any kind needs. Gives the method of its CSeq.
///
/// Max-Forwards is mandatory too (RFC 3261 section 8.1.1), but Snom's multicast SUBSCRIBE and phones of RFC 2543 leave
/// it out; a router that gets none counts from 70.
fn check_headers(head: &Head, body: &Result<&[u8], Fault>) -> Result<String, Fault> {
    if let Some(fault) = &head.fault {
        return Err(fault.clone());
    }
    let headers = &head.headers;
    let malformed = |name: &str| Fault::Header(name.to_string());

    single(headers, "Max-Forwards")?;
    let (from, to) = (required(headers, "From")?, required(headers, "To")?);
    let call_id = required(headers, "Call-ID")?;
    required(headers, "CSeq")?;
    if header::value(headers, "Via").is_none() {
        return Err(Fault::Missing("Via"));
    }
    if let Err(fault) = body {
        return Err(fault.clone());
    }
    header::values(headers, "Via").try_for_each(|via| Via::parse(via).map(drop).map_err(|_| malformed("Via")))?;
    NameAddr::parse(from).map_err(|_| malformed("From"))?;
    NameAddr::parse(to).map_err(|_| malformed("To"))?;
    if call_id.is_empty() || call_id.contains([' ', '\t']) {
        return Err(malformed("Call-ID"));
    }
    match header::max_forwards(headers) {
        Ok(None | Some(0..=255)) => {}
        _ => return Err(malformed("Max-Forwards")),
    }
    header::cseq(headers).map(|(_, method)| method).map_err(|_| malformed("CSeq"))
}

fn required<'a>(headers: &'a Headers, name: &'static str) -> Result<&'a str, Fault> {
    single(headers, name)?.ok_or(Fault::Missing(name))
}

fn single<'a>(headers: &'a Headers, name: &'static str) -> Result<Option<&'a str>, Fault> {
    let mut values = header::values(headers, name);
    let first = values.next();
    if values.next().is_some() { Err(Fault::Repeated(name)) } else { Ok(first) }
}
