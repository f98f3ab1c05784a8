//! What relaying RTP to SRTP costs: the real driver in one process, 100 calls of load in another, on loopback.
//!
//! `cargo bench --bench relay [-- seconds]`. The load runs in a child process on another core where there is one (and
//! `taskset`), so that the CPU time of this process is that of the relay alone. Not a test: it fails on nothing but
//! a relay that does not relay.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command as Process, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gateway::net::rtp::{MediaConfig, MediaHandle, start};
use gateway_core::media::packet::BUFFER;
use gateway_core::media::srtp::{SrtpReceiver, SrtpSender};
use gateway_core::media::{Command, LastPorts, LegParams, MasterKey, MediaLeg, Notice, SrtpKeys, Suite};
use gateway_core::random::Random;
use gateway_core::subnet::Subnet;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

const CALLS: usize = 100;
/// Packets per second of one direction.
const RATE: u32 = 50;
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SUITE: Suite = Suite::AesCm128HmacSha1_80;
/// 160 octets of G.711 behind 12 of header.
const PACKET: usize = 172;
/// What of the run is left out: until caches are warm and latches set.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let default = if std::env::args().any(|arg| arg == "--bench") { 10 } else { 2 };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let first = args.next();
    let is_load = first.as_deref() == Some("load");
    let seconds = if is_load { args.next() } else { first };
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(default).max(2);
    if is_load { load(seconds) } else { relay(seconds) }
}

fn keys(call: usize) -> SrtpKeys {
    let key = |seed: usize| MasterKey(Random::from_number(seed as u64).bytes());
    SrtpKeys { suite: SUITE, local: key(2 * call), remote: key(2 * call + 1) }
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("always allowed");
    Duration::from_micros((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as u64)
}

/// Resident memory of this process in KiB.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("and VmRSS in it");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
}

