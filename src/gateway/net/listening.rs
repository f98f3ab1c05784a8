//! What to do about an address that cannot be listened on, for people.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The first port that everybody may use (ip(7), `ip_unprivileged_port_start`).
const UNPRIVILEGED: u16 = 1024;

/// The way out, if there is one to tell.
pub fn way_out(address: SocketAddr, error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::AddrInUse => Some("another program listens there: ss -lnp shows which"),
        ErrorKind::PermissionDenied if address.port() < UNPRIVILEGED => {
            Some("ports below 1024 need low-ports.conf of systemd (see README.md)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_port_needs_a_right_and_a_taken_one_another_place() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let told = |port, kind: ErrorKind| way_out(at(port), &kind.into()).unwrap_or_default();
        assert!(told(443, ErrorKind::PermissionDenied).contains("low-ports.conf"));
        assert_eq!(told(5060, ErrorKind::PermissionDenied), "");
        assert!(told(5060, ErrorKind::AddrInUse).contains("ss -lnp"));
    }
}
