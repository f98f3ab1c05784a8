//! A leg: one INVITE usage between the gateway and one user agent, as UAS or as UAC, from INVITE to the end of BYE.
//!
//! A leg knows SIP and nothing of the call it is part of: what happens to it becomes a [`LegEvent`], and the call says
//! what it shall do. INVITE and what is answered to it stand in [`super::uac`] and
//! [`super::uas`], what comes inside the dialog in [`super::in_dialog`].

use std::collections::BTreeMap;
use std::time::Duration;

use rsip::{Method, Request, Response, Uri};

use super::admission::OPTIONS;
use super::cause::Cause;
use super::negotiation::Negotiation;
use super::repair::Repair;
use super::session_timer::{self, SessionTimer};
use super::{CallId, LegId, Timer};
use crate::context::Context;
use crate::context::Owner;
use crate::media::MediaLeg;
use crate::sip::dialled::Presentation;
use crate::sip::dialog::{Dialog, DialogId};
use crate::sip::digest;
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, AuthHeader, NameAddr, Reason, SessionExpires};
use crate::sip::sdp::Direction;
use crate::sip::transaction::{ClientId, Failure, Priority, ServerId, T1, TIMEOUT};
use crate::sip::{uri, wire};
use crate::time::Instant;
use crate::timers::Timers;
use crate::trunk::{Choice, Trunk};

/// How often one request is sent again with credentials or a longer interval before its refusal counts.
const MAX_ATTEMPTS: u8 = 2;

/// Twilio's code for wrong credentials.
const BAD_CREDENTIALS: &str = "32202";

/// Requests of a leg that wait for an answer. More come only of a far end that floods us with what must be acknowledged
/// (reliable provisional responses, answers of ever more forks); it gets nothing more until it answers.
const MAX_PENDING: usize = 32;

/// How long a BYE waits for a flow: as long as it would have been repeated on one (64·T1, RFC 3261 section 17.1.2.2),
/// which is also when Twilio is done with a call whose flow is gone.
const FAREWELL: Duration = TIMEOUT;

/// How long a re-INVITE that went with its flow waits before it is tried again.
const AFTER_LOSS: Duration = Duration::from_secs(2);

/// What we support, in Supported: session timers. Reliable provisional responses are given where they are required.
pub const SUPPORTED: &str = "timer";

/// What we support where a phone has said that it requires it (421, RFC 3261 section 21.4.15).
const SUPPORTED_ON_DEMAND: &str = "timer, 100rel";

/// Who is at the other end of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A handset; its extension, unless it is unknown (an emergency call from an unregistered handset).
    Handset(Option<String>),
    /// The SIP domain, for this extension.
    Trunk(Option<String>),
}

/// What may be touched besides the leg.
pub struct Scope<'a, 'b> {
    pub cx: &'a mut Context<'b>,
    pub trunk: &'a mut Trunk,
    pub timers: &'a mut Timers<Timer>,
    /// Which leg a request inside a dialog is for.
    pub dialogs: &'a mut BTreeMap<DialogId, LegId>,
}

/// Timers of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegTimer {
    /// Repeat our 2xx: no ACK yet (RFC 3261 section 13.3.1.4).
    Repeat2xx,
    /// Repeat our reliable provisional response: no PRACK yet (RFC 3262 section 3).
    RepeatReliable,
    /// Refresh the session, or give it up because they did not (RFC 4028 section 10).
    Session,
    /// Send a re-INVITE again that met theirs (491, RFC 3261 section 14.1), or that a flow took with it.
    Reinvite,
    /// No flow came for the BYE that waits for one.
    Farewell,
    /// An INVITE has had no response at all. That of an emergency call: its flow is dead, TCP only does not know it yet.
    /// That to a handset: it may be dead.
    Unheard,
}

