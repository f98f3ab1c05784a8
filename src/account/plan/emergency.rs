//! Numbers and their emergency addresses (TWILIO.md "Emergency addresses"): an address is changed by clearing it,
//! waiting until it is registered no longer, and setting the other one; and it counts when it is registered.

use super::diff::Diff;
use super::{Change, FieldChange, Registration, Standing, Update};
use crate::actual::Found;
use crate::model::{Id, Kind, Resource, Value};
use gateway_core::setting::Setting;

/// The form parameter of a number's emergency address.
pub(super) const ADDRESS: &str = "EmergencyAddressSid";

/// The reply field that says how far its registration is.
const STATUS: &str = "EmergencyAddressStatus";

const REGISTERED: &str = "registered";
const PENDING_UNREGISTRATION: &str = "pending-unregistration";
const FAILURE: &str = "registration-failure";

/// Whether Twilio is still letting go of the number's former address.
pub(super) fn is_unregistering(number: &Found) -> bool {
    number.field(STATUS).expose() == PENDING_UNREGISTRATION
}

/// How a field of a number becomes another emergency address.
pub(super) struct Transition {
    /// What can be done at once.
    pub now: Option<FieldChange>,
    /// What can be done when the former address is registered no longer.
    pub later: Option<FieldChange>,
}

/// Splits the change of a number's emergency address into what can be done now and later.
pub(super) fn transition(change: FieldChange, number: &Found) -> Transition {
    let unregistering = is_unregistering(number);
    let is_empty = |value: &Value| matches!(value, Value::Text(text) if text.is_empty());
    let cleared = FieldChange { to: Value::Text(Setting::default()), ..change.clone() };
    match (is_empty(&change.to), change.from.is_empty()) {
        // It is being cleared already.
        (true, _) if unregistering => Transition { now: None, later: None },
        (true, _) => Transition { now: Some(cleared), later: None },
        (false, true) if !unregistering => Transition { now: Some(change), later: None },
        (false, _) => {
            let later = Some(FieldChange { from: Setting::default(), ..change });
            Transition { now: (!unregistering).then_some(cleared), later }
        }
    }
}

impl Diff<'_> {
    /// A number that is in the account.
    pub(super) fn number(&mut self, resource: &Resource, found: &Found) {
        let mut update = self.update(resource, found);
        let wanted = resource.fields.iter().find(|(param, _)| param == ADDRESS).map(|(_, value)| value);
        let change = match (update.fields.iter().position(|field| field.param == ADDRESS), wanted) {
            (Some(at), _) => Some(update.fields.remove(at)),
            // It is set, and somebody has cleared it meanwhile: that must come to its end first.
            (None, Some(to)) if is_unregistering(found) => {
                Some(FieldChange { param: ADDRESS.to_owned(), from: found.field(ADDRESS), to: to.clone() })
            }
            (None, _) => None,
        };
        let mut later = None;
        let changes = change.is_some();
        if let Some(change) = change {
            let transition = transition(change, found);
            update.fields.extend(transition.now);
            later = transition.later;
        }
        let second = later.map(|field| Update {
            former: None,
            standing: Standing::Ours,
            fields: vec![field],
            password: None,
            ..update.clone()
        });
        if update.is_needed() {
            self.order.make(Kind::PhoneNumber, Change::Update(update));
        }
        if let Some(second) = second {
            let wait = wait(resource, Some(found), Registration::Unregistered);
            self.order.unregistered.push(wait);
            self.order.after_unregistered.push(Change::Update(second));
        }
        let status = found.field(STATUS);
        match wanted {
            Some(address) if !changes && status.expose() == FAILURE => {
                self.problems.push(format!(
                    "{}: {address} could not be registered for emergency calls; correct its [[address]] in the config \
                     and apply again",
                    resource.id
                ));
            }
            Some(_) if changes || status.expose() != REGISTERED => {
                self.order.registered.push(wait(resource, Some(found), Registration::Registered));
            }
            _ => {}
        }
    }

    /// A number that is not in the account.
    pub(super) fn missing_number(&mut self, resource: &Resource) {
        let number = &resource.id.key;
        if !self.buy.contains(number) {
            self.problems.push(format!(
                "{} is not in the account; buy it with \"gateway apply --buy {number}\", find another with \"gateway \
                 number find\", or remove its [[number]] from the config",
                resource.id
            ));
            return;
        }
        self.order.make(Kind::PhoneNumber, Change::Buy(resource.clone()));
        if resource.fields.iter().any(|(param, _)| param == ADDRESS) {
            self.order.registered.push(wait(resource, None, Registration::Registered));
        }
    }

    /// The domain's number for emergency calls from elsewhere. The domain may have to be made yet; the number must be in
    /// the account or be bought, and its address must not have been refused (either is told once, with the number).
    pub(super) fn caller(&mut self, resource: &Resource, found: Option<&Found>) {
        let number = resource.fields.iter().find_map(|(_, value)| match value {
            Value::Sid(id) => Some(id),
            _ => None,
        });
        let Some(number) = number else { return };
        match self.actual.get(number, self.owned.sid(number)) {
            None if !self.buy.contains(&number.key) => return,
            None => {}
            Some(number) => {
                let changes = self.order.registered.iter().any(|change| change.id() == number.id);
                if !changes && number.field(STATUS).expose() != REGISTERED {
                    return;
                }
            }
        }
        match found {
            Some(found) => {
                let update = self.update(resource, found);
                if update.is_needed() {
                    self.order.callers.push(Change::Update(update));
                }
            }
            None => self.order.callers.push(Change::Create(resource.clone())),
        }
    }

    /// Whether this plan makes the number let go of that address.
    pub(super) fn lets_go(&self, number: &Id, address_sid: &str) -> bool {
        let is_cleared = |fields: &[FieldChange]| {
            fields.iter().any(|field| field.param == ADDRESS && field.from.expose() == address_sid)
        };
        let planned = self.order.made.values().flatten().chain(&self.order.released);
        planned.into_iter().any(|change| match change {
            Change::Update(Update { id, fields, .. }) => id == number && is_cleared(fields),
            Change::Restore { held, fields } => held.id == *number && is_cleared(fields),
            _ => false,
        })
    }
}

fn wait(resource: &Resource, found: Option<&Found>, status: Registration) -> Change {
    Change::Await {
        number: resource.id.clone(),
        environment: resource.environment.clone(),
        sid: found.map(|found| found.sid.clone()),
        status,
    }
}
