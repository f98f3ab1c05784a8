//! A plan for people and for programs. Nothing secret is in either.

use std::fmt;

use serde_json::{Map, json};

use super::{Change, FieldChange, Plan, Registration, Standing, Update};
use crate::model::{Build, Id, Kind, Resource, Value};
use gateway_core::setting::Setting;

/// One field of a step: `set VoiceUrl to https://new (was https://old)`.
struct Line<'a> {
    param: &'a str,
    from: Option<&'a Setting>,
    to: &'a Value,
}

impl Plan {
    /// `{changes: [{action, kind, key, environment, sid?, fields: {Param: {from, to}}, sentence}], problems, notes}`.
    pub fn to_json(&self) -> serde_json::Value {
        let changes: Vec<serde_json::Value> = self.changes.iter().map(Change::to_json).collect();
        json!({"changes": changes, "problems": self.problems, "notes": self.notes})
    }
}

impl Change {
    /// The step without its fields.
    pub fn headline(&self) -> String {
        match self {
            Change::Create(Resource { id, .. }) => match id.kind {
                kind if kind.maps().is_some() => format!("make the {id}"),
                Kind::EmergencyCaller => format!("set the {id}"),
                _ => format!("create {id}"),
            },
            Change::Update(update) => update.headline(),
            Change::Replace { held, .. } => format!("replace {} ({}), which cannot be changed", held.id, held.sid),
            Change::Remove(held) => format!("delete {} ({}), ours and no longer wanted", held.id, held.sid),
            Change::Restore { held, .. } => format!("give back {} ({}), no longer wanted", held.id, held.sid),
            Change::Forget(record) => match record.made {
                true => format!("forget {}, no longer wanted and not at Twilio", record.id),
                false => format!("let go of {}, no longer wanted and not at Twilio as we left it", record.id),
            },
            Change::Buy(resource) => format!("buy {}", resource.id),
            Change::Await { number, status, .. } => match status {
                Registration::Registered => format!("wait until the emergency address of {number} is registered"),
                Registration::Unregistered => {
                    format!("wait until the former emergency address of {number} is unregistered")
                }
            },
            Change::Upload(file) => format!("upload {} ({} bytes)", file.path, file.bytes),
            Change::Build { service, files } => match files.len() {
                1 => format!("build {service} with 1 file"),
                files => format!("build {service} with {files} files"),
            },
            Change::Deploy { deployment, former } => {
                let build = match &deployment.build {
                    Build::Files { .. } => "the build of these files".to_owned(),
                    Build::Sid(sid) => format!("build {sid}"),
                };
                let former = former.as_ref().map(|sid| format!(" (was {sid})")).unwrap_or_default();
                format!("put {build} in force in {}{former}", deployment.environment)
            }
        }
    }

