//! SIP URIs (RFC 3261 section 19.1) into [`rsip::Uri`] and back.

use rsip::Uri;

/// Why a text is no SIP URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A scheme other than `sip`, `sips` or `tel`: 416 (RFC 3261 section 8.2.2.1).
    #[error("unsupported URI scheme {0:?}")]
    Scheme(String),
    /// Not the grammar of RFC 3261 section 25.1: 400.
    #[error("malformed URI: {0}")]
    Malformed(&'static str),
}

/// Reads a URI. IPv6 hosts are carried as `Host::Domain("[…]")`, parameters verbatim and in order as `Param::Other`
/// (and `Param::Transport` never: ask [`param`]), `?headers` as a final `Param::Other("?", Some("a=b&c=d"))`
/// because `rsip::Uri::headers` can not hold them.
pub fn parse(text: &str) -> Result<Uri, UriError> {
    todo!()
}

/// Writes a URI that [`parse`] read, or that was built with [`sip`].
pub fn write(uri: &Uri) -> String {
    todo!()
}

/// `sip:user@host:port`; `host` may be an IP address (IPv6 gets its brackets here) or a name.
pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Uri {
    todo!()
}

/// The user part, percent-decoded (`*21%23` is `*21#`), without `;user-params`.
pub fn user(uri: &Uri) -> Option<String> {
    todo!()
}

/// The host as text, IPv6 without brackets, lower case.
pub fn host(uri: &Uri) -> String {
    todo!()
}

/// The port, if the URI has one.
pub fn port(uri: &Uri) -> Option<u16> {
    todo!()
}

/// A URI parameter by name (case-insensitive): `Some(None)` for a flag such as `lr`.
pub fn param(uri: &Uri, name: &str) -> Option<Option<String>> {
    todo!()
}

/// Adds or replaces a URI parameter.
pub fn set_param(uri: &mut Uri, name: &str, value: Option<&str>) {
    todo!()
}

/// A `?name=value` header of the URI, percent-decoded (`Replaces` in a Refer-To).
pub fn header(uri: &Uri, name: &str) -> Option<String> {
    todo!()
}
