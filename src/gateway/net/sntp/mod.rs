//! Asks SNTP servers for the time, when there is none that can be trusted.
//!
//! Not a crate: `sntpc` takes one clock of its caller for two things. The number that an answer must bring back comes
//! from it, which after a boot in 1970 anybody can guess, and so does the era of the answer, which is wrong by then. What
//! is left of a client of four kilobytes are the checks, and they are in [`packet`].

pub mod packet;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::clock::Clock;
use super::dns::Resolver;
use gateway_core::backoff::doubled;
use gateway_core::config::Server;
use gateway_core::dns::{DnsAnswer, DnsQuestion};
use gateway_core::random::Random;
use gateway_core::time::WallClock;
use gateway_core::time::trusted::Doubt;
use packet::Refusal;

/// Where servers listen (RFC 5905 section 7.2).
const PORT: u16 = 123;
/// For one answer.
const LIMIT: Duration = Duration::from_secs(3);
/// Servers that are asked together, so that one that lies is seen.
const TOGETHER: usize = 2;
/// What they may differ by, in seconds.
const SPREAD: u64 = 10;
/// Between two rounds in which somebody was asked: "MUST NOT use a poll interval less than 15 seconds" (RFC 4330
/// section 10); doubled up to a minute, because without the time there are no calls.
const PAUSE: Duration = Duration::from_secs(16);
const MAX_PAUSE: Duration = Duration::from_secs(64);
/// Between two rounds in which nobody could be asked: no DNS, no route. The line of a router is up some time after it.
const QUICK_PAUSE: Duration = Duration::from_secs(2);
const MAX_QUICK_PAUSE: Duration = Duration::from_secs(16);
/// Servers that do not want to be asked again; the oldest is forgotten for a further one.
const MAX_KISSED: usize = 16;

/// Why there is no answer from one server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Unresolved(String),
    #[error("cannot be asked: {0}")]
    Unreachable(String),
    #[error("no answer within {} s", LIMIT.as_secs())]
    Silent,
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("says {0}; refused")]
    Doubtful(Doubt),
}

/// Why a round of questions brought no time: each server with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SntpError(Vec<String>);

impl std::error::Error for SntpError {}

impl fmt::Display for SntpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// The client, and what it remembers from round to round.
#[derive(Debug)]
pub struct Sntp {
    servers: Vec<Server>,
    random: Random,
    /// The server to begin the next round with.
    turn: usize,
    kissed: VecDeque<IpAddr>,
    asked: Asked,
    /// Rounds of the same kind without a time.
    failures: u32,
}

/// Whether a round reached the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nobody,
    Somebody,
}

impl Sntp {
    /// Asks none of them yet.
    pub fn new(servers: &[Server], random: Random) -> Sntp {
        let servers = servers.to_vec();
        Sntp { servers, random, turn: 0, kissed: VecDeque::new(), asked: Asked::Nobody, failures: 0 }
    }

    /// Others from now on.
    pub fn set_servers(&mut self, servers: &[Server]) {
        self.servers = servers.to_vec();
        (self.turn, self.failures) = (0, 0);
    }

    /// Whether there is anybody to ask.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// One round: two servers at most, and what they agree on is told to the clock.
    pub async fn ask(&mut self, clock: &Clock) -> Result<WallClock, SntpError> {
        if self.servers.is_empty() {
            return Err(SntpError(vec!["[clock] sntp names no server".to_owned()]));
        }
        let asked: Vec<Server> =
            self.servers.iter().cycle().skip(self.turn).take(self.servers.len().min(TOGETHER)).cloned().collect();
        self.turn = (self.turn + 1) % self.servers.len();
        let nonces: [u64; TOGETHER] = std::array::from_fn(|_| self.random.u64());
        let kissed = &self.kissed;
        let question = |index: usize| {
            let server = asked.get(index).cloned();
            async move {
                match server {
                    Some(server) => Some(one(&server, nonces[index], kissed, clock).await),
                    None => None,
                }
            }
        };
        let (first, second) = tokio::join!(question(0), question(1));
        let answers = [first, second].into_iter().flatten().zip(&asked);

        let (mut times, mut faults, mut reached) = (Vec::new(), Vec::new(), Asked::Nobody);
        let mut kissed = Vec::new();
        for ((address, answer), server) in answers {
            // Where no server listens nobody is burdened.
            if address.is_some() && !matches!(answer, Err(Fault::Unreachable(_))) {
                reached = Asked::Somebody;
            }
            // Out of bounds here, a server that lies does not keep the other one from being heard.
            match answer.and_then(|time| clock.check(time).map_err(Fault::Doubtful)) {
                Ok(time) => times.push((time, server)),
                Err(fault) => {
                    if let (Fault::Refused(Refusal::Kiss(_)), Some(address)) = (&fault, address) {
                        kissed.push(address.ip());
                    }
                    faults.push(format!("{}: {fault}", server.host));
                }
            }
        }
        for address in kissed {
            if self.kissed.len() >= MAX_KISSED {
                self.kissed.pop_front();
            }
            self.kissed.push_back(address);
        }
        if let [(one, first), (other, second)] = times[..]
            && one.0.abs_diff(other.0) > SPREAD
        {
            faults.push(format!("{} says {one} and {} {other}, which do not agree", first.host, second.host));
            times.clear();
        }
        self.failures = if self.asked == reached { self.failures.saturating_add(1) } else { 1 };
        self.asked = reached;
        let Some((time, server)) = times.first() else { return Err(SntpError(faults)) };
        self.failures = 0;
        clock.observe(*time, &server.host).map_err(|doubt| SntpError(vec![doubt.to_string()]))?;
        Ok(*time)
    }