/// What happened to a leg.
#[derive(Clone, Debug, PartialEq)]
pub enum LegEvent {
    /// They ring; with `media`, their early media may flow.
    Progress { code: u16, media: bool },
    /// They answered our INVITE; the ACK is sent.
    Answered,
    /// They did not, with this cause.
    Refused(Cause),
    /// The handset says nothing at all to our INVITE, which goes on.
    Unheard,
    /// The phone of this extension sends the call on: with this status, to these, the best first.
    Diverted { by: String, code: u16, to: Vec<Uri> },
    /// They cancelled their INVITE, and why; it is answered.
    Cancelled(Vec<Reason>),
    /// Their ACK to our 2xx came; with `answer`, it answered an offer in it.
    Acknowledged { answer: bool },
    /// Their re-INVITE or UPDATE (`offered`), or their answer to ours, changed the media.
    Modified { offered: bool },
    /// They hung up, and why.
    HungUp(Vec<Reason>),
    /// The leg broke; a BYE is on its way where one could still arrive.
    Broken(Cause),
    /// On hold, they say again and again that they know no such dialog.
    Unknown,
    /// They sent a digit by INFO.
    Digit { digit: char, duration: Duration },
    /// They ask for a transfer; the REFER is not answered yet.
    Refer { server: ServerId, request: Box<Request> },
}

/// What a client transaction of the leg is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Invite,
    Reinvite,
    Bye,
    Other,
}

/// A client transaction of the leg.
#[derive(Debug)]
pub(super) struct Pending {
    pub client: ClientId,
    pub purpose: Purpose,
    pub request: Request,
    pub attempts: u8,
}

/// An INVITE from them, not answered finally.
#[derive(Debug)]
pub struct Incoming {
    pub(super) server: ServerId,
    pub(super) invite: Request,
    pub(super) tag: String,
    pub(super) contact: String,
    /// The reliable provisional response that waits for its PRACK.
    pub(super) reliable: Option<Reliable>,
    /// The number of the last reliable provisional response.
    pub(super) rseq: u32,
    /// A final answer that waits for that PRACK (RFC 3262 section 3).
    pub(super) answer: Option<(Vec<u8>, Role)>,
    pub(super) late_offer: LateOffer,
    pub(super) timer: Option<SessionTimer>,
}

/// An offer of ours in a reliable provisional response, where the INVITE made none: it stands in the first of them, its
/// answer comes in the PRACK, and no other response describes anything (RFC 3261 section 13.2.1, RFC 3262 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateOffer {
    None,
    Sent,
    Answered,
}

/// A dialog that a provisional response of theirs began.
#[derive(Debug)]
pub struct Early {
    pub(super) dialog: Dialog,
    /// The number of the last reliable one that was acknowledged.
    pub(super) rseq: Option<u32>,
}

/// A provisional response under RFC 3262.
#[derive(Debug)]
pub(super) struct Reliable {
    pub response: Response,
    pub rseq: u32,
    pub interval: Duration,
    pub give_up: Instant,
}

/// An INVITE of ours, not answered finally.
#[derive(Debug)]
pub struct Outgoing {
    pub(super) early: Vec<Early>,
    pub(super) cancelled: bool,
    pub(super) sign: Sign,
    /// It was refused for its profile, and made again in another.
    pub(super) offered_again: bool,
    /// When it was sent, with credentials perhaps the second time.
    pub(super) sent: Instant,
}

/// Whether anything came back of an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    None,
    /// Nothing for so long that the call does not wait for it.
    Overdue,
    /// Any response, even a 100: there is somebody.
    Heard,
}

/// What a re-INVITE of ours carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reinvite {
    Offer,
    /// The same description again (RFC 4028 section 7.4).
    Refresh,
}

/// What the description in a 2xx of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The INVITE had none; the answer comes in the ACK.
    Offer,
    Answer,
}

/// What a 2xx of ours answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The first INVITE: before the ACK no BYE may be sent (RFC 3261 section 15).
    Invite,
    Reinvite,
}

/// A 2xx of ours that waits for its ACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub server: ServerId,
    pub response: Response,
    pub cseq: u32,
    pub interval: Duration,
    pub give_up: Instant,
    pub role: Role,
    pub answered: Answered,
}

impl Unacknowledged {
    /// A 2xx sent just now.
    pub fn new(server: ServerId, response: Response, cseq: u32, now: Instant, role: Role, answered: Answered) -> Self {
        Unacknowledged { server, response, cseq, interval: T1, give_up: now + TIMEOUT, role, answered }
    }
}

