//! What we want at Twilio, as data: resources with a natural key, fields, and references to each other.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::hosted::{self, File};
use crate::lists;
use crate::owned::Owned;
use gateway_core::config::ACCOUNT;
use gateway_core::config::{Address, Config, DEFAULT_ENVIRONMENT, Environment};
use gateway_core::hex::hex;
use gateway_core::secret::Secret;
use gateway_core::secrets::Secrets;
use gateway_core::setting::Setting;
use gateway_core::twiml::{INCOMING_PATH, OUTGOING_PATH, STATUS_PATH, USAGE_PATH, credentials};

pub use crate::kind::{COUNTRIES, Id, Kind};

/// What a field shall hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Setting),
    Bool(bool),
    /// A number; Twilio gives it back with other zeros behind it.
    Decimal(String),
    /// The SID of another resource, known when that is made.
    Sid(Id),
}

/// One resource as we want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Whose it is: an environment's, or [`ACCOUNT`].
    pub environment: String,
    pub id: Id,
    /// What it lives in.
    pub parent: Option<Id>,
    /// Where the natural key is the SID of another resource: which one.
    pub key_of: Option<Id>,
    /// Form parameters beside the natural key; in replies they are called the same in snake_case.
    pub fields: Vec<(String, Value)>,
    /// Of a credential; it can be set and never read.
    pub password: Option<Secret<String>>,
}

impl Resource {
    fn new(environment: &str, id: Id, fields: Vec<(String, Value)>) -> Resource {
        Resource { environment: environment.to_owned(), id, parent: None, key_of: None, fields, password: None }
    }
}

/// All that the config wants in some environments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The environments that are meant, and [`ACCOUNT`] where what they share is meant, too. What is owned there and is
    /// not among `resources` is given back or removed.
    pub environments: BTreeSet<String>,
    /// Each after what it refers to.
    pub resources: Vec<Resource>,
    /// The content of the hosted Service.
    pub files: Vec<File>,
    /// Which build each hosted environment shall run.
    pub deployments: Vec<Deployment>,
}

/// What a hosted environment shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub environment: Id,
    pub build: Build,
}

/// A build of the hosted Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// Of the files as they are now ([`crate::hosted::fingerprint`]).
    Files { fingerprint: String },
    /// One that was promoted: `ZB…`.
    Sid(String),
}

/// What the desired state is made of.
pub struct Wish<'a> {
    pub config: &'a Config,
    /// Users without minted secrets are left out ([`Secrets::mint`] comes first).
    pub secrets: &'a Secrets,
    /// For promotions.
    pub owned: &'a Owned,
    /// What stands in the folder of `hosted.assets`.
    pub files: &'a [File],
}

