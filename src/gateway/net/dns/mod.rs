//! The driver for [`Output::Resolve`](gateway_core::context::Output::Resolve): NAPTR, SRV and addresses from the servers of
//! `/etc/resolv.conf`, and addresses from `/etc/hosts`. musl's own resolver knows neither NAPTR nor SRV.
//!
//! Names are complete: there is no search list. A single label is asked as it is, which a router's own server answers.

mod ask;
mod cache;
mod config;
pub mod message;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::time::Duration;

use self::ask::{Patience, ask};
use self::cache::{Cache, Known};
use self::message::{Kind, Record};
use super::clock::Clock;
use gateway_core::dns::{DnsAnswer, DnsQuestion};

/// For one question, all servers and repetitions together.
const LIMIT: Duration = Duration::from_secs(8);
/// Times that each server is asked.
const ROUNDS: usize = 2;
/// For one try at one server.
const TRY: Duration = Duration::from_secs(3);
/// The same when an older answer is at hand.
const SHORT_TRY: Duration = Duration::from_secs(1);
/// Octets of a file that are read.
const MAX_FILE: u64 = 64 * 1024;

/// Looks names up and keeps the answers, also for when the servers are silent (RFC 8767).
///
/// Both files are read for each question: a router gets other servers with each DHCP lease, and questions are few (one
/// round per connection to Twilio), so that a watch is not worth its bugs.
#[derive(Debug)]
pub struct Resolver {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    port: u16,
    clock: Clock,
    memory: RefCell<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    cache: Cache,
    /// Whom it is from.
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// With the files of this system.
    pub fn new(clock: Clock) -> Self {
        Resolver {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
            clock,
            memory: RefCell::default(),
        }
    }

    /// Never fails and never takes much longer than 8 s: what goes wrong is [`DnsAnswer::Failed`].
    pub async fn resolve(&self, question: DnsQuestion) -> DnsAnswer {
        if let DnsQuestion::Address(name) = &question {
            let known = config::addresses(&read(&self.hosts), name.trim_end_matches('.'));
            if !known.is_empty() {
                return DnsAnswer::Address(known);
            }
        }
        let servers = self.servers();
        let known = {
            let mut memory = self.memory.borrow_mut();
            let now = self.clock.now();
            if memory.servers != servers {
                memory.servers.clone_from(&servers);
                memory.cache.doubt(now);
            }
            memory.cache.get(&question, now)
        };
        let (stale, patience) = match known {
            Known::Fresh(answer) => return answer,
            Known::Stale(answer) => (Some(answer), Patience { rounds: 1, each: SHORT_TRY }),
            Known::Nothing => {
                let tries = (ROUNDS * servers.len().max(1)) as u32;
                (None, Patience { rounds: ROUNDS, each: TRY.min(LIMIT / tries) })
            }
        };
        let found = look_up(&servers, patience, &question).await;
        let (cache, now) = (&mut self.memory.borrow_mut().cache, self.clock.now());
        match (found, stale) {
            (Ok((answer, ttl)), _) => {
                cache.put(question, answer.clone(), ttl, now);
                answer
            }
            (Err(_), Some(answer)) => {
                cache.stretch(&question, now);
                answer
            }
            (Err(fault), None) => DnsAnswer::Failed(fault),
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let servers = config::nameservers(&read(&self.resolv_conf)).into_iter();
        let addresses = servers.filter_map(|server| match (server.ip, server.zone) {
            (IpAddr::V6(ip), Some(zone)) => {
                let index = nix::net::if_::if_nametoindex(zone.as_str()).ok()?;
                Some(SocketAddrV6::new(ip, self.port, 0, index).into())
            }
            (ip, _) => Some(SocketAddr::new(ip, self.port)),
        });
        addresses.collect()
    }
}

/// An absent file is an empty one: a small system need not have it.
fn read(path: &PathBuf) -> String {
    use std::io::Read;
    let mut octets = Vec::new();
    let _ = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut octets));
    String::from_utf8_lossy(&octets).into_owned()
}

async fn look_up(
    servers: &[SocketAddr],
    patience: Patience,
    question: &DnsQuestion,
) -> Result<(DnsAnswer, Duration), String> {
    match question {
        DnsQuestion::Naptr(name) => {
            let (records, ttl) = ask(servers, patience, name, Kind::Naptr).await?;
            let records = records.into_iter().filter_map(|record| match record {
                Record::Naptr(naptr) => Some(naptr),
                _ => None,
            });
            Ok((DnsAnswer::Naptr(records.collect()), ttl))
        }
        DnsQuestion::Srv(name) => {
            let (records, ttl) = ask(servers, patience, name, Kind::Srv).await?;
            let records = records.into_iter().filter_map(|record| match record {
                Record::Srv(srv) => Some(srv),
                _ => None,
            });
            Ok((DnsAnswer::Srv(records.collect()), ttl))
        }
        DnsQuestion::Address(name) => {
            // Twilio's edges have IPv4 addresses only; where both exist, an office is likelier to have that one.
            let (v4, v6) =
                tokio::join!(ask(servers, patience, name, Kind::A), ask(servers, patience, name, Kind::Aaaa));
            addresses(v4, v6)
        }
    }
}

type Found = Result<(Vec<Record>, Duration), String>;

/// One half is enough when it has an address: there are servers that choke on AAAA.
fn addresses(v4: Found, v6: Found) -> Result<(DnsAnswer, Duration), String> {
    let mut all = Vec::new();
    let mut shortest = Duration::MAX;
    let mut fault = None;
    for found in [v4, v6] {
        match found {
            Ok((records, ttl)) => {
                if !records.is_empty() {
                    shortest = shortest.min(ttl);
                }
                all.extend(records.into_iter().filter_map(|record| match record {
                    Record::Address(ip) => Some(ip),
                    _ => None,
                }));
            }
            Err(reason) => fault = fault.or(Some(reason)),
        }
    }
    match fault {
        Some(fault) if all.is_empty() => Err(fault),
        _ => Ok((DnsAnswer::Address(all), shortest)),
    }
}

#[cfg(test)]
mod tests;
