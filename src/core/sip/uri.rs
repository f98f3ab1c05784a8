//! SIP URIs (RFC 3261 section 19.1) into [`rsip::Uri`] and back.
//!
//! What a [`rsip::Uri`] holds here:
//! - `sip:` and `sips:`: user and password as written (percent-encoded), the host as `Host::IpAddr` for IPv4 and
//!   `Host::Domain` for names and `[IPv6]`.
//! - `tel:` (RFC 3966): scheme `Other("tel")`, the number as written in `auth.user`, an empty `Host::Domain`.
//! - any other scheme, read by [`parse_any`] only: scheme `Other(name)`, no `auth`, the opaque part in `Host::Domain`.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rsip::common::uri::{Auth, Domain, Host, HostWithPort, Param, Port, Scheme};
use rsip::{Transport, Uri};

/// Why a text is no SIP URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A scheme other than `sip`, `sips` or `tel`: 416 (RFC 3261 section 8.2.2.1).
    #[error("unsupported URI scheme {0:?}")]
    Scheme(String),
    /// Not the grammar of RFC 3261 section 25.1: 400.
    #[error("malformed URI: {0}")]
    Malformed(&'static str),
}

/// The pseudo parameter that carries `?headers`.
const HEADERS: &str = "?";

/// Reads a URI. IPv6 hosts are carried as `Host::Domain("[…]")`, parameters verbatim and in order as `Param::Other`
/// (and `Param::Transport` never: ask [`param`]), `?headers` as a final `Param::Other("?", Some("a=b&c=d"))`
/// because `rsip::Uri::headers` can not hold them.
pub fn parse(text: &str) -> Result<Uri, UriError> {
    let uri = parse_any(text)?;
    match &uri.scheme {
        Some(Scheme::Other(scheme)) if scheme != "tel" => Err(UriError::Scheme(scheme.clone())),
        _ => Ok(uri),
    }
}

/// Reads a Request-URI: what [`parse`] reads, or a service URN such as `urn:service:sos` (RFC 5031), which a phone may
/// send where it knows no number (RFC 6881 ED-62).
pub fn parse_request(text: &str) -> Result<Uri, UriError> {
    let uri = parse_any(text)?;
    match &uri.scheme {
        Some(Scheme::Other(scheme)) if scheme != "tel" && !is_service(&uri) => Err(UriError::Scheme(scheme.clone())),
        _ => Ok(uri),
    }
}

fn is_service(uri: &Uri) -> bool {
    urn(uri).is_some_and(|urn| urn.to_ascii_lowercase().starts_with("service:"))
}

/// What stands behind `urn:`.
pub(super) fn urn(uri: &Uri) -> Option<String> {
    match (&uri.scheme, &uri.host_with_port.host) {
        (Some(Scheme::Other(scheme)), Host::Domain(opaque)) if scheme == "urn" => Some(opaque.to_string()),
        _ => None,
    }
}

/// Reads a URI of any scheme, as From, To and Contact may hold (RFC 4475 section 3.3.4). [`host`] is empty and
/// [`user`] is `None` for those that [`parse`] would refuse.
pub fn parse_any(text: &str) -> Result<Uri, UriError> {
    // Non-ASCII octets are not in the grammar, but real phones put them in user parts.
    if text.bytes().any(|b| b <= b' ' || b == 0x7f || matches!(b, b'<' | b'>' | b'"')) {
        return Err(UriError::Malformed("space, quote, angle bracket or control character"));
    }
    let (scheme, rest) = text.split_once(':').ok_or(UriError::Malformed("no scheme"))?;
    let in_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(in_scheme) {
        return Err(UriError::Malformed("no scheme"));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "sip" => sip_uri(Scheme::Sip, rest),
        "sips" => sip_uri(Scheme::Sips, rest),
        "tel" => tel_uri(rest),
        other => Ok(Uri { scheme: Some(Scheme::Other(other.into())), host_with_port: opaque(rest), ..Uri::default() }),
    }
}

fn opaque(text: &str) -> HostWithPort {
    HostWithPort { host: Host::Domain(Domain::from(text)), port: None }
}

