//! Why the webhook endpoint sends somebody away, and how many of each there were.

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No signature, or another's: 403.
    Unsigned,
    /// No credentials, or wrong ones: 401.
    Unauthorized,
    /// The secrets hold nothing to check requests with: 503.
    NothingToCheckWith,
    /// The body is no form: 400.
    BadForm,
    /// Body too large: 413.
    TooLarge,
    /// Head or body did not come in time: 408.
    TooSlow,
    /// The connection broke inside a request.
    Broken,
    /// No such path: 404.
    NoSuchPath,
    /// Neither GET nor POST: 405.
    NoSuchMethod,
    /// More than the rates allow: 429.
    TooMany,
    /// Too many connections: one was closed.
    TooManyConnections,
    /// The system gave no connection.
    AcceptFailed,
    /// Twilio's, but for another account: 403.
    OtherAccount,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 13] = [
        Refusal::Unsigned,
        Refusal::Unauthorized,
        Refusal::NothingToCheckWith,
        Refusal::BadForm,
        Refusal::TooLarge,
        Refusal::TooSlow,
        Refusal::Broken,
        Refusal::NoSuchPath,
        Refusal::NoSuchMethod,
        Refusal::TooMany,
        Refusal::TooManyConnections,
        Refusal::AcceptFailed,
        Refusal::OtherAccount,
    ];

    /// For metrics.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Unsigned => "unsigned",
            Refusal::Unauthorized => "unauthorized",
            Refusal::NothingToCheckWith => "nothing-to-check-with",
            Refusal::BadForm => "bad-form",
            Refusal::TooLarge => "too-large",
            Refusal::TooSlow => "too-slow",
            Refusal::Broken => "broken",
            Refusal::NoSuchPath => "no-such-path",
            Refusal::NoSuchMethod => "no-such-method",
            Refusal::TooMany => "too-many",
            Refusal::TooManyConnections => "too-many-connections",
            Refusal::AcceptFailed => "accept-failed",
            Refusal::OtherAccount => "other-account",
        }
    }
}

/// How many requests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Twilio's, and answered.
    pub answered: u64,
    /// Of these, requests that came before: repeated by Twilio, or by somebody who captured them.
    pub replayed: u64,
    /// Refused, whatever the reason.
    pub refused: u64,
    /// By reason, in the order of [`Refusal::ALL`].
    pub reasons: [u64; Refusal::ALL.len()],
}

impl Counts {
    /// Those refused for this reason.
    pub fn of(&self, reason: Refusal) -> u64 {
        self.reasons[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place_and_its_word() {
        let mut words: Vec<_> = Refusal::ALL.iter().map(|reason| reason.word()).collect();
        assert!(Refusal::ALL.iter().enumerate().all(|(i, reason)| *reason as usize == i));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Refusal::ALL.len());
    }
}
