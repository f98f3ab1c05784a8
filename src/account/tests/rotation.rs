//! Another password for a credential: whatever becomes of the request, one that Twilio has is kept.

use super::*;

/// Whether Twilio has one of the passwords of 101 that are kept; and it is the former one.
#[track_caller]
fn kept(the_box: &Box, fake: &Fake) -> bool {
    let has = |password: Option<&gateway_core::secret::Secret<String>>| {
        password.is_some_and(|password| fake.passwords.values().any(|held| held == password.expose()))
    };
    let former = has(the_box.secrets.former_trunk_password("prod", "101"));
    assert!(former || has(the_box.secrets.trunk_password("prod", "101")));
    former
}

fn settle(the_box: &mut Box) -> bool {
    crate::rotation::settle(&mut the_box.secrets, &the_box.owned)
}

#[test]
fn a_rotation_killed_at_any_request_keeps_the_password_that_twilio_has_and_is_taken_up() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101", "102"], &[]));
    the_box.set_up(&mut fake).unwrap();
    assert!(the_box.secrets.rotate("101", "prod", &mut Random::from_number(9)));
    let mut counted = fake.clone();
    the_box.clone().set_up(&mut counted).unwrap();
    let mut states = BTreeSet::new();
    for at in fake.requests..counted.requests {
        for fault in [Fault::Before, Fault::After] {
            let (mut fake, mut the_box) = (fake.clone(), the_box.clone());
            // Clones share their fate otherwise.
            fake.revive();
            fake.kill = Some((at, fault));
            the_box.set_up(&mut fake).unwrap_err();
            assert!(!settle(&mut the_box), "Twilio has said nothing");
            states.insert(kept(&the_box, &fake));
            fake.revive();
            the_box.set_up(&mut fake).unwrap();
            assert!(settle(&mut the_box));
            assert!(!kept(&the_box, &fake));
            the_box.assert_passwords(&fake);
            the_box.assert_nothing_to_do(&mut fake);
        }
    }
    assert_eq!(states.len(), 2, "some kills are before the password is there, one is after");
}

#[test]
fn a_credential_that_is_made_again_has_no_former_password() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    assert!(the_box.secrets.rotate("101", "prod", &mut Random::from_number(9)));
    the_box.destroy(&mut fake, "prod").unwrap();
    the_box.set_up(&mut fake).unwrap();
    assert!(settle(&mut the_box));
    assert!(!kept(&the_box, &fake));
}
