//! What the Twilio account shall have beside the SIP domains: `[twilio]`, `[access]`, `[dialing]`, `[spend]`,
//! `[hosted]` and the `[[address]]` tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::parse::{nearest, path};
use super::reader::Section;
use super::{
    Access, Address, Dialing, Hosted, Ipv4Network, MAX_COUNTRIES, MAX_NETWORKS, MAX_PREFIXES, Spend, Twilio, value,
};

/// Regions of Twilio's API, each with the edge that leads there when the file names none (TWILIO.md "API hosts").
const REGIONS: [(&str, &str); 3] = [("us1", "ashburn"), ("ie1", "dublin"), ("au1", "sydney")];

/// Between two looks for drift when the file says nothing.
const DAY: Duration = Duration::from_secs(86_400);

/// Countries where Twilio registers the address of a number with the emergency service
/// (TWILIO.md "Emergency addresses").
const REGISTERED: [&str; 3] = ["US", "CA", "GB"];

pub(super) fn twilio(mut section: Section<'_>, folder: &Path) -> Twilio {
    let account_sid = section.required("account_sid", "\"AC…\"", value::account_sid);
    let api = section.optional("api", value::api_url);
    let (region, edge) = (section.optional("region", value::label), section.optional("edge", value::label));
    for key in ["region", "edge"] {
        if section.has("api") && section.has(key) {
            section.error(section.line_of(key), format!("api and {key} say the same thing twice; keep one of them"));
        }
    }
    let edge_of = |region: &str| REGIONS.iter().find(|(known, _)| *known == region).map(|(_, edge)| (*edge).to_owned());
    let regional = match (region, edge) {
        (None, None) => None,
        (None, Some(edge)) => Some((edge, "us1".to_owned())),
        (Some(region), Some(edge)) => Some((edge, region)),
        (Some(region), None) => {
            let edge = edge_of(&region);
            if edge.is_none() && !section.has("edge") {
                let known: Vec<&str> = REGIONS.iter().map(|(region, _)| *region).collect();
                let way = format!("write the edge, too, or one of {}", known.join(", "));
                section.error(section.line_of("region"), format!("region {region:?} has no edge that is known; {way}"));
            }
            edge.map(|edge| (edge, region))
        }
    };
    let regional = regional.map(|(edge, region)| format!("https://api.{edge}.{region}.twilio.com"));
    let twilio = Twilio {
        account_sid,
        api: api.or(regional).unwrap_or_else(|| "https://api.twilio.com".to_owned()),
        ca_file: path(&mut section, "ca_file", folder),
        drift_check: section.optional("drift_check", value::seconds(600..=604_800)).unwrap_or(DAY),
        enhanced_programmable_sip_features: section
            .optional("enhanced_programmable_sip_features", value::boolean)
            .unwrap_or(false),
    };
    section.finish();
    twilio
}

pub(super) fn access(mut section: Section<'_>) -> Access {
    // Twilio has an address once in a list, whatever its prefix.
    let address = |network: &Ipv4Network| network.address.to_string();
    let networks = several(&mut section, "networks", MAX_NETWORKS, value::network, address);
    section.finish();
    Access { networks: networks.unwrap_or_default() }
}

pub(super) fn dialing(mut section: Section<'_>) -> Dialing {
    let default = Dialing::default();
    let dialing = Dialing {
        countries: several(&mut section, "countries", MAX_COUNTRIES, value::country, String::clone)
            .unwrap_or(default.countries),
        prefixes: several(&mut section, "prefixes", MAX_PREFIXES, value::number_prefix, String::clone)
            .unwrap_or(default.prefixes),
        manage: section.optional("manage", value::boolean).unwrap_or(default.manage),
    };
    section.finish();
    dialing
}

/// A list of at most `max` things that differ in their names.
fn several<T>(
    section: &mut Section<'_>,
    key: &'static str,
    max: usize,
    read: impl Fn(&toml::de::DeValue<'_>) -> Result<T, String>,
    name: impl Fn(&T) -> String,
) -> Option<Vec<T>> {
    let given = section.list(key, read)?;
    if given.len() > max {
        let line = section.line_of(key);
        section.error(line, format!("{key} has {} entries; at most {max} can be had", given.len()));
    }
    let mut different = Vec::new();
    for (one, line) in given.into_iter().take(max) {
        match different.iter().any(|other| name(other) == name(&one)) {
            true => section.error(line, format!("{key} {:?} is there twice; keep one of them", name(&one))),
            false => different.push(one),
        }
    }
    Some(different)
}

pub(super) fn spend(mut section: Section<'_>) -> Spend {
    let spend =
        Spend { daily: section.optional("daily", value::cents), monthly: section.optional("monthly", value::cents) };
    section.finish();
    spend
}

pub(super) fn hosted(mut section: Section<'_>, folder: &Path) -> Hosted {
    let hosted = Hosted { assets: path(&mut section, "assets", folder) };
    section.finish();
    hosted
}

pub(super) fn addresses(sections: Vec<Section<'_>>) -> Vec<Address> {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut addresses = Vec::new();
    for mut section in sections {
        let name = section.required("name", "\"office\"", value::address_name);
        if !name.is_empty() {
            section.label = format!("address {name}");
            let line = section.line_of("name");
            if let Some(first) = lines.insert(name.clone(), line) {
                section.error(line, format!("is there twice, first on line {first}; give it another name"));
            }
        }
        let address = Address {
            name,
            customer: section.required("customer", "\"Example Ltd\"", value::postal),
            street: section.required("street", "\"1 Main St\"", value::postal),
            street_secondary: section.optional("street_secondary", value::postal),
            city: section.required("city", "\"Portland\"", value::postal),
            region: section.required("region", "\"OR\"", value::postal),
            postal_code: section.required("postal_code", "\"97201\"", value::postal),
            country: section.required("country", "\"US\"", value::country),
        };
        section.finish();
        addresses.push(address);
    }
    addresses
}

/// `[[number]] address`: there must be one of that name, in a country where Twilio registers addresses.
pub(super) fn address_of(section: &mut Section<'_>, addresses: &[Address]) -> Option<String> {
    let name = section.optional("address", value::address_name)?;
    let line = section.line_of("address");
    match addresses.iter().find(|address| address.name == name) {
        None => {
            let way = nearest(&name, addresses.iter().map(|address| &address.name), "an [[address]]");
            section.error(line, format!("address {name:?} is not there; {way}"));
        }
        // An address without a country has had its error.
        Some(Address { country, .. }) if !country.is_empty() && !REGISTERED.contains(&country.as_str()) => {
            let way = format!("it does in {}; remove the line", REGISTERED.join(", "));
            section.error(line, format!("address {name:?} is in {country}, where Twilio registers none; {way}"));
        }
        Some(_) => {}
    }
    Some(name)
}
