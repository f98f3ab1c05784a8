//! How we name ourselves to the SIP domain, and ask whether it is there.

use rsip::{Method, Request};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::context::Context;
use crate::hex::hex;
use crate::sip::{body, header, uri};

/// OPTIONS to the domain (RFC 3261 section 11).
pub(super) fn options(context: &mut Context<'_>, contact: &str) -> Request {
    let target = uri::sip(None, &context.config.trunk.domain, None);
    let domain = uri::write(&target);
    let mut request = header::request(Method::Options, target);
    let headers = &mut request.headers;
    header::push_from(headers, format!("<{domain}>;tag={}", context.random.hex(4)));
    header::push_to(headers, format!("<{domain}>"));
    header::push_call_id(headers, format!("{}@gateway", context.random.hex(16)));
    header::push_cseq(headers, 1, "OPTIONS");
    header::push_contact(headers, format!("<{contact}>"));
    header::push_accept(headers, body::SDP);
    header::push_user_agent(headers, crate::USER_AGENT);
    request
}

/// `+sip.instance` (RFC 5626 section 4.1): the same after each restart, from what names this installation.
pub(super) fn instance(config: &Config) -> String {
    let hash =
        Sha256::new().chain_update(&config.site.name).chain_update([0]).chain_update(&config.trunk.domain).finalize();
    let hex = hex(&hash[..16]);
    // Version 8 of RFC 9562: made by a rule of our own.
    format!("<urn:uuid:{}-{}-8{}-8{}-{}>", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}
