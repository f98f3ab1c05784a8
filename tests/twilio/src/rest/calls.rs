//! Calls made by the API: to registered users of our domains and to the telephone network
//! (TWILIO.md "Calls by the API").

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::family::{Family, Pairs, value};
use super::numbers::{friendly, is_e164};
use super::resource::{Form, Kind, Param, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::call::{Call, Gone, common, pair};
use crate::date;
use crate::journal::Event;
use crate::leg::{Cause, Command, Leg, LegEvent};
use crate::pstn;
use crate::sip::registered;
use crate::twilio::Twilio;
use crate::twiml::document::parse;
use crate::webhook::ask::{Failure, Target, ask, document};

/// Lists and single calls; making and changing them is below.
const FAMILY: Family = Family {
    kind: Kind::Call,
    key: "calls",
    filters: &["To", "From", "ParentCallSid", "Status"],
    create: None,
    update: None,
    delete: Some(delete),
};

/// Parameters that are acted on, and those that are accepted: nobody here records calls or detects machines.
const PARAMS: &[Param] = &[
    param("To", Form::Text(2048)),
    param("From", Form::Text(255)),
    param("Url", Form::Url),
    param("Method", Form::Method),
    param("FallbackUrl", Form::Url),
    param("FallbackMethod", Form::Method),
    param("Twiml", Form::Unshown),
    param("ApplicationSid", Form::Sid("AP")),
    param("StatusCallback", Form::Url),
    param("StatusCallbackEvent", Form::Text(32)),
    param("StatusCallbackMethod", Form::Method),
    param("Timeout", Form::Unshown),
    param("TimeLimit", Form::Unshown),
    param("CallerId", Form::Unshown),
    param("CallReason", Form::Unshown),
    param("SendDigits", Form::Unshown),
    param("SipAuthUsername", Form::Text(255)),
    param("SipAuthPassword", Form::Text(255)),
    param("MachineDetection", Form::Unshown),
    param("Record", Form::Unshown),
];
const CHANGES: &[Param] = &[
    param("Url", Form::Url),
    param("Method", Form::Method),
    param("Status", Form::OneOf(&["canceled", "completed"])),
    param("FallbackUrl", Form::Url),
    param("FallbackMethod", Form::Method),
    param("StatusCallback", Form::Url),
    param("StatusCallbackMethod", Form::Method),
    param("Twiml", Form::Unshown),
    param("TimeLimit", Form::Unshown),
];

/// TWILIO.md "Calls by the API": Twiml <= 4000 chars (over -> 32018).
const MAX_TWIML: usize = 4000;
/// TWILIO.md "Calls by the API": Ring Timeout default 60, max 600, plus ~5 s buffer.
const TIMEOUT: u64 = 60;
const MAX_TIMEOUT: u64 = 600;
const TIMEOUT_BUFFER: u64 = 5;
const TIME_LIMIT: u64 = 14_400;
/// Calls that are kept; the oldest goes first.
const MAX_CALLS: usize = 1000;

/// What happens to a call from outside.
pub enum Change {
    /// It ends.
    End,
    /// It goes on with another document.
    Document(Source),
}

/// Where the document comes from.
pub enum Source {
    /// From a webhook, and from its fallback.
    Url(Target, Option<Target>),
    /// From the request.
    Twiml(String),
}

struct Order {
    sid: String,
    from: String,
    to: String,
    source: Source,
    timeout: Duration,
    limit: Duration,
    status: Option<(Target, Vec<String>)>,
}

/// Answers `Calls...`; `inner` is the path there.
pub fn route(twilio: &Arc<Twilio>, request: &RestRequest, inner: &[&str]) -> Reply {
    let mut guard = twilio.store();
    let store = &mut *guard;
    match (request.method.as_str(), inner) {
        ("POST", []) => {
            let order = order(store, &request.form)?;
            let (sender, changes) = mpsc::channel(4);
            store.live_calls.insert(order.sid.clone(), sender);
            let fields = store.fields(Kind::Call, None, &order.sid)?;
            drop(guard);
            tokio::spawn(place(twilio.clone(), order, changes));
            Ok((201, Some(Value::Object(fields))))
        }
        ("POST", [sid]) => {
            let fields = store.fields(Kind::Call, None, sid).map_err(|_| RestError::not_found(&request.path))?;
            change(store, sid, &fields, &request.form)?;
            Ok((200, Some(Value::Object(fields))))
        }
        _ => FAMILY.answer(store, request, None, inner),
    }
}

fn target(form: &Pairs, url: &str, method: &str) -> Option<Target> {
    let method = Some(value(form, method)).filter(|m| !m.is_empty()).unwrap_or("POST").to_owned();
    let url = value(form, url).to_owned();
    (!url.is_empty()).then_some(Target { url, method })
}

/// TWILIO.md "Calls by the API": if both Url and Twiml are given, Url wins; an app's URLs stand for both.
fn source(store: &Store, form: &Pairs) -> Result<Option<Source>, RestError> {
    let twiml = value(form, "Twiml");
    if twiml.chars().count() > MAX_TWIML {
        return Err(RestError::bad(32018, "Twiml is longer than 4000 characters"));
    }
    let app = value(form, "ApplicationSid");
    if !app.is_empty() {
        let found = store.get(Kind::Application, None, app);
        let found = found.ok_or_else(|| RestError::bad(21218, format!("Invalid ApplicationSid {app}")))?;
        let of = |url: &str, method: &str| {
            let (url, method) = (found.text(url).to_owned(), found.text(method).to_owned());
            (!url.is_empty()).then_some(Target { url, method })
        };
        let fallback = of("voice_fallback_url", "voice_fallback_method");
        return Ok(of("voice_url", "voice_method").map(|primary| Source::Url(primary, fallback)));
    }
    let fallback = target(form, "FallbackUrl", "FallbackMethod");
    Ok(match (target(form, "Url", "Method"), twiml) {
        (Some(primary), _) => Some(Source::Url(primary, fallback)),
        (None, "") => None,
        (None, twiml) => Some(Source::Twiml(twiml.to_owned())),
    })
}

fn seconds(form: &Pairs, name: &str, default: u64, code: u32) -> Result<u64, RestError> {
    match value(form, name) {
        "" => Ok(default),
        text => text.parse().map_err(|_| RestError::bad(code, format!("{name} {text} is not a number of seconds"))),
    }
}

fn order(store: &mut Store, form: &Pairs) -> Result<Order, RestError> {
    store.apply(PARAMS, form, &mut Map::new())?;
    let (to, from) = (value(form, "To").to_owned(), value(form, "From").to_owned());
    if to.is_empty() {
        return Err(RestError::bad(21201, "No 'To' number is specified"));
    }
    if from.is_empty() {
        return Err(RestError::bad(21213, "Caller phone number is required"));
    }
    let sip = to.starts_with("sip:");
    if sip {
        if to.split_once('?').is_some_and(|(_, headers)| headers.len() >= 1024) {
            return Err(RestError::bad(21227, "Headers portion of SIP URI must be fewer than 1024 chars"));
        }
        if !registered::is_caller_id(&from) {
            return Err(RestError::bad(21212, format!("Invalid From Number (caller ID): {from}")));
        }
    } else if !is_e164(&to) {
        return Err(RestError::bad(21211, format!("Invalid 'To' Phone Number: {to}")));
    } else if !store.may_call_as(&from) {
        return Err(RestError::bad(21210, format!("'From' phone number {from} is not verified")));
    }
    if !sip && !store.v1.may_call(&to) {
        return Err(RestError::bad(21215, format!("Geo Permission configuration is not permitting call to {to}")));
    }
    if store.account.r#type == "Trial" && !sip && !store.may_call_as(&to) {
        return Err(RestError::bad(21219, format!("'To' phone number {to} is not verified")));
    }
    let source =
        source(store, form)?.ok_or_else(|| RestError::bad(21205, "Url, Twiml or ApplicationSid is required"))?;
    let timeout = seconds(form, "Timeout", TIMEOUT, 21208)?.min(MAX_TIMEOUT) + TIMEOUT_BUFFER;
    let limit = seconds(form, "TimeLimit", TIME_LIMIT, 20001)?.max(1);
    let events = form.iter().filter(|(name, _)| name == "StatusCallbackEvent").map(|(_, event)| event.clone());
    let mut events: Vec<String> = events.collect();
    if events.is_empty() {
        events.push("completed".to_owned());
    }
    let status = target(form, "StatusCallback", "StatusCallbackMethod").map(|target| (target, events));

    let sid = store.sid("CA");
    let formatted = |address: &str| if is_e164(address) { friendly(address) } else { address.to_owned() };
    let number = store.number(&from).map(|number| number.sid);
    let uri = store.uri(&format!("Calls/{sid}"));
    let links = ["Notifications", "Recordings"].map(|f| (f.to_lowercase(), json!(format!("{uri}/{f}.json"))));
    let fields = object(json!({
        "sid": sid,
        "date_created": date::now(),
        "date_updated": date::now(),
        "parent_call_sid": null,
        "account_sid": store.account_sid,
        "to": to,
        "to_formatted": formatted(&to),
        "from": from,
        "from_formatted": formatted(&from),
        "phone_number_sid": number,
        "status": "queued",
        "start_time": null,
        "end_time": null,
        "duration": null,
        "price": null,
        "price_unit": "USD",
        "direction": "outbound-api",
        "answered_by": null,
        "api_version": "2010-04-01",
        "forwarded_from": null,
        "group_sid": null,
        "caller_name": null,
        "queue_time": "0",
        "trunk_sid": null,
        "uri": format!("{uri}.json"),
        "subresource_uris": Value::Object(links.into_iter().collect()),
    }));
    if store.all(Kind::Call, None).len() >= MAX_CALLS {
        let oldest = store.all(Kind::Call, None).first().map(|r| r.sid.clone()).unwrap_or_default();
        store.remove(Kind::Call, None, &oldest);
    }
    store.add(Kind::Call, None, sid.clone(), fields);
    let (timeout, limit) = (Duration::from_secs(timeout), Duration::from_secs(limit));
    Ok(Order { sid, from, to, source, timeout, limit, status })
}