/// A confirmed dialog.
#[derive(Debug)]
pub struct Confirmed {
    pub(super) dialog: Dialog,
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// Our last ACK, by the CSeq number of its INVITE: sent again for each repeated 2xx.
    pub(super) ack: Option<(u32, Request)>,
    pub(super) timer: Option<SessionTimer>,
    /// Hang up as soon as the ACK is there: no BYE before it (RFC 3261 section 15).
    pub(super) hang_up: Option<Cause>,
    /// The description before our pending re-INVITE, to go back to when it is refused.
    pub(super) before_reinvite: Option<Negotiation>,
    /// A direction to offer when the pending re-INVITE is through.
    pub(super) wanted: Option<Direction>,
    /// The trunk's flow went from under the dialog, and it is not known yet to live on the new one.
    pub(super) repair: Option<Repair>,
    /// The media driver hears nothing: a re-INVITE asks whether anybody is there, and who does not answer is gone.
    pub(super) silent: bool,
}

impl Confirmed {
    /// A dialog that has just been made, with nothing under way but what is named.
    pub(super) fn new(
        dialog: Dialog,
        unacknowledged: Option<Unacknowledged>,
        ack: Option<(u32, Request)>,
        timer: Option<SessionTimer>,
    ) -> Self {
        Confirmed {
            dialog,
            unacknowledged,
            ack,
            timer,
            hang_up: None,
            before_reinvite: None,
            wanted: None,
            repair: None,
            silent: false,
        }
    }
}

/// Where a leg is.
#[derive(Debug)]
pub enum State {
    /// Media is being opened; nothing was sent.
    New,
    Incoming(Box<Incoming>),
    Outgoing(Outgoing),
    Confirmed(Box<Confirmed>),
    /// Our BYE waits for its answer.
    Ending,
    Ended,
}

/// One leg.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    pub call: CallId,
    pub party: Party,
    pub priority: Priority,
    pub flow: Flow,
    /// The handset's connection ended, and no other way to it is known.
    pub is_cut: bool,
    pub media: MediaLeg,
    /// Once the media driver has bound a port.
    pub negotiation: Option<Negotiation>,
    /// What we write as direction, when they do not restrict it: the other leg's wish (hold).
    pub wish: Direction,
    pub state: State,
    /// The transaction of their INVITE.
    pub server: Option<ServerId>,
    /// What the other side of the call gave as the reason of its end: this side hears it ([`super::farewell`]).
    pub(super) passed_on: Option<String>,
    /// The extension that its minutes count for ([`super::outside`]).
    pub paid_by: Option<String>,
    pub(super) pending: Vec<Pending>,
    /// Our BYE, while there is no flow to send it on.
    pub(super) parked: Option<Request>,
    /// Dialogs of this leg in the index.
    pub(super) indexed: Vec<DialogId>,
}

/// Whom and as whom to call.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Request-URI.
    pub target: Uri,
    /// With our tag not yet on it.
    pub from: NameAddr,
    pub to: NameAddr,
    /// User part of our Contact.
    pub contact_user: String,
    /// One less than what came in (a loop ends), or 70.
    pub max_forwards: u32,
    /// Whether Twilio is asked to withhold who calls.
    pub presentation: Presentation,
}

impl Leg {
    /// A leg that has sent nothing yet.
    pub fn new(id: LegId, call: CallId, party: Party, priority: Priority, flow: Flow, media: MediaLeg) -> Self {
        Leg {
            id,
            call,
            party,
            priority,
            flow,
            is_cut: false,
            media,
            negotiation: None,
            wish: Direction::SendRecv,
            state: State::New,
            server: None,
            passed_on: None,
            paid_by: None,
            pending: Vec::new(),
            parked: None,
            indexed: Vec::new(),
        }
    }

    /// A request that went by this flow was answered: the handset listens at that port.
    pub fn answers_on(&mut self, flow: Flow) {
        if self.flow.at_port(flow.remote.port()) == flow {
            self.flow = flow;
        }
    }

    /// The media driver hears it again.
    pub fn is_heard(&mut self) {
        if let State::Confirmed(confirmed) = &mut self.state {
            confirmed.silent = false;
        }
    }

