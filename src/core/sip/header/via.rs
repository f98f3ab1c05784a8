//! Via (RFC 3261 section 20.42).

use super::{HeaderError, Params, is_token};
use crate::sip::uri;

/// Via (RFC 3261 section 20.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, `TLS` or whatever the peer wrote.
    pub transport: String,
    /// Sent-by host, IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` and the rest.
    pub params: Params,
}

impl Via {
    /// Reads one Via value.
    pub fn parse(value: &str) -> Result<Via, HeaderError> {
        Via::read(value).ok_or(HeaderError("Via"))
    }

    fn read(value: &str) -> Option<Via> {
        let (protocol, rest) = value.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        if !protocol.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start();
        let (transport, rest) = rest.split_at(rest.find([' ', '\t'])?);
        let (sent_by, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        // LWS may stand around the colon of the port.
        let mut sent_by = sent_by.trim().to_string();
        if sent_by.contains([' ', '\t']) {
            let (host, port) = sent_by.rsplit_once(':')?;
            sent_by = format!("{}:{}", host.trim_end(), port.trim_start());
        }
        let (host, port) = uri::host_and_port(&sent_by)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if !is_token(transport) {
            return None;
        }
        Some(Via { transport: transport.to_string(), host: host.to_string(), port, params: Params::parse(params)? })
    }

    /// The transaction's branch; `None` from phones of RFC 2543.
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch").filter(|b| !b.is_empty())
    }
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "SIP/2.0/{} [{}]", self.transport, self.host)?,
            false => write!(f, "SIP/2.0/{} {}", self.transport, self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_via_is_read_with_white_space_everywhere() {
        let via = Via::parse("SIP  / 2.0  / TCP     spindle.example.com : 5070  ;  branch  =   z9hG4bK9ikj8").unwrap();
        assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("TCP", "spindle.example.com", Some(5070)));
        assert_eq!(via.to_string(), "SIP/2.0/TCP spindle.example.com:5070;branch=z9hG4bK9ikj8");
    }

    #[test]
    fn a_via_with_an_ipv6_address_is_written_with_brackets() {
        let text = "SIP/2.0/UDP [2001:db8::9]:5061;rport;branch=z9hG4bK1";
        let via = Via::parse(text).unwrap();
        assert_eq!(via.host, "2001:db8::9");
        assert_eq!(via.params.get("rport"), Some(None));
        assert_eq!(via.to_string(), text);
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for text in
            ["", "SIP/2.0/UDP", "SIP/7.0/UDP a", "SIP/2.0/UDP 192.0.2.15;;", "SIP/2.0/UDP ;branch=1", "HTTP/1.1 a"]
        {
            assert_eq!(Via::parse(text), Err(HeaderError("Via")), "{text}");
        }
    }
}