    /// How long to wait with the next round.
    pub fn pause(&self) -> Duration {
        let (pause, longest) = match self.asked {
            Asked::Nobody => (QUICK_PAUSE, MAX_QUICK_PAUSE),
            Asked::Somebody => (PAUSE, MAX_PAUSE),
        };
        doubled(pause, self.failures.saturating_sub(1), longest)
    }

    /// The shortest wait that is polite, for an emergency call.
    pub fn shortest_pause(&self) -> Duration {
        self.pause().min(PAUSE)
    }
}

/// `a.example, b.example`: who is asked, for people.
pub fn names(servers: &[Server]) -> String {
    servers.iter().map(|server| server.host.as_str()).collect::<Vec<_>>().join(", ")
}

/// One question to one server; with the address that it went to, if it went anywhere.
async fn one(
    server: &Server,
    nonce: u64,
    kissed: &VecDeque<IpAddr>,
    clock: &Clock,
) -> (Option<SocketAddr>, Result<WallClock, Fault>) {
    let name = server.host.trim_matches(['[', ']']);
    let addresses = match name.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => match Resolver::new(clock.clone()).resolve(DnsQuestion::Address(name.to_owned())).await {
            DnsAnswer::Address(addresses) => addresses,
            DnsAnswer::Failed(reason) => return (None, Err(Fault::Unresolved(reason))),
            DnsAnswer::Naptr(_) | DnsAnswer::Srv(_) => Vec::new(),
        },
    };
    if addresses.is_empty() {
        return (None, Err(Fault::Unresolved("has no address".to_owned())));
    }
    let Some(address) = addresses.into_iter().find(|address| !kissed.contains(address)) else {
        return (None, Err(Fault::Unresolved("does not want to be asked again".to_owned())));
    };
    let address = SocketAddr::new(address, server.port.unwrap_or(PORT));
    let socket = match open(address, nonce).await {
        Ok(socket) => socket,
        Err(error) => return (None, Err(Fault::Unreachable(error.to_string()))),
    };
    let answer = tokio::time::timeout(LIMIT, hear(&socket, nonce)).await.unwrap_or(Err(Fault::Silent));
    (Some(address), answer)
}

/// Sends the question. The kernel gives us only what comes from the server's address.
async fn open(address: SocketAddr, nonce: u64) -> std::io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    socket.send(&packet::question(nonce)).await?;
    Ok(socket)
}

