//! Digest authentication (RFC 2617, RFC 7616, RFC 8760): both sides of it.
//!
//! Texts are held as they stand between the quotes of the header, escapes and all, because that is what is hashed
//! (`unq()` of RFC 7616 section 3.3 removes the quotes and nothing else).

mod params;
#[cfg(test)]
mod tests;

use std::fmt;

use md5::Md5;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use self::params::{Params, quotable};
use super::header::{self, AuthHeader};
use crate::hex::hex;

/// The hash of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

impl Algorithm {
    const ALL: [Algorithm; 4] = [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess];

    /// As the `algorithm` parameter spells it.
    pub fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    /// The algorithm of a token, in any case.
    pub fn from_token(token: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.token().eq_ignore_ascii_case(token))
    }

    fn of(params: &Params<'_>) -> Result<Option<Algorithm>, DigestError> {
        params.get("algorithm").map(|token| Algorithm::from_token(token).ok_or(DigestError::Algorithm)).transpose()
    }

    fn is_sha256(self) -> bool {
        matches!(self, Algorithm::Sha256 | Algorithm::Sha256Sess)
    }

    fn is_sess(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }

    /// H() of RFC 7616 section 3.3, over parts joined by colons, in lower-case hex.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        if self.is_sha256() { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) }
    }
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
    /// Reads the header's value. Unknown parameters are ignored.
    pub fn parse(value: &str) -> Result<Challenge, DigestError> {
        let params = Params::parse(value)?;
        let algorithm = Algorithm::of(&params)?;
        let qop_auth = match params.get("qop") {
            None => false,
            Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(DigestError::Qop),
        };
        if !qop_auth && algorithm.is_some_and(Algorithm::is_sess) {
            // Its hash needs the cnonce that only a qop brings.
            return Err(DigestError::Qop);
        }
        Ok(Challenge {
            realm: params.need("realm")?,
            nonce: params.need("nonce")?,
            opaque: params.get("opaque").map(str::to_owned),
            stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            algorithm,
            qop_auth,
        })
    }
}

/// As a server writes it: quoted realm, nonce, opaque, qop; `algorithm` as a token.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm=\"{}\", nonce=\"{}\"", quotable(&self.realm), quotable(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque=\"{}\"", quotable(opaque))?;
        }
        if self.stale {
            write!(f, ", stale=true")?;
        }
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.token())?;
        }
        if self.qop_auth {
            write!(f, ", qop=\"auth\"")?;
        }
        Ok(())
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

/// Without what an attacker could guess passwords from.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .field("uri", &self.uri)
            .field("algorithm", &self.algorithm)
            .field("qop", &self.qop)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Qop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qop").field("nc", &self.nc).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the header's value. Unknown parameters are ignored.
    pub fn parse(value: &str) -> Result<Credentials, DigestError> {
        let params = Params::parse(value)?;
        let algorithm = Algorithm::of(&params)?;
        let qop = match params.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                Some(Qop { nc: nonce_count(&params.need("nc")?)?, cnonce: params.need("cnonce")? })
            }
            Some(_) => return Err(DigestError::Qop),
        };
        if qop.is_none() && algorithm.is_some_and(Algorithm::is_sess) {
            return Err(DigestError::Qop);
        }
        Ok(Credentials {
            username: params.need("username")?,
            realm: params.need("realm")?,
            nonce: params.need("nonce")?,
            uri: params.need("uri")?,
            response: params.need("response")?,
            algorithm,
            opaque: params.get("opaque").map(str::to_owned),
            qop,
        })
    }

    /// Whether `response` is right for this method and password. Constant time.
    pub fn verify(&self, method: &str, password: &str) -> bool {
        let expected = self.compute(method, password);
        expected.as_bytes().ct_eq(self.response.to_ascii_lowercase().as_bytes()).into()
    }

    /// The request-digest of RFC 7616 section 3.4.1, or that of RFC 2069 without qop.
    fn compute(&self, method: &str, password: &str) -> String {
        let algorithm = self.algorithm.unwrap_or(Algorithm::Md5);
        let mut a1 = algorithm.hash(&[&self.username, &self.realm, password]);
        if let (true, Some(qop)) = (algorithm.is_sess(), &self.qop) {
            a1 = algorithm.hash(&[&a1, &self.nonce, &qop.cnonce]);
        }
        let a2 = algorithm.hash(&[method, &self.uri]);
        match &self.qop {
            Some(qop) => algorithm.hash(&[&a1, &self.nonce, &format!("{:08x}", qop.nc), &qop.cnonce, "auth", &a2]),
            None => algorithm.hash(&[&a1, &self.nonce, &a2]),
        }
    }
}

/// 8 lower-case hex digits (RFC 7616 section 3.4): as such they are hashed.
fn nonce_count(text: &str) -> Result<u32, DigestError> {
    let lower_hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
    if text.len() != 8 || !text.bytes().all(lower_hex) {
        return Err(DigestError::Malformed);
    }
    u32::from_str_radix(text, 16).map_err(|_| DigestError::Malformed)
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\"",
            quotable(&self.username),
            quotable(&self.realm),
            quotable(&self.nonce),
            quotable(&self.uri),
            quotable(&self.response)
        )?;
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.token())?;
        }
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque=\"{}\"", quotable(opaque))?;
        }
        if let Some(Qop { nc, cnonce }) = &self.qop {
            write!(f, ", qop=auth, nc={nc:08x}, cnonce=\"{}\"", quotable(cnonce))?;
        }
        Ok(())
    }
}

/// Answers a challenge. `nc` counts the uses of its nonce from 1.
pub fn answer(
    challenge: &Challenge,
    username: &str,
    password: &str,
    method: &str,
    uri: &str,
    nc: u32,
    cnonce: &str,
) -> Credentials {
    let mut credentials = Credentials {
        username: quotable(username).into_owned(),
        realm: challenge.realm.clone(),
        nonce: challenge.nonce.clone(),
        uri: uri.to_owned(),
        response: String::new(),
        algorithm: challenge.algorithm,
        opaque: challenge.opaque.clone(),
        qop: challenge.qop_auth.then(|| Qop { nc, cnonce: cnonce.to_owned() }),
    };
    credentials.response = credentials.compute(method, password);
    credentials
}

/// The best challenge of a 401 (`WWW-Authenticate`) or 407 (`Proxy-Authenticate`) that we can answer (SHA-256 before
/// MD5, RFC 8760 section 2.4; of equals the first), with the header that carries the answer.
pub fn strongest(response: &rsip::Response) -> Option<(Challenge, AuthHeader)> {
    let answer = match response.status_code.code() {
        401 => AuthHeader::Authorization,
        407 => AuthHeader::ProxyAuthorization,
        _ => return None,
    };
    let mut challenges: Vec<Challenge> =
        header::challenges(&response.headers, answer).filter_map(|value| Challenge::parse(value).ok()).collect();
    // A stable sort: the first of equals stays first.
    challenges.sort_by_key(|challenge| !challenge.algorithm.is_some_and(Algorithm::is_sha256));
    challenges.into_iter().next().map(|challenge| (challenge, answer))
}
