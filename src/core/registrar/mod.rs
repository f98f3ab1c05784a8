//! The LAN's registrar (RFC 3261 section 10): which handsets an extension has, and where they are.
//!
//! Nothing here knows of the trunk: handsets register and call each other with the internet down.

mod auth;
mod binding;
mod date;
mod pulse;
#[cfg(test)]
mod tests;
mod throttle;

use std::collections::BTreeSet;
use std::time::Duration;

use rsip::{Request, Response, Uri};

use auth::{Auth, Identity, Refusal};
pub use binding::Binding;
use pulse::Life;

use crate::config::Lan;
use crate::context::{Context, Output};
use crate::emergency::bound::Proof;
use crate::event::{Code, Event};
use crate::sip::flow::{Flow, Transport};
use crate::sip::header::{self, Contact, NameAddr};
use crate::sip::sdp::Profile;
use crate::sip::transaction::{ServerId, response_to, stateless_tag};
use crate::sip::uri;
use crate::status::HandsetStatus;
use crate::status::Sizes;
use crate::streams::outward::Ended;
use crate::time::{Instant, WallClock, soonest};

/// Octets of a Contact URI that is taken.
const MAX_CONTACT: usize = 512;
/// Octets of nonces and of sources that guess, in full: a table's entry has about so many.
pub const GATE_OCTETS: usize = 192 * (auth::MAX_NONCES + throttle::MAX_SOURCES);
/// Characters of `+sip.instance` or User-Agent that are kept.
const MAX_TEXT: usize = 128;
/// How late a request can be: its transaction gives up after 64·T1.
const REORDERING: Duration = Duration::from_secs(32);

/// Who is behind a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Digest was right: the extension's name.
    Extension(String),
    /// A challenge or refusal has been sent; nothing more to do.
    Answered,
}

/// A handset of an extension has registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub extension: String,
    pub contact: Uri,
    /// The flows that it was reached by before.
    pub from: Vec<Flow>,
    /// The flow that it is reached by now.
    pub to: Flow,
}

/// Bindings, nonces and the brake for wrong passwords.
#[derive(Debug)]
pub struct Registrar {
    /// By extension, the most recently refreshed handset first.
    table: binding::Table,
    auth: Auth,
    /// No binding expires before, and no handset is asked; may be early, never late.
    next_due: Option<Instant>,
}

/// Why an authenticated REGISTER changes nothing.
enum Refused {
    /// The code says it all.
    Code(u16),
    /// It requires these options, a comma list.
    Options(String),
    /// It asks for less than this.
    TooBrief(Duration),
}

impl Refused {
    fn response(self, request: &Request, tag: &str) -> Response {
        let response = |code| response_to(request, code, Some(tag));
        match self {
            Refused::Code(code) => response(code),
            Refused::Options(options) => {
                let mut response = response(420);
                header::push_unsupported(&mut response.headers, options);
                response
            }
            Refused::TooBrief(least) => {
                let mut response = response(423);
                header::push_min_expires(&mut response.headers, least.as_secs());
                response
            }
        }
    }
}

impl From<u16> for Refused {
    fn from(code: u16) -> Self {
        Refused::Code(code)
    }
}

impl Registrar {
    /// With the bindings that [`Registrar::save`] gave out before the restart. Only
    /// those over UDP: a TCP connection did not survive, and its handset will notice and register again.
    pub fn new(persisted: Option<&str>, now: Instant, _wall: WallClock) -> Self {
        let table = persisted.map(|text| binding::load(text, now)).unwrap_or_default();
        let mut registrar = Registrar { table, auth: Auth::default(), next_due: None };
        registrar.next_due = registrar.due();
        registrar
    }

    /// A REGISTER. Where it binds a handset, says what that is reached by.
    pub fn handle_register(
        &mut self,
        context: &mut Context<'_>,
        id: ServerId,
        flow: Flow,
        request: &Request,
    ) -> Option<Bound> {
        let identity = match self.check(context, flow, request) {
            Ok(identity) => identity,
            Err(refusal) => {
                self.refuse(context, id, flow, request, refusal);
                return None;
            }
        };
        let tag = context.random.hex(4);
        let reply = context.transactions.reply_flow(id).unwrap_or(flow);
        let (response, left) = match self.update(context, &identity, flow, reply, request) {
            Ok(left) => (self.listing(context, &identity.extension, request, &tag), left),
            Err(refused) => (refused.response(request, &tag), Vec::new()),
        };
        context.transactions.respond(context.now, id, response);
        let extension = identity.extension;
        let newest = self.table.get(&extension)?.first()?;
        let bound = Bound { from: left, to: newest.reach(), contact: uri::parse(&newest.contact).ok()?, extension };
        (newest.refreshed == context.now).then_some(bound)
    }