    /// Whether nothing can happen on it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether media may flow both ways by now.
    pub fn is_confirmed(&self) -> bool {
        matches!(self.state, State::Confirmed(_))
    }

    /// The extension whose handset or registration it is.
    pub fn extension(&self) -> Option<&str> {
        match &self.party {
            Party::Handset(extension) | Party::Trunk(extension) => extension.as_deref(),
        }
    }

    /// The Contact that names us on this leg. The flow's own address: Twilio and handsets come back on the flow.
    pub(super) fn contact(&self, scope: &Scope<'_, '_>, user: &str) -> String {
        let host = match (&self.party, scope.cx.config.media.public_address) {
            (Party::Trunk(_), Some(public)) => public,
            _ => self.flow.local.ip(),
        };
        let mut contact = uri::sip(Some(user), &host.to_string(), Some(self.flow.local.port()));
        if self.flow.transport != Transport::Udp {
            uri::set_param(&mut contact, "transport", Some(self.flow.transport.uri_token()));
        }
        NameAddr::new(contact).to_string()
    }

    /// Whether their INVITE waits for its answer and a provisional response may leave now: not while one waits for its
    /// PRACK (RFC 3262 section 3).
    pub fn can_progress(&self) -> bool {
        matches!(&self.state, State::Incoming(incoming) if incoming.reliable.is_none() && incoming.answer.is_none())
    }

    /// Whether an INVITE of ours is out and nothing at all has come back.
    pub fn is_unheard(&self) -> bool {
        self.unheard_since().is_some()
    }

    /// Since when.
    pub fn unheard_since(&self) -> Option<Instant> {
        match &self.state {
            State::Outgoing(outgoing) if outgoing.sign != Sign::Heard => Some(outgoing.sent),
            _ => None,
        }
    }

    /// Whether its call waits for it: something is to come, and not for too long.
    pub fn is_waited_for(&self) -> bool {
        !matches!(&self.state, State::Outgoing(outgoing) if outgoing.sign == Sign::Overdue)
    }

    /// Puts credentials for the SIP domain on a request. `false` when there are none.
    pub(super) fn authorize(
        &self,
        scope: &mut Scope<'_, '_>,
        request: &mut Request,
        challenge: Option<(&digest::Challenge, AuthHeader)>,
        choice: Choice,
    ) -> bool {
        let Party::Trunk(Some(extension)) = &self.party else { return false };
        let target = uri::write(&request.uri);
        let method = wire::method_token(request.method);
        match scope.trunk.authorization(scope.cx, self.flow, extension, method, &target, challenge, choice) {
            Some((name, value)) => {
                header::set_credentials(&mut request.headers, name, value);
                true
            }
            None => false,
        }
    }

    /// The flow to send on: the trunk may have reconnected since the leg began, or be down, and so may a handset.
    pub(super) fn current_flow(&self, scope: &Scope<'_, '_>) -> Option<Flow> {
        match self.party {
            Party::Trunk(_) => scope.trunk.flow_for(self.flow),
            Party::Handset(_) => (!self.is_cut).then_some(self.flow),
        }
    }

    /// Sends a request. Without a flow a BYE waits for one, or the far end would keep the call; the others are of no
    /// use later ([`Leg::reinvite`] looks for a flow by itself).
    pub(super) fn send(&mut self, scope: &mut Scope<'_, '_>, request: Request, purpose: Purpose, attempts: u8) {
        if purpose == Purpose::Other && self.pending.len() >= MAX_PENDING {
            return;
        }
        match self.current_flow(scope) {
            Some(flow) => {
                let (now, owner) = (scope.cx.now, Owner::Leg(self.id));
                let priority = self.priority;
                let client =
                    scope.cx.transactions.request(now, flow, request.clone(), owner, priority, scope.cx.random);
                self.pending.push(Pending { client, purpose, request, attempts });
            }
            None if purpose == Purpose::Bye => self.park(scope, request),
            None => {}
        }
    }

