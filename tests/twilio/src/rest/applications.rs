//! TwiML apps (TWILIO.md "TwiML apps").

use serde_json::{Value, json};

use super::family::{Family, Pairs};
use super::resource::{Form, Kind, Param, object, param};
use super::{RestError, Store};
use crate::date;

/// The family. A list can be filtered by exact FriendlyName, which need not be unique (TWILIO.md "TwiML apps").
pub const FAMILY: Family = Family {
    kind: Kind::Application,
    key: "applications",
    filters: &["FriendlyName"],
    create: Some(create),
    update: Some(update),
    delete: Some(|store, parent, sid| {
        store.remove(Kind::Application, parent, sid);
        Ok(())
    }),
};

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
    // At most 64 characters, and not unique (TWILIO.md "TwiML apps").
    param("FriendlyName", Form::Text(64)),
    param("PublicApplicationConnectEnabled", Form::Flag),
];

fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let sid = store.sid("AP");
    let account = store.account_sid.clone();
    let mut fields = object(json!({
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
    }));
    store.apply(PARAMS, form, &mut fields)?;
    Ok(store.add(Kind::Application, parent, sid, fields))
}

fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::Application, parent, sid)?;
    store.apply(PARAMS, form, &mut fields)?;
    Ok(store.change(Kind::Application, sid, fields))
}