    /// Checks the digest of any request from the LAN; challenges with 401 when there is none.
    pub fn authenticate(&mut self, context: &mut Context<'_>, id: ServerId, flow: Flow, request: &Request) -> Verdict {
        match self.check(context, flow, request) {
            Ok(identity) => {
                let own = self.table.get_mut(&identity.extension).into_iter().flatten();
                own.filter(|one| one.is_at(flow)).for_each(|one| one.revive(context, &identity.extension));
                Verdict::Extension(identity.extension)
            }
            Err(refusal) => {
                self.refuse(context, id, flow, request, refusal);
                Verdict::Answered
            }
        }
    }

    fn check(&mut self, context: &mut Context<'_>, flow: Flow, request: &Request) -> Result<Identity, Refusal> {
        let (table, now) = (&self.table, context.now);
        let proven = |extension: &str| {
            let mut bindings = table.get(extension).into_iter().flatten();
            bindings.any(|binding| binding.is_at(flow) && binding.expires > now)
        };
        self.auth.check(context, flow, request, proven)
    }

    /// What the source of an emergency call has proved. Nothing is refused here, and credentials are looked at like those
    /// of any other request: 911 is no way to guess a password.
    pub fn prove(&mut self, context: &mut Context<'_>, flow: Flow, request: &Request) -> Proof {
        let now = context.now;
        if flow.transport.is_reliable()
            && let Some(extension) = self.neighbors(flow, now).into_iter().find_map(|(name, at)| at.then_some(name))
        {
            return Proof::Extension(extension.to_owned());
        }
        match self.auth.check(context, flow, request, |_| false) {
            Ok(identity) => Proof::Extension(identity.extension),
            // A connection was answered from there.
            Err(_) if flow.transport.is_reliable() => Proof::Address,
            Err(_) if self.auth.is_answer(context, flow.remote.ip(), request) => Proof::Address,
            Err(_) => Proof::None,
        }
    }

    /// Asks who that is (401).
    pub fn challenge(&mut self, context: &mut Context<'_>, id: ServerId, flow: Flow, request: &Request) {
        self.refuse(context, id, flow, request, Refusal::Challenge { stale: false });
    }

    fn refuse(&mut self, context: &mut Context<'_>, id: ServerId, flow: Flow, request: &Request, refusal: Refusal) {
        // The same for each repetition (RFC 3261 section 8.2.7): nothing is remembered of who proved nothing.
        let tag = stateless_tag(request);
        let response = match refusal {
            Refusal::Challenge { stale } => {
                let mut response = response_to(request, 401, Some(&tag));
                let challenge = self.auth.challenge(context, flow.remote.ip(), stale);
                header::push_challenge(&mut response.headers, challenge);
                response
            }
            // RFC 3261 section 21.5.4: the handset tries again by itself, where a 403 would make some give up.
            Refusal::Wait(wait) => {
                let mut response = response_to(request, 503, Some(&tag));
                header::push_retry_after(&mut response.headers, wait.as_secs() + 1);
                response
            }
        };
        context.transactions.respond_once(context.now, id, response);
    }

    /// The handsets of an extension that have not expired, most recently registered first.
    pub fn bindings(&self, extension: &str, now: Instant) -> Vec<&Binding> {
        self.table.get(extension).into_iter().flatten().filter(|binding| binding.expires > now).collect()
    }

    /// How the handset of an extension at a flow has its keys, as far as is known.
    pub fn spoken(&self, extension: &str, flow: Flow) -> Option<Profile> {
        self.table.get(extension)?.iter().find(|binding| binding.is_at(flow))?.spoken
    }

    /// The handset of an extension at a flow has offered or answered media so.
    pub fn learn_profile(&mut self, extension: &str, flow: Flow, profile: Profile) {
        let bindings = self.table.get_mut(extension).into_iter().flatten();
        for binding in bindings.filter(|binding| binding.is_at(flow)) {
            binding.spoken = Some(profile);
        }
    }

    /// The extensions with a handset at the address of a flow, and whether it is that very flow.
    pub fn neighbors(&self, flow: Flow, now: Instant) -> Vec<(&str, bool)> {
        let address = flow.remote.ip().to_canonical();
        let here = |one: &&Binding| one.expires > now && one.flow.remote.ip().to_canonical() == address;
        let mut neighbors = Vec::new();
        for (extension, bindings) in &self.table {
            let mut bindings = bindings.iter().filter(here).peekable();
            if bindings.peek().is_some() {
                neighbors.push((extension.as_str(), bindings.any(|one| one.is_at(flow))));
            }
        }
        neighbors
    }

