//! Where bytes come from and go to.

use std::net::{IpAddr, SocketAddr};

use rsip::Uri;

use super::uri;

/// The transports of RFC 3261 section 19.1.1 that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// As a Via header spells it.
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// As a `transport=` URI parameter spells it.
    pub fn uri_token(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// Whether the transport itself repeats lost data (RFC 3261 section 17).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// 5060, or 5061 over TLS (RFC 3261 section 18.1.2).
    pub fn default_port(self) -> u16 {
        if self == Transport::Tls { 5061 } else { 5060 }
    }
}

/// A flow in the sense of RFC 5626: a UDP pair of addresses, or one connection.
///
/// Two connections between the same addresses, one after the other, are different flows: `connection` tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub transport: Transport,
    /// Our address; for UDP, that of the listening socket.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
    /// Number of the connection since the start of the process; 0 for UDP.
    pub connection: u64,
}

impl Flow {
    /// The same to another port of the other end.
    pub fn at_port(self, port: u16) -> Flow {
        Flow { remote: SocketAddr::new(self.remote.ip(), port), ..self }
    }

    /// The port that a URI names at the other end's own address, where it is another one. Over UDP alone: a connection has
    /// its two ends.
    pub fn other_port(self, uri: &Uri) -> Option<u16> {
        let host: IpAddr = uri::host(uri).trim_matches(['[', ']']).parse().ok()?;
        let port = uri::port(uri).unwrap_or(self.transport.default_port());
        let is_here = self.transport == Transport::Udp && host.to_canonical() == self.remote.ip().to_canonical();
        (is_here && port != 0 && port != self.remote.port()).then_some(port)
    }
}
