//! What is ours, what is adopted, and what is left to others.

use super::*;

#[test]
fn a_number_that_points_elsewhere_is_adopted_by_name_and_given_back_as_it_was() {
    let mut fake = fresh();
    fake.named(Kind::PhoneNumber, NUMBERS[0]).insert("trunk_sid".to_owned(), json!("TK01"));
    let number = fake.named(Kind::PhoneNumber, NUMBERS[0])["sid"].as_str().unwrap().to_owned();
    let before = contents(&fake).into_iter().find(|line| line.contains(NUMBERS[0]));
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    assert_eq!(
        the_box.sentences(&mut fake).last().unwrap(),
        &format!(
            "adopt phone number +15035551212 ({number}): clear TrunkSid (was TK01), set VoiceApplicationSid to TwiML app \
             gateway-office-prod"
        )
    );
    the_box.set_up(&mut fake).unwrap();
    the_box.config = office(&[], &[]);
    let app = fake.named(Kind::Application, "gateway-office-prod")["sid"].as_str().unwrap().to_owned();
    assert_eq!(
        the_box.sentences(&mut fake),
        [format!(
            "give back phone number +15035551212 ({number}), no longer wanted: set TrunkSid to TK01, clear \
             VoiceApplicationSid (was {app})"
        )]
    );
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(contents(&fake).into_iter().find(|line| line.contains(NUMBERS[0])), before);
}

#[test]
fn a_number_that_somebody_pointed_elsewhere_after_us_is_left_to_them() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    the_box.set_up(&mut fake).unwrap();
    fake.named(Kind::PhoneNumber, NUMBERS[0]).insert("voice_application_sid".into(), json!("AP99"));
    the_box.config = office(&[], &[]);
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["voice_application_sid"], "AP99");
}

#[test]
fn a_name_that_the_config_gave_a_number_and_takes_away_again_becomes_what_it_was() {
    let mut fake = fresh();
    fake.named(Kind::PhoneNumber, NUMBERS[0]).insert("friendly_name".to_owned(), json!("Lobby"));
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    the_box.config.numbers[0].friendly_name = Some("Front desk".to_owned());
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["friendly_name"], "Front desk");
    the_box.config.numbers[0].friendly_name = None;
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["friendly_name"], "Lobby");
    the_box.assert_nothing_to_do(&mut fake);
    // From then on it is not ours to change.
    fake.named(Kind::PhoneNumber, NUMBERS[0]).insert("friendly_name".to_owned(), json!("Front desk"));
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn drift_is_shown_with_what_was_found_and_put_right() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    fake.named(Kind::Domain, "office.sip.twilio.com").insert("voice_url".to_owned(), json!("https://old"));
    assert_eq!(
        the_box.sentences(&mut fake),
        ["change SIP domain office.sip.twilio.com: set VoiceUrl to https://gateway.example.com/twilio/outgoing (was \
          https://old)"]
    );
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn new_secrets_reach_twilio_without_being_readable_there() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    // The secrets file was lost.
    the_box.secrets = Secrets::default();
    the_box.seed = 77;
    the_box.mint();
    assert_eq!(
        the_box.sentences(&mut fake),
        ["box-office", "101"]
            .map(|user| format!("change credential {user} in credential list gateway-office-prod: set its password"))
    );
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_passwords(&fake);
}

#[test]
fn lost_records_lead_to_adoption_and_not_to_a_second_set() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &NUMBERS));
    the_box.set_up(&mut fake).unwrap();
    let before = contents(&fake);
    the_box.owned = Owned::default();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(contents(&fake), before);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn credentials_that_others_put_into_our_list_are_told_and_keep_the_list_from_being_deleted() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    let list = fake.named(Kind::CredentialList, "gateway-office-prod")["sid"].as_str().unwrap().to_owned();
    let sid = fake.insert(&format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "intruder"}));
    let plan = the_box.plan(&mut fake);
    assert_eq!(plan.changes, []);
    assert_eq!(
        plan.notes,
        [format!(
            "credential intruder in credential list gateway-office-prod ({sid}) is not ours and is left as it is"
        )]
    );
    let plan = the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(
        plan.problems,
        [format!(
            "credential list gateway-office-prod ({list}) is not deleted: credential intruder ({sid}) in it, not ours to \
             delete; delete what is not needed at console.twilio.com"
        )]
    );
    assert_eq!(fake.collections[&format!("SIP/CredentialLists/{list}/Credentials")].len(), 1);
}

