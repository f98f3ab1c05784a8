//! Numbers that can be bought (TWILIO.md "Numbers for sale"): invented ones, the same in every run, from the ranges
//! kept for fiction.

use serde_json::{Value, json};

use super::family::{note_unknown, value};
use super::page::page;
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::form::decode;

/// An area with numbers.
struct Area {
    country: &'static str,
    kind: &'static str,
    code: &'static str,
    locality: &'static str,
    region: &'static str,
    postal_code: &'static str,
    position: (f64, f64),
}

const fn area(
    country: &'static str,
    code: &'static str,
    locality: &'static str,
    region: &'static str,
    postal_code: &'static str,
    position: (f64, f64),
) -> Area {
    Area { country, kind: "local", code, locality, region, postal_code, position }
}

const fn toll_free(code: &'static str) -> Area {
    Area { kind: "toll free", ..area("US", code, "", "", "", (0.0, 0.0)) }
}

const AREAS: &[Area] = &[
    area("US", "503", "Portland", "OR", "97201", (45.52, -122.68)),
    area("US", "971", "Salem", "OR", "97301", (44.94, -123.04)),
    area("US", "541", "Eugene", "OR", "97401", (44.05, -123.09)),
    area("US", "206", "Seattle", "WA", "98101", (47.61, -122.33)),
    area("US", "212", "New York", "NY", "10001", (40.71, -74.01)),
    area("US", "415", "San Francisco", "CA", "94102", (37.77, -122.42)),
    area("US", "787", "San Juan", "PR", "00901", (18.47, -66.11)),
    area("CA", "416", "Toronto", "ON", "M5H", (43.65, -79.38)),
    area("CA", "604", "Vancouver", "BC", "V5K", (49.28, -123.12)),
    // A place that needs an address, for 21631 (TWILIO.md "Buying a number").
    area("GB", "20", "London", "", "", (51.51, -0.13)),
    toll_free("800"),
    toll_free("888"),
    toll_free("877"),
];

/// How many numbers an area has.
const PER_AREA: u32 = 100;

/// Filters that a search knows; those that are not `SEARCHED` are accepted and select everything.
const FILTERS: &[&str] = &[
    "AreaCode",
    "Contains",
    "SmsEnabled",
    "MmsEnabled",
    "VoiceEnabled",
    "ExcludeAllAddressRequired",
    "ExcludeLocalAddressRequired",
    "ExcludeForeignAddressRequired",
    "Beta",
    "NearNumber",
    "NearLatLong",
    "Distance",
    "InPostalCode",
    "InRegion",
    "InRateCenter",
    "InLata",
    "InLocality",
    "FaxEnabled",
];

impl Area {
    fn number(&self, n: u32) -> String {
        match self.country {
            // Ofcom keeps 020 7946 0xxx for fiction, the NANPA 555-0100 to 555-0199.
            "GB" => format!("+44{}79460{n:03}", self.code),
            _ => format!("+1{}55501{n:02}", self.code),
        }
    }

    fn requirements(&self) -> &'static str {
        if self.country == "GB" { "any" } else { "none" }
    }

    fn show(&self, number: &str, mixed_case: bool) -> Value {
        // TWILIO.md "Numbers for sale": keys are mixed case here.
        let capabilities = match mixed_case {
            true => json!({ "voice": true, "SMS": true, "MMS": true, "fax": false }),
            false => json!({ "voice": true, "sms": true, "mms": true, "fax": false }),
        };
        let local = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "friendly_name": super::numbers::friendly(number),
            "phone_number": number,
            "lata": local(self.region).map(|_| "672"),
            "locality": local(self.locality),
            "rate_center": local(&self.locality.to_uppercase()),
            "latitude": local(self.locality).map(|_| self.position.0),
            "longitude": local(self.locality).map(|_| self.position.1),
            "region": local(self.region),
            "postal_code": local(self.postal_code),
            "iso_country": self.country,
            "address_requirements": self.requirements(),
            "beta": false,
            "capabilities": capabilities,
        })
    }
}

/// What a purchase needs to know of a number that is for sale.
pub struct Offer {
    /// E.164.
    pub number: String,
    /// `none` or `any`.
    pub address_requirements: &'static str,
    /// `local` or `toll free`.
    pub kind: &'static str,
}

fn offers<'a>(
    store: &'a Store,
    wanted: impl Fn(&Area) -> bool + 'a,
) -> impl Iterator<Item = (&'static Area, String)> + 'a {
    let all = AREAS.iter().filter(move |area| wanted(area));
    let all = all.flat_map(|area| (0..PER_AREA).map(move |n| (area, area.number(n))));
    all.filter(|(_, number)| store.number(number).is_none())
}

/// The offer of that number; `None` when it is sold or does not exist.
pub fn offer(store: &Store, number: &str) -> Option<Offer> {
    let (area, number) = offers(store, |_| true).find(|(_, own)| own == number)?;
    Some(Offer { number, address_requirements: area.requirements(), kind: area.kind })
}

/// The first offer of an area; 21451 when that is no area code, 21452 when it has none.
pub fn offer_in(store: &Store, code: &str) -> Result<Offer, RestError> {
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RestError::bad(21451, format!("AreaCode {code} is not valid")));
    }
    let found = offers(store, |area| area.code == code).next();
    let found =
        found.map(|(area, number)| Offer { number, address_requirements: area.requirements(), kind: area.kind });
    found.ok_or_else(|| RestError::bad(21452, format!("No phone numbers found in area code {code}")))
}

