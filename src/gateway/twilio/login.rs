//! Who we are to Twilio: an API key where there is one, else the account with its auth token (TWILIO.md "API login").

use std::path::Path;

use super::agent::CaError;
use super::client::{Client, Clock, Options, Pause, Trace};
use gateway_core::config::Twilio;
use gateway_core::random::Random;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;

/// Name and password of REST requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `SK…` or `AC…`.
    pub user: String,
    pub password: Secret<String>,
}

impl Login {
    /// With the auth token: the only one that may ask for the account itself and make keys.
    pub fn token(account_sid: &str, token: &Secret<String>) -> Login {
        Login { user: account_sid.to_owned(), password: token.clone() }
    }

    /// What the secrets give: the key, else the token.
    pub fn of(secrets: &Secrets, account_sid: &str) -> Option<Login> {
        match (&secrets.api_key, &secrets.auth_token) {
            (Some(key), _) => Some(Login { user: key.sid.clone(), password: key.secret.clone() }),
            (None, Some(token)) => Some(Login::token(account_sid, token)),
            (None, None) => None,
        }
    }

    /// Whether it is an API key.
    pub fn is_key(&self) -> bool {
        self.user.starts_with("SK")
    }

    /// A client for the account of a config; nothing is sent yet.
    pub fn client(
        &self,
        twilio: &Twilio,
        random: Random,
        pause: Pause,
        clock: Clock,
        trace: Option<Trace>,
    ) -> Result<Client, CaError> {
        Client::new(Options {
            base: &twilio.api,
            account_sid: &twilio.account_sid,
            user: &self.user,
            password: &self.password,
            ca_file: twilio.ca_file.as_deref().map(Path::new),
            random,
            pause,
            clock,
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::secrets::ApiKey;

    #[test]
    fn an_api_key_goes_before_the_token_and_nothing_is_no_login() {
        let token = Secret::new("t".to_owned());
        let mut secrets = Secrets { auth_token: Some(token.clone()), ..Secrets::default() };
        assert_eq!(Login::of(&secrets, "AC1"), Some(Login::token("AC1", &token)));
        secrets.api_key = Some(ApiKey { sid: "SK1".to_owned(), secret: Secret::new("s".to_owned()) });
        let login = Login::of(&secrets, "AC1").unwrap();
        assert_eq!((login.user.as_str(), login.is_key()), ("SK1", true));
        assert_eq!(Login::of(&Secrets::default(), "AC1"), None);
    }
}
