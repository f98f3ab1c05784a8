//! Several environments in one account: scope, moves, promotion, destruction.

use super::*;

/// The lines of an account that speak of an environment, or of none.
fn of(fake: &Fake, environment: &str) -> Vec<String> {
    let name = format!("office-{environment}");
    contents(fake).into_iter().filter(|line| line.contains(&name)).collect()
}

#[test]
fn an_environment_is_set_up_without_the_others_and_destroyed_without_them() {
    let config = office(&["101"], &NUMBERS).with_environment("stage").in_environment(NUMBERS[1], "stage");
    let mut fake = fresh();
    let before = contents(&fake);
    let mut the_box = Box::new(config);
    the_box.apply(&mut fake, &Scope::Environment("stage".to_owned())).unwrap();
    assert_eq!(fake.collections["SIP/Domains"].len(), 1);
    assert!(!the_box.owned.has_environment("prod"));
    let stage = of(&fake, "stage");
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(of(&fake, "stage"), stage);
    the_box.assert_passwords(&fake);
    let records: Vec<_> = the_box.owned.iter().filter(|record| record.environment == "prod").cloned().collect();
    let prod = of(&fake, "prod");
    the_box.destroy(&mut fake, "stage").unwrap();
    assert_eq!(of(&fake, "prod"), prod);
    assert_eq!(the_box.owned.iter().cloned().collect::<Vec<_>>(), records);
    the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(contents(&fake), before);
    assert_eq!(the_box.owned.iter().count(), 0);
    let error = the_box.destroy(&mut fake, "dev").unwrap_err();
    assert_eq!(error, "there is no environment \"dev\" in the config; it has prod, stage");
}

#[test]
fn a_number_that_moves_to_another_environment_is_taken_over_by_it() {
    let config = office(&[], &NUMBERS[..1]).with_environment("stage");
    let mut fake = fresh();
    let before = contents(&fake);
    let mut the_box = Box::new(config.clone().in_environment(NUMBERS[0], "stage"));
    the_box.set_up(&mut fake).unwrap();
    the_box.config = config;
    assert_eq!(
        the_box.sentences(&mut fake),
        [format!(
            "move phone number +15035551212 from stage to prod: set VoiceApplicationSid to TwiML app gateway-office-prod \
             (was {})",
            fake.named(Kind::Application, "gateway-office-stage")["sid"].as_str().unwrap()
        )]
    );
    the_box.set_up(&mut fake).unwrap();
    the_box.assert_nothing_to_do(&mut fake);
    the_box.destroy(&mut fake, "stage").unwrap();
    let app = fake.named(Kind::Application, "gateway-office-prod")["sid"].clone();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["voice_application_sid"], app);
    the_box.destroy(&mut fake, "prod").unwrap();
    assert_eq!(contents(&fake), before);
}

#[test]
fn a_number_that_only_its_former_environment_lets_go_of_is_told() {
    let config = office(&[], &NUMBERS[..1]).with_environment("stage");
    let (mut the_box, mut fake) = (Box::new(config.clone()), fresh());
    the_box.set_up(&mut fake).unwrap();
    the_box.config = config.in_environment(NUMBERS[0], "stage");
    let plan = the_box.apply(&mut fake, &Scope::Environment("prod".to_owned())).unwrap();
    assert_eq!(
        plan.notes,
        ["+15035551212 goes from prod to stage: until \"gateway --environment stage apply\" nobody here answers it"]
    );
    let stage = Scope::Environment("stage".to_owned());
    assert_eq!(the_box.apply(&mut fake, &stage).unwrap().notes, [""; 0]);
    let app = fake.named(Kind::Application, "gateway-office-stage")["sid"].clone();
    assert_eq!(fake.named(Kind::PhoneNumber, NUMBERS[0])["voice_application_sid"], app);
}

#[test]
fn undo_announces_as_many_steps_as_it_counts() {
    let (mut the_box, mut fake) = (Box::new(office(&["101"], &NUMBERS[..1]).with_environment("stage")), fresh());
    the_box.set_up(&mut fake).unwrap();
    the_box.with(&mut fake, |account| account.promote("stage", "prod")).unwrap();
    the_box.set_up(&mut fake).unwrap();
    // A destroyed environment loses its promotions, too, which is no step for people.
    the_box.destroy(&mut fake, "prod").unwrap();
    assert!(the_box.owned.undo.iter().any(|step| matches!(step, crate::owned::Undo::Promoted { .. })));
    let announced = the_box.clone().with(&mut fake, |account| account.plan_undo()).unwrap();
    let secrets = the_box.secrets.clone();
    let counted = the_box.work(&mut fake, |applier| applier.undo_all(&secrets, &mut |_| ())).unwrap();
    assert_eq!(counted, announced.len());
}

#[test]
fn an_environment_that_left_the_config_is_told_and_left_until_it_is_destroyed() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&["101"], &[]).with_environment("stage"));
    the_box.set_up(&mut fake).unwrap();
    the_box.config = office(&["101"], &[]);
    let plan = the_box.plan(&mut fake);
    assert_eq!(plan.changes, []);
    assert_eq!(
        plan.notes,
        [
            "environment stage is not in the config any more and is left as it is; \"gateway destroy --environment stage\" \
          removes what is ours in it"
        ]
    );
    the_box.destroy(&mut fake, "stage").unwrap();
    assert_eq!(of(&fake, "stage"), Vec::<String>::new());
    assert_eq!(the_box.plan(&mut fake), Plan::default());
}

