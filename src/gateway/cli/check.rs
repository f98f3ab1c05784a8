//! `gateway check [FILE]`

use std::collections::BTreeSet;
use std::path::Path;

use super::account::{self, Opened, Purpose};
use super::arguments::Trace;
use super::show::Colours;
use super::{Done, failed};
use crate::config_file;
use crate::memory;
use crate::net::descriptors::Descriptors;
use crate::twilio::{hosted_folder, url_proof};
use gateway_account::account_status::AccountStatus;
use gateway_account::check::{self, Finding, Severity, observed};
use gateway_account::hosted::unplayable;
use gateway_core::config::Environment;
use gateway_core::plain::plain_lines;
use gateway_core::twiml::NONCE_PATH;
use gateway_core::twiml::proof::proof;
use gateway_core::url::Url;

/// Random bytes of a nonce.
const NONCE_BYTES: usize = 16;

pub(super) fn run(file: &Path) -> Done {
    let mut config = super::load(file)?;
    config_file::sound::read(&mut config.emergency).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    let (extensions, numbers) = (config.extensions.len(), config.numbers.len());
    super::warn(&config.warnings());
    super::warn(&gateway_core::trunk::second_edge_warning(&config.trunk).into_iter().collect::<Vec<_>>());
    if let Some(folder) = &config.hosted.assets {
        match hosted_folder::scan(folder) {
            Ok(files) => super::warn(&unplayable(&files).into_iter().collect::<Vec<_>>()),
            Err(error) => super::warn(&[error.to_string()]),
        }
    }
    super::warn(&memory::hold(&mut config, &Descriptors::default()).into_iter().collect::<Vec<_>>());
    let doors = config.open_doors();
    if !doors.is_empty() {
        return Err(doors.iter().map(|door| format!("{}: {door}", file.display())).collect());
    }
    super::print(&format!("{}: no mistakes; extensions: {extensions}, numbers: {numbers}\n", file.display()));
    Ok(())
}

/// `gateway check --account`
pub(super) fn account(path: &Path, environment: Option<&str>, json: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Look, trace)?;
    let scope = account::scope(&opened.config, environment)?;
    let config = opened.config.clone();
    let is_meant = |one: &&Environment| environment.is_none_or(|name| one.name == name);
    let environments: Vec<&Environment> = config.environments.iter().filter(is_meant).collect();
    // The other environments' URLs lead to other boxes.
    let here = environments.iter().find(|one| one.name == config.site.environment);
    let reached = here.and_then(|here| Some((here.name.clone(), reach(&mut opened, here)?)));
    // After that: the service knows nothing of what is minted here.
    opened.mint();
    let mut observed = observed::read(&mut opened.client, &config, &environments).map_err(failed)?;
    observed.has_key = opened.secrets.api_key.is_some();
    match opened.account().plan(&scope, &BTreeSet::new()) {
        Ok(plan) => observed.plan = Some(plan),
        Err(error) => observed.unread.push(("the plan", error.to_string())),
    }
    if let Some(token) = opened.secrets.auth_token.clone() {
        observed.has_token = true;
        // What a key may not ask; the last requests of this client.
        opened.client.authenticate(&config.twilio.account_sid, &token);
        match AccountStatus::read(&mut opened.client) {
            Ok(standing) => observed.standing = Some(standing),
            Err(error) => observed.unread.push(("the account", error.to_string())),
        }
    }
    observed.reach.extend(reached);
    let findings = check::findings(&config, &environments, &opened.owned, &observed);
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

/// Whether the public URL leads to this box; `None` before set-up has minted what the answer is made of.
pub(super) fn reach(opened: &mut Opened, environment: &Environment) -> Option<Result<(), String>> {
    if environment.public_url.is_empty() {
        return Some(Err("the tunnel has not told it yet; see \"gateway tunnel status\"".to_owned()));
    }
    let nonce = opened.random.hex(NONCE_BYTES);
    let expected = proof(&opened.secrets, &nonce)?;
    let path = format!("{NONCE_PATH}{nonce}");
    let url = &environment.public_url;
    if Url::parse(url).is_some_and(|url| url.is_https())
        && let Err(error) = opened.client.wait_for_time(&format!("GET {url}"))
    {
        return Some(Err(error.to_string()));
    }
    let (ca_file, clock) = (opened.config.twilio.ca_file.as_deref(), opened.client.time());
    Some(url_proof::fetch(url, &path, ca_file, clock, |answer| answer == expected).map_err(|error| error.to_string()))
}

/// Three lines each.
fn text(findings: &[Finding], colours: Colours) -> String {
    if findings.is_empty() {
        return "nothing to mend: lists, domains, numbers, extensions, addresses and URLs fit together\n".to_owned();
    }
    let mut text = String::new();
    for Finding { severity, what, breaks, mend } in findings {
        // What stands at Twilio is not for the terminal to obey.
        let [what, breaks, mend] = [what, breaks, mend].map(|part| plain_lines(part));
        let title = match severity {
            Severity::Error => colours.red(&severity.to_string()),
            Severity::Warning => colours.yellow(&severity.to_string()),
            Severity::Info => severity.to_string(),
        };
        text.push_str(&format!("{title}: {what}\n  breaks: {breaks}\n  mend:   {mend}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_three_lines_and_only_its_severity_has_a_colour() {
        let finding = Finding {
            severity: Severity::Error,
            what: "it is\x1b[2J so".to_owned(),
            breaks: "calls".to_owned(),
            mend: "do this".to_owned(),
        };
        let lines = "error: it is[2J so\n  breaks: calls\n  mend:   do this\n";
        assert_eq!(text(std::slice::from_ref(&finding), Colours::Off), lines);
        assert_eq!(text(&[finding], Colours::On), lines.replacen("error", "\x1b[31merror\x1b[0m", 1));
        assert!(text(&[], Colours::Off).starts_with("nothing to mend"));
    }
}
