//! Finding a server (RFC 3263 section 4): name to addresses, as questions and answers, without I/O.
//!
//! We speak TLS or nothing, so that a server is looked up as for a `sips` URI: NAPTR `SIPS+D2T`, SRV `_sips._tcp`,
//! addresses at port 5061. A step that fails is like one without records: routers' DNS forwarders choke on NAPTR.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::config::Server;
use crate::dns::{DnsAnswer, DnsQuestion, Naptr, Srv};
use crate::random::Random;
use crate::sip::flow::Transport;

/// SRV targets asked for per server.
const MAX_TARGETS: usize = 8;
/// NAPTR records followed.
const MAX_SERVICES: usize = 4;
/// Addresses tried per server.
const MAX_ADDRESSES: usize = 16;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Ask(DnsQuestion),
    /// In the order to try them; never empty.
    Found(VecDeque<SocketAddr>),
    /// And why, for people.
    Nothing(String),
}

/// A look-up in progress.
#[derive(Debug)]
pub(super) struct Lookup {
    host: String,
    step: Step,
    found: VecDeque<SocketAddr>,
    fault: Option<String>,
}

/// The question that is open; in a list it is the first one.
#[derive(Debug)]
enum Step {
    Naptr,
    Srv(VecDeque<String>),
    Address(VecDeque<(String, u16)>),
}

impl Lookup {
    /// An IP address is used as it is, a host with a port is only resolved (section 4.2), a bare host goes all the way.
    pub fn start(server: &Server) -> (Lookup, Next) {
        let host = server.host.trim_end_matches('.').to_string();
        let port = server.port.unwrap_or(Transport::Tls.default_port());
        let step = match server.port {
            Some(port) => Step::Address([(host.clone(), port)].into()),
            None => Step::Naptr,
        };
        let lookup = Lookup { host, step, found: VecDeque::new(), fault: None };
        let next = match lookup.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => Next::Found([SocketAddr::new(ip, port)].into()),
            Err(_) => lookup.ask(),
        };
        (lookup, next)
    }

    /// The answer to the last question. Randomness chooses between SRV records of one priority.
    pub fn answer(&mut self, answer: DnsAnswer, random: &mut Random) -> Next {
        if let DnsAnswer::Failed(fault) = &answer {
            self.fault = Some(fault.clone());
        }
        match &mut self.step {
            Step::Naptr => {
                let mut names = match answer {
                    DnsAnswer::Naptr(records) => services(records),
                    _ => VecDeque::new(),
                };
                if names.is_empty() {
                    names.push_back(format!("_sips._tcp.{}", self.host));
                }
                self.step = Step::Srv(names);
                self.ask()
            }
            Step::Srv(names) => {
                names.pop_front();
                let targets = match answer {
                    DnsAnswer::Srv(records) => order(records, random),
                    _ => VecDeque::new(),
                };
                if !targets.is_empty() {
                    self.step = Step::Address(targets);
                } else if names.is_empty() {
                    self.step = Step::Address([(self.host.clone(), Transport::Tls.default_port())].into());
                }
                self.ask()
            }
            Step::Address(targets) => {
                if let (Some((_, port)), DnsAnswer::Address(addresses)) = (targets.pop_front(), answer) {
                    let room = MAX_ADDRESSES - self.found.len().min(MAX_ADDRESSES);
                    self.found.extend(addresses.into_iter().take(room).map(|ip| SocketAddr::new(ip, port)));
                }
                self.ask()
            }
        }
    }

    fn ask(&self) -> Next {
        let question = match &self.step {
            Step::Naptr => Some(DnsQuestion::Naptr(self.host.clone())),
            Step::Srv(names) => names.front().cloned().map(DnsQuestion::Srv),
            Step::Address(targets) => targets.front().map(|(name, _)| DnsQuestion::Address(name.clone())),
        };
        match (question, &self.fault) {
            (Some(question), _) => Next::Ask(question),
            (None, _) if !self.found.is_empty() => Next::Found(self.found.clone()),
            (None, Some(fault)) => Next::Nothing(format!("{} can not be resolved: {fault}", self.host)),
            (None, None) => Next::Nothing(format!("{} has no address in DNS", self.host)),
        }
    }
}

/// The SRV names of the NAPTR records that mean SIP over TLS, in order (RFC 3263 section 4.1).
fn services(mut records: Vec<Naptr>) -> VecDeque<String> {
    records.retain(|record| record.service.eq_ignore_ascii_case("SIPS+D2T"));
    records.sort_by_key(|record| (record.order, record.preference));
    let names = records.into_iter().map(|record| record.replacement.trim_end_matches('.').to_string());
    names.filter(|name| !name.is_empty()).take(MAX_SERVICES).collect()
}

