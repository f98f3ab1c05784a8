//! The auth token and the passwords that we mint.

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
    /// Of your box itself, by its user name there. A version that knows nothing of
    /// it leaves it out, and the next `apply` of this one mints another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boxes: BTreeMap<String, BoxSecrets>,
}

/// An API key (TWILIO.md "API keys").
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
    /// What Twilio had before a rotation, by environment, until it provably has the one above: a rotation that is cut
    /// leaves it open which of the two holds. A version that knows nothing of this leaves it out and finds the new one
    /// above, which `apply` brings to Twilio.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former_trunk_passwords: BTreeMap<String, Secret<String>>,
}

/// The passwords of your box itself: it has none at the LAN. Both as in [`ExtensionSecrets`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxSecrets {
    #[serde(default)]
    pub trunk_passwords: Passwords,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub former_trunk_passwords: Passwords,
}

/// Passwords by environment.
type Passwords = BTreeMap<String, Secret<String>>;

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
                former_trunk_passwords: BTreeMap::new(),
            });
            mint_missing(&mut extension.trunk_passwords, environments, random);
        }
        if self.webhook.is_none() {
            self.webhook = Some(Credentials { user: "twilio".to_owned(), password: password(random, TRUNK_PASSWORD) });
        }
    }

    /// The same of the box itself, by its user name.
    pub fn mint_box(&mut self, user: &str, environments: &[&str], random: &mut Random) {
        mint_missing(&mut self.boxes.entry(user.to_owned()).or_default().trunk_passwords, environments, random);
    }

    /// Another password for a user (an extension, or the box) at Twilio; the one that it takes the place of is kept until
    /// [`Secrets::settle`]. Where one is kept already, that rotation goes on: with a third password nobody would know
    /// which two to try. `false` when there was none.
    pub fn rotate(&mut self, user: &str, environment: &str, random: &mut Random) -> bool {
        let Some((now, former)) = self.of_mut().find(|(name, ..)| *name == user).map(|(_, now, former)| (now, former))
        else {
            return false;
        };
        let Some(now) = now.get_mut(environment) else { return false };
        if !former.contains_key(environment) {
            let replaced = std::mem::replace(now, password(random, TRUNK_PASSWORD));
            former.insert(environment.to_owned(), replaced);
        }
        true
    }

    /// Drops the former passwords that Twilio provably has replaced: `is_taken` gets a user, an environment and the new
    /// password. Whether there were any.
    pub fn settle(&mut self, is_taken: impl Fn(&str, &str, &Secret<String>) -> bool) -> bool {
        let mut dropped = false;
        for (name, new, former) in self.of_mut() {
            former.retain(|environment, _| {
                let taken = new.get(environment).is_some_and(|new| is_taken(name, environment, new));
                dropped |= taken;
                !taken
            });
        }
        dropped
    }

    /// What a user (an extension, or the box) registers with at Twilio in an environment.
    pub fn trunk_password(&self, environment: &str, user: &str) -> Option<&Secret<String>> {
        match self.extensions.get(user) {
            Some(extension) => extension.trunk_passwords.get(environment),
            None => self.boxes.get(user)?.trunk_passwords.get(environment),
        }
    }

    /// What it registered with before a rotation that is not done: the one of the two that Twilio may still have.
    pub fn former_trunk_password(&self, environment: &str, user: &str) -> Option<&Secret<String>> {
        match self.extensions.get(user) {
            Some(extension) => extension.former_trunk_passwords.get(environment),
            None => self.boxes.get(user)?.former_trunk_passwords.get(environment),
        }
    }

    /// User, passwords and former passwords at Twilio, of each.
    fn of_mut(&mut self) -> impl Iterator<Item = (&String, &mut Passwords, &mut Passwords)> {
        let extensions = self.extensions.iter_mut();
        let extensions =
            extensions.map(|(name, one)| (name, &mut one.trunk_passwords, &mut one.former_trunk_passwords));
        let boxes = self.boxes.iter_mut();
        extensions.chain(boxes.map(|(name, one)| (name, &mut one.trunk_passwords, &mut one.former_trunk_passwords)))
    }
}

fn mint_missing(passwords: &mut Passwords, environments: &[&str], random: &mut Random) {
    for environment in environments {
        if !passwords.contains_key(*environment) {
            passwords.insert((*environment).to_owned(), password(random, TRUNK_PASSWORD));
        }
    }
}

