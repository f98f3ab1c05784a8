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
    let mut counted = fresh();
    Box::new(config.clone()).set_up(&mut counted).unwrap();
    for at in 0..counted.requests {
        for fault in [Fault::Before, Fault::After] {
            let mut fake = fresh();
            let mut the_box = Box::new(config.clone());
            fake.kill = Some((at, fault));
            the_box.set_up(&mut fake).unwrap_err();
            fake.revive();
            the_box.set_up(&mut fake).unwrap();
            the_box.undo(&mut fake).unwrap();
            assert_eq!(contents(&fake), contents(&fresh()), "{at} {fault:?}");
        }
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
