//! Credential lists and credentials (TWILIO.md "Credential lists", TWILIO.md "Credentials").

use serde_json::{Value, json};

use super::family::{Family, Pairs, value};
use super::mappings::maps;
use super::resource::{Form, Kind, Param, object, param};
use super::{RestError, Store};
use crate::date;
use crate::sip::digest::{REALM, ha1};

/// The lists.
pub const LISTS: Family = Family {
    kind: Kind::CredentialList,
    key: "credential_lists",
    filters: &[],
    create: Some(create_list),
    update: Some(update_list),
    delete: Some(delete_list),
};

/// The credentials of a list.
pub const CREDENTIALS: Family = Family {
    kind: Kind::Credential,
    key: "credentials",
    filters: &[],
    create: Some(create),
    update: Some(update),
    delete: Some(|store, parent, sid| {
        store.remove(Kind::Credential, parent, sid);
        Ok(())
    }),
};

/// TWILIO.md "Credential lists": Max 100 lists (21239), max 1000 credentials each (21242).
const MAX_LISTS: usize = 100;
const MAX_CREDENTIALS: usize = 1000;
/// A username has at most 32 characters, a password at least 12 (TWILIO.md "Credentials").
const MAX_USERNAME: usize = 32;
const MIN_PASSWORD: usize = 12;

const LIST_PARAMS: &[Param] = &[param("FriendlyName", Form::Text(64))];

fn create_list(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let sid = store.sid("CL");
    let account = store.account_sid.clone();
    let uri = store.uri(&format!("SIP/CredentialLists/{sid}"));
    let mut fields = object(json!({
        "account_sid": account,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": null,
        "sid": sid,
        "subresource_uris": { "credentials": format!("{uri}/Credentials.json") },
        "uri": format!("{uri}.json"),
    }));
    store.apply(LIST_PARAMS, form, &mut fields)?;
    check_list_name(store, value(form, "FriendlyName"), None)?;
    if store.all(Kind::CredentialList, None).len() >= MAX_LISTS {
        return Err(RestError::bad(21239, "Maximum Credential Lists Reached"));
    }
    Ok(store.add(Kind::CredentialList, parent, sid, fields))
}

/// TWILIO.md "Credential lists": Duplicate FriendlyName -> 21240.
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

fn update_list(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::CredentialList, parent, sid)?;
    check_list_name(store, value(form, "FriendlyName"), Some(sid))?;
    store.apply(LIST_PARAMS, form, &mut fields)?;
    Ok(store.change(Kind::CredentialList, sid, fields))
}

/// Deletes a list with its credentials; TWILIO.md "Credential lists": Delete while mapped -> 21241.
fn delete_list(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    if store.records.iter().any(|r| maps(r, sid)) {
        return Err(RestError::bad(21241, "Credential list is mapped to a domain"));
    }
    store.remove(Kind::CredentialList, parent, sid);
    store.records.retain(|r| r.parent.as_deref() != Some(sid));
    Ok(())
}

/// Duplicate usernames have a switch for their code (TWILIO.md "Credentials").
fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let list = parent.unwrap_or("");
    let (username, password) = (value(form, "Username"), value(form, "Password"));
    note_unknown(store, form, &["Username", "Password"]);
    if username.is_empty() || username.chars().count() > MAX_USERNAME {
        return Err(RestError::bad(21240, "Username is required and has at most 32 characters"));
    }
    check_password(password)?;
    let own = store.all(Kind::Credential, parent);
    if own.len() >= MAX_CREDENTIALS {
        return Err(RestError::bad(21242, "Maximum Credentials Reached for List"));
    }
    if own.iter().any(|r| r.text("username") == username) {
        let code = store.switches.duplicate_credential_code;
        return Err(RestError::bad(code, format!("Credential with username {username} already exists")));
    }
    let sid = store.sid("CR");
    let fields = object(json!({
        "sid": sid,
        "account_sid": store.account_sid,
        "credential_list_sid": list,
        "username": username,
        "date_created": date::now(),
        "date_updated": date::now(),
        "uri": store.uri(&format!("SIP/CredentialLists/{list}/Credentials/{sid}.json")),
    }));
    let body = store.add(Kind::Credential, parent, sid.clone(), fields);
    set_ha1(store, parent, &sid, ha1(username, REALM, password));
    Ok(body)
}

/// A new password; TWILIO.md "Credentials": Only the password may be changed by update.
fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    note_unknown(store, form, &["Password"]);
    let password = value(form, "Password");
    check_password(password)?;
    let fields = store.fields(Kind::Credential, parent, sid)?;
    let username = fields["username"].as_str().unwrap_or("").to_owned();
    set_ha1(store, parent, sid, ha1(&username, REALM, password));
    Ok(store.change(Kind::Credential, sid, fields))
}

fn set_ha1(store: &mut Store, parent: Option<&str>, sid: &str, digest: String) {
    let of_sid = |r: &&mut super::Record| r.kind == Kind::Credential && r.parent.as_deref() == parent && r.sid == sid;
    if let Some(record) = store.records.iter_mut().find(of_sid) {
        record.ha1 = Some(digest);
    }
}

/// The password rule: at least 12 characters, a digit, upper and lower case (TWILIO.md "Credentials").
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

fn note_unknown(store: &mut Store, form: &Pairs, known: &[&str]) {
    let unknown = form.iter().map(|(n, _)| n.clone()).filter(|n| !known.contains(&n.as_str()));
    store.unknown_parameters.extend(unknown);
}
