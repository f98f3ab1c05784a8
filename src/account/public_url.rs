//! The public URL of an environment changes, as a quick tunnel's does: Twilio gets it by the same plan and apply, and
//! everything else is left as it is.

use std::collections::BTreeSet;

use crate::account::{Account, AccountError, Scope};
use crate::model::is_webhook;
use crate::plan::{Change, Plan};

impl Account<'_> {
    /// Writes the public URL of an environment to what Twilio calls, for it and for those that run what it runs, and
    /// reads it back.
    pub fn write_public_url(&mut self, environment: &str) -> Result<(), AccountError> {
        let runs_it = |name: &str| match self.owned.promotion(name) {
            Some(promotion) => promotion.url_of.as_deref() == Some(environment),
            None => name == environment,
        };
        let environments = self.config.environments.iter().map(|one| one.name.clone());
        let those: Vec<String> = environments.filter(|name| runs_it(name)).collect();
        those.iter().try_for_each(|name| self.write_webhooks(name))
    }

    /// Makes the part of the environment's plan that is about webhooks, and looks whether nothing of it is left.
    fn write_webhooks(&mut self, environment: &str) -> Result<(), AccountError> {
        let changes = self.plan_webhooks(environment)?;
        // "gateway undo" goes back over what a person applied, not over this.
        let (undo, unfinished) = (self.owned.undo.clone(), self.owned.unfinished);
        let applied = self.apply(&Plan { changes, ..Plan::default() }, &mut |_| {});
        if self.owned.undo != undo || self.owned.unfinished != unfinished {
            (self.owned.undo, self.owned.unfinished) = (undo, unfinished);
            self.local.save_owned(&self.owned)?;
        }
        applied?;
        match self.plan_webhooks(environment)?.is_empty() {
            true => Ok(()),
            false => Err(AccountError::UrlNotTaken),
        }
    }

    fn plan_webhooks(&mut self, environment: &str) -> Result<Vec<Change>, AccountError> {
        let plan = self.plan(&Scope::Environment(environment.to_owned()), &BTreeSet::new())?;
        Ok(plan.changes.into_iter().filter_map(of_webhooks).collect())
    }
}

/// The part of a change that updates webhooks.
fn of_webhooks(change: Change) -> Option<Change> {
    match change {
        Change::Update(mut update) => {
            update.fields.retain(|field| is_webhook(&field.param));
            update.password = None;
            (!update.fields.is_empty()).then_some(Change::Update(update))
        }
        _ => None,
    }
}