/// TWILIO.md "Calls by the API": completed hangs up a live call; canceled only while queued/ringing; ... wrong state ->
/// 21220.
fn change(store: &mut Store, sid: &str, fields: &Map<String, Value>, form: &Pairs) -> Result<(), RestError> {
    store.apply(CHANGES, form, &mut Map::new())?;
    let state = fields["status"].as_str().unwrap_or("");
    let wrong = || RestError::bad(21220, format!("Call is not in a state for that: {state}"));
    let change = match value(form, "Status") {
        "canceled" if state == "in-progress" => return Err(wrong()),
        "canceled" | "completed" => Change::End,
        _ => match source(store, form)? {
            Some(_) if state != "in-progress" => return Err(wrong()),
            Some(source) => Change::Document(source),
            None => return Ok(()),
        },
    };
    let live = store.live_calls.get(sid).ok_or_else(wrong)?;
    live.try_send(change).map_err(|_| wrong())
}

fn delete(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    if store.live_calls.contains_key(sid) {
        return Err(RestError::bad(21220, "Call is in progress"));
    }
    store.remove(Kind::Call, parent, sid);
    Ok(())
}

/// Tells a call's status callback in order, beside the call.
struct Teller {
    events: Vec<String>,
    base: Vec<(String, String)>,
    sender: Option<mpsc::Sender<Vec<(String, String)>>>,
    sequence: u32,
}

