//! `gateway number list|find|buy|release`

use std::path::Path;

use serde_json::json;

use super::account::{self, Opened, Purpose};
use super::arguments::Trace;
use super::{Done, Number, apply, failed};
use gateway_account::api::ApiError;
use gateway_account::model::Kind;
use gateway_account::numbers::{self, Bought, Owned, Search};

pub(super) fn run(path: &Path, what: Number) -> Done {
    match what {
        Number::List { json, trace } => list(path, json, trace),
        Number::Find { country, area_code, contains, toll_free, json, trace } => {
            let search = search(&country, area_code, contains, toll_free)?;
            find(path, &search, json, trace)
        }
        Number::Buy { number, yes, trace } => buy(path, &checked(&number)?, yes, trace),
        Number::Release { number, yes, trace } => release(path, &checked(&number)?, yes.as_deref(), trace),
    }
}

/// E.164: `+` and 2–15 digits.
fn checked(number: &str) -> Result<String, Vec<String>> {
    let digits = number.strip_prefix('+').unwrap_or_default();
    match (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(number.to_owned()),
        false => Err(failed(format!("{number:?} is not E.164; write it like +15035550123"))),
    }
}

/// What goes into a URL is checked before.
fn search(
    country: &str,
    area_code: Option<String>,
    contains: Option<String>,
    toll_free: bool,
) -> Result<Search, Vec<String>> {
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(failed(format!("--country {country:?} is not an ISO 3166 code; write for example US")));
    }
    if let Some(code) = area_code.as_ref().filter(|c| c.len() != 3 || !c.bytes().all(|b| b.is_ascii_digit())) {
        return Err(failed(format!("--area-code {code:?} is not three digits; write for example 503")));
    }
    if let Some(part) = contains.as_ref().filter(|part| part.chars().count() < 2) {
        return Err(failed(format!("--contains {part:?} is too short: Twilio wants two characters or more")));
    }
    Ok(Search { country: country.to_ascii_uppercase(), area_code, contains, toll_free })
}

/// What a number leads to, for people and programs.
fn leads_to(number: &Owned, opened: &Opened, apps: &[(String, String)]) -> String {
    // A trunk goes before an app, an app before the number's own URL (TWILIO.md "Voice settings of a number").
    let set = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    if let Some(trunk) = set(&number.trunk_sid) {
        return format!("trunk {trunk}");
    }
    if let Some(app) = set(&number.voice_application_sid) {
        let ours = opened.owned.iter().find(|r| r.id.kind == Kind::Application && r.sid.as_deref() == Some(&app));
        if let Some(record) = ours {
            return format!("environment {}", record.environment);
        }
        return match apps.iter().find(|(sid, _)| *sid == app) {
            Some((_, name)) => format!("TwiML app {name} (not ours)"),
            None => format!("TwiML app {app} (not ours)"),
        };
    }
    match set(&number.voice_url) {
        Some(url) => gateway_core::url::masked(&url),
        None => "nothing".to_owned(),
    }
}