    /// Whether any handset is registered at an address.
    pub fn is_at(&self, address: std::net::IpAddr, now: Instant) -> bool {
        let here = |binding: &Binding| binding.flow.remote.ip().to_canonical() == address.to_canonical();
        self.table.values().flatten().any(|binding| binding.expires > now && here(binding))
    }

    /// The flows that handsets are registered by.
    pub fn flows(&self, now: Instant) -> BTreeSet<Flow> {
        let bound = self.table.values().flatten().filter(|binding| binding.expires > now);
        bound.map(|binding| binding.flow).collect()
    }

    /// Whether a handset is registered by this flow.
    pub fn is_registered(&self, flow: Flow, now: Instant) -> bool {
        self.neighbors(flow, now).into_iter().any(|(_, by_flow)| by_flow)
    }

    /// How many there are of everything.
    pub fn sizes(&self, sizes: Sizes) -> Sizes {
        Sizes { bindings: self.table.values().map(Vec::len).sum(), gate: self.auth.len(), ..sizes }
    }

    /// Which extensions have at least one handset now; the trunk wants them registered.
    pub fn wanted(&self, now: Instant) -> Vec<String> {
        let alive = self.table.iter().filter(|(_, bindings)| bindings.iter().any(|binding| binding.expires > now));
        alive.map(|(extension, _)| extension.clone()).collect()
    }

    /// The bindings of an extension, for `gateway status`.
    pub fn status(&self, extension: &str, now: Instant) -> Vec<HandsetStatus> {
        let status = |binding: &Binding| HandsetStatus {
            contact: binding.contact.clone(),
            address: binding.flow.remote.to_string(),
            answers_at: (binding.reach() != binding.flow).then(|| binding.reach().remote.to_string()),
            transport: binding.flow.transport.into(),
            expires_in: binding.expires.since(now).as_secs(),
            user_agent: binding.user_agent.clone(),
            not_responding_for: binding.life.silent_for(now).map(|silent| silent.as_secs()),
        };
        self.bindings(extension, now).into_iter().map(status).collect()
    }

    /// A handset's stream ended. Its binding stays where it may listen at its Contact: a flow there takes the place of the
    /// lost one, see [`outward`](crate::streams::outward). Others cannot be reached any more.
    pub fn flow_down(&mut self, context: &mut Context<'_>, flow: Flow, ended: Ended) {
        if flow.transport == Transport::Udp {
            return;
        }
        for binding in self.table.values_mut().flatten().filter(|binding| binding.is_at(flow)) {
            let contact = uri::parse(&binding.contact).ok();
            let instead = contact.and_then(|contact| context.outward.instead(flow, ended, &contact));
            if let Some(instead) = instead.filter(|flow| flow.transport == Transport::Tcp) {
                binding.move_to(instead);
            }
        }
        self.drop_where(context, "its connection ended; it will register again", |binding| binding.is_at(flow));
    }