#[test]
fn a_list_of_networks_that_somebody_mapped_to_our_domain_is_told_for_what_it_does() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]));
    the_box.set_up(&mut fake).unwrap();
    let domain = fake.named(Kind::Domain, "office.sip.twilio.com")["sid"].as_str().unwrap().to_owned();
    let list = fake.insert("SIP/IpAccessControlLists", json!({"friendly_name": "vpn"}));
    let mappings = format!("SIP/Domains/{domain}/Auth/Calls/IpAccessControlListMappings");
    fake.insert(&mappings, json!({"ip_access_control_list_sid": list}));
    assert_eq!(
        the_box.plan(&mut fake).notes,
        [format!(
            "IP access list vpn ({list}) is mapped to SIP domain office.sip.twilio.com by somebody else: only from its \
             networks can be called; it is left as it is"
        )]
    );
}

#[test]
fn a_new_site_name_moves_everything_and_leaves_nothing_of_ours_behind() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &NUMBERS[..1]).with_address(NUMBERS[0], "Portland"));
    the_box.set_up(&mut fake).unwrap();
    the_box.config.site.name = "shop".to_owned();
    the_box.config.environments[0].domain = "shop.sip.twilio.com".to_owned();
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
    let mut expected = fresh();
    Box::new(the_box.config.clone()).set_up(&mut expected).unwrap();
    assert_eq!(contents(&fake), contents(&expected));
}

#[test]
fn a_spend_limit_that_changes_is_another_trigger_and_a_strangers_is_left() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]));
    the_box.config.spend.daily = Some(1000);
    the_box.set_up(&mut fake).unwrap();
    let sid = fake.collections["Usage/Triggers"][0]["sid"].as_str().unwrap().to_owned();
    the_box.config.spend.daily = Some(2000);
    assert_eq!(
        the_box.sentences(&mut fake),
        [format!(
            "replace usage trigger gateway-office-daily ({sid}), which cannot be changed: set TriggerValue to 20.00 (was \
             10.000000)"
        )]
    );
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.collections["Usage/Triggers"].len(), 1);
    assert_eq!(fake.collections["Usage/Triggers"][0]["trigger_value"], "20.000000");
    the_box.assert_nothing_to_do(&mut fake);

    let sid = fake.collections["Usage/Triggers"][0]["sid"].as_str().unwrap().to_owned();
    the_box.owned = Owned::default();
    the_box.config.spend.daily = Some(3000);
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(
        plan.problems,
        [format!(
            "usage trigger gateway-office-daily ({sid}) was not made by us and has TriggerValue 20.000000, which can \
             never become 30.00; delete it at console.twilio.com, or write another site.name"
        )]
    );
    assert_eq!(fake.collections["Usage/Triggers"][0]["trigger_value"], "20.000000");
}

#[test]
fn countries_are_opened_where_they_are_closed_and_closed_again_where_we_opened_them() {
    let mut fake = fresh();
    let before = contents(&fake);
    let mut the_box = Box::new(office(&[], &[]));
    the_box.config.dialing.countries = ["US", "MX", "DO", "XX"].map(str::to_owned).to_vec();
    the_box.config.dialing.manage = true;
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(plan.problems, ["Twilio knows no country XX; correct dialing.countries"]);
    let open = |fake: &Fake| {
        let countries = fake.collections["DialingPermissions/Countries"].iter();
        let open = countries.filter(|country| country["low_risk_numbers_enabled"] == true);
        open.map(|country| country["iso_code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(open(&fake), ["US", "CA", "MX", "DO"]);
    the_box.assert_nothing_to_do(&mut fake);
    the_box.config.dialing.countries = ["US", "MX"].map(str::to_owned).to_vec();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(open(&fake), ["US", "CA", "MX"]);
    the_box.config.dialing.manage = false;
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(open(&fake), ["US", "CA"]);
    the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(contents(&fake), before);
}
