//! Readers of single values. Each answers with the value, or with what is wrong and the way out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::host::is_private;
use super::{Ipv4Network, Protection, Secure, Server, Srtp};
use crate::url::{Port, Url, is_host_name};

/// Digits of an E.164 number, country code included (ITU-T E.164 section 6).
const E164_DIGITS: RangeInclusive<usize> = 7..=15;

/// Longest text that is taken anywhere in the file, in bytes.
const MAX_TEXT: usize = 1024;

/// Longest line of a postal address, in characters.
const MAX_POSTAL: usize = 100;

/// Largest spend limit, in cents.
const MAX_CENTS: u64 = 100_000_000;

type Read<T> = Result<T, String>;

/// Any text.
pub(super) fn text(value: &DeValue<'_>) -> Read<String> {
    match value.as_str() {
        None => Err("is not text; put it in quotes".to_owned()),
        Some(text) if text.len() > MAX_TEXT => Err(format!("is longer than {MAX_TEXT} bytes; shorten it")),
        Some(text) if text.chars().any(char::is_control) => Err("has control characters; remove them".to_owned()),
        Some(text) => Ok(text.to_owned()),
    }
}

/// How an extension's handsets have their keys.
pub(super) fn srtp(value: &DeValue<'_>) -> Read<Srtp> {
    match value.as_str() {
        Some("auto") => Ok(Srtp::Auto),
        Some("required") => Ok(Srtp::Required),
        Some("off") => Ok(Srtp::Off),
        _ => Err("is none of the three; write \"auto\", \"required\" or \"off\"".to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| "is not a boolean; write true or false".to_owned())
}

/// `[trunk] secure`
pub(super) fn secure(value: &DeValue<'_>) -> Read<Secure> {
    match (value.as_bool(), value.as_str()) {
        (Some(true), _) => Ok(Secure::On),
        (Some(false), _) => Ok(Secure::Off),
        (None, Some("only")) => Ok(Secure::Only),
        (None, _) => Err("is none of true, false and \"only\"; write one of them".to_owned()),
    }
}

/// A whole number in a range.
pub(super) fn integer(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Read<u64> {
    move |value| {
        let way = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(number) = value.as_integer() else {
            return Err(format!("is not a whole number; {way}"));
        };
        match u64::from_str_radix(&number.as_str().replace(['_', '+'], ""), number.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("is out of range; {way}")),
        }
    }
}

/// A duration in seconds, in a range.
pub(super) fn seconds(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Read<Duration> {
    move |value| {
        integer(range.clone())(value).map(Duration::from_secs).map_err(|wrong| format!("{wrong} (it means seconds)"))
    }
}

/// 1 to `max` characters, each of them `allowed`; `names` is how an error calls those.
fn name(value: &DeValue<'_>, max: usize, allowed: impl Fn(char) -> bool, example: &str, names: &str) -> Read<String> {
    named(text(value)?, max, allowed, example, names)
}

fn named(text: String, max: usize, allowed: impl Fn(char) -> bool, example: &str, names: &str) -> Read<String> {
    match !text.is_empty() && text.len() <= max && text.chars().all(allowed) {
        true => Ok(text),
        false => Err(format!("is not 1 to {max} of {names}; write {example:?} for example")),
    }
}

/// `[site] name`: it becomes part of friendly names at Twilio, which hold 64 characters (TWILIO.md "Domain settings").
pub(super) fn site_name(value: &DeValue<'_>) -> Read<String> {
    name(value, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-', "office", "a-z 0-9 -")
}

/// The NAME of `[environment.NAME]`: it becomes part of friendly names, too.
pub(super) fn environment_name(name: &str) -> Read<String> {
    if name == crate::config::ACCOUNT {
        return Err("stands for what all environments share; take another name".to_owned());
    }
    named(name.to_owned(), 16, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), "stage", "a-z 0-9")
}

/// How numbers refer to an `[[address]]`.
pub(super) fn address_name(value: &DeValue<'_>) -> Read<String> {
    name(value, 16, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-', "office", "a-z 0-9 -")
}

/// One line of a postal address.
pub(super) fn postal(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let fits = !text.trim().is_empty() && text.chars().count() <= MAX_POSTAL;
    fits.then_some(text).ok_or_else(|| format!("is not 1 to {MAX_POSTAL} characters"))
}

/// A country by its ISO 3166-1 code of two letters.
pub(super) fn country(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let letters = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match letters {
        true if text.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(text),
        true => Err(format!("is not in capitals; write {:?}", text.to_ascii_uppercase())),
        false => Err("is not a country code; write the two letters of ISO 3166, \"US\"".to_owned()),
    }
}

/// What phone numbers begin with: `+` and one digit or more.
pub(super) fn number_prefix(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let digits = text.strip_prefix('+').unwrap_or_default();
    match (1..=*E164_DIGITS.end()).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text),
        false => Err("is not the beginning of a number; write + and its first digits, \"+4420\"".to_owned()),
    }
}

/// An IPv4 address, or a network with its prefix length.
pub(super) fn network(value: &DeValue<'_>) -> Read<Ipv4Network> {
    let text = text(value)?;
    let wrong = || "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\"".to_owned();
    let (address, prefix) = text.split_once('/').unwrap_or((&text, "32"));
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    if prefix > 32 {
        return Err(wrong());
    }
    if prefix == 0 {
        return Err("is the whole internet; remove it".to_owned());
    }
    let base = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - prefix)));
    match base == address {
        true => Ok(Ipv4Network { address, prefix }),
        false => Err(format!("is an address inside a network; write \"{base}/{prefix}\" or \"{address}\"")),
    }
}

