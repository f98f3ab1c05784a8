//! What a person should know: strangers beside what is ours, namesakes, promotions in force.

use super::diff::Diff;
use crate::actual::Found;
use crate::model::{Id, Kind};
use gateway_core::setting::Setting;

impl Diff<'_> {
    pub(super) fn notes(&self) -> Vec<String> {
        let namesakes = self.desired.resources.iter().filter_map(|resource| self.namesakes(&resource.id));
        namesakes.chain(self.strangers()).chain(self.promotions()).collect()
    }

    /// Other resources of the same natural key, where Twilio allows that.
    fn namesakes(&self, id: &Id) -> Option<String> {
        let used = self.sid(id)?;
        let others = self.actual.0.iter().filter(|found| found.id == *id && found.sid != used);
        let others: Vec<&str> = others.map(|found| found.sid.as_str()).collect();
        match others.is_empty() {
            true => None,
            false => Some(format!("{id} is there more than once; {used} is used, {} left as it is", others.join(", "))),
        }
    }

    /// What others put into what is ours is left as it is: credentials can register and call, and a list of networks
    /// keeps all others out.
    fn strangers(&self) -> impl Iterator<Item = String> {
        let lives_in_ours = |found: &&Found| {
            let parent = found.id.kind.schema().parent;
            self.desired.resources.iter().any(|resource| {
                Some(resource.id.kind) == parent
                    && found.parent_sid.is_some()
                    && self.owned.sid(&resource.id) == found.parent_sid.as_deref()
            })
        };
        let known =
            |id: &Id| self.owned.get(id).is_some() || self.desired.resources.iter().any(|resource| resource.id == *id);
        let strangers = self.actual.0.iter().filter(lives_in_ours).filter(move |found| !known(&found.id));
        strangers.map(|found| {
            // A mapping that is not ours has the name of its list beside its SID.
            let name = found.field("FriendlyName");
            match (found.id.kind, found.id.parent()) {
                (Kind::AccessMapping, Some(domain)) => format!(
                    "IP access list {name} ({}) is mapped to {domain} by somebody else: only from its networks can be \
                     called; it is left as it is",
                    found.sid
                ),
                _ => format!("{} ({}) is not ours and is left as it is", found.id, found.sid),
            }
        })
    }

    fn promotions(&self) -> impl Iterator<Item = String> {
        let promoted = self.desired.environments.iter().filter_map(|name| Some((name, self.owned.promotion(name)?)));
        promoted.map(|(name, promotion)| {
            let build = promotion.build_sid.as_ref().map(|sid| format!(" with build {sid}")).unwrap_or_default();
            format!(
                "{name} runs what {} ran: {}{build}; \"gateway promote --back {name}\" steps back",
                promotion.from,
                Setting::new(&promotion.public_url)
            )
        })
    }
}
