//! One user's registration at the SIP domain: of an extension, or of the box (RFC 3261 section 10.2, TWILIO.md "Registration").

use std::time::Duration;

use rsip::{Method, Response};

use super::credentials::{Choice, Known, Passwords};
use super::twilio_error::TwilioError;
use crate::backoff::Backoff;
use crate::context::Context;
use crate::context::Owner;
use crate::event::{Code, Event};
use crate::secret::Secret;
use crate::secrets::Secrets;
use crate::sip::digest::{self, Challenge};
use crate::sip::flow::Flow;
use crate::sip::header::{self, AuthHeader, Contact, NameAddr};
use crate::sip::transaction::{ClientId, Failure, Priority};
use crate::sip::uri;
use crate::status::{RegistrationState, RegistrationStatus};
use crate::time::Instant;

/// Answers to a challenge with one password within one attempt. A second refusal of the same credentials is a refusal
/// (RFC 3261 section 22.2), whatever new nonce comes with it; one more is granted for a nonce that expired on the way.
const MAX_CHALLENGES: u32 = 2;
/// Retries after a fault or refusal (RFC 5626 section 4.5).
const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(1800);
/// The longest that a server may be asked or believed to keep a binding.
const MAX_EXPIRES: u32 = 86_400;
/// Contacts of earlier flows that we remember; Twilio keeps 10 per AOR (error 32007).
const MAX_FORMER: usize = 10;
/// What is said of an extension that lives on the password before a rotation.
const BY_FORMER: &str = "by its former password: Twilio did not take the new one yet; run: gateway setup";
/// Pause before a dead binding is removed: more than 5 REGISTER/s of one AOR are refused (error 32008).
const CLEAN_UP_PAUSE: Duration = Duration::from_secs(1);

/// What a REGISTER is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Register,
    /// Remove our binding: we stop, or the extension is gone from the config.
    Leave,
    /// Remove the binding of an earlier flow of ours, or calls would fork to a dead connection.
    Remove(String),
}

/// One REGISTER and its repetitions after 401, 407 and 423, and after a refusal of the first of two passwords.
#[derive(Debug)]
struct Attempt {
    id: ClientId,
    sent: Instant,
    purpose: Purpose,
    turn: Turn,
    password: Secret<String>,
}

/// How far an attempt has come.
#[derive(Debug, Default)]
struct Turn {
    /// Challenges that its password has answered.
    challenges: u32,
    too_brief: bool,
    /// The password that was tried before. There is no third one: more guesses in a row may lock the account.
    refused: Option<Secret<String>>,
}

#[derive(Debug)]
enum Phase {
    /// No flow.
    Offline,
    /// The next REGISTER goes then: the first, a refresh, or another try.
    Due(Instant),
    InFlight(Attempt),
    /// The server will not have it; tried again then, because somebody may put it right there.
    Refused(Instant),
}

/// Where a registration is sent from.
pub(super) struct Origin<'a> {
    pub flow: Flow,
    /// `sip:EXT@…` of this flow for an extension, without `<>`.
    pub contact: String,
    /// Our `+sip.instance`.
    pub instance: &'a str,
}

/// What a response or failure means for the flow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    /// A 2xx: this server serves us.
    Registered,
}

/// The registration of one user. Outlives flows.
#[derive(Debug)]
pub(super) struct Registration {
    pub user: String,
    /// Of those that are due at the same time, the lowest goes first.
    pub rank: u8,
    /// Not in the config any more; goes away when it is idle.
    pub leaving: bool,
    /// One Call-ID for all (RFC 3261 section 10.2), so that CSeq orders them.
    call_id: String,
    cseq: u32,
    known: Option<Known>,
    /// The last challenge of a call: a server may ask for calls elsewhere (407) than for registrations (401).
    calls: Option<Known>,
    /// The last one that came on a standby: a nonce belongs to the edge that made it.
    standby: Option<(Flow, Known)>,
    passwords: Passwords,
    /// Registered, and not with the password that it shall have.
    by_former: bool,
    min_expires: Option<u32>,
    phase: Phase,
    /// The binding at the server, if it stands.
    expires: Option<Instant>,
    refresh: Instant,
    backoff: Backoff,
    reason: Option<String>,
    /// Contacts of earlier flows, newest last.
    former: Vec<String>,
    /// Those of them that the server still lists.
    dead: Vec<String>,
}

