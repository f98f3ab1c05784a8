//! REGISTER at the SIP domain (TWILIO.md "Registration").

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::auth::Verdict;
use super::check;
use super::flow::Flow;
use super::message::{Message, host_of, param, uri_of, uri_param, user_of};
use crate::journal::Event;
use crate::twilio::Twilio;

/// Bounds of Expires in seconds, and bindings of one user (TWILIO.md "Registration").
const MIN_EXPIRES: u32 = 600;
const MAX_EXPIRES: u32 = 3600;
const MAX_BINDINGS: usize = 10;
/// REGISTER requests a second of one user; more is 32008 (TWILIO.md "Registration").
const MAX_RATE: usize = 5;

/// A contact of an AOR.
#[derive(Clone)]
pub struct Binding {
    /// The Contact URI as registered.
    pub contact: String,
    /// Where it ends.
    pub expires_at: Instant,
    /// The connection it was registered on.
    pub flow: Flow,
    instance: Option<String>,
    call_id: String,
    cseq: u32,
}

/// All bindings, and who registered how often.
#[derive(Default)]
pub struct Registrar {
    bindings: HashMap<String, Vec<Binding>>,
    recent: HashMap<String, Vec<Instant>>,
}

impl Registrar {
    /// The live contacts of an AOR.
    pub fn contacts(&mut self, aor: &str) -> Vec<Binding> {
        let now = Instant::now();
        let Some(bindings) = self.bindings.get_mut(aor) else { return Vec::new() };
        bindings.retain(|b| b.expires_at > now);
        bindings.clone()
    }

    /// Every AOR with its contacts and their remaining seconds, for the control API.
    pub fn snapshot(&self) -> Vec<(String, String, u64, u64)> {
        let now = Instant::now();
        let each = |(aor, bindings): (&String, &Vec<Binding>)| {
            let aor = aor.clone();
            bindings
                .iter()
                .map(move |b| {
                    (aor.clone(), b.contact.clone(), b.expires_at.saturating_duration_since(now).as_secs(), b.flow.id)
                })
                .collect::<Vec<_>>()
        };
        self.bindings.iter().flat_map(each).collect()
    }

    fn too_often(&mut self, aor: &str) -> bool {
        let now = Instant::now();
        let recent = self.recent.entry(aor.to_owned()).or_default();
        recent.retain(|t| now.duration_since(*t) < Duration::from_secs(1));
        recent.push(now);
        recent.len() > MAX_RATE
    }
}

/// Answers one REGISTER.
pub fn on_register(twilio: &Twilio, flow: &Flow, message: &Message) {
    let reply = answer(twilio, flow, message);
    flow.send(&reply.with_to_tag(&crate::random::tag()));
}

fn refuse(twilio: &Twilio, message: &Message, code: u16, reason: &str, error: &str) -> Message {
    let what = message.summary();
    twilio.journal.write(Event::Refused { what, code, error: error.to_owned() });
    Message::response(message, code, reason).with("X-Twilio-Error", error).with("Server", "Twilio")
}

