//! Twilio's webhooks: who may ask ([`signature`], [`credentials`]), what is answered ([`dialplan`]), how it is written ([`document`]).
//! Pure; the webhook listener gives it requests.

pub mod credentials;
pub mod dialplan;
pub mod document;
pub mod explain;
pub mod form;
pub mod proof;
pub mod refusal;
pub mod signature;

use crate::event::{Code, Event};
use credentials::CredentialsError;
use refusal::Refusal;
use signature::SignatureError;

/// Voice URL of the SIP domain: an extension calls out.
pub const OUTGOING_PATH: &str = "/twilio/outgoing";
/// Voice URL of the TwiML app: somebody calls one of our numbers.
pub const INCOMING_PATH: &str = "/twilio/incoming";
/// Action of every `<Dial>`: how it ended.
pub const DIALED_PATH: &str = "/twilio/dialed";
/// Action of the `<Dial>` to the phone that an emergency service calls back: how it ended.
pub const CALLED_BACK_PATH: &str = "/twilio/called-back";
/// Action of the `<Dial>` to the number outside that a phone forwards to: how it ended.
pub const FORWARDED_PATH: &str = "/twilio/forwarded";
/// Status callbacks of domain and app.
pub const STATUS_PATH: &str = "/twilio/status";
/// Callback of usage triggers: a day or a month has cost too much.
pub const USAGE_PATH: &str = "/twilio/usage";
/// With a nonce behind it: proves to set-up that the public URL reaches this box ([`proof`]).
pub const NONCE_PATH: &str = "/twilio/nonce/";

/// What a request's path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Outgoing,
    Incoming,
    Dialed,
    CalledBack,
    Forwarded,
    Status,
    Usage,
}

impl Endpoint {
    /// The endpoint of a path without its query.
    pub fn from_path(path: &str) -> Option<Self> {
        match path {
            OUTGOING_PATH => Some(Endpoint::Outgoing),
            INCOMING_PATH => Some(Endpoint::Incoming),
            DIALED_PATH => Some(Endpoint::Dialed),
            CALLED_BACK_PATH => Some(Endpoint::CalledBack),
            FORWARDED_PATH => Some(Endpoint::Forwarded),
            STATUS_PATH => Some(Endpoint::Status),
            USAGE_PATH => Some(Endpoint::Usage),
            _ => None,
        }
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Outgoing => OUTGOING_PATH,
            Endpoint::Incoming => INCOMING_PATH,
            Endpoint::Dialed => DIALED_PATH,
            Endpoint::CalledBack => CALLED_BACK_PATH,
            Endpoint::Forwarded => FORWARDED_PATH,
            Endpoint::Status => STATUS_PATH,
            Endpoint::Usage => USAGE_PATH,
        }
    }
}

/// What a webhook brought about. Texts are bounded and printable; nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// An extension's call goes on, to `to`: a number, or extensions.
    Outgoing { call_sid: String, extension: String, to: String },
    /// A call to one of our numbers rings extensions.
    Incoming { call_sid: String, from: String, number: String, ring: Vec<String> },
    /// A call was rejected.
    Rejected { call_sid: String, endpoint: Endpoint, reason: String },
    /// A phone did not take the call but sent it on: Twilio calls this number.
    Forwarded { call_sid: String, extension: String, number: String },
    /// A `<Dial>` ended.
    Dialed { call_sid: String, outcome: dialplan::Outcome, sip_code: Option<u16> },
    /// A status callback.
    Status { call_sid: String, status: String },
    /// A usage trigger has fired: a period has cost more than its limit. Amounts are Twilio's text. `token` stays the same
    /// when it is repeated.
    Spend { trigger: String, category: String, value: String, limit: String, period: String, token: String },
    /// A request that Twilio did not sign; answered 403. Told at the 1st, 2nd, 4th, 8th … in a row, which a
    /// minute without any ends.
    Unsigned { endpoint: Endpoint, error: SignatureError, in_a_row: u64 },
    /// A request without the credentials of our URLs; answered 401. Told as [`Self::Unsigned`] is, but for a first one
    /// that shows none: it may be Twilio's, which shows them when it is asked.
    Unauthorized { endpoint: Endpoint, error: CredentialsError, in_a_row: u64 },
    /// The signature matched only without `CallToken` and `StirVerstat`; told once.
    SignedWithoutCallToken { call_sid: String },
    /// No auth token is in the secrets: no request can be checked, all are answered 503. Told as [`Self::Unsigned`] is.
    NoAuthToken { in_a_row: u64 },
    /// No credentials for webhooks are in the secrets. Otherwise as [`Self::NoAuthToken`].
    NoCredentials { in_a_row: u64 },
    /// A signed request whose body is no form; answered 400.
    BadForm { endpoint: Endpoint, error: form::FormError, in_a_row: u64 },
    /// Twilio's request names an account that is not the config's; answered 403. Told as [`Self::Unsigned`] is.
    OtherAccount { endpoint: Endpoint, in_a_row: u64 },
    /// A connection was closed, as too many are open. Told as [`Self::Unsigned`] is.
    TooManyConnections { in_a_row: u64 },
    /// The listener could not accept a connection, by the system's word. Told as [`Self::Unsigned`] is.
    AcceptFailed { error: String, in_a_row: u64 },
    /// A request that came before; answered as then. Told at the 8th, 16th, 32nd … in a row.
    Replayed { endpoint: Endpoint, in_a_row: u64 },
    /// More requests than the rates allow; answered 429. Told as [`Self::Unsigned`] is.
    TooMany { in_a_row: u64 },
    /// Refused for what it is: a path or method that we do not have, a body too large, a client too slow. Told as
    /// [`Self::Unsigned`] is, for each reason.
    Stray { reason: Refusal, in_a_row: u64 },
}

