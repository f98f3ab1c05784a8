//! Numbers of others that are verified as caller IDs (TWILIO.md "Caller IDs of others").

use serde_json::{Value, json};

use super::family::{Family, Pairs, require, value};
use super::numbers::{friendly, is_e164};
use super::resource::{Form, Kind, Param, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::date;

/// The family; a create is a call that asks for a code, see `validate`.
pub const FAMILY: Family = Family {
    kind: Kind::CallerId,
    key: "outgoing_caller_ids",
    filters: &["PhoneNumber", "FriendlyName"],
    create: None,
    update: Some(update),
    delete: Some(|store, parent, sid| {
        store.remove(Kind::CallerId, parent, sid);
        Ok(())
    }),
};

const PARAMS: &[Param] = &[param("FriendlyName", Form::Text(64))];

/// Parameters of the validation call, which nobody hears here.
const VALIDATION: &[Param] = &[
    param("PhoneNumber", Form::Text(16)),
    param("FriendlyName", Form::Text(64)),
    param("CallDelay", Form::Unshown),
    param("Extension", Form::Unshown),
    param("StatusCallback", Form::Url),
    param("StatusCallbackMethod", Form::Method),
];

fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::CallerId, parent, sid)?;
    store.apply(PARAMS, form, &mut fields)?;
    Ok(store.change(Kind::CallerId, sid, fields))
}

/// Starts a validation: 200 with the code that the called one has to key in.
pub fn validate(store: &mut Store, request: &RestRequest) -> Reply {
    let form = &request.form;
    store.apply(VALIDATION, form, &mut object(json!({})))?;
    require(form, &["PhoneNumber"], 21201)?;
    let number = value(form, "PhoneNumber").to_owned();
    if !is_e164(&number) {
        return Err(RestError::bad(21211, format!("{number} is not a valid phone number")));
    }
    if store.may_call_as(&number) {
        // The old documentation's code for a number that is verified already; not sure.
        return Err(RestError::bad(21450, format!("{number} is already verified")));
    }
    let name = Some(value(form, "FriendlyName")).filter(|n| !n.is_empty()).map_or(friendly(&number), str::to_owned);
    store.validations.insert(number.clone(), name.clone());
    let code = number.bytes().fold(100_000u32, |sum, b| (sum * 31 + u32::from(b)) % 900_000) + 100_000;
    let body = json!({
        "account_sid": store.account_sid,
        "call_sid": store.sid("CA"),
        "friendly_name": name,
        "phone_number": number,
        "validation_code": code.to_string(),
    });
    Ok((200, Some(body)))
}

/// The called one keyed in the code; `false` when nobody asked for it.
pub fn confirm(store: &mut Store, number: &str) -> bool {
    let Some(name) = store.validations.remove(number) else { return false };
    add(store, number, &name);
    true
}

/// Adds a verified number.
pub fn add(store: &mut Store, number: &str, name: &str) -> Value {
    let sid = store.sid("PN");
    let fields = object(json!({
        "sid": sid,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": name,
        "account_sid": store.account_sid,
        "phone_number": number,
        "uri": store.uri(&format!("OutgoingCallerIds/{sid}.json")),
    }));
    store.add(Kind::CallerId, None, sid, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_caller_id_once_its_code_was_keyed_in() {
        let mut store = Store::new("AC1");
        let mut request = RestRequest::post("/x", &[("PhoneNumber", "+15035551234")]);
        let (status, body) = validate(&mut store, &request).unwrap();
        assert_eq!((status, body.unwrap()["validation_code"].as_str().map(str::len)), (200, Some(6)));
        assert!(!store.may_call_as("+15035551234"));
        assert!(confirm(&mut store, "+15035551234"));
        assert!(store.may_call_as("+15035551234"));
        assert!(!confirm(&mut store, "+15035551234"));
        assert_eq!(validate(&mut store, &request).unwrap_err().code, 21450);
        request.form[0].1 = "5035551234".to_owned();
        assert_eq!(validate(&mut store, &request).unwrap_err().code, 21211);
    }
}
