//! IP access control lists and their addresses (TWILIO.md "IP access lists").

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::family::{Family, Pairs, require, value};
use super::resource::{Form, Kind, Param, object, param};
use super::{RestError, Store};
use crate::date;

/// The lists.
pub const LISTS: Family = Family {
    kind: Kind::AccessList,
    key: "ip_access_control_lists",
    filters: &[],
    create: Some(create_list),
    update: Some(update_list),
    delete: Some(delete_list),
};

/// The addresses of a list.
pub const ADDRESSES: Family = Family {
    kind: Kind::IpAddress,
    key: "ip_addresses",
    filters: &[],
    create: Some(create),
    update: Some(update),
    delete: Some(|store, parent, sid| {
        store.remove(Kind::IpAddress, parent, sid);
        Ok(())
    }),
};

const LIST_PARAMS: &[Param] = &[param("FriendlyName", Form::Text(255))];
const PARAMS: &[Param] = &[param("FriendlyName", Form::Text(255)), param("IpAddress", Form::Text(15))];
/// Checked by hand: it is a number.
const PREFIX: &str = "CidrPrefixLength";

/// TWILIO.md "IP access lists": Duplicate FriendlyName or duplicate address -> 21235.
const INVALID: u32 = 21235;

fn check_name(store: &Store, form: &Pairs, own: Option<&str>) -> Result<(), RestError> {
    require(form, &["FriendlyName"], INVALID)?;
    let name = value(form, "FriendlyName");
    let mut others = store.all(Kind::AccessList, None).into_iter().filter(|r| Some(r.sid.as_str()) != own);
    match others.any(|r| r.text("friendly_name") == name) {
        true => Err(RestError::bad(INVALID, format!("IpAccessControlList with FriendlyName {name} already exists"))),
        false => Ok(()),
    }
}

fn create_list(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    check_name(store, form, None)?;
    let sid = store.sid("AL");
    let uri = store.uri(&format!("SIP/IpAccessControlLists/{sid}"));
    let mut fields = object(json!({
        "sid": sid,
        "account_sid": store.account_sid,
        "friendly_name": null,
        "date_created": date::now(),
        "date_updated": date::now(),
        "subresource_uris": { "ip_addresses": format!("{uri}/IpAddresses.json") },
        "uri": format!("{uri}.json"),
    }));
    store.apply(LIST_PARAMS, form, &mut fields)?;
    Ok(store.add(Kind::AccessList, parent, sid, fields))
}

fn update_list(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    check_name(store, form, Some(sid))?;
    let mut fields = store.fields(Kind::AccessList, parent, sid)?;
    store.apply(LIST_PARAMS, form, &mut fields)?;
    Ok(store.change(Kind::AccessList, sid, fields))
}

/// TWILIO.md "IP access lists": delete while mapped -> 21236.
fn delete_list(store: &mut Store, parent: Option<&str>, sid: &str) -> Result<(), RestError> {
    if store.records.iter().any(|r| r.kind == Kind::AccessListMapping && r.sid == sid) {
        return Err(RestError::bad(21236, "IpAccessControlList is mapped to a domain"));
    }
    store.remove(Kind::AccessList, parent, sid);
    store.records.retain(|r| r.parent.as_deref() != Some(sid));
    Ok(())
}

fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    require(form, &["FriendlyName", "IpAddress"], INVALID)?;
    if store.all(Kind::IpAddress, parent).len() >= store.switches.max_ip_addresses {
        return Err(RestError::bad(21237, "Maximum IP Addresses Reached for List"));
    }
    let sid = store.sid("IP");
    let list = parent.unwrap_or("");
    let mut fields = object(json!({
        "sid": sid,
        "account_sid": store.account_sid,
        "friendly_name": null,
        "ip_address": null,
        "cidr_prefix_length": 32,
        "ip_access_control_list_sid": list,
        "date_created": date::now(),
        "date_updated": date::now(),
        "uri": store.uri(&format!("SIP/IpAccessControlLists/{list}/IpAddresses/{sid}.json")),
    }));
    fill(store, parent, None, form, &mut fields)?;
    Ok(store.add(Kind::IpAddress, parent, sid, fields))
}

fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::IpAddress, parent, sid)?;
    fill(store, parent, Some(sid), form, &mut fields)?;
    Ok(store.change(Kind::IpAddress, sid, fields))
}

fn fill(
    store: &mut Store,
    parent: Option<&str>,
    own: Option<&str>,
    form: &Pairs,
    fields: &mut Map<String, Value>,
) -> Result<(), RestError> {
    let (prefix, others): (Vec<_>, Vec<_>) = form.iter().cloned().partition(|(name, _)| name == PREFIX);
    store.apply(PARAMS, &others, fields)?;
    for (_, text) in prefix {
        let length = text.parse::<u8>().ok().filter(|n| (1..=32).contains(n));
        let length =
            length.ok_or_else(|| RestError::bad(INVALID, format!("CidrPrefixLength {text} is not 1 to 32")))?;
        fields.insert("cidr_prefix_length".to_owned(), json!(length));
    }
    let address = fields["ip_address"].as_str().unwrap_or("").to_owned();
    // TWILIO.md "IP access lists": IPv4 only.
    if address.parse::<Ipv4Addr>().is_err() {
        return Err(RestError::bad(INVALID, format!("IpAddress {address} is not an IPv4 address")));
    }
    let mut others = store.all(Kind::IpAddress, parent).into_iter().filter(|r| Some(r.sid.as_str()) != own);
    match others.any(|r| r.text("ip_address") == address) {
        true => Err(RestError::bad(INVALID, format!("IpAddress {address} is in the list already"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    #[test]
    fn names_of_lists_and_addresses_in_a_list_are_unique() {
        let mut store = Store::new("AC1");
        let list = create_list(&mut store, None, &pairs(&[("FriendlyName", "office")])).unwrap();
        assert_eq!(create_list(&mut store, None, &pairs(&[("FriendlyName", "office")])).unwrap_err().code, 21235);
        let parent = list["sid"].as_str();
        let form = pairs(&[("FriendlyName", "a"), ("IpAddress", "192.0.2.1"), ("CidrPrefixLength", "24")]);
        let made = create(&mut store, parent, &form).unwrap();
        assert_eq!(made["cidr_prefix_length"], 24);
        assert_eq!(create(&mut store, parent, &form).unwrap_err().code, 21235);
        let six = pairs(&[("FriendlyName", "a"), ("IpAddress", "2001:db8::1")]);
        assert_eq!(create(&mut store, parent, &six).unwrap_err().code, 21235);
        store.switches.max_ip_addresses = 1;
        let other = pairs(&[("FriendlyName", "b"), ("IpAddress", "192.0.2.2")]);
        assert_eq!(create(&mut store, parent, &other).unwrap_err().code, 21237);
    }
}
