//! By which host name a request came in.
//!
//! A tunnel passes on the name that was asked for as Host, or, where it puts the name of its own upstream there, as
//! X-Forwarded-Host (ngrok, tailscale) or X-Original-Host (ngrok 2). Anybody can write these headers: they never let
//! anything in; they only say that something came by another name.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};

use gateway_core::url::Url;

/// Where a front writes the name that it was asked for, when it changes Host.
const FORWARDED: [&str; 2] = ["x-forwarded-host", "x-original-host"];

/// The name that the request names, in small letters and without a port. An address or `localhost` is how a front near
/// us calls our listener: it names nothing.
pub(super) fn named(headers: &HeaderMap) -> Option<String> {
    let forwarded = FORWARDED.iter().find_map(|name| headers.get(*name));
    // The first of several is the outermost front's.
    let text = forwarded.or_else(|| headers.get(HOST))?.to_str().ok()?.split(',').next()?.trim();
    let host = without_port(text);
    let is_near = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    (!is_near && !host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// The host of a URL, in small letters and without a port.
pub(crate) fn of_url(url: &str) -> Option<String> {
    Url::parse(url).map(|url| url.host().to_ascii_lowercase())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(headers: &[(&'static str, &str)]) -> Option<String> {
        named(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn a_request_names_the_host_that_it_was_sent_to() {
        for (headers, host) in [
            (&[("host", "A.Example.com")][..], Some("a.example.com")),
            (&[("host", "a.example.com:8443")], Some("a.example.com")),
            (&[("host", "127.0.0.1:8080"), ("x-forwarded-host", "a.example.com")], Some("a.example.com")),
            (&[("host", "a.example.com"), ("x-forwarded-host", "b.example.com, a.example.com")], Some("b.example.com")),
            (&[("host", "localhost:8080"), ("x-original-host", "a.example.com")], Some("a.example.com")),
            (&[("host", "127.0.0.1:8080")], None),
            (&[("host", "[::1]:8080")], None),
            (&[("host", "localhost")], None),
            (&[("host", "")], None),
            (&[], None),
        ] {
            assert_eq!(name(headers).as_deref(), host, "{headers:?}");
        }
    }

    #[test]
    fn a_url_has_a_host() {
        assert_eq!(of_url("https://A.example.com:8443/x").as_deref(), Some("a.example.com"));
        assert_eq!(of_url("http://127.0.0.1:8080").as_deref(), Some("127.0.0.1"));
        assert_eq!(of_url("a.example.com"), None);
    }
}
