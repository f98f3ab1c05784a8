//! The REST side as a client sees it over HTTP.

mod common;

use std::time::Duration;

use common::{LIMIT, NUMBER, hooks, rest, rest_as, start};
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

#[tokio::test]
async fn a_created_key_opens_the_account_until_it_is_deleted() {
    let twilio = start(Switches::default()).await;
    let (status, key) = rest(&twilio, "POST", "Keys.json", &[("FriendlyName", "box")]).await;
    assert_eq!(status, 201);
    let (sid, secret) = (key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let ask = async |path: &str| rest_as(&twilio, sid, secret, "GET", path, &[]).await;
    assert_eq!(ask("IncomingPhoneNumbers.json").await.0, 200);
    let account = format!("/2010-04-01/Accounts/{}.json", twilio.account.sid);
    for path in [account.as_str(), "Keys.json"] {
        let (status, body) = ask(path).await;
        assert_eq!((status, body["code"].as_u64()), (401, Some(20003)), "{path}");
    }
    let (_, list) = rest(&twilio, "GET", "Keys.json", &[]).await;
    assert!(list["keys"].as_array().unwrap().iter().all(|key| key.get("secret").is_none()));
    assert_eq!(rest(&twilio, "DELETE", &format!("Keys/{sid}.json"), &[]).await.0, 204);
    assert_eq!(ask("IncomingPhoneNumbers.json").await.0, 401);
}

#[tokio::test]
async fn a_trigger_that_fires_sends_a_signed_callback_and_tries_again() {
    let twilio = start(Switches::default()).await;
    let (hook, seen) = hooks(&[("/spent", String::new())]).await;
    let url = format!("{hook}/spent");
    let fields = [("CallbackUrl", url.as_str()), ("TriggerValue", "+30"), ("UsageCategory", "totalprice")];
    let (status, trigger) = rest(&twilio, "POST", "Usage/Triggers.json", &fields).await;
    assert_eq!(status, 201, "{trigger}");
    let sid = trigger["sid"].as_str().unwrap();
    assert_eq!(twilio_simulator::rest::usage::fire(&twilio, sid, Some(31.5)).await.unwrap(), 200);
    let (_, headers, form) = seen.lock().unwrap()[0].clone();
    let signature = twilio_simulator::webhook::signature::sign(&twilio.account.token, &url, &form);
    assert_eq!(headers["x-twilio-signature"], signature);
    assert!(form.contains(&("CurrentValue".to_owned(), "31.5".to_owned())), "{form:?}");
    let path = format!("Usage/Triggers/{sid}.json");
    assert!(rest(&twilio, "GET", &path, &[]).await.1["date_fired"].is_string());

    rest(&twilio, "POST", &path, &[("CallbackUrl", "http://127.0.0.1:1/")]).await;
    assert_eq!(twilio_simulator::rest::usage::fire(&twilio, sid, None).await.unwrap(), 0);
}

#[tokio::test]
async fn a_number_is_registered_after_some_reads_over_the_api() {
    let twilio = start(Switches::default()).await;
    let address = [
        ("CustomerName", "Ann"),
        ("Street", "1 Main St"),
        ("City", "Portland"),
        ("Region", "OR"),
        ("PostalCode", "97201"),
        ("IsoCountry", "US"),
        ("EmergencyEnabled", "true"),
    ];
    let (status, address) = rest(&twilio, "POST", "Addresses.json", &address).await;
    assert_eq!(status, 201, "{address}");
    let sid = address["sid"].as_str().unwrap();
    let number = twilio.store().number(NUMBER).unwrap().sid;
    let path = format!("IncomingPhoneNumbers/{number}.json");
    rest(&twilio, "POST", &path, &[("EmergencyAddressSid", sid)]).await;
    let mut seen = Vec::new();
    for path in [&path, "IncomingPhoneNumbers.json?PageSize=1", &path] {
        let (_, body) = rest(&twilio, "GET", path, &[]).await;
        let number = if body["sid"].is_string() { &body } else { &body["incoming_phone_numbers"][0] };
        seen.push(number["emergency_address_status"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["pending-registration", "pending-registration", "registered"]);
    let path = format!("Addresses/{sid}/DependentPhoneNumbers.json");
    let (_, dependents) = rest(&twilio, "GET", &path, &[]).await;
    assert_eq!(dependents["dependent_phone_numbers"][0]["phone_number"], NUMBER);
    assert_eq!(rest(&twilio, "DELETE", &format!("Addresses/{sid}.json"), &[]).await.0, 400);
}

#[tokio::test]
async fn an_account_is_suspended_for_writing() {
    let twilio = start(Switches::default()).await;
    twilio.store().account.status = "suspended".to_owned();
    let (status, body) = rest(&twilio, "POST", "Applications.json", &[("FriendlyName", "x")]).await;
    assert_eq!((status, body["code"].as_u64()), (403, Some(20005)));
    assert_eq!(rest(&twilio, "GET", "Applications.json", &[]).await.0, 200);
}
