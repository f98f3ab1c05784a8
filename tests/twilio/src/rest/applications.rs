//! TwiML apps (twilio.md 2.2).

use serde_json::{Value, json};

use super::resource::{Form, Kind, Param, Record, apply, param};
use super::{RestError, Store};
use crate::{date, random};

const PARAMS: &[Param] = &[
    param("ApiVersion", Form::Text(16)),
    param("VoiceUrl", Form::Url),
    param("VoiceMethod", Form::Method),
    param("VoiceFallbackUrl", Form::Url),
    param("VoiceFallbackMethod", Form::Method),
    param("StatusCallback", Form::Url),
    param("StatusCallbackMethod", Form::Method),
    param("VoiceCallerIdLookup", Form::Flag),
    param("SmsUrl", Form::Url),
    param("SmsMethod", Form::Method),
    param("SmsFallbackUrl", Form::Url),
    param("SmsFallbackMethod", Form::Method),
    param("SmsStatusCallback", Form::Url),
    param("MessageStatusCallback", Form::Url),
    // 2.2: "FriendlyName up to 64 chars", no uniqueness.
    param("FriendlyName", Form::Text(64)),
    param("PublicApplicationConnectEnabled", Form::Flag),
];

/// Creates an app.
pub fn create(store: &mut Store, form: &[(String, String)]) -> Result<Value, RestError> {
    let sid = random::sid("AP");
    let account = store.account_sid.clone();
    let defaults = json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": null,
        "message_status_callback": null,
        "sid": sid,
        "sms_fallback_method": "POST",
        "sms_fallback_url": null,
        "sms_method": "POST",
        "sms_status_callback": null,
        "sms_url": null,
        "status_callback": null,
        "status_callback_method": "POST",
        "uri": format!("/2010-04-01/Accounts/{account}/Applications/{sid}.json"),
        "voice_caller_id_lookup": false,
        "voice_fallback_method": "POST",
        "voice_fallback_url": null,
        "voice_method": "POST",
        "voice_url": null,
        "public_application_connect_enabled": false,
    });
    let Value::Object(mut fields) = defaults else { unreachable!("the literal above is an object") };
    let unknown = apply(PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    let body = Value::Object(fields.clone());
    store.records.push(Record { kind: Kind::Application, sid, parent: None, fields, ha1: None });
    Ok(body)
}

/// Changes an app.
pub fn update(store: &mut Store, sid: &str, form: &[(String, String)]) -> Result<Value, RestError> {
    let path = format!("/Applications/{sid}");
    let old = store.get(Kind::Application, None, sid).ok_or_else(|| RestError::not_found(&path))?;
    let mut fields = old.fields.clone();
    let unknown = apply(PARAMS, form, &mut fields)?;
    store.unknown_parameters.extend(unknown);
    fields.insert("date_updated".to_owned(), json!(date::now()));
    store.replace(Kind::Application, sid, fields.clone());
    Ok(Value::Object(fields))
}

/// Deletes an app.
pub fn delete(store: &mut Store, sid: &str) -> Result<(), RestError> {
    let before = store.records.len();
    store.records.retain(|r| !(r.kind == Kind::Application && r.sid == sid));
    match before == store.records.len() {
        true => Err(RestError::not_found(&format!("/Applications/{sid}"))),
        false => Ok(()),
    }
}
