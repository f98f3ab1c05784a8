//! The way from the account as it is to the account as the config wants it. Pure.
//!
//! It owns what [`Owned`](crate::owned::Owned) records and adopts what the config names; everything else is left as it
//! is.

mod diff;
mod emergency;
mod hosted;
mod notes;
mod release;
mod show;

use std::collections::BTreeMap;

use crate::hosted::File;
use crate::model::{Deployment, Id, Resource, Value};
use crate::owned::Record;
use gateway_core::config::ACCOUNT;
use gateway_core::secret::Secret;
use gateway_core::setting::Setting;

pub use diff::diff;

/// What there is to do and to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they must be made.
    pub changes: Vec<Change>,
    /// What the config wants and no change can give; each with its way out.
    pub problems: Vec<String>,
    /// What a person should know and nobody needs to mend.
    pub notes: Vec<String>,
}

/// One step. `{}` is a sentence; `{:#}` has a line for each field below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not there.
    Create(Resource),
    /// It is there and differs, or is not recorded as ours yet.
    Update(Update),
    /// Ours, but a field differs that can be set at its making only: it is removed and made again.
    Replace { held: Held, resource: Resource, fields: Vec<FieldChange> },
    /// We made it, and the config does not want it any more.
    Remove(Held),
    /// We adopted it, and the config does not want it any more: what we changed is changed back.
    Restore { held: Held, fields: Vec<FieldChange> },
    /// A record of something that is gone, was never made, or was adopted without a change. No request is needed.
    Forget(Record),
    /// A number that is not in the account and may be bought.
    Buy(Resource),
    /// Waits until the emergency address of a number is registered, or is so no longer
    /// (TWILIO.md "Emergency addresses"). The SID is known unless the number is bought by the same plan.
    Await { number: Id, environment: String, sid: Option<String>, status: Registration },
    /// Sends the content of an asset.
    Upload(File),
    /// Makes a build of the files as they are.
    Build { service: Id, files: Vec<File> },
    /// Puts a build in force in a hosted environment.
    Deploy { deployment: Deployment, former: Option<String> },
}

/// Something at Twilio that our records name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: Id,
    pub environment: String,
    pub sid: String,
    pub parent_sid: Option<String>,
    /// What it takes to make it again, by form parameter, the natural key included.
    pub content: BTreeMap<String, Setting>,
}

/// Where the registration of a number's emergency address shall arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Registered,
    Unregistered,
}

/// Fields of a resource that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub id: Id,
    /// Whose it is from now on.
    pub environment: String,
    /// Of ours, whose it was before, when that changes.
    pub former: Option<String>,
    pub sid: String,
    pub parent_sid: Option<String>,
    pub standing: Standing,
    pub fields: Vec<FieldChange>,
    /// Twilio has another one.
    pub password: Option<Secret<String>>,
}

impl Update {
    /// Whether it does nothing but set the password of what is ours. There is no way back over that.
    pub fn is_rotation(&self) -> bool {
        let Update { standing, former, fields, password, .. } = self;
        *standing == Standing::Ours && former.is_none() && fields.is_empty() && password.is_some()
    }
}

/// What a resource that exists is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Recorded with this SID.
    Ours,
    /// We were about to make it and were stopped before we knew its SID.
    Claim,
    /// It was there before us, and the config names it.
    Adopt,
}

/// A field that shall hold something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    pub param: String,
    pub from: Setting,
    pub to: Value,
}

impl Change {
    /// What it is about.
    pub fn id(&self) -> Id {
        match self {
            Change::Create(resource) | Change::Buy(resource) | Change::Replace { resource, .. } => resource.id.clone(),
            Change::Update(update) => update.id.clone(),
            Change::Remove(held) | Change::Restore { held, .. } => held.id.clone(),
            Change::Forget(record) => record.id.clone(),
            Change::Await { number, .. } => number.clone(),
            Change::Upload(file) => Id::new(crate::model::Kind::Asset, &file.path),
            Change::Build { service, .. } => service.clone(),
            Change::Deploy { deployment, .. } => deployment.environment.clone(),
        }
    }

    /// Whose it is: the name of an environment, or [`ACCOUNT`].
    pub fn environment(&self) -> &str {
        match self {
            Change::Create(resource) | Change::Buy(resource) | Change::Replace { resource, .. } => {
                &resource.environment
            }
            Change::Update(update) => &update.environment,
            Change::Remove(held) | Change::Restore { held, .. } => &held.environment,
            Change::Forget(record) => &record.environment,
            Change::Await { environment, .. } => environment,
            Change::Upload(_) | Change::Build { .. } => ACCOUNT,
            Change::Deploy { deployment, .. } => deployment.environment.own_key(),
        }
    }

    /// Whether it takes a request to Twilio that changes something there.
    pub fn is_request(&self) -> bool {
        match self {
            Change::Forget(_) | Change::Await { .. } => false,
            Change::Update(update) => !update.fields.is_empty() || update.password.is_some(),
            _ => true,
        }
    }
}
