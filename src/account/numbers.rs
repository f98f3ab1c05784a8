//! Phone numbers of the account, and those that can be had.
//!
//! A purchase is not idempotent and costs money (TWILIO.md "Buying a number"): it is sent once, and after an answer
//! that says nothing the account is read again instead.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Api, ApiError, Collection, Form, Product};

/// Most numbers that a search gives.
pub const MAX_FOUND: usize = 20;

/// Error codes that say "this number cannot be had" (TWILIO.md "Buying a number").
const NOT_AVAILABLE: [u32; 2] = [21421, 21422];

/// Error codes that say "no number of that kind": area code, country.
const NO_SUCH: [u32; 3] = [21451, 21452, 20404];

/// Error code of a country that sells numbers to known addresses only, and of one that wants papers, too.
const ADDRESS_REQUIRED: u32 = 21631;
const BUNDLE_REQUIRED: u32 = 21649;

/// Error code of a trial account that has its one number.
const TRIAL: u32 = 21404;

/// A number of the account (TWILIO.md "Voice settings of a number").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Owned {
    pub sid: String,
    pub phone_number: String,
    pub friendly_name: Option<String>,
    pub trunk_sid: Option<String>,
    pub voice_application_sid: Option<String>,
    pub voice_url: Option<String>,
    /// `voice` or `fax`.
    pub voice_receive_mode: Option<String>,
    pub emergency_status: Option<String>,
    pub emergency_address_sid: Option<String>,
    /// `registered`, `unregistered`, `pending-registration`, `registration-failure` …
    pub emergency_address_status: Option<String>,
    pub capabilities: Option<Value>,
}

impl Owned {
    /// Whether it can carry calls; Twilio not saying is yes.
    pub fn has_voice(&self) -> bool {
        self.capabilities.as_ref().and_then(|all| all.get("voice")).and_then(Value::as_bool).unwrap_or(true)
    }
}

/// A number that can be had (TWILIO.md "Numbers for sale").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Available {
    pub phone_number: String,
    pub friendly_name: Option<String>,
    pub locality: Option<String>,
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub iso_country: Option<String>,
    /// `none`, `any`, `local`, `foreign`: the address that Twilio wants of who buys it.
    pub address_requirements: Option<String>,
}

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// ISO 3166 code.
    pub country: String,
    pub area_code: Option<String>,
    pub contains: Option<String>,
    pub toll_free: bool,
}

/// What came of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bought {
    Now(Owned),
    /// It was in the account already; nothing was bought.
    Before(Owned),
}

/// Why a number could not be found, bought or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("{0} is not in the account; \"gateway number list\" shows what is")]
    NotOurs(String),
    #[error("{number} cannot be bought (code {code}): {message}; \"gateway number find\" shows what can")]
    NotAvailable { number: String, code: u32, message: String },
    #[error("Twilio has no such numbers (code {code}): {message}; try another area code or country")]
    NoSuch { code: u32, message: String },
    #[error("{number} needs {what} first (code {code}): {message}; enter it at console.twilio.com")]
    Papers { number: String, what: &'static str, code: u32, message: String },
    #[error("a trial account has one number (code 21404): {0}; upgrade it at console.twilio.com")]
    Trial(String),
    /// Twilio did not answer, and the number is not in the account.
    #[error(
        "{number} is not in the account, and whether it was bought is not known: {reason}; see \"gateway number list\" before another try"
    )]
    Unknown { number: String, reason: String },
}

fn collection() -> Collection {
    Collection::new(Product::Core, "IncomingPhoneNumbers")
}

/// All numbers of the account, sorted.
pub fn list(api: &mut dyn Api) -> Result<Vec<Owned>, ApiError> {
    let records = api.list(&collection(), "incoming_phone_numbers")?;
    let mut all: Vec<Owned> = records.into_iter().filter_map(|record| serde_json::from_value(record).ok()).collect();
    all.sort_by(|a, b| a.phone_number.cmp(&b.phone_number));
    Ok(all)
}

