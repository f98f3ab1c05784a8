//! `<Dial>`: legs to numbers and registered users, first answer wins (TWILIO.md "Dial", TWILIO.md "Sip noun",
//! TWILIO.md "Dial action").

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::document::Element;
use super::run::Next;
use crate::call::{Call, Gone, pair};
use crate::journal::Event;
use crate::leg::{Cause, Command, End, Leg, LegEvent};
use crate::random;
use crate::sip::inbound::EMERGENCY;
use crate::sip::registered;
use crate::switches::Switches;
use crate::webhook::ask::{Target, ask};
use crate::webhook::url::resolve;

/// TWILIO.md "Dial": Up to 10 Number/Sip/Client nouns ring at once.
const MAX_NOUNS: usize = 10;
/// `timeout` is 5 to 600 s plus about 5 s, by default 30; `timeLimit` is 14400 by default (TWILIO.md "Dial").
const DEFAULT_TIMEOUT: u64 = 30;
const TIMEOUT_BUFFER: u64 = 5;
const DEFAULT_TIME_LIMIT: u64 = 14_400;
/// How long legs that were told to end may take.
const CLEARING: Duration = Duration::from_secs(6);

struct Child {
    leg: Leg,
    sip: bool,
    status: Option<StatusCallback>,
    headers: Vec<(String, String)>,
}

#[derive(Clone)]
struct StatusCallback {
    target: Target,
    events: Vec<String>,
    sequence: u32,
}

/// How a Dial came out.
struct Outcome {
    cause: Cause,
    sip_code: Option<u16>,
    child: Option<usize>,
    bridged: bool,
    seconds: u64,
}

impl Outcome {
    fn failed(cause: Cause, sip_code: Option<u16>) -> Self {
        Self { cause, sip_code, child: None, bridged: false, seconds: 0 }
    }
}

impl Call {
    /// Does a Dial verb.
    pub async fn dial(&mut self, verb: &Element, url: &str) -> Result<Next, Gone> {
        let bridge = verb.attribute("answerOnBridge") == Some("true");
        if !bridge {
            // TWILIO.md "Call from an extension": Dial without answerOnBridge -> 200 OK then executes.
            self.answer().await;
        }
        let seconds = number(verb, "timeout", DEFAULT_TIMEOUT).clamp(5, 600) + TIMEOUT_BUFFER;
        let limit = number(verb, "timeLimit", DEFAULT_TIME_LIMIT);
        let mut nouns: Vec<Element> = verb.children.clone();
        if nouns.is_empty() && !verb.text.is_empty() {
            // TWILIO.md "Dial": Text content = phone number.
            nouns.push(Element { name: "Number".to_owned(), text: verb.text.clone(), ..Element::default() });
        }
        if nouns.len() > MAX_NOUNS {
            self.twilio.journal.alert(13215, format!("{} nouns in one Dial", nouns.len()));
            nouns.truncate(MAX_NOUNS);
        }
        let (mut children, mut refused) = (Vec::new(), Vec::new());
        if let Some(surplus) = surplus(&self.twilio.switches(), &nouns) {
            self.twilio.journal.alert(13215, format!("{surplus} needs Enhanced Programmable SIP Features"));
            match self.twilio.switches().second_sip_fails {
                true => {
                    refused.push(End::of(Cause::Failed));
                    nouns.clear();
                }
                false => nouns.truncate(1),
            }
        }
        for noun in &nouns {
            let started = match noun.name.as_str() {
                "Number" => self.start_number(noun, verb, url).await,
                _ => self.start_sip(noun, verb, url).await,
            };
            match started {
                Ok(mut legs) => children.append(&mut legs),
                Err(end) => refused.push(end),
            }
        }
        let any_sip = nouns.iter().any(|noun| noun.name == "Sip");
        let (outcome, gone) = self.ring(&mut children, refused, seconds, limit).await;
        self.last_dial = Some(outcome.cause);
        let winner = outcome.child.and_then(|n| children.get(n)).or(children.first());
        self.twilio.journal.write(Event::DialEnded {
            call: self.leg.call_sid.clone(),
            status: outcome.cause.as_str().to_owned(),
            sip_code: outcome.sip_code.filter(|_| any_sip),
        });
        if gone && !self.twilio.switches().action_after_caller_hangup {
            return Err(Gone);
        }
        let Some(action) = verb.attribute("action") else {
            return if gone { Err(Gone) } else { Ok(Next::Continue) };
        };
        // The parameters of an action (TWILIO.md "Dial action").
        let mut more = vec![
            pair("DialCallStatus", outcome.cause.as_str()),
            pair("DialCallDuration", &outcome.seconds.to_string()),
            pair("DialBridged", if outcome.bridged { "true" } else { "false" }),
        ];
        if let Some(child) = winner {
            more.push(pair("DialCallSid", &child.leg.call_sid));
            if let (true, Some(call_id)) = (child.sip, &child.leg.sip_call_id) {
                more.push(pair("DialSipCallId", call_id));
            }
            more.extend(child.headers.iter().map(|(n, v)| pair(&format!("DialSipHeader_{n}"), v)));
        }
        if let (true, Some(code)) = (any_sip, outcome.sip_code) {
            more.push(pair("DialSipResponseCode", &code.to_string()));
        }
        if gone {
            let target =
                Target { url: resolve(url, action), method: verb.attribute("method").unwrap_or("POST").to_owned() };
            let _ = ask(&self.twilio, &target, &self.params(&more)).await;
            return Err(Gone);
        }
        self.follow(action, verb.attribute("method"), url, &more).await
    }

