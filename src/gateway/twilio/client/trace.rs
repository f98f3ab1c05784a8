//! What a request and its answer look like to people: without any secret.

use serde_json::Value;

use gateway_account::api::{Form, FormValue, Upload};
use gateway_core::secret::Secret;
use gateway_core::url::masked;

/// Names of reply fields whose content is never shown.
const SECRET_FIELDS: [&str; 3] = ["auth_token", "secret", "password"];

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Replaces the secrets of one request wherever they stand: Twilio may quote in an error what it was sent.
pub(super) struct Mask<'a>(Vec<&'a Secret<String>>);

impl<'a> Mask<'a> {
    /// The secrets of `form`, and what the request was authenticated with.
    pub fn new(login: &'a Secret<String>, form: Option<&'a Form>) -> Mask<'a> {
        let fields = form.into_iter().flat_map(|form| &form.0).filter_map(|(_, value)| match value {
            FormValue::Secret(secret) => Some(secret),
            FormValue::Plain(_) => None,
        });
        let is_there = |secret: &&Secret<String>| !secret.expose().is_empty();
        Mask(std::iter::once(login).chain(fields).filter(is_there).collect())
    }

    /// A text without those secrets, and without the user information of URLs.
    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(masked(text), |text, secret| text.replace(secret.expose().as_str(), MASK))
    }

    /// A form as ` name=value name=***`.
    pub fn form(&self, form: &Form) -> String {
        let field = |(name, value): &(String, FormValue)| match value {
            FormValue::Plain(text) => format!(" {name}={}", self.text(text)),
            FormValue::Secret(_) => format!(" {name}={MASK}"),
        };
        form.0.iter().map(field).collect()
    }

    /// An answer's JSON; of an answer that is not JSON the size alone.
    pub fn answer(&self, body: &str) -> String {
        match serde_json::from_str::<Value>(body) {
            Ok(mut value) => {
                self.value(&mut value);
                value.to_string()
            }
            Err(_) => format!("({} bytes)", body.len()),
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match SECRET_FIELDS.contains(&name.as_str()) {
                        true => *value = Value::from(MASK),
                        false => self.value(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }
}

/// An upload as ` Path=/a Content=(12 bytes of audio/mpeg)`.
pub(super) fn upload(upload: &Upload<'_>) -> String {
    format!(" Path={} Content=({} bytes of {})", upload.path, upload.content.len(), upload.content_type)
}