    /// Keeps a BYE for [`Leg::on_trunk_up`], for as long as it would have been repeated.
    fn park(&mut self, scope: &mut Scope<'_, '_>, bye: Request) {
        self.parked = Some(bye);
        let timer = Timer::Leg(self.id, LegTimer::Farewell);
        if scope.timers.get(timer).is_none() {
            scope.timers.set(timer, scope.cx.now + FAREWELL);
        }
    }

    /// The trunk will have no flow any more: nothing waits.
    pub fn on_trunk_stopped(&mut self, scope: &mut Scope<'_, '_>) {
        if self.parked.is_some() {
            self.end(scope);
        }
    }

    /// Ends the leg in whatever way its state demands. Media is the call's business.
    pub fn hang_up(&mut self, scope: &mut Scope<'_, '_>, cause: Cause) {
        match &mut self.state {
            State::New => self.end(scope),
            State::Incoming(_) => self.refuse(scope, cause.status(), &cause.text()),
            State::Outgoing(outgoing) => {
                if outgoing.cancelled {
                    return;
                }
                outgoing.cancelled = true;
                match self.pending.iter().find(|pending| pending.purpose == Purpose::Invite) {
                    Some(pending) => {
                        let reason = self.passed_on.take().unwrap_or_else(|| cause.reason());
                        scope.cx.transactions.cancel(scope.cx.now, pending.client, Some(reason));
                    }
                    None => self.end(scope),
                }
            }
            State::Confirmed(confirmed) => {
                if confirmed
                    .unacknowledged
                    .as_ref()
                    .is_some_and(|unacknowledged| unacknowledged.answered == Answered::Invite)
                {
                    confirmed.hang_up = Some(cause);
                    return;
                }
                self.bye(scope, cause);
            }
            State::Ending | State::Ended => {}
        }
    }

    /// Sends BYE now.
    pub(super) fn bye(&mut self, scope: &mut Scope<'_, '_>, cause: Cause) {
        let State::Confirmed(confirmed) = &mut self.state else { return };
        let mut request = confirmed.dialog.request(Method::Bye);
        header::push_reason(&mut request.headers, self.passed_on.take().unwrap_or_else(|| cause.reason()));
        header::push_user_agent(&mut request.headers, crate::USER_AGENT);
        self.state = State::Ending;
        self.forget(scope);
        self.send(scope, request, Purpose::Bye, 0);
    }

    /// Nothing more will be sent or expected.
    pub(super) fn end(&mut self, scope: &mut Scope<'_, '_>) {
        self.state = State::Ended;
        self.forget(scope);
    }

    /// Takes the leg out of the dialog index and its timers out of the queue.
    fn forget(&mut self, scope: &mut Scope<'_, '_>) {
        for id in self.indexed.drain(..) {
            scope.dialogs.remove(&id);
        }
        for timer in [
            LegTimer::Repeat2xx,
            LegTimer::RepeatReliable,
            LegTimer::Session,
            LegTimer::Reinvite,
            LegTimer::Farewell,
            LegTimer::Unheard,
        ] {
            scope.timers.cancel(Timer::Leg(self.id, timer));
        }
    }

    pub(super) fn index(&mut self, scope: &mut Scope<'_, '_>, id: DialogId) {
        if !self.indexed.contains(&id) {
            scope.dialogs.insert(id.clone(), self.id);
            self.indexed.push(id);
        }
    }

    /// A response to one of our requests.
    pub fn on_response(
        &mut self,
        scope: &mut Scope<'_, '_>,
        client: ClientId,
        response: &Response,
    ) -> Option<LegEvent> {
        let code = response.status_code.code();
        let position = self.pending.iter().position(|pending| pending.client == client)?;
        if code >= 300 && self.try_again(scope, position, response) {
            return None;
        }
        match self.pending[position].purpose {
            Purpose::Invite => self.on_invite_response(scope, position, code, response),
            _ if code < 200 => None,
            purpose => {
                // Repeated 2xx to a re-INVITE find their ACK by this entry; the next re-INVITE replaces it.
                if purpose == Purpose::Reinvite && code < 300 {
                    return self.on_reinvite_answer(scope, position, response);
                }
                self.pending.remove(position);
                match purpose {
                    Purpose::Bye => {
                        self.end(scope);
                        None
                    }
                    Purpose::Reinvite => self.on_reinvite_refused(scope, code, Some(response)),
                    // A refused NOTIFY ends the subscription, not the call (RFC 5057 section 5.2).
                    Purpose::Invite | Purpose::Other => None,
                }
            }
        }
    }