impl Teller {
    fn new(twilio: &Arc<Twilio>, order: &Order) -> Self {
        let base = common(twilio, &order.sid, &order.from, &order.to, "outbound-api");
        let Some((target, events)) = order.status.clone() else {
            return Self { events: Vec::new(), base, sender: None, sequence: 0 };
        };
        let (sender, mut waiting) = mpsc::channel::<Vec<(String, String)>>(8);
        let twilio = twilio.clone();
        tokio::spawn(async move {
            while let Some(params) = waiting.recv().await {
                // Failures are in the journal.
                let _ = ask(&twilio, &target, &params).await;
            }
        });
        Self { events, base, sender: Some(sender), sequence: 0 }
    }

    async fn tell(&mut self, event: &str, status: &str, more: &[(String, String)]) {
        let Some(sender) = &self.sender else { return };
        if !self.events.iter().any(|own| own == event) {
            return;
        }
        let mut params = self.base.clone();
        params.push(pair("CallStatus", status));
        params.push(pair("SequenceNumber", &self.sequence.to_string()));
        params.push(pair("CallbackSource", "call-progress-events"));
        params.extend_from_slice(more);
        self.sequence += 1;
        let _ = sender.send(params).await;
    }
}

fn note(twilio: &Twilio, sid: &str, status: &str, more: &[(&str, String)]) {
    let mut store = twilio.store();
    // A deleted call has no record any more.
    if let Ok(mut fields) = store.fields(Kind::Call, None, sid) {
        fields.insert("status".to_owned(), json!(status));
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        store.change(Kind::Call, sid, fields);
    }
    drop(store);
    twilio.journal.write(Event::CallStatus { call: sid.to_owned(), status: status.to_owned() });
}

