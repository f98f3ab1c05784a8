//! rsip types into bytes (RFC 3261 section 7).

use rsip::{Headers, Request, Response};

use super::method_token;
use crate::sip::status::reason;
use crate::sip::{header, uri};

/// The octets of a request. Content-Length is computed, whatever the headers say.
pub fn write_request(request: &Request) -> Vec<u8> {
    let start = format!("{} {} SIP/2.0\r\n", method_token(request.method), uri::write(&request.uri));
    write(&start, &request.headers, &request.body)
}

/// The octets of a response, with the IANA reason phrase ([`super::super::status::reason`]).
pub fn write_response(response: &Response) -> Vec<u8> {
    let code = response.status_code.code();
    write(&format!("SIP/2.0 {code} {}\r\n", reason(code)), &response.headers, &response.body)
}

fn write(start: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    const CONTENT_LENGTH: &str = "Content-Length";
    let size: usize = headers.iter().map(header::parts).map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(start.len() + size + CONTENT_LENGTH.len() + 16 + body.len());
    out.extend_from_slice(start.as_bytes());
    let mut length_written = false;
    let length = body.len().to_string();
    for (name, value) in headers.iter().map(header::parts) {
        let name = header::long_name(name);
        if name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            if !std::mem::replace(&mut length_written, true) {
                line(&mut out, CONTENT_LENGTH, &length);
            }
        } else if header::is_token(name) {
            line(&mut out, name, value);
        }
    }
    if !length_written {
        line(&mut out, CONTENT_LENGTH, &length);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// One header. CR and LF in a value become spaces: a value can not start a header of its own.
fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value.trim().as_bytes());
    out[start..].iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
    out.extend_from_slice(b"\r\n");
}
