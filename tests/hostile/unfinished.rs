//! Messages that never end: what they cost in memory, and whom they cost a connection.

use gateway_core::engine::{Input, MAX_STREAMS};
use gateway_core::sip::flow::Flow;
use gateway_core::streams::{MAX_UNFINISHED, MESSAGE_LIMIT};

use crate::allocation::held_by;
use crate::office::{Ask, Office, codes, sdp, source, tcp};

/// What the table of connections itself costs, in octets: names, timers, small buffers.
const TABLE: usize = 1024 * 1024;

/// Octets that are pushed at once, as the driver reads them.
const CHUNK: usize = 8 * 1024;

fn half(kind: usize) -> Vec<u8> {
    let head = "INVITE sip:101@192.168.1.1 SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n";
    match kind {
        // A head that never ends.
        0 => format!("{head}X: {}", "a".repeat(15_000)).into_bytes(),
        // A body that never comes whole.
        1 => format!("{head}Content-Length: 65000\r\n\r\n{}", "a".repeat(64_000)).into_bytes(),
        // Whole messages, and then half of one.
        2 => {
            format!("{head}Content-Length: 60000\r\n\r\n{0}{head}Content-Length: 60000\r\n\r\n{0}", "a".repeat(59_000))
                .into_bytes()
        }
        // A few octets of one.
        _ => b"INV".to_vec(),
    }
}

fn connect(office: &mut Office, number: u64) -> Flow {
    let flow = tcp(&source(number as u32).to_string(), number + 10);
    office.input(Input::Accepted { flow });
    flow
}

fn give(office: &mut Office, flow: Flow, bytes: &[u8]) {
    for chunk in bytes.chunks(CHUNK) {
        office.input(Input::Received { flow, bytes: chunk.to_vec() });
    }
}

#[test]
fn half_messages_on_every_connection_hold_a_bounded_memory() {
    for kind in 0..4 {
        let mut office = Office::new(20 + kind as u64);
        office.keeps = false;
        let text = half(kind);
        let (_, held) = held_by(|| {
            for number in 0..2 * MAX_STREAMS as u64 {
                let flow = connect(&mut office, number);
                give(&mut office, flow, &text);
            }
        });
        assert!(held < 2 * MAX_UNFINISHED + TABLE, "{kind}: {held} octets");
        office.seconds(MESSAGE_LIMIT.as_secs() + 1);
        assert_eq!(office.engine.sizes().streams, 1, "{kind}: the trunk's is left");
    }
}

#[test]
fn a_handset_and_a_caller_keep_their_connections_while_strangers_fill_the_memory() {
    let mut office = Office::new(30);
    let handset = tcp("192.168.1.101:5070", 5);
    office.input(Input::Accepted { flow: handset });
    office.register(handset, "101");
    let caller = tcp("192.168.1.77:5070", 6);
    office.input(Input::Accepted { flow: caller });
    let ask = Ask::new("INVITE", "sip:911@192.168.1.1", "nobody", "911", 3)
        .header("Contact: <sip:x@192.168.1.77:5070;transport=tcp>")
        .sdp(&sdp("192.168.1.77:4000"));
    assert!(codes(&office.give(caller, ask.text(caller))).contains(&200));
    // Both are in the middle of a message, and theirs are the largest.
    for flow in [handset, caller] {
        give(&mut office, flow, &half(1));
    }
    for number in 0..2 * MAX_STREAMS as u64 {
        let flow = connect(&mut office, number);
        give(&mut office, flow, &half(0));
    }
    assert!(!office.closed.contains(&handset) && !office.closed.contains(&caller));
    office.seconds(MESSAGE_LIMIT.as_secs() + 1);
    assert!(office.closed.contains(&handset), "by its own slowness");
    assert!(!office.closed.contains(&caller), "an emergency call keeps its connection");
    assert_eq!(office.engine.sizes().calls, 1);
}

#[test]
fn a_drip_on_every_connection_ends_in_time() {
    let mut office = Office::new(31);
    office.keeps = false;
    let flows: Vec<Flow> = (0..100).map(|number| connect(&mut office, number)).collect();
    let text = half(0);
    for second in 0..=MESSAGE_LIMIT.as_secs() as usize {
        for flow in &flows {
            office.input(Input::Received { flow: *flow, bytes: text[second..=second].to_vec() });
        }
        office.seconds(1);
    }
    assert_eq!(office.engine.sizes().streams, 1);
}
