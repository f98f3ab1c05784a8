//! The strict side: what a request or a response of the gateway must look like. Every rule names its source.

use super::message::{Message, Start, host_of, param, uri_of, uri_param};
use crate::journal::Journal;

/// Below this an operator loses calls behind proxies (TWILIO.md "Max-Forwards").
const MIN_MAX_FORWARDS: u32 = 20;

/// Checks a request by itself and writes each broken rule into the journal. `false` when it cannot be answered.
pub fn request(journal: &Journal, message: &Message) -> bool {
    let what = message.summary();
    let bad = |rule: &str, text: String| journal.violation(rule, format!("{what}: {text}"));
    let mut usable = true;
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let count = message.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
        if count == 0 || (count > 1 && name != "Via") {
            bad("RFC 3261 8.1.1", format!("{count} headers {name}"));
            usable = false;
        }
    }
    if let Some(via) = message.list("Via").first() {
        if !via.to_ascii_uppercase().starts_with("SIP/2.0/TLS") {
            bad("RFC 3261 18.1.1", format!("topmost Via is {via:?}, the transport is TLS"));
        }
        if !message.branch().starts_with("z9hG4bK") || message.branch().len() < 10 {
            bad("RFC 3261 8.1.1.7", format!("branch {:?} has no magic cookie or no value", message.branch()));
        }
    }
    match message.cseq() {
        Some((_, method)) if method == message.method() => {}
        _ => bad("RFC 3261 8.1.1.5", format!("CSeq is {:?}", message.get("CSeq"))),
    }
    if message.from_tag().is_none_or(str::is_empty) {
        bad("RFC 3261 8.1.1.3", "From has no tag".to_owned());
    }
    match message.get("Max-Forwards").map(str::parse::<u32>) {
        Some(Ok(n)) if n >= MIN_MAX_FORWARDS => {}
        other => bad(r#"TWILIO.md "Max-Forwards""#, format!("Max-Forwards is {other:?}")),
    }
    if message.get("Content-Length").and_then(|v| v.parse::<usize>().ok()) != Some(message.body.len()) {
        bad("RFC 3261 20.14", "Content-Length is missing or wrong".to_owned());
    }
    if !message.body.is_empty() && message.get("Content-Type").is_none() {
        bad("RFC 3261 20.15", "a body without Content-Type".to_owned());
    }
    let uris = [message.uri(), message.get("From").map_or("", uri_of), message.get("To").map_or("", uri_of)];
    if uris.iter().any(|uri| uri.starts_with("sips:")) {
        bad(r#"TWILIO.md "TLS""#, "sips: is not supported, write sip: and transport=tls".to_owned());
    }
    if matches!(message.method(), "INVITE" | "REGISTER") && message.list("Contact").is_empty() {
        let query = message.method() == "REGISTER";
        if !query {
            bad("RFC 3261 8.1.1.8", "no Contact".to_owned());
        }
    }
    usable
}

/// Checks a request that begins something: no To tag, no Route that a client cannot know.
pub fn initial(journal: &Journal, message: &Message) {
    if message.to_tag().is_some() {
        journal.violation("RFC 3261 8.1.1.2", format!("{}: To has a tag", message.summary()));
    }
    // TWILIO.md "TLS": the next hop must be the domain name, not an address, otherwise 403.
    if host_of(message.uri()).parse::<std::net::IpAddr>().is_ok() {
        let text = format!("{}: the Request-URI names an address, not the domain", message.summary());
        journal.violation(r#"TWILIO.md "TLS""#, text);
    }
}

/// Checks that an in-dialog request follows the route set and the target (TWILIO.md "Call to an extension",
/// RFC 3261 12.2.1.1).
pub fn in_dialog(journal: &Journal, message: &Message, route_set: &[String], target: &str) -> bool {
    let what = message.summary();
    let mut good = true;
    let routes: Vec<&str> = message.list("Route").into_iter().map(uri_of).collect();
    if routes != route_set.iter().map(|r| uri_of(r)).collect::<Vec<_>>() {
        let text = format!("{what}: Route is {routes:?}, must be {route_set:?}");
        journal.violation(r#"TWILIO.md "Call to an extension", Record-Route (RFC 3261 12.2.1.1)"#, text);
        good = false;
    }
    if message.uri() != target {
        let text = format!("{what}: the Request-URI must be the remote target {target}");
        journal.violation("RFC 3261 12.2.1.1", text);
        good = false;
    }
    good
}

/// Checks a response to a request that we sent.
pub fn response(journal: &Journal, sent: &Message, message: &Message) {
    let Start::Response { code, .. } = message.start else { return };
    let what = message.summary();
    let bad = |rule: &str, text: String| journal.violation(rule, format!("{what}: {text}"));
    let vias = |m: &Message| m.list("Via").into_iter().map(without_received).collect::<Vec<_>>();
    if vias(message) != vias(sent) {
        bad(
            r#"RFC 3261 8.2.6.2 (TWILIO.md "Call to an extension", two Via)"#,
            format!("Via {:?}", message.list("Via")),
        );
    }
    if message.get("From") != sent.get("From") {
        bad("RFC 3261 8.2.6.2", format!("From {:?} instead of {:?}", message.get("From"), sent.get("From")));
    }
    if message.call_id() != sent.call_id() || message.cseq() != sent.cseq() {
        bad("RFC 3261 8.2.6.2", "Call-ID or CSeq differ from the request".to_owned());
    }
    if message.get("To").map(uri_of) != sent.get("To").map(uri_of) {
        bad("RFC 3261 8.2.6.2", "To differs from the request".to_owned());
    }
    if code > 100 && message.to_tag().is_none() {
        bad("RFC 3261 8.2.6.2", "To has no tag".to_owned());
    }
    let creates_dialog = sent.method() == "INVITE" && sent.to_tag().is_none() && (101..300).contains(&code);
    if creates_dialog && message.list("Record-Route") != sent.list("Record-Route") {
        let text = format!("Record-Route {:?} is not the pair of the INVITE", message.list("Record-Route"));
        bad(r#"RFC 3261 12.1.1 (TWILIO.md "Call to an extension", double Record-Route r2=on)"#, text);
    }
    if sent.method() == "INVITE" && (200..300).contains(&code) {
        match message.list("Contact").first().map(|c| uri_of(c)) {
            None => bad("RFC 3261 12.1.1", "no Contact".to_owned()),
            Some(uri) if uri_param(uri, "transport").is_none_or(|t| !t.eq_ignore_ascii_case("tls")) => {
                bad(r#"TWILIO.md "TLS""#, format!("Contact {uri} does not say transport=tls"));
            }
            Some(_) => {}
        }
    }
    if message.get("Content-Length").and_then(|v| v.parse::<usize>().ok()) != Some(message.body.len()) {
        bad("RFC 3261 20.14", "Content-Length is missing or wrong".to_owned());
    }
}

/// A Via without what its receiver adds (RFC 3261 18.2.1 `received`, RFC 3581 `rport`).
fn without_received(via: &str) -> String {
    let own = via.split(';').filter(|part| !part.starts_with("received=") && !part.starts_with("rport"));
    own.collect::<Vec<_>>().join(";")
}

/// Checks an ACK of a final response that was not 2xx (RFC 3261 17.1.1.3).
pub fn ack_of_refusal(journal: &Journal, invite: &Message, ack: &Message) {
    let same = ack.branch() == invite.branch()
        && ack.uri() == invite.uri()
        && ack.get("From") == invite.get("From")
        && ack.cseq().map(|c| c.0) == invite.cseq().map(|c| c.0);
    if !same || ack.to_tag().is_none() || ack.list("Via").len() != 1 {
        let text = format!("{}: not the ACK of its INVITE", ack.summary());
        journal.violation("RFC 3261 17.1.1.3", text);
    }
}

/// The instance of a contact, to tell a re-registration from a second device (RFC 5626 4.1).
pub fn instance(contact: &str) -> Option<String> {
    let instance = param(contact, "+sip.instance")?;
    Some(format!("{instance}#{}", param(contact, "reg-id").unwrap_or("")))
}
