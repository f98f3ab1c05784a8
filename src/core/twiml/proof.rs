//! The proof that a public URL reaches this very box: set-up asks its own URL from outside for [`super::NONCE_PATH`] and
//! a nonce, and compares the answer with what it computes here from the same secrets.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::hex::hex;
use crate::secrets::Secrets;

/// Shortest and longest nonce, in hex digits.
const NONCE: std::ops::RangeInclusive<usize> = 16..=64;

/// Makes the key, so that what is answered to anybody is never computed with the password itself.
const PURPOSE: &[u8] = b"gateway: proof of the public URL";

/// What the box of these secrets answers to a nonce, in hex; `None` for what is no nonce, or before set-up has minted
/// the webhook's credentials.
///
/// The password behind it has more than 128 bits: who sees any number of answers learns nothing about it.
pub fn proof(secrets: &Secrets, nonce: &str) -> Option<String> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !NONCE.contains(&nonce.len()) || !nonce.bytes().all(is_hex) {
        return None;
    }
    let password = secrets.webhook.as_ref()?.password.expose();
    let key = hmac(password.as_bytes(), PURPOSE);
    Some(hex(&hmac(&key, nonce.as_bytes())))
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn secrets(number: u64) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.mint([], &[], &mut Random::from_number(number));
        secrets
    }

    #[test]
    fn the_same_secrets_prove_the_same_and_others_do_not() {
        let nonce = "0123456789abcdef";
        let told = proof(&secrets(1), nonce).unwrap();
        assert_eq!(told.len(), 64);
        assert_eq!(proof(&secrets(1), nonce).as_ref(), Some(&told));
        assert_ne!(proof(&secrets(2), nonce).as_ref(), Some(&told));
        assert_ne!(proof(&secrets(1), "0123456789abcdee").as_ref(), Some(&told));
    }

    #[test]
    fn what_is_no_nonce_is_not_answered_and_nothing_is_without_secrets() {
        for nonce in
            ["", "0123456789abcde", &"0".repeat(65), "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcde/"]
        {
            assert_eq!(proof(&secrets(1), nonce), None, "{nonce}");
        }
        assert_eq!(proof(&Secrets::default(), "0123456789abcdef"), None);
    }
}
