//! What an end can do: option tags (RFC 3261 section 19.2) and methods.

use rsip::Headers;

use super::untyped::{push, tokens};
use super::{has_token, remove, set};
use crate::sip::wire;

/// The option tags of Require.
pub fn require(headers: &Headers) -> impl Iterator<Item = &str> {
    tokens(headers, "Require")
}

/// Whether Require has an option tag.
pub fn requires(headers: &Headers, option: &str) -> bool {
    has_token(headers, "Require", option)
}

/// Writes Require with a comma list of option tags.
pub fn push_require(headers: &mut Headers, options: impl Into<String>) {
    push(headers, "Require", options);
}

/// Removes every Require.
pub fn remove_require(headers: &mut Headers) {
    remove(headers, "Require");
}

/// Whether Supported has an option tag.
pub fn supports(headers: &Headers, option: &str) -> bool {
    has_token(headers, "Supported", option)
}

/// Writes Supported with a comma list of option tags.
pub fn push_supported(headers: &mut Headers, options: impl Into<String>) {
    push(headers, "Supported", options);
}

/// Writes the Unsupported of a 420 with a comma list of option tags.
pub fn push_unsupported(headers: &mut Headers, options: impl Into<String>) {
    push(headers, "Unsupported", options);
}

/// Sets Supported to a comma list of option tags.
pub fn set_supported(headers: &mut Headers, options: impl Into<String>) {
    set(headers, "Supported", options);
}

/// Writes Allow-Events with the one event package that we know (RFC 6665 section 8.2.2): transfers (RFC 3515).
pub fn push_allow_events(headers: &mut Headers) {
    push(headers, "Allow-Events", "refer");
}

/// Writes Allow with every method that we handle.
pub fn push_allow(headers: &mut Headers) {
    push(headers, "Allow", wire::allowed());
}
