//! Challenges and credentials (RFC 3261 section 22). [`crate::sip::digest`] reads and makes their values.

use rsip::Headers;

use super::untyped::push;
use super::{set, value, values};

/// The header that answers a challenge: one for the other end itself, one for a proxy before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthHeader {
    /// Answers the WWW-Authenticate of a 401.
    Authorization,
    /// Answers the Proxy-Authenticate of a 407.
    ProxyAuthorization,
}

impl AuthHeader {
    const ALL: [AuthHeader; 2] = [AuthHeader::Authorization, AuthHeader::ProxyAuthorization];

    fn name(self) -> &'static str {
        match self {
            AuthHeader::Authorization => "Authorization",
            AuthHeader::ProxyAuthorization => "Proxy-Authorization",
        }
    }
}

/// Its name.
impl std::fmt::Display for AuthHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The values of Authorization: credentials for us.
pub fn authorizations(headers: &Headers) -> impl Iterator<Item = &str> {
    values(headers, "Authorization")
}

/// Whether a request carries credentials for anybody.
pub fn has_credentials(headers: &Headers) -> bool {
    AuthHeader::ALL.into_iter().any(|header| value(headers, header.name()).is_some())
}

/// Puts credentials into their header, in the place of older ones.
pub fn set_credentials(headers: &mut Headers, header: AuthHeader, value: impl Into<String>) {
    set(headers, header.name(), value);
}

/// Appends all credentials of another request.
pub fn copy_credentials(headers: &mut Headers, from: &Headers) {
    for name in AuthHeader::ALL.map(AuthHeader::name) {
        for value in values(from, name) {
            push(headers, name, value);
        }
    }
}

/// The values of the challenges that a header answers.
pub fn challenges(headers: &Headers, answer: AuthHeader) -> impl Iterator<Item = &str> {
    let name = match answer {
        AuthHeader::Authorization => "WWW-Authenticate",
        AuthHeader::ProxyAuthorization => "Proxy-Authenticate",
    };
    values(headers, name)
}

/// Writes the challenge of a 401.
pub fn push_challenge(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "WWW-Authenticate", value);
}
