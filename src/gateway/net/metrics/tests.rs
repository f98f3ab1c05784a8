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
