//! Whether the local end that a tunnel program shows is our webhook listener.

use std::net::{IpAddr, SocketAddr};

/// The port where none is written.
const HTTP_PORT: u16 = 80;

/// The webhook listener, as tunnel programs may write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upstream(SocketAddr);

/// What a tunnel program writes: `http://localhost:8080`, `127.0.0.1:8080`, `8080`.
enum Host {
    Localhost,
    Address(IpAddr),
}

impl Upstream {
    pub fn new(listen: SocketAddr) -> Self {
        Upstream(listen)
    }

    pub fn listen(&self) -> SocketAddr {
        self.0
    }

    /// Whether this is the listener and can be nothing else: for lists in which other programs' tunnels stand, too.
    pub fn is(&self, text: &str) -> bool {
        let Some((host, port)) = read(text) else { return false };
        let listen = self.0.ip();
        port == self.0.port()
            && match host {
                // The address that the name has (RFC 6761 section 6.3); other loopback addresses are others.
                Host::Localhost => ["127.0.0.1", "::1", "0.0.0.0", "::"].map(str::parse).contains(&Ok(listen)),
                Host::Address(address) if listen.is_unspecified() => address.is_loopback() || address.is_unspecified(),
                Host::Address(address) => address == listen,
            }
    }

    /// Whether this may be the listener: for what a program of ours says of its own tunnels. It may have been given a
    /// port alone, and writes `localhost` then.
    pub fn may_be(&self, text: &str) -> bool {
        let loopback = |port: u16| port == self.0.port() && self.0.ip().is_loopback();
        self.is(text)
            || read(text).is_some_and(|(host, port)| match host {
                Host::Localhost => loopback(port),
                Host::Address(address) => (address.is_loopback() || address.is_unspecified()) && loopback(port),
            })
    }
}

/// Host and port. Our listener speaks plain HTTP and has no path, so nothing else can be it.
fn read(text: &str) -> Option<(Host, u16)> {
    let rest = match text.split_once("//") {
        Some(("" | "http:", rest)) => rest,
        Some(_) => return None,
        None => text,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if let Ok(port) = rest.parse() {
        return Some((Host::Localhost, port));
    }
    if let Ok(address) = rest.parse::<SocketAddr>() {
        return Some((Host::Address(address.ip()), address.port()));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()?),
        _ => (rest, HTTP_PORT),
    };
    match host {
        "localhost" => Some((Host::Localhost, port)),
        host => Some((Host::Address(host.parse().ok()?), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(listen: &str) -> Upstream {
        Upstream::new(listen.parse().unwrap())
    }

    #[test]
    fn the_listener_is_known_in_every_spelling() {
        for text in ["http://localhost:8080", "localhost:8080", "http://127.0.0.1:8080/", "8080", "//127.0.0.1:8080"] {
            assert!(at("127.0.0.1:8080").is(text), "{text}");
            assert!(at("0.0.0.0:8080").is(text), "{text}");
        }
        assert!(at("192.168.1.9:8080").is("http://192.168.1.9:8080"));
        assert!(at("[::1]:8080").is("http://[::1]:8080"));
        assert!(at("127.0.0.1:80").is("http://localhost"));
    }

    #[test]
    fn what_leads_elsewhere_is_not_the_listener() {
        for text in [
            "http://localhost:3000",
            "http://127.0.0.2:8080",
            "http://192.168.1.9:8080",
            "https://localhost:8080",
            "http://localhost:8080/shop",
            "http://shop:8080",
            "http://localhost:8080@evil.example",
            "http://localhost:808",
            "file:///8080",
            "80800",
            "",
        ] {
            assert!(!at("127.0.0.1:8080").is(text), "{text}");
            assert!(!at("127.0.4.1:8080").is(text), "{text}");
        }
        assert!(!at("127.0.4.1:8080").is("http://localhost:8080"), "that may be another program");
        assert!(!at("192.168.1.9:8080").may_be("http://localhost:8080"));
        assert!(at("127.0.4.1:8080").may_be("http://localhost:8080"));
        assert!(!at("127.0.4.1:8080").may_be("http://localhost:8081"));
    }
}
