//! Replaces (RFC 3891 section 6.1).

use super::{HeaderError, Params};

/// Replaces (RFC 3891), from a header or from a Refer-To URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
    pub early_only: bool,
}

impl Replaces {
    /// Reads the value, decoded where it comes from a URI ([`crate::sip::uri::header`]).
    pub fn parse(value: &str) -> Result<Replaces, HeaderError> {
        Replaces::read(value).ok_or(HeaderError("Replaces"))
    }

    fn read(value: &str) -> Option<Replaces> {
        let (call_id, params) = value.split_at(value.find(';')?);
        let call_id = call_id.trim();
        let params = Params::parse(params)?;
        Some(Replaces {
            call_id: (!call_id.is_empty()).then(|| call_id.to_string())?,
            to_tag: params.value("to-tag")?.to_string(),
            from_tag: params.value("from-tag")?.to_string(),
            early_only: params.get("early-only").is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_needs_a_call_id_and_both_tags() {
        let r = Replaces::parse("425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only").unwrap();
        assert_eq!(
            (r.call_id.as_str(), r.to_tag.as_str(), r.from_tag.as_str()),
            ("425928@bobster.example.org", "7743", "6472")
        );
        assert!(r.early_only);
        for bad in ["", "a@b", ";to-tag=1;from-tag=2", "a@b;to-tag=1", "a@b;from-tag=1"] {
            assert_eq!(Replaces::parse(bad), Err(HeaderError("Replaces")), "{bad}");
        }
    }
}
