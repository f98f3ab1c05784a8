//! Golden errors: what is written down here is what a person reads.

mod account;
mod environments;
mod file;
mod network;
mod office;
mod tunnel;

use super::*;

const MINIMAL: &str = r#"[site]
name = "office"
[twilio]
account_sid = "AC0123456789abcdef0123456789abcdef"
[trunk]
domain = "office.sip.twilio.com"
[webhook]
public_url = "https://gateway.example.com"
"#;

fn host() -> Host {
    let addresses = ["127.0.0.1", "192.168.1.1", "203.0.113.7", "fd00::1", "fe80::1", "::1", "100.64.0.9"];
    Host { addresses: addresses.iter().map(|text| text.parse().unwrap()).collect() }
}

fn read(text: &str) -> Config {
    parse(text, "gateway.toml", &host()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = parse(text, "gateway.toml", &host()).expect_err("a mistake");
    errors.iter().map(ToString::to_string).collect()
}

/// The minimal file with lines put under one of its headers, and what is said about it.
#[track_caller]
fn says(header: &str, lines: &str, expected: &[&str]) {
    let text = match MINIMAL.contains(header) {
        true => MINIMAL.replace(header, &format!("{header}\n{lines}")),
        false => format!("{MINIMAL}{header}\n{lines}\n"),
    };
    assert_eq!(errors(&text), expected, "\n{text}");
}

/// The minimal file with one line replaced.
#[track_caller]
fn instead(line: &str, other: &str, expected: &[&str]) {
    assert!(MINIMAL.contains(line));
    assert_eq!(errors(&MINIMAL.replace(line, other)), expected);
}

/// The minimal file with tables behind it.
#[track_caller]
fn with(tables: &str) -> Config {
    read(&format!("{MINIMAL}{tables}"))
}