/// The relay's process: opens the legs, starts the load, and measures itself.
fn relay(seconds: u64) {
    let (sender, notices) = mpsc::channel();
    let origin = Instant::now();
    let config = MediaConfig { ports: (20_000, 29_999), dscp: 46, origin, random: Random::from_number(1) };
    let handle = start(config, move |notice| drop(sender.send(notice))).expect("the driver starts");
    let before = rss();
    let ports: Vec<u16> = (0..2 * CALLS as u64).map(|leg| open(&handle, &notices, leg)).collect();

    let own = std::env::current_exe().expect("a running program has a path");
    let mut process = Process::new("taskset");
    process.args(["-c", "1"]).arg(&own);
    let pinned = Process::new("taskset").args(["-c", "1", "true"]).status().is_ok_and(|status| status.success());
    let mut process = if pinned { process } else { Process::new(&own) };
    let child = process.args(["load", &(seconds + 1).to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the load starts");
    let mut input = child.stdin.take().expect("piped above");
    let mut output = BufReader::new(child.stdout.take().expect("piped above"));
    for port in &ports {
        writeln!(input, "{port}").expect("the load reads");
    }
    for leg in 0..ports.len() {
        let mut line = String::new();
        output.read_line(&mut line).expect("the load writes");
        let remote = SocketAddr::new(HOST, line.trim().parse().expect("a port"));
        let srtp = (leg % 2 == 1).then(|| keys(leg / 2));
        let params = Box::new(params(remote, srtp));
        handle.send(Command::Set { leg: MediaLeg(leg as u64), params });
    }
    for call in 0..CALLS as u64 {
        handle.send(Command::Connect { a: MediaLeg(2 * call), b: MediaLeg(2 * call + 1) });
    }
    writeln!(input, "go").expect("the load reads");

    std::thread::sleep(WARM_UP);
    let (cpu_before, began) = (cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(WARM_UP));
    let (used, passed) = (cpu() - cpu_before, began.elapsed());
    let memory = rss();
    let mut line = String::new();
    output.read_line(&mut line).expect("the load writes");
    let _ = child.wait();
    let figures: Vec<u64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [sent, received, p50, p99] = figures[..] else { panic!("the load gives four figures, not {line:?}") };
    assert!(received > 0, "nothing was relayed");

    let packets = passed.as_secs_f64() * CALLS as f64 * 2.0 * f64::from(RATE);
    let share = used.as_secs_f64() / passed.as_secs_f64() * 100.0;
    println!(
        "relay RTP <-> SRTP, {CALLS} calls, {seconds} s, load {}",
        if pinned { "on core 1" } else { "not pinned" }
    );
    println!("  {:<34} {:>10}   goal", "", "");
    println!("  {:<34} {share:>8.1} %   ≤ 18 %", "share of a core");
    println!("  {:<34} {:>7.1} µs", "CPU per packet", used.as_secs_f64() * 1e6 / packets);
    println!("  {:<34} {:>4} / {} µs  ≤ 28 / 65 µs", "one-way latency p50 / p99", p50 / 1000, p99 / 1000);
    println!("  {:<34} {:>10}   0", "packets lost", sent - received);
    println!("  {:<34} {:>6.1} KiB", "RSS per leg", (memory - before) as f64 / ports.len() as f64);
    handle.stop();
}

fn open(handle: &MediaHandle, notices: &mpsc::Receiver<Notice>, leg: u64) -> u16 {
    handle.send(Command::Open { leg: MediaLeg(leg), bind: HOST, last: LastPorts::Take });
    match notices.recv().expect("the driver answers") {
        Notice::Opened { local, .. } => local.port(),
        other => panic!("{other:?}"),
    }
}

fn params(remote: SocketAddr, srtp: Option<SrtpKeys>) -> LegParams {
    LegParams {
        remote: Some(remote),
        rtcp: None,
        latch: vec![Subnet::host(HOST)],
        send: true,
        receive: true,
        payload_types: vec![0],
        dtmf_in: Some(101),
        dtmf_out: Some(101),
        srtp,
        silence: Some(Duration::from_secs(60)),
    }
}

/// One end of the load: a phone (even) or Twilio (odd).
struct End {
    socket: UdpSocket,
    relay: SocketAddr,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    sequence: u16,
}

impl End {
    fn new(leg: usize, relay: u16) -> Self {
        let socket = UdpSocket::bind((HOST, 0)).expect("loopback has a port");
        socket.set_nonblocking(true).expect("sockets can");
        let srtp = (leg % 2 == 1).then(|| {
            let keys = keys(leg / 2);
            (SrtpSender::new(SUITE, &keys.remote), SrtpReceiver::new(SUITE, &keys.local))
        });
        End { socket, relay: SocketAddr::new(HOST, relay), srtp, sequence: 0 }
    }

    /// Sends a packet that carries the time at which it left.
    fn send(&mut self, origin: Instant) {
        let mut buffer = [0; BUFFER];
        buffer[0] = 0x80;
        buffer[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        buffer[4..8].copy_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        buffer[12..20].copy_from_slice(&(origin.elapsed().as_nanos() as u64).to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        let len = match &mut self.srtp {
            Some((sender, _)) => sender.protect_rtp(&mut buffer, PACKET).expect("a new number each time"),
            None => PACKET,
        };
        let _ = self.socket.send_to(&buffer[..len], self.relay);
    }

    /// Reads one packet; how long it was on its way, in nanoseconds.
    fn receive(&mut self, origin: Instant) -> Option<u64> {
        let mut buffer = [0; BUFFER];
        let len = self.socket.recv(&mut buffer).ok()?;
        let now = origin.elapsed().as_nanos() as u64;
        if let Some((_, receiver)) = &mut self.srtp {
            receiver.unprotect_rtp(&mut buffer, len).expect("the relay protects with the agreed key");
        }
        let sent = u64::from_be_bytes(buffer[12..20].try_into().expect("eight octets"));
        Some(now - sent)
    }
}

/// The load's process: ports of the relay in, own ports out, `go` in, figures out.
fn load(seconds: u64) {
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    let mut ends: Vec<End> = (0..2 * CALLS)
        .map(|leg| End::new(leg, lines.next().and_then(|line| line.parse().ok()).expect("a port for each leg")))
        .collect();
    for end in &ends {
        println!("{}", end.socket.local_addr().expect("bound").port());
    }
    lines.next();

    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("Linux");
    for (leg, end) in ends.iter().enumerate() {
        epoll.add(&end.socket, EpollEvent::new(EpollFlags::EPOLLIN, leg as u64)).expect("a socket");
    }
    let origin = Instant::now();
    let spacing = Duration::from_secs(1) / (RATE * ends.len() as u32);
    let total = (seconds as f64 / spacing.as_secs_f64()) as u32;
    let mut latencies = Vec::with_capacity(total as usize);
    let mut events = [EpollEvent::empty(); 64];
    let (mut sent, mut received) = (0u32, 0u64);
    let deadline = Duration::from_secs(seconds) + Duration::from_millis(200);
    // Busy waiting: a sleeping load would measure its own wake-ups.
    while origin.elapsed() < deadline {
        if sent < total && origin.elapsed() >= spacing * sent {
            let leg = sent as usize % ends.len();
            ends[leg].send(origin);
            sent += 1;
        }
        let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in &events[..count] {
            if let Some(latency) = ends[event.data() as usize].receive(origin) {
                received += 1;
                if origin.elapsed() > WARM_UP {
                    latencies.push(latency);
                }
            }
        }
    }
    latencies.sort_unstable();
    let percentile = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!("{sent} {received} {} {}", percentile(0.5), percentile(0.99));
}
