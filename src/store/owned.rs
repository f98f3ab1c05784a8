//! `twilio.json`: what at Twilio is ours, by environment, kind and natural key. Only what stands here may be changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::twilio::model::Id;

/// All environments by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedSids {
    #[serde(default)]
    pub environments: BTreeMap<String, Owned>,
}

/// What one environment owns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owned(Vec<Record>);

/// One resource that is ours, or that we were about to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub id: Id,
    /// Absent between the decision to create and Twilio's answer: if we are killed there, the resource of that natural
    /// key, should it exist, is the one that we made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The SID of what it lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_sid: Option<String>,
    /// Whether we made it; `false` when it was there and the config told us to adopt it.
    pub made: bool,
    /// Of an adopted one, the fields that we changed, by form parameter: the way back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Changed>,
    /// Which password Twilio has ([`crate::twilio::model::fingerprint`]); it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A field of an adopted resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What it held before us.
    pub was: String,
    /// What we last set.
    pub set: String,
}

impl Owned {
    /// The record of a resource.
    pub fn get(&self, id: &Id) -> Option<&Record> {
        self.0.iter().find(|record| record.id == *id)
    }

    /// The SID of a resource that exists.
    pub fn sid(&self, id: &Id) -> Option<&str> {
        self.get(id)?.sid.as_deref()
    }

    /// Puts a record in the place of the former one of the same resource.
    pub fn put(&mut self, record: Record) {
        match self.0.iter_mut().find(|known| known.id == record.id) {
            Some(known) => *known = record,
            None => self.0.push(record),
        }
    }

    /// Forgets a resource.
    pub fn remove(&mut self, id: &Id) {
        self.0.retain(|record| record.id != *id);
    }

    /// All records in the order in which they were made.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.0.iter()
    }
}