/// Makes the call, from the first ring to the last callback.
async fn place(twilio: Arc<Twilio>, mut order: Order, mut changes: mpsc::Receiver<Change>) {
    let sid = order.sid.clone();
    let (from, to) = (order.from.clone(), order.to.clone());
    twilio.journal.write(Event::CallStarted { call: sid.clone(), from, to, direction: "outbound-api" });
    let mut teller = Teller::new(&twilio, &order);
    teller.tell("initiated", "initiated", &[]).await;
    let legs = match order.to.starts_with("sip:") {
        true => registered::call(&twilio, &sid, &order.to, &order.from, &sid).await,
        false => match pstn::reach(&twilio, &order.to, &order.from, &sid) {
            Some(leg) => Ok(vec![leg]),
            None => {
                twilio.journal.alert(13224, format!("{} belongs to nobody", order.to));
                Err(crate::leg::End::of(Cause::Failed))
            }
        },
    };
    let answered = match legs {
        Ok(legs) => ring(&twilio, &order, legs, &mut changes, &mut teller).await,
        Err(end) => Err(end.cause),
    };
    let (cause, seconds, counters) = match answered {
        Ok(leg) => {
            let start = Instant::now();
            note(&twilio, &sid, "in-progress", &[("start_time", date::now())]);
            teller.tell("answered", "in-progress", &[]).await;
            let source = std::mem::replace(&mut order.source, Source::Twiml(String::new()));
            let mut call = Call::of_api(twilio.clone(), leg, &order.from, &order.to);
            talk(&mut call, source, &mut changes, start + order.limit).await;
            call.hang_up().await;
            let counters = call.gone.as_ref().and_then(|end| end.counters);
            (Cause::Completed, Some(start.elapsed().as_secs()), counters)
        }
        Err(cause) => (cause, None, None),
    };
    twilio.store().live_calls.remove(&sid);
    let duration = seconds.unwrap_or(0).to_string();
    note(&twilio, &sid, cause.as_str(), &[("end_time", date::now()), ("duration", duration.clone())]);
    twilio.journal.write(Event::CallEnded { call: sid, cause: cause.as_str().to_owned(), counters });
    teller.tell("completed", cause.as_str(), &[pair("CallDuration", &duration)]).await;
}

