//! URLs (RFC 3986): the one reader for what the config names, a tunnel announces, and Twilio holds and signs.

mod public;

use std::fmt;

use http::Uri;

pub use public::{HostPattern, PublicUrl};

/// Longest host name and longest label, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// An absolute URL with a host. It keeps each byte as written, for Twilio compares and signs texts, and `Uri` adds a
/// path where none is. It keeps the fragment, too, which `Uri` drops: Twilio's connection overrides stand there.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    uri: Uri,
}

/// The port of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port<'a> {
    /// None is written: the scheme's own.
    Default,
    /// A number from 1 to 65535.
    Number(u16),
    /// What stands behind the colon is no port.
    Malformed(&'a str),
}

impl Url {
    /// Reads a text that is nothing but the URL; `None` for any other.
    pub fn parse(text: &str) -> Option<Url> {
        let uri: Uri = text.parse().ok()?;
        // `Uri` takes an empty scheme, too.
        uri.scheme_str().filter(|scheme| !scheme.is_empty()).and(uri.authority())?;
        let url = Url { text: text.to_owned(), uri };
        // `Uri` stops at the fragment.
        url.fragment().unwrap_or_default().bytes().all(|byte| byte.is_ascii_graphic()).then_some(url)
    }

    /// The URL itself. It may carry credentials: what is shown is its `Display`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme as written.
    pub fn scheme(&self) -> &str {
        // Parsed from the start of this text: the spelling of a known scheme differs in case alone.
        &self.text[..self.uri.scheme_str().unwrap_or_default().len()]
    }

    /// Whether it leads to TLS.
    pub fn is_https(&self) -> bool {
        self.scheme().eq_ignore_ascii_case("https")
    }

    /// User, host and port as written.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// Scheme and authority as written.
    pub fn origin(&self) -> &str {
        // Parsed from the start of this text.
        &self.text[..self.scheme().len() + "://".len() + self.authority().len()]
    }

    /// The user information, without the `@`.
    pub fn user_info(&self) -> Option<&str> {
        self.authority().rsplit_once('@').map(|(user, _)| user)
    }

    /// The host as written, an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The host as written, an IPv6 address without its brackets.
    pub fn bare_host(&self) -> &str {
        self.host().trim_matches(['[', ']'])
    }

    /// Host and port as written.
    fn host_and_port(&self) -> &str {
        self.authority().rsplit('@').next().unwrap_or_default()
    }

    /// The port. Only its digits count: no sign.
    pub fn port(&self) -> Port<'_> {
        match self.written_port() {
            None => Port::Default,
            Some(port) => match port.parse() {
                Ok(number) if number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Port::Number(number),
                _ => Port::Malformed(port),
            },
        }
    }

    /// What stands behind the colon.
    pub fn written_port(&self) -> Option<&str> {
        self.host_and_port().strip_prefix(self.host())?.strip_prefix(':')
    }

    /// Path and query as written: nothing where nothing is written.
    pub fn path_and_query(&self) -> &str {
        let rest = &self.text[self.origin().len()..];
        rest.split('#').next().unwrap_or_default()
    }

    /// What stands behind the `#`.
    pub fn fragment(&self) -> Option<&str> {
        self.text.split_once('#').map(|(_, fragment)| fragment)
    }

    /// The URL in the one spelling of all that mean the same (RFC 3986 sections 6.2.2.1 and 6.2.3): scheme and host in
    /// small letters, no default port, `/` for an empty path. Path, query and user stay as written.
    fn normal(&self) -> String {
        let scheme = self.scheme().to_ascii_lowercase();
        let user = self.user_info().map(|user| format!("{user}@")).unwrap_or_default();
        let port = match (self.port(), scheme.as_str()) {
            (Port::Default, _) | (Port::Malformed(""), _) => String::new(),
            (Port::Number(443), "https") | (Port::Number(80), "http") => String::new(),
            (Port::Number(port), _) => format!(":{port}"),
            (Port::Malformed(port), _) => format!(":{port}"),
        };
        let rest = &self.text[self.origin().len()..];
        let slash = if rest.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{user}{}{port}{slash}{rest}", self.host().to_ascii_lowercase())
    }

    /// The URL with this user information in place of its own.
    pub fn with_user_info(&self, user_info: &str) -> String {
        let rest = &self.text[self.origin().len()..];
        format!("{}://{user_info}@{}{rest}", self.scheme(), self.host_and_port())
    }

    /// The URL without its user information.
    pub fn without_user_info(&self) -> String {
        let rest = &self.text[self.origin().len()..];
        format!("{}://{}{rest}", self.scheme(), self.host_and_port())
    }
}

