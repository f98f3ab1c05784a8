//! `gateway setup`

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::{Done, failed};
use crate::config::Config;
use crate::secret::Secret;
use crate::store::Secrets;
use crate::twilio::client::{Client, Clock, Options, Trace, telling};
use crate::twilio::setup::{Outcome, Setup};

/// Where an unattended set-up finds the auth token.
const TOKEN: &str = "TWILIO_AUTH_TOKEN";

pub(super) fn run(path: &Path, yes: bool, trace: bool) -> Done {
    let config = super::load(path)?;
    let store = super::open_store(&config)?;
    let _lock = store.lock(&mut |reason| drop(writeln!(std::io::stderr(), "gateway: {reason}"))).map_err(failed)?;
    let mut secrets = super::told(store.secrets().map_err(failed)?);
    let owned = super::told(store.owned().map_err(failed)?);
    let token = token(&config, &secrets, yes)?;
    secrets.auth_token = Some(token.clone());

    let mut random = super::random()?;
    let mut client = Client::new(Options {
        base: &config.twilio.api,
        account_sid: &config.twilio.account_sid,
        user: &config.twilio.account_sid,
        password: &token,
        ca_file: config.twilio.ca_file.as_deref(),
        random: super::random()?,
        pause: telling(|reason| drop(writeln!(std::io::stderr(), "gateway: {reason}"))),
        clock: Clock::system(store.last_change()),
        trace: trace.then(|| Box::new(|line: &str| drop(writeln!(std::io::stderr(), "{line}"))) as Trace),
    })
    .map_err(failed)?;
    let interactive = std::io::stdin().is_terminal();
    let mut confirm = || yes || interactive && ask();
    let result = Setup {
        config: &config,
        store: &store,
        secrets,
        owned,
        api: &mut client,
        random: &mut random,
        out: &mut std::io::stdout().lock(),
        confirm: &mut confirm,
    }
    .run();
    super::print(&format!("setup: {} reads, {} writes\n", client.count.reads, client.count.writes));
    let (outcome, problems) = result.map_err(failed)?;
    match outcome {
        Outcome::Unchanged => super::print("nothing to change\n"),
        Outcome::Applied(1) => super::print("applied 1 change\n"),
        Outcome::Applied(changes) => super::print(&format!("applied {changes} changes\n")),
        Outcome::Declined if !interactive => {
            return Err(failed("nothing was changed: this is no terminal to ask on; run \"gateway setup --yes\""));
        }
        Outcome::Declined => super::print("nothing was changed\n"),
    }
    // Told last and with exit code 1: the account is not what the config says.
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The environment first, so that a new token replaces an old one; then the last set-up's; then a person.
fn token(config: &Config, secrets: &Secrets, yes: bool) -> Result<Secret<String>, Vec<String>> {
    if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        return checked(token);
    }
    if let Some(token) = &secrets.auth_token {
        return Ok(token.clone());
    }
    if yes || !std::io::stdin().is_terminal() {
        let way = format!("put it into the environment as {TOKEN}, or run \"gateway setup\" on a terminal");
        return Err(failed(format!("no auth token for account {}; {way}", config.twilio.account_sid)));
    }
    let prompt = format!("Auth token of account {} (console.twilio.com, not shown)", config.twilio.account_sid);
    let token = dialoguer::Password::new().with_prompt(prompt).interact().map_err(failed)?;
    checked(token)
}

/// 32 hex digits (twilio.md 1.2). The token is not repeated.
fn checked(token: String) -> Result<Secret<String>, Vec<String>> {
    let token = token.trim();
    match token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(Secret::new(token.to_owned())),
        false => Err(failed(format!(
            "the auth token has {} characters that are not 32 hex digits; copy it again from console.twilio.com",
            token.chars().count()
        ))),
    }
}

/// A person on the terminal confirms.
fn ask() -> bool {
    super::print("apply this? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_blanks_around_is_taken_and_a_wrong_one_is_not_repeated() {
        let token = "0123456789abcdef0123456789ABCDEF";
        assert_eq!(checked(format!(" {token}\n")).unwrap().expose(), token);
        assert_eq!(
            checked("sesame".to_owned()).unwrap_err(),
            ["the auth token has 6 characters that are not 32 hex digits; copy it again from console.twilio.com"]
        );
    }
}
