//! The kinds of resources: how each looks in Twilio's API, what it lives in, and how one of them is told from others.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::{Collection, Product};

/// Stands for the one [`Kind::DialingPermissions`] of an account, as key and as SID.
pub const COUNTRIES: &str = "countries";

/// A kind of resource, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What REST requests are made with; made by set-up itself, never by a plan.
    ApiKey,
    /// Which countries may be called; one for the account, its fields are ISO codes.
    DialingPermissions,
    /// Tells us when a day or a month has cost too much.
    UsageTrigger,
    /// Holds what Twilio serves for us (TWILIO.md "Hosted files").
    Service,
    /// A file of the Service; its content is uploaded apart.
    Asset,
    /// One of the Service's hosts; runs a build.
    HostedEnvironment,
    CredentialList,
    Credential,
    /// Networks that alone may call through a domain.
    AccessList,
    /// One of them.
    AccessAddress,
    /// Where an emergency service goes.
    Address,
    Domain,
    /// Lets the list's credentials make calls (gates INVITE, TWILIO.md "Domain mappings").
    CallsMapping,
    /// Lets the list's credentials register (gates REGISTER).
    RegistrationsMapping,
    /// Demands that callers are in the access list.
    AccessMapping,
    /// A TwiML app.
    Application,
    PhoneNumber,
    /// The domain's number for emergency calls from elsewhere (TWILIO.md "Emergency caller"): a setting of the domain,
    /// made in a step of its own, as the number must have its address registered by then.
    EmergencyCaller,
}

/// The build that a hosted environment runs: no parameter of its own, but of a deployment.
pub const BUILD: &str = "BuildSid";

/// How a kind looks in the API.
pub struct Schema {
    pub product: Product,
    /// The collection below the product's base; `{}` is the parent's SID.
    collection: &'static str,
    /// The array in a page of the collection (TWILIO.md "API pages").
    pub records: &'static str,
    /// The form parameter of the natural key.
    pub key: &'static str,
    /// The kind that it lives in.
    pub parent: Option<Kind>,
    /// The kind that it is a setting of: it is never made or removed, only set and cleared.
    pub facet_of: Option<Kind>,
    /// Fields that can be set at its making only: with another value it is made anew.
    pub fixed: &'static [&'static str],
    /// What it takes beside its natural key to make it again, by form parameter.
    pub content: &'static [&'static str],
    /// Error codes that say "there already" (TWILIO.md "Duplicates").
    pub duplicate: &'static [u32],
    /// How a person calls it.
    pub noun: &'static str,
}

impl Kind {
    /// All kinds, parents before children, each after what it refers to.
    pub const ALL: [Kind; 18] = [
        Kind::ApiKey,
        Kind::DialingPermissions,
        Kind::UsageTrigger,
        Kind::Service,
        Kind::Asset,
        Kind::HostedEnvironment,
        Kind::CredentialList,
        Kind::Credential,
        Kind::AccessList,
        Kind::AccessAddress,
        Kind::Address,
        Kind::Domain,
        Kind::CallsMapping,
        Kind::RegistrationsMapping,
        Kind::AccessMapping,
        Kind::Application,
        Kind::PhoneNumber,
        Kind::EmergencyCaller,
    ];

