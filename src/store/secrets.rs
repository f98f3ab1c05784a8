//! `secrets.json`: the auth token and the passwords that we mint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::secret::Secret;

/// Letters and digits that nobody confuses when they are read from paper and typed into a phone.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Characters of a password that a person may have to type: 92 bits.
const LAN_PASSWORD: usize = 16;

/// Characters of a password that only machines see: 139 bits.
const TRUNK_PASSWORD: usize = 24;

/// All that must stay secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The account's auth token: REST, and the key of webhook signatures.
    #[serde(default)]
    pub auth_token: Option<Secret<String>>,
    /// By extension name.
    #[serde(default)]
    pub extensions: BTreeMap<String, ExtensionSecrets>,
}

/// The passwords of one extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionSecrets {
    /// What its handsets register with.
    pub lan_password: Secret<String>,
    /// What the trunk registers with at Twilio.
    pub trunk_password: Secret<String>,
}

impl Secrets {
    /// Mints passwords for extensions that have none. Says whether there were any.
    pub fn mint<'a>(&mut self, extensions: impl IntoIterator<Item = &'a str>, random: &mut Random) -> bool {
        let mut minted = false;
        for name in extensions {
            if !self.extensions.contains_key(name) {
                let lan_password = password(random, LAN_PASSWORD);
                let trunk_password = password(random, TRUNK_PASSWORD);
                self.extensions.insert(name.to_owned(), ExtensionSecrets { lan_password, trunk_password });
                minted = true;
            }
        }
        minted
    }
}

/// A password by Twilio's policy: 12 characters or more, a digit, both cases (twilio.md 2.5). Those that lack one are
/// thrown away whole, so that each that fits is equally likely.
fn password(random: &mut Random, length: usize) -> Secret<String> {
    loop {
        let letter = |_| ALPHABET[random.below(ALPHABET.len() as u64) as usize] as char;
        let candidate: String = (0..length).map(letter).collect();
        if fits_policy(&candidate) {
            return Secret::new(candidate);
        }
    }
}

/// Whether Twilio takes it.
fn fits_policy(password: &str) -> bool {
    password.len() >= 12
        && password.bytes().any(|byte| byte.is_ascii_digit())
        && password.bytes().any(|byte| byte.is_ascii_lowercase())
        && password.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_passwords_fit_the_policy_of_twilio_and_differ() {
        let mut random = Random::from_number(1);
        let mut seen = std::collections::BTreeSet::new();
        for length in [LAN_PASSWORD, TRUNK_PASSWORD] {
            for _ in 0..500 {
                let password = password(&mut random, length).expose().clone();
                assert!(fits_policy(&password) && password.len() == length, "{password}");
                assert!(seen.insert(password));
            }
        }
    }

    #[test]
    fn minting_again_keeps_what_is_there() {
        let mut random = Random::from_number(2);
        let mut secrets = Secrets::default();
        assert!(secrets.mint(["101", "102"], &mut random));
        let before = secrets.clone();
        assert!(!secrets.mint(["101", "102"], &mut random));
        assert_eq!(secrets, before);
        assert!(secrets.mint(["103"], &mut random));
        assert_eq!(secrets.extensions["101"], before.extensions["101"]);
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let mut secrets = Secrets { auth_token: Some(Secret::new("sesame".to_owned())), ..Secrets::default() };
        secrets.mint(["101"], &mut Random::from_number(3));
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("sesame"));
        assert!(!shown.contains(secrets.extensions["101"].lan_password.expose().as_str()));
    }
}