    /// An emergency call: no webhook, no TwiML (TWILIO.md "Emergency numbers").
    pub async fn dial_emergency(&mut self, number: &str, caller_id: &str) -> Result<(), Gone> {
        let mut children = Vec::new();
        let mut refused = Vec::new();
        match self.start_party(number, caller_id) {
            Some(leg) => children.push(Child { leg, sip: false, status: None, headers: Vec::new() }),
            None => refused.push(End::of(Cause::Failed)),
        }
        let (outcome, gone) = self.ring(&mut children, refused, 60, DEFAULT_TIME_LIMIT).await;
        self.last_dial = Some(outcome.cause);
        if gone { Err(Gone) } else { Ok(()) }
    }

    async fn start_number(&mut self, noun: &Element, verb: &Element, url: &str) -> Result<Vec<Child>, End> {
        let number = noun.text.replace([' ', '-', '(', ')'], "");
        let emergency = EMERGENCY.contains(&number.as_str());
        let e164 = number.strip_prefix('+').is_some_and(|d| (7..=15).contains(&d.len()) && digits(d));
        if !e164 && !emergency {
            self.twilio.journal.alert(13223, format!("Dial: Invalid phone number format {number:?}"));
            return Err(End::of(Cause::Failed));
        }
        if !emergency && !self.twilio.store().v1.may_call(&number) {
            // TWILIO.md "Dialing permissions": A blocked destination gives 13227 on <Dial>.
            self.twilio
                .journal
                .alert(13227, format!("Geo Permission configuration is not permitting call to {number}"));
            return Err(End::of(Cause::Failed));
        }
        let Some(caller_id) = self.caller_id(verb) else { return Err(End::of(Cause::Failed)) };
        let call = self.leg.call_sid.clone();
        self.twilio.journal.write(Event::Dialled { call, target: number.clone(), caller_id: caller_id.clone() });
        if emergency {
            let (call, from_user) = (self.leg.call_sid.clone(), self.from.clone());
            let (number, caller_id) = (number.clone(), caller_id.clone());
            self.twilio.journal.write(Event::Emergency { call, number, caller_id, from_user });
        }
        let Some(leg) = self.start_party(&number, &caller_id) else {
            self.twilio.journal.alert(13224, format!("Dial: {number} belongs to nobody"));
            return Err(End::of(Cause::Failed));
        };
        Ok(vec![Child { leg, sip: false, status: status_callback(noun, url), headers: Vec::new() }])
    }

    /// The caller ID must be a Twilio or verified number, or To or From of a request that is no SIP call
    /// (TWILIO.md "Caller ID of a Dial").
    fn caller_id(&self, verb: &Element) -> Option<String> {
        let caller_id = verb.attribute("callerId").unwrap_or(&self.from).to_owned();
        let own = self.twilio.store().may_call_as(&caller_id);
        let of_request = !self.from_sip && (caller_id == self.from || caller_id == self.to);
        if own || of_request {
            return Some(caller_id);
        }
        self.twilio.journal.alert(13214, format!("Dial: Invalid callerId value {caller_id:?}"));
        None
    }