    /// A request got no answer.
    pub fn on_failure(&mut self, scope: &mut Scope<'_, '_>, client: ClientId, failure: Failure) -> Option<LegEvent> {
        let position = self.pending.iter().position(|pending| pending.client == client)?;
        let pending = self.pending.remove(position);
        match pending.purpose {
            Purpose::Invite
                if failure == Failure::Transport
                    && self.is_unheard()
                    && !self.is_cut
                    && self.may_repeat(pending.attempts) =>
            {
                self.send(scope, pending.request, Purpose::Invite, pending.attempts + 1);
                None
            }
            Purpose::Invite => match &self.state {
                State::Outgoing(outgoing) => {
                    let cancelled = outgoing.cancelled;
                    self.end(scope);
                    let cause = match failure {
                        Failure::Timeout => Cause::Refused(408),
                        Failure::Transport if matches!(self.party, Party::Trunk(_)) => Cause::TrunkDown,
                        Failure::Transport => Cause::Lost,
                    };
                    (!cancelled).then_some(LegEvent::Refused(cause))
                }
                // The Accepted state has run out: nobody repeats that 2xx any more.
                _ => None,
            },
            Purpose::Bye if failure == Failure::Transport && matches!(self.party, Party::Trunk(_)) => {
                self.park(scope, pending.request);
                None
            }
            Purpose::Bye if failure == Failure::Transport && self.may_repeat(pending.attempts) => {
                self.send(scope, pending.request, Purpose::Bye, pending.attempts + 1);
                None
            }
            Purpose::Bye => {
                self.end(scope);
                None
            }
            Purpose::Reinvite if failure == Failure::Transport => {
                self.undo_reinvite();
                if self.is_cut && matches!(&self.state, State::Confirmed(confirmed) if confirmed.silent) {
                    return self.unheard(scope);
                }
                // The flow may come back, and media goes on without it.
                scope.timers.set(Timer::Leg(self.id, LegTimer::Reinvite), scope.cx.now + AFTER_LOSS);
                None
            }
            Purpose::Reinvite => self.on_reinvite_refused(scope, 408, None),
            Purpose::Other => None,
        }
    }

    /// Whether what went with a handset's connection is sent again: there may be another way to it by now.
    fn may_repeat(&self, attempts: u8) -> bool {
        let is_handset = matches!(self.party, Party::Handset(_));
        let is_cancelled = matches!(&self.state, State::Outgoing(outgoing) if outgoing.cancelled);
        is_handset && !is_cancelled && attempts < MAX_ATTEMPTS
    }

    /// The 2xx to an INVITE of ours will not be repeated: nothing needs its request any more, nor the ACK.
    pub fn on_over(&mut self, client: ClientId) {
        let Some(at) = self.pending.iter().position(|pending| pending.client == client) else { return };
        let request = self.pending.remove(at).request;
        if let State::Confirmed(confirmed) = &mut self.state {
            let cseq = header::cseq(&request.headers).ok().map(|(cseq, _)| cseq);
            confirmed.ack.take_if(|(acknowledged, _)| Some(*acknowledged) == cseq);
        }
    }

    /// The other end says nothing any more. No timer of ours ends an emergency call on that account: a person may be there
    /// whose phone does not know what was asked.
    pub(super) fn unheard(&mut self, scope: &mut Scope<'_, '_>) -> Option<LegEvent> {
        match self.priority {
            Priority::Ordinary => self.lost(scope),
            Priority::Emergency => {
                self.restart_session_timer(scope);
                None
            }
        }
    }

    pub(super) fn lost(&mut self, scope: &mut Scope<'_, '_>) -> Option<LegEvent> {
        if !self.is_confirmed() {
            return None;
        }
        self.bye(scope, Cause::Lost);
        Some(LegEvent::Broken(Cause::Lost))
    }

