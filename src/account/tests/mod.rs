//! Plan, apply, undo, promote and destroy against accounts in memory.

mod account_status;
mod emergency;
mod environments;
mod first_run;
mod hosted;
mod properties;
mod public_url;
mod rotation;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::account::{Account, AccountError, Scope};
use crate::apply::{Applier, ApplyError};
use crate::fake::{Fake, Fault};
use crate::fake_local::FakeLocal;
use crate::model::{Id, Kind};
use crate::office::OfficeFile;
use crate::owned::Owned;
use crate::plan::Plan;
use crate::progress::Progress;
use gateway_core::config::{Address, Config, Environment, Extension};
use gateway_core::random::Random;
use gateway_core::secrets::Secrets;

const NUMBERS: [&str; 3] = ["+15035551212", "+15035551213", "+15035551214"];

/// An office with extensions and numbers, and the environment `prod`; no emergency calls.
fn office(extensions: &[&str], numbers: &[&str]) -> Config {
    let file = OfficeFile::new().table("webhook").with("public_url", "https://gateway.example.com");
    let file = extensions.iter().fold(file, |file, name| file.extension(name).with("emergency", false));
    let mut config = numbers.iter().fold(file, |file, number| file.number(number, &[])).config();
    config.emergency.caller_id = None;
    config
}

/// What can be said of a config beside [`office`].
trait Extend {
    fn with_environment(self, name: &str) -> Self;
    fn with_address(self, number: &str, city: &str) -> Self;
    fn in_environment(self, number: &str, environment: &str) -> Self;
}

impl Extend for Config {
    fn with_environment(mut self, name: &str) -> Config {
        self.environments.push(Environment {
            name: name.to_owned(),
            domain: format!("office-{name}.sip.twilio.com"),
            servers: Vec::new(),
            public_url: format!("https://{name}.example.com"),
            fallback_url: None,
        });
        self
    }

    fn with_address(mut self, number: &str, city: &str) -> Config {
        let name = city.to_lowercase();
        if self.address(&name).is_none() {
            self.addresses.push(Address {
                name: name.clone(),
                customer: "Office".to_owned(),
                street: "1 Main St".to_owned(),
                street_secondary: None,
                city: city.to_owned(),
                region: "OR".to_owned(),
                postal_code: "97201".to_owned(),
                country: "US".to_owned(),
            });
        }
        self.numbers.iter_mut().find(|known| known.number == number).unwrap().address = Some(name);
        self
    }

    fn in_environment(mut self, number: &str, environment: &str) -> Config {
        let number = self.numbers.iter_mut().find(|known| known.number == number).unwrap();
        number.environment = environment.to_owned();
        self
    }
}

/// A box with two folders of hosted files.
fn local() -> FakeLocal {
    let local = FakeLocal::default();
    for (assets, busy) in [("sounds-1", "busy"), ("sounds-2", "all lines are busy")] {
        local.write(assets, "sounds/busy.mp3", busy);
        local.write(assets, "hello.txt", "hello");
    }
    local.write("sounds-2", "more.txt", "more");
    local
}

/// Our side: what survives a kill.
#[derive(Clone)]
struct Box {
    config: Config,
    secrets: Secrets,
    owned: Owned,
    local: FakeLocal,
    buy: BTreeSet<String>,
    /// What was waited.
    waited: Duration,
    /// Where passwords come from.
    seed: u64,
}

impl Box {
    fn new(config: Config) -> Box {
        let (secrets, owned) = (Secrets::default(), Owned::default());
        let (buy, waited) = (BTreeSet::new(), Duration::ZERO);
        let mut new = Box { config, secrets, owned, local: local(), buy, waited, seed: 5 };
        new.mint();
        new
    }

    fn mint(&mut self) {
        let extensions: Vec<String> = self.config.extensions.iter().map(|e| e.name.clone()).collect();
        let environments: Vec<&str> = self.config.environments.iter().map(|e| e.name.as_str()).collect();
        self.secrets.mint(extensions.iter().map(String::as_str), &environments, &mut Random::from_number(self.seed));
        self.secrets.mint_box(&self.config.site.user, &environments, &mut Random::from_number(self.seed + 1000));
        self.seed += 1;
    }

    /// Another config, with secrets for it.
    fn configure(&mut self, config: Config) {
        self.config = config;
        self.mint();
    }

