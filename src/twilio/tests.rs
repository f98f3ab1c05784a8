//! Plan and apply against random accounts in memory.

use serde_json::{Map, Value, json};

use super::actual;
use super::apply::{Applier, ApplyError};
use super::fake::{Fake, Fault};
use super::model::{Desired, desired};
use super::plan::{Plan, diff};
use crate::config::{Config, Host, parse};
use crate::random::Random;
use crate::store::{Owned, Secrets};

/// An office with extensions and numbers.
fn office(extensions: &[&str], numbers: &[&str]) -> Config {
    let mut text = r#"
[site]
name = "office"
[twilio]
account_sid = "AC0123456789abcdef0123456789abcdef"
[trunk]
domain = "office.sip.twilio.com"
[lan]
listen = ["192.168.1.1"]
[webhook]
public_url = "https://gateway.example.com"
"#
    .to_owned();
    for name in extensions {
        text += &format!("[[extension]]\nname = {name:?}\nemergency = false\n");
    }
    for number in numbers {
        text += &format!("[[number]]\nnumber = {number:?}\nring = []\n");
    }
    parse(&text, "gateway.toml", &Host::default()).unwrap()
}

/// Our side: what survives a kill.
#[derive(Clone)]
struct Box {
    config: Config,
    secrets: Secrets,
    owned: Owned,
}

impl Box {
    fn new(config: Config) -> Box {
        let mut secrets = Secrets::default();
        secrets.mint(config.extensions.iter().map(|e| e.name.as_str()), &mut Random::from_number(5));
        Box { config, secrets, owned: Owned::default() }
    }

    fn desired(&self) -> Desired {
        desired(&self.config, &self.secrets)
    }

    fn plan(&self, fake: &mut Fake) -> Result<Plan, ApplyError> {
        let desired = self.desired();
        let actual = actual::read(fake, &desired, &self.owned)?;
        Ok(diff(&desired, &actual, &self.owned))
    }

    /// One run of set-up. What is on disk is what `save` got last.
    fn set_up(&mut self, fake: &mut Fake) -> Result<Plan, ApplyError> {
        let plan = self.plan(fake)?;
        let mut disk = self.owned.clone();
        let mut working = self.owned.clone();
        let mut save = |owned: &Owned| {
            disk = owned.clone();
            Ok(())
        };
        let mut applier = Applier { api: fake, owned: &mut working, save: &mut save };
        let result = plan.changes.iter().try_for_each(|change| applier.make(change));
        self.owned = disk;
        result.map(|()| plan)
    }

    /// A plan's sentences.
    fn sentences(&self, fake: &mut Fake) -> Vec<String> {
        self.plan(fake).unwrap().changes.iter().map(ToString::to_string).collect()
    }

    /// Whether Twilio has the password of every extension.
    #[track_caller]
    fn assert_passwords(&self, fake: &Fake) {
        for extension in &self.config.extensions {
            let password = self.secrets.extensions[&extension.name].trunk_password.expose();
            assert_eq!(fake.passwords.values().filter(|p| *p == password).count(), 1, "{}", extension.name);
        }
    }
}

const NUMBERS: [&str; 3] = ["+15035551212", "+15035551213", "+15035551214"];

/// An account with three numbers and nothing else.
fn fresh() -> Fake {
    let mut fake = Fake::default();
    for number in NUMBERS {
        fake.insert("IncomingPhoneNumbers", json!({"phone_number": number, "voice_url": "https://demo.twilio.com/"}));
    }
    fake
}

