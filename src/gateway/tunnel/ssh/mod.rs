//! SSH with a remote forward (RFC 4254 section 7), by russh: the server listens for us and hands each connection back.
//!
//! The far end may be anybody's OpenSSH, or a service that gives out a public name and prints it in the session.

mod client;
mod kept;
mod key;
mod known_hosts;
mod prompt;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use russh::client::{AuthResult, Config, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};
use russh::{Channel, ChannelMsg, Disconnect, Preferred, SshId};
use tokio::net::TcpStream;

use super::announcement::Reader;
use super::lines::Lines;
use super::{Down, Place, Report, Reports, Settings, Stop, UrlFrom};
use client::Client;
use gateway_core::config::tunnel::Ssh;
pub use kept::{Kept, kept};
#[cfg(test)]
pub(crate) use key::load_or_make;
pub use key::{KeyError, public_key_line};
pub use known_hosts::{Refused, accept, refused};
use prompt::Prompt;

/// DNS, and TCP to all addresses together.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Version exchange and key exchange; authentication; the forward: each.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// Nothing heard for so long: the server is asked whether it lives. Question, answer and acknowledgement are some 260
/// octets, 4.5 MB a day on a line without calls.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// So many questions without an answer, and after as long again the session is dead: after 15 s of silence, Twilio's
/// own patience. An answer may take 10 s, and a slow line is none that is dead.
const KEEPALIVE_MAX: usize = 2;
/// The kernel gives a connection up when what was sent is not acknowledged for so long (RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// What a connection may hold here before its reader has read it: requests have a bound of 64 kB anyway.
const WINDOW: u32 = 64 * 1024;
/// Largest packet, the default of RFC 4254 section 5.1 being 32 kB.
const MAX_PACKET: u32 = 16 * 1024;
/// Messages of one channel that wait for its reader.
const CHANNEL_MESSAGES: usize = 16;
/// A service that has not told its URL after this time is not going to.
const URL_LIMIT: Duration = Duration::from_secs(30);
/// For our goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Runs a session until it ends (`Err`) or is stopped.
pub(super) async fn run(
    ssh: &Ssh,
    settings: &Settings,
    place: &Place,
    reports: &Reports,
    mut stop: Stop,
) -> Result<(), Down> {
    let mut session = tokio::select! {
        session = Session::open(ssh, settings, place, reports) => session?,
        () = stop.wait() => return Ok(()),
    };
    tokio::select! {
        down = session.last(settings, place, reports) => Err(down),
        () = stop.wait() => {
            let goodbye = session.handle.disconnect(Disconnect::ByApplication, "the gateway stops", "en");
            let _ = tokio::time::timeout(GOODBYE_LIMIT, goodbye).await;
            Ok(())
        }
    }
}

/// A session with its forward.
struct Session<'a> {
    ssh: &'a Ssh,
    handle: Handle<Client>,
    /// What the handler learnt about the end.
    fault: client::Fault,
    /// The server's shell, where the URL is printed.
    shell: Option<Channel<Msg>>,
    _socket: Closing,
}

impl<'a> Session<'a> {
    async fn open(ssh: &'a Ssh, settings: &Settings, place: &Place, reports: &Reports) -> Result<Self, Down> {
        let key = key::load_or_make(&place.store)?;
        let server = &ssh.server;
        let (stream, closing) = within(CONNECT_LIMIT, ssh, "no connection", connect(ssh)).await?;

        let algorithms = known_hosts::algorithms(&place.store, &server.name()).map_err(|e| words::store(&e))?;
        let client = Client::new(ssh.clone(), place.clone(), reports.clone());
        let fault = client.fault();
        let begun = async {
            russh::client::connect_stream(config(algorithms), Prompt(stream), client)
                .await
                .map_err(|error| fault.take().unwrap_or_else(|| words::session(ssh, &error)))
        };
        let let_in = async {
            let mut handle = within(STEP_LIMIT, ssh, "no key exchange", begun).await?;
            let said = authenticate(ssh, settings, key, &mut handle);
            within(STEP_LIMIT, ssh, "no answer to the authentication", said).await?;
            Ok(handle)
        };
        let handle = let_in.await.map_err(words::before_login)?;
        let forwarded = async {
            let port = handle.tcpip_forward(ssh.bind_address.as_str(), u32::from(ssh.bind_port)).await;
            port.map_err(|error| words::forward(ssh, &error))
        };
        let port = within(STEP_LIMIT, ssh, "no answer to the request for a forward", forwarded).await?;
        if port != 0 && ssh.bind_port == 0 {
            reports.said(&format!("the server listens on port {port} for us"));
        }
        let shell = match settings.url_from {
            UrlFrom::Output => {
                let opened = async {
                    let shell = handle.channel_open_session().await?;
                    shell.request_shell(false).await?;
                    Ok(shell)
                };
                let opened = async { opened.await.map_err(|error| words::session(ssh, &error)) };
                Some(within(STEP_LIMIT, ssh, "no session", opened).await?)
            }
            UrlFrom::Config | UrlFrom::Ask(_) => {
                reports.send(Report::Up { public_url: None }).await;
                None
            }
        };
        Ok(Session { ssh, handle, fault, shell, _socket: closing })
    }

