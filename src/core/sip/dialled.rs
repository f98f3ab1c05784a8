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
    /// Digits that mean what they mean in another country or area: `tel:2079460123;phone-context=+44` (RFC 3966
    /// section 5.1.5). `context` is the digits behind its `+`.
    Local { text: String, context: String },
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
        let of_uri = || uri::param(uri, CONTEXT).flatten().and_then(|value| context(&value));
        Dialled::of_user(user, context_in(user).or_else(of_uri))
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
        let user = match text.split_once(':') {
            // A URI without `@` has a host and no user (RFC 3261 section 25.1).
            Some((scheme, rest)) if is(scheme, "sip") || is(scheme, "sips") => {
                rest.split_once('@').map(|(user, _)| user).unwrap_or_default()
            }
            Some((scheme, rest)) if is(scheme, "tel") => rest,
            _ => text.split('@').next().unwrap_or_default(),
        };
        Dialled::of_user(user, context_in(text))
    }

    /// A user part as written, with its parameters and its password, and the context that goes with it.
    fn of_user(user: &str, context: Option<String>) -> Result<Dialled, DialledError> {
        let user = user.split([';', ':']).next().unwrap_or_default();
        if user.len() > MAX_ENCODED {
            return Err(DialledError::TooLong);
        }
        let text = uri::decode_utf8(user)
            .ok_or_else(|| DialledError::NotText(user.chars().take(MAX_DIALLED).collect()))?
            .into_owned();
        match text.len() {
            0 => Err(DialledError::Empty),
            1..=MAX_DIALLED => Ok(match context.filter(|_| digits(&text).is_some_and(|(plus, _)| !plus)) {
                Some(context) => Dialled::Local { text, context },
                None => Dialled::Text(text),
            }),
            _ => Err(DialledError::TooLong),
        }
    }

    /// As typed; of a service the URN.
    pub fn text(&self) -> String {
        match self {
            Dialled::Text(text) | Dialled::Local { text, .. } => text.clone(),
            Dialled::Service(label) => format!("{SERVICE_URN}{label}"),
        }
    }
}

/// The number that local digits are in their context. A context names where they are valid, not what stands before them
/// (RFC 3966 section 5.1.5): an area of North America completes what lacks it; of another country the digits are the
/// national number, without the zero that its people dial first.
pub fn in_context(text: &str, context: &str) -> String {
    let Some((_, digits)) = digits(text) else { return text.to_owned() };
    match context.starts_with('1') {
        true if context.len() + digits.len() == 11 => format!("+{context}{digits}"),
        true => digits,
        false => format!("+{context}{}", digits.trim_start_matches('0')),
    }
}

/// The parameter of a number that says where it is valid (RFC 3966 section 3).
const CONTEXT: &str = "phone-context";

/// The context among the parameters of a text.
fn context_in(text: &str) -> Option<String> {
    let params = text.split(['@', '?', '>']).flat_map(|part| part.split(';').skip(1));
    let mut named = params.filter_map(|param| param.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case(CONTEXT))?;
    context(&uri::decode_utf8(value)?)
}

/// The digits of a context; `None` of a domain name, which is as good as none here, and of all North America, whose rules
/// are ours.
fn context(value: &str) -> Option<String> {
    match digits(value) {
        Some((true, digits)) if digits != "1" && digits.len() <= MAX_CONTEXT => Some(digits),
        _ => None,
    }
}

/// Longest context, in digits.
const MAX_CONTEXT: usize = 15;

/// A number without the `#` of phones that send their dial key; a code for a menu has more of it than that.
pub fn without_dial_key(text: &str) -> &str {
    text.strip_suffix('#').filter(|number| !number.contains(['#', '*'])).unwrap_or(text)
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
    fn a_context_is_read_wherever_phones_write_it() {
        let local = |text: &str, context: &str| Dialled::Local { text: text.into(), context: context.into() };
        for (written, meant) in [
            ("tel:2079460123;phone-context=+44", local("2079460123", "44")),
            ("tel:020-7946-0123;isub=1;Phone-Context=+44", local("020-7946-0123", "44")),
            ("sip:2079460123;phone-context=+44@host;user=phone", local("2079460123", "44")),
            ("sip:2079460123;phone-context=%2b44@host", local("2079460123", "44")),
            ("sip:2079460123@host;user=phone;phone-context=+44", local("2079460123", "44")),
            ("tel:863-1234;phone-context=+1-914", local("863-1234", "1914")),
            ("tel:+12079460123;phone-context=+44", text("+12079460123")),
            ("tel:2079460123;phone-context=+1", text("2079460123")),
            ("tel:2079460123;phone-context=44.example", text("2079460123")),
            ("tel:*21#;phone-context=+44", text("*21#")),
            ("sip:bob;phone-context=+44@host", text("bob")),
        ] {
            let uri = uri::parse_any(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(Dialled::of_uri(&uri).as_ref(), Ok(&meant), "{written}");
            assert_eq!(Dialled::of_text(written).as_ref(), Ok(&meant), "{written}");
        }
        for (digits, context, number) in [
            ("2079460123", "44", "+442079460123"),
            ("020 7946 0123", "44", "+442079460123"),
            ("5555536266", "52", "+525555536266"),
            ("863-1234", "1914", "+19148631234"),
            ("5035551212", "1914", "5035551212"),
            ("411", "1914", "411"),
        ] {
            assert_eq!(in_context(digits, context), number, "{digits} in +{context}");
        }
    }

    #[test]
    fn codes_before_and_the_key_behind_a_number_are_told_from_it() {
        use Presentation::{Shown, Withheld};
        for (dialled, asked, rest) in [
            ("*675035551212", Some(Withheld), "5035551212"),
            ("*67 101", Some(Withheld), "101"),
            ("#31#+15035551212", Some(Withheld), "+15035551212"),
            ("*82911", Some(Shown), "911"),
            ("*31#101", Some(Shown), "101"),
            ("*67", None, "*67"),
            ("*21*5035551212#", None, "*21*5035551212#"),
            ("67101", None, "67101"),
        ] {
            assert_eq!(presentation(dialled), (asked, rest), "{dialled}");
        }
        for (dialled, number) in [
            ("5035551212#", "5035551212"),
            ("102#", "102"),
            ("*21#", "*21#"),
            ("1##", "1##"),
            ("102", "102"),
            ("#", ""),
        ] {
            assert_eq!(without_dial_key(dialled), number, "{dialled}");
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
