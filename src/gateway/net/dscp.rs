//! The class of the packets that we send (RFC 2474), for all sockets of calls.
//!
//! The rule: RTP and RTCP carry `dscp.rtp`, SIP over UDP, TCP and TLS carries `dscp.sip`, towards phones and Twilio. A
//! kernel or a network that refuses costs nothing.

use std::net::IpAddr;
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};

/// Marks what a socket at this address sends. Class 0 leaves it as it is.
pub fn mark(socket: &impl AsFd, address: IpAddr, class: u8) {
    // The two bits below are for congestion (RFC 3168).
    let octet = i32::from(class) << 2;
    let _ = match address {
        _ if class == 0 => Ok(()),
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4Tos, &octet),
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6TClass, &octet),
    };
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn a_class_stands_in_the_upper_six_bits_and_none_changes_nothing() {
        for (class, octet) in [(46, 0xb8), (24, 0x60), (63, 0xfc), (0, 0)] {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            mark(&socket, IpAddr::from([127, 0, 0, 1]), class);
            assert_eq!(getsockopt(&socket, sockopt::Ipv4Tos), Ok(octet));
            // A machine without IPv6 has none to mark.
            if let Ok(socket) = UdpSocket::bind("[::1]:0") {
                mark(&socket, "::1".parse().unwrap(), class);
                assert_eq!(getsockopt(&socket, sockopt::Ipv6TClass), Ok(octet));
            }
        }
        // Refused: of the other family.
        mark(&UdpSocket::bind("127.0.0.1:0").unwrap(), "::1".parse().unwrap(), 46);
    }
}
