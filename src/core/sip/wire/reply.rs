//! The refusal of a request that could not be read.

use rsip::{Headers, Response};

use super::head::{Head, Start};
use super::{Fault, ReadError};
use crate::sip::header::{self, NameAddr};
use crate::sip::status::status;

/// The fault with the answer that it deserves, as far as the head allows one.
pub(super) fn refuse(head: &Head, fault: Fault) -> ReadError {
    ReadError { reply: answer(head, &fault).map(Box::new), fault }
}

/// RFC 3261 section 8.2.6.2; statelessly, as section 8.2.7 has it. Never to an ACK (section 17.1.1.3).
fn answer(head: &Head, fault: &Fault) -> Option<Response> {
    let Start::Request { method, .. } = &head.start else {
        return None;
    };
    let top_via = header::value(&head.headers, "Via")?;
    if method == "ACK" {
        return None;
    }
    let mut headers = Headers::default();
    for via in header::values(&head.headers, "Via") {
        headers.push(header::make("Via", via));
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let Some(value) = header::value(&head.headers, name) else {
            continue;
        };
        let untagged = name == "To" && NameAddr::parse(value).is_ok_and(|to| to.tag().is_none());
        let call_id = header::value(&head.headers, "Call-ID").unwrap_or_default();
        let value = match untagged {
            true => format!("{value};tag={}", stable_tag(call_id, top_via)),
            false => value.to_string(),
        };
        headers.push(header::make(name, value));
    }
    if let Fault::UnknownMethod(_) = fault {
        header::push_allow(&mut headers);
    }
    // Says which header it was, to whoever reads a trace of the phone (RFC 3261 section 20.43).
    headers.push(header::make("Warning", format!("399 gateway {}", header::quote(&fault.to_string()))));
    headers.push(header::make("Content-Length", "0"));
    Some(Response { status_code: status(fault.code()), headers, ..Response::default() })
}

/// A tag that is the same for every retransmission (RFC 3261 section 8.2.7) without any state: FNV-1a. It guards
/// nothing, so it needs no secret.
pub fn stable_tag(call_id: &str, via: &str) -> String {
    let step = |hash: u64, b: u8| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = call_id.bytes().chain([0]).chain(via.bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    format!("{hash:016x}")
}
