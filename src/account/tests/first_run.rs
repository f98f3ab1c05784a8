//! From nothing to a finished account, also with interruptions.

use super::*;

/// An office that wants everything.
fn everything() -> Config {
    let mut config = office(&["101"], &NUMBERS[..1]).with_address(NUMBERS[0], "Portland");
    config.emergency.caller_id = Some(NUMBERS[0].to_owned());
    config.access.networks = vec![gateway_core::config::Ipv4Network { address: [192, 0, 2, 0].into(), prefix: 24 }];
    config.dialing.countries = ["US", "MX", "DO"].map(str::to_owned).to_vec();
    config.dialing.manage = true;
    config.spend.daily = Some(1050);
    config.hosted.assets = Some("sounds-1".into());
    config.numbers[0].friendly_name = Some("Front desk".to_owned());
    config
}

#[test]
fn a_first_run_makes_everything_in_the_order_of_its_dependencies() {
    let the_box = Box::new(everything());
    let mut fake = fresh();
    let number = fake.named(Kind::PhoneNumber, NUMBERS[0])["sid"].as_str().unwrap().to_owned();
    let plan = the_box.plan(&mut fake);
    let address = plan.changes.iter().map(|change| change.id()).find(|id| id.kind == Kind::Address).unwrap().key;
    let lines = the_box.sentences(&mut fake);
    let expected = [
        "change dialing permissions: set MX to true (was false), set DO to true (was false)".to_owned(),
        "create usage trigger gateway-office-daily with CallbackUrl https://gateway.example.com/twilio/usage, \
         CallbackMethod POST, UsageCategory totalprice, TriggerBy price, TriggerValue 10.50, Recurring daily"
            .to_owned(),
        "create hosted Service gateway-office with FriendlyName gateway-office".to_owned(),
        "create asset /hello.txt in hosted Service gateway-office".to_owned(),
        "create asset /sounds/busy.mp3 in hosted Service gateway-office".to_owned(),
        "upload /hello.txt (5 bytes)".to_owned(),
        "upload /sounds/busy.mp3 (4 bytes)".to_owned(),
        "build hosted Service gateway-office with 2 files".to_owned(),
        "create hosted environment prod in hosted Service gateway-office".to_owned(),
        "put the build of these files in force in hosted environment prod in hosted Service gateway-office".to_owned(),
        "create credential list gateway-office-prod".to_owned(),
        "create credential box-office in credential list gateway-office-prod".to_owned(),
        "create credential 101 in credential list gateway-office-prod".to_owned(),
        "create IP access list gateway-office-prod".to_owned(),
        "create network 192.0.2.0 in IP access list gateway-office-prod with FriendlyName 192.0.2.0, CidrPrefixLength 24"
            .to_owned(),
        format!(
            "create address {address} with CustomerName Office, Street 1 Main St, City Portland, Region OR, PostalCode \
             97201, IsoCountry US, EmergencyEnabled true"
        ),
        "create SIP domain office.sip.twilio.com with FriendlyName gateway-office-prod, VoiceUrl \
         https://gateway.example.com/twilio/outgoing, VoiceMethod POST, no VoiceFallbackUrl, VoiceStatusCallbackUrl \
         https://gateway.example.com/twilio/status, VoiceStatusCallbackMethod POST, SipRegistration true, \
         EmergencyCallingEnabled true, Secure true"
            .to_owned(),
        "make the mapping of credential list gateway-office-prod to SIP domain office.sip.twilio.com for calls"
            .to_owned(),
        "make the mapping of credential list gateway-office-prod to SIP domain office.sip.twilio.com for registrations"
            .to_owned(),
        "make the mapping of IP access list gateway-office-prod to SIP domain office.sip.twilio.com".to_owned(),
        "create TwiML app gateway-office-prod with VoiceUrl https://gateway.example.com/twilio/incoming, VoiceMethod \
         POST, no VoiceFallbackUrl, StatusCallback https://gateway.example.com/twilio/status, StatusCallbackMethod POST"
            .to_owned(),
        format!(
            "adopt phone number +15035551212 ({number}): set VoiceApplicationSid to TwiML app gateway-office-prod, set \
             FriendlyName to Front desk, set EmergencyAddressSid to address {address}"
        ),
        "wait until the emergency address of phone number +15035551212 is registered".to_owned(),
        "set the emergency caller of SIP domain office.sip.twilio.com: set EmergencyCallerSid to phone number \
         +15035551212"
            .to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_second_run_has_nothing_to_change_and_writes_nothing() {
    let mut the_box = Box::new(everything());
    let mut fake = fresh();
    fake.slowness = 3;
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_passwords(&fake);
    let (before, writes) = (contents(&fake), fake.writes);
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(plan, Plan::default());
    assert_eq!((contents(&fake), fake.writes), (before, writes));
}

#[test]
fn each_step_is_one_write_to_disk_and_credentials_of_a_list_are_one_together() {
    let mut fake = fresh();
    let the_box = Box::new(office(&["101", "102", "103"], &NUMBERS));
    let plan = the_box.plan(&mut fake);
    let mut owned = Owned::default();
    let local = local();
    let mut applier = Applier {
        api: &mut fake,
        owned: &mut owned,
        local: &local,
        pause: &mut |_| {},
        listener: &mut |_| {},
        unsaved: false,
        ahead: BTreeSet::new(),
    };
    applier.run(&plan).unwrap();
    assert_eq!(local.saves.get(), plan.changes.len() + 1 - 3);
}

#[test]
fn a_run_that_is_killed_at_any_request_is_taken_up_to_the_same_end() {
    let config = everything();
    let expected = contents(&set_up_at_once(&config));
    for (mut the_box, mut fake, at) in killed_set_ups(&config) {
        the_box.set_up(&mut fake).unwrap();
        assert_eq!(contents(&fake), expected, "{at}");
        the_box.assert_passwords(&fake);
        the_box.assert_nothing_to_do(&mut fake);
        // What the killed run made is ours, not adopted: it goes when it is not wanted any more.
        the_box.destroy(&mut fake, "prod").unwrap();
        assert_eq!(contents(&fake), contents(&fresh()), "{at}");
    }
}

#[test]
fn a_single_lost_answer_is_mended_within_the_run() {
    let config = office(&["101"], &[]);
    let expected = set_up_at_once(&config);
    let reads = {
        let mut fake = fresh();
        Box::new(config.clone()).plan(&mut fake);
        fake.requests
    };
    for fault in [Fault::Before, Fault::After] {
        // The client repeats reads itself.
        for at in reads..expected.requests {
            let mut fake = fresh();
            fake.lose = Some((at, fault));
            let mut the_box = Box::new(config.clone());
            the_box.set_up(&mut fake).unwrap();
            assert_eq!(contents(&fake), contents(&expected), "{fault:?} {at}");
            the_box.assert_passwords(&fake);
        }
    }
}

#[test]
fn a_domain_of_another_customer_is_told_with_proposals_and_not_taken_for_ours_later() {
    let mut fake = fresh();
    fake.taken = vec!["office.sip.twilio.com".to_owned()];
    let mut the_box = Box::new(office(&["101"], &[]));
    let error = the_box.set_up(&mut fake).unwrap_err();
    assert_eq!(
        error,
        "SIP domain office.sip.twilio.com belongs to another customer of Twilio, or its name is not allowed: Domain \
         already exists.; write another domain into the config, for example office-2.sip.twilio.com or \
         office-pbx.sip.twilio.com or office-2b86.sip.twilio.com"
    );
    assert!(the_box.owned.iter().all(|record| record.sid.is_some()));
    the_box.undo(&mut fake).unwrap();
    assert_eq!(contents(&fake), contents(&fresh()));
}

#[test]
fn a_credential_list_of_that_name_is_adopted_or_told_with_what_helps() {
    let mut fake = fresh();
    fake.taken = vec!["gateway-office-prod".to_owned()];
    let mut the_box = Box::new(office(&["101"], &[]));
    assert_eq!(
        the_box.set_up(&mut fake).unwrap_err(),
        "credential list gateway-office-prod: Twilio refuses its name, and lists none of it (Credential list validation \
         error), so that no phone can register; write another site.name into the config, and run: gateway apply"
    );
    assert!(the_box.owned.iter().all(|record| record.sid.is_some()));
    the_box.undo(&mut fake).unwrap();
    assert_eq!(contents(&fake), contents(&fresh()));

    // Somebody has made one there, with a user of theirs in it.
    let mut fake = fresh();
    let mut other = Box::new(office(&["theirs"], &[]));
    other.set_up(&mut fake).unwrap();
    let sid = fake.named(Kind::CredentialList, "gateway-office-prod")["sid"].clone();
    let mut the_box = Box::new(office(&["101"], &[]));
    (the_box.secrets, the_box.seed) = (Secrets::default(), 50);
    the_box.mint();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.named(Kind::CredentialList, "gateway-office-prod")["sid"], sid);
    assert_eq!(fake.collections["SIP/CredentialLists"].len(), 1);
    the_box.assert_passwords(&fake);
}

#[test]
fn more_than_a_thousand_users_are_in_lists_of_a_thousand_that_are_all_mapped() {
    let names: Vec<String> = (0..1005).map(|n| format!("e{n}")).collect();
    let mut config = office(&[], &[]);
    let extension = |name: &String| Extension { name: name.clone(), ..office(&["101"], &[]).extensions[0].clone() };
    config.extensions = names[..995].iter().map(extension).collect();
    let mut fake = fresh();
    let mut the_box = Box::new(config.clone());
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.collections["SIP/CredentialLists"].len(), 1);
    // Two go and ten come: what goes makes room in the next plan.
    config.extensions = names[2..].iter().map(extension).collect();
    the_box.configure(config);
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
    let sids = [
        (Kind::CredentialList, "gateway-office-prod"),
        (Kind::CredentialList, "gateway-office-prod.2"),
        (Kind::Domain, "office.sip.twilio.com"),
    ]
    .map(|(kind, name)| fake.named(kind, name)["sid"].as_str().unwrap().to_owned());
    let count = |kind: Kind, parent: &str| fake.collections[&kind.collection(Some(parent)).path].len();
    assert_eq!((count(Kind::Credential, &sids[0]), count(Kind::Credential, &sids[1])), (998, 6));
    assert_eq!((count(Kind::CallsMapping, &sids[2]), count(Kind::RegistrationsMapping, &sids[2])), (2, 2));
    the_box.assert_passwords(&fake);
}

