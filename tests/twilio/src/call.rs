//! A call as Twilio sees it: where it came from, which webhook decides on it, and what that webhook is told.

use std::sync::Arc;
use std::time::Instant;

use crate::journal::Event;
use crate::leg::{Cause, Command, End, Leg, LegEvent};
use crate::rest::{Kind, Record, Store};
use crate::sip::message::{host_of, user_of};
use crate::twilio::Twilio;
use crate::webhook::ask::{Target, ask, document};

/// What a SIP call's webhook tells about its caller (TWILIO.md "Webhook of a call from an extension").
pub struct SipCaller {
    /// Digest user.
    pub username: String,
    /// URI of From.
    pub from: String,
    /// Request-URI.
    pub request_uri: String,
    /// Global name.
    pub domain_name: String,
    /// `SD...`
    pub domain_sid: String,
    /// Address of the TLS client.
    pub source_ip: String,
    /// Call-ID of the INVITE.
    pub call_id: String,
    /// `X-*` and `User-to-User`.
    pub x_headers: Vec<(String, String)>,
}

/// The URLs of a domain, a number or an app.
#[derive(Clone)]
pub struct Voice {
    /// Decides on the call.
    pub primary: Target,
    /// Asked when `primary` fails.
    pub fallback: Option<Target>,
    /// Told when the call is over.
    pub status: Option<Target>,
    /// The app that handles it.
    pub application_sid: Option<String>,
}

/// What happens to a call from an extension.
pub enum Route {
    /// The webhook decides.
    Webhook(Voice),
    /// Straight to the emergency service (TWILIO.md "Emergency numbers").
    Emergency { number: String, caller_id: String, from_user: String },
}

fn target(record: &Record, url: &str, method: &str) -> Option<Target> {
    let method = match record.text(method) {
        "" => "POST",
        own => own,
    };
    let url = record.text(url);
    (!url.is_empty()).then(|| Target { url: url.to_owned(), method: method.to_owned() })
}

impl Route {
    /// The webhook of a domain; `None` without a voice URL.
    pub fn of_domain(domain: &Record) -> Option<Self> {
        Some(Self::Webhook(Voice {
            primary: target(domain, "voice_url", "voice_method")?,
            fallback: target(domain, "voice_fallback_url", "voice_fallback_method"),
            status: target(domain, "voice_status_callback_url", "voice_status_callback_method"),
            application_sid: None,
        }))
    }
}

/// The webhook of a number: a trunk goes first, then an app, whose URLs replace all
/// (TWILIO.md "Voice settings of a number").
fn of_number(store: &Store, number: &Record) -> Option<Voice> {
    if !number.text("trunk_sid").is_empty() {
        return None;
    }
    let app = store.get(Kind::Application, None, number.text("voice_application_sid"));
    let record = app.unwrap_or(number);
    Some(Voice {
        primary: target(record, "voice_url", "voice_method")?,
        fallback: target(record, "voice_fallback_url", "voice_fallback_method"),
        status: target(record, "status_callback", "status_callback_method"),
        application_sid: app.map(|app| app.sid.clone()),
    })
}

/// A call in the hands of a TwiML document.
pub struct Call {
    /// The simulator.
    pub twilio: Arc<Twilio>,
    /// The caller.
    pub leg: Leg,
    /// Fields of every webhook of this call, without `CallStatus`.
    pub base: Vec<(String, String)>,
    /// Did Twilio answer it?
    pub answered: bool,
    /// Came it from an extension?
    pub from_sip: bool,
    /// Caller and called as user parts, for the caller ID rule.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// How the caller's leg ended, once it did.
    pub gone: Option<End>,
    /// How the last Dial ended, for the answer to a caller who got none.
    pub last_dial: Option<Cause>,
}

/// The caller hung up.
pub struct Gone;

impl Call {
    fn new(twilio: Arc<Twilio>, leg: Leg, base: Vec<(String, String)>, from_sip: bool, from: &str, to: &str) -> Self {
        let (from, to) = (from.to_owned(), to.to_owned());
        Self { twilio, leg, base, answered: false, from_sip, from, to, gone: None, last_dial: None }
    }

