//! Numbers that the account owns: bought, changed, released (TWILIO.md "Voice settings of a number",
//! TWILIO.md "Buying a number").

use serde_json::{Map, Value, json};

use super::account::NUMBER_CENTS;
use super::available::{self, Offer};
use super::family::{Family, Pairs, note_unknown, require, selected, value};
use super::page::page;
use super::resource::{Form, Kind, Param, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store, emergency};
use crate::date;
use crate::form::decode;

/// The family; lists and single numbers are read by `route`, because reading lets time pass (see `emergency`).
pub const FAMILY: Family = Family {
    kind: Kind::Number,
    key: "incoming_phone_numbers",
    filters: &["Beta", "FriendlyName", "Origin"],
    create: Some(buy),
    update: Some(update),
    delete: Some(release),
};

const PARAMS: &[Param] = &[
    param("AccountSid", Form::Unshown),
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
    // It follows from the registration of the address.
    param("EmergencyStatus", Form::Unshown),
    param("EmergencyAddressSid", Form::Unshown),
    param("TrunkSid", Form::Sid("TK")),
    param("VoiceReceiveMode", Form::OneOf(&["voice", "fax"])),
    param("IdentitySid", Form::Sid("RI")),
    param("AddressSid", Form::Sid("AD")),
    param("BundleSid", Form::Sid("BU")),
];

/// What only a purchase knows.
const BUY: &[&str] = &["PhoneNumber", "AreaCode"];

/// `(503) 555-0100`
pub fn friendly(number: &str) -> String {
    match number.strip_prefix("+1") {
        Some(d) if d.len() == 10 && d.is_ascii() => format!("({}) {}-{}", &d[..3], &d[3..6], &d[6..]),
        _ => number.to_owned(),
    }
}

/// `+` and 7 to 15 digits.
pub fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|d| (7..=15).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()))
}

/// A number as it is right after purchase: SID and fields.
pub fn fresh(store: &mut Store, number: &str) -> (String, Map<String, Value>) {
    let sid = store.sid("PN");
    let account = store.account_sid.clone();
    let friendly = friendly(number);
    let kind = if ["800", "888", "877"].contains(&number.get(2..5).unwrap_or("")) { "toll free" } else { "local" };
    let fields = object(json!({
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
        "type": kind,
    }));
    (sid, fields)
}

/// Answers `IncomingPhoneNumbers/...`; `inner` is the path there.
pub fn route(store: &mut Store, request: &RestRequest, inner: &[&str]) -> Reply {
    let path = request.path.as_str();
    match (request.method.as_str(), inner) {
        ("GET", []) => list(store, request, None),
        ("GET", ["Local"]) => list(store, request, Some("local")),
        ("GET", ["TollFree"]) => list(store, request, Some("toll free")),
        ("GET", ["Mobile"]) => list(store, request, Some("mobile")),
        ("POST", ["Local" | "TollFree"]) => {
            require(&request.form, &["PhoneNumber"], 21421)?;
            buy(store, None, &request.form).map(|body| (201, Some(without_type(body))))
        }
        (method, ["Local" | "TollFree" | "Mobile"]) => Err(RestError::method(method)),
        ("GET", [sid]) => {
            emergency::read(store, sid);
            let fields = store.fields(Kind::Number, None, sid).map_err(|_| RestError::not_found(path))?;
            Ok((200, Some(Value::Object(fields))))
        }
        _ => FAMILY.answer(store, request, None, inner),
    }
}

/// The lists of one type do not name it (the specification has no such field there).
fn without_type(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("type");
    }
    body
}

