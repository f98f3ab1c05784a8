//! An answered SIP leg, whoever called: ACK, BYE, re-INVITE, and the rules of TWILIO.md "Call to an extension" and
//! TWILIO.md "Requests within a call".

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::dialog::Dialog;
use super::edge::{ALLOW, refuse};
use super::flow::{Arrived, Flow};
use super::message::Message;
use super::sdp::{Audio, mirrored};
use super::{check, edge};
use crate::leg::{Cause, Command, End};
use crate::media::endpoint::Endpoint;
use crate::twilio::Twilio;

/// How long an answer to a request of ours may take before it counts as missing.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a hold of the switch `reinvite_is_hold` lasts.
const HOLD: Duration = Duration::from_millis(300);

/// The state of an answered leg.
pub struct Confirmed {
    /// The simulator.
    pub twilio: Arc<Twilio>,
    /// The connection of the far end: the one that its last request came by.
    pub flow: Flow,
    /// The one that the dialog began on.
    pub first_flow: u64,
    /// The dialog; our requests carry no Route, because the edge takes its own off before the gateway sees them.
    pub dialog: Dialog,
    /// The sound.
    pub endpoint: Endpoint,
    /// Our description.
    pub ours: Audio,
    /// What the far end must put into Route.
    pub route_set: Vec<String>,
    /// Our (private) Contact URI.
    pub contact: String,
    /// `CA...`
    pub call_sid: String,
    /// The CSeq of the INVITE whose 200 waits for its ACK.
    pub unacknowledged: Option<u32>,
}

