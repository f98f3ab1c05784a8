//! Emergency addresses: registered, changed, given back, and waited for (TWILIO.md "Emergency addresses").

use super::*;

/// An office whose first number has an address in `city` and is the domain's emergency caller.
fn with_city(city: &str) -> Config {
    let mut config = office(&[], &NUMBERS[..1]).with_address(NUMBERS[0], city);
    config.emergency.caller_id = Some(NUMBERS[0].to_owned());
    config
}

#[test]
fn another_address_is_set_when_the_former_one_is_registered_no_longer() {
    let mut fake = fresh();
    fake.slowness = 2;
    let mut the_box = Box::new(with_city("Portland"));
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["emergency_address_status"], "registered");
    the_box.config = with_city("Salem");
    let sentences = the_box.sentences(&mut fake);
    let starts = [
        "create address salem-",
        "change phone number +15035551212: clear EmergencyAddressSid (was AD",
        "wait until the former emergency address of phone number +15035551212 is unregistered",
        "change phone number +15035551212: set EmergencyAddressSid to address salem-",
        "delete address portland-",
        "wait until the emergency address of phone number +15035551212 is registered",
    ];
    assert_eq!(sentences.len(), starts.len(), "{sentences:#?}");
    assert!(sentences.iter().zip(starts).all(|(sentence, start)| sentence.starts_with(start)), "{sentences:#?}");
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.collections["Addresses"].len(), 1);
    assert_eq!(fake.collections["Addresses"][0]["city"], "Salem");
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn what_takes_too_long_is_an_error_at_the_end_and_goes_on_at_the_next_run() {
    let mut fake = fresh();
    fake.slowness = 100;
    let mut config = with_city("Portland");
    config.spend.daily = Some(1000);
    let mut the_box = Box::new(config);
    let error = the_box.set_up(&mut fake).unwrap_err();
    assert_eq!(
        error,
        "phone number +15035551212: its emergency address is pending-registration still, which Twilio may take half an \
         hour for; run the command again then"
    );
    assert_eq!(the_box.waited, Duration::from_millis(295_500));
    let sentences = the_box.sentences(&mut fake);
    assert!(sentences[0].starts_with("wait until the emergency address"), "{sentences:?}");
    assert!(sentences[1].starts_with("set the emergency caller of SIP domain"), "{sentences:?}");
    assert_eq!(sentences.len(), 2);
    // The wait is over, some time.
    for _ in 0..3 {
        let _ = the_box.set_up(&mut fake);
    }
    the_box.assert_nothing_to_do(&mut fake);
    assert!(fake.named(Kind::Domain, "office.sip.twilio.com")["emergency_caller_sid"].is_string());
    // All of it was one apply with one way back.
    fake.slowness = 0;
    the_box.undo(&mut fake).unwrap();
    assert_eq!(contents(&fake), contents(&fresh()));
}

#[test]
fn an_address_that_twilio_cannot_register_is_a_problem_and_no_endless_wait() {
    let mut fake = fresh();
    fake.unknown_city = Some("Atlantis".to_owned());
    let mut the_box = Box::new(with_city("Atlantis"));
    let error = the_box.set_up(&mut fake).unwrap_err();
    assert_eq!(
        error,
        "phone number +15035551212: its emergency address is registration-failure; correct its [[address]] in the config \
         and apply again"
    );
    let plan = the_box.plan(&mut fake);
    assert_eq!(plan.changes, []);
    assert_eq!(plan.problems.len(), 1);
    assert!(plan.problems[0].contains("could not be registered for emergency calls"), "{:?}", plan.problems);
    the_box.config = with_city("Portland");
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["emergency_address_status"], "registered");
}

#[test]
fn an_address_that_was_there_before_us_comes_back() {
    for slowness in [0, 3] {
        let mut fake = fresh();
        let theirs = fake.insert("Addresses", json!({"friendly_name": "theirs", "city": "Eugene"}));
        let number = fake.named(Kind::PhoneNumber, NUMBERS[0]);
        number.insert("emergency_address_sid".to_owned(), json!(theirs));
        number.insert("emergency_address_status".to_owned(), json!("registered"));
        let before = contents(&fake);
        fake.slowness = slowness;
        let mut the_box = Box::new(with_city("Portland"));
        the_box.set_up(&mut fake).unwrap();
        the_box.assert_nothing_to_do(&mut fake);
        let set_up = the_box.clone();
        let mut again = fake.clone();
        // The config wants no address any more.
        the_box.config = office(&[], &NUMBERS[..1]);
        the_box.set_up(&mut fake).unwrap();
        assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["emergency_address_sid"], theirs.as_str());
        the_box.assert_nothing_to_do(&mut fake);
        // Or all is undone.
        let mut the_box = set_up;
        the_box.undo(&mut again).unwrap();
        for _ in 0..=slowness {
            again.requests += 1;
            the_box.plan(&mut again);
        }
        assert_eq!(contents(&again), before);
    }
}

#[test]
fn an_address_that_somebody_elses_number_uses_is_not_deleted() {
    let mut fake = fresh();
    let mut the_box = Box::new(with_city("Portland"));
    the_box.set_up(&mut fake).unwrap();
    let address = fake.collections["Addresses"][0]["sid"].clone();
    let theirs = fake.named(Kind::PhoneNumber, NUMBERS[1]);
    theirs.insert("emergency_address_sid".to_owned(), address);
    theirs.insert("emergency_address_status".to_owned(), json!("registered"));
    let plan = the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    assert!(plan.problems[0].contains("phone number +15035551213"), "{:?}", plan.problems);
    assert_eq!(fake.collections["Addresses"].len(), 1);
    assert!(fake.collections["SIP/Domains"].is_empty());
}
