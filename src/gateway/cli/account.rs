//! The opening of every command that works on the account: config, state folder, secrets, records, a client.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::{arguments, failed};
use crate::disk::folder;
use crate::store::{Lock, Store};
use crate::twilio::client::{Client, Clock, Trace, logged_pause};
use crate::twilio::login::Login;
use crate::twilio::open::{Manner, OpenError, Opening};
use gateway_account::account::{Account, Scope};
use gateway_account::owned::Owned;
use gateway_account::rotation;
use gateway_core::config::{Config, NoEnvironment};
use gateway_core::random::Random;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;

/// Where an unattended command finds the auth token.
pub(super) const TOKEN: &str = "TWILIO_AUTH_TOKEN";

/// What a command is about to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It reads, and writes no file.
    Look,
    /// It keeps other commands out until it is done.
    Change,
}

/// An account, ready to be worked on.
pub(super) struct Opened {
    pub config: Config,
    pub store: Store,
    pub secrets: Secrets,
    pub owned: Owned,
    pub client: Client,
    pub random: Random,
    /// The auth token that is on disk. One that a command finds in the environment is for that command alone.
    kept_token: Option<Secret<String>>,
    pause: fn(Duration),
    lock: Option<Lock>,
}

/// Opens all. The config is the whole one: what is done at Twilio is said by a scope.
pub(super) fn open(path: &Path, purpose: Purpose, trace: arguments::Trace) -> Result<Opened, Vec<String>> {
    let config = super::load(path)?;
    let store = super::open_store(&config)?;
    let lock = match purpose {
        Purpose::Change => Some(store.lock(&mut print_note).map_err(failed)?),
        Purpose::Look => None,
    };
    // Behind the lock: the running service may just have written another URL.
    let manner = Manner {
        token: token_from_environment()?,
        random: super::random()?,
        clock: super::clock(&store)?,
        pause: logged_pause(print_note),
        trace: trace.trace.then(tracing),
    };
    let Opening { config, secrets, owned, client, kept_token, warnings } = Opening::of(config, &store, manner)
        .map_err(|error| match error {
            OpenError::NoLogin { .. } => failed(format!("{error}, or put it into the environment as {TOKEN}")),
            error => failed(error),
        })?;
    super::warn(&warnings.iter().map(ToString::to_string).collect::<Vec<_>>());
    let random = super::random()?;
    let mut opened =
        Opened { config, store, secrets, owned, client, random, kept_token, pause: std::thread::sleep, lock };
    if purpose == Purpose::Change {
        // A command may have been stopped between Twilio's last answer and this.
        opened.settle()?;
    }
    Ok(opened)
}

impl Opened {
    /// Lets other commands and the service change things: nothing is changed by this one any more.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Mints the passwords that are missing, so that a plan holds what they are for. They are saved before any of them
    /// is used: by [`Opened::save_secrets`], where the purpose is a change.
    pub fn mint(&mut self) {
        let environments: Vec<&str> = self.config.environments.iter().map(|e| e.name.as_str()).collect();
        let extensions = self.config.extensions.iter().map(|extension| extension.name.as_str());
        self.secrets.mint(extensions, &environments, &mut self.random);
        self.secrets.mint_box(&self.config.site.user, &environments, &mut self.random);
    }

    /// From here on requests are made with the auth token, where it is known.
    pub fn prefer_token(&mut self) {
        if let Some(token) = &self.secrets.auth_token {
            self.client.authenticate(&self.config.twilio.account_sid, token);
        }
    }

    /// Puts secrets on disk, with the auth token that was there.
    pub fn save_secrets(&self) -> Result<(), Vec<String>> {
        let secrets = Secrets { auth_token: self.kept_token.clone(), ..self.secrets.clone() };
        self.store.save_secrets(&secrets).map_err(failed)
    }

    /// As [`Opened::save_secrets`], with the auth token that is used, or with none where none is.
    pub fn save_token(&mut self) -> Result<(), Vec<String>> {
        self.kept_token.clone_from(&self.secrets.auth_token);
        self.save_secrets()
    }

    /// Drops the former passwords that Twilio does not take any more, by its answers that are on disk.
    pub fn settle(&mut self) -> Result<(), Vec<String>> {
        if rotation::settle(&mut self.secrets, &self.owned) {
            // From disk: what was given for this command alone is not to be kept.
            let mut secrets = self.store.secrets().map_err(failed)?.value;
            rotation::settle(&mut secrets, &self.owned);
            self.store.save_secrets(&secrets).map_err(failed)?;
        }
        Ok(())
    }

    /// The records as they are on disk, where the operations of [`Opened::account`] have left them.
    pub fn read_owned(&mut self) -> Result<(), Vec<String>> {
        self.owned = super::told(self.store.owned().map_err(failed)?);
        self.settle()
    }