impl Wish<'_> {
    /// What is wanted in these environments (of the config, or [`ACCOUNT`]), in the order of making.
    pub fn desired(&self, environments: &[&str]) -> Desired {
        let mut desired = Desired {
            environments: environments.iter().map(|name| (*name).to_owned()).collect(),
            ..Desired::default()
        };
        if environments.contains(&ACCOUNT) {
            self.account(&mut desired);
        }
        for environment in &self.config.environments {
            if environments.contains(&environment.name.as_str()) {
                self.environment(environment, &mut desired);
            }
        }
        desired.resources.sort_by_key(|resource| resource.id.kind);
        desired
    }

    /// What all environments share.
    fn account(&self, desired: &mut Desired) {
        let Config { site, dialing, spend, hosted, webhook, .. } = self.config;
        let name = format!("gateway-{}", site.name);
        let mut add = |id: Id, fields| desired.resources.push(Resource::new(ACCOUNT, id, fields));
        if dialing.manage {
            let open = |country: &String| (country.clone(), Value::Bool(true));
            let id = Id::new(Kind::DialingPermissions, COUNTRIES);
            add(id, dialing.countries.iter().map(open).collect());
        }
        for (period, cents) in [("daily", spend.daily), ("monthly", spend.monthly)] {
            let Some(cents) = cents else { continue };
            let id = Id::new(Kind::UsageTrigger, format!("{name}-{period}"));
            // Twilio makes none without a URL.
            if webhook.public_url.is_empty() && self.owned.sid(&id).is_none() {
                continue;
            }
            let fields = vec![
                field("CallbackUrl", self.url(&webhook.public_url, USAGE_PATH)),
                field("CallbackMethod", text("POST")),
                field("UsageCategory", text("totalprice")),
                field("TriggerBy", text("price")),
                field("TriggerValue", Value::Decimal(format!("{}.{:02}", cents / 100, cents % 100))),
                field("Recurring", text(period)),
            ];
            add(id, fields.into_iter().filter(known(&webhook.public_url)).collect());
        }
        if hosted.assets.is_some() {
            add(Id::new(Kind::Service, &name), vec![field("FriendlyName", text(&name))]);
            for file in self.files {
                let id = Id::child(Kind::Asset, &name, &file.path);
                let service = Id::new(Kind::Service, &name);
                desired.resources.push(Resource { parent: Some(service), ..Resource::new(ACCOUNT, id, Vec::new()) });
            }
            desired.files = self.files.to_vec();
        }
    }

    fn environment(&self, environment: &Environment, desired: &mut Desired) {
        let config = self.config;
        let promotion = self.owned.promotion(&environment.name);
        let (public_url, fallback_url) = self.owned.urls(config, environment);
        let fallback_url = || text(fallback_url.unwrap_or_default());
        let name = lists::resource_name(config, &environment.name);
        let mut add = |resource: Resource| desired.resources.push(resource);
        let new = |id: &Id, fields| Resource::new(&environment.name, id.clone(), fields);

        let password = |user: &str| self.secrets.trunk_password(&environment.name, user);
        // The box first: it carries calls from outside for all.
        let users = std::iter::once(&config.site.user).chain(config.extensions.iter().map(|extension| &extension.name));
        let users = users.map(String::as_str).filter(|user| password(user).is_some());
        let mut lists = Vec::new();
        for (list, users) in lists::lists(&name, users, self.owned) {
            let list = Id::new(Kind::CredentialList, list);
            add(new(&list, Vec::new()));
            for user in users {
                let (parent, password) = (Some(list.clone()), password(user).cloned());
                add(Resource { parent, password, ..new(&lists::id(&list.key, user), Vec::new()) });
            }
            lists.push(list);
        }

        let domain = Id::new(Kind::Domain, &environment.domain);
        add(new(
            &domain,
            vec![
                field("FriendlyName", text(&name)),
                field("VoiceUrl", self.url(public_url, OUTGOING_PATH)),
                field("VoiceMethod", text("POST")),
                field("VoiceFallbackUrl", fallback_url()),
                field("VoiceStatusCallbackUrl", self.url(public_url, STATUS_PATH)),
                field("VoiceStatusCallbackMethod", text("POST")),
                field("SipRegistration", Value::Bool(true)),
                field("EmergencyCallingEnabled", Value::Bool(true)),
                field("Secure", Value::Bool(config.trunk.secure.is_on())),
            ]
            .into_iter()
            .filter(known(public_url))
            .collect(),
        ));
        let mapping = |kind, of: &Id| Resource {
            parent: Some(domain.clone()),
            key_of: Some(of.clone()),
            ..new(&Id::child(kind, &domain.key, &of.key), Vec::new())
        };
        for list in &lists {
            add(mapping(Kind::CallsMapping, list));
            add(mapping(Kind::RegistrationsMapping, list));
        }
        if !config.access.networks.is_empty() {
            let access = Id::new(Kind::AccessList, &name);
            add(new(&access, Vec::new()));
            for network in &config.access.networks {
                let address = network.address.to_string();
                let id = Id::child(Kind::AccessAddress, &name, &address);
                let fields = vec![
                    field("FriendlyName", text(&address)),
                    field("CidrPrefixLength", text(&network.prefix.to_string())),
                ];
                add(Resource { parent: Some(access.clone()), ..new(&id, fields) });
            }
            add(mapping(Kind::AccessMapping, &access));
        }

        let app = Id::new(Kind::Application, &name);
        add(new(
            &app,
            vec![
                field("VoiceUrl", self.url(public_url, INCOMING_PATH)),
                field("VoiceMethod", text("POST")),
                field("VoiceFallbackUrl", fallback_url()),
                field("StatusCallback", self.url(public_url, STATUS_PATH)),
                field("StatusCallbackMethod", text("POST")),
            ]
            .into_iter()
            .filter(known(public_url))
            .collect(),
        ));
        let numbers = || config.numbers.iter().filter(|number| number.environment == environment.name);
        let mut addresses = BTreeSet::new();
        for number in numbers() {
            // An app replaces a trunk, and the number's own voice URLs are ignored
            // (TWILIO.md "Voice settings of a number").
            let mut fields = vec![field("TrunkSid", text("")), field("VoiceApplicationSid", Value::Sid(app.clone()))];
            if let Some(friendly_name) = &number.friendly_name {
                fields.push(field("FriendlyName", text(friendly_name)));
            }
            if let Some(address) = number.address.as_ref().and_then(|name| config.address(name)) {
                let resource = address_resource(&name, &environment.name, address);
                fields.push(field("EmergencyAddressSid", Value::Sid(resource.id.clone())));
                if addresses.insert(resource.id.clone()) {
                    add(resource);
                }
            }
            add(new(&Id::new(Kind::PhoneNumber, &number.number), fields));
        }
        let caller = numbers().find(|n| n.address.is_some() && Some(&n.number) == config.emergency.caller_id.as_ref());
        if let Some(caller) = caller {
            let caller = Value::Sid(Id::new(Kind::PhoneNumber, &caller.number));
            add(Resource {
                parent: Some(domain.clone()),
                ..new(&Id::new(Kind::EmergencyCaller, &domain.key), vec![field("EmergencyCallerSid", caller)])
            });
        }

        if config.hosted.assets.is_some() {
            let service = Id::new(Kind::Service, format!("gateway-{}", config.site.name));
            let id = Id::child(Kind::HostedEnvironment, &service.key, &environment.name);
            // The suffix tells the hosts of one Service apart; one of them may do without
            // (TWILIO.md "Services and environments").
            let suffix = match environment.name.as_str() {
                DEFAULT_ENVIRONMENT => Vec::new(),
                name => vec![field("DomainSuffix", text(name))],
            };
            add(Resource { parent: Some(service), ..new(&id, suffix) });
            let files = || Build::Files { fingerprint: hosted::fingerprint(self.files) };
            let build = promotion.and_then(|promotion| promotion.build_sid.clone()).map_or_else(files, Build::Sid);
            desired.deployments.push(Deployment { environment: id, build });
        }
    }

    /// A webhook's URL as it is set at Twilio: with credentials in it where they protect it.
    fn url(&self, base: &str, path: &str) -> Value {
        Value::Text(credentials::told(self.config, self.secrets, &format!("{base}{path}")))
    }
}

