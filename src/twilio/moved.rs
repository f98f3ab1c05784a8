//! The public URL has changed (a quick tunnel's does): Twilio is told at once, by the same plan and apply.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::{Account, Scope};
use super::client::{Clock, telling};
use super::login::Login;
use super::plan::{Change, Plan};
use crate::config;
use crate::random::Random;
use crate::store::Store;

/// Where the URL is kept that Twilio was told last, in the state folder.
const FILE: &str = "tunnel_url";

/// The URL that was written last, if one was.
pub fn last_written(store: &Store) -> Option<String> {
    let content = String::from_utf8(store.file(FILE).ok()??).ok()?;
    Some(content.trim().to_owned()).filter(|url| url.starts_with("https://"))
}

/// Writes a new public URL to what the environment has at Twilio, reads it back, and keeps it. Blocks for as long as
/// Twilio takes; everything else that a plan would change is left as it is. The error is for people.
pub fn write(
    config: &Path,
    environment: &str,
    store: &Store,
    url: &str,
    mut random: Random,
    mut tell: impl FnMut(&str) + 'static,
) -> Result<(), String> {
    let _lock = store.lock(&mut tell).map_err(|error| error.to_string())?;
    let mut config =
        config::load(config).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let wanted = config.environments.iter_mut().find(|one| one.name == environment);
    wanted.ok_or_else(|| format!("there is no environment {environment:?} in the config any more"))?.public_url =
        url.to_owned();
    if environment == config.site.environment {
        config.webhook.public_url = url.to_owned();
    }
    let secrets = store.secrets().map_err(|error| error.to_string())?.value;
    let owned = store.owned().map_err(|error| error.to_string())?.value;
    let login = Login::of(&secrets, &config.twilio.account_sid)
        .ok_or("there is neither auth token nor API key; run \"gateway setup\"")?;
    let clock = Clock::system(store.last_change());
    let mut client = login
        .client(&config.twilio, Random::new(random.bytes()), telling(tell), clock, None)
        .map_err(|error| error.to_string())?;
    let mut pause = std::thread::sleep;
    let mut account = Account { config: &config, store, secrets, owned, api: &mut client, pause: &mut pause };
    let scope = Scope::Environment(environment.to_owned());
    let urls = |account: &mut Account<'_>| -> Result<Vec<Change>, String> {
        let plan = account.plan(&scope, &BTreeSet::new()).map_err(|error| error.to_string())?;
        Ok(plan.changes.into_iter().filter_map(of_urls).collect())
    };
    let plan = Plan { changes: urls(&mut account)?, problems: Vec::new(), notes: Vec::new() };
    account.apply(&plan, &mut |_| {}).map_err(|error| error.to_string())?;
    match urls(&mut account)?.is_empty() {
        true => store.save_file(FILE, format!("{url}\n").as_bytes()).map_err(|error| error.to_string()),
        false => Err("Twilio took the new URL and still shows the old one".to_owned()),
    }
}

/// The part of a change that is about the URLs of something that is there.
fn of_urls(change: Change) -> Option<Change> {
    match change {
        Change::Update(mut update) => {
            update.fields.retain(|field| field.param.ends_with("Url"));
            update.password = None;
            (!update.fields.is_empty()).then_some(Change::Update(update))
        }
        _ => None,
    }
}
