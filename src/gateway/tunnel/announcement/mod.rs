//! Where tunnel programs and servers announce the public URL.
//!
//! The rule: **a URL counts only where the program announces it, with nothing but a host and perhaps a port in it.**
//! Programs print many other URLs: of documentation, of errors, of each request that a stranger makes. A wrong one
//! written to Twilio would give all calls to a stranger. So the announcement decides and no list of domains does, and
//! `url_pattern` narrows further. What else is seen is remembered for the error.

mod cloudflared;
mod logfmt;
mod ngrok;
mod services;
mod tailscale;
#[cfg(test)]
mod tests;
mod upstream;

use std::net::SocketAddr;

use serde_json::Value;

use super::lines::{Line, plain};
use gateway_core::url::{HostPattern, PublicUrl};
use tailscale::{Block, Heard};
use upstream::Upstream;

/// Most hosts that are remembered because nothing announced them.
const MAX_SEEN: usize = 4;

/// First labels of pages that services have for people, such as `dashboard.pinggy.io`.
const PAGES: &[&str] = &[
    "account",
    "accounts",
    "admin",
    "api",
    "app",
    "apps",
    "blog",
    "console",
    "dash",
    "dashboard",
    "developer",
    "developers",
    "dl",
    "doc",
    "docs",
    "download",
    "downloads",
    "help",
    "install",
    "login",
    "signup",
    "status",
    "support",
    "update",
    "updates",
    "www",
];

/// Labels that the name of a tunnel has at least: a service's own name has two.
const MIN_LABELS: usize = 3;

/// Who prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Cloudflared,
    Ngrok,
    Tailscale,
    Localtunnel,
    LocalhostRun,
    Serveo,
    /// A script, a container, a service that has no form of its own.
    Other,
}

/// Programs by what their file's name begins with, and servers by the end of their name.
const PROGRAMS: &[(&str, Speaker)] =
    &[("cloudflared", Speaker::Cloudflared), ("ngrok", Speaker::Ngrok), ("tailscale", Speaker::Tailscale)];
const SERVERS: &[(&str, Speaker)] = &[("localhost.run", Speaker::LocalhostRun), ("serveo.net", Speaker::Serveo)];

/// How much a form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is the program's announcement and nothing else.
    Announcement,
    /// A line with nothing but the URL: it may be a page for people.
    Bare,
}

/// A form in which a URL is announced; the reader gets a whole line without escapes and spaces around it.
struct Announcement {
    by: Speaker,
    form: Form,
    read: fn(&str, &Upstream) -> Option<PublicUrl>,
}

/// All forms but tailscale's, which has several lines ([`Block`]). Each reader names its source.
const TABLE: &[Announcement] = &[
    Announcement { by: Speaker::Cloudflared, form: Form::Announcement, read: cloudflared::row },
    Announcement { by: Speaker::Ngrok, form: Form::Announcement, read: ngrok::record },
    Announcement { by: Speaker::Ngrok, form: Form::Announcement, read: ngrok::forwarding },
    Announcement { by: Speaker::LocalhostRun, form: Form::Announcement, read: services::localhost_run },
    Announcement { by: Speaker::Serveo, form: Form::Announcement, read: services::serveo },
    Announcement { by: Speaker::Localtunnel, form: Form::Announcement, read: services::localtunnel },
    Announcement { by: Speaker::Other, form: Form::Announcement, read: services::labelled },
    Announcement { by: Speaker::Other, form: Form::Bare, read: services::named },
    Announcement { by: Speaker::Other, form: Form::Bare, read: services::bare },
];

/// Reads what one process or one session prints, or what an agent answers.
#[derive(Clone, Debug)]
pub struct Reader {
    speaker: Speaker,
    upstream: Upstream,
    pattern: Option<HostPattern>,
    tailscale: Block,
    refused: Refused,
}

/// What was seen and did not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Refused {
    /// Hosts of https URLs that nothing announced.
    seen: Vec<String>,
    /// One that was announced and does not match the pattern.
    unmatched: Option<String>,
    /// One that stood alone on a line and may be a page for people.
    page: Option<String>,
    /// Local ends of an agent's other tunnels.
    elsewhere: Vec<String>,
}

impl Reader {
    /// Of a program with these arguments that leads to `listen`.
    pub fn of_program(argv: &[String], listen: SocketAddr, pattern: Option<HostPattern>) -> Reader {
        let name = argv.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let known = PROGRAMS.iter().find(|(program, _)| name.starts_with(program)).map(|(_, speaker)| *speaker);
        let speaker = match name {
            "lt" | "localtunnel" => Speaker::Localtunnel,
            _ => known.unwrap_or(Speaker::Other),
        };
        Reader::new(speaker, listen, pattern)
    }

