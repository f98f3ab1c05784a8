//! Which phone an emergency call comes from, as far as that is proved, and whether it may make one.
//!
//! Rules:
//! - The number of an extension is shown only for a phone that proved to be it: by its password, by the flow that it
//!   registered on, or by an address where no other extension is registered. A name in From proves nothing; such a call
//!   shows the site's number, since the wrong address sends help to the wrong door.
//! - `emergency = false` is the administrator's exception for a phone in a public place. It holds for that phone, whatever
//!   it says of itself: also for a known, claimed or unknown source at its address, unless another extension is registered
//!   there which may call.

/// An extension that is registered at the address of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor<'a> {
    pub extension: &'a str,
    /// Whether it is registered by the very flow that the call came on.
    pub by_flow: bool,
    /// `[[extension]] emergency`.
    pub may_call: bool,
}

/// Where an emergency call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Station<'a> {
    /// A phone of this extension.
    Extension(&'a str),
    /// A phone of this box that nothing more is known of.
    Unknown,
    /// A phone that may not make emergency calls.
    Barred(&'a str),
}

impl<'a> Station<'a> {
    /// `proved` is the extension whose password the call carried.
    pub fn of(proved: Option<Neighbor<'a>>, here: &[Neighbor<'a>]) -> Station<'a> {
        let exact = proved.or_else(|| here.iter().copied().find(|one| one.by_flow));
        match (exact, here) {
            (Some(one), _) if one.may_call => Station::Extension(one.extension),
            (Some(one), _) => Station::Barred(one.extension),
            (None, [one]) if one.may_call => Station::Extension(one.extension),
            (None, [one, ..]) if here.iter().all(|one| !one.may_call) => Station::Barred(one.extension),
            (None, _) => Station::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(extension: &str, by_flow: bool, may_call: bool) -> Neighbor<'_> {
        Neighbor { extension, by_flow, may_call }
    }

    #[test]
    fn a_phone_is_known_by_its_password_then_by_its_flow_then_by_an_address_of_its_own() {
        let here = [at("101", false, true), at("102", true, true)];
        assert_eq!(Station::of(Some(at("103", false, true)), &here), Station::Extension("103"));
        assert_eq!(Station::of(None, &here), Station::Extension("102"));
        assert_eq!(Station::of(None, &here[..1]), Station::Extension("101"));
        assert_eq!(Station::of(None, &[at("101", false, true), at("102", false, true)]), Station::Unknown);
        assert_eq!(Station::of(None, &[]), Station::Unknown);
    }

    #[test]
    fn a_right_taken_away_holds_for_whatever_calls_from_that_phone() {
        let barred = at("103", false, false);
        assert_eq!(Station::of(Some(barred), &[]), Station::Barred("103"), "it proved to be that phone");
        assert_eq!(Station::of(None, &[at("103", true, false)]), Station::Barred("103"), "its flow");
        assert_eq!(Station::of(None, &[barred]), Station::Barred("103"), "another port of its address");
        assert_eq!(Station::of(None, &[barred, at("104", false, false)]), Station::Barred("103"));
    }

    #[test]
    fn a_phone_beside_a_barred_one_still_calls() {
        let both = [at("103", false, false), at("101", false, true)];
        assert_eq!(Station::of(None, &both), Station::Unknown, "which of the two is not known");
        assert_eq!(Station::of(Some(at("101", false, true)), &both), Station::Extension("101"));
        assert_eq!(Station::of(None, &[at("103", true, false), at("101", false, true)]), Station::Barred("103"));
    }
}
