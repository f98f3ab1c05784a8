//! The telephone network: parties that answer or call, send a tone, and measure what they hear.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::call;
use crate::journal::Event;
use crate::leg::{Cause, Command, Leg, LegEvent, crossed};
use crate::media::meter::{Heard, Meter};
use crate::media::port::{Frame, QUEUE, Sound};
use crate::media::tone::Tone;
use crate::random;
use crate::twilio::Twilio;

/// What a far end does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Party {
    /// Answer after so long.
    pub answer_after_ms: u64,
    /// Refuse as busy.
    pub busy: bool,
    /// Ring for ever.
    pub no_answer: bool,
    /// Hang up so long after the answer.
    pub hang_up_after_ms: Option<u64>,
    /// Frequency of the tone that it sends, in hertz.
    pub tone_hz: f64,
    /// Level of the tone in dBm0.
    pub level_dbm0: f64,
    /// Digits to send as telephone-events after the answer.
    pub digits: String,
}

impl Default for Party {
    fn default() -> Self {
        Self {
            answer_after_ms: 300,
            busy: false,
            no_answer: false,
            hang_up_after_ms: None,
            tone_hz: 1004.0,
            level_dbm0: -10.0,
            digits: String::new(),
        }
    }
}

/// Who can be reached.
#[derive(Default)]
pub struct Pstn {
    parties: HashMap<String, Party>,
}

impl Pstn {
    /// Puts a party behind a number.
    pub fn connect(&mut self, number: &str, party: Party) {
        self.parties.insert(number.to_owned(), party);
    }

    /// The party behind a number. The emergency test line answers by itself (TWILIO.md "Emergency numbers").
    pub fn party(&self, number: &str) -> Option<Party> {
        let line = Party { hang_up_after_ms: Some(4000), tone_hz: 620.0, ..Party::default() };
        self.parties.get(number).cloned().or_else(|| ["911", "933", "112", "999"].contains(&number).then_some(line))
    }
}

/// How a call that a party made came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// `CA...`
    pub call: String,
    /// Was it answered?
    pub answered: bool,
    /// How it ended.
    pub cause: String,
    /// What the party heard.
    pub heard: Heard,
}

/// Starts a call to a number: an own one comes back in like any other call; `None` when it belongs to nobody.
pub fn reach(twilio: &Arc<Twilio>, number: &str, caller_id: &str, call_sid: &str) -> Option<Leg> {
    let (twilio, number, caller_id) = (twilio.clone(), number.to_owned(), caller_id.to_owned());
    let own = twilio.store().number(&number).is_some();
    let party = twilio.pstn().party(&number);
    let (caller, callee) = crossed(call_sid);
    if own {
        tokio::spawn(call::to_number(twilio, callee, caller_id, number));
        return Some(caller);
    }
    tokio::spawn(be_called(twilio, callee, number, caller_id, party?));
    Some(caller)
}

/// A party answers: `leg` is the callee's side of a crossed pair.
pub async fn be_called(twilio: Arc<Twilio>, mut leg: Leg, number: String, caller_id: String, party: Party) {
    let call = leg.call_sid.clone();
    let journal = twilio.journal.clone();
    let ended = |cause: Cause, heard: Heard| {
        let (call, number, cause) = (call.clone(), number.clone(), cause.as_str().to_owned());
        journal.write(Event::PstnEnded { call, number, cause, heard });
    };
    if party.busy {
        leg.tell(Command::Reject { cause: Cause::Busy, code: 486, reason: "Busy Here", error: None }).await;
        return ended(Cause::Busy, Heard::default());
    }
    leg.tell(Command::Ring { early_media: false }).await;
    journal.write(Event::PstnRinging { call: call.clone(), number: number.clone(), caller_id });
    let answer_at = match party.no_answer {
        true => Instant::now() + Duration::from_secs(3600),
        false => Instant::now() + Duration::from_millis(party.answer_after_ms),
    };
    // Ringback, for callers that get early media.
    let mut ringback = Tone::new(440.0, -19.0);
    let mut tick = ticks();
    let mut seq = 0u16;
    loop {
        tokio::select! {
            () = sleep_until(answer_at) => break,
            event = leg.events.recv() => match event {
                Some(LegEvent::Ended(end)) => return ended(end.cause, Heard::default()),
                None => return ended(Cause::Canceled, Heard::default()),
                Some(_) => {}
            },
            _ = tick.tick() => {
                seq = seq.wrapping_add(1);
                let _ = leg.port.out.try_send(Frame { seq, sound: Sound::Pcmu(ringback.frame()) });
            }
        }
    }
    leg.tell(Command::Answer).await;
    journal.write(Event::PstnAnswered { call: call.clone(), number: number.clone() });
    let (cause, heard) = talk(&mut leg, &party).await;
    ended(cause, heard);
}

