//! The way back.

use super::*;

#[test]
fn the_way_back_is_told_in_sentences() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &NUMBERS[..1]));
    let error = the_box.with(&mut fake, |account| account.plan_undo()).unwrap_err();
    assert_eq!(error.to_string(), "there is nothing to undo: the last apply was undone, or none was made here");
    the_box.set_up(&mut fake).unwrap();
    let number = fake.named(Kind::PhoneNumber, NUMBERS[0])["sid"].as_str().unwrap().to_owned();
    let told = the_box.with(&mut fake, |account| account.plan_undo()).unwrap();
    assert_eq!(
        told,
        [
            format!("change phone number +15035551212 ({number}) back: clear VoiceApplicationSid"),
            "delete TwiML app gateway-office-prod".to_owned(),
            "delete mapping of credential list gateway-office-prod to SIP domain office.sip.twilio.com for registrations"
                .to_owned(),
            "delete mapping of credential list gateway-office-prod to SIP domain office.sip.twilio.com for calls"
                .to_owned(),
            "delete SIP domain office.sip.twilio.com".to_owned(),
            "delete credential 101 in credential list gateway-office-prod".to_owned(),
            "delete credential box-office in credential list gateway-office-prod".to_owned(),
            "delete credential list gateway-office-prod".to_owned(),
        ]
    );
    assert_eq!(the_box.undo(&mut fake).unwrap(), told);
    assert_eq!(contents(&fake), contents(&fresh()));
    assert_eq!(the_box.owned, Owned::default());
}

#[test]
fn what_was_destroyed_comes_back_with_its_passwords_and_references() {
    let mut fake = fresh();
    let mut config = office(&["101", "102"], &NUMBERS).with_address(NUMBERS[0], "Portland");
    config.emergency.caller_id = Some(NUMBERS[0].to_owned());
    config.spend.monthly = Some(5000);
    let mut the_box = Box::new(config);
    the_box.set_up(&mut fake).unwrap();
    let before = contents(&fake);
    the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(contents(&fake), contents(&fresh()));
    the_box.undo(&mut fake).unwrap();
    the_box.plan(&mut fake);
    assert_eq!(contents(&fake), before);
    the_box.assert_passwords(&fake);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn what_somebody_else_changed_after_us_is_left_to_them() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    the_box.set_up(&mut fake).unwrap();
    fake.named(Kind::PhoneNumber, NUMBERS[0]).insert("voice_application_sid".into(), json!("AP99"));
    the_box.undo(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["voice_application_sid"], "AP99");
}

#[test]
fn the_way_back_over_a_run_that_was_killed_and_taken_up_leads_to_where_it_began() {
    let config = office(&["101"], &NUMBERS[..1]);
    for (mut the_box, mut fake, at) in killed_set_ups(&config) {
        the_box.set_up(&mut fake).unwrap();
        the_box.undo(&mut fake).unwrap();
        assert_eq!(contents(&fake), contents(&fresh()), "{at}");
    }
}

#[test]
fn what_cannot_come_back_is_told() {
    let mut fake = fresh();
    fake.for_sale = vec!["+15035559999".to_owned()];
    let mut the_box = Box::new(office(&[], &["+15035559999"]));
    the_box.buy.insert("+15035559999".to_owned());
    the_box.set_up(&mut fake).unwrap();
    let told = the_box.undo(&mut fake).unwrap();
    let line = "not undone: phone number +15035559999 was bought and stays; \"gateway number release +15035559999\" gives \
                it up";
    assert!(told.contains(&line.to_owned()), "{told:#?}");
    assert_eq!(fake.collections["IncomingPhoneNumbers"].len(), 4);
}

