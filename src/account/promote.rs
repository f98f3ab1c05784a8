//! Promotion: an environment runs what another one runs, and steps back.

use serde_json::Value;

use crate::account::{Account, AccountError};
use crate::model::{Id, Kind};
use crate::owned::{MAX_PROMOTIONS, Promotion};

impl Account<'_> {
    /// Records that `to` runs what `from` runs now (URLs and hosted build); the next plan of `to` leads there.
    pub fn promote(&mut self, from: &str, to: &str) -> Result<(), AccountError> {
        self.known(from)?;
        self.known(to)?;
        if from == to {
            return Err(AccountError::Itself { name: to.to_owned() });
        }
        let promotion = self.running(from)?;
        let promotions = &mut self.owned.promotions;
        // Those of environments that the config does not know any more are of no use.
        promotions.retain(|name, _| self.config.environment(name).is_some());
        let promotions = promotions.entry(to.to_owned()).or_default();
        if promotions.last() != Some(&promotion) {
            promotions.push(promotion);
        }
        while promotions.len() > MAX_PROMOTIONS {
            promotions.remove(0);
        }
        Ok(self.local.save_owned(&self.owned)?)
    }

    /// Takes the last promotion of an environment back; the next plan of it leads there.
    pub fn step_back(&mut self, environment: &str) -> Result<(), AccountError> {
        let promotions = self.owned.promotions.get_mut(environment);
        if promotions.and_then(Vec::pop).is_none() {
            self.known(environment)?;
            return Err(AccountError::NotPromoted { name: environment.to_owned() });
        }
        self.owned.promotions.retain(|_, promotions| !promotions.is_empty());
        Ok(self.local.save_owned(&self.owned)?)
    }

    /// What an environment of the config runs now; it may itself have been promoted to.
    fn running(&mut self, name: &str) -> Result<Promotion, AccountError> {
        let (public_url, fallback_url) = match self.config.environment(name) {
            Some(environment) => self.owned.urls(self.config, environment),
            None => ("", None),
        };
        let url_of = match self.owned.promotion(name) {
            Some(promotion) => promotion.url_of.clone(),
            None => self.local.tunnel_url(name).map(|_| name.to_owned()),
        };
        Ok(Promotion {
            from: name.to_owned(),
            public_url: public_url.to_owned(),
            url_of,
            fallback_url: fallback_url.map(str::to_owned),
            build_sid: self.build(name)?,
        })
    }

    /// The build that a hosted environment runs now.
    fn build(&mut self, environment: &str) -> Result<Option<String>, AccountError> {
        if self.config.hosted.assets.is_none() {
            return Ok(None);
        }
        let service = format!("gateway-{}", self.config.site.name);
        let record = self.owned.get(&Id::child(Kind::HostedEnvironment, &service, environment));
        let sids = record.and_then(|record| record.sid.clone().zip(record.parent_sid.clone()));
        let Some((sid, service)) = sids else { return Ok(None) };
        let found = self.api.get(&Kind::HostedEnvironment.collection(Some(&service)), &sid)?;
        Ok(found.get("build_sid").and_then(Value::as_str).filter(|sid| !sid.is_empty()).map(str::to_owned))
    }
}
