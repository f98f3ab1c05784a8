//! The driver for [`Output::Resolve`](crate::engine::Output::Resolve): NAPTR, SRV and addresses by hickory.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver, system_conf};

use crate::engine::{DnsAnswer, DnsQuestion, Naptr, Srv};

/// For one question, all servers and repetitions together.
const LIMIT: Duration = Duration::from_secs(8);
/// For one try at one server.
const TRY: Duration = Duration::from_secs(3);
const TRIES: usize = 2;
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Looks names up at the servers of `/etc/resolv.conf`, and in `/etc/hosts`.
///
/// Both files are read for each question: a router gets other servers with each DHCP lease, and questions are few (one
/// round per connection to Twilio), so that neither a cache nor a watch is worth its bugs. For the same reason no TTL
/// can be violated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolver;

impl Resolver {
    /// Never fails and never takes much longer than 8 s: what goes wrong is [`DnsAnswer::Failed`].
    pub async fn resolve(&self, question: DnsQuestion) -> DnsAnswer {
        match tokio::time::timeout(LIMIT, look_up(&question)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if is_empty(&error) => match question {
                DnsQuestion::Naptr(_) => DnsAnswer::Naptr(Vec::new()),
                DnsQuestion::Srv(_) => DnsAnswer::Srv(Vec::new()),
                DnsQuestion::Address(_) => DnsAnswer::Address(Vec::new()),
            },
            Ok(Err(error)) => DnsAnswer::Failed(error.to_string()),
            Err(_) => DnsAnswer::Failed(format!("no DNS server answered within {} s", LIMIT.as_secs())),
        }
    }
}

async fn look_up(question: &DnsQuestion) -> Result<DnsAnswer, NetError> {
    let resolver = resolver()?;
    Ok(match question {
        DnsQuestion::Naptr(name) => {
            let lookup = resolver.lookup(absolute(name), RecordType::NAPTR).await?;
            let records = lookup.answers().iter().filter_map(|record| match &record.data {
                RData::NAPTR(naptr) => Some(Naptr {
                    order: naptr.order,
                    preference: naptr.preference,
                    service: String::from_utf8_lossy(&naptr.services).into_owned(),
                    replacement: naptr.replacement.to_ascii(),
                }),
                _ => None,
            });
            DnsAnswer::Naptr(records.collect())
        }
        DnsQuestion::Srv(name) => {
            let lookup = resolver.lookup(absolute(name), RecordType::SRV).await?;
            let records = lookup.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_ascii(),
                }),
                _ => None,
            });
            DnsAnswer::Srv(records.collect())
        }
        DnsQuestion::Address(name) => {
            // A single label (`localhost`, a box on the LAN) may need the search list.
            let name = if name.contains('.') { absolute(name) } else { name.clone() };
            DnsAnswer::Address(resolver.lookup_ip(name).await?.iter().collect())
        }
    })
}

fn resolver() -> Result<TokioResolver, NetError> {
    let (config, mut options) = system_conf::read_system_conf().unwrap_or_else(|_| {
        let text = std::fs::read(RESOLV_CONF).unwrap_or_default();
        (fallback(&String::from_utf8_lossy(&text)), ResolverOpts::default())
    });
    options.timeout = TRY;
    options.attempts = TRIES;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    // Twilio's edges have IPv4 addresses only; where both exist, an office is likelier to have that one.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    Hickory::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

/// The servers of a `resolv.conf` that hickory does not take as a whole (an odd search list is enough); without any,
/// the one of this host, as resolv.conf(5) has it.
fn fallback(text: &str) -> ResolverConfig {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = servers.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    let mut servers: Vec<NameServerConfig> = addresses.take(3).map(NameServerConfig::udp_and_tcp).collect();
    if servers.is_empty() {
        servers.push(NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1])));
    }
    ResolverConfig::from_name_servers(servers)
}

/// No search list: these names are complete.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// Whether a server said that there is no such name or record: an answer, not a fault.
fn is_empty(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(question: DnsQuestion) -> DnsAnswer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Resolver.resolve(question))
    }

    #[test]
    fn localhost_needs_no_dns_server() {
        let DnsAnswer::Address(addresses) = resolve(DnsQuestion::Address("localhost".into())) else { panic!() };
        assert!(addresses.contains(&IpAddr::from([127, 0, 0, 1])), "{addresses:?}");
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    #[test]
    fn a_name_that_can_not_be_one_is_a_failed_answer() {
        let long = "x".repeat(64);
        assert!(matches!(resolve(DnsQuestion::Srv(format!("{long}.example"))), DnsAnswer::Failed(_)));
        assert!(matches!(resolve(DnsQuestion::Address(String::from("a..b"))), DnsAnswer::Failed(_)));
    }

    #[test]
    fn the_servers_of_an_odd_resolv_conf_are_still_used() {
        let text = "search -bad..name-\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # two\nnameserver rubbish\n";
        let config = fallback(text);
        let servers: Vec<IpAddr> = config.name_servers().iter().map(|server| server.ip).collect();
        assert_eq!(servers, ["192.0.2.53".parse::<IpAddr>().unwrap(), "2001:db8::53".parse().unwrap()]);
    }

    #[test]
    fn without_any_server_this_host_is_asked() {
        let servers: Vec<IpAddr> = fallback("").name_servers().iter().map(|server| server.ip).collect();
        assert_eq!(servers, [IpAddr::from([127, 0, 0, 1])]);
    }
}
