//! Transactions: the four machines of RFC 3261 section 17 with the corrections of RFC 6026.
//!
//! The layer matches messages to transactions, repeats what UDP may lose, and absorbs what comes twice. What remains
//! reaches the transaction user as [`Event`]s. 2xx to INVITE and their ACKs belong to the user (RFC 3261 section
//! 13.3.1.4), see [`super::dialog`]. So does 100 (Trying).

mod client;
mod event;
mod io;
mod key;
mod priority;
mod response;
mod server;
pub mod sources;
#[cfg(test)]
mod tests;
mod timer;
mod via;
mod ways;

use std::collections::{BTreeMap, VecDeque};

use rsip::{Method, Request, Response, SipMessage};

use self::client::{Client, Up};
pub use self::event::{ClientId, Event, Failure, ServerId};
use self::io::{Io, Next};
pub use self::key::stateless_tag;
use self::key::{ClientKey, MergeKey, ServerKey};
pub use self::priority::Priority;
pub use self::response::response_to;
use self::server::{Acknowledged, Server, held};
use self::sources::Sources;
pub use self::timer::{T1, T2, T4, TIMEOUT};
use self::timer::{Timer, Timers, all_of};
use self::ways::Ways;
use super::flow::{Flow, Transport};
use super::header;
use super::wire;
use crate::random::Random;
use crate::time::Instant;

/// Most server transactions, and most client transactions, at a time. Above it new requests get 503 with Retry-After, and
/// requests of ours fail.
pub const MAX: usize = 4096;

/// Most octets of memory that those of one side hold, where there is memory for it ([`Limits::transactions`]).
///
/// [`Limits::transactions`]: crate::config::Limits::transactions
pub const MAX_OCTETS: usize = 6 << 20;

/// Beyond [`MAX`], for INVITEs of [`Priority::Emergency`] and the requests of ours that follow from them alone.
pub const RESERVE: usize = 256;

/// The same beyond [`MAX_OCTETS`].
pub const RESERVE_OCTETS: usize = 512 * 1024;

/// What a transaction holds beside the texts of its messages: itself, its places in the tables, its timers.
const OVERHEAD: usize = 640;

/// Seconds to wait before another try, in a 503.
const RETRY_AFTER: u64 = 5;

/// All transactions. `O` is the user's: whose client transaction it is, given back with each event.
#[derive(Debug)]
pub struct Transactions<O> {
    clients: BTreeMap<ClientId, Client<O>>,
    servers: BTreeMap<ServerId, Server>,
    client_keys: BTreeMap<ClientKey, ClientId>,
    server_keys: BTreeMap<ServerKey, ServerId>,
    merge_keys: BTreeMap<MergeKey, ServerId>,
    timers: Timers,
    events: VecDeque<Event<O>>,
    transmits: VecDeque<(Flow, Vec<u8>)>,
    sources: Sources,
    ways: Ways,
    /// Octets that those of each side hold, and may hold.
    client_octets: usize,
    server_octets: usize,
    max_octets: usize,
    /// Of transactions of both sides: timers know a transaction by its number alone.
    last_id: u64,
    strays: u64,
}

impl<O> Default for Transactions<O> {
    fn default() -> Self {
        Transactions {
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            client_keys: BTreeMap::new(),
            server_keys: BTreeMap::new(),
            merge_keys: BTreeMap::new(),
            timers: Timers::default(),
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            sources: Sources::default(),
            ways: Ways::default(),
            client_octets: 0,
            server_octets: 0,
            max_octets: MAX_OCTETS,
            last_id: 0,
            strays: 0,
        }
    }
}

impl<O: Copy> Transactions<O> {
    /// From now on those of one side may hold so many octets, at most [`MAX_OCTETS`].
    pub fn set_max_octets(&mut self, octets: usize) {
        self.max_octets = octets.min(MAX_OCTETS);
    }

    /// Octets that they hold, of both sides.
    pub fn octets(&self) -> usize {
        self.client_octets + self.server_octets
    }

