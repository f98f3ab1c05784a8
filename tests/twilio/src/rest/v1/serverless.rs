//! Serverless: Services and what hangs below them (TWILIO.md "Hosted files"). Functions are a known gap: there are
//! none.

use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use super::{Call, GONE, build, conflict, created, invalid, object, ok, upload};
use crate::rest::RestError;
use crate::rest::resource::{Form, Param, is_sid, param};
use crate::rest::serve::Reply;
use crate::{date, random};

/// All items together; more than any test makes.
const MAX_ITEMS: usize = 10_000;
/// TWILIO.md "Services and environments": a maximum of 450 bytes.
const MAX_VALUE: usize = 450;

const SERVICE: &[Param] =
    &[param("FriendlyName", Form::Text(255)), param("IncludeCredentials", Form::Flag), param("UiEditable", Form::Flag)];
const NEW_SERVICE: &[Param] = &[
    param("UniqueName", Form::Text(50)),
    param("FriendlyName", Form::Text(255)),
    param("IncludeCredentials", Form::Flag),
    param("UiEditable", Form::Flag),
];
const ENVIRONMENT: &[Param] = &[param("UniqueName", Form::Text(100)), param("DomainSuffix", Form::Text(16))];
const ASSET: &[Param] = &[param("FriendlyName", Form::Text(255))];
const VARIABLE: &[Param] = &[param("Key", Form::Text(128)), param("Value", Form::Text(MAX_VALUE))];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Service,
    Environment,
    Asset,
    Version,
    Build,
    Deployment,
    Variable,
}

impl Family {
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Service => "ZS",
            Self::Environment => "ZE",
            Self::Asset => "ZH",
            Self::Version => "ZN",
            Self::Build => "ZB",
            Self::Deployment => "ZD",
            Self::Variable => "ZV",
        }
    }

    /// The last word of its list's path.
    fn collection(self) -> &'static str {
        match self {
            Self::Service => "Services",
            Self::Environment => "Environments",
            Self::Asset => "Assets",
            Self::Version => "Versions",
            Self::Build => "Builds",
            Self::Deployment => "Deployments",
            Self::Variable => "Variables",
        }
    }

    /// The lists below one of it: name in `links`, last word of the path.
    fn links(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Service => &[
                ("environments", "Environments"),
                ("functions", "Functions"),
                ("assets", "Assets"),
                ("builds", "Builds"),
            ],
            Self::Environment => &[("variables", "Variables"), ("deployments", "Deployments"), ("logs", "Logs")],
            Self::Asset => &[("asset_versions", "Versions")],
            Self::Build => &[("build_status", "Status")],
            Self::Version | Self::Deployment | Self::Variable => &[],
        }
    }
}

/// An uploaded file.
#[derive(Clone)]
pub(super) struct File {
    pub path: String,
    pub visibility: String,
    pub content_type: String,
    pub bytes: Bytes,
}

/// One resource.
pub(super) struct Item {
    pub family: Family,
    pub sid: String,
    /// Path below the base URL; all that hangs below has it as its beginning.
    pub path: String,
    pub fields: Map<String, Value>,
    /// The file of a version, all files of a build.
    pub files: Vec<File>,
    /// Reads until a build is finished.
    pub reads_left: u32,
}

impl Item {
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or("")
    }

    fn show(&self, base: &str) -> Value {
        let mut fields = self.fields.clone();
        let url = format!("{base}{}", self.path);
        let links = self.family.links();
        if !links.is_empty() {
            let each = links.iter().map(|(name, word)| ((*name).to_owned(), json!(format!("{url}/{word}"))));
            fields.insert("links".to_owned(), Value::Object(each.collect()));
        }
        fields.insert("url".to_owned(), json!(url));
        Value::Object(fields)
    }
}

/// Everything below `/v1/Services`, in the order of creation.
#[derive(Default)]
pub struct Serverless {
    pub(super) items: Vec<Item>,
}

