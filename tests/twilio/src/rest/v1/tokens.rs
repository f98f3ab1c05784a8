//! Rotation of the auth token (TWILIO.md "Auth token rotation"): a secondary token, then its promotion.

use serde_json::json;

use super::{Call, GONE, created, ok};
use crate::rest::RestError;
use crate::rest::serve::Reply;
use crate::{date, random};

/// The tokens after rotations.
#[derive(Default)]
pub struct Tokens {
    promoted: Option<String>,
    secondary: Option<(String, String)>,
}

impl Tokens {
    /// The primary token, the key of webhook signatures; `first` is the one that the account began with.
    /// TWILIO.md "Auth token rotation": Webhook signatures stay keyed with the primary token until promotion.
    pub fn primary<'a>(&'a self, first: &'a str) -> &'a str {
        self.promoted.as_deref().unwrap_or(first)
    }

    /// Whether a request may be made with that token: both live side by side, so that clients can change over.
    pub fn accepts(&self, first: &str, token: &str) -> bool {
        token == self.primary(first) || self.secondary.as_ref().is_some_and(|(secondary, _)| secondary == token)
    }
}

/// `AuthTokens/Secondary` and `AuthTokens/Promote`.
pub fn route(tokens: &mut Tokens, call: &mut Call, which: &str) -> Reply {
    let url = format!("{}/v1/AuthTokens/{which}", call.base);
    call.note_unknown(&[]);
    match (call.method(), which) {
        ("POST", "Secondary") => {
            if tokens.secondary.is_some() {
                return Err(RestError::bad(20001, "A secondary auth token exists; promote or delete it first"));
            }
            let (token, now) = (random::hex(&random::bytes::<16>()), date::now_iso());
            tokens.secondary = Some((token.clone(), now.clone()));
            created(json!({
                "account_sid": call.account,
                "date_created": now,
                "date_updated": now,
                "secondary_auth_token": token,
                "url": url,
            }))
        }
        ("DELETE", "Secondary") => tokens.secondary.take().map(|_| GONE).ok_or_else(|| call.missing()),
        ("POST", "Promote") => {
            let (token, made) = tokens.secondary.take().ok_or_else(|| call.missing())?;
            tokens.promoted = Some(token.clone());
            ok(json!({
                "account_sid": call.account,
                "auth_token": token,
                "date_created": made,
                "date_updated": date::now_iso(),
                "url": url,
            }))
        }
        (_, "Secondary" | "Promote") => Err(call.refuse_method()),
        _ => Err(call.missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tokens_open_the_api_and_only_the_primary_signs() {
        let mut tokens = Tokens::default();
        assert!(tokens.accepts("first", "first") && !tokens.accepts("first", "second"));
        tokens.secondary = Some(("second".to_owned(), String::new()));
        assert!(tokens.accepts("first", "first") && tokens.accepts("first", "second"));
        assert_eq!(tokens.primary("first"), "first");
        tokens.promoted = tokens.secondary.take().map(|(token, _)| token);
        assert!(!tokens.accepts("first", "first") && tokens.accepts("first", "second"));
        assert_eq!(tokens.primary("first"), "second");
    }
}
