//! What answers for an extension: a challenge that was answered before, so that the next request carries credentials at
//! once (RFC 7616 section 3.6), and the password that the SIP domain takes.

use crate::random::Random;
use crate::secret::Secret;
use crate::secrets::Secrets;
use crate::sip::digest::{self, Challenge};
use crate::sip::header::AuthHeader;

/// Which password the SIP domain takes. As long as a rotation is not done there are two that it may have
/// ([`Secrets::rotate`]): what it took last is tried first, at the start the new one.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    /// What it took last.
    proven: Option<Secret<String>>,
}

/// Which of two passwords answers for a call while a rotation is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    First,
    /// The first was just refused: the other one, if there is one.
    Other,
}

impl Passwords {
    /// What to try; after a refusal, the other one, if there is one.
    pub fn choose<'s>(
        &self,
        secrets: &'s Secrets,
        environment: &str,
        extension: &str,
        refused: Option<&Secret<String>>,
    ) -> Option<&'s Secret<String>> {
        let new = secrets.trunk_password(environment, extension);
        let former = secrets.former_trunk_password(environment, extension);
        let order = match former.is_some() && former == self.proven.as_ref() {
            true => [former, new],
            false => [new, former],
        };
        order.into_iter().flatten().find(|password| Some(*password) != refused)
    }

    /// The SIP domain took this one.
    pub fn prove(&mut self, password: Secret<String>) {
        self.proven = Some(password);
    }

    /// Whether it took one.
    pub fn has_proof(&self) -> bool {
        self.proven.is_some()
    }

    /// Whether it is the former one that the SIP domain has.
    pub fn is_former(&self, secrets: &Secrets, environment: &str, extension: &str) -> bool {
        self.proven.is_some() && self.proven.as_ref() == secrets.former_trunk_password(environment, extension)
    }

    /// Whether what it took last is none of those that there are now: a rotation was done elsewhere.
    pub fn is_outdated(&self, secrets: &Secrets, environment: &str, extension: &str) -> bool {
        let has =
            [secrets.trunk_password(environment, extension), secrets.former_trunk_password(environment, extension)];
        self.proven.is_some() && !has.contains(&self.proven.as_ref())
    }
}

/// The last challenge for one extension, and how often its nonce was used.
#[derive(Debug)]
pub(super) struct Known {
    challenge: Challenge,
    header: AuthHeader,
    uses: u32,
}

impl Known {
    /// A new challenge. Its count goes on where that of the same nonce stood, or the server would take it for a replay.
    pub fn new<'a>(challenge: Challenge, header: AuthHeader, before: impl IntoIterator<Item = &'a Known>) -> Self {
        let same = before.into_iter().filter(|known| known.challenge.nonce == challenge.nonce);
        let uses = same.map(|known| known.uses).max().unwrap_or(0);
        Known { challenge, header, uses }
    }

    /// Header and value for one more request.
    pub fn answer(
        &mut self,
        username: &str,
        password: &Secret<String>,
        method: &str,
        uri: &str,
        random: &mut Random,
    ) -> (AuthHeader, String) {
        self.uses = self.uses.saturating_add(1);
        let cnonce = random.hex(8);
        let answer = digest::answer(&self.challenge, username, password.expose(), method, uri, self.uses, &cnonce);
        (self.header, answer.to_string())
    }
}
