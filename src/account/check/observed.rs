//! What a check reads of the account.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::account_status::AccountStatus;
use crate::api::{Api, ApiError, Collection, Product};
use crate::lists;
use crate::model::Kind;
use crate::numbers;
use crate::plan::Plan;
use gateway_core::config::{Config, Environment};

/// All that was read. What could not be is told in `unread`.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Read apart: an API key may not ask for it (TWILIO.md "API login").
    pub standing: Option<AccountStatus>,
    pub domains: Vec<Domain>,
    /// Credential lists of the account: SID and name.
    pub lists: BTreeMap<String, String>,
    /// User names by SID of their list: of all lists that are mapped to one of our domains, and of ours.
    pub credentials: BTreeMap<String, Vec<String>>,
    /// By SID of the domain.
    pub mappings: BTreeMap<String, Mappings>,
    pub applications: Vec<Application>,
    pub numbers: Vec<numbers::Owned>,
    /// Numbers that are verified for caller IDs.
    pub verified: Vec<String>,
    pub countries: Vec<Country>,
    pub usage_triggers: Option<usize>,
    /// Whether requests were made with an API key.
    pub has_key: bool,
    /// Whether there was the auth token, which alone may ask for the account's standing.
    pub has_token: bool,
    /// What `gateway plan` says, where it was asked.
    pub plan: Option<Plan>,
    /// By environment: whether its public URL leads to this box; `Err` holds what came instead.
    pub reach: BTreeMap<String, Result<(), String>>,
    /// What could not be read, and why.
    pub unread: Vec<(&'static str, String)>,
}

/// TWILIO.md "Domain settings"
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Domain {
    pub sid: String,
    pub domain_name: String,
    pub auth_type: Option<String>,
    pub secure: bool,
    pub sip_registration: bool,
    pub emergency_calling_enabled: bool,
    pub voice_url: Option<String>,
    pub voice_fallback_url: Option<String>,
    pub emergency_caller_sid: Option<String>,
}

/// SIDs of the lists that are mapped to a domain (TWILIO.md "Domain mappings").
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    pub calls: Vec<String>,
    pub registrations: Vec<String>,
    pub access: Vec<String>,
}

/// TWILIO.md "TwiML apps"
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Application {
    pub sid: String,
    pub friendly_name: Option<String>,
    pub voice_url: Option<String>,
    pub voice_fallback_url: Option<String>,
}

/// TWILIO.md "Dialing permissions"
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Country {
    pub iso_code: String,
    pub name: Option<String>,
    pub low_risk_numbers_enabled: bool,
    pub high_risk_special_numbers_enabled: bool,
    pub high_risk_tollfraud_numbers_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    sid: String,
    friendly_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credential {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallerId {
    phone_number: String,
}

/// Records that are not of the shape are left out: nothing of ours can be among them.
fn all<T: DeserializeOwned>(api: &mut dyn Api, collection: &Collection, records: &str) -> Result<Vec<T>, ApiError> {
    let list = api.list(collection, records)?;
    Ok(list.into_iter().filter_map(|record| serde_json::from_value(record).ok()).collect())
}

fn kind<T: DeserializeOwned>(api: &mut dyn Api, kind: Kind, parent: Option<&str>) -> Result<Vec<T>, ApiError> {
    all(api, &kind.collection(parent), kind.schema().records)
}

/// Reads what concerns these environments. Only what nothing can be said without is an error.
pub fn read(api: &mut dyn Api, config: &Config, environments: &[&Environment]) -> Result<Observed, ApiError> {
    let mut seen = Observed { domains: kind(api, Kind::Domain, None)?, ..Observed::default() };
    let lists: Vec<Named> = kind(api, Kind::CredentialList, None)?;
    seen.lists = lists.into_iter().map(|list| (list.sid, list.friendly_name.unwrap_or_default())).collect();

    let sids = |mappings: Vec<Named>| mappings.into_iter().map(|one| one.sid).collect::<Vec<_>>();
    let is_ours = |domain: &&Domain| environments.iter().any(|one| one.domain == domain.domain_name);
    let ours: Vec<String> = seen.domains.iter().filter(is_ours).map(|domain| domain.sid.clone()).collect();
    for sid in ours {
        let mappings = Mappings {
            calls: sids(kind(api, Kind::CallsMapping, Some(&sid))?),
            registrations: sids(kind(api, Kind::RegistrationsMapping, Some(&sid))?),
            access: sids(kind(api, Kind::AccessMapping, Some(&sid))?),
        };
        seen.mappings.insert(sid, mappings);
    }
    let mut wanted: Vec<String> =
        seen.mappings.values().flat_map(|one| one.calls.iter().chain(&one.registrations)).cloned().collect();
    for environment in environments {
        let name = lists::resource_name(config, &environment.name);
        let ours = seen.lists.iter().filter(|(_, list)| lists::place(&name, list).is_some());
        wanted.extend(ours.map(|(sid, _)| sid.clone()));
    }
    wanted.sort();
    wanted.dedup();
    for sid in wanted {
        let users: Vec<Credential> = kind(api, Kind::Credential, Some(&sid))?;
        seen.credentials.insert(sid, users.into_iter().map(|one| one.username).collect());
    }
    seen.applications = kind(api, Kind::Application, None)?;
    seen.numbers = numbers::list(api)?;
    let verified: Vec<CallerId> =
        all(api, &Collection::new(Product::Core, "OutgoingCallerIds"), "outgoing_caller_ids")?;
    seen.verified = verified.into_iter().map(|one| one.phone_number).collect();

    match kind(api, Kind::DialingPermissions, None) {
        Ok(countries) => seen.countries = countries,
        Err(error) => seen.unread.push(("the dialing permissions", error.to_string())),
    }
    match api.list(&Kind::UsageTrigger.collection(None), Kind::UsageTrigger.schema().records) {
        Ok(triggers) => seen.usage_triggers = Some(triggers.len()),
        Err(error) => seen.unread.push(("the usage triggers", error.to_string())),
    }
    Ok(seen)
}
