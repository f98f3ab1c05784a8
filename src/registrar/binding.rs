//! A handset of an extension, and how it is written down for a restart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sip::flow::{Flow, Transport};
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
    /// Where its REGISTER came from: calls go there, NAT or not.
    pub flow: Flow,
    pub expires: Instant,
    /// What was granted at the last REGISTER, and when that was.
    pub granted: Duration,
    pub refreshed: Instant,
    pub user_agent: Option<String>,
    pub call_id: String,
    pub cseq: u32,
}

impl Binding {
    /// Whether both are one handset: the same instance, or the same contact address, which two can not share.
    pub(super) fn is_same_handset(&self, other: &Binding) -> bool {
        (self.instance.is_some() && self.instance == other.instance) || same_contact(&self.contact, &other.contact)
    }

    /// Whether a restart must know of the change from `self` to `new`. A mere refresh is none: flash wears out.
    pub(super) fn is_changed_by(&self, new: &Binding) -> bool {
        self.contact != new.contact || self.flow != new.flow || self.instance != new.instance
    }

    /// Whether a request came from this handset.
    pub(super) fn is_at(&self, flow: Flow) -> bool {
        (self.flow.transport, self.flow.remote, self.flow.connection) == (flow.transport, flow.remote, flow.connection)
    }
}

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
    /// Seconds granted. A restored binding lives that long from the restart on: refreshes are not written, so that
    /// the time that was left at the last write says nothing, and a wrong clock must not lose a handset. A living
    /// handset refreshes before; a dead one costs a call 32 s of ringing nowhere, beside those that do ring.
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
            granted: binding.granted.as_secs(),
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
        let granted = Duration::from_secs(saved.granted.min(86_400));
        let flow = Flow { transport: Transport::Udp, local: saved.local, remote: saved.remote, connection: 0 };
        table.entry(saved.extension).or_default().push(Binding {
            contact: saved.contact,
            instance: saved.instance,
            flow,
            expires: now + granted,
            granted,
            refreshed: now,
            user_agent: saved.user_agent,
            call_id: saved.call_id,
            cseq: saved.cseq,
        });
    }
    table
}
