//! Errors of the 2010 API (TWILIO.md "API errors").

/// HTTP status, Twilio code and message.
#[derive(Clone, Debug)]
pub struct RestError {
    /// HTTP status.
    pub status: u16,
    /// Twilio's error code.
    pub code: u32,
    /// Words for people.
    pub message: String,
}

impl RestError {
    /// 400 with a code: validation and duplicates (TWILIO.md "API errors").
    pub fn bad(code: u32, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// 404/20404 with the text of the real API.
    pub fn not_found(path: &str) -> Self {
        Self { status: 404, code: 20404, message: format!("The requested resource {path} was not found") }
    }

    /// 401/20003 (TWILIO.md "API login").
    pub fn unauthorized(message: &str) -> Self {
        Self { status: 401, code: 20003, message: message.to_owned() }
    }

    /// 405/20004.
    pub fn method(method: &str) -> Self {
        Self { status: 405, code: 20004, message: format!("Method {method} not allowed") }
    }

    /// The JSON body (TWILIO.md "API errors").
    pub fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status,
        })
    }
}
