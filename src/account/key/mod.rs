//! The API key that REST requests are made with, so that the auth token need not be kept (TWILIO.md "API login",
//! TWILIO.md "API keys").
//!
//! Its secret is told once, in the answer to its creation. A key whose answer was lost is of no use to anybody: the next
//! run removes it and makes another. Making, listing and removing keys all want the auth token.

use serde_json::Value;

use crate::api::{Api, ApiError, Form};
use crate::apply::ApplyError;
use crate::kind::{Id, Kind};
use crate::local::Local;
use crate::owned::{Owned, Record};
use gateway_core::config::ACCOUNT;
use gateway_core::secret::Secret;
use gateway_core::secrets::{ApiKey, Secrets};

/// Longest friendly name of a key (TWILIO.md "API keys").
const MAX_NAME: usize = 64;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The key that we have is there.
    Kept,
    /// There is a new one, in the secrets.
    Made,
}

/// Sees to it that the secrets have an API key that exists. `api` must be authenticated with the auth token; the caller
/// then goes on with the key.
pub fn ensure(
    api: &mut dyn Api,
    site: &str,
    secrets: &mut Secrets,
    owned: &mut Owned,
    local: &dyn Local,
) -> Result<Done, ApplyError> {
    let there = list(api)?;
    if let Some(key) = secrets.api_key.as_ref().and_then(|ours| there.iter().find(|key| key.sid == ours.sid)) {
        // Killed between secret and record: the intent is there.
        let id = Id::new(Kind::ApiKey, &*key.name);
        if owned.get(&id).is_some_and(|record| record.sid.is_none()) {
            owned.put(record(id, Some(&key.sid)));
            local.save_owned(owned)?;
        }
        return Ok(Done::Kept);
    }
    let there = remove_lost(api, there, owned, local)?;

    // Keys of that name that are still there are of other people.
    let mut number = 1;
    while there.iter().any(|key| key.name == name(site, number)) {
        number += 1;
    }
    let name = name(site, number);
    let id = Id::new(Kind::ApiKey, &*name);
    owned.put(record(id.clone(), None));
    local.save_owned(owned)?;
    let mut form = Form::default();
    form.plain(Kind::ApiKey.schema().key, name);
    let answer = api.create(&Kind::ApiKey.collection(None), &form);
    if answer.as_ref().is_err_and(|error| !error.is_uncertain()) {
        // A clear no: nothing was made, and nothing of that name may be taken for ours later.
        owned.remove(&id);
        local.save_owned(owned)?;
    }
    let answer = answer?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some((sid, secret)) = text("sid").zip(text("secret")) else {
        return Err(ApiError::Nonsense { request: "POST Keys".to_owned(), reason: "no secret".to_owned() }.into());
    };
    // The secret first: without it the key is lost, without the record it is found again by its name.
    secrets.api_key = Some(ApiKey { sid: sid.clone(), secret: Secret::new(secret) });
    local.save_secrets(secrets)?;
    owned.put(record(id, Some(&sid)));
    local.save_owned(owned)?;
    Ok(Done::Made)
}

/// Removes the key that [`ensure`] made, at Twilio and here. `api` must be authenticated with the auth token.
pub fn remove(
    api: &mut dyn Api,
    secrets: &mut Secrets,
    owned: &mut Owned,
    local: &dyn Local,
) -> Result<(), ApplyError> {
    let there = list(api)?;
    remove_lost(api, there, owned, local)?;
    secrets.api_key = None;
    Ok(local.save_secrets(secrets)?)
}

/// A key at Twilio.
struct Key {
    sid: String,
    name: String,
}

fn list(api: &mut dyn Api) -> Result<Vec<Key>, ApiError> {
    let records = api.list(&Kind::ApiKey.collection(None), Kind::ApiKey.schema().records)?;
    let text = |record: &Value, name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = |record: &Value| Key { sid: text(record, "sid"), name: text(record, "friendly_name") };
    Ok(records.iter().map(key).collect())
}

/// Removes the keys that are ours by record, whose secrets nobody has, and the records of those that are gone. Gives the
/// keys that are left.
fn remove_lost(
    api: &mut dyn Api,
    mut there: Vec<Key>,
    owned: &mut Owned,
    local: &dyn Local,
) -> Result<Vec<Key>, ApplyError> {
    let records: Vec<Record> = owned.iter().filter(|record| record.id.kind == Kind::ApiKey).cloned().collect();
    for record in records {
        let is_it = |key: &&Key| match &record.sid {
            Some(sid) => key.sid == *sid,
            // When we wrote the intent, there was no other key of that name.
            None => key.name == record.id.key,
        };
        let sids: Vec<String> = there.iter().filter(is_it).map(|key| key.sid.clone()).collect();
        // Of two keys of that name one is a stranger's, and nobody can say which: both stay.
        if let [sid] = &*sids {
            api.delete(&Kind::ApiKey.collection(None), sid)?;
            there.retain(|key| key.sid != *sid);
        }
        owned.remove(&record.id);
        local.save_owned(owned)?;
    }
    Ok(there)
}

/// `gateway-SITE`, `gateway-SITE-2`, …
fn name(site: &str, number: usize) -> String {
    let suffix = if number == 1 { String::new() } else { format!("-{number}") };
    let name: String = format!("gateway-{site}").chars().take(MAX_NAME - suffix.len()).collect();
    name + &suffix
}

fn record(id: Id, sid: Option<&str>) -> Record {
    Record {
        id,
        environment: ACCOUNT.to_owned(),
        sid: sid.map(str::to_owned),
        parent_sid: None,
        made: true,
        changed: Default::default(),
        fingerprint: None,
    }
}

#[cfg(test)]
mod tests;