fn answer(twilio: &Twilio, flow: &Flow, message: &Message) -> Message {
    let switches = twilio.switches();
    let host = host_of(message.uri());
    // The domain must exist, SipRegistration must be on, and a list must be mapped (TWILIO.md "Registration").
    let Some(domain) = twilio.store().domain_by_host(host) else {
        return refuse(twilio, message, 404, "Not Found", "32002 SIP: Dial failure - Twilio SIP Domain not found");
    };
    if !domain.flag("sip_registration") {
        return refuse(twilio, message, 403, "Forbidden", "32210 SIP: Register not supported");
    }
    let lists = twilio.store().mapped_lists(&domain.sid, crate::rest::Kind::RegistrationsMapping);
    if lists.is_empty() {
        return refuse(twilio, message, 403, "Forbidden", "32212 SIP: Registration Authentication problem");
    }
    let find = |username: &str| twilio.store().ha1(&lists, username);
    let username = match twilio.nonces.judge(message, &switches, &twilio.journal, find) {
        Verdict::Known(username) => username,
        Verdict::Challenge { stale } => return twilio.nonces.challenge(message, stale),
        Verdict::Refused => return refuse(twilio, message, 403, "Forbidden", "32202 SIP: Bad user credentials"),
    };
    let to = message.get("To").map_or("", uri_of);
    let from = message.get("From").map_or("", uri_of);
    // The user of From and To must be that of the credentials (TWILIO.md "Registration").
    if user_of(to) != username || user_of(from) != username {
        return refuse(twilio, message, 403, "Forbidden", "32106 SIP: Authentication Error");
    }
    let aor = format!("{username}@{}", domain.text("domain_name"));
    if twilio.registrar().too_often(&aor) {
        return refuse(twilio, message, 403, "Forbidden", "32008 SIP: Registration per second limit reached");
    }
    match bind(twilio, flow, message, &aor) {
        Ok(()) => {}
        Err(Refusal::TooBrief) => {
            let error = "423 Interval Too Brief".to_owned();
            twilio.journal.write(Event::Refused { what: message.summary(), code: 423, error });
            return Message::response(message, 423, "Interval Too Brief").with("Min-Expires", MIN_EXPIRES.to_string());
        }
        Err(Refusal::TooMany) => {
            return refuse(twilio, message, 403, "Forbidden", "32007 SIP: Too many endpoints/bindings for the AOR");
        }
    }
    let now = Instant::now();
    let mut reply = Message::response(message, 200, "OK").with("Server", "Twilio");
    // TWILIO.md "Registration": 200 lists Contact bindings with expires= param.
    for binding in twilio.registrar().contacts(&aor) {
        let left = binding.expires_at.saturating_duration_since(now).as_secs_f64().round() as u64;
        reply = reply.with("Contact", format!("<{}>;expires={left}", binding.contact));
    }
    reply
}

enum Refusal {
    TooBrief,
    TooMany,
}

fn bind(twilio: &Twilio, flow: &Flow, message: &Message, aor: &str) -> Result<(), Refusal> {
    let switches = twilio.switches();
    let header: Option<u32> = message.get("Expires").and_then(|v| v.parse().ok());
    let (call_id, cseq) = (message.call_id(), message.cseq().map_or(0, |(n, _)| n));
    let mut registrar = twilio.registrar();
    let mut live = registrar.contacts(aor);
    let mut events = Vec::new();
    for contact in message.list("Contact") {
        if contact == "*" {
            for binding in live.drain(..) {
                events.push(Event::Unregistered { aor: aor.to_owned(), contact: binding.contact });
            }
            continue;
        }
        let uri = uri_of(contact);
        if uri_param(uri, "transport").is_none_or(|t| !t.eq_ignore_ascii_case("tls")) {
            let text = format!("REGISTER: Contact {uri} does not say transport=tls, calls would come by UDP");
            twilio.journal.violation(r#"TWILIO.md "TLS""#, text);
        }
        let asked = param(contact, "expires").and_then(|v| v.parse().ok()).or(header);
        let expires = match asked.unwrap_or(switches.default_expires) {
            0 => 0,
            n if n < MIN_EXPIRES && switches.min_expires_is_423 => return Err(Refusal::TooBrief),
            n => n.clamp(MIN_EXPIRES, MAX_EXPIRES),
        };
        let instance = check::instance(contact);
        let same = |b: &Binding| b.contact == uri || (instance.is_some() && b.instance == instance);
        let old = live.iter().find(|b| same(b) && b.call_id == call_id);
        if let Some(old) = old.filter(|old| cseq <= old.cseq) {
            let text = format!("REGISTER: CSeq {cseq} after {} with one Call-ID", old.cseq);
            twilio.journal.violation("RFC 3261 10.2.4", text);
        }
        live.retain(|b| !same(b));
        if expires == 0 {
            events.push(Event::Unregistered { aor: aor.to_owned(), contact: uri.to_owned() });
            continue;
        }
        if live.len() >= MAX_BINDINGS {
            return Err(Refusal::TooMany);
        }
        live.push(Binding {
            contact: uri.to_owned(),
            expires_at: Instant::now() + Duration::from_secs(expires.into()),
            flow: flow.clone(),
            instance,
            call_id: call_id.to_owned(),
            cseq,
        });
        let (aor, contact) = (aor.to_owned(), uri.to_owned());
        events.push(Event::Registered { aor, contact, expires, flow: flow.id });
    }
    registrar.bindings.insert(aor.to_owned(), live);
    drop(registrar);
    events.into_iter().for_each(|event| twilio.journal.write(event));
    Ok(())
}
