//! Two layers and a bad line between them.

use super::*;

/// Client layer, server layer, octets on their way, and a coin.
struct Pair {
    client: Layer,
    server: Layer,
    line: Vec<(Instant, bool, Vec<u8>)>,
    coin: Random,
    loss: u64,
    log: Vec<String>,
    /// What the server side answers: a final code after some provisional ones, and how the user acknowledges.
    code: u16,
}

impl Pair {
    fn new(seed: u64, loss: u64, code: u16) -> Self {
        let coin = Random::from_number(seed);
        Pair { client: Layer::new(), server: Layer::new(), line: Vec::new(), coin, loss, log: Vec::new(), code }
    }

    /// Runs until nothing is on its way and no timer waits.
    fn run(&mut self) {
        loop {
            self.pump();
            let arrival = self.line.iter().map(|(at, _, _)| *at).min();
            let timer = [&self.client, &self.server].iter().filter_map(|l| l.transactions.poll_timeout()).min();
            let Some(now) = arrival.into_iter().chain(timer).min() else {
                return;
            };
            self.client.now = now;
            self.server.now = now;
            self.client.transactions.handle_timeout(now);
            self.server.transactions.handle_timeout(now);
            let mut due: Vec<_> = self.line.extract_if(.., |(at, _, _)| *at <= now).collect();
            due.sort();
            for (_, to_server, octets) in due {
                let layer = if to_server { &mut self.server } else { &mut self.client };
                layer.transactions.receive(now, udp(), message(&octets), Priority::Ordinary);
            }
        }
    }

    fn pump(&mut self) {
        while let Some(event) = self.server.transactions.poll_event() {
            self.log.push(format!("server {}", event_summary(&event)));
            if let Event::Request { id, request, .. } = event {
                if request.method == Method::Invite {
                    self.server.respond(id, &request, 180);
                }
                self.server.respond(id, &request, self.code);
            }
        }
        while let Some(event) = self.client.transactions.poll_event() {
            self.log.push(format!("client {}", event_summary(&event)));
        }
        for (layer, to_server) in [(&mut self.client, true), (&mut self.server, false)] {
            while let Some((_, octets)) = layer.transactions.poll_transmit() {
                if self.coin.below(100) >= self.loss {
                    // Up to 200 ms on the way: later ones overtake.
                    let at = layer.now + std::time::Duration::from_millis(1 + self.coin.below(200));
                    self.line.push((at, to_server, octets));
                }
            }
        }
    }

    fn count(&self, what: &str) -> usize {
        self.log.iter().filter(|line| *line == what).count()
    }
}

#[test]
fn with_a_third_of_all_datagrams_lost_every_request_is_told_once_and_answered_once() {
    for (method, token, code) in [(Method::Register, "REGISTER", 200), (Method::Invite, "INVITE", 486)] {
        for seed in 0..100 {
            let mut pair = Pair::new(seed, 33, code);
            pair.client.send(udp(), ours(method));
            pair.run();
            assert_eq!(pair.count(&format!("server {token}")), 1, "seed {seed}: {:?}", pair.log);
            assert_eq!(pair.count(&format!("client {code}")), 1, "seed {seed}: {:?}", pair.log);
            pair.client.assert_empty();
            pair.server.assert_empty();
        }
    }
}

#[test]
fn with_everything_lost_the_client_gives_up_and_nothing_is_left() {
    let mut pair = Pair::new(1, 100, 200);
    pair.client.send(udp(), ours(Method::Invite));
    pair.client.send(udp(), ours(Method::Register));
    pair.run();
    assert_eq!(pair.count("client Failed Timeout"), 2);
    pair.client.assert_empty();
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut pair = Pair::new(seed, 50, 486);
        for method in [Method::Invite, Method::Register, Method::Options, Method::Bye] {
            pair.client.send(udp(), ours(method));
        }
        pair.run();
        pair.log
    };
    assert_eq!(history(5), history(5));
}
