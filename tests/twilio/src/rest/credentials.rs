//! Credential lists and credentials (twilio.md 2.4 and 2.5).

use serde_json::{Map, Value, json};

use super::resource::{Form, Kind, Param, Record, apply, param};
use super::{RestError, Store};
use crate::sip::digest::{REALM, ha1};
use crate::{date, random};

/// 2.4: "Max 100 lists (21239), max 1000 credentials each (21242)".
const MAX_LISTS: usize = 100;
const MAX_CREDENTIALS: usize = 1000;
/// 2.5: "Username: <= 32 characters", password at least 12.
const MAX_USERNAME: usize = 32;
const MIN_PASSWORD: usize = 12;

const LIST_PARAMS: &[Param] = &[param("FriendlyName", Form::Text(64))];

fn value<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Creates a list.
pub fn create_list(store: &mut Store, form: &[(String, String)]) -> Result<Value, RestError> {
    let sid = random::sid("CL");
    let account = store.account_sid.clone();
    let uri = format!("/2010-04-01/Accounts/{account}/SIP/CredentialLists/{sid}");
    let mut fields = object(json!({
        "account_sid": account,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": null,
        "sid": sid,
        "subresource_uris": { "credentials": format!("{uri}/Credentials.json") },
        "uri": format!("{uri}.json"),
    }));
    let unknown = apply(LIST_PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    check_list_name(store, value(form, "FriendlyName"), None)?;
    if store.all(Kind::CredentialList, None).len() >= MAX_LISTS {
        return Err(RestError::bad(21239, "Maximum Credential Lists Reached"));
    }
    let body = Value::Object(fields.clone());
    store.records.push(Record { kind: Kind::CredentialList, sid, parent: None, fields, ha1: None });
    Ok(body)
}

/// 2.4: "Duplicate FriendlyName -> 21240".
fn check_list_name(store: &Store, name: &str, own: Option<&str>) -> Result<(), RestError> {
    if name.is_empty() {
        return Err(RestError::bad(21240, "FriendlyName is required"));
    }
    let others = store.all(Kind::CredentialList, None).into_iter().filter(|r| Some(r.sid.as_str()) != own);
    match others.into_iter().any(|r| r.text("friendly_name") == name) {
        true => Err(RestError::bad(21240, format!("Credential list with FriendlyName {name} already exists"))),
        false => Ok(()),
    }
}

/// Renames a list.
pub fn update_list(store: &mut Store, sid: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    let path = format!("/SIP/CredentialLists/{sid}");
    let old = store.get(Kind::CredentialList, None, sid).ok_or_else(|| RestError::not_found(&path))?;
    let mut fields = old.fields.clone();
    check_list_name(store, value(form, "FriendlyName"), Some(sid))?;
    let unknown = apply(LIST_PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    fields.insert("date_updated".to_owned(), json!(date::now()));
    store.replace(Kind::CredentialList, sid, fields.clone());
    Ok(Value::Object(fields))
}

/// Deletes a list with its credentials; 2.4: "Delete while mapped -> 21241".
pub fn delete_list(store: &mut Store, sid: &str) -> Result<(), RestError> {
    let mapped = |r: &Record| matches!(r.kind, Kind::CallsMapping | Kind::RegistrationsMapping) && r.sid == sid;
    if store.records.iter().any(mapped) {
        return Err(RestError::bad(21241, "Credential list is mapped to a domain"));
    }
    let before = store.records.len();
    store.records.retain(|r| r.sid != sid && r.parent.as_deref() != Some(sid));
    match before == store.records.len() {
        true => Err(RestError::not_found(&format!("/SIP/CredentialLists/{sid}"))),
        false => Ok(()),
    }
}

/// Creates a credential; duplicate usernames have a switch for their code (2.5).
pub fn create(
    store: &mut Store,
    list: &str,
    form: &[(String, String)],
    duplicate_code: u32,
) -> Result<Value, RestError> {
    let path = format!("/SIP/CredentialLists/{list}");
    store.get(Kind::CredentialList, None, list).ok_or_else(|| RestError::not_found(&path))?;
    let (username, password) = (value(form, "Username"), value(form, "Password"));
    note_unknown(store, form, &["Username", "Password"]);
    if username.is_empty() || username.chars().count() > MAX_USERNAME {
        return Err(RestError::bad(21240, "Username is required and has at most 32 characters"));
    }
    check_password(password)?;
    let own = store.all(Kind::Credential, Some(list));
    if own.len() >= MAX_CREDENTIALS {
        return Err(RestError::bad(21242, "Maximum Credentials Reached for List"));
    }
    if own.iter().any(|r| r.text("username") == username) {
        return Err(RestError::bad(duplicate_code, format!("Credential with username {username} already exists")));
    }
    let sid = random::sid("CR");
    let account = store.account_sid.clone();
    let fields = object(json!({
        "sid": sid,
        "account_sid": account,
        "credential_list_sid": list,
        "username": username,
        "date_created": date::now(),
        "date_updated": date::now(),
        "uri": format!("/2010-04-01/Accounts/{account}/SIP/CredentialLists/{list}/Credentials/{sid}.json"),
    }));
    let body = Value::Object(fields.clone());
    let ha1 = Some(ha1(username, REALM, password));
    store.records.push(Record { kind: Kind::Credential, sid, parent: Some(list.to_owned()), fields, ha1 });
    Ok(body)
}

/// A new password; 2.5: "Only the password may be changed by update".
pub fn update(store: &mut Store, list: &str, sid: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    note_unknown(store, form, &["Password"]);
    let password = value(form, "Password");
    check_password(password)?;
    let found = store
        .records
        .iter_mut()
        .find(|r| r.kind == Kind::Credential && r.parent.as_deref() == Some(list) && r.sid == sid);
    let record =
        found.ok_or_else(|| RestError::not_found(&format!("/SIP/CredentialLists/{list}/Credentials/{sid}")))?;
    record.ha1 = Some(ha1(record.text("username"), REALM, password));
    record.fields.insert("date_updated".to_owned(), json!(date::now()));
    Ok(Value::Object(record.fields.clone()))
}

/// 2.5 "Password policy": at least 12 characters, a digit, upper and lower case.
fn check_password(password: &str) -> Result<(), RestError> {
    let has = |test: fn(char) -> bool| password.chars().any(test);
    let good = password.chars().count() >= MIN_PASSWORD
        && has(|c| c.is_ascii_digit())
        && has(|c| c.is_ascii_uppercase())
        && has(|c| c.is_ascii_lowercase());
    if good {
        return Ok(());
    }
    let text = "Password must be at least 12 characters long with a digit, an upper and a lower case letter";
    Err(RestError::bad(21240, text))
}

fn note_unknown(store: &mut Store, form: &[(String, String)], known: &[&str]) {
    let unknown = form.iter().map(|(n, _)| n.clone()).filter(|n| !known.contains(&n.as_str()));
    store.unknown_parameters.extend(unknown);
}
