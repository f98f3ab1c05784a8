//! The control socket: `gateway status` and `gateway reload` talk to the running service by it.
//!
//! One line in (`status` or `reload`), one JSON document out, end of file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// File name in `site.run_dir`.
pub const SOCKET: &str = "gateway.sock";

/// A request line is never longer.
const MAX_LINE: u64 = 64;

/// A client that says nothing is not waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Status,
    Reload,
}

/// Binds the socket, for its owner only. A socket that a killed service left behind is replaced; one that answers means
/// that the service runs already.
pub async fn bind(run_dir: &Path) -> std::io::Result<(UnixListener, PathBuf)> {
    std::fs::create_dir_all(run_dir)?;
    let path = run_dir.join(SOCKET);
    if UnixStream::connect(&path).await.is_ok() {
        let text = format!("{} answers: another gateway is running with this run_dir", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, text));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((listener, path))
}

/// Serves for ever; `answer` makes the JSON.
pub async fn serve(listener: UnixListener, answer: impl Fn(Ask) -> String) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // One after the other: only the owner of the box can connect, and each is bounded.
        let _ = tokio::time::timeout(LIMIT, converse(stream, &answer)).await;
    }
}

async fn converse(stream: UnixStream, answer: &impl Fn(Ask) -> String) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_LINE)).read_line(&mut line).await?;
    let reply = match line.trim() {
        "status" => answer(Ask::Status),
        "reload" => answer(Ask::Reload),
        _ => r#"{"error":"say status or reload"}"#.to_string(),
    };
    writer.write_all(reply.as_bytes()).await?;
    writer.write_all(b"\n").await
}
