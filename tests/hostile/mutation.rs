//! Whole conversations, mutated with fixed seeds, from every side at once.

use std::time::Duration;

use gateway_core::emergency;
use gateway_core::engine::{Input, MAX_STREAMS};
use gateway_core::random::Random;
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::sip::transaction;

use crate::office::{Ask, Far, Office, handset, sdp, secure_sdp, tcp, udp};

/// Octets spliced in.
const TOKENS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\"",
    b"<",
    b">",
    b";",
    b":",
    b",",
    b"@",
    b"%0d%0a",
    b"[",
    b"\xff\xfe",
    b"l: 1\r\n",
    b"Require: 100rel\r\n",
    b"Supported: timer\r\n",
    b"Session-Expires: 1;refresher=uas\r\n",
    b"Expires: 4294967295\r\n",
    b"Max-Forwards: 0\r\n",
    b"RSeq: 0\r\n",
    b"a=sendonly\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"c=IN IP4 0.0.0.0\r\n",
    b"CSeq: 4294967295 INVITE\r\n",
];

fn mutate(random: &mut Random, text: &str, others: &[String]) -> Vec<u8> {
    let mut octets = text.as_bytes().to_vec();
    let below = |random: &mut Random, bound: usize| random.below(bound.max(1) as u64) as usize;
    for _ in 0..below(random, 4) {
        let at = below(random, octets.len() + 1);
        match random.below(6) {
            0 if at < octets.len() => octets[at] = random.u32() as u8,
            1 => octets.truncate(at),
            2 => {
                let end = (at + below(random, 20)).min(octets.len());
                octets.drain(at..end);
            }
            3 => {
                let other = others[below(random, others.len())].as_bytes();
                octets.splice(at.., other[below(random, other.len())..].iter().copied());
            }
            _ => {
                let token = TOKENS[below(random, TOKENS.len())];
                octets.splice(at..at, token.iter().copied());
            }
        }
    }
    octets
}

/// All that a handset or a far end may say, with tags and numbers that often meet what the engine said.
fn lines(random: &mut Random, office: &Office, flow: Flow) -> Vec<String> {
    let name = ["101", "102", "103", "911", "5035551212", "nobody"][random.below(6) as usize];
    let number = ["101", "102", "911", "933", "5035551212", "+15035550100", "*1"][random.below(7) as usize];
    let method =
        ["INVITE", "REGISTER", "BYE", "CANCEL", "REFER", "PRACK", "UPDATE", "INFO", "OPTIONS", "ACK", "NOTIFY"]
            [random.below(11) as usize];
    let mut ask = Ask::new(method, &format!("sip:{number}@192.168.1.1"), name, number, random.below(40))
        .header(&format!("Contact: <sip:{name}@{}>\r\nRefer-To: <sip:102@x>\r\nRAck: 1 1 INVITE", flow.remote));
    ask.cseq = random.below(6) as u32;
    ask = match (random.below(3), flow.transport) {
        (0, _) => ask,
        (_, Transport::Tls) => ask.sdp(&secure_sdp("168.86.130.1:9000")),
        _ => ask.sdp(&sdp(&format!("{}:4000", flow.remote.ip()))),
    };
    let mut all = vec![ask.text(flow)];
    // Something that the engine said there, turned around: an answer to its request, a request in its dialog.
    let said: Vec<_> = office.sent.iter().rev().filter(|sent| sent.flow == flow).take(8).collect();
    if let Some(sent) = (!said.is_empty()).then(|| said[random.below(said.len() as u64) as usize]) {
        let text = sent.text();
        if let Some((first, rest)) = text.split_once("\r\n") {
            let rest = rest.replace("User-Agent", "Contact: <sip:x@x>\r\nServer");
            let code = ["100 x", "180 x", "183 x", "200 OK", "302 x", "401 x", "422 x", "486 x", "491 x", "603 x"]
                [random.below(10) as usize];
            if first.starts_with("SIP/2.0") {
                // A request inside the dialog that the answer made, mostly with a branch and a number of its own.
                let branch = random.below(50);
                let lines = rest.split("\r\n").map(|line| match line.split_once(": ") {
                    Some(("CSeq", _)) => format!("CSeq: {} {method}", 2 + random.below(60)),
                    Some(("Via", _)) if method != "CANCEL" => format!(
                        "Via: SIP/2.0/{} {};rport;branch=z9hG4bKin{branch}",
                        flow.transport.via_token(),
                        flow.remote
                    ),
                    _ => line.to_string(),
                });
                let rest = lines.collect::<Vec<_>>().join("\r\n");
                all.push(format!("{method} sip:{number}@192.168.1.1 SIP/2.0\r\nRefer-To: <sip:103@x>\r\n{rest}"));
            } else {
                let tag = format!("\r\nTo: <sip:x@x>;tag={}\r\n", random.below(3));
                let tagged = rest.replacen("\r\nTo: ", &format!("{tag}X-To: "), 1);
                all.push(format!("SIP/2.0 {code}\r\nRSeq: {}\r\n{tagged}", random.below(4)));
            }
        }
    }
    all
}

