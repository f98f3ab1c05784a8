//! The resolver against servers on the loopback, made for one test each.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use super::*;

/// What the server does with a question: the octets that it sends back, each as a datagram.
type Act = fn(&[u8]) -> Vec<Vec<u8>>;

/// Files of a system whose servers are `servers`, at `port`.
fn resolver(name: &str, servers: &[IpAddr], port: u16) -> Resolver {
    let folder = std::env::temp_dir().join(format!("gateway-dns-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let lines: Vec<String> = servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
    std::fs::write(folder.join("resolv.conf"), lines.concat()).unwrap();
    let (resolv_conf, hosts) = (folder.join("resolv.conf"), folder.join("hosts"));
    Resolver { resolv_conf, hosts, port, clock: Clock::start(None), memory: RefCell::default() }
}

fn resolve(resolver: &Resolver, question: DnsQuestion) -> DnsAnswer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(resolver.resolve(question))
}

/// A server that does `act` with each question, for `questions` of them; by TCP it gives `long`.
fn serve(questions: usize, act: Act, long: Option<Act>) -> (u16, thread::JoinHandle<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let server = thread::spawn(move || {
        for _ in 0..questions {
            let mut octets = [0; 512];
            let (length, from) = udp.recv_from(&mut octets).unwrap();
            for answer in act(&octets[..length]) {
                udp.send_to(&answer, from).unwrap();
            }
            if let Some(long) = long {
                let (mut stream, _) = tcp.accept().unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut question).unwrap();
                let answer = long(&question).concat();
                stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
            }
        }
    });
    (port, server)
}

/// The question turned into an answer with these records, all owned by the name that was asked for.
fn answer(question: &[u8], code: u8, records: &[&[u8]]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let mut octets = question[..end].to_vec();
    (octets[2], octets[3], octets[7], octets[11]) = (0x81, 0x80 | code, records.len() as u8, 0);
    for data in records {
        let kind = &question[end - 4..end - 2];
        octets.extend([&[0xc0, 12], kind, &[0, 1, 0, 0, 0, 60], &(data.len() as u16).to_be_bytes()[..], data].concat());
    }
    octets
}

fn is_a(question: &[u8]) -> bool {
    answer(question, 0, &[]).ends_with(&[0, 1, 0, 1])
}

/// 192.0.2.1, and no IPv6.
fn good(question: &[u8]) -> Vec<Vec<u8>> {
    let records: &[&[u8]] = if is_a(question) { &[&[192, 0, 2, 1]] } else { &[] };
    vec![answer(question, 0, records)]
}

fn edge() -> DnsQuestion {
    DnsQuestion::Address("edge.example".into())
}

fn found() -> DnsAnswer {
    DnsAnswer::Address(vec![[192, 0, 2, 1].into()])
}

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Also this host, where nobody listens at the test's port.
const DEAD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