/// Answers `Services/...`.
pub fn route(all: &mut Serverless, call: &mut Call, rest: &[&str]) -> Reply {
    let Some((name, rest)) = rest.split_first() else {
        return match call.method() {
            "GET" => call.list("services", all.shown(call, Family::Service, "/v1/Services")),
            "POST" => create_service(all, call),
            _ => Err(call.refuse_method()),
        };
    };
    // TWILIO.md "Services and environments": UniqueName may replace the SID in URLs.
    let mut services = all.items.iter().filter(|item| item.family == Family::Service);
    let service = services.find(|item| item.sid == *name || item.text("unique_name") == *name);
    let service = service.ok_or_else(|| call.missing())?.path.clone();
    use Family::{Asset, Build, Deployment, Environment, Service, Variable, Version};
    match (call.method(), rest) {
        (_, []) => one(all, call, Service, &service, Some(SERVICE)),

        ("GET", ["Environments"]) => call.list("environments", all.shown(call, Environment, &service)),
        ("POST", ["Environments"]) => create_environment(all, call, &service),
        ("GET" | "DELETE", ["Environments", sid]) => {
            let path = all.path_of(call, &service, Environment, sid)?;
            one(all, call, Environment, &path, None)
        }
        (method, ["Environments", sid, rest @ ..]) => {
            let environment = all.path_of(call, &service, Environment, sid)?;
            match (method, rest) {
                ("GET", ["Deployments"]) => call.list("deployments", all.shown(call, Deployment, &environment)),
                ("POST", ["Deployments"]) => build::deploy(all, call, &service, &environment),
                ("GET", ["Deployments", sid]) => {
                    let path = all.path_of(call, &environment, Deployment, sid)?;
                    one(all, call, Deployment, &path, None)
                }
                ("GET", ["Variables"]) => call.list("variables", all.shown(call, Variable, &environment)),
                ("POST", ["Variables"]) => create_variable(all, call, &environment),
                (_, ["Variables", sid]) => {
                    let path = all.path_of(call, &environment, Variable, sid)?;
                    if call.method() == "POST" {
                        check_variable(all, call, &environment, &path)?;
                    }
                    one(all, call, Variable, &path, Some(VARIABLE))
                }
                (_, [] | ["Deployments" | "Variables"] | ["Deployments", _]) => Err(call.refuse_method()),
                _ => Err(call.missing()),
            }
        }

        ("GET", ["Assets"]) => call.list("assets", all.shown(call, Asset, &service)),
        ("POST", ["Assets"]) => {
            call.required("FriendlyName")?;
            let mut fields = Map::new();
            call.apply(ASSET, &mut fields)?;
            all.add(call, Asset, &service, fields, Vec::new())
        }
        (_, ["Assets", sid]) => {
            let path = all.path_of(call, &service, Asset, sid)?;
            if call.method() == "POST" {
                call.required("FriendlyName")?;
            }
            one(all, call, Asset, &path, Some(ASSET))
        }
        (method, ["Assets", sid, "Versions", rest @ ..]) => {
            let asset = all.path_of(call, &service, Asset, sid)?;
            match (method, rest) {
                ("GET", []) => call.list("asset_versions", all.shown(call, Version, &asset)),
                // The host is serverless-upload.twilio.com at Twilio (TWILIO.md "Assets").
                ("POST", []) => {
                    let (fields, file) = upload::version(call, sid)?;
                    all.add(call, Version, &asset, fields, vec![file])
                }
                ("GET", [version]) => {
                    let path = all.path_of(call, &asset, Version, version)?;
                    one(all, call, Version, &path, None)
                }
                (_, [] | [_]) => Err(call.refuse_method()),
                _ => Err(call.missing()),
            }
        }

        ("GET", ["Builds"]) => call.list("builds", all.shown(call, Build, &service)),
        ("POST", ["Builds"]) => build::create(all, call, &service),
        ("GET", ["Builds", sid]) => {
            let path = all.path_of(call, &service, Build, sid)?;
            build::read(all, &path);
            one(all, call, Build, &path, None)
        }
        ("GET", ["Builds", sid, "Status"]) => {
            let path = all.path_of(call, &service, Build, sid)?;
            build::status(all, call, &path)
        }
        ("DELETE", ["Builds", sid]) => {
            let path = all.path_of(call, &service, Build, sid)?;
            if all.below(Environment, &service).any(|environment| environment.text("build_sid") == *sid) {
                return Err(conflict(format!("Build {sid} is deployed and cannot be deleted")));
            }
            all.items.retain(|item| item.path != path);
            Ok(GONE)
        }

        (_, ["Environments" | "Assets" | "Builds"] | ["Builds", _] | ["Builds", _, "Status"]) => {
            Err(call.refuse_method())
        }
        _ => Err(call.missing()),
    }
}