    /// Until it ends, and why.
    async fn last(&mut self, settings: &Settings, place: &Place, reports: &Reports) -> Down {
        let mut reader = Reader::of_server(&self.ssh.server.host, place.local, settings.url_pattern.clone());
        // The first URL is kept for the life of the session.
        let (mut lines, mut is_known) = (Lines::default(), false);
        let too_late = tokio::time::sleep(URL_LIMIT);
        tokio::pin!(too_late);
        loop {
            let is_awaited = self.shell.is_some() && !is_known;
            let said = tokio::select! {
                ended = &mut self.handle => return self.end(ended),
                said = next(&mut self.shell) => said,
                () = &mut too_late, if is_awaited => return words::no_url(self.ssh, URL_LIMIT, &reader),
            };
            let Some(bytes) = said else {
                // Why the session ended, the session itself tells better, if it ends now too.
                return match tokio::time::timeout(GOODBYE_LIMIT, &mut self.handle).await {
                    Ok(ended) => self.end(ended),
                    Err(_) => words::shell_ended(self.ssh, lines.rest().map(|line| line.text)),
                };
            };
            for line in lines.push(&bytes) {
                reports.said(&line.text);
                if !is_known && let Some(found) = reader.line(&line) {
                    is_known = true;
                    reports.send(Report::Up { public_url: Some(found) }).await;
                }
            }
        }
    }

    fn end(&self, ended: Result<(), russh::Error>) -> Down {
        self.fault.take().unwrap_or_else(|| match ended {
            Ok(()) => words::closed(self.ssh),
            Err(error) => words::session(self.ssh, &error),
        })
    }
}

/// What the shell prints; `None` at its end; never, where there is none.
async fn next(shell: &mut Option<Channel<Msg>>) -> Option<Vec<u8>> {
    let Some(shell) = shell else { return std::future::pending().await };
    loop {
        match shell.wait().await? {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => return Some(data.to_vec()),
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

fn config(algorithms: Vec<russh::keys::Algorithm>) -> Arc<Config> {
    Arc::new(Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-gateway_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW,
        maximum_packet_size: MAX_PACKET,
        channel_buffer_size: CHANNEL_MESSAGES,
        preferred: Preferred { key: Cow::Owned(algorithms), ..Preferred::DEFAULT },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        nodelay: true,
        ..Config::default()
    })
}

/// As OpenSSH does it: "none" first, which tells what the server takes and is all that some services want, then the key.
async fn authenticate(
    ssh: &Ssh,
    settings: &Settings,
    key: Arc<PrivateKey>,
    handle: &mut Handle<Client>,
) -> Result<(), Down> {
    let failed = |error: russh::Error| words::session(ssh, &error);
    let user = ssh.server.user.as_str();
    if let AuthResult::Success = handle.authenticate_none(user).await.map_err(failed)? {
        return Ok(());
    }
    let line = key::line(key.public_key(), ssh, &settings.url_from)?;
    let key = PrivateKeyWithHashAlg::new(key, None);
    match handle.authenticate_publickey(user, key).await.map_err(failed)? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { .. } => Err(words::refused_key(ssh, &line)),
    }
}

/// One of the server's addresses, in the order that the system prefers.
async fn connect(ssh: &Ssh) -> Result<(TcpStream, Closing), Down> {
    let server = &ssh.server;
    let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| words::dns(ssh, &error.to_string()))?.collect();
    let mut last = words::dns(ssh, "it has no address");
    for address in addresses {
        match TcpStream::connect(address).await.and_then(prepare) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = words::connect(ssh, address, &error),
        }
    }
    Err(last)
}

fn prepare(stream: TcpStream) -> std::io::Result<(TcpStream, Closing)> {
    stream.set_nodelay(true)?;
    let limit = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&stream, TcpUserTimeout, &limit)?;
    let stream = stream.into_std()?;
    let closing = Closing(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, closing))
}

/// Closes the connection when dropped: russh's own task would go on reading.
struct Closing(std::net::TcpStream);

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

async fn within<T>(
    limit: Duration,
    ssh: &Ssh,
    missing: &str,
    step: impl Future<Output = Result<T, Down>>,
) -> Result<T, Down> {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(words::too_late(ssh, missing, limit)))
}
