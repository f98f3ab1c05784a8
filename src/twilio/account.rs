//! What can be done with an account: plan, apply, undo, promote, destroy. The commands in [`crate::cli`] are thin layers
//! over this; so are set-up and the drift check of the running service.

use std::collections::BTreeSet;
use std::time::Duration;

use super::api::{Api, ApiError};
use super::apply::ApplyError;
use super::plan::{Change, Plan};
use crate::config::Config;
use crate::store::{Owned, Secrets, Store, StoreError};

/// An account with our records of it. Secrets and records were loaded, and the store locked, by the caller (a plan alone
/// needs no lock).
pub struct Account<'a> {
    pub config: &'a Config,
    pub store: &'a Store,
    pub secrets: Secrets,
    pub owned: Owned,
    pub api: &'a mut dyn Api,
    /// Waits, between looks at something that takes time at Twilio.
    pub pause: &'a mut dyn FnMut(Duration),
}

/// What happens while changes are made.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The `at`th of `of` begins.
    Begins { at: usize, of: usize, change: &'a Change },
    /// It waits for Twilio: a sentence.
    Waits { reason: String },
    /// It is done.
    Done,
    /// It failed; the error is returned.
    Failed,
}

/// Is told what happens.
pub type Listener<'a> = &'a mut dyn FnMut(Progress<'_>);

/// Why it stopped. What was done is recorded; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("account {sid} is {status}: Twilio takes no changes and no calls; see console.twilio.com")]
    Inactive { sid: String, status: String },
    #[error("there is no environment {name:?} in the config; it has {}", .known.join(", "))]
    NoEnvironment { name: String, known: Vec<String> },
    #[error("{name} has not been promoted to anything that could be stepped back from")]
    NotPromoted { name: String },
    #[error("there is nothing to undo: the last apply was undone, or none was made here")]
    NothingToUndo,
    #[error(transparent)]
    Hosted(#[from] super::hosted::HostedError),
}

impl From<ApiError> for AccountError {
    fn from(error: ApiError) -> Self {
        AccountError::Apply(error.into())
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        AccountError::Apply(error.into())
    }
}

/// What a plan is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All environments of the config, and what they share.
    All,
    /// One environment, and what all share.
    Environment(String),
}

impl Account<'_> {
    /// What leads from the account as it is to what the config says. `buy` holds the numbers that may be bought. Reads
    /// only.
    pub fn plan(&mut self, scope: &Scope, buy: &BTreeSet<String>) -> Result<Plan, AccountError> {
        let _ = (scope, buy);
        todo!()
    }

    /// What leads to an account without what is ours in an environment (and, when it is the last one, without what all
    /// share). The environment need not be in the config any more. Reads only.
    pub fn plan_destroy(&mut self, environment: &str) -> Result<Plan, AccountError> {
        let _ = environment;
        todo!()
    }

    /// What leads back to the account as it was before the last apply, as sentences in the order in which it is done.
    pub fn plan_undo(&self) -> Result<Vec<String>, AccountError> {
        todo!()
    }

    /// Makes the changes of a plan. Gives the number of those that were requests to Twilio.
    pub fn apply(&mut self, plan: &Plan, listener: Listener<'_>) -> Result<usize, AccountError> {
        let _ = (plan, listener);
        todo!()
    }

    /// Goes back over the last apply; may be stopped anywhere and run again. Gives the number of steps.
    pub fn undo(&mut self, listener: &mut dyn FnMut(&str)) -> Result<usize, AccountError> {
        let _ = listener;
        todo!()
    }

    /// Records that `to` runs what `from` runs now (URLs and hosted build); the next plan of `to` leads there.
    pub fn promote(&mut self, from: &str, to: &str) -> Result<(), AccountError> {
        let _ = (from, to);
        todo!()
    }

    /// Takes the last promotion of an environment back; the next plan of it leads there.
    pub fn step_back(&mut self, environment: &str) -> Result<(), AccountError> {
        let _ = environment;
        todo!()
    }
}