impl Registration {
    pub fn new(user: String, call_id: String) -> Self {
        Registration {
            user,
            rank: 0,
            leaving: false,
            call_id,
            cseq: 0,
            known: None,
            calls: None,
            standby: None,
            passwords: Passwords::default(),
            by_former: false,
            min_expires: None,
            phase: Phase::Offline,
            expires: None,
            refresh: Instant::ZERO,
            backoff: Backoff::new(RETRY_BASE, RETRY_MAX),
            reason: None,
            former: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// When [`Registration::send_due`] is to be called.
    pub fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Due(at) | Phase::Refused(at) => Some(at),
            Phase::Offline | Phase::InFlight(_) => None,
        }
    }

    pub fn is_in_flight(&self, id: ClientId) -> bool {
        matches!(&self.phase, Phase::InFlight(attempt) if attempt.id == id)
    }

    /// How long the REGISTER in flight is out.
    pub fn waits(&self, now: Instant) -> Option<Duration> {
        match &self.phase {
            Phase::InFlight(attempt) => Some(now.since(attempt.sent)),
            _ => None,
        }
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::InFlight(_))
    }

    /// A flow came up, or something was put right: register now.
    pub fn start(&mut self, now: Instant) {
        self.phase = Phase::Due(now);
        self.backoff.reset();
    }

    /// The flow is gone, and with it the way to this binding. `contact` was its address.
    pub fn flow_lost(&mut self, contact: &str) {
        if self.expires.take().is_some() || self.is_busy() {
            self.former.retain(|former| former != contact);
            self.former.push(contact.to_string());
            if self.former.len() > MAX_FORMER {
                self.former.remove(0);
            }
        }
        self.phase = Phase::Offline;
        self.dead.clear();
    }

    /// What answers for a call of this extension: a new challenge, the last one of a call, or that of the REGISTER.
    pub fn for_call(&mut self, challenge: Option<(&Challenge, AuthHeader)>) -> Option<&mut Known> {
        if let Some((challenge, name)) = challenge {
            self.calls = Some(Known::new(challenge.clone(), name, self.all_known()));
        }
        self.calls.as_mut().or(self.known.as_mut())
    }

    /// The same on a standby, where nothing is registered and nothing is known before its own first challenge.
    pub fn for_standby(&mut self, flow: Flow, challenge: Option<(&Challenge, AuthHeader)>) -> Option<&mut Known> {
        if let Some((challenge, name)) = challenge {
            self.standby = Some((flow, Known::new(challenge.clone(), name, self.all_known())));
        }
        self.standby.as_mut().filter(|(on, _)| *on == flow).map(|(_, known)| known)
    }

    fn all_known(&self) -> impl Iterator<Item = &Known> {
        self.calls.iter().chain(&self.known).chain(self.standby.as_ref().map(|(_, known)| known))
    }

    /// The password for a call of this extension.
    pub fn password_for_call<'s>(
        &self,
        secrets: &'s Secrets,
        environment: &str,
        choice: Choice,
    ) -> Option<&'s Secret<String>> {
        let choose = |refused| self.passwords.choose(secrets, environment, &self.user, refused);
        let first = choose(None)?;
        Some(match choice {
            Choice::First => first,
            Choice::Other => choose(Some(first)).unwrap_or(first),
        })
    }

    /// Whether Twilio took a password last that is none of those that there are now.
    pub fn is_outdated(&self, secrets: &Secrets, environment: &str) -> bool {
        self.passwords.is_outdated(secrets, environment, &self.user)
    }

    /// Sends what is due: the REGISTER, or the removal of a dead binding before it.
    pub fn send_due(&mut self, context: &mut Context<'_>, origin: &Origin<'_>) {
        let purpose = match self.dead.pop() {
            Some(contact) if context.now < self.refresh => Purpose::Remove(contact),
            _ => Purpose::Register,
        };
        self.send(context, origin, purpose, Turn::default());
    }

    /// Removes our binding, if it stands.
    pub fn leave(&mut self, context: &mut Context<'_>, origin: &Origin<'_>) {
        let stands = self.expires.is_some_and(|expires| expires > context.now);
        self.phase = Phase::Offline;
        if stands {
            self.send(context, origin, Purpose::Leave, Turn::default());
        }
    }

    fn send(&mut self, context: &mut Context<'_>, origin: &Origin<'_>, purpose: Purpose, turn: Turn) {
        // A reload may have left only what was refused.
        let password = self.password(context, turn.refused.as_ref()).or_else(|| self.password(context, None));
        let Some(password) = password else {
            if purpose != Purpose::Register {
                return self.phase = Phase::Offline;
            }
            let text = "it has no password at the SIP domain yet; run `gateway setup`, which makes one";
            self.refuse(context, text.to_string());
            return;
        };
        let domain = &context.config.trunk.domain;
        let target = uri::write(&uri::sip(None, domain, None));
        let aor = format!("<{}>", uri::write(&uri::sip(Some(&self.user), domain, None)));
        let asked = match purpose {
            Purpose::Register => self.asked(context),
            Purpose::Leave | Purpose::Remove(_) => 0,
        };
        let contact = match &purpose {
            Purpose::Remove(contact) => format!("<{contact}>"),
            _ => format!("<{}>;+sip.instance=\"{}\"", origin.contact, origin.instance),
        };
        self.cseq += 1;
        let mut request = header::request(Method::Register, uri::sip(None, domain, None));
        let headers = &mut request.headers;
        header::push_from(headers, format!("{aor};tag={}", context.random.hex(4)));
        header::push_to(headers, aor);
        header::push_call_id(headers, self.call_id.as_str());
        header::push_cseq(headers, self.cseq, "REGISTER");
        header::push_contact(headers, contact);
        header::push_expires(headers, asked);
        if let Some(known) = &mut self.known {
            let (name, value) = known.answer(&self.user, password, "REGISTER", &target, context.random);
            header::set_credentials(headers, name, value);
        }
        header::push_user_agent(headers, crate::USER_AGENT);
        let owner = Owner::Registration;
        let id =
            context.transactions.request(context.now, origin.flow, request, owner, Priority::Ordinary, context.random);
        let sent = context.now;
        self.phase = Phase::InFlight(Attempt { id, sent, purpose, turn, password: password.clone() });
    }

    /// The password to try, or the other one when that was refused.
    fn password<'s>(&self, context: &Context<'s>, refused: Option<&Secret<String>>) -> Option<&'s Secret<String>> {
        self.passwords.choose(context.secrets, &context.config.site.environment, &self.user, refused)
    }

    /// Whether a refused attempt may go on with the other of two passwords.
    fn may_try_other(&self, context: &Context<'_>, turn: &Turn, refused: &Secret<String>) -> bool {
        turn.refused.is_none() && self.password(context, Some(refused)).is_some()
    }

    fn asked(&self, context: &Context<'_>) -> u32 {
        let configured = u32::try_from(context.config.trunk.expires.as_secs()).unwrap_or(MAX_EXPIRES);
        configured.max(self.min_expires.unwrap_or(0)).min(MAX_EXPIRES)
    }

    /// A final response to the REGISTER in flight.
    pub fn on_response(&mut self, context: &mut Context<'_>, origin: &Origin<'_>, response: &Response) -> Outcome {
        let code = response.status_code.code();
        if code < 200 {
            return Outcome::Nothing;
        }
        let Phase::InFlight(attempt) = std::mem::replace(&mut self.phase, Phase::Offline) else {
            return Outcome::Nothing;
        };
        let Attempt { purpose, turn, password, .. } = attempt;
        match code {
            200..300 => return self.on_success(context, origin, purpose, password, response),
            401 | 407 if turn.challenges < MAX_CHALLENGES || self.may_try_other(context, &turn, &password) => {
                match digest::strongest(response) {
                    Some((challenge, name)) => {
                        self.known = Some(Known::new(challenge, name, self.all_known()));
                        let turn = match turn.challenges < MAX_CHALLENGES {
                            true => Turn { challenges: turn.challenges + 1, ..turn },
                            false => Turn { challenges: 1, refused: Some(password), ..turn },
                        };
                        self.send(context, origin, purpose, turn);
                    }
                    None => self
                        .refuse(context, format!("the server's challenge can not be answered ({})", cause(response))),
                }
            }
            401 | 407 => {
                self.known = None;
                let text = format!(
                    "the SIP domain does not accept the password of {0} ({1}); `gateway extension rotate {0}` sets \
                     another",
                    self.user,
                    cause(response)
                );
                self.refuse(context, text);
            }
            // It may say so of wrong credentials, too (TWILIO.md "Wrong password").
            403 if self.known.is_some() && self.may_try_other(context, &turn, &password) => {
                let turn = Turn { challenges: 0, refused: Some(password), ..turn };
                self.send(context, origin, purpose, turn);
            }
            423 if !turn.too_brief && purpose == Purpose::Register => {
                let asked = self.asked(context);
                match header::min_expires(&response.headers).ok().flatten() {
                    Some(least) if least > asked && least <= MAX_EXPIRES => {
                        self.min_expires = Some(least);
                        self.send(context, origin, purpose, Turn { too_brief: true, ..turn });
                    }
                    _ => self.refuse(context, format!("the server wants a longer trunk.expires ({})", cause(response))),
                }
            }
            408 | 500..600 => {
                let after = header::retry_after(&response.headers).ok().flatten().unwrap_or(0);
                let after = Duration::from_secs(u64::from(after)).min(RETRY_MAX);
                self.fail(context, purpose, after, cause(response));
            }
            _ if purpose == Purpose::Register => self.refuse(context, refusal(&self.user, code, response)),
            _ => self.fail(context, purpose, Duration::ZERO, cause(response)),
        }
        Outcome::Nothing
    }

    /// No response came.
    pub fn on_failure(&mut self, context: &mut Context<'_>, failure: Failure) {
        let Phase::InFlight(attempt) = std::mem::replace(&mut self.phase, Phase::Offline) else {
            return;
        };
        let text = match failure {
            Failure::Timeout => "no answer within 32 s",
            Failure::Transport => "the connection ended",
        };
        self.fail(context, attempt.purpose, Duration::ZERO, text.to_string());
    }

    fn on_success(
        &mut self,
        context: &mut Context<'_>,
        origin: &Origin<'_>,
        purpose: Purpose,
        password: Secret<String>,
        response: &Response,
    ) -> Outcome {
        self.passwords.prove(password);
        match purpose {
            Purpose::Leave => {
                self.expires = None;
                self.phase = Phase::Offline;
                context.event(Event::new(Code::TrunkUnregistered, self.user.as_str(), "as we asked"));
                return Outcome::Nothing;
            }
            Purpose::Remove(contact) => {
                self.former.retain(|former| *former != contact);
                let text = format!("removed {contact}, a binding of an earlier connection of ours");
                context.event(Event::new(Code::TrunkCleaned, self.user.as_str(), text));
                self.schedule(context.now);
                return Outcome::Nothing;
            }
            Purpose::Register => {}
        }
        let asked = self.asked(context);
        let listed = header::contacts(&response.headers).unwrap_or_default();
        let listed = listed.iter().filter_map(|contact| match contact {
            Contact::Addr(address) => Some(address),
            Contact::Star => None,
        });
        let own = address_of(&origin.contact);
        let listed: Vec<&NameAddr> = listed.collect();
        // A server may write the address that it saw; if there is one binding only, it is ours all the same.
        let (ours, others): (Vec<&NameAddr>, Vec<&NameAddr>) =
            listed.iter().partition(|one| listed.len() == 1 || address(one) == own);
        let expires = header::expires(&response.headers).ok().flatten();
        let granted = ours.first().and_then(|one| one.params.value("expires")).and_then(|text| text.parse().ok());
        let granted = granted.or(expires).unwrap_or(asked).min(MAX_EXPIRES);
        if granted == 0 {
            self.fail(
                context,
                Purpose::Register,
                Duration::ZERO,
                "the server answered 200 but keeps no binding".into(),
            );
            return Outcome::Nothing;
        }
        self.dead =
            others.into_iter().filter(|one| self.is_dead(one, origin)).map(|one| uri::write(&one.uri)).collect();
        self.dead.truncate(MAX_FORMER);

        let granted = Duration::from_secs(u64::from(granted));
        let fresh = self.expires.is_none() || self.reason.is_some();
        self.expires = Some(context.now + granted);
        // About half (TWILIO.md "Registration"), so that a lost refresh has time for others.
        self.refresh = context.now + context.random.jittered(granted / 2, 90);
        self.reason = None;
        self.backoff.reset();
        self.schedule(context.now);
        let former = self.passwords.is_former(context.secrets, &context.config.site.environment, &self.user);
        if former && !self.by_former {
            let text = format!("registered, but {BY_FORMER}");
            context.event(Event::new(Code::TrunkFormerPassword, self.user.as_str(), text));
        }
        self.by_former = former;
        if fresh {
            let text = format!("registered as {} for {} s", origin.contact, granted.as_secs());
            context.event(Event::new(Code::TrunkRegistered, self.user.as_str(), text));
        }
        Outcome::Registered
    }

    /// Whether a listed binding leads to a connection of ours that is gone: one of this run, or by our instance at our
    /// address, one of the run before.
    fn is_dead(&self, listed: &NameAddr, origin: &Origin<'_>) -> bool {
        let here = address(listed);
        let instance = listed.params.value("+sip.instance") == Some(origin.instance);
        let (_, host, _) = address_of(&origin.contact).unwrap_or_default();
        self.former.iter().any(|former| address_of(former) == here)
            || (instance && here.is_some_and(|(_, at, _)| at == host))
    }

    fn schedule(&mut self, now: Instant) {
        self.phase =
            Phase::Due(if self.dead.is_empty() { self.refresh } else { self.refresh.min(now + CLEAN_UP_PAUSE) });
    }

    fn fail(&mut self, context: &mut Context<'_>, purpose: Purpose, at_least: Duration, cause: String) {
        match purpose {
            Purpose::Leave => self.phase = Phase::Offline,
            // It expires by itself.
            Purpose::Remove(_) => self.schedule(context.now),
            Purpose::Register => {
                let wait = self.backoff.next(context.random).max(at_least);
                self.phase = Phase::Due(context.now + wait);
                let text = format!("not registered: {cause}; next try in {} s", wait.as_secs());
                context.event(Event::new(Code::TrunkRegisterFailed, self.user.as_str(), text));
                self.reason = Some(cause);
            }
        }
    }

    fn refuse(&mut self, context: &mut Context<'_>, text: String) {
        let wait = self.backoff.next(context.random);
        self.phase = Phase::Refused(context.now + wait);
        self.expires = None;
        let line = format!("{text}; next try in {} s", wait.as_secs());
        context.event(Event::new(Code::TrunkRefused, self.user.as_str(), line));
        self.reason = Some(text);
    }

    /// Whether the server will not have it, as far as it said last.
    pub fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused(_))
    }

    /// Whether the server has taken its password, and did not refuse it since.
    pub fn was_taken(&self) -> bool {
        !self.is_refused() && self.passwords.has_proof()
    }

    /// Whether the binding at the server stands.
    pub fn is_registered(&self, now: Instant) -> bool {
        !self.is_refused() && self.expires.is_some_and(|expires| expires > now)
    }

    /// For `gateway status`.
    pub fn status(&self, now: Instant) -> RegistrationStatus {
        let is_registered = self.is_registered(now);
        let state = match &self.phase {
            Phase::Refused(_) => RegistrationState::Refused,
            _ if is_registered => RegistrationState::Registered,
            Phase::InFlight(_) => RegistrationState::Registering,
            Phase::Due(at) if *at <= now => RegistrationState::Registering,
            Phase::Offline | Phase::Due(_) => RegistrationState::Waiting,
        };
        RegistrationStatus {
            state,
            next_in: self.due().map(|due| due.since(now).as_secs()),
            expires_in: self.expires.filter(|expires| *expires > now).map(|expires| expires.since(now).as_secs()),
            reason: self.reason.clone().or_else(|| (is_registered && self.by_former).then(|| BY_FORMER.into())),
        }
    }
}

