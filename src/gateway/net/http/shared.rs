//! What all connections of the webhook endpoint share, and the configuration in force, made ready for requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::Limits;
use super::gate::{Expected, Gate};
use super::refusals::Refusals;
use super::replies::Replies;
use super::seen::{Mark, Seen, USUAL_REPEATS};
use crate::net::descriptors::Descriptors;
use gateway_core::config::{Config, Protection};
use gateway_core::context::Spending;
use gateway_core::emergency::callback::{CALL_BACK, CallBacks, Phone};
use gateway_core::forward::{Forward, Forwards};
use gateway_core::secrets::Secrets;
use gateway_core::setting::Setting;
use gateway_core::time::Instant;
use gateway_core::twiml::credentials::{self, BasicVerifier};
use gateway_core::twiml::refusal::{Counts, Refusal};
use gateway_core::twiml::signature::{Key, Verifier};

/// What all connections share; the configuration in it can be replaced while they run.
#[derive(Debug)]
pub struct Shared {
    current: RwLock<Arc<Current>>,
    /// What Twilio calls, the present one first, where a tunnel tells; else what the configuration says.
    urls: Mutex<Vec<String>>,
    /// What a tunnel has announced: a request that Twilio signed over one of these proves it.
    announced: Mutex<Vec<String>>,
    /// By which of them requests of Twilio's came in, until somebody asks.
    came_by: Mutex<Vec<String>>,
    pub(super) limits: Limits,
    pub(super) counts: Counters,
    gate: Mutex<Gate>,
    call_backs: Mutex<CallBacks>,
    spending: Mutex<Spending>,
    carrier: Mutex<Option<String>>,
    forwards: Mutex<Forwards>,
    /// Outlives a configuration: what Twilio signed then is nothing new now.
    seen: Mutex<Seen>,
    pub(super) descriptors: Descriptors,
    began: std::time::Instant,
}

/// One configuration with what was made of it.
#[derive(Debug)]
pub(super) struct Current {
    pub config: Arc<Config>,
    pub secrets: Arc<Secrets>,
    pub guard: Guard,
    /// The URLs that Twilio may call, in the guard's order: the present one first.
    pub urls: Vec<String>,
    /// The announced ones, which come after them.
    pub announced: Vec<String>,
    /// What stands before the path in URLs that Twilio is told.
    pub base: Setting,
    /// An answer of another configuration is no answer any more.
    pub replies: Mutex<Replies>,
}

/// How a request proves that it is Twilio's.
#[derive(Debug)]
pub(super) enum Guard {
    Signature(Verifier),
    Credentials(BasicVerifier),
    /// The secrets hold nothing to check requests with.
    Nothing,
}

impl Current {
    fn new(mut config: Arc<Config>, secrets: Arc<Secrets>, urls: &[String], announced: &[String]) -> Arc<Self> {
        if let Some(present) = urls.first().filter(|present| **present != config.webhook.public_url) {
            Arc::make_mut(&mut config).webhook.public_url.clone_from(present);
        }
        let public_url = &config.webhook.public_url;
        let guard = match (config.webhook.protect, &secrets.auth_token, &secrets.webhook) {
            (Protection::Signature, Some(token), _) => {
                let verifier = Verifier::new(public_url, vec![Key::auth_token(token)]);
                let others = urls.iter().skip(1).chain(announced);
                Guard::Signature(others.fold(verifier, |verifier, other| verifier.also(other)))
            }
            (Protection::Credentials, _, Some(credentials)) => Guard::Credentials(BasicVerifier::new(credentials)),
            _ => Guard::Nothing,
        };
        let base = credentials::told(&config, &secrets, public_url);
        let urls = std::iter::once(public_url).chain(urls.iter().skip(1)).cloned().collect();
        let announced = announced.to_vec();
        Arc::new(Current { config, secrets, guard, urls, announced, base, replies: Mutex::default() })
    }
}

impl Current {
    /// The URL at a place in the guard's order.
    pub fn url(&self, place: usize) -> Option<&String> {
        self.urls.iter().chain(&self.announced).nth(place)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub answered: AtomicU64,
    refusals: Mutex<Refusals>,
    pub told_of_missing_fields: AtomicU64,
}

impl Shared {
    /// With the default limits.
    pub fn new(config: Arc<Config>, secrets: Arc<Secrets>) -> Self {
        Shared::with_limits(config, secrets, Limits::default())
    }