    /// Takes a message off a flow. What it means is polled with [`Transactions::poll_event`]. A new INVITE of
    /// [`Priority::Emergency`] finds room where others do not.
    pub fn receive(&mut self, now: Instant, flow: Flow, message: SipMessage, priority: Priority) {
        match message {
            SipMessage::Request(request) => self.on_request(now, flow, request, priority),
            SipMessage::Response(response) => self.on_response(now, flow, response),
        }
    }

    /// Sends a request (not ACK, not CANCEL) in a new client transaction. Puts the top Via on it (`flow.local`, a fresh
    /// branch, `rport`), and Max-Forwards 70 when there is none.
    pub fn request(
        &mut self,
        now: Instant,
        flow: Flow,
        mut request: Request,
        owner: O,
        priority: Priority,
        random: &mut Random,
    ) -> ClientId {
        if header::value(&request.headers, "Max-Forwards").is_none() {
            via::push_front(&mut request.headers, header::make("Max-Forwards", "70"));
        }
        let branch = via::branch(random);
        via::push_front(&mut request.headers, via::ours(flow, &branch));
        if self.clients.len() >= room(priority) || self.client_octets >= self.room_of_octets(priority) {
            let id = ClientId(self.next_id());
            self.events.push_back(Event::Failed { id, owner, failure: Failure::Transport });
            return id;
        }
        self.start_client(now, flow, branch, request, Some(owner))
    }

    /// Cancels a pending INVITE: at once when a provisional response has come, else as soon as one comes
    /// (RFC 3261 section 9.1). Nothing happens after a final response. The INVITE still ends by a response, mostly 487,
    /// or by [`Event::Failed`]; a 2xx that was faster must be acknowledged and ended by BYE. `reason` is the value of a
    /// Reason header (RFC 3326): why, for the log and the list of missed calls at the other end.
    pub fn cancel(&mut self, now: Instant, id: ClientId, reason: Option<String>) {
        if let Some(Client { machine: client::Machine::Invite(invite), .. }) = self.clients.get_mut(&id)
            && invite.cancel(reason)
        {
            self.send_cancel(now, id);
        }
    }

    /// Answers a request. Via, From, To, Call-ID and CSeq of the request must already be in `response`
    /// ([`response_to`]). After a 2xx to INVITE the transaction stays in Accepted (RFC 6026) for 64·T1, and the user
    /// repeats the 2xx by the same call. A transaction that is gone, or has answered, takes nothing more.
    pub fn respond(&mut self, now: Instant, id: ServerId, response: Response) {
        let Some(server) = self.servers.get_mut(&id) else {
            return;
        };
        let mut io = Io { now, id: id.0, flow: server.reply, timers: &mut self.timers, transmits: &mut self.transmits };
        let was_answered = server.is_answered();
        let next = server.respond(&response, &mut io);
        if next == Next::End {
            return self.end_server(id);
        }
        let octets = OVERHEAD + server.held();
        let before = std::mem::replace(&mut server.octets, octets);
        self.server_octets = self.server_octets - before + octets;
        let flow = server.flow;
        let Some(source) = sources::of(flow) else { return };
        self.sources.weigh(source, before, octets);
        let is_new = !was_answered && server.is_answered();
        if is_new && self.sources.answer(source, id) {
            while let Some(oldest) = self.sources.oldest(source, 0) {
                self.end_server(oldest);
            }
            if self.sources.reports(now) {
                self.events.push_back(Event::Crowded { flow });
            }
        }
    }

    /// Answers a request that proved nothing, and forgets it (RFC 3261 section 26.3.2.4): no repetition that a forged
    /// source address would turn against somebody else, no memory that a flood could fill. A repeated request is
    /// answered anew, and the ACK finds nothing.
    pub fn respond_once(&mut self, now: Instant, id: ServerId, response: Response) {
        self.respond(now, id, response);
        self.end_server(id);
    }

    /// Sends a message outside any transaction: ACK to 2xx, repeated 2xx. On a request a Via with a fresh branch is put;
    /// a response takes the way that its top Via says.
    pub fn send(&mut self, flow: Flow, message: SipMessage, random: &mut Random) {
        let (flow, octets) = match message {
            SipMessage::Request(mut request) => {
                via::push_front(&mut request.headers, via::ours(flow, &via::branch(random)));
                (flow, wire::write_request(&request))
            }
            SipMessage::Response(response) => {
                let via = header::via(&response.headers).ok();
                (via.map_or(flow, |via| self.ways.repeat(flow, &via)), wire::write_response(&response))
            }
        };
        self.transmits.push_back((flow, octets));
    }

