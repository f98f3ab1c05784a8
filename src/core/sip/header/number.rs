//! Headers that hold numbers: CSeq, RAck, RSeq, Max-Forwards, Expires, Min-Expires, Retry-After.

use rsip::Headers;

use super::untyped::push;
use super::{HeaderError, is_token, set, value};

/// CSeq number and method token (RFC 3261 section 20.16; below 2^31).
pub fn cseq(headers: &Headers) -> Result<(u32, String), HeaderError> {
    let malformed = HeaderError("CSeq");
    let mut words = value(headers, "CSeq").ok_or(malformed.clone())?.split_ascii_whitespace();
    match (words.next().and_then(decimal), words.next(), words.next()) {
        (Some(number), Some(method), None) if number < 1 << 31 && is_token(method) => Ok((number, method.to_string())),
        _ => Err(malformed),
    }
}

/// Writes CSeq.
pub fn push_cseq(headers: &mut Headers, number: u32, method: &str) {
    push(headers, "CSeq", format!("{number} {method}"));
}

/// Replaces CSeq.
pub fn set_cseq(headers: &mut Headers, number: u32, method: &str) {
    set(headers, "CSeq", format!("{number} {method}"));
}

/// Max-Forwards (RFC 3261 section 20.22): hops that are left.
pub fn max_forwards(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "Max-Forwards")
}

/// Writes Max-Forwards.
pub fn push_max_forwards(headers: &mut Headers, hops: u32) {
    push(headers, "Max-Forwards", hops.to_string());
}

/// Expires (RFC 3261 section 20.19), seconds.
pub fn expires(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "Expires")
}

/// Writes Expires.
pub fn push_expires(headers: &mut Headers, seconds: u32) {
    push(headers, "Expires", seconds.to_string());
}

/// Min-Expires of a 423 (RFC 3261 section 20.23), seconds.
pub fn min_expires(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "Min-Expires")
}

/// Writes Min-Expires.
pub fn push_min_expires(headers: &mut Headers, seconds: u64) {
    push(headers, "Min-Expires", seconds.to_string());
}

/// Retry-After (RFC 3261 section 20.33), seconds; comment and duration are passed over.
pub fn retry_after(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "Retry-After")
}

/// Writes Retry-After.
pub fn push_retry_after(headers: &mut Headers, seconds: u64) {
    push(headers, "Retry-After", seconds.to_string());
}

/// RSeq of a reliable provisional response (RFC 3262 section 7.1).
pub fn rseq(headers: &Headers) -> Result<Option<u32>, HeaderError> {
    number(headers, "RSeq")
}

/// Writes RSeq.
pub fn push_rseq(headers: &mut Headers, number: u32) {
    push(headers, "RSeq", number.to_string());
}

/// A decimal header: its leading number.
pub(super) fn number(headers: &Headers, name: &'static str) -> Result<Option<u32>, HeaderError> {
    let Some(value) = value(headers, name) else {
        return Ok(None);
    };
    let end = value.find([';', ' ', '\t', '(']).unwrap_or(value.len());
    decimal(&value[..end]).map(Some).ok_or(HeaderError(name))
}

/// Digits only: no sign, no space; `None` too when the number does not fit.
pub(super) fn decimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
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

/// Writes the RAck of the PRACK to an INVITE's response.
pub fn push_rack(headers: &mut Headers, rseq: u32, cseq: u32) {
    push(headers, "RAck", format!("{rseq} {cseq} INVITE"));
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
    fn rack_is_two_numbers_and_a_method() {
        assert_eq!(rack(&with("RAck", "776656 1 INVITE")), Ok(Some((776656, 1, "INVITE".into()))));
        assert!(rack(&with("RAck", "1 INVITE")).is_err());
    }
}
