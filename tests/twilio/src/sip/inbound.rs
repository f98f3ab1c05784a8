//! INVITE from an extension to the domain (TWILIO.md "Call from an extension", TWILIO.md "Emergency caller").

use std::sync::Arc;

use tokio::sync::mpsc;

use super::auth::Verdict;
use super::confirmed::Confirmed;
use super::dialog::Dialog;
use super::edge::{ALLOW, send_final};
use super::flow::{Arrived, Flow};
use super::message::{Message, host_of, uri_of, user_of};
use super::sdp::{Audio, Crypto, SUITES};
use crate::call::{self, SipCaller};
use crate::journal::Event;
use crate::leg::{Cause, Command, End, Leg, LegDriver, LegEvent};
use crate::media::endpoint::Endpoint;
use crate::media::port::Port;
use crate::rest::Kind;
use crate::twilio::Twilio;

/// Numbers that go straight to an emergency service (TWILIO.md "Emergency numbers").
pub const EMERGENCY: [&str; 4] = ["911", "933", "112", "999"];

/// The private address of the voice server behind the edge (TWILIO.md "Call to an extension").
pub const PRIVATE: &str = "172.25.75.240:5060";

struct Refusal {
    code: u16,
    reason: &'static str,
    error: &'static str,
}

fn refusal(code: u16, reason: &'static str, error: &'static str) -> Refusal {
    Refusal { code, reason, error }
}

enum Judgement {
    Challenge { stale: bool },
    Refuse(Refusal),
    Accept(Box<Accepted>),
}

struct Accepted {
    caller: SipCaller,
    theirs: Audio,
    ours_crypto: Option<(Crypto, Crypto)>,
    route: call::Route,
}

/// Answers an INVITE that begins a call.
pub fn on_invite(twilio: &Arc<Twilio>, flow: &Flow, message: Message) {
    // The literal text of the 100 (TWILIO.md "Call from an extension").
    let trying = Message::response(&message, 100, "trying -- your call is important to us");
    flow.send(&trying.with("Server", "Twilio Gateway"));
    match judge(twilio, flow, &message) {
        Judgement::Challenge { stale } => {
            let reply = twilio.nonces.challenge(&message, stale);
            send_final(twilio, flow, &message, &reply.with_to_tag(&crate::random::tag()));
        }
        Judgement::Refuse(refusal) => {
            let what = message.summary();
            let error = refusal.error.to_owned();
            twilio.journal.write(Event::Refused { what, code: refusal.code, error });
            let reply = Message::response(&message, refusal.code, refusal.reason)
                .with("X-Twilio-Error", refusal.error)
                .with("Server", "Twilio");
            send_final(twilio, flow, &message, &reply.with_to_tag(&crate::random::tag()));
        }
        Judgement::Accept(accepted) => {
            let (tag, call_id) = (crate::random::tag(), message.call_id().to_owned());
            // Registered before the task runs, so that a CANCEL right behind the INVITE finds its call.
            let messages = twilio.open_dialog(&call_id, &tag);
            twilio.open_invite(&message, &call_id, &tag);
            let (twilio, flow) = (twilio.clone(), flow.clone());
            tokio::spawn(async move {
                let branch = message.branch().to_owned();
                run(&twilio, flow, message, *accepted, &tag, messages).await;
                twilio.close_dialog(&call_id, &tag);
                twilio.close_invite(&branch);
            });
        }
    }
}

