//! Standard API keys (TWILIO.md "API keys").

use serde_json::{Value, json};

use super::family::{Family, Pairs, value};
use super::resource::{Form, Kind, Param, object, param};
use super::{RestError, Store};
use crate::{date, random};

/// The family.
pub const FAMILY: Family = Family {
    kind: Kind::Key,
    key: "keys",
    filters: &[],
    create: Some(create),
    update: Some(update),
    delete: Some(delete),
};

const PARAMS: &[Param] = &[param("FriendlyName", Form::Text(MAX_NAME))];

/// TWILIO.md "API keys": FriendlyName <= 64 else 70001.
const MAX_NAME: usize = 64;
/// TWILIO.md "API keys": 32 chars base62.
const SECRET_LENGTH: usize = 32;

fn check(form: &Pairs) -> Result<(), RestError> {
    match value(form, "FriendlyName").chars().count() > MAX_NAME {
        true => Err(RestError::bad(70001, "FriendlyName has at most 64 characters")),
        false => Ok(()),
    }
}

/// Makes a key; only this answer has the secret.
pub fn create(store: &mut Store, _: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    check(form)?;
    let sid = store.sid("SK");
    let mut fields = fields(&sid);
    store.apply(PARAMS, form, &mut fields)?;
    let secret = secret();
    store.key_secrets.insert(sid.clone(), secret.clone());
    let mut body = store.add(Kind::Key, None, sid, fields);
    body["secret"] = json!(secret);
    Ok(body)
}

fn fields(sid: &str) -> serde_json::Map<String, Value> {
    let now = date::now();
    object(json!({ "sid": sid, "friendly_name": "", "date_created": now, "date_updated": now }))
}

/// The key that the account has from the beginning.
pub fn seed(store: &mut Store, sid: &str, secret: &str) {
    store.key_secrets.insert(sid.to_owned(), secret.to_owned());
    store.add(Kind::Key, None, sid.to_owned(), fields(sid));
}

fn secret() -> String {
    const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // A little uneven, which no test minds.
    random::bytes::<SECRET_LENGTH>().iter().map(|b| char::from(BASE62[usize::from(*b) % BASE62.len()])).collect()
}

/// Renames a key.
pub fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    check(form)?;
    let mut fields = store.fields(Kind::Key, parent, sid)?;
    store.apply(PARAMS, form, &mut fields)?;
    Ok(store.change(Kind::Key, sid, fields))
}

/// Deletes a key with its secret.
pub fn delete(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    store.remove(Kind::Key, parent, sid);
    store.key_secrets.remove(sid);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    #[test]
    fn a_secret_is_shown_once_and_a_deleted_key_has_none() {
        let mut store = Store::new("AC1");
        let made = create(&mut store, None, &pairs(&[("FriendlyName", "box")])).unwrap();
        let (sid, secret) = (made["sid"].as_str().unwrap(), made["secret"].as_str().unwrap());
        assert!(secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(!store.get(Kind::Key, None, sid).unwrap().fields.contains_key("secret"));
        assert_eq!(store.key_secrets[sid], secret);
        delete(&mut store, None, sid).unwrap();
        assert!(store.key_secrets.is_empty());
        assert_eq!(create(&mut store, None, &pairs(&[("FriendlyName", &"x".repeat(65))])).unwrap_err().code, 70001);
    }
}
