//! As whom requests are made: the account with its token, or an API key with its secret (TWILIO.md "API login").

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use gateway_core::secret::Secret;

/// What Basic authentication is made of.
pub(super) struct Login {
    user: String,
    pub password: Secret<String>,
    /// The header.
    pub authorization: Secret<String>,
}

impl Login {
    pub fn new(user: &str, password: &Secret<String>) -> Login {
        let credentials = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        Login {
            user: user.to_owned(),
            password: password.clone(),
            authorization: Secret::new(format!("Basic {credentials}")),
        }
    }

    /// What to check when Twilio does not take it. A standard key gets the same answer for what it may not do as a wrong
    /// one.
    pub fn advice(&self, account_sid: &str) -> String {
        let Login { user, .. } = self;
        match user.starts_with("SK") {
            true => format!(
                "this was sent with API key {user}: check at console.twilio.com that it exists and is of account \
                 {account_sid} and of this region; what concerns the account itself or its keys wants the auth token"
            ),
            false => format!(
                "this was sent with the auth token of account {user}: check both at console.twilio.com, and that they \
                 are of this region"
            ),
        }
    }
}
