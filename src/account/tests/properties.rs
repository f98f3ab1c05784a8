//! What holds for any config, any account, and a kill at any request.

use super::*;
use crate::plan::Change;

/// Things of other people, some of them beside ours.
fn litter(fake: &mut Fake, random: &mut Random) {
    for n in 0..random.below(4) {
        let list = fake.insert("SIP/CredentialLists", json!({"friendly_name": format!("theirs-{n}")}));
        fake.insert(&format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "101"}));
        let domain = json!({"domain_name": format!("theirs-{n}.sip.twilio.com"), "voice_url": "https://theirs"});
        let domain = fake.insert("SIP/Domains", domain);
        let mapping = format!("SIP/Domains/{domain}/Auth/Calls/CredentialListMappings");
        fake.insert(&mapping, json!({"credential_list_sid": list}));
        fake.insert("Usage/Triggers", json!({"friendly_name": format!("theirs-{n}"), "trigger_value": "1.000000"}));
    }
    for n in 0..random.below(3) {
        fake.insert("Applications", json!({"friendly_name": format!("theirs-{n}"), "voice_url": "https://theirs"}));
        let address = fake.insert("Addresses", json!({"friendly_name": format!("theirs-{n}"), "city": "Eugene"}));
        if random.below(2) == 0 {
            let number = fake.named(Kind::PhoneNumber, NUMBERS[random.below(3) as usize]);
            number.insert("emergency_address_sid".to_owned(), json!(address));
            number.insert("emergency_address_status".to_owned(), json!("registered"));
        }
        if random.below(2) == 0 {
            let number = fake.named(Kind::PhoneNumber, NUMBERS[random.below(3) as usize]);
            number.insert("trunk_sid".to_owned(), json!(format!("TK{n}")));
            number.insert("friendly_name".to_owned(), json!("theirs"));
        }
    }
}

/// Things that have our names and were there before us: the config names them, so they are adopted.
fn namesakes(fake: &mut Fake, random: &mut Random) {
    for _ in 0..random.below(3) {
        let app =
            json!({"friendly_name": "gateway-office-prod", "voice_url": "https://former", "sms_url": "https://sms"});
        fake.insert("Applications", app);
    }
    if random.below(4) == 0 {
        let list = fake.insert("SIP/CredentialLists", json!({"friendly_name": "gateway-office-prod"}));
        fake.insert(&format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "102"}));
        fake.insert(&format!("SIP/CredentialLists/{list}/Credentials"), json!({"username": "theirs"}));
    }
    if random.below(4) == 0 {
        let domain = json!({
            "domain_name": "office.sip.twilio.com", "friendly_name": "former", "voice_url": "https://former",
            "voice_method": "GET", "sip_registration": false, "emergency_calling_enabled": false, "secure": false,
        });
        fake.insert("SIP/Domains", domain);
    }
    if random.below(4) == 0 {
        let former = ["AP1", "AP2"][random.below(2) as usize];
        let number = fake.named(Kind::PhoneNumber, NUMBERS[random.below(3) as usize]);
        // Twilio knows one or the other (TWILIO.md "Voice settings of a number").
        number.remove("trunk_sid");
        number.insert("voice_application_sid".to_owned(), json!(former));
    }
}

fn pick<'a>(names: &[&'a str], random: &mut Random) -> Vec<&'a str> {
    names.iter().copied().filter(|_| random.below(2) == 0).collect()
}

/// A config with some of everything.
fn config(random: &mut Random) -> Config {
    let mut config = office(&pick(&["101", "102", "103"], random), &pick(&NUMBERS, random));
    for name in pick(&["stage", "dev"], random) {
        config = config.with_environment(name);
    }
    let environments: Vec<String> = config.environments.iter().map(|environment| environment.name.clone()).collect();
    for number in config.numbers.iter().map(|number| number.number.clone()).collect::<Vec<_>>() {
        let environment = &environments[random.below(environments.len() as u64) as usize];
        config = config.in_environment(&number, environment);
        match random.below(4) {
            0 => config = config.with_address(&number, "Portland"),
            1 => config = config.with_address(&number, "Salem"),
            _ => {}
        }
        if random.below(3) == 0 {
            config.emergency.caller_id = Some(number.clone());
        }
        if random.below(3) == 0 {
            config.numbers.iter_mut().find(|known| known.number == number).unwrap().friendly_name = Some("Ours".into());
        }
    }
    if random.below(3) == 0 {
        config.access.networks = (0..=random.below(2) as u8)
            .map(|n| gateway_core::config::Ipv4Network {
                address: [192, 0, 2, n].into(),
                prefix: 24 + random.below(3) as u8,
            })
            .collect();
    }
    if random.below(3) == 0 {
        config.spend.daily = Some(1000 + random.below(2));
    }
    config.dialing.manage = random.below(3) == 0;
    config.dialing.countries = pick(&["US", "MX", "DO"], random).into_iter().map(str::to_owned).collect();
    config.hosted.assets = match random.below(3) {
        0 => Some("sounds-1".into()),
        1 => Some("sounds-2".into()),
        _ => None,
    };
    config.environments[0].fallback_url = (random.below(3) == 0).then(|| "https://fallback.example.com".to_owned());
    config
}

