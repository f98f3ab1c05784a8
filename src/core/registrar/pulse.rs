//! Whether a handset still answers.
//!
//! Rules:
//!
//! - A handset is not responding when a call had no response for [`PATIENCE`], not even a 100; when its address refuses
//!   what is sent to it; or when it leaves OPTIONS unanswered, where a handset of its model has answered OPTIONS.
//! - It is still rung, for it may be back, but a call waits [`DOUBT`] for it at most, then goes on. Calls that help depends on
//!   wait for it as for any other.
//! - Whatever it answers or asks with the right password says that it is back. It is asked each [`ASK_SILENT`].
//! - A handset on UDP that was not heard of for [`QUIET`] is asked, too: one that refreshes its registration more often is
//!   never asked. So is one whose port is in doubt, and one beside which the same model registers anew, at once: it may be
//!   the same phone, from another address.

use std::time::Duration;

use super::{Binding, Registrar, agent};
use crate::context::{Context, Owner};
use crate::event::{Code, Event};
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, NameAddr};
use crate::sip::transaction::Priority;
use crate::sip::uri;
use crate::time::Instant;
use rsip::Method;

/// How long a call waits for a sign of a handset: four tries over UDP have gone by then. A 100 takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long for one that is not responding: two tries.
const DOUBT: Duration = Duration::from_secs(1);
/// Between two questions to a handset that is not responding; longer than one is repeated.
const ASK_SILENT: Duration = Duration::from_secs(60);
/// How long nothing may be heard of a handset before it is asked.
const QUIET: Duration = Duration::from_secs(600);
/// Handsets asked at once; the next ones a second later, so that an hour after a power cut is no storm.
const ASKED_AT_ONCE: usize = 16;

/// Whether a handset answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing says otherwise.
    Alive,
    /// It does not, since then.
    Silent(Instant),
}

/// What is known of the life of a handset.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    pub(super) pulse: Pulse,
    /// When it is asked next.
    ask: Instant,
    /// Whether it has ever answered OPTIONS; some handsets never do.
    answers_options: bool,
}

impl Life {
    /// A handset that was heard of just now, or may have been.
    pub fn new(now: Instant) -> Self {
        Life { pulse: Pulse::Alive, ask: now + QUIET, answers_options: false }
    }

    /// It registered again.
    pub(super) fn renewed(&self, now: Instant) -> Self {
        Life { answers_options: self.answers_options, ..Life::new(now) }
    }

    /// It is to be asked at once.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.ask = self.ask.min(now);
    }

    /// How long it has not been responding.
    pub(super) fn silent_for(&self, now: Instant) -> Option<Duration> {
        match self.pulse {
            Pulse::Alive => None,
            Pulse::Silent(since) => Some(now.since(since)),
        }
    }
}

impl Binding {
    /// When it is asked whether it is there, if it is. A connection tells that by itself, until it does not.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        let asks = self.flow.transport == Transport::Udp || self.life.pulse != Pulse::Alive;
        asks.then_some(self.life.ask)
    }

    /// Something was heard of it.
    pub(super) fn revive(&mut self, context: &mut Context<'_>, extension: &str) {
        if let Some(silent) = self.life.silent_for(context.now) {
            let text = format!("{} at {} responds again, after {} s", agent(self), self.flow.remote, silent.as_secs());
            context.event(Event::new(Code::HandsetResponding, extension, text));
        }
        self.life = self.life.renewed(context.now);
    }

    fn silence(&mut self, context: &mut Context<'_>, extension: &str) {
        if self.life.pulse == Pulse::Alive {
            let text = format!(
                "{} at {} does not respond: calls do not wait for it; see whether it has power and network",
                agent(self),
                self.reach().remote
            );
            context.event(Event::new(Code::HandsetSilent, extension, text));
            self.life.pulse = Pulse::Silent(context.now);
        }
        self.life.ask = context.now + ASK_SILENT;
    }
}