impl WebhookEvent {
    /// Whether it shows that a request of Twilio's came in.
    pub fn is_from_twilio(&self) -> bool {
        match self {
            WebhookEvent::Outgoing { .. }
            | WebhookEvent::Incoming { .. }
            | WebhookEvent::Rejected { .. }
            | WebhookEvent::Forwarded { .. }
            | WebhookEvent::Dialed { .. }
            | WebhookEvent::Status { .. }
            | WebhookEvent::Spend { .. }
            | WebhookEvent::SignedWithoutCallToken { .. } => true,
            WebhookEvent::Unsigned { .. }
            | WebhookEvent::Unauthorized { .. }
            | WebhookEvent::NoAuthToken { .. }
            | WebhookEvent::NoCredentials { .. }
            | WebhookEvent::BadForm { .. }
            | WebhookEvent::OtherAccount { .. }
            | WebhookEvent::TooManyConnections { .. }
            | WebhookEvent::AcceptFailed { .. }
            | WebhookEvent::Replayed { .. }
            | WebhookEvent::TooMany { .. }
            | WebhookEvent::Stray { .. } => false,
        }
    }

    /// The line for the log.
    pub fn event(&self) -> Event {
        match self {
            WebhookEvent::Outgoing { call_sid, extension, to } => {
                Event::new(Code::WebhookOutgoing, call_sid, format!("{extension} calls {to}"))
            }
            WebhookEvent::Incoming { call_sid, from, number, ring } => Event::new(
                Code::WebhookIncoming,
                call_sid,
                format!("{from} calls {number}, which rings {}", ring.join(", ")),
            ),
            WebhookEvent::Rejected { call_sid, endpoint, reason } => {
                Event::new(Code::WebhookRejected, call_sid, format!("{}: {reason}", endpoint.path()))
            }
            WebhookEvent::Dialed { call_sid, outcome, sip_code } => {
                let code = sip_code.map(|code| format!(" ({code})")).unwrap_or_default();
                Event::new(Code::WebhookDialed, call_sid, format!("ended as {outcome}{code}"))
            }
            WebhookEvent::Forwarded { call_sid, extension, number } => Event::new(
                Code::CallForwarded,
                call_sid,
                format!("{extension} forwards it; Twilio calls {number} with the caller's own number"),
            ),
            WebhookEvent::Status { call_sid, status } => Event::new(Code::WebhookStatus, call_sid, status),
            WebhookEvent::Unsigned { endpoint, error, in_a_row } => Event::new(
                Code::WebhookUnsigned,
                endpoint.path(),
                format!("answered 403: {error} ({in_a_row} in a row)"),
            ),
            WebhookEvent::Spend { trigger, category, value, limit, period, .. } => Event::new(
                Code::AccountSpend,
                trigger,
                format!("{category} has reached {value}, the limit is {limit} ({period})"),
            ),
            WebhookEvent::Unauthorized { endpoint, error, in_a_row } => Event::new(
                Code::WebhookUnauthorized,
                endpoint.path(),
                format!("answered 401: {error} ({in_a_row} in a row)"),
            ),
            WebhookEvent::SignedWithoutCallToken { call_sid } => Event::new(
                Code::WebhookSignedInPart,
                call_sid,
                "Twilio's signature leaves out CallToken and StirVerstat; accepted, the two are never used",
            ),
            WebhookEvent::NoAuthToken { in_a_row } => Event::new(
                Code::WebhookNoAuthToken,
                "webhook",
                format!(
                    "answered 503: no auth token to check signatures with; run gateway setup ({in_a_row} in a row)"
                ),
            ),
            WebhookEvent::NoCredentials { in_a_row } => Event::new(
                Code::WebhookNoCredentials,
                "webhook",
                format!("answered 503: no credentials for webhooks yet; run gateway setup ({in_a_row} in a row)"),
            ),
            WebhookEvent::BadForm { endpoint, error, in_a_row } => Event::new(
                Code::WebhookBadForm,
                endpoint.path(),
                format!("answered 400: {error} ({in_a_row} in a row)"),
            ),
            WebhookEvent::OtherAccount { endpoint, in_a_row } => Event::new(
                Code::WebhookOtherAccount,
                endpoint.path(),
                format!("answered 403: AccountSid is not twilio.account_sid of the config ({in_a_row} in a row)"),
            ),
            WebhookEvent::TooManyConnections { in_a_row } => Event::new(
                Code::WebhookTooManyConnections,
                "webhook",
                format!("closed a connection, too many are open ({in_a_row} in a row)"),
            ),
            WebhookEvent::AcceptFailed { error, in_a_row } => Event::new(
                Code::WebhookAcceptFailed,
                "webhook",
                format!("{error}; accepting goes on ({in_a_row} in a row)"),
            ),
            WebhookEvent::TooMany { in_a_row } => Event::new(
                Code::WebhookTooMany,
                "webhook",
                format!(
                    "answered 429: a flood of requests that are not Twilio's ({in_a_row} of them so far); Twilio's get through"
                ),
            ),
            WebhookEvent::Replayed { endpoint, in_a_row } => Event::new(
                Code::WebhookReplayed,
                endpoint.path(),
                format!(
                    "a request came that had come before ({in_a_row} in a row); Twilio repeats a few, so many come from \
                     somebody who captured one: they get the same answer and no place of Twilio's"
                ),
            ),
            // The internet looks for open doors everywhere: that is no news.
            WebhookEvent::Stray { reason, in_a_row } => {
                Event::new(Code::WebhookStray, "webhook", format!("refused: {} ({in_a_row} in a row)", reason.word()))
            }
        }
    }
}