/// Things of other people, some of them beside ours, put in by chance.
fn litter(fake: &mut Fake, random: &mut Random) -> Vec<(String, String)> {
    let mut strangers = Vec::new();
    let mut put = |fake: &mut Fake, collection: &str, fields: Value| {
        let sid = fake.insert(collection, fields);
        strangers.push((collection.to_owned(), sid.clone()));
        sid
    };
    for n in 0..random.below(4) {
        let list = put(fake, "SIP/CredentialLists", json!({"friendly_name": format!("theirs-{n}")}));
        put(fake, &format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "101"}));
        let domain = json!({"domain_name": format!("theirs-{n}.sip.twilio.com"), "voice_url": "https://theirs"});
        let domain = put(fake, "SIP/Domains", domain);
        let mapping = format!("SIP/Domains/{domain}/Auth/Calls/CredentialListMappings");
        put(fake, &mapping, json!({"credential_list_sid": list}));
    }
    for n in 0..random.below(3) {
        put(fake, "Applications", json!({"friendly_name": format!("theirs-{n}"), "voice_url": "https://theirs"}));
    }
    strangers
}

/// The records of those SIDs.
fn snapshot(fake: &mut Fake, strangers: &[(String, String)]) -> Vec<Map<String, Value>> {
    strangers.iter().map(|(collection, sid)| fake.record(collection, sid).clone()).collect()
}

