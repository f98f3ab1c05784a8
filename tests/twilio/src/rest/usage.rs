//! Usage records and the triggers on them (TWILIO.md "Usage triggers", TWILIO.md "Usage trigger callback").

use std::sync::Arc;

use serde_json::{Value, json};

use super::account::dollars;
use super::family::{Family, Pairs, note_unknown, require, value};
use super::page::page;
use super::resource::{Form, Kind, Param, object, param};
use super::serve::{Reply, RestRequest};
use super::{RestError, Store};
use crate::date;
use crate::form::decode;
use crate::journal::Event;
use crate::twilio::Twilio;
use crate::webhook::ask::{Target, ask};

/// The triggers.
pub const TRIGGERS: Family = Family {
    kind: Kind::UsageTrigger,
    key: "usage_triggers",
    filters: &["Recurring", "TriggerBy", "UsageCategory"],
    create: Some(create),
    update: Some(update),
    delete: Some(|store, parent, sid| {
        store.remove(Kind::UsageTrigger, parent, sid);
        Ok(())
    }),
};

const UPDATE: &[Param] =
    &[param("CallbackMethod", Form::Method), param("CallbackUrl", Form::Url), param("FriendlyName", Form::Text(64))];
const PARAMS: &[Param] = &[
    param("CallbackMethod", Form::Method),
    param("CallbackUrl", Form::Url),
    param("FriendlyName", Form::Text(64)),
    param("Recurring", Form::OneOf(&["daily", "monthly", "yearly", "alltime"])),
    param("TriggerBy", Form::OneOf(&["count", "usage", "price"])),
    param("TriggerValue", Form::Unshown),
    param("UsageCategory", Form::Text(64)),
];

/// TWILIO.md "Usage triggers": up to 1000 triggers per account.
const MAX: usize = 1000;
/// TWILIO.md "Usage triggers": callback retried 3 times quickly on 5xx.
const RETRIES: usize = 3;
/// The code of a trigger that cannot be; not sure.
const INVALID: u32 = 20001;

fn create(store: &mut Store, parent: Option<&str>, form: &Pairs) -> Result<Value, RestError> {
    require(form, &["CallbackUrl", "TriggerValue", "UsageCategory"], INVALID)?;
    if store.all(Kind::UsageTrigger, None).len() >= MAX {
        return Err(RestError::bad(INVALID, "Maximum usage triggers reached"));
    }
    let sid = store.sid("UT");
    let category = value(form, "UsageCategory").to_owned();
    let current = usage(store, &category);
    let mut fields = object(json!({
        "account_sid": store.account_sid,
        "api_version": "2010-04-01",
        "callback_method": "POST",
        "callback_url": null,
        "current_value": format!("{current}"),
        "date_created": date::now(),
        "date_fired": null,
        "date_updated": date::now(),
        "friendly_name": null,
        "recurring": "alltime",
        "sid": sid,
        "trigger_by": "usage",
        "trigger_value": null,
        "uri": store.uri(&format!("Usage/Triggers/{sid}.json")),
        "usage_category": category,
        "usage_record_uri": store.uri(&format!("Usage/Records.json?Category={category}")),
    }));
    store.apply(PARAMS, form, &mut fields)?;
    let text = value(form, "TriggerValue");
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let number = number.ok_or_else(|| RestError::bad(INVALID, format!("TriggerValue {text} is not a number")))?;
    // `+30` is relative to the usage now; it comes back as 1000.000000 (TWILIO.md "Usage triggers").
    let limit = if text.starts_with('+') { current + number } else { number };
    fields.insert("trigger_value".to_owned(), json!(format!("{limit:.6}")));
    Ok(store.add(Kind::UsageTrigger, parent, sid, fields))
}

/// Only what the spec's body of the update has; the value of a trigger cannot be changed.
fn update(store: &mut Store, parent: Option<&str>, sid: &str, form: &Pairs) -> Result<Value, RestError> {
    let mut fields = store.fields(Kind::UsageTrigger, parent, sid)?;
    store.apply(UPDATE, form, &mut fields)?;
    Ok(store.change(Kind::UsageTrigger, sid, fields))
}

/// What was used of a category, in its own unit.
fn usage(store: &Store, category: &str) -> f64 {
    match category {
        "totalprice" => store.account.spent_cents as f64 / 100.0,
        "phonenumbers" => store.all(Kind::Number, None).len() as f64,
        "calls" => store.all(Kind::Call, None).len() as f64,
        _ => 0.0,
    }
}