    /// The flow is gone: its client transactions fail, its server transactions end.
    pub fn flow_down(&mut self, _now: Instant, flow: Flow) {
        let lost: Vec<ClientId> = self.clients.iter().filter(|(_, c)| c.flow == flow).map(|(&id, _)| id).collect();
        for id in lost {
            self.fail_client(id, Failure::Transport);
        }
        let lost: Vec<ServerId> = self.servers.iter().filter(|(_, s)| s.flow == flow).map(|(&id, _)| id).collect();
        for id in lost {
            self.end_server(id);
        }
    }

    /// The network says that nothing listens there. What waits for a first answer from there is sent to the phone's other
    /// port at once, if it names one (see [`ways`]), and not to the refused one again. Whether something waits that has no
    /// other port. It goes on all the same: anybody on the LAN can say so.
    pub fn unreachable(&mut self, now: Instant, flow: Flow) -> bool {
        let waits = |client: &Client<O>| client.flow == flow && client.machine.is_unheard();
        let waiting: Vec<ClientId> = self.clients.iter().filter(|(_, one)| waits(one)).map(|(&id, _)| id).collect();
        let mut is_refused = false;
        for id in waiting {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            let timer = if client.machine.method() == Method::Invite { Timer::A } else { Timer::E };
            match client.other {
                Some(_) => {
                    self.on_client_timer(now, id, timer);
                    self.clients.entry(id).and_modify(|client| client.other = None);
                }
                None => is_refused = true,
            }
        }
        is_refused
    }

    /// A stream is about to go; what they asked on it is answered by another flow (RFC 3261 section 18.2.2).
    pub fn move_server(&mut self, id: ServerId, flow: Flow) {
        // What a source holds is counted by its address.
        let is_same = |server: &&mut Server| sources::of(server.flow) == sources::of(flow);
        if let Some(server) = self.servers.get_mut(&id).filter(is_same) {
            (server.flow, server.reply) = (flow, flow);
        }
    }

