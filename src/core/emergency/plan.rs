//! Which digits call for help, by country, and which of them Twilio takes.
//!
//! Twilio takes 911 and 933 from numbers of the US and Canada, 112 and 999 from those of the UK, and elsewhere the
//! number of the country that the caller ID belongs to (TWILIO.md "Emergency numbers"). Services that a country reaches
//! by another number than its first one are dialled as the first one: its operators pass the call on.

/// The emergency numbers of one country, or of countries that share them.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// ISO 3166 codes, as `[[address]] country` has them.
    pub countries: &'static [&'static str],
    /// Country codes (ITU-T E.164) without `+`, as a caller ID begins.
    pub codes: &'static [&'static str],
    /// Numbers that Twilio takes, the first one for everything else. No extension can have such a name.
    pub numbers: &'static [&'static str],
    /// A number that reads back the caller's number and address, and calls nobody.
    pub test: Option<&'static str>,
    /// Numbers that people dial as well; an extension of that name goes first.
    pub also: &'static [&'static str],
    /// What people dial from habit before a number: to get an outside line, or a long-distance line.
    pub prefixes: &'static [&'static str],
}

/// Numbers that mean help in every country (ITU-T E.161.1; 3GPP TS 22.101 section 10.1).
pub const EVERYWHERE: [&str; 2] = ["112", "911"];

/// The North American Numbering Plan.
pub const NANP: Plan = Plan {
    countries: &["US", "CA", "PR", "VI", "GU", "AS", "MP"],
    codes: &["1"],
    numbers: &["911"],
    test: Some("933"),
    also: &[],
    prefixes: &["9", "1"],
};

/// Everybody whose plan is not in the table: the file can name more numbers.
const ANY: Plan = Plan { countries: &[], codes: &[], numbers: &["112", "911"], test: None, also: &[], prefixes: &[] };

/// Countries of the European Union and its neighbors, whose one number is 112 (Directive (EU) 2018/1972 article 109).
/// The short numbers are those of police, fire service and ambulance beside it.
const fn eu(countries: &'static [&'static str], codes: &'static [&'static str], also: &'static [&'static str]) -> Plan {
    Plan { countries, codes, numbers: &["112"], test: None, also, prefixes: &[] }
}

const fn other(
    countries: &'static [&'static str],
    codes: &'static [&'static str],
    numbers: &'static [&'static str],
    also: &'static [&'static str],
) -> Plan {
    Plan { countries, codes, numbers, test: None, also, prefixes: &[] }
}

/// The table.
static PLANS: &[Plan] = &[
    NANP,
    other(&["GB", "GG", "JE", "IM"], &["44"], &["999", "112"], &[]),
    other(&["IE"], &["353"], &["112", "999"], &[]),
    other(&["AU"], &["61"], &["000"], &["106"]),
    other(&["NZ"], &["64"], &["111"], &[]),
    other(&["MX"], &["52"], &["911"], &["066"]),
    other(&["MY"], &["60"], &["999"], &["994"]),
    other(&["PH"], &["63"], &["911"], &["117"]),
    other(&["TH"], &["66"], &["191", "1669", "199"], &[]),
    eu(&["AT"], &["43"], &["122", "133", "144"]),
    eu(&["CH", "LI"], &["41", "423"], &["117", "118", "144"]),
    eu(&["DE"], &["49"], &["110"]),
    eu(&["FR", "MC"], &["33", "377"], &["15", "17", "18", "114", "115", "196"]),
    eu(&["IT", "SM", "VA"], &["39", "378"], &["113", "115", "118"]),
    eu(&["PL"], &["48"], &["997", "998", "999"]),
    eu(&["CZ", "SK"], &["420", "421"], &["150", "155", "158"]),
    eu(&["HU"], &["36"], &["104", "105", "107"]),
    eu(&["NO"], &["47"], &["110", "113"]),
    eu(&["GR"], &["30"], &["100", "166", "199"]),
    eu(&["ES"], &["34"], &["061", "062", "080", "091", "092"]),
    eu(&["BE"], &["32"], &["100", "101"]),
    eu(
        &["BG", "CY", "DK", "EE", "FI", "HR", "IS", "LT", "LU", "LV", "MT", "NL", "PT", "RO", "SE", "SI", "AX", "FO"],
        &[
            "359", "357", "45", "372", "358", "385", "354", "370", "352", "371", "356", "31", "351", "40", "46", "386",
            "298",
        ],
        &[],
    ),
];

impl Plan {
    /// The plan of an ISO 3166 code, in any case.
    pub fn of_country(country: &str) -> &'static Plan {
        PLANS.iter().find(|plan| plan.countries.iter().any(|one| one.eq_ignore_ascii_case(country))).unwrap_or(&ANY)
    }

    /// The plan of an E.164 number with its `+`.
    pub fn of_number(number: &str) -> &'static Plan {
        let digits = number.strip_prefix('+').unwrap_or_default();
        // No country code begins with another one.
        PLANS.iter().find(|plan| plan.codes.iter().any(|code| digits.starts_with(code))).unwrap_or(&ANY)
    }

    /// The number to dial at Twilio for one that was dialled here.
    pub fn twilio(&self, dialled: &str) -> &'static str {
        let own = self.numbers.iter().find(|number| **number == dialled);
        own.copied().or(self.test.filter(|test| *test == dialled)).unwrap_or(self.numbers[0])
    }

    /// Whether it calls for help here, whatever else it may mean.
    pub fn has(&self, digits: &str) -> bool {
        self.numbers.contains(&digits) || self.test == Some(digits)
    }

    /// Whether it calls for help here where no extension has that name.
    pub fn takes(&self, digits: &str) -> bool {
        self.has(digits) || self.also.contains(&digits) || EVERYWHERE.contains(&digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_country_has_the_number_that_twilio_takes() {
        for (country, code, dialled, twilio) in [
            ("US", "+1503", "911", "911"),
            ("CA", "+1416", "933", "933"),
            ("us", "+1503", "112", "911"),
            ("GB", "+4420", "999", "999"),
            ("GB", "+4420", "112", "112"),
            ("GB", "+4420", "911", "999"),
            ("IE", "+3531", "999", "999"),
            ("DE", "+4930", "110", "112"),
            ("FR", "+331", "15", "112"),
            ("FI", "+3589", "112", "112"),
            ("AU", "+612", "000", "000"),
            ("AU", "+612", "112", "000"),
            ("NZ", "+649", "111", "111"),
            ("MX", "+5255", "911", "911"),
            ("TH", "+662", "1669", "1669"),
        ] {
            let plan = Plan::of_country(country);
            assert_eq!(Plan::of_number(code), plan, "{country}");
            assert!(plan.takes(dialled), "{country} {dialled}");
            assert_eq!(plan.twilio(dialled), twilio, "{country} {dialled}");
        }
        assert!(Plan::of_country("ZZ").takes("112"));
        assert!(Plan::of_country("ZZ").takes("911"));
    }

    #[test]
    fn no_country_code_and_no_country_is_in_the_table_twice_and_none_begins_with_another() {
        let codes: Vec<&str> = PLANS.iter().flat_map(|plan| plan.codes).copied().collect();
        let countries: Vec<&str> = PLANS.iter().flat_map(|plan| plan.countries).copied().collect();
        for (at, code) in codes.iter().enumerate() {
            assert!(
                codes.iter().skip(at + 1).all(|other| !other.starts_with(code) && !code.starts_with(other)),
                "{code}"
            );
        }
        for (at, country) in countries.iter().enumerate() {
            assert!(!countries[at + 1..].contains(country), "{country}");
        }
    }
}
