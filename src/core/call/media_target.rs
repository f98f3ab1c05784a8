//! Where RTP of a leg may be sent: an SDP must not make the relay a gun that anybody points at anybody.
//!
//! | the leg's other end | may name |
//! |---|---|
//! | any | the address that its SIP comes from |
//! | a handset at a private address | any private address: a PBX with a media box beside it |
//! | a handset anywhere else | nothing else |
//! | the trunk at a public address | any public address: Twilio's media is not where its SIP is |
//! | the trunk at a private address | anything unicast: a test bench, a PBX in place of Twilio |
//!
//! What may not be named is taken for the mistake that it mostly is (a phone that learnt its public address by STUN, a
//! softphone that writes 127.0.0.1): the port is believed, the address is the one that SIP comes from, and the first
//! packet from there corrects the port (see [`crate::media::latch`]). Directed broadcasts need no rule: the sockets
//! have no permission to broadcast.

use std::net::{IpAddr, SocketAddr};

use super::leg::Party;
use crate::config::Config;
use crate::sip::flow::Flow;

/// The address to send RTP to for an SDP that names `declared`. `None`: nowhere, because it is our own relay, which
/// would send to itself for ever.
pub(super) fn media_target(config: &Config, party: &Party, flow: Flow, declared: SocketAddr) -> Option<SocketAddr> {
    let signalling = flow.remote.ip().to_canonical();
    let named = declared.ip().to_canonical();
    let allowed = named == signalling
        || is_unicast(named)
            // Our socket is of the family that SIP came by.
            && named.is_ipv4() == signalling.is_ipv4()
            && match party {
                Party::Handset(_) => is_private(signalling) && is_private(named),
                Party::Trunk(_) => is_private(signalling) || !is_private(named),
            }
            && (!named.is_loopback() || signalling.is_loopback());
    let target = if allowed { declared } else { SocketAddr::new(flow.remote.ip(), declared.port()) };
    (!is_own(config, flow, target)).then_some(target)
}

/// Whether it is one of the relay's own ports.
fn is_own(config: &Config, flow: Flow, target: SocketAddr) -> bool {
    let ip = target.ip().to_canonical();
    let (first, last) = config.media.ports;
    // On loopback every address is this host.
    let ours = ip == flow.local.ip().to_canonical()
        || ip.is_loopback()
        || config.media.public_address.is_some_and(|public| public.to_canonical() == ip)
        || config.lan.listen.iter().any(|listen| listen.ip().to_canonical() == ip);
    ours && (first..=last).contains(&target.port())
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && v4.octets()[0] != 0,
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

/// Not on the internet: RFC 1918, RFC 4193, RFC 6598, link-local, loopback.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;
    use crate::sip::flow::Transport;

    fn target(party: &Party, from: &str, declared: &str) -> Option<String> {
        let (transport, local) = match party {
            Party::Handset(_) => (Transport::Udp, "192.168.1.1:5060"),
            Party::Trunk(_) => (Transport::Tls, "203.0.113.7:40000"),
        };
        let flow = Flow { transport, local: local.parse().unwrap(), remote: from.parse().unwrap(), connection: 0 };
        media_target(&OfficeFile::new().config(), party, flow, declared.parse().unwrap())
            .map(|target| target.to_string())
    }

    #[test]
    fn a_handset_gets_its_media_on_the_lan_and_nowhere_else() {
        let handset = Party::Handset(None);
        let at = |declared| target(&handset, "192.168.1.20:5060", declared);
        assert_eq!(at("192.168.1.20:4000").as_deref(), Some("192.168.1.20:4000"));
        assert_eq!(at("10.0.0.9:4000").as_deref(), Some("10.0.0.9:4000"));
        for odd in [
            "198.51.100.9:4000",
            "127.0.0.1:4000",
            "224.0.1.75:4000",
            "255.255.255.255:4000",
            "0.1.2.3:4000",
            "[2001:db8::9]:4000",
            "[fd00::9]:4000",
            "[fe80::9]:4000",
            "[ff02::1]:4000",
            "[::ffff:198.51.100.9]:4000",
        ] {
            assert_eq!(at(odd).as_deref(), Some("192.168.1.20:4000"), "{odd}");
        }
    }

    #[test]
    fn a_remote_handset_gets_its_media_where_its_sip_is() {
        let handset = Party::Handset(Some("101".into()));
        for declared in ["192.168.178.5:4000", "198.51.100.9:4000", "203.0.113.99:4000"] {
            let expected = Some("203.0.113.99:4000");
            assert_eq!(target(&handset, "203.0.113.99:5060", declared).as_deref(), expected, "{declared}");
        }
    }

    #[test]
    fn the_trunk_cannot_point_at_the_lan() {
        let trunk = Party::Trunk(None);
        let at = |declared| target(&trunk, "54.172.60.1:5061", declared);
        assert_eq!(at("168.86.130.1:10000").as_deref(), Some("168.86.130.1:10000"));
        for odd in ["192.168.1.66:5060", "127.0.0.1:10000", "169.254.1.1:10000", "100.64.0.1:10000"] {
            assert!(at(odd).unwrap().starts_with("54.172.60.1:"), "{odd}");
        }
    }

    #[test]
    fn the_relay_never_sends_to_itself() {
        assert_eq!(target(&Party::Handset(None), "192.168.1.20:5060", "192.168.1.1:20000"), None);
        assert_eq!(target(&Party::Handset(None), "127.0.0.1:5070", "127.0.0.9:29999"), None);
        assert_eq!(target(&Party::Trunk(None), "54.172.60.1:5061", "203.0.113.7:20002"), None);
        let softphone = target(&Party::Handset(None), "127.0.0.1:5070", "127.0.0.1:40000");
        assert_eq!(softphone.as_deref(), Some("127.0.0.1:40000"), "a softphone on this machine");
    }
}
