//! Header names: canonical spelling, compact forms, and the way into rsip's `Header` and out of it.

use rsip::Header;
use rsip::headers::{self, UntypedHeader};

/// One table for both directions: rsip's variant and the name as RFC 3261 spells it.
macro_rules! known_headers {
    ($($variant:ident = $name:literal,)*) => {
        /// The rsip header of a name (any case, compact forms too) and a value. A name that rsip does not know keeps
        /// its spelling.
        pub fn make(name: &str, value: impl Into<String>) -> Header {
            let name = long_name(name);
            $(if name.eq_ignore_ascii_case($name) {
                return Header::$variant(headers::$variant::new(value));
            })*
            Header::Other(name.to_string(), value.into())
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

known_headers! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    Allow = "Allow",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CSeq = "CSeq",
    CallId = "Call-ID",
    CallInfo = "Call-Info",
    Contact = "Contact",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentType = "Content-Type",
    Date = "Date",
    ErrorInfo = "Error-Info",
    Event = "Event",
    Expires = "Expires",
    From = "From",
    InReplyTo = "In-Reply-To",
    MaxForwards = "Max-Forwards",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    Organization = "Organization",
    Priority = "Priority",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RecordRoute = "Record-Route",
    ReplyTo = "Reply-To",
    Require = "Require",
    RetryAfter = "Retry-After",
    Route = "Route",
    Server = "Server",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Supported = "Supported",
    Timestamp = "Timestamp",
    To = "To",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    Via = "Via",
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
