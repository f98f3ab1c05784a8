//! A phone's calls, both ways.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Incoming, Phone};
use crate::leg::{Cause, Command, End, Leg, LegDriver, LegEvent};
use crate::media::endpoint::Endpoint;
use crate::media::port::Port;
use crate::random;
use crate::sip::dialog::Dialog;
use crate::sip::digest;
use crate::sip::message::{Message, uri_of, user_of};
use crate::sip::sdp::{Audio, mirrored};

/// First pause between retransmissions of a 200 (RFC 3261 13.3.1.4).
const T1: Duration = Duration::from_millis(500);

fn description(endpoint: &Endpoint, direction: &str) -> Audio {
    Audio {
        address: endpoint.address,
        secure: false,
        formats: vec![0, 8],
        dtmf: Some(101),
        crypto: Vec::new(),
        direction: direction.to_owned(),
    }
}

fn cause_of(code: u16) -> Cause {
    match code {
        486 | 600 | 603 => Cause::Busy,
        408 | 480 => Cause::NoAnswer,
        487 => Cause::Canceled,
        _ => Cause::Failed,
    }
}

/// Calls `number` through the gateway.
pub async fn outgoing(phone: Arc<Phone>, number: &str) -> std::io::Result<Leg> {
    let (port, queue) = Port::new();
    let endpoint = Endpoint::open(port.clone(), queue).await?;
    let call_id = random::uuid();
    let (leg, driver) = Leg::new(&call_id, port, Some(call_id.clone()));
    let number = number.to_owned();
    tokio::spawn(async move {
        let mut messages = phone.wire.open_dialog(&call_id);
        let LegDriver { events, mut commands } = driver;
        let end = invite(&phone, &endpoint, &number, &call_id, &mut messages, &mut commands, &events).await;
        phone.wire.close_dialog(&call_id);
        let end = End { counters: Some(endpoint.counters()), ..end };
        let _ = events.send(LegEvent::Ended(end)).await;
    });
    Ok(leg)
}

async fn invite(
    phone: &Arc<Phone>,
    endpoint: &Endpoint,
    number: &str,
    call_id: &str,
    messages: &mut mpsc::Receiver<Message>,
    commands: &mut mpsc::Receiver<Command>,
    events: &mpsc::Sender<LegEvent>,
) -> End {
    let server = phone.config.server;
    let uri = format!("sip:{number}@{server}");
    let from = format!("<sip:{}@{server}>;tag={}", phone.config.username, random::hex(&random::bytes::<4>()));
    let ours = description(endpoint, "sendrecv");
    let mut credentials: Option<(String, String)> = None;
    let mut cseq = 0;
    'attempt: loop {
        cseq += 1;
        let mut request = phone
            .request("INVITE", &uri)
            .with("From", from.clone())
            .with("To", format!("<{uri}>"))
            .with("Call-ID", call_id)
            .with("CSeq", format!("{cseq} INVITE"))
            .with("Contact", format!("<{}>", phone.contact()))
            .with("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS");
        if let Some((name, value)) = &credentials {
            request = request.with(name, value.clone());
        }
        let request = request.with_body("application/sdp", ours.to_phone_text(1));
        let mut responses = phone.wire.request(&request);
        let (mut provisional, mut cancelling, mut cancel_sent) = (false, false, false);
        loop {
            tokio::select! {
                response = responses.recv() => {
                    let Some(response) = response else { return End::of(Cause::Failed) };
                    let code = response.code();
                    if code < 200 {
                        provisional = true;
                        if code > 100 {
                            if let Ok(theirs) = Audio::parse(&response.body) {
                                // Early media.
                                let _ = endpoint.agree(&theirs, None);
                            }
                            let _ = events.send(LegEvent::Ringing).await;
                        }
                    } else if code < 300 {
                        let dialog = Dialog::caller(&request, &response);
                        let theirs = Audio::parse(&response.body).map_err(str::to_owned);
                        let agreed = theirs.and_then(|theirs| endpoint.agree(&theirs, None));
                        let mut call = Confirmed { phone, endpoint, dialog, ours, ack: None, responses: Some(responses) };
                        call.acknowledge(cseq);
                        if agreed.is_err() || cancelling {
                            call.bye().await;
                            return End { cause: Cause::Failed, sip_code: Some(code), counters: None };
                        }
                        let _ = events.send(LegEvent::Answered { headers: Vec::new() }).await;
                        return call.run(messages, commands).await;
                    } else {
                        phone.wire.send(&in_transaction(&request, "ACK", response.get("To").unwrap_or("")));
                        if [401, 407].contains(&code) && credentials.is_none() && !cancelling {
                            let (username, password) = (&phone.config.username, &phone.config.password);
                            credentials = digest::answer(&response, "INVITE", &uri, username, password);
                            continue 'attempt;
                        }
                        return End { cause: cause_of(code), sip_code: Some(code), counters: None };
                    }
                }
                command = commands.recv(), if !cancelling => {
                    if matches!(command, Some(Command::Hangup { .. }) | None) {
                        cancelling = true;
                    }
                }
            }
            if cancelling && provisional && !cancel_sent {
                cancel_sent = true;
                let cancel = in_transaction(&request, "CANCEL", request.get("To").unwrap_or(""));
                let mut responses = phone.wire.request(&cancel);
                tokio::spawn(async move { responses.recv().await });
            }
        }
    }
}