fn list(path: &Path, json: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Look, trace)?;
    let all = numbers::list(&mut opened.client).map_err(failed)?;
    let apps = apps(&mut opened).map_err(failed)?;
    let rings = |number: &str| opened.config.number(number).map(|number| number.ring.join(", "));
    if json {
        let one = |number: &Owned| {
            json!({
                "number": number.phone_number,
                "sid": number.sid,
                "friendly_name": number.friendly_name,
                "leads_to": leads_to(number, &opened, &apps),
                "in_config": opened.config.number(&number.phone_number).is_some(),
                "rings": opened.config.number(&number.phone_number).map(|number| number.ring.clone()),
                "emergency_address": number.emergency_address_sid,
                "emergency_address_status": number.emergency_address_status,
                "voice": number.has_voice(),
            })
        };
        super::print(&format!("{:#}\n", json!(all.iter().map(one).collect::<Vec<_>>())));
        return Ok(());
    }
    if all.is_empty() {
        super::print("the account has no numbers; \"gateway number find\" shows what can be bought\n");
        return Ok(());
    }
    let mut rows = vec![["number", "name", "leads to", "rings", "emergency address"].map(str::to_owned)];
    for number in &all {
        rows.push([
            number.phone_number.clone(),
            number.friendly_name.clone().unwrap_or_default(),
            leads_to(number, &opened, &apps),
            rings(&number.phone_number).unwrap_or_else(|| "(not in the config)".to_owned()),
            number.emergency_address_status.clone().unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    super::print(&super::status::columns(&rows));
    Ok(())
}

/// SIDs and names of all apps.
fn apps(opened: &mut Opened) -> Result<Vec<(String, String)>, ApiError> {
    use gateway_account::api::Api;
    let text = |app: &serde_json::Value, name: &str| app.get(name)?.as_str().map(str::to_owned);
    let all = opened.client.list(&Kind::Application.collection(None), Kind::Application.schema().records)?;
    Ok(all.iter().filter_map(|app| Some((text(app, "sid")?, text(app, "friendly_name")?))).collect())
}

fn find(path: &Path, search: &Search, json: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Look, trace)?;
    let found = numbers::find(&mut opened.client, search).map_err(failed)?;
    if json {
        super::print(&format!("{:#}\n", json!(found)));
        return Ok(());
    }
    if found.is_empty() {
        super::print("Twilio has no such number; try another area code\n");
        return Ok(());
    }
    let mut rows = vec![["number", "place", "address that Twilio wants"].map(str::to_owned)];
    for number in &found {
        let place = [&number.locality, &number.region, &number.iso_country];
        let place: Vec<&str> =
            place.into_iter().flatten().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let address = number.address_requirements.clone().unwrap_or_default();
        rows.push([number.phone_number.clone(), place.join(", "), address]);
    }
    super::print(&super::status::columns(&rows));
    super::print(&format!("\"gateway number buy {}\" buys one\n", found[0].phone_number));
    Ok(())
}

fn buy(path: &Path, number: &str, yes: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Change, trace)?;
    let question = format!(
        "buy {number}? It costs every month until it is released (a US number about $1.15, toll-free $2.15; see \
         twilio.com/pricing)."
    );
    if !yes && !apply::agreed(&question, &format!("gateway number buy {number} --yes"))? {
        super::print("nothing was bought\n");
        return Ok(());
    }
    match numbers::buy(&mut opened.client, number).map_err(failed)? {
        Bought::Now(_) => super::print(&format!("{number} is bought\n")),
        Bought::Before(_) => super::print(&format!("{number} is in the account already; nothing was bought\n")),
    }
    if opened.config.number(number).is_none() {
        super::print(&format!(
            "now write into {} what it rings, and run \"gateway apply\":\n\n[[number]]\nnumber = \"{number}\"\nring = \
             [{}]\n",
            path.display(),
            opened.config.extensions.first().map(|one| format!("\"{}\"", one.name)).unwrap_or_default()
        ));
    } else {
        super::print("it is in the config: run \"gateway apply\"\n");
    }
    Ok(())
}

fn release(path: &Path, number: &str, yes: Option<&str>, trace: Trace) -> Done {
    if let Some(other) = yes.filter(|yes| *yes != number) {
        return Err(failed(format!("--yes {other} is not {number}; nothing was changed")));
    }
    let mut opened = account::open(path, Purpose::Change, trace)?;
    if opened.config.number(number).is_some() {
        return Err(failed(format!(
            "{number} is in {}; remove its [[number]] there and run \"gateway apply\" first",
            path.display()
        )));
    }
    if numbers::one(&mut opened.client, number).map_err(failed)?.is_none() {
        return Err(failed(numbers::NumberError::NotOurs(number.to_owned())));
    }
    if yes.is_none() {
        if !account::is_interactive() {
            let way = format!("gateway number release {number} --yes {number}");
            return Err(failed(format!("nothing was changed: this is no terminal to ask on; run \"{way}\"")));
        }
        let question = format!("Anybody can buy {number} then, and nothing brings it back.");
        if !account::confirm_by_name(&question, number) {
            super::print("nothing was changed\n");
            return Ok(());
        }
    }
    numbers::release(&mut opened.client, number).map_err(failed)?;
    super::print(&format!("{number} is released\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e164_numbers_are_bought_and_released() {
        assert_eq!(checked("+15035550123").unwrap(), "+15035550123");
        for wrong in ["15035550123", "+", "+1503555O123", "+1234567890123456", "+1/../Accounts"] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_search_that_twilio_would_not_take_is_told_before() {
        assert!(search("us", Some("503".into()), Some("55".into()), false).is_ok());
        for (country, area, contains) in [("USA", None, None), ("US", Some("50"), None), ("US", None, Some("5"))] {
            assert!(search(country, area.map(str::to_owned), contains.map(str::to_owned), false).is_err());
        }
    }
}
