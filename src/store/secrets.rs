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
    /// The account's auth token: the key of webhook signatures, and of REST as long as there is no API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Secret<String>>,
    /// What REST requests are made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKey>,
    /// What Twilio shows us at webhooks where `webhook.protect` is `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Credentials>,
    /// By extension name.
    #[serde(default)]
    pub extensions: BTreeMap<String, ExtensionSecrets>,
}

/// An API key (twilio.md 2.20).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// `SK…`
    pub sid: String,
    pub secret: Secret<String>,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: Secret<String>,
}

/// The passwords of one extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionSecrets {
    /// What its handsets register with.
    pub lan_password: Secret<String>,
    /// What the trunk registers with at Twilio, by environment.
    #[serde(default)]
    pub trunk_passwords: BTreeMap<String, Secret<String>>,
}

impl Secrets {
    /// Mints what is missing: passwords of extensions in environments, and the webhook's credentials.
    pub fn mint<'a>(
        &mut self,
        extensions: impl IntoIterator<Item = &'a str>,
        environments: &[&str],
        random: &mut Random,
    ) {
        for name in extensions {
            let extension = self.extensions.entry(name.to_owned()).or_insert_with(|| ExtensionSecrets {
                lan_password: password(random, LAN_PASSWORD),
                trunk_passwords: BTreeMap::new(),
            });
            for environment in environments {
                if !extension.trunk_passwords.contains_key(*environment) {
                    extension.trunk_passwords.insert((*environment).to_owned(), password(random, TRUNK_PASSWORD));
                }
            }
        }
        if self.webhook.is_none() {
            self.webhook = Some(Credentials { user: "twilio".to_owned(), password: password(random, TRUNK_PASSWORD) });
        }
    }

    /// Another password for an extension at Twilio. `false` when there was none.
    pub fn rotate(&mut self, extension: &str, environment: &str, random: &mut Random) -> bool {
        let known = self.extensions.get_mut(extension).and_then(|known| known.trunk_passwords.get_mut(environment));
        match known {
            Some(known) => {
                *known = password(random, TRUNK_PASSWORD);
                true
            }
            None => false,
        }
    }

    /// What an extension registers with at Twilio in an environment.
    pub fn trunk_password(&self, environment: &str, extension: &str) -> Option<&Secret<String>> {
        self.extensions.get(extension)?.trunk_passwords.get(environment)
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
        secrets.mint(["101", "102"], &["prod"], &mut random);
        let before = secrets.clone();
        secrets.mint(["101", "102"], &["prod"], &mut random);
        assert_eq!(secrets, before);
        secrets.mint(["101", "103"], &["prod", "stage"], &mut random);
        assert_eq!(secrets.trunk_password("prod", "101"), before.trunk_password("prod", "101"));
        assert_ne!(secrets.trunk_password("stage", "101"), before.trunk_password("prod", "101"));
        assert_eq!(secrets.trunk_password("stage", "102"), None);
        assert_eq!(secrets.webhook, before.webhook);
    }

    #[test]
    fn rotating_changes_one_password_of_one_environment() {
        let mut random = Random::from_number(4);
        let mut secrets = Secrets::default();
        secrets.mint(["101"], &["prod", "stage"], &mut random);
        let before = secrets.clone();
        assert!(secrets.rotate("101", "stage", &mut random));
        assert_ne!(secrets.trunk_password("stage", "101"), before.trunk_password("stage", "101"));
        assert_eq!(secrets.trunk_password("prod", "101"), before.trunk_password("prod", "101"));
        assert!(!secrets.rotate("102", "stage", &mut random));
        assert!(!secrets.rotate("101", "dev", &mut random));
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let mut secrets = Secrets { auth_token: Some(Secret::new("sesame".to_owned())), ..Secrets::default() };
        secrets.mint(["101"], &["prod"], &mut Random::from_number(3));
        secrets.api_key = Some(ApiKey { sid: "SK1".to_owned(), secret: Secret::new("sesame".to_owned()) });
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("sesame"));
        assert!(!shown.contains(secrets.extensions["101"].lan_password.expose().as_str()));
        assert!(!shown.contains(secrets.trunk_password("prod", "101").unwrap().expose().as_str()));
        assert!(!shown.contains(secrets.webhook.as_ref().unwrap().password.expose().as_str()));
    }
}
