//! Header names: canonical spelling, compact forms, and the way into rsip's `Header` and out of it.

use rsip::Header;
use rsip::headers::{self, UntypedHeader};

/// One table for both directions: rsip's variant and the name as RFC 3261 spells it.
macro_rules! known_headers {
    ($($variant:ident = $name:literal,)*) => {
        /// The rsip header of a name (any case, compact forms too) and a value. A name that rsip does not know keeps
        /// its spelling.
        pub fn make(name: &str, value: impl Into<String>) -> Header {
            named(long_name(name), value.into())
        }

        fn named(name: &str, value: String) -> Header {
            $(if name.eq_ignore_ascii_case($name) {
                return Header::$variant(headers::$variant::new(value));
            })*
            Header::Other(name.to_string(), value)
        }

        /// Canonical name and value of a header.
        pub fn parts(header: &Header) -> (&str, &str) {
            match header {
                $(Header::$variant(inner) => ($name, inner.value()),)*
                Header::Other(name, value) => (name, value),
            }
        }
    };
}

// Looked through in this order: first what stands in every message.
known_headers! {
    Via = "Via",
    From = "From",
    To = "To",
    CallId = "Call-ID",
    CSeq = "CSeq",
    Contact = "Contact",
    MaxForwards = "Max-Forwards",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    UserAgent = "User-Agent",
    Route = "Route",
    RecordRoute = "Record-Route",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    Allow = "Allow",
    Supported = "Supported",
    Expires = "Expires",
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    AuthenticationInfo = "Authentication-Info",
    CallInfo = "Call-Info",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    Date = "Date",
    ErrorInfo = "Error-Info",
    Event = "Event",
    InReplyTo = "In-Reply-To",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    Organization = "Organization",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyRequire = "Proxy-Require",
    ReplyTo = "Reply-To",
    Require = "Require",
    RetryAfter = "Retry-After",
    Server = "Server",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Timestamp = "Timestamp",
    Unsupported = "Unsupported",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

/// The long form of a compact name (IANA sip-parameters, header fields); every other name as it is.
pub fn long_name(name: &str) -> &str {
    let &[letter] = name.as_bytes() else { return name };
    match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'n' => "Identity-Info",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_rsip_knows_becomes_its_variant_in_any_case() {
        for name in ["via", "CALL-ID", "cseq", "www-authenticate", "MIME-Version", "Subscription-State", "m", "O"] {
            assert!(!matches!(make(name, "x"), Header::Other(..)), "{name}");
            let header = make(name, "x");
            let (long, value) = parts(&header);
            assert!(long.eq_ignore_ascii_case(long_name(name)));
            assert_eq!(value, "x");
        }
    }
}