fn list(store: &mut Store, request: &RestRequest, kind: Option<&str>) -> Reply {
    let query = decode(&request.query);
    note_unknown(store, &query, &[FAMILY.filters, &["PhoneNumber"]].concat());
    let all: Vec<String> = store.all(Kind::Number, None).into_iter().map(|r| r.sid.clone()).collect();
    all.iter().for_each(|sid| emergency::read(store, sid));
    let part = value(&query, "PhoneNumber");
    let numbers = store.all(Kind::Number, None).into_iter();
    let numbers = numbers.filter(|r| r.text("phone_number").contains(part) && selected(r, &query, FAMILY.filters));
    let numbers = numbers.filter(|r| kind.is_none_or(|kind| r.text("type") == kind));
    let show = |body| if kind.is_some() { without_type(body) } else { body };
    let numbers: Vec<Value> = numbers.map(|r| show(Value::Object(r.fields.clone()))).collect();
    page(&request.path, &request.query, FAMILY.key, &numbers).map(|body| (200, Some(body)))
}

/// Buys a number, each success bills one (TWILIO.md "Buying a number").
fn buy(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let (number, code) = (value(form, "PhoneNumber"), value(form, "AreaCode"));
    // A trial account has one number (TWILIO.md "Account standing").
    if store.account.r#type == "Trial" && !store.all(Kind::Number, None).is_empty() {
        return Err(RestError::bad(21404, "A trial account can have one phone number"));
    }
    let offer: Offer = match (number, code) {
        ("", "") => return Err(RestError::bad(21421, "PhoneNumber or AreaCode is required")),
        ("", code) => available::offer_in(store, code)?,
        (number, "") if !is_e164(number) => {
            return Err(RestError::bad(21421, format!("PhoneNumber {number} is not valid")));
        }
        (number, "") => available::offer(store, number)
            .ok_or_else(|| RestError::bad(21422, format!("PhoneNumber {number} is not available")))?,
        _ => return Err(RestError::bad(21421, "Give either PhoneNumber or AreaCode")),
    };
    if offer.address_requirements != "none" && value(form, "AddressSid").is_empty() {
        return Err(RestError::bad(21631, "Phone Number Requires an Address"));
    }
    let (sid, mut fields) = fresh(store, &offer.number);
    fields.insert("address_requirements".to_owned(), json!(offer.address_requirements));
    fields.insert("type".to_owned(), json!(offer.kind));
    let others: Vec<_> = form.iter().filter(|(name, _)| !BUY.contains(&name.as_str())).cloned().collect();
    fill(store, &sid, &mut fields, &others)?;
    store.account.numbers_bought += 1;
    store.account.balance_cents -= NUMBER_CENTS;
    store.account.spent_cents += NUMBER_CENTS;
    Ok(store.add(Kind::Number, parent, sid, fields))
}

/// Changes a number.
fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::Number, parent, sid)?;
    let account = value(form, "AccountSid");
    if !account.is_empty() && account != store.account_sid {
        // Subaccounts are not built, so there is nowhere to move it to.
        return Err(RestError::not_found(account));
    }
    fill(store, sid, &mut fields, form)?;
    Ok(store.change(Kind::Number, sid, fields))
}

