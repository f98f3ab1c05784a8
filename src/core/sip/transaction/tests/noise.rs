//! Everything in any order: no panic, no leak.

use super::*;

const METHODS: [Method; 6] =
    [Method::Invite, Method::Ack, Method::Cancel, Method::Bye, Method::Register, Method::Options];
const CODES: [u16; 7] = [100, 180, 200, 302, 407, 486, 603];

#[test]
fn whatever_comes_in_whatever_order_nothing_is_left_when_it_is_over() {
    for seed in 0..200 {
        let mut coin = Random::from_number(seed);
        let mut layer = Layer::new();
        let mut servers: Vec<(ServerId, Request)> = Vec::new();
        let mut clients: Vec<ClientId> = Vec::new();
        let mut seen: Vec<Request> = Vec::new();
        let mut finals = 0;
        for _ in 0..60 {
            let flow = if coin.below(2) == 0 { udp() } else { tls() };
            let method = METHODS[coin.below(6) as usize];
            let code = CODES[coin.below(7) as usize];
            match coin.below(8) {
                0 | 1 => layer.receive(flow, theirs(method, &format!("z9hG4bK{}", coin.below(4)))),
                2 => layer.receive(flow, theirs(method, "old")),
                3 if !matches!(method, Method::Ack | Method::Cancel) => clients.push(layer.send(flow, ours(method))),
                4 => {
                    if let Some(request) = pick(&mut coin, &seen) {
                        layer.receive(flow, answer(request, code, "far"));
                    }
                }
                5 => {
                    if let Some(id) = pick(&mut coin, &clients) {
                        layer.cancel(*id);
                    }
                }
                6 => {
                    if let Some((id, request)) = pick(&mut coin, &servers) {
                        layer.respond(*id, request, code);
                    }
                }
                7 if coin.below(4) == 0 => layer.transactions.flow_down(layer.now, flow),
                _ => {}
            }
            layer.now += std::time::Duration::from_millis(coin.below(3000));
            layer.transactions.handle_timeout(layer.now);
            while let Some((_, octets)) = layer.transactions.poll_transmit() {
                if let SipMessage::Request(request) = message(&octets) {
                    seen.push(request);
                }
            }
            while let Some(event) = layer.transactions.poll_event() {
                match event {
                    Event::Request { id, request, .. } => servers.push((id, request)),
                    Event::Failed { .. } => finals += 1,
                    Event::Response { response, .. } => finals += usize::from(response.status_code.code() >= 200),
                    _ => {}
                }
            }
        }
        // The user does its duty: every request gets a final response, every INVITE of ours is cancelled.
        for (id, request) in &servers {
            layer.respond(*id, request, 500);
        }
        for id in &clients {
            layer.cancel(*id);
        }
        let end = layer.now.as_micros() as f64 / 1e6 + 2.0 * TIMEOUT.as_secs_f64();
        let done = layer.run(end);
        finals += done.iter().filter(|line| line.contains("! Failed")).count();
        layer.assert_empty();
        assert!(finals >= clients.len(), "seed {seed}: every request of ours ends for its owner");
    }
}

fn pick<'a, T>(coin: &mut Random, all: &'a [T]) -> Option<&'a T> {
    all.get(coin.below(all.len() as u64) as usize)
}
