//! What a body is, and which bodies are taken. [`crate::sip::body`] reads the values.

use rsip::Headers;

use super::untyped::push;
use super::value;

/// Content-Type with its parameters.
pub fn content_type(headers: &Headers) -> Option<&str> {
    value(headers, "Content-Type")
}

/// Writes Content-Type.
pub fn push_content_type(headers: &mut Headers, media_type: impl Into<String>) {
    push(headers, "Content-Type", media_type);
}

/// Content-Disposition with its parameters.
pub fn content_disposition(headers: &Headers) -> Option<&str> {
    value(headers, "Content-Disposition")
}

/// Content-Encoding.
pub fn content_encoding(headers: &Headers) -> Option<&str> {
    value(headers, "Content-Encoding")
}

/// Content-Transfer-Encoding (RFC 2045 section 6).
pub fn content_transfer_encoding(headers: &Headers) -> Option<&str> {
    value(headers, "Content-Transfer-Encoding")
}

/// Writes Accept with a comma list of media types.
pub fn push_accept(headers: &mut Headers, media_types: impl Into<String>) {
    push(headers, "Accept", media_types);
}

/// Writes Accept-Encoding.
pub fn push_accept_encoding(headers: &mut Headers, codings: impl Into<String>) {
    push(headers, "Accept-Encoding", codings);
}
