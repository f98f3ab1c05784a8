//! What Twilio is told to do with a call. Pure: `gateway dial` runs the same offline ([`super::explain`]).

use std::time::Duration;

use super::document::{Dial, Document, MAX_NOUNS, Noun, Reason, Verb};
use super::form::Form;
use super::{CALLED_BACK_PATH, DIALED_PATH, Endpoint, FORWARDED_PATH, WebhookEvent};
use crate::config::{Config, Number};
use crate::context::Spending;
use crate::emergency::callback::Phone;
use crate::forward::Forward;
use crate::route::shown::{Shown, shown};
use crate::route::target::Called;
use crate::route::{self, Caller, Route, number};
use crate::setting::Setting;
use crate::sip::dialled::{Presentation, presentation};
use crate::sip::header;

/// Shortest and longest ringing that Twilio takes in `timeout` (TWILIO.md "Dial").
const RING: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(600);
/// Longest text of a request that goes into an event.
const MAX_EVENT_TEXT: usize = 64;

/// Said when a call fails for another reason than that nobody took it.
const APOLOGY: &str = "We are sorry. Your call could not be completed.";
const BUSY: &str = "The line is busy. Please try again later.";
const NO_ANSWER: &str = "There is no answer. Please try again later.";

/// A webhook that was checked to be Twilio's.
#[derive(Clone)]
pub struct WebhookRequest<'a> {
    pub endpoint: Endpoint,
    /// What stands before the path in URLs of ours that Twilio is told ([`super::credentials::told`]).
    pub base: &'a Setting,
    /// The body's fields; of a GET, those of the query.
    pub form: Form<'a>,
    /// The user by which calls from the SIP domain reach this box ([`Trunk::carrier`](crate::trunk::Trunk::carrier)).
    /// `None`: not known, so that each call goes by the called extension's own.
    pub carrier: Option<&'a str>,
    /// The phone that a call to a number (E.164) is for before all others: it made an emergency call that showed it.
    pub call_back: &'a dyn Fn(&str) -> Option<Phone>,
    /// Whether an extension's call may leave at all; an emergency call always may.
    pub spending: &'a Spending,
    /// Where a call (Twilio's CallSid) goes on that a phone did not take but sent outside.
    pub forward: &'a dyn Fn(&str) -> Option<Forward>,
}

/// What to answer, and what to tell the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `None`: 204, nothing to say (a status callback).
    pub document: Option<Document>,
    pub event: WebhookEvent,
}

/// How a `<Dial>` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They talked, and hung up.
    Completed,
    Busy,
    NoAnswer,
    Failed,
    /// The caller hung up first.
    Canceled,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outcome::Completed => "completed",
            Outcome::Busy => "busy",
            Outcome::NoAnswer => "no-answer",
            Outcome::Failed => "failed",
            Outcome::Canceled => "canceled",
        })
    }
}

/// The answer to a webhook.
pub fn answer(config: &Config, request: &WebhookRequest<'_>) -> Answer {
    let form = &request.form;
    match request.endpoint {
        Endpoint::Outgoing => outgoing(config, request),
        Endpoint::Incoming => incoming(config, request),
        Endpoint::Dialed => forwarded(config, request).unwrap_or_else(|| dialed(form)),
        Endpoint::Forwarded => dialed(form),
        Endpoint::CalledBack => called_back(config, request),
        Endpoint::Status => Answer {
            document: None,
            event: WebhookEvent::Status { call_sid: call_sid(form), status: text(form, "CallStatus") },
        },
        Endpoint::Usage => usage(form),
    }
}

