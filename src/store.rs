//! Placeholder of the lead: helper `twilio` owns this file and keeps these two types.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// What must never be seen.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Twilio's auth token, for webhook signatures.
    pub auth_token: Option<Secret<String>>,
    /// By extension name.
    pub extensions: BTreeMap<String, ExtensionSecrets>,
}

/// Passwords of one extension.
#[derive(Clone, Debug)]
pub struct ExtensionSecrets {
    /// Its handsets' digest password at the LAN.
    pub lan_password: Secret<String>,
    /// Its credential's password at the SIP domain.
    pub trunk_password: Secret<String>,
}
