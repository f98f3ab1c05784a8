//! What can be done with an account: plan, apply, undo, promote, destroy. The commands in the program are thin layers
//! over this; so are set-up and the drift check of the running service.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api::{Api, ApiError};
use crate::apply::{Applier, ApplyError};
use crate::local::{Local, LocalError};
use crate::model::{Desired, Id, Kind, Wish};
use crate::owned::{Owned, Record};
use crate::plan::{self, Change, Held, Plan};
use crate::progress::{Listener, Progress};
use crate::{actual, undo};
use gateway_core::config::ACCOUNT;
use gateway_core::config::{Config, Environment, Number};
use gateway_core::secrets::Secrets;

/// An account with our records of it. Secrets and records were loaded, and the state folder locked, by the caller (a plan alone
/// needs no lock).
pub struct Account<'a> {
    pub config: &'a Config,
    pub local: &'a dyn Local,
    pub secrets: Secrets,
    pub owned: Owned,
    pub api: &'a mut dyn Api,
    /// Waits, between looks at something that takes time at Twilio.
    pub pause: &'a mut dyn FnMut(Duration),
}

/// Why it stopped. What was done is recorded; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("there is no environment {name:?} in the config; it has {}", .known.join(", "))]
    NoEnvironment { name: String, known: Vec<String> },
    #[error("{name} cannot be promoted to itself; name the environment to take from and the one to change")]
    Itself { name: String },
    #[error("{name} has not been promoted to anything that could be stepped back from")]
    NotPromoted { name: String },
    /// All else was made.
    #[error("{}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Left { errors: Vec<ApplyError> },
    #[error("Twilio took the new URL and still shows another one")]
    UrlNotTaken,
    #[error("there is nothing to undo: the last apply was undone, or none was made here")]
    NothingToUndo,
    #[error(transparent)]
    Hosted(#[from] crate::hosted::HostedError),
}

impl From<ApiError> for AccountError {
    fn from(error: ApiError) -> Self {
        AccountError::Apply(error.into())
    }
}

impl From<LocalError> for AccountError {
    fn from(error: LocalError) -> Self {
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
        let mut environments = match scope {
            Scope::All => self.environments(),
            Scope::Environment(name) => vec![self.known(name)?],
        };
        environments.push(ACCOUNT);
        let files = match &self.config.hosted.assets {
            Some(folder) => self.local.hosted_files(folder)?,
            None => Vec::new(),
        };
        let wish = Wish { config: self.config, secrets: &self.secrets, owned: &self.owned, files: &files };
        let desired = wish.desired(&environments);
        let actual = actual::read(self.api, &desired, &self.owned)?;
        let mut plan = plan::diff(&desired, &actual, &self.owned, buy);
        plan.notes.extend(self.without_url(scope));
        plan.notes.extend(self.moving_away(scope));
        plan.notes.extend(self.forgotten().into_iter().map(|name| {
            format!(
                "environment {name} is not in the config any more and is left as it is; \"gateway destroy --environment \
                 {name}\" removes what is ours in it"
            )
        }));
        Ok(plan)
    }

    /// What leads to an account without what is ours in an environment (and, when it is the last one, without what all
    /// share). The environment need not be in the config any more. Reads only. Bought numbers stay; they are released by
    /// name only.
    pub fn plan_destroy(&mut self, environment: &str) -> Result<Plan, AccountError> {
        if self.config.environment(environment).is_none() && !self.owned.has_environment(environment) {
            return Err(self.unknown(environment));
        }
        let others = |record: &&Record| ![environment, ACCOUNT].contains(&record.environment.as_str());
        let is_last = self.owned.iter().find(others).is_none();
        let mut desired = Desired::default();
        desired.environments.insert(environment.to_owned());
        if is_last {
            desired.environments.insert(ACCOUNT.to_owned());
        }
        let actual = actual::read(self.api, &desired, &self.owned)?;
        let mut plan = plan::diff(&desired, &actual, &self.owned, &BTreeSet::new());
        if is_last {
            // The key that makes these requests goes when no other is left to make.
            plan.changes.extend(self.owned.iter().filter(|record| record.id.kind == Kind::ApiKey).map(|record| {
                let Record { id, environment, sid, parent_sid, .. } = record.clone();
                match sid {
                    Some(sid) => Change::Remove(Held { id, environment, sid, parent_sid, content: BTreeMap::new() }),
                    None => Change::Forget(record.clone()),
                }
            }));
        }
        Ok(plan)
    }

    /// What leads back to the account as it was before the last apply, as sentences in the order in which it is done.
    pub fn plan_undo(&self) -> Result<Vec<String>, AccountError> {
        match self.owned.undo.is_empty() {
            true => Err(AccountError::NothingToUndo),
            false => Ok(self.owned.undo.iter().rev().filter_map(undo::sentence).collect()),
        }
    }

