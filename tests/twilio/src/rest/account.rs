//! `Accounts/{AC}.json` and `Balance.json` (twilio.md 2.1 and 2.22).

use serde_json::{Value, json};

/// The account as its owner sees it.
pub fn account(sid: &str, token: &str) -> Value {
    let uri = format!("/2010-04-01/Accounts/{sid}");
    json!({
        "auth_token": token,
        "date_created": "Thu, 30 Jul 2015 20:00:00 +0000",
        "date_updated": "Thu, 30 Jul 2015 20:00:00 +0000",
        "friendly_name": "the simulator's account",
        "owner_account_sid": sid,
        "sid": sid,
        "status": "active",
        "subresource_uris": {
            "applications": format!("{uri}/Applications.json"),
            "incoming_phone_numbers": format!("{uri}/IncomingPhoneNumbers.json"),
        },
        "type": "Full",
        "uri": format!("{uri}.json"),
    })
}

/// What is left to spend; numbers are strings.
pub fn balance(sid: &str) -> Value {
    json!({ "account_sid": sid, "balance": "42.50", "currency": "USD" })
}
