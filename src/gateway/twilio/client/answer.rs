//! An answer of Twilio's, and what it says when it is a no (TWILIO.md "API errors").

use std::time::Duration;

use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

use super::trace::Mask;
use gateway_account::api::ApiError;

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// An answer with any status.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// `X-Twilio-Error-Code` repeats the body's code (TWILIO.md "API errors").
    code: Option<u32>,
    pub body: String,
}

impl Answer {
    pub fn read(mut response: Response<Body>) -> Result<Answer, ureq::Error> {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let retry_after = header("Retry-After").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let code = header("X-Twilio-Error-Code").and_then(|text| text.parse().ok());
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), retry_after, code, body })
    }

    /// Reads both shapes: Twilio's `{code, message, status}` and RFC 9457's `{type, title, detail, status}`, and an
    /// answer that is neither, from a proxy on the way. `advice` is what to check when Twilio does not know us.
    pub fn error(&self, request: &str, advice: &str, mask: &Mask<'_>) -> ApiError {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = body
            .get("code")
            .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .and_then(|code| u32::try_from(code).ok())
            .or(self.code);
        let message = mask.text(text("message").or(text("detail")).or(text("title")).unwrap_or("no reason given"));
        let message = match self.status {
            401 => format!("{message}; {advice}"),
            _ => message,
        };
        let (request, status) = (request.to_owned(), self.status);
        match status {
            429 | 500..=599 => ApiError::Unavailable { request, status, code, message },
            _ => ApiError::Refused { request, status, code, message },
        }
    }
}
