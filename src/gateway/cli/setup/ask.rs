//! Questions on the terminal.

use std::io::IsTerminal;

use super::no_echo;
use super::question::Prompt;
use super::wizard::{interrupted, println_error};
use crate::cli::{account, failed};
use gateway_core::secret::Secret;

/// Whether a person can be asked: questions go to stderr.
pub(in crate::cli) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// A line; an empty one is the default.
pub(super) fn text(prompt: &Prompt) -> Result<String, dialoguer::Error> {
    let input = dialoguer::Input::<String>::new().with_prompt(&prompt.text);
    match prompt.default.as_deref() {
        None => input.interact_text(),
        Some("") => input.allow_empty(true).interact_text(),
        Some(default) => input.default(default.to_owned()).interact_text(),
    }
}

/// Yes or no, until it is one of them.
pub(super) fn yes(prompt: &Prompt) -> Result<bool, dialoguer::Error> {
    loop {
        match text(prompt)?.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => println_error("  write y or n"),
        }
    }
}

/// A line that is not shown.
pub(in crate::cli) fn unseen(prompt: &str) -> Result<String, Vec<String>> {
    secret(prompt).map_err(|error| failed(format!("no answer ({error}); nothing was changed")))
}

fn secret(prompt: &str) -> Result<String, dialoguer::Error> {
    let password = dialoguer::Password::new().with_prompt(prompt);
    no_echo::ask(|| password.interact())
}

/// The auth token, hidden, until it looks like one.
pub(super) fn token(prompt: &Prompt) -> Result<Secret<String>, Vec<String>> {
    loop {
        match account::checked_token(&secret(&prompt.text).map_err(interrupted)?) {
            Ok(token) => return Ok(token),
            Err(wrong) => wrong.iter().for_each(|line| println_error(&format!("  {line}"))),
        }
    }
}