    fn lines(&self) -> Vec<Line<'_>> {
        match self {
            Change::Create(resource) | Change::Buy(resource) => {
                resource.fields.iter().map(|(param, to)| Line { param, from: None, to }).collect()
            }
            Change::Update(Update { fields, .. }) | Change::Replace { fields, .. } | Change::Restore { fields, .. } => {
                fields.iter().map(FieldChange::line).collect()
            }
            Change::Remove(_)
            | Change::Forget(_)
            | Change::Await { .. }
            | Change::Upload(_)
            | Change::Build { .. }
            | Change::Deploy { .. } => Vec::new(),
        }
    }

    fn action(&self) -> &'static str {
        match self {
            Change::Create(_) => "create",
            Change::Update(Update { standing: Standing::Ours, .. }) => "update",
            Change::Update(Update { standing: Standing::Adopt, .. }) => "adopt",
            Change::Update(Update { standing: Standing::Claim, .. }) => "take-up",
            Change::Replace { .. } => "replace",
            Change::Remove(_) => "delete",
            Change::Restore { .. } => "give-back",
            Change::Forget(_) => "forget",
            Change::Buy(_) => "buy",
            Change::Await { .. } => "wait",
            Change::Upload(_) => "upload",
            Change::Build { .. } => "build",
            Change::Deploy { .. } => "deploy",
        }
    }

    fn sid(&self) -> Option<&str> {
        match self {
            Change::Update(Update { sid, .. }) => Some(sid),
            Change::Replace { held, .. } | Change::Remove(held) | Change::Restore { held, .. } => Some(&held.sid),
            Change::Forget(record) => record.sid.as_deref(),
            Change::Await { sid, .. } => sid.as_deref(),
            Change::Create(_) | Change::Buy(_) | Change::Upload(_) | Change::Build { .. } | Change::Deploy { .. } => {
                None
            }
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let Id { kind, key } = self.id();
        let mut fields: Map<String, serde_json::Value> = self
            .lines()
            .into_iter()
            .map(|line| {
                let from = line.from.map(Setting::to_string);
                (line.param.to_owned(), json!({"from": from, "to": line.to.to_string()}))
            })
            .collect();
        if self.sets_password() {
            fields.insert("Password".to_owned(), json!({"from": null, "to": "***"}));
        }
        let mut change = json!({
            "action": self.action(),
            "kind": kind,
            "key": key,
            "environment": self.environment(),
            "fields": fields,
            "sentence": self.to_string(),
        });
        if let Some(sid) = self.sid() {
            change["sid"] = json!(sid);
        }
        change
    }

    fn sets_password(&self) -> bool {
        match self {
            Change::Create(resource) => resource.password.is_some(),
            Change::Update(update) => update.password.is_some(),
            _ => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let mut steps: Vec<String> = match self {
            Change::Create(Resource { id, .. }) | Change::Buy(Resource { id, .. }) if !id.kind.is_facet() => {
                self.lines().iter().map(Line::noun).collect()
            }
            _ => self.lines().iter().map(Line::sentence).collect(),
        };
        if let Change::Update(Update { password: Some(_), .. }) = self {
            steps.push("set its password".to_owned());
        }
        if f.alternate() {
            return steps.iter().try_for_each(|step| write!(f, "\n    {step}"));
        }
        let link = match self {
            Change::Create(Resource { id, .. }) | Change::Buy(Resource { id, .. }) if !id.kind.is_facet() => " with ",
            _ => ": ",
        };
        match steps.is_empty() {
            true => Ok(()),
            false => write!(f, "{link}{}", steps.join(", ")),
        }
    }
}

impl Update {
    fn headline(&self) -> String {
        let Update { id, sid, .. } = self;
        match (self.standing, &self.former) {
            (Standing::Adopt, _) if id.kind.is_facet() => format!("set the {id}"),
            (Standing::Adopt, _) if id.kind == Kind::DialingPermissions => format!("change {id}"),
            (Standing::Ours, Some(former)) => format!("move {id} from {former} to {}", self.environment),
            (Standing::Ours, None) => format!("change {id}"),
            (Standing::Claim, _) => format!("take up {id} ({sid}), made by a run that was stopped"),
            (Standing::Adopt, _) => format!("adopt {id} ({sid})"),
        }
    }
}

impl FieldChange {
    fn line(&self) -> Line<'_> {
        Line { param: &self.param, from: Some(&self.from), to: &self.to }
    }
}

impl Line<'_> {
    /// `VoiceUrl https://new`
    fn noun(&self) -> String {
        match self.to {
            Value::Text(text) if text.is_empty() => format!("no {}", self.param),
            to => format!("{} {to}", self.param),
        }
    }

    /// `set VoiceUrl to https://new (was https://old)`, `clear TrunkSid (was TK…)`
    fn sentence(&self) -> String {
        let what = match self.to {
            Value::Text(text) if text.is_empty() => format!("clear {}", self.param),
            to => format!("set {} to {to}", self.param),
        };
        match self.from {
            Some(from) if !from.is_empty() => format!("{what} (was {from})"),
            _ => what,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => text.fmt(f),
            Value::Decimal(number) => f.write_str(number),
            Value::Bool(boolean) => boolean.fmt(f),
            Value::Sid(id) => id.fmt(f),
        }
    }
}