/// Does `pattern` (digits and `*` for one digit) occur in the number?
fn contains(number: &str, pattern: &str) -> bool {
    let (number, pattern) = (number.as_bytes(), pattern.as_bytes());
    number.windows(pattern.len()).any(|part| part.iter().zip(pattern).all(|(n, p)| *p == b'*' || n == p))
}

/// Answers `AvailablePhoneNumbers/...`; `inner` is the path there.
pub fn route(store: &mut Store, request: &RestRequest, inner: &[&str]) -> Reply {
    let missing = || RestError::not_found(&request.path);
    if request.method != "GET" {
        return Err(RestError::method(&request.method));
    }
    let countries = [("US", "United States"), ("CA", "Canada"), ("GB", "United Kingdom")];
    let country = |(code, name): &(&str, &str)| {
        let uri = |inner: &str| store.uri(&format!("AvailablePhoneNumbers/{code}{inner}.json"));
        let mut links = json!({ "local": uri("/Local") });
        if *code == "US" {
            links["toll_free"] = json!(uri("/TollFree"));
        }
        json!({
            "country_code": code,
            "country": name,
            "uri": uri(""),
            "beta": false,
            "subresource_uris": links,
        })
    };
    let (code, kind) = match inner {
        [] => {
            // The one list that is not paged, says the OpenAPI file.
            let all: Vec<Value> = countries.iter().map(country).collect();
            return Ok((200, Some(json!({ "countries": all, "uri": request.path }))));
        }
        [code] => {
            let found = countries.iter().find(|(own, _)| own == code).ok_or_else(missing)?;
            return Ok((200, Some(country(found))));
        }
        [code, "Local"] => (*code, "local"),
        [code, "TollFree"] => (*code, "toll free"),
        // TWILIO.md "Numbers for sale": US/Mobile -> 404/20404.
        _ => return Err(missing()),
    };
    if !AREAS.iter().any(|area| area.country == code && area.kind == kind) {
        return Err(missing());
    }
    let query = decode(&request.query);
    note_unknown(store, &query, FILTERS);
    let pattern = value(&query, "Contains");
    if !pattern.is_empty() && pattern.len() < 2 {
        // `Contains` needs two characters; the code is not sure (TWILIO.md "Numbers for sale").
        return Err(RestError::bad(21421, "Contains needs at least 2 characters"));
    }
    let is = |name: &str, own: &str| ["", own].contains(&value(&query, name));
    // What has fax is not sold, and nothing here is beta.
    let none = value(&query, "FaxEnabled") == "true" || value(&query, "Beta") == "true";
    let free = value(&query, "ExcludeAllAddressRequired") == "true";
    let found = offers(store, |area| {
        !none
            && (area.country, area.kind) == (code, kind)
            && is("AreaCode", area.code)
            && is("InRegion", area.region)
            && is("InLocality", area.locality)
            && is("InPostalCode", area.postal_code)
            && !(free && area.requirements() != "none")
    });
    let found: Vec<Value> = found
        .filter(|(_, number)| pattern.is_empty() || contains(number, pattern))
        .map(|(area, number)| area.show(&number, store.switches.mixed_case_capabilities))
        .collect();
    page(&request.path, &request.query, "available_phone_numbers", &found).map(|body| (200, Some(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(path: &[&str], query: &str) -> Result<Vec<String>, u32> {
        let mut store = Store::new("AC1");
        store.seed_number("+15035550100");
        let mut request = RestRequest::post("/x.json", &[]);
        (request.method, request.query) = ("GET".to_owned(), query.to_owned());
        let body = route(&mut store, &request, path).map_err(|e| e.code)?.1.unwrap();
        let all = body["available_phone_numbers"].as_array().unwrap();
        Ok(all.iter().map(|n| n["phone_number"].as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_search_finds_what_its_filters_say_and_nothing_that_is_sold() {
        assert_eq!(search(&["US", "Local"], "AreaCode=503&PageSize=1").unwrap(), ["+15035550101"]);
        assert_eq!(search(&["US", "Local"], "InRegion=NY&Contains=0142").unwrap(), ["+12125550142"]);
        assert_eq!(search(&["US", "Local"], "InLocality=Salem&Contains=5*501*7&PageSize=2").unwrap().len(), 2);
        assert!(search(&["US", "Local"], "AreaCode=999").unwrap().is_empty());
        assert!(search(&["US", "TollFree"], "PageSize=1").unwrap()[0].starts_with("+1800"));
    }

    #[test]
    fn what_is_not_sold_has_its_code() {
        assert_eq!(search(&["US", "Mobile"], ""), Err(20404));
        assert_eq!(search(&["ZZ", "Local"], ""), Err(20404));
        assert_eq!(search(&["US", "Local"], "Contains=5"), Err(21421));
        let store = Store::new("AC1");
        assert_eq!(offer_in(&store, "50").err().map(|e| e.code), Some(21451));
        assert_eq!(offer_in(&store, "999").err().map(|e| e.code), Some(21452));
    }
}
