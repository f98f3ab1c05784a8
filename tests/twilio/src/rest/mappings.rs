//! Mappings of lists to domains: `Auth/Calls`, `Auth/Registrations`, and the old paths (TWILIO.md "Domain mappings").

use serde_json::{Value, json};

use super::family::{Family, Pairs, value};
use super::resource::{Kind, Record, is_sid, object};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::date;

/// Credential lists that may call.
const CALLS: Family = family(Kind::CallsMapping, |store, domain, form| create(store, &CALLS_LIST, domain, form));
/// Credential lists that may register.
const REGISTRATIONS: Family =
    family(Kind::RegistrationsMapping, |store, domain, form| create(store, &REGISTRATIONS_LIST, domain, form));
/// Addresses that may call.
const ACCESS: Family = family(Kind::AccessListMapping, |store, domain, form| create(store, &ACCESS_LIST, domain, form));

/// TWILIO.md "API pages": every Auth/Calls/* and Auth/Registrations/* mapping list uses contents.
const fn family(kind: Kind, create: super::family::Create) -> Family {
    let delete: super::family::Delete = match kind {
        Kind::CallsMapping => |store, domain, sid| delete(store, Kind::CallsMapping, domain, sid),
        Kind::AccessListMapping => |store, domain, sid| delete(store, Kind::AccessListMapping, domain, sid),
        _ => |store, domain, sid| delete(store, Kind::RegistrationsMapping, domain, sid),
    };
    Family { kind, key: "contents", filters: &[], create: Some(create), update: None, delete: Some(delete) }
}

/// What is mapped.
struct Mapped {
    kind: Kind,
    list: Kind,
    parameter: &'static str,
    prefix: &'static str,
}

const CALLS_LIST: Mapped =
    Mapped { kind: Kind::CallsMapping, list: Kind::CredentialList, parameter: "CredentialListSid", prefix: "CL" };
const REGISTRATIONS_LIST: Mapped = Mapped { kind: Kind::RegistrationsMapping, ..CALLS_LIST };
const ACCESS_LIST: Mapped =
    Mapped { kind: Kind::AccessListMapping, list: Kind::AccessList, parameter: "IpAccessControlListSid", prefix: "AL" };

/// Answers what is below a domain; `inner` is the path there.
pub fn route(store: &mut Store, request: &RestRequest, domain: &str, inner: &[&str]) -> Reply {
    let (family, key, rest) = match inner {
        ["Auth", "Calls", "CredentialListMappings", rest @ ..] => (CALLS, None, rest),
        ["Auth", "Calls", "IpAccessControlListMappings", rest @ ..] => (ACCESS, None, rest),
        ["Auth", "Registrations", "CredentialListMappings", rest @ ..] => (REGISTRATIONS, None, rest),
        // TWILIO.md "Domain mappings": Shares storage with Auth/Calls.
        ["CredentialListMappings", rest @ ..] => (CALLS, Some("credential_list_mappings"), rest),
        ["IpAccessControlListMappings", rest @ ..] => (ACCESS, Some("ip_access_control_list_mappings"), rest),
        _ => return Err(RestError::not_found(&request.path)),
    };
    store.get(Kind::Domain, None, domain).ok_or_else(|| RestError::not_found(&request.path))?;
    let Some(key) = key else { return family.answer(store, request, Some(domain), rest) };
    let name = inner[0];
    let account_sid = store.account_sid.clone();
    let show = |mut body: Value| {
        let uri = format!("/2010-04-01/Accounts/{account_sid}/SIP/Domains/{domain}/{name}/{}.json", text(&body, "sid"));
        body["domain_sid"] = json!(domain);
        body["uri"] = json!(uri);
        body
    };
    if request.method == "GET" && rest.is_empty() {
        let family = Family { key, ..family };
        return family.list(store, request, Some(domain), |r| show(Value::Object(r.fields.clone())));
    }
    let (status, body) = family.answer(store, request, Some(domain), rest)?;
    Ok((status, body.map(show)))
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or("")
}