    /// The fields of a webhook now: the base, the status (TWILIO.md "CallStatus"), and `more`.
    pub fn params(&self, more: &[(String, String)]) -> Vec<(String, String)> {
        let status = match (&self.gone, self.answered) {
            (Some(end), _) => end.cause.as_str(),
            (None, true) => "in-progress",
            (None, false) => "ringing",
        };
        let mut all = self.base.clone();
        all.push(("CallStatus".to_owned(), status.to_owned()));
        all.extend_from_slice(more);
        all
    }

    /// Does `work` unless the caller hangs up first.
    pub async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(work);
        loop {
            if self.gone.is_some() {
                return Err(Gone);
            }
            tokio::select! {
                done = &mut work => return Ok(done),
                event = self.leg.events.recv() => match event {
                    Some(LegEvent::Ended(end)) => self.gone = Some(end),
                    Some(_) => {}
                    None => self.gone = Some(End::of(Cause::Completed)),
                },
            }
        }
    }

    /// Answers the caller, once.
    pub async fn answer(&mut self) {
        if !self.answered {
            self.answered = true;
            self.leg.tell(Command::Answer).await;
        }
    }

    /// A call that the REST API made (TWILIO.md "Calls by the API"): `leg` is the called side and was answered.
    pub fn of_api(twilio: Arc<Twilio>, leg: Leg, from: &str, to: &str) -> Self {
        let base = common(&twilio, &leg.call_sid, from, to, "outbound-api");
        Self { answered: true, ..Self::new(twilio, leg, base, false, from, to) }
    }

    /// Ends the caller's leg. For a caller who got no answer the code follows the last Dial. Nobody knows how; this is
    /// the reverse of the simulator's table (TWILIO.md "Dial action").
    pub async fn hang_up(&mut self) {
        if self.gone.is_some() {
            return;
        }
        let (code, reason) = match self.last_dial {
            Some(Cause::Busy) => (486, "Busy Here"),
            Some(Cause::Failed) => (404, "Not Found"),
            _ => (480, "Temporarily Unavailable"),
        };
        self.leg.tell(Command::Hangup { code, reason }).await;
        while let Some(event) = self.leg.events.recv().await {
            if let LegEvent::Ended(end) = event {
                self.gone = Some(end);
                return;
            }
        }
        self.gone = Some(End::of(Cause::Completed));
    }

    /// Asks the webhook, does what it says, and tells the status callback.
    async fn run(mut self, voice: Voice, start: Instant) {
        if let (Some(sid), true) = (&voice.application_sid, self.twilio.switches().application_sid) {
            self.base.push(("ApplicationSid".to_owned(), sid.clone()));
        }
        let params = self.params(&[]);
        let twilio = self.twilio.clone();
        let asked = self.unless_gone(document(&twilio, &voice.primary, voice.fallback.as_ref(), &params)).await;
        match asked {
            Ok(Ok((root, url))) => {
                // The caller's hang-up inside is no error: `gone` says it.
                let _ = self.execute(root, url).await;
            }
            Ok(Err(failure)) => {
                twilio.journal.alert(failure.code, failure.text);
                self.application_error().await;
            }
            Err(Gone) => {}
        }
        self.hang_up().await;
        let end = self.gone.clone().unwrap_or(End::of(Cause::Completed));
        let (call, cause) = (self.leg.call_sid.clone(), end.cause.as_str().to_owned());
        twilio.journal.write(Event::CallEnded { call, cause, counters: end.counters });
        if let Some(status) = &voice.status {
            // It gets `completed` only (TWILIO.md "Webhook of a call from an extension").
            let seconds = if self.answered { start.elapsed().as_secs() } else { 0 };
            let params = self.params(&[("CallDuration".to_owned(), seconds.to_string())]);
            let _ = ask(&twilio, status, &params).await;
        }
    }

    /// An error message is spoken (TWILIO.md "Webhook fallback"). The code for a SIP call is not known, so it is
    /// answered too.
    pub async fn application_error(&mut self) {
        self.answer().await;
        let _ = self.say("an application error has occurred").await;
    }
}

