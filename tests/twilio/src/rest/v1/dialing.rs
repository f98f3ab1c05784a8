//! Dialing permissions (TWILIO.md "Dialing permissions"): which countries may be called.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Call, created, invalid, ok};
use crate::form::decode;
use crate::rest::RestError;
use crate::rest::serve::Reply;

/// A country: ISO code, name, continent, country codes, prefixes of high-risk special services.
type Country = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// A cut of Twilio's list, in the order of ISO codes. The prefixes of LV are those of the OpenAPI example.
const COUNTRIES: &[Country] = &[
    ("AR", "Argentina", "SOUTH_AMERICA", &["+54"], &["+54600"]),
    ("AT", "Austria", "EUROPE", &["+43"], &["+43810", "+43820", "+43900"]),
    ("AU", "Australia", "OCEANIA", &["+61"], &["+6119"]),
    ("BE", "Belgium", "EUROPE", &["+32"], &["+3270", "+3290"]),
    ("BR", "Brazil", "SOUTH_AMERICA", &["+55"], &["+55300"]),
    ("CA", "Canada", "NORTH_AMERICA", &["+1"], &[]),
    ("CH", "Switzerland", "EUROPE", &["+41"], &["+41900"]),
    ("CO", "Colombia", "SOUTH_AMERICA", &["+57"], &[]),
    ("CU", "Cuba", "NORTH_AMERICA", &["+53"], &[]),
    ("DE", "Germany", "EUROPE", &["+49"], &["+49137", "+49180", "+49900"]),
    ("DO", "Dominican Republic", "NORTH_AMERICA", &["+1809", "+1829", "+1849"], &[]),
    ("ES", "Spain", "EUROPE", &["+34"], &["+34803", "+34902"]),
    ("FR", "France", "EUROPE", &["+33"], &["+3389"]),
    ("GB", "United Kingdom", "EUROPE", &["+44"], &["+4470", "+4484", "+4487", "+449"]),
    ("GT", "Guatemala", "NORTH_AMERICA", &["+502"], &[]),
    ("HT", "Haiti", "NORTH_AMERICA", &["+509"], &[]),
    ("IE", "Ireland", "EUROPE", &["+353"], &["+35315"]),
    ("IN", "India", "ASIA", &["+91"], &[]),
    ("IT", "Italy", "EUROPE", &["+39"], &["+39899"]),
    ("JM", "Jamaica", "NORTH_AMERICA", &["+1876", "+1658"], &[]),
    ("JP", "Japan", "ASIA", &["+81"], &["+81570"]),
    ("LV", "Latvia", "EUROPE", &["+371"], &["+37181", "+3719000"]),
    ("MX", "Mexico", "NORTH_AMERICA", &["+52"], &["+52900"]),
    ("NG", "Nigeria", "AFRICA", &["+234"], &[]),
    ("NL", "Netherlands", "EUROPE", &["+31"], &["+3190"]),
    ("PR", "Puerto Rico", "NORTH_AMERICA", &["+1787", "+1939"], &[]),
    ("US", "United States", "NORTH_AMERICA", &["+1"], &[]),
    ("ZA", "South Africa", "AFRICA", &["+27"], &[]),
];

/// The three kinds of numbers, each as a query writes it and as a field is named.
const KINDS: [(&str, &str); 3] = [
    ("LowRiskNumbersEnabled", "low_risk_numbers_enabled"),
    ("HighRiskSpecialNumbersEnabled", "high_risk_special_numbers_enabled"),
    ("HighRiskTollfraudNumbersEnabled", "high_risk_tollfraud_numbers_enabled"),
];

/// What is allowed. A new account may call low-risk numbers of the US and Canada.
#[derive(serde::Serialize)]
pub struct Permissions {
    enabled: BTreeMap<&'static str, [bool; KINDS.len()]>,
    inheritance: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        let home = |iso: &str| [iso == "US" || iso == "CA", false, false];
        Self { enabled: COUNTRIES.iter().map(|(iso, ..)| (*iso, home(iso))).collect(), inheritance: true }
    }
}