/// An extension calls out: From names it, To is what it dialled (TWILIO.md "Webhook of a call from an extension").
fn outgoing(config: &Config, request: &WebhookRequest<'_>) -> Answer {
    let WebhookRequest { base, form, .. } = request;
    let from = form.get("From").or(form.get("Caller")).unwrap_or_default();
    let to = form.get("To").or(form.get("Called")).unwrap_or_default();
    // Only the user part counts: the host may be the domain's name at an edge, or carry a port.
    let caller = number::dialled(from).unwrap_or_default();
    let Some(extension) = config.extension(&caller) else {
        return match route::route(config, Caller::Unknown, to) {
            // An emergency call leaves us with a number in From, not an extension's name.
            Route::Emergency { number, caller_id } => {
                let shown = route::is_ours(config, &caller).then(|| caller.clone());
                emergency(request, &caller, number, shown.or(caller_id))
            }
            _ => reject(form, Endpoint::Outgoing, 404, format!("no extension is called {:?}", clip(from))),
        };
    };
    let (dial, to) = match route::route(config, Caller::Extension(&extension.name), to) {
        Route::Outside { .. } if let Spending::Stopped(why) = request.spending => {
            let reason = format!("calls outside are stopped: {why}; run \"gateway spend resume\"");
            return reject(form, Endpoint::Outgoing, 403, reason);
        }
        Route::Emergency { number, caller_id } => return emergency(request, &extension.name, number, caller_id),
        Route::Outside { number, caller_id } => {
            let withheld = route::withheld_caller_id(config, extension).filter(|_| is_private(form, to));
            let caller_id = withheld.map_or(caller_id, str::to_owned);
            let nouns = vec![Noun::Number(number.clone())];
            (Dial { caller_id: Some(caller_id), nouns, ..capped(config, base) }, number)
        }
        Route::Local { extensions } => {
            // Not the extension's name: on a call from a SIP domain Twilio takes the account's numbers only (13214).
            let caller_id = route::caller_id(config, extension).map(str::to_owned);
            let domain = called_domain(config, form);
            let nouns = Called::of_group(config, &extensions)
                .map_or_else(Vec::new, |called| nouns(config, request.carrier, called, domain));
            let dial = named(config, form, domain, ring(config, base, nouns));
            (Dial { caller_id, ..dial }, extensions.join(", "))
        }
        Route::Refuse { code, reason } => return reject(form, Endpoint::Outgoing, code, reason),
    };
    Answer {
        document: Some(Document::of(Verb::Dial(dial))),
        event: WebhookEvent::Outgoing { call_sid: call_sid(form), extension: extension.name.clone(), to },
    }
}

/// Whether the caller asks that its number is not shown: its phone by a header that the box passes on, or by what was
/// dialled.
fn is_private(form: &Form<'_>, to: &str) -> bool {
    let code = number::dialled(to).is_ok_and(|to| presentation(&to).0 == Some(Presentation::Withheld));
    code || form.get(header::PRIVACY_FIELD).is_some()
}

/// An emergency call, reached only where the domain's emergency flag is off (TWILIO.md "Emergency numbers"). No cap.
fn emergency(request: &WebhookRequest<'_>, from: &str, number: String, caller_id: Option<String>) -> Answer {
    let dial = Dial { caller_id, nouns: vec![Noun::Number(number.clone())], ..dial(request.base) };
    let event = WebhookEvent::Outgoing { call_sid: call_sid(&request.form), extension: clip(from), to: number };
    Answer { document: Some(Document::of(Verb::Dial(dial))), event }
}

/// Somebody calls one of our numbers (TWILIO.md "Webhook of a call to a number").
fn incoming(config: &Config, request: &WebhookRequest<'_>) -> Answer {
    let (called, number) = called(config, &request.form);
    let shown = number.map(|number| number.number.as_str()).or(called.as_deref());
    match shown.and_then(|number| (request.call_back)(number)) {
        Some(phone) => call_back(config, request, &phone),
        None => ring_number(config, request, number),
    }
}

/// What was called, and the number of ours that it is.
fn called<'a>(config: &'a Config, form: &Form<'_>) -> (Option<String>, Option<&'a Number>) {
    let to = form.get("To").or(form.get("Called")).unwrap_or_default();
    let called = number::dialled(to).ok();
    let number = called
        .as_ref()
        .and_then(|to| config.number(to).or_else(|| number::e164(to).ok().and_then(|to| config.number(&to))));
    (called, number)
}