/// An account and our side of it, with a history.
fn history(seed: u64) -> (Fake, Box, Fake, Random) {
    let mut random = Random::from_number(seed);
    let mut fake = fresh();
    fake.slowness = random.below(3) as usize;
    litter(&mut fake, &mut random);
    namesakes(&mut fake, &mut random);
    let before = fake.clone();
    let mut the_box = Box::new(config(&mut random));
    for _ in 0..random.below(3) {
        the_box.set_up(&mut fake).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if random.below(3) == 0 {
            let domain = fake.named(Kind::Domain, "office.sip.twilio.com");
            domain.insert("voice_url".to_owned(), json!("https://elsewhere"));
            domain.insert("secure".to_owned(), json!(false));
        }
        let next = config(&mut random);
        forget_environments(&mut the_box, &mut fake, &next);
        the_box.configure(next);
    }
    (fake, the_box, before, random)
}

/// Destroys what the next config does not know, as a person is told to.
fn forget_environments(the_box: &mut Box, fake: &mut Fake, next: &Config) {
    for name in ["stage", "dev"] {
        if next.environment(name).is_none() && the_box.owned.has_environment(name) {
            the_box.destroy(fake, name).unwrap();
        }
    }
}

/// Lets Twilio come to its end with what takes time.
fn settle(fake: &mut Fake) {
    for _ in 0..=fake.slowness {
        let schema = Kind::PhoneNumber.schema();
        crate::api::Api::list(fake, &Kind::PhoneNumber.collection(None), schema.records).unwrap();
    }
}

/// Records that are not ours, whole.
fn strangers(fake: &Fake) -> Vec<String> {
    contents(fake).into_iter().filter(|line| line.contains("theirs") && !line.starts_with("Incoming")).collect()
}

#[test]
fn after_a_run_there_is_nothing_to_change_and_strangers_are_untouched() {
    for seed in 0..150 {
        let (mut fake, mut the_box, before, _) = history(seed);
        let strangers_before = strangers(&before);
        the_box.set_up(&mut fake).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let plan = the_box.plan(&mut fake);
        assert_eq!((plan.changes, plan.problems), (Vec::new(), Vec::new()), "seed {seed}");
        the_box.assert_passwords(&fake);
        assert_eq!(strangers(&fake), strangers_before, "seed {seed}");
    }
}