fn fill(store: &mut Store, sid: &str, fields: &mut Map<String, Value>, form: &Pairs) -> Result<(), RestError> {
    store.apply(PARAMS, form, fields)?;
    let set = |name: &str| !value(form, name).is_empty();
    // TWILIO.md "Voice settings of a number": setting VoiceApplicationSid deletes trunk_sid and vice versa.
    if set("VoiceApplicationSid") {
        fields.insert("trunk_sid".to_owned(), Value::Null);
    } else if set("TrunkSid") {
        fields.insert("voice_application_sid".to_owned(), Value::Null);
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
    for (parameter, field) in
        [("VoiceApplicationSid", "voice_application_sid"), ("SmsApplicationSid", "sms_application_sid")]
    {
        if set(parameter) && store.get(Kind::Application, None, text(field)).is_none() {
            return Err(RestError::bad(21218, format!("Invalid ApplicationSid {}", text(field))));
        }
    }
    if set("AddressSid") && store.get(Kind::Address, None, text("address_sid")).is_none() {
        return Err(RestError::bad(
            21631,
            format!("AddressSid {} is not an address of this account", text("address_sid")),
        ));
    }
    // A fallback URL needs a URL: 21405, and 21406 for SMS (TWILIO.md "Voice settings of a number").
    if set("VoiceFallbackUrl") && text("voice_url").is_empty() {
        return Err(RestError::bad(21405, "Cannot set VoiceFallbackUrl without setting Url"));
    }
    if set("SmsFallbackUrl") && text("sms_url").is_empty() {
        return Err(RestError::bad(21406, "Cannot set SmsFallbackUrl without setting SmsUrl"));
    }
    // Last, because it changes more than the fields.
    match form.iter().find(|(name, _)| name == "EmergencyAddressSid") {
        Some((_, address)) => emergency::change(store, sid, fields, address),
        None => Ok(()),
    }
}

/// TWILIO.md "Buying a number": release is immediate and irreversible.
fn release(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    store.registrations.remove(sid);
    store.remove(Kind::Number, parent, sid);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    fn buy_as(store: &mut Store, form: &[(&str, &str)]) -> Result<Value, u32> {
        buy(store, None, &pairs(form)).map_err(|e| e.code)
    }

    #[test]
    fn each_purchase_bills_one_number_and_an_owned_one_is_not_for_sale() {
        let mut store = Store::new("AC1");
        let made = buy_as(&mut store, &[("PhoneNumber", "+15035550142"), ("FriendlyName", "front door")]).unwrap();
        assert_eq!((&made["friendly_name"], &made["status"]), (&json!("front door"), &json!("in-use")));
        assert_eq!(buy_as(&mut store, &[("PhoneNumber", "+15035550142")]), Err(21422));
        let other = buy_as(&mut store, &[("AreaCode", "503")]).unwrap();
        assert_ne!(other["phone_number"], made["phone_number"]);
        assert_eq!((store.account.numbers_bought, store.account.spent_cents), (2, 230));
        release(&mut store, None, made["sid"].as_str().unwrap()).unwrap();
        assert!(buy_as(&mut store, &[("PhoneNumber", "+15035550142")]).is_ok());
        assert_eq!(store.account.numbers_bought, 3);
    }

    #[test]
    fn a_purchase_that_cannot_be_has_its_code_and_bills_nothing() {
        let mut store = Store::new("AC1");
        let cases: [(&[(&str, &str)], u32); 7] = [
            (&[], 21421),
            (&[("PhoneNumber", "5035550142")], 21421),
            (&[("PhoneNumber", "+15035550142"), ("AreaCode", "503")], 21421),
            (&[("PhoneNumber", "+15035559999")], 21422),
            (&[("AreaCode", "5035")], 21451),
            (&[("AreaCode", "533")], 21452),
            (&[("PhoneNumber", "+442079460001")], 21631),
        ];
        for (form, code) in cases {
            assert_eq!(buy_as(&mut store, form), Err(code), "{form:?}");
        }
        assert_eq!(store.account.numbers_bought, 0);
    }

    #[test]
    fn a_trial_account_has_one_number() {
        let mut store = Store::new("AC1");
        store.account.r#type = "Trial".to_owned();
        buy_as(&mut store, &[("AreaCode", "503")]).unwrap();
        assert_eq!(buy_as(&mut store, &[("AreaCode", "503")]), Err(21404));
    }

    #[test]
    fn an_empty_value_clears_a_field() {
        let mut store = Store::new("AC1");
        let made = buy_as(&mut store, &[("AreaCode", "503"), ("VoiceUrl", "https://x/y")]).unwrap();
        let sid = made["sid"].as_str().unwrap();
        assert_eq!(made["voice_url"], "https://x/y");
        assert!(update(&mut store, None, sid, &pairs(&[("VoiceUrl", "")])).unwrap()["voice_url"].is_null());
        assert_eq!(update(&mut store, None, sid, &pairs(&[("VoiceUrl", "x")])).unwrap_err().code, 21402);
    }
}
