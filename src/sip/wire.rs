//! Bytes into rsip types and back (RFC 3261 section 7 and 25, RFC 4475).

use rsip::{Request, Response, SipMessage};

/// Start line and headers of one message, octets.
pub const MAX_HEAD: usize = 16 * 1024;
/// Body of one message, octets.
pub const MAX_BODY: usize = 64 * 1024;
/// Header lines of one message, after comma lists are split.
pub const MAX_HEADERS: usize = 128;

/// What is wrong with a message. Where enough of a request could be read to answer it, `reply` is that answer's code
/// and the headers that the answer must copy.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadError {
    pub fault: Fault,
    /// For a request with readable Via, From, To, Call-ID and CSeq: the answer to send (not for ACK).
    pub reply: Option<Box<Response>>,
}

/// The fault itself; `code` tells which final response it deserves.
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

/// What a datagram holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Datagram {
    Message(SipMessage),
    /// Nothing but CR, LF or NUL: a keepalive of RFC 5626 or of a NAT-ted phone.
    Keepalive,
}

/// Reads one datagram (RFC 3261 section 18.3: octets behind Content-Length are dropped, a short body is an error).
pub fn read_datagram(bytes: &[u8]) -> Result<Datagram, ReadError> {
    todo!()
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

/// Cuts a byte stream into messages by Content-Length. Never holds more than [`MAX_HEAD`] + [`MAX_BODY`] octets.
#[derive(Debug, Default)]
pub struct StreamReader {
    // private
}

impl StreamReader {
    /// Appends what came in.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!()
    }

    /// The next whole frame; `Ok(None)` when more octets are needed; an error when the stream can not be
    /// resynchronised (no or contradictory Content-Length, head too long) and must be closed.
    pub fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        todo!()
    }
}

/// The octets of a request. Content-Length is computed, whatever the headers say.
pub fn write_request(request: &Request) -> Vec<u8> {
    todo!()
}

/// The octets of a response, with the IANA reason phrase ([`super::status::reason`]).
pub fn write_response(response: &Response) -> Vec<u8> {
    todo!()
}
