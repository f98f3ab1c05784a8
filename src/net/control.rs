//! The control socket: `gateway status`, `reload`, `history` and `metrics` talk to the running service by it.
//!
//! One line in, one answer out (JSON; lines of JSON for `history`, text for `metrics`), end of file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// File name in `site.run_dir`.
pub const SOCKET: &str = "gateway.sock";

/// A request line is never longer.
const MAX_LINE: u64 = 64;

/// Most clients at a time; further ones wait to be accepted. Only the owner of the box can connect.
const MAX_CONVERSATIONS: usize = 16;

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
    if UnixStream::connect(&path).await.is_ok() {
        return Err(Unbound::Answered(path));
    }
    make(run_dir, &path).map_err(Unbound::Failed)
}

fn make(run_dir: &Path, path: &Path) -> std::io::Result<UnixListener> {
    std::fs::create_dir_all(run_dir)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
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
        _ => r#"{"error":"say status, reload, drift, history or metrics"}"#.to_string(),
    };
    if !reply.ends_with('\n') {
        reply.push('\n');
    }
    timeout(LIMIT, writer.write_all(reply.as_bytes())).await?
}