/// GET, DELETE (with all below) and, where parameters may change, POST of one item.
fn one(all: &mut Serverless, call: &mut Call, family: Family, path: &str, params: Option<&[Param]>) -> Reply {
    match (call.method(), params) {
        ("GET", _) => ok(all.at(call, path)?.show(&call.base)),
        ("POST", Some(params)) => {
            let mut fields = all.at(call, path)?.fields.clone();
            call.apply(params, &mut fields)?;
            fields.insert("date_updated".to_owned(), json!(date::now_iso()));
            let base = call.base.clone();
            let item = all.at(call, path)?;
            item.fields = fields;
            ok(item.show(&base))
        }
        ("DELETE", _) if !matches!(family, Family::Version | Family::Deployment) => {
            let below = format!("{path}/");
            all.items.retain(|item| item.path != path && !item.path.starts_with(&below));
            Ok(GONE)
        }
        _ => Err(call.refuse_method()),
    }
}

impl Serverless {
    /// The items of a family right below `parent`.
    pub(super) fn below(&self, family: Family, parent: &str) -> impl Iterator<Item = &Item> {
        let start = match family {
            Family::Service => "/v1/Services/".to_owned(),
            _ => format!("{parent}/{}/", family.collection()),
        };
        self.items.iter().filter(move |item| item.family == family && item.path.starts_with(&start))
    }

    fn shown(&self, call: &Call, family: Family, parent: &str) -> Vec<Value> {
        self.below(family, parent).map(|item| item.show(&call.base)).collect()
    }

    pub(super) fn path_of(&self, call: &Call, parent: &str, family: Family, sid: &str) -> Result<String, RestError> {
        let mut items = self.below(family, parent);
        items.find(|item| item.sid == sid).map(|item| item.path.clone()).ok_or_else(|| call.missing())
    }

    pub(super) fn at(&mut self, call: &Call, path: &str) -> Result<&mut Item, RestError> {
        self.items.iter_mut().find(|item| item.path == path).ok_or_else(|| call.missing())
    }

    /// Adds an item below `parent`; the SIDs of what it hangs on are fields of it.
    pub(super) fn add(
        &mut self,
        call: &Call,
        family: Family,
        parent: &str,
        fields: Map<String, Value>,
        files: Vec<File>,
    ) -> Reply {
        if self.items.len() >= MAX_ITEMS {
            return Err(invalid(format!("Maximum {} Reached", family.collection())));
        }
        let item = self.insert(random::sid(family.prefix()), &call.account, family, parent, fields, files);
        item.reads_left = call.switches.build_reads;
        created(item.show(&call.base))
    }

    /// Puts an item below `parent`.
    pub(super) fn insert(
        &mut self,
        sid: String,
        account: &str,
        family: Family,
        parent: &str,
        fields: Map<String, Value>,
        files: Vec<File>,
    ) -> &mut Item {
        let path = match family {
            Family::Service => format!("/v1/Services/{sid}"),
            _ => format!("{parent}/{}/{sid}", family.collection()),
        };
        let now = date::now_iso();
        let mut all = object(json!({ "sid": sid, "account_sid": account, "date_created": now }));
        if family != Family::Version {
            all.insert("date_updated".to_owned(), json!(now));
        }
        for above in parent.split('/').filter(|part| part.len() == 34) {
            let name = match above {
                _ if is_sid(above, "ZS") => "service_sid",
                _ if is_sid(above, "ZE") => "environment_sid",
                _ => "asset_sid",
            };
            all.insert(name.to_owned(), json!(above));
        }
        all.extend(fields);
        let item = Item { family, sid, path, fields: all, files, reads_left: 0 };
        let at = self.items.len();
        self.items.push(item);
        &mut self.items[at]
    }

