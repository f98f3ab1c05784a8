//! A Service in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::api::{Api, ApiError, Collection, Form, FormValue, Product, Upload};
use crate::fake_local::FakeLocal;
use crate::kind::{Id, Kind};
use crate::local::Local as _;
use crate::model::{Build, Deployment};
use crate::owned::{Owned, Record, Undo};

#[test]
fn a_file_is_served_as_what_its_name_says() {
    for (path, expected) in [
        ("/sounds/busy.MP3", "audio/mpeg"),
        ("/a.b/c.wav", "audio/wav"),
        ("/a.wav/c", "application/octet-stream"),
        ("/x.xml", "application/xml"),
        ("/sounds/no-line.ulaw", "audio/ulaw"),
        ("/sounds/no-line.UL", "audio/ulaw"),
        ("/x", "application/octet-stream"),
    ] {
        assert_eq!(media_type(path).0, expected, "{path}");
    }
}

/// A hosted Service in memory.
#[derive(Default)]
struct Service {
    /// Status of each build, and how many looks it stays `building`.
    builds: Vec<(String, &'static str, usize)>,
    /// What the next build comes to.
    next: Option<(&'static str, usize)>,
    /// The build in force.
    in_force: Option<String>,
    /// Answers to POSTs that are lost, each after its effect.
    lose: usize,
    /// What was asked, without reads.
    writes: Vec<String>,
    reads: usize,
}

fn no(status: u16) -> ApiError {
    let (request, message) = ("a request".to_owned(), "no".to_owned());
    ApiError::Refused { request, status, code: None, message }
}

impl Service {
    fn lost(&mut self, answer: Value) -> Result<Value, ApiError> {
        if self.lose == 0 {
            return Ok(answer);
        }
        self.lose -= 1;
        Err(ApiError::NoAnswer { request: "a request".to_owned(), reason: "lost".to_owned() })
    }
}

impl Api for Service {
    fn get(&mut self, collection: &Collection, sid: &str) -> Result<Value, ApiError> {
        assert_eq!(collection.product, Product::Serverless);
        self.reads += 1;
        if collection.path == "Services/ZS1/Environments" {
            assert_eq!(sid, "ZE1");
            return Ok(json!({"sid": sid, "build_sid": self.in_force}));
        }
        let build = collection.path.strip_prefix("Services/ZS1/Builds/").unwrap();
        assert_eq!(sid, "Status");
        let Some((_, status, left)) = self.builds.iter_mut().find(|(known, ..)| known == build) else {
            return Err(no(404));
        };
        if *left > 0 {
            *left -= 1;
            return Ok(json!({"status": "building"}));
        }
        Ok(json!({"status": status}))
    }

    fn create(&mut self, collection: &Collection, form: &Form) -> Result<Value, ApiError> {
        assert_eq!(collection.product, Product::Serverless);
        let field = |(name, value): &(String, FormValue)| match value {
            FormValue::Plain(text) => format!(" {name}={text}"),
            FormValue::Secret(_) => panic!("no secrets here"),
        };
        self.writes.push(format!("{}{}", collection.path, form.0.iter().map(field).collect::<String>()));
        match &*collection.path {
            "Services/ZS1/Builds" => {
                let sid = format!("ZB{}", self.builds.len() + 1);
                let (status, looks) = self.next.unwrap_or(("completed", 0));
                self.builds.push((sid.clone(), status, looks));
                self.lost(json!({"sid": sid}))
            }
            "Services/ZS1/Environments/ZE1/Deployments" => {
                let [(_, FormValue::Plain(build))] = &*form.0 else { panic!("{form:?}") };
                self.in_force = Some(build.clone());
                self.lost(json!({"sid": "ZD1"}))
            }
            other => panic!("{other}"),
        }
    }

    fn upload(&mut self, service: &str, asset: &str, upload: &Upload<'_>) -> Result<Value, ApiError> {
        let content = String::from_utf8_lossy(upload.content);
        self.writes.push(format!("{service} {asset} {} {} {content}", upload.path, upload.content_type));
        Ok(json!({"sid": format!("ZN{}", self.writes.len())}))
    }

    fn account(&mut self) -> Result<Value, ApiError> {
        unreachable!()
    }

    fn list(&mut self, _: &Collection, _: &str) -> Result<Vec<Value>, ApiError> {
        unreachable!()
    }

    fn update(&mut self, _: &Collection, _: &str, _: &Form) -> Result<Value, ApiError> {
        unreachable!()
    }

    fn delete(&mut self, _: &Collection, _: &str) -> Result<(), ApiError> {
        unreachable!()
    }
}

/// A site with two files, whose resources have been made.
struct Site {
    local: FakeLocal,
    api: Service,
    owned: Owned,
    waited: Duration,
}

impl Site {
    fn new() -> Site {
        let mut owned = Owned::default();
        let mut put = |id: Id, sid: &str, parent: Option<&str>| {
            owned.put(Record {
                id,
                environment: "account".to_owned(),
                sid: Some(sid.to_owned()),
                parent_sid: parent.map(str::to_owned),
                made: true,
                changed: Default::default(),
                fingerprint: None,
            });
        };
        put(service(), "ZS1", None);
        put(Id::child(Kind::Asset, "gateway-futel", "/a.txt"), "ZH1", Some("ZS1"));
        put(Id::child(Kind::Asset, "gateway-futel", "/s/b.mp3"), "ZH2", Some("ZS1"));
        put(environment(), "ZE1", Some("ZS1"));
        let local = FakeLocal::default();
        local.owned.replace(owned.clone());
        local.write("sounds", "a.txt", "A");
        local.write("sounds", "s/b.mp3", "B");
        Site { local, api: Service::default(), owned, waited: Duration::ZERO }
    }

    fn files(&self) -> Vec<File> {
        self.local.hosted_files("sounds".as_ref()).unwrap()
    }

    /// The records on disk.
    fn saved(&self) -> Owned {
        self.local.owned.borrow().clone()
    }

    fn run(&mut self, step: impl FnOnce(&mut Applier<'_>) -> Result<(), ApplyError>) -> Result<(), ApplyError> {
        let Site { local, api, owned, waited } = self;
        let mut applier = Applier {
            api,
            owned,
            local,
            pause: &mut |pause| *waited += pause,
            listener: &mut |_| {},
            unsaved: false,
            ahead: BTreeSet::new(),
        };
        let done = step(&mut applier);
        applier.commit().unwrap();
        assert_eq!(self.owned, self.saved());
        done
    }

    fn upload(&mut self) {
        for file in self.files() {
            self.run(|applier| applier.upload(&file)).unwrap();
        }
    }

    fn build(&mut self) -> Result<(), ApplyError> {
        let files = self.files();
        self.run(|applier| applier.build(&service(), &files))
    }

    fn deploy(&mut self) -> Result<(), ApplyError> {
        let build = Build::Files { fingerprint: fingerprint(&self.files()) };
        let former = self.api.in_force.clone();
        self.run(|applier| applier.deploy(&Deployment { environment: environment(), build }, former.as_deref()))
    }
}

fn service() -> Id {
    Id::new(Kind::Service, "gateway-futel")
}

fn environment() -> Id {
    Id::child(Kind::HostedEnvironment, "gateway-futel", "prod")
}

#[test]
fn files_are_uploaded_built_and_put_in_force() {
    let mut site = Site::new();
    site.api.next = Some(("completed", 3));
    site.upload();
    assert_eq!(site.saved().uploads["/s/b.mp3"].version_sid, "ZN2");
    site.build().unwrap();
    assert_eq!(site.waited, Duration::from_secs(3));
    assert_eq!(site.saved().builds[&fingerprint(&site.files())], "ZB1");
    site.api.in_force = Some("ZB0".to_owned());
    site.deploy().unwrap();
    assert_eq!(
        site.api.writes,
        [
            "ZS1 ZH1 /a.txt text/plain A",
            "ZS1 ZH2 /s/b.mp3 audio/mpeg B",
            "Services/ZS1/Builds AssetVersions=ZN1 AssetVersions=ZN2",
            "Services/ZS1/Environments/ZE1/Deployments BuildSid=ZB1",
        ]
    );
    assert_eq!(site.api.in_force.as_deref(), Some("ZB1"));
    assert_eq!(
        site.saved().undo,
        [Undo::Deployed {
            id: environment(),
            sid: "ZE1".to_owned(),
            parent_sid: "ZS1".to_owned(),
            build_sid: Some("ZB0".to_owned()),
        }]
    );
}

#[test]
fn a_promoted_build_is_put_in_force_as_it_is() {
    let mut site = Site::new();
    site.api.builds.push(("ZB9".to_owned(), "completed", 0));
    let deployment = Deployment { environment: environment(), build: Build::Sid("ZB9".to_owned()) };
    site.run(|applier| applier.deploy(&deployment, None)).unwrap();
    assert_eq!(site.api.in_force.as_deref(), Some("ZB9"));
}

#[test]
fn a_file_that_changed_since_the_plan_is_not_uploaded() {
    let mut site = Site::new();
    let file = site.files().remove(0);
    site.local.write("sounds", "a.txt", "a");
    let error = site.run(|applier| applier.upload(&file)).unwrap_err().to_string();
    assert!(error.ends_with("/a.txt: it was changed since the plan was made; run the command again"), "{error}");
    assert!(site.api.writes.is_empty());
}

#[test]
fn nothing_is_built_of_a_file_that_was_not_uploaded() {
    let mut site = Site::new();
    site.upload();
    site.local.write("sounds", "a.txt", "a");
    let error = site.build().unwrap_err().to_string();
    let asset = "asset /a.txt in hosted Service gateway-futel";
    assert_eq!(error, format!("{asset} is needed and its SID is not known; run the command again"));
}

#[test]
fn a_run_that_is_killed_while_it_waits_goes_on_with_its_build() {
    let mut site = Site::new();
    site.api.next = Some(("completed", usize::MAX));
    site.upload();
    let error = site.build().unwrap_err().to_string();
    assert_eq!(error, "build ZB1 of the hosted Service is not complete after 5 minutes; run the command again");
    assert_eq!(site.waited, Duration::from_secs(300));
    site.api.builds[0].2 = 1;
    site.deploy().unwrap();
    assert_eq!(site.api.in_force.as_deref(), Some("ZB1"));
    assert_eq!(site.api.builds.len(), 1);
}

#[test]
fn a_build_that_failed_names_itself_and_is_forgotten() {
    let mut site = Site::new();
    site.api.next = Some(("failed", 0));
    site.upload();
    let error = site.build().unwrap_err().to_string();
    assert!(error.starts_with("build ZB1 of the hosted Service failed at Twilio"), "{error}");
    assert!(site.saved().builds.is_empty());
}

#[test]
fn a_build_that_is_gone_at_twilio_is_forgotten() {
    let mut site = Site::new();
    site.upload();
    site.build().unwrap();
    site.api.builds.clear();
    let error = site.deploy().unwrap_err().to_string();
    assert!(error.starts_with("build ZB1 is no longer at Twilio"), "{error}");
    assert!(site.saved().builds.is_empty());
}

#[test]
fn lost_answers_to_a_build_and_a_deployment_lose_nothing() {
    let mut site = Site::new();
    site.upload();
    site.api.lose = 2;
    site.build().unwrap();
    assert_eq!(site.saved().builds[&fingerprint(&site.files())], "ZB3");
    site.api.lose = 1;
    site.deploy().unwrap();
    assert_eq!(site.api.in_force.as_deref(), Some("ZB3"));
}

#[test]
fn what_is_remembered_of_uploads_and_builds_has_a_bound() {
    let mut site = Site::new();
    site.upload();
    for number in 0..200 {
        site.local.write("sounds", "a.txt", &number.to_string());
        site.upload();
        site.build().unwrap();
    }
    assert_eq!(site.saved().builds.len(), 100);
    assert_eq!(site.saved().builds[&fingerprint(&site.files())], "ZB200");
    site.local.folders.borrow_mut().get_mut(Path::new("sounds")).unwrap().remove("/a.txt");
    site.build().unwrap();
    assert_eq!(site.saved().uploads.keys().collect::<Vec<_>>(), ["/s/b.mp3"]);
}
