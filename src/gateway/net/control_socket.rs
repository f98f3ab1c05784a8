//! The control socket: `gateway status`, `reload`, `history` and `metrics` talk to the running service by it.
//!
//! One line in, one answer out (JSON; lines of JSON for `history`, text for `metrics`), end of file.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::disk::folder::{Last, Spot};
use crate::disk::{RealDisk, atomic};

/// File name in `site.run_dir`.
pub const SOCKET: &str = "gateway.sock";

/// A request line is never longer.
const MAX_LINE: u64 = 64;

/// Most clients at a time; further ones wait to be accepted. Only the owner of the box can connect.
const MAX_CONVERSATIONS: usize = 16;

/// The folder is for its owner alone, as the socket is.
const DIR_MODE: u32 = 0o700;
const SOCKET_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// A client that says nothing, or does not read its answer, is not waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Status,
    Reload,
    /// Compares the account with the config now; answered when it is done, by the status.
    Drift,
    /// Lines of the history's file.
    History,
    /// Prometheus' text.
    Metrics,
    /// What was used outside, and whether that is stopped.
    Spend,
    /// Calls outside may be made again; answered as [`Ask::Spend`] is.
    SpendResume,
}

/// Why the socket is not bound.
#[derive(Debug)]
pub enum Unbound {
    /// Another gateway answers there.
    Answered(PathBuf),
    Failed(std::io::Error),
}

impl Unbound {
    /// As what the system says.
    pub fn into_error(self) -> std::io::Error {
        match self {
            Unbound::Answered(_) => std::io::ErrorKind::AddrInUse.into(),
            Unbound::Failed(error) => error,
        }
    }
}

/// Binds the socket, for its owner only. A socket that a killed service left behind is replaced; one that answers means
/// that the service runs already.
pub async fn bind(run_dir: &Path) -> Result<UnixListener, Unbound> {
    let path = run_dir.join(SOCKET);
    if let Ok(there) = Spot::of(&path, Last::Name).and_then(|spot| spot.socket())
        && UnixStream::connect(&there.path).await.is_ok()
    {
        return Err(Unbound::Answered(path));
    }
    make(run_dir, &path).map_err(Unbound::Failed)
}

fn make(run_dir: &Path, path: &Path) -> std::io::Result<UnixListener> {
    atomic::make_missing(&RealDisk, run_dir, DIR_MODE)?;
    let spot = Spot::of(path, Last::Name)?;
    match spot.remove() {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    bind_at(&spot)
}

/// The mode is the socket's own before it has a name: by that name somebody else could be meant a moment later.
fn bind_at(spot: &Spot) -> std::io::Result<UnixListener> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    fchmod(&fd, SOCKET_MODE)?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(&spot.path_to_bind())?)?;
    socket::listen(&fd, Backlog::MAXCONN)?;
    UnixListener::from_std(fd.into())
}

/// Takes the socket's name away, at the end.
pub fn unbind(path: &Path) {
    // One that stays is replaced by the next start.
    let _ = Spot::of(path, Last::Name).and_then(|spot| spot.remove());
}

/// Serves for ever; `answer` makes the answer.
pub async fn serve<F>(listener: UnixListener, answer: impl Fn(Ask) -> F + 'static)
where
    F: Future<Output = String> + 'static,
{
    let answer = Rc::new(answer);
    let room = Arc::new(Semaphore::new(MAX_CONVERSATIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = Rc::clone(&answer);
        tokio::task::spawn_local(async move {
            let _ = converse(stream, &*answer).await;
            drop(permit);
        });
    }
}

async fn converse<F: Future<Output = String>>(stream: UnixStream, answer: &impl Fn(Ask) -> F) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    timeout(LIMIT, BufReader::new(reader.take(MAX_LINE)).read_line(&mut line)).await??;
    let mut reply = match line.trim() {
        "status" => answer(Ask::Status).await,
        "reload" => answer(Ask::Reload).await,
        "drift" => answer(Ask::Drift).await,
        "history" => answer(Ask::History).await,
        "metrics" => answer(Ask::Metrics).await,
        "spend" => answer(Ask::Spend).await,
        "spend resume" => answer(Ask::SpendResume).await,
        _ => r#"{"error":"say status, reload, drift, history or metrics"}"#.to_string(),
    };
    if !reply.ends_with('\n') {
        reply.push('\n');
    }
    timeout(LIMIT, writer.write_all(reply.as_bytes())).await?
}
