//! `gateway check [FILE]`

use std::collections::BTreeSet;
use std::path::Path;

use super::account::{self, Purpose};
use super::show::Colours;
use super::{Done, failed};
use crate::config::Environment;
use crate::twilio::check::{self, Finding, Severity, seen};
use crate::twilio::standing::Standing;

pub(super) fn run(file: &Path) -> Done {
    let config = super::load(file)?;
    let (extensions, numbers) = (config.extensions.len(), config.numbers.len());
    super::print(&format!("{}: no mistakes; extensions: {extensions}, numbers: {numbers}\n", file.display()));
    Ok(())
}

/// `gateway check --account`
pub(super) fn account(path: &Path, environment: Option<&str>, json: bool, trace: bool) -> Done {
    let mut opened = account::open(path, Purpose::Look, trace)?;
    let scope = account::scope(&opened.config, environment)?;
    opened.mint();
    let config = opened.config.clone();
    let is_meant = |one: &&Environment| environment.is_none_or(|name| one.name == name);
    let environments: Vec<&Environment> = config.environments.iter().filter(is_meant).collect();
    let mut seen = seen::read(&mut opened.client, &config, &environments).map_err(failed)?;
    seen.has_key = opened.secrets.api_key.is_some();
    match opened.account().plan(&scope, &BTreeSet::new()) {
        Ok(plan) => seen.plan = Some(plan),
        Err(error) => seen.unread.push(("the plan", error.to_string())),
    }
    if let Some(token) = opened.secrets.auth_token.clone() {
        // What a key may not ask; the last requests of this client.
        opened.client.authenticate(&config.twilio.account_sid, &token);
        match Standing::read(&mut opened.client) {
            Ok(standing) => seen.standing = Some(standing),
            Err(error) => seen.unread.push(("the account", error.to_string())),
        }
    }
    let findings = check::findings(&config, &environments, &opened.owned, &seen);
    match json {
        true => super::print(&format!("{:#}\n", serde_json::json!(findings))),
        false => super::print(&text(&findings, Colours::of_stdout())),
    }
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        1 => Err(failed("1 finding is an error")),
        count => Err(failed(format!("{count} findings are errors"))),
    }
}

/// Three lines each.
fn text(findings: &[Finding], colours: Colours) -> String {
    if findings.is_empty() {
        return "nothing to mend: lists, domains, numbers, extensions, addresses and URLs fit together\n".to_owned();
    }
    let mut text = String::new();
    for Finding { severity, what, breaks, mend } in findings {
        let title = match severity {
            Severity::Error => colours.red(&severity.to_string()),
            Severity::Warning => colours.yellow(&severity.to_string()),
            Severity::Info => severity.to_string(),
        };
        text.push_str(&format!("{title}: {what}\n  breaks: {breaks}\n  mend:   {mend}\n"));
    }
    // What stands at Twilio is not for the terminal to obey; our own escapes are at the beginning of lines.
    text
}