#[test]
fn a_promotion_points_one_environment_at_what_another_runs_and_steps_back() {
    let mut fake = fresh();
    let mut config = office(&[], &[]).with_environment("stage").with_environment("dev");
    config.hosted.assets = Some("sounds-1".into());
    let mut the_box = Box::new(config);
    the_box.set_up(&mut fake).unwrap();
    let before = contents(&fake);
    the_box.with(&mut fake, |account| account.promote("dev", "stage")).unwrap();
    the_box.with(&mut fake, |account| account.promote("stage", "prod")).unwrap();
    let plan = the_box.plan(&mut fake);
    let build = fake.collections.iter().find(|(path, _)| path.ends_with("/Builds")).unwrap().1[0]["sid"].clone();
    let build = build.as_str().unwrap();
    assert_eq!(
        plan.notes,
        [
            format!(
                "prod runs what stage ran: https://dev.example.com with build {build}; \"gateway promote --back prod\" \
                 steps back"
            ),
            format!(
                "stage runs what dev ran: https://dev.example.com with build {build}; \"gateway promote --back stage\" \
                 steps back"
            ),
        ]
    );
    the_box.set_up(&mut fake).unwrap();
    for domain in ["office.sip.twilio.com", "office-stage.sip.twilio.com"] {
        assert_eq!(fake.named(Kind::Domain, domain)["voice_url"], "https://dev.example.com/twilio/outgoing");
    }
    // What is uploaded from now on is for the environment that was not promoted to.
    the_box.config.hosted.assets = Some("sounds-2".into());
    the_box.set_up(&mut fake).unwrap();
    let environments = |fake: &Fake| {
        let records = fake.collections.iter().find(|(path, _)| path.ends_with("/Environments")).unwrap().1.clone();
        let of = |name: &str| records.iter().find(|record| record["unique_name"] == name).unwrap()["build_sid"].clone();
        [of("prod"), of("stage"), of("dev")]
    };
    let [prod, stage, dev] = environments(&fake);
    assert!(prod == build && stage == build && dev != build, "{prod} {stage} {dev}");
    the_box.config.hosted.assets = Some("sounds-1".into());
    for environment in ["prod", "stage"] {
        the_box.with(&mut fake, |account| account.step_back(environment)).unwrap();
    }
    the_box.set_up(&mut fake).unwrap();
    assert_eq!(contents(&fake), before);
    the_box.assert_nothing_to_do(&mut fake);
}

#[test]
fn promotions_are_bounded_and_wrong_ones_are_refused() {
    let mut fake = fresh();
    let mut the_box = Box::new(office(&[], &[]).with_environment("stage"));
    let error = |error: AccountError| error.to_string();
    let mut promote =
        |from: &str, to: &str| the_box.with(&mut fake, |account| account.promote(from, to)).map_err(error);
    assert_eq!(
        promote("prod", "prod").unwrap_err(),
        "prod cannot be promoted to itself; name the environment to take from and the one to change"
    );
    assert_eq!(
        promote("dev", "prod").unwrap_err(),
        "there is no environment \"dev\" in the config; it has prod, stage"
    );
    for _ in 0..3 {
        promote("stage", "prod").unwrap();
    }
    assert_eq!(the_box.owned.promotions["prod"].len(), 1);
    for round in 0..30 {
        the_box.config.environments[1].public_url = format!("https://stage-{round}.example.com");
        the_box.with(&mut fake, |account| account.promote("stage", "prod")).unwrap();
    }
    assert_eq!(the_box.owned.promotions["prod"].len(), crate::owned::MAX_PROMOTIONS);
    for _ in 0..crate::owned::MAX_PROMOTIONS {
        the_box.with(&mut fake, |account| account.step_back("prod")).unwrap();
    }
    let back = the_box.with(&mut fake, |account| account.step_back("prod")).map_err(error).unwrap_err();
    assert_eq!(back, "prod has not been promoted to anything that could be stepped back from");
}

#[test]
fn the_key_goes_last_and_one_that_may_not_delete_itself_is_told() {
    for by_key in [false, true] {
        let mut fake = fresh();
        let key = fake.insert("Keys", json!({"friendly_name": "gateway-office"}));
        let mut the_box = Box::new(office(&["101"], &[]));
        let id = Id::new(Kind::ApiKey, "gateway-office");
        the_box.owned.put(crate::owned::Record {
            id: id.clone(),
            environment: gateway_core::config::ACCOUNT.to_owned(),
            sid: Some(key.clone()),
            parent_sid: None,
            made: true,
            changed: BTreeMap::new(),
            fingerprint: None,
        });
        fake.by_key = by_key;
        the_box.set_up(&mut fake).unwrap();
        the_box.assert_nothing_to_do(&mut fake);
        assert!(the_box.owned.get(&id).is_some());
        let result = the_box.destroy(&mut fake, "prod");
        assert!(fake.collections["SIP/Domains"].is_empty());
        match by_key {
            false => assert!(result.is_ok() && fake.collections["Keys"].is_empty()),
            true => assert_eq!(
                result.unwrap_err(),
                format!(
                    "API key gateway-office ({key}) could not be deleted: a request: Twilio refused, 401 code 20003: \
                     Authenticate; delete it at console.twilio.com, or a key by the same command with TWILIO_AUTH_TOKEN \
                     set"
                )
            ),
        }
    }
}
