//! What ends say about themselves and about a call: programs, warnings, events, and headers that begin with `X-`.

use std::fmt::Display;

use rsip::Headers;

use super::untyped::push;
use super::value;

/// Header of an INVITE from Twilio that our own TwiML asked for: this call is a call back. Twilio passes on headers that
/// begin with `X-` (TWILIO.md "Sip noun").
pub const CALL_BACK: &str = "X-Gateway-Call-Back";

/// Header of an INVITE from Twilio that our own TwiML asked for: Twilio's CallSid of the caller's leg, which the action
/// of the `<Dial>` will name, too.
pub const INBOUND: &str = "X-Gateway-Parent";

/// What [`INBOUND`] says, if it can be a CallSid (TWILIO.md "Call to an extension").
pub fn inbound(headers: &Headers) -> Option<&str> {
    value(headers, INBOUND).filter(|sid| is_call_sid(sid))
}

/// Whether a text can be a CallSid: letters and digits, of 34 at most.
pub fn is_call_sid(text: &str) -> bool {
    (1..=34).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether an INVITE carries [`CALL_BACK`].
pub fn is_call_back(headers: &Headers) -> bool {
    value(headers, CALL_BACK).is_some()
}

/// Header of an INVITE from Twilio that our own TwiML asked for: whom the call is for. Only what comes on the trunk's own
/// flow is believed.
pub const TARGET: &str = "X-Gateway-Target";

/// The value of [`TARGET`].
pub fn target(headers: &Headers) -> Option<&str> {
    value(headers, TARGET)
}

/// Code and text of an error that Twilio names in a refusal (TWILIO.md "X-Twilio-Error").
pub fn twilio_error(headers: &Headers) -> Option<&str> {
    value(headers, "X-Twilio-Error")
}

/// What the other end's program calls itself in a request.
pub fn user_agent(headers: &Headers) -> Option<&str> {
    value(headers, "User-Agent")
}

/// Writes what our program calls itself, in a request.
pub fn push_user_agent(headers: &mut Headers, name: impl Into<String>) {
    push(headers, "User-Agent", name);
}

/// The same in a response.
pub fn push_server(headers: &mut Headers, name: impl Into<String>) {
    push(headers, "Server", name);
}

/// The Warning as it was written.
pub fn warning(headers: &Headers) -> Option<&str> {
    value(headers, "Warning")
}

/// Writes a Warning of code 399, which a person with a trace finds (RFC 3261 section 20.43). `agent` is a name or an
/// address. What would need an escape in the text becomes an apostrophe.
pub fn push_warning(headers: &mut Headers, agent: impl Display, text: &str) {
    let mut value = format!("399 {agent} \"");
    value.reserve(text.len() + 1);
    value.extend(text.chars().map(|c| if matches!(c, '"' | '\\' | '\r' | '\n') { '\'' } else { c }));
    value.push('"');
    push(headers, "Warning", value);
}

/// Writes the event package of a NOTIFY (RFC 6665 section 8.2.1).
pub fn push_event(headers: &mut Headers, package: impl Into<String>) {
    push(headers, "Event", package);
}

/// Writes how the subscription of a NOTIFY stands (RFC 6665 section 8.2.3).
pub fn push_subscription_state(headers: &mut Headers, state: impl Into<String>) {
    push(headers, "Subscription-State", state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_warning_can_not_end_its_quotes_or_its_line() {
        let mut headers = Headers::default();
        push_warning(&mut headers, "gateway", "a \"b\" \\c\r\nd");
        assert_eq!(value(&headers, "Warning"), Some("399 gateway \"a 'b' 'c''d\""));
    }
}
