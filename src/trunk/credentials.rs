//! A challenge that was answered before, so that the next request carries credentials at once (RFC 7616 section 3.6).

use crate::random::Random;
use crate::secret::Secret;
use crate::sip::digest::{self, Challenge};

/// The last challenge for one extension, and how often its nonce was used.
#[derive(Debug)]
pub(super) struct Known {
    challenge: Challenge,
    /// `Authorization` or `Proxy-Authorization`.
    header: &'static str,
    uses: u32,
}

impl Known {
    /// A new challenge. Its count goes on where that of the same nonce stood, or the server would take it for a replay.
    pub fn new<'a>(
        challenge: Challenge,
        header: &'static str,
        before: impl IntoIterator<Item = &'a Option<Known>>,
    ) -> Self {
        let same = before.into_iter().flatten().filter(|known| known.challenge.nonce == challenge.nonce);
        let uses = same.map(|known| known.uses).max().unwrap_or(0);
        Known { challenge, header, uses }
    }

    /// Name and value of the header for one more request.
    pub fn answer(
        &mut self,
        username: &str,
        password: &Secret<String>,
        method: &str,
        uri: &str,
        random: &mut Random,
    ) -> (&'static str, String) {
        self.uses = self.uses.saturating_add(1);
        let cnonce = random.hex(8);
        let answer = digest::answer(&self.challenge, username, password.expose(), method, uri, self.uses, &cnonce);
        (self.header, answer.to_string())
    }
}