fn ring_number(config: &Config, request: &WebhookRequest<'_>, number: Option<&Number>) -> Answer {
    let form = &request.form;
    let Some(number) = number.filter(|number| !number.ring.is_empty()) else {
        let to = form.get("To").or(form.get("Called")).unwrap_or_default();
        return reject(form, Endpoint::Incoming, 486, format!("no extension has number {:?}", clip(to)));
    };
    // A promoted environment is served by another one's box, and its extensions are registered at its own domain.
    let domain =
        config.environment(&number.environment).map_or(&config.trunk.domain, |environment| &environment.domain);
    let called = match &number.ring[..] {
        [one] => Called::Extension(one),
        _ => Called::Number(&number.number),
    };
    let dial = ring(config, request.base, nouns(config, request.carrier, called, domain));
    let dial = named(config, form, domain, dial);
    rings(config, request, number.number.clone(), number.ring.clone(), dial)
}

/// The emergency service calls back: the phone that called rings first, past every rule, and for as long as it must.
fn call_back(config: &Config, request: &WebhookRequest<'_>, phone: &Phone) -> Answer {
    let WebhookRequest { base, .. } = request;
    let domain = &config.trunk.domain;
    let uri = Called::Extension(&phone.extension).uri(config, request.carrier.unwrap_or(&phone.extension), domain);
    let sign = if uri.contains('?') { '&' } else { '?' };
    let nouns = vec![Noun::Sip(format!("{uri}{sign}{}=1", header::CALL_BACK))];
    let dial = Dial {
        time_limit: None,
        action: Some(Setting::new(format!("{}{CALLED_BACK_PATH}", base.expose()))),
        ..ring(config, base, nouns)
    };
    rings(config, request, phone.number.clone(), vec![phone.extension.clone()], dial)
}

/// The phone that is called back did not answer: now all ring that the number rings.
fn called_back(config: &Config, request: &WebhookRequest<'_>) -> Answer {
    let form = &request.form;
    let (_, number) = called(config, form);
    match dial_outcome(form).0 {
        Outcome::Busy | Outcome::NoAnswer | Outcome::Failed if number.is_some_and(|number| !number.ring.is_empty()) => {
            ring_number(config, request, number)
        }
        _ => dialed(form),
    }
}

fn rings(config: &Config, request: &WebhookRequest<'_>, number: String, ring: Vec<String>, dial: Dial) -> Answer {
    let form = &request.form;
    let from = number::dialled(form.get("From").or(form.get("Caller")).unwrap_or_default()).unwrap_or_default();
    let from = shown(config, &from).text().to_owned();
    let dial = Dial { caller_id: Some(from.clone()), ..dial };
    let event = WebhookEvent::Incoming { call_sid: call_sid(form), from, number, ring };
    Answer { document: Some(Document::of(Verb::Dial(dial))), event }
}

/// A phone sent the call on ([`crate::forward`]): Twilio calls the number, if the forwarder may, with the number of the
/// caller. A caller who withholds it stays withheld, for an absent `callerId` is the caller's own.
fn forwarded(config: &Config, request: &WebhookRequest<'_>) -> Option<Answer> {
    let WebhookRequest { base, form, .. } = request;
    // A caller who left may be told as no-answer (TWILIO.md "Dial action").
    let is_gone = !matches!(form.get("CallStatus"), None | Some("ringing" | "in-progress"));
    let taken = is_gone || matches!(dial_outcome(form).0, Outcome::Completed | Outcome::Canceled);
    if let Spending::Stopped(_) = request.spending {
        return None;
    }
    let Forward { by, number, .. } = (request.forward)(form.get("CallSid")?).filter(|_| !taken)?;
    let Route::Outside { number, caller_id: own } = route::route(config, Caller::Extension(&by), &number) else {
        return None;
    };
    let from = form.get("From").or(form.get("Caller")).unwrap_or_default();
    let caller_id = match number::dialled(from).map(|from| shown(config, &from)) {
        // On a call from the SIP domain Twilio takes the account's numbers only (13214).
        _ if from.contains("sip:") || from.contains("sips:") => Some(own),
        Ok(Shown::As(from)) => Some(from),
        Ok(Shown::Withheld) | Err(_) => None,
    };
    let dial = Dial {
        caller_id,
        timeout: ringing(config),
        nouns: vec![Noun::Number(number.clone())],
        action: Some(Setting::new(format!("{}{FORWARDED_PATH}", base.expose()))),
        ..capped(config, base)
    };
    let event = WebhookEvent::Forwarded { call_sid: call_sid(form), extension: by, number };
    Some(Answer { document: Some(Document::of(Verb::Dial(dial))), event })
}

