//! What comes and goes inside a leg's dialog: re-INVITE, UPDATE, INFO, REFER, NOTIFY, BYE.

use std::net::SocketAddr;
use std::time::Duration;

use rsip::{Method, Request, Response};

use super::Timer;
use super::description;
use super::early::not_yet;
use super::leg::{
    Answered, Leg, LegEvent, LegTimer, Party, Purpose, Reinvite, Role, SUPPORTED, Scope, Sign, State, Unacknowledged,
};
use super::media_target::media_target;
use super::session_timer;
use crate::emergency::Priority;
use crate::emergency::bound::QUIET;
use crate::sip::body;
use crate::sip::flow::Flow;
use crate::sip::header;
use crate::sip::sdp::{Codec, Direction, Place, Remote};
use crate::sip::transaction::{ServerId, T1, response_to};
use crate::subnet::Subnet;

/// DTMF length when INFO gives none, and the longest that we make (RFC 4733 leaves it to us).
const DIGIT_DURATION: Duration = Duration::from_millis(160);
const MAX_DIGIT_DURATION: Duration = Duration::from_secs(5);

/// How long a leg may send no RTP before we ask whether it is still there.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

impl Leg {
    /// A request inside one of the leg's dialogs. Always answered, here or (REFER) by the call.
    pub fn on_request(&mut self, scope: &mut Scope<'_, '_>, server: ServerId, request: Request) -> Option<LegEvent> {
        let reply = |scope: &mut Scope<'_, '_>, code| {
            scope.cx.transactions.respond(scope.cx.now, server, response_to(&request, code, None));
        };
        if request.method == Method::PRack {
            return self.on_prack(scope, server, &request);
        }
        let State::Confirmed(confirmed) = &mut self.state else {
            return self.on_early_request(scope, server, &request);
        };
        if !confirmed.dialog.accept(&request) {
            // RFC 3261 section 12.2.2: out of order.
            reply(scope, 500);
            return None;
        }
        match request.method {
            Method::Bye => {
                reply(scope, 200);
                self.end(scope);
                Some(LegEvent::HungUp(self.reasons(&request)))
            }
            Method::Invite | Method::Update => self.on_offer(scope, server, &request),
            Method::Info => self.on_info(scope, server, &request),
            Method::Refer => Some(LegEvent::Refer { server, request: Box::new(request) }),
            Method::Notify => {
                reply(scope, 200);
                None
            }
            Method::Options => {
                self.reply_options(scope, server, &request);
                None
            }
            _ => {
                let mut response = response_to(&request, 405, None);
                header::push_allow(&mut response.headers);
                scope.cx.transactions.respond(scope.cx.now, server, response);
                None
            }
        }
    }

    pub(super) fn reply_options(&mut self, scope: &mut Scope<'_, '_>, server: ServerId, request: &Request) {
        scope.cx.transactions.respond(scope.cx.now, server, super::options_response(request));
    }