#[test]
fn an_installation_from_before_gets_a_user_of_its_own_and_nothing_else_changes() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101", "102"], &[]));
    the_box.secrets.boxes.clear();
    the_box.set_up(&mut fake).unwrap();
    the_box.mint();
    assert_eq!(the_box.sentences(&mut fake), ["create credential box-office in credential list gateway-office-prod"]);
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_passwords(&fake);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_number_that_is_not_in_the_account_is_a_problem_and_the_rest_is_made() {
    let mut fake = fresh();
    let mut config = office(&["101"], &["+15035559999"]).with_address("+15035559999", "Portland");
    config.emergency.caller_id = Some("+15035559999".to_owned());
    let mut the_box = Box::new(config);
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(
        plan.problems,
        ["phone number +15035559999 is not in the account; buy it with \"gateway apply --buy +15035559999\", find \
          another with \"gateway number find\", or remove its [[number]] from the config"]
    );
    assert_eq!(fake.collections["SIP/Domains"].len(), 1);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_number_that_may_be_bought_is_bought_and_wired_in_one_run() {
    let number = "+15035559999";
    let mut config = office(&["101"], &[number]).with_address(number, "Portland");
    config.emergency.caller_id = Some(number.to_owned());
    for at in 0.. {
        for fault in [Fault::Before, Fault::After] {
            let mut fake = fresh();
            fake.for_sale = vec![number.to_owned()];
            let mut the_box = Box::new(config.clone());
            the_box.buy.insert(number.to_owned());
            fake.kill = Some((at, fault));
            let done = the_box.set_up(&mut fake).is_ok();
            fake.revive();
            the_box.set_up(&mut fake).unwrap();
            let sid = fake.named(Kind::PhoneNumber, number)["sid"].clone();
            assert_eq!(fake.collections["IncomingPhoneNumbers"].len(), 4);
            let app = fake.named(Kind::Application, "gateway-office-prod")["sid"].clone();
            assert_eq!(fake.named(Kind::PhoneNumber, number)["voice_application_sid"], app);
            assert_eq!(fake.named(Kind::Domain, "office.sip.twilio.com")["emergency_caller_sid"], sid);
            the_box.assert_nothing_to_do(&mut fake);
            // It stays when everything goes.
            the_box.destroy(&mut fake, "prod").unwrap();
            assert_eq!(fake.collections["IncomingPhoneNumbers"].len(), 4);
            assert!(fake.named(Kind::PhoneNumber, number)["voice_application_sid"].is_null());
            if done {
                return;
            }
        }
    }
}

#[test]
fn a_number_that_is_sold_already_is_told_and_not_ours() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &["+15035559999"]));
    the_box.buy.insert("+15035559999".to_owned());
    let error = the_box.set_up(&mut fake).unwrap_err();
    assert!(error.contains("21422"), "{error}");
    assert!(the_box.owned.get(&Id::new(Kind::PhoneNumber, "+15035559999")).is_none());
}