/// A `<Dial>` ended: Twilio asks what comes next.
fn dialed(form: &Form<'_>) -> Answer {
    let (outcome, sip_code) = dial_outcome(form);
    // The caller's leg is not answered yet (answerOnBridge): a handset can be given a real busy tone, at no cost.
    let unanswered = form.get("CallStatus") == Some("ringing");
    let sorry = |text: &str| vec![Verb::Say(text.to_owned()), Verb::Hangup];
    let verbs = match outcome {
        Outcome::Completed | Outcome::Canceled => vec![Verb::Hangup],
        Outcome::Busy | Outcome::NoAnswer if unanswered => vec![Verb::Reject(Reason::Busy)],
        Outcome::Busy => sorry(BUSY),
        Outcome::NoAnswer => sorry(NO_ANSWER),
        Outcome::Failed => sorry(APOLOGY),
    };
    Answer {
        document: Some(Document { verbs }),
        event: WebhookEvent::Dialed { call_sid: call_sid(form), outcome, sip_code },
    }
}

fn dial_outcome(form: &Form<'_>) -> (Outcome, Option<u16>) {
    let sip_code = form.get("DialSipResponseCode").and_then(|code| code.parse().ok());
    (outcome(form.get("DialCallStatus").unwrap_or_default(), sip_code), sip_code)
}

/// How the dialled party's leg ended. Twilio's mapping of SIP codes to `DialCallStatus` is not documented, so a final
/// code goes first where there is one (TWILIO.md "Dial action"); but who has talked has completed the call, whatever
/// another fork said.
fn outcome(status: &str, sip_code: Option<u16>) -> Outcome {
    match (status, sip_code) {
        ("completed" | "answered", _) => Outcome::Completed,
        ("canceled", _) => Outcome::Canceled,
        (_, Some(200..=299)) => Outcome::Completed,
        (_, Some(486 | 600 | 603)) => Outcome::Busy,
        (_, Some(408 | 480 | 487)) => Outcome::NoAnswer,
        (_, Some(300..=699)) => Outcome::Failed,
        ("busy", _) => Outcome::Busy,
        ("no-answer", _) => Outcome::NoAnswer,
        _ => Outcome::Failed,
    }
}

/// The domain that an extension's call came in on, if it is one of ours: where the extensions of its environment are
/// registered, whichever environment's box answers for it.
fn called_domain<'a>(config: &'a Config, form: &Form<'_>) -> &'a str {
    let called = global(form.get("SipDomain").unwrap_or_default());
    let domains = config.environments.iter().map(|environment| environment.domain.as_str());
    domains.into_iter().find(|domain| *domain == called).unwrap_or(&config.trunk.domain)
}

/// A domain's name without the edge that may have been dialled (`NAME.sip.us1.twilio.com`;
/// TWILIO.md "Webhook of a call from an extension").
fn global(domain: &str) -> String {
    let domain = domain.to_ascii_lowercase();
    match domain.strip_suffix(".twilio.com").and_then(|rest| rest.split_once(".sip.")) {
        Some((name, _)) => format!("{name}.sip.twilio.com"),
        None => domain,
    }
}

/// A usage trigger has fired (TWILIO.md "Usage trigger callback").
fn usage(form: &Form<'_>) -> Answer {
    let event = WebhookEvent::Spend {
        trigger: usage_field(form, "UsageTriggerSid"),
        category: usage_field(form, "UsageCategory"),
        value: usage_field(form, "CurrentValue"),
        limit: usage_field(form, "TriggerValue"),
        period: usage_field(form, "Recurring"),
        token: usage_field(form, "IdempotencyToken"),
    };
    Answer { document: None, event }
}

