//! Which calls are emergency calls: by what was dialled, in every spelling that phones and people use.
//!
//! Rule: what a person may mean by it is an emergency call; everything else is not, however much it looks like one.

use super::plan::{NANP, Plan};
use crate::sip::dialled::{Dialled, digits, presentation};

/// The label of the emergency services (RFC 5031 section 4.2); its children are `sos.fire` and so on.
const SOS: &str = "sos";
/// The label that tests the way to them (RFC 6881 section 15).
const TEST_SOS: &str = "test.sos";
/// Longest emergency number, in digits, as the file may name one.
pub const MAX_NUMBER: usize = 6;

/// The emergency numbers of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Of the countries that the site is in. Never empty.
    plans: Vec<&'static Plan>,
    /// Those that the file names; they go before the plans' own.
    named: Option<Vec<String>>,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers { plans: vec![&NANP], named: None }
    }
}

/// An emergency number that was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    digits: String,
    /// The file names it, and no plan knows it: it goes as it is.
    is_foreign: bool,
    home: &'static Plan,
}

impl Wanted {
    /// The number to dial at Twilio from this caller ID: it must be one of the caller ID's country
    /// (TWILIO.md "Emergency numbers").
    pub fn number(&self, caller_id: Option<&str>) -> String {
        match caller_id.map_or(self.home, Plan::of_number) {
            _ if self.is_foreign => self.digits.clone(),
            plan => plan.twilio(&self.digits).to_owned(),
        }
    }
}

impl Numbers {
    /// `country` is what `[emergency] country` says. Without it the site is where its addresses and numbers are:
    /// ISO 3166 codes and E.164 numbers, the most telling first. `named` is `[emergency] numbers`.
    pub fn of_site<'a>(
        named: Option<Vec<String>>,
        country: Option<&str>,
        addresses: impl IntoIterator<Item = &'a str>,
        caller_ids: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut plans: Vec<&'static Plan> = Vec::new();
        let add = |plans: &mut Vec<&'static Plan>, plan| {
            if !plans.contains(&plan) {
                plans.push(plan);
            }
        };
        match country {
            Some(country) => plans.push(Plan::of_country(country)),
            None => {
                addresses.into_iter().for_each(|country| add(&mut plans, Plan::of_country(country)));
                caller_ids.into_iter().for_each(|number| add(&mut plans, Plan::of_number(number)));
            }
        }
        if plans.is_empty() {
            plans.push(&NANP);
        }
        let numbers = Numbers { plans, named: None };
        // To write down what holds anyway changes nothing.
        let named = named.filter(|named| numbers.list() != *named);
        Numbers { named, ..numbers }
    }

    /// The numbers that are never anything else, for people; the first one is the one to dial.
    pub fn list(&self) -> Vec<&str> {
        match &self.named {
            Some(named) => named.iter().map(String::as_str).collect(),
            None => {
                let mut list: Vec<&str> = Vec::new();
                for number in self.plans.iter().flat_map(|plan| plan.numbers.iter().copied().chain(plan.test)) {
                    if !list.contains(&number) {
                        list.push(number);
                    }
                }
                list
            }
        }
    }

    /// Whether no extension can have this name.
    pub fn has(&self, name: &str) -> bool {
        self.list().contains(&name)
    }

    /// Whether the site is in a country of the North American Numbering Plan.
    pub fn is_nanp(&self) -> bool {
        self.plans.contains(&&NANP)
    }

    /// The emergency number that was dialled, if it was one. An extension may have a name such as 9911 or 112, which are
    /// emergency numbers only where nobody has it.
    ///
    /// | dialled | rule |
    /// | --- | --- |
    /// | `911`, `9-1-1`, `(911)`, `+911` | visual separators and a plus say nothing |
    /// | `911#` | the dial key, sent as a digit |
    /// | `9911`, `1911`, `+1911` | habit, in the North American Numbering Plan alone |
    /// | `*67911`, `#31#112` | a code that hides the number |
    /// | `112`, `911` | mean help in every country |
    /// | `urn:service:sos`, `urn:service:sos.fire`, `sip:sos@…` | RFC 5031 |
    /// | `urn:service:test.sos` | the test line (RFC 6881), where there is one |
    pub fn wanted(&self, dialled: &Dialled, is_extension: impl Fn(&str) -> bool) -> Option<Wanted> {
        let text = match dialled {
            Dialled::Service(label) => return self.service(label),
            Dialled::Text(text) | Dialled::Local { text, .. } => presentation(text).1,
        };
        let taken = is_extension(text);
        // Registered phones have no such name; a key for help may be set to it.
        if !taken && text.to_ascii_lowercase().split('.').next() == Some(SOS) {
            return self.service(SOS);
        }
        let text = text.trim().trim_end_matches('#');
        self.number(text, taken).or_else(|| {
            let prefixes: &[&str] = if self.is_nanp() { NANP.prefixes } else { &[] };
            let (_, plain) = digits(text).unwrap_or((false, text.to_owned()));
            let rest = prefixes.iter().find_map(|prefix| plain.strip_prefix(prefix));
            rest.filter(|_| !taken).and_then(|rest| self.number(rest, taken))
        })
    }

    fn number(&self, text: &str, taken: bool) -> Option<Wanted> {
        let (_, digits) = digits(text).filter(|(_, digits)| digits.len() <= MAX_NUMBER)?;
        let plan = self.plans.iter().copied().find(|plan| plan.takes(&digits));
        let is_own = self.has(&digits);
        if !is_own && (taken || plan.is_none()) {
            return None;
        }
        Some(Wanted { digits, is_foreign: plan.is_none(), home: plan.unwrap_or(self.plans[0]) })
    }

    fn service(&self, label: &str) -> Option<Wanted> {
        let home = self.plans[0];
        let digits = match label {
            TEST_SOS => self.plans.iter().find_map(|plan| plan.test)?,
            _ if label.split('.').next() == Some(SOS) => home.numbers[0],
            _ => return None,
        };
        Some(Wanted { digits: digits.to_owned(), is_foreign: false, home })
    }
}

#[cfg(test)]
mod tests;
