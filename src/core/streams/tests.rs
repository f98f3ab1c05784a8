use super::*;
use crate::sip::flow::Transport;

const LARGE: usize = 60 * 1024;

fn flow(number: u64) -> Flow {
    let remote = format!("192.168.1.9:{}", 1000 + number).parse().unwrap();
    Flow { transport: Transport::Tcp, local: "192.168.1.1:5060".parse().unwrap(), remote, connection: number }
}

fn at(second: u64) -> Instant {
    Instant::from_secs(second)
}

/// A request whose body is that long, in full.
fn message(body: usize) -> Vec<u8> {
    let head = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";
    [format!("{head}Content-Length: {body}\r\n\r\n").into_bytes(), vec![b'a'; body]].concat()
}

/// Gives octets to a stream as the engine does, closes what has to go, and says what that was.
fn give(streams: &mut Streams, now: Instant, flow: Flow, bytes: &[u8], kept: Kept) -> Vec<Flow> {
    for chunk in bytes.chunks(8192) {
        streams.push(flow, chunk);
        while streams.next(flow).unwrap().is_some() {}
    }
    let closed = streams.settle(now, flow, || kept);
    closed.iter().for_each(|flow| streams.remove(*flow));
    closed
}

fn accept(streams: &mut Streams, number: u64) -> Flow {
    assert_eq!(streams.accepted(at(0), flow(number), BTreeSet::new), []);
    flow(number)
}

fn due(streams: &mut Streams, now: Instant) -> Vec<Flow> {
    std::iter::from_fn(|| streams.pop_due(now, BTreeSet::new)).collect()
}

#[test]
fn a_message_that_was_begun_has_its_time_and_a_drip_gets_no_more() {
    let mut streams = Streams::default();
    let (drip, whole, silent) = (accept(&mut streams, 1), accept(&mut streams, 2), accept(&mut streams, 3));
    give(&mut streams, at(0), whole, &message(5), Kept::default());
    let text = message(100);
    for second in 0..MESSAGE_LIMIT.as_secs() {
        give(&mut streams, at(second), drip, &text[second as usize..][..1], Kept::default());
        assert_eq!(due(&mut streams, at(second)), []);
    }
    assert_eq!(due(&mut streams, at(MESSAGE_LIMIT.as_secs())), [drip]);
    // One that has said something whole may be silent for ever; what it begins later has its own time.
    give(&mut streams, at(20), whole, &text[..50], Kept::default());
    assert_eq!(due(&mut streams, at(29)), []);
    assert_eq!(due(&mut streams, at(30)), [whole]);
    assert_eq!(due(&mut streams, at(32)), [silent]);
}

#[test]
fn messages_one_after_the_other_each_have_their_own_time() {
    let mut streams = Streams::default();
    let flow = accept(&mut streams, 1);
    // Each piece ends one message and begins the next.
    let text = message(3);
    give(&mut streams, at(0), flow, &text[..10], Kept::default());
    for second in 1..100 {
        let piece = [&text[10..], &text[..10]].concat();
        give(&mut streams, at(second), flow, &piece, Kept::default());
        assert_eq!(due(&mut streams, at(second)), []);
    }
}

#[test]
fn keepalives_neither_begin_a_message_nor_buy_time() {
    let mut streams = Streams::default();
    let flow = accept(&mut streams, 1);
    for second in 0..STREAM_GRACE.as_secs() {
        give(&mut streams, at(second), flow, b"\r\n\r\n", Kept::default());
        assert_eq!(due(&mut streams, at(second)), []);
    }
    assert_eq!(due(&mut streams, at(STREAM_GRACE.as_secs())), [flow]);
}

#[test]
fn what_a_call_or_the_trunk_uses_is_not_closed_for_being_slow() {
    let mut streams = Streams::default();
    let in_call = accept(&mut streams, 1);
    let trunk = Flow { transport: Transport::Tls, ..flow(2) };
    streams.connected(at(0), trunk);
    for flow in [in_call, trunk] {
        give(&mut streams, at(0), flow, b"BYE sip:a@b SIP/2.0\r\n", Kept::default());
    }
    let busy = || BTreeSet::from([in_call]);
    assert_eq!(streams.pop_due(at(15), busy), None);
    assert_eq!(streams.pop_due(at(60), busy), None);
    // When the call is over, it is not.
    assert_eq!(streams.pop_due(at(75), BTreeSet::new), Some(in_call));
    assert_eq!(streams.pop_due(at(1000), BTreeSet::new), None);
}

