//! Checks of phone numbers, of the app that they ring, of caller IDs and emergency addresses.

use super::{APPLY, Check, FALLBACK, is_url, set};
use crate::lists::resource_name;
use crate::numbers::Owned;
use gateway_core::config::Environment;
use gateway_core::twiml::INCOMING_PATH;

impl Check<'_> {
    pub(super) fn numbers(&mut self, environment: &Environment) {
        let observed = self.observed;
        let name = resource_name(self.config, &environment.name);
        let apps: Vec<_> = observed.applications.iter().filter(|app| set(&app.friendly_name) == Some(&name)).collect();
        if apps.len() > 1 {
            let sids: Vec<&str> = apps.iter().map(|app| app.sid.as_str()).collect();
            self.warning(
                format!("there are {} TwiML apps {name}: {}", apps.len(), sids.join(", ")),
                "a number may use the one that nobody keeps right",
                "delete those that no number uses at console.twilio.com",
            );
        }
        for wanted in self.config.numbers.iter().filter(|number| number.environment == environment.name) {
            match observed.numbers.iter().find(|there| there.phone_number == wanted.number) {
                Some(there) => self.number(environment, &name, there),
                None => self.error(
                    format!("{} is in the config and not in the account", wanted.number),
                    "nobody can call it",
                    format!("buy it with \"gateway number buy {}\", or remove its [[number]]", wanted.number),
                ),
            }
        }
    }

    fn number(&mut self, environment: &Environment, name: &str, there: &Owned) {
        let observed = self.observed;
        let number = &there.phone_number;
        let not_rung = "calls to it do not ring here";
        if !there.has_voice() {
            self.error(format!("{number} cannot carry calls"), not_rung, "buy another number");
        }
        if set(&there.voice_receive_mode) == Some("fax") {
            self.error(format!("{number} is set to receive fax"), not_rung, "set it to voice at console.twilio.com");
        }
        if let Some(trunk) = set(&there.trunk_sid) {
            self.error(
                format!("{number} belongs to SIP trunk {trunk}"),
                format!("{not_rung}: a trunk goes before the TwiML app"),
                APPLY,
            );
            return;
        }
        let Some(sid) = set(&there.voice_application_sid) else {
            self.error(format!("{number} has no TwiML app"), not_rung, APPLY);
            return;
        };
        let app = observed.applications.iter().find(|app| app.sid == sid);
        let title = app.and_then(|app| set(&app.friendly_name)).unwrap_or(sid);
        if title != name {
            let others = self.config.environments.iter().find(|one| resource_name(self.config, &one.name) == title);
            let whose = match others {
                Some(other) => format!("of environment {}", other.name),
                None => format!("of somebody else ({title})"),
            };
            self.error(
                format!("{number} uses the TwiML app {whose}, the config says {}", environment.name),
                "calls to it ring elsewhere",
                APPLY,
            );
            return;
        }
        let voice_url = app.and_then(|app| set(&app.voice_url));
        if !is_url(voice_url, self.public_url(environment), INCOMING_PATH) {
            self.error(
                format!("{number}: the voice URL of its TwiML app is {}, not ours", voice_url.unwrap_or("empty")),
                "calls to it do not ask this box",
                APPLY,
            );
        } else if app.is_some_and(|app| set(&app.voice_fallback_url).is_none()) {
            self.warning(
                format!("{number}: its TwiML app has no fallback URL"),
                "while this box or its tunnel is away, callers hear \"an application error has occurred\"",
                FALLBACK,
            );
        }
    }

    /// Whether an emergency service learns where its caller is (TWILIO.md "Emergency addresses").
    pub(super) fn emergency(&mut self, environment: &Environment) {
        let observed = self.observed;
        let is_registered = |number: &Owned| set(&number.emergency_address_status) == Some("registered");
        let domain = observed.domains.iter().find(|domain| domain.domain_name == environment.domain);
        let caller = domain.and_then(|domain| set(&domain.emergency_caller_sid));
        if let Some(caller) = caller.and_then(|sid| observed.numbers.iter().find(|number| number.sid == sid))
            && is_registered(caller)
        {
            return;
        }
        for extension in self.config.extensions.iter().filter(|extension| extension.emergency) {
            let name = &extension.name;
            let breaks = "a call to 911 is refused, or reaches a call centre that does not know the place (75 dollars)";
            let mend = "write address into its [[number]] with an [[address]], and run \"gateway apply\"";
            let Some(number) = extension.caller_id.as_ref().or(self.config.emergency.caller_id.as_ref()) else {
                self.error(
                    format!("extension {name} has no number for emergency calls"),
                    breaks,
                    "write caller_id into its [[extension]] or into [emergency], or emergency = false",
                );
                continue;
            };
            let Some(there) = observed.numbers.iter().find(|there| there.phone_number == *number) else {
                self.error(
                    format!("extension {name} calls 911 as {number}, which is not a number of the account"),
                    breaks,
                    "write a number of the account as caller_id of [emergency]",
                );
                continue;
            };
            match set(&there.emergency_address_status) {
                Some("registered") => {}
                Some("pending-registration") => self.warning(
                    format!("the emergency address of {number} (extension {name}) is not registered yet"),
                    breaks,
                    "wait; \"gateway number list\" shows its state",
                ),
                Some("registration-failure") => self.error(
                    format!("the emergency address of {number} (extension {name}) could not be registered"),
                    breaks,
                    "correct its [[address]] and run \"gateway apply\"",
                ),
                Some("pending-unregistration") => self.warning(
                    format!("{number} (extension {name}) lets go of its former emergency address (pending-unregistration)"),
                    breaks,
                    "wait: Twilio takes seconds, at times half an hour; then run \"gateway apply\", which registers the new one",
                ),
                Some(other) if other != "unregistered" => {
                    self.error(format!("the emergency address of {number} (extension {name}) is {other}"), breaks, mend)
                }
                _ => {
                    self.error(format!("{number} (extension {name}) has no registered emergency address"), breaks, mend)
                }
            }
        }
    }

    /// Twilio connects calls only as a number that is ours (13214).
    pub(super) fn caller_ids(&mut self) {
        let observed = self.observed;
        for extension in &self.config.extensions {
            let Some(number) = &extension.caller_id else { continue };
            let known = observed.numbers.iter().any(|there| there.phone_number == *number)
                || observed.verified.contains(number);
            if !known {
                self.error(
                    format!("extension {}: caller_id {number} is neither a number of the account nor verified", extension.name),
                    "its calls out fail (13214)",
                    "verify the number at console.twilio.com (Phone numbers, Verified caller IDs), or write another caller_id",
                );
            }
        }
    }

    pub(super) fn unused_numbers(&mut self) {
        let observed = self.observed;
        let unused = |there: &&Owned| {
            self.config.number(&there.phone_number).is_none()
                && set(&there.trunk_sid).is_none()
                && set(&there.voice_application_sid).is_none()
                && set(&there.voice_url).is_none()
        };
        let unused: Vec<&str> =
            observed.numbers.iter().filter(unused).map(|there| there.phone_number.as_str()).collect();
        for number in unused {
            self.info(
                format!("{number} is in the account and leads nowhere"),
                "nothing; it costs every month",
                format!("write a [[number]] for it, or run \"gateway number release {number}\""),
            );
        }
    }
}