    /// With limits of one's own.
    pub fn with_limits(config: Arc<Config>, secrets: Arc<Secrets>, limits: Limits) -> Self {
        let current = RwLock::new(Current::new(config, secrets, &[], &[]));
        Shared {
            current,
            urls: Mutex::default(),
            announced: Mutex::default(),
            came_by: Mutex::default(),
            limits,
            counts: Counters::default(),
            gate: Mutex::new(Gate::new(limits.rates)),
            call_backs: Mutex::default(),
            spending: Mutex::default(),
            carrier: Mutex::default(),
            forwards: Mutex::default(),
            seen: Mutex::default(),
            descriptors: Descriptors::default(),
            began: std::time::Instant::now(),
        }
    }

    /// Its connections count among these.
    pub fn with_descriptors(self, descriptors: Descriptors) -> Shared {
        Shared { descriptors, ..self }
    }

    /// What counts them.
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// From the next request on, this configuration and these secrets.
    pub fn replace(&self, config: Arc<Config>, secrets: Arc<Secrets>) {
        let urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = Current::new(config, secrets, &urls, &announced);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// From the next request on, Twilio calls the first of these URLs, and may still call the others.
    pub fn set_public_urls(&self, urls: Vec<String>) {
        *self.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
        let current = self.current();
        self.replace(Arc::clone(&current.config), Arc::clone(&current.secrets));
    }

    /// From the next request on, one that Twilio signed over one of these is taken, and proves it.
    pub fn set_announced_urls(&self, urls: Vec<String>) {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = urls;
        let current = self.current();
        self.replace(Arc::clone(&current.config), Arc::clone(&current.secrets));
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        let reasons = self.refusals().totals();
        Counts {
            answered: self.counts.answered.load(Ordering::Relaxed),
            replayed: self.refusals().replayed(),
            refused: reasons.iter().sum(),
            reasons,
        }
    }

    /// Those of the configuration in force.
    pub fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.current().secrets)
    }

    /// This nonce is going to be fetched by ourselves: no rate holds for it. `by`: the host by whose name it must come
    /// in, in small letters, where that matters.
    pub fn expect_nonce(&self, nonce: &str, by: Option<&str>) {
        self.gate().expect(Expected { nonce: nonce.to_owned(), by: by.map(str::to_owned) });
    }

    /// By which public URLs requests of Twilio's have come in since this was asked last, each once.
    pub fn came_by(&self) -> Vec<String> {
        std::mem::take(&mut *self.came_by.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request of Twilio's came in by this URL.
    pub(super) fn note_came_by(&self, url: &str) {
        let mut urls = self.came_by.lock().unwrap_or_else(PoisonError::into_inner);
        if !urls.iter().any(|noted| noted == url) {
            urls.push(url.to_owned());
        }
    }

    /// For the next hour a call to the number that this phone showed rings that phone.
    pub fn expect_call_back(&self, phone: Phone) {
        let now = self.now();
        self.call_backs().remember(now, Phone { until: now + CALL_BACK, ..phone });
    }

    /// The phone that a call to this number is for before all others.
    pub(super) fn call_back(&self, number: &str) -> Option<Phone> {
        self.call_backs().of_number(self.now(), number).cloned()
    }

    /// From the next request on, calls outside may be made or not.
    pub fn set_spending(&self, spending: Spending) {
        *self.spending.lock().unwrap_or_else(PoisonError::into_inner) = spending;
    }

    pub(super) fn spending(&self) -> Spending {
        self.spending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next request on, calls from outside come by this user at the SIP domain.
    pub fn set_carrier(&self, user: Option<String>) {
        *self.carrier.lock().unwrap_or_else(PoisonError::into_inner) = user;
    }

    /// The user by which calls from outside come to this box.
    pub(super) fn carrier(&self) -> Option<String> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call ends here and goes on outside.
    pub fn expect_forward(&self, forward: Forward) {
        let now = self.now();
        self.forwards().remember(now, Forward { at: now, ..forward });
    }

    /// Where the call of this CallSid goes on.
    pub(super) fn forward(&self, call_sid: &str) -> Option<Forward> {
        self.forwards().of_call(self.now(), call_sid).cloned()
    }

    /// That call is over, or its caller talks.
    pub(super) fn forward_over(&self, call_sid: &str) {
        self.forwards().over(call_sid);
    }

    fn forwards(&self) -> MutexGuard<'_, Forwards> {
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call_backs(&self) -> MutexGuard<'_, CallBacks> {
        self.call_backs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal; its place in the row of its reason, if it is to be told.
    pub(super) fn refuse(&self, reason: Refusal) -> Option<u64> {
        self.refusals().add(self.now(), reason)
    }

    /// Whether a request with this mark came more often than Twilio repeats one.
    pub(super) fn is_worn(&self, mark: &Mark) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).times(mark) > USUAL_REPEATS
    }

    /// A request that is Twilio's: whether it is fresh.
    pub(super) fn is_fresh(&self, mark: Mark) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_fresh(mark)
    }

    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.counts.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
