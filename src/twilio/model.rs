//! What we want at Twilio, as data: resources with a natural key, fields, and references to each other.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::secret::Secret;
use crate::store::Secrets;
use crate::twiml::{INCOMING_PATH, OUTGOING_PATH};

/// A kind of resource, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    CredentialList,
    Credential,
    Domain,
    /// Lets the list's credentials make calls (gates INVITE, twilio.md 2.6).
    CallsMapping,
    /// Lets the list's credentials register (gates REGISTER).
    RegistrationsMapping,
    /// A TwiML app.
    Application,
    PhoneNumber,
}

/// How a kind looks in the API.
pub struct Schema {
    /// The collection below `Accounts/AC…/`; `{}` is the parent's SID.
    collection: &'static str,
    /// The array in a page of the collection (twilio.md 1.4).
    pub records: &'static str,
    /// The form parameter of the natural key.
    pub key: &'static str,
    /// The kind that it lives in.
    pub parent: Option<Kind>,
    /// Error codes that say "there already" (twilio.md 1.7).
    pub duplicate: &'static [u32],
    /// How a person calls it.
    pub noun: &'static str,
}

impl Kind {
    /// All kinds, parents before children.
    pub const ALL: [Kind; 7] = [
        Kind::CredentialList,
        Kind::Credential,
        Kind::Domain,
        Kind::CallsMapping,
        Kind::RegistrationsMapping,
        Kind::Application,
        Kind::PhoneNumber,
    ];

    /// How the kind looks in the API (twilio.md 2.2 to 2.9).
    pub const fn schema(self) -> Schema {
        match self {
            Kind::CredentialList => Schema {
                collection: "SIP/CredentialLists",
                records: "credential_lists",
                key: "FriendlyName",
                parent: None,
                duplicate: &[21240],
                noun: "credential list",
            },
            Kind::Credential => Schema {
                collection: "SIP/CredentialLists/{}/Credentials",
                records: "credentials",
                key: "Username",
                parent: Some(Kind::CredentialList),
                duplicate: &[21240, 21243],
                noun: "credential",
            },
            Kind::Domain => Schema {
                collection: "SIP/Domains",
                records: "domains",
                key: "DomainName",
                parent: None,
                duplicate: &[21232],
                noun: "SIP domain",
            },
            Kind::CallsMapping => Schema {
                collection: "SIP/Domains/{}/Auth/Calls/CredentialListMappings",
                records: "contents",
                key: "CredentialListSid",
                parent: Some(Kind::Domain),
                duplicate: &[21231],
                noun: "mapping for calls",
            },
            Kind::RegistrationsMapping => Schema {
                collection: "SIP/Domains/{}/Auth/Registrations/CredentialListMappings",
                records: "contents",
                key: "CredentialListSid",
                parent: Some(Kind::Domain),
                duplicate: &[21231],
                noun: "mapping for registrations",
            },
            Kind::Application => Schema {
                collection: "Applications",
                records: "applications",
                key: "FriendlyName",
                parent: None,
                // Names need not be unique: a duplicate is made without a word (twilio.md 2.2).
                duplicate: &[],
                noun: "TwiML app",
            },
            Kind::PhoneNumber => Schema {
                collection: "IncomingPhoneNumbers",
                records: "incoming_phone_numbers",
                key: "PhoneNumber",
                parent: None,
                duplicate: &[],
                noun: "phone number",
            },
        }
    }

    /// The collection's path below `Accounts/AC…/`, without `.json`.
    pub fn collection(self, parent_sid: Option<&str>) -> String {
        self.schema().collection.replace("{}", parent_sid.unwrap_or_default())
    }

    /// Whether a missing one is made. Numbers cost money: they are bought elsewhere.
    pub const fn is_creatable(self) -> bool {
        !matches!(self, Kind::PhoneNumber)
    }
}

/// A resource by kind and natural key; of one that lives in another, `PARENT/KEY`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub kind: Kind,
    pub key: String,
}

impl Id {
    pub fn new(kind: Kind, key: impl Into<String>) -> Id {
        Id { kind, key: key.into() }
    }

    /// The id of something that lives in `parent`.
    pub fn child(kind: Kind, parent: &str, key: &str) -> Id {
        Id { kind, key: format!("{parent}/{key}") }
    }

