//! Bytes into rsip types and back (RFC 3261 section 7 and 25, RFC 4475).

mod head;
mod method;
mod read;
mod reply;
mod stream;
mod write;

use rsip::{Response, SipMessage};

pub use method::{allowed, method_of, method_token};
pub use read::read_datagram;
pub use reply::stable_tag;
pub use stream::StreamReader;
pub use write::{write_request, write_response};

/// Start line and headers of one message, octets.
pub const MAX_HEAD: usize = 16 * 1024;
/// Body of one message, octets.
pub const MAX_BODY: usize = 64 * 1024;
/// Header lines of one message, after comma lists are split.
pub const MAX_HEADERS: usize = 128;

/// What is wrong with a message. Where enough of a request could be read to answer it, `reply` is that answer,
/// ready to send.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct ReadError {
    pub fault: Fault,
    /// The refusal, with Via, From, To (tagged), Call-ID and CSeq as far as the request had them. `None` for an ACK, a
    /// response, and what is not SIP or has no Via.
    pub reply: Option<Box<Response>>,
}

/// The fault itself; [`Fault::code`] tells which final response it deserves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("not a SIP message")]
    NotSip,
    #[error("head longer than {MAX_HEAD} octets, or more than {MAX_HEADERS} headers")]
    TooLarge,
    #[error("body longer than {MAX_BODY} octets")]
    BodyTooLarge,
    #[error("message ends before its Content-Length")]
    Truncated,
    #[error("unsupported SIP version")]
    Version,
    #[error("malformed request line")]
    RequestLine,
    #[error("malformed status line")]
    StatusLine,
    #[error("malformed header {0}")]
    Header(String),
    #[error("missing header {0}")]
    Missing(&'static str),
    #[error("header {0} more than once")]
    Repeated(&'static str),
    #[error("unknown method {0}")]
    UnknownMethod(String),
    #[error("unsupported URI scheme {0:?}")]
    UriScheme(String),
    #[error("CSeq method differs from the request's")]
    CSeqMethod,
}

impl Fault {
    /// The final response that a request with this fault deserves (RFC 3261 section 21.4 and 21.5).
    pub fn code(&self) -> u16 {
        match self {
            Fault::UnknownMethod(_) => 501,
            Fault::UriScheme(_) => 416,
            Fault::Version => 505,
            Fault::TooLarge => 513,
            Fault::BodyTooLarge => 413,
            _ => 400,
        }
    }
}

/// What a datagram holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once: a box would cost an allocation and save nothing")]
pub enum Datagram {
    Message(SipMessage),
    /// Nothing but CR, LF or NUL: a keepalive of RFC 5626 or of a NAT-ted phone.
    Keepalive,
}

/// What a stream yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Message(SipMessage),
    /// Double CRLF of RFC 5626 section 3.5.1: answer with one CRLF.
    Ping,
    /// Single CRLF: the answer to ours.
    Pong,
    /// A message that cannot be read but whose end is known; the stream goes on.
    Bad(ReadError),
}
