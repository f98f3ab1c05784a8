//! What the config needs to know of this machine, read once and passed in, so that parsing stays pure.

use std::net::{IpAddr, SocketAddr};

/// The machine that a config is read for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
}

/// What `lan.listen = ["auto"]` stands for: every RFC 1918 and ULA (RFC 4193) address.
pub(super) fn lan_addresses(addresses: &[IpAddr], port: u16) -> impl Iterator<Item = SocketAddr> {
    addresses.iter().filter(|ip| is_lan(**ip)).map(move |ip| SocketAddr::new(*ip, port))
}

fn is_lan(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Whether an address cannot be reached from the internet: LAN, loopback, link-local. Carrier NAT (RFC 6598) is not
/// in it: it is the provider's network, where strangers are.
pub(super) fn is_private(ip: IpAddr) -> bool {
    is_lan(ip)
        || match ip.to_canonical() {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
        }
}
