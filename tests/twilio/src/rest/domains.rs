//! SIP domains (TWILIO.md "Domain settings").

use serde_json::{Value, json};

use super::family::{Family, Pairs, value};
use super::resource::{Form, Kind, Param, object, param};
use super::{RestError, Store};
use crate::date;

/// The family; what is below a domain is in `mappings`.
pub const FAMILY: Family = Family {
    kind: Kind::Domain,
    key: "domains",
    filters: &[],
    create: Some(create),
    update: Some(update),
    delete: Some(delete),
};

/// Where all names end (TWILIO.md "Domain names").
const SUFFIX: &str = ".sip.twilio.com";

/// TWILIO.md "Domain settings": Max 100 domains per account -> 21230.
const MAX: usize = 100;

const PARAMS: &[Param] = &[
    param("DomainName", Form::Text(255)),
    param("FriendlyName", Form::Text(64)),
    param("VoiceUrl", Form::Url),
    param("VoiceMethod", Form::Method),
    param("VoiceFallbackUrl", Form::Url),
    param("VoiceFallbackMethod", Form::Method),
    param("VoiceStatusCallbackUrl", Form::Url),
    param("VoiceStatusCallbackMethod", Form::Method),
    param("SipRegistration", Form::Flag),
    param("EmergencyCallingEnabled", Form::Flag),
    param("Secure", Form::Flag),
    param("ByocTrunkSid", Form::Sid("BY")),
    param("EmergencyCallerSid", Form::Sid("PN")),
];

fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let sid = store.sid("SD");
    let account = store.account_sid.clone();
    let uri = format!("/2010-04-01/Accounts/{account}/SIP/Domains/{sid}");
    // The defaults of a new domain (TWILIO.md "Domain settings").
    let mut fields = object(json!({
        "account_sid": account,
        "api_version": "2010-04-01",
        "auth_type": "",
        "date_created": date::now(),
        "date_updated": date::now(),
        "domain_name": null,
        "friendly_name": null,
        "sid": sid,
        "uri": format!("{uri}.json"),
        "voice_fallback_method": "POST",
        "voice_fallback_url": null,
        "voice_method": "POST",
        "voice_status_callback_method": "POST",
        "voice_status_callback_url": null,
        "voice_url": null,
        "subresource_uris": {
            "credential_list_mappings": format!("{uri}/CredentialListMappings.json"),
            "ip_access_control_list_mappings": format!("{uri}/IpAccessControlListMappings.json"),
        },
        "sip_registration": false,
        "emergency_calling_enabled": false,
        "secure": false,
        "byoc_trunk_sid": null,
        "emergency_caller_sid": null,
    }));
    store.apply(PARAMS, form, &mut fields)?;
    check_name(store, fields["domain_name"].as_str().unwrap_or(""), None)?;
    check_caller(store, form)?;
    if store.all(Kind::Domain, None).len() >= MAX {
        return Err(RestError::bad(21230, "Maximum Domains Reached"));
    }
    Ok(store.add(Kind::Domain, parent, sid, fields))
}

fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::Domain, parent, sid)?;
    store.apply(PARAMS, form, &mut fields)?;
    check_name(store, fields["domain_name"].as_str().unwrap_or(""), Some(sid))?;
    check_caller(store, form)?;
    Ok(store.change(Kind::Domain, sid, fields))
}

fn names<'a>(store: &'a Store, own: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let domains = store.records.iter().filter(|r| r.kind == Kind::Domain);
    domains.filter(move |r| Some(r.sid.as_str()) != own).map(|r| r.text("domain_name"))
}

/// Letters, digits and `-`; it must end in `.sip.twilio.com`; a duplicate is 400/21232 with that text, whoever has
/// it. `a.b` needs `b` in this account; that code is the same (TWILIO.md "Domain names", TWILIO.md "Duplicates").
fn check_name(store: &Store, name: &str, own: Option<&str>) -> Result<(), RestError> {
    let label = name.strip_suffix(SUFFIX).unwrap_or("");
    let good =
        |part: &str| (1..=63).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let parent = label.split_once('.').map(|(_, parent)| format!("{parent}{SUFFIX}"));
    let has_parent = parent.is_none_or(|parent| names(store, own).any(|n| n.eq_ignore_ascii_case(&parent)));
    if !label.split('.').all(good) || !has_parent {
        return Err(RestError::bad(21232, format!("Domain {name} is invalid.")));
    }
    let mut taken = names(store, own).chain(store.foreign_domains.iter().map(String::as_str));
    match taken.any(|other| other.eq_ignore_ascii_case(name)) {
        true => Err(RestError::bad(21232, format!("Domain {name} already exists."))),
        false => Ok(()),
    }
}