    /// A re-INVITE or UPDATE: a new offer, a refresh, or a request for our offer.
    fn on_offer(&mut self, scope: &mut Scope<'_, '_>, server: ServerId, request: &Request) -> Option<LegEvent> {
        let now = scope.cx.now;
        let is_invite = request.method == Method::Invite;
        let reinviting = self.is_reinviting();
        let agreed = self.codecs();
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        let refusal = if confirmed.unacknowledged.is_some() {
            Some(500)
        } else if reinviting {
            // RFC 3261 section 14.2: ours is under way.
            Some(491)
        } else {
            None
        };
        if let Some(code) = refusal {
            let response = if code == 500 { not_yet(scope, request) } else { response_to(request, code, None) };
            scope.cx.transactions.respond(now, server, response);
            return None;
        }
        let timer = match super::uas::session_timer_of(request, None) {
            Ok(timer) => timer,
            Err(response) => {
                scope.cx.transactions.respond(now, server, *response);
                return None;
            }
        };
        let negotiation = self.negotiation.as_mut()?;
        // RFC 3261 section 14.2: a refused offer leaves everything as it was.
        let offer = match description::offer(&request.headers, &request.body, negotiation.demand()) {
            Ok(offer) => offer,
            Err(error) => {
                let mut response = response_to(request, error.code(), None);
                error.explain(&mut response);
                scope.cx.transactions.respond(now, server, response);
                return None;
            }
        };
        let is_offered = offer.is_some();
        // Without an offer an UPDATE only refreshes, and an INVITE asks for ours.
        let offers = is_invite && !is_offered;
        let body = match offer {
            Some(offer) => {
                negotiation.take_offer(offer);
                let direction = meet(negotiation.remote_direction(), self.wish);
                Some(negotiation.answer(&agreed, direction, scope.cx.random))
            }
            None => offers.then(|| negotiation.offer(&agreed, self.wish, scope.cx.random)),
        };
        confirmed.dialog.refresh(&request.headers);
        let mut response = response_to(request, 200, None);
        header::push_contact(&mut response.headers, confirmed.dialog.contact.clone());
        header::push_allow(&mut response.headers);
        header::push_supported(&mut response.headers, SUPPORTED);
        if let Some(timer) = timer {
            timer.put(&mut response.headers);
        }
        confirmed.timer = timer;
        if let Some(body) = body {
            header::push_content_type(&mut response.headers, body::SDP);
            response.body = body;
        }
        scope.cx.transactions.respond(now, server, response.clone());
        if is_invite {
            let (cseq, _) = header::cseq(&request.headers).ok()?;
            let role = if is_offered { Role::Answer } else { Role::Offer };
            confirmed.unacknowledged = Some(Unacknowledged::new(server, response, cseq, now, role, Answered::Reinvite));
            scope.timers.set(Timer::Leg(self.id, LegTimer::Repeat2xx), now + T1);
        }
        self.restart_session_timer(scope);
        is_offered.then_some(LegEvent::Modified { offered: true })
    }

    /// DTMF by INFO: `application/dtmf-relay` (Cisco: `Signal=5`, `Duration=160`) or `application/dtmf` (one digit).
    fn on_info(&mut self, scope: &mut Scope<'_, '_>, server: ServerId, request: &Request) -> Option<LegEvent> {
        let digit = match body::media_type(&request.headers).as_str() {
            "application/dtmf-relay" | "application/dtmf" => read_digit(&request.body),
            _ => None,
        };
        // RFC 6086 section 4.2.2: a body that we do not understand is 415; none at all is a keepalive.
        let code = if digit.is_some() || request.body.is_empty() { 200 } else { 415 };
        scope.cx.transactions.respond(scope.cx.now, server, response_to(request, code, None));
        digit.map(|(digit, duration)| LegEvent::Digit { digit, duration })
    }

    /// Codecs agreed on this leg.
    pub fn codecs(&self) -> Vec<Codec> {
        self.negotiation.as_ref().map(|negotiation| negotiation.codecs()).unwrap_or_default()
    }

    /// Whether a re-INVITE of ours has no final response yet.
    fn is_reinviting(&self) -> bool {
        match &self.state {
            State::Confirmed(confirmed) => confirmed.before_reinvite.is_some(),
            _ => false,
        }
    }

    /// Offers them a direction, now or as soon as the pending exchange is through.
    pub fn offer_direction(&mut self, scope: &mut Scope<'_, '_>, direction: Direction) {
        self.wish = direction;
        self.reinvite(scope, Reinvite::Offer);
    }