fn sip_uri(scheme: Scheme, rest: &str) -> Result<Uri, UriError> {
    // No '@' can stand unescaped in a user part, so the first one ends it; ';' and '?' before it belong to the user.
    let (auth, rest) = match rest.split_once('@') {
        Some((userinfo, rest)) => (Some(userinfo_of(userinfo)?), rest),
        None => (None, rest),
    };
    let (rest, headers) = match rest.split_once('?') {
        Some((rest, headers)) => (rest, Some(headers)),
        None => (rest, None),
    };
    let (hostport, params) = match rest.split_once(';') {
        Some((hostport, params)) => (hostport, Some(params)),
        None => (rest, None),
    };
    let (host, port) = host_and_port(hostport).ok_or(UriError::Malformed("host or port"))?;
    let mut params = params_of(params)?;
    if let Some(headers) = headers {
        check_escapes(headers)?;
        params.push(Param::Other(HEADERS.into(), Some(headers.into())));
    }
    let host_with_port = HostWithPort { host: host_of(host), port: port.map(Port::from) };
    Ok(Uri { scheme: Some(scheme), auth, host_with_port, params, headers: Vec::new() })
}

fn tel_uri(rest: &str) -> Result<Uri, UriError> {
    let (number, params) = match rest.split_once(';') {
        Some((number, params)) => (number, Some(params)),
        None => (rest, None),
    };
    let in_number = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'+' | b'*' | b'#' | b'-' | b'.' | b'(' | b')');
    if !number.bytes().any(|b| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#')) || !number.bytes().all(in_number) {
        return Err(UriError::Malformed("telephone number"));
    }
    Ok(Uri {
        scheme: Some(Scheme::Other("tel".into())),
        auth: Some(Auth { user: number.into(), password: None }),
        host_with_port: opaque(""),
        params: params_of(params)?,
        headers: Vec::new(),
    })
}

fn userinfo_of(text: &str) -> Result<Auth, UriError> {
    check_escapes(text)?;
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password.to_string())),
        None => (text, None),
    };
    if user.is_empty() {
        return Err(UriError::Malformed("empty user"));
    }
    Ok(Auth { user: user.to_string(), password })
}

fn params_of(text: Option<&str>) -> Result<Vec<Param>, UriError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    check_escapes(text)?;
    text.split(';')
        .map(|param| match param.split_once('=') {
            Some(("", _)) => Err(UriError::Malformed("parameter without a name")),
            Some((name, value)) => Ok(Param::Other(name.into(), Some(value.into()))),
            None if param.is_empty() => Err(UriError::Malformed("empty parameter")),
            None => Ok(Param::Other(param.into(), None)),
        })
        .collect()
}

fn check_escapes(text: &str) -> Result<(), UriError> {
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let bad = |i: usize| bytes[i] == b'%' && !(hex(bytes.get(i + 1)) && hex(bytes.get(i + 2)));
    if (0..bytes.len()).any(bad) { Err(UriError::Malformed("escape")) } else { Ok(()) }
}

/// Splits and checks `host[:port]`; IPv6 keeps its brackets.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (&text[..address.len() + 2], port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    // '_' is not in the grammar of host names, but is in use.
    let in_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(in_name)) {
        return None;
    }
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host, port))
}

fn host_of(text: &str) -> Host {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Host::IpAddr(address.into()),
        Err(_) => Host::Domain(Domain::from(text)),
    }
}

/// Writes a URI that [`parse`] read, or that was built with [`sip`].
pub fn write(uri: &Uri) -> String {
    let mut out = String::with_capacity(64);
    match &uri.scheme {
        Some(Scheme::Sips) => out.push_str("sips:"),
        Some(Scheme::Other(scheme)) => {
            out.push_str(scheme);
            out.push(':');
        }
        Some(Scheme::Sip) | None => out.push_str("sip:"),
    }
    let with_host = is_sip(uri);
    if let Some(auth) = &uri.auth {
        out.push_str(&auth.user);
        if let Some(password) = &auth.password {
            out.push(':');
            out.push_str(password);
        }
        if with_host {
            out.push('@');
        }
    }
    match &uri.host_with_port.host {
        Host::IpAddr(std::net::IpAddr::V6(address)) => out.push_str(&format!("[{address}]")),
        Host::IpAddr(address) => out.push_str(&address.to_string()),
        Host::Domain(domain) => out.push_str(&domain.to_string()),
    }
    if let Some(port) = port(uri) {
        out.push_str(&format!(":{port}"));
    }
    for item in &uri.params {
        let (name, value) = param_parts(item);
        if name == HEADERS {
            out.push('?');
            out.push_str(value.as_deref().unwrap_or_default());
            continue;
        }
        out.push(';');
        out.push_str(&name);
        if let Some(value) = value {
            out.push('=');
            out.push_str(&value);
        }
    }
    // A URI built from hostile text must not end its line or leave its angle brackets.
    out.retain(|c| c > ' ' && !matches!(c, '<' | '>' | '"' | '\x7f'));
    out
}

