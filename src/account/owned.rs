//! `twilio.json`: what at Twilio is ours, by environment, kind and natural key. Only what stands here may be changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kind::Id;
use gateway_core::config::{Config, Environment};
use gateway_core::setting::Setting;

/// Most promotions of one environment that can be stepped back from; the oldest is dropped.
pub const MAX_PROMOTIONS: usize = 10;

/// Most steps that can be undone; the oldest are dropped. An apply has about one for each resource.
const MAX_UNDO: usize = 10_000;

/// What we own at Twilio, and what is needed to go back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// In the order in which they were made.
    #[serde(default)]
    records: Vec<Record>,
    /// Environments that run what another one ran when it was promoted, newest last.
    #[serde(default)]
    pub promotions: BTreeMap<String, Vec<Promotion>>,
    /// Files of the hosted Service, by path: which content Twilio has.
    #[serde(default)]
    pub uploads: BTreeMap<String, Upload>,
    /// Builds of the hosted Service by [`crate::hosted::fingerprint`].
    #[serde(default)]
    pub builds: BTreeMap<String, String>,
    /// The way back over the last apply: what it did, in order. Undone from the end.
    #[serde(default)]
    pub undo: Vec<Undo>,
    /// An apply began and did not come to its end: the next one goes on with its `undo`.
    #[serde(default)]
    pub unfinished: bool,
}

/// One resource that is ours, or that we were about to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub id: Id,
    /// Whose it is: the name of an environment, or [`gateway_core::config::ACCOUNT`] for what all share.
    pub environment: String,
    /// Absent between the decision to create and Twilio's answer: if we are killed there, the resource of that natural
    /// key, should it exist, is the one that we made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The SID of what it lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_sid: Option<String>,
    /// Whether we made it; `false` when it was there and the config told us to adopt it. A bought number counts as
    /// adopted: it is released by name only.
    pub made: bool,
    /// Of an adopted one, the fields that we changed, by form parameter: the way back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Changed>,
    /// Which password Twilio has ([`crate::model::fingerprint`]); it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A field of an adopted resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What it held before us.
    pub was: Setting,
    /// What we last set.
    pub set: Setting,
}

/// What an environment runs instead of what its config says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The environment that was promoted.
    pub from: String,
    /// Its public URL then.
    pub public_url: String,
    /// The environment whose tunnel tells that URL: what it tells later goes before the URL of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_of: Option<String>,
    /// Its fallback URL then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<String>,
    /// The build of the hosted Service that it ran then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_sid: Option<String>,
}

/// A content that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// SHA-256, hex.
    pub sha256: String,
    /// `ZN…`
    pub version_sid: String,
}

/// One step of the last apply, as much of it as is needed to go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Undo {
    /// It was made, or was about to be.
    Made { id: Id },
    /// Fields were changed. `before` is the record as it was, absent when it was not ours.
    Changed {
        id: Id,
        sid: String,
        parent_sid: Option<String>,
        fields: BTreeMap<String, Changed>,
        before: Option<Record>,
    },
    /// It was deleted; `fields` is what it held, by form parameter, natural key included.
    Removed { before: Record, parent: Option<Id>, fields: BTreeMap<String, Setting> },
    /// Another build was put in force in a hosted environment.
    Deployed { id: Id, sid: String, parent_sid: String, build_sid: Option<String> },
    /// The promotions of a destroyed environment were dropped.
    Promoted { environment: String, promotions: Vec<Promotion> },
    /// What cannot be undone, as a sentence for people.
    Final { told: String },
}

impl Owned {
    /// The record of a resource.
    pub fn get(&self, id: &Id) -> Option<&Record> {
        self.records.iter().find(|record| record.id == *id)
    }

    /// The SID of a resource that exists.
    pub fn sid(&self, id: &Id) -> Option<&str> {
        self.get(id)?.sid.as_deref()
    }

    /// Puts a record in the place of the former one of the same resource.
    pub fn put(&mut self, record: Record) {
        match self.records.iter_mut().find(|known| known.id == record.id) {
            Some(known) => *known = record,
            None => self.records.push(record),
        }
    }

    /// Forgets a resource.
    pub fn remove(&mut self, id: &Id) {
        self.records.retain(|record| record.id != *id);
    }

    /// All records in the order in which they were made.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    /// Writes down the way back over a step that is about to be made.
    pub fn journal(&mut self, step: Undo) {
        if self.undo.len() >= MAX_UNDO {
            self.undo.remove(0);
        }
        self.undo.push(step);
    }

    /// Takes back that something was about to be made: it was not.
    pub fn unjournal_made(&mut self, made: &Id) {
        self.undo.retain(|step| !matches!(step, Undo::Made { id } if id == made));
    }

    /// Whether a field of an adopted resource is still what we set: what somebody else set since is theirs. A run that
    /// was stopped may have written down what it did not come to set.
    pub fn is_ours(&self, record: &Record, param: &str, now: &Setting) -> bool {
        let was = |step: &Undo| match step {
            Undo::Changed { id, fields, .. } => *id == record.id && fields.get(param).is_some_and(|it| it.was == *now),
            _ => false,
        };
        let set = record.changed.get(param).is_some_and(|changed| changed.set == *now);
        set || self.unfinished && self.undo.iter().any(was)
    }

    /// What was made again has another SID: whatever the records and the way back say about the former one is meant for
    /// the new one.
    pub fn rename(&mut self, former: &str, sid: &str) {
        let text = |text: &mut String| {
            if text == former {
                sid.clone_into(text);
            }
        };
        let setting = |setting: &mut Setting| {
            if setting.expose() == former {
                *setting = Setting::new(sid);
            }
        };
        let changed = |changed: &mut BTreeMap<String, Changed>| {
            for Changed { was, set } in changed.values_mut() {
                setting(was);
                setting(set);
            }
        };
        let record = |record: &mut Record| {
            record.sid.iter_mut().chain(&mut record.parent_sid).for_each(text);
            changed(&mut record.changed);
        };
        self.records.iter_mut().for_each(record);
        for step in &mut self.undo {
            match step {
                Undo::Made { .. } | Undo::Promoted { .. } | Undo::Final { .. } => {}
                Undo::Changed { sid, parent_sid, fields, before, .. } => {
                    text(sid);
                    parent_sid.iter_mut().for_each(text);
                    changed(fields);
                    before.iter_mut().for_each(record);
                }
                Undo::Removed { before, fields, .. } => {
                    record(before);
                    fields.values_mut().for_each(setting);
                }
                Undo::Deployed { sid, parent_sid, .. } => {
                    text(sid);
                    text(parent_sid);
                }
            }
        }
    }

    /// Whether an environment owns anything.
    pub fn has_environment(&self, environment: &str) -> bool {
        self.records.iter().any(|record| record.environment == environment)
    }

    /// What an environment runs by promotion.
    pub fn promotion(&self, environment: &str) -> Option<&Promotion> {
        self.promotions.get(environment)?.last()
    }

    /// The public and the fallback URL that an environment runs: its own, or those that a promotion gave it.
    pub fn urls<'a>(&'a self, config: &'a Config, environment: &'a Environment) -> (&'a str, Option<&'a str>) {
        let Some(promotion) = self.promotion(&environment.name) else {
            return (&environment.public_url, environment.fallback_url.as_deref());
        };
        let told = promotion.url_of.as_ref().and_then(|name| config.environment(name));
        let told = told.map(|of| of.public_url.as_str()).filter(|url| !url.is_empty());
        (told.unwrap_or(&promotion.public_url), promotion.fallback_url.as_deref())
    }
}
