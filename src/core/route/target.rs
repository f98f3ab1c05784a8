//! Whom a call from the SIP domain is for.
//!
//! The rule: **a `<Sip>` noun names the user that carries the call to a box, and its `X-Gateway-Target` names whom the box
//! rings.** An ordinary account rings one noun of a `<Dial>` (TWILIO.md "Dial"), so that a whole group must fit in one.
//! A target is what a colleague would dial: an extension, or a number of ours for all that it rings. Nothing else is one,
//! and an INVITE with another value gets 404. Without the header a call is for the extension that carries it.

use crate::config::Config;
use crate::sip::header;

/// Whom to ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called<'a> {
    Extension(&'a str),
    /// All that one of our numbers (E.164) rings.
    Number(&'a str),
}

impl<'a> Called<'a> {
    /// The target that stands for a group that a call from inside rings: each group is one that a number rings.
    pub fn of_group(config: &'a Config, extensions: &'a [String]) -> Option<Called<'a>> {
        match extensions {
            [] => None,
            [one] => Some(Called::Extension(one)),
            _ => config.numbers.iter().find(|n| n.ring == extensions).map(|n| Called::Number(&n.number)),
        }
    }

    /// The SIP address of a noun that rings it. `;secure=true` makes Twilio offer SRTP, without which a secure domain's
    /// own users would be offered plain RTP (TWILIO.md "SRTP").
    pub fn uri(self, config: &Config, carrier: &str, domain: &str) -> String {
        let secure = if config.trunk.secure.is_on() { ";secure=true" } else { "" };
        let header = match self {
            Called::Extension(name) if name == carrier => String::new(),
            Called::Extension(name) => format!("?{}={name}", header::TARGET),
            // Decoded as a form or as a URI, it is a plus.
            Called::Number(number) => format!("?{}={}", header::TARGET, number.replace('+', "%2B")),
        };
        format!("sip:{carrier}@{domain}{secure}{header}")
    }

    /// The target of an INVITE: by its header, or without one by the user in its Request-URI. `None` where it is neither an
    /// extension nor a number of the config.
    pub fn read(config: &'a Config, header: Option<&str>, user: &str) -> Option<Called<'a>> {
        let wanted = header.unwrap_or(user).trim();
        if let Some(extension) = config.extension(wanted) {
            return Some(Called::Extension(&extension.name));
        }
        // Who passes the address on may not have decoded it.
        let number = wanted.strip_prefix("%2B").map(|digits| format!("+{digits}"));
        let number = config.number(number.as_deref().unwrap_or(wanted))?;
        header.map(|_| Called::Number(&number.number))
    }

    /// The extensions that ring.
    pub fn extensions(self, config: &'a Config) -> &'a [String] {
        match self {
            Called::Extension(name) => {
                let extension = config.extensions.iter().find(|extension| extension.name == name);
                extension.map_or(&[], |extension| std::slice::from_ref(&extension.name))
            }
            Called::Number(number) => config.number(number).map_or(&[], |number| &number.ring),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    fn office() -> Config {
        let file = OfficeFile::new().extension("101").extension("102").extension("15035550190");
        let file = file.number("+15035550100", &["101", "102"]).number("+15035550190", &["101"]);
        file.number("+15035550199", &[]).config()
    }

    fn header_of(uri: &str) -> Option<&str> {
        uri.split_once("?X-Gateway-Target=").map(|(_, value)| value)
    }

    #[test]
    fn what_a_noun_says_is_read_as_it_was_meant_however_twilio_passes_it_on() {
        let config = office();
        for target in [Called::Extension("102"), Called::Extension("15035550190"), Called::Number("+15035550190")] {
            let uri = target.uri(&config, "box-office", "office.sip.twilio.com");
            assert!(uri.starts_with("sip:box-office@office.sip.twilio.com;secure=true?"), "{uri}");
            let value = header_of(&uri).unwrap();
            for passed_on in [value.to_owned(), value.replace("%2B", "+"), format!(" {value} ")] {
                assert_eq!(Called::read(&config, Some(&passed_on), "box-office"), Some(target), "{passed_on:?}");
            }
        }
    }

    #[test]
    fn what_is_no_target_is_none() {
        let config = office();
        for value in
            ["", "box-office", "103", "101,102", "+15035550111", "5035550100", "sip:101@h", "%2B", "10%31", "*"]
        {
            assert_eq!(Called::read(&config, Some(value), "101"), None, "{value:?}");
        }
        // The header alone makes a number a target: nobody registers as one.
        assert_eq!(Called::read(&config, None, "+15035550100"), None);
        assert_eq!(Called::read(&config, None, "box-office"), None);
        assert_eq!(Called::read(&config, None, "101"), Some(Called::Extension("101")));
    }

    #[test]
    fn an_extension_that_carries_its_own_call_needs_no_header() {
        let config = office();
        assert_eq!(Called::Extension("101").uri(&config, "101", "d"), "sip:101@d;secure=true");
        assert_eq!(Called::Extension("102").uri(&config, "101", "d"), "sip:101@d;secure=true?X-Gateway-Target=102");
        let names = |target: Called<'_>| target.extensions(&config).to_vec();
        assert_eq!(names(Called::Number("+15035550100")), ["101", "102"]);
        assert_eq!(names(Called::Number("+15035550199")), [""; 0]);
        assert_eq!(names(Called::Extension("102")), ["102"]);
    }

    #[test]
    fn a_group_is_named_by_a_number_that_rings_it() {
        let config = office();
        let group = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(Called::of_group(&config, &group(&["101", "102"])), Some(Called::Number("+15035550100")));
        assert_eq!(Called::of_group(&config, &group(&["102"])), Some(Called::Extension("102")));
        assert_eq!(Called::of_group(&config, &group(&[])), None);
    }
}