    /// How the kind looks in the API (TWILIO.md "REST API", TWILIO.md "Hosted files").
    pub const fn schema(self) -> Schema {
        match self {
            Kind::ApiKey => Schema {
                product: Product::Core,
                collection: "Keys",
                records: "keys",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[],
                noun: "API key",
            },
            Kind::DialingPermissions => Schema {
                product: Product::Voice,
                collection: "DialingPermissions/Countries",
                records: "content",
                key: "IsoCode",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[],
                noun: "dialing permissions",
            },
            Kind::UsageTrigger => Schema {
                product: Product::Core,
                collection: "Usage/Triggers",
                records: "usage_triggers",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &["TriggerValue", "UsageCategory", "TriggerBy", "Recurring"],
                content: &["CallbackUrl", "CallbackMethod", "UsageCategory", "TriggerBy", "TriggerValue", "Recurring"],
                duplicate: &[],
                noun: "usage trigger",
            },
            Kind::Service => Schema {
                product: Product::Serverless,
                collection: "Services",
                records: "services",
                key: "UniqueName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &["FriendlyName", "IncludeCredentials", "UiEditable"],
                duplicate: &[20409],
                noun: "hosted Service",
            },
            Kind::Asset => Schema {
                product: Product::Serverless,
                collection: "Services/{}/Assets",
                records: "assets",
                key: "FriendlyName",
                parent: Some(Kind::Service),
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[20409],
                noun: "asset",
            },
            Kind::HostedEnvironment => Schema {
                product: Product::Serverless,
                collection: "Services/{}/Environments",
                records: "environments",
                key: "UniqueName",
                parent: Some(Kind::Service),
                facet_of: None,
                fixed: &["DomainSuffix"],
                content: &["DomainSuffix", BUILD],
                duplicate: &[20409],
                noun: "hosted environment",
            },
            Kind::CredentialList => Schema {
                product: Product::Core,
                collection: "SIP/CredentialLists",
                records: "credential_lists",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21240],
                noun: "credential list",
            },
            Kind::Credential => Schema {
                product: Product::Core,
                collection: "SIP/CredentialLists/{}/Credentials",
                records: "credentials",
                key: "Username",
                parent: Some(Kind::CredentialList),
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21240, 21243],
                noun: "credential",
            },
            Kind::AccessList => Schema {
                product: Product::Core,
                collection: "SIP/IpAccessControlLists",
                records: "ip_access_control_lists",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21235],
                noun: "IP access list",
            },
            Kind::AccessAddress => Schema {
                product: Product::Core,
                collection: "SIP/IpAccessControlLists/{}/IpAddresses",
                records: "ip_addresses",
                key: "IpAddress",
                parent: Some(Kind::AccessList),
                facet_of: None,
                fixed: &[],
                content: &["FriendlyName", "CidrPrefixLength"],
                duplicate: &[21235],
                noun: "network",
            },
            Kind::Address => Schema {
                product: Product::Core,
                collection: "Addresses",
                records: "addresses",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[
                    "CustomerName",
                    "Street",
                    "StreetSecondary",
                    "City",
                    "Region",
                    "PostalCode",
                    "IsoCountry",
                    "EmergencyEnabled",
                ],
                duplicate: &[],
                noun: "address",
            },
            Kind::Domain => Schema {
                product: Product::Core,
                collection: "SIP/Domains",
                records: "domains",
                key: "DomainName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[
                    "FriendlyName",
                    "VoiceUrl",
                    "VoiceMethod",
                    "VoiceFallbackUrl",
                    "VoiceFallbackMethod",
                    "VoiceStatusCallbackUrl",
                    "VoiceStatusCallbackMethod",
                    "SipRegistration",
                    "EmergencyCallingEnabled",
                    "Secure",
                    "ByocTrunkSid",
                ],
                duplicate: &[21232],
                noun: "SIP domain",
            },
            Kind::CallsMapping => Schema {
                product: Product::Core,
                collection: "SIP/Domains/{}/Auth/Calls/CredentialListMappings",
                records: "contents",
                key: "CredentialListSid",
                parent: Some(Kind::Domain),
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21231],
                noun: "mapping for calls",
            },
            Kind::RegistrationsMapping => Schema {
                product: Product::Core,
                collection: "SIP/Domains/{}/Auth/Registrations/CredentialListMappings",
                records: "contents",
                key: "CredentialListSid",
                parent: Some(Kind::Domain),
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21231],
                noun: "mapping for registrations",
            },
            Kind::AccessMapping => Schema {
                product: Product::Core,
                collection: "SIP/Domains/{}/Auth/Calls/IpAccessControlListMappings",
                records: "contents",
                key: "IpAccessControlListSid",
                parent: Some(Kind::Domain),
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[21231],
                noun: "mapping of networks",
            },
            Kind::Application => Schema {
                product: Product::Core,
                collection: "Applications",
                records: "applications",
                key: "FriendlyName",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[
                    "VoiceUrl",
                    "VoiceMethod",
                    "VoiceFallbackUrl",
                    "VoiceFallbackMethod",
                    "StatusCallback",
                    "StatusCallbackMethod",
                    "VoiceCallerIdLookup",
                    "SmsUrl",
                    "SmsMethod",
                    "SmsFallbackUrl",
                    "SmsFallbackMethod",
                    "SmsStatusCallback",
                    "MessageStatusCallback",
                ],
                duplicate: &[],
                noun: "TwiML app",
            },
            Kind::PhoneNumber => Schema {
                product: Product::Core,
                collection: "IncomingPhoneNumbers",
                records: "incoming_phone_numbers",
                key: "PhoneNumber",
                parent: None,
                facet_of: None,
                fixed: &[],
                content: &[],
                duplicate: &[],
                noun: "phone number",
            },
            Kind::EmergencyCaller => Schema {
                product: Product::Core,
                collection: "SIP/Domains",
                records: "domains",
                key: "DomainName",
                parent: Some(Kind::Domain),
                facet_of: Some(Kind::Domain),
                fixed: &[],
                content: &[],
                duplicate: &[],
                noun: "emergency caller",
            },
        }
    }

    /// The collection, in the parent where it has one.
    pub fn collection(self, parent_sid: Option<&str>) -> Collection {
        let schema = self.schema();
        Collection::new(schema.product, schema.collection.replace("{}", parent_sid.unwrap_or_default()))
    }

    /// Of a mapping, the kind of list that it maps: its key is the list's name, and its SID the list's
    /// (TWILIO.md "Domain mappings").
    pub const fn maps(self) -> Option<Kind> {
        match self {
            Kind::CallsMapping | Kind::RegistrationsMapping => Some(Kind::CredentialList),
            Kind::AccessMapping => Some(Kind::AccessList),
            _ => None,
        }
    }

    /// Whether it is a setting of another resource: never made or removed, only set and cleared.
    pub const fn is_facet(self) -> bool {
        self.schema().facet_of.is_some()
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

    /// What it lives in, or is a setting of.
    pub fn parent(&self) -> Option<Id> {
        let Schema { parent, facet_of, .. } = self.kind.schema();
        match facet_of {
            Some(kind) => Some(Id::new(kind, &self.key)),
            None => parent.map(|kind| Id::new(kind, self.parts().0)),
        }
    }

    /// The natural key inside of the parent.
    pub fn own_key(&self) -> &str {
        match self.kind.schema() {
            Schema { parent: Some(_), facet_of: None, .. } => self.parts().1,
            _ => &self.key,
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
            Kind::AccessMapping => write!(f, "mapping of IP access list {own} to SIP domain {parent}"),
            Kind::AccessAddress => write!(f, "network {own} in IP access list {parent}"),
            Kind::Asset => write!(f, "asset {own} in hosted Service {parent}"),
            Kind::HostedEnvironment => write!(f, "hosted environment {own} in hosted Service {parent}"),
            Kind::EmergencyCaller => write!(f, "emergency caller of SIP domain {}", self.key),
            Kind::DialingPermissions => write!(f, "dialing permissions"),
            kind => write!(f, "{} {}", kind.schema().noun, self.key),
        }
    }
}
