//! The opening of every command that works on the account: config, state folder, secrets, records, a client.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use super::failed;
use crate::config::{Config, NoEnvironment};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{Lock, Owned, Secrets, Store};
use crate::twilio::account::{Account, Scope};
use crate::twilio::client::{Client, Clock, Trace, telling};
use crate::twilio::login::Login;
use crate::twilio::moved;

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
    _lock: Option<Lock>,
}

/// Opens all. The config is the whole one: what is done at Twilio is said by a scope.
pub(super) fn open(path: &Path, purpose: Purpose, trace: bool) -> Result<Opened, Vec<String>> {
    let config = super::load(path)?;
    let store = super::open_store(&config)?;
    let lock = match purpose {
        Purpose::Change => Some(store.lock(&mut tell).map_err(failed)?),
        Purpose::Look => None,
    };
    // Behind the lock: the running service may just have written another URL.
    let config = moved::in_force(config, &store);
    let mut secrets = super::told(store.secrets().map_err(failed)?);
    let owned = super::told(store.owned().map_err(failed)?);
    let kept_token = secrets.auth_token.clone();
    if let Some(token) = token_from_environment()? {
        secrets.auth_token = Some(token);
    }
    let Some(login) = Login::of(&secrets, &config.twilio.account_sid) else {
        let way = format!("run \"gateway setup\", or put it into the environment as {TOKEN}");
        return Err(failed(format!("no auth token and no API key for account {}; {way}", config.twilio.account_sid)));
    };
    let client = client(&config, &store, &login, trace)?;
    let random = super::random()?;
    Ok(Opened { config, store, secrets, owned, client, random, kept_token, pause: std::thread::sleep, _lock: lock })
}

impl Opened {
    /// Mints the passwords that are missing, so that a plan holds what they are for. They are saved before any of them
    /// is used: by [`Opened::save_secrets`], where the purpose is a change.
    pub fn mint(&mut self) {
        let environments: Vec<&str> = self.config.environments.iter().map(|e| e.name.as_str()).collect();
        let extensions = self.config.extensions.iter().map(|extension| extension.name.as_str());
        self.secrets.mint(extensions, &environments, &mut self.random);
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

    /// The operations of [`crate::twilio::account`]. What they change of secrets and records is on disk, and in what
    /// [`Account`] holds; not here.
    pub fn account(&mut self) -> Account<'_> {
        Account {
            config: &self.config,
            store: &self.store,
            secrets: self.secrets.clone(),
            owned: self.owned.clone(),
            api: &mut self.client,
            pause: &mut self.pause,
        }
    }
}

/// A line for people, beside what the command prints.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "gateway: {line}");
}

/// A client for people: it tells on stderr when it waits, and with `trace` each request and its answer.
pub(super) fn client(config: &Config, store: &Store, login: &Login, trace: bool) -> Result<Client, Vec<String>> {
    let trace = trace.then(|| Box::new(|line: &str| drop(writeln!(std::io::stderr(), "{line}"))) as Trace);
    let clock = super::clock(store)?;
    let clock = Clock::new(clock, &config.clock.sntp, super::random()?);
    login.client(&config.twilio, super::random()?, telling(tell), clock, trace).map_err(failed)
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

/// 32 hex digits (twilio.md 1.2). The token is not repeated.
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
