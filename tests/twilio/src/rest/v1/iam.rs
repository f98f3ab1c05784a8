//! Keys of the iam API (twilio.md 2.21): the only way to a restricted key.
//!
//! Known gap: what a restricted key may do is kept but not enforced (the permission of each request is not documented),
//! so such a key opens nothing here.

use serde_json::{Map, Value, json};

use super::{Call, GONE, created, invalid, object, ok};
use crate::form::decode;
use crate::rest::RestError;
use crate::rest::resource::is_sid;
use crate::rest::serve::Reply;
use crate::{date, random};

/// 2.21: "<= 100 permissions".
const MAX_PERMISSIONS: usize = 100;
/// 2.20: "FriendlyName <= 64 else 70001".
const MAX_NAME: usize = 64;
const MAX_KEYS: usize = 1000;
const SECRET_LEN: usize = 32;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// All keys that were made here, as the API shows them.
#[derive(Default)]
pub struct Keys(Vec<Map<String, Value>>);

/// `Keys` and `Keys/{Sid}`.
pub fn route(keys: &mut Keys, call: &mut Call, rest: &[&str]) -> Reply {
    match (call.method(), rest) {
        ("GET", []) => {
            let account = decode(&call.request.query).into_iter().find(|(n, _)| n == "AccountSid").map(|(_, v)| v);
            own_account(call, account.as_deref())?;
            let shown = keys.0.iter().map(|key| {
                let mut key = key.clone();
                key.remove("policy");
                key.insert("flags".to_owned(), json!(["rest_api", "signing"]));
                Value::Object(key)
            });
            call.list("keys", shown.collect())
        }
        ("POST", []) => create(keys, call),
        ("GET", [sid]) => ok(Value::Object(find(keys, call, sid)?.clone())),
        ("POST", [sid]) => update(keys, call, sid),
        ("DELETE", [sid]) => {
            find(keys, call, sid)?;
            keys.0.retain(|key| key["sid"] != *sid);
            Ok(GONE)
        }
        (_, [] | [_]) => Err(call.refuse_method()),
        _ => Err(call.missing()),
    }
}

fn find<'a>(keys: &'a mut Keys, call: &Call, sid: &str) -> Result<&'a mut Map<String, Value>, RestError> {
    keys.0.iter_mut().find(|key| key["sid"] == sid).ok_or_else(|| call.missing())
}

fn own_account(call: &Call, named: Option<&str>) -> Result<(), RestError> {
    match named {
        Some(sid) if sid == call.account => Ok(()),
        Some(sid) if is_sid(sid, "AC") => Err(RestError::unauthorized("Authenticate")),
        Some(_) => Err(invalid("AccountSid is not a SID")),
        None => Err(invalid("Missing required parameter AccountSid")),
    }
}

fn create(keys: &mut Keys, call: &mut Call) -> Reply {
    call.note_unknown(&["AccountSid", "FriendlyName", "KeyType", "Policy"]);
    own_account(call, call.value("AccountSid"))?;
    let policy = match call.value("KeyType") {
        None => Value::Null,
        Some("restricted") => policy(call.required("Policy")?)?,
        Some(_) => return Err(invalid("KeyType must be restricted")),
    };
    if keys.0.len() >= MAX_KEYS {
        return Err(invalid("Maximum Keys Reached"));
    }
    let key = object(json!({
        "sid": random::sid("SK"),
        "friendly_name": friendly_name(call)?,
        "date_created": date::now(),
        "date_updated": date::now(),
        "policy": policy,
    }));
    let mut shown = key.clone();
    keys.0.push(key);
    // 2.20: "secret appears only in the create response (32 chars base62)".
    shown.insert("secret".to_owned(), json!(secret()));
    created(Value::Object(shown))
}

fn update(keys: &mut Keys, call: &mut Call, sid: &str) -> Reply {
    call.note_unknown(&["FriendlyName", "Policy"]);
    let name = call.value("FriendlyName").is_some().then(|| friendly_name(call)).transpose()?;
    let policy = call.value("Policy").map(policy).transpose()?;
    let key = find(keys, call, sid)?;
    if let Some(name) = name {
        key.insert("friendly_name".to_owned(), json!(name));
    }
    if let Some(policy) = policy {
        if key["policy"].is_null() {
            return Err(invalid("A standard key has no policy"));
        }
        key.insert("policy".to_owned(), policy);
    }
    key.insert("date_updated".to_owned(), json!(date::now()));
    ok(Value::Object(key.clone()))
}

fn friendly_name(call: &Call) -> Result<String, RestError> {
    let name = call.value("FriendlyName").unwrap_or("");
    match name.chars().count() > MAX_NAME {
        true => Err(RestError::bad(70001, format!("FriendlyName is longer than {MAX_NAME} characters"))),
        false => Ok(name.to_owned()),
    }
}

/// 2.21: JSON `{"allow": ["/twilio/voice/calls/read", ...]}`; a bad path is 400/70002.
fn policy(text: &str) -> Result<Value, RestError> {
    let bad = |what: &str| RestError::bad(70002, format!("Policy: {what}"));
    let policy: Value = serde_json::from_str(text).map_err(|_| bad("not JSON"))?;
    let allow = policy["allow"].as_array().ok_or_else(|| bad("allow is missing"))?;
    if allow.is_empty() || allow.len() > MAX_PERMISSIONS {
        return Err(bad("1 to 100 permissions are allowed"));
    }
    let well_formed = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        let known = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        parts.len() >= 5 && parts[0].is_empty() && parts[1] == "twilio" && parts[2..].iter().all(known)
    };
    match allow.iter().find(|path| !path.as_str().is_some_and(well_formed)) {
        Some(path) => Err(bad(&format!("{path} is not a permission"))),
        None => Ok(policy),
    }
}

fn secret() -> String {
    // 62 of 256 values leave the letters a little uneven; nobody attacks a simulator.
    random::bytes::<SECRET_LEN>().iter().map(|byte| char::from(BASE62[usize::from(*byte) % BASE62.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_permissions_and_a_bad_one_is_70002() {
        assert!(policy(r#"{"allow":["/twilio/voice/calls/read","/twilio/voice/calls/list"]}"#).is_ok());
        for bad in ["", "[]", "{}", r#"{"allow":[]}"#, r#"{"allow":["voice/calls"]}"#, r#"{"allow":[7]}"#] {
            assert_eq!(policy(bad).unwrap_err().code, 70002, "{bad}");
        }
        let many = vec!["/twilio/voice/calls/read"; MAX_PERMISSIONS + 1];
        assert_eq!(policy(&json!({ "allow": many }).to_string()).unwrap_err().code, 70002);
    }
}
