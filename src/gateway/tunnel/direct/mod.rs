//! TLS on a public address of this box, with certificate files of one's own.

mod expiry;
mod files;

use std::collections::VecDeque;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Culprit, Down, Place, Report, Reports, Stop, carry};
use crate::net::clock::Clock;
use crate::net::{descriptors, listening};
use files::Loaded;
use gateway_core::config::tunnel::Direct;

/// Most connections at a time that have shaken hands; further ones are closed at once. The webhook listener's limit is
/// lower: it chooses who has to go.
const MAX_CONNECTIONS: usize = 256;
/// Most handshakes at a time. For a further one the oldest goes: whoever connects and keeps silent must not lock Twilio out.
const MAX_HANDSHAKES: u64 = 64;
/// Where descriptors are few, handshakes may have one of so many.
const HANDSHAKE_SHARE: u64 = 8;
/// For the TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: the cause (no descriptors left) does not go away by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The files are looked at so often beside SIGHUP: programs that renew certificates do not know us.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A certificate that ends sooner is warned of, once a day.
const WARN_BEFORE: u64 = 14 * DAY;
const DAY: u64 = 86_400;

/// Serves until it is stopped.
pub(super) async fn run(direct: &Direct, place: &Place, reports: &Reports, mut stop: Stop) -> Result<(), Down> {
    let mut loaded = files::load(&direct.certificate, &direct.key)?;
    let listener = TcpListener::bind(direct.listen).await.map_err(|error| {
        let next = listening::way_out(direct.listen, &error);
        let next = next.unwrap_or("write an address of this host in [tunnel] listen");
        Down::new(Culprit::Config, format!("{} cannot be listened on: {error}", direct.listen), next)
    })?;
    let config = RwLock::new(Arc::clone(&loaded.config));
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Down::new(Culprit::Config, error.to_string(), "is the system out of descriptors?"))?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut warned = None;
    reports.send(Report::Up { public_url: None }).await;
    let serving = serve(listener, &config, place);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => {}
            _ = hangup.recv() => {}
            _ = look.tick() => {}
            () = stop.wait() => return Ok(()),
        }
        match files::load(&direct.certificate, &direct.key) {
            Ok(new) if new.is_other_than(&loaded) => {
                loaded = new;
                *config.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&loaded.config);
                warned = None;
            }
            Ok(_) => {}
            // What is served goes on; while files are being replaced they may not fit each other.
            Err(down) => reports.said(&format!("the certificate in use stays: {down}")),
        }
        if let Some((day, warning)) = warning(&loaded, direct, &place.clock)
            && warned != Some(day)
        {
            warned = Some(day);
            reports.send(Report::Warning(warning)).await;
        }
    }
}

/// What to tell about the end of a certificate, and on what day: nothing as long as no time can be trusted.
fn warning(loaded: &Loaded, direct: &Direct, clock: &Clock) -> Option<(u64, String)> {
    let now = clock.trusted().ok()?.0;
    let (until, path) = (loaded.not_after?, direct.certificate.display());
    let way = "renew it; the files are read again within a minute, or at gateway reload";
    let text = match until.saturating_sub(now) {
        0 => format!("{path} has expired: Twilio does not accept it; {way}"),
        left if left < WARN_BEFORE => format!("{path} expires in {} days; {way}", left / DAY),
        _ => return None,
    };
    Some((now / DAY, text))
}

/// Takes connections, for ever.
async fn serve(listener: TcpListener, config: &RwLock<Arc<ServerConfig>>, place: &Place) {
    let (mut handshakes, mut connections) = (JoinSet::new(), JoinSet::new());
    let mut begun: VecDeque<AbortHandle> = VecDeque::new();
    let local = place.local;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    begun.retain(|handshake| !handshake.is_finished());
                    let most = (descriptors::limit() / HANDSHAKE_SHARE).clamp(1, MAX_HANDSHAKES);
                    if begun.len() as u64 >= most
                        && let Some(oldest) = begun.pop_front()
                    {
                        oldest.abort();
                    }
                    let config = config.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                    begun.push_back(handshakes.spawn(handshake(stream, config)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(done) = handshakes.join_next() => {
                while connections.try_join_next().is_some() {}
                if let Ok(Ok(stream)) = done
                    && connections.len() < MAX_CONNECTIONS
                {
                    connections.spawn(async move {
                        if let Ok(inside) = carry::connect(local).await {
                            carry::both_ways(stream, inside).await;
                        }
                    });
                }
            }
        }
    }
}

async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(config).accept(stream);
    tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests;
