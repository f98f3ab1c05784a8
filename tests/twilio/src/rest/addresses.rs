//! Postal addresses and which numbers need them (TWILIO.md "Addresses").

use serde_json::{Map, Value, json};

use super::family::{Family, Pairs, require};
use super::page::page;
use super::resource::{Form, Kind, Param, Record, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::date;

/// The family.
pub const FAMILY: Family = Family {
    kind: Kind::Address,
    key: "addresses",
    filters: &["CustomerName", "FriendlyName", "EmergencyEnabled", "IsoCountry"],
    create: Some(create),
    update: Some(update),
    delete: Some(delete),
};

const PARAMS: &[Param] = &[
    param("CustomerName", Form::Text(255)),
    param("Street", Form::Text(255)),
    param("City", Form::Text(255)),
    param("Region", Form::Text(255)),
    param("PostalCode", Form::Text(32)),
    param("FriendlyName", Form::Text(64)),
    param("EmergencyEnabled", Form::Flag),
    param("AutoCorrectAddress", Form::Unshown),
    param("StreetSecondary", Form::Text(255)),
];

/// What an update cannot change (TWILIO.md "Addresses").
const COUNTRY: Param = param("IsoCountry", Form::Text(2));

const REQUIRED: &[&str] = &["CustomerName", "Street", "City", "Region", "PostalCode", "IsoCountry"];

/// TWILIO.md "Addresses": FriendlyName <= 64, but <= 32 for emergency addresses.
const EMERGENCY_NAME: usize = 32;

/// The code of a parameter that is missing or an address that is in use; not sure, its title is
/// "Address Validation Error".
const INVALID: u32 = 21238;

fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    require(form, REQUIRED, INVALID)?;
    let sid = store.sid("AD");
    let mut fields = object(json!({
        "account_sid": store.account_sid,
        "city": null,
        "customer_name": null,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": null,
        "iso_country": null,
        "postal_code": null,
        "region": null,
        "sid": sid,
        "street": null,
        "street_secondary": null,
        "uri": store.uri(&format!("Addresses/{sid}.json")),
        "emergency_enabled": false,
        "validated": false,
        "verified": false,
    }));
    let (country, others): (Vec<_>, Vec<_>) = form.iter().cloned().partition(|(name, _)| name == COUNTRY.name);
    store.apply(&[COUNTRY], &country, &mut fields)?;
    store.apply(PARAMS, &others, &mut fields)?;
    validate(&mut fields)?;
    Ok(store.add(Kind::Address, parent, sid, fields))
}

fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::Address, parent, sid)?;
    store.apply(PARAMS, form, &mut fields)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
    if ["customer_name", "street", "city", "region", "postal_code"].into_iter().any(|name| text(name).is_empty()) {
        return Err(RestError::bad(INVALID, "A required part of the address is empty"));
    }
    if fields["emergency_enabled"] == false && store.registrations.values().any(|r| r.address == sid) {
        return Err(RestError::bad(INVALID, "The address is registered for emergency calls"));
    }
    validate(&mut fields)?;
    Ok(store.change(Kind::Address, sid, fields))
}