    /// The same for what we asked: whoever rings may still answer by a connection that it opens.
    pub fn move_client(&mut self, id: ClientId, flow: Flow) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.flow = flow;
        }
    }

    /// Whether an answer to it can still be sent.
    pub fn is_open(&self, id: ServerId) -> bool {
        self.servers.contains_key(&id)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<O>> {
        self.events.pop_front().or_else(|| {
            give_back(&mut self.events);
            None
        })
    }

    /// Whether there is a next event.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next octets to send.
    pub fn poll_transmit(&mut self) -> Option<(Flow, Vec<u8>)> {
        self.transmits.pop_front().or_else(|| {
            give_back(&mut self.transmits);
            None
        })
    }

    /// When [`Transactions::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((id, timer)) = self.timers.pop_due(now) {
            match timer {
                Timer::A | Timer::B | Timer::D | Timer::E | Timer::F | Timer::K | Timer::M | Timer::Cancelled => {
                    self.on_client_timer(now, ClientId(id), timer);
                }
                Timer::G | Timer::H | Timer::I | Timer::J | Timer::L => self.on_server_timer(now, ServerId(id), timer),
            }
        }
    }

    /// Where responses of a server transaction go.
    pub fn reply_flow(&self, id: ServerId) -> Option<Flow> {
        self.servers.get(&id).map(|server| server.reply)
    }

    /// How many live, for limits, metrics and the leak check after each test.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages that were dropped since the start: responses to nothing of ours, requests that nothing can be told from.
    pub fn strays(&self) -> u64 {
        self.strays
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    // Server side.

    fn on_request(&mut self, now: Instant, flow: Flow, mut request: Request, priority: Priority) {
        let Ok(mut via) = header::via(&request.headers) else {
            self.strays += 1;
            return;
        };
        let Some(key) = ServerKey::of_request(flow, &request, &via) else {
            self.strays += 1;
            return;
        };
        via::mark_received(&mut via, flow.remote);
        via::set_top(&mut request.headers, &via);

        // ACK is answered by nothing.
        let reply = match request.method {
            Method::Ack => self.ways.repeat(flow, &via),
            method => self.ways.answer(flow, &via, method),
        };
        if let Some(&id) = self.server_keys.get(&key) {
            return self.on_known_request(now, id, flow, reply, request);
        }
        match request.method {
            Method::Ack => self.events.push_back(Event::Ack { flow, request }),
            Method::Cancel => self.on_cancel(now, flow, reply, key, request),
            _ => self.on_new_request(now, flow, reply, key, request, priority),
        }
    }

    fn on_known_request(&mut self, now: Instant, id: ServerId, flow: Flow, reply: Flow, request: Request) {
        let Some(server) = self.servers.get_mut(&id) else {
            return;
        };
        server.reply = reply;
        let mut io = Io { now, id: id.0, flow: server.reply, timers: &mut self.timers, transmits: &mut self.transmits };
        match &mut server.machine {
            server::Machine::Invite(invite) if request.method == Method::Ack => match invite.on_ack(&mut io) {
                (Acknowledged::Accepted, _) => self.events.push_back(Event::Ack { flow, request }),
                (Acknowledged::Here, Next::Stay) => {}
                (Acknowledged::Here, Next::End) => self.end_server(id),
            },
            server::Machine::Invite(invite) => invite.on_repeat(&mut io),
            server::Machine::Other(other) => other.on_repeat(&mut io),
        }
    }

    fn on_new_request(
        &mut self,
        now: Instant,
        flow: Flow,
        reply: Flow,
        key: ServerKey,
        request: Request,
        priority: Priority,
    ) {
        let source = sources::of(flow);
        let merge = MergeKey::of_request(&request);
        let octets = OVERHEAD + held(&key, merge.as_ref());
        while let Some(oldest) = source.and_then(|source| self.sources.oldest(source, octets)) {
            self.end_server(oldest);
        }
        let crowded = !priority.is_emergency() && source.is_some_and(|source| !self.sources.has_room(source, octets));
        if crowded && self.sources.reports(now) {
            self.events.push_back(Event::Crowded { flow });
        }
        // An emergency call makes room beyond what others may use; nobody's answered request is worth more than that.
        while !self.has_server_room(priority, octets)
            && let Some(victim) = self.sources.victim()
        {
            self.end_server(victim);
        }
        if crowded || !self.has_server_room(priority, octets) {
            let mut response = response_to(&request, 503, Some(&key::stateless_tag(&request)));
            header::push_retry_after(&mut response.headers, RETRY_AFTER);
            return self.refuse(reply, &response);
        }
        if merge.as_ref().is_some_and(|merge| self.merge_keys.contains_key(merge)) {
            // The same request by another way (RFC 3261 section 8.2.2.2).
            let response = response_to(&request, 482, Some(&key::stateless_tag(&request)));
            return self.refuse(reply, &response);
        }
        let machine = if request.method == Method::Invite {
            server::Machine::Invite(server::Invite::Proceeding { last: None })
        } else {
            server::Machine::Other(server::Other::Trying)
        };
        let id = self.start_server(flow, reply, key, merge, machine);
        self.events.push_back(Event::Request { id, flow, request });
    }

    /// CANCEL is answered hop by hop, in a transaction of its own (RFC 3261 section 9.2).
    fn on_cancel(&mut self, now: Instant, flow: Flow, reply: Flow, key: ServerKey, request: Request) {
        let Some(&invite) = self.server_keys.get(&key.cancelled()) else {
            let response = response_to(&request, 481, Some(&key::stateless_tag(&request)));
            return self.refuse(reply, &response);
        };
        let (to_tag, pending) = match self.servers.get(&invite) {
            Some(Server { to_tag, machine: server::Machine::Invite(invite), .. }) => {
                (to_tag.clone(), invite.is_pending())
            }
            _ => (None, false),
        };
        let to_tag = to_tag.unwrap_or_else(|| key::stateless_tag(&request));
        let response = response_to(&request, 200, Some(&to_tag));
        // At most one for each INVITE: no need for a limit.
        let id = self.start_server(flow, reply, key, None, server::Machine::Other(server::Other::Trying));
        self.respond(now, id, response);
        if pending {
            self.events.push_back(Event::Cancelled { id: invite, cancel: request });
        }
    }

    /// Answers without a transaction; a repetition of the request gets the same again.
    fn refuse(&mut self, reply: Flow, response: &Response) {
        self.transmits.push_back((reply, wire::write_response(response)));
    }

    fn start_server(
        &mut self,
        flow: Flow,
        reply: Flow,
        key: ServerKey,
        merge: Option<MergeKey>,
        machine: server::Machine,
    ) -> ServerId {
        let id = ServerId(self.next_id());
        self.server_keys.insert(key.clone(), id);
        if let Some(merge) = &merge {
            self.merge_keys.insert(merge.clone(), id);
        }
        let octets = OVERHEAD + held(&key, merge.as_ref());
        self.server_octets += octets;
        if let Some(source) = sources::of(flow) {
            self.sources.begin(source, octets);
        }
        self.servers.insert(id, Server { flow, reply, key, merge, to_tag: None, machine, octets });
        id
    }

    fn on_server_timer(&mut self, now: Instant, id: ServerId, timer: Timer) {
        let Some(server) = self.servers.get_mut(&id) else {
            return;
        };
        let mut io = Io { now, id: id.0, flow: server.reply, timers: &mut self.timers, transmits: &mut self.transmits };
        let (unacknowledged, next) = match &mut server.machine {
            server::Machine::Invite(invite) => invite.on_timer(timer, &mut io),
            server::Machine::Other(other) => (false, other.on_timer(timer)),
        };
        if next == Next::End {
            self.end_server(id);
        }
        if unacknowledged {
            self.events.push_back(Event::NoAck { id });
        }
    }

    fn end_server(&mut self, id: ServerId) {
        self.timers.cancel_all(all_of(id.0));
        if let Some(server) = self.servers.remove(&id) {
            self.server_octets -= server.octets;
            if let Some(source) = sources::of(server.flow) {
                self.sources.end(source, id, server.octets);
            }
            self.server_keys.remove(&server.key);
            if let Some(merge) = &server.merge {
                self.merge_keys.remove(merge);
            }
        }
    }

    // Client side.

    fn start_client(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: String,
        request: Request,
        owner: Option<O>,
    ) -> ClientId {
        let id = ClientId(self.next_id());
        let other = flow.other_port(&request.uri);
        let mut io = Io { now, id: id.0, flow, timers: &mut self.timers, transmits: &mut self.transmits };
        let method = request.method;
        let machine = if method == Method::Invite {
            client::Machine::Invite(client::Invite::new(request, &mut io))
        } else {
            client::Machine::Other(client::Other::new(&request, &mut io))
        };
        self.client_keys.insert(ClientKey::new(&branch, method), id);
        // As it was sent just now, and of an INVITE also in parts, for ACK and CANCEL.
        let octets = OVERHEAD + 2 * self.transmits.back().map_or(0, |(_, octets)| octets.len());
        self.client_octets += octets;
        self.clients.insert(id, Client { flow, other, branch, owner, machine, octets });
        id
    }

    fn on_response(&mut self, now: Instant, flow: Flow, response: Response) {
        let id = ClientKey::of_response(&response).and_then(|key| self.client_keys.get(&key).copied());
        let client = id.and_then(|id| Some((id, self.clients.get_mut(&id)?)));
        // From whoever was asked, and nobody else: a branch can be overheard.
        let Some((id, client)) = client.filter(|(_, client)| answers(client.flow, flow)) else {
            self.strays += 1;
            return;
        };
        client.other = None;
        let mut io = Io { now, id: id.0, flow: client.flow, timers: &mut self.timers, transmits: &mut self.transmits };
        let ((up, next), cancel) = match &mut client.machine {
            client::Machine::Invite(invite) => (invite.on_response(&response, &mut io), invite.cancel_due()),
            client::Machine::Other(other) => (other.on_response(&response, &mut io), false),
        };
        if let (Up::Response, Some(owner)) = (up, client.owner) {
            self.events.push_back(Event::Response { id, owner, flow: client.flow, response });
        }
        if cancel {
            self.send_cancel(now, id);
        }
        if next == Next::End {
            self.end_client(id);
        }
    }

    /// CANCEL goes the way of its INVITE, with its branch, in a transaction of its own (RFC 3261 section 9.1).
    fn send_cancel(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let client::Machine::Invite(invite) = &mut client.machine else {
            return;
        };
        let mut io = Io { now, id: id.0, flow: client.flow, timers: &mut self.timers, transmits: &mut self.transmits };
        let Some(request) = invite.take_cancel(&mut io) else { return };
        let (flow, branch) = (client.flow, client.branch.clone());
        self.start_client(now, flow, branch, request, None);
    }

    fn on_client_timer(&mut self, now: Instant, id: ClientId, timer: Timer) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if let (Timer::A | Timer::E, Some(other)) = (timer, &mut client.other) {
            let port = std::mem::replace(other, client.flow.remote.port());
            client.flow = client.flow.at_port(port);
        }
        let mut io = Io { now, id: id.0, flow: client.flow, timers: &mut self.timers, transmits: &mut self.transmits };
        let (up, next) = match &mut client.machine {
            client::Machine::Invite(invite) => invite.on_timer(timer, &mut io),
            client::Machine::Other(other) => other.on_timer(timer, &mut io),
        };
        match (up, next) {
            (Up::Failed(failure), _) => self.fail_client(id, failure),
            (_, Next::End) => {
                let ended = self.end_client(id);
                if let (Timer::M, Some(owner)) = (timer, ended.and_then(|client| client.owner)) {
                    self.events.push_back(Event::Over { id, owner });
                }
            }
            (_, Next::Stay) => {}
        }
    }

    /// Ends a transaction, and tells its owner unless a final response was there before.
    fn fail_client(&mut self, id: ClientId, failure: Failure) {
        let Some(client) = self.end_client(id) else { return };
        let pending = match &client.machine {
            client::Machine::Invite(invite) => invite.is_pending(),
            client::Machine::Other(other) => other.is_pending(),
        };
        if let (true, Some(owner)) = (pending, client.owner) {
            self.events.push_back(Event::Failed { id, owner, failure });
        }
    }

    fn end_client(&mut self, id: ClientId) -> Option<Client<O>> {
        self.timers.cancel_all(all_of(id.0));
        let client = self.clients.remove(&id)?;
        self.client_octets -= client.octets;
        self.client_keys.remove(&ClientKey::new(&client.branch, client.machine.method()));
        Some(client)
    }
}

