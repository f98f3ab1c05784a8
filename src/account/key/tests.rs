//! Keys in memory; a run that is killed at any request, and the next one.

use serde_json::json;

use super::*;
use crate::api::{Collection, FormValue, Upload};
use crate::fake_local::FakeLocal;

/// When nothing is answered any more.
#[derive(Clone, Copy, Debug)]
enum Kill {
    /// The request at that place, counted from 0, does not arrive.
    Before(usize),
    /// It is carried out, and the answer is lost.
    After(usize),
}

/// The keys of an account: SID and name.
#[derive(Default)]
struct Keys {
    keys: Vec<(String, String)>,
    kill: Option<Kill>,
    refuse: bool,
    requests: usize,
    writes: usize,
    serial: usize,
}

impl Keys {
    fn add(&mut self, name: &str) -> String {
        self.serial += 1;
        let sid = format!("SK{}", self.serial);
        self.keys.push((sid.clone(), name.to_owned()));
        sid
    }

    fn names(&self) -> Vec<&str> {
        self.keys.iter().map(|(_, name)| name.as_str()).collect()
    }

    fn answer<T>(&mut self, effect: impl FnOnce(&mut Keys) -> T) -> Result<T, ApiError> {
        let lost = || ApiError::NoAnswer { request: "a request".to_owned(), reason: "lost".to_owned() };
        let at = self.requests;
        self.requests += 1;
        match self.kill {
            Some(Kill::Before(kill)) if at >= kill => Err(lost()),
            Some(Kill::After(kill)) if at > kill => Err(lost()),
            Some(Kill::After(kill)) if at == kill => {
                effect(self);
                Err(lost())
            }
            _ => Ok(effect(self)),
        }
    }
}

impl Api for Keys {
    fn list(&mut self, collection: &Collection, records: &str) -> Result<Vec<Value>, ApiError> {
        assert_eq!((&*collection.path, records), ("Keys", "keys"));
        self.answer(|api| api.keys.iter().map(|(sid, name)| json!({"sid": sid, "friendly_name": name})).collect())
    }

    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError> {
        assert_eq!(collection.path, "Keys");
        if self.refuse {
            let (request, message) = ("POST Keys".to_owned(), "no".to_owned());
            return Err(ApiError::Refused { request, status: 400, code: None, message });
        }
        let [(param, FormValue::Plain(name))] = &*form.0 else { panic!("{form:?}") };
        assert_eq!(param, "FriendlyName");
        self.writes += 1;
        self.answer(|api| {
            let sid = api.add(name);
            json!({"sid": sid, "secret": format!("secret of {sid}")})
        })
    }

    fn delete(&mut self, _: &Collection, sid: &str) -> Result<(), ApiError> {
        self.writes += 1;
        self.answer(|api| api.keys.retain(|(known, _)| known != sid))
    }

    fn account(&mut self) -> Result<Value, ApiError> {
        unreachable!()
    }

    fn get(&mut self, _: &Collection, _: &str) -> Result<Value, ApiError> {
        unreachable!()
    }

    fn update(&mut self, _: &Collection, _: &str, _: &Form) -> Result<Value, ApiError> {
        unreachable!()
    }

    fn upload(&mut self, _: &str, _: &str, _: &Upload<'_>) -> Result<Value, ApiError> {
        unreachable!()
    }
}

impl FakeLocal {
    /// What a new process does: it knows what is on disk.
    fn ensure(&self, api: &mut Keys) -> Result<Done, ApplyError> {
        let (mut secrets, mut owned) = (self.kept_secrets(), self.kept_owned());
        let done = ensure(api, "futel", &mut secrets, &mut owned, self);
        assert_eq!((secrets, owned), (self.kept_secrets(), self.kept_owned()));
        done
    }

    fn kept_secrets(&self) -> Secrets {
        self.secrets.borrow().clone()
    }

    fn kept_owned(&self) -> Owned {
        self.owned.borrow().clone()
    }

    /// The key that we have, which must be at Twilio and on record.
    fn key(&self, api: &Keys) -> String {
        let key = self.kept_secrets().api_key.unwrap();
        assert_eq!(*key.secret.expose(), format!("secret of {}", key.sid));
        let (_, name) = api.keys.iter().find(|(sid, _)| *sid == key.sid).unwrap();
        let owned = self.kept_owned();
        assert_eq!(owned.iter().collect::<Vec<_>>(), [&record(Id::new(Kind::ApiKey, name), Some(&key.sid))]);
        name.clone()
    }
}

#[test]
fn the_first_run_makes_a_key_and_the_second_keeps_it_without_a_write() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Made);
    assert_eq!(local.key(&api), "gateway-futel");
    assert_eq!(api.writes, 1);
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Kept);
    assert_eq!((api.writes, api.requests), (1, 3));
}