    /// Sends a re-INVITE.
    pub(super) fn reinvite(&mut self, scope: &mut Scope<'_, '_>, reinvite: Reinvite) {
        let agreed = self.codecs();
        let wish = self.wish;
        let reachable = self.current_flow(scope).is_some();
        let State::Confirmed(confirmed) = &mut self.state else { return };
        // Theirs or ours is not through, or the trunk is down: later.
        if confirmed.before_reinvite.is_some() || confirmed.unacknowledged.is_some() || !reachable {
            confirmed.wanted = Some(wish);
            return;
        }
        let Some(negotiation) = &mut self.negotiation else { return };
        confirmed.before_reinvite = Some(negotiation.clone());
        let body = match reinvite {
            Reinvite::Refresh => negotiation.repeat(),
            Reinvite::Offer => {
                // It goes now.
                confirmed.wanted = None;
                negotiation.offer(&agreed, wish, scope.cx.random)
            }
        };
        let mut request = confirmed.dialog.request(Method::Invite);
        header::push_allow(&mut request.headers);
        header::push_supported(&mut request.headers, SUPPORTED);
        if let Some(timer) = confirmed.timer {
            timer.ask(&mut request.headers);
        }
        header::push_content_type(&mut request.headers, body::SDP);
        request.body = body;
        // The entry of the last re-INVITE was kept for repeated 2xx only.
        self.pending.retain(|pending| pending.purpose != Purpose::Reinvite);
        self.send(scope, request, Purpose::Reinvite, 0);
    }

    /// A 2xx to our re-INVITE, perhaps repeated.
    pub(super) fn on_reinvite_answer(
        &mut self,
        scope: &mut Scope<'_, '_>,
        position: usize,
        response: &Response,
    ) -> Option<LegEvent> {
        let invite = self.pending[position].request.clone();
        let (cseq, _) = header::cseq(&invite.headers).ok()?;
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        if let Some((acked, ack)) = &confirmed.ack
            && *acked == cseq
        {
            let ack = ack.clone();
            self.send_ack(scope, ack);
            return None;
        }
        confirmed.dialog.refresh(&response.headers);
        let ack = confirmed.dialog.ack(cseq, &invite);
        confirmed.ack = Some((cseq, ack.clone()));
        let before = confirmed.before_reinvite.take();
        confirmed.timer = session_timer::as_uac(&response.headers).or(confirmed.timer);
        let repaired = confirmed.repair.take();
        let taken = self.negotiation.as_mut().is_some_and(|n| n.take_answer(&response.headers, &response.body).is_ok());
        if !taken {
            // Nothing to fall back on at their end: stay with the media that flowed before.
            self.negotiation = before;
        }
        self.send_ack(scope, ack);
        if let Some(repair) = repaired {
            self.tell_repaired(scope, &repair);
        }
        self.restart_session_timer(scope);
        self.offer_what_waited(scope);
        Some(LegEvent::Modified { offered: false })
    }

    /// A refusal of our re-INVITE (RFC 3261 section 14.1), or none at all (408): the session stays as it was.
    pub(super) fn on_reinvite_refused(
        &mut self,
        scope: &mut Scope<'_, '_>,
        code: u16,
        response: Option<&Response>,
    ) -> Option<LegEvent> {
        self.undo_reinvite();
        let State::Confirmed(confirmed) = &mut self.state else { return None };
        let silent = confirmed.silent;
        if code != 491 && !silent && confirmed.repair.is_some() {
            return self.not_repaired(scope, code, response);
        }
        match code {
            481 => self.lost(scope),
            408 => self.unheard(scope),
            491 => {
                // 2.1–4 s where the Call-ID is ours, 0–2 s where it is theirs; both fit in 2.1–4 s of random units
                // of 10 ms, and the party that waits longer loses nothing.
                let wait = Duration::from_millis(2100 + 10 * scope.cx.random.below(190));
                scope.timers.set(Timer::Leg(self.id, LegTimer::Reinvite), scope.cx.now + wait);
                None
            }
            _ => {
                // A phone that refuses refreshes is there all the same; media silence will tell when it is not.
                self.restart_session_timer(scope);
                None
            }
        }
    }

    /// Our re-INVITE came to nothing: the session stays as it was.
    pub(super) fn undo_reinvite(&mut self) {
        if let State::Confirmed(confirmed) = &mut self.state
            && let Some(before) = confirmed.before_reinvite.take()
        {
            self.negotiation = Some(before);
        }
    }