    /// The operations of [`gateway_account::account`]. What they change of secrets and records is on disk, and in what
    /// [`Account`] holds; not here.
    pub fn account(&mut self) -> Account<'_> {
        Account {
            config: &self.config,
            local: &self.store,
            secrets: self.secrets.clone(),
            owned: self.owned.clone(),
            api: &mut self.client,
            pause: &mut self.pause,
        }
    }
}

/// A line for people, beside what the command prints.
pub(super) fn print_note(line: &str) {
    super::print_error(&format!("gateway: {line}"));
}

/// Each request and its answer on stderr.
fn tracing() -> Trace {
    Box::new(super::print_error)
}

/// A client for people: it tells on stderr when it waits, and with `trace` each request and its answer.
pub(super) fn client(
    config: &Config,
    store: &Store,
    login: &Login,
    trace: arguments::Trace,
) -> Result<Client, Vec<String>> {
    let trace = trace.trace.then(tracing);
    let clock = Clock::new(super::clock(store)?, &config.clock.sntp, super::random()?);
    login.client(&config.twilio, super::random()?, logged_pause(print_note), clock, trace).map_err(failed)
}

/// The scope that `--environment` names; an unknown one is an error with the names that there are.
pub(super) fn scope(config: &Config, environment: Option<&str>) -> Result<Scope, Vec<String>> {
    let Some(name) = environment else { return Ok(Scope::All) };
    match config.environment(name) {
        Some(_) => Ok(Scope::Environment(name.to_owned())),
        None => Err(failed(no_environment(config, name))),
    }
}

/// The environment that `--environment` names, else the one that this box runs.
pub(super) fn environment(config: &Config, environment: Option<&str>) -> Result<String, Vec<String>> {
    let name = environment.unwrap_or(&config.site.environment);
    config.environment(name).map(|_| name.to_owned()).ok_or_else(|| failed(no_environment(config, name)))
}

fn no_environment(config: &Config, name: &str) -> NoEnvironment {
    let there = config.environments.iter().map(|environment| environment.name.clone()).collect();
    NoEnvironment { name: name.to_owned(), there }
}

/// The auth token of the environment variable, if it is set.
pub(super) fn token_from_environment() -> Result<Option<Secret<String>>, Vec<String>> {
    match std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        Some(token) => checked_token(&token).map(Some),
        None => Ok(None),
    }
}

/// The credential of systemd(1) that holds the auth token where it shall not lie in the file system: `LoadCredential=`.
const CREDENTIAL: &str = "auth_token";

/// Where systemd keeps the credentials of the running service, for root and the service alone (systemd.exec(5)).
const OF_SERVICE: &str = "/run/credentials/gateway.service";

/// Far more than a token is.
const MAX_CREDENTIAL: u64 = 4096;

/// The auth token that systemd lends to this process, or, for root, to the running service. One that is no token is told
/// and not used: phones are served without it.
pub(super) fn lent_token() -> Option<Secret<String>> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_else(|| OF_SERVICE.into());
    let path = Path::new(&folder).join(CREDENTIAL);
    let mut token = String::new();
    // Absent as a rule, or not for us.
    folder::open_file(&path).ok()?.take(MAX_CREDENTIAL).read_to_string(&mut token).ok()?;
    match checked_token(&token) {
        Ok(token) => Some(token),
        Err(wrong) => {
            super::warn(&[format!("{} is not used: {}", path.display(), wrong.join("; "))]);
            None
        }
    }
}

/// 32 hex digits (TWILIO.md "API login"). The token is not repeated.
pub(super) fn checked_token(token: &str) -> Result<Secret<String>, Vec<String>> {
    let token = token.trim();
    match token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(Secret::new(token.to_owned())),
        false => Err(failed(format!(
            "the auth token has {} characters that are not 32 hex digits; copy it again from console.twilio.com",
            token.chars().count()
        ))),
    }
}

/// Whether a person can be asked.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

/// A person on the terminal says yes. Anything else, and the end of the input, is no.
pub(super) fn confirm(question: &str) -> bool {
    matches!(answer(&format!("{question} [y/N] ")).as_deref(), Some("y" | "Y" | "yes"))
}

/// A person on the terminal types a name to show that this is what is meant.
pub(super) fn confirm_by_name(question: &str, name: &str) -> bool {
    answer(&format!("{question} Type {name} to go on: ")).as_deref() == Some(name)
}

fn answer(prompt: &str) -> Option<String> {
    super::print(prompt);
    let _ = std::io::stdout().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_blanks_around_is_taken_and_a_wrong_one_is_not_repeated() {
        let token = "0123456789abcdef0123456789ABCDEF";
        assert_eq!(checked_token(&format!(" {token}\n")).unwrap().expose(), token);
        assert_eq!(
            checked_token("sesame").unwrap_err(),
            ["the auth token has 6 characters that are not 32 hex digits; copy it again from console.twilio.com"]
        );
    }
}
