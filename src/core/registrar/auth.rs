//! Digest authentication of the LAN (RFC 3261 section 22, RFC 7616): who may pass, and what the others are told.
//!
//! MD5 is what is offered, and it is offered alone: Asterisk, FreeSWITCH and Kamailio do the same by default, so that
//! it is the one challenge every phone was tested against. RFC 8760 wants SHA-256 as a second header, but phones from
//! before 2019 read only the first header or only the last one, and fail without a word when they do not know its
//! algorithm. What MD5 lacks (collisions) is nothing that digest relies on. A phone that answers with SHA-256 is let in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rsip::{Method, Request};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::throttle::Throttle;
use crate::context::Context;
use crate::event::{Code, Event};
use crate::hex::hex;
use crate::sip::digest::{Algorithm, Challenge, Credentials};
use crate::sip::flow::Flow;
use crate::sip::{header, uri, wire};
use crate::time::Instant;

/// How long a nonce is good. A handset that comes back later gets `stale=true` and needs one more round trip.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces in use whose count is remembered; above it the oldest becomes stale.
pub(super) const MAX_NONCES: usize = 4096;

/// A nonce that we made: when, and what makes it differ from others of that microsecond.
type Nonce = (u64, u64);

/// Why a request does not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No credentials, wrong ones, or (`stale`) right ones for a nonce that is no longer good.
    Challenge { stale: bool },
    /// This source guesses; its credentials were not looked at.
    Wait(Duration),
}

/// Nonces and the brake.
#[derive(Default)]
pub(super) struct Auth {
    /// Signs nonces, so that those not yet answered need no memory. Made at the first challenge.
    key: Option<[u8; 32]>,
    /// Nonces that were answered, with the last nonce count: an older count is a replay.
    used: BTreeMap<Nonce, u32>,
    /// Nonces made at this microsecond or before are stale; rises when `used` is full.
    floor: u64,
    throttle: Throttle,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("used", &self.used.len()).field("brake", &self.throttle).finish_non_exhaustive()
    }
}

/// Who sent a request, by its credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub extension: String,
    /// When the challenge left that was answered: of two requests, the one with the later challenge was made later.
    pub challenged: Instant,
}

impl Auth {
    /// The extension whose credentials the request carries. `proven` tells whether this flow is that extension's
    /// registered handset already: it passes the brake, so that two lines of one ATA do not lock each other out.
    pub fn check(
        &mut self,
        context: &mut Context<'_>,
        flow: Flow,
        request: &Request,
        proven: impl Fn(&str) -> bool,
    ) -> Result<Identity, Refusal> {
        let now = context.now;
        let source = flow.remote.ip();
        let (nonce, credentials) = self.credentials(context, source, request)?;
        if let Some(wait) = self.throttle.wait(source, now).filter(|_| !proven(&credentials.username)) {
            return Err(Refusal::Wait(wait));
        }
        let secrets = context.config.extension(&credentials.username);
        let secrets = secrets.and_then(|extension| context.secrets.extensions.get(&extension.name));
        // An unknown extension takes the same way as a wrong password, to the same answer.
        let password = secrets.map_or("", |secrets| secrets.lan_password.expose());
        let right = credentials.verify(wire::method_token(request.method), password) & !password.is_empty();
        if !right {
            self.wrong(context, source, &credentials.username);
            return Err(Refusal::Challenge { stale: false });
        }
        if !same_callee(&credentials, request)
            || !self.count(now, nonce, credentials.qop.as_ref().map_or(1, |qop| qop.nc))
        {
            return Err(Refusal::Challenge { stale: true });
        }
        Ok(Identity { extension: credentials.username, challenged: Instant::from_micros(nonce.0) })
    }

    /// The credentials that count. Rule: of all in a request, those that answer our newest living challenge, wherever they
    /// stand (RFC 3261 section 22.3). Phones leave those of an older nonce or of another realm beside them. No others are
    /// looked at, so that a request is one try of a password.
    fn credentials(
        &self,
        context: &Context<'_>,
        source: IpAddr,
        request: &Request,
    ) -> Result<(Nonce, Credentials), Refusal> {
        let mut stale = false;
        header::authorizations(&request.headers)
            .filter_map(|value| Credentials::parse(value).ok())
            .filter(|credentials| credentials.realm == context.config.lan.realm)
            .inspect(|_| stale = true)
            .filter_map(|credentials| Some((self.living_nonce(context.now, &credentials, source)?, credentials)))
            .max_by_key(|(nonce, credentials)| (*nonce, credentials.qop.as_ref().map(|qop| qop.nc)))
            .ok_or(Refusal::Challenge { stale })
    }

    /// Whether the request answers a challenge that was sent to its source address, with any password: then nobody forged
    /// that address.
    pub fn is_answer(&self, context: &Context<'_>, source: IpAddr, request: &Request) -> bool {
        self.credentials(context, source, request).is_ok()
    }

