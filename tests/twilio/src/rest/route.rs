//! Which family of the 2010 API answers a path.

use std::sync::Arc;

use super::resource::Kind;
use super::serve::{Reply, RestRequest};
use super::{
    RestError, Store, access_lists, account, addresses, applications, available, caller_ids, calls, credentials,
    domains, keys, mappings, numbers, usage,
};
use crate::twilio::Twilio;

/// Answers a request whose credentials are good.
pub fn route(twilio: &Arc<Twilio>, request: &RestRequest) -> Reply {
    let missing = || RestError::not_found(&request.path);
    // Without `.json` the reply would be XML, which no client of ours reads (TWILIO.md "API hosts").
    let inner = request.path.strip_prefix("/2010-04-01/Accounts").and_then(|p| p.strip_suffix(".json"));
    let inner = inner.ok_or_else(missing)?;
    let token = &twilio.auth_token();
    {
        let mut store = twilio.store();
        store.switches = twilio.switches();
        if inner.is_empty() {
            return account::list(&mut store, request, token);
        }
    }
    let parts: Vec<&str> = inner.strip_prefix('/').ok_or_else(missing)?.split('/').collect();
    let (account, inner) = parts.split_first().ok_or_else(missing)?;
    if *account != twilio.account.sid {
        return Err(missing());
    }
    account::check_active(&twilio.store(), &request.method, inner)?;
    if let ["Calls", rest @ ..] = inner {
        return calls::route(twilio, request, rest);
    }
    let store = &mut *twilio.store();
    match inner {
        [] => account::route(store, request, token),
        ["Balance"] => account::balance(store, &request.method),
        ["SIP", rest @ ..] => sip(store, request, rest),
        ["Applications", rest @ ..] => applications::FAMILY.answer(store, request, None, rest),
        ["IncomingPhoneNumbers", rest @ ..] => numbers::route(store, request, rest),
        ["AvailablePhoneNumbers", rest @ ..] => available::route(store, request, rest),
        ["Addresses", address, "DependentPhoneNumbers"] => addresses::dependents(store, request, address),
        ["Addresses", rest @ ..] => addresses::FAMILY.answer(store, request, None, rest),
        ["Keys", rest @ ..] => keys::FAMILY.answer(store, request, None, rest),
        ["OutgoingCallerIds"] if request.method == "POST" => caller_ids::validate(store, request),
        ["OutgoingCallerIds", rest @ ..] => caller_ids::FAMILY.answer(store, request, None, rest),
        ["Usage", "Triggers", rest @ ..] => usage::TRIGGERS.answer(store, request, None, rest),
        ["Usage", "Records", rest @ ..] => usage::records(store, request, rest),
        _ => Err(missing()),
    }
}

fn sip(store: &mut Store, request: &RestRequest, inner: &[&str]) -> Reply {
    let missing = || RestError::not_found(&request.path);
    let parent = |store: &Store, kind: Kind, sid: &str| match store.get(kind, None, sid) {
        Some(_) => Ok(()),
        None => Err(missing()),
    };
    match inner {
        ["Domains", domain, rest @ ..] if !rest.is_empty() => mappings::route(store, request, domain, rest),
        ["Domains", rest @ ..] => domains::FAMILY.answer(store, request, None, rest),
        ["CredentialLists", list, "Credentials", rest @ ..] => {
            parent(store, Kind::CredentialList, list)?;
            credentials::CREDENTIALS.answer(store, request, Some(list), rest)
        }
        ["CredentialLists", rest @ ..] => credentials::LISTS.answer(store, request, None, rest),
        ["IpAccessControlLists", list, "IpAddresses", rest @ ..] => {
            parent(store, Kind::AccessList, list)?;
            access_lists::ADDRESSES.answer(store, request, Some(list), rest)
        }
        ["IpAccessControlLists", rest @ ..] => access_lists::LISTS.answer(store, request, None, rest),
        _ => Err(missing()),
    }
}