    /// Parent's key and own key.
    fn parts(&self) -> (&str, &str) {
        self.key.split_once('/').unwrap_or(("", &self.key))
    }

    /// The natural key inside of the parent.
    pub fn own_key(&self) -> &str {
        match self.kind.schema().parent {
            Some(_) => self.parts().1,
            None => &self.key,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parent, own) = self.parts();
        match self.kind {
            Kind::Credential => write!(f, "credential {own} in credential list {parent}"),
            Kind::CallsMapping => write!(f, "mapping of credential list {own} to SIP domain {parent} for calls"),
            Kind::RegistrationsMapping => {
                write!(f, "mapping of credential list {own} to SIP domain {parent} for registrations")
            }
            kind => write!(f, "{} {}", kind.schema().noun, self.key),
        }
    }
}

/// What a field shall hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    /// The SID of another resource, known when that is made.
    Sid(Id),
}

/// One resource as we want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub id: Id,
    /// What it lives in.
    pub parent: Option<Id>,
    /// Where the natural key is the SID of another resource: which one.
    pub key_of: Option<Id>,
    /// Form parameters beside the natural key; in replies they are called the same in snake_case.
    pub fields: Vec<(&'static str, Value)>,
    /// Of a credential; it can be set and never read.
    pub password: Option<Secret<String>>,
}

impl Resource {
    fn new(id: Id, fields: Vec<(&'static str, Value)>) -> Resource {
        Resource { id, parent: None, key_of: None, fields, password: None }
    }
}

/// All resources of one environment, each after what it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired(pub Vec<Resource>);

/// What the config wants at Twilio. Extensions without minted secrets are left out ([`Secrets::mint`] comes first).
pub fn desired(config: &Config, secrets: &Secrets) -> Desired {
    let name = format!("gateway-{}", config.site.name);
    let url = |path: &str| Value::Text(format!("{}{path}", config.webhook.public_url));
    let text = |text: &str| Value::Text(text.to_owned());

    let list = Id::new(Kind::CredentialList, &name);
    let domain = Id::new(Kind::Domain, &config.trunk.domain);
    let app = Id::new(Kind::Application, &name);

    let credential = |(username, password): (&str, &Secret<String>)| Resource {
        parent: Some(list.clone()),
        password: Some(password.clone()),
        ..Resource::new(Id::child(Kind::Credential, &name, username), Vec::new())
    };
    let mapping = |kind| Resource {
        parent: Some(domain.clone()),
        key_of: Some(list.clone()),
        ..Resource::new(Id::child(kind, &domain.key, &name), Vec::new())
    };
    let number = |number: &str| {
        Resource::new(
            Id::new(Kind::PhoneNumber, number),
            // An app replaces a trunk, and the number's own voice URLs are ignored (twilio.md 2.9).
            vec![("TrunkSid", text("")), ("VoiceApplicationSid", Value::Sid(app.clone()))],
        )
    };

    let mut resources = vec![Resource::new(list.clone(), Vec::new())];
    resources.extend(
        config
            .extensions
            .iter()
            .filter_map(|e| Some((e.name.as_str(), &secrets.extensions.get(&e.name)?.trunk_password)))
            .map(credential),
    );
    resources.push(Resource::new(
        domain.clone(),
        vec![
            ("FriendlyName", text(&name)),
            ("VoiceUrl", url(OUTGOING_PATH)),
            ("VoiceMethod", text("POST")),
            ("SipRegistration", Value::Bool(true)),
            ("EmergencyCallingEnabled", Value::Bool(true)),
            ("Secure", Value::Bool(config.trunk.secure)),
        ],
    ));
    resources.push(mapping(Kind::CallsMapping));
    resources.push(mapping(Kind::RegistrationsMapping));
    resources.push(Resource::new(app.clone(), vec![("VoiceUrl", url(INCOMING_PATH)), ("VoiceMethod", text("POST"))]));
    resources.extend(config.numbers.iter().map(|n| number(&n.number)));
    Desired(resources)
}

/// Tells passwords apart without keeping them: 64 bits of SHA-256 of a random password of more than 90 bits say
/// nothing about it.
pub fn fingerprint(password: &Secret<String>) -> String {
    Sha256::digest(password.expose().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a form parameter in replies: `VoiceUrl` is `voice_url` (twilio.md 1.3).
pub fn reply_name(param: &str) -> String {
    let mut name = String::new();
    for c in param.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}