/// An amount of money with at most two decimals, as text or number; in cents.
pub(super) fn cents(value: &DeValue<'_>) -> Read<u64> {
    let text = match value {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        DeValue::String(text) => text.as_ref(),
        _ => "",
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = || "is not an amount; write \"12.50\"".to_owned();
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
    match whole.checked_mul(100).and_then(|cents| cents.checked_add(part)) {
        Some(cents) if (1..=MAX_CENTS).contains(&cents) => Ok(cents),
        _ => Err(format!("is out of range; write 0.01 to {}", MAX_CENTS / 100)),
    }
}

/// `[webhook] protect`
pub(super) fn protection(value: &DeValue<'_>) -> Read<Protection> {
    match text(value)?.as_str() {
        "signature" => Ok(Protection::Signature),
        "credentials" => Ok(Protection::Credentials),
        _ => Err("is no way to protect webhooks; write \"signature\" or \"credentials\"".to_owned()),
    }
}

/// An extension: at most 32 characters, Twilio's limit for a credential's username (TWILIO.md "Credentials").
pub(super) fn extension(value: &DeValue<'_>) -> Read<String> {
    name(value, 32, |c| c.is_ascii_alphanumeric() || "-_.".contains(c), "101", "a-z A-Z 0-9 - _ .")
}

/// Shown on a phone, printed in quotes in SIP headers.
pub(super) fn display(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let fits = !text.trim().is_empty() && text.chars().count() <= 64 && !text.contains(['"', '\\']);
    fits.then_some(text).ok_or_else(|| "is not 1 to 64 characters without quotes and backslashes".to_owned())
}

/// An emergency number or test line: short, digits only.
pub(super) fn short_number(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    match (2..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text),
        false => Err("is not a short number of 2 to 6 digits; write \"911\" for example".to_owned()),
    }
}

/// A number in E.164 form: `+`, country code, number.
pub(super) fn e164(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    if is_e164(&text) {
        return Ok(text);
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    // How people write numbers in North America, the only plan whose local form can be told from its length.
    let meant = match (digits.len(), digits.strip_prefix("011")) {
        (_, Some(international)) => format!("+{international}"),
        (10, _) if !text.starts_with('+') => format!("+1{digits}"),
        _ => format!("+{digits}"),
    };
    match is_e164(&meant) {
        true => Err(format!("is not E.164; write {meant:?}")),
        false => Err("is not E.164; write + and the country code before the number, \"+15035551212\"".to_owned()),
    }
}

fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    E164_DIGITS.contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `AC` and 32 hex digits.
pub(super) fn account_sid(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let hex = text.strip_prefix("AC").unwrap_or_default();
    match hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        true => Ok(text),
        false if text.starts_with("SK") => {
            Err("is the SID of an API key; write the account SID, AC and 32 hex digits".to_owned())
        }
        false => Err("is not an account SID; copy it from console.twilio.com: AC and 32 hex digits".to_owned()),
    }
}

/// A host name or an address.
pub(super) fn host(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    is_host(&text).then_some(text).ok_or_else(|| "is not a host name; write \"host.example.com\"".to_owned())
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_host_name(text)
}

/// One label of a host name: an edge, a region.
pub(super) fn label(value: &DeValue<'_>) -> Read<String> {
    name(value, 63, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-', "ashburn", "a-z 0-9 -")
}

/// A next hop: `host`, `host:port`, `[2001:db8::1]:5061`.
pub(super) fn server(value: &DeValue<'_>) -> Read<Server> {
    server_like(value, "host:5061")
}

/// Who tells the time: the same, with another port.
pub(super) fn time_server(value: &DeValue<'_>) -> Read<Server> {
    server_like(value, "host:123")
}

fn server_like(value: &DeValue<'_>, example: &str) -> Read<Server> {
    let text = text(value)?;
    let wrong = || format!("is not a server; write \"host\" or \"{example}\"");
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Server { host: address.to_string(), port: None });
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return port(address.port()).map(|port| Server { host: address.ip().to_string(), port: Some(port) });
    }
    let (host, given) = match text.split_once(':') {
        Some((host, digits)) => (host, Some(digits.parse().map_err(|_| wrong()).and_then(port)?)),
        None => (text.as_str(), None),
    };
    is_host(host).then(|| Server { host: host.to_owned(), port: given }).ok_or_else(wrong)
}

