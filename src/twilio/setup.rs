//! `gateway setup`: from a config and a token to a finished account, and safe to run again at any time.

use std::io::{self, Write};

use serde_json::Value;

use super::api::{Api, ApiError};
use super::apply::{Applier, ApplyError};
use super::model::Wish;
use super::plan::{Change, Plan, diff};
use super::{ACCOUNT, actual};
use crate::config::Config;
use crate::random::Random;
use crate::store::{Owned, Secrets, Store, StoreError};

/// What set-up works on. Secrets and records were loaded, and the store locked, by the caller.
pub struct Setup<'a> {
    pub config: &'a Config,
    pub store: &'a Store,
    pub secrets: Secrets,
    pub owned: Owned,
    pub api: &'a mut dyn Api,
    /// For new passwords.
    pub random: &'a mut Random,
    /// Where a person reads what happens.
    pub out: &'a mut dyn Write,
    /// Shown the plan, says whether to go on.
    pub confirm: &'a mut dyn FnMut() -> bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account was as the config wants it.
    Unchanged,
    /// So many changes were made.
    Applied(usize),
    /// A person said no.
    Declined,
}

/// Why set-up stopped. What was done is recorded; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("account {sid} is {status}: Twilio takes no changes and no calls; see console.twilio.com")]
    Inactive { sid: String, status: String },
    #[error("writing the report failed: {0}")]
    Output(#[from] io::Error),
}

impl From<ApiError> for SetupError {
    fn from(error: ApiError) -> Self {
        SetupError::Apply(error.into())
    }
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        SetupError::Apply(error.into())
    }
}

impl Setup<'_> {
    /// Checks the account, plans, shows, asks, applies. Gives the outcome and the problems that no change can mend.
    pub fn run(mut self) -> Result<(Outcome, Vec<String>), SetupError> {
        self.check_account()?;
        // The token proved right: from here on it need not be given again. Passwords are on disk before Twilio has them.
        let environments: Vec<&str> = self.config.environments.iter().map(|e| e.name.as_str()).collect();
        self.secrets.mint(self.config.extensions.iter().map(|e| e.name.as_str()), &environments, self.random);
        self.store.save_secrets(&self.secrets)?;

        let scope: Vec<&str> = std::iter::once(ACCOUNT).chain(environments).collect();
        let mut owned = self.owned.clone();
        let wish = Wish { config: self.config, secrets: &self.secrets, owned: &owned, files: &[] };
        let desired = wish.desired(&scope);
        let actual = actual::read(self.api, &desired, &owned)?;
        let plan = diff(&desired, &actual, &owned);
        for note in &plan.notes {
            writeln!(self.out, "note: {note}")?;
        }
        if plan.changes.is_empty() {
            return Ok((Outcome::Unchanged, plan.problems));
        }
        writeln!(self.out, "plan:")?;
        for change in &plan.changes {
            writeln!(self.out, "  {change}")?;
        }
        if !(self.confirm)() {
            return Ok((Outcome::Declined, plan.problems));
        }
        let made = self.apply(&plan, &mut owned)?;
        Ok((Outcome::Applied(made), plan.problems))
    }

    fn check_account(&mut self) -> Result<(), SetupError> {
        let account = self.api.account()?;
        let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (status, kind) = (text("status"), text("type"));
        if status != "active" {
            return Err(SetupError::Inactive { sid: self.config.twilio.account_sid.clone(), status });
        }
        if kind == "Trial" {
            writeln!(self.out, "note: this is a trial account: it calls verified numbers only (32100)")?;
        }
        Ok(())
    }

    fn apply(&mut self, plan: &Plan, owned: &mut Owned) -> Result<usize, SetupError> {
        let Setup { store, api, out, .. } = self;
        let mut save = |owned: &Owned| store.save_owned(owned);
        let mut applier = Applier { api: &mut **api, owned, save: &mut save, pause: &mut std::thread::sleep };
        for (at, change) in plan.changes.iter().enumerate() {
            write!(out, "{}/{} {change} ... ", at + 1, plan.changes.len())?;
            out.flush()?;
            let made = applier.make(change);
            writeln!(out, "{}", if made.is_ok() { "done" } else { "failed" })?;
            made?;
        }
        Ok(plan.changes.iter().filter(|change| !matches!(change, Change::Forget(_))).count())
    }
}
