//! What `gateway status` shows of the trunk.

use super::{State, Trunk};
use crate::config::Config;
use crate::secrets::Secrets;
use crate::status::{RegistrationState, RegistrationStatus, TrunkState, TrunkStatus};
use crate::time::Instant;

/// What is said of a box that has no user of its own yet.
const NO_CREDENTIAL: &str = "it has no credential at the SIP domain yet, so calls from outside come by an extension's; \
                             run: gateway apply";

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

    /// The registration of the box itself, for `gateway status`.
    pub fn own(&self, config: &Config, secrets: &Secrets, now: Instant) -> RegistrationStatus {
        let user = config.site.user.as_str();
        let status = self.registration(user, now);
        match secrets.trunk_password(&config.site.environment, user) {
            Some(_) => status,
            None => RegistrationStatus { reason: Some(NO_CREDENTIAL.into()), ..status },
        }
    }

    /// A user's registration, for `gateway status`.
    pub fn registration(&self, user: &str, now: Instant) -> RegistrationStatus {
        let registration = self.registrations.iter().find(|one| one.user == user);
        registration.map(|one| one.status(now)).unwrap_or_else(|| RegistrationStatus {
            state: RegistrationState::Waiting,
            next_in: None,
            expires_in: None,
            reason: Some(self.fault.clone()),
        })
    }
}
