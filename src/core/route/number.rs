//! The number rules: what a dialled text means. The one place that knows them; [`crate::route`] asks for handsets,
//! [`crate::twiml::dialplan`] for webhooks.
//!
//! North American office dialling, as people in an office know it: ten digits, 1 and ten digits,
//! `011` and an international number, `+` and E.164, and the three-digit services.

use std::ops::RangeInclusive;

use crate::sip::dialled::{Dialled, DialledError, digits};

/// Longest E.164 number, in digits (ITU-T E.164 section 6).
pub const MAX_E164_DIGITS: usize = 15;

/// Country codes that may be called, with the count of digits that follow.
/// Mexico: ten, and eleven in the old mobile form with a 1.
const ALLOWED_COUNTRIES: [(&str, RangeInclusive<usize>); 2] = [("1", 10..=10), ("52", 10..=11)];

/// Area codes in country code 1 that cost like another country or a premium service.
const REFUSED_AREA_CODES: [&str; 22] = [
    "900", "976", "242", "246", "264", "268", "284", "345", "441", "473", "649", "664", "721", "758", "767", "784",
    "809", "829", "849", "868", "869", "876",
];

/// Three-digit services (NANP N11 codes, and 988); 911 is never among them, emergency is decided before.
const SERVICES: [&str; 8] = ["211", "311", "411", "511", "611", "711", "811", "988"];

/// Services that Twilio does not carry, and the number that stands for them.
const SERVICE_NUMBERS: [(&str, &str); 1] = [("211", "+18666986155")];

/// Why a text is no number that may be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("nothing was dialled")]
    Empty,
    #[error("more was dialled than a number can hold")]
    TooLong,
    #[error("{0:?} is not a phone number")]
    NotANumber(String),
    #[error("{0} has too few digits; dial the area code too")]
    Incomplete(String),
    #[error("{0} is no service known here")]
    UnknownService(String),
    #[error("area code {0} is a premium or high-toll one")]
    RefusedAreaCode(String),
    #[error("the country of {0} may not be called")]
    RefusedCountry(String),
}

impl From<DialledError> for NumberError {
    fn from(error: DialledError) -> Self {
        match error {
            DialledError::Empty => NumberError::Empty,
            DialledError::TooLong => NumberError::TooLong,
            DialledError::NotText(text) => NumberError::NotANumber(text),
        }
    }
}

impl NumberError {
    /// The SIP status that says it (RFC 3261 section 21.4).
    pub fn code(&self) -> u16 {
        match self {
            NumberError::Empty | NumberError::Incomplete(_) => 484,
            NumberError::TooLong => 414,
            NumberError::NotANumber(_) | NumberError::UnknownService(_) => 404,
            NumberError::RefusedAreaCode(_) | NumberError::RefusedCountry(_) => 403,
        }
    }
}

/// What was dialled, as text: the user part of a `sip:` or `sips:` URI, of a `tel:` URI (RFC 3966) or of a bare text,
/// without its parameters (`;phone-context` adds nothing: the rules here know the context) and percent-decoded.
pub fn dialled(text: &str) -> Result<String, NumberError> {
    Ok(Dialled::of_text(text)?.text())
}

/// The number to call for what [`dialled`] gave: E.164 with its `+`, or `+1NNN` for a three-digit service.
pub fn e164(dialled: &str) -> Result<String, NumberError> {
    let (plus, digits) = digits(dialled).ok_or_else(|| NumberError::NotANumber(dialled.to_owned()))?;
    if let Some(service) = service(&digits) {
        return Ok(match SERVICE_NUMBERS.iter().find(|(code, _)| *code == service) {
            Some((_, number)) => (*number).to_owned(),
            None => format!("+1{service}"),
        });
    }
    if digits.len() == 3 {
        return Err(NumberError::UnknownService(digits));
    }
    let international = match digits.strip_prefix("011") {
        Some(number) => number.to_owned(),
        // With a `+` the country code is there already: +45 12 34 56 78 is Denmark, not area code 451.
        None if digits.len() == 10 && !plus => format!("1{digits}"),
        None if digits.len() < 10 && !plus => return Err(NumberError::Incomplete(digits)),
        None => digits,
    };
    check(&international)?;
    Ok(format!("+{international}"))
}

/// The service of `411`, and of `1411` as an earlier [`e164`] wrote it.
fn service(digits: &str) -> Option<&str> {
    let code = if digits.len() == 4 { digits.strip_prefix('1')? } else { digits };
    SERVICES.contains(&code).then_some(code)
}