/// Credentials are masked.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.text))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", masked(&self.text))
    }
}

/// Whether two texts are the same, or URLs that mean the same. Whether a URL at Twilio is ours is asked here.
pub fn is_same(a: &str, b: &str) -> bool {
    a == b || matches!((Url::parse(a), Url::parse(b)), (Some(a), Some(b)) if a.normal() == b.normal())
}

/// Whether a text is a host name as DNS has them; a dot is not needed. Underscores are in use, though no RFC allows them.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_HOST && text.split('.').all(is_label)
}

/// A text with the user information of every URL in it replaced by `***`.
pub fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let authority = after.find(|c: char| "/?#\"'<> \\".contains(c) || c.is_control()).unwrap_or(after.len());
        match after[..authority].rfind('@') {
            Some(end) => {
                shown.push_str("***");
                rest = &after[end..];
            }
            None => rest = after,
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_back_as_it_was_written() {
        for text in [
            "https://x/y#ct=2000&rc=0",
            "https://x#ct=2000&rc=0",
            "https://x",
            "https://x/",
            "https://x?",
            "https://x?#",
            "HTTPS://X.Example.com:443/%7Ea?b=%2F#",
            "http://u:p%40q@[2001:db8::1]:8080/a//b/?c#d",
            "wss://x.example.com/stream?a=b",
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.as_str(), text);
            let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
            assert_eq!(format!("{}{}{fragment}", url.origin(), url.path_and_query()), text);
            let user = url.user_info().unwrap_or("u");
            let with = Url::parse(&url.with_user_info(user)).unwrap();
            assert_eq!(with.user_info(), Some(user));
            assert_eq!(with.without_user_info(), url.without_user_info());
            assert_eq!(with.fragment(), url.fragment());
        }
    }

    #[test]
    fn the_parts_of_a_url_are_where_they_are_written() {
        let url = Url::parse("https://u:p@A.example.com:8443/x?y=1#ct=2000&rc=0").unwrap();
        assert_eq!((url.scheme(), url.authority()), ("https", "u:p@A.example.com:8443"));
        assert_eq!((url.user_info(), url.host(), url.port()), (Some("u:p"), "A.example.com", Port::Number(8443)));
        assert_eq!((url.path_and_query(), url.fragment()), ("/x?y=1", Some("ct=2000&rc=0")));
        let url = Url::parse("http://[::1]").unwrap();
        assert_eq!((url.host(), url.bare_host(), url.port()), ("[::1]", "::1", Port::Default));
        for port in ["", "0", "+80", "70000", "x"] {
            let text = format!("http://x:{port}/");
            let found = Url::parse(&text).map(|url| url.port() == Port::Malformed(port));
            assert_ne!(found, Some(false), "{text}");
        }
    }

    #[test]
    fn what_is_no_absolute_url_is_refused() {
        for text in
            ["", "/", "*", "x", "x:80", "/path", "https://", "https:///x", "://x", "https://a b/", "https://x/#a b"]
        {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }

    #[test]
    fn urls_are_the_same_whatever_the_case_of_the_host_and_with_a_port_that_is_the_scheme_s_own() {
        let same = [
            ("https://Hooks.Example.com/x", "https://hooks.example.com/x"),
            ("HTTPS://hooks.example.com", "https://hooks.example.com:443/"),
            ("http://192.168.1.1:80/x?y#z", "http://192.168.1.1/x?y#z"),
            ("https://u:P@A.example/x", "https://u:P@a.example:/x"),
            ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
            ("no URL", "no URL"),
        ];
        let others = [
            ("https://a.example/x", "https://a.example/X"),
            ("https://a.example", "http://a.example"),
            ("https://a.example:80", "https://a.example"),
            ("http://a.example:443", "http://a.example"),
            ("https://u@a.example", "https://U@a.example"),
            ("https://a.example?", "https://a.example"),
            ("Office", "office"),
            ("", "https://a.example"),
        ];
        assert!(same.iter().all(|(a, b)| is_same(a, b) && is_same(b, a)));
        for (a, b) in others {
            assert!(!is_same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        let url = Url::parse("https://u:p@example.com/x#y").unwrap();
        assert_eq!(url.to_string(), "https://***@example.com/x#y");
        assert_eq!(format!("{url:?}"), "\"https://***@example.com/x#y\"");
    }
}
