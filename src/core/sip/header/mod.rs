//! Headers: typed readers and writers, which the rest of the program uses alone. How headers are held is known in
//! [`crate::sip`] only, and `tests/headers.rs` keeps it so.
//!
//! Names are matched without case; compact forms were made long by [`super::wire`]. Readers take the header's value
//! as text and never panic. Writers are `push_`, which appends, and `set_`, which replaces.
//!
//! | file | headers |
//! |---|---|
//! | `identity` | From, To, Call-ID, Refer-To, and a request of ours |
//! | `address` | Contact, and what an address is |
//! | `routing`, `via` | Via, Route, Record-Route |
//! | `number` | CSeq, RAck, RSeq, Max-Forwards, Expires, Min-Expires, Retry-After |
//! | `timer` | Session-Expires, Min-SE |
//! | `option` | Require, Supported, Unsupported, Allow |
//! | `auth` | challenges and credentials |
//! | `content` | Content-Type and Accept, with their kin |
//! | `note`, `reason` | User-Agent, Server, Warning, events, what Twilio and our own TwiML say |
//! | `privacy` | Privacy, and a From that names nobody |
//! | `date` | Date |
//! | `untyped` | any, by name: for [`crate::sip`] and for tests |

mod address;
mod auth;
mod content;
mod date;
mod identity;
mod name;
mod note;
mod number;
mod option;
mod params;
mod privacy;
mod reason;
mod replaces;
mod routing;
mod text;
mod timer;
mod untyped;
mod via;

/// The headers of a message. Only [`crate::sip`] knows more of them than this name.
pub use rsip::Headers;

pub use address::{Contact, NameAddr, contacts, push_contact, set_contact, tag};
pub use auth::{AuthHeader, authorizations, has_credentials, push_challenge, set_credentials};
pub(super) use auth::{challenges, copy_credentials};
pub(super) use content::{
    content_disposition, content_encoding, content_transfer_encoding, content_type, push_accept_encoding,
};
pub use content::{push_accept, push_content_type};
pub use date::{date, push_date, write_date};
pub use identity::{call_id, from, from_tag, push_call_id, push_from, push_to, refer_to, request, to, to_tag};
pub use name::{long_name, make, parts};
pub use note::{
    CALL_BACK, INBOUND, TARGET, inbound, is_call_back, is_call_sid, push_event, push_server, push_subscription_state,
    push_user_agent, push_warning, target, twilio_error, user_agent, warning,
};
pub use number::{
    cseq, expires, max_forwards, min_expires, push_cseq, push_expires, push_max_forwards, push_min_expires, push_rack,
    push_retry_after, push_rseq, rack, retry_after, rseq, set_cseq,
};
pub use option::{
    push_allow, push_allow_events, push_require, push_supported, push_unsupported, remove_require, require, requires,
    set_supported, supports,
};
pub use params::Params;
pub use privacy::{PRIVACY_FIELD, Privacy, privacy, push_privacy};
pub use reason::{Reason, push_reason, reason, reasons};
pub use replaces::Replaces;
pub(super) use routing::push_route;
pub use routing::{push_record_route, record_routes, remove_record_routes, via};
pub use text::{is_token, quote, split_list};
pub use timer::{
    Refresher, SessionExpires, min_se, push_min_se, push_session_expires, session_expires, set_min_se,
    set_session_expires,
};
pub use untyped::{has_token, remove, set, value, values};
pub use via::Via;

/// A header's value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct HeaderError(pub &'static str);
