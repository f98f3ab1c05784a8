//! What `gateway status` shows: a snapshot of the engine, as data.

mod sizes;
mod state;
mod tunnel;
pub mod usage;
mod word;

use serde::{Deserialize, Serialize};

pub use self::sizes::Sizes;
pub use self::state::{CallKind, CallState, HandsetTransport, RegistrationState, StandbyState, TrunkState};
pub use self::tunnel::{TunnelState, TunnelStatus};

/// The whole picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// Seconds since the service started.
    pub uptime: u64,
    /// The environment that this box runs, its SIP domain, and what Twilio calls.
    pub environment: String,
    pub domain: String,
    pub public_url: String,
    pub trunk: TrunkStatus,
    pub extensions: Vec<ExtensionStatus>,
    pub calls: Vec<CallStatus>,
    // A service older than the command that reads this says nothing of what follows.
    /// The user that is the box itself.
    #[serde(default)]
    pub own: Option<OwnStatus>,
    /// What does not work now and stops nothing else, for people: a sentence each.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// How the account stands against the file.
    #[serde(default)]
    pub drift: DriftStatus,
    /// Where handsets reach us.
    #[serde(default)]
    pub lan: LanStatus,
    /// Whether Twilio can reach us.
    #[serde(default)]
    pub tunnel: Option<TunnelStatus>,
    /// The state folder and the flash below it.
    #[serde(default)]
    pub store: StoreStatus,
    /// The time that certificates are judged by.
    #[serde(default)]
    pub clock: ClockStatus,
    /// The trial that this binary is on, in a sentence.
    #[serde(default)]
    pub upgrade: Option<String>,
    /// What a stop waits for, in a sentence; absent where nothing stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<String>,
}

impl CallStatus {
    /// Whether it is an emergency call, or the emergency service's call back: nothing ends it but its parties.
    pub fn is_emergency(&self) -> bool {
        matches!(self.kind, CallKind::Emergency | CallKind::CallBack)
    }
}

/// Where handsets reach us, and where they do not yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LanStatus {
    /// Addresses with port, UDP and TCP each.
    pub listening: Vec<String>,
    /// Why others are not listened on, for people.
    pub waiting: Vec<String>,
    /// What came by UDP. A service older than the command that reads this says nothing of it.
    #[serde(default)]
    pub datagrams: DatagramStatus,
}

/// Datagrams of the LAN since the service started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramStatus {
    /// Octets that the kernel holds for a socket until we read, as it counts them; the smallest where there are several.
    pub buffer: Option<u64>,
    /// What was read.
    pub received: u64,
    /// Of that, what was dropped unread, because its sender sends far more than a phone does.
    pub dropped: u64,
    /// What the kernel dropped, because its buffer was full.
    pub lost: u64,
}

/// The state folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Writes of files that were begun since the service started.
    pub writes: u64,
    /// Why something cannot be saved now, for people.
    pub trouble: Option<String>,
}

/// What time it is, and who says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// What the system's clock shows, seconds since 1970.
    pub system: u64,
    /// What TLS goes by; absent while nothing can be trusted.
    pub trusted: Option<u64>,
    /// The SNTP server that it comes from, when not from the system's clock.
    pub server: Option<String>,
    /// What is wrong with the system's clock, while nothing can be trusted.
    pub doubt: Option<String>,
}

/// Whether the account is what the config says, when it was last compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftStatus {
    /// Seconds since 1970; absent before the first look.
    pub checked_at: Option<u64>,
    /// Seconds since then.
    pub checked_ago: Option<u64>,
    /// How many changes would be needed; absent when the account could not be read.
    pub changes: Option<usize>,
    /// The first of them.
    #[serde(default)]
    pub sentences: Vec<String>,
    /// Why the account could not be read.
    pub failed: Option<String>,
    /// Seconds until the next look.
    pub next_in: Option<u64>,
}

/// The flow to the SIP domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrunkStatus {
    pub state: TrunkState,
    /// Server and addresses of the flow.
    pub flow: Option<String>,
    /// Why it is not up, for people.
    pub reason: Option<String>,
    /// Seconds until the next try, when waiting.
    pub retry_in: Option<u64>,
    /// The second flow, for emergency calls alone. A service older than the command that reads this has none.
    #[serde(default)]
    pub standby: Option<StandbyStatus>,
}

