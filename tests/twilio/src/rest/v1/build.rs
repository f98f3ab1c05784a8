//! Builds and their deployment (TWILIO.md "Builds and deployments").

use serde_json::{Value, json};

use super::serverless::{Family, File, Serverless};
use super::{Call, conflict, invalid, object, ok};
use crate::rest::resource::is_sid;
use crate::rest::serve::Reply;

/// The enum of the OpenAPI file; the last one is the default.
const RUNTIMES: [&str; 8] = ["node8", "node10", "node12", "node14", "node16", "node18", "node20", "node22"];
/// A file whose path contains this makes its build fail: the way to see what a client does then.
const BROKEN: &str = "broken";

/// A build is a complete set of versions, given as repeated keys (TWILIO.md "Builds and deployments").
pub fn create(all: &mut Serverless, call: &mut Call, service: &str) -> Reply {
    call.note_unknown(&["AssetVersions", "FunctionVersions", "Dependencies", "Runtime"]);
    let listed = |name: &String| ["AssetVersions", "FunctionVersions"].contains(&name.as_str());
    let wanted = call.request.form.iter().filter(|(name, _)| listed(name)).map(|(_, sid)| sid.as_str());
    let wanted: Vec<&str> = wanted.collect();
    if wanted.is_empty() {
        return Err(invalid("At least one function version or asset version is required"));
    }
    let mut files: Vec<File> = Vec::new();
    let mut versions: Vec<Value> = Vec::new();
    for sid in wanted {
        let mut items = all.items.iter().filter(|item| item.family == Family::Version && is_sid(sid, "ZN"));
        let found = items.find(|item| item.sid == sid && item.path.starts_with(&format!("{service}/")));
        let version = found.ok_or_else(|| invalid(format!("Version {sid} does not exist in this service")))?;
        if let Some(other) = versions.iter().find(|other| other["asset_sid"] == version.text("asset_sid")) {
            // The words and the code of the real API, as users of the official tool saw them.
            let other = other["sid"].as_str().unwrap_or("");
            let message = format!("Different Asset Versions for same Asset. Conflicting SIDs: {other} and {sid}.");
            return Err(invalid(message));
        }
        if let Some(twin) = files.iter().find(|file| file.path == version.text("path")) {
            return Err(invalid(format!("Two versions have the path {}", twin.path)));
        }
        files.extend(version.files.iter().cloned());
        let field = |name: &str| version.fields.get(name).cloned().unwrap_or_default();
        versions.push(json!({
            "sid": sid,
            "account_sid": field("account_sid"),
            "service_sid": field("service_sid"),
            "asset_sid": field("asset_sid"),
            "date_created": field("date_created"),
            "path": field("path"),
            // In capitals here, as in the example of the OpenAPI file; a version by itself has it in small letters.
            "visibility": version.text("visibility").to_ascii_uppercase(),
        }));
    }
    let runtime = call.value("Runtime").unwrap_or(RUNTIMES[RUNTIMES.len() - 1]);
    if !RUNTIMES.contains(&runtime) {
        return Err(invalid(format!("Runtime {runtime} is not known")));
    }
    let dependencies: Vec<Value> = match call.value("Dependencies") {
        Some(text) => serde_json::from_str(text).map_err(|_| invalid("Dependencies is not a JSON array"))?,
        None => Vec::new(),
    };
    let fields = json!({
        "asset_versions": versions,
        "function_versions": [],
        "dependencies": dependencies,
        "runtime": runtime,
        "status": "building",
    });
    all.add(call, Family::Build, service, object(fields), files)
}

/// A build is read: it is finished after so many reads.
pub fn read(all: &mut Serverless, path: &str) {
    let Some(build) = all.items.iter_mut().find(|item| item.path == path) else { return };
    if build.text("status") != "building" {
        return;
    }
    match build.reads_left.checked_sub(1) {
        Some(left) => build.reads_left = left,
        None => {
            let broken = build.files.iter().any(|file| file.path.contains(BROKEN));
            let status = if broken { "failed" } else { "completed" };
            build.fields.insert("status".to_owned(), json!(status));
        }
    }
}

/// `Builds/{Sid}/Status`.
pub fn status(all: &mut Serverless, call: &Call, path: &str) -> Reply {
    read(all, path);
    let build = all.at(call, path)?;
    ok(json!({
        "sid": build.sid,
        "account_sid": call.account,
        "service_sid": build.fields["service_sid"],
        "status": build.fields["status"],
        "url": format!("{}{path}/Status", call.base),
    }))
}

/// Puts a finished build of this service into an environment; without a build the environment is emptied.
pub fn deploy(all: &mut Serverless, call: &mut Call, service: &str, environment: &str) -> Reply {
    call.note_unknown(&["BuildSid", "IsPlugin"]);
    let sid = call.value("BuildSid").map(str::to_owned);
    if let Some(sid) = &sid {
        let path = all.path_of(call, service, Family::Build, sid);
        let path = path.map_err(|_| invalid(format!("Build {sid} does not exist in this service")))?;
        let status = all.at(call, &path)?.text("status").to_owned();
        if status != "completed" {
            return Err(conflict(format!("Build {sid} is {status}, not completed")));
        }
    }
    let deployed = all.at(call, environment)?;
    deployed.fields.insert("build_sid".to_owned(), json!(sid));
    deployed.fields.insert("date_updated".to_owned(), json!(crate::date::now_iso()));
    all.add(call, Family::Deployment, environment, object(json!({ "build_sid": sid })), Vec::new())
}