impl Permissions {
    /// May that number in E.164 be called? The longest country code tells whose it is; countries may share one.
    pub fn allow(&self, number: &str) -> bool {
        let fits = |codes: &[&str]| codes.iter().filter(|code| number.starts_with(**code)).map(|code| code.len()).max();
        let longest = COUNTRIES.iter().filter_map(|(_, _, _, codes, _)| fits(codes)).max();
        let mut home = COUNTRIES.iter().filter(|(_, _, _, codes, _)| longest.is_some() && fits(codes) == longest);
        home.any(|(iso, .., prefixes)| {
            let [low_risk, special, _] = self.enabled[iso];
            if prefixes.iter().any(|prefix| number.starts_with(prefix)) { special } else { low_risk }
        })
    }
}

/// `DialingPermissions/...`
pub fn route(permissions: &mut Permissions, call: &mut Call, rest: &[&str]) -> Reply {
    match (call.method(), rest) {
        ("GET", ["Countries"]) => {
            let query = decode(&call.request.query);
            let all = COUNTRIES.iter().map(|country| show(permissions, call, country));
            call.list("content", all.filter(|country| matches(country, &query)).collect())
        }
        ("GET", ["Countries", iso]) => {
            let country = COUNTRIES.iter().find(|(own, ..)| own == iso).ok_or_else(|| call.missing())?;
            ok(show(permissions, call, country))
        }
        ("GET", ["Countries", iso, "HighRiskSpecialPrefixes"]) => {
            let (.., prefixes) = COUNTRIES.iter().find(|(own, ..)| own == iso).ok_or_else(|| call.missing())?;
            call.list("content", prefixes.iter().map(|prefix| json!({ "prefix": prefix })).collect())
        }
        ("POST", ["BulkCountryUpdates"]) => {
            call.note_unknown(&["UpdateRequest"]);
            let count = update(permissions, call.required("UpdateRequest")?)?;
            created(json!({ "update_count": count, "update_request": "accepted" }))
        }
        (_, ["Countries", ..] | ["BulkCountryUpdates"]) => Err(call.refuse_method()),
        _ => Err(call.missing()),
    }
}

/// `Settings`: whether subaccounts inherit.
pub fn settings(permissions: &mut Permissions, call: &mut Call) -> Reply {
    let status = match call.method() {
        "GET" => 200,
        "POST" => {
            call.note_unknown(&["DialingPermissionsInheritance"]);
            match call.value("DialingPermissionsInheritance") {
                Some("true") => permissions.inheritance = true,
                Some("false") => permissions.inheritance = false,
                Some(_) => return Err(invalid("DialingPermissionsInheritance must be true or false")),
                None => {}
            }
            202
        }
        _ => return Err(call.refuse_method()),
    };
    let url = format!("{}/v1/Settings", call.base);
    Ok((status, Some(json!({ "dialing_permissions_inheritance": permissions.inheritance, "url": url }))))
}

fn show(permissions: &Permissions, call: &Call, (iso, name, continent, codes, _): &Country) -> Value {
    let url = format!("{}/v1/DialingPermissions/Countries/{iso}", call.base);
    let mut country = json!({
        "iso_code": iso,
        "name": name,
        "continent": continent,
        "country_codes": codes,
        "url": url,
        "links": { "highrisk_special_prefixes": format!("{url}/HighRiskSpecialPrefixes") },
    });
    for ((_, field), enabled) in KINDS.iter().zip(permissions.enabled[iso]) {
        country[field] = json!(enabled);
    }
    country
}

fn matches(country: &Value, query: &[(String, String)]) -> bool {
    query.iter().all(|(name, wanted)| match name.as_str() {
        "IsoCode" => country["iso_code"] == *wanted,
        "Continent" => country["continent"] == *wanted,
        "CountryCode" => {
            let wanted = format!("+{}", wanted.trim_start_matches(['+', ' ']));
            country["country_codes"].as_array().is_some_and(|codes| codes.iter().any(|code| *code == wanted))
        }
        name => {
            let field = KINDS.iter().find(|(parameter, _)| *parameter == name).map(|(_, field)| field);
            field.is_none_or(|field| country[field] == (wanted == "true"))
        }
    })
}

