//! SDP security descriptions (RFC 4568): the value of `a=crypto`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::media::{MasterKey, Suite};

/// One `a=crypto` line that we can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Which line of an offer an answer means.
    pub tag: u32,
    pub suite: Suite,
    pub key: MasterKey,
}

/// Why a line cannot be used. Never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("a=crypto needs a tag of 1 to 9 digits, a suite and a key")]
    Malformed,
    #[error("a=crypto key is not inline: with 30 octets in base64")]
    Key,
    #[error("a=crypto with a master key identifier (MKI) or several keys is not supported")]
    Mki,
    #[error("a=crypto with session parameters is not supported")]
    SessionParameter,
}

impl Crypto {
    /// Reads the value behind `a=crypto:`. `Ok(None)` for a suite that we do not have, which is no fault of an offer.
    /// A lifetime is tolerated: no call sends 2^31 packets. Session parameters that begin with `-` may be ignored
    /// (RFC 4568 section 6.3.7), others not.
    pub fn parse(value: &str) -> Result<Option<Crypto>, CryptoError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(params)) = (words.next(), words.next(), words.next()) else {
            return Err(CryptoError::Malformed);
        };
        if !(1..=9).contains(&tag.len()) || !tag.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CryptoError::Malformed);
        }
        let tag = tag.parse().map_err(|_| CryptoError::Malformed)?;
        let Some(suite) = Suite::from_token(suite) else {
            return Ok(None);
        };
        if params.contains(';') {
            return Err(CryptoError::Mki);
        }
        let mut parts = params.strip_prefix("inline:").ok_or(CryptoError::Key)?.split('|');
        let key = parts.next().and_then(|text| STANDARD.decode(text).ok()).ok_or(CryptoError::Key)?;
        let key = MasterKey(key.try_into().map_err(|_| CryptoError::Key)?);
        // `|lifetime`, `|MKI:length` or `|lifetime|MKI:length`.
        if parts.any(|part| part.contains(':')) {
            return Err(CryptoError::Mki);
        }
        if words.any(|parameter| !parameter.starts_with('-')) {
            return Err(CryptoError::SessionParameter);
        }
        Ok(Some(Crypto { tag, suite, key }))
    }

    /// The value behind `a=crypto:`, key included: for SDP only, never for a log.
    pub fn to_sdp(&self) -> String {
        format!("{} {} inline:{}", self.tag, self.suite.token(), STANDARD.encode(self.key.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn a_line_of_rfc_4568_is_read() {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20");
        let crypto = Crypto::parse(&line).unwrap().unwrap();
        assert_eq!((crypto.tag, crypto.suite), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(&crypto.key.0[..4], b"YS__");
        assert_eq!(crypto.to_sdp(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        assert_eq!(Crypto::parse(&crypto.to_sdp()), Ok(Some(crypto)));
    }

    #[test]
    fn an_unknown_suite_is_no_error() {
        assert_eq!(Crypto::parse(&format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}AAAA")), Ok(None));
        assert_eq!(Crypto::parse("2 AEAD_AES_128_GCM inline:whatever"), Ok(None));
    }

    #[test]
    fn an_mki_or_a_second_key_is_refused() {
        for tail in ["|1:4", "|2^20|1:4", &format!(";inline:{KEY}")] {
            let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}");
            assert_eq!(Crypto::parse(&line), Err(CryptoError::Mki), "{tail}");
        }
    }

    #[test]
    fn session_parameters_that_must_be_understood_are_refused() {
        let line = |tail: &str| format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY} {tail}");
        assert_eq!(Crypto::parse(&line("UNENCRYPTED_SRTP")), Err(CryptoError::SessionParameter));
        assert_eq!(Crypto::parse(&line("KDR=1")), Err(CryptoError::SessionParameter));
        assert!(Crypto::parse(&line("-X=1")).unwrap().is_some());
    }

    #[test]
    fn bad_lines_are_refused_and_never_show_the_key() {
        for line in ["", "1", "1 AES_CM_128_HMAC_SHA1_80", "x AES_CM_128_HMAC_SHA1_80 inline:a", "1234567890 A b"] {
            assert_eq!(Crypto::parse(line), Err(CryptoError::Malformed), "{line}");
        }
        for key in ["", "inline:", "inline:AAAA", "uri:x", &format!("inline:{KEY}AAAA"), "inline:*"] {
            let line = format!("1 AES_CM_128_HMAC_SHA1_80 {key}");
            assert_eq!(
                Crypto::parse(&line).map(drop),
                if key.is_empty() { Err(CryptoError::Malformed) } else { Err(CryptoError::Key) }
            );
        }
        let crypto = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        assert!(!format!("{crypto:?}").contains("89"), "{crypto:?}");
    }
}