/// A password by Twilio's policy: 12 characters or more, a digit, both cases (TWILIO.md "Credentials"). Those that lack
/// one are thrown away whole, so that each that fits is equally likely.
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
    fn the_box_has_passwords_at_twilio_of_its_own_which_rotate_and_settle_as_those_of_an_extension() {
        let mut random = Random::from_number(8);
        let mut secrets = Secrets::default();
        secrets.mint(["101"], &["prod", "stage"], &mut random);
        secrets.mint_box("box-office", &["prod", "stage"], &mut random);
        let first = secrets.trunk_password("prod", "box-office").unwrap().clone();
        let extensions = secrets.extensions.clone();
        secrets.mint_box("box-office", &["prod", "stage"], &mut random);
        assert_eq!(secrets.trunk_password("prod", "box-office"), Some(&first));
        assert_ne!(secrets.trunk_password("stage", "box-office"), Some(&first));
        assert!(secrets.rotate("box-office", "prod", &mut random));
        assert_eq!(secrets.former_trunk_password("prod", "box-office"), Some(&first));
        assert_eq!(secrets.former_trunk_password("stage", "box-office"), None);
        assert!(secrets.settle(|user, environment, _| user == "box-office" && environment == "prod"));
        assert_eq!(secrets.former_trunk_password("prod", "box-office"), None);
        assert_ne!(secrets.trunk_password("prod", "box-office"), Some(&first));
        assert_eq!(secrets.extensions, extensions, "nobody at the LAN is called so");
        assert!(!format!("{secrets:?}").contains(first.expose()));
    }

    #[test]
    fn a_rotation_that_is_not_done_goes_on_without_a_third_password() {
        let mut random = Random::from_number(6);
        let mut secrets = Secrets::default();
        secrets.mint(["101"], &["prod"], &mut random);
        secrets.rotate("101", "prod", &mut random);
        let begun = secrets.clone();
        assert!(secrets.rotate("101", "prod", &mut random));
        assert_eq!(secrets, begun);
        secrets.mint(["101"], &["prod"], &mut random);
        assert_eq!(secrets, begun);
    }

    #[test]
    fn a_file_of_a_version_without_former_passwords_is_read_and_written_as_it_was() {
        let file = r#"{"webhook":{"user":"twilio","password":"w"},"extensions":{"101":{"lan_password":"l","trunk_passwords":{"prod":"t"}}}}"#;
        let secrets: Secrets = serde_json::from_str(file).unwrap();
        assert_eq!(secrets.trunk_password("prod", "101").unwrap().expose(), "t");
        assert_eq!(secrets.former_trunk_password("prod", "101"), None);
        assert_eq!(serde_json::to_string(&secrets).unwrap(), file);
    }

    /// The shape of an extension's passwords in versions up to 0.1.0 without `former_trunk_passwords`.
    #[derive(Debug, Deserialize)]
    struct OldSecrets {
        extensions: BTreeMap<String, OldExtensionSecrets>,
    }

    #[derive(Debug, Deserialize)]
    struct OldExtensionSecrets {
        lan_password: String,
        #[serde(default)]
        trunk_passwords: BTreeMap<String, String>,
    }

    #[test]
    fn a_version_without_former_passwords_reads_the_new_one_that_it_can_bring_to_twilio() {
        let mut random = Random::from_number(7);
        let mut secrets = Secrets::default();
        secrets.mint(["101"], &["prod"], &mut random);
        secrets.rotate("101", "prod", &mut random);
        let file = serde_json::to_string(&secrets).unwrap();
        assert!(file.contains("former_trunk_passwords"), "{file}");
        let old: OldSecrets = serde_json::from_str(&file).unwrap();
        let (old, new) = (&old.extensions["101"], &secrets.extensions["101"]);
        assert_eq!(old.lan_password, *new.lan_password.expose());
        assert_eq!(old.trunk_passwords["prod"], *new.trunk_passwords["prod"].expose());
        let read: Secrets = serde_json::from_str(&file).unwrap();
        assert_eq!(read, secrets);
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let mut secrets = Secrets { auth_token: Some(Secret::new("sesame".to_owned())), ..Secrets::default() };
        secrets.mint(["101"], &["prod"], &mut Random::from_number(3));
        secrets.rotate("101", "prod", &mut Random::from_number(4));
        secrets.api_key = Some(ApiKey { sid: "SK1".to_owned(), secret: Secret::new("sesame".to_owned()) });
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("sesame"));
        assert!(!shown.contains(secrets.extensions["101"].lan_password.expose().as_str()));
        assert!(!shown.contains(secrets.trunk_password("prod", "101").unwrap().expose().as_str()));
        assert!(!shown.contains(secrets.former_trunk_password("prod", "101").unwrap().expose().as_str()));
        assert!(!shown.contains(secrets.webhook.as_ref().unwrap().password.expose().as_str()));
    }
}
