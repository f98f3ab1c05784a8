//! The SIP domain: Twilio's registrar and its challenge (TWILIO.md "Registration", TWILIO.md "Challenge",
//! TWILIO.md "Call from an extension").

use std::collections::BTreeMap;

use gateway_core::sip::digest::{Challenge, Credentials};
use gateway_core::sip::header;
use gateway_core::sip::transaction::response_to;
use rsip::Request;

use super::{Agent, Reaction, text_of, user_of};

pub const REALM: &str = "sip.twilio.com";

#[derive(Debug, Default)]
pub struct Domain {
    pub passwords: BTreeMap<String, String>,
    /// Contacts by user.
    pub bindings: BTreeMap<String, Vec<String>>,
    pub pongs: bool,
    /// Reads everything, says nothing.
    pub deaf: bool,
    /// How it refuses every re-INVITE, as an edge that does not know the dialog.
    pub refuses_reinvites: Option<u16>,
    /// RTP/SAVP and nothing else (the domain's Secure flag).
    pub secure: bool,
    pub nonce: String,
    /// How calls to a number go.
    pub numbers: BTreeMap<String, Reaction>,
    pub registers: usize,
    /// Users in the order of their registrations.
    pub registered: Vec<String>,
    pub challenges: usize,
    /// How every INVITE with the right credentials is refused, and with which headers.
    pub refusal: Option<(u16, &'static [(&'static str, &'static str)])>,
    /// A number in From is refused with 403, and this X-Twilio-Error.
    pub numbers_refused: Option<&'static str>,
}

impl Agent {
    /// Two proxies stand before Twilio's media gateway, whose address is private.
    pub fn become_domain(&mut self, passwords: BTreeMap<String, String>, secure: bool) {
        let host = self.sent_by.trim_end_matches(":5061");
        self.record_route = vec![format!("<sip:{host}:5061;transport=tls;r2=on;lr>"), format!("<sip:{host};r2=on;lr>")];
        let nonce = self.random.hex(12);
        self.domain = Some(Domain { passwords, secure, nonce, pongs: true, ..Domain::default() });
    }

    pub(super) fn on_register(&mut self, server: usize, request: &Request) {
        if !self.passes(server, request) {
            return;
        }
        let user = user_of(&request.headers, "To").unwrap_or_default();
        let expires = header::expires(&request.headers).ok().flatten().unwrap_or(3600);
        if expires != 0 && expires < 600 {
            let mut response = response_to(request, 423, Some("domain"));
            response.headers.push(header::make("Min-Expires", "600"));
            return self.respond(server, &response, false);
        }
        let contact = text_of(&request.headers, "Contact");
        let contact = contact.trim_start_matches('<').split('>').next().unwrap_or_default().to_string();
        let mut response = response_to(request, 200, Some("domain"));
        let Some(domain) = &mut self.domain else { return };
        domain.registers += 1;
        domain.registered.push(user.clone());
        let bindings = domain.bindings.entry(user).or_default();
        bindings.retain(|old| *old != contact);
        if expires > 0 {
            bindings.push(contact);
        }
        for binding in bindings {
            response.headers.push(header::make("Contact", format!("<{binding}>;expires={}", expires.min(3600))));
        }
        self.respond(server, &response, false);
    }

    /// Whether the request has the right credentials; else it is answered.
    pub(super) fn passes(&mut self, server: usize, request: &Request) -> bool {
        let from = user_of(&request.headers, "From").unwrap_or_default();
        let credentials =
            header::value(&request.headers, "Proxy-Authorization").and_then(|value| Credentials::parse(value).ok());
        let Some(domain) = &mut self.domain else { return true };
        if let Some(credentials) = credentials.filter(|credentials| credentials.nonce == domain.nonce) {
            let method = request.method.to_string();
            let right = domain.passwords.get(&credentials.username);
            if !right.is_some_and(|password| credentials.verify(&method, password)) {
                let response = response_to(request, 403, Some("domain"));
                self.respond(server, &response, request.method == rsip::Method::Invite);
                return false;
            }
            if let Some((code, headers)) = domain.refusal.filter(|_| request.method == rsip::Method::Invite) {
                let mut response = response_to(request, code, Some("domain"));
                headers.iter().for_each(|(name, value)| response.headers.push(header::make(name, *value)));
                self.respond(server, &response, true);
                return false;
            }
            if let Some(error) = domain.numbers_refused.filter(|_| from.starts_with('+')) {
                let mut response = response_to(request, 403, Some("domain"));
                if !error.is_empty() {
                    response.headers.push(header::make("X-Twilio-Error", error));
                }
                self.respond(server, &response, true);
                return false;
            }
            // Error 32106, but for emergency calls, whose From is a number (TWILIO.md "Emergency caller").
            if credentials.username != from && !from.starts_with('+') {
                self.fault(format!("From {from} with credentials of {}", credentials.username));
            }
            return true;
        }
        domain.challenges += 1;
        let challenge = Challenge {
            realm: REALM.into(),
            nonce: domain.nonce.clone(),
            opaque: Some("0f".into()),
            stale: false,
            algorithm: None,
            qop_auth: true,
        };
        let mut response = response_to(request, 407, Some("domain"));
        response.headers.push(header::make("Proxy-Authenticate", challenge.to_string()));
        self.respond(server, &response, request.method == rsip::Method::Invite);
        false
    }
}
