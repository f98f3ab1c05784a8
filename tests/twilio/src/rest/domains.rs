//! SIP domains (twilio.md 2.3).

use serde_json::{Map, Value, json};

use super::resource::{Form, Kind, Param, Record, apply, param};
use super::{RestError, Store};
use crate::{date, random};

/// 2.3: "Max 100 domains per account -> 21230".
const MAX: usize = 100;

const PARAMS: &[Param] = &[
    param("DomainName", Form::Text(255)),
    param("FriendlyName", Form::Text(64)),
    param("VoiceUrl", Form::Url),
    param("VoiceMethod", Form::Method),
    param("VoiceFallbackUrl", Form::Url),
    param("VoiceFallbackMethod", Form::Method),
    param("VoiceStatusCallbackUrl", Form::Url),
    param("VoiceStatusCallbackMethod", Form::Method),
    param("SipRegistration", Form::Flag),
    param("EmergencyCallingEnabled", Form::Flag),
    param("Secure", Form::Flag),
    param("ByocTrunkSid", Form::Sid("BY")),
    param("EmergencyCallerSid", Form::Sid("PN")),
];

/// Creates a domain.
pub fn create(store: &mut Store, form: &[(String, String)]) -> Result<Value, RestError> {
    let sid = random::sid("SD");
    let account = store.account_sid.clone();
    let uri = format!("/2010-04-01/Accounts/{account}/SIP/Domains/{sid}");
    // 2.3 "Fresh domain defaults seen live".
    let defaults = json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "auth_type": "",
        "date_created": date::now(),
        "date_updated": date::now(),
        "domain_name": null,
        "friendly_name": null,
        "sid": sid,
        "uri": format!("{uri}.json"),
        "voice_fallback_method": "POST",
        "voice_fallback_url": null,
        "voice_method": "POST",
        "voice_status_callback_method": "POST",
        "voice_status_callback_url": null,
        "voice_url": null,
        "subresource_uris": {
            "credential_list_mappings": format!("{uri}/CredentialListMappings.json"),
            "ip_access_control_list_mappings": format!("{uri}/IpAccessControlListMappings.json"),
        },
        "sip_registration": false,
        "emergency_calling_enabled": false,
        "secure": false,
        "byoc_trunk_sid": null,
        "emergency_caller_sid": null,
    });
    let Value::Object(mut fields) = defaults else { unreachable!("the literal above is an object") };
    let unknown = apply(PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    let name = fields.get("domain_name").and_then(Value::as_str).unwrap_or("").to_owned();
    check_name(store, &name, None)?;
    check_caller(store, &fields)?;
    if store.all(Kind::Domain, None).len() >= MAX {
        return Err(RestError::bad(21230, "Maximum Domains Reached"));
    }
    let body = Value::Object(fields.clone());
    store.records.push(Record { kind: Kind::Domain, sid, parent: None, fields, ha1: None });
    Ok(body)
}

/// Changes a domain.
pub fn update(store: &mut Store, sid: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    let path = format!("/SIP/Domains/{sid}");
    let old = store.get(Kind::Domain, None, sid).ok_or_else(|| RestError::not_found(&path))?;
    let mut fields = old.fields.clone();
    let unknown = apply(PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    let name = fields.get("domain_name").and_then(Value::as_str).unwrap_or("").to_owned();
    check_name(store, &name, Some(sid))?;
    check_caller(store, &fields)?;
    fields.insert("date_updated".to_owned(), json!(date::now()));
    store.replace(Kind::Domain, sid, fields.clone());
    Ok(Value::Object(fields))
}

/// 2.3: letters, digits and `-`, must end in `.sip.twilio.com`; a duplicate is 400/21232 with that text.
fn check_name(store: &Store, name: &str, own: Option<&str>) -> Result<(), RestError> {
    let label = name.strip_suffix(".sip.twilio.com").unwrap_or("");
    let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if label.is_empty() || !letters || label.len() > 63 {
        // `a.b.sip.twilio.com` needs the parent, which nobody here owns; its code is the same.
        return Err(RestError::bad(21232, format!("Domain {name} is invalid.")));
    }
    let taken = store.all(Kind::Domain, None).into_iter();
    if taken.filter(|r| Some(r.sid.as_str()) != own).any(|r| r.text("domain_name").eq_ignore_ascii_case(name)) {
        return Err(RestError::bad(21232, format!("Domain {name} already exists.")));
    }
    Ok(())
}

fn check_caller(store: &Store, fields: &Map<String, Value>) -> Result<(), RestError> {
    let Some(sid) = fields.get("emergency_caller_sid").and_then(Value::as_str) else { return Ok(()) };
    match store.get(Kind::Number, None, sid) {
        Some(_) => Ok(()),
        None => Err(RestError::bad(21231, format!("EmergencyCallerSid {sid} is not a number of this account"))),
    }
}

/// Deletes a domain and its mappings.
pub fn delete(store: &mut Store, sid: &str) -> Result<(), RestError> {
    let before = store.records.len();
    store.records.retain(|r| !(r.kind == Kind::Domain && r.sid == sid) && r.parent.as_deref() != Some(sid));
    if before == store.records.len() { Err(RestError::not_found(&format!("/SIP/Domains/{sid}"))) } else { Ok(()) }
}
