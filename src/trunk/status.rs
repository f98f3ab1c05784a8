//! What `gateway status` shows of the trunk.

use super::{State, Trunk};
use crate::status::{RegistrationStatus, TrunkStatus};
use crate::time::Instant;

impl Trunk {
    /// The flow, for `gateway status`.
    pub fn status(&self, now: Instant) -> TrunkStatus {
        let (state, flow, retry_in) = match &self.state {
            State::Up(up) => ("up", Some(format!("{} from {}", up.name, up.flow.local)), None),
            State::Waiting { until } => ("waiting", None, Some(until.since(now).as_secs())),
            State::Timeless => ("waiting", None, None),
            State::Resolving { .. } => ("resolving", None, None),
            State::Connecting { address, .. } => ("connecting", Some(address.to_string()), None),
            State::Stopped => ("stopped", None, None),
        };
        let reason = (state != "up").then(|| self.fault.clone());
        let standby = Some(self.standby.status(now));
        TrunkStatus { state: state.to_string(), flow, reason, retry_in, standby }
    }

    /// An extension's registration, for `gateway status`.
    pub fn registration(&self, extension: &str, now: Instant) -> RegistrationStatus {
        let registration = self.registrations.iter().find(|one| one.extension == extension);
        registration.map(|one| one.status(now)).unwrap_or_else(|| RegistrationStatus {
            state: "waiting".into(),
            next_in: None,
            expires_in: None,
            reason: Some(self.fault.clone()),
        })
    }
}
