//! Digest authentication (RFC 2617, RFC 7616, RFC 8760): both sides of it.

/// The hash of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

/// A WWW-Authenticate or Proxy-Authenticate value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub stale: bool,
    /// `None` when absent: MD5, and then not repeated in the answer.
    pub algorithm: Option<Algorithm>,
    /// Whether `auth` is among the qop values; an absent qop means RFC 2069 form.
    pub qop_auth: bool,
}

/// Why a digest header is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("not a Digest header")]
    NotDigest,
    #[error("malformed digest parameters")]
    Malformed,
    #[error("unsupported digest algorithm")]
    Algorithm,
    #[error("unsupported qop")]
    Qop,
}

impl Challenge {
    pub fn parse(value: &str) -> Result<Challenge, DigestError> {
        todo!()
    }
}

/// As a server writes it: quoted realm, nonce, opaque, qop; `algorithm` as a token.
impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// An Authorization or Proxy-Authorization value.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    /// The `uri` parameter exactly as sent: it enters the hash.
    pub uri: String,
    pub response: String,
    pub algorithm: Option<Algorithm>,
    pub opaque: Option<String>,
    /// `qop=auth` with its nonce count (8 hex digits) and cnonce.
    pub qop: Option<Qop>,
}

/// The parameters that go with `qop=auth`.
#[derive(Clone, PartialEq, Eq)]
pub struct Qop {
    pub nc: u32,
    pub cnonce: String,
}

impl Credentials {
    pub fn parse(value: &str) -> Result<Credentials, DigestError> {
        todo!()
    }

    /// Whether `response` is right for this method and password. Constant time.
    pub fn verify(&self, method: &str, password: &str) -> bool {
        todo!()
    }
}

impl std::fmt::Display for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// Answers a challenge. `nc` counts the uses of its nonce from 1.
pub fn answer(challenge: &Challenge, username: &str, password: &str, method: &str, uri: &str, nc: u32, cnonce: &str) -> Credentials {
    todo!()
}

/// The best challenge of a 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`) that we can answer (SHA-256 before
/// MD5, RFC 8760 section 2.4), with the name of the header that carries the answer.
pub fn strongest(response: &rsip::Response) -> Option<(Challenge, &'static str)> {
    todo!()
}
