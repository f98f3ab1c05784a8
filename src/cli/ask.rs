//! One question to the running service over its control socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::net::control::SOCKET;

/// How long the service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// Sends a line, gives back the JSON. Errors are for people.
pub(super) fn ask(config: &Config, command: &str) -> Result<String, String> {
    ask_at(&config.site.run_dir.join(SOCKET), command)
}

fn ask_at(socket: &Path, command: &str) -> Result<String, String> {
    let shown = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            format!("the service is not running ({shown}: {error}); start it with \"systemctl start gateway\"")
        }
        std::io::ErrorKind::PermissionDenied => format!("{shown}: {error}; run the command as root"),
        _ => format!("{shown}: {error}"),
    })?;
    let no_answer = |error: std::io::Error| format!("the service does not answer ({shown}: {error})");
    stream.set_read_timeout(Some(TIMEOUT)).map_err(no_answer)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(no_answer)?;
    stream.write_all(format!("{command}\n").as_bytes()).map_err(no_answer)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(no_answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_running_says_how_to_start_it() {
        let error = ask_at(Path::new("/nonexistent/gateway.sock"), "status").unwrap_err();
        assert!(error.starts_with("the service is not running (/nonexistent/gateway.sock: "), "{error}");
        assert!(error.ends_with("start it with \"systemctl start gateway\""), "{error}");
    }
}
