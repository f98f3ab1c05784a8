//! What a person dialled, out of a URI or a text: the one decoder between octets and meaning.
//!
//! A user part is percent-decoded once (RFC 3261 section 19.1.2). What looks like another URI or another escape after
//! that is text that nobody dials, so `sip:%2539%2531%2531@host` is not 911.

use rsip::Uri;

use super::uri;

/// Longest user part that is looked at, in octets before decoding; the rest of the URI may have any length.
const MAX_ENCODED: usize = 3 * MAX_DIALLED;
/// Longest text that can be dialled, in octets.
pub const MAX_DIALLED: usize = 64;

/// The prefix of the URNs of RFC 5031, with the parts that compare without case.
const SERVICE_URN: &str = "urn:service:";

/// What was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Digits, signs or a name, as typed.
    Text(String),
    /// A service by its label in lower case (RFC 5031 section 3): `sos.fire` of `urn:service:sos.fire`.
    Service(String),
}

/// Whether the called party is to see who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    Shown,
    Withheld,
}

/// What people dial before a number to hide theirs, or to show it: in North America, and on mobile phones
/// (3GPP TS 22.030 annex B).
const CODES: [(&str, Presentation); 4] = [
    ("*67", Presentation::Withheld),
    ("*82", Presentation::Shown),
    ("#31#", Presentation::Withheld),
    ("*31#", Presentation::Shown),
];

/// What was dialled behind such a code, and what the code asks for.
pub fn presentation(dialled: &str) -> (Option<Presentation>, &str) {
    let dialled = dialled.trim();
    let behind = |(code, asked)| Some((Some(asked), dialled.strip_prefix(code)?.trim_start()));
    CODES.into_iter().find_map(behind).filter(|(_, rest)| !rest.is_empty()).unwrap_or((None, dialled))
}

/// Why nothing can have been dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialledError {
    #[error("nothing was dialled")]
    Empty,
    #[error("more was dialled than a number can hold")]
    TooLong,
    /// Octets that are no UTF-8; as far as it can be shown.
    #[error("{0:?} is not text")]
    NotText(String),
}

impl Dialled {
    /// What a Request-URI or a Refer-To asks for: the user part of `sip:` and `sips:` without user parameters, the
    /// number of `tel:` (RFC 3966), the label of a service URN (RFC 5031).
    pub fn of_uri(uri: &Uri) -> Result<Dialled, DialledError> {
        if let Some(label) = uri::urn(uri).and_then(|urn| service(&format!("urn:{urn}"))) {
            return Ok(Dialled::Service(label));
        }
        let user = uri.auth.as_ref().map(|auth| auth.user.as_str()).unwrap_or_default();
        Dialled::of_user(user)
    }

    /// What stands in a text: a URI, a name-addr (RFC 3261 section 20.10), or a bare user part.
    pub fn of_text(text: &str) -> Result<Dialled, DialledError> {
        let text = match text.split_once('<') {
            Some((_, uri)) => uri.split('>').next().unwrap_or_default(),
            None => text,
        };
        let text = text.trim();
        if let Some(label) = service(text) {
            return Ok(Dialled::Service(label));
        }
        let is = |scheme: &str, name: &str| scheme.eq_ignore_ascii_case(name);
        Dialled::of_user(match text.split_once(':') {
            // A URI without `@` has a host and no user (RFC 3261 section 25.1).
            Some((scheme, rest)) if is(scheme, "sip") || is(scheme, "sips") => {
                rest.split_once('@').map(|(user, _)| user).unwrap_or_default()
            }
            Some((scheme, rest)) if is(scheme, "tel") => rest,
            _ => text.split('@').next().unwrap_or_default(),
        })
    }

