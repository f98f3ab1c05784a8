//! `Accounts/{AC}.json` and `Balance.json` (TWILIO.md "Account standing").

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::family::value;
use super::page::page;
use super::resource::{Form, Param, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};

/// The price of a number, in cents for each month (TWILIO.md "Buying a number").
pub const NUMBER_CENTS: i64 = 115;

/// What can be different about the account itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountState {
    /// `Trial` or `Full`.
    pub r#type: String,
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// For people.
    pub friendly_name: String,
    /// What is left to spend, in cents.
    pub balance_cents: i64,
    /// How many numbers were ever bought, each of them billed.
    pub numbers_bought: u32,
    /// What calls and numbers have cost, in cents: usage category `totalprice`.
    pub spent_cents: i64,
}

impl Default for AccountState {
    fn default() -> Self {
        Self {
            r#type: "Full".to_owned(),
            status: "active".to_owned(),
            friendly_name: "the simulator's account".to_owned(),
            balance_cents: 4250,
            numbers_bought: 0,
            spent_cents: 0,
        }
    }
}

const PARAMS: &[Param] =
    &[param("FriendlyName", Form::Text(64)), param("Status", Form::OneOf(&["active", "suspended", "closed"]))];

/// Answers `Accounts/{AC}.json`.
pub fn route(store: &mut Store, request: &RestRequest, token: &str) -> Reply {
    match request.method.as_str() {
        "GET" => {}
        "POST" => {
            let mut fields = object(json!({}));
            store.apply(PARAMS, &request.form, &mut fields)?;
            for (field, own) in
                [("FriendlyName", &mut store.account.friendly_name), ("Status", &mut store.account.status)]
            {
                let new = value(&request.form, field);
                if !new.is_empty() {
                    *own = new.to_owned();
                }
            }
        }
        method => return Err(RestError::method(method)),
    }
    Ok((200, Some(account(store, token))))
}

/// Answers `Accounts.json`: the one account.
pub fn list(store: &mut Store, request: &RestRequest, token: &str) -> Reply {
    if request.method != "GET" {
        // Subaccounts are not built.
        return Err(RestError::method(&request.method));
    }
    let body = page(&request.path, &request.query, "accounts", &[account(store, token)])?;
    Ok((200, Some(body)))
}

/// The account as its owner sees it.
fn account(store: &Store, token: &str) -> Value {
    let AccountState { r#type, status, friendly_name, .. } = &store.account;
    let families = [
        ("addresses", "Addresses"),
        ("applications", "Applications"),
        ("available_phone_numbers", "AvailablePhoneNumbers"),
        ("balance", "Balance"),
        ("calls", "Calls"),
        ("incoming_phone_numbers", "IncomingPhoneNumbers"),
        ("keys", "Keys"),
        ("outgoing_caller_ids", "OutgoingCallerIds"),
    ];
    let links = families.map(|(name, path)| (name.to_owned(), json!(store.uri(&format!("{path}.json")))));
    json!({
        "auth_token": token,
        "date_created": "Thu, 30 Jul 2015 20:00:00 +0000",
        "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
        "friendly_name": friendly_name,
        "owner_account_sid": store.account_sid,
        "sid": store.account_sid,
        "status": status,
        "subresource_uris": Value::Object(links.into_iter().collect()),
        "type": r#type,
        "uri": format!("/2010-04-01/Accounts/{}.json", store.account_sid),
    })
}

/// What is left to spend; numbers are strings.
pub fn balance(store: &Store, method: &str) -> Reply {
    if method != "GET" {
        return Err(RestError::method(method));
    }
    let balance = dollars(store.account.balance_cents);
    Ok((200, Some(json!({ "account_sid": store.account_sid, "balance": balance, "currency": "USD" }))))
}

/// `1.15`
pub fn dollars(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}

/// A suspended account gets 20005; its HTTP status is not sure (TWILIO.md "Account standing"). Reading goes on.
pub fn check_active(store: &Store, method: &str, inner: &[&str]) -> Result<(), RestError> {
    if store.account.status == "active" || method == "GET" || inner.is_empty() {
        return Ok(());
    }
    let message = format!("Account {} is not active", store.account_sid);
    Err(RestError { status: 403, code: 20005, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_account_is_read_and_not_written() {
        let mut store = Store::new("AC1");
        store.account.status = "suspended".to_owned();
        assert!(check_active(&store, "GET", &["Applications"]).is_ok());
        assert_eq!(check_active(&store, "POST", &["Applications"]).unwrap_err().code, 20005);
        assert!(check_active(&store, "POST", &[]).is_ok(), "it can be made active again");
    }

    #[test]
    fn cents_are_written_as_dollars() {
        assert_eq!([dollars(4250), dollars(-5), dollars(115)], ["42.50", "-0.05", "1.15"]);
    }
}