/// Everything but SIDs: two accounts that were set up on different ways must agree in it.
fn contents(fake: &Fake) -> Vec<String> {
    let mut names = std::collections::BTreeMap::new();
    for record in fake.collections.values().flatten() {
        let name = ["domain_name", "friendly_name", "username", "phone_number"].iter().find_map(|key| record.get(*key));
        names.entry(record["sid"].to_string()).or_insert_with(|| name.cloned().unwrap_or_default().to_string());
    }
    let mut lines: Vec<String> = fake
        .collections
        .iter()
        .flat_map(|(path, records)| {
            records.iter().map(move |record| format!("{path} {}", Value::Object(record.clone())))
        })
        .collect();
    for line in &mut lines {
        for (sid, name) in &names {
            *line = line.replace(sid.trim_matches('"'), name.trim_matches('"'));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_first_run_makes_everything_in_the_order_of_its_dependencies() {
    let the_box = Box::new(office(&["101", "102"], &NUMBERS[..1]));
    let mut fake = fresh();
    let number = fake.collections["IncomingPhoneNumbers"][0]["sid"].as_str().unwrap().to_owned();
    assert_eq!(
        the_box.sentences(&mut fake),
        [
            "create credential list gateway-office".to_owned(),
            "create credential 101 in credential list gateway-office".to_owned(),
            "create credential 102 in credential list gateway-office".to_owned(),
            "create SIP domain office.sip.twilio.com with FriendlyName gateway-office, VoiceUrl \
             https://gateway.example.com/twilio/outgoing, VoiceMethod POST, SipRegistration true, \
             EmergencyCallingEnabled true, Secure true"
                .to_owned(),
            "make the mapping of credential list gateway-office to SIP domain office.sip.twilio.com for calls".to_owned(),
            "make the mapping of credential list gateway-office to SIP domain office.sip.twilio.com for registrations"
                .to_owned(),
            "create TwiML app gateway-office with VoiceUrl https://gateway.example.com/twilio/incoming, VoiceMethod POST"
                .to_owned(),
            format!("adopt phone number +15035551212 ({number}): set VoiceApplicationSid to TwiML app gateway-office"),
        ]
    );
}

#[test]
fn a_second_run_has_nothing_to_change_and_writes_nothing() {
    let mut the_box = Box::new(office(&["101", "102"], &NUMBERS));
    let mut fake = fresh();
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_passwords(&fake);
    let (before, writes) = (contents(&fake), fake.writes);
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(plan, Plan::default());
    assert_eq!((contents(&fake), fake.writes), (before, writes));
}

#[test]
fn after_a_run_there_is_nothing_to_change_and_strangers_are_untouched_for_any_account() {
    for seed in 0..300 {
        let mut random = Random::from_number(seed);
        let mut fake = fresh();
        let strangers = litter(&mut fake, &mut random);
        let before = snapshot(&mut fake, &strangers);
        let pick = |names: &[&'static str], random: &mut Random| -> Vec<&'static str> {
            names.iter().copied().filter(|_| random.below(2) == 0).collect()
        };
        let mut the_box = Box::new(office(&[], &[]));
        // A history of configs, each with its run, and people who change things in between.
        for _ in 0..=random.below(4) {
            let config = office(&pick(&["101", "102", "103", "104"], &mut random), &pick(&NUMBERS, &mut random));
            the_box.secrets.mint(config.extensions.iter().map(|e| e.name.as_str()), &mut random);
            the_box.config = config;
            if random.below(3) == 0
                && let Some(domain) = fake.collections.get_mut("SIP/Domains").and_then(|domains| domains.last_mut())
                && domain["domain_name"] == "office.sip.twilio.com"
            {
                domain.insert("voice_url".to_owned(), json!("https://elsewhere"));
                domain.insert("secure".to_owned(), json!(false));
            }
            the_box.set_up(&mut fake).unwrap();
            assert_eq!(the_box.plan(&mut fake).unwrap().changes, [], "seed {seed}");
            the_box.assert_passwords(&fake);
            assert_eq!(snapshot(&mut fake, &strangers), before, "seed {seed}");
            assert_eq!(fake.passwords.len(), the_box.config.extensions.len(), "seed {seed}");
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_request_is_taken_up_to_the_same_end() {
    let config = office(&["101", "102"], &NUMBERS[..2]);
    let mut expected = fresh();
    let mut the_box = Box::new(config.clone());
    the_box.set_up(&mut expected).unwrap();
    let requests = expected.requests;
    for fault in [Fault::Before, Fault::After] {
        for at in 0..requests {
            let mut the_box = Box::new(config.clone());
            let mut fake = fresh();
            fake.kill = Some((at, fault));
            the_box.set_up(&mut fake).unwrap_err();
            fake.kill = None;
            the_box.set_up(&mut fake).unwrap();
            assert_eq!(contents(&fake), contents(&expected), "{fault:?} {at}");
            the_box.assert_passwords(&fake);
            assert_eq!(the_box.plan(&mut fake).unwrap().changes, []);
            // What the killed run made is ours, not adopted: it goes when the config lets it go.
            the_box.config = office(&[], &[]);
            the_box.set_up(&mut fake).unwrap();
            assert_eq!(fake.passwords.len(), 0, "{fault:?} {at}");
        }
    }
}

#[test]
fn a_single_lost_answer_is_mended_within_the_run() {
    let config = office(&["101"], &[]);
    let mut expected = fresh();
    Box::new(config.clone()).set_up(&mut expected).unwrap();
    for fault in [Fault::Before, Fault::After] {
        // The first three requests are reads; the client repeats those itself.
        for at in 3..expected.requests {
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
fn a_number_that_points_elsewhere_is_adopted_by_name_and_given_back_as_it_was() {
    let mut fake = fresh();
    let number = fake.collections["IncomingPhoneNumbers"][0]["sid"].as_str().unwrap().to_owned();
    fake.record("IncomingPhoneNumbers", &number).insert("trunk_sid".to_owned(), json!("TK01"));
    let before = fake.record("IncomingPhoneNumbers", &number).clone();
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    assert_eq!(
        the_box.sentences(&mut fake).last().unwrap(),
        &format!(
            "adopt phone number +15035551212 ({number}): clear TrunkSid (was TK01), set VoiceApplicationSid to TwiML app \
             gateway-office"
        )
    );
    the_box.set_up(&mut fake).unwrap();
    the_box.config = office(&[], &[]);
    assert_eq!(
        the_box.sentences(&mut fake),
        [format!(
            "give back phone number +15035551212 ({number}), no longer in the config: set TrunkSid to TK01, clear \
             VoiceApplicationSid"
        )]
    );
    the_box.set_up(&mut fake).unwrap();
    let after: Map<String, Value> = fake
        .record("IncomingPhoneNumbers", &number)
        .clone()
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    assert_eq!(after, before);
}

#[test]
fn a_number_that_somebody_pointed_elsewhere_after_us_is_left_to_them() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &NUMBERS[..1]));
    the_box.set_up(&mut fake).unwrap();
    fake.collections.get_mut("IncomingPhoneNumbers").unwrap()[0].insert("voice_application_sid".into(), json!("AP99"));
    the_box.config = office(&[], &[]);
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(fake.collections["IncomingPhoneNumbers"][0]["voice_application_sid"], "AP99");
}

#[test]
fn drift_is_shown_with_what_was_found_and_put_right() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    fake.collections.get_mut("SIP/Domains").unwrap()[0].insert("voice_url".to_owned(), json!("https://old"));
    assert_eq!(
        the_box.sentences(&mut fake),
        ["change SIP domain office.sip.twilio.com: set VoiceUrl to https://gateway.example.com/twilio/outgoing (was \
          https://old)"]
    );
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(the_box.sentences(&mut fake), Vec::<String>::new());
}

#[test]
fn a_number_that_is_not_in_the_account_is_a_problem_and_the_rest_is_made() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &["+15035559999"]));
    let plan = the_box.set_up(&mut fake).unwrap();
    assert_eq!(
        plan.problems,
        [
            "phone number +15035559999 is not in the account; buy it at console.twilio.com, or remove its [[number]] from \
          the config"
        ]
    );
    assert_eq!(fake.collections["SIP/Domains"].len(), 1);
}

#[test]
fn a_domain_of_another_customer_is_told_with_a_proposal_and_not_taken_for_ours_later() {
    let mut fake = fresh();
    fake.taken = vec!["office.sip.twilio.com".to_owned()];
    let mut the_box = Box::new(office(&["101"], &[]));
    let error = the_box.set_up(&mut fake).unwrap_err().to_string();
    assert_eq!(
        error,
        "SIP domain office.sip.twilio.com belongs to another customer of Twilio, or its name is not allowed: Domain \
         already exists.; write another trunk.domain, for example office-2.sip.twilio.com"
    );
    assert!(the_box.owned.iter().all(|record| record.sid.is_some()));
}

#[test]
fn new_secrets_reach_twilio_without_being_readable_there() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    // The secrets file was lost.
    the_box.secrets = Secrets::default();
    the_box.secrets.mint(["101"], &mut Random::from_number(77));
    assert_eq!(
        the_box.sentences(&mut fake),
        ["change credential 101 in credential list gateway-office: set its password"]
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
    assert_eq!(the_box.sentences(&mut fake), Vec::<String>::new());
}

#[test]
fn credentials_that_others_put_into_our_list_are_told_and_left() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]));
    the_box.set_up(&mut fake).unwrap();
    let list = fake.collections["SIP/CredentialLists"][0]["sid"].as_str().unwrap().to_owned();
    let sid = fake.insert(&format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "intruder"}));
    let plan = the_box.plan(&mut fake).unwrap();
    assert_eq!(plan.changes, []);
    assert_eq!(
        plan.notes,
        [format!("credential intruder in credential list gateway-office ({sid}) is not ours and is left as it is")]
    );
}

#[test]
fn a_new_site_name_moves_everything_and_leaves_nothing_of_ours_behind() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &NUMBERS[..1]));
    the_box.set_up(&mut fake).unwrap();
    the_box.config.site.name = "shop".to_owned();
    the_box.config.trunk.domain = "shop.sip.twilio.com".to_owned();
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(the_box.sentences(&mut fake), Vec::<String>::new());
    let mut expected = fresh();
    let mut other = Box::new(the_box.config.clone());
    other.set_up(&mut expected).unwrap();
    let contents =
        |fake: &Fake| contents(fake).into_iter().filter(|line| !line.contains("Incoming")).collect::<Vec<_>>();
    assert_eq!(contents(&fake), contents(&expected));
}

#[test]
fn nothing_of_a_plan_shows_a_password() {
    let the_box = Box::new(office(&["101"], &[]));
    let plan = the_box.plan(&mut fresh()).unwrap();
    let password = the_box.secrets.extensions["101"].trunk_password.expose();
    assert!(!format!("{plan:?}").contains(password.as_str()));
}
