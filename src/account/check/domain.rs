//! Checks of an environment's SIP domain, of who may use it, and of the way to us.

use std::collections::BTreeSet;

use super::observed::{Domain, Mappings};
use super::{APPLY, Check, FALLBACK, is_url, set};
use crate::lists;
use gateway_core::config::Environment;
use gateway_core::twiml::OUTGOING_PATH;

impl<'a> Check<'a> {
    pub(super) fn domain(&mut self, environment: &Environment) {
        let observed = self.observed;
        let Some(domain) = observed.domains.iter().find(|domain| domain.domain_name == environment.domain) else {
            self.error(
                format!("SIP domain {} is not in the account", environment.domain),
                format!("no phone of environment {} can call or be called", environment.name),
                APPLY,
            );
            return;
        };
        let mappings = observed.mappings.get(&domain.sid).cloned().unwrap_or_default();
        self.settings(environment, domain);
        self.access(environment, domain, &mappings);
        self.credentials(environment, domain, &mappings);
    }

    fn settings(&mut self, environment: &Environment, domain: &Domain) {
        let name = &domain.domain_name;
        if !domain.sip_registration {
            self.error(format!("{name}: registration is off"), "no extension can be called", APPLY);
        }
        match (self.config.trunk.secure.is_on(), domain.secure) {
            (true, false) => self.warning(
                format!("{name}: Secure is off, the config says on"),
                "calls may go over the internet without encryption",
                APPLY,
            ),
            (false, true) => self.error(
                format!("{name}: Secure is on, the config says off"),
                "Twilio refuses calls without TLS and SRTP",
                "write secure = true into [trunk], or run \"gateway apply\"",
            ),
            _ => {}
        }
        let voice_url = set(&domain.voice_url);
        if !is_url(voice_url, self.public_url(environment), OUTGOING_PATH) {
            self.error(
                format!("{name}: its voice URL is {}, not ours", voice_url.unwrap_or("empty")),
                "calls out do not ask this box: they fail, or do what somebody else says",
                APPLY,
            );
        }
        if set(&domain.voice_fallback_url).is_none() {
            self.warning(
                format!("{name}: it has no fallback URL"),
                "while this box or its tunnel is away, callers hear \"an application error has occurred\"",
                FALLBACK,
            );
        }
        if !domain.emergency_calling_enabled && self.config.extensions.iter().any(|one| one.emergency) {
            self.error(format!("{name}: emergency calling is off"), "911 does not reach an emergency service", APPLY);
        }
    }

    /// What a caller must show (TWILIO.md "Domain settings", TWILIO.md "IP access lists").
    fn access(&mut self, environment: &Environment, domain: &Domain, mappings: &Mappings) {
        let name = &domain.domain_name;
        let types: Vec<&str> =
            set(&domain.auth_type).unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
        if types.is_empty() {
            self.error(format!("{name}: its auth_type is empty"), "Twilio refuses every call and registration", APPLY);
        } else if !types.contains(&"CREDENTIAL_LIST") {
            self.error(
                format!("{name}: its auth_type is {}, without CREDENTIAL_LIST", types.join(",")),
                "extensions cannot call out with their passwords",
                APPLY,
            );
        }
        if !mappings.access.is_empty() && self.config.access.networks.is_empty() {
            self.warning(
                format!("{name}: an IP access list is mapped besides the credentials ({})", mappings.access.join(", ")),
                "both must pass: from an address that is not in the list no call works, whatever the password",
                "write the office's networks into [access], or remove the mapping at console.twilio.com",
            );
        }
        let first = lists::resource_name(self.config, &environment.name);
        for (list, _) in lists::lists(&first, self.users(), self.owned) {
            let is_ours = |sid: &String| self.observed.lists.get(sid) == Some(&list);
            let (calls, registrations) =
                (mappings.calls.iter().any(is_ours), mappings.registrations.iter().any(is_ours));
            if !calls {
                self.error(
                    format!("{name}: credential list {list} is not mapped for calls"),
                    "no extension can call out",
                    APPLY,
                );
            }
            if !registrations {
                self.error(
                    format!("{name}: credential list {list} is not mapped for registrations"),
                    "no extension can register, hence none can be called",
                    APPLY,
                );
            }
        }
    }

    /// Who has a credential at Twilio.
    fn users(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let config = self.config;
        let extensions = config.extensions.iter().map(|extension| extension.name.as_str());
        std::iter::once(config.site.user.as_str()).chain(extensions)
    }

    fn credentials(&mut self, environment: &Environment, domain: &Domain, mappings: &Mappings) {
        let observed = self.observed;
        let name = lists::resource_name(self.config, &environment.name);
        let sids: Vec<&String> =
            observed.lists.iter().filter(|(_, list)| lists::place(&name, list).is_some()).map(|(sid, _)| sid).collect();
        if sids.is_empty() {
            self.error(
                format!("credential list {name} is not in the account"),
                "no extension can register or call out",
                APPLY,
            );
            return;
        }
        let ours: BTreeSet<&str> =
            sids.iter().filter_map(|sid| observed.credentials.get(*sid)).flatten().map(String::as_str).collect();
        let own = self.config.site.user.as_str();
        if !ours.contains(own) {
            self.warning(
                format!("your box has no credential of its own ({own}) in credential list {name}"),
                "calls from outside come by an extension's credential until it has one",
                APPLY,
            );
        }
        for extension in &self.config.extensions {
            if !ours.contains(extension.name.as_str()) {
                self.error(
                    format!("extension {} has no credential in credential list {name}", extension.name),
                    "it cannot register or call out",
                    APPLY,
                );
            }
        }
        for stranger in ours.iter().filter(|user| **user != own && self.config.extension(user).is_none()) {
            self.warning(
                format!("credential {stranger} in credential list {name} is no extension of the config"),
                "whoever has its password can register, and call at your expense",
                "add an [[extension]], or delete it at console.twilio.com",
            );
        }
        let mut others: Vec<&String> =
            mappings.calls.iter().chain(&mappings.registrations).filter(|other| !sids.contains(other)).collect();
        others.sort();
        others.dedup();
        for other in others {
            let title = observed.lists.get(other).map_or(other.as_str(), String::as_str);
            let twice: Vec<&str> = observed
                .credentials
                .get(other)
                .into_iter()
                .flatten()
                .map(String::as_str)
                .filter(|user| ours.contains(user))
                .collect();
            if !twice.is_empty() {
                self.warning(
                    format!(
                        "{}: {} in credential list {title}, too, which is mapped besides ours",
                        domain.domain_name,
                        twice.join(", ")
                    ),
                    "which password Twilio takes is not defined: registrations and calls may be refused",
                    "delete those credentials, or the list's mappings, at console.twilio.com",
                );
            }
        }
    }

    /// Whether the way from Twilio leads here.
    pub(super) fn reach(&mut self, environment: &Environment) {
        let observed = self.observed;
        if let Some(Err(instead)) = observed.reach.get(&environment.name) {
            self.error(
                match environment.public_url.as_str() {
                    "" => format!("the public URL of {} does not lead to this box: {instead}", environment.name),
                    url => format!("{url} does not lead to this box: {instead}"),
                },
                "calls in do not ring, calls out are not connected",
                "start the service and the tunnel; check that the tunnel delivers to webhook.listen",
            );
        }
    }
}