/// A call from an extension; `leg` is its SIP leg.
pub async fn from_extension(twilio: Arc<Twilio>, leg: Leg, caller: SipCaller, route: Route) {
    let start = Instant::now();
    let switches = twilio.switches();
    let call_sid = leg.call_sid.clone();
    let (from, to) = (caller.from.clone(), caller.request_uri.clone());
    twilio.journal.write(Event::CallStarted { call: call_sid.clone(), from, to, direction: "inbound" });
    // TWILIO.md "Call from an extension": After authentication Twilio sends 180 Ringing and requests VoiceUrl.
    leg.tell(Command::Ring { early_media: false }).await;
    let host = host_of(&caller.request_uri).to_owned();
    let global = caller.domain_name.clone();
    let to = match switches.to_host_normalised {
        true => caller.request_uri.replacen(&host, &global, 1),
        false => caller.request_uri.clone(),
    };
    let sip_domain = if switches.sip_domain_normalised { global } else { host };
    // The captured body (TWILIO.md "Webhook of a call from an extension").
    let mut base = common(&twilio, &call_sid, &caller.from, &to, "inbound");
    base.push(pair("SipCallId", &caller.call_id));
    base.push(pair("SipDomain", &sip_domain));
    base.push(pair("SipDomainSid", &caller.domain_sid));
    base.push(pair("SipSourceIp", &caller.source_ip));
    if switches.sip_username {
        base.push(pair("SipUsername", &caller.username));
    }
    // Spelled as they came (TWILIO.md "Headers for the webhook").
    base.extend(caller.x_headers.iter().map(|(name, value)| pair(&format!("SipHeader_{name}"), value)));
    let (from_user, to_user) = (user_of(&caller.from).to_owned(), user_of(&caller.request_uri).to_owned());
    let mut call = Call::new(twilio.clone(), leg, base, true, &from_user, &to_user);
    match route {
        Route::Webhook(voice) => call.run(voice, start).await,
        Route::Emergency { number, caller_id, from_user } => {
            let (number_text, id) = (number.clone(), caller_id.clone());
            let event = Event::Emergency { call: call_sid.clone(), number: number_text, caller_id: id, from_user };
            twilio.journal.write(event);
            let _ = call.dial_emergency(&number, &caller_id).await;
            call.hang_up().await;
            let end = call.gone.clone().unwrap_or(End::of(Cause::Completed));
            let cause = end.cause.as_str().to_owned();
            twilio.journal.write(Event::CallEnded { call: call_sid, cause, counters: end.counters });
        }
    }
}

/// A call from the PSTN (or from another call) to one of the account's numbers.
pub async fn to_number(twilio: Arc<Twilio>, leg: Leg, from: String, to: String) {
    let start = Instant::now();
    let call_sid = leg.call_sid.clone();
    let (event_from, event_to) = (from.clone(), to.clone());
    let event = Event::CallStarted { call: call_sid.clone(), from: event_from, to: event_to, direction: "inbound" };
    twilio.journal.write(event);
    let voice = {
        let store = twilio.store();
        store.number(&to).and_then(|number| of_number(&store, &number))
    };
    let Some(voice) = voice else {
        twilio.journal.alert(11100, format!("{to} has no voice URL"));
        leg.tell(Command::Reject { cause: Cause::Failed, code: 404, reason: "Not Found", error: None }).await;
        return;
    };
    leg.tell(Command::Ring { early_media: false }).await;
    let mut base = common(&twilio, &call_sid, &from, &to, "inbound");
    // TWILIO.md "Webhook of a call to a number": Blank strings are sent for unknown geo fields.
    for who in ["From", "To", "Caller", "Called"] {
        let country = if from.starts_with("+1") { "US" } else { "" };
        let geo = [("City", ""), ("State", "OR"), ("Zip", ""), ("Country", country)];
        base.extend(geo.map(|(what, value)| pair(&format!("{who}{what}"), value)));
    }
    base.push(pair("StirVerstat", "TN-Validation-Passed-A"));
    let token = format!("{{\"parentCallInfoToken\":\"{}\",\"identityHeaderTokens\":[]}}", crate::random::uuid());
    base.push(pair("CallToken", &token));
    Call::new(twilio, leg, base, false, &from, &to).run(voice, start).await;
}

/// A parameter.
pub fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The fields that every voice webhook has (TWILIO.md "Webhook of a call from an extension",
/// TWILIO.md "Webhook of a call to a number").
pub fn common(twilio: &Twilio, call_sid: &str, from: &str, to: &str, direction: &str) -> Vec<(String, String)> {
    vec![
        pair("AccountSid", &twilio.account.sid),
        pair("ApiVersion", "2010-04-01"),
        pair("CallSid", call_sid),
        pair("Called", to),
        pair("Caller", from),
        pair("Direction", direction),
        pair("From", from),
        pair("To", to),
    ]
}