/// Numbers for calls that can be had, [`MAX_FOUND`] at most.
pub fn find(api: &mut dyn Api, search: &Search) -> Result<Vec<Available>, NumberError> {
    let kind = if search.toll_free { "TollFree" } else { "Local" };
    let path = format!("AvailablePhoneNumbers/{}/{kind}", search.country);
    let mut collection = Collection::new(Product::Core, path).filtered("VoiceEnabled", "true");
    for (name, value) in [("AreaCode", &search.area_code), ("Contains", &search.contains)] {
        if let Some(value) = value {
            collection = collection.filtered(name, value);
        }
    }
    let records = api.list(&collection, "available_phone_numbers").map_err(|error| match error {
        ApiError::Refused { code: Some(code), message, .. } if NO_SUCH.contains(&code) => {
            NumberError::NoSuch { code, message }
        }
        error => error.into(),
    })?;
    Ok(records.into_iter().filter_map(|record| serde_json::from_value(record).ok()).take(MAX_FOUND).collect())
}

/// Buys a number, once. Killed anywhere and run again, it is bought once all the same.
pub fn buy(api: &mut dyn Api, number: &str) -> Result<Bought, NumberError> {
    if let Some(there) = one(api, number)? {
        return Ok(Bought::Before(there));
    }
    let mut form = Form::default();
    form.plain("PhoneNumber", number);
    let error = match api.create(&collection(), &form) {
        Ok(reply) => {
            let bought: Owned = serde_json::from_value(reply).unwrap_or_default();
            return Ok(Bought::Now(Owned { phone_number: number.to_owned(), ..bought }));
        }
        Err(error) => error,
    };
    if error.is_uncertain() {
        return match one(api, number) {
            Ok(Some(bought)) => Ok(Bought::Now(bought)),
            Ok(None) | Err(_) => Err(NumberError::Unknown { number: number.to_owned(), reason: error.to_string() }),
        };
    }
    let number = number.to_owned();
    let ApiError::Refused { code: Some(code), message, .. } = &error else { return Err(error.into()) };
    let (code, message) = (*code, message.clone());
    Err(match code {
        code if NOT_AVAILABLE.contains(&code) => NumberError::NotAvailable { number, code, message },
        ADDRESS_REQUIRED => NumberError::Papers { number, what: "an address", code, message },
        BUNDLE_REQUIRED => NumberError::Papers { number, what: "a regulatory bundle", code, message },
        TRIAL => NumberError::Trial(message),
        _ => error.into(),
    })
}

/// Gives a number back for ever. One that is gone is an error: somebody meant another one.
pub fn release(api: &mut dyn Api, number: &str) -> Result<Owned, NumberError> {
    let there = one(api, number)?.ok_or_else(|| NumberError::NotOurs(number.to_owned()))?;
    api.delete(&collection(), &there.sid)?;
    Ok(there)
}

