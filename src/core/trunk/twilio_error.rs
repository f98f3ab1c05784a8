//! What Twilio says in `X-Twilio-Error` of a refused INVITE or REGISTER (TWILIO.md "X-Twilio-Error"), what it means to
//! this box, and what to do.
//!
//! One table: the log, the history and `gateway status` say what stands here.

use rsip::Response;

use crate::plain::plain;
use crate::sip::header;

/// Longest text of Twilio's that is repeated, in characters.
const MAX_TEXT: usize = 200;

const ACCOUNT: &str = "look at the account's state and balance at console.twilio.com";
const CALLER: &str = "write a number of this account into caller_id of the extension, or of [emergency]";
const NUMBER: &str = "dial the number with its country code, and look with gateway dial what is sent";
const COUNTRY: &str = "add the country to [dialing] countries with manage = true, then run gateway apply";
const BLOCKED: &str = "ask Twilio's support, who block this number or this account";
const RATE: &str = "wait a minute; if it comes often, ask Twilio to raise the account's limit";
const DOMAIN: &str = "run gateway plan, then gateway apply: they compare the SIP domain with the config";
const PASSWORD: &str = "run gateway setup, which sets the passwords at Twilio again";
const SECURE: &str = "make trunk.secure and the SIP domain say the same: run gateway apply";
const REPORT: &str = "see the debugger at console.twilio.com, which shows the message that Twilio did not take";

/// Codes with the same meaning and the same next step.
const TABLE: &[(&[u32], &str, &str)] = &[
    (&[10001, 10003], "the account is suspended, closed or has no money", ACCOUNT),
    (&[10002, 32100], "a trial account calls verified numbers alone", "upgrade the account at console.twilio.com"),
    (&[10004], "the account has too many calls at once", RATE),
    (&[13214, 13247, 32204, 32206], "the caller ID is no number of this account", CALLER),
    (&[32017], "a carrier blocks this caller ID", CALLER),
    (&[13223, 13224, 21211, 21217, 32101], "the number cannot be called", NUMBER),
    (&[13226, 13227, 21215, 32205], "the account may not call that country", COUNTRY),
    (&[13225, 21216, 32203, 32216], "Twilio blocks this call", BLOCKED),
    (&[32001, 32008, 32012, 32013], "too many calls or registrations a second", RATE),
    (&[32002, 32110, 32210, 32214], "the SIP domain is not there, or does not register phones", DOMAIN),
    (&[32007], "too many boxes register this extension", "stop the other box that uses this extension"),
    (&[32009, 32221, 32223], "the extension is not registered at the SIP domain", "look at gateway status"),
    (&[32106], "From is not the user of the credentials", PASSWORD),
    (&[32200, 32202, 32212], "the password of the extension is not the one at Twilio", PASSWORD),
    (
        &[32201],
        "the public address of this box is not in the domain's access list",
        "add it to [access] networks, then run gateway apply",
    ),
    (&[32207, 32208], "the call and the SIP domain differ about encrypted sound", SECURE),
    (&[32209, 32222], "the SIP domain takes TLS 1.2 or later alone", SECURE),
    (&[32018, 32102, 32103, 32105, 32111, 32112, 32113, 32114], "Twilio cannot use this message", REPORT),
];

/// A code, with Twilio's text as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwilioError {
    /// As in Twilio's list of errors; `None` where none stands in front.
    pub code: Option<u32>,
    /// Code and text: plain and bounded.
    pub said: String,
}

impl TwilioError {
    /// The one in a response, if there is one.
    pub fn of(response: &Response) -> Option<TwilioError> {
        header::twilio_error(&response.headers).map(TwilioError::read)
    }

    /// Reads the header's value: `32201 Authentication failure - source IP Address not in ACL`.
    pub fn read(value: &str) -> TwilioError {
        let digits = value.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        TwilioError { code: digits.parse().ok(), said: clip(value.trim()) }
    }

    fn row(&self) -> Option<&'static (&'static [u32], &'static str, &'static str)> {
        TABLE.iter().find(|(codes, ..)| self.code.is_some_and(|code| codes.contains(&code)))
    }

    /// What it means to this box, where we know.
    pub fn meaning(&self) -> Option<&'static str> {
        self.row().map(|(_, meaning, _)| *meaning)
    }

    /// What a person does about it.
    pub fn next_step(&self) -> &'static str {
        self.row().map_or(REPORT, |(.., next)| next)
    }
}

/// A text of Twilio's: plain and bounded.
pub fn clip(text: &str) -> String {
    plain(text).chars().take(MAX_TEXT).collect()
}

/// `Twilio error 32201 …: the public address …`
impl std::fmt::Display for TwilioError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Twilio error {}", self.said)?;
        match self.meaning() {
            Some(meaning) => write!(f, ": {meaning}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_and_has_a_meaning_and_a_next_step() {
        let mut codes: Vec<u32> = TABLE.iter().flat_map(|(codes, ..)| codes.iter().copied()).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(TABLE.iter().all(|(_, meaning, next)| !meaning.is_empty() && !next.is_empty()));
    }

    #[test]
    fn what_twilio_says_is_read_with_and_without_a_code_we_know() {
        for (value, code, known) in [
            ("32201 Authentication failure - source IP Address not in ACL", Some(32201), true),
            ("10001", Some(10001), true),
            (" 32208\tSecure media required", Some(32208), true),
            ("99999 something new", Some(99999), false),
            ("no code at all", None, false),
            ("99999999999999999999 x", None, false),
            ("", None, false),
        ] {
            let error = TwilioError::read(value);
            assert_eq!((error.code, error.meaning().is_some()), (code, known), "{value}");
            assert!(!error.next_step().is_empty());
        }
        let odd = TwilioError::read(&format!("32202 a\u{202e}b\x1b[2J {}", "x".repeat(500)));
        assert!(odd.said.starts_with("32202 ab[2J x") && odd.said.chars().count() == MAX_TEXT, "{odd}");
    }
}