/// Waits for the answer; what a stranger sends in between does not end the wait.
async fn hear(socket: &UdpSocket, nonce: u64) -> Result<WallClock, Fault> {
    let mut octets = [0; 1024];
    loop {
        let length = socket.recv(&mut octets).await.map_err(|error| Fault::Unreachable(error.to_string()))?;
        match packet::answer(&octets[..length], nonce) {
            Err(Refusal::Stranger) => {}
            answer => return answer.map_err(Fault::Refused),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::packet::tests::served;
    use super::*;

    pub(crate) const TODAY: WallClock = WallClock(1_795_332_000);

    /// A server on loopback, each question of which is answered with what `answer` makes of it.
    pub(crate) fn server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) -> Server {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        let socket = UdpSocket::from_std(socket).unwrap();
        tokio::task::spawn_local(async move {
            let mut octets = [0; 1024];
            loop {
                let (length, from) = socket.recv_from(&mut octets).await.unwrap();
                for datagram in answer(&octets[..length]) {
                    socket.send_to(&datagram, from).await.unwrap();
                }
            }
        });
        Server { host: "127.0.0.1".to_owned(), port: Some(port) }
    }

    pub(crate) fn says(time: WallClock) -> Server {
        server(move |question| vec![served(question, time).to_vec()])
    }

    /// A clock that shows 1970 and has run until [`TODAY`] before.
    fn lost() -> Clock {
        Clock::with_system(Some(TODAY), || WallClock(7))
    }

    fn sntp(servers: &[Server]) -> Sntp {
        Sntp::new(servers, Random::from_number(1))
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test)
    }

    #[test]
    fn two_servers_that_agree_set_the_clock() {
        run(async {
            let clock = lost();
            assert!(clock.trusted().is_err());
            let mut sntp = sntp(&[says(TODAY), says(WallClock(TODAY.0 + 3))]);
            assert_eq!(sntp.ask(&clock).await, Ok(TODAY));
            assert!(clock.trusted().unwrap() >= TODAY);
        });
    }

    #[test]
    fn what_strangers_send_first_does_not_count() {
        run(async {
            let clock = lost();
            let noisy = server(|question| {
                let mut forged = served(question, WallClock(TODAY.0 + 900_000));
                forged[27] ^= 1;
                vec![b"hello".to_vec(), forged.to_vec(), served(question, TODAY).to_vec()]
            });
            assert_eq!(sntp(&[noisy]).ask(&clock).await, Ok(TODAY));
        });
    }

    #[test]
    fn servers_that_disagree_set_nothing_and_the_third_decides() {
        run(async {
            let clock = lost();
            let liar = says(WallClock(TODAY.0 + 5 * 365 * 86_400));
            let mut sntp = sntp(&[says(TODAY), liar, says(TODAY)]);
            let error = sntp.ask(&clock).await.unwrap_err();
            let text = "127.0.0.1 says 2026-11-22 and 127.0.0.1 2031-11-21, which do not agree";
            assert_eq!(error.to_string(), text);
            assert!(sntp.ask(&clock).await.is_err());
            assert!(clock.trusted().is_err());
            assert_eq!(sntp.ask(&clock).await, Ok(TODAY));
        });
    }

    #[test]
    fn a_time_before_the_last_run_is_refused_and_the_other_server_is_heard() {
        run(async {
            let clock = lost();
            let past = WallClock(TODAY.0 - 10 * 86_400);
            let error = sntp(&[says(past)]).ask(&clock).await.unwrap_err();
            let text = "127.0.0.1: says 2026-11-12, but this box has seen 2026-11-22 already; refused";
            assert_eq!(error.to_string(), text);
            assert!(clock.trusted().is_err());
            assert_eq!(sntp(&[says(past), says(TODAY)]).ask(&clock).await, Ok(TODAY));
        });
    }

    #[test]
    fn a_server_that_sends_a_kiss_of_death_is_not_asked_again() {
        run(async {
            let clock = lost();
            let kiss = server(|question| {
                let mut kiss = served(question, TODAY);
                kiss[1] = 0;
                kiss[12..16].copy_from_slice(b"DENY");
                vec![kiss.to_vec()]
            });
            let mut sntp = sntp(&[kiss]);
            let error = sntp.ask(&clock).await.unwrap_err();
            assert_eq!(error.to_string(), "127.0.0.1: refused: it does not want to be asked (DENY)");
            assert_eq!(sntp.pause(), Duration::from_secs(16));
            let error = sntp.ask(&clock).await.unwrap_err();
            assert_eq!(error.to_string(), "127.0.0.1: does not want to be asked again");
        });
    }

    #[test]
    fn servers_that_were_asked_are_left_alone_for_longer_than_a_network_that_is_not_there() {
        run(async {
            let clock = lost();
            let mut nowhere = sntp(&[Server { host: "a..b".to_owned(), port: None }]);
            let mut unset = sntp(&[server(|question| {
                let mut octets = served(question, TODAY);
                octets[0] = 0xe4;
                vec![octets.to_vec()]
            })]);
            let (mut quick, mut slow) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                nowhere.ask(&clock).await.unwrap_err();
                unset.ask(&clock).await.unwrap_err();
                quick.push(nowhere.pause().as_secs());
                slow.push(unset.pause().as_secs());
            }
            assert_eq!((quick, slow), (vec![2, 4, 8, 16, 16], vec![16, 32, 64, 64, 64]));
            assert_eq!((nowhere.shortest_pause().as_secs(), unset.shortest_pause().as_secs()), (16, 16));
            assert!(sntp(&[]).ask(&clock).await.is_err());
        });
    }
}