/// Answers `Usage/Records...`.
pub fn records(store: &mut Store, request: &RestRequest, period: &[&str]) -> Reply {
    const PERIODS: [&str; 8] =
        ["AllTime", "Daily", "LastMonth", "Monthly", "ThisMonth", "Today", "Yearly", "Yesterday"];
    if !matches!(period, []) && !matches!(period, [one] if PERIODS.contains(one)) {
        return Err(RestError::not_found(&request.path));
    }
    if request.method != "GET" {
        return Err(RestError::method(&request.method));
    }
    let query = decode(&request.query);
    note_unknown(store, &query, &["Category", "StartDate", "EndDate", "IncludeSubaccounts"]);
    let today = date::day();
    let all = [
        ("calls", "Voice Minutes", "minutes"),
        ("phonenumbers", "Phone Numbers", "numbers"),
        ("totalprice", "Total Price", "usd"),
    ];
    let wanted = value(&query, "Category");
    let records = all.into_iter().filter(|(category, ..)| ["", *category].contains(&wanted));
    let records: Vec<Value> = records
        .map(|(category, description, unit)| {
            let used = usage(store, category);
            let uri = |period: &str| store.uri(&format!("Usage/Records{period}.json?Category={category}"));
            let links = PERIODS.map(|period| (super::resource::snake(period), json!(uri(&format!("/{period}")))));
            json!({
                "account_sid": store.account_sid,
                "api_version": "2010-04-01",
                "as_of": format!("{today}T00:00:00+00:00"),
                "category": category,
                "count": format!("{used}"),
                "count_unit": if category == "totalprice" { "" } else { category },
                "description": description,
                "end_date": today,
                "price": if category == "totalprice" { used } else { 0.0 },
                "price_unit": "usd",
                "start_date": today,
                "subresource_uris": Value::Object(links.into_iter().collect()),
                "uri": uri(""),
                "usage": format!("{used}"),
                "usage_unit": unit,
            })
        })
        .collect();
    page(&request.path, &request.query, "usage_records", &records).map(|body| (200, Some(body)))
}

/// A trigger fires with that usage: the callback with its retries (TWILIO.md "Usage trigger callback"). Gives the last
/// HTTP status, 0 for none.
pub async fn fire(twilio: &Arc<Twilio>, sid: &str, current: Option<f64>) -> Result<u16, RestError> {
    let (target, params) = {
        let mut store = twilio.store();
        let mut fields = store.fields(Kind::UsageTrigger, None, sid)?;
        let current = current.unwrap_or_else(|| dollars(store.account.spent_cents).parse().unwrap_or(0.0));
        let fired = date::now();
        fields.insert("current_value".to_owned(), json!(format!("{current}")));
        fields.insert("date_fired".to_owned(), json!(fired));
        store.replace(Kind::UsageTrigger, sid, fields.clone());
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let account = text("account_sid");
        let params = [
            ("AccountSid", account.clone()),
            ("UsageTriggerSid", sid.to_owned()),
            ("DateFired", fired),
            ("Recurring", text("recurring")),
            ("UsageCategory", text("usage_category")),
            ("TriggerBy", text("trigger_by")),
            ("TriggerValue", text("trigger_value")),
            ("CurrentValue", text("current_value")),
            ("UsageRecordUri", text("usage_record_uri")),
            ("IdempotencyToken", format!("{account}-FIRES-{sid}-{}", date::day())),
        ];
        let params: Vec<_> = params.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        (Target { url: text("callback_url"), method: text("callback_method") }, params)
    };
    let mut status = 0;
    for _ in 0..=RETRIES {
        match ask(twilio, &target, &params).await {
            Ok(answer) => status = answer.status,
            Err(failure) => {
                let (error, url) = (failure.code, target.url.clone());
                twilio.journal.write(Event::WebhookFailed { url, call: String::new(), error, text: failure.text });
            }
        }
        if (1..500).contains(&status) {
            break;
        }
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::super::family::tests::pairs;
    use super::*;

    #[test]
    fn a_trigger_value_may_be_relative_and_is_shown_with_six_places() {
        let mut store = Store::new("AC1");
        store.account.spent_cents = 1250;
        let make = |store: &mut Store, value: &str| {
            let form = [("CallbackUrl", "https://x/y"), ("TriggerValue", value), ("UsageCategory", "totalprice")];
            create(store, None, &pairs(&form))
        };
        assert_eq!(make(&mut store, "1000").unwrap()["trigger_value"], "1000.000000");
        assert_eq!(make(&mut store, "+30").unwrap()["trigger_value"], "42.500000");
        assert!(make(&mut store, "much").is_err());
    }

    #[test]
    fn the_value_of_a_trigger_stays() {
        let mut store = Store::new("AC1");
        let form = [("CallbackUrl", "https://x/y"), ("TriggerValue", "5"), ("UsageCategory", "totalprice")];
        let made = create(&mut store, None, &pairs(&form)).unwrap();
        let form = pairs(&[("TriggerValue", "9"), ("FriendlyName", "limit")]);
        let changed = update(&mut store, None, made["sid"].as_str().unwrap(), &form).unwrap();
        assert_eq!((&changed["trigger_value"], &changed["friendly_name"]), (&json!("5.000000"), &json!("limit")));
        assert_eq!(store.unknown_parameters, ["TriggerValue"]);
    }
}
