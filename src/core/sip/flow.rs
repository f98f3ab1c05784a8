//! Where bytes come from and go to.

use std::net::SocketAddr;

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
