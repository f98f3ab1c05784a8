//! Strangers' resources, to be left alone: of every family, the same for the same seed, some with names like ours.

use md5::{Digest, Md5};
use serde_json::Value;

use super::{RestError, Store};
use super::{access_lists, addresses, applications, caller_ids, credentials, domains, keys, numbers, usage};
use crate::random::hex;

/// SIDs and choices that follow from a seed.
pub struct Sequence {
    seed: u64,
    count: u64,
}

impl Sequence {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    fn next(&mut self) -> [u8; 16] {
        self.count += 1;
        Md5::digest(format!("{}/{}", self.seed, self.count)).into()
    }

    /// The next SID.
    pub fn sid(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", hex(&self.next()))
    }

    fn below(&mut self, n: usize) -> usize {
        let [a, b, ..] = self.next();
        usize::from(u16::from_be_bytes([a, b])) % n
    }
}

/// Names that a product might take for its own.
const NAMES: [&str; 8] =
    ["gateway", "gateway-prod", "gateway dev handsets", "Gateway stage", "prod", "handsets", "front desk", "old pbx"];

/// Puts strangers' resources into the account.
pub fn scatter(store: &mut Store, seed: u64) -> Result<(), RestError> {
    let mut choice = Sequence::new(seed ^ 0x5eed);
    store.fixed_sids = Some(Sequence::new(seed));
    let known = store.unknown_parameters.len();
    let done = all(store, seed, &mut choice);
    store.fixed_sids = None;
    debug_assert_eq!(known, store.unknown_parameters.len());
    done
}

type Make = super::family::Create;

fn make(
    store: &mut Store,
    how: Option<Make>,
    parent: Option<&str>,
    form: &[(&str, &str)],
) -> Result<String, RestError> {
    let form: Vec<_> = form.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let how = how.ok_or_else(|| RestError::method("POST"))?;
    Ok(how(store, parent, &form)?["sid"].as_str().unwrap_or("").to_owned())
}

fn all(store: &mut Store, seed: u64, choice: &mut Sequence) -> Result<(), RestError> {
    let before: Vec<String> = store.registrations.keys().cloned().collect();
    // Names that must be unique get a tail, the others may collide with ours.
    for n in 0..=choice.below(3) {
        let name = NAMES[choice.below(NAMES.len())];
        let unique = format!("{name} {seed}-{n}");
        let slug = unique.to_lowercase().replace(' ', "-");
        let url = format!("https://stranger.example.com/{slug}");
        let app = make(store, applications::FAMILY.create, None, &[("FriendlyName", name), ("VoiceUrl", &url)])?;
        let list = make(store, credentials::LISTS.create, None, &[("FriendlyName", &unique)])?;
        for user in ["101", "102", "stranger"].into_iter().take(1 + choice.below(3)) {
            let form = [("Username", user), ("Password", "Stranger7Horse")];
            make(store, credentials::CREDENTIALS.create, Some(&list), &form)?;
        }
        let access = make(store, access_lists::LISTS.create, None, &[("FriendlyName", &unique)])?;
        let form = [("FriendlyName", "office"), ("IpAddress", "192.0.2.7"), ("CidrPrefixLength", "29")];
        make(store, access_lists::ADDRESSES.create, Some(&access), &form)?;
        let form = [
            ("DomainName", &*format!("{slug}.sip.twilio.com")),
            ("FriendlyName", name),
            ("VoiceUrl", &url),
            ("SipRegistration", "true"),
        ];
        let domain = make(store, domains::FAMILY.create, None, &form)?;
        for (path, parameter, sid) in [
            ("Calls/CredentialListMappings", "CredentialListSid", &list),
            ("Registrations/CredentialListMappings", "CredentialListSid", &list),
            ("Calls/IpAccessControlListMappings", "IpAccessControlListSid", &access),
        ] {
            if choice.below(2) == 0 {
                let request = super::serve::RestRequest::post(path, &[(parameter, sid)]);
                let inner: Vec<&str> = std::iter::once("Auth").chain(path.split('/')).collect();
                super::mappings::route(store, &request, &domain, &inner)?;
            }
        }
        let emergency = if choice.below(2) == 0 { "true" } else { "false" };
        let form = [
            ("CustomerName", "A Stranger"),
            ("Street", "12 Elsewhere Ave"),
            ("City", "Salem"),
            ("Region", "OR"),
            ("PostalCode", "97301"),
            ("IsoCountry", "US"),
            ("FriendlyName", name),
            ("EmergencyEnabled", emergency),
        ];
        let address = make(store, addresses::FAMILY.create, None, &form)?;
        let number = format!("+1971555{:04}", 200 + (seed % 1000) * 8 % 9000 + n as u64);
        if store.number(&number).is_none() {
            store.seed_number(&number);
            let sid = store.number(&number).map(|r| r.sid).unwrap_or_default();
            let mut form = vec![("FriendlyName".to_owned(), name.to_owned())];
            form.push(("VoiceApplicationSid".to_owned(), app));
            if emergency == "true" {
                form.push(("EmergencyAddressSid".to_owned(), address));
            }
            if let Some(update) = numbers::FAMILY.update {
                update(store, None, &sid, &form)?;
            }
        }
        let form = [
            ("CallbackUrl", &*url),
            ("TriggerValue", "100"),
            ("UsageCategory", "totalprice"),
            ("TriggerBy", "price"),
            ("Recurring", "daily"),
            ("FriendlyName", name),
        ];
        make(store, usage::TRIGGERS.create, None, &form)?;
        make(store, keys::FAMILY.create, None, &[("FriendlyName", name)])?;
        super::v1::scatter(store, &slug);
        let _: Value = caller_ids::add(store, &format!("+1206555{:04}", 100 + n), name);
    }
    // Strangers' registrations are over: nothing of theirs changes by being read.
    let pending: Vec<String> = store.registrations.keys().filter(|sid| !before.contains(sid)).cloned().collect();
    for sid in pending {
        for _ in 0..=store.switches.registration_reads {
            super::emergency::read(store, &sid);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sids(seed: u64) -> Vec<String> {
        let mut store = Store::new("AC1");
        scatter(&mut store, seed).unwrap();
        let newer = store.v1.records().into_iter().map(|r| r["sid"].as_str().unwrap().to_owned());
        store.records.iter().map(|r| r.sid.clone()).chain(newer).collect()
    }

    #[test]
    fn litter_is_the_same_for_the_same_seed() {
        assert_eq!(sids(7), sids(7));
        assert_ne!(sids(7), sids(8));
        assert!((0..50).all(|seed| sids(seed).len() > 9));
    }

    #[test]
    fn litter_may_be_scattered_twice_and_passes_no_unknown_parameter() {
        let mut store = Store::new("AC1");
        scatter(&mut store, 1).unwrap();
        scatter(&mut store, 2).unwrap();
        assert!(store.unknown_parameters.is_empty());
    }
}