/// Targets by priority, within one by weighted lot (RFC 2782). A target of `.` means: not served here.
fn order(mut records: Vec<Srv>, random: &mut Random) -> VecDeque<(String, u16)> {
    records.retain(|record| !record.target.trim_end_matches('.').is_empty());
    // Within a priority those of weight 0 come first, as the algorithm wants it.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut targets = VecDeque::new();
    while let Some(first) = records.first() {
        let priority = first.priority;
        let group = records.iter().take_while(|record| record.priority == priority);
        let total: u64 = group.map(|record| u64::from(record.weight)).sum();
        let lot = random.below(total + 1);
        let mut sum = 0;
        // The running sum reaches `total` at the last of the group, so that one is always chosen.
        let reaches = |record: &Srv| {
            sum += u64::from(record.weight);
            sum >= lot
        };
        let record = records.remove(records.iter().position(reaches).unwrap_or(0));
        targets.push_back((record.target.trim_end_matches('.').to_string(), record.port));
    }
    targets.truncate(MAX_TARGETS);
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: Option<u16>) -> Server {
        Server { host: host.into(), port }
    }

    fn naptr(order: u16, service: &str, replacement: &str) -> Naptr {
        Naptr { order, preference: 0, service: service.into(), replacement: replacement.into() }
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Srv {
        Srv { priority, weight, port, target: target.into() }
    }

    fn address(text: &str) -> DnsAnswer {
        DnsAnswer::Address(vec![text.parse().unwrap()])
    }

    #[test]
    fn an_ip_address_is_not_looked_up() {
        let (_, next) = Lookup::start(&server("192.0.2.1", None));
        assert_eq!(next, Next::Found(["192.0.2.1:5061".parse().unwrap()].into()));
        let (_, next) = Lookup::start(&server("[2001:db8::1]", Some(5071)));
        assert_eq!(next, Next::Found(["[2001:db8::1]:5071".parse().unwrap()].into()));
    }

    #[test]
    fn a_host_with_a_port_is_only_resolved() {
        let mut random = Random::from_number(1);
        let (mut lookup, next) = Lookup::start(&server("localhost", Some(15061)));
        assert_eq!(next, Next::Ask(DnsQuestion::Address("localhost".into())));
        let addresses = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let found = ["[::1]:15061".parse().unwrap(), "127.0.0.1:15061".parse().unwrap()].into();
        assert_eq!(lookup.answer(DnsAnswer::Address(addresses), &mut random), Next::Found(found));
    }

    #[test]
    fn a_bare_host_goes_by_naptr_and_srv_and_its_priorities() {
        let mut random = Random::from_number(1);
        let (mut lookup, next) = Lookup::start(&server("example.com", None));
        assert_eq!(next, Next::Ask(DnsQuestion::Naptr("example.com".into())));
        let records = vec![
            naptr(1, "SIP+D2U", "_sip._udp.example.com."),
            naptr(9, "sips+d2t", "_sips._tcp.backup.example.com."),
            naptr(2, "SIPS+D2T", "_sips._tcp.main.example.com."),
        ];
        let next = lookup.answer(DnsAnswer::Naptr(records), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Srv("_sips._tcp.main.example.com".into())));
        let next = lookup.answer(DnsAnswer::Srv(vec![]), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Srv("_sips._tcp.backup.example.com".into())));
        let records = vec![srv(20, 1, 5061, "b.example.com."), srv(10, 1, 5071, "a.example.com.")];
        let next = lookup.answer(DnsAnswer::Srv(records), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Address("a.example.com".into())));
        let next = lookup.answer(address("192.0.2.1"), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Address("b.example.com".into())));
        let next = lookup.answer(address("192.0.2.2"), &mut random);
        let found = ["192.0.2.1:5071".parse().unwrap(), "192.0.2.2:5061".parse().unwrap()].into();
        assert_eq!(next, Next::Found(found));
    }

    #[test]
    fn a_resolver_that_fails_on_naptr_and_srv_still_leads_to_the_address_at_5061() {
        let mut random = Random::from_number(1);
        let (mut lookup, _) = Lookup::start(&server("example.com", None));
        let next = lookup.answer(DnsAnswer::Failed("SERVFAIL".into()), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Srv("_sips._tcp.example.com".into())));
        let next = lookup.answer(DnsAnswer::Failed("timeout".into()), &mut random);
        assert_eq!(next, Next::Ask(DnsQuestion::Address("example.com".into())));
        let next = lookup.answer(address("192.0.2.1"), &mut random);
        assert_eq!(next, Next::Found(["192.0.2.1:5061".parse().unwrap()].into()));
    }

    #[test]
    fn a_name_without_addresses_says_so() {
        let mut random = Random::from_number(1);
        let (mut lookup, _) = Lookup::start(&server("nowhere.example", Some(1)));
        let next = lookup.answer(DnsAnswer::Address(vec![]), &mut random);
        assert_eq!(next, Next::Nothing("nowhere.example has no address in DNS".into()));
        let (mut lookup, _) = Lookup::start(&server("nowhere.example", Some(1)));
        let next = lookup.answer(DnsAnswer::Failed("no resolver".into()), &mut random);
        assert_eq!(next, Next::Nothing("nowhere.example can not be resolved: no resolver".into()));
    }

    #[test]
    fn weights_decide_how_often_a_target_comes_first() {
        let mut random = Random::from_number(7);
        let records = vec![srv(1, 75, 1, "a"), srv(1, 25, 2, "b"), srv(1, 0, 3, "c")];
        let mut first = [0; 4];
        for _ in 0..4000 {
            let targets = order(records.clone(), &mut random);
            assert_eq!(targets.len(), 3);
            first[usize::from(targets[0].1)] += 1;
        }
        assert!((2800..3200).contains(&first[1]) && (800..1200).contains(&first[2]) && first[3] < 200, "{first:?}");
    }

    #[test]
    fn a_target_of_a_dot_is_no_target() {
        assert!(order(vec![srv(0, 0, 0, ".")], &mut Random::from_number(1)).is_empty());
    }

    #[test]
    fn a_server_that_lists_too_much_is_cut_short() {
        let mut random = Random::from_number(1);
        let many: Vec<Srv> = (0..100).map(|n| srv(n, 0, 5061, "x.example")).collect();
        assert_eq!(order(many, &mut random).len(), MAX_TARGETS);
        let (mut lookup, _) = Lookup::start(&server("x.example", Some(1)));
        let many = (0..100).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let Next::Found(found) = lookup.answer(DnsAnswer::Address(many), &mut random) else { panic!() };
        assert_eq!(found.len(), MAX_ADDRESSES);
    }
}