    async fn start_sip(&mut self, noun: &Element, verb: &Element, url: &str) -> Result<Vec<Child>, End> {
        let caller_id = verb.attribute("callerId").unwrap_or(&self.from).to_owned();
        let call = &self.leg.call_sid;
        let legs = registered::call(&self.twilio, call, &noun.text, &caller_id, &random::sid("CA")).await?;
        let status = status_callback(noun, url);
        let child = |leg| Child { leg, sip: true, status: status.clone(), headers: Vec::new() };
        Ok(legs.into_iter().map(child).collect())
    }

    /// The far end of a call to the telephone network; `None` when the number belongs to nobody.
    fn start_party(&self, number: &str, caller_id: &str) -> Option<Leg> {
        crate::pstn::reach(&self.twilio, number, caller_id, &random::sid("CA"))
    }

    /// Lets the children ring until one answers, and talk until one side hangs up. Says also whether the caller left.
    async fn ring(
        &mut self,
        children: &mut [Child],
        refused: Vec<End>,
        seconds: u64,
        time_limit: u64,
    ) -> (Outcome, bool) {
        let (sender, mut events) = mpsc::channel::<(usize, LegEvent)>(64);
        for (n, child) in children.iter_mut().enumerate() {
            // The queue moves into a task that names its child; what is left in the handle is empty.
            let mut own = std::mem::replace(&mut child.leg.events, mpsc::channel(1).1);
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(event) = own.recv().await {
                    let _ = sender.send((n, event)).await;
                }
            });
            self.note(child, "initiated", &[]);
        }
        drop(sender);
        let early_media = self.twilio.switches().early_media;
        let mut deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let mut open = children.len();
        let mut ends = refused;
        let mut winner: Option<(usize, Instant)> = None;
        let mut early = false;
        loop {
            if open == 0 && winner.is_none() {
                let end = summary(&ends);
                return (Outcome::failed(end.cause, end.sip_code), false);
            }
            tokio::select! {
                event = events.recv() => {
                    let Some((n, event)) = event else {
                        return (Outcome::failed(Cause::Failed, None), false);
                    };
                    match event {
                        LegEvent::Ringing => {
                            self.note(&mut children[n], "ringing", &[]);
                            if early_media && !self.answered && !early {
                                early = true;
                                self.leg.tell(Command::Ring { early_media: true }).await;
                                self.leg.port.join(&children[n].leg.port);
                            }
                        }
                        LegEvent::Answered { headers } if winner.is_none() => {
                            winner = Some((n, Instant::now()));
                            deadline = tokio::time::Instant::now() + Duration::from_secs(time_limit);
                            children[n].headers = headers;
                            self.note(&mut children[n], "answered", &[]);
                            for (other, child) in children.iter().enumerate() {
                                if other != n {
                                    child.leg.port.part();
                                    child.leg.tell(hangup()).await;
                                }
                            }
                            self.leg.port.join(&children[n].leg.port);
                            self.answer().await;
                        }
                        LegEvent::Answered { .. } => children[n].leg.tell(hangup()).await,
                        LegEvent::Ended(end) => {
                            open -= 1;
                            let won = winner.filter(|(w, _)| *w == n);
                            let seconds = won.map_or(0, |(_, since)| since.elapsed().as_secs());
                            self.note(&mut children[n], "completed", &[pair("CallDuration", &seconds.to_string())]);
                            self.ended(&children[n], &end);
                            if won.is_some() {
                                self.leg.port.part();
                                let outcome = Outcome {
                                    cause: Cause::Completed,
                                    sip_code: end.sip_code,
                                    child: Some(n),
                                    bridged: true,
                                    seconds,
                                };
                                return (outcome, false);
                            }
                            ends.push(end);
                        }
                    }
                }
                event = self.leg.events.recv() => match event {
                    Some(LegEvent::Ended(end)) => {
                        self.gone = Some(end);
                        let outcome = self.clear(children, &mut events, open, winner, Cause::Canceled).await;
                        return (outcome, true);
                    }
                    Some(_) => {}
                    None => {
                        self.gone = Some(End::of(Cause::Completed));
                        let outcome = self.clear(children, &mut events, open, winner, Cause::Canceled).await;
                        return (outcome, true);
                    }
                },
                () = sleep_until(deadline) => {
                    // Nobody answered in time, or the call reached its time limit.
                    let outcome = self.clear(children, &mut events, open, winner, Cause::NoAnswer).await;
                    return (outcome, false);
                }
            }
        }
    }

    /// Ends all children and waits for them.
    async fn clear(
        &mut self,
        children: &mut [Child],
        events: &mut mpsc::Receiver<(usize, LegEvent)>,
        open: usize,
        winner: Option<(usize, Instant)>,
        unanswered: Cause,
    ) -> Outcome {
        self.leg.port.part();
        for child in children.iter() {
            child.leg.port.part();
            child.leg.tell(hangup()).await;
        }
        let mut sip_code = None;
        let mut left = open;
        let clearing = async {
            while left > 0 {
                let Some((n, event)) = events.recv().await else { return };
                if let LegEvent::Ended(end) = event {
                    left -= 1;
                    if winner.is_none_or(|(w, _)| w == n) {
                        sip_code = end.sip_code;
                    }
                    self.note(&mut children[n], "completed", &[]);
                    self.ended(&children[n], &end);
                }
            }
        };
        if timeout(CLEARING, clearing).await.is_err() {
            self.twilio.journal.alert(0, "a leg did not end when it was told to");
        }
        match winner {
            Some((n, since)) => {
                let seconds = since.elapsed().as_secs();
                Outcome { cause: Cause::Completed, sip_code, child: Some(n), bridged: true, seconds }
            }
            None => Outcome::failed(unanswered, sip_code),
        }
    }

    fn ended(&self, child: &Child, end: &End) {
        let (call, cause) = (child.leg.call_sid.clone(), end.cause.as_str().to_owned());
        self.twilio.journal.write(Event::CallEnded { call, cause, counters: end.counters });
    }

    /// Tells a noun's status callback (TWILIO.md "Status callbacks"); order of arrival is not guaranteed, so nobody
    /// waits for it.
    fn note(&self, child: &mut Child, event: &str, more: &[(String, String)]) {
        let Some(status) = &mut child.status else { return };
        if !status.events.iter().any(|wanted| wanted == event) {
            return;
        }
        let call_status = match event {
            "answered" => "in-progress",
            other => other,
        };
        let mut params: Vec<(String, String)> =
            self.base.iter().filter(|(name, _)| name != "CallSid").cloned().collect();
        params.push(pair("CallSid", &child.leg.call_sid));
        params.push(pair("ParentCallSid", &self.leg.call_sid));
        params.push(pair("CallStatus", call_status));
        params.push(pair("Timestamp", &crate::date::now()));
        params.push(pair("CallbackSource", "call-progress-events"));
        params.push(pair("SequenceNumber", &status.sequence.to_string()));
        params.extend_from_slice(more);
        status.sequence += 1;
        let (twilio, target) = (self.twilio.clone(), status.target.clone());
        tokio::spawn(async move {
            let _ = ask(&twilio, &target, &params).await;
        });
    }
}