impl Confirmed {
    /// Runs until one side hangs up.
    pub async fn run(mut self, messages: &mut mpsc::Receiver<Arrived>, commands: &mut mpsc::Receiver<Command>) -> End {
        let switches = self.twilio.switches();
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let mut ack_deadline = match self.unacknowledged {
            Some(_) => Instant::now() + Duration::from_millis(switches.ack_timeout_ms),
            None => far,
        };
        let mut reinvite_at = match switches.reinvite_after_ms {
            0 => far,
            ms => Instant::now() + Duration::from_millis(ms),
        };
        let mut held = false;
        let mut version = 2;
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(Arrived { flow, message }) = message else { break };
                    self.flow = flow;
                    if self.on_request(message, &mut version).await {
                        break;
                    }
                    ack_deadline = match self.unacknowledged {
                        None => far,
                        Some(_) if ack_deadline == far => {
                            Instant::now() + Duration::from_millis(switches.ack_timeout_ms)
                        }
                        Some(_) => ack_deadline,
                    };
                }
                command = commands.recv() => match command {
                    Some(Command::Hangup { .. }) | None => {
                        self.bye().await;
                        break;
                    }
                    Some(_) => {}
                },
                () = sleep_until(ack_deadline) => {
                    // TWILIO.md "Call from an extension": Missing ACK -> after 32 s Twilio ends the call, alert 32022.
                    self.twilio.journal.alert(32022, "ACK not received from your SIP endpoint");
                    self.twilio.journal.violation(r#"TWILIO.md "Call from an extension""#, "the 200 of an INVITE got no (valid) ACK");
                    self.bye().await;
                    break;
                }
                () = sleep_until(reinvite_at) => {
                    held = switches.reinvite_is_hold && !held;
                    version += 1;
                    self.reinvite(if held { "sendonly" } else { "sendrecv" }, version).await;
                    reinvite_at = if held { Instant::now() + HOLD } else { far };
                }
            }
        }
        End { cause: Cause::Completed, sip_code: Some(200), counters: Some(self.endpoint.counters()) }
    }

    /// Handles a request in the dialog; `true` when it ends the leg.
    async fn on_request(&mut self, message: Message, version: &mut u32) -> bool {
        if message.method() == "CANCEL" {
            // It lost the race against the 200; the caller has to send BYE (RFC 3261 9.1).
            return false;
        }
        let follows = check::in_dialog(&self.twilio.journal, &message, &self.route_set, &self.contact);
        if message.method() == "ACK" {
            let cseq = message.cseq().map(|(n, _)| n);
            if cseq != self.unacknowledged {
                let text = format!("ACK with CSeq {cseq:?}, waiting for {:?}", self.unacknowledged);
                self.twilio.journal.violation("RFC 3261 13.2.2.4", text);
            } else if follows {
                self.unacknowledged = None;
            }
            return false;
        }
        if !follows {
            // A real edge has nowhere to send it: without the route set the target is a private address.
            refuse(&self.twilio, &self.flow, &message, 481, "Call/Transaction Does Not Exist");
            return false;
        }
        if !self.dialog.is_newer(&message) {
            let text = format!("{}: CSeq does not grow", message.summary());
            self.twilio.journal.violation("RFC 3261 12.2.1.1", text);
        }
        match message.method() {
            "BYE" => {
                self.flow.send(&Message::response(&message, 200, "OK").with("Server", "Twilio"));
                return true;
            }
            // A dialog that goes on by another connection (TWILIO.md "Requests within a call").
            "INVITE" if self.flow.id != self.first_flow && self.twilio.switches().moved_dialog_code > 0 => {
                let code = self.twilio.switches().moved_dialog_code;
                refuse(&self.twilio, &self.flow, &message, code, "Call/Transaction Does Not Exist");
            }
            "INVITE" => {
                *version += 1;
                self.on_reinvite(&message, *version);
            }
            "OPTIONS" | "NOTIFY" => {
                self.flow.send(&Message::response(&message, 200, "OK").with("Server", "Twilio"));
            }
            "REFER" => {
                // Without `referUrl` the alert is 13802 and the call goes on (TWILIO.md "Requests within a call").
                self.twilio.journal.alert(13802, "Dial: No referUrl attribute specified");
                refuse(&self.twilio, &self.flow, &message, 403, "Forbidden");
            }
            method => {
                // Allow has no UPDATE, INFO, PRACK, SUBSCRIBE, MESSAGE (TWILIO.md "Call to an extension").
                let text = format!("{method} is not in Allow: {ALLOW}");
                self.twilio.journal.violation(r#"TWILIO.md "Call to an extension""#, text);
                refuse(&self.twilio, &self.flow, &message, 405, "Method Not Allowed");
            }
        }
        false
    }

    fn on_reinvite(&mut self, message: &Message, version: u32) {
        let agreed = Audio::parse(&message.body).map_err(str::to_owned).and_then(|theirs| {
            if theirs.secure != self.ours.secure {
                return Err("the profile changed".to_owned());
            }
            self.take(&theirs)?;
            self.ours.direction = mirrored(&theirs.direction).to_owned();
            Ok(())
        });
        if let Err(text) = agreed {
            self.twilio.journal.alert(32102, format!("SIP: Bad SDP: {text}"));
            return refuse(&self.twilio, &self.flow, message, 488, "Not Acceptable Here");
        }
        self.dialog.refresh_target(message);
        let reply = Message::response(message, 200, "OK")
            .with("Contact", format!("<{}>", self.contact))
            .with("Allow", ALLOW)
            .with_body("application/sdp", self.ours.to_text(version));
        self.unacknowledged = message.cseq().map(|(n, _)| n);
        edge::send_final(&self.twilio, &self.flow, message, &reply);
    }

    /// Takes over what the far end says about its media; keys that did not change keep their counters.
    fn take(&mut self, theirs: &Audio) -> Result<(), String> {
        match self.ours.crypto.first() {
            None => self.endpoint.agree(theirs, None),
            Some(ours) => {
                let key = theirs.crypto.iter().find(|c| c.suite == ours.suite).ok_or("no key of the agreed suite")?;
                self.endpoint.agree(theirs, Some((ours, key)))
            }
        }
    }

    /// A re-INVITE of Twilio's side (TWILIO.md "Requests within a call").
    async fn reinvite(&mut self, direction: &str, version: u32) {
        self.ours.direction = direction.to_owned();
        let mut invite = self.dialog.request("INVITE");
        let cseq = self.dialog.local_cseq;
        self.twilio.stamp(&mut invite, &self.call_sid, "Twilio Gateway");
        let invite = invite
            .with("Contact", format!("<{}>", self.contact))
            .with("Allow", ALLOW)
            .with_body("application/sdp", self.ours.to_text(version));
        let mut responses = self.flow.request(&invite);
        let answer = timeout(ANSWER_LIMIT, async {
            while let Some(response) = responses.recv().await {
                check::response(&self.twilio.journal, &invite, &response);
                if response.code() >= 200 {
                    return Some(response);
                }
            }
            None
        });
        let Ok(Some(response)) = answer.await else {
            return self.twilio.journal.violation(r#"TWILIO.md "Requests within a call""#, "a re-INVITE got no answer");
        };
        if response.code() >= 300 {
            let text = format!("a re-INVITE got {}", response.code());
            self.twilio.journal.violation(r#"TWILIO.md "Requests within a call""#, text);
            self.flow.send(&ack_of_refusal(&invite, &response));
            return;
        }
        let agreed = Audio::parse(&response.body).map_err(str::to_owned).and_then(|theirs| {
            let allowed: &[&str] = if direction == "sendonly" { &["recvonly", "inactive"] } else { &["sendrecv"] };
            if !allowed.contains(&theirs.direction.as_str()) {
                return Err(format!("{direction} was answered with {}", theirs.direction));
            }
            self.take(&theirs)
        });
        if let Err(text) = agreed {
            self.twilio.journal.violation("RFC 3264 6.1", format!("answer to a re-INVITE: {text}"));
        }
        self.dialog.refresh_target(&response);
        self.send_ack(cseq);
    }

    /// The ACK of a 2xx to the INVITE with that CSeq; TWILIO.md "Call to an extension": ACK from Twilio: User-Agent:
    /// Twilio, X-Twilio-CallSid.
    pub fn send_ack(&self, cseq: u32) {
        let mut ack = self.dialog.ack(cseq);
        self.twilio.stamp(&mut ack, &self.call_sid, "Twilio");
        self.flow.send(&ack);
    }

    /// Sends BYE and waits for its answer.
    pub async fn bye(&mut self) {
        let mut bye = self.dialog.request("BYE");
        self.twilio.stamp(&mut bye, &self.call_sid, "Twilio Gateway");
        // BYE has a Q.850 Reason (TWILIO.md "Call to an extension").
        let bye = bye.with("Reason", "Q.850;cause=16;text=\"Normal call clearing\"");
        let mut responses = self.flow.request(&bye);
        match timeout(ANSWER_LIMIT, responses.recv()).await {
            // 481 is right when the far end hung up in the same moment.
            Ok(Some(response)) if [200, 481].contains(&response.code()) => {
                check::response(&self.twilio.journal, &bye, &response);
            }
            Ok(Some(response)) => {
                let text = format!("a BYE got {}", response.code());
                self.twilio.journal.violation("RFC 3261 15.1.2", text);
            }
            Ok(None) => {}
            Err(_) => self.twilio.journal.violation("RFC 3261 15.1.2", "a BYE got no answer"),
        }
    }
}

/// The ACK of a refusal: hop by hop, with the one Via of the edge (RFC 3261 17.1.1.3).
pub fn ack_of_refusal(invite: &Message, response: &Message) -> Message {
    hop_by_hop(invite, "ACK", response.get("To").unwrap_or(""))
}

/// An ACK or a CANCEL that belongs to the transaction of `invite`.
pub fn hop_by_hop(invite: &Message, method: &str, to: &str) -> Message {
    Message::request(method, invite.uri())
        .with("Via", invite.list("Via").first().copied().unwrap_or(""))
        .with("From", invite.get("From").unwrap_or(""))
        .with("To", to)
        .with("Call-ID", invite.call_id())
        .with("CSeq", format!("{} {method}", invite.cseq().map_or(1, |(n, _)| n)))
        .with("Max-Forwards", "60")
}
