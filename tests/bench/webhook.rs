//! Webhooks per second on loopback: the signature of 14 fields checked, a `<Dial>` answered.
//! `cargo bench --bench webhook`; server and client have one thread each.

#[path = "../twiml/office.rs"]
mod office;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use gateway::net::http::{Shared, serve};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than the server keeps answers, so that none is found again.
const DIFFERENT_REQUESTS: usize = 20_000;
const RUN: Duration = Duration::from_secs(3);
const GOAL_ONE: f64 = 25_000.0;
const GOAL_FIFTY: f64 = 45_000.0;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let run = if std::env::args().any(|arg| arg == "--bench") { RUN } else { Duration::from_millis(50) };
    let (address, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
            let thread = std::fs::read_link("/proc/thread-self").expect("Linux names this thread");
            address.send((listener.local_addr().expect("a bound socket has an address"), thread)).expect("main waits");
            let shared = Shared::new(Arc::new(office::config()), Arc::new(office::secrets()));
            serve(listener, Arc::new(shared), |_| ()).await
        })
    });
    let (address, thread) = listening.recv().expect("the server listens");
    // Nanoseconds on a CPU so far: what a request costs, also on a machine that is busy with other things.
    let cpu = || {
        let text = std::fs::read_to_string(Path::new("/proc").join(&thread).join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).unwrap_or(0)
    };
    let requests: Arc<Vec<Vec<u8>>> = Arc::new((0..DIFFERENT_REQUESTS).map(request).collect());
    for (connections, goal) in [(1, GOAL_ONE), (50, GOAL_FIFTY)] {
        let before = cpu();
        let mut times = runtime().block_on(load(address, requests.clone(), connections, run));
        let each = Duration::from_nanos((cpu() - before) / times.len() as u64);
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        let rate = times.len() as f64 / run.as_secs_f64();
        println!(
            "webhook, {connections:2} connections: {rate:6.0} req/s (goal {goal:.0}), p50 {:.3} ms, p99 {:.3} ms, CPU of the server {each:?} a request",
            at(0.5),
            at(0.99)
        );
    }
}

async fn load(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, connections: usize, run: Duration) -> Vec<Duration> {
    let end = Instant::now() + run;
    let tasks: Vec<_> = (0..connections)
        .map(|i| tokio::spawn(one(address, requests.clone(), i * DIFFERENT_REQUESTS / connections, end)))
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a client that does not panic"));
    }
    times
}

async fn one(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, first: usize, end: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let mut times = Vec::with_capacity(200_000);
    let mut answer = vec![0; 4096];
    for request in requests.iter().cycle().skip(first) {
        let start = Instant::now();
        if start >= end {
            break;
        }
        stream.write_all(request).await.expect("the server reads");
        let mut length = 0;
        while !answer[..length].ends_with(b"</Response>") {
            let read = stream.read(&mut answer[length..]).await.expect("the server answers");
            assert!(read > 0, "the server closed after {:?}", String::from_utf8_lossy(&answer[..length]));
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer[..length]));
        times.push(start.elapsed());
    }
    times
}

/// A call from an extension as Twilio sends it (TWILIO.md "Webhook of a call from an extension"): 14 fields, sorted.
fn request(number: usize) -> Vec<u8> {
    let call_sid = format!("CA{number:032x}");
    let fields = [
        ("AccountSid", "AC0123456789abcdef0123456789abcdef"),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &call_sid),
        ("CallStatus", "ringing"),
        ("Called", "sip:+15035551212@office.sip.twilio.com"),
        ("Caller", "sip:101@office.sip.twilio.com"),
        ("Direction", "inbound"),
        ("From", "sip:101@office.sip.twilio.com"),
        ("SipCallId", "a84b4c76e66710@192.0.2.7"),
        ("SipDomain", "office.sip.twilio.com"),
        ("SipDomainSid", "SD0123456789abcdef0123456789abcdef"),
        ("SipHeader_X-Route-Id", "42"),
        ("SipSourceIp", "198.51.100.23"),
        ("To", "sip:+15035551212@office.sip.twilio.com"),
    ];
    let mut mac = Hmac::<Sha1>::new_from_slice(office::TOKEN.as_bytes()).expect("HMAC takes any key");
    mac.update(b"https://gw.example.net/twilio/outgoing");
    fields.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let escape = |text: &str| text.replace('+', "%2B").replace(':', "%3A").replace('@', "%40");
    let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    let body = body.join("&");
    format!(
        "POST /twilio/outgoing HTTP/1.1\r\nHost: gw.example.net\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n\
         Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nX-Twilio-Signature: {signature}\r\n\
         I-Twilio-Idempotency-Token: {number:08x}-0000-4000-8000-000000000000\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
