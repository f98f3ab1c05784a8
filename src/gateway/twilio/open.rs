//! The opening of the account: what the config file says, the URLs in force, secrets and records that are whole, and a
//! client that may ask. Commands, the drift check and a moved tunnel begin with it.

use std::time::Duration;

use super::agent::CaError;
use super::client::{Client, Clock, Pause, Trace};
use super::login::Login;
use super::public_url;
use crate::net::clock::Clock as TrustedClock;
use crate::store::{Store, StoreError, Warning};
use gateway_account::account::Account;
use gateway_account::owned::Owned;
use gateway_core::config::{Config, ConfigError};
use gateway_core::random::Random;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;

/// An account, ready to be worked on.
pub struct Opening {
    /// With the public URLs in force.
    pub config: Config,
    /// With the token that was given for this time, where one was.
    pub secrets: Secrets,
    pub owned: Owned,
    pub client: Client,
    /// The auth token without the one that was given.
    pub kept_token: Option<Secret<String>>,
    /// What was odd about the files, and is mended.
    pub warnings: Vec<Warning>,
}

/// How requests are made.
pub struct Manner {
    /// An auth token for this time alone.
    pub token: Option<Secret<String>>,
    pub random: Random,
    /// What certificates are judged by.
    pub clock: TrustedClock,
    pub pause: Pause,
    pub trace: Option<Trace>,
}

/// Why there is no way to the account.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigError>),
    /// Also of a file that is broken: one that counted as empty would make what is ours a stranger's.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no auth token and no API key for account {account_sid}; run \"gateway setup\"")]
    NoLogin { account_sid: String },
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl Opening {
    /// Opens all. Nothing is sent, and nothing is written. Whoever is going to change something holds the store's lock.
    pub fn of(config: Config, store: &Store, mut manner: Manner) -> Result<Opening, OpenError> {
        let config = public_url::in_force(config, store);
        let (secrets, owned) = (store.secrets()?, store.owned()?);
        let warnings = secrets.warning.into_iter().chain(owned.warning).collect();
        let (mut secrets, owned) = (secrets.value, owned.value);
        let kept_token = secrets.auth_token.clone();
        if manner.token.is_some() {
            secrets.auth_token = manner.token;
        }
        let account_sid = &config.twilio.account_sid;
        let login =
            Login::of(&secrets, account_sid).ok_or_else(|| OpenError::NoLogin { account_sid: account_sid.clone() })?;
        let clock = Clock::new(manner.clock, &config.clock.sntp, Random::new(manner.random.bytes()));
        let client = login.client(&config.twilio, manner.random, manner.pause, clock, manner.trace)?;
        Ok(Opening { config, secrets, owned, client, kept_token, warnings })
    }

    /// Mints the passwords that are missing, so that a plan holds what they are for. Nothing is saved.
    pub fn mint(&mut self, random: &mut Random) {
        let environments: Vec<&str> = self.config.environments.iter().map(|e| e.name.as_str()).collect();
        let extensions = self.config.extensions.iter().map(|extension| extension.name.as_str());
        self.secrets.mint(extensions, &environments, random);
        self.secrets.mint_box(&self.config.site.user, &environments, random);
    }

    /// The operations of [`gateway_account::account`]. What they change of secrets and records is on disk, and in what [`Account`]
    /// holds; not here.
    pub fn account<'a>(&'a mut self, store: &'a Store, pause: &'a mut dyn FnMut(Duration)) -> Account<'a> {
        Account {
            config: &self.config,
            local: store,
            secrets: self.secrets.clone(),
            owned: self.owned.clone(),
            api: &mut self.client,
            pause,
        }
    }
}