fn port(port: u16) -> Read<u16> {
    (port != 0).then_some(port).ok_or_else(|| "has port 0; write the port".to_owned())
}

/// `ip:port`.
pub(super) fn socket_address(value: &DeValue<'_>) -> Read<SocketAddr> {
    text(value)?.parse().map_err(|_| "is not an address with a port; write \"127.0.0.1:8080\"".to_owned())
}

/// An address.
pub(super) fn ip(value: &DeValue<'_>) -> Read<IpAddr> {
    text(value)?.parse().map_err(|_| "is not an IP address; write \"192.0.2.1\"".to_owned())
}

/// One entry of `lan.listen`.
pub(super) enum Listen {
    /// All private addresses of this host.
    Auto,
    At(SocketAddr),
}

/// `ip:port`, `ip` (port 5060, RFC 3261 section 19.1.2), or `auto`.
pub(super) fn listen(value: &DeValue<'_>) -> Read<Listen> {
    let text = text(value)?;
    if text == "auto" {
        return Ok(Listen::Auto);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Listen::At(SocketAddr::new(ip, super::SIP_PORT)));
    }
    text.parse()
        .map(Listen::At)
        .map_err(|_| "is not an address; write \"192.168.1.1:5060\", \"192.168.1.1\" or \"auto\"".to_owned())
}

/// `20000-29999`: first and last UDP port, pairs of RTP (even) and RTCP (odd), RFC 3550 section 11.
pub(super) fn ports(value: &DeValue<'_>) -> Read<(u16, u16)> {
    let text = text(value)?;
    let wrong = || "is not a port range; write \"20000-29999\"".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let (first, last): (u16, u16) =
        (first.trim().parse().map_err(|_| wrong())?, last.trim().parse().map_err(|_| wrong())?);
    match () {
        () if first < 1024 => Err("reaches into the reserved ports below 1024; write \"20000-29999\"".to_owned()),
        () if first % 2 == 1 => Err(format!("starts at an odd port, RTP takes even ones; start at {}", first - 1)),
        () if last % 2 == 0 => {
            Err(format!("ends at an even port, each pair ends with an odd one; end at {}", u32::from(last) + 1))
        }
        () if last < first => Err("ends before it starts; write \"20000-29999\"".to_owned()),
        () => Ok((first, last)),
    }
}

/// An `http(s)` URL without trailing slash, query, fragment, user or blank: paths are put behind it.
pub(super) fn base_url(value: &DeValue<'_>) -> Read<String> {
    base(text(value)?)
}

/// A base URL that a person is asked for. The file may allow more by name ([`super::Config::open_doors`]).
pub(super) fn public_url(value: &DeValue<'_>) -> Read<String> {
    let text = base_url(value)?;
    match Url::parse(&text).is_some_and(|url| is_in_clear(&url)) {
        true => Err("sends what proves Twilio over the internet in clear; write \"https://…\"".to_owned()),
        false => Ok(text),
    }
}

/// An `http(s)` URL, perhaps with a query.
pub(super) fn url(value: &DeValue<'_>) -> Read<String> {
    let text = text(value)?;
    let (before, query) = text.split_once('?').unwrap_or((&text, ""));
    match query.contains(['#', ' ', '"', '<', '>', '`']) || !query.is_ascii() {
        true => Err("has a fragment or a blank; write \"https://host/path?query\"".to_owned()),
        false => base(before.trim_end_matches('/').to_owned()).map(|_| text),
    }
}

fn base(text: String) -> Read<String> {
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err("is not an http(s) URL; write \"https://…\"".to_owned());
    }
    if text.ends_with('/') {
        return Err(format!("ends with a slash; write {:?}", text.trim_end_matches('/')));
    }
    if text.contains(['?', '#', ' ', '@', '"', '<', '>', '`']) || !text.is_ascii() {
        return Err("has a query, a fragment, a user or a blank; write \"https://host/path\" alone".to_owned());
    }
    match Url::parse(&text) {
        Some(url) if matches!(url.port(), Port::Malformed(_)) => {
            Err("has a port that is none; write \"https://host:8443\"".to_owned())
        }
        Some(url) if is_host(url.bare_host()) => Ok(text),
        _ => Err("has no host name; write \"https://host.example.com\"".to_owned()),
    }
}

/// Whether what is sent to a URL crosses more than this machine and this network in clear.
pub(super) fn is_in_clear(url: &Url) -> bool {
    let host = url.bare_host();
    !url.is_https() && !host.eq_ignore_ascii_case("localhost") && !host.parse().is_ok_and(is_private)
}

/// A base URL that gets our credentials: in clear only to this machine and this network.
pub(super) fn api_url(value: &DeValue<'_>) -> Read<String> {
    let text = base_url(value)?;
    match Url::parse(&text).filter(is_in_clear) {
        None => Ok(text),
        Some(url) => Err(format!(
            "would send the auth token in clear; write \"https://{}{}\"",
            url.authority(),
            url.path_and_query()
        )),
    }
}
