//! Headers that hold numbers: CSeq, RAck, Session-Expires and plain decimal ones.

use rsip::Headers;

use super::{HeaderError, Params, is_token, value};

/// CSeq number and method token (RFC 3261 section 20.16; below 2^31).
pub fn cseq(headers: &Headers) -> Result<(u32, String), HeaderError> {
    let malformed = HeaderError("CSeq");
    let mut words = value(headers, "CSeq").ok_or(malformed.clone())?.split_ascii_whitespace();
    match (words.next().and_then(decimal), words.next(), words.next()) {
        (Some(number), Some(method), None) if number < 1 << 31 && is_token(method) => Ok((number, method.to_string())),
        _ => Err(malformed),
    }
}

/// A decimal header such as Expires, Max-Forwards, Min-SE, Min-Expires, RSeq, Retry-After (its leading number).
pub fn number(headers: &Headers, name: &'static str) -> Result<Option<u32>, HeaderError> {
    let Some(value) = value(headers, name) else {
        return Ok(None);
    };
    let end = value.find([';', ' ', '\t', '(']).unwrap_or(value.len());
    decimal(&value[..end]).map(Some).ok_or(HeaderError(name))
}

/// Digits only: no sign, no space; `None` too when the number does not fit.
fn decimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Session-Expires (RFC 4028 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    pub refresher: Option<Refresher>,
}

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// Reads Session-Expires (compact form `x`).
pub fn session_expires(headers: &Headers) -> Result<Option<SessionExpires>, HeaderError> {
    let malformed = HeaderError("Session-Expires");
    let Some(text) = value(headers, "Session-Expires") else {
        return Ok(None);
    };
    let (interval, params) = text.split_at(text.find(';').unwrap_or(text.len()));
    let params = Params::parse(params).ok_or(malformed.clone())?;
    let refresher = match params.value("refresher") {
        Some(r) if r.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
        Some(r) if r.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
        Some(_) => return Err(malformed),
        None => None,
    };
    let interval = decimal(interval.trim_end()).ok_or(malformed)?;
    Ok(Some(SessionExpires { interval, refresher }))
}

/// RAck (RFC 3262 section 7.2): response number, CSeq number, method.
pub fn rack(headers: &Headers) -> Result<Option<(u32, u32, String)>, HeaderError> {
    let Some(text) = value(headers, "RAck") else {
        return Ok(None);
    };
    let mut words = text.split_ascii_whitespace();
    let read = (words.next().and_then(decimal), words.next().and_then(decimal), words.next(), words.next());
    match read {
        (Some(rseq), Some(cseq), Some(method), None) if is_token(method) => Ok(Some((rseq, cseq, method.to_string()))),
        _ => Err(HeaderError("RAck")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    fn with(name: &str, value: &str) -> Headers {
        Headers::from(vec![make(name, value)])
    }

    #[test]
    fn cseq_is_a_number_below_two_to_the_31_and_a_method() {
        assert_eq!(cseq(&with("CSeq", "0009   INVITE")), Ok((9, "INVITE".into())));
        assert_eq!(cseq(&with("CSeq", "2147483647 FOO")), Ok((2147483647, "FOO".into())));
        for bad in ["", "1", "INVITE", "2147483648 INVITE", "36893488147419103232 REGISTER", "-1 BYE", "1 A B", "1 a/b"]
        {
            assert_eq!(cseq(&with("CSeq", bad)), Err(HeaderError("CSeq")), "{bad}");
        }
    }

    #[test]
    fn a_number_stands_before_comment_and_parameters() {
        assert_eq!(number(&with("Retry-After", "120 (I'm in a meeting)"), "Retry-After"), Ok(Some(120)));
        assert_eq!(number(&with("Retry-After", "18000;duration=3600"), "Retry-After"), Ok(Some(18000)));
        assert_eq!(number(&with("Max-Forwards", "0068"), "Max-Forwards"), Ok(Some(68)));
        assert_eq!(number(&with("Expires", "1"), "Min-SE"), Ok(None));
        for bad in ["", "-1", "+1", "1x", "4294967296", "0x10"] {
            assert_eq!(number(&with("Expires", bad), "Expires"), Err(HeaderError("Expires")), "{bad}");
        }
    }

    #[test]
    fn session_expires_names_its_refresher() {
        let read = |value| session_expires(&with("x", value));
        let uac = SessionExpires { interval: 1800, refresher: Some(Refresher::Uac) };
        assert_eq!(read("1800 ; refresher = UAC"), Ok(Some(uac)));
        assert_eq!(read("90"), Ok(Some(SessionExpires { interval: 90, refresher: None })));
        assert!(read("90;refresher=both").is_err() && read("soon").is_err());
    }

    #[test]
    fn rack_is_two_numbers_and_a_method() {
        assert_eq!(rack(&with("RAck", "776656 1 INVITE")), Ok(Some((776656, 1, "INVITE".into()))));
        assert!(rack(&with("RAck", "1 INVITE")).is_err());
    }
}
