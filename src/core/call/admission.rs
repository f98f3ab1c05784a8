//! What an INVITE outside a dialog must be, from a handset or the SIP domain. An emergency call's need not be so
//! ([`super::emergency_invite`]).

use rsip::{Request, Response};

use super::description::{self, Demand};
use super::session_timer::SessionTimer;
use super::{Core, uas};
use crate::sip::header;
use crate::sip::transaction::response_to;

/// Option tags that we understand in Require.
pub(super) const OPTIONS: [&str; 2] = ["100rel", "timer"];

/// The session timer that it agrees on, or the refusal.
pub(super) fn check(
    core: &mut Core<'_, '_>,
    invite: &Request,
    demand: Demand,
) -> Result<Option<SessionTimer>, Box<Response>> {
    let tag = core.cx.random.hex(8);
    let refusal = |code| Box::new(response_to(invite, code, Some(&tag)));
    let unsupported: Vec<&str> = header::require(&invite.headers)
        .filter(|option| !OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(option)))
        .collect();
    if !unsupported.is_empty() {
        let mut response = refusal(420);
        header::push_unsupported(&mut response.headers, unsupported.join(", "));
        return Err(response);
    }
    if header::max_forwards(&invite.headers).is_ok_and(|hops| hops == Some(0)) {
        return Err(refusal(483));
    }
    if !matches!(header::contacts(&invite.headers).as_deref(), Ok([header::Contact::Addr(_), ..])) {
        return Err(refusal(400));
    }
    if let Err(error) = description::offer(&invite.headers, &invite.body, demand) {
        let mut response = refusal(error.code());
        error.explain(&mut response);
        return Err(response);
    }
    uas::session_timer_of(invite, Some(&core.cx.random.hex(8)))
}
