//! One question to the running service over its control socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;

use crate::disk::folder::{Last, Spot};
use crate::net::control_socket::SOCKET;
use gateway_core::config::Config;

/// How long the service may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the service is not running ({0}); start it with \"systemctl start gateway\"")]
    NotRunning(String),
    #[error("{0}; run the command as root")]
    Denied(String),
    #[error("the service does not answer ({0})")]
    NoAnswer(String),
}

/// Sends a line, gives back the JSON.
pub(super) fn ask(config: &Config, command: &str) -> Result<String, AskError> {
    ask_at(&config.site.run_dir.join(SOCKET), command, TIMEOUT)
}

/// As [`ask`], at a socket and for what takes longer.
pub(super) fn ask_at(socket: &Path, command: &str, timeout: Duration) -> Result<String, AskError> {
    ask_whom(socket, command, timeout).map(|(answer, _)| answer)
}

/// As [`ask`], at a socket; and the process id of who answered, 0 when that cannot be known.
pub(super) fn ask_whom(socket: &Path, command: &str, timeout: Duration) -> Result<(String, u32), AskError> {
    let told = |error: std::io::Error| format!("{}: {error}", socket.display());
    let reached = Spot::of(socket, Last::Target).and_then(|spot| spot.socket());
    let connected = reached.and_then(|reached| UnixStream::connect(&reached.path));
    let mut stream = connected.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => AskError::NotRunning(told(error)),
        std::io::ErrorKind::PermissionDenied => AskError::Denied(told(error)),
        _ => AskError::NoAnswer(told(error)),
    })?;
    let no_answer = |error: std::io::Error| AskError::NoAnswer(told(error));
    stream.set_read_timeout(Some(timeout)).map_err(no_answer)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(no_answer)?;
    stream.write_all(format!("{command}\n").as_bytes()).map_err(no_answer)?;
    let pid = getsockopt(&stream, PeerCredentials).ok().and_then(|peer| u32::try_from(peer.pid()).ok());
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(no_answer)?;
    Ok((answer, pid.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_running_says_how_to_start_it() {
        let error = ask_at(Path::new("/nonexistent/gateway.sock"), "status", TIMEOUT).unwrap_err().to_string();
        assert!(error.starts_with("the service is not running (/nonexistent/gateway.sock: "), "{error}");
        assert!(error.ends_with("start it with \"systemctl start gateway\""), "{error}");
    }
}
