//! Reason (RFC 3326).

use rsip::Headers;

use super::untyped::push;
use super::{HeaderError, Params, is_token, split_list};

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
}
