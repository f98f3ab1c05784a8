//! `gateway extension list`, `gateway extension rotate NAME`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::account::{self, Purpose};
use super::arguments::Trace;
use super::{Done, apply, failed};
use gateway_account::account::Scope;
use gateway_account::lists;

pub(super) fn list(path: &Path, json: bool) -> Done {
    let config = super::load(path)?;
    let store = super::open_store(&config)?;
    let secrets = super::told(store.secrets().map_err(failed)?);
    let owned = super::told(store.owned().map_err(failed)?);
    let environments: Vec<&str> = config.environments.iter().map(|one| one.name.as_str()).collect();
    let at_twilio = |extension: &str| -> Vec<&str> {
        let is_there = |environment: &&str| {
            lists::credential(&owned, environment, extension).is_some_and(|record| record.sid.is_some())
        };
        environments.iter().copied().filter(is_there).collect()
    };
    if json {
        let one = |extension: &gateway_core::config::Extension| {
            json!({
                "name": extension.name,
                "caller_id": extension.caller_id,
                "has_password": secrets.extensions.contains_key(&extension.name),
                "environments": at_twilio(&extension.name),
            })
        };
        let all: Vec<_> = config.extensions.iter().map(one).collect();
        super::print(&format!("{:#}\n", json!(all)));
        return Ok(());
    }
    let mut rows = vec![["extension", "caller id", "phone's password", "at Twilio in"].map(str::to_owned)];
    for extension in &config.extensions {
        let password = match secrets.extensions.contains_key(&extension.name) {
            true => "yes",
            false => "not yet: run \"gateway setup\"",
        };
        rows.push([
            extension.name.clone(),
            extension.caller_id.clone().unwrap_or_default(),
            password.to_owned(),
            at_twilio(&extension.name).join(", "),
        ]);
    }
    super::print(&super::status::columns(&rows));
    Ok(())
}

/// A new password at Twilio: on disk beside the former one first, then in the running service, then there; then the
/// former one is dropped. Where that was stopped, the new one that it was about is brought to its end.
pub(super) fn rotate(path: &Path, environment: Option<&str>, name: &str, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Change, trace)?;
    if opened.config.extension(name).is_none() && opened.config.site.user != name {
        return Err(failed(super::no_extension(&opened.config, path, name)));
    }
    let environment = account::environment(&opened.config, environment)?;
    let credential = lists::credential(&opened.owned, &environment, name).filter(|record| record.sid.is_some());
    let Some(credential) = credential.map(|record| record.id.clone()) else {
        let list = lists::resource_name(&opened.config, &environment);
        return Err(failed(format!("{} was not made yet; run \"gateway apply\"", lists::id(&list, name))));
    };
    opened.mint();
    opened.secrets.rotate(name, &environment, &mut opened.random);
    opened.save_secrets()?;
    let mut plan = opened.account().plan(&Scope::Environment(environment.clone()), &BTreeSet::new()).map_err(failed)?;
    // Whatever else there is to change was not asked for.
    plan.changes.retain(|change| change.id() == credential);
    apply::make_quietly(&mut opened, &plan)?;
    let (who, phone) = match opened.config.extension(name) {
        Some(_) => ("extension", ", the phone's own password is what it was"),
        None => ("your box", ""),
    };
    super::print(&format!(
        "{who} {name} has another password at Twilio in environment {environment}: calls in progress go on{phone}\n"
    ));
    Ok(())
}
