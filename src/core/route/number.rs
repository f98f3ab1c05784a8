//! The number rules: what a dialled text means, and whether the number may be called. The one place that knows them;
//! [`crate::route`] asks for handsets, [`crate::twiml::dialplan`] for webhooks.
//!
//! North American office dialling, as people in an office know it: ten digits, 1 and ten digits,
//! `011` and an international number, `+` and E.164, and the three-digit services.
//!
//! The rule: a number may be called where [the table](self#the-table) has it as an ordinary or toll-free number of a country
//! in `[dialing] countries`, or where it begins with one of `[dialing] prefixes`.
//!
//! # The table
//!
//! `numbering.txt` beside this file, with its sources: each country and area behind +1, and Mexico, has a row of its own.

use crate::config::Dialing;
use crate::sip::dialled::{Dialled, DialledError, digits, in_context};

/// Longest E.164 number, in digits (ITU-T E.164 section 6).
pub const MAX_E164_DIGITS: usize = 15;

/// The table. Its head explains the columns.
const TABLE: &str = include_str!("numbering.txt");

/// Digits after the country code, in each country of the table.
const NATIONAL_DIGITS: usize = 10;

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
    #[error("{0} is a {1} number, and these can cost much; [dialing] prefixes may allow it")]
    Costly(String, Class),
    #[error("{0} is in {1}, and [dialing] countries does not have {1}")]
    Elsewhere(String, &'static str),
    #[error("{0} has an area code that is not known; [dialing] prefixes may allow it")]
    UnknownArea(String),
    #[error("the country of {0} may not be called; [dialing] prefixes may allow it")]
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
            NumberError::Costly(..)
            | NumberError::Elsewhere(..)
            | NumberError::UnknownArea(_)
            | NumberError::RefusedCountry(_) => 403,
        }
    }
}

/// What was dialled, as text: the user part of a `sip:` or `sips:` URI, of a `tel:` URI (RFC 3966) or of a bare text,
/// percent-decoded and without its parameters; of digits in a context abroad the whole number.
pub fn dialled(text: &str) -> Result<String, NumberError> {
    Ok(match Dialled::of_text(text)? {
        Dialled::Local { text, context } => in_context(&text, &context),
        dialled => dialled.text(),
    })
}

/// The number that [`dialled`] means: E.164 with its `+`, or `+1NNN` for a three-digit service. Whether it may be called,
/// [`permit`] says.
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
    match international.len() {
        0 => Err(NumberError::NotANumber(dialled.to_owned())),
        1..=MAX_E164_DIGITS if !international.starts_with('0') => Ok(format!("+{international}")),
        1..=MAX_E164_DIGITS => Err(NumberError::NotANumber(international)),
        _ => Err(NumberError::TooLong),
    }
}

/// The service of `411`, and of `1411` as an earlier [`e164`] wrote it.
fn service(digits: &str) -> Option<&str> {
    let code = if digits.len() == 4 { digits.strip_prefix('1')? } else { digits };
    SERVICES.contains(&code).then_some(code)
}

/// Whether a number, as [`e164`] gives it, may be called from here.
pub fn permit(dialing: &Dialing, number: &str) -> Result<(), NumberError> {
    let digits = number.trim_start_matches('+');
    if service(digits).is_some() || dialing.prefixes.iter().any(|prefix| number.starts_with(prefix)) {
        return Ok(());
    }
    let owned = || number.to_owned();
    let Some((country_code, national)) =
        rows().find_map(|row| Some((row.country_code, digits.strip_prefix(row.country_code)?)))
    else {
        return Err(NumberError::RefusedCountry(owned()));
    };
    // Mexico's mobile numbers had a 1 in front, and people still dial it.
    let national = match national.strip_prefix('1') {
        Some(mobile) if country_code == "52" && mobile.len() == NATIONAL_DIGITS => mobile,
        _ => national,
    };
    if national.len() < NATIONAL_DIGITS {
        return Err(NumberError::Incomplete(owned()));
    }
    // Neither an area code of NANP nor one of Mexico begins with 0 or 1.
    if national.len() > NATIONAL_DIGITS || national.starts_with(['0', '1']) {
        return Err(NumberError::NotANumber(owned()));
    }
    let longest = rows()
        .filter(|row| row.country_code == country_code)
        .filter_map(|row| Some((row.prefixes().filter(|prefix| fits(prefix, national)).map(str::len).max()?, row)))
        .max_by_key(|(length, _)| *length);
    let Some((_, row)) = longest else { return Err(NumberError::UnknownArea(owned())) };
    let is_here = row.country == "*" || dialing.countries.iter().any(|country| country == row.country);
    match (row.class, is_here) {
        (Class::Geographic | Class::TollFree, true) => Ok(()),
        (Class::Geographic | Class::TollFree, false) => Err(NumberError::Elsewhere(owned(), row.country)),
        (class @ (Class::Premium | Class::Personal | Class::Service), _) => Err(NumberError::Costly(owned(), class)),
    }
}

/// What kind of number it is, which says what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Of a place, fixed or mobile.
    Geographic,
    TollFree,
    /// The called party earns by it.
    Premium,
    /// Follows a person wherever that is, at any price.
    Personal,
    /// Of carriers and services.
    Service,
}