#[test]
fn destroying_every_environment_leaves_what_was_there_before() {
    for seed in 0..150 {
        let (mut fake, mut the_box, mut before, _) = history(seed);
        the_box.set_up(&mut fake).unwrap();
        for name in ["prod", "stage", "dev"] {
            if the_box.owned.has_environment(name) {
                the_box.destroy(&mut fake, name).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
        }
        settle(&mut fake);
        settle(&mut before);
        assert_same(&contents(&fake), &contents(&before), &format!("seed {seed}"));
        assert_eq!(the_box.owned.iter().count(), 0, "seed {seed}");
    }
}

#[test]
fn a_kill_at_any_request_and_another_run_give_the_same_end() {
    for seed in 0..60 {
        let (start, the_box, _, mut random) = history(seed);
        let mut expected = start.clone();
        let first = expected.requests;
        the_box.clone().set_up(&mut expected).unwrap();
        settle(&mut expected);
        for _ in 0..6 {
            let at = first + random.below((expected.requests - first) as u64) as usize;
            let fault = if random.below(2) == 0 { Fault::Before } else { Fault::After };
            let (mut fake, mut the_box) = (start.clone(), the_box.clone());
            fake.revive();
            fake.kill = Some((at, fault));
            let killed = the_box.set_up(&mut fake).is_err();
            fake.revive();
            the_box.set_up(&mut fake).unwrap_or_else(|error| panic!("seed {seed} {at} {fault:?}: {error}"));
            settle(&mut fake);
            assert_same(&contents(&fake), &contents(&expected), &format!("seed {seed} {at} {fault:?} {killed}"));
            the_box.assert_nothing_to_do(&mut fake);
            the_box.assert_passwords(&fake);
        }
    }
}

#[test]
fn undone_the_account_is_what_it_was_also_when_apply_and_undo_are_killed() {
    for seed in 0..80 {
        let (start, the_box, _, mut random) = history(seed);
        let mut settled = start.clone();
        settle(&mut settled);
        let is_file = |change: &Change| matches!(change, Change::Remove(held) if matches!(held.id.kind, Kind::Service | Kind::Asset));
        let files_go = the_box.plan(&mut settled).changes.iter().any(is_file);
        for kills in 0..4_u64 {
            let (mut fake, mut the_box) = (settled.clone(), the_box.clone());
            fake.revive();
            if kills & 1 == 1 {
                fake.kill = Some((fake.requests + random.below(40) as usize, Fault::After));
                let _ = the_box.set_up(&mut fake);
                fake.revive();
            }
            if the_box.plan(&mut fake).changes.is_empty() && !the_box.owned.unfinished {
                // The killed run came to its end; or there was nothing to do, and the way back is a former run's.
                if kills & 1 == 0 {
                    continue;
                }
            }
            let planned = the_box.set_up(&mut fake).unwrap_or_else(|error| panic!("seed {seed} {kills}: {error}"));
            if planned.changes.is_empty() && kills & 1 == 1 {
                continue;
            }
            if kills & 2 == 2 {
                for _ in 0..3 {
                    fake.kill = Some((fake.requests + random.below(20) as usize, Fault::After));
                    let _ = the_box.undo(&mut fake);
                    fake.revive();
                }
            }
            the_box.undo(&mut fake).unwrap_or_else(|error| panic!("seed {seed} {kills}: {error}"));
            settle(&mut fake);
            // Contents of files that were deleted do not come back, and so neither do builds of them.
            let lines = |fake: &Fake| -> Vec<String> {
                contents(fake).into_iter().filter(|line| !(files_go && line.starts_with("Services"))).collect()
            };
            assert_same(&lines(&fake), &lines(&settled), &format!("seed {seed} {kills}"));
            assert!(the_box.owned.undo.is_empty() && !the_box.owned.unfinished);
        }
    }
}

#[test]
fn what_is_done_to_one_environment_leaves_every_other_byte_for_byte() {
    for seed in 0..80 {
        let (mut fake, mut the_box, _, mut random) = history(seed);
        if the_box.config.environment("stage").is_none() {
            the_box.configure(the_box.config.clone().with_environment("stage"));
        }
        the_box.set_up(&mut fake).unwrap();
        settle(&mut fake);
        // Whatever the config says of the other one now. What both share is not touched.
        let mut next = the_box.config.clone();
        let stage = next.environments.iter().position(|environment| environment.name == "stage").unwrap();
        next.environments[stage].public_url = "https://next.example.com".to_owned();
        for number in &mut next.numbers {
            if number.environment == "stage" && random.below(2) == 0 {
                number.friendly_name = Some("Next".to_owned());
            }
        }
        the_box.configure(next);
        let others = |fake: &Fake, the_box: &Box| {
            let records: Vec<_> =
                the_box.owned.iter().filter(|record| record.environment != "stage").cloned().collect();
            let sids: BTreeSet<String> =
                the_box.owned.iter().filter(|r| r.environment == "stage").filter_map(|r| r.sid.clone()).collect();
            let mut resources = fake.collections.clone();
            resources.retain(|path, _| !sids.iter().any(|sid| path.contains(sid.as_str())));
            for records in resources.values_mut() {
                records.retain(|record| {
                    !record.get("sid").is_some_and(|sid| sids.contains(sid.as_str().unwrap_or_default()))
                });
            }
            let records = records.iter().map(|record| format!("{record:?}"));
            let resources = resources.iter().flat_map(|(path, records)| {
                records.iter().map(move |record| format!("{path} {}", Value::Object(record.clone())))
            });
            records.chain(resources).collect::<Vec<String>>()
        };
        let before = others(&fake, &the_box);
        the_box.apply(&mut fake, &Scope::Environment("stage".to_owned())).unwrap();
        assert_same(&others(&fake, &the_box), &before, &format!("seed {seed}: apply"));
        let numbers: Vec<String> =
            the_box.config.numbers.iter().filter(|n| n.environment == "stage").map(|n| n.number.clone()).collect();
        the_box.undo(&mut fake).unwrap();
        assert_same(&others(&fake, &the_box), &before, &format!("seed {seed}: undo"));
        the_box.destroy(&mut fake, "stage").unwrap();
        settle(&mut fake);
        // Numbers are not ours any more, and so stand among the others now.
        let mut after = others(&fake, &the_box);
        after.retain(|line| {
            !line.starts_with("Incoming") || !numbers.iter().any(|number| line.contains(number.as_str()))
        });
        assert_same(&after, &before, &format!("seed {seed}: destroy"));
    }
}