/// `sip:user@host:port`; `host` may be an IP address (IPv6 gets its brackets here) or a name. `user` is plain text as
/// [`user`] gives it; what the grammar reserves is percent-encoded here (`*21#` is `*21%23`).
pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Uri {
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => Host::Domain(Domain::from(format!("[{address}]"))),
        Err(_) => host_of(host),
    };
    Uri {
        scheme: Some(Scheme::Sip),
        auth: user.map(|user| Auth { user: utf8_percent_encode(user, IN_USER).to_string(), password: None }),
        host_with_port: HostWithPort { host, port: port.map(Port::from) },
        params: Vec::new(),
        headers: Vec::new(),
    }
}

/// Whether the scheme is `sip` or `sips` (an absent one counts as `sip`).
pub fn is_sip(uri: &Uri) -> bool {
    !matches!(uri.scheme, Some(Scheme::Other(_)))
}

/// The user part, percent-decoded (`*21%23` is `*21#`), without `;user-params`. Of a `tel:` URI the number without
/// visual separators (RFC 3966 section 5.1.1).
pub fn user(uri: &Uri) -> Option<String> {
    let user = &uri.auth.as_ref()?.user;
    if is_sip(uri) {
        return Some(decode(user.split(';').next().unwrap_or_default()).into_owned());
    }
    Some(user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect())
}

/// The host as text, IPv6 without brackets, lower case. Empty where the scheme has none.
pub fn host(uri: &Uri) -> String {
    match &uri.host_with_port.host {
        _ if !is_sip(uri) => String::new(),
        Host::IpAddr(address) => address.to_string(),
        Host::Domain(domain) => {
            let mut text = domain.to_string();
            text.make_ascii_lowercase();
            match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
                Some(address) => address.to_string(),
                None => text,
            }
        }
    }
}

/// The port, if the URI has one.
pub fn port(uri: &Uri) -> Option<u16> {
    uri.host_with_port.port.map(|port| *port.value())
}

/// A URI parameter by name (case-insensitive): `Some(None)` for a flag such as `lr`. Percent-decoded.
pub fn param(uri: &Uri, name: &str) -> Option<Option<String>> {
    uri.params.iter().find_map(|item| {
        let (n, value) = param_parts(item);
        same_param(&n, name).then(|| value.map(|v| decode(&v).into_owned()))
    })
}

/// Adds or replaces a URI parameter.
pub fn set_param(uri: &mut Uri, name: &str, value: Option<&str>) {
    let new = Param::Other(name.into(), value.map(|v| utf8_percent_encode(v, IN_PARAM).to_string().into()));
    match uri.params.iter_mut().find(|item| same_param(&param_parts(item).0, name)) {
        Some(old) => *old = new,
        None => {
            let end = uri.params.iter().position(|item| param_parts(item).0 == HEADERS).unwrap_or(uri.params.len());
            uri.params.insert(end, new);
        }
    }
}

fn same_param(written: &str, name: &str) -> bool {
    written != HEADERS && decode(written).eq_ignore_ascii_case(name)
}

/// A `?name=value` header of the URI, percent-decoded (`Replaces` in a Refer-To).
pub fn header(uri: &Uri, name: &str) -> Option<String> {
    let headers = uri.params.iter().find_map(|item| match item {
        Param::Other(n, Some(value)) if n.value() == HEADERS => Some(value.value()),
        _ => None,
    })?;
    headers.split('&').find_map(|header| {
        let (n, value) = header.split_once('=')?;
        decode(n).eq_ignore_ascii_case(name).then(|| decode(value).into_owned())
    })
}

