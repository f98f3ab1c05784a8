//! Fetches our own public URL as Twilio would: through DNS, the internet and the tunnel. Only this box knows the answer.

use std::path::Path;
use std::time::Duration;

use ureq::http::StatusCode;

use super::agent::agent;
use crate::net::clock::Clock;

/// From the first packet to the last byte of the answer: Twilio itself waits 15 s (TWILIO.md "Webhook limits").
const TIMEOUT: Duration = Duration::from_secs(15);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4096;

/// What came instead of our answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProofError {
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("it answers {0}: another server than ours, or the tunnel without the service behind it")]
    Status(u16),
    #[error("the request came in by another host name than the URL's; whatever passes it on must leave Host as it is")]
    OtherName,
    #[error("it answers, but not what this box would: another gateway is behind it, or the service has older secrets")]
    Stranger,
    #[error("{0}")]
    Ca(String),
}

/// Asks for `path` below a public URL. `is_ours` knows the right answer.
pub fn fetch(
    public_url: &str,
    path: &str,
    ca_file: Option<&Path>,
    clock: &Clock,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), UrlProofError> {
    let agent = agent(ca_file, clock, TIMEOUT, TIMEOUT).map_err(|error| UrlProofError::Ca(error.to_string()))?;
    let no_answer = |error: ureq::Error| {
        UrlProofError::NoAnswer(match (clock.trusted(), &error) {
            (Err(doubt), ureq::Error::Io(_)) => format!("{error} (this machine's clock says {doubt})"),
            _ => error.to_string(),
        })
    };
    let mut response = agent.get(format!("{public_url}{path}")).call().map_err(no_answer)?;
    match response.status() {
        StatusCode::OK => {}
        // Our own listener says so.
        StatusCode::MISDIRECTED_REQUEST => return Err(UrlProofError::OtherName),
        other => return Err(UrlProofError::Status(other.as_u16())),
    }
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(no_answer)?;
    match is_ours(body.trim()) {
        true => Ok(()),
        false => Err(UrlProofError::Stranger),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one request.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        base
    }

    #[test]
    fn only_the_right_answer_shows_that_the_url_leads_here() {
        let ours = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nours\n";
        let ask = |answer| fetch(&server(answer), "/twilio/nonce/1", None, &Clock::start(None), |body| body == "ours");
        assert_eq!(ask(ours), Ok(()));
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlogin";
        assert_eq!(ask(other), Err(UrlProofError::Stranger));
        for (answer, status) in [
            ("HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 404),
            ("HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 503),
            ("HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 302),
        ] {
            assert_eq!(ask(answer), Err(UrlProofError::Status(status)));
        }
        let misdirected = "HTTP/1.1 421 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(ask(misdirected), Err(UrlProofError::OtherName));
        let nobody = fetch("http://127.0.0.1:1", "/", None, &Clock::start(None), |_| true);
        assert!(matches!(nobody, Err(UrlProofError::NoAnswer(_))), "{nobody:?}");
    }
}