/// An ACK of a refusal or a CANCEL: the Via of the INVITE (RFC 3261 9.1, 17.1.1.3).
fn in_transaction(invite: &Message, method: &str, to: &str) -> Message {
    let mut message = crate::sip::confirmed::hop_by_hop(invite, method, to);
    message.set("Max-Forwards", "70");
    message
}

/// Takes a call that came in; it rings when its leg is told to.
pub async fn incoming(phone: Arc<Phone>, invite: Message) -> Result<Incoming, String> {
    let (port, queue) = Port::new();
    let endpoint = Endpoint::open(port.clone(), queue).await.map_err(|e| e.to_string())?;
    let call_id = invite.call_id().to_owned();
    let caller_id = user_of(invite.get("From").map_or("", uri_of)).to_owned();
    let (leg, driver) = Leg::new(&call_id, port, Some(call_id.clone()));
    let mut messages = phone.wire.open_dialog(&call_id);
    tokio::spawn(async move {
        let LegDriver { events, mut commands } = driver;
        let end = ring(&phone, &endpoint, &invite, &mut messages, &mut commands).await;
        phone.wire.close_dialog(&call_id);
        let end = End { counters: Some(endpoint.counters()), ..end };
        let _ = events.send(LegEvent::Ended(end)).await;
    });
    Ok(Incoming { leg, caller_id })
}

async fn ring(
    phone: &Arc<Phone>,
    endpoint: &Endpoint,
    invite: &Message,
    messages: &mut mpsc::Receiver<Message>,
    commands: &mut mpsc::Receiver<Command>,
) -> End {
    let tag = random::hex(&random::bytes::<4>());
    let reply = |code: u16, reason: &str| {
        Message::response(invite, code, reason).with("Contact", format!("<{}>", phone.contact())).with_to_tag(&tag)
    };
    let refuse = |code: u16, reason: &str, cause: Cause| {
        phone.wire.respond(&reply(code, reason));
        End { cause, sip_code: Some(code), counters: None }
    };
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) if message.method() == "CANCEL" => {
                    phone.wire.respond(&Message::response(&message, 200, "OK").with_to_tag(&tag));
                    return refuse(487, "Request Terminated", Cause::Canceled);
                }
                Some(_) => {}
                None => return End::of(Cause::Failed),
            },
            command = commands.recv() => match command {
                Some(Command::Ring { .. }) => phone.wire.respond(&reply(180, "Ringing")),
                Some(Command::Answer) => {
                    let theirs = match Audio::parse(&invite.body) {
                        Ok(theirs) if !theirs.secure && theirs.codec().is_some() => theirs,
                        _ => return refuse(488, "Not Acceptable Here", Cause::Failed),
                    };
                    let mut ours = description(endpoint, mirrored(&theirs.direction));
                    ours.formats = theirs.codec().into_iter().collect();
                    ours.dtmf = theirs.dtmf;
                    if endpoint.agree(&theirs, None).is_err() {
                        return refuse(488, "Not Acceptable Here", Cause::Failed);
                    }
                    let ok = reply(200, "OK").with_body("application/sdp", ours.to_phone_text(1));
                    phone.wire.respond(&ok);
                    let dialog = Dialog::callee(invite, &ok, 1);
                    let call = Confirmed { phone, endpoint, dialog, ours, ack: None, responses: None };
                    return call.with_ok(ok).run(messages, commands).await;
                }
                Some(Command::Reject { code, reason, cause, .. }) => return refuse(code, reason, cause),
                Some(Command::Hangup { .. }) | None => return refuse(486, "Busy Here", Cause::Busy),
            },
        }
    }
}