/// Whether the URI carries `?headers`, which a Request-URI must not (RFC 3261 section 19.1.1).
pub fn has_headers(uri: &Uri) -> bool {
    uri.params.iter().any(|item| param_parts(item).0 == HEADERS)
}

/// Name and value of a parameter, whichever of rsip's variants it was built as.
fn param_parts(param: &Param) -> (Cow<'_, str>, Option<Cow<'_, str>>) {
    fn with<'a>(name: &'static str, value: &'a str) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
        (Cow::Borrowed(name), Some(Cow::Borrowed(value)))
    }
    match param {
        Param::Transport(transport) => with("transport", transport_token(*transport)),
        Param::User(user) => with("user", user.value()),
        Param::Method(method) => with("method", super::wire::method_token(*method)),
        Param::Ttl(ttl) => with("ttl", ttl.value()),
        Param::Maddr(maddr) => with("maddr", maddr.value()),
        Param::Lr => (Cow::Borrowed("lr"), None),
        Param::Branch(branch) => with("branch", branch.value()),
        Param::Received(received) => with("received", received.value()),
        Param::Tag(tag) => with("tag", tag.value()),
        Param::Expires(expires) => with("expires", expires.value()),
        Param::Q(q) => with("q", q.value()),
        Param::Other(name, value) => (Cow::Borrowed(name.value()), value.as_ref().map(|v| Cow::Borrowed(v.value()))),
    }
}

fn transport_token(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::TlsSctp => "tls-sctp",
        Transport::Sctp => "sctp",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
    }
}

