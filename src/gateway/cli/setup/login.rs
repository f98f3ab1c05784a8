//! Auth token and API key: where they come from, and whether Twilio takes them.

use std::path::Path;

use super::arguments::SetupArguments;
use super::question::Prompt;
use super::wizard::println_error;
use super::{ask, file, inventory};
use crate::cli::account::{self, Opened, TOKEN};
use crate::cli::{failed, told};
use crate::twilio::login::Login;
use gateway_account::account_status::{self, AccountStatus};
use gateway_account::api::ApiError;
use gateway_core::config::Protection;

/// Sees to it that there is what the config needs: the token for signatures, or anything at all for requests.
pub(super) fn provide(path: &Path, arguments: &SetupArguments, is_asking: bool) -> Result<(), Vec<String>> {
    let config = crate::cli::load(path)?;
    let store = crate::cli::open_store(&config)?;
    let _lock = store.lock(&mut account::print_note).map_err(failed)?;
    let mut secrets = told(store.secrets().map_err(failed)?);
    let sid = &config.twilio.account_sid;
    let is_there = match config.webhook.protect {
        Protection::Signature => secrets.auth_token.is_some(),
        Protection::Credentials => Login::of(&secrets, sid).is_some(),
    };
    // The environment first, so that a new token replaces an old one.
    if is_there || account::token_from_environment()?.is_some() {
        return Ok(());
    }
    let in_file = match &arguments.answers {
        Some(path) => file::answers(path).map_err(failed)?.auth_token,
        None => None,
    };
    let token = match in_file {
        Some(token) => account::checked_token(token.expose())?,
        None if is_asking => ask::token(&prompt(sid))?,
        None => {
            let way = format!("put it into the environment as {TOKEN}, or run \"gateway setup\" on a terminal");
            return Err(failed(format!("no auth token for account {sid}; {way}")));
        }
    };
    // Not kept before it proved right.
    let mut client = account::client(&config, &store, &Login::token(sid, &token), arguments.trace)?;
    match AccountStatus::read(&mut client) {
        Ok(_) => secrets.auth_token = Some(token),
        Err(error) if is_asking && is_refused(&error) => {
            tell_refused(&error);
            secrets.auth_token = Some(ask_until_right(&mut client, sid)?);
        }
        Err(error) => return Err(failed(error)),
    }
    store.save_secrets(&secrets).map_err(failed)
}

/// Whether token and key are right, and whether the account may do anything. Leaves the client with the one that works.
pub(super) fn verify(opened: &mut Opened, is_asking: bool, is_greeting: bool) -> Result<(), Vec<String>> {
    let sid = opened.config.twilio.account_sid.clone();
    if let Some(token) = opened.secrets.auth_token.clone() {
        opened.client.authenticate(&sid, &token);
        let mut standing = AccountStatus::read(&mut opened.client);
        if let Err(error) = &standing
            && is_asking
            && is_refused(error)
        {
            tell_refused(error);
            opened.secrets.auth_token = Some(ask_until_right(&mut opened.client, &sid)?);
            standing = AccountStatus::read(&mut opened.client);
        }
        let standing = standing.map_err(failed)?;
        if !standing.is_active() {
            let way = "Twilio takes no changes and no calls; see console.twilio.com";
            return Err(failed(format!("account {sid} is {}: {way}", standing.status)));
        }
        if is_greeting {
            inventory::greeting(&standing).iter().for_each(|line| crate::cli::print(&format!("{line}\n")));
        }
        opened.save_token()?;
    }
    use_key(opened)
}

/// Goes on with the API key, if there is one and it works; else with the token.
pub(super) fn use_key(opened: &mut Opened) -> Result<(), Vec<String>> {
    let Some(key) = opened.secrets.api_key.clone() else { return Ok(()) };
    opened.client.authenticate(&key.sid, &key.secret);
    match (account_status::check_key(&mut opened.client), opened.secrets.auth_token.clone()) {
        (Ok(()), _) => Ok(()),
        (Err(error), Some(token)) if is_refused(&error) => {
            account::print_note(&format!(
                "warning: API key {} does not work any more; going on with the token",
                key.sid
            ));
            opened.secrets.api_key = None;
            opened.client.authenticate(&opened.config.twilio.account_sid, &token);
            Ok(())
        }
        (Err(error), _) => Err(failed(error)),
    }
}

/// Asks for the token until Twilio takes it; the client has it then.
fn ask_until_right(
    client: &mut crate::twilio::client::Client,
    sid: &str,
) -> Result<gateway_core::secret::Secret<String>, Vec<String>> {
    loop {
        let token = ask::token(&prompt(sid))?;
        client.authenticate(sid, &token);
        match AccountStatus::read(client) {
            Ok(_) => return Ok(token),
            Err(error) if is_refused(&error) => tell_refused(&error),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Wrong name or password, and not trouble of another kind.
pub(super) fn is_refused(error: &ApiError) -> bool {
    matches!(error, ApiError::Refused { status: 401 | 403 | 404, .. })
}

/// What is wrong, for the person who is asked again.
pub(super) fn tell_refused(error: &ApiError) {
    let code = error.code().map(|code| format!(" ({code})")).unwrap_or_default();
    println_error(&format!(
        "  Twilio does not take this account SID with this auth token{code}: one of them is wrong, or they are of two \
         accounts; copy both again from console.twilio.com"
    ));
}

fn prompt(sid: &str) -> Prompt {
    let text = format!("Auth token of account {sid} (console.twilio.com, not shown)");
    Prompt { text, ..Prompt::default() }
}
