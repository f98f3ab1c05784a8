//! Contents to Twilio, a build of them, and the build in force: the flow of Twilio's own tool
//! (TWILIO.md "Builds and deployments"). Versions and builds that nothing uses any more are left at Twilio, as that
//! tool does.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Applier, ApplyError};
use crate::api::{ApiError, Collection, Form, Product, Upload};
use crate::hosted::{BUILD_TIME, File, HostedError, fingerprint, media_type};
use crate::kind::{Id, Kind};
use crate::model::{Build, Deployment};
use crate::owned::{self, Record, Undo};
use gateway_core::hex::hex;

/// How long a deployment may take to show.
const DEPLOY_TIME: Duration = Duration::from_secs(30);

/// Between looks at either.
const STEP: Duration = Duration::from_secs(1);

/// How often a build is asked for when no answer comes. A build too many is of no consequence.
const BUILD_ATTEMPTS: usize = 3;

/// Most builds that are remembered; what is forgotten is built again when it is wanted.
const MAX_BUILDS: usize = 100;

impl Applier<'_> {
    /// Sends a file; its asset must have been made.
    pub(crate) fn upload(&mut self, file: &File) -> Result<(), ApplyError> {
        let is_it = |record: &&Record| record.id.kind == Kind::Asset && record.id.own_key() == file.path;
        let asset = self.owned.iter().find(is_it).map(|record| record.id.clone());
        let (asset, service) = self.child(&asset.unwrap_or_else(|| Id::new(Kind::Asset, &file.path)))?;
        let content = self.content(file)?;
        let upload = Upload { path: &file.path, content_type: media_type(&file.path).0, content: &content };
        self.commit()?;
        let answer = self.api.upload(&service, &asset, &upload)?;
        let version_sid = sid(&answer, "the upload")?;
        let upload = owned::Upload { sha256: file.sha256.clone(), version_sid };
        self.owned.uploads.insert(file.path.clone(), upload);
        self.unsaved = true;
        Ok(())
    }

    /// Makes a build of these files, all of which must have been uploaded, and waits until it is complete.
    pub(crate) fn build(&mut self, service: &Id, files: &[File]) -> Result<(), ApplyError> {
        let service_sid = self.sid(service)?;
        let mut form = Form::default();
        for file in files {
            let uploaded = self.owned.uploads.get(&file.path).filter(|uploaded| uploaded.sha256 == file.sha256);
            let asset = || Id::child(Kind::Asset, &service.key, &file.path);
            let uploaded = uploaded.ok_or_else(|| ApplyError::Unresolved { id: asset() })?;
            form.plain("AssetVersions", &uploaded.version_sid);
        }
        let builds = Collection::new(Product::Serverless, format!("Services/{service_sid}/Builds"));
        self.commit()?;
        let mut attempt = 1;
        let answer = loop {
            match self.api.create(&builds, &form) {
                Err(error) if error.is_uncertain() && attempt < BUILD_ATTEMPTS => attempt += 1,
                answer => break answer?,
            }
        };
        let build = sid(&answer, "the build")?;
        // On disk before the wait: a run that is killed there goes on with this build.
        let builds = &mut self.owned.builds;
        while builds.len() >= MAX_BUILDS {
            builds.pop_first();
        }
        builds.insert(fingerprint(files), build.clone());
        self.owned.uploads.retain(|path, _| files.iter().any(|file| file.path == *path));
        self.unsaved = true;
        self.commit()?;
        self.await_build(&service_sid, &build)
    }

    /// Puts a build in force in a hosted environment in the place of the former one, and looks whether it is.
    pub(crate) fn deploy(&mut self, deployment: &Deployment, former: Option<&str>) -> Result<(), ApplyError> {
        let Deployment { environment, build } = deployment;
        let (environment_sid, service_sid) = self.child(environment)?;
        let build = match build {
            Build::Sid(build) => build.clone(),
            Build::Files { fingerprint } => {
                let build = self.owned.builds.get(fingerprint).cloned();
                build.ok_or_else(|| ApplyError::Unresolved { id: environment.clone() })?
            }
        };
        // It may come from a run that was killed while it waited.
        self.await_build(&service_sid, &build)?;
        self.journal(Undo::Deployed {
            id: environment.clone(),
            sid: environment_sid.clone(),
            parent_sid: service_sid.clone(),
            build_sid: former.map(str::to_owned),
        });
        self.commit()?;
        let mut form = Form::default();
        form.plain("BuildSid", &build);
        let path = format!("Services/{service_sid}/Environments/{environment_sid}/Deployments");
        let answer = self.api.create(&Collection::new(Product::Serverless, path), &form);
        let uncertain = answer.as_ref().err().is_some_and(ApiError::is_uncertain);
        if !uncertain {
            answer.as_ref().map_err(ApiError::clone)?;
        }
        let mut waited = Duration::ZERO;
        loop {
            let found = self.in_force(&service_sid, &environment_sid)?;
            if found.as_ref() == Some(&build) {
                return Ok(());
            }
            if waited >= DEPLOY_TIME {
                // The lost answer says more than what was found.
                answer?;
                let found = found.unwrap_or_else(|| "no build".to_owned());
                return Err(
                    HostedError::NotInForce { environment: environment.own_key().to_owned(), build, found }.into()
                );
            }
            self.wait_for(format!("build {build} is not in force in {environment} yet"), STEP);
            waited += STEP;
        }
    }

    /// The content, which must be the one that was planned.
    fn content(&self, file: &File) -> Result<Vec<u8>, HostedError> {
        let content = self.local.content(file)?;
        match hex(&Sha256::digest(&content)) == file.sha256 {
            true => Ok(content),
            false => {
                let reason = "it was changed since the plan was made; run the command again".to_owned();
                Err(HostedError::File { path: file.source.display().to_string(), reason })
            }
        }
    }

    /// The SIDs of something that exists and of what it lives in.
    fn child(&self, id: &Id) -> Result<(String, String), ApplyError> {
        let record = self.owned.get(id);
        let sids = record.and_then(|record| record.sid.clone().zip(record.parent_sid.clone()));
        sids.ok_or_else(|| ApplyError::Unresolved { id: id.clone() })
    }

    /// The build that an environment runs.
    fn in_force(&mut self, service: &str, environment: &str) -> Result<Option<String>, ApplyError> {
        let environments = Collection::new(Product::Serverless, format!("Services/{service}/Environments"));
        let found = self.api.get(&environments, environment)?;
        Ok(found.get("build_sid").and_then(Value::as_str).filter(|sid| !sid.is_empty()).map(str::to_owned))
    }

    fn await_build(&mut self, service: &str, build: &str) -> Result<(), ApplyError> {
        let page = Collection::new(Product::Serverless, format!("Services/{service}/Builds/{build}"));
        let told = || build.to_owned();
        let mut waited = Duration::ZERO;
        loop {
            let answer = match self.api.get(&page, "Status") {
                Err(ApiError::Refused { status: 404, .. }) => {
                    self.forget_build(build)?;
                    return Err(HostedError::BuildGone { build: told() }.into());
                }
                answer => answer?,
            };
            match answer.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed") => {
                    self.forget_build(build)?;
                    return Err(HostedError::BuildFailed { build: told() }.into());
                }
                _ if waited >= BUILD_TIME => return Err(HostedError::BuildSlow { build: told() }.into()),
                _ => {}
            }
            self.wait_for(format!("build {build} of the hosted Service is not complete yet"), STEP);
            waited += STEP;
        }
    }

    /// The next run makes another one.
    fn forget_build(&mut self, build: &str) -> Result<(), ApplyError> {
        self.owned.builds.retain(|_, known| known != build);
        self.unsaved = true;
        self.commit()
    }
}

fn sid(answer: &Value, of: &str) -> Result<String, ApiError> {
    let sid = answer.get("sid").and_then(Value::as_str).map(str::to_owned);
    sid.ok_or_else(|| ApiError::Nonsense { request: format!("POST of {of}"), reason: "no sid".to_owned() })
}

#[cfg(test)]
mod tests;