#[test]
fn a_rotated_password_stays_and_the_way_back_over_the_run_before_it_too() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    // The way back leads over a change of a URL.
    the_box.config.environments[0].public_url = "https://next.example.com".to_owned();
    the_box.set_up(&mut fake).unwrap();
    let before = the_box.with(&mut fake, |account| account.plan_undo()).unwrap();
    assert!(the_box.secrets.rotate("101", "prod", &mut Random::from_number(9)));
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(the_box.with(&mut fake, |account| account.plan_undo()).unwrap(), before);
    the_box.assert_passwords(&fake);
    the_box.undo(&mut fake).unwrap();
    the_box.config.environments[0].public_url = "https://gateway.example.com".to_owned();
    the_box.assert_nothing_to_do(&mut fake);
    the_box.assert_passwords(&fake);
}

#[test]
fn a_password_that_was_set_with_something_else_is_known_after_the_way_back() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    assert!(the_box.secrets.rotate("101", "prod", &mut Random::from_number(9)));
    the_box.config.environments[0].public_url = "https://next.example.com".to_owned();
    the_box.set_up(&mut fake).unwrap();
    the_box.undo(&mut fake).unwrap();
    the_box.config.environments[0].public_url = "https://gateway.example.com".to_owned();
    the_box.assert_nothing_to_do(&mut fake);
    the_box.assert_passwords(&fake);
}

#[test]
fn a_rotation_does_not_end_a_run_that_was_stopped() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    let start = contents(&fake);
    the_box.configure(office(&["101", "102", "103"], &[]));
    // Both credentials are made, the second one's answer is lost.
    let mut counted = fake.clone();
    the_box.clone().set_up(&mut counted).unwrap();
    fake.kill = Some((counted.requests - 1, Fault::After));
    the_box.set_up(&mut fake).unwrap_err();
    fake.revive();
    assert!(the_box.owned.unfinished);
    assert!(the_box.secrets.rotate("101", "prod", &mut Random::from_number(9)));
    let mut plan = the_box.plan(&mut fake);
    plan.changes.retain(|change| change.id().own_key() == "101");
    the_box.make(&mut fake, &plan).unwrap();
    the_box.set_up(&mut fake).unwrap();
    the_box.undo(&mut fake).unwrap();
    assert_eq!(contents(&fake), start);
}

#[test]
fn what_can_never_be_undone_does_not_keep_the_rest_back() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &NUMBERS[..1]));
    the_box.set_up(&mut fake).unwrap();
    the_box.destroy(&mut fake, "prod").unwrap();
    // Somebody else has the name now.
    fake.taken.push("office.sip.twilio.com".to_owned());
    let told = the_box.undo(&mut fake).unwrap();
    assert!(
        told.iter().any(|line| line.starts_with("not undone: SIP domain office.sip.twilio.com belongs")),
        "{told:#?}"
    );
    assert!(the_box.owned.undo.is_empty());
    let lists = &fake.collections["SIP/CredentialLists"];
    assert_eq!(lists.len(), 1);
    assert_ne!(fake.named(Kind::PhoneNumber, NUMBERS[0])["voice_application_sid"], "");
    // The name is free again, and nothing is in the way.
    fake.taken.clear();
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_destroyed_environment_comes_again_with_its_own_urls_and_undone_with_the_promoted_ones() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]).with_environment("stage").with_environment("dev"));
    the_box.set_up(&mut fake).unwrap();
    the_box.with(&mut fake, |account| account.promote("dev", "stage")).unwrap();
    the_box.set_up(&mut fake).unwrap();
    let promoted = contents(&fake);
    the_box.destroy(&mut fake, "stage").unwrap();
    let destroyed = (fake.clone(), the_box.clone());
    the_box.undo(&mut fake).unwrap();
    assert_eq!(contents(&fake), promoted);
    the_box.assert_nothing_to_do(&mut fake);

    let (mut fake, mut the_box) = destroyed;
    the_box.set_up(&mut fake).unwrap();
    let app = fake.named(Kind::Application, "gateway-office-stage");
    assert_eq!(app["voice_url"], "https://stage.example.com/twilio/incoming");
}
