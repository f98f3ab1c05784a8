//! Headers by name. Outside [`crate::sip`] only tests use it, which play phones and the SIP domain.

use rsip::{Header, Headers};

use super::{make, parts};

/// The first value of `name`.
pub fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().map(parts).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// All values of `name`, in order; comma lists of Via, Contact, Route, Record-Route were split by the wire.
pub fn values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().map(parts).filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The tokens of a comma list such as Supported, Require, Allow (lower case not applied).
pub(super) fn tokens<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    values(headers, name).flat_map(|v| v.split(',')).map(str::trim).filter(|t| !t.is_empty())
}

/// Whether a comma list has a token, without case.
pub fn has_token(headers: &Headers, name: &str, token: &str) -> bool {
    tokens(headers, name).any(|t| t.eq_ignore_ascii_case(token))
}

/// Appends a header.
pub(super) fn push(headers: &mut Headers, name: &str, value: impl Into<String>) {
    headers.push(make(name, value));
}

/// Replaces every header of that name by one, in the place of the first, or appends it.
pub fn set(headers: &mut Headers, name: &str, value: impl Into<String>) {
    let new = make(name, value);
    let mut first = true;
    headers.retain(|h| !is_named(h, &new) || std::mem::take(&mut first));
    let place = headers.iter().position(|h| is_named(h, &new));
    if let Some(old) = place.and_then(|i| headers.iter_mut().nth(i)) {
        *old = new;
        return;
    }
    headers.push(new);
}

fn is_named(header: &Header, like: &Header) -> bool {
    parts(header).0.eq_ignore_ascii_case(parts(like).0)
}

/// Removes every header of that name.
pub fn remove(headers: &mut Headers, name: &str) {
    headers.retain(|h| !parts(h).0.eq_ignore_ascii_case(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_by_its_name_in_any_case_and_made_from_its_compact_form() {
        let headers = Headers::from(vec![make("i", "a@b"), make("X-Twilio-CallSid", "CA1"), make("r", "<sip:x@y>")]);
        assert_eq!(value(&headers, "call-id"), Some("a@b"));
        assert_eq!(value(&headers, "x-twilio-callsid"), Some("CA1"));
        assert_eq!(parts(&make("X-Twilio-CallSid", "")).0, "X-Twilio-CallSid");
        assert_eq!(value(&headers, "refer-to"), Some("<sip:x@y>"));
        assert_eq!(value(&headers, "Contact"), None);
    }

    #[test]
    fn setting_a_header_leaves_one_of_it_in_the_place_of_the_first() {
        let mut headers = Headers::from(vec![make("Supported", "a"), make("Expires", "1"), make("Supported", "b")]);
        set(&mut headers, "k", "timer");
        set(&mut headers, "Max-Forwards", "70");
        let all: Vec<_> = headers.iter().map(parts).collect();
        assert_eq!(all, [("Supported", "timer"), ("Expires", "1"), ("Max-Forwards", "70")]);
        remove(&mut headers, "EXPIRES");
        assert_eq!(headers.iter().count(), 2);
    }

    #[test]
    fn tokens_of_a_list_are_found_over_several_headers() {
        let headers = Headers::from(vec![make("Supported", "timer, 100rel"), make("Supported", "replaces")]);
        assert!(has_token(&headers, "supported", "100REL") && has_token(&headers, "Supported", "replaces"));
        assert!(!has_token(&headers, "Supported", "path"));
    }
}