    /// What there is, for assertions: family, SID, SID of what it hangs on, fields.
    pub(super) fn records(&self) -> impl Iterator<Item = Value> {
        self.items.iter().map(|item| {
            let parent = item.path.rsplit('/').nth(2).filter(|_| item.family != Family::Service);
            json!({ "kind": format!("{:?}", item.family), "sid": item.sid, "parent": parent, "fields": item.fields })
        })
    }
}

/// Names that become part of a domain name.
fn host_label(parameter: &str, text: &str) -> Result<(), RestError> {
    match text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        true => Ok(()),
        false => Err(invalid(format!("{parameter} may have letters, digits and hyphens only"))),
    }
}

fn create_service(all: &mut Serverless, call: &mut Call) -> Reply {
    let name = call.required("UniqueName")?.to_owned();
    call.required("FriendlyName")?;
    host_label("UniqueName", &name)?;
    let mut fields = object(json!({ "include_credentials": true, "ui_editable": false }));
    call.apply(NEW_SERVICE, &mut fields)?;
    if all.below(Family::Service, "").any(|service| service.text("unique_name") == name) {
        let error = conflict(format!("Service with UniqueName {name} already exists"));
        // The status and code of this conflict are not sure (TWILIO.md "API errors").
        return Err(match call.switches.duplicate_service_status {
            409 => error,
            _ => invalid(error.message),
        });
    }
    // TWILIO.md "Services and environments": domain_base = unique name + random suffix, four digits in the example.
    let suffix = u32::from_be_bytes(random::bytes()) % 10_000;
    fields.insert("domain_base".to_owned(), json!(format!("{}-{suffix:04}", name.to_ascii_lowercase())));
    all.add(call, Family::Service, "", fields, Vec::new())
}

fn create_environment(all: &mut Serverless, call: &mut Call, service: &str) -> Reply {
    let name = call.required("UniqueName")?.to_owned();
    let suffix = call.value("DomainSuffix").unwrap_or("").to_ascii_lowercase();
    host_label("DomainSuffix", &suffix)?;
    let mut fields = object(json!({ "build_sid": null, "domain_suffix": null }));
    call.apply(ENVIRONMENT, &mut fields)?;
    let base = all.at(call, service)?.text("domain_base").to_owned();
    // TWILIO.md "Services and environments": <service-unique-name>-<digits>[-<DomainSuffix>].twil.io.
    let domain = if suffix.is_empty() { format!("{base}.twil.io") } else { format!("{base}-{suffix}.twil.io") };
    for other in all.below(Family::Environment, service) {
        if other.text("unique_name") == name || other.text("domain_name") == domain {
            return Err(conflict(format!("Environment {name} or its domain {domain} already exists")));
        }
    }
    fields.insert("domain_name".to_owned(), json!(domain));
    all.add(call, Family::Environment, service, fields, Vec::new())
}

fn create_variable(all: &mut Serverless, call: &mut Call, environment: &str) -> Reply {
    call.required("Key")?;
    call.required("Value")?;
    check_variable(all, call, environment, "")?;
    let mut fields = Map::new();
    call.apply(VARIABLE, &mut fields)?;
    all.add(call, Family::Variable, environment, fields, Vec::new())
}

/// One variable of each key, and the limit of its value in bytes; `own` is the path of the one that changes.
fn check_variable(all: &Serverless, call: &Call, environment: &str, own: &str) -> Result<(), RestError> {
    if call.value("Value").is_some_and(|value| value.len() > MAX_VALUE) {
        return Err(invalid(format!("Value is longer than {MAX_VALUE} bytes")));
    }
    let Some(key) = call.value("Key") else { return Ok(()) };
    match all.below(Family::Variable, environment).any(|other| other.path != own && other.text("key") == key) {
        true => Err(conflict(format!("Variable {key} already exists"))),
        false => Ok(()),
    }
}
