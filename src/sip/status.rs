//! Status codes and their reason phrases (IANA sip-parameters).

use rsip::StatusCode;

/// The reason phrase of a code; the class's name for unknown ones.
pub fn reason(code: u16) -> &'static str {
    todo!()
}

/// The rsip status of a code.
pub fn status(code: u16) -> StatusCode {
    todo!()
}
