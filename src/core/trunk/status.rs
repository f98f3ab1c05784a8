//! What `gateway status` shows of the trunk.

use super::{State, Trunk};
use crate::status::{RegistrationState, RegistrationStatus, TrunkState, TrunkStatus};
use crate::time::Instant;

impl Trunk {
    /// The flow, for `gateway status`.
    pub fn status(&self, now: Instant) -> TrunkStatus {
        let (state, flow, retry_in) = match &self.state {
            State::Up(up) => (TrunkState::Up, Some(format!("{} from {}", up.name, up.flow.local)), None),
            State::Waiting { until } => (TrunkState::Waiting, None, Some(until.since(now).as_secs())),
            State::Timeless => (TrunkState::Waiting, None, None),
            State::Resolving { .. } => (TrunkState::Resolving, None, None),
            State::Connecting { address, .. } => (TrunkState::Connecting, Some(address.to_string()), None),
            State::Stopped => (TrunkState::Stopped, None, None),
        };
        let reason = (state != TrunkState::Up).then(|| self.fault.clone());
        let standby = Some(self.standby.status(now));
        TrunkStatus { state, flow, reason, retry_in, standby }
    }

    /// An extension's registration, for `gateway status`.
    pub fn registration(&self, extension: &str, now: Instant) -> RegistrationStatus {
        let registration = self.registrations.iter().find(|one| one.extension == extension);
        registration.map(|one| one.status(now)).unwrap_or_else(|| RegistrationStatus {
            state: RegistrationState::Waiting,
            next_in: None,
            expires_in: None,
            reason: Some(self.fault.clone()),
        })
    }
}