    /// A user part as written, with its parameters and its password.
    fn of_user(user: &str) -> Result<Dialled, DialledError> {
        let user = user.split([';', ':']).next().unwrap_or_default();
        if user.len() > MAX_ENCODED {
            return Err(DialledError::TooLong);
        }
        let text = uri::decode_utf8(user)
            .ok_or_else(|| DialledError::NotText(user.chars().take(MAX_DIALLED).collect()))?
            .into_owned();
        match text.len() {
            0 => Err(DialledError::Empty),
            1..=MAX_DIALLED => Ok(Dialled::Text(text)),
            _ => Err(DialledError::TooLong),
        }
    }

    /// As text; of a service the URN.
    pub fn text(&self) -> String {
        match self {
            Dialled::Text(text) => text.clone(),
            Dialled::Service(label) => format!("{SERVICE_URN}{label}"),
        }
    }
}

/// The label of a service URN. Its parts compare without case (RFC 5031 section 4.2); a trailing dot names nothing.
fn service(text: &str) -> Option<String> {
    let head = text.get(..SERVICE_URN.len())?;
    if !head.eq_ignore_ascii_case(SERVICE_URN) || text.len() > MAX_ENCODED {
        return None;
    }
    let label = text[SERVICE_URN.len()..].split([';', '?', '#']).next().unwrap_or_default();
    let label = label.trim_end_matches('.').to_ascii_lowercase();
    (!label.is_empty()).then_some(label)
}

/// The digits of a dialled text, and whether a `+` stood before them; visual separators (RFC 3966 section 3) and
/// spaces are dropped. `None` when anything else is in it, such as `#` or a letter.
pub fn digits(dialled: &str) -> Option<(bool, String)> {
    let (plus, rest) = match dialled.trim_start().strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, dialled),
    };
    let digits: String = rest.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some((plus, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Dialled {
        Dialled::Text(text.to_owned())
    }

    #[test]
    fn a_uri_and_its_text_mean_the_same() {
        for (written, meant) in [
            ("sip:911@192.0.2.1", text("911")),
            ("sips:%39%31%31@host;user=phone", text("911")),
            ("sip:911;phone-context=+1@host", text("911")),
            ("sip:911:secret@host", text("911")),
            ("tel:911;phone-context=+1", text("911")),
            ("sip:*21%23@host", text("*21#")),
            ("urn:service:sos", Dialled::Service("sos".into())),
            ("URN:Service:SOS.Fire", Dialled::Service("sos.fire".into())),
            ("urn:service:sos.ecall.manual", Dialled::Service("sos.ecall.manual".into())),
        ] {
            let uri = uri::parse_any(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(Dialled::of_uri(&uri).as_ref(), Ok(&meant), "{written}");
            assert_eq!(Dialled::of_text(written).as_ref(), Ok(&meant), "{written}");
        }
    }

    #[test]
    fn an_escape_is_decoded_once_and_what_comes_out_is_no_uri() {
        for (user, meant) in
            [("%2539%2531%2531", "%39%31%31"), ("sip%3A911%40x", "sip:911@x"), ("%3Csip%3A911%40x%3E", "<sip:911@x>")]
        {
            let uri = uri::parse(&format!("sip:{user}@host")).expect("a URI");
            assert_eq!(Dialled::of_uri(&uri), Ok(text(meant)), "{user}");
        }
    }

    #[test]
    fn what_is_empty_too_long_or_no_text_says_so() {
        let of = |user: &str| Dialled::of_text(&format!("sip:{user}@host"));
        assert_eq!(Dialled::of_text("sip:host"), Err(DialledError::Empty));
        assert_eq!(of(&"5".repeat(MAX_DIALLED + 1)), Err(DialledError::TooLong));
        assert_eq!(of(&"%35".repeat(MAX_DIALLED + 1)), Err(DialledError::TooLong));
        assert_eq!(of("%ff%fe"), Err(DialledError::NotText("%ff%fe".into())));
        assert_eq!(Dialled::of_text("urn:service:"), Ok(text("urn")), "a service without a name is none");
    }
}
