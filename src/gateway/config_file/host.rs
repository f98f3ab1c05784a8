//! What the config needs to know of this machine.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use gateway_core::config::Host;

/// This machine, as the kernel knows it now.
pub fn host() -> std::io::Result<Host> {
    let mut addresses = Vec::new();
    for interface in getifaddrs()? {
        let Some(address) = interface.address else { continue };
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => continue,
        };
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    Ok(Host { addresses })
}