    /// Makes the changes of a plan. Gives the number of those that were requests to Twilio.
    ///
    /// What waits for Twilio, and what Twilio refuses to delete, keeps nothing back that does not depend on it, and is
    /// the error at the end.
    pub fn apply(&mut self, plan: &Plan, listener: Listener<'_>) -> Result<usize, AccountError> {
        if plan.changes.is_empty() {
            return Ok(0);
        }
        let (made, errors) = self.applier(listener, |applier| applier.run(plan))?;
        let key_is_gone = |change: &Change| matches!(change, Change::Remove(held) if held.id.kind == Kind::ApiKey);
        if errors.is_empty() && plan.changes.iter().any(key_is_gone) {
            self.secrets.api_key = None;
            // From disk: a token that was given for this command alone is not to be kept.
            let mut secrets = self.local.secrets()?;
            secrets.api_key = None;
            self.local.save_secrets(&secrets)?;
        }
        match errors.is_empty() {
            true => Ok(made),
            false => Err(AccountError::Left { errors }),
        }
    }

    /// Goes back over the last apply; may be stopped anywhere and run again. Gives the number of steps.
    pub fn undo(&mut self, listener: &mut dyn FnMut(&str)) -> Result<usize, AccountError> {
        if self.owned.undo.is_empty() {
            return Err(AccountError::NothingToUndo);
        }
        let secrets = self.secrets.clone();
        let listener = RefCell::new(listener);
        let mut waits = |progress: Progress<'_>| {
            if let Progress::Waits { reason } = progress {
                (listener.borrow_mut())(&reason);
            }
        };
        let steps =
            self.applier(&mut waits, |applier| applier.undo_all(&secrets, &mut |told| (listener.borrow_mut())(told)))?;
        Ok(steps)
    }

    /// Runs `work`; what is known then is on disk, however it ended.
    fn applier<T>(
        &mut self,
        listener: Listener<'_>,
        work: impl FnOnce(&mut Applier<'_>) -> Result<T, ApplyError>,
    ) -> Result<T, ApplyError> {
        let mut applier = Applier {
            api: &mut *self.api,
            owned: &mut self.owned,
            local: self.local,
            pause: &mut *self.pause,
            listener,
            unsaved: false,
            ahead: BTreeSet::new(),
        };
        let result = work(&mut applier);
        let saved = applier.commit();
        result.and_then(|done| saved.map(|()| done))
    }

    /// What is said of environments whose public URL the tunnel has not told yet.
    fn without_url(&self, scope: &Scope) -> Vec<String> {
        let is_meant = |environment: &&Environment| match scope {
            Scope::All => true,
            Scope::Environment(name) => environment.name == *name,
        };
        let has_none = |environment: &&Environment| {
            environment.public_url.is_empty() && self.owned.promotion(&environment.name).is_none()
        };
        let trigger = match self.config.spend.daily.or(self.config.spend.monthly) {
            Some(_) => "; [spend] waits for the \"gateway apply\" after that",
            None => "",
        };
        let environments = self.config.environments.iter().filter(is_meant).filter(has_none);
        let told = |environment: &Environment| {
            format!(
                "the public URL of {} is not known yet: the running service writes it to Twilio when the tunnel tells \
                 it{trigger}",
                environment.name
            )
        };
        environments.map(told).collect()
    }

    /// What is said of numbers that leave the environment that is meant, for one that is not.
    fn moving_away(&self, scope: &Scope) -> Vec<String> {
        let Scope::Environment(here) = scope else { return Vec::new() };
        let leaves = |number: &&Number| {
            let record = self.owned.get(&Id::new(Kind::PhoneNumber, &number.number));
            number.environment != *here && record.is_some_and(|record| record.environment == *here)
        };
        let told = |number: &Number| {
            let (number, there) = (&number.number, &number.environment);
            format!(
                "{number} goes from {here} to {there}: until \"gateway --environment {there} apply\" nobody here answers it"
            )
        };
        self.config.numbers.iter().filter(leaves).map(told).collect()
    }

    /// Environments that the config knew once.
    fn forgotten(&self) -> BTreeSet<&str> {
        let known = |name: &&str| *name != ACCOUNT && self.config.environment(name).is_none();
        self.owned.iter().map(|record| record.environment.as_str()).filter(known).collect()
    }

    fn environments(&self) -> Vec<&str> {
        self.config.environments.iter().map(|environment| environment.name.as_str()).collect()
    }

    /// The name, when the config has an environment of it.
    pub(super) fn known<'n>(&self, name: &'n str) -> Result<&'n str, AccountError> {
        match self.config.environment(name) {
            Some(_) => Ok(name),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> AccountError {
        let known = self.environments().into_iter().map(str::to_owned).collect();
        AccountError::NoEnvironment { name: name.to_owned(), known }
    }
}