/// Applies a JSON array of changes; how many countries it named. Booleans are strings; real ones do nothing
/// (TWILIO.md "Dialing permissions").
fn update(permissions: &mut Permissions, text: &str) -> Result<usize, RestError> {
    let changes: Vec<Value> = serde_json::from_str(text).map_err(|_| invalid("UpdateRequest is not a JSON array"))?;
    let mut changed = permissions.enabled.clone();
    for change in &changes {
        let iso = change["iso_code"].as_str().unwrap_or("");
        let kinds = changed.get_mut(iso).ok_or_else(|| invalid(format!("iso_code {iso:?} is not known")))?;
        for ((_, field), enabled) in KINDS.iter().zip(kinds) {
            match change[field].as_str() {
                Some("true") => *enabled = true,
                Some("false") => *enabled = false,
                _ => {}
            }
        }
    }
    permissions.enabled = changed;
    Ok(changes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_change_by_strings_and_not_by_booleans() {
        let mut permissions = Permissions::default();
        assert_eq!(permissions.enabled["MX"], [false; 3]);
        update(&mut permissions, r#"[{"iso_code":"MX","low_risk_numbers_enabled":true}]"#).unwrap();
        assert_eq!(permissions.enabled["MX"], [false; 3], "a real boolean is silently ineffective");
        let text = r#"[{"iso_code":"MX","low_risk_numbers_enabled":"true"},
                       {"iso_code":"US","low_risk_numbers_enabled":"false"}]"#;
        assert_eq!(update(&mut permissions, text).unwrap(), 2);
        assert_eq!(permissions.enabled["MX"], [true, false, false]);
        assert_eq!(permissions.enabled["US"], [false; 3]);
    }

    #[test]
    fn a_number_may_be_called_when_its_country_and_its_kind_are_enabled() {
        let mut permissions = Permissions::default();
        let may = |permissions: &Permissions| {
            ["+15035551212", "+14165551212", "+17875551212", "+18095551212", "+37167000000", "+3719000111", "+99912345"]
                .map(|number| permissions.allow(number))
        };
        assert_eq!(may(&permissions), [true, true, false, false, false, false, false]);
        let text = r#"[{"iso_code":"PR","low_risk_numbers_enabled":"true"},
                       {"iso_code":"LV","low_risk_numbers_enabled":"true"}]"#;
        update(&mut permissions, text).unwrap();
        assert_eq!(may(&permissions), [true, true, true, false, true, false, false]);
    }

    #[test]
    fn an_update_with_an_unknown_country_changes_nothing() {
        let mut permissions = Permissions::default();
        let text = r#"[{"iso_code":"MX","low_risk_numbers_enabled":"true"},{"iso_code":"XX"}]"#;
        assert!(update(&mut permissions, text).is_err());
        assert!(update(&mut permissions, "GB").is_err());
        assert_eq!(permissions.enabled["MX"], [false; 3]);
    }

    #[test]
    fn countries_are_found_by_code_continent_and_permission() {
        let query = |text: &str| decode(text);
        let country = json!({
            "iso_code": "DO", "continent": "NORTH_AMERICA", "country_codes": ["+1809", "+1829"],
            "low_risk_numbers_enabled": true,
        });
        for text in ["IsoCode=DO", "Continent=NORTH_AMERICA", "CountryCode=1829", "CountryCode=%2B1829", "PageSize=5"] {
            assert!(matches(&country, &query(text)), "{text}");
        }
        for text in ["IsoCode=US", "Continent=EUROPE", "CountryCode=1", "LowRiskNumbersEnabled=false"] {
            assert!(!matches(&country, &query(text)), "{text}");
        }
        assert!(matches(&country, &query("LowRiskNumbersEnabled=true")));
    }
}
