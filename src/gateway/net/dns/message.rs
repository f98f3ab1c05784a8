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
mod tests {
    use super::*;

    /// A name without compression.
    fn name(text: &str) -> Vec<u8> {
        let labels = text.split('.').filter(|label| !label.is_empty());
        let mut octets: Vec<u8> = labels.flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
        octets.push(0);
        octets
    }

    fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let fixed = [&kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &(data.len() as u16).to_be_bytes()].concat();
        [name(owner), fixed, data.to_vec()].concat()
    }

    fn query(text: &str, kind: Kind) -> Query {
        Query::new(0x1234, text, kind).unwrap()
    }

    /// A response to `query` with these answers and this code.
    fn response(query: &Query, code: u8, answers: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = query.octets(Edns::Without);
        (octets[2], octets[3], octets[7]) = (0x81, 0x80 | code, answers.len() as u8);
        octets.extend(answers.concat());
        octets
    }

    fn found(records: Vec<Record>, ttl: u64) -> Reply {
        Reply::Found { records, ttl: Duration::from_secs(ttl) }
    }

    fn v4(text: &str) -> Record {
        Record::Address(text.parse().unwrap())
    }

    #[test]
    fn a_question_is_what_rfc_1035_says() {
        let octets = query("a.example.", Kind::Srv).octets(Edns::Without);
        assert_eq!(octets, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x21\0\x01");
        let octets = query("a.example", Kind::A).octets(Edns::With);
        assert_eq!(&octets[10..12], [0, 1]);
        assert!(octets.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"), "{octets:x?}");
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!(packet.opt().unwrap().udp_packet_size, MAX_DATAGRAM);
    }

    #[test]
    fn what_can_not_be_a_name_is_no_question() {
        let long = "x".repeat(64);
        for name in ["", ".", "a..b", ".a", "a..", &format!("{long}.example"), &["x".repeat(60).as_str(); 5].join(".")]
        {
            assert!(Query::new(1, name, Kind::A).is_none(), "{name:?}");
        }
    }

    #[test]
    fn addresses_services_and_rules_are_read() {
        let asked = query("Twilio.example", Kind::A);
        let answers =
            [record("twilio.example", 1, 60, &[192, 0, 2, 1]), record("twilio.EXAMPLE", 1, 30, &[192, 0, 2, 2])];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![v4("192.0.2.1"), v4("192.0.2.2")], 30));

        let asked = query("x.example", Kind::Aaaa);
        let data = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        assert_eq!(
            asked.read(&response(&asked, 0, &[record("x.example", 28, 5, &data)])),
            found(vec![v4("2001:db8::1")], 5)
        );

        let asked = query("_sips._tcp.x.example", Kind::Srv);
        let data = [&[0, 10, 0, 20, 0x13, 0xc5][..], &name("edge.x.example")].concat();
        let srv = Srv { priority: 10, weight: 20, port: 5061, target: "edge.x.example".into() };
        let answers = [record("_sips._tcp.x.example", 33, 9, &data)];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![Record::Srv(srv)], 9));

        let asked = query("x.example", Kind::Naptr);
        let data = [&b"\0\x01\0\x02\x01s\x08SIPS+D2T\0"[..], &name("_sips._tcp.x.example")].concat();
        let (service, replacement) = ("SIPS+D2T".to_string(), "_sips._tcp.x.example".to_string());
        let naptr = Naptr { order: 1, preference: 2, service, replacement };
        let answers = [record("x.example", 35, 9, &data)];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![Record::Naptr(naptr)], 9));
    }

    #[test]
    fn a_target_of_the_root_stays_a_dot() {
        let asked = query("_sips._tcp.x.example", Kind::Srv);
        let answers = [record("_sips._tcp.x.example", 33, 9, &[0; 7])];
        let Reply::Found { records, .. } = asked.read(&response(&asked, 0, &answers)) else { panic!() };
        assert_eq!(records, [Record::Srv(Srv { priority: 0, weight: 0, port: 0, target: ".".into() })]);
    }

    #[test]
    fn aliases_are_followed_and_the_shortest_ttl_holds() {
        let asked = query("a.example", Kind::A);
        let answers = [
            record("c.example", 1, 300, &[192, 0, 2, 1]),
            record("a.example", 5, 20, &name("B.example")),
            record("b.example", 5, 60, &name("c.example")),
            record("unasked.example", 1, 1, &[203, 0, 113, 1]),
        ];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![v4("192.0.2.1")], 20));
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let asked = query("a.example", Kind::A);
        let answers = [record("a.example", 5, 20, &name("b.example")), record("b.example", 5, 20, &name("a.example"))];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), Reply::Refused("too many aliases"));
    }

    #[test]
    fn no_such_name_and_no_such_record_are_answers() {
        let asked = query("a.example", Kind::Srv);
        assert_eq!(asked.read(&response(&asked, 3, &[])), found(vec![], 0));
        assert_eq!(asked.read(&response(&asked, 0, &[])), found(vec![], 0));
        let answers = [record("a.example", 5, 20, &name("b.example"))];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![], 0));
    }

    #[test]
    fn what_was_not_asked_is_not_an_answer() {
        let asked = query("a.example", Kind::A);
        let good = response(&asked, 0, &[record("a.example", 1, 60, &[192, 0, 2, 1])]);
        assert!(matches!(asked.read(&good), Reply::Found { .. }));
        let another_number = Query::new(0x1235, "a.example", Kind::A).unwrap();
        assert_eq!(another_number.read(&good), Reply::Stray);
        assert_eq!(query("b.example", Kind::A).read(&good), Reply::Stray);
        assert_eq!(query("a.example", Kind::Aaaa).read(&good), Reply::Stray);
        assert_eq!(asked.read(&asked.octets(Edns::Without)), Reply::Stray, "our own question, sent back");
        assert_eq!(asked.read(&good[..11]), Reply::Stray);
        assert_eq!(asked.read(&[]), Reply::Stray);
    }

    #[test]
    fn records_of_another_class_or_type_are_passed_over() {
        let asked = query("a.example", Kind::A);
        let mut chaos = record("a.example", 1, 60, &[192, 0, 2, 1]);
        let class = chaos.len() - 11;
        chaos[class] = 3;
        let signature =
            record("a.example", 46, 60, &[&[0, 1, 8, 2][..], &[0; 14], &name("example"), &[7; 64]].concat());
        let answers = [chaos, signature, record("a.example", 1, 60, &[192, 0, 2, 2])];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![v4("192.0.2.2")], 60));
    }

    #[test]
    fn a_server_that_fails_says_how() {
        let asked = query("a.example", Kind::A);
        assert_eq!(asked.read(&response(&asked, 1, &[])), Reply::NoEdns);
        assert_eq!(asked.read(&response(&asked, 1, &[])[..HEADER]), Reply::NoEdns);
        assert_eq!(asked.read(&response(&asked, 2, &[])), Reply::Refused("SERVFAIL"));
        assert_eq!(asked.read(&response(&asked, 5, &[])), Reply::Refused("REFUSED"));
        let mut truncated = response(&asked, 0, &[]);
        truncated[2] |= 2;
        assert_eq!(asked.read(&truncated), Reply::Truncated);
    }

    #[test]
    fn more_records_than_the_octets_can_hold_are_not_believed() {
        let asked = query("a.example", Kind::A);
        let mut octets = response(&asked, 0, &[]);
        octets[6..8].fill(0xff);
        assert_eq!(asked.read(&octets), Reply::Refused("an answer that is not DNS"));
    }

    #[test]
    fn rubbish_after_the_answers_does_not_spoil_them() {
        let asked = query("a.example", Kind::A);
        let mut octets = response(&asked, 0, &[record("a.example", 1, 60, &[192, 0, 2, 1])]);
        octets[8..12].fill(0xff);
        octets.extend([0xc0; 40]);
        assert_eq!(asked.read(&octets), found(vec![v4("192.0.2.1")], 60));
    }

    #[test]
    fn a_ttl_of_more_than_31_bits_is_none() {
        let asked = query("a.example", Kind::A);
        let answers = [record("a.example", 1, 0x8000_0001, &[192, 0, 2, 1])];
        assert_eq!(asked.read(&response(&asked, 0, &answers)), found(vec![v4("192.0.2.1")], 0));
    }
}