/// What makes two contacts one at the server: user, host and port.
fn address(contact: &NameAddr) -> Option<(Option<String>, String, Option<u16>)> {
    Some((uri::user(&contact.uri), uri::host(&contact.uri), uri::port(&contact.uri)))
}

fn address_of(text: &str) -> Option<(Option<String>, String, Option<u16>)> {
    address(&NameAddr::new(uri::parse(text).ok()?))
}

fn refusal(extension: &str, code: u16, response: &Response) -> String {
    let said = TwilioError::of(response).filter(|error| error.meaning().is_some());
    let next = match (code, said) {
        (_, Some(error)) => error.next_step(),
        (403, None) => {
            "see whether registration is on at the SIP domain and its credential list is mapped to it; `gateway setup` \
             does both"
        }
        (404, None) => "see whether trunk.domain in gateway.toml is the SIP domain's name",
        (_, None) => "see the debugger in Twilio's console",
    };
    format!("the SIP domain refuses {extension} ({}); {next}", cause(response))
}

/// Code, phrase and what Twilio says in its own header (TWILIO.md "X-Twilio-Error").
fn cause(response: &Response) -> String {
    let code = response.status_code.code();
    let phrase = crate::sip::status::reason(code);
    match TwilioError::of(response) {
        Some(error) => format!("{code} {phrase}, {error}"),
        None => format!("{code} {phrase}"),
    }
}