    /// When [`Registrar::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_due
    }

    /// When the first binding expires, or the first handset is asked.
    fn due(&self) -> Option<Instant> {
        let all = self.table.values().flatten();
        all.map(|one| one.ask_at().map_or(one.expires, |ask| ask.min(one.expires))).min()
    }

    /// Removes what has expired, and asks handsets that were not heard of for long.
    pub fn handle_timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.next_due.is_some_and(|due| due <= now) {
            let cause = "it did not register again in time; see whether it has power and network";
            self.drop_where(context, cause, |binding| binding.expires <= now);
            self.ask(context);
            self.next_due = self.due();
        }
    }

    fn drop_where(&mut self, context: &mut Context<'_>, cause: &str, gone: impl Fn(&Binding) -> bool) {
        let mut changed = false;
        for (extension, bindings) in &mut self.table {
            for binding in bindings.extract_if(.., |binding| gone(binding)) {
                changed |= binding.flow.transport == Transport::Udp;
                context.event(lost(extension, &binding, cause));
            }
        }
        self.table.retain(|_, bindings| !bindings.is_empty());
        self.next_due = self.due();
        if changed {
            self.persist(context);
        }
    }

    /// RFC 3261 section 10.3, steps 2 and 5 to 7. All or nothing. Gives the flows that what it names was reached by.
    fn update(
        &mut self,
        context: &mut Context<'_>,
        Identity { extension, challenged }: &Identity,
        flow: Flow,
        reply: Flow,
        request: &Request,
    ) -> Result<Vec<Flow>, Refused> {
        let extension = extension.as_str();
        let headers = &request.headers;
        let required: Vec<&str> = header::require(headers).collect();
        if !required.is_empty() {
            return Err(Refused::Options(required.join(", ")));
        }
        let to = header::to(headers).map_err(|_| 400)?;
        if uri::user(&to.uri).as_deref() != Some(extension) {
            let text = format!(
                "logs in as {extension} but registers {:?}; give the handset the same user name and authentication name",
                uri::user(&to.uri).unwrap_or_default().chars().take(64).collect::<String>()
            );
            context.event(Event::new(Code::HandsetWrongUser, flow.remote.to_string(), text));
            return Err(403.into());
        }
        let contacts = header::contacts(headers).map_err(|_| 400)?;
        let expires = header::expires(headers).unwrap_or(None);
        let call_id = header::call_id(headers).ok_or(400)?.to_string();
        let (cseq, _) = header::cseq(headers).map_err(|_| 400)?;
        // Step 7, for what is late indeed: a handset that rebooted counts anew, and proves by a later challenge, or by a
        // later use of the same one, that its request is the newer one.
        let late = |binding: &Binding| {
            binding.call_id == call_id
                && cseq <= binding.cseq
                && *challenged < binding.challenged
                && context.now.since(binding.refreshed) < REORDERING
        };

        if contacts.contains(&Contact::Star) {
            // Section 10.2.2: alone, and only to remove everything.
            if contacts.len() != 1 || expires != Some(0) {
                return Err(400.into());
            }
            if self.table.get(extension).into_iter().flatten().any(late) {
                return Err(500.into());
            }
            for binding in self.table.remove(extension).unwrap_or_default() {
                self.unregistered(context, extension, &binding);
            }
            return Ok(Vec::new());
        }

        let limit = context.config.limits.bindings_per_extension;
        if contacts.len() > limit {
            return Err(403.into());
        }
        let user_agent = header::user_agent(headers).map(|text| text.chars().take(MAX_TEXT).collect());
        let mut news = Vec::with_capacity(contacts.len());
        for contact in &contacts {
            let Contact::Addr(address) = contact else { continue };
            if !uri::is_sip(&address.uri) {
                return Err(400.into());
            }
            let granted = grant(&context.config.lan, address, expires)?;
            let new = Binding {
                contact: uri::write(&address.uri),
                instance: instance(address),
                flow,
                port: reply.remote.port(),
                expires: context.now + granted,
                granted,
                refreshed: context.now,
                good_for: binding::coarse(granted),
                user_agent: user_agent.clone(),
                spoken: None,
                call_id: call_id.clone(),
                cseq,
                challenged: *challenged,
                life: Life::new(context.now),
            };
            let mut old = self.table.get(extension).into_iter().flatten().filter(|old| old.is_same_handset(&new));
            if new.contact.len() > MAX_CONTACT {
                return Err(400.into());
            }
            if old.any(late) {
                return Err(500.into());
            }
            news.push(new);
        }
        let mut left = Vec::new();
        for new in news {
            left.extend(self.bind(context, extension, new, limit));
        }
        Ok(left)
    }

    /// Takes one contact that has passed every check. Gives the flows that it was reached by before.
    fn bind(&mut self, context: &mut Context<'_>, extension: &str, mut new: Binding, limit: usize) -> Vec<Flow> {
        let bindings = self.table.entry(extension.to_string()).or_default();
        let old: Vec<Binding> = bindings.extract_if(.., |old| old.is_same_handset(&new)).collect();
        let left = old.iter().flat_map(|old| [old.flow, old.reach()]).collect();
        if new.granted.is_zero() {
            if bindings.is_empty() {
                self.table.remove(extension);
            }
            for old in &old {
                self.unregistered(context, extension, old);
            }
            return left;
        }
        for old in &old {
            // What was answered there says more than where a response went.
            if !old.is_changed_by(&new) {
                new.port = old.port;
            }
            new.life = old.life.renewed(context.now);
        }
        if let Some(back) = old.iter().find_map(|old| old.life.silent_for(context.now)) {
            let text = format!("{} at {} responds again, after {} s", agent(&new), new.flow.remote, back.as_secs());
            context.event(Event::new(Code::HandsetResponding, extension, text));
        }
        // A full house: the one not heard of for longest goes. Living handsets refresh, so that it is the most likely
        // to be dead (a reinstalled app, a phone given away); refusing the new one would leave a person without a phone.
        // One that does not respond goes before.
        let dead = bindings.iter().rposition(|one| one.life.silent_for(context.now).is_some());
        let leaves = dead.or(bindings.len().checked_sub(1)).filter(|_| bindings.len() >= limit);
        let evicted = leaves.map(|at| bindings.remove(at));
        let changed = old.len() != 1 || old[0].is_changed_by(&new);
        new.spoken = old.iter().find_map(|old| old.spoken);
        let known_for = old.iter().map(|old| old.good_for).max().unwrap_or_default();
        let longer = new.good_for > known_for;
        new.good_for = new.good_for.max(known_for);
        let udp = new.flow.transport == Transport::Udp || old.iter().any(|old| old.flow.transport == Transport::Udp);
        if changed {
            if new.other_port().is_some() {
                new.life.doubt(context.now);
            }
            let twins = bindings.iter_mut().filter(|one| one.user_agent == new.user_agent);
            twins.for_each(|twin| twin.life.doubt(context.now));
        }
        let asked = bindings.iter().chain([&new]).filter_map(Binding::ask_at).min();
        self.next_due = soonest(soonest(self.next_due, Some(new.expires)), asked);
        if changed {
            let agent = new.user_agent.as_deref().unwrap_or("unknown handset");
            let moved = if old.is_empty() { "registered" } else { "registered again, from elsewhere" };
            let (transport, seconds) = (new.flow.transport.via_token(), new.granted.as_secs());
            let text = format!("{agent} {moved}: {transport} {}, for {seconds} s", new.flow.remote);
            context.event(Event::new(Code::HandsetRegistered, extension, text));
        }
        bindings.insert(0, new);
        if let Some(evicted) = &evicted {
            let cause = format!(
                "a new handset took its place: {limit} is the most per extension; raise limits.bindings_per_extension \
                 in gateway.toml if all of them are in use"
            );
            context.event(lost(extension, evicted, &cause));
        }
        if udp && (changed || longer) || evicted.is_some() {
            self.persist(context);
        }
        left
    }

    fn unregistered(&self, context: &mut Context<'_>, extension: &str, binding: &Binding) {
        let text = format!("{} unregistered: {}", agent(binding), binding.flow.remote);
        context.event(Event::new(Code::HandsetUnregistered, extension, text));
        if binding.flow.transport == Transport::Udp {
            self.persist(context);
        }
    }

    /// Step 8: the 200 lists every binding.
    fn listing(&self, context: &Context<'_>, extension: &str, request: &Request, tag: &str) -> Response {
        let mut response = response_to(request, 200, Some(tag));
        for binding in self.bindings(extension, context.now) {
            // Rounded up: who refreshes at the last second must not be told less than it has.
            let left = binding.expires.since(context.now).as_micros().div_ceil(1_000_000);
            header::push_contact(&mut response.headers, format!("<{}>;expires={left}", binding.contact));
        }
        if let Some(date) = date::date(context.wall) {
            header::push_date(&mut response.headers, date);
        }
        response
    }

    /// The bindings as JSON, for [`Registrar::new`] after a restart.
    pub fn save(&self, wall: WallClock) -> String {
        binding::save(&self.table, wall)
    }

    fn persist(&self, context: &mut Context<'_>) {
        context.outputs.push_back(Output::Persist);
    }
}