impl<O> Transactions<O> {
    fn has_server_room(&self, priority: Priority, octets: usize) -> bool {
        self.servers.len() < room(priority) && self.server_octets + octets <= self.room_of_octets(priority)
    }

    fn room_of_octets(&self, priority: Priority) -> usize {
        match priority {
            Priority::Ordinary => self.max_octets,
            Priority::Emergency => self.max_octets + RESERVE_OCTETS,
        }
    }
}

/// Whether what came on `flow` can be an answer to what went out on `asked`: the same connection of the trunk, or the same
/// address on the LAN. Over UDP the port may be another; over TCP a handset may open a connection for its answer (RFC 3261
/// section 18.2.2).
fn answers(asked: Flow, flow: Flow) -> bool {
    let address = |flow: Flow| flow.remote.ip().to_canonical();
    let is_same = asked.transport != Transport::Tls || asked.connection == flow.connection;
    asked.transport == flow.transport && is_same && address(asked) == address(flow)
}

/// An empty queue gives back what a flood needed.
pub(crate) fn give_back<T>(queue: &mut VecDeque<T>) {
    const USUAL: usize = 64;
    if queue.capacity() > 4 * USUAL {
        queue.shrink_to(USUAL);
    }
}

/// How many transactions of a kind there may be before one more.
fn room(priority: Priority) -> usize {
    match priority {
        Priority::Ordinary => MAX,
        Priority::Emergency => MAX + RESERVE,
    }
}