#[test]
fn half_messages_of_strangers_hold_no_more_than_the_bound_and_the_largest_goes_first() {
    let mut streams = Streams::default();
    let half = &message(LARGE)[..LARGE];
    let small = accept(&mut streams, 1);
    give(&mut streams, at(0), small, b"OPTIONS ", Kept::default());
    let mut closed = Vec::new();
    for number in 2..MAX_STREAMS as u64 {
        let flow = accept(&mut streams, number);
        closed.extend(give(&mut streams, at(0), flow, half, Kept::default()));
        assert!(streams.unfinished() <= MAX_UNFINISHED, "{}", streams.unfinished());
    }
    assert!(closed.len() > 400 && !closed.contains(&small), "{}", closed.len());
}

#[test]
fn octets_of_strangers_never_cost_a_handset_its_connection() {
    let mut streams = Streams::default();
    let (bound, busy) = (accept(&mut streams, 1), accept(&mut streams, 2));
    let trunk = Flow { transport: Transport::Tls, ..flow(3) };
    streams.connected(at(0), trunk);
    let kept = || Kept { busy: BTreeSet::from([busy]), bound: BTreeSet::from([bound]) };
    let half = &message(LARGE)[..LARGE];
    for flow in [bound, busy, trunk] {
        assert_eq!(give(&mut streams, at(0), flow, half, kept()), []);
    }
    let smaller = &message(LARGE / 4)[..LARGE / 4];
    for number in 4..300 {
        let flow = accept(&mut streams, number);
        let closed = give(&mut streams, at(0), flow, smaller, kept());
        assert!(closed.iter().all(|closed| ![bound, busy, trunk].contains(closed)));
        assert!(streams.unfinished() <= MAX_UNFINISHED);
    }
}

#[test]
fn handsets_alone_are_bounded_too() {
    let mut streams = Streams::default();
    let half = &message(LARGE)[..LARGE];
    for number in 0..50 {
        let flow = accept(&mut streams, number);
        let bound = (0..=number).map(super::tests::flow).collect();
        give(&mut streams, at(0), flow, half, Kept { bound, ..Kept::default() });
        assert!(streams.unfinished() <= MAX_UNFINISHED);
    }
}

#[test]
fn fewer_places_close_the_oldest_strangers_and_no_handset() {
    let mut streams = Streams::default();
    let flows: Vec<Flow> = (0..20).map(|number| accept(&mut streams, number)).collect();
    let kept = || BTreeSet::from([flows[0], flows[3]]);
    let closed = streams.set_places(16, kept);
    assert_eq!(closed, [flows[1], flows[2], flows[4], flows[5]]);
    closed.iter().for_each(|flow| streams.remove(*flow));
    // A further one takes the place of the oldest; where nobody can go, it goes itself.
    assert_eq!(streams.accepted(at(1), flow(100), kept), [flows[6]]);
    streams.remove(flows[6]);
    let all: BTreeSet<Flow> = flows.iter().copied().chain([flow(100)]).collect();
    assert_eq!(streams.accepted(at(1), flow(101), || all), [flow(101)]);
    // More places than there can be are as many as there can be.
    assert_eq!(streams.set_places(usize::MAX, BTreeSet::new), []);
    assert_eq!(streams.places, MAX_STREAMS);
}

#[test]
fn what_a_closed_stream_held_is_given_back() {
    let mut streams = Streams::default();
    let flow = accept(&mut streams, 1);
    give(&mut streams, at(0), flow, &message(LARGE)[..LARGE], Kept::default());
    assert!(streams.unfinished() >= LARGE);
    give(&mut streams, at(1), flow, &message(LARGE)[LARGE..], Kept::default());
    assert_eq!(streams.unfinished(), 0, "it is whole");
    give(&mut streams, at(2), flow, &message(LARGE)[..LARGE], Kept::default());
    streams.remove(flow);
    assert_eq!((streams.unfinished(), streams.len()), (0, 0));
}

#[test]
fn one_address_that_connects_without_end_costs_itself_alone() {
    let mut streams = Streams::default();
    let of = |host: u64, number: u64| Flow {
        remote: format!("192.168.2.{host}:{}", 1000 + number).parse().unwrap(),
        ..flow(host * 10_000 + number)
    };
    let quiet = of(1, 1);
    assert_eq!(streams.accepted(at(0), quiet, BTreeSet::new), []);
    let bound = of(2, 0);
    assert_eq!(streams.accepted(at(0), bound, BTreeSet::new), []);
    for number in 1..2000 {
        for gone in streams.accepted(at(1), of(2, number), || BTreeSet::from([bound])) {
            assert!(gone.remote.ip() == bound.remote.ip() && gone != bound && gone != of(2, number), "{gone:?}");
            streams.remove(gone);
        }
        assert!(streams.len() <= MAX_OF_SOURCE + 2);
    }
    // With few places the oldest stranger goes, as ever.
    assert_eq!(streams.set_places(2, || BTreeSet::from([bound])).len(), streams.len() - 2);
}