/// EmergencyCallerSid needs a number with a registered address; the code of a refusal is not sure
/// (TWILIO.md "Emergency addresses").
fn check_caller(store: &Store, form: &Pairs) -> Result<(), RestError> {
    let sid = value(form, "EmergencyCallerSid");
    if sid.is_empty() {
        return Ok(());
    }
    let Some(number) = store.get(Kind::Number, None, sid) else {
        return Err(RestError::bad(21231, format!("EmergencyCallerSid {sid} is not a number of this account")));
    };
    match number.text("emergency_address_status") {
        "registered" => Ok(()),
        status => {
            let message =
                format!("EmergencyCallerSid {sid} has no registered emergency address, its status is {status}");
            Err(RestError::bad(21231, message))
        }
    }
}

/// Deletes a domain. Subdomains prevent it (21233); with mappings a switch decides (TWILIO.md "Domain settings").
fn delete(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    let fields = store.fields(Kind::Domain, parent, sid)?;
    let below = format!(".{}", fields["domain_name"].as_str().unwrap_or("").to_ascii_lowercase());
    if names(store, Some(sid)).any(|name| name.to_ascii_lowercase().ends_with(&below)) {
        return Err(RestError::bad(21233, "Domain still has subdomains"));
    }
    let mapped = store.records.iter().any(|r| r.kind.is_mapping() && r.parent.as_deref() == Some(sid));
    if mapped && !store.switches.delete_mapped_domain {
        // The code is not sure: live deletions took the mappings off first.
        return Err(RestError::bad(21231, "Domain still has mappings"));
    }
    store.remove(Kind::Domain, parent, sid);
    store.records.retain(|r| r.parent.as_deref() != Some(sid));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    fn named(store: &mut Store, name: &str) -> Result<String, u32> {
        let made = create(store, None, &pairs(&[("DomainName", name)])).map_err(|e| e.code)?;
        Ok(made["sid"].as_str().unwrap_or("").to_owned())
    }

    #[test]
    fn a_domain_name_is_taken_once_in_the_whole_world() {
        let mut store = Store::new("AC1");
        store.foreign_domains.push("theirs.sip.twilio.com".to_owned());
        assert!(named(&mut store, "ours.sip.twilio.com").is_ok());
        for name in ["OURS.sip.twilio.com", "theirs.sip.twilio.com", "x_y.sip.twilio.com", "x.example.com", ""] {
            assert_eq!(named(&mut store, name), Err(21232), "{name}");
        }
    }

    #[test]
    fn a_subdomain_needs_its_parent_and_keeps_it() {
        let mut store = Store::new("AC1");
        assert_eq!(named(&mut store, "a.b.sip.twilio.com"), Err(21232));
        let parent = named(&mut store, "b.sip.twilio.com").unwrap();
        let child = named(&mut store, "a.b.sip.twilio.com").unwrap();
        assert_eq!(delete(&mut store, None, &parent).unwrap_err().code, 21233);
        delete(&mut store, None, &child).unwrap();
        delete(&mut store, None, &parent).unwrap();
    }

    #[test]
    fn the_emergency_caller_is_an_own_number_with_a_registered_address() {
        let mut store = Store::new("AC1");
        store.seed_number("+15035550100");
        let number = store.number("+15035550100").unwrap();
        let form = |sid: &str| pairs(&[("DomainName", "x.sip.twilio.com"), ("EmergencyCallerSid", sid)]);
        assert_eq!(create(&mut store, None, &form(&number.sid)).unwrap_err().code, 21231);
        let mut fields = number.fields;
        fields.insert("emergency_address_status".to_owned(), json!("registered"));
        store.replace(Kind::Number, &number.sid, fields);
        assert!(create(&mut store, None, &form(&number.sid)).is_ok());
    }
}
