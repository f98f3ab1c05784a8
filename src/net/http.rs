//! The webhook endpoint: HTTP/1.1 on a local address that a tunnel makes public, so everything here faces the internet.
//!
//! It limits, checks that the request is Twilio's, asks the pure dialplan in place and writes the answer; it decides
//! nothing itself. A request that is refused ends its connection, so that a stranger pays a handshake for each try.

mod gate;
pub(crate) mod host;
mod refusals;
mod replies;
mod respond;
mod shared;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub use crate::bucket::Rate;
use crate::twiml::WebhookEvent;
pub use crate::twiml::refusal::{Counts, Refusal};
pub use gate::Rates;
use respond::{respond, stray};
pub use shared::Shared;

/// Largest body; Twilio's requests are about 1 kB.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest request line with all headers; more gets 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most headers.
pub const MAX_HEADERS: usize = 64;
/// Most connections at a time, and so a bound of memory: [`MAX_HEAD`] and [`MAX_BODY`] for each. For a further one the
/// oldest goes on which nothing of Twilio's has come: strangers who connect and keep silent must not lock Twilio out.
pub const MAX_CONNECTIONS: usize = 256;
/// From the start of a connection, or the end of its last request, to the end of the next request's headers.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of the headers to the end of the body. Twilio itself gives up after 15 s (twilio.md section 5.1).
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the cause (no descriptors left) does not go away by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of a server; the defaults are the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: MAX_CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            rates: Rates::default(),
        }
    }
}

/// Accepts connections until it is dropped, which closes them all. `events` is called in place and must not block.
pub async fn serve<E>(listener: TcpListener, shared: Arc<Shared>, events: E)
where
    E: Fn(WebhookEvent) + Send + Sync + 'static,
{
    let events = Arc::new(events);
    let mut connections = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        open.retain(|open| !open.task.is_finished());
        match accepted {
            Ok((stream, _)) => {
                if open.len() >= shared.limits.connections {
                    let row = shared.refuse(Refusal::TooManyConnections);
                    tell(row, &*events, |in_a_row| WebhookEvent::TooManyConnections { in_a_row });
                    let stranger = open.iter().position(|open| !open.is_twilio.load(Ordering::Relaxed));
                    match stranger.and_then(|stranger| open.remove(stranger)) {
                        Some(oldest) => oldest.task.abort(),
                        None => continue,
                    }
                }
                let is_twilio = Arc::new(AtomicBool::new(false));
                let task = connection(stream, shared.clone(), events.clone(), is_twilio.clone());
                open.push_back(Open { task: connections.spawn(task), is_twilio });
                let pause = shared.gate().connection(shared.now());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Err(error) => {
                let error = error.to_string();
                let row = shared.refuse(Refusal::AcceptFailed);
                tell(row, &*events, |in_a_row| WebhookEvent::AcceptFailed { error, in_a_row });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that is open.
struct Open {
    task: AbortHandle,
    /// A request of Twilio's came on it.
    is_twilio: Arc<AtomicBool>,
}

fn tell(in_a_row: Option<u64>, events: &impl Fn(WebhookEvent), event: impl FnOnce(u64) -> WebhookEvent) {
    if let Some(in_a_row) = in_a_row {
        events(event(in_a_row));
    }
}

async fn connection<E: Fn(WebhookEvent)>(
    stream: TcpStream,
    shared: Arc<Shared>,
    events: Arc<E>,
    is_twilio: Arc<AtomicBool>,
) {
    // An answer is one small write; a failure costs a delay, not the answer.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (shared, events, is_twilio) = (shared.clone(), events.clone(), is_twilio.clone());
        async move { Ok::<_, Infallible>(respond(&shared, request, &*events, &is_twilio).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // Garbage, a time-out or a reset: hyper has answered what can be answered, and it is over. Twilio's own connection
    // may wait for the next request until it is closed.
    if served.is_err_and(|error| error.is_timeout()) && !is_twilio.load(Ordering::Relaxed) {
        stray(&shared, Refusal::TooSlow, &*events);
    }
}
