//! name-addr and addr-spec (RFC 3261 section 20.10 and 25.1).

use std::borrow::Cow;

use rsip::{Headers, Uri};

use super::text::{find_outside, quoted_string};
use super::untyped::push;
use super::{HeaderError, Params, params, quote, set, split_list, values};
use crate::sip::uri;

/// name-addr or addr-spec with parameters: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity.
#[derive(Clone, Debug, PartialEq)]
pub struct NameAddr {
    /// Display name without quotes and escapes.
    pub display: Option<String>,
    /// Any scheme (RFC 4475 section 3.3.4); ask [`uri::is_sip`].
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q`, `+sip.instance`…). For an addr-spec without `<>` every `;param`
    /// belongs to the header (RFC 3261 section 20.10).
    pub params: Params,
}

impl NameAddr {
    /// An address without display name and parameters.
    pub fn new(uri: Uri) -> Self {
        NameAddr { display: None, uri, params: Params::default() }
    }

    /// Reads one value.
    pub fn parse(value: &str) -> Result<NameAddr, HeaderError> {
        NameAddr::read(value.trim()).ok_or(HeaderError("address"))
    }

    fn read(value: &str) -> Option<NameAddr> {
        let (display, rest) = match value.starts_with('"') {
            true => {
                let (display, rest) = quoted_string(value)?;
                (Some(display).filter(|d| !d.is_empty()), rest.trim_start())
            }
            false => match find_outside(value, b'<') {
                Some(bracket) => (unquoted_display(&value[..bracket])?, &value[bracket..]),
                None => return NameAddr::read_addr_spec(value),
            },
        };
        let (addr_spec, params) = rest.strip_prefix('<')?.split_once('>')?;
        Some(NameAddr { display, uri: uri_in(addr_spec)?, params: Params::parse(params)? })
    }

    fn read_addr_spec(value: &str) -> Option<NameAddr> {
        let (addr_spec, params) = value.split_at(value.find(';').unwrap_or(value.len()));
        // A comma or question mark must stand in <> (RFC 3261 section 20.10).
        if addr_spec.contains([',', '?']) {
            return None;
        }
        Some(NameAddr { display: None, uri: uri_in(addr_spec.trim_end())?, params: Params::parse(params)? })
    }

    /// The dialog's tag.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag").filter(|t| !t.is_empty())
    }
}

/// A URI. For a caller whose number is withheld some write an empty user (`sip:@host`), which the grammar has not.
fn uri_in(addr_spec: &str) -> Option<Uri> {
    let bare = addr_spec.split_once(":@").filter(|(scheme, _)| !scheme.contains([':', '@']));
    match bare {
        Some((scheme, host)) => uri::parse_any(&format!("{scheme}:{host}")),
        None => uri::parse_any(addr_spec),
    }
    .ok()
}

/// The tag of a From or To value that [`NameAddr::parse`] takes, without reading the address: transactions and dialogs
/// are found by it, again and again.
pub fn tag(value: &str) -> Option<Cow<'_, str>> {
    let params = match find_outside(value, b'<') {
        Some(bracket) => value[bracket..].split_once('>')?.1,
        None => &value[value.find(';')?..],
    };
    params::find(params, "tag").filter(|tag| !tag.is_empty())
}

/// Tokens by the grammar. Phones also leave out the quotes around `Bell, Alexander` (RFC 4475 section 3.1.2.15 allows
/// to infer them); what could hide another address is refused.
fn unquoted_display(text: &str) -> Option<Option<String>> {
    let text = text.trim();
    if text.contains([';', '"', '>', '@']) {
        return None;
    }
    Some((!text.is_empty()).then(|| text.to_string()))
}

/// Always written with `<>`.
impl std::fmt::Display for NameAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(display) = self.display.as_deref().filter(|d| !d.is_empty()) {
            write!(f, "{} ", quote(display))?;
        }
        write!(f, "<{}>{}", uri::write(&self.uri), self.params)
    }
}

/// One of Contact's values.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "almost all are addresses: a box would cost each an allocation")]
pub enum Contact {
    /// `*`, for a REGISTER with Expires 0.
    Star,
    Addr(NameAddr),
}

/// All contacts (RFC 3261 section 20.10).
pub fn contacts(headers: &Headers) -> Result<Vec<Contact>, HeaderError> {
    values(headers, "Contact")
        .flat_map(split_list)
        .map(|value| match value {
            "*" => Ok(Contact::Star),
            value => NameAddr::parse(value).map(Contact::Addr).map_err(|_| HeaderError("Contact")),
        })
        .collect()
}

/// Appends a Contact value.
pub fn push_contact(headers: &mut Headers, value: impl Into<String>) {
    push(headers, "Contact", value);
}

/// Replaces all contacts by one.
pub fn set_contact(headers: &mut Headers, value: impl Into<String>) {
    set(headers, "Contact", value);
}

#[cfg(test)]
mod tests {
    use super::super::make;
    use super::*;

    #[test]
    fn a_quoted_display_name_may_hold_anything() {
        let a = NameAddr::parse(r#""<sip:evil@x>, \"B\"" <sip:bob@example.com;lr>;tag=1"#).unwrap();
        assert_eq!(a.display.as_deref(), Some(r#"<sip:evil@x>, "B""#));
        assert_eq!(uri::user(&a.uri).as_deref(), Some("bob"));
        assert_eq!(a.tag(), Some("1"));
        assert_eq!(a.to_string(), r#""<sip:evil@x>, \"B\"" <sip:bob@example.com;lr>;tag=1"#);
    }

    #[test]
    fn parameters_behind_an_addr_spec_belong_to_the_header() {
        let a = NameAddr::parse("sip:alice@example.com;transport=tcp;tag=x").unwrap();
        assert_eq!(uri::param(&a.uri, "transport"), None);
        assert_eq!(a.params.value("transport"), Some("tcp"));
        assert_eq!(a.to_string(), "<sip:alice@example.com>;transport=tcp;tag=x");
    }

    #[test]
    fn a_contact_with_an_instance_is_read_and_written() {
        let text = r#"<sip:101@192.0.2.7:5060;transport=udp>;+sip.instance="<urn:uuid:f81d4fae-7dec>";reg-id=1;q=0.5"#;
        let a = NameAddr::parse(text).unwrap();
        assert_eq!(a.params.value("+sip.instance"), Some("<urn:uuid:f81d4fae-7dec>"));
        assert_eq!(a.to_string(), text);
    }

    #[test]
    fn a_display_name_without_quotes_is_taken_as_it_is() {
        assert_eq!(NameAddr::parse("caller<sip:c@x>").unwrap().display.as_deref(), Some("caller"));
        assert_eq!(NameAddr::parse("Bell, Alexander <sip:c@x>").unwrap().display.as_deref(), Some("Bell, Alexander"));
        assert_eq!(NameAddr::parse("<sip:c@x>").unwrap().display, None);
        assert_eq!(NameAddr::parse("\"\" <sip:c@x>").unwrap().display, None);
    }

    #[test]
    fn a_tag_is_found_without_reading_the_address() {
        for text in [
            r#""<sip:evil@x>;tag=no" <sip:bob@example.com;tag=no>;x="a;b";tag=1"#,
            "sip:alice@example.com;transport=tcp;TAG=1",
            "caller<sip:c@x> ; tag = \"1\" ;tag=2",
            "<sip:c@x>",
            "<sip:c@x;tag=no>;tag=",
            "sip:c@x",
        ] {
            assert_eq!(tag(text).as_deref(), NameAddr::parse(text).unwrap().tag(), "{text}");
        }
    }

    #[test]
    fn an_empty_user_is_none() {
        for (text, host) in
            [("<sip:@pbx>;tag=1", "pbx"), ("\"\" <sips:@pbx:5061>", "pbx"), ("sip:@192.0.2.1;tag=1", "192.0.2.1")]
        {
            let a = NameAddr::parse(text).unwrap();
            assert_eq!((uri::user(&a.uri), uri::host(&a.uri).as_str()), (None, host), "{text}");
        }
        assert!(NameAddr::parse("<sip:@>").is_err());
        assert!(NameAddr::parse("<sip:a:@pbx>").is_ok(), "an empty password is none of this");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "*",
            "alice",
            "alan@jasomi.com",
            "\"open <sip:a@b>",
            "< sip:a@b >",
            "<sip:a@b",
            "<sip:a@b>;;",
            "<sip:a@b> x",
            "sip:a@b?Route=%3Csip:c%3E",
            "sip:a,b@c",
            "x;y <sip:a@b>",
            "\"x\" sip:a@b",
            "a@b <sip:c@d>",
        ] {
            assert_eq!(NameAddr::parse(text), Err(HeaderError("address")), "{text}");
        }
    }

    #[test]
    fn contacts_are_a_star_or_addresses_over_all_headers() {
        let headers = Headers::from(vec![make("m", "<sip:a@b>, \"x, y\" <sip:c@d>"), make("Contact", "*")]);
        let all = contacts(&headers).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], Contact::Star);
        assert!(contacts(&Headers::from(vec![make("m", "<sip:a@b>,")])).is_err());
    }
}
