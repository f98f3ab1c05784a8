//! One leg of a call as the TwiML side sees it, whatever is behind it: SIP, a PSTN party, or another call.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::media::endpoint::Counters;
use crate::media::port::Port;

/// What the one who called learns of a leg, and what a called one learns of its caller.
#[derive(Clone, Debug)]
pub enum LegEvent {
    /// The far end rings.
    Ringing,
    /// The far end answered; `headers` are the `X-*` of a SIP 200.
    Answered { headers: Vec<(String, String)> },
    /// The leg is over.
    Ended(End),
}

/// How a leg ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Why.
    pub cause: Cause,
    /// The final SIP code, where SIP was behind the leg.
    pub sip_code: Option<u16>,
    /// Packets of a SIP leg.
    pub counters: Option<Counters>,
}

impl End {
    /// An end without SIP.
    pub fn of(cause: Cause) -> Self {
        Self { cause, sip_code: None, counters: None }
    }
}

/// Why a leg ended, in the words of `CallStatus` (TWILIO.md "CallStatus").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was answered and then ended.
    Completed,
    /// The far end was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// It could not be made.
    Failed,
    /// The caller gave up.
    Canceled,
}

impl Cause {
    /// The `CallStatus` and `DialCallStatus` value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// What a leg is told.
#[derive(Clone, Debug)]
pub enum Command {
    /// Ring (180), or with `early_media` let the caller hear the far end before the answer (183 with SDP).
    Ring { early_media: bool },
    /// Answer (200).
    Answer,
    /// Refuse, with the cause for a caller without SIP, and code and reason for SIP, and Twilio's error if it has one.
    Reject { cause: Cause, code: u16, reason: &'static str, error: Option<&'static str> },
    /// End it: BYE when answered, CANCEL towards a callee, `code` towards a caller who got no answer.
    Hangup { code: u16, reason: &'static str },
}

/// Commands and events that wait at most.
const QUEUE: usize = 16;

/// A handle on a leg.
pub struct Leg {
    /// `CA...`
    pub call_sid: String,
    /// Its sound.
    pub port: Port,
    /// What happens on it.
    pub events: mpsc::Receiver<LegEvent>,
    /// What it is told.
    pub commands: mpsc::Sender<Command>,
    /// SIP Call-ID, for `SipCallId` and `DialSipCallId`.
    pub sip_call_id: Option<String>,
}

/// The other ends of a leg's queues.
pub struct LegDriver {
    /// Where events go.
    pub events: mpsc::Sender<LegEvent>,
    /// Where commands come from.
    pub commands: mpsc::Receiver<Command>,
}

impl Leg {
    /// A leg and what drives it.
    pub fn new(call_sid: &str, port: Port, sip_call_id: Option<String>) -> (Self, LegDriver) {
        let (events_in, events) = mpsc::channel(QUEUE);
        let (commands, commands_out) = mpsc::channel(QUEUE);
        let leg = Self { call_sid: call_sid.to_owned(), port, events, commands, sip_call_id };
        (leg, LegDriver { events: events_in, commands: commands_out })
    }

    /// Tells the leg something; a leg that is over does not listen any more, which is no fault.
    pub async fn tell(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

impl Leg {
    /// Waits until the far end answers; gives when it began to ring (if it did), or how the leg ended instead.
    pub async fn answered(&mut self, limit: Duration) -> Result<Option<Instant>, End> {
        let mut rang = None;
        let waiting = async {
            loop {
                match self.events.recv().await {
                    Some(LegEvent::Ringing) => rang = rang.or(Some(Instant::now())),
                    Some(LegEvent::Answered { .. }) => return Ok(rang),
                    Some(LegEvent::Ended(end)) => return Err(end),
                    None => return Err(End::of(Cause::Failed)),
                }
            }
        };
        tokio::time::timeout(limit, waiting).await.unwrap_or(Err(End::of(Cause::NoAnswer)))
    }

    /// Waits until the leg is over; `None` when that takes longer than `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Option<End> {
        let waiting = async {
            while let Some(event) = self.events.recv().await {
                if let LegEvent::Ended(end) = event {
                    return end;
                }
            }
            End::of(Cause::Completed)
        };
        tokio::time::timeout(limit, waiting).await.ok()
    }
}

/// Two legs that are each other's far end: the caller's handle, and the callee's.
pub fn crossed(call_sid: &str) -> (Leg, Leg) {
    let (caller_port, mut to_callee) = Port::new();
    let (callee_port, mut to_caller) = Port::new();
    let (caller, mut caller_driver) = Leg::new(call_sid, caller_port.clone(), None);
    let (callee, mut callee_driver) = Leg::new(call_sid, callee_port.clone(), None);
    tokio::spawn(async move {
        let mut answered = false;
        loop {
            tokio::select! {
                Some(frame) = to_callee.recv() => callee_port.came(frame),
                Some(frame) = to_caller.recv() => caller_port.came(frame),
                command = callee_driver.commands.recv() => {
                    let end = match command {
                        Some(Command::Ring { .. }) => {
                            let _ = caller_driver.events.send(LegEvent::Ringing).await;
                            continue;
                        }
                        Some(Command::Answer) => {
                            answered = true;
                            let _ = caller_driver.events.send(LegEvent::Answered { headers: Vec::new() }).await;
                            continue;
                        }
                        Some(Command::Reject { cause, .. }) => cause,
                        Some(Command::Hangup { code, .. }) if !answered => match code {
                            486 => Cause::Busy,
                            480 => Cause::NoAnswer,
                            _ => Cause::Failed,
                        },
                        Some(Command::Hangup { .. }) | None => Cause::Completed,
                    };
                    let _ = caller_driver.events.send(LegEvent::Ended(End::of(end))).await;
                    let _ = callee_driver.events.send(LegEvent::Ended(End::of(end))).await;
                    return;
                }
                _ = caller_driver.commands.recv() => {
                    let cause = if answered { Cause::Completed } else { Cause::Canceled };
                    let _ = callee_driver.events.send(LegEvent::Ended(End::of(cause))).await;
                    let _ = caller_driver.events.send(LegEvent::Ended(End::of(cause))).await;
                    return;
                }
            }
        }
    });
    (caller, callee)
}
