//! The public URL of a tunnel whose URL changes (a quick tunnel's does): Twilio is told at once, by the same plan and
//! apply, and everything else knows it from here.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::{Account, AccountError, Scope};
use super::client::telling;
use super::model::is_webhook;
use super::opening::{Manner, OpenError, Opening};
use super::plan::{Change, Plan};
use crate::net::clock::Clock as TrustedClock;
use crate::store::{Store, StoreError, files, last_good};
use gateway_core::config::Config;
use gateway_core::config::tunnel::UrlFrom;
use gateway_core::random::Random;
use gateway_core::url::Url;

/// Where the environment and the URL are kept that Twilio was told last, in the state folder: `prod https://…`.
const FILE: &str = files::TUNNEL_URL;

/// Why Twilio was not told.
#[derive(Debug, thiserror::Error)]
pub enum MovedError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("Twilio took the new URL and still shows another one")]
    NotTaken,
}

/// The URL that was written last for this environment, if one was.
pub fn last_written(store: &Store, environment: &str) -> Option<String> {
    let content = store.file(FILE).ok()??;
    parse(&content).filter(|(of, _)| of == environment).map(|(_, url)| url)
}

/// The environment and the URL in the file, if there is one; with `is_written` written again as this version does. The
/// error says that there is something else in it.
pub fn kept(store: &Store, is_written: bool) -> Result<Option<(String, String)>, String> {
    let Some(content) = store.file(FILE).map_err(|error| error.to_string())? else { return Ok(None) };
    let (environment, url) = parse(&content).ok_or_else(|| {
        let path = store.path(FILE);
        format!(
            "{} has no environment and URL; remove it, and the tunnel's URL is written to Twilio anew",
            path.display()
        )
    })?;
    if is_written {
        save(store, &environment, &url).map_err(|error| error.to_string())?;
    }
    Ok(Some((environment, url)))
}

fn parse(content: &[u8]) -> Option<(String, String)> {
    let (environment, url) = std::str::from_utf8(content).ok()?.trim().split_once(' ')?;
    let is_https = Url::parse(url).is_some_and(|url| url.is_https());
    is_https.then(|| (environment.to_owned(), url.to_owned()))
}

fn save(store: &Store, environment: &str, url: &str) -> Result<(), StoreError> {
    store.save_file(FILE, format!("{environment} {url}\n").as_bytes())
}

/// The config with the public URLs that are in force: where this box's tunnel tells its URL, it is the one that Twilio
/// was told last, not the file's.
pub fn in_force(mut config: Config, store: &Store) -> Config {
    if config.tunnel.url_from != UrlFrom::Config {
        let names: Vec<String> = config.environments.iter().map(|environment| environment.name.clone()).collect();
        for name in names {
            if let Some(url) = last_written(store, &name) {
                config.set_public_url(&name, &url);
            }
        }
    }
    config
}

/// Writes a new public URL to what the environment has at Twilio, reads it back, and keeps it. Blocks for as long as
/// Twilio takes; everything else that a plan would change is left as it is.
pub fn write(
    config: &Path,
    environment: &str,
    store: &Store,
    url: &str,
    clock: &TrustedClock,
    mut random: Random,
    mut tell: impl FnMut(&str) + 'static,
) -> Result<(), MovedError> {
    let _lock = store.lock(&mut tell)?;
    // The service runs on with half a restore; what it would change at Twilio by that could be another's.
    store.check_whole()?;
    let config = last_good::in_force(store, config).map_err(OpenError::Config)?;
    let (random_of_client, clock) = (Random::new(random.bytes()), clock.clone());
    let manner = Manner { token: None, random: random_of_client, clock, pause: telling(tell), trace: None };
    let mut opening = Opening::of(config, store, manner)?;
    opening.config.set_public_url(environment, url);
    let mut pause = std::thread::sleep;
    let mut account = opening.account(store, &mut pause);
    tell_all(&mut account, environment)?;
    Ok(save(store, environment, url)?)
}

/// Tells it for the environment, and for those that run what it runs.
pub(super) fn tell_all(account: &mut Account<'_>, environment: &str) -> Result<(), MovedError> {
    let runs_it = |name: &str| match account.owned.promotion(name) {
        Some(promotion) => promotion.url_of.as_deref() == Some(environment),
        None => name == environment,
    };
    let environments = account.config.environments.iter().map(|one| one.name.clone());
    let those: Vec<String> = environments.filter(|name| runs_it(name)).collect();
    those.iter().try_for_each(|name| tell_twilio(account, name))
}

/// Makes the part of the environment's plan that is about webhooks, and looks whether nothing of it is left.
fn tell_twilio(account: &mut Account<'_>, environment: &str) -> Result<(), MovedError> {
    let scope = Scope::Environment(environment.to_owned());
    let webhooks = |account: &mut Account<'_>| -> Result<Vec<Change>, AccountError> {
        let plan = account.plan(&scope, &BTreeSet::new())?;
        Ok(plan.changes.into_iter().filter_map(of_webhooks).collect())
    };
    let changes = webhooks(account)?;
    // "gateway undo" goes back over what a person applied, not over this.
    let (undo, unfinished) = (account.owned.undo.clone(), account.owned.unfinished);
    let applied = account.apply(&Plan { changes, ..Plan::default() }, &mut |_| {});
    if account.owned.undo != undo || account.owned.unfinished != unfinished {
        (account.owned.undo, account.owned.unfinished) = (undo, unfinished);
        account.store.save_owned(&account.owned).map_err(AccountError::from)?;
    }
    applied?;
    match webhooks(account)?.is_empty() {
        true => Ok(()),
        false => Err(MovedError::NotTaken),
    }
}

/// The part of a change that is about the webhooks of something that is there.
fn of_webhooks(change: Change) -> Option<Change> {
    match change {
        Change::Update(mut update) => {
            update.fields.retain(|field| is_webhook(&field.param));
            update.password = None;
            (!update.fields.is_empty()).then_some(Change::Update(update))
        }
        _ => None,
    }
}
