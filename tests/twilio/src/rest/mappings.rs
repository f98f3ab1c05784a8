//! `Auth/Calls` and `Auth/Registrations` mappings of credential lists to domains (twilio.md 2.6).

use serde_json::{Value, json};

use super::resource::{Kind, Record, is_sid};
use super::{RestError, Store};
use crate::date;

/// Maps a list to a domain. The mapping's SID is that of the list (2.6).
pub fn create(store: &mut Store, kind: Kind, domain: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    let path = format!("/SIP/Domains/{domain}");
    store.get(Kind::Domain, None, domain).ok_or_else(|| RestError::not_found(&path))?;
    let unknown: Vec<String> = form.iter().map(|(n, _)| n.clone()).filter(|n| n != "CredentialListSid").collect();
    store.unknown_parameters.extend(unknown);
    let list = form.iter().find(|(n, _)| n == "CredentialListSid").map_or("", |(_, v)| v.as_str());
    if !is_sid(list, "CL") {
        return Err(RestError::bad(20423, "CredentialListSid is not a SID"));
    }
    let Some(name) = store.get(Kind::CredentialList, None, list).map(|r| r.text("friendly_name").to_owned()) else {
        return Err(RestError::not_found(&format!("/SIP/CredentialLists/{list}")));
    };
    if store.get(kind, Some(domain), list).is_some() {
        // 2.6: "Second mapping of the same list on the same domain -> HTTP 400 code 21231".
        return Err(RestError::bad(21231, "CredentialList already associated with this domain"));
    }
    let body = json!({
        "account_sid": store.account_sid,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": name,
        "sid": list,
    });
    let Value::Object(fields) = body.clone() else { unreachable!("the literal above is an object") };
    store.records.push(Record { kind, sid: list.to_owned(), parent: Some(domain.to_owned()), fields, ha1: None });
    store.recompute_auth_type(domain);
    Ok(body)
}

/// Takes a mapping away; the SID is that of the list.
pub fn delete(store: &mut Store, kind: Kind, domain: &str, sid: &str) -> Result<(), RestError> {
    let before = store.records.len();
    store.records.retain(|r| !(r.kind == kind && r.parent.as_deref() == Some(domain) && r.sid == sid));
    store.recompute_auth_type(domain);
    match before == store.records.len() {
        true => Err(RestError::not_found(&format!("/SIP/Domains/{domain}/Auth/{sid}"))),
        false => Ok(()),
    }
}