    /// An offer that had to wait for another exchange.
    pub(super) fn offer_what_waited(&mut self, scope: &mut Scope<'_, '_>) {
        let State::Confirmed(confirmed) = &mut self.state else { return };
        if let Some(direction) = confirmed.wanted.take() {
            self.offer_direction(scope, direction);
        }
    }

    /// NOTIFY of the implicit subscription of a REFER (RFC 3515 section 2.4.4). A final code ends it.
    pub fn notify_transfer(&mut self, scope: &mut Scope<'_, '_>, code: u16) {
        let State::Confirmed(confirmed) = &mut self.state else { return };
        let mut request = confirmed.dialog.request(Method::Notify);
        let state = if code >= 200 { "terminated;reason=noresource" } else { "active;expires=60" };
        header::push_event(&mut request.headers, "refer");
        header::push_subscription_state(&mut request.headers, state);
        header::push_content_type(&mut request.headers, "message/sipfrag;version=2.0");
        request.body = format!("SIP/2.0 {code} {}\r\n", crate::sip::status::reason(code)).into_bytes();
        self.send(scope, request, Purpose::Other, 0);
    }

    /// One of the leg's timers fired.
    pub fn on_timer(&mut self, scope: &mut Scope<'_, '_>, timer: LegTimer) -> Option<LegEvent> {
        match timer {
            LegTimer::Repeat2xx => self.repeat_2xx(scope),
            LegTimer::RepeatReliable => self.repeat_reliable(scope),
            LegTimer::Reinvite => {
                self.reinvite(scope, Reinvite::Offer);
                None
            }
            LegTimer::Farewell => {
                self.end(scope);
                None
            }
            LegTimer::Unheard => match (&mut self.state, &self.party) {
                (State::Outgoing(outgoing), _) if outgoing.sign == Sign::Heard => None,
                (State::Outgoing(_), Party::Trunk(_)) => {
                    scope.trunk.abandon(scope.cx, self.flow, "the SIP domain does not answer an emergency call");
                    None
                }
                (State::Outgoing(outgoing), Party::Handset(_)) => {
                    outgoing.sign = Sign::Overdue;
                    Some(LegEvent::Unheard)
                }
                _ => None,
            },
            LegTimer::Session => {
                let State::Confirmed(confirmed) = &self.state else { return None };
                // On hold no silence tells that somebody is gone who cannot be asked.
                if self.is_cut && !self.negotiation.as_ref().is_some_and(|one| one.remote_direction().sends()) {
                    return self.unheard(scope);
                }
                // Before a repair their refresh has no way to us, and no timer of ours ends an emergency call: ask instead
                // of giving up.
                let asks = confirmed.repair.is_some() || self.priority.is_emergency();
                if asks || confirmed.timer.is_none_or(|timer| timer.refresher) {
                    self.reinvite(scope, Reinvite::Refresh);
                    self.restart_session_timer(scope);
                    None
                } else {
                    // RFC 4028 section 10: they did not refresh.
                    self.unheard(scope)
                }
            }
        }
    }

    /// Silence where sound should be: ask by a refresh whether they are still there. Who cannot be asked is gone.
    pub fn probe(&mut self, scope: &mut Scope<'_, '_>) -> Option<LegEvent> {
        if self.is_cut {
            return self.unheard(scope);
        }
        if let State::Confirmed(confirmed) = &mut self.state {
            confirmed.silent = true;
        }
        self.reinvite(scope, Reinvite::Refresh);
        None
    }

    /// What the media driver shall accept and send on this leg.
    pub fn media_params(&self, scope: &Scope<'_, '_>) -> Option<crate::media::LegParams> {
        let negotiation = self.negotiation.as_ref()?;
        let named = named(negotiation.remote()?, self.flow);
        let target = named.and_then(|named| media_target(scope.cx.config, &self.party, self.flow, named));
        let mut latch = match self.party {
            Party::Handset(_) => vec![Subnet::host(self.flow.remote.ip())],
            Party::Trunk(_) => scope.cx.config.media.trunk_sources.clone(),
        };
        latch.extend(target.map(|target| Subnet::host(target.ip())));
        let silence = match (self.priority, &self.party) {
            (Priority::Emergency, Party::Handset(_)) => QUIET,
            _ => SILENCE,
        };
        let rtcp = negotiation.remote().and_then(|remote| rtcp(remote, named, self.flow));
        let rtcp = rtcp.and_then(|rtcp| media_target(scope.cx.config, &self.party, self.flow, rtcp));
        let params = negotiation.params(target, rtcp, latch, Some(silence))?;
        // Our own relay would send to itself for ever.
        let is_own = named.is_some() && target.is_none();
        Some(crate::media::LegParams { send: params.send && !is_own, ..params })
    }
}

