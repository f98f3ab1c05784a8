//! A handset of an extension, and how it is written down for a restart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pulse::Life;
use crate::sip::flow::{Flow, Transport};
use crate::sip::sdp::Profile;
use crate::sip::uri;
use crate::time::{Instant, WallClock};

/// Bindings taken back from the file of an earlier run.
const MAX_RESTORED: usize = 10_000;

/// A handset of an extension.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its Contact URI, as it wrote it: the Request-URI of a call to it.
    pub contact: String,
    /// `+sip.instance` (with `reg-id`, if there is one): what tells one handset from another after a reboot (RFC 5626).
    pub instance: Option<String>,
    /// Where its REGISTER came from, NAT or not.
    pub flow: Flow,
    /// The port of that address where calls go: where it got the challenge that it answered, until a request is answered
    /// at another one (see [`crate::sip::transaction`], ways). Some phones send from another port than they listen on.
    pub port: u16,
    pub expires: Instant,
    /// What was granted at the last REGISTER, and when that was.
    pub granted: Duration,
    pub refreshed: Instant,
    /// How long it is good for after a restart: at least as long as was ever granted, see [`coarse`].
    pub good_for: Duration,
    pub user_agent: Option<String>,
    /// How its media had its keys when it last offered or answered any; lost by a restart.
    pub spoken: Option<Profile>,
    pub call_id: String,
    pub cseq: u32,
    /// When the challenge left that its last REGISTER answered.
    pub challenged: Instant,
    /// Whether it answers.
    pub life: Life,
}

impl Binding {
    /// Whether both are one handset: the same instance, or the same contact address, which two can not share.
    pub(super) fn is_same_handset(&self, other: &Binding) -> bool {
        (self.instance.is_some() && self.instance == other.instance) || same_contact(&self.contact, &other.contact)
    }

    /// Whether `new` is reached in another way.
    pub(super) fn is_changed_by(&self, new: &Binding) -> bool {
        self.contact != new.contact || self.flow != new.flow || self.instance != new.instance
    }

    /// Whether that URI is its Contact.
    pub fn is_contact(&self, contact: &rsip::Uri) -> bool {
        same_contact(&self.contact, &uri::write(contact))
    }

    /// From now on it is reached by this flow.
    pub(super) fn move_to(&mut self, flow: Flow) {
        (self.flow, self.port) = (flow, flow.remote.port());
    }

    /// Whether this handset sends or listens there.
    pub(crate) fn is_at(&self, flow: Flow) -> bool {
        let is =
            |own: Flow| (own.transport, own.remote, own.connection) == (flow.transport, flow.remote, flow.connection);
        is(self.flow) || is(self.reach())
    }

    /// Where calls go.
    pub fn reach(&self) -> Flow {
        self.flow.at_port(self.port)
    }

    /// Whether it may be the one that answered there.
    pub(super) fn may_be_at(&self, flow: Flow) -> bool {
        let port = flow.remote.port();
        self.flow.at_port(port) == flow && (port == self.port || self.other_port() == Some(port))
    }

    /// The other port where they may be answered: that of its Contact, if it is at the same address, or the one that it
    /// sends from.
    pub(super) fn other_port(&self) -> Option<u16> {
        let named = uri::parse(&self.contact).ok().and_then(|contact| self.reach().other_port(&contact));
        named.or(Some(self.flow.remote.port()).filter(|port| *port != self.port))
    }
}

/// What is written down of the time granted: the next power of two, in seconds. A refresh alone is never written, for
/// flash wears out; so the time left is not either, and a restored binding lives this long from the restart on. A phone
/// that is granted now 3540 s, now 3600 s costs no write; one that registers for longer than ever is written again, or
/// a restart would forget it before its next refresh.
pub(super) fn coarse(granted: Duration) -> Duration {
    Duration::from_secs(granted.as_secs().min(MAX_GOOD_FOR).next_power_of_two().min(MAX_GOOD_FOR))
}

/// A day, in seconds; no restored binding lives longer.
const MAX_GOOD_FOR: u64 = 86_400;

/// Equality of contacts as far as reaching them goes (RFC 3261 section 19.1.4): user, host, port and transport.
fn same_contact(a: &str, b: &str) -> bool {
    let key = |text: &str| {
        let uri = uri::parse(text).ok()?;
        let transport = uri::param(&uri, "transport").flatten().unwrap_or_default().to_ascii_lowercase();
        Some((uri::user(&uri), uri::host(&uri), uri::port(&uri), transport))
    };
    a == b || key(a).is_some_and(|a| Some(a) == key(b))
}

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    /// For people who look into the file; no rule hangs on it, because the clock of a router may lie.
    written: WallClock,
    bindings: Vec<Saved>,
}

/// One binding in it. A TCP connection does not survive us, so that only UDP ones are written.
#[derive(Serialize, Deserialize)]
struct Saved {
    extension: String,
    contact: String,
    instance: Option<String>,
    local: SocketAddr,
    remote: SocketAddr,
    /// Where calls go, if that is another port than that of `remote`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Seconds, [`coarse`]. A restored binding lives that long from the restart on: a wrong clock must not lose a
    /// handset. A living handset refreshes before; a dead one costs a call 32 s of ringing nowhere, beside those that
    /// do ring.
    granted: u64,
    user_agent: Option<String>,
    call_id: String,
    cseq: u32,
}

const VERSION: u32 = 1;

pub(super) type Table = BTreeMap<String, Vec<Binding>>;

/// As [`super::Registrar::save`] writes it.
pub(super) fn save(table: &Table, wall: WallClock) -> String {
    let all = table.iter().flat_map(|(extension, bindings)| bindings.iter().map(move |binding| (extension, binding)));
    let bindings = all
        .filter(|(_, binding)| binding.flow.transport == Transport::Udp)
        .map(|(extension, binding)| Saved {
            extension: extension.clone(),
            contact: binding.contact.clone(),
            instance: binding.instance.clone(),
            local: binding.flow.local,
            remote: binding.flow.remote,
            port: (binding.port != binding.flow.remote.port()).then_some(binding.port),
            granted: binding.good_for.as_secs(),
            user_agent: binding.user_agent.clone(),
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
        })
        .collect();
    // Strings, numbers and addresses only: nothing that JSON can not hold.
    serde_json::to_string(&File { version: VERSION, written: wall, bindings }).unwrap_or_default()
}

/// What [`save`] wrote; nothing when the text is damaged or from another version, because handsets come back by
/// themselves.
pub(super) fn load(text: &str, now: Instant) -> Table {
    let mut table = Table::new();
    let Ok(file) = serde_json::from_str::<File>(text) else {
        return table;
    };
    if file.version != VERSION {
        return table;
    }
    for saved in file.bindings.into_iter().take(MAX_RESTORED) {
        let granted = Duration::from_secs(saved.granted.min(MAX_GOOD_FOR));
        let flow = Flow { transport: Transport::Udp, local: saved.local, remote: saved.remote, connection: 0 };
        table.entry(saved.extension).or_default().push(Binding {
            contact: saved.contact,
            instance: saved.instance,
            flow,
            port: saved.port.unwrap_or(flow.remote.port()),
            expires: now + granted,
            granted,
            refreshed: now,
            good_for: granted,
            user_agent: saved.user_agent,
            spoken: None,
            call_id: saved.call_id,
            cseq: saved.cseq,
            challenged: now,
            life: Life::new(now),
        });
    }
    table
}