fn judge(twilio: &Arc<Twilio>, flow: &Flow, message: &Message) -> Judgement {
    let switches = twilio.switches();
    let host = host_of(message.uri());
    let Some(domain) = twilio.store().domain_by_host(host) else {
        let error = "32002 SIP: Dial failure - Twilio SIP Domain not found";
        return Judgement::Refuse(refusal(404, "Not Found", error));
    };
    // Without a mapping the domain refuses all traffic (TWILIO.md "Domain settings", TWILIO.md "Domain mappings").
    let lists = twilio.store().mapped_lists(&domain.sid, Kind::CallsMapping);
    if lists.is_empty() {
        return Judgement::Refuse(refusal(403, "Forbidden", "32200 SIP: Insufficient permissions"));
    }
    let find = |username: &str| twilio.store().ha1(&lists, username);
    let username = match twilio.nonces.judge(message, &switches, &twilio.journal, find) {
        Verdict::Known(username) => username,
        Verdict::Challenge { stale } => return Judgement::Challenge { stale },
        Verdict::Refused => return Judgement::Refuse(refusal(403, "Forbidden", "32202 SIP: Bad user credentials")),
    };
    let from = message.get("From").map_or("", uri_of);
    let to_user = user_of(message.uri()).to_owned();
    let emergency = EMERGENCY.contains(&to_user.as_str())
        && (domain.flag("emergency_calling_enabled") || !switches.emergency_needs_flag);
    if switches.invite_from_enforced && !emergency && user_of(from) != username {
        return Judgement::Refuse(refusal(403, "Forbidden", "32106 SIP: Authentication Error"));
    }
    if message.body.is_empty() {
        return Judgement::Refuse(refusal(488, "Not Acceptable Here", "32103 SIP: Empty body"));
    }
    let theirs = match Audio::parse(&message.body) {
        Ok(theirs) => theirs,
        Err(text) => {
            twilio.journal.alert(32102, format!("SIP: Bad SDP: {text}"));
            return Judgement::Refuse(refusal(488, "Not Acceptable Here", "32102 SIP: Bad SDP"));
        }
    };
    // TWILIO.md "SRTP": offer must match the flag exactly.
    let reason = if switches.srtp_refusal_code == 403 { "Forbidden" } else { "Not Acceptable Here" };
    match (domain.flag("secure"), theirs.secure) {
        (true, false) => {
            let error = "32208 SIP: Secure media required";
            return Judgement::Refuse(refusal(switches.srtp_refusal_code, reason, error));
        }
        (false, true) => {
            let error = "32207 SIP: Secure media not accepted";
            return Judgement::Refuse(refusal(switches.srtp_refusal_code, reason, error));
        }
        _ => {}
    }
    // TWILIO.md "SRTP": AES_CM_128_HMAC_SHA1_80 and _32 accepted, any order.
    let chosen = theirs.crypto.iter().find(|c| SUITES.contains(&c.suite.as_str())).cloned();
    if theirs.secure && chosen.is_none() {
        return Judgement::Refuse(refusal(488, "Not Acceptable Here", "32102 SIP: Bad SDP"));
    }
    if theirs.codec().is_none() {
        return Judgement::Refuse(refusal(488, "Not Acceptable Here", "32102 SIP: Bad SDP"));
    }
    let ours_crypto = chosen.filter(|_| theirs.secure).map(|key| (Crypto::generate(key.tag, &key.suite), key));
    let route = if emergency {
        match emergency_caller(twilio, &domain, user_of(from)) {
            Some(caller_id) => {
                let (number, from_user) = (to_user.clone(), user_of(from).to_owned());
                call::Route::Emergency { number, caller_id, from_user }
            }
            None => {
                let error = "32206 SIP: Invalid From number (caller ID)";
                return Judgement::Refuse(refusal(403, "Forbidden", error));
            }
        }
    } else {
        match call::Route::of_domain(&domain) {
            Some(route) => route,
            // The code for a missing voice URL is not known (TWILIO.md "Call from an extension").
            None => {
                let (code, reason) = (switches.no_voice_url_code, "Not Found");
                return Judgement::Refuse(refusal(code, reason, "32010 SIP: No valid Origination URIs configured"));
            }
        }
    };
    let x_headers = message
        .headers
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-") || name.eq_ignore_ascii_case("User-to-User"));
    let caller = SipCaller {
        username,
        from: from.to_owned(),
        request_uri: message.uri().to_owned(),
        domain_name: domain.text("domain_name").to_owned(),
        domain_sid: domain.sid.clone(),
        source_ip: flow.source.ip().to_string(),
        call_id: message.call_id().to_owned(),
        x_headers: x_headers.cloned().collect(),
    };
    Judgement::Accept(Box::new(Accepted { caller, theirs, ours_crypto, route }))
}

/// From is an own number in E.164, or the domain has an EmergencyCallerSid (TWILIO.md "Emergency caller").
fn emergency_caller(twilio: &Twilio, domain: &crate::rest::Record, from_user: &str) -> Option<String> {
    let store = twilio.store();
    if from_user.starts_with('+') && store.number(from_user).is_some() {
        return Some(from_user.to_owned());
    }
    let sid = domain.text("emergency_caller_sid");
    store.by_sid(sid).filter(|_| !sid.is_empty()).map(|number| number.text("phone_number").to_owned())
}