/// A field however it is spelled (`UsageCategory`, `usage_category`): the documents do not agree
/// (TWILIO.md "Usage trigger callback").
fn usage_field(form: &Form<'_>, name: &str) -> String {
    let is_meant = |field: &str| {
        field
            .chars()
            .filter(|c| !"_-".contains(*c))
            .map(|c| c.to_ascii_lowercase())
            .eq(name.chars().map(|c| c.to_ascii_lowercase()))
    };
    form.fields().find(|(field, _)| is_meant(field)).map(|(_, value)| clip(value)).unwrap_or_else(|| "?".to_owned())
}

/// A `<Dial>` without its nouns.
fn dial(base: &Setting) -> Dial {
    let action = Some(Setting::new(format!("{}{DIALED_PATH}", base.expose())));
    Dial { answer_on_bridge: true, action, ..Dial::default() }
}

/// One that ends when a call has lasted too long.
fn capped(config: &Config, base: &Setting) -> Dial {
    Dial { time_limit: Some(config.limits.call_duration), ..dial(base) }
}

/// One that rings.
fn ring(config: &Config, base: &Setting, nouns: Vec<Noun>) -> Dial {
    Dial { timeout: ringing(config), nouns, ..capped(config, base) }
}

/// Tells the box which call rings it, so that a phone may send it on ([`crate::forward`]). The box of another domain
/// would not be asked by the action of this `<Dial>`.
fn named(config: &Config, form: &Form<'_>, domain: &str, dial: Dial) -> Dial {
    let call_sid = form.get("CallSid").filter(|sid| header::is_call_sid(sid) && domain == config.trunk.domain);
    let Some(call_sid) = call_sid else { return dial };
    let name = |noun| match noun {
        Noun::Sip(uri) => {
            let sign = if uri.contains('?') { '&' } else { '?' };
            Noun::Sip(format!("{uri}{sign}{}={call_sid}", header::INBOUND))
        }
        noun @ Noun::Number(_) => noun,
    };
    Dial { nouns: dial.nouns.into_iter().map(name).collect(), ..dial }
}

/// How long somebody may ring.
fn ringing(config: &Config) -> Option<Duration> {
    Some(config.limits.ring.clamp(*RING.start(), *RING.end()))
}

/// What rings the called at a domain: one `<Sip>` noun, which every account rings and the box forks
/// ([`crate::route::target`]), or one for each extension where Twilio rings several. No `<Sip>` ever stands beside a
/// `<Number>`, which an ordinary account may not ring together (TWILIO.md "Dial").
fn nouns(config: &Config, carrier: Option<&str>, called: Called<'_>, domain: &str) -> Vec<Noun> {
    let extensions = called.extensions(config);
    if config.twilio.enhanced_programmable_sip_features && (2..=MAX_NOUNS).contains(&extensions.len()) {
        let one = |name: &String| Noun::Sip(Called::Extension(name).uri(config, name, domain));
        return extensions.iter().map(one).collect();
    }
    // The box of another environment may be of a version that has no user of its own.
    let carrier = carrier.filter(|_| domain == config.trunk.domain).or(extensions.first().map(String::as_str));
    carrier.map(|carrier| Noun::Sip(called.uri(config, carrier, domain))).into_iter().collect()
}

fn reject(form: &Form<'_>, endpoint: Endpoint, code: u16, reason: String) -> Answer {
    let verb = Verb::Reject(if code == 486 { Reason::Busy } else { Reason::Rejected });
    let event = WebhookEvent::Rejected { call_sid: call_sid(form), endpoint, reason };
    Answer { document: Some(Document::of(verb)), event }
}

fn call_sid(form: &Form<'_>) -> String {
    text(form, "CallSid")
}

fn text(form: &Form<'_>, name: &str) -> String {
    clip(form.get(name).unwrap_or_default())
}

/// Fit for one line of a log.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_EVENT_TEXT).collect()
}
