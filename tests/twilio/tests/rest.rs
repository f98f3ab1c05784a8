//! The REST side as a client sees it over HTTP.

mod common;

use std::time::Duration;

use common::{LIMIT, rest, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use twilio_simulator::rest::{Fault, FaultKind};
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::{Options, Twilio};
use twilio_simulator::{form, random};

/// Sends one POST and gives all that comes back until the connection ends, or `None` when nothing came in `limit`.
async fn raw_post(twilio: &Twilio, path: &str, fields: &[(&str, &str)], limit: Duration) -> Option<String> {
    use base64::Engine;
    let account = &twilio.account;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", account.sid, account.token));
    let body = form::encode(&fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>());
    let mut stream = TcpStream::connect(twilio.rest_address).await.unwrap();
    let request = format!(
        "POST /2010-04-01/Accounts/{}/{path} HTTP/1.1\r\nHost: api\r\nAuthorization: Basic {credentials}\r\n\
         Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        account.sid,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tokio::time::timeout(limit, stream.read_to_string(&mut reply)).await.ok().map(|_| reply)
}

fn apps(twilio: &Twilio) -> usize {
    twilio.store().all(twilio_simulator::rest::Kind::Application, None).len()
}

#[tokio::test]
async fn a_torn_connection_has_the_effect_or_not_as_the_fault_says() {
    let twilio = start(Switches::default()).await;
    for (kind, effect) in [(FaultKind::TornBefore, 0), (FaultKind::TornAfter, 1)] {
        twilio.store().faults.push(Fault { kind, ..Fault::default() });
        let reply = raw_post(&twilio, "Applications.json", &[("FriendlyName", "x")], LIMIT).await;
        assert_eq!(reply.as_deref(), Some(""));
        assert_eq!(apps(&twilio), effect);
    }
}

#[tokio::test]
async fn a_silent_answer_has_the_effect_and_ends_when_the_client_gives_up() {
    let twilio = start(Switches::default()).await;
    twilio.store().faults.push(Fault { kind: FaultKind::NoAnswer, ..Fault::default() });
    let brief = Duration::from_millis(300);
    assert_eq!(raw_post(&twilio, "Applications.json", &[("FriendlyName", "x")], brief).await, None);
    assert_eq!(apps(&twilio), 1);
    assert_eq!(rest(&twilio, "GET", "Applications.json", &[]).await.0, 200);
}

#[tokio::test]
async fn the_recording_has_every_request_with_its_answer() {
    let directory = std::env::temp_dir();
    let (ca_file, record) = (random::uuid(), random::uuid());
    let (ca_file, record) = (directory.join(ca_file), directory.join(record));
    let options = Options { ca_file, record: Some(record.clone()), ..Options::default() };
    let twilio = Twilio::start(options).await.unwrap();
    rest(&twilio, "POST", "Applications.json", &[("FriendlyName", "x y")]).await;
    rest(&twilio, "GET", "Applications.json?PageSize=1", &[]).await;
    let text = std::fs::read_to_string(&record).unwrap();
    let _ = (std::fs::remove_file(&record), std::fs::remove_file(&twilio.ca_file));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0]["status"].as_u64(), lines[0]["body"].as_str()), (Some(201), Some("FriendlyName=x+y")));
    assert!(lines[1]["url"].as_str().unwrap().ends_with("Applications.json?PageSize=1"), "{}", lines[1]);
    assert_eq!(lines[1]["answer"]["applications"][0]["sid"], lines[0]["answer"]["sid"]);
}