    /// Sends a refused request again where the refusal tells how: credentials (401, 407), reliable provisional responses
    /// (421), a longer session interval (422), or another profile of media may be taken (488, 606: [`super::srtp`]). RFC 3261 section 8.1.3.5: same Call-ID, From and To, CSeq one higher.
    fn try_again(&mut self, scope: &mut Scope<'_, '_>, position: usize, response: &Response) -> bool {
        let pending = &self.pending[position];
        if pending.attempts >= MAX_ATTEMPTS || matches!(&self.state, State::Outgoing(outgoing) if outgoing.cancelled) {
            return false;
        }
        let mut request = pending.request.clone();
        let (purpose, attempts) = (pending.purpose, pending.attempts + 1);
        match response.status_code.code() {
            401 | 407 => {
                let Some((challenge, name)) = digest::strongest(response) else { return false };
                // The first challenge may be to a nonce that is too old, or to none.
                let choice = if attempts > 1 { Choice::Other } else { Choice::First };
                if !self.authorize(scope, &mut request, Some((&challenge, name)), choice) {
                    return false;
                }
            }
            // It may say so of wrong credentials, too (TWILIO.md "Wrong password").
            403 if self.may_be_by_password(scope, &request, response) => {
                if !self.authorize(scope, &mut request, None, Choice::Other) {
                    return false;
                }
            }
            421 if purpose == Purpose::Invite && !header::supports(&request.headers, "100rel") => {
                let known = |option: &str| OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(option));
                if !header::require(&response.headers).all(known) {
                    return false;
                }
                header::set_supported(&mut request.headers, SUPPORTED_ON_DEMAND);
            }
            488 | 606 if purpose == Purpose::Invite => {
                let Some(offer) = self.offer_in_other_profile(scope) else { return false };
                request.body = offer;
            }
            422 => {
                let Ok(Some(least)) = header::min_se(&response.headers) else { return false };
                header::set_min_se(&mut request.headers, least);
                let asked = SessionExpires { interval: least.max(session_timer::INTERVAL), refresher: None };
                header::set_session_expires(&mut request.headers, asked);
            }
            _ => return false,
        }
        let Ok((cseq, method)) = header::cseq(&request.headers) else { return false };
        let next = match &mut self.state {
            State::Confirmed(confirmed) => {
                confirmed.dialog.local_cseq += 1;
                confirmed.dialog.local_cseq
            }
            _ => cseq + 1,
        };
        header::set_cseq(&mut request.headers, next, &method);
        self.pending.remove(position);
        if let State::Outgoing(outgoing) = &mut self.state {
            // What was heard was said of the request before.
            (outgoing.sign, outgoing.sent) = (Sign::None, scope.cx.now);
        }
        self.send(scope, request, purpose, attempts);
        true
    }

    /// Whether a 403 may be about the password, and there is another one.
    fn may_be_by_password(&self, scope: &Scope<'_, '_>, request: &Request, response: &Response) -> bool {
        let Party::Trunk(Some(extension)) = &self.party else { return false };
        let error = header::twilio_error(&response.headers);
        scope.trunk.has_two_passwords(scope.cx, extension)
            && header::has_credentials(&request.headers)
            && error.is_none_or(|error| error.starts_with(BAD_CREDENTIALS))
    }

    pub(super) fn send_ack(&mut self, scope: &mut Scope<'_, '_>, ack: Request) {
        if let Some(flow) = self.current_flow(scope) {
            scope.cx.transactions.send(flow, ack.into(), scope.cx.random);
        }
    }

    pub(super) fn restart_session_timer(&mut self, scope: &mut Scope<'_, '_>) {
        let State::Confirmed(confirmed) = &self.state else { return };
        let timer = Timer::Leg(self.id, LegTimer::Session);
        match (confirmed.timer, self.priority, &self.party) {
            (Some(session), ..) => scope.timers.set(timer, scope.cx.now + session.deadline()),
            // No limit of duration ends it, and on hold no silence tells: ask whether it is still there.
            (None, Priority::Emergency, Party::Trunk(_)) => scope.timers.set(timer, scope.cx.now + session_timer::ASK),
            (None, ..) => scope.timers.cancel(timer),
        }
    }
}
