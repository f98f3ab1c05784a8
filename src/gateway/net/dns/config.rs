//! What the system's files say about names: `/etc/resolv.conf` (resolv.conf(5)) and `/etc/hosts` (hosts(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Servers used, as resolv.conf(5) has it (`MAXNS`).
pub const MAX_SERVERS: usize = 3;
/// Addresses of one name in the hosts file.
const MAX_ADDRESSES: usize = 16;

/// A DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nameserver {
    pub ip: IpAddr,
    /// The interface of a link-local address: a router advertisement brings `fe80::1%wan` (RFC 4007 section 11).
    pub zone: Option<String>,
}

/// The `nameserver` lines; without any, the server of this host, as resolv.conf(5) has it. What can not be read is passed
/// over, and so are `search`, `domain` and `options`: our names are complete.
pub fn nameservers(resolv_conf: &str) -> Vec<Nameserver> {
    let lines = resolv_conf.lines().map(str::split_whitespace);
    let words = lines.filter_map(|mut words| (words.next()? == "nameserver").then(|| words.next())?);
    let servers = words.filter_map(|word| {
        let (ip, zone) = match word.split_once('%') {
            Some((ip, zone)) => (ip, Some(zone.to_string())),
            None => (word, None),
        };
        Some(Nameserver { ip: ip.parse().ok()?, zone })
    });
    let servers: Vec<Nameserver> = servers.take(MAX_SERVERS).collect();
    if !servers.is_empty() {
        return servers;
    }
    vec![Nameserver { ip: Ipv4Addr::LOCALHOST.into(), zone: None }]
}

/// The addresses of `name` in a hosts file, IPv4 first. `localhost` needs no line there (RFC 6761 section 6.3).
pub fn addresses(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let found = lines.filter_map(|mut words| {
        let ip: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name)).then_some(ip)
    });
    let mut found: Vec<IpAddr> = found.take(MAX_ADDRESSES).collect();
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(resolv_conf: &str) -> Vec<String> {
        let text = |server: Nameserver| match server.zone {
            Some(zone) => format!("{}%{zone}", server.ip),
            None => server.ip.to_string(),
        };
        nameservers(resolv_conf).into_iter().map(text).collect()
    }

    #[test]
    fn servers_come_in_the_order_of_the_file_and_at_most_three() {
        let text = "search lan\nnameserver 192.0.2.1\noptions edns0\n nameserver\t2001:db8::53 # two\n\
                    nameserver fe80::1%wan\nnameserver 192.0.2.4\n";
        assert_eq!(texts(text), ["192.0.2.1", "2001:db8::53", "fe80::1%wan"]);
    }

    #[test]
    fn what_is_not_understood_takes_nothing_away_from_the_rest() {
        assert_eq!(
            texts("search -bad..name-\nnameserver rubbish\nnameserver\n\0\nnameserver 192.0.2.53"),
            ["192.0.2.53"]
        );
    }

    #[test]
    fn without_any_server_this_host_is_asked() {
        assert_eq!(texts(""), ["127.0.0.1"]);
        assert_eq!(texts("#nameserver 192.0.2.1\nnameservers 192.0.2.2\n"), ["127.0.0.1"]);
    }

    #[test]
    fn a_name_in_the_hosts_file_is_found_by_each_of_its_names_and_ipv4_comes_first() {
        let hosts = "2001:db8::7 Edge.example edge # ours\n192.0.2.7 edge.example.\n192.0.2.8 other # edge.example\n";
        let found: Vec<IpAddr> = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert_eq!(addresses(hosts, "edge.EXAMPLE"), found);
        assert_eq!(addresses(hosts, "edge"), found[1..]);
        assert!(addresses(hosts, "example").is_empty());
    }

    #[test]
    fn localhost_needs_no_line() {
        assert_eq!(addresses("", "localhost"), [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()]);
        assert_eq!(addresses("127.0.0.1 localhost\n", "LOCALHOST"), [IpAddr::from([127, 0, 0, 1])]);
    }
}