impl Class {
    const ALL: [Class; 5] = [Class::Geographic, Class::TollFree, Class::Premium, Class::Personal, Class::Service];

    /// As the table writes it.
    pub fn word(self) -> &'static str {
        match self {
            Class::Geographic => "geographic",
            Class::TollFree => "toll-free",
            Class::Premium => "premium",
            Class::Personal => "personal",
            Class::Service => "service",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A row of [`TABLE`].
struct Row {
    country_code: &'static str,
    /// ISO 3166, or `*`.
    country: &'static str,
    class: Class,
    prefixes: &'static str,
}

impl Row {
    fn prefixes(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.prefixes.split_ascii_whitespace()
    }
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.splitn(4, ' ');
        let (country_code, country) = (columns.next().filter(|code| !code.is_empty())?, columns.next()?);
        let class = columns.next().and_then(|word| Class::ALL.into_iter().find(|class| class.word() == word))?;
        Some(Row { country_code, country, class, prefixes: columns.next()? })
    })
}

/// Whether digits begin with a prefix of the table.
fn fits(prefix: &str, digits: &str) -> bool {
    digits.len() >= prefix.len() && prefix.bytes().zip(digits.bytes()).all(|(one, digit)| one == b'.' || one == digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::dialled::MAX_DIALLED;

    fn call_by(dialing: &Dialing, text: &str) -> Result<String, NumberError> {
        let number = e164(&dialled(text)?)?;
        permit(dialing, &number)?;
        Ok(number)
    }

    fn call(text: &str) -> Result<String, NumberError> {
        call_by(&Dialing::default(), text)
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
    fn each_line_of_the_table_is_a_row_and_each_prefix_stands_once_in_a_country() {
        let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(rows().count(), lines);
        let mut prefixes: Vec<_> =
            rows().flat_map(|row| row.prefixes().map(move |prefix| (row.country_code, prefix))).collect();
        prefixes.sort_unstable();
        let all = prefixes.len();
        prefixes.dedup();
        assert_eq!(prefixes.len(), all);
        assert!(all > 450, "{all}");
    }

    #[test]
    fn an_area_code_belongs_to_its_country_however_it_is_dialled() {
        let named = ["JM", "DO", "BS", "GU", "AS", "MP", "VI", "SX"];
        for row in rows().filter(|row| row.country_code == "1" && row.class == Class::Geographic) {
            let here = Dialing { countries: vec![row.country.to_owned()], ..Dialing::default() };
            for code in row.prefixes() {
                let number = format!("+1{code}5551212");
                for text in [&number[2..], &number[1..], &format!("+011{}", &number[1..]), &format!("tel:{number}")] {
                    assert_eq!(call_by(&here, text).as_ref(), Ok(&number), "{text}");
                    match row.country {
                        "US" | "CA" | "PR" => assert_eq!(call(text).as_ref(), Ok(&number), "{text}"),
                        country => {
                            assert_eq!(call(text), Err(NumberError::Elsewhere(number.clone(), country)), "{text}")
                        }
                    }
                }
            }
        }
        assert!(named.iter().all(|country| rows().any(|row| row.country == *country)));
    }

    #[test]
    fn numbers_that_cost_much_are_refused_in_each_area_and_toll_free_ones_go_out_from_anywhere() {
        for (text, class) in [
            ("9005551212", Class::Premium),
            ("+19765551212", Class::Premium),
            // The exchange, in whichever area.
            ("2129761212", Class::Premium),
            ("416-976-1212", Class::Premium),
            ("5005551212", Class::Personal),
            ("1-533-555-1212", Class::Personal),
            ("5775551212", Class::Personal),
            ("6005551212", Class::Service),
            ("6225551212", Class::Service),
            ("7005551212", Class::Service),
            ("+529005551212", Class::Premium),
            ("011525005551212", Class::Personal),
            ("+5219005551212", Class::Premium),
            ("+523005551212", Class::Service),
        ] {
            let Err(NumberError::Costly(_, found)) = call(text) else { panic!("{text}: {:?}", call(text)) };
            assert_eq!(found, class, "{text}");
        }
        let nowhere = Dialing { countries: Vec::new(), ..Dialing::default() };
        for text in ["8005551212", "8335551212", "18885551212"] {
            assert!(call_by(&nowhere, text).is_ok(), "{text}");
        }
        assert_eq!(call("+528005551212").as_deref(), Ok("+528005551212"));
        assert_eq!(call("+5215555362660").as_deref(), Ok("+5215555362660"));
    }

    #[test]
    fn what_is_not_assigned_is_refused_until_a_prefix_allows_it() {
        let refused = ["2115551212", "3705551212", "9995551212"];
        for text in refused {
            assert_eq!(call(text), Err(NumberError::UnknownArea(format!("+1{text}"))));
        }
        let prefixes = ["+1370", "+44", "+1900"].map(str::to_owned).to_vec();
        let more = Dialing { prefixes, ..Dialing::default() };
        for text in ["3705551212", "011442071838750", "9005551212"] {
            assert!(call_by(&more, text).is_ok(), "{text}");
        }
        assert!(call_by(&more, "9995551212").is_err());
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