/// How long a contact is kept: its own `expires`, else the Expires header, else the longest (RFC 3261 section 10.2.1.1;
/// what can not be read counts as absent). Zero removes; too short is refused, because the handset must know.
fn grant(lan: &Lan, contact: &NameAddr, expires: Option<u32>) -> Result<Duration, Refused> {
    let own = contact.params.value("expires").and_then(|text| text.trim().parse::<u32>().ok());
    let Some(asked) = own.or(expires).map(|seconds| Duration::from_secs(u64::from(seconds))) else {
        return Ok(lan.max_expires);
    };
    if !asked.is_zero() && asked < lan.min_expires {
        return Err(Refused::TooBrief(lan.min_expires));
    }
    Ok(asked.min(lan.max_expires))
}

fn instance(contact: &NameAddr) -> Option<String> {
    let instance: String = contact.params.value("+sip.instance")?.chars().take(MAX_TEXT).collect();
    match contact.params.value("reg-id") {
        Some(number) => Some(format!("{instance};reg-id={}", number.chars().take(16).collect::<String>())),
        None => Some(instance),
    }
}

fn agent(binding: &Binding) -> &str {
    binding.user_agent.as_deref().unwrap_or("a handset")
}

fn lost(extension: &str, binding: &Binding, cause: &str) -> Event {
    let text = format!("{} at {} is gone: {cause}", agent(binding), binding.flow.remote);
    Event::new(Code::HandsetLost, extension, text)
}
