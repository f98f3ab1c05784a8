//! `[metrics] listen`: GET /metrics for a Prometheus of the site, on a listener of its own that no tunnel leads to.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::time::TimeValLike;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::Process;
use crate::metrics::text::CONTENT_TYPE;

/// What is asked for.
const PATH: &str = "/metrics";
/// Most scrapers at a time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 8;
/// From the start of a connection, or the end of its last request, to the end of the next request's headers. A scraper
/// connects anew when its interval is longer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A whole conversation, so that nobody who does not read keeps one of the few places.
const LIMIT: Duration = Duration::from_secs(60);
/// Largest request line with all headers; the least that hyper takes.
const MAX_HEAD: usize = 8 * 1024;
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves for ever; `exposition` makes the text.
pub async fn serve(listener: TcpListener, exposition: Rc<dyn Fn() -> String>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let exposition = Rc::clone(&exposition);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let reply = respond(&request, &*exposition);
                async move { Ok::<_, Infallible>(reply) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Garbage, a time-out or a reset: it is over.
            let _ = tokio::time::timeout(LIMIT, served).await;
            drop(place);
        });
    }
}

fn respond(request: &Request<Incoming>, exposition: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let status = match (request.uri().path(), request.method()) {
        (PATH, &Method::GET) => StatusCode::OK,
        (PATH, _) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_FOUND,
    };
    let body = if status == StatusCode::OK { Bytes::from(exposition()) } else { Bytes::new() };
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let (name, value) = match status {
        StatusCode::OK => (header::CONTENT_TYPE, CONTENT_TYPE),
        StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, "GET"),
        _ => (header::CONNECTION, "close"),
    };
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
    reply
}

/// What `/proc` says of this process; what it does not say is left out.
pub fn process() -> Process {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|page| u64::try_from(page).ok());
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).ok();
    let cpu = usage.map(|usage| (usage.user_time() + usage.system_time()).num_milliseconds());
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).ok();
    Process {
        resident: pages.zip(page).map(|(pages, page)| pages * page),
        descriptors: std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as u64),
        max_descriptors: limit.map(|(soft, _)| soft),
        cpu: cpu.and_then(|milliseconds| u64::try_from(milliseconds).ok()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = serve(listener, Rc::new(|| "# HELP a b\n# TYPE a gauge\na 1\n".to_owned()));
        let asked = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                tokio::select! {
                    () = serve => unreachable!("it serves for ever"),
                    answer = asked => answer,
                }
            })
            .await
    }

    #[tokio::test]
    async fn a_scraper_gets_the_text_and_its_type() {
        let answer = ask("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n# HELP a b\n# TYPE a gauge\na 1\n"), "{answer}");
    }

    #[tokio::test]
    async fn nothing_else_is_there() {
        for (request, status) in [
            ("GET / HTTP/1.1", 404),
            ("GET /metrics/ HTTP/1.1", 404),
            ("GET /status HTTP/1.1", 404),
            ("POST /metrics HTTP/1.1", 405),
            ("nonsense", 400),
        ] {
            let answer = ask(&format!("{request}\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        }
    }

    #[test]
    fn the_system_says_what_the_process_uses() {
        let process = process();
        assert!(process.resident > Some(100_000) && process.descriptors >= Some(3), "{process:?}");
        assert!(process.max_descriptors >= process.descriptors && process.cpu.is_some(), "{process:?}");
    }
}