async fn run(
    twilio: &Arc<Twilio>,
    flow: Flow,
    invite: Message,
    accepted: Accepted,
    tag: &str,
    mut messages: mpsc::Receiver<Arrived>,
) {
    let (port, queue) = Port::new();
    let Ok(endpoint) = Endpoint::open_at(twilio.sip_address.ip(), port.clone(), queue).await else {
        return crate::sip::edge::refuse(twilio, &flow, &invite, 503, "Service Unavailable");
    };
    let call_sid = crate::random::sid("CA");
    let Accepted { caller, theirs, ours_crypto, route } = accepted;
    let ours = Audio {
        address: endpoint.address,
        secure: theirs.secure,
        formats: theirs.codec().into_iter().collect(),
        dtmf: theirs.dtmf,
        crypto: ours_crypto.iter().map(|(ours, _)| ours.clone()).collect(),
        direction: super::sdp::mirrored(&theirs.direction).to_owned(),
    };
    let (leg, LegDriver { events, mut commands }) = Leg::new(&call_sid, port, Some(invite.call_id().to_owned()));
    let [tls, udp] = twilio.record_route();
    // The edge added the UDP side last, so it stands on top (TWILIO.md "Call to an extension").
    let mut base = invite.clone();
    base.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Record-Route"));
    let base = base.with("Record-Route", udp.clone()).with("Record-Route", tls.clone());
    let contact = format!("sip:{}@{PRIVATE};transport=udp", user_of(invite.uri()));
    let reply = |code: u16, reason: &str| {
        Message::response(&base, code, reason)
            .with("Contact", format!("<{contact}>"))
            .with("Allow", ALLOW)
            .with("Server", "Twilio")
            .with_to_tag(tag)
    };
    tokio::spawn(call::from_extension(twilio.clone(), leg, caller, route));

    let final_refusal = |code: u16, reason: &str, error: Option<&str>| {
        let mut message = Message::response(&base, code, reason).with("Server", "Twilio").with_to_tag(tag);
        if let Some(error) = error {
            message = message.with("X-Twilio-Error", error);
        }
        send_final(twilio, &flow, &invite, &message);
    };
    let end = loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(Arrived { message, .. }) if message.method() == "CANCEL" => {
                    final_refusal(487, "Request Terminated", None);
                    break End { cause: Cause::Canceled, sip_code: Some(487), counters: None };
                }
                Some(Arrived { message, .. }) => {
                    let text = format!("{} in an early dialog", message.summary());
                    twilio.journal.violation("RFC 3261 12.2", text);
                }
                None => break End::of(Cause::Failed),
            },
            command = commands.recv() => match command {
                Some(Command::Ring { early_media: false }) => {
                    flow.send(&reply(180, "Ringing"));
                }
                Some(Command::Ring { early_media: true }) => {
                    let keys = ours_crypto.as_ref().map(|(ours, theirs)| (ours, theirs));
                    if endpoint.agree(&theirs, keys).is_ok() {
                        flow.send(&reply(183, "Session Progress").with_body("application/sdp", ours.to_text(1)));
                    }
                }
                Some(Command::Answer) => {
                    let keys = ours_crypto.as_ref().map(|(ours, theirs)| (ours, theirs));
                    if let Err(text) = endpoint.agree(&theirs, keys) {
                        twilio.journal.alert(32102, text);
                        final_refusal(488, "Not Acceptable Here", Some("32102 SIP: Bad SDP"));
                        break End::of(Cause::Failed);
                    }
                    let mut ok = reply(200, "OK");
                    if let (true, Some(expires)) = (twilio.switches().session_timer, invite.get("Session-Expires")) {
                        // RFC 4028 9: the caller refreshes; 4.6: Twilio took Session-Expires 1800 with Min-SE 90.
                        let seconds = expires.split(';').next().unwrap_or("1800");
                        ok = ok.with("Session-Expires", format!("{seconds};refresher=uac")).with("Require", "timer");
                    }
                    let ok = ok.with_body("application/sdp", ours.to_text(1));
                    flow.send(&ok);
                    let mut dialog = Dialog::callee(&invite, &ok, 1);
                    dialog.routes.clear();
                    let confirmed = Confirmed {
                        twilio: twilio.clone(),
                        flow: flow.clone(),
                        first_flow: flow.id,
                        dialog,
                        endpoint,
                        ours,
                        route_set: vec![tls.clone(), udp.clone()],
                        contact: contact.clone(),
                        call_sid: call_sid.clone(),
                        unacknowledged: invite.cseq().map(|(n, _)| n),
                    };
                    break confirmed.run(&mut messages, &mut commands).await;
                }
                Some(Command::Reject { cause, code, reason, error }) => {
                    final_refusal(code, reason, error);
                    break End { cause, sip_code: Some(code), counters: None };
                }
                Some(Command::Hangup { code, reason }) => {
                    final_refusal(code, reason, None);
                    break End { cause: Cause::Failed, sip_code: Some(code), counters: None };
                }
                None => {
                    final_refusal(500, "Server Internal Error", None);
                    break End::of(Cause::Failed);
                }
            },
        }
    };
    let _ = events.send(LegEvent::Ended(end)).await;
}