fn attack(seed: u64, rounds: usize) -> Office {
    let mut random = Random::from_number(seed);
    let mut office = Office::with_handsets(seed);
    let mut seeds: Vec<String> = vec![Ask::new("OPTIONS", "sip:x", "a", "b", 1).text(handset("101"))];
    let mut connections = 100;
    let mut streams: Vec<Flow> = Vec::new();
    let mut deep = 0;
    for _ in 0..rounds {
        if streams.len() < 8 {
            connections += 1;
            let flow = tcp(&format!("192.168.1.{}:5070", 101 + random.below(5)), connections);
            streams.push(flow);
            office.input(Input::Accepted { flow });
        }
        if random.below(12) == 0 {
            let caller = ["101", "102", "103"][random.below(3) as usize];
            let number = ["101", "102", "103", "5035551212", "911"][random.below(5) as usize];
            let (ask, answers) = office.dial(caller, number);
            if let Some(ok) = answers.iter().find(|sent| sent.flow == handset(caller) && sent.code() == Some(200)) {
                office.give(handset(caller), ask.inside("ACK", ok, 2).text(handset(caller)));
                deep += 1;
            }
        }
        let flow = match random.below(10) {
            0..5 => handset(["101", "102", "103"][random.below(3) as usize]),
            5 => udp("192.168.1.66:5060"),
            6..8 => streams[random.below(streams.len() as u64) as usize],
            _ => office.trunk.unwrap_or(handset("101")),
        };
        office.far = if random.below(4) == 0 { Far::Mute } else { Far::Answers };
        let all = lines(&mut random, &office, flow);
        let text = all[random.below(all.len() as u64) as usize].clone();
        let octets = mutate(&mut random, &text, &seeds);
        if seeds.len() < 50 {
            seeds.push(text);
        }
        let before = office.sent.len();
        let asked = octets.len();
        if flow.transport == Transport::Udp {
            office.give(flow, &octets);
        } else {
            let cut = random.below(octets.len() as u64 + 1) as usize;
            office.give(flow, &octets[..cut]);
            office.give(flow, &octets[cut..]);
        }
        if flow == udp("192.168.1.66:5060") {
            let back: Vec<_> = office.sent[before..].iter().filter(|sent| sent.flow.remote == flow.remote).collect();
            assert!(
                back.len() <= 4,
                "{} answers to one packet of a stranger: {:?}",
                back.len(),
                String::from_utf8_lossy(&octets)
            );
            assert!(back.iter().map(|sent| sent.bytes.len()).sum::<usize>() <= 4 * (asked + 700));
        }
        if office.sent.len() > 400 {
            office.sent.drain(..300);
        }
        office.events.clear();
        streams.retain(|flow| !office.closed.contains(flow));
        if random.below(3) == 0 {
            office.pass(Duration::from_millis(random.below(3000)));
        }
    }
    assert!(deep > rounds / 300, "the attack reached {deep} answered calls only");
    office
}

#[test]
fn mutated_conversations_never_panic_fill_no_table_and_leave_nothing_behind() {
    // GATEWAY_FUZZ=100000 cargo test --test hostile mutated
    let rounds = std::env::var("GATEWAY_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    for seed in 0..8 {
        let mut office = attack(seed, rounds);
        let (most, limit) = (office.most, office.config.limits.calls);
        assert!(most.transactions <= 2 * (transaction::MAX + transaction::RESERVE), "{most:?}");
        assert!(most.streams <= MAX_STREAMS && most.bindings <= 30, "{most:?}");
        // Emergency calls pass the bound of ordinary ones, and have their own.
        assert!(most.calls <= limit + emergency::bound::MAX_CALLS, "{most:?}");
        assert!(most.dialogs <= 10 * most.legs.max(1), "{most:?}");
        office.far = Far::Answers;
        // A stream that ends in half a message would swallow what comes next.
        if let Some(trunk) = office.trunk {
            office.input(Input::Disconnected { flow: trunk, reason: "reset".into() });
        }
        office.assert_quiet();
    }
}

#[test]
fn the_same_attack_gets_the_same_answers() {
    let trace = |seed| {
        let office = attack(seed, 300);
        (office.sent.iter().map(|sent| sent.bytes.clone()).collect::<Vec<_>>(), office.most)
    };
    assert_eq!(trace(77), trace(77));
}