/// The account's record of a number.
pub fn one(api: &mut dyn Api, number: &str) -> Result<Option<Owned>, ApiError> {
    Ok(list(api)?.into_iter().find(|owned| owned.phone_number == number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Upload;

    const NUMBER: &str = "+15035550123";

    /// An account of numbers; the first creation meets `fault`.
    #[derive(Default)]
    struct Numbers {
        there: Vec<Value>,
        fault: Option<(bool, ApiError)>,
        asked: Vec<String>,
    }

    impl Api for Numbers {
        fn account(&mut self) -> Result<Value, ApiError> {
            Ok(json!({}))
        }

        fn list(&mut self, collection: &Collection, _: &str) -> Result<Vec<Value>, ApiError> {
            let query: Vec<String> = collection.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.asked.push(format!("{} {}", collection.path, query.join(" ")));
            Ok(self.there.clone())
        }

        fn get(&mut self, _: &Collection, _: &str) -> Result<Value, ApiError> {
            Ok(json!({}))
        }

        fn create(&mut self, _: &Collection, _: &Form) -> Result<Value, ApiError> {
            self.asked.push("create".to_owned());
            let record = json!({"sid": "PN1", "phone_number": NUMBER});
            match self.fault.take() {
                Some((false, error)) => Err(error),
                Some((true, error)) => {
                    self.there.push(record);
                    Err(error)
                }
                None => {
                    self.there.push(record.clone());
                    Ok(record)
                }
            }
        }

        fn update(&mut self, _: &Collection, _: &str, _: &Form) -> Result<Value, ApiError> {
            Ok(json!({}))
        }

        fn delete(&mut self, _: &Collection, sid: &str) -> Result<(), ApiError> {
            self.there.retain(|record| record["sid"] != sid);
            Ok(())
        }

        fn upload(&mut self, _: &str, _: &str, _: &Upload<'_>) -> Result<Value, ApiError> {
            Ok(json!({}))
        }
    }

    fn lost() -> ApiError {
        ApiError::NoAnswer { request: "POST".to_owned(), reason: "timed out".to_owned() }
    }

    fn refused(code: u32) -> ApiError {
        let (request, message) = ("POST".to_owned(), "no".to_owned());
        ApiError::Refused { request, status: 400, code: Some(code), message }
    }

    #[test]
    fn a_number_is_bought_once_however_often_it_is_asked_for() {
        let mut api = Numbers::default();
        assert!(matches!(buy(&mut api, NUMBER), Ok(Bought::Now(Owned { sid, .. })) if sid == "PN1"));
        assert!(matches!(buy(&mut api, NUMBER), Ok(Bought::Before(_))));
        assert_eq!(api.asked.iter().filter(|asked| *asked == "create").count(), 1);
    }

    #[test]
    fn a_purchase_without_an_answer_is_looked_up_and_never_sent_again() {
        let mut api = Numbers { fault: Some((true, lost())), ..Numbers::default() };
        assert!(matches!(buy(&mut api, NUMBER), Ok(Bought::Now(_))));
        let mut api = Numbers { fault: Some((false, lost())), ..Numbers::default() };
        assert!(matches!(buy(&mut api, NUMBER), Err(NumberError::Unknown { .. })));
        assert_eq!(api.asked, ["IncomingPhoneNumbers ", "create", "IncomingPhoneNumbers "]);
    }

    #[test]
    fn each_refusal_of_a_purchase_says_what_to_do() {
        for (code, way) in [
            (21422, "\"gateway number find\" shows what can"),
            (21631, "needs an address first"),
            (21649, "needs a regulatory bundle first"),
            (21404, "upgrade it"),
            (20003, "Twilio refused"),
        ] {
            let mut api = Numbers { fault: Some((false, refused(code))), ..Numbers::default() };
            let error = buy(&mut api, NUMBER).unwrap_err().to_string();
            assert!(error.contains(way) && error.contains(&code.to_string()), "{error}");
        }
    }

    #[test]
    fn a_number_that_is_not_in_the_account_cannot_be_released() {
        let mut api = Numbers::default();
        assert_eq!(release(&mut api, NUMBER), Err(NumberError::NotOurs(NUMBER.to_owned())));
        buy(&mut api, NUMBER).unwrap();
        release(&mut api, NUMBER).unwrap();
        assert!(api.there.is_empty());
    }

    #[test]
    fn a_search_asks_for_numbers_that_carry_calls() {
        let mut api = Numbers { there: (0..30).map(|_| json!({})).collect(), ..Numbers::default() };
        let search = Search { country: "US".into(), area_code: Some("503".into()), ..Search::default() };
        assert_eq!(find(&mut api, &search).unwrap().len(), MAX_FOUND);
        find(&mut api, &Search { toll_free: true, contains: Some("55".into()), ..search }).unwrap();
        assert_eq!(
            api.asked,
            [
                "AvailablePhoneNumbers/US/Local VoiceEnabled=true AreaCode=503",
                "AvailablePhoneNumbers/US/TollFree VoiceEnabled=true AreaCode=503 Contains=55",
            ]
        );
    }
}