/// Lets the legs ring until one answers; the others are told to end.
async fn ring(
    twilio: &Twilio,
    order: &Order,
    mut legs: Vec<Leg>,
    changes: &mut mpsc::Receiver<Change>,
    teller: &mut Teller,
) -> Result<Leg, Cause> {
    let (sender, mut events) = mpsc::channel::<(usize, LegEvent)>(64);
    for (n, leg) in legs.iter_mut().enumerate() {
        // The queue moves into a task that names its leg; what is left in the handle is empty.
        let mut own = std::mem::replace(&mut leg.events, mpsc::channel(1).1);
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(event) = own.recv().await {
                let _ = sender.send((n, event)).await;
            }
        });
    }
    drop(sender);
    let (mut open, mut rang, mut cause) = (legs.len(), false, Cause::Failed);
    let deadline = Instant::now() + order.timeout;
    loop {
        if open == 0 {
            return Err(cause);
        }
        tokio::select! {
            event = events.recv() => match event {
                None => return Err(cause),
                Some((_, LegEvent::Ringing)) if !rang => {
                    rang = true;
                    note(twilio, &order.sid, "ringing", &[]);
                    teller.tell("ringing", "ringing", &[]).await;
                }
                Some((_, LegEvent::Ringing)) => {}
                Some((n, LegEvent::Answered { .. })) => {
                    let mut winner = legs.swap_remove(n);
                    let (sender, own) = mpsc::channel(16);
                    winner.events = own;
                    tokio::spawn(async move {
                        while let Some((m, event)) = events.recv().await {
                            if m == n && sender.send(event).await.is_err() {
                                return;
                            }
                        }
                    });
                    end(&legs).await;
                    return Ok(winner);
                }
                Some((_, LegEvent::Ended(end))) => {
                    open -= 1;
                    // Busy says most, then no-answer.
                    cause = match (cause, end.cause) {
                        (Cause::Busy, _) | (_, Cause::Busy) => Cause::Busy,
                        (Cause::NoAnswer, _) => Cause::NoAnswer,
                        (_, other) => other,
                    };
                }
            },
            change = changes.recv() => {
                if let Some(Change::End) | None = change {
                    end(&legs).await;
                    return Err(Cause::Canceled);
                }
            }
            () = sleep_until(deadline) => {
                end(&legs).await;
                return Err(Cause::NoAnswer);
            }
        }
    }
}

async fn end(legs: &[Leg]) {
    for leg in legs {
        leg.tell(Command::Hangup { code: 487, reason: "Request Terminated" }).await;
    }
}

/// Runs the document, and those that come from outside, until the last one is over.
async fn talk(call: &mut Call, source: Source, changes: &mut mpsc::Receiver<Change>, limit: Instant) {
    let mut next = Some(source);
    while let Some(source) = next.take() {
        tokio::select! {
            () = perform(call, source) => {}
            change = changes.recv() => {
                if let Some(Change::Document(source)) = change {
                    next = Some(source);
                }
            }
            () = sleep_until(limit) => {}
        }
    }
}

async fn perform(call: &mut Call, source: Source) {
    let twilio = call.twilio.clone();
    let found = match source {
        Source::Twiml(text) => match parse(&text) {
            Ok((root, warnings)) => {
                for warning in warnings {
                    twilio.journal.alert(12200, format!("Schema validation warning: {warning}"));
                }
                Ok((root, String::new()))
            }
            Err((code, text)) => Err(Failure { code, text }),
        },
        Source::Url(primary, fallback) => {
            let params = call.params(&[]);
            match call.unless_gone(document(&twilio, &primary, fallback.as_ref(), &params)).await {
                Ok(found) => found,
                Err(Gone) => return,
            }
        }
    };
    match found {
        // That the called one hung up is no error: the call knows it.
        Ok((root, url)) => drop(call.execute(root, url).await),
        Err(failure) => {
            twilio.journal.alert(failure.code, failure.text);
            call.application_error().await;
        }
    }
}
