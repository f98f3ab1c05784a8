//! What an emergency call's INVITE may never be refused for.
//!
//! The rule: **what it demands beyond sound is passed over, and what it lacks is made up.** Only an INVITE that no
//! response can be sent to, or that cannot be read at all, does not leave.
//!
//! | the INVITE has | another call gets | an emergency call |
//! |---|---|---|
//! | an unknown option tag in Require | 420 | leaves; the demand is passed over |
//! | `Require: 100rel`, and never sends PRACK | 504 | leaves; its answer waits [`PRACK_WAIT`] for it |
//! | Max-Forwards 0 | 483 | leaves, with hops of its own |
//! | no Contact, or one that cannot be used | 400 | leaves; the address that it came from is the Contact |
//! | a Record-Route that cannot be read | 400 | leaves; without a route |
//! | a session interval that is too short | 422 | leaves; without a session timer |
//! | Content-Encoding, an unknown Content-Type, garbage | 415, 400 | leaves; our 200 makes the offer |
//! | no line of SDP that can be done: DTLS, no codec of ours | 488 | leaves; the answer says what can be done ([`sdp::salvage`]) |
//! | an ACK without an answer to our offer | BYE | goes on; what we offered counts, and the first packet shows the address |

use std::time::Duration;

use rsip::Request;

use super::admission::OPTIONS;
use super::description::{self, Demand};
use super::session_timer::SessionTimer;
use super::uas;
use crate::sip::body;
use crate::sip::dialog::Dialog;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, Contact, NameAddr};
use crate::sip::sdp::{self, Remote};
use crate::sip::uri;

/// How long the answer to an emergency call waits for a PRACK that the phone promised: time to repeat it once.
pub(super) const PRACK_WAIT: Duration = Duration::from_secs(2);

/// Makes an INVITE one that can be taken, and says which session timer it agrees on.
pub(super) fn settle(invite: &mut Request, flow: Flow) -> Option<SessionTimer> {
    let known: Vec<String> = header::require(&invite.headers)
        .filter(|option| OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(option)))
        .map(str::to_owned)
        .collect();
    header::remove_require(&mut invite.headers);
    if !known.is_empty() {
        header::push_require(&mut invite.headers, known.join(", "));
    }
    let contacts = header::contacts(&invite.headers);
    let is_reachable = matches!(contacts.as_deref(), Ok([Contact::Addr(address), ..]) if uri::is_sip(&address.uri));
    if !is_reachable {
        let contact = address_of(invite, flow);
        header::set_contact(&mut invite.headers, contact);
    }
    if Dialog::uas(invite, "", "").is_err() {
        header::remove_record_routes(&mut invite.headers);
    }
    uas::session_timer_of(invite, None).unwrap_or_default()
}

/// Where the INVITE came from, as a Contact.
fn address_of(invite: &Request, flow: Flow) -> String {
    let user = header::from(&invite.headers).ok().and_then(|from| uri::user(&from.uri));
    let mut contact = uri::sip(user.as_deref(), &flow.remote.ip().to_string(), Some(flow.remote.port()));
    if flow.transport != Transport::Udp {
        uri::set_param(&mut contact, "transport", Some(flow.transport.uri_token()));
    }
    NameAddr::new(contact).to_string()
}

/// What it offers, as far as anything can be made of it; `None` where our 200 must make the offer. Where nothing but SRTP
/// will do, an offer without keys is none.
pub(super) fn offer(invite: &Request, demand: Demand) -> Option<Remote> {
    match description::offer(&invite.headers, &invite.body, demand) {
        Ok(offer) => offer,
        Err(_) => body::description(&invite.headers, &invite.body)
            .ok()
            .flatten()
            .and_then(|text| sdp::salvage(&text))
            .filter(|offer| demand == Demand::Any || offer.crypto.is_some()),
    }
}
