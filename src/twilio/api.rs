//! What [`super::apply`] needs of Twilio: four verbs, and what can go wrong with them.

use serde_json::Value;

use crate::secret::Secret;

/// The form of a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(pub Vec<(String, FormValue)>);

/// A form field's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormValue {
    Plain(String),
    /// Masked wherever the request is shown.
    Secret(Secret<String>),
}

impl Form {
    /// Adds a field.
    pub fn plain(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), FormValue::Plain(value.into())));
    }

    /// Adds a field that is never shown.
    pub fn secret(&mut self, name: &str, value: &Secret<String>) {
        self.0.push((name.to_owned(), FormValue::Secret(value.clone())));
    }
}

/// Twilio's REST API, below `Accounts/AC…/`. Collections are paths without `.json`.
pub trait Api {
    /// The account itself.
    fn account(&mut self) -> Result<Value, ApiError>;

    /// All records of a collection, of all pages; `records` is the array's name.
    fn list(&mut self, collection: &str, records: &str) -> Result<Vec<Value>, ApiError>;

    /// Makes one. Not repeated after a failure that may have had an effect: see [`ApiError::is_uncertain`].
    fn create(&mut self, collection: &str, form: &Form) -> Result<Value, ApiError>;

    /// Changes fields of one.
    fn update(&mut self, collection: &str, sid: &str, form: &Form) -> Result<Value, ApiError>;

    /// Removes one; one that is gone already is no error.
    fn delete(&mut self, collection: &str, sid: &str) -> Result<(), ApiError>;
}

/// What Twilio or the way to it answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Twilio said no (twilio.md 1.5).
    #[error("{request}: Twilio refused, {status}{}: {message}", code_text(.code))]
    Refused { request: String, status: u16, code: Option<u32>, message: String },
    /// Twilio has trouble or is busy, also after all attempts (429, 5xx).
    #[error("{request}: Twilio is in trouble, {status}{}: {message}; run the command again later", code_text(.code))]
    Unavailable { request: String, status: u16, code: Option<u32>, message: String },
    /// No answer: resolver, TCP, TLS, time-out.
    #[error("{request}: no answer: {reason}; check the line, the clock (TLS needs it) and twilio.api")]
    NoAnswer { request: String, reason: String },
    /// An answer that is none of Twilio's.
    #[error("{request}: the answer cannot be understood: {reason}; check twilio.api")]
    Nonsense { request: String, reason: String },
}

impl ApiError {
    /// Whether the request may have been carried out all the same. A 429 never is (twilio.md 1.6).
    pub fn is_uncertain(&self) -> bool {
        match self {
            ApiError::NoAnswer { .. } | ApiError::Nonsense { .. } => true,
            ApiError::Unavailable { status, .. } => *status != 429,
            ApiError::Refused { .. } => false,
        }
    }

    /// Twilio's error code.
    pub fn code(&self) -> Option<u32> {
        match self {
            ApiError::Refused { code, .. } | ApiError::Unavailable { code, .. } => *code,
            ApiError::NoAnswer { .. } | ApiError::Nonsense { .. } => None,
        }
    }
}

fn code_text(code: &Option<u32>) -> String {
    code.map(|code| format!(" code {code}")).unwrap_or_default()
}
