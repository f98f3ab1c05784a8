//! Which environments there are, and which of them this box runs: `[site]`, `[trunk]`, `[webhook]` and the
//! `[environment.NAME]` tables.
//!
//! What `[trunk]` and `[webhook]` say of a domain and its URLs describes environment `prod`, unless `[environment.prod]`
//! does. The rest of them holds for all environments.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::parse::path;
use super::reader::Section;
use super::{
    DEFAULT_ENVIRONMENT, Environment, MAX_ENVIRONMENTS, RUN_DIR, STATE_DIR, Server, Site, Trunk, WEBHOOK_PORT, Webhook,
    value,
};
use crate::config::tunnel::UrlFrom;

/// `edges` when the file names none: two sites that do not fail together.
const DEFAULT_EDGES: [&str; 2] = ["ashburn", "umatilla"];

/// Host names of SIP domains end in it (TWILIO.md "Domain names").
const DOMAIN_SUFFIX: &str = ".sip.twilio.com";

/// Keys of `[trunk]` and `[webhook]` that describe [`DEFAULT_ENVIRONMENT`].
const PROD_KEYS: [(&str, &str); 3] = [("trunk", "domain"), ("webhook", "public_url"), ("webhook", "fallback_url")];

/// An environment, and the line of its domain for errors.
struct Found {
    environment: Environment,
    line: usize,
}

/// Reads all four. A public URL that the tunnel tells (`url_from`) need not be given.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    url_from: &UrlFrom,
) -> (Site, Trunk, Webhook, Vec<Environment>) {
    let mut site_section = root.required_section("site");
    let name = site_section.required("name", "\"office\"", value::site_name);
    let tables = root.tables("environment", MAX_ENVIRONMENTS);
    let own_prod = tables.iter().find(|(name, _)| *name == DEFAULT_ENVIRONMENT).map(|(_, section)| section.line);
    let described = PROD_KEYS.iter().any(|(table, key)| root.has_in(table, key));
    // Without tables there is prod alone, and what it needs is missed in [trunk] and [webhook].
    let prod = own_prod.is_none() && (described || tables.is_empty());

    let mut trunk_section = if prod { root.required_section("trunk") } else { root.section("trunk") };
    let mut webhook_section = match url_from {
        UrlFrom::Config if prod => root.required_section("webhook"),
        _ => root.section("webhook"),
    };
    let hops = Hops::read(&mut trunk_section);
    let mut found = Vec::new();
    if prod {
        found.push(environment(
            DEFAULT_ENVIRONMENT,
            &mut trunk_section,
            Some(&mut webhook_section),
            &hops,
            &hops,
            url_from,
        ));
    } else {
        for (table, key) in PROD_KEYS {
            let section = if table == "trunk" { &mut trunk_section } else { &mut webhook_section };
            if let (Some(line), true) = (own_prod, section.has(key)) {
                let said = format!(
                    "{key} describes environment {DEFAULT_ENVIRONMENT}, as does [environment.{DEFAULT_ENVIRONMENT}]"
                );
                section.error(section.line_of(key), format!("{said} on line {line}; keep one of them"));
            }
            section.knows(key);
        }
    }
    for (name, mut section) in tables {
        if let Err(wrong) = value::environment_name(name) {
            section.error(section.line, format!("the name {wrong}"));
        }
        let own = Hops::read(&mut section);
        found.push(environment(name, &mut section, None, &own, &hops, url_from));
        section.finish();
    }
    for (at, second) in found.iter().enumerate() {
        let domain = &second.environment.domain;
        if let Some(first) = found[..at].iter().find(|first| !domain.is_empty() && first.environment.domain == *domain)
        {
            let (of, line) = (&first.environment.name, first.line);
            let way = "each has its own, write another";
            let told = format!(
                "environment {}: domain {domain:?} is that of {of} on line {line}; {way}",
                second.environment.name
            );
            root.error(second.line, told);
        }
    }
    let mut environments: Vec<Environment> = found.into_iter().map(|found| found.environment).collect();
    environments.sort_by(|a, b| a.name.cmp(&b.name));

    let site = site(site_section, name, &environments, folder);
    let selected = environments.iter().find(|environment| environment.name == site.environment);
    let (trunk, webhook) = (trunk(trunk_section, selected, folder), webhook(webhook_section, selected));
    (site, trunk, webhook, environments)
}

/// What an environment's own table says, or `[trunk]` and `[webhook]` of prod.
fn environment<'a>(
    name: &str,
    section: &mut Section<'a>,
    webhook: Option<&mut Section<'a>>,
    own: &Hops,
    shared: &Hops,
    url_from: &UrlFrom,
) -> Found {
    let domain = section.required("domain", "\"NAME.sip.twilio.com\"", value::host).to_ascii_lowercase();
    let line = section.line_of("domain");
    let servers = own.or(shared).of(&domain, section);
    let section = webhook.unwrap_or(section);
    let public_url = match url_from {
        UrlFrom::Config => section.required("public_url", "\"https://…\"", value::base_url),
        _ => section.optional("public_url", value::base_url).unwrap_or_default(),
    };
    let environment = Environment {
        name: name.to_owned(),
        domain,
        servers,
        public_url,
        fallback_url: section.optional("fallback_url", value::url),
    };
    Found { environment, line }
}

