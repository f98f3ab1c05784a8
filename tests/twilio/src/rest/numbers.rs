//! Numbers that the account owns (twilio.md 2.9). Buying and releasing are not here yet.

use serde_json::{Value, json};

use super::resource::{Form, Kind, Param, Record, apply, param};
use super::{RestError, Store};
use crate::{date, random};

const PARAMS: &[Param] = &[
    param("AccountSid", Form::Sid("AC")),
    param("ApiVersion", Form::Text(16)),
    param("FriendlyName", Form::Text(64)),
    param("SmsApplicationSid", Form::Sid("AP")),
    param("SmsFallbackMethod", Form::Method),
    param("SmsFallbackUrl", Form::Url),
    param("SmsMethod", Form::Method),
    param("SmsUrl", Form::Url),
    param("StatusCallback", Form::Url),
    param("StatusCallbackMethod", Form::Method),
    param("VoiceApplicationSid", Form::Sid("AP")),
    param("VoiceCallerIdLookup", Form::Flag),
    param("VoiceFallbackMethod", Form::Method),
    param("VoiceFallbackUrl", Form::Url),
    param("VoiceMethod", Form::Method),
    param("VoiceUrl", Form::Url),
    param("EmergencyStatus", Form::Text(16)),
    param("EmergencyAddressSid", Form::Sid("AD")),
    param("TrunkSid", Form::Sid("TK")),
    param("VoiceReceiveMode", Form::Text(16)),
    param("IdentitySid", Form::Sid("RI")),
    param("AddressSid", Form::Sid("AD")),
    param("BundleSid", Form::Sid("BU")),
];

/// A number as it is right after purchase.
pub fn owned(account: &str, number: &str) -> Record {
    let sid = random::sid("PN");
    let digits = number.trim_start_matches("+1");
    let friendly = match digits.len() {
        10 => format!("({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..]),
        _ => number.to_owned(),
    };
    let fields = json!({
        "account_sid": account,
        "address_sid": null,
        "address_requirements": "none",
        "api_version": "2010-04-01",
        "beta": false,
        "capabilities": { "voice": true, "sms": true, "mms": true, "fax": false },
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": friendly,
        "identity_sid": null,
        "phone_number": number,
        "origin": "twilio",
        "sid": sid,
        "sms_application_sid": null,
        "sms_fallback_method": "POST",
        "sms_fallback_url": null,
        "sms_method": "POST",
        "sms_url": null,
        "status_callback": null,
        "status_callback_method": "POST",
        "trunk_sid": null,
        "uri": format!("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{sid}.json"),
        "voice_receive_mode": "voice",
        "voice_application_sid": null,
        "voice_caller_id_lookup": false,
        "voice_fallback_method": "POST",
        "voice_fallback_url": null,
        "voice_method": "POST",
        "voice_url": null,
        "emergency_status": "Inactive",
        "emergency_address_sid": null,
        "emergency_address_status": "unregistered",
        "bundle_sid": null,
        "status": "in-use",
        "type": "local",
    });
    let Value::Object(fields) = fields else { unreachable!("the literal above is an object") };
    Record { kind: Kind::Number, sid, parent: None, fields, ha1: None }
}

/// The numbers that a query's `PhoneNumber` and `FriendlyName` select.
pub fn filtered(store: &Store, query: &[(String, String)]) -> Vec<Value> {
    let wanted = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let (number, friendly) = (wanted("PhoneNumber"), wanted("FriendlyName"));
    let all = store.all(Kind::Number, None).into_iter();
    let selected = all.filter(|r| number.is_none_or(|n| r.text("phone_number").contains(n)));
    let selected = selected.filter(|r| friendly.is_none_or(|n| r.text("friendly_name") == n));
    selected.map(|r| Value::Object(r.fields.clone())).collect()
}

/// Changes a number.
pub fn update(store: &mut Store, sid: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    let path = format!("/IncomingPhoneNumbers/{sid}");
    let old = store.get(Kind::Number, None, sid).ok_or_else(|| RestError::not_found(&path))?;
    let mut fields = old.fields.clone();
    let unknown = apply(PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    let set = |name: &str| form.iter().any(|(n, v)| n == name && !v.is_empty());
    // 2.9: "setting VoiceApplicationSid deletes trunk_sid and vice versa".
    if set("VoiceApplicationSid") {
        fields.insert("trunk_sid".to_owned(), Value::Null);
    } else if set("TrunkSid") {
        fields.insert("voice_application_sid".to_owned(), Value::Null);
    }
    if let Some(app) = fields.get("voice_application_sid").and_then(Value::as_str)
        && store.get(Kind::Application, None, app).is_none()
    {
        return Err(RestError::bad(21218, format!("Invalid ApplicationSid {app}")));
    }
    // 2.9: "VoiceFallbackUrl ... cannot be set without VoiceUrl -> 21405".
    let empty = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("").is_empty();
    if set("VoiceFallbackUrl") && empty("voice_url") {
        return Err(RestError::bad(21405, "Cannot set VoiceFallbackUrl without setting Url"));
    }
    fields.insert("date_updated".to_owned(), json!(date::now()));
    store.replace(Kind::Number, sid, fields.clone());
    Ok(Value::Object(fields))
}