    /// Of the session of an SSH server.
    pub fn of_server(host: &str, listen: SocketAddr, pattern: Option<HostPattern>) -> Reader {
        let is = |server: &str| host == server || host.strip_suffix(server).is_some_and(|rest| rest.ends_with('.'));
        let known = SERVERS.iter().find(|(server, _)| is(server)).map(|(_, speaker)| *speaker);
        Reader::new(known.unwrap_or(Speaker::Other), listen, pattern)
    }

    fn new(speaker: Speaker, listen: SocketAddr, pattern: Option<HostPattern>) -> Reader {
        let upstream = Upstream::new(listen);
        Reader { speaker, upstream, pattern, tailscale: Block::default(), refused: Refused::default() }
    }

    /// The base URL that a line announces.
    pub fn line(&mut self, line: &Line) -> Option<String> {
        let text = plain(&line.text);
        let text = text.trim();
        let found = if line.is_whole { self.announced(text) } else { None };
        let url = found.and_then(|(url, form)| self.accept(url, form));
        if url.is_none() {
            self.refused.see(text);
        }
        url
    }

    fn announced(&mut self, text: &str) -> Option<(PublicUrl, Form)> {
        if matches!(self.speaker, Speaker::Tailscale | Speaker::Other) {
            match self.tailscale.line(text, &self.upstream) {
                Heard::Announced(url) => return Some((url, Form::Announcement)),
                Heard::Part => return None,
                Heard::Nothing => {}
            }
        }
        let mut forms = TABLE.iter().filter(|form| self.speaker == Speaker::Other || form.by == self.speaker);
        forms.find_map(|form| (form.read)(text, &self.upstream).map(|url| (url, form.form)))
    }

    /// The base URL in the answer of an agent: the tunnel whose local end is the webhook listener.
    pub fn answer(&mut self, document: &Value) -> Option<String> {
        let listed = ngrok::listed(document);
        let ours = listed.iter().find(|listed| self.upstream.is(listed.addr)).map(|listed| listed.url.clone());
        let url = match (ours, listed.is_empty()) {
            (Some(url), _) => Some(url),
            (None, true) => cloudflared::quick_tunnel(document),
            (None, false) => {
                let shown = |addr: &str| plain(addr).chars().take(100).collect::<String>();
                self.refused.elsewhere = listed.iter().take(MAX_SEEN).map(|listed| shown(listed.addr)).collect();
                None
            }
        };
        url.and_then(|url| self.accept(url, Form::Announcement))
    }

    fn accept(&mut self, url: PublicUrl, form: Form) -> Option<String> {
        let host = url.host();
        match (&self.pattern, form) {
            (Some(pattern), _) => {
                if !pattern.matches(host) {
                    self.refused.unmatched = Some(host.to_owned());
                    return None;
                }
            }
            // No service gives out an address: it would have no certificate that Twilio takes.
            (None, _) if url.is_address() => return None,
            (None, Form::Bare) if is_page(host) => {
                self.refused.page = Some(host.to_owned());
                return None;
            }
            (None, _) => {}
        }
        Some(url.to_string())
    }

    /// What to do when no URL was found.
    pub fn advice(&self) -> String {
        let Refused { seen, unmatched, page, elsewhere } = &self.refused;
        if let (Some(host), Some(pattern)) = (unmatched, &self.pattern) {
            return format!("it announced {host}, which url_pattern = \"{pattern}\" under [tunnel] does not match");
        }
        if !elsewhere.is_empty() {
            let (ends, listen) = (elsewhere.join(", "), self.upstream.listen());
            return format!("its tunnels lead to {ends}; start one that leads to {listen}, which is webhook.listen");
        }
        if let Some(host) = page {
            return format!(
                "it printed {host}, which may be a page for people; if that is the tunnel, write url_pattern = \
                 \"{host}\" under [tunnel]"
            );
        }
        match seen.first() {
            Some(first) => format!(
                "it printed URLs at {}, but announced none as its tunnel; if one of them is the tunnel and stays the \
                 same, write url_from = \"config\" under [tunnel] and public_url = \"https://{first}\" under [webhook]",
                seen.join(", ")
            ),
            None => "it must announce an https URL; look at its output in the log".to_owned(),
        }
    }
}

/// Whether a host may be a service's own page.
fn is_page(host: &str) -> bool {
    let mut labels = host.split('.');
    labels.clone().count() < MIN_LABELS || labels.next().is_some_and(|first| PAGES.contains(&first))
}

impl Refused {
    /// Remembers the hosts of a line's URLs.
    fn see(&mut self, line: &str) {
        for part in line.split("https://").skip(1) {
            let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c))).unwrap_or(part.len());
            let host = part[..end].trim_end_matches('.').to_ascii_lowercase();
            let is_news = PublicUrl::of_authority(&host).is_some() && !self.seen.contains(&host);
            if is_news && self.seen.len() < MAX_SEEN {
                self.seen.push(host);
            }
        }
    }
}