/// Where a description says that RTP shall go. Of a port without an address, the address is where their SIP comes from;
/// `None`: their first packet shows it.
fn named(remote: &Remote, flow: Flow) -> Option<SocketAddr> {
    match remote.place {
        Place::At(rtp) => Some(rtp),
        Place::Port(port) => Some(SocketAddr::new(flow.remote.ip(), port)),
        Place::Zeros { port, .. } if remote.is_awaiting() => Some(SocketAddr::new(flow.remote.ip(), port)),
        Place::Zeros { .. } | Place::Unknown => None,
    }
}

/// Where their `a=rtcp` says that RTCP shall go (RFC 3605); `named` is where RTP goes.
fn rtcp(remote: &Remote, named: Option<SocketAddr>, flow: Flow) -> Option<SocketAddr> {
    let rtcp = remote.rtcp?;
    let address = rtcp.address.unwrap_or(named.map_or(flow.remote.ip(), |rtp| rtp.ip()));
    Some(SocketAddr::new(address, rtcp.port))
}

/// The direction of an answer: what their offer leaves (RFC 3264 section 6.1), within what the other leg wants.
pub fn meet(theirs: Direction, wish: Direction) -> Direction {
    let sends = theirs.receives() && wish.sends();
    let receives = theirs.sends() && wish.receives();
    match (sends, receives) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    }
}

/// Digit and duration of a DTMF INFO.
fn read_digit(body: &[u8]) -> Option<(char, Duration)> {
    let text = std::str::from_utf8(body).ok()?;
    let mut digit = None;
    let mut duration = DIGIT_DURATION;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("signal") => digit = one_digit(value),
            Some((name, value)) if name.trim().eq_ignore_ascii_case("duration") => {
                let millis: u64 = value.trim().parse().ok()?;
                duration = Duration::from_millis(millis.max(40)).min(MAX_DIGIT_DURATION);
            }
            Some(_) => {}
            None => digit = digit.or(one_digit(line)),
        }
    }
    digit.map(|digit| (digit, duration))
}

fn one_digit(text: &str) -> Option<char> {
    match text.trim() {
        // Cisco and others number `*` and `#` like RFC 4733 does.
        "10" => Some('*'),
        "11" => Some('#'),
        text => {
            let mut chars = text.chars();
            let digit = chars.next()?.to_ascii_uppercase();
            (chars.next().is_none() && matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#')).then_some(digit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtmf_by_info_is_read_in_both_forms() {
        assert_eq!(read_digit(b"Signal=5\r\nDuration=250\r\n"), Some(('5', Duration::from_millis(250))));
        assert_eq!(read_digit(b"Signal= 11\r\n"), Some(('#', DIGIT_DURATION)));
        assert_eq!(read_digit(b"*"), Some(('*', DIGIT_DURATION)));
        assert_eq!(read_digit(b"Signal=Z\r\n"), None);
        assert_eq!(read_digit(b"55"), None);
        assert_eq!(read_digit(b"\xff\xfe"), None);
    }

    #[test]
    fn a_held_side_hears_nothing_and_a_wish_to_hold_survives_their_sendrecv() {
        assert_eq!(meet(Direction::SendOnly, Direction::SendRecv), Direction::RecvOnly);
        assert_eq!(meet(Direction::SendRecv, Direction::SendOnly), Direction::SendOnly);
        assert_eq!(meet(Direction::SendOnly, Direction::SendOnly), Direction::Inactive);
    }
}