fn hangup() -> Command {
    Command::Hangup { code: 487, reason: "Request Terminated" }
}

/// What an ordinary account does not ring beside the first noun (TWILIO.md "Dial").
fn surplus(switches: &Switches, nouns: &[Element]) -> Option<&'static str> {
    let sips = nouns.iter().filter(|noun| noun.name == "Sip").count();
    match (sips, nouns.len()) {
        _ if switches.enhanced_sip => None,
        (0, _) | (1, 1) => None,
        (1, _) if switches.sip_beside_number => None,
        (1, _) => Some("a <Number> beside a <Sip>"),
        _ => Some("a second <Sip>"),
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn number(verb: &Element, name: &str, default: u64) -> u64 {
    verb.attribute(name).and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// TWILIO.md "Sip noun": statusCallbackEvent (none -> completed if callback set).
fn status_callback(noun: &Element, base: &str) -> Option<StatusCallback> {
    let url = resolve(base, noun.attribute("statusCallback")?);
    let method = noun.attribute("statusCallbackMethod").unwrap_or("POST").to_owned();
    let events = noun.attribute("statusCallbackEvent").unwrap_or("completed");
    let events = events.split_whitespace().map(str::to_owned).collect();
    Some(StatusCallback { target: Target { url, method }, events, sequence: 0 })
}

/// The one cause of several legs that all failed: busy says most, then no-answer.
fn summary(ends: &[End]) -> End {
    let find = |cause: Cause| ends.iter().find(|end| end.cause == cause).cloned();
    find(Cause::Busy)
        .or_else(|| find(Cause::NoAnswer))
        .or_else(|| ends.last().cloned())
        .unwrap_or(End::of(Cause::Failed))
}
