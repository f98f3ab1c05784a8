//! The public URL of a tunnel whose URL changes (a quick tunnel's does): Twilio is told at once, by the same plan and
//! apply, and everything else knows it from here.

use std::path::Path;

use super::client::logged_pause;
use super::open::{Manner, OpenError, Opening};
use crate::net::clock::Clock as TrustedClock;
use crate::store::{Pass, Store, StoreError, files, last_good};
use gateway_account::account::AccountError;
use gateway_core::config::Config;
use gateway_core::config::tunnel::UrlFrom;
use gateway_core::random::Random;
use gateway_core::url::Url;

/// Where the environment and the URL are kept that Twilio was told last, in the state folder: `prod https://…`.
const FILE: &str = files::TUNNEL_URL;

/// Why Twilio was not told.
#[derive(Debug, thiserror::Error)]
pub enum PublicUrlError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// The URL that was written last for this environment, if one was.
pub fn last_written(store: &Store, environment: &str) -> Option<String> {
    let content = store.file(FILE).ok()??;
    parse(&content).filter(|(of, _)| of == environment).map(|(_, url)| url)
}

/// The environment and the URL in the file, if there is one. The error says that there is something else in it.
pub fn kept(store: &Store, pass: Pass) -> Result<Option<(String, String)>, String> {
    let Some(content) = store.file(FILE).map_err(|error| error.to_string())? else { return Ok(None) };
    let (environment, url) = parse(&content).ok_or_else(|| {
        let path = store.path(FILE);
        format!(
            "{} has no environment and URL; remove it, and the tunnel's URL is written to Twilio anew",
            path.display()
        )
    })?;
    if pass == Pass::Rewrite {
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
) -> Result<(), PublicUrlError> {
    let _lock = store.lock(&mut tell)?;
    // The service runs on with half a restore; what it would change at Twilio by that could be another's.
    store.check_whole()?;
    let config = last_good::in_force(store, config).map_err(OpenError::Config)?;
    let (random_of_client, clock) = (Random::new(random.bytes()), clock.clone());
    let manner = Manner { token: None, random: random_of_client, clock, pause: logged_pause(tell), trace: None };
    let mut opening = Opening::of(config, store, manner)?;
    opening.config.set_public_url(environment, url);
    let mut pause = std::thread::sleep;
    let mut account = opening.account(store, &mut pause);
    account.write_public_url(environment)?;
    Ok(save(store, environment, url)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::office::OfficeFile;

    const NEW: &str = "https://word-2.trycloudflare.com";

    #[test]
    fn the_url_in_force_is_the_one_written_last_for_that_environment_unless_the_config_says_it() {
        let folder = std::env::temp_dir().join(format!("gateway-moved-{}", std::process::id()));
        let store = Store::open(&folder).unwrap();
        let config = OfficeFile::new()
            .table("environment.stage")
            .with("domain", "office-stage.sip.twilio.com")
            .with("public_url", "https://stage.example.com")
            .config();
        store.save_file("tunnel_url", format!("prod {NEW}\n").as_bytes()).unwrap();
        assert_eq!(in_force(config.clone(), &store), config, "url_from is config");
        let mut told = config.clone();
        told.tunnel.url_from = UrlFrom::Output;
        let told = in_force(told, &store);
        assert_eq!(told.webhook.public_url, NEW);
        assert_eq!(told.environment("prod").unwrap().public_url, NEW);
        assert_eq!(told.environment("stage").unwrap().public_url, "https://stage.example.com");
        for spoilt in ["", "prod", "prod http://plain.example.com", "\u{0}"] {
            store.save_file("tunnel_url", spoilt.as_bytes()).unwrap();
            assert_eq!(last_written(&store, "prod"), None, "{spoilt:?}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