impl Registrar {
    /// A handset has answered a request that went by this flow: later ones go there at once.
    pub fn answered(&mut self, context: &mut Context<'_>, flow: Flow) {
        let mut changed = false;
        for (extension, bindings) in &mut self.table {
            for binding in bindings.iter_mut().filter(|binding| binding.may_be_at(flow)) {
                binding.revive(context, extension);
                changed |= std::mem::replace(&mut binding.port, flow.remote.port()) != flow.remote.port();
            }
        }
        if changed {
            self.persist(context);
        }
    }

    /// It has answered OPTIONS.
    pub fn answered_options(&mut self, context: &mut Context<'_>, flow: Flow) {
        self.answered(context, flow);
        for binding in self.table.values_mut().flatten().filter(|binding| binding.may_be_at(flow)) {
            binding.life.answers_options = true;
        }
    }

    /// OPTIONS that went by this flow had no answer. That says something of a model that answers it alone.
    pub fn left_options(&mut self, context: &mut Context<'_>, flow: Flow) {
        let here = |binding: &Binding| binding.may_be_at(flow);
        let all = || self.table.values().flatten();
        let models: Vec<_> = all().filter(|one| here(one)).map(|one| one.user_agent.clone()).collect();
        if all().any(|one| one.life.answers_options && models.contains(&one.user_agent)) {
            self.silent(context, flow);
        }
    }

    /// A handset left a call without any response that went by this flow, or its address refuses what is sent there.
    pub fn silent(&mut self, context: &mut Context<'_>, flow: Flow) {
        for (extension, bindings) in &mut self.table {
            for binding in bindings.iter_mut().filter(|binding| binding.may_be_at(flow)) {
                binding.silence(context, extension);
            }
        }
        self.next_due = self.due();
    }

    /// Whether the handset that is reached by this flow is known not to respond.
    pub fn is_silent(&self, flow: Flow, now: Instant) -> bool {
        let mut here = self.table.values().flatten().filter(|one| one.expires > now && one.may_be_at(flow)).peekable();
        here.peek().is_some() && here.all(|one| one.life.pulse != Pulse::Alive)
    }

    /// How long a call waits for a first sign of the handset that is reached by this flow.
    pub fn patience(&self, flow: Flow, now: Instant) -> Duration {
        if self.is_silent(flow, now) { DOUBT } else { PATIENCE }
    }

    /// Asks the handsets that are due. What is left is due in a second.
    pub(super) fn ask(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let due = self.table.iter_mut().flat_map(|(name, all)| all.iter_mut().map(move |one| (name, one)));
        let due = due.filter(|(_, one)| one.ask_at().is_some_and(|at| at <= now));
        for (number, (extension, binding)) in due.enumerate() {
            if number >= ASKED_AT_ONCE {
                binding.life.ask = now + Duration::from_secs(1);
                continue;
            }
            binding.life.ask = now + if binding.life.pulse == Pulse::Alive { QUIET } else { ASK_SILENT };
            question(context, extension, binding);
        }
    }
}

/// OPTIONS (RFC 3261 section 11): any answer will do.
fn question(context: &mut Context<'_>, extension: &str, binding: &Binding) {
    let Ok(contact) = uri::parse(&binding.contact) else { return };
    let flow = binding.reach();
    let host = flow.local.ip().to_string();
    let mut from = NameAddr::new(uri::sip(Some("gateway"), &host, None));
    from.params.set("tag", Some(&context.random.hex(8)));
    let mut request = header::request(Method::Options, contact);
    let headers = &mut request.headers;
    header::push_from(headers, from.to_string());
    header::push_to(headers, NameAddr::new(uri::sip(Some(extension), &host, None)).to_string());
    header::push_call_id(headers, context.random.hex(16));
    header::push_cseq(headers, 1, "OPTIONS");
    header::push_accept(headers, crate::sip::body::SDP);
    header::push_user_agent(headers, crate::USER_AGENT);
    let owner = Owner::Handset(flow);
    context.transactions.request(context.now, flow, request, owner, Priority::Ordinary, context.random);
}
