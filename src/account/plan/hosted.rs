//! The content of the hosted Service: what is uploaded, built and put in force (TWILIO.md "Hosted files").

use super::Change;
use super::diff::Diff;
use crate::hosted::fingerprint;
use crate::kind::BUILD;
use crate::model::{Build, Deployment, Id, Kind};

impl Diff<'_> {
    pub(super) fn hosted(&mut self) {
        let Some(service) = self.desired.resources.iter().find(|resource| resource.id.kind == Kind::Service) else {
            return;
        };
        let service = service.id.clone();
        let files = &self.desired.files;
        for file in files {
            let asset = Id::child(Kind::Asset, &service.key, &file.path);
            let uploaded = self.owned.uploads.get(&file.path).filter(|_| self.is_ours(&asset));
            if uploaded.is_none_or(|uploaded| uploaded.sha256 != file.sha256) {
                self.order.make(Kind::Asset, Change::Upload(file.clone()));
            }
        }
        // A build of nothing is none.
        let built = self.owned.builds.get(&fingerprint(files)).filter(|_| self.is_ours(&service));
        if built.is_none() && !files.is_empty() {
            self.order.make(Kind::Asset, Change::Build { service, files: files.clone() });
        }
        for deployment in &self.desired.deployments {
            let wanted = match &deployment.build {
                Build::Files { .. } if files.is_empty() => continue,
                Build::Files { .. } => built,
                Build::Sid(sid) => Some(sid),
            };
            let Deployment { environment, .. } = deployment;
            let found = self.actual.get(environment, self.owned.sid(environment));
            // One that is made anew runs nothing yet.
            let replaced = |change: &Change| matches!(change, Change::Replace { .. }) && change.id() == *environment;
            let replaced = self.order.made.get(&Kind::HostedEnvironment).is_some_and(|made| made.iter().any(replaced));
            let former = found.filter(|_| !replaced).map(|found| found.field(BUILD)).filter(|sid| !sid.is_empty());
            let former = former.map(|sid| sid.expose().to_owned());
            if wanted.is_none() || former.as_ref() != wanted {
                self.order.make(Kind::HostedEnvironment, Change::Deploy { deployment: deployment.clone(), former });
            }
        }
    }

    /// Whether the very resource that our records name is there.
    fn is_ours(&self, id: &Id) -> bool {
        let ours = self.owned.sid(id);
        ours.is_some() && self.sid(id) == ours
    }
}
