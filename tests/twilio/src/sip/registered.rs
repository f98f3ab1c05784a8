//! Which registered contacts a SIP URI of a Dial or of the Calls resource means (TWILIO.md "Call to an extension",
//! TWILIO.md "Sip noun", TWILIO.md "Calls by the API").

use std::sync::Arc;

use super::message::{host_of, uri_param, user_of};
use super::outbound::{self, Target};
use crate::form;
use crate::journal::Event;
use crate::leg::{Cause, End, Leg};
use crate::twilio::Twilio;

/// Starts a leg to every contact that `text` (`sip:user@domain;secure=true?x-a=b`) means, for call `call`.
pub async fn call(twilio: &Arc<Twilio>, call: &str, text: &str, caller_id: &str, sid: &str) -> Result<Vec<Leg>, End> {
    let (uri, headers) = text.split_once('?').unwrap_or((text, ""));
    let fail = |code: u32, text: String| {
        twilio.journal.alert(code, text);
        Err(End::of(Cause::Failed))
    };
    if !uri.starts_with("sip:") || uri.len() >= 255 || headers.len() >= 1024 {
        return fail(13243, format!("Dial->SIP: Invalid SIP URI {uri:?}"));
    }
    let user = user_of(uri);
    let host = host_of(uri);
    let domain = twilio.store().domain_by_host(host);
    let Some(domain) = domain else {
        // Calls to foreign SIP servers are not built yet.
        return fail(13254, format!("Dial->Sip: {host} is not a domain of this account"));
    };
    if domain.text("domain_name") != host {
        // TWILIO.md "Call to an extension": Use the global host: an edge host -> 32220.
        return fail(32220, format!("Specifying an edge is not allowed when dialing SIP registered endpoints: {host}"));
    }
    if user.is_empty() {
        return fail(32223, format!("There is no username in the SIP URI {uri}"));
    }
    if !is_caller_id(caller_id) {
        return fail(13214, format!("Dial: Invalid callerId value {caller_id:?}"));
    }
    let secure = match uri_param(uri, "secure") {
        Some("true") => true,
        None | Some("false") => domain.flag("secure") && twilio.switches().srtp_to_registered,
        Some(other) => {
            // TWILIO.md "Sip noun": Bad secure value = false + 32114.
            twilio.journal.alert(32114, format!("SIP: Unsupported parameter value secure={other}"));
            false
        }
    };
    let headers = form::decode(headers);
    if let Some((name, _)) = headers.iter().find(|(name, _)| name.to_ascii_lowercase().starts_with("x-twilio")) {
        // TWILIO.md "Call to an extension": names beginning X-Twilio are refused (32113).
        return fail(32113, format!("SIP: Header name is not allowed: {name}"));
    }
    let aor = format!("{user}@{host}");
    let (call, target, caller_id) = (call.to_owned(), aor.clone(), caller_id.to_owned());
    twilio.journal.write(Event::Dialled { call, target, caller_id: caller_id.clone() });
    let mut contacts = twilio.registrar().contacts(&aor);
    // TWILIO.md "Dial": a call to several contacts needs Enhanced Programmable SIP Features.
    if !twilio.switches().enhanced_sip && contacts.len() > 1 {
        contacts.drain(..contacts.len() - 1);
    }
    if contacts.is_empty() {
        twilio.journal.alert(32009, format!("{aor} is not registered with the corresponding SIP Domain"));
        let code = twilio.switches().unregistered_code;
        return Err(End { cause: Cause::Failed, sip_code: (code > 0).then_some(code), counters: None });
    }
    let domain = domain.text("domain_name").to_owned();
    let target = Target { user: user.to_owned(), domain, caller_id, secure, headers };
    let mut legs = Vec::new();
    // TWILIO.md "Registration": incoming call forks to all contacts ... first 200 wins, others get CANCEL.
    for contact in contacts {
        if let Ok(leg) = outbound::call(twilio, contact, target.clone(), sid).await {
            legs.push(leg);
        }
    }
    Ok(legs)
}

/// Letters, digits and `+-_.` (TWILIO.md "Caller ID of a Dial").
pub fn is_caller_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-_.".contains(c))
}