/// The street guide (MSAG) that emergency addresses are checked against knows all streets but two.
fn validate(fields: &mut Map<String, Value>) -> Result<(), RestError> {
    let emergency = fields["emergency_enabled"] == true;
    fields.insert("validated".to_owned(), json!(emergency));
    if !emergency {
        return Ok(());
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
    if text("friendly_name").chars().count() > EMERGENCY_NAME {
        return Err(RestError::bad(20002, "FriendlyName of an emergency address has at most 32 characters"));
    }
    let street = text("street");
    if street.contains("Nowhere") {
        return Err(RestError::bad(21628, "Address Validation Error: the address could not be found"));
    }
    if street.contains("Mian St") {
        // TWILIO.md "Addresses": 21629 with a suggested address inside the message after a | separator.
        let street = street.replace("Mian St", "Main St").to_uppercase();
        let (city, region, code) = (text("city").to_uppercase(), text("region"), text("postal_code"));
        let suggestion = format!("{street}, {city}, {region} {code}, {}", text("iso_country"));
        let message = format!("Address Validation Error - Check Suggested Address | {suggestion}");
        return Err(RestError::bad(21629, message));
    }
    Ok(())
}

fn uses(number: &Record, address: &str) -> bool {
    number.text("address_sid") == address || number.text("emergency_address_sid") == address
}

fn delete(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    let pending = store.registrations.values().any(|r| r.address == sid);
    if pending || store.all(Kind::Number, None).into_iter().any(|number| uses(number, sid)) {
        return Err(RestError::bad(INVALID, format!("Address {sid} is in use by a phone number")));
    }
    store.remove(Kind::Address, parent, sid);
    Ok(())
}

/// The numbers that use an address.
pub fn dependents(store: &mut Store, request: &RestRequest, address: &str) -> Reply {
    if request.method != "GET" {
        return Err(RestError::method(&request.method));
    }
    store.fields(Kind::Address, None, address)?;
    let numbers = store.all(Kind::Number, None).into_iter().filter(|number| uses(number, address));
    // What the spec does not list here is left out.
    let hidden = ["address_sid", "beta", "bundle_sid", "emergency_address_status", "identity_sid", "origin", "status"];
    let hidden = |name: &str| hidden.contains(&name) || ["type", "voice_receive_mode"].contains(&name);
    let shown: Vec<Value> = numbers
        .map(|number| Value::Object(number.fields.clone().into_iter().filter(|(name, _)| !hidden(name)).collect()))
        .collect();
    page(&request.path, &request.query, "dependent_phone_numbers", &shown).map(|body| (200, Some(body)))
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    fn form(street: &str) -> Vec<(String, String)> {
        pairs(&[
            ("CustomerName", "Ann"),
            ("Street", street),
            ("City", "Portland"),
            ("Region", "OR"),
            ("PostalCode", "97201"),
            ("IsoCountry", "US"),
            ("EmergencyEnabled", "true"),
        ])
    }

    #[test]
    fn an_emergency_address_must_be_in_the_street_guide() {
        let mut store = Store::new("AC1");
        assert_eq!(create(&mut store, None, &form("1 Nowhere Rd")).unwrap_err().code, 21628);
        let error = create(&mut store, None, &form("1 Mian St")).unwrap_err();
        assert_eq!(error.code, 21629);
        assert!(error.message.ends_with(" | 1 MAIN ST, PORTLAND, OR 97201, US"), "{}", error.message);
        let made = create(&mut store, None, &form("1 Main St")).unwrap();
        assert_eq!((&made["validated"], &made["iso_country"]), (&json!(true), &json!("US")));
    }

    #[test]
    fn an_address_needs_all_its_parts_and_a_short_name_for_emergencies() {
        let mut store = Store::new("AC1");
        let mut short = form("1 Main St");
        short.retain(|(name, _)| name != "City");
        assert_eq!(create(&mut store, None, &short).unwrap_err().code, INVALID);
        let mut long = form("1 Main St");
        long.push(("FriendlyName".to_owned(), "x".repeat(33)));
        assert!(create(&mut store, None, &long).is_err());
        long.retain(|(name, _)| name != "EmergencyEnabled");
        assert!(create(&mut store, None, &long).is_ok());
    }

    #[test]
    fn the_country_of_an_address_stays_and_what_an_update_does_not_know_is_counted() {
        let mut store = Store::new("AC1");
        let sid = create(&mut store, None, &form("1 Main St")).unwrap()["sid"].as_str().unwrap().to_owned();
        let changed = update(&mut store, None, &sid, &pairs(&[("IsoCountry", "CA"), ("City", "Salem")])).unwrap();
        assert_eq!((&changed["iso_country"], &changed["city"]), (&json!("US"), &json!("Salem")));
        assert_eq!(store.unknown_parameters, ["IsoCountry"]);
        assert!(update(&mut store, None, &sid, &pairs(&[("City", "")])).is_err());
    }
}