/// Maps a list to a domain. The mapping's SID is that of the list (TWILIO.md "Domain mappings").
fn create(store: &mut Store, mapped: &Mapped, domain: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    let Mapped { kind, list, parameter, prefix } = *mapped;
    store.unknown_parameters.extend(form.iter().map(|(n, _)| n.clone()).filter(|n| n != parameter));
    let sid = value(form, parameter);
    if !is_sid(sid, prefix) {
        return Err(RestError::bad(20423, format!("{parameter} is not a SID")));
    }
    let Some(name) = store.get(list, None, sid).map(|r| r.text("friendly_name").to_owned()) else {
        return Err(RestError::not_found(&format!("/{parameter}/{sid}")));
    };
    if store.get(kind, domain, sid).is_some() {
        // TWILIO.md "Domain mappings": Second mapping of the same list on the same domain -> HTTP 400 code 21231.
        let what = parameter.trim_end_matches("Sid");
        return Err(RestError::bad(21231, format!("{what} already associated with this domain")));
    }
    let fields = object(json!({
        "account_sid": store.account_sid,
        "date_created": date::now(),
        "date_updated": date::now(),
        "friendly_name": name,
        "sid": sid,
    }));
    let body = store.add(kind, domain, sid.to_owned(), fields);
    store.recompute_auth_type(domain.unwrap_or(""));
    Ok(body)
}

/// Takes a mapping away; the SID is that of the list.
fn delete(store: &mut Store, kind: Kind, domain: Option<&str>, sid: &str) -> Result<(), RestError> {
    store.remove(kind, domain, sid);
    store.recompute_auth_type(domain.unwrap_or(""));
    Ok(())
}

/// Is this a mapping of that list?
pub fn maps(record: &Record, list: &str) -> bool {
    record.kind.is_mapping() && record.sid == list
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::super::{access_lists, credentials, domains};
    use super::*;

    fn sid(body: &Value) -> String {
        text(body, "sid").to_owned()
    }

    fn send(store: &mut Store, method: &str, domain: &str, path: &[&str], form: &[(&str, &str)]) -> Reply {
        let mut request = RestRequest::post("/x.json", form);
        request.method = method.to_owned();
        route(store, &request, domain, path)
    }

    #[test]
    fn the_type_of_authentication_follows_from_both_kinds_of_mappings_by_either_path() {
        let mut store = Store::new("AC1");
        let name = pairs(&[("DomainName", "x.sip.twilio.com")]);
        let domain = sid(&domains::FAMILY.create.unwrap()(&mut store, None, &name).unwrap());
        let name = pairs(&[("FriendlyName", "l")]);
        let access = sid(&access_lists::LISTS.create.unwrap()(&mut store, None, &name).unwrap());
        let list = sid(&credentials::LISTS.create.unwrap()(&mut store, None, &name).unwrap());
        let auth = |store: &Store| store.get(Kind::Domain, None, &domain).unwrap().text("auth_type").to_owned();

        let old = ["CredentialListMappings"];
        let new = ["Auth", "Calls", "IpAccessControlListMappings"];
        let made = send(&mut store, "POST", &domain, &old, &[("CredentialListSid", &list)]).unwrap().1.unwrap();
        assert_eq!(made["domain_sid"], domain.as_str());
        assert_eq!(auth(&store), "CREDENTIAL_LIST");
        let twice = ["Auth", "Calls", "CredentialListMappings"];
        let error = send(&mut store, "POST", &domain, &twice, &[("CredentialListSid", &list)]).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (21231, "CredentialList already associated with this domain"));
        send(&mut store, "POST", &domain, &new, &[("IpAccessControlListSid", &access)]).unwrap();
        assert_eq!(auth(&store), "IP_ACL,CREDENTIAL_LIST");
        let shown = send(&mut store, "GET", &domain, &twice, &[]).unwrap().1.unwrap();
        assert!(shown["contents"][0]["sid"] == list.as_str() && shown["contents"][0]["domain_sid"].is_null());
        let shown = send(&mut store, "GET", &domain, &["IpAccessControlListMappings"], &[]).unwrap().1.unwrap();
        assert_eq!(shown["ip_access_control_list_mappings"][0]["domain_sid"], domain.as_str());

        let codes = [
            access_lists::LISTS.delete.unwrap()(&mut store, None, &access).unwrap_err().code,
            credentials::LISTS.delete.unwrap()(&mut store, None, &list).unwrap_err().code,
        ];
        assert_eq!(codes, [21236, 21241]);
        let one = ["Auth", "Calls", "CredentialListMappings", &list];
        assert_eq!(send(&mut store, "DELETE", &domain, &one, &[]).unwrap().0, 204);
        assert_eq!(auth(&store), "IP_ACL");
    }
}
