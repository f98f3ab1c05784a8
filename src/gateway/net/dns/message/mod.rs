//! One question and its answer as octets (RFC 1035 section 4), by simple-dns, without I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet};

use gateway_core::dns::{Naptr, Srv};

/// What is asked for, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A = 1,
    Aaaa = 28,
    Srv = 33,
    Naptr = 35,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Address(IpAddr),
    Srv(Srv),
    Naptr(Naptr),
}

/// What a datagram is to the one who asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Not the answer to this question: an earlier one, or somebody's guess. The answer may still come.
    Stray,
    /// Too long for a datagram: ask again by TCP (RFC 7766).
    Truncated,
    /// The server does not take the question as it was put: ask again without EDNS (RFC 6891 section 7).
    NoEdns,
    /// The records and how long they hold; none when there is no such name or no such record.
    Found { records: Vec<Record>, ttl: Duration },
    /// The server can not or will not, in its words.
    Refused(&'static str),
}

const HEADER: usize = 12;
/// Octets of an answer that we take in a datagram: fits every path unfragmented (the figure of DNS Flag Day 2020).
pub const MAX_DATAGRAM: u16 = 1232;
/// Octets of the shortest record: root, type, class, TTL, length (RFC 1035 section 3.2.1).
const SHORTEST_RECORD: usize = 11;
/// Records, aliases and signatures included, that an answer may have: each may be a name of 127 labels.
const MAX_ANSWERS: usize = 256;
/// Records of an answer that count.
const MAX_RECORDS: usize = 32;
/// Aliases (CNAME) followed.
const MAX_ALIASES: usize = 8;

/// Whether a question says that we know EDNS: then the server may use more than 512 octets for its answer (RFC 6891
/// section 6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edns {
    With,
    Without,
}

/// A question under its number.
#[derive(Debug)]
pub struct Query {
    id: u16,
    kind: Kind,
    /// Name, type and class as they stand in the message.
    question: Vec<u8>,
}

impl Query {
    /// None when `name` can not be one: empty labels, labels of more than 63 octets, more than 253 in all (RFC 1035
    /// section 2.3.4).
    pub fn new(id: u16, name: &str, kind: Kind) -> Option<Query> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > 253 {
            return None;
        }
        let mut question = Vec::with_capacity(name.len() + 6);
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            question.push(length);
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, kind as u8, 0, CLASS::IN as u8]);
        Some(Query { id, kind, question })
    }

    /// The message.
    pub fn octets(&self, edns: Edns) -> Vec<u8> {
        let [high, low] = self.id.to_be_bytes();
        // Recursion desired; one question; with EDNS one additional record.
        let mut octets = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns == Edns::With)];
        octets.extend(&self.question);
        if edns == Edns::With {
            let [high, low] = MAX_DATAGRAM.to_be_bytes();
            octets.extend([0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
        }
        octets
    }

    /// What `octets`, which came from the server, are to this question. Number and question have to be ours (RFC 5452
    /// section 9.1).
    pub fn read(&self, octets: &[u8]) -> Reply {
        let Some((header, rest)) = octets.split_first_chunk::<HEADER>() else { return Reply::Stray };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (flags, answers) = (word(2), word(6));
        let (is_response, opcode, is_truncated) = (flags & 0x8000 != 0, flags >> 11 & 15, flags & 0x0200 != 0);
        if word(0) != self.id || !is_response || opcode != 0 {
            return Reply::Stray;
        }
        // A server that does not know EDNS need not repeat the question.
        if flags & 15 == 1 {
            return Reply::NoEdns;
        }
        // The lengths and numbers in a question are no letters, so that this compares names as DNS does.
        let is_ours = |question: &[u8]| question.eq_ignore_ascii_case(&self.question);
        if word(4) != 1 || !rest.get(..self.question.len()).is_some_and(is_ours) {
            return Reply::Stray;
        }
        match flags & 15 {
            0 | 3 if is_truncated => Reply::Truncated,
            0 => self.records(octets, usize::from(answers)).unwrap_or(Reply::Refused("an answer that is not DNS")),
            3 => Reply::Found { records: Vec::new(), ttl: Duration::ZERO },
            2 => Reply::Refused("SERVFAIL"),
            4 => Reply::Refused("NOTIMP"),
            5 => Reply::Refused("REFUSED"),
            _ => Reply::Refused("an unknown error code"),
        }
    }

    /// The answer section; what else servers add is not read, and so can not spoil the answer.
    fn records(&self, octets: &[u8], answers: usize) -> Option<Reply> {
        if answers > MAX_ANSWERS.min(octets.len() / SHORTEST_RECORD) {
            return None;
        }
        let mut octets = octets.to_vec();
        // Flags that mean nothing to a question of one's own, authorities and additional records.
        octets[3] &= 0x0f;
        octets[8..HEADER].fill(0);
        let packet = Packet::parse(&octets).ok()?;
        let is_in = |record: &&simple_dns::ResourceRecord| record.class == CLASS::IN;
        let of = |owner: &Name| packet.answers.iter().filter(is_in).filter(|record| record.name == *owner).collect();
        let mut owner: Name = packet.questions.first()?.qname.clone();
        let mut ttl = u32::MAX;
        for _ in 0..=MAX_ALIASES {
            let mine: Vec<&simple_dns::ResourceRecord> = of(&owner);
            let wanted = mine.iter().filter_map(|record| Some((self.record(&record.rdata)?, record.ttl)));
            let (records, ttls): (Vec<Record>, Vec<u32>) = wanted.take(MAX_RECORDS).unzip();
            if !records.is_empty() {
                let ttl = ttls.into_iter().fold(ttl, u32::min);
                return Some(Reply::Found { records, ttl: seconds(ttl) });
            }
            let alias = mine.iter().find_map(|record| match &record.rdata {
                RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
                _ => None,
            });
            let Some((target, alias_ttl)) = alias else {
                return Some(Reply::Found { records: Vec::new(), ttl: Duration::ZERO });
            };
            (owner, ttl) = (target, ttl.min(alias_ttl));
        }
        Some(Reply::Refused("too many aliases"))
    }

    fn record(&self, data: &RData) -> Option<Record> {
        Some(match (self.kind, data) {
            (Kind::A, RData::A(a)) => Record::Address(Ipv4Addr::from(a.address).into()),
            (Kind::Aaaa, RData::AAAA(aaaa)) => Record::Address(Ipv6Addr::from(aaaa.address).into()),
            (Kind::Srv, RData::SRV(srv)) => Record::Srv(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: text(&srv.target),
            }),
            (Kind::Naptr, RData::NAPTR(naptr)) => Record::Naptr(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                service: naptr.services.to_string(),
                replacement: text(&naptr.replacement),
            }),
            _ => return None,
        })
    }
}

/// The root, as text, is a dot.
fn text(name: &Name) -> String {
    let text = name.to_string();
    if text.is_empty() { ".".into() } else { text }
}

/// A TTL with its highest bit set is none (RFC 2181 section 8).
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > i32::MAX as u32 { 0 } else { ttl.into() })
}

#[cfg(test)]
mod tests;
