//! INVITE from Twilio to a registered contact, on the flow that registered it (TWILIO.md "Call to an extension").

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::check;
use super::confirmed::{ANSWER_LIMIT, Confirmed, ack_of_refusal, hop_by_hop};
use super::dialog::Dialog;
use super::edge::ALLOW;
use super::flow::{Arrived, Flow};
use super::inbound::PRIVATE;
use super::message::Message;
use super::registrar::Binding;
use super::sdp::{Audio, Crypto, SUITES};
use crate::leg::{Cause, Command, End, Leg, LegDriver, LegEvent};
use crate::media::endpoint::Endpoint;
use crate::media::port::Port;
use crate::random;
use crate::twilio::Twilio;

/// Who is called, and as whom.
#[derive(Clone)]
pub struct Target {
    /// User part of the AOR.
    pub user: String,
    /// Global name of the domain.
    pub domain: String,
    /// User part of From: the caller ID.
    pub caller_id: String,
    /// SRTP is to be offered.
    pub secure: bool,
    /// Headers asked for in the URI (`?x-foo=bar`).
    pub headers: Vec<(String, String)>,
}

/// Starts a call to one contact.
pub async fn call(twilio: &Arc<Twilio>, binding: Binding, target: Target, call_sid: &str) -> std::io::Result<Leg> {
    let (port, queue) = Port::new();
    let endpoint = Endpoint::open_at(twilio.sip_address.ip(), port.clone(), queue).await?;
    // TWILIO.md "Call to an extension": Call-ID of Twilio's legs ends in @0.0.0.0.
    let call_id = format!("{}@0.0.0.0", random::hex(&random::bytes::<16>()));
    let (leg, driver) = Leg::new(call_sid, port, Some(call_id.clone()));
    let (twilio, call_sid) = (twilio.clone(), call_sid.to_owned());
    tokio::spawn(async move {
        let tag = random::tag();
        let mut messages = twilio.open_dialog(&call_id, &tag);
        let LegDriver { events, mut commands } = driver;
        let flow = binding.flow;
        let (id, own_tag) = (call_id.clone(), tag.clone());
        let attempt = Attempt { twilio: twilio.clone(), flow, endpoint, call_sid, call_id, tag };
        let end = attempt.run(&binding.contact, &target, &mut messages, &mut commands, &events).await;
        twilio.close_dialog(&id, &own_tag);
        let _ = events.send(LegEvent::Ended(end)).await;
    });
    Ok(leg)
}

struct Attempt {
    twilio: Arc<Twilio>,
    flow: Flow,
    endpoint: Endpoint,
    call_sid: String,
    call_id: String,
    tag: String,
}

