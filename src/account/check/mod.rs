//! What does not fit together at Twilio: each finding with what it breaks and how to fix it. [`observed::read`] reads,
//! [`findings`] is pure.

mod account;
mod domain;
mod number;
pub mod observed;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

use crate::owned::Owned;
use gateway_core::config::{Config, Environment};
use gateway_core::url::{Url, is_same, masked};
use observed::Observed;

/// The way out where the config is right and the account is not.
const APPLY: &str = "run \"gateway apply\"";

/// The way out where nobody answers in our place.
const FALLBACK: &str =
    "write fallback_url for this environment (into [webhook], or its [environment] table) and run \"gateway apply\"";

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody cannot call or be called.
    Error,
    /// It works, and will not always.
    Warning,
    /// Good to know.
    Info,
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// What does not work by it.
    pub breaks: String,
    /// What to do.
    pub mend: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        })
    }
}

/// A check in the making.
struct Check<'a> {
    config: &'a Config,
    owned: &'a Owned,
    observed: &'a Observed,
    findings: Vec<Finding>,
}

/// All findings, those that matter most first.
pub fn findings(config: &Config, environments: &[&Environment], owned: &Owned, observed: &Observed) -> Vec<Finding> {
    let mut check = Check { config, owned, observed, findings: Vec::new() };
    check.account();
    check.dialing();
    for environment in environments {
        check.domain(environment);
        check.numbers(environment);
        check.emergency(environment);
        check.reach(environment);
    }
    check.caller_ids();
    check.unused_numbers();
    check.plan();
    // Stable: within a severity in the order of the checks.
    check.findings.sort_by_key(|finding| finding.severity);
    check.findings
}

impl Check<'_> {
    fn add(&mut self, severity: Severity, what: String, breaks: impl Into<String>, mend: impl Into<String>) {
        // What was read at Twilio may hold URLs with credentials.
        let (what, breaks, mend) = (masked(&what), masked(&breaks.into()), masked(&mend.into()));
        self.findings.push(Finding { severity, what, breaks, mend });
    }

    fn error(&mut self, what: String, breaks: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Error, what, breaks, mend);
    }

    fn warning(&mut self, what: String, breaks: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Warning, what, breaks, mend);
    }

    fn info(&mut self, what: String, breaks: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Info, what, breaks, mend);
    }

    /// Where an environment's webhooks are: a promotion goes before the config.
    fn public_url<'b>(&'b self, environment: &'b Environment) -> &'b str {
        self.owned.urls(self.config, environment).0
    }
}

/// Whether a URL at Twilio is that path of a base; credentials in it do not count.
fn is_url(set: Option<&str>, base: &str, path: &str) -> bool {
    set.and_then(Url::parse).is_some_and(|url| is_same(&url.without_user_info(), &format!("{base}{path}")))
}

/// A field that holds something.
fn set(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}