/// A party calls one of the account's numbers.
pub async fn call(twilio: Arc<Twilio>, from: String, to: String, party: Party, ring_limit: Duration) -> Outcome {
    let call_sid = random::sid("CA");
    let (mut leg, callee) = crossed(&call_sid);
    tokio::spawn(call::to_number(twilio.clone(), callee, from.clone(), to));
    let deadline = Instant::now() + ring_limit;
    let (cause, answered, heard) = loop {
        tokio::select! {
            event = leg.events.recv() => match event {
                Some(LegEvent::Answered { .. }) => {
                    twilio.journal.write(Event::PstnAnswered { call: call_sid.clone(), number: from.clone() });
                    let (cause, heard) = talk(&mut leg, &party).await;
                    break (cause, true, heard);
                }
                Some(LegEvent::Ended(end)) => break (end.cause, false, Heard::default()),
                None => break (Cause::Failed, false, Heard::default()),
                Some(LegEvent::Ringing) => {}
            },
            () = sleep_until(deadline) => {
                leg.tell(Command::Hangup { code: 487, reason: "Request Terminated" }).await;
                break (Cause::NoAnswer, false, Heard::default());
            }
        }
    };
    let (call, number) = (call_sid.clone(), from);
    let text = cause.as_str().to_owned();
    twilio.journal.write(Event::PstnEnded { call, number, cause: text.clone(), heard: heard.clone() });
    Outcome { call: call_sid, answered, cause: text, heard }
}

fn ticks() -> tokio::time::Interval {
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tick
}

/// Sends the tone (and digits) and listens until one side hangs up; also what a scripted handset does in a call.
pub async fn talk(leg: &mut Leg, party: &Party) -> (Cause, Heard) {
    let (sink, mut arriving) = mpsc::channel(QUEUE);
    leg.port.listen(Some(sink));
    let hang_up_at = Instant::now() + Duration::from_millis(party.hang_up_after_ms.unwrap_or(86_400_000));
    let (mut tone, mut meter, mut tick) = (Tone::new(party.tone_hz, party.level_dbm0), Meter::default(), ticks());
    let mut digits = digit_frames(&party.digits).into_iter();
    // Digits begin after half a second, when both ways are surely open.
    let (mut seq, mut sent) = (0u16, 0u32);
    let cause = loop {
        tokio::select! {
            Some(frame) = arriving.recv() => meter.take(&frame),
            _ = tick.tick() => {
                sent += 1;
                seq = seq.wrapping_add(1);
                let digit = if sent > 25 { digits.next() } else { None };
                let sound = digit.unwrap_or_else(|| Sound::Pcmu(tone.frame()));
                let _ = leg.port.out.try_send(Frame { seq, sound });
            }
            () = sleep_until(hang_up_at) => {
                leg.tell(Command::Hangup { code: 480, reason: "Temporarily Unavailable" }).await;
                break Cause::Completed;
            }
            event = leg.events.recv() => match event {
                Some(LegEvent::Ended(end)) => break end.cause,
                None => break Cause::Completed,
                Some(_) => {}
            },
        }
    };
    leg.port.listen(None);
    // What was on the way when the call ended was heard too.
    while let Ok(frame) = arriving.try_recv() {
        meter.take(&frame);
    }
    (cause, meter.heard())
}

/// The packets of digits: five while the key is down, three to say that it is up (RFC 4733 2.5.1.4), and a pause.
pub fn digit_frames(digits: &str) -> Vec<Sound> {
    let mut frames = Vec::new();
    for (n, c) in digits.chars().enumerate() {
        let Some(digit) = "0123456789*#ABCD".find(c) else { continue };
        let timestamp = 1000 * (n as u32 + 1);
        for packet in 1..=8u16 {
            let (duration, end) = (packet.min(5) * 160, packet > 5);
            frames.push(Sound::Digit { digit: digit as u8, timestamp, duration, end });
        }
        frames.extend((0..3).map(|_| Sound::Pcmu(vec![0xff; 160])));
    }
    frames
}