    fn with<T>(&mut self, fake: &mut Fake, work: impl FnOnce(&mut Account<'_>) -> T) -> T {
        let mut account = Account {
            config: &self.config,
            local: &self.local,
            secrets: self.secrets.clone(),
            owned: self.owned.clone(),
            api: fake,
            pause: &mut |_| {},
        };
        let done = work(&mut account);
        self.owned = account.owned;
        done
    }

    fn plan_for(&self, fake: &mut Fake, scope: &Scope) -> Result<Plan, AccountError> {
        self.clone().with(fake, |account| account.plan(scope, &self.buy))
    }

    fn plan(&self, fake: &mut Fake) -> Plan {
        self.plan_for(fake, &Scope::All).unwrap()
    }

    /// Runs `work` on the records; what is on disk then is what was saved last before a kill.
    fn work<T>(
        &mut self,
        fake: &mut Fake,
        work: impl FnOnce(&mut Applier<'_>) -> Result<T, ApplyError>,
    ) -> Result<T, ApplyError> {
        let mut working = self.owned.clone();
        self.local.owned.replace(self.owned.clone());
        self.local.killed = fake.killed.clone();
        let waited = &mut self.waited;
        let mut applier = Applier {
            api: fake,
            owned: &mut working,
            local: &self.local,
            pause: &mut |pause| *waited += pause,
            listener: &mut |_: Progress<'_>| {},
            unsaved: false,
            ahead: BTreeSet::new(),
        };
        let result = work(&mut applier);
        // As the account does it.
        let saved = applier.commit();
        self.owned = self.local.owned.borrow().clone();
        result.and_then(|done| saved.map(|()| done))
    }

    /// One run for some environments; what had to wait is an error.
    fn apply(&mut self, fake: &mut Fake, scope: &Scope) -> Result<Plan, String> {
        let plan = self.plan_for(fake, scope).map_err(|error| error.to_string())?;
        self.make(fake, &plan)?;
        Ok(plan)
    }

    fn make(&mut self, fake: &mut Fake, plan: &Plan) -> Result<(), String> {
        if plan.changes.is_empty() {
            return Ok(());
        }
        let (_, left) = self.work(fake, |applier| applier.run(plan)).map_err(|error| error.to_string())?;
        match left.first() {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }

    fn set_up(&mut self, fake: &mut Fake) -> Result<Plan, String> {
        self.apply(fake, &Scope::All)
    }

    fn destroy(&mut self, fake: &mut Fake, environment: &str) -> Result<Plan, String> {
        let plan = self.clone().with(fake, |account| account.plan_destroy(environment));
        let plan = plan.map_err(|error| error.to_string())?;
        self.make(fake, &plan)?;
        Ok(plan)
    }

    fn undo(&mut self, fake: &mut Fake) -> Result<Vec<String>, String> {
        let secrets = self.secrets.clone();
        let mut told = Vec::new();
        let result = self.work(fake, |applier| applier.undo_all(&secrets, &mut |line| told.push(line.to_owned())));
        result.map(|_| told).map_err(|error| error.to_string())
    }

    /// A plan's sentences.
    fn sentences(&self, fake: &mut Fake) -> Vec<String> {
        self.plan(fake).changes.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_nothing_to_do(&self, fake: &mut Fake) {
        assert_eq!(self.sentences(fake), Vec::<String>::new());
    }

    /// Whether Twilio has the password of the box and of every extension in every environment.
    #[track_caller]
    fn assert_passwords(&self, fake: &Fake) {
        let extensions = self.config.extensions.iter().map(|extension| &extension.name);
        for user in extensions.chain([&self.config.site.user]) {
            for environment in &self.config.environments {
                let password = self.secrets.trunk_password(&environment.name, user).unwrap().expose();
                assert_eq!(fake.passwords.values().filter(|p| *p == password).count(), 1, "{user}");
            }
        }
    }
}

/// The account after a set-up that nothing stopped.
fn set_up_at_once(config: &Config) -> Fake {
    let mut fake = fresh();
    Box::new(config.clone()).set_up(&mut fake).unwrap();
    fake
}

/// Set-ups killed at each of their requests, before and after its effect: the box, the account that it leaves, alive
/// again, and where that was.
fn killed_set_ups(config: &Config) -> impl Iterator<Item = (Box, Fake, String)> {
    let requests = set_up_at_once(config).requests;
    let kills = (0..requests).flat_map(|at| [Fault::Before, Fault::After].map(|fault| (at, fault)));
    kills.map(|(at, fault)| {
        let (mut the_box, mut fake) = (Box::new(config.clone()), fresh());
        fake.kill = Some((at, fault));
        the_box.set_up(&mut fake).unwrap_err();
        fake.revive();
        (the_box, fake, format!("{fault:?} {at}"))
    })
}

/// An account with three numbers and nothing else.
fn fresh() -> Fake {
    let mut fake = Fake::default();
    for number in NUMBERS {
        fake.insert(
            "IncomingPhoneNumbers",
            json!({
                "phone_number": number, "voice_url": "https://demo.twilio.com/",
                "emergency_address_status": "unregistered",
            }),
        );
    }
    let countries = [("US", true), ("CA", true), ("MX", false), ("DO", false), ("CU", false)].map(|(code, open)| {
        let country = json!({
            "iso_code": code, "low_risk_numbers_enabled": open, "high_risk_special_numbers_enabled": code == "MX",
            "high_risk_tollfraud_numbers_enabled": false,
        });
        country.as_object().unwrap().clone()
    });
    fake.collections.insert("DialingPermissions/Countries".to_owned(), countries.to_vec());
    fake
}

/// Fails with the lines that only one side has.
#[track_caller]
fn assert_same(left: &[String], right: &[String], place: &str) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert!(left == right, "{place}\nleft {:#?}\nright {:#?}", only(left, right), only(right, left));
}

/// Names by SID, so that accounts that were set up on different ways can be compared.
fn names(fake: &Fake) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (path, record) in fake.collections.iter().flat_map(|(path, records)| records.iter().map(move |r| (path, r))) {
        let Some(sid) = record.get("sid").and_then(Value::as_str) else { continue };
        if path.contains("Mappings") {
            continue;
        }
        let keys = ["domain_name", "unique_name", "username", "phone_number", "path", "friendly_name"];
        let name = keys.iter().find_map(|key| record.get(*key)).and_then(Value::as_str).unwrap_or("a build");
        names.insert(sid.to_owned(), format!("<{name}>"));
    }
    names
}

/// Everything but SIDs and builds that nobody runs.
fn contents(fake: &Fake) -> Vec<String> {
    let names = names(fake);
    let shown = |path: &str| !path.ends_with("/Builds") && !path.ends_with("/Versions");
    let mut lines = Vec::new();
    for (path, records) in fake.collections.iter().filter(|(path, _)| shown(path)) {
        for record in records {
            let known: Map<String, Value> = record.clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
            let mut line = format!("{path} {}", Value::Object(known));
            for (sid, name) in &names {
                line = line.replace(sid.as_str(), name);
            }
            lines.push(line);
        }
    }
    lines.sort();
    lines
}