/// Percent-decodes; a lone `%` stays, and octets that are no UTF-8 become U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// Percent-decodes; a lone `%` stays. `None` when the octets are no UTF-8.
pub(super) fn decode_utf8(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// All but unreserved and user-unreserved characters; `;` too, so that [`user`] gives the text back.
const IN_USER: &AsciiSet = &all_but(b"-_.!~*'()&=+$,?/");
/// All but what a URI parameter may hold (paramchar).
const IN_PARAM: &AsciiSet = &all_but(b"-_.!~*'()[]/:&+$");

/// What is escaped where letters, digits and `plain` stay.
const fn all_but(plain: &[u8]) -> AsciiSet {
    // A copy: `%` is in it.
    let mut set = NON_ALPHANUMERIC.add(b'%');
    let mut at = 0;
    while at < plain.len() {
        set = set.remove(plain[at]);
        at += 1;
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Uri {
        let uri = parse(text).unwrap();
        assert_eq!(write(&uri), text, "what was read is written back");
        uri
    }

    #[test]
    fn a_uri_is_read_into_its_parts_and_written_back_as_it_was() {
        let uri = read("sip:alice:secret@Atlanta.example.com:5070;transport=tcp;lr");
        assert_eq!(user(&uri).as_deref(), Some("alice"));
        assert_eq!(host(&uri), "atlanta.example.com");
        assert_eq!(port(&uri), Some(5070));
        assert_eq!(param(&uri, "Transport"), Some(Some("tcp".into())));
        assert_eq!(param(&uri, "lr"), Some(None));
        assert_eq!(param(&uri, "maddr"), None);
    }

    #[test]
    fn an_ipv6_host_keeps_its_brackets_in_the_uri_and_loses_them_as_a_host() {
        let uri = read("sip:101@[2001:db8::9]:5061");
        assert_eq!((host(&uri).as_str(), port(&uri)), ("2001:db8::9", Some(5061)));
        assert_eq!(write(&sip(Some("101"), "2001:db8::9", None)), "sip:101@[2001:db8::9]");
        assert!(parse("sip:[2001:db8::9").is_err());
        assert!(parse("sip:2001:db8::9").is_err());
    }

    #[test]
    fn a_star_code_is_decoded_from_its_user_part_and_encoded_into_it() {
        assert_eq!(user(&read("sip:*21%23@pbx")).as_deref(), Some("*21#"));
        assert_eq!(user(&read("sip:*21#@pbx")).as_deref(), Some("*21#"));
        assert_eq!(write(&sip(Some("*21#"), "pbx", None)), "sip:*21%23@pbx");
    }

    #[test]
    fn any_text_is_escaped_as_the_grammar_asks_and_read_back() {
        let ascii: String = (1..=0x7f).map(char::from).collect();
        let text = write(&sip(Some(&format!("{ascii}é")), "pbx", None));
        let plain: String = text.split('%').skip(1).map(|part| part.get(2..).unwrap_or_default()).collect();
        let letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
        assert_eq!(plain.replace("@pbx", ""), format!("!$&'()*+,-./{}=?{}", &letters[..10], &letters[10..]));
        assert_eq!(user(&read(&text)), Some(format!("{ascii}é")));
        let mut uri = read("sip:pbx");
        set_param(&mut uri, "x", Some(&ascii));
        assert_eq!(param(&parse(&write(&uri)).unwrap(), "x"), Some(Some(ascii)));
        assert!(write(&uri).ends_with("%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~%7F"), "{}", write(&uri));
    }

    #[test]
    fn a_semicolon_in_the_user_part_is_not_a_uri_parameter() {
        let uri = read("sip:+15551234;phone-context=x@example.com;user=phone");
        assert_eq!(user(&uri).as_deref(), Some("+15551234"));
        assert_eq!(param(&uri, "user"), Some(Some("phone".into())));
        assert_eq!(param(&uri, "phone-context"), None);
    }

    #[test]
    fn a_tel_uri_gives_its_number_without_visual_separators() {
        let uri = read("tel:+1-503-555-1212;phone-context=example.com");
        assert_eq!(user(&uri).as_deref(), Some("+15035551212"));
        assert_eq!(host(&uri), "");
        assert_eq!(param(&uri, "phone-context"), Some(Some("example.com".into())));
        assert!(parse("tel:alice").is_err());
    }

    #[test]
    fn another_scheme_is_unsupported_in_a_request_and_opaque_in_a_header() {
        assert_eq!(parse("http://www.example.com"), Err(UriError::Scheme("http".into())));
        let uri = parse_any("http://www.example.com").unwrap();
        assert_eq!(write(&uri), "http://www.example.com");
        assert_eq!((user(&uri), host(&uri), is_sip(&uri)), (None, String::new(), false));
    }

    #[test]
    fn headers_of_a_uri_are_read_decoded_and_kept_behind_the_parameters() {
        let mut uri = read("sip:102@pbx?Replaces=abc%40pbx%3Bto-tag%3D1%3Bfrom-tag%3D2&Subject=x");
        assert_eq!(header(&uri, "replaces").as_deref(), Some("abc@pbx;to-tag=1;from-tag=2"));
        assert!(has_headers(&uri));
        set_param(&mut uri, "transport", Some("tls"));
        assert!(write(&uri).starts_with("sip:102@pbx;transport=tls?Replaces="));
        set_param(&mut uri, "TRANSPORT", Some("tcp"));
        assert!(write(&uri).starts_with("sip:102@pbx;TRANSPORT=tcp?Replaces="));
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            ":x",
            "sip:@host",
            "sip:a b@host",
            "<sip:a@host>",
            "sip:a@host;",
            "sip:a@host;;lr",
            "sip:a@host:port",
            "sip:a@host:70000",
            "sip:a@host:",
            "sip:a%zz@host",
            "sip:a@ho%20st",
            "sip:a@host;=x",
        ] {
            assert!(matches!(parse(text), Err(UriError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_uri_built_from_hostile_text_stays_one_word() {
        let mut uri = sip(Some("a\r\nVia: x"), "host\r\nRoute: <sip:evil>", Some(5060));
        set_param(&mut uri, "x", Some("\r\nTo: y"));
        let text = write(&uri);
        assert!(!text.contains(['\r', '\n', ' ', '<', '>']), "{text}");
    }

    #[test]
    fn rsip_parameters_built_by_variant_are_seen_too() {
        let mut uri = sip(None, "192.0.2.1", None);
        uri.params = vec![Param::Transport(Transport::Tls), Param::Lr];
        assert_eq!(write(&uri), "sip:192.0.2.1;transport=tls;lr");
        assert_eq!(param(&uri, "transport"), Some(Some("tls".into())));
    }
}
