//! The URL that a tunnel gives out, and the pattern that its host may have to match.

use std::fmt;
use std::net::Ipv4Addr;

use super::{Port, Url, is_host_name};

/// A public URL: https, a host, perhaps a port. It has no path, no query, no fragment and no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// In small letters.
    host: String,
    /// Where it is not 443.
    port: Option<u16>,
}

impl PublicUrl {
    /// Reads a text that is nothing but the URL; one slash at its end is no path.
    pub fn parse(text: &str) -> Option<PublicUrl> {
        let url = Url::parse(text).filter(|url| url.scheme() == "https" && url.user_info().is_none())?;
        if !matches!(url.path_and_query(), "" | "/") || url.fragment().is_some() {
            return None;
        }
        let port = match url.port() {
            Port::Default | Port::Number(443) => None,
            Port::Number(port) => Some(port),
            Port::Malformed(_) => return None,
        };
        is_public(url.host()).then(|| PublicUrl { host: url.host().to_ascii_lowercase(), port })
    }

    /// Reads `host` or `host:port`.
    pub fn of_authority(authority: &str) -> Option<PublicUrl> {
        let is_whole = !authority.contains(['/', '?']);
        is_whole.then(|| PublicUrl::parse(&format!("https://{authority}")))?
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it has an IPv4 address in the place of a name.
    pub fn is_address(&self) -> bool {
        self.host.parse::<Ipv4Addr>().is_ok()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => write!(f, "https://{}", self.host),
            Some(port) => write!(f, "https://{}:{port}", self.host),
        }
    }
}

/// Whether a host can be one of the internet: no name without a dot is.
fn is_public(host: &str) -> bool {
    host.contains('.') && is_host_name(host)
}

/// `host.example.com`, or `*.example.com` for anything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a pattern. The error says what is wrong and what to write.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        match is_public(text.strip_prefix("*.").unwrap_or(text)) {
            true => Ok(HostPattern(text.to_ascii_lowercase())),
            false => Err("is not a host; write \"*.example.com\" or \"tunnel.example.com\"".to_owned()),
        }
    }

    /// Whether a host, in small letters, is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.0,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_host_and_perhaps_a_port() {
        for (text, url) in [
            ("https://a.example.com", "https://a.example.com"),
            ("https://A.Example.com/", "https://a.example.com"),
            ("https://a.example.com:443/", "https://a.example.com"),
            ("https://box.tail1234.ts.net:8443", "https://box.tail1234.ts.net:8443"),
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ] {
            assert_eq!(PublicUrl::parse(text).map(|url| url.to_string()).as_deref(), Some(url), "{text}");
        }
    }

    #[test]
    fn what_has_a_path_a_query_a_user_or_no_host_is_no_public_url() {
        for text in [
            "",
            "https://",
            "https://.",
            "https://a",
            "https://a..example.com",
            "https://.example.com",
            "https://a.example.com.",
            "https://a.example.com:0",
            "https://a.example.com:",
            "https://a.example.com:70000",
            "https://a.example.com:+80",
            "https://a.example.com:80:80",
            "http://a.example.com",
            "https://a.example.com/x",
            "https://a.example.com//",
            "https://a.example.com?x",
            "https://a.example.com/?x",
            "https://a.example.com#x",
            "https://a.example.com@evil.example",
            "https://a:b@evil.example",
            "https://a.example.com%2f",
            "https://a.example.com,",
            "https://\u{e4}.example.com",
            " https://a.example.com",
        ] {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
        assert_eq!(PublicUrl::parse(&format!("https://{}.example.com", "a".repeat(64))), None);
    }

    #[test]
    fn a_pattern_follows_the_same_rule_for_labels() {
        for text in ["*.example.com", "a_b.Example.com", "127.0.0.1"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text.to_ascii_lowercase());
        }
        let long = format!("{}.example.com", "a".repeat(64));
        for text in ["*", "*.com", "**.example.com", "-a.example.com", "a-.example.com", "a..example.com", &long] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        assert!(PublicUrl::parse("https://-a.example.com").is_none());
    }
}