/// Whether an E.164 number (digits only) may be called.
fn check(number: &str) -> Result<(), NumberError> {
    if number.len() > MAX_E164_DIGITS {
        return Err(NumberError::TooLong);
    }
    let Some((country, lengths)) = ALLOWED_COUNTRIES.iter().find(|(country, _)| number.starts_with(country)) else {
        return Err(if number.starts_with('0') || number.is_empty() {
            NumberError::NotANumber(number.to_owned())
        } else {
            NumberError::RefusedCountry(format!("+{number}"))
        });
    };
    let national = &number[country.len()..];
    if national.len() < *lengths.start() {
        return Err(NumberError::Incomplete(format!("+{number}")));
    }
    // An area code begins with 2 to 9 (NANP).
    if national.len() > *lengths.end() || (*country == "1" && national.starts_with(['0', '1'])) {
        return Err(NumberError::NotANumber(format!("+{number}")));
    }
    match REFUSED_AREA_CODES.iter().find(|code| *country == "1" && national.starts_with(**code)) {
        Some(code) => Err(NumberError::RefusedAreaCode((*code).to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::dialled::MAX_DIALLED;

    fn call(text: &str) -> Result<String, NumberError> {
        e164(&dialled(text)?)
    }

    #[test]
    fn every_way_to_dial_a_number_leads_to_its_e164_form() {
        for text in [
            "+15035551212",
            "15035551212",
            "5035551212",
            "+01115035551212",
            "01115035551212",
            "503-555-1212",
            "(503) 555.1212",
            "+1-503-555-1212",
            "%2B15035551212",
            "(503)%20555-1212",
            "5035551212;phone-context=+1",
            "sip:5035551212@gw.sip.twilio.com",
            "SIPS:+15035551212@gw.sip.twilio.com:5061;transport=tls;user=phone",
            "sip:%2b1503555%31212@gw.sip.ashburn.twilio.com",
            "sip:5035551212;phone-context=+1:secret@host",
            "\"Desk\" <sip:5035551212@host>;tag=1",
            "tel:+1-503-555-1212",
            "tel:503-555-1212;phone-context=+1;isub=1",
        ] {
            assert_eq!(call(text).as_deref(), Ok("+15035551212"), "{text}");
        }
    }

    #[test]
    fn services_are_dialled_as_the_predecessor_did() {
        assert_eq!(call("411").as_deref(), Ok("+1411"));
        assert_eq!(call("+1411").as_deref(), Ok("+1411"));
        assert_eq!(call("988").as_deref(), Ok("+1988"));
        assert_eq!(call("211").as_deref(), Ok("+18666986155"));
        assert_eq!(call("+211").as_deref(), Ok("+18666986155"));
        assert_eq!(call("123"), Err(NumberError::UnknownService("123".into())));
        assert_eq!(call("011"), Err(NumberError::UnknownService("011".into())));
    }

    #[test]
    fn mexico_may_be_called_and_other_countries_not() {
        assert_eq!(call("+525555536266").as_deref(), Ok("+525555536266"));
        assert_eq!(call("011525555536266").as_deref(), Ok("+525555536266"));
        assert_eq!(call("01152155555536266"), Err(NumberError::NotANumber("+52155555536266".into())));
        assert_eq!(call("+442071838750"), Err(NumberError::RefusedCountry("+442071838750".into())));
        assert_eq!(call("011442071838750"), Err(NumberError::RefusedCountry("+442071838750".into())));
        // With a plus, ten digits are not an American number.
        assert_eq!(call("+4512345678"), Err(NumberError::RefusedCountry("+4512345678".into())));
    }

    #[test]
    fn every_refused_area_code_is_refused_however_it_is_dialled() {
        for code in REFUSED_AREA_CODES {
            for text in [format!("{code}5551212"), format!("1{code}5551212"), format!("+0111{code}5551212")] {
                assert_eq!(call(&text), Err(NumberError::RefusedAreaCode(code.to_owned())), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_number_says_why() {
        assert_eq!(call("").unwrap_err().code(), 484);
        assert_eq!(call("sip:host").unwrap_err().code(), 484);
        assert_eq!(call("5551212"), Err(NumberError::Incomplete("5551212".into())));
        assert_eq!(call("+1503555121"), Err(NumberError::Incomplete("+1503555121".into())));
        assert_eq!(call("+150355512123").unwrap_err().code(), 404);
        assert_eq!(call("1035551212").unwrap_err().code(), 404);
        assert_eq!(call("++15035551212").unwrap_err().code(), 404);
        assert_eq!(call("503555121a").unwrap_err().code(), 404);
        assert_eq!(call("٥٠٣٥٥٥١٢١٢").unwrap_err().code(), 404);
        assert_eq!(call("%ff%fe").unwrap_err().code(), 404);
        assert_eq!(call("%").unwrap_err().code(), 404);
        assert_eq!(call("00000000000000").unwrap_err().code(), 404);
        assert_eq!(call("-").unwrap_err().code(), 404);
        assert_eq!(call(&"5".repeat(MAX_DIALLED)), Err(NumberError::TooLong));
        assert_eq!(call(&"5".repeat(MAX_DIALLED + 1)), Err(NumberError::TooLong));
        assert_eq!(call(&"%35".repeat(MAX_DIALLED + 1)), Err(NumberError::TooLong));
    }

    #[test]
    fn a_number_that_was_normalised_stays_as_it_is() {
        for text in ["5035551212", "211", "411", "+525555536266"] {
            let once = call(text).unwrap();
            assert_eq!(call(&once).as_deref(), Ok(once.as_str()));
        }
    }
}
