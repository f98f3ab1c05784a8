//! A name and a password in the URLs that are set at Twilio, where `webhook.protect` is `credentials`: Twilio shows them
//! by HTTP Basic (RFC 7617; TWILIO.md "Webhook requests").

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Config, Protection};
use crate::secrets::{Credentials, Secrets};
use crate::setting::Setting;
use crate::url::Url;

/// Longest `Authorization` header that is looked at.
const MAX_HEADER: usize = 512;

/// Why a request is not Twilio's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error("no Authorization")]
    Missing,
    #[error("Authorization is not Basic with base64")]
    Malformed,
    #[error("the name or the password is not ours; does Twilio have the URLs of the last gateway apply?")]
    Mismatch,
}

/// Checks `Authorization` headers.
pub struct BasicVerifier {
    /// SHA-256 of `name:password`: of one length, whatever is shown to us.
    expected: [u8; 32],
}

impl BasicVerifier {
    pub fn new(credentials: &Credentials) -> Self {
        let both = format!("{}:{}", credentials.user, credentials.password.expose());
        BasicVerifier { expected: Sha256::digest(both).into() }
    }

    /// Whether the header's value holds our name and password; compared in constant time.
    pub fn verify(&self, authorization: Option<&str>) -> Result<(), CredentialsError> {
        let value = authorization.ok_or(CredentialsError::Missing)?;
        let (scheme, shown) = value.split_once(' ').ok_or(CredentialsError::Malformed)?;
        if value.len() > MAX_HEADER || !scheme.eq_ignore_ascii_case("Basic") {
            return Err(CredentialsError::Malformed);
        }
        let shown = BASE64.decode(shown.trim()).map_err(|_| CredentialsError::Malformed)?;
        match bool::from(Sha256::digest(shown)[..].ct_eq(&self.expected[..])) {
            true => Ok(()),
            false => Err(CredentialsError::Mismatch),
        }
    }
}

impl std::fmt::Debug for BasicVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BasicVerifier(***)")
    }
}

/// A webhook's URL, or the base of some, as Twilio is told it: with credentials in it where they protect it.
pub fn told(config: &Config, secrets: &Secrets, url: &str) -> Setting {
    match (config.webhook.protect, &secrets.webhook) {
        (Protection::Credentials, Some(Credentials { user, password })) => {
            // Both are of letters and digits: nothing to escape.
            Setting::new(with_user_info(url, &format!("{user}:{}", password.expose())))
        }
        _ => Setting::new(url),
    }
}

/// The URL as it may be shown.
pub fn shown(config: &Config, url: &str) -> Setting {
    match config.webhook.protect {
        Protection::Signature => Setting::new(url),
        Protection::Credentials => Setting::new(with_user_info(url, "***")),
    }
}

fn with_user_info(url: &str, user_info: &str) -> String {
    Url::parse(url).map_or_else(|| url.to_owned(), |url| url.with_user_info(user_info))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn credentials() -> Credentials {
        Credentials { user: "twilio".to_owned(), password: Secret::new("Sesame1Sesame1".to_owned()) }
    }

    #[test]
    fn only_the_right_name_and_password_are_taken() {
        let verifier = BasicVerifier::new(&credentials());
        let basic = |both: &str| format!("Basic {}", BASE64.encode(both));
        let verify = |value: &str| verifier.verify(Some(value));
        assert_eq!(verify(&basic("twilio:Sesame1Sesame1")), Ok(()));
        assert_eq!(verify(&basic("twilio:Sesame1Sesame1").replace("Basic", "bASIC")), Ok(()));
        for wrong in ["twilio:Sesame1Sesame", "twilio:Sesame1Sesame11", "Twilio:Sesame1Sesame1", "twilio", "", ":"] {
            assert_eq!(verify(&basic(wrong)), Err(CredentialsError::Mismatch), "{wrong}");
        }
        for malformed in ["Basic", "Basic %", "Bearer dHdpbGlv", &basic(&"x".repeat(MAX_HEADER))] {
            assert_eq!(verify(malformed), Err(CredentialsError::Malformed), "{malformed}");
        }
        assert_eq!(verifier.verify(None), Err(CredentialsError::Missing));
        assert!(!format!("{verifier:?}").contains("Sesame"));
    }
}