#[test]
fn nothing_of_a_plan_shows_a_password() {
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.config.webhook.protect = gateway_core::config::Protection::Credentials;
    let plan = the_box.plan(&mut fresh());
    let password = the_box.secrets.trunk_password("prod", "101").unwrap().expose();
    let webhook = the_box.secrets.webhook.as_ref().unwrap().password.expose();
    let sentences: Vec<String> = plan.changes.iter().map(|change| format!("{change} {change:#}")).collect();
    let shown = format!("{plan:?} {} {}", plan.to_json(), sentences.join("\n"));
    assert!(!shown.contains(password.as_str()) && !shown.contains(webhook.as_str()));
    assert!(shown.contains("https://***@gateway.example.com/twilio/outgoing"));
}

#[test]
fn a_plan_is_json_for_programs_and_lines_for_people() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]));
    the_box.set_up(&mut fake).unwrap();
    let domain = fake.named(Kind::Domain, "office.sip.twilio.com");
    domain.insert("voice_url".to_owned(), json!("https://user:sesame@old"));
    domain.insert("secure".to_owned(), json!(false));
    let sid = domain["sid"].clone();
    let plan = the_box.plan(&mut fake);
    assert_eq!(
        plan.to_json(),
        json!({
            "changes": [{
                "action": "update", "kind": "domain", "key": "office.sip.twilio.com", "environment": "prod", "sid": sid,
                "fields": {
                    "VoiceUrl": {"from": "https://***@old", "to": "https://gateway.example.com/twilio/outgoing"},
                    "Secure": {"from": "false", "to": "true"},
                },
                "sentence": "change SIP domain office.sip.twilio.com: set VoiceUrl to \
                             https://gateway.example.com/twilio/outgoing (was https://***@old), set Secure to true (was \
                             false)",
            }],
            "problems": [], "notes": [],
        })
    );
    assert_eq!(
        format!("{:#}", plan.changes[0]),
        "change SIP domain office.sip.twilio.com\n    set VoiceUrl to https://gateway.example.com/twilio/outgoing (was \
         https://***@old)\n    set Secure to true (was false)"
    );
}

