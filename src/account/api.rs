//! What [`crate::apply`] needs of Twilio: four verbs, and what can go wrong with them.

use std::fmt;

use serde_json::Value;

use gateway_core::secret::Secret;
use gateway_core::url::masked;

/// The form of a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(pub Vec<(String, FormValue)>);

/// A form field's content.
#[derive(Clone, PartialEq, Eq)]
pub enum FormValue {
    /// Shown without the user information of URLs.
    Plain(String),
    /// Masked wherever the request is shown.
    Secret(Secret<String>),
}

impl fmt::Debug for FormValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormValue::Plain(text) => write!(f, "{:?}", masked(text)),
            FormValue::Secret(secret) => secret.fmt(f),
        }
    }
}

impl FormValue {
    /// The content of one that may be shown.
    pub fn plain(&self) -> Option<&str> {
        match self {
            FormValue::Plain(text) => Some(text),
            FormValue::Secret(_) => None,
        }
    }
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

/// One of Twilio's APIs; each has a host of its own (TWILIO.md "API hosts").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// `api.twilio.com/2010-04-01/Accounts/AC…/`
    Core,
    /// `voice.twilio.com/v1/`
    Voice,
    /// `serverless.twilio.com/v1/`
    Serverless,
    /// `serverless-upload.twilio.com/v1/`
    Upload,
}

/// Where resources of one kind are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    pub product: Product,
    /// Below the product's base, without `.json`.
    pub path: String,
    /// Filters of a list; empty elsewhere.
    pub query: Vec<(&'static str, String)>,
}

impl Collection {
    pub fn new(product: Product, path: impl Into<String>) -> Collection {
        Collection { product, path: path.into(), query: Vec::new() }
    }

    /// With a filter.
    pub fn filtered(mut self, name: &'static str, value: impl Into<String>) -> Collection {
        self.query.push((name, value.into()));
        self
    }
}

/// A file on its way to the hosted Service (TWILIO.md "Assets").
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    /// Where it will be found: `/sounds/busy.mp3`.
    pub path: &'a str,
    pub content_type: &'static str,
    pub content: &'a [u8],
}

/// Twilio's REST API.
pub trait Api {
    /// The account itself. A standard key may not ask: 401 with code 20003, as for a wrong secret
    /// (TWILIO.md "API login"). See [`crate::account_status`].
    fn account(&mut self) -> Result<Value, ApiError>;

    /// All records of a collection, of all pages; `records` is the array's name.
    fn list(&mut self, collection: &Collection, records: &str) -> Result<Vec<Value>, ApiError>;

    /// One resource, or a page of its own (`Balance` with an empty SID, `Builds/ZB…` with `Status`).
    fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError>;

    /// Makes one. Not repeated after a failure that may have had an effect: see [`ApiError::is_uncertain`].
    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError>;

    /// Changes fields of one.
    fn update(&mut self, collection: &Collection, sid: &str, form: &Form) -> Result<Value, ApiError>;

    /// Removes one; one that is gone already is no error.
    fn delete(&mut self, collection: &Collection, sid: &str) -> Result<(), ApiError>;

    /// A new version of an asset; the answer has its `sid`.
    fn upload(&mut self, service: &str, asset: &str, upload: &Upload<'_>) -> Result<Value, ApiError>;
}

/// What Twilio or the way to it answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Twilio said no (TWILIO.md "API errors").
    #[error("{request}: Twilio refused, {status}{}: {message}", code_text(.code))]
    Refused { request: String, status: u16, code: Option<u32>, message: String },
    /// Twilio has trouble or is busy, also after all attempts (429, 5xx).
    #[error("{request}: Twilio is in trouble, {status}{}: {message}; run the command again later", code_text(.code))]
    Unavailable { request: String, status: u16, code: Option<u32>, message: String },
    /// No answer: resolver, TCP, TLS, time-out.
    #[error("{request}: no answer: {reason}; check the line, the clock (TLS needs it) and twilio.api")]
    NoAnswer { request: String, reason: String },
    /// The clock is wrong, so no certificate could be checked; nothing was sent.
    #[error(
        "{request}: nothing was sent: this machine's clock says {doubt}; set it with \"date -s\", or see why SNTP \
         ([clock] sntp) is not reached, and run the command again"
    )]
    Clock { request: String, doubt: String },
    /// An answer that is none of Twilio's.
    #[error("{request}: the answer cannot be understood: {reason}; check twilio.api")]
    Nonsense { request: String, reason: String },
}

impl ApiError {
    /// Whether the request may have been carried out all the same. A 429 never is (TWILIO.md "API rate limits").
    pub fn is_uncertain(&self) -> bool {
        match self {
            ApiError::NoAnswer { .. } | ApiError::Nonsense { .. } => true,
            ApiError::Unavailable { status, .. } => *status != 429,
            ApiError::Refused { .. } | ApiError::Clock { .. } => false,
        }
    }

    /// Twilio's error code.
    pub fn code(&self) -> Option<u32> {
        match self {
            ApiError::Refused { code, .. } | ApiError::Unavailable { code, .. } => *code,
            ApiError::NoAnswer { .. } | ApiError::Nonsense { .. } | ApiError::Clock { .. } => None,
        }
    }
}

fn code_text(code: &Option<u32>) -> String {
    code.map(|code| format!(" code {code}")).unwrap_or_default()
}
