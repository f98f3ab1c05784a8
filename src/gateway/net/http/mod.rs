//! The webhook endpoint: HTTP/1.1 on a local address that a tunnel makes public, so everything here faces the internet.
//!
//! It limits, checks that the request is Twilio's, asks the pure dialplan in place and writes the answer; it decides
//! nothing itself. A request that is refused ends its connection, so that a stranger pays a handshake for each try.

mod connections;
mod gate;
pub(crate) mod host;
mod refusals;
mod replies;
mod respond;
mod seen;
mod shared;
mod turn;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::descriptors::Kind;
pub use crate::bucket::Rate;
use connections::{Connections, Freshness};
pub use gate::Rates;
use gateway_core::twiml::WebhookEvent;
pub use gateway_core::twiml::refusal::{Counts, Refusal};
pub use replies::MAX_REPLIES;
use respond::{respond, stray};
pub use seen::MAX_SEEN;
pub use shared::Shared;
use turn::{Timed, Turn};

/// Largest body; Twilio's requests are about 1 kB.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest request line with all headers; more gets 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most headers.
pub const MAX_HEADERS: usize = 64;
/// Most connections at a time. For a further one the one goes that [`connections`] names: strangers who connect and keep
/// silent, or repeat what they captured, must not lock Twilio out. Fewer than any tunnel carries (the SSH tunnel 128): who
/// has to go is chosen here, where it is known what came. And so a bound of memory: [`MAX_HEAD`] and [`MAX_BODY`] for each,
/// 8 MB together.
pub const MAX_CONNECTIONS: usize = 96;
/// From the start of a connection, or the first octet of a request, to the end of its headers.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that carried a fresh request of Twilio's waits for the next one; see [`turn`].
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(960);
/// From the end of the headers to the end of the body. Twilio itself gives up after 15 s (TWILIO.md "Webhook limits").
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked how many connections there may be: the system's limit may be lowered, and calls take from strangers.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a failed accept: the cause (no descriptors left) does not go away by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of a server; the defaults are the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: MAX_CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
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
    let mut tasks = JoinSet::new();
    let mut open = Connections::default();
    let mut look = tokio::time::interval(LOOK);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            _ = look.tick() => None,
        };
        while tasks.try_join_next().is_some() {}
        match accepted {
            None => make_room(&shared, &*events, &mut open, 0),
            Some(Ok((stream, _))) => {
                let held = shared.descriptors.hold(Kind::Webhook);
                make_room(&shared, &*events, &mut open, 1);
                let freshness = Freshness::default();
                let served = connection(stream, shared.clone(), events.clone(), freshness.clone());
                let task = tasks.spawn(async move {
                    served.await;
                    drop(held);
                });
                open.add(task, freshness);
                let pause = shared.gate().connection(shared.now());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Some(Err(error)) => {
                let error = error.kind().to_string();
                let row = shared.refuse(Refusal::AcceptFailed);
                report(row, &*events, |in_a_row| WebhookEvent::AcceptFailed { error, in_a_row });
                make_room(&shared, &*events, &mut open, 1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes connections until there is room for so many new ones.
fn make_room(shared: &Shared, events: &impl Fn(WebhookEvent), open: &mut Connections, new: usize) {
    let places = shared.limits.connections.min(shared.descriptors.places(Kind::Webhook));
    for _ in places..open.len() + new {
        let row = shared.refuse(Refusal::TooManyConnections);
        report(row, events, |in_a_row| WebhookEvent::TooManyConnections { in_a_row });
        open.close_one();
    }
}

fn report(in_a_row: Option<u64>, events: &impl Fn(WebhookEvent), event: impl FnOnce(u64) -> WebhookEvent) {
    if let Some(in_a_row) = in_a_row {
        events(event(in_a_row));
    }
}

async fn connection<E: Fn(WebhookEvent)>(stream: TcpStream, shared: Arc<Shared>, events: Arc<E>, freshness: Freshness) {
    // An answer is one small write; a failure costs a delay, not the answer.
    let _ = stream.set_nodelay(true);
    let turn = Turn::new(shared.limits.header_timeout);
    let service = service_fn(|request| {
        let (shared, events, freshness, turn) = (shared.clone(), events.clone(), freshness.clone(), turn.clone());
        async move {
            turn.is_ours();
            let mut reply = respond(&shared, request, &*events, &freshness).await;
            if !freshness.is_twilio() {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            turn.is_over(shared.limits.idle_timeout);
            Ok::<_, Infallible>(reply)
        }
    });
    // Garbage, a time-out or a reset: hyper has answered what can be answered, and it is over.
    let _ = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Timed::new(stream, turn.clone())), service)
        .await;
    // Twilio's own connection may wait for the next request until it is closed.
    if turn.is_late() && !freshness.is_twilio() {
        stray(&shared, Refusal::TooSlow, &*events);
    }
}
