//! A stranger's hosted service, to be left alone: complete, deployed, with a name like ours.

use hyper::body::Bytes;
use serde_json::json;

use super::object;
use super::serverless::{Family, File};
use crate::rest::Store;

/// Puts a service with one environment, one asset, its build and deployment and a variable into the account.
pub fn scatter(store: &mut Store, unique_name: &str) {
    let families = [
        Family::Service,
        Family::Environment,
        Family::Asset,
        Family::Version,
        Family::Build,
        Family::Deployment,
        Family::Variable,
    ];
    let [zs, ze, zh, zn, zb, zd, zv] = families.map(|family| store.sid(family.prefix()));
    let account = store.account_sid.clone();
    let all = &mut store.v1.serverless;
    let mut put = |sid: &str, family, parent: &str, fields, files: &[File]| {
        all.insert(sid.to_owned(), &account, family, parent, object(fields), files.to_vec()).path.clone()
    };
    let file = File {
        path: "/stranger.txt".to_owned(),
        visibility: "public".to_owned(),
        content_type: "text/plain".to_owned(),
        bytes: Bytes::from_static(b"not yours"),
    };
    let version = json!({ "path": file.path, "visibility": file.visibility });
    let built = json!({
        "sid": zn, "account_sid": account, "service_sid": zs, "asset_sid": zh, "date_created": crate::date::now_iso(),
        "path": file.path, "visibility": "PUBLIC",
    });
    let base = format!("{}-{}", unique_name.to_ascii_lowercase(), &zs[2..6]);
    let service = json!({
        "unique_name": unique_name, "friendly_name": unique_name, "include_credentials": true, "ui_editable": false,
        "domain_base": base,
    });
    let service = put(&zs, Family::Service, "", service, &[]);
    let environment = json!({
        "unique_name": "prod", "domain_suffix": null, "domain_name": format!("{base}.twil.io"), "build_sid": zb,
    });
    let environment = put(&ze, Family::Environment, &service, environment, &[]);
    let asset = put(&zh, Family::Asset, &service, json!({ "friendly_name": "greeting.wav" }), &[]);
    put(&zn, Family::Version, &asset, version, std::slice::from_ref(&file));
    let build = json!({
        "asset_versions": [built], "function_versions": [], "dependencies": [], "runtime": "node22",
        "status": "completed",
    });
    put(&zb, Family::Build, &service, build, &[file]);
    put(&zd, Family::Deployment, &environment, json!({ "build_sid": zb }), &[]);
    put(&zv, Family::Variable, &environment, json!({ "key": "OWNER", "value": "a stranger" }), &[]);
}