    /// The nonce of credentials, where it is ours and still good. It is good only for the address that it was sent to. So
    /// nobody is slowed down, and nothing is said about a password, on the word of a forged source address.
    fn living_nonce(&self, now: Instant, credentials: &Credentials, source: IpAddr) -> Option<Nonce> {
        let nonce = self.read_nonce(&credentials.nonce, source)?;
        let is_living = now.since(Instant::from_micros(nonce.0)) <= NONCE_LIFETIME && nonce.0 > self.floor;
        is_living.then_some(nonce)
    }

    /// Nonces and sources that are remembered.
    pub fn len(&self) -> usize {
        self.used.len() + self.throttle.len()
    }

    /// The value of WWW-Authenticate for a source.
    pub fn challenge(&mut self, context: &mut Context<'_>, source: IpAddr, stale: bool) -> String {
        let key = *self.key.get_or_insert_with(|| context.random.bytes());
        // Microsecond 0 is the floor's.
        let nonce = (context.now.as_micros().max(1), context.random.u64());
        let nonce = format!("{:016x}{:016x}{}", nonce.0, nonce.1, hex(&sign(&key, nonce, source)));
        let realm = context.config.lan.realm.clone();
        let challenge =
            Challenge { realm, nonce, opaque: None, stale, algorithm: Some(Algorithm::Md5), qop_auth: true };
        challenge.to_string()
    }

    /// Our own nonce for this source, expired or not.
    fn read_nonce(&self, text: &str, source: IpAddr) -> Option<Nonce> {
        let key = self.key.as_ref()?;
        let nonce = (u64::from_str_radix(text.get(..16)?, 16).ok()?, u64::from_str_radix(text.get(16..32)?, 16).ok()?);
        let mac = hex(&sign(key, nonce, source));
        bool::from(mac.as_bytes().ct_eq(text.get(32..)?.as_bytes())).then_some(nonce)
    }

    /// Takes a use of a nonce; `false` is a replay (RFC 7616 section 5.6). Credentials without qop have no count, so
    /// that their nonce is good once.
    fn count(&mut self, now: Instant, nonce: Nonce, count: u32) -> bool {
        let last = self.used.get(&nonce).copied().unwrap_or(0);
        if count <= last {
            return false;
        }
        self.used.insert(nonce, count);
        while let Some((&(issued, _), _)) = self.used.first_key_value() {
            let expired = now.since(Instant::from_micros(issued)) > NONCE_LIFETIME;
            if !expired && self.used.len() <= MAX_NONCES {
                break;
            }
            self.floor = self.floor.max(issued);
            self.used.pop_first();
        }
        true
    }

    fn wrong(&mut self, context: &mut Context<'_>, source: IpAddr, username: &str) {
        let (failures, delay) = self.throttle.wrong(source, context.now);
        let cause = match (context.config.extension(username), context.secrets.extensions.get(username)) {
            (Some(_), Some(_)) => format!(
                "wrong password for extension {username}, try {failures}; \
                 give the handset the password that `gateway handset {username}` shows"
            ),
            (Some(_), None) => {
                format!(
                    "extension {username} has no password on this gateway yet; run `gateway setup`, which makes one"
                )
            }
            (None, _) => format!(
                "user name {:?} is no extension, try {failures}; correct it in the handset, \
                 or add an [[extension]] with that name to gateway.toml",
                username.chars().take(64).collect::<String>()
            ),
        };
        let wait = if delay.is_zero() { String::new() } else { format!("; it must wait {} s now", delay.as_secs()) };
        context.event(Event::new(Code::HandsetWrongPassword, source.to_string(), cause + &wait));
    }
}

/// Whether the `uri` parameter names no other callee than the Request-URI. Only the user part: phones write their host
/// and parameters in many ways, and an ALG rewrites the Request-URI's. A REGISTER has no callee, and some (sipp) name
/// none in any request: a replay is stopped by the count of the nonce.
fn same_callee(credentials: &Credentials, request: &Request) -> bool {
    request.method == Method::Register
        || uri::parse(&credentials.uri)
            .is_ok_and(|digest| uri::user(&digest).is_none_or(|user| uri::user(&request.uri) == Some(user)))
}

fn sign(key: &[u8; 32], nonce: Nonce, source: IpAddr) -> [u8; 16] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&nonce.0.to_be_bytes());
    mac.update(&nonce.1.to_be_bytes());
    mac.update(source.to_string().as_bytes());
    let mut out = [0; 16];
    out.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_answered_nonces_does_not_grow_memory_nor_lets_a_forgotten_one_be_replayed() {
        let mut gate = Auth::default();
        let most = MAX_NONCES as u64;
        for number in 1..=most + 100 {
            assert!(gate.count(Instant::ZERO, (number, 0), 1));
        }
        assert_eq!(gate.used.len(), MAX_NONCES);
        assert_eq!(gate.floor, 100);
        assert!(!gate.count(Instant::ZERO, (most, 0), 1));
    }

    #[test]
    fn nonces_that_expired_are_forgotten() {
        let mut gate = Auth::default();
        assert!(gate.count(Instant::ZERO, (1, 0), 1));
        let later = Instant::ZERO + NONCE_LIFETIME + Duration::from_secs(1);
        assert!(gate.count(later, (later.as_micros(), 0), 1));
        assert_eq!((gate.used.len(), gate.floor), (1, 1));
    }
}
