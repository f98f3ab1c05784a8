//! Rotation of the trunk's passwords: a former one is dropped when Twilio provably has the new one.

use crate::model::{Kind, fingerprint};
use crate::owned::Owned;
use gateway_core::secrets::Secrets;

/// Drops the former passwords where Twilio has taken the new ones, by the records of its answers. Whether there were any.
pub fn settle(secrets: &mut Secrets, owned: &Owned) -> bool {
    secrets.settle(|extension, environment, new| {
        owned.iter().any(|record| {
            record.id.kind == Kind::Credential
                && record.sid.is_some()
                && record.id.own_key() == extension
                && record.environment == environment
                && record.fingerprint.as_ref() == Some(&fingerprint(new))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Id;
    use crate::owned::Record;
    use gateway_core::random::Random;
    use gateway_core::secret::Secret;

    /// Twilio's answers as they are recorded: it has this password.
    fn taken(environment: &str, extension: &str, password: &Secret<String>) -> Owned {
        let mut owned = Owned::default();
        owned.put(Record {
            id: Id::child(Kind::Credential, &format!("gateway-office-{environment}"), extension),
            environment: environment.to_owned(),
            sid: Some("CR1".to_owned()),
            parent_sid: Some("CL1".to_owned()),
            made: true,
            changed: BTreeMap::new(),
            fingerprint: Some(fingerprint(password)),
        });
        owned
    }

    #[test]
    fn the_former_password_is_kept_until_twilio_has_the_new_one() {
        let mut random = Random::from_number(5);
        let mut secrets = Secrets::default();
        secrets.mint(["101"], &["prod", "stage"], &mut random);
        let first = secrets.trunk_password("prod", "101").unwrap().clone();
        assert_eq!(secrets.former_trunk_password("prod", "101"), None);
        secrets.rotate("101", "prod", &mut random);
        let second = secrets.trunk_password("prod", "101").unwrap().clone();
        assert_eq!(secrets.former_trunk_password("prod", "101"), Some(&first));
        assert_eq!(secrets.former_trunk_password("stage", "101"), None);

        assert!(!settle(&mut secrets, &Owned::default()));
        assert!(!settle(&mut secrets, &taken("prod", "101", &first)));
        assert!(!settle(&mut secrets, &taken("stage", "101", &second)));
        assert_eq!(secrets.former_trunk_password("prod", "101"), Some(&first));
        assert!(settle(&mut secrets, &taken("prod", "101", &second)));
        assert_eq!(secrets.former_trunk_password("prod", "101"), None);
        assert_eq!(secrets.trunk_password("prod", "101"), Some(&second));
        assert!(!settle(&mut secrets, &taken("prod", "101", &second)));
    }
}