/// `servers` and `edges` of a table.
#[derive(Default)]
struct Hops {
    servers: Option<Vec<Server>>,
    edges: Option<Vec<String>>,
}

impl Hops {
    fn read(section: &mut Section<'_>) -> Hops {
        let servers: Option<Vec<Server>> = section
            .list("servers", value::server)
            .map(|servers| servers.into_iter().map(|(server, _)| server).collect());
        let edges: Option<Vec<String>> =
            section.list("edges", value::label).map(|edges| edges.into_iter().map(|(edge, _)| edge).collect());
        if servers.is_some() && edges.is_some() {
            section.error(section.line_of("edges"), "edges and servers say the same thing twice; keep one of them");
        }
        for (key, none) in [("servers", servers.as_deref() == Some(&[])), ("edges", edges.as_deref() == Some(&[]))] {
            // An empty list that was not empty in the file has had its errors already.
            if none && section.is_empty_list(key) {
                section.error(section.line_of(key), format!("{key} is empty; name one, or remove the line"));
            }
        }
        Hops { servers, edges }
    }

    /// These, or the others when these say nothing.
    fn or<'h>(&'h self, other: &'h Hops) -> &'h Hops {
        if self.servers.is_some() || self.edges.is_some() { self } else { other }
    }

    /// The next hops of a domain.
    fn of(&self, domain: &str, section: &Section<'_>) -> Vec<Server> {
        if let Some(servers) = &self.servers {
            return servers.clone();
        }
        let Some(name) = domain.strip_suffix(DOMAIN_SUFFIX) else {
            if !domain.is_empty() {
                let way = format!("write \"NAME{DOMAIN_SUFFIX}\", or name the servers");
                section.error(section.line_of("domain"), format!("domain {domain:?} is not at Twilio; {way}"));
            }
            return Vec::new();
        };
        let edges = self.edges.clone().unwrap_or_else(|| DEFAULT_EDGES.map(str::to_owned).to_vec());
        edges.iter().map(|edge| Server { host: format!("{name}.sip.{edge}.twilio.com"), port: None }).collect()
    }
}

fn site(mut section: Section<'_>, name: String, environments: &[Environment], folder: &Path) -> Site {
    let site = Site {
        // Known when the extensions are.
        user: String::new(),
        name,
        environment: one_of(&mut section, environments),
        state_dir: path(&mut section, "state_dir", folder).unwrap_or_else(|| PathBuf::from(STATE_DIR)),
        run_dir: path(&mut section, "run_dir", folder).unwrap_or_else(|| PathBuf::from(RUN_DIR)),
    };
    section.finish();
    site
}

/// The key `environment` of `[site]` or a `[[number]]`: one that there is. Default `prod`, or the only one.
pub(super) fn one_of(section: &mut Section<'_>, environments: &[Environment]) -> String {
    let names: Vec<&str> = environments.iter().map(|environment| environment.name.as_str()).collect();
    let line = section.line_of("environment");
    let given = section.optional("environment", value::text);
    match given {
        Some(name) => {
            if !names.contains(&name.as_str()) {
                let there = names.join(", ");
                section.error(
                    line,
                    format!("environment {name:?} is not there; write one of {there}, or add [environment.NAME]"),
                );
            }
            name
        }
        None if names.contains(&DEFAULT_ENVIRONMENT) => DEFAULT_ENVIRONMENT.to_owned(),
        None => match names[..] {
            [only] => only.to_owned(),
            _ => {
                if !section.has("environment") {
                    let there = names.join(", ");
                    section.error(line, format!("environment is missing, and there is no prod; write one of {there}"));
                }
                String::new()
            }
        },
    }
}

fn trunk(mut section: Section<'_>, selected: Option<&Environment>, folder: &Path) -> Trunk {
    let trunk = Trunk {
        domain: selected.map(|environment| environment.domain.clone()).unwrap_or_default(),
        servers: selected.map(|environment| environment.servers.clone()).unwrap_or_default(),
        server_name: section.optional("server_name", value::host),
        ca_file: path(&mut section, "ca_file", folder),
        expires: section.optional("expires", value::seconds(600..=3600)).unwrap_or(Duration::from_secs(600)),
        secure: section.optional("secure", value::secure).unwrap_or_default(),
        keepalive: section.optional("keepalive", value::seconds(5..=120)).unwrap_or(Duration::from_secs(25)),
    };
    section.finish();
    trunk
}

fn webhook(mut section: Section<'_>, selected: Option<&Environment>) -> Webhook {
    let webhook = Webhook {
        public_url: selected.map(|environment| environment.public_url.clone()).unwrap_or_default(),
        listen: section
            .optional("listen", value::socket_address)
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], WEBHOOK_PORT))),
        fallback_url: selected.and_then(|environment| environment.fallback_url.clone()),
        protect: section.optional("protect", value::protection).unwrap_or_default(),
        allow_http: section.optional("allow_http", value::boolean).unwrap_or(false),
        allow_wan: section.optional("allow_wan", value::boolean).unwrap_or(false),
    };
    section.finish();
    webhook
}
