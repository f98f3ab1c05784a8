//! Keys of the iam API (TWILIO.md "Restricted keys"): those of the 2010 API, and the only way to a restricted key.
//!
//! Known gap: what a restricted key may do is kept but not enforced (the permission of each request is not documented),
//! so such a key opens nothing here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, GONE, created, invalid, ok};
use crate::form::decode;
use crate::rest::resource::{Kind, is_sid};
use crate::rest::serve::Reply;
use crate::rest::{RestError, Store, keys};

/// TWILIO.md "Restricted keys": <= 100 permissions.
const MAX_PERMISSIONS: usize = 100;

/// The policies of restricted keys, by SID.
pub type Policies = BTreeMap<String, Value>;

/// `Keys` and `Keys/{Sid}`.
pub fn route(store: &mut Store, call: &mut Call, rest: &[&str]) -> Reply {
    if let [sid] = rest
        && store.get(Kind::Key, None, sid).is_none()
    {
        return Err(call.missing());
    }
    match (call.method(), rest) {
        ("GET", []) => {
            let account = decode(&call.request.query).into_iter().find(|(n, _)| n == "AccountSid").map(|(_, v)| v);
            own_account(call, account.as_deref())?;
            let shown = store.all(Kind::Key, None).into_iter().map(|key| {
                let mut key = key.fields.clone();
                key.insert("flags".to_owned(), json!(["rest_api", "signing"]));
                Value::Object(key)
            });
            call.list("keys", shown.collect())
        }
        ("POST", []) => create(store, call),
        ("GET", [sid]) => {
            let key = store.get(Kind::Key, None, sid).ok_or_else(|| call.missing())?;
            ok(with_policy(store, sid, Value::Object(key.fields.clone())))
        }
        ("POST", [sid]) => update(store, call, sid),
        ("DELETE", [sid]) => {
            keys::delete(store, None, sid)?;
            store.v1.policies.remove(*sid);
            Ok(GONE)
        }
        (_, [] | [_]) => Err(call.refuse_method()),
        _ => Err(call.missing()),
    }
}

fn with_policy(store: &Store, sid: &str, mut key: Value) -> Value {
    key["policy"] = store.v1.policies.get(sid).cloned().unwrap_or_default();
    key
}

fn own_account(call: &Call, named: Option<&str>) -> Result<(), RestError> {
    match named {
        Some(sid) if sid == call.account => Ok(()),
        Some(sid) if is_sid(sid, "AC") => Err(RestError::unauthorized("Authenticate")),
        Some(_) => Err(invalid("AccountSid is not a SID")),
        None => Err(invalid("Missing required parameter AccountSid")),
    }
}

/// What the 2010 API knows of a key's form.
fn name_of(call: &Call) -> Vec<(String, String)> {
    call.request.form.iter().filter(|(name, _)| name == "FriendlyName").cloned().collect()
}

fn create(store: &mut Store, call: &mut Call) -> Reply {
    call.note_unknown(&["AccountSid", "FriendlyName", "KeyType", "Policy"]);
    own_account(call, call.value("AccountSid"))?;
    let policy = match call.value("KeyType") {
        None => None,
        Some("restricted") => Some(policy(call.required("Policy")?)?),
        Some(_) => return Err(invalid("KeyType must be restricted")),
    };
    let key = keys::create(store, None, &name_of(call))?;
    let sid = key["sid"].as_str().unwrap_or("").to_owned();
    if let Some(policy) = policy {
        store.key_secrets.remove(&sid);
        store.v1.policies.insert(sid.clone(), policy);
    }
    created(with_policy(store, &sid, key))
}

fn update(store: &mut Store, call: &mut Call, sid: &str) -> Reply {
    call.note_unknown(&["FriendlyName", "Policy"]);
    if let Some(text) = call.value("Policy") {
        let policy = policy(text)?;
        let kept = store.v1.policies.get_mut(sid).ok_or_else(|| invalid("A standard key has no policy"))?;
        *kept = policy;
    }
    let key = keys::update(store, None, sid, &name_of(call))?;
    ok(with_policy(store, sid, key))
}

/// JSON `{"allow": ["/twilio/voice/calls/read", ...]}`; a bad path is 400/70002 (TWILIO.md "Restricted keys").
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