#[test]
fn a_run_killed_at_any_request_leaves_one_key_of_ours_in_the_end_and_every_stranger() {
    // From nothing, and with a key of ours to replace.
    for lost_secret in [false, true] {
        for kill in (0..4).flat_map(|at| [Kill::Before(at), Kill::After(at)]) {
            let (local, mut api) = (FakeLocal::default(), Keys::default());
            api.add("gateway-other");
            if lost_secret {
                local.ensure(&mut api).unwrap();
                local.save_secrets(&Secrets::default()).unwrap();
            }
            (api.kill, api.requests) = (Some(kill), 0);
            let _ = local.ensure(&mut api);
            api.kill = None;
            local.ensure(&mut api).unwrap();
            assert_eq!(local.key(&api), "gateway-futel", "{kill:?}");
            assert_eq!(api.names(), ["gateway-other", "gateway-futel"], "{kill:?}");
        }
    }
}

#[test]
fn a_run_killed_between_secret_and_record_keeps_its_key() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    local.ensure(&mut api).unwrap();
    let mut owned = Owned::default();
    owned.put(record(Id::new(Kind::ApiKey, "gateway-futel"), None));
    local.save_owned(&owned).unwrap();
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Kept);
    assert_eq!(local.key(&api), "gateway-futel");
    assert_eq!(api.writes, 1);
}

#[test]
fn a_strangers_key_of_our_name_is_left_and_ours_gets_another() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    api.add("gateway-futel");
    api.add("gateway-futel-2");
    local.ensure(&mut api).unwrap();
    assert_eq!(local.key(&api), "gateway-futel-3");
    assert_eq!(api.keys.len(), 3);
}

#[test]
fn of_two_keys_with_the_name_of_our_intent_both_are_left() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    api.kill = Some(Kill::After(1));
    local.ensure(&mut api).unwrap_err();
    api.kill = None;
    api.add("gateway-futel");
    local.ensure(&mut api).unwrap();
    assert_eq!(local.key(&api), "gateway-futel-2");
    assert_eq!(api.names(), ["gateway-futel", "gateway-futel", "gateway-futel-2"]);
}

#[test]
fn a_key_that_was_deleted_at_twilio_is_made_anew() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    local.ensure(&mut api).unwrap();
    api.keys.clear();
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Made);
    assert_eq!(local.key(&api), "gateway-futel");
    assert_eq!(local.kept_secrets().api_key.unwrap().sid, "SK2");
}

#[test]
fn a_key_of_ours_whose_secret_was_lost_is_replaced() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    local.ensure(&mut api).unwrap();
    local.save_secrets(&Secrets::default()).unwrap();
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Made);
    assert_eq!(local.key(&api), "gateway-futel");
    assert_eq!(api.keys.len(), 1);
}

#[test]
fn a_key_that_somebody_gave_us_is_used_and_not_taken_for_ours() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    let sid = api.add("by hand");
    let key = ApiKey { sid, secret: Secret::new("sesame".to_owned()) };
    local.save_secrets(&Secrets { api_key: Some(key), ..Secrets::default() }).unwrap();
    assert_eq!(local.ensure(&mut api).unwrap(), Done::Kept);
    let (mut secrets, mut owned) = (local.kept_secrets(), local.kept_owned());
    remove(&mut api, &mut secrets, &mut owned, &local).unwrap();
    assert_eq!(api.names(), ["by hand"]);
}

#[test]
fn after_a_clear_no_nothing_is_on_record() {
    let (local, mut api) = (FakeLocal::default(), Keys { refuse: true, ..Keys::default() });
    local.ensure(&mut api).unwrap_err();
    assert_eq!(local.kept_owned(), Owned::default());
}

#[test]
fn removing_leaves_the_keys_of_others_alone() {
    let (local, mut api) = (FakeLocal::default(), Keys::default());
    api.add("gateway-futel");
    local.ensure(&mut api).unwrap();
    let (mut secrets, mut owned) = (local.kept_secrets(), local.kept_owned());
    remove(&mut api, &mut secrets, &mut owned, &local).unwrap();
    assert_eq!(api.names(), ["gateway-futel"]);
    assert_eq!((local.kept_secrets(), local.kept_owned()), (Secrets::default(), Owned::default()));
}

#[test]
fn a_name_is_never_too_long_and_never_ambiguous() {
    assert_eq!(name("futel", 1), "gateway-futel");
    assert_eq!(name("futel", 2), "gateway-futel-2");
    let long = "ü".repeat(100);
    assert_eq!(name(&long, 1).chars().count(), MAX_NAME);
    assert_eq!(name(&long, 12).chars().count(), MAX_NAME);
    assert!(name(&long, 12).ends_with("ü-12"));
}
