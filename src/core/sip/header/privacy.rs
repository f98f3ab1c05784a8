//! Privacy (RFC 3323), as phones ask for it.

use rsip::Headers;

use super::untyped::{push, tokens};
use super::{NameAddr, values};
use crate::sip::uri;

/// The host of a URI that names nobody (RFC 3323 section 4.1.1.3).
const NOBODY: &str = "anonymous.invalid";

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Nothing.
    None,
    /// The called party is not to see who calls.
    Asked,
    /// Nor is the call to be made where it would (`critical`, RFC 3323 section 4.2).
    Critical,
}

/// What the headers of an INVITE ask for: `Privacy: id`, `user` or `header` (RFC 3323, RFC 3325 section 9.3), a From of
/// nobody, or what older phones write (`Remote-Party-ID: …;privacy=full`).
pub fn privacy(headers: &Headers) -> Privacy {
    let asked: Vec<&str> = tokens(headers, "Privacy").flat_map(|list| list.split(';')).map(str::trim).collect();
    let has = |wanted: &str| asked.iter().any(|token| token.eq_ignore_ascii_case(wanted));
    let party_id =
        |value| NameAddr::parse(value).is_ok_and(|id| id.params.value("privacy").is_some_and(|p| p != "off"));
    let is_nobody = super::from(headers).is_ok_and(|from| uri::host(&from.uri) == NOBODY);
    match ["id", "user", "header"].iter().any(|token| has(token)) {
        true if has("critical") => Privacy::Critical,
        true => Privacy::Asked,
        false if is_nobody || values(headers, "Remote-Party-ID").any(party_id) => Privacy::Asked,
        false => Privacy::None,
    }
}

/// Asks Twilio for it: by the header of RFC 3325 section 9.3, and by one that our webhook sees as [`PRIVACY_FIELD`]
/// (TWILIO.md "Headers for the webhook").
pub fn push_privacy(headers: &mut Headers) {
    push(headers, "Privacy", "id");
    push(headers, "X-Gateway-Privacy", "id");
}

/// The field of the webhook that says that a caller withholds the number.
pub const PRIVACY_FIELD: &str = "SipHeader_X-Gateway-Privacy";

impl NameAddr {
    /// The From of a caller who is not to be seen (RFC 3323 section 4.1.1.3).
    pub fn anonymous() -> NameAddr {
        NameAddr { display: Some("Anonymous".into()), ..NameAddr::new(uri::sip(Some("anonymous"), NOBODY, None)) }
    }

    /// Whether it is one.
    pub fn is_anonymous(&self) -> bool {
        uri::host(&self.uri) == NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    #[test]
    fn privacy_is_asked_for_in_every_form_that_phones_write() {
        let from = "<sip:101@pbx>;tag=1";
        for (name, value, asked) in [
            ("Privacy", "id", Privacy::Asked),
            ("Privacy", "none", Privacy::None),
            ("Privacy", "session", Privacy::None),
            ("Privacy", "Header;USER", Privacy::Asked),
            ("Privacy", "id;critical", Privacy::Critical),
            ("Privacy", "critical, id", Privacy::Critical),
            ("Remote-Party-ID", "<sip:101@pbx>;party=calling;privacy=full;screen=no", Privacy::Asked),
            ("Remote-Party-ID", "<sip:101@pbx>;privacy=off", Privacy::None),
            ("P-Preferred-Identity", "<sip:101@pbx>", Privacy::None),
        ] {
            let headers = Headers::from(vec![make("From", from), make(name, value)]);
            assert_eq!(privacy(&headers), asked, "{name}: {value}");
        }
        let nobody = Headers::from(vec![make("f", "<sip:thatsme@Anonymous.Invalid>;tag=1")]);
        assert_eq!(privacy(&nobody), Privacy::Asked);
        assert!(NameAddr::anonymous().is_anonymous());
    }
}
