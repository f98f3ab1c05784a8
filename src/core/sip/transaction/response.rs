//! The beginning of every response.

use rsip::{Request, Response};

use crate::sip::header;
use crate::sip::status;

/// A response with what RFC 3261 section 8.2.6 copies from the request: all Vias, From, To, Call-ID, CSeq, and
/// Timestamp into a 100. With a `to_tag`, To gets it unless it has one.
pub fn response_to(request: &Request, code: u16, to_tag: Option<&str>) -> Response {
    let mut response =
        Response { status_code: status::status(code), version: request.version.clone(), ..Response::default() };
    for original in request.headers.iter() {
        let (name, value) = header::parts(original);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("To") {
            response.headers.push(header::make("To", with_tag(value, to_tag)));
        } else if ["Via", "From", "Call-ID", "CSeq"].into_iter().any(is) || (code == 100 && is("Timestamp")) {
            response.headers.push(original.clone());
        }
    }
    response
}

/// A To value with a tag appended, unless it has one. What was written is kept as it is.
fn with_tag(to: &str, tag: Option<&str>) -> String {
    match tag {
        Some(tag) if header::tag(to).is_none() => format!("{to};tag={tag}"),
        _ => to.to_owned(),
    }
}
