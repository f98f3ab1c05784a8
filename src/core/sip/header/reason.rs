//! Reason (RFC 3326).

use std::fmt;

use rsip::Headers;

use super::untyped::push;
use super::{HeaderError, Params, is_token, quote, split_list, values};

/// Reasons of one message that are read: one for each protocol (RFC 3326 section 2), and SIP and Q.850 are all there are.
const MAX_REASONS: usize = 2;

/// Characters of a reason's text that are kept.
const MAX_TEXT: usize = 80;

/// Cause and text of a Reason header with protocol Q.850 or SIP (RFC 3326).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub protocol: String,
    pub cause: Option<u16>,
    pub text: Option<String>,
}

impl Reason {
    /// Reads the first reason of the value.
    pub fn parse(value: &str) -> Result<Reason, HeaderError> {
        let malformed = HeaderError("Reason");
        let first = split_list(value).next().unwrap_or_default();
        let (protocol, params) = first.split_at(first.find(';').unwrap_or(first.len()));
        let protocol = protocol.trim();
        let params = Params::parse(params).filter(|_| is_token(protocol)).ok_or(malformed.clone())?;
        let cause = params.value("cause").map(|c| c.parse().map_err(|_| malformed)).transpose()?;
        Ok(Reason { protocol: protocol.to_string(), cause, text: params.value("text").map(str::to_string) })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        match &self.text {
            Some(text) => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
                write!(f, ";text={}", quote(&text))
            }
            None => Ok(()),
        }
    }
}

/// The first Reason as it was written.
pub fn reason(headers: &Headers) -> Option<&str> {
    values(headers, "Reason").next()
}

/// Why the sender of a CANCEL or BYE ends it; what cannot be read is passed over.
pub fn reasons(headers: &Headers) -> Vec<Reason> {
    let all = values(headers, "Reason").flat_map(split_list);
    all.filter_map(|value| Reason::parse(value).ok()).take(MAX_REASONS).collect()
}

/// Writes why a dialog or an INVITE ends.
pub fn push_reason(headers: &mut Headers, value: String) {
    push(headers, "Reason", value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_twilio_bye_is_read() {
        let reason = Reason::parse(r#"Q.850;cause=16;text="Normal call clearing""#).unwrap();
        assert_eq!(reason.protocol, "Q.850");
        assert_eq!((reason.cause, reason.text.as_deref()), (Some(16), Some("Normal call clearing")));
    }

    #[test]
    fn the_first_of_two_reasons_counts() {
        let reason = Reason::parse(r#"SIP ;cause=200 ;text="Call completed, elsewhere", Q.850;cause=26"#).unwrap();
        assert_eq!((reason.protocol.as_str(), reason.cause), ("SIP", Some(200)));
        assert!(Reason::parse("").is_err() && Reason::parse("SIP;cause=x").is_err());
    }

    #[test]
    fn reasons_are_read_from_all_headers_and_written_again() {
        let headers = Headers::from(vec![
            super::super::make("Reason", r#"q.850;cause=26, SIP;cause=bad"#),
            super::super::make("Reason", r#"SIP;cause=200;text="a \"b\"";x=1"#),
            super::super::make("Reason", "SIP;cause=600"),
        ]);
        let told: Vec<String> = reasons(&headers).iter().map(Reason::to_string).collect();
        assert_eq!(told, ["q.850;cause=26", r#"SIP;cause=200;text="a \"b\"""#]);
    }
}