impl Attempt {
    async fn run(
        self,
        contact: &str,
        target: &Target,
        messages: &mut mpsc::Receiver<Arrived>,
        commands: &mut mpsc::Receiver<Command>,
        events: &mpsc::Sender<LegEvent>,
    ) -> End {
        let ours = Audio {
            address: self.endpoint.address,
            secure: target.secure,
            formats: vec![0, 8],
            dtmf: Some(101),
            // TWILIO.md "SRTP": Twilio outbound offers only AES_CM_128_HMAC_SHA1_80 as a=crypto:1.
            crypto: if target.secure { vec![Crypto::generate(1, SUITES[0])] } else { Vec::new() },
            direction: "sendrecv".to_owned(),
        };
        let our_contact = format!("sip:{}@{PRIVATE};transport=udp", target.caller_id);
        let invite = self.invite(contact, target, &our_contact, &ours);
        if !self.flow.is_up() {
            self.twilio.journal.alert(32011, format!("the connection that registered {contact} is gone"));
            return End::of(Cause::Failed);
        }
        let mut responses = self.flow.request(&invite);
        let (mut provisional, mut cancelling, mut cancel_sent) = (false, false, false);
        let mut give_up = tokio::time::Instant::now() + std::time::Duration::from_secs(24 * 3600);
        let response = loop {
            tokio::select! {
                response = responses.recv() => {
                    let Some(response) = response else {
                        self.twilio.journal.alert(32011, "the connection went down while the contact rang");
                        return End::of(if cancelling { Cause::Canceled } else { Cause::Failed });
                    };
                    check::response(&self.twilio.journal, &invite, &response);
                    if response.code() >= 200 {
                        break response;
                    }
                    provisional = true;
                    if response.code() > 100 && !cancelling {
                        let _ = events.send(LegEvent::Ringing).await;
                    }
                }
                command = commands.recv(), if !cancelling => {
                    if matches!(command, Some(Command::Hangup { .. }) | None) {
                        cancelling = true;
                        give_up = tokio::time::Instant::now() + ANSWER_LIMIT;
                    }
                }
                () = tokio::time::sleep_until(give_up) => {
                    let text = if provisional { "a CANCEL was not followed by 487" } else { "an INVITE got no response" };
                    self.twilio.journal.violation("RFC 3261 9.2", text);
                    return End::of(Cause::Canceled);
                }
            }
            // RFC 3261 9.1: CANCEL only after a provisional response.
            if cancelling && provisional && !cancel_sent {
                cancel_sent = true;
                self.cancel(&invite);
            }
        };
        let code = response.code();
        if code >= 300 {
            self.flow.send(&ack_of_refusal(&invite, &response));
            if code < 400 {
                self.twilio.journal.alert(32219, "SIP: Redirect failed");
            }
            if cancelling && code != 487 {
                self.twilio.journal.alert(0, format!("a cancelled INVITE ended with {code}"));
            }
            return End { cause: self.cause(code, cancelling), sip_code: Some(code), counters: None };
        }
        let mut dialog = Dialog::caller(&invite, &response);
        // The edge takes its own Route entries off before the gateway sees our requests.
        dialog.routes.clear();
        let agreed = self.agree(&ours, &response);
        let [tls, udp] = self.twilio.record_route();
        let mut confirmed = Confirmed {
            twilio: self.twilio.clone(),
            first_flow: self.flow.id,
            flow: self.flow.clone(),
            dialog,
            endpoint: self.endpoint,
            ours,
            route_set: vec![tls, udp],
            contact: our_contact,
            call_sid: self.call_sid,
            unacknowledged: None,
        };
        confirmed.send_ack(invite.cseq().map_or(1, |(n, _)| n));
        if let Err(text) = agreed {
            confirmed.twilio.journal.violation(r#"TWILIO.md "Codecs""#, text);
            confirmed.bye().await;
            return End { cause: Cause::Failed, sip_code: Some(code), counters: None };
        }
        if cancelling {
            confirmed.bye().await;
            return End { cause: Cause::Canceled, sip_code: Some(code), counters: None };
        }
        let x = response.headers.iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-"));
        let _ = events.send(LegEvent::Answered { headers: x.cloned().collect() }).await;
        confirmed.run(messages, commands).await
    }

    /// The model INVITE of TWILIO.md "Call to an extension".
    fn invite(&self, contact: &str, target: &Target, our_contact: &str, ours: &Audio) -> Message {
        let switches = self.twilio.switches();
        let [tls, udp] = self.twilio.record_route();
        let cseq = 20_000 + u32::from(u16::from_be_bytes(random::bytes::<2>()) % 10_000);
        let mut invite = Message::request("INVITE", contact)
            .with("Record-Route", tls)
            .with("Record-Route", udp)
            .with("From", format!("<sip:{}@{}>;tag={}", target.caller_id, target.domain, self.tag))
            .with("To", format!("<sip:{}@{}>", target.user, target.domain))
            .with("CSeq", format!("{cseq} INVITE"))
            .with("Max-Forwards", "60")
            .with("Call-ID", self.call_id.clone());
        self.twilio.stamp(&mut invite, &self.call_sid, "Twilio Gateway");
        invite = invite
            .with("Contact", format!("<{our_contact}>"))
            .with("Allow", ALLOW)
            .with("X-Twilio-AccountSid", self.twilio.account.sid.clone());
        if switches.session_timer {
            invite = invite.with("Supported", "timer").with("Min-SE", "120");
        }
        if switches.session_expires > 0 {
            invite = invite.with("Session-Expires", switches.session_expires.to_string());
        }
        for (name, value) in &target.headers {
            invite = invite.with(name, value.clone());
        }
        invite.with_body("application/sdp", ours.to_text(1))
    }

    fn cancel(&self, invite: &Message) {
        let cancel = hop_by_hop(invite, "CANCEL", invite.get("To").unwrap_or(""));
        let (flow, journal) = (self.flow.clone(), self.twilio.journal.clone());
        let mut responses = flow.request(&cancel);
        tokio::spawn(async move {
            match timeout(ANSWER_LIMIT, responses.recv()).await {
                Ok(Some(response)) if response.code() == 200 => {}
                // 481 is right when the final response crossed the CANCEL.
                Ok(Some(response)) if response.code() == 481 => {}
                Ok(None) => {}
                other => {
                    let code = other.ok().flatten().map(|r| r.code());
                    journal.violation("RFC 3261 9.2", format!("a CANCEL got {code:?}"));
                }
            }
        });
    }

    fn agree(&self, ours: &Audio, response: &Message) -> Result<(), String> {
        let theirs = Audio::parse(&response.body)?;
        if theirs.secure != ours.secure {
            return Err(format!("the offer's profile was secure={}, the answer's is {}", ours.secure, theirs.secure));
        }
        let Some(our_key) = ours.crypto.first() else { return self.endpoint.agree(&theirs, None) };
        match theirs.crypto.as_slice() {
            // RFC 4568 5.1.2: exactly one, with the tag and suite of the offer.
            [key] if key.tag == our_key.tag && key.suite == our_key.suite => {
                self.endpoint.agree(&theirs, Some((our_key, key)))
            }
            keys => {
                Err(format!("{} crypto lines, tags {:?}", keys.len(), keys.iter().map(|k| k.tag).collect::<Vec<_>>()))
            }
        }
    }

    /// The simulator's default table; Twilio's is not known (TWILIO.md "Dial action").
    fn cause(&self, code: u16, cancelling: bool) -> Cause {
        match code {
            487 if cancelling => Cause::Canceled,
            486 | 600 => Cause::Busy,
            603 if self.twilio.switches().decline_is_busy => Cause::Busy,
            408 | 480 | 487 => Cause::NoAnswer,
            _ => Cause::Failed,
        }
    }
}
