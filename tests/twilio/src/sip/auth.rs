//! Challenges and their answers, shared by REGISTER and INVITE (TWILIO.md "Challenge").

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::digest::{Fields, REALM, response};
use super::message::Message;
use crate::journal::Journal;
use crate::random::{bytes, hex};
use crate::switches::Switches;

/// Nonces that are remembered; the table is emptied when full, which makes clients authenticate again.
const MAX_NONCES: usize = 100_000;

/// What a request's credentials are worth.
pub enum Verdict {
    /// The username that proved itself.
    Known(String),
    /// Challenge (again).
    Challenge { stale: bool },
    /// Wrong credentials, with the switch set to 403.
    Refused,
}

struct Nonce {
    opaque: String,
    uses: u32,
    last_nc: u32,
}

/// The nonces that were given out.
#[derive(Default)]
pub struct Nonces(Mutex<HashMap<String, Nonce>>);

impl Nonces {
    /// Answers `message` with a 407 and a new nonce. No `algorithm`, so MD5 (TWILIO.md "Challenge").
    pub fn challenge(&self, message: &Message, stale: bool) -> Message {
        let nonce = URL_SAFE_NO_PAD.encode(bytes::<36>());
        let opaque = hex(&bytes::<16>());
        let mut value = format!("Digest realm=\"{REALM}\",qop=\"auth\",nonce=\"{nonce}\",opaque=\"{opaque}\"");
        if stale {
            value.push_str(",stale=true");
        }
        let mut nonces = self.0.lock().expect("no holder of this lock panics");
        if nonces.len() >= MAX_NONCES {
            nonces.clear();
        }
        nonces.insert(nonce, Nonce { opaque, uses: 0, last_nc: 0 });
        Message::response(message, 407, "Proxy Authentication required")
            .with("Server", "Twilio")
            .with("Contact", "<sip:172.25.75.240:5060>")
            .with("Proxy-Authenticate", value)
    }

    /// Judges the Proxy-Authorization of `message`; `ha1` finds the stored digest of a username.
    pub fn judge(
        &self,
        message: &Message,
        switches: &Switches,
        journal: &Journal,
        ha1: impl Fn(&str) -> Option<String>,
    ) -> Verdict {
        let Some(value) = message.get("Proxy-Authorization") else {
            if message.get("Authorization").is_some() {
                let text = "credentials in Authorization; a 407 is answered in Proxy-Authorization";
                journal.violation(r#"TWILIO.md "Challenge""#, text);
            }
            return Verdict::Challenge { stale: false };
        };
        let what = message.summary();
        let bad = |rule: &str, text: String| journal.violation(rule, format!("{what}: {text}"));
        let Some(fields) = Fields::parse(value) else {
            bad("RFC 2617 3.2.2", "Proxy-Authorization is not Digest".to_owned());
            return Verdict::Challenge { stale: false };
        };
        let get = |name: &str| fields.get(name).unwrap_or("");
        let mut nonces = self.0.lock().expect("no holder of this lock panics");
        let Some(nonce) = nonces.get_mut(get("nonce")) else { return Verdict::Challenge { stale: switches.say_stale } };
        if get("realm") != REALM {
            bad(r#"TWILIO.md "Challenge""#, format!("realm is {:?}", get("realm")));
        }
        if get("uri") != message.uri() {
            bad(r#"TWILIO.md "Challenge""#, format!("digest uri is {:?}", get("uri")));
        }
        if get("opaque") != nonce.opaque {
            bad("RFC 2617 3.2.1 opaque", "opaque did not come back unchanged".to_owned());
        }
        if get("qop") != "auth" || get("cnonce").is_empty() || get("nc").len() != 8 {
            bad(r#"TWILIO.md "Challenge""#, "qop, cnonce or nc is missing or malformed".to_owned());
            return Verdict::Challenge { stale: false };
        }
        let nc = u32::from_str_radix(get("nc"), 16).unwrap_or(0);
        if nc <= nonce.last_nc {
            bad("RFC 2617 3.2.2 nonce-count", format!("nc {nc:08x} after {:08x}", nonce.last_nc));
            return Verdict::Challenge { stale: true };
        }
        nonce.last_nc = nc;
        nonce.uses += 1;
        if switches.nonce_uses > 0 && nonce.uses > switches.nonce_uses {
            nonces.remove(get("nonce"));
            return Verdict::Challenge { stale: switches.say_stale };
        }
        let expected = ha1(get("username"))
            .map(|ha1| response(&ha1, get("nonce"), get("nc"), get("cnonce"), message.method(), get("uri")));
        if expected.as_deref() == Some(get("response")) {
            return Verdict::Known(get("username").to_owned());
        }
        journal.alert(32202, format!("{what}: bad user credentials"));
        if switches.wrong_password_code == 407 { Verdict::Challenge { stale: false } } else { Verdict::Refused }
    }
}
