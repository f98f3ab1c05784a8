//! What the real service remembers and counts, with power cuts, broken files and floods.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine;
use gateway::store::Store;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::process::{Box, LIMIT, errors, free, wait};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn told(office: &Box, arguments: &[&str]) -> String {
    let output = office.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Sends a request and gives what comes back until the end.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let mut answer = Vec::new();
    // A service that turns a request away may close before it has read all of it.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn signed(call_sid: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).expect("any key will do");
    mac.update(format!("https://gw.example.net/twilio/statusCallSid{call_sid}").as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let body = format!("CallSid={call_sid}");
    format!(
        "POST /twilio/status HTTP/1.1\r\nHost: a\r\nX-Twilio-Signature: {signature}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn office_with_a_token() -> Box {
    let office = Box::new();
    let store = Store::open(&office.folder.join("state")).expect("the folder is ours");
    let secrets = Secrets { auth_token: Some(Secret::new(TOKEN.to_owned())), ..Secrets::default() };
    store.save_secrets(&secrets).expect("the folder is ours");
    office
}

#[test]
fn the_history_is_told_by_the_service_and_read_from_its_file_when_it_is_down() {
    let mut office = Box::new();
    office.start();
    let listening = format!("lan.listening {}", office.lan);
    assert!(told(&office, &["history"]).contains(&listening));
    // A file for the flash is not written for each event.
    assert!(!office.folder.join("state/history.jsonl").exists());
    office.signal("-TERM");
    assert!(office.ended().1, "{}", office.log());
    assert_eq!(office.mode("state/history.jsonl"), 0o600);

    let output = office.run(&["history"]);
    assert!(errors(&output).contains("the service is not running"), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains(&listening) && text.contains("service.stopping gateway"), "{text}");

    // A cut tore the last line, and somebody wrote between the others.
    let path = office.folder.join("state/history.jsonl");
    let file = fs::read_to_string(&path).expect("it was written");
    fs::write(&path, format!("no JSON\n{}", &file[..file.len() - 9])).expect("the folder is ours");
    office.start();
    wait("the log tells of broken lines", || {
        office.log().contains("broken lines in history.jsonl, left out: 2").then_some(())
    });
    let text = told(&office, &["history", "lan"]);
    assert_eq!(text.matches(&listening).count(), 2, "{text}");
    assert!(text.contains("-- the service was started again\n"), "{text}");
    let json = told(&office, &["history", "--json", "--since", "1h", "--code", "store.warning"]);
    assert!(
        json.lines().count() >= 1 && json.lines().all(|line| line.contains("\"code\":\"store.warning\"")),
        "{json}"
    );
    assert_eq!(told(&office, &["history", "no-such-thing"]), "nothing of that kind is in the history\n");
}

#[test]
fn metrics_are_on_their_own_listener_and_in_a_command_and_not_where_the_tunnel_leads() {
    let mut office = Box::new();
    let metrics = free();
    office.write_config(&format!("{}[metrics]\nlisten = \"{metrics}\"\n", office.text()));
    office.start();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = ask(metrics, &get("/metrics"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("gateway_build_info{version="), "{answer}");
    let text = told(&office, &["metrics"]);
    for line in ["gateway_tunnel_state{state=\"proved\"} 0", "gateway_extension_handsets{extension=\"101\"} 0"] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
    for path in ["/metrics", "/status", "/history"] {
        let answer = ask(office.webhook, &get(path));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    assert!(ask(metrics, &get("/twilio/incoming")).starts_with("HTTP/1.1 404 "));
    assert!(told(&office, &["metrics"]).contains("gateway_webhook_refused_total{reason=\"no-such-path\"} 3\n"));
}

#[test]
fn a_flood_at_the_webhook_neither_keeps_twilio_out_nor_grows_the_service_nor_fills_the_log() {
    let mut office = office_with_a_token();
    office.start();
    let large = "x".repeat(60_000);
    let strangers = [
        "GET /.env HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len()),
        format!(
            "POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nX-Twilio-Signature: x\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        ),
    ];
    let mut round = |number: usize| {
        let mut silent = Vec::new();
        for i in 0..600 {
            ask(office.webhook, &strangers[i % strangers.len()]);
            if i % 2 == 0 {
                silent.extend(TcpStream::connect_timeout(&office.webhook, LIMIT));
            }
            if i % 30 == 0 {
                let answer = ask(office.webhook, &signed(&format!("CA{number}{i}")));
                assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            }
        }
    };
    // The first round fills pools and buffers that stay.
    round(0);
    let before = office.memory();
    (1..3).for_each(&mut round);
    let after = office.memory();
    assert!(after < before + 8 * 1024, "{before} KiB grew to {after} KiB");
    let text = told(&office, &["metrics"]);
    assert!(text.contains("gateway_webhook_answered_total 60\n"), "{text}");
    let too_many =
        text.lines().find_map(|line| line.strip_prefix("gateway_webhook_refused_total{reason=\"too-many\"} "));
    assert!(too_many.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 100)), "{text}");
    let lines = office.log().lines().count();
    assert!(lines < 150, "{lines} lines of log");
}