/// The second flow to the SIP domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandbyStatus {
    pub state: StandbyState,
    /// Server and addresses of the flow.
    pub flow: Option<String>,
    /// Why it is not up, for people.
    pub reason: Option<String>,
    /// Seconds until the next try, when waiting.
    pub retry_in: Option<u64>,
}

/// One extension on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtensionStatus {
    pub name: String,
    pub handsets: Vec<HandsetStatus>,
    pub registration: RegistrationStatus,
}

/// The box itself, as a user at the SIP domain: calls from outside come by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnStatus {
    pub name: String,
    pub registration: RegistrationStatus,
}

/// A binding at the LAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandsetStatus {
    pub contact: String,
    /// Where its REGISTER came from.
    pub address: String,
    /// Where calls go, if that is another port of that address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_at: Option<String>,
    pub transport: HandsetTransport,
    /// Seconds left.
    pub expires_in: u64,
    pub user_agent: Option<String>,
    /// Seconds that it has not been responding, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_responding_for: Option<u64>,
}

/// The registration at the SIP domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrationStatus {
    pub state: RegistrationState,
    /// Seconds until the next refresh or try.
    pub next_in: Option<u64>,
    /// Seconds that the registration is still good for.
    pub expires_in: Option<u64>,
    /// The last fault, for people.
    pub reason: Option<String>,
}

/// A call in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallStatus {
    pub id: u64,
    pub from: String,
    pub to: String,
    pub state: CallState,
    /// Absent from a service older than the command that reads this.
    #[serde(default)]
    pub kind: CallKind,
    /// Seconds since it began.
    pub since: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample};

    #[test]
    fn golden_json_of_each_field_and_each_state_stays_as_it_is() {
        let offices: Vec<String> =
            sample::each_state().iter().map(|status| serde_json::to_string(status).unwrap()).collect();
        golden::assert_golden("status.json", &format!("[\n{}\n]\n", offices.join(",\n")));
    }

    /// What the service of another version says, of one office that this version knows.
    fn of_another_version(status: &Status, change: impl Fn(&mut serde_json::Value)) -> Status {
        let mut said = serde_json::to_value(status).unwrap();
        change(&mut said);
        serde_json::from_value(said).unwrap()
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        for status in sample::each_state() {
            assert_eq!(of_another_version(&status, |_| {}), status);
        }
    }

    #[test]
    fn a_word_of_a_newer_service_leaves_the_rest_readable() {
        let status = of_another_version(&sample::each_state()[0], |said| {
            let new = || serde_json::Value::from("levitating");
            for place in [
                "/trunk/state",
                "/trunk/standby/state",
                "/tunnel/state",
                "/extensions/0/registration/state",
                "/extensions/0/handsets/0/transport",
                "/calls/0/state",
                "/calls/0/kind",
            ] {
                *said.pointer_mut(place).unwrap() = new();
            }
        });
        assert_eq!(status.trunk.state, TrunkState::Unknown);
        assert_eq!(status.trunk.standby.unwrap().state, StandbyState::Unknown);
        assert_eq!(status.tunnel.unwrap().state, TunnelState::Unknown);
        assert_eq!(status.extensions[0].registration.state, RegistrationState::Unknown);
        assert_eq!(status.extensions[0].handsets[0].transport, HandsetTransport::Unknown);
        assert_eq!((status.calls[0].state, status.calls[0].kind), (CallState::Unknown, CallKind::Unknown));
        assert_eq!(status.calls[1].kind, CallKind::Outbound);
    }

    #[test]
    fn a_call_of_a_service_that_tells_no_kind_is_no_emergency() {
        let status = of_another_version(&sample::status(), |said| {
            said["calls"][0].as_object_mut().unwrap().remove("kind");
        });
        assert_eq!(status.calls[0].kind, CallKind::Unknown);
        assert!(!status.calls[0].is_emergency());
    }
}
