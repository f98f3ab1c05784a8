//! HTTP digest as Twilio uses it: MD5, `qop="auth"`, realm `sip.twilio.com` (TWILIO.md "Challenge").

use md5::{Digest, Md5};

use super::message::{Message, split_top};
use crate::random::hex;

/// The realm of every challenge (TWILIO.md "Challenge").
pub const REALM: &str = "sip.twilio.com";

/// Lower-case hex of the MD5 of a text.
pub fn md5(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// The digest that Twilio keeps instead of a password (TWILIO.md "Credentials").
pub fn ha1(username: &str, realm: &str, password: &str) -> String {
    md5(&format!("{username}:{realm}:{password}"))
}

/// The fields of a `Digest ...` value, names in lower case, quotes taken off.
#[derive(Clone, Debug)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `Digest a="b", c=d`; anything else is `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let pairs = split_top(rest, ',').into_iter().filter_map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        });
        Some(Self(pairs.collect()))
    }

    /// One field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The `response` value for qop=auth (RFC 2617 3.2.2.1).
pub fn response(ha1: &str, nonce: &str, nc: &str, cnonce: &str, method: &str, uri: &str) -> String {
    let ha2 = md5(&format!("{method}:{uri}"));
    md5(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"))
}

/// A client's answer to the challenge in `response`, as header name and value; for handsets and tests.
pub fn answer(reply: &Message, method: &str, uri: &str, username: &str, password: &str) -> Option<(String, String)> {
    let (name, challenge) = match reply.code() {
        407 => ("Proxy-Authorization", reply.get("Proxy-Authenticate")?),
        _ => ("Authorization", reply.get("WWW-Authenticate")?),
    };
    let fields = Fields::parse(challenge)?;
    let (realm, nonce) = (fields.get("realm")?, fields.get("nonce")?);
    let cnonce = hex(&crate::random::bytes::<8>());
    let nc = "00000001";
    let response = response(&ha1(username, realm, password), nonce, nc, &cnonce, method, uri);
    let mut value = format!(
        "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=MD5, cnonce=\"{cnonce}\", qop=auth, nc={nc}"
    );
    if let Some(opaque) = fields.get("opaque") {
        value.push_str(&format!(", opaque=\"{opaque}\""));
    }
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_gives_its_response() {
        let ha1 = ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let response = response(&ha1, nonce, "00000001", "0a4f113b", "GET", "/dir/index.html");
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }
}
