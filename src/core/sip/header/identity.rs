//! Who speaks to whom about what: From, To, Call-ID, Refer-To, and the beginning of our requests.

use std::borrow::Cow;

use rsip::{Headers, Method, Request, Uri, Version};

use super::untyped::push;
use super::{HeaderError, NameAddr, tag, value};

/// Room for the headers of a request of ours, with what the transaction layer puts on.
const HEADERS: usize = 16;

/// A request without headers and body.
pub fn request(method: Method, uri: Uri) -> Request {
    Request { method, uri, version: Version::V2, headers: Vec::with_capacity(HEADERS).into(), body: Vec::new() }
}

/// From (RFC 3261 section 20.20), which every message has.
pub fn from(headers: &Headers) -> Result<NameAddr, HeaderError> {
    address(headers, "From")?.ok_or(HeaderError("From"))
}

/// To (RFC 3261 section 20.39), which every message has.
pub fn to(headers: &Headers) -> Result<NameAddr, HeaderError> {
    address(headers, "To")?.ok_or(HeaderError("To"))
}

/// The tag of From; `None` from phones of RFC 2543.
pub fn from_tag(headers: &Headers) -> Option<Cow<'_, str>> {
    tag(value(headers, "From")?)
}

/// The tag of To; `None` outside a dialog.
pub fn to_tag(headers: &Headers) -> Option<Cow<'_, str>> {
    tag(value(headers, "To")?)
}

/// Writes From with its tag.
pub fn push_from(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "From", value);
}

/// Writes To.
pub fn push_to(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "To", value);
}

/// Call-ID (RFC 3261 section 20.8).
pub fn call_id(headers: &Headers) -> Option<&str> {
    value(headers, "Call-ID")
}

/// Writes Call-ID.
pub fn push_call_id(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "Call-ID", value);
}

/// Refer-To (RFC 3515 section 2.1): where a call shall go.
pub fn refer_to(headers: &Headers) -> Result<Option<NameAddr>, HeaderError> {
    address(headers, "Refer-To")
}

fn address(headers: &Headers, name: &'static str) -> Result<Option<NameAddr>, HeaderError> {
    value(headers, name).map(|value| NameAddr::parse(value).map_err(|_| HeaderError(name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    #[test]
    fn an_address_that_is_missing_or_malformed_is_an_error_with_its_name() {
        let headers = Headers::from(vec![make("f", "<sip:a@b>;tag=1"), make("r", "nobody")]);
        assert_eq!(from(&headers).unwrap().tag(), Some("1"));
        assert_eq!((from_tag(&headers).as_deref(), to_tag(&headers)), (Some("1"), None));
        assert_eq!(to(&headers), Err(HeaderError("To")));
        assert_eq!(refer_to(&headers), Err(HeaderError("Refer-To")));
        assert_eq!(refer_to(&Headers::default()), Ok(None));
    }
}
