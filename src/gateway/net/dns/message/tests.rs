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
    for name in ["", ".", "a..b", ".a", "a..", &format!("{long}.example"), &["x".repeat(60).as_str(); 5].join(".")] {
        assert!(Query::new(1, name, Kind::A).is_none(), "{name:?}");
    }
}

#[test]
fn addresses_services_and_rules_are_read() {
    let asked = query("Twilio.example", Kind::A);
    let answers = [record("twilio.example", 1, 60, &[192, 0, 2, 1]), record("twilio.EXAMPLE", 1, 30, &[192, 0, 2, 2])];
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
    let signature = record("a.example", 46, 60, &[&[0, 1, 8, 2][..], &[0; 14], &name("example"), &[7; 64]].concat());
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