#[test]
fn many_extensions_are_made_with_few_writes_of_the_records() {
    let names: Vec<String> = (0..120).map(|number| (200 + number).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut none = Box::new(office(&[], &[]));
    none.set_up(&mut fresh()).unwrap();
    let mut fake = fresh();
    let mut the_box = Box::new(office(&names, &[]));
    the_box.set_up(&mut fake).unwrap();
    assert!(
        the_box.local.saves.get() <= none.local.saves.get() + 3,
        "{} and {}",
        the_box.local.saves.get(),
        none.local.saves.get()
    );
    the_box.assert_passwords(&fake);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn a_kill_among_many_credentials_loses_none_and_makes_none_twice() {
    let config = office(&["101", "102", "103", "104"], &[]);
    let expected = contents(&set_up_at_once(&config));
    for (mut the_box, mut fake, at) in killed_set_ups(&config) {
        let (mut other, mut gone) = (the_box.clone(), fake.clone());
        the_box.set_up(&mut fake).unwrap();
        assert_eq!(contents(&fake), expected, "{at}");
        the_box.assert_passwords(&fake);
        the_box.assert_nothing_to_do(&mut fake);
        // Nothing that was about to be made stays behind where the next step is back.
        if !other.owned.undo.is_empty() {
            other.undo(&mut gone).unwrap();
            assert_eq!(contents(&gone), contents(&fresh()), "{at}");
            assert_eq!(other.owned, Owned::default(), "{at}");
        }
    }
}

#[test]
fn a_credential_that_somebody_else_makes_meanwhile_stays_theirs_among_many_of_ours() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    the_box.configure(office(&["101", "102", "103", "104"], &[]));
    let plan = the_box.plan(&mut fake);
    let list = fake.named(Kind::CredentialList, "gateway-office-prod")["sid"].as_str().unwrap().to_owned();
    let credentials = format!("SIP/CredentialLists/{list}/Credentials");
    fake.insert(&credentials, json!({"username": "103"}));
    the_box.make(&mut fake, &plan).unwrap();
    the_box.assert_passwords(&fake);
    the_box.undo(&mut fake).unwrap();
    let left: Vec<&str> = fake.collections[&credentials].iter().map(|one| one["username"].as_str().unwrap()).collect();
    assert_eq!(left, ["box-office", "101", "103"]);
}

#[test]
fn a_refusal_among_many_credentials_leaves_no_trace_of_those_that_were_not_asked_for() {
    let config = office(&["101", "102", "103", "104"], &[]);
    let mut counted = fresh();
    Box::new(config.clone()).set_up(&mut counted).unwrap();
    for at in 0..counted.requests {
        let (mut fake, mut the_box) = (fresh(), Box::new(config.clone()));
        fake.lose = Some((at, Fault::Refused));
        the_box.set_up(&mut fake).unwrap_err();
        assert!(the_box.owned.iter().all(|record| record.sid.is_some()), "{at}");
        if !the_box.owned.undo.is_empty() {
            the_box.clone().undo(&mut fake.clone()).unwrap();
        }
        the_box.set_up(&mut fake).unwrap();
        assert_eq!(contents(&fake), contents(&counted), "{at}");
        the_box.undo(&mut fake).unwrap();
        assert_eq!(contents(&fake), contents(&fresh()), "{at}");
    }
}
