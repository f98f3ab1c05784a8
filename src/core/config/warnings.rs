//! What is no mistake in the file, and still worth a look before somebody calls for help.

use std::collections::BTreeMap;

use super::host::is_private;
use super::value::is_in_clear;
use super::{Config, Extension, Webhook};
use crate::url::Url;

impl Config {
    /// What `gateway check` warns of, one sentence or two each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.lan.warning().map(|warning| format!("lan: {warning}")));
        warnings.extend(self.different_addresses());
        warnings.extend(self.silenced_phones());
        warnings
    }

    /// Doors that are open to the internet and that nobody allowed by name: `gateway check` refuses them. The service runs
    /// on with them and says so, for a phone that cannot call for help is worse.
    ///
    /// The rule: webhooks cross the internet by https alone, and their plain listener is at a private address.
    pub fn open_doors(&self) -> Vec<String> {
        let Webhook { listen, allow_http, allow_wan, .. } = self.webhook;
        let in_clear = |url: &str| Url::parse(url).is_some_and(|url| is_in_clear(&url));
        let urls = self.environments.iter().filter(|one| !allow_http && in_clear(&one.public_url)).map(|one| {
            format!(
                "webhook: public_url \"{}\" of {} sends callers' numbers and what proves Twilio in clear; write \
                 https://, or allow it with allow_http = true",
                one.public_url, one.name
            )
        });
        let at = Some(listen).filter(|listen| !allow_wan && !is_private(listen.ip())).map(|listen| {
            format!(
                "webhook: listen \"{listen}\" can be reached from the internet, without TLS; write a private address \
                 such as \"127.0.0.1:{}\", or allow it with allow_wan = true",
                listen.port()
            )
        });
        urls.chain(at).collect()
    }

    /// Where Twilio does not take an extension's own number, it shows the domain's `EmergencyCallerSid`
    /// (TWILIO.md "Emergency caller"): one number, one address.
    fn different_addresses(&self) -> Option<String> {
        let mut at: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for extension in self.extensions.iter().filter(|extension| extension.emergency) {
            if let Some(address) = self.emergency_address(extension) {
                at.entry(address).or_default().push(&extension.name);
            }
        }
        if at.len() < 2 {
            return None;
        }
        let places: Vec<String> =
            at.iter().map(|(address, names)| format!("{} at {address:?}", names.join(", "))).collect();
        Some(format!(
            "emergency: extensions are at different addresses ({}). A call whose own number Twilio refuses shows the \
             number and address of [emergency] caller_id; make that the place where someone always opens the door",
            places.join("; ")
        ))
    }

    /// The name of the address that an emergency call of an extension shows.
    fn emergency_address(&self, extension: &Extension) -> Option<&str> {
        let shown = extension.caller_id.as_ref().or(self.emergency.caller_id.as_ref())?;
        self.number(shown)?.address.as_deref()
    }

    /// Kari's Law (47 CFR 9.16): in the US every station must reach 911 directly.
    fn silenced_phones(&self) -> Option<String> {
        let names: Vec<&str> =
            self.extensions.iter().filter(|one| !one.emergency).map(|one| one.name.as_str()).collect();
        if names.is_empty() || !self.emergency.numbers.is_nanp() {
            return None;
        }
        Some(format!(
            "emergency: no phone of {} can call {}. US law requires direct 911 from every station of a business \
             (47 CFR 9.16); remove emergency = false unless a lawyer says otherwise",
            names.join(", "),
            self.emergency.numbers.list().first().copied().unwrap_or("for help")
        ))
    }
}