/// An answered call.
struct Confirmed<'a> {
    phone: &'a Arc<Phone>,
    endpoint: &'a Endpoint,
    dialog: Dialog,
    ours: Audio,
    /// As caller: the ACK, sent again for each 200 that comes again. As callee: the 200 until its ACK comes.
    ack: Option<Message>,
    responses: Option<mpsc::Receiver<Message>>,
}

impl Confirmed<'_> {
    fn with_ok(mut self, ok: Message) -> Self {
        self.ack = Some(ok);
        self
    }

    fn acknowledge(&mut self, cseq: u32) {
        let mut ack = self.dialog.ack(cseq);
        self.phone.stamp(&mut ack);
        self.phone.wire.send(&ack);
        self.ack = Some(ack);
    }

    async fn run(mut self, messages: &mut mpsc::Receiver<Message>, commands: &mut mpsc::Receiver<Command>) -> End {
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let callee = self.responses.is_none();
        let mut pause = T1;
        let mut again_at = if callee { Instant::now() + pause } else { far };
        loop {
            let repeated = async {
                match &mut self.responses {
                    Some(responses) => match responses.recv().await {
                        Some(response) => response,
                        None => std::future::pending().await,
                    },
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                response = repeated => {
                    if response.code() >= 200 && let Some(ack) = &self.ack {
                        self.phone.wire.send(ack);
                    }
                }
                () = sleep_until(again_at) => {
                    if let Some(ok) = &self.ack {
                        self.phone.wire.send(ok);
                    }
                    pause *= 2;
                    again_at = Instant::now() + pause;
                }
                message = messages.recv() => {
                    let Some(message) = message else { break };
                    match message.method() {
                        "ACK" => again_at = far,
                        "BYE" => {
                            self.phone.wire.respond(&Message::response(&message, 200, "OK"));
                            break;
                        }
                        "INVITE" => self.on_reinvite(&message),
                        "OPTIONS" | "NOTIFY" | "CANCEL" => {
                            self.phone.wire.respond(&Message::response(&message, 200, "OK"));
                        }
                        _ => self.phone.wire.respond(&Message::response(&message, 405, "Method Not Allowed")),
                    }
                }
                command = commands.recv() => {
                    if matches!(command, Some(Command::Hangup { .. }) | None) {
                        self.bye().await;
                        break;
                    }
                }
            }
        }
        End { cause: Cause::Completed, sip_code: Some(200), counters: None }
    }

    fn on_reinvite(&mut self, message: &Message) {
        self.dialog.refresh_target(message);
        let agreed = Audio::parse(&message.body).map_err(str::to_owned).and_then(|theirs| {
            self.ours.direction = mirrored(&theirs.direction).to_owned();
            self.endpoint.agree(&theirs, None)
        });
        let reply = match agreed {
            Ok(()) => Message::response(message, 200, "OK")
                .with("Contact", format!("<{}>", self.phone.contact()))
                .with_body("application/sdp", self.ours.to_phone_text(2)),
            Err(_) => Message::response(message, 488, "Not Acceptable Here"),
        };
        self.phone.wire.respond(&reply);
    }

    async fn bye(&mut self) {
        let mut bye = self.dialog.request("BYE");
        self.phone.stamp(&mut bye);
        let _ = self.phone.ask(&bye).await;
    }
}
