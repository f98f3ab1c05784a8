//! Headers: untyped access by name, and typed readers and writers for what rsip lacks or gets wrong.
//!
//! Names are matched without case; compact forms were made long by [`super::wire`]. Readers take the header's value
//! as text and never panic.

use rsip::{Header, Headers, Uri};

/// A header's value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct HeaderError(pub &'static str);

/// The rsip header of a name (any case, compact forms too) and a value.
pub fn make(name: &str, value: impl Into<String>) -> Header {
    todo!()
}

/// Canonical name and value of a header.
pub fn parts(header: &Header) -> (&str, &str) {
    todo!()
}

/// The first value of `name`.
pub fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    todo!()
}

/// All values of `name`, in order; comma lists of Via, Contact, Route, Record-Route were split by the wire.
pub fn values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter_map(move |h| { let (n, v) = parts(h); n.eq_ignore_ascii_case(name).then_some(v) })
}

/// The tokens of a comma list such as Supported, Require, Allow (lower case not applied).
pub fn tokens<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    values(headers, name).flat_map(|v| v.split(',')).map(str::trim).filter(|t| !t.is_empty())
}

/// Whether a comma list has a token, without case.
pub fn has_token(headers: &Headers, name: &str, token: &str) -> bool {
    tokens(headers, name).any(|t| t.eq_ignore_ascii_case(token))
}

/// Replaces every header of that name by one, in the place of the first, or appends it.
pub fn set(headers: &mut Headers, name: &str, value: impl Into<String>) {
    todo!()
}

/// Removes every header of that name.
pub fn remove(headers: &mut Headers, name: &str) {
    todo!()
}

/// `;name=value` parameters behind a header value, in order. Quoted values are held without quotes and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// By name, without case: `Some(None)` for a flag.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        todo!()
    }

    /// The value of a parameter that has one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// Adds or replaces.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        todo!()
    }
}

/// Via (RFC 3261 section 20.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS` or whatever the peer wrote.
    pub transport: String,
    /// Sent-by host, IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` and the rest.
    pub params: Params,
}

impl Via {
    pub fn parse(value: &str) -> Result<Via, HeaderError> {
        todo!()
    }
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// name-addr or addr-spec with parameters: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity.
#[derive(Clone, Debug, PartialEq)]
pub struct NameAddr {
    /// Display name without quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q`, `+sip.instance`…). For an addr-spec without `<>` every `;param`
    /// belongs to the header (RFC 3261 section 20.10).
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: Uri) -> Self {
        NameAddr { display: None, uri, params: Params::default() }
    }
    pub fn parse(value: &str) -> Result<NameAddr, HeaderError> {
        todo!()
    }
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}

/// Always written with `<>`.
impl std::fmt::Display for NameAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// CSeq number and method token (RFC 3261 section 20.16; below 2^31).
pub fn cseq(headers: &Headers) -> Result<(u32, String), HeaderError> {
    todo!()
}

/// One of Contact's values.
#[derive(Clone, Debug, PartialEq)]
pub enum Contact {
    /// `*`, for a REGISTER with Expires 0.
    Star,
    Addr(NameAddr),
}

/// All contacts (RFC 3261 section 20.10).
pub fn contacts(headers: &Headers) -> Result<Vec<Contact>, HeaderError> {
    todo!()
}

/// A decimal header such as Expires, Max-Forwards, Min-SE, Min-Expires, RSeq, Retry-After (its leading number).
pub fn number(headers: &Headers, name: &'static str) -> Result<Option<u32>, HeaderError> {
    todo!()
}

/// Session-Expires (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    pub refresher: Option<Refresher>,
}

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// Reads Session-Expires (compact form `x`).
pub fn session_expires(headers: &Headers) -> Result<Option<SessionExpires>, HeaderError> {
    todo!()
}

/// RAck (RFC 3262 section 7.2): response number, CSeq number, method.
pub fn rack(headers: &Headers) -> Result<Option<(u32, u32, String)>, HeaderError> {
    todo!()
}

/// Replaces (RFC 3891), from a header or from a Refer-To URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
    pub early_only: bool,
}

impl Replaces {
    pub fn parse(value: &str) -> Result<Replaces, HeaderError> {
        todo!()
    }
}

/// Cause and text of a Reason header with protocol Q.850 or SIP (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}

impl Reason {
    pub fn parse(value: &str) -> Result<Reason, HeaderError> {
        todo!()
    }
}
