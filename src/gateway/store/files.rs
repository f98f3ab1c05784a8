//! Every file of the state folder, in one place: whoever keeps something there says here whether a new box needs it.
//! [`super::Store`] takes no other name (checked where assertions are).

use serde::de::{DeserializeOwned, IgnoredAny};

use gateway_account::owned::Owned;
use gateway_core::secrets::Secrets;

/// Passwords, and the auth token.
pub const SECRETS: &str = "secrets.json";
/// What we made in the account.
pub const OWNED: &str = "twilio.json";
/// Where handsets are registered from.
pub const BINDINGS: &str = "bindings.json";
/// What was answered in a set-up that has not ended.
pub const ANSWERS: &str = "answers.toml";
/// What happened, see [`crate::history`].
pub const HISTORY: &str = "history.jsonl";
/// A time that has passed for sure.
pub const TIME: &str = "time.json";
/// What extensions used outside, and whether that is stopped.
pub const SPEND: &str = "spend.json";
/// Our key for the SSH server of the tunnel.
pub const TUNNEL_KEY: &str = "tunnel_key";
/// The keys of that server that were accepted.
pub const TUNNEL_KNOWN_HOSTS: &str = "tunnel_known_hosts";
/// One that was not, for a person to judge.
pub const TUNNEL_REFUSED_HOST_KEY: &str = "tunnel_refused_host_key";
/// The URL of the tunnel that was written to Twilio last.
pub const TUNNEL_URL: &str = "tunnel_url";
/// The config that the service last started with.
pub const LAST_GOOD: &str = "last-good.toml";
/// Held by whoever changes the account.
pub const LOCK: &str = "lock";
/// There while files of a backup are put in place.
pub const RESTORING: &str = "restoring";

/// Whether a backup takes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A new box needs it.
    Taken,
    /// It is no use elsewhere, for this reason.
    Left(&'static str),
}

/// All of them. What is beside them is part of one of them: `.new` is being written, `.bad` and `.old` were kept aside.
pub const ALL: [(&str, Fate); 14] = [
    (SECRETS, Fate::Taken),
    (OWNED, Fate::Taken),
    (BINDINGS, Fate::Taken),
    (HISTORY, Fate::Taken),
    // A floor for the clock of a new box, too.
    (TIME, Fate::Taken),
    (SPEND, Fate::Taken),
    (TUNNEL_KEY, Fate::Taken),
    (TUNNEL_KNOWN_HOSTS, Fate::Taken),
    (TUNNEL_URL, Fate::Taken),
    (TUNNEL_REFUSED_HOST_KEY, Fate::Left("a question to the person at this box")),
    (ANSWERS, Fate::Left("a set-up that was stopped here goes on here")),
    (LAST_GOOD, Fate::Left("the config is taken, and kept again at the first start with it")),
    (LOCK, Fate::Left("it is held by commands on this box")),
    (RESTORING, Fate::Left("it says that a restore goes on here")),
];

/// The name as it stands in [`ALL`], and what becomes of the file.
pub fn find(name: &str) -> Option<(&'static str, Fate)> {
    ALL.into_iter().find(|(known, _)| *known == name)
}

/// Whether the content is what this version can read; else why not, without repeating any of it.
pub fn check(name: &str, content: &[u8]) -> Result<(), String> {
    match name {
        SECRETS => json::<Secrets>(content),
        OWNED => json::<Owned>(content),
        BINDINGS | TIME | SPEND => json::<IgnoredAny>(content),
        // Each line by itself, broken ones are left out by their readers.
        _ => std::str::from_utf8(content).map(drop).map_err(|_| "it is no text".to_owned()),
    }
}

fn json<T: DeserializeOwned>(content: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<T>(content).map(drop).map_err(|error| reason(&error))
}

/// Where JSON is wrong. serde_json's own text may quote what it found, and that may be a secret.
pub(super) fn reason(error: &serde_json::Error) -> String {
    format!("line {}, column {}: {:?} error", error.line(), error.column(), error.classify())
}