#[test]
fn localhost_needs_no_server() {
    let resolver = resolver("localhost", &[], 1);
    let DnsAnswer::Address(addresses) = resolve(&resolver, DnsQuestion::Address("localhost".into())) else { panic!() };
    assert!(addresses.contains(&SERVER) && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}

#[test]
fn a_name_in_the_hosts_file_is_not_asked_for() {
    let resolver = resolver("hosts", &[], 1);
    std::fs::write(&resolver.hosts, "192.0.2.1 edge.example\n").unwrap();
    assert_eq!(resolve(&resolver, edge()), found());
}

#[test]
fn a_name_that_can_not_be_one_is_a_failed_answer() {
    let resolver = resolver("names", &[SERVER], 1);
    let long = format!("{}.example", "x".repeat(64));
    for question in [DnsQuestion::Srv(long), DnsQuestion::Address("a..b".into())] {
        let DnsAnswer::Failed(reason) = resolve(&resolver, question) else { panic!() };
        assert!(reason.contains("can not be a name"), "{reason}");
    }
}

#[test]
fn an_answer_is_kept_and_stands_in_when_the_server_is_gone() {
    let (port, server) = serve(2, good, None);
    let resolver = resolver("stale", &[SERVER], port);
    assert_eq!(resolve(&resolver, edge()), found());
    server.join().unwrap();
    assert_eq!(resolve(&resolver, edge()), found(), "fresh");
    std::fs::write(&resolver.resolv_conf, format!("nameserver {DEAD}\n")).unwrap();
    assert_eq!(resolve(&resolver, edge()), found(), "other servers, which are silent");
    assert!(matches!(resolve(&resolver, DnsQuestion::Address("other.example".into())), DnsAnswer::Failed(_)));
}

#[test]
fn the_second_server_is_asked_when_the_first_is_dead_or_refuses() {
    let (port, server) = serve(2, good, None);
    assert_eq!(resolve(&resolver("second", &[DEAD, SERVER], port), edge()), found());
    server.join().unwrap();

    let (port, server) = serve(4, |question| vec![answer(question, 5, &[])], None);
    let DnsAnswer::Failed(reason) = resolve(&resolver("refused", &[SERVER, DEAD], port), edge()) else { panic!() };
    assert!(reason.starts_with("127.0.0.1: REFUSED; 127.0.0.2: "), "{reason}");
    server.join().unwrap();
}

#[test]
fn guesses_that_arrive_first_are_not_believed() {
    let forge: Act = |question| {
        let mut number = answer(question, 0, &[&[203, 0, 113, 1]]);
        number[1] ^= 1;
        let mut name = answer(question, 0, &[&[203, 0, 113, 1]]);
        name[13] ^= 1;
        [vec![number, name, b"rubbish".to_vec(), Vec::new()], good(question)].concat()
    };
    let (port, server) = serve(2, forge, None);
    assert_eq!(resolve(&resolver("guesses", &[SERVER], port), edge()), found());
    server.join().unwrap();
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_tcp() {
    let short: Act = |question| {
        let mut octets = answer(question, 0, &[]);
        octets[2] |= 2;
        vec![octets]
    };
    let long: Act = |question| {
        let target: &[u8] = b"\x04edge\x07example\0";
        let data: Vec<Vec<u8>> = (0..60).map(|n| [&[0, n, 0, 1, 0x13, 0xc5], target].concat()).collect();
        vec![answer(question, 0, &data.iter().map(Vec::as_slice).collect::<Vec<_>>())]
    };
    let (port, server) = serve(1, short, Some(long));
    let question = DnsQuestion::Srv("_sips._tcp.edge.example".into());
    let DnsAnswer::Srv(records) = resolve(&resolver("long", &[SERVER], port), question) else { panic!() };
    assert_eq!(records.len(), 32, "as many as count");
    assert_eq!((records[31].priority, records[31].port, records[31].target.as_str()), (31, 5061, "edge.example"));
    server.join().unwrap();
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    let old: Act = |question| if question[11] == 1 { vec![answer(question, 1, &[])] } else { good(question) };
    let (port, server) = serve(4, old, None);
    assert_eq!(resolve(&resolver("edns", &[SERVER], port), edge()), found());
    server.join().unwrap();
}

#[test]
fn no_such_name_is_an_answer_and_not_a_fault() {
    let (port, server) = serve(3, |question| vec![answer(question, 3, &[])], None);
    let resolver = resolver("nothing", &[SERVER], port);
    assert_eq!(resolve(&resolver, edge()), DnsAnswer::Address(vec![]));
    assert_eq!(resolve(&resolver, DnsQuestion::Naptr("edge.example".into())), DnsAnswer::Naptr(vec![]));
    server.join().unwrap();
}

#[test]
fn an_address_is_good_without_the_other_family() {
    let chokes: Act = |question| if is_a(question) { good(question) } else { vec![answer(question, 2, &[])] };
    // AAAA once more in the second round.
    let (port, server) = serve(3, chokes, None);
    assert_eq!(resolve(&resolver("family", &[SERVER], port), edge()), found());
    server.join().unwrap();
}