/// Whether a field holds a URL of ours that Twilio calls.
pub fn is_webhook(param: &str) -> bool {
    matches!(param, "VoiceUrl" | "VoiceStatusCallbackUrl" | "StatusCallback" | "CallbackUrl")
}

/// Fields that can be said with this public URL: what Twilio calls is left as it is while the tunnel has not told one.
fn known(public_url: &str) -> impl Fn(&(String, Value)) -> bool {
    let is_known = !public_url.is_empty();
    move |(param, _)| is_known || !is_webhook(param)
}

fn text(text: &str) -> Value {
    Value::Text(Setting::new(text))
}

fn field(param: &str, value: Value) -> (String, Value) {
    (param.to_owned(), value)
}

/// An address never changes once a number may be registered with it: another content is another resource, told apart by
/// a digest in its name. Names of emergency addresses hold 32 characters (TWILIO.md "Addresses").
fn address_resource(owner: &str, environment: &str, address: &Address) -> Resource {
    let content = format!("{owner} {address:?}");
    let digest = hex(&Sha256::digest(content)[..4]);
    let mut fields = vec![
        field("CustomerName", text(&address.customer)),
        field("Street", text(&address.street)),
        field("City", text(&address.city)),
        field("Region", text(&address.region)),
        field("PostalCode", text(&address.postal_code)),
        field("IsoCountry", text(&address.country)),
        field("EmergencyEnabled", Value::Bool(true)),
    ];
    if let Some(secondary) = &address.street_secondary {
        fields.push(field("StreetSecondary", text(secondary)));
    }
    Resource::new(environment, Id::new(Kind::Address, format!("{}-{digest}", address.name)), fields)
}

/// Tells passwords apart without keeping them: 64 bits of SHA-256 of a random password of more than 90 bits say
/// nothing about it.
pub fn fingerprint(password: &Secret<String>) -> String {
    hex(&Sha256::digest(password.expose().as_bytes())[..8])
}

/// The name of a form parameter in replies: `VoiceUrl` is `voice_url` (TWILIO.md "API requests").
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
