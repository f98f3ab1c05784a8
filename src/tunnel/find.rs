//! Finds the public URL in what tunnel programs and servers print.
//!
//! A wrong URL written to Twilio would send callers astray, so a URL counts only if its host matches the configured
//! pattern or is one that a known service gives out; what else is seen is remembered for the error.

use serde_json::Value;

/// Hosts that tunnel services give out. Those below a `.` are what the service picks.
const KNOWN: &[&str] = &[
    ".trycloudflare.com",
    ".cfargotunnel.com",
    ".ngrok.app",
    ".ngrok.dev",
    ".ngrok.io",
    ".ngrok-free.app",
    ".ngrok-free.dev",
    ".ts.net",
    ".lhr.life",
    ".localhost.run",
    ".serveo.net",
    ".serveousercontent.com",
    ".pinggy.link",
    ".pinggy.online",
    ".loca.lt",
];

/// Hosts below those of [`KNOWN`] that are the services' own.
const OWN: &[&str] = &[
    "api.trycloudflare.com",
    "admin.localhost.run",
    "console.serveo.net",
    "dashboard.ngrok.io",
    "www.serveo.net",
    "login.ts.net",
];

/// Longest host name (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// Most hosts that are remembered because they did not match.
const MAX_SEEN: usize = 4;

/// Most values of a JSON document that are looked at.
const MAX_VALUES: usize = 10_000;

/// `host.example.com`, or `*.example.com` for anything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a pattern. The error says what is wrong and the way out.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match name.len() <= MAX_HOST && name.contains('.') && name.split('.').all(label) {
            true => Ok(HostPattern(text.to_ascii_lowercase())),
            false => Err("is not a host; write \"*.example.com\" or \"tunnel.example.com\"".to_owned()),
        }
    }

    /// Whether a host, in small letters, is meant.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.0,
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks through lines and documents.
#[derive(Clone, Debug)]
pub struct Finder {
    pattern: Option<HostPattern>,
    /// Hosts of https URLs that did not match.
    seen: Vec<String>,
}

impl Finder {
    pub fn new(pattern: Option<HostPattern>) -> Finder {
        Finder { pattern, seen: Vec::new() }
    }

    /// The first URL of a line whose host is the tunnel's, as a base URL: no slash at its end.
    pub fn in_line(&mut self, line: &str) -> Option<String> {
        let line = plain(line);
        let mut rest = line.as_str();
        while let Some(at) = rest.find("https://") {
            rest = &rest[at + "https://".len()..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-._:/~%".contains(c))).unwrap_or(rest.len());
            // With an @ behind it, it was no host but a user's name.
            let url = if rest[end..].starts_with('@') { None } else { self.accept(&rest[..end]) };
            if url.is_some() {
                return url;
            }
        }
        None
    }

    /// The first URL of a JSON document: ngrok's `/api/tunnels` has it as `public_url`, cloudflared's `/quicktunnel`
    /// has a `hostname` without scheme.
    pub fn in_json(&mut self, document: &Value) -> Option<String> {
        let mut waiting = vec![(None, document)];
        let mut looked_at = 0;
        while let Some((key, value)) = waiting.pop() {
            looked_at += 1;
            match value {
                _ if looked_at > MAX_VALUES => return None,
                Value::String(text) if key == Some("hostname") => {
                    if let Some(url) = self.accept(text) {
                        return Some(url);
                    }
                }
                Value::String(text) => {
                    if let Some(url) = self.in_line(text) {
                        return Some(url);
                    }
                }
                // Backwards, because the last one pushed is the next one looked at.
                Value::Array(elements) => waiting.extend(elements.iter().rev().map(|element| (None, element))),
                Value::Object(members) => {
                    waiting.extend(members.iter().rev().map(|(key, value)| (Some(key.as_str()), value)));
                }
                _ => {}
            }
        }
        None
    }

    /// What to do when no URL was found.
    pub fn advice(&self) -> String {
        match (&self.pattern, self.seen.as_slice()) {
            (None, []) => "it must print an https URL; look at its output in the log".to_owned(),
            (Some(pattern), []) => format!("it must print an https URL at {pattern}; look at its output in the log"),
            (_, seen) => format!(
                "it printed URLs at {}; if one of them is the tunnel, write url_pattern = \"{}\" under [tunnel]",
                seen.join(", "),
                seen[0]
            ),
        }
    }

    /// What stands behind `https://`, if its host is the tunnel's.
    fn accept(&mut self, rest: &str) -> Option<String> {
        let rest = rest.trim_end_matches(['/', '.', ':']);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let host = host.to_ascii_lowercase();
        let is_host = host.len() <= MAX_HOST && host.contains('.') && !host.contains("..") && !host.starts_with('.');
        if !is_host || !(port.is_empty() || port.parse::<u16>().is_ok_and(|port| port != 0)) || path.contains('%') {
            return None;
        }
        let is_meant = match &self.pattern {
            Some(pattern) => pattern.matches(&host),
            None => {
                KNOWN.iter().any(|known| host.len() > known.len() && host.ends_with(known)) && !OWN.contains(&&*host)
            }
        };
        if !is_meant {
            if !self.seen.contains(&host) && self.seen.len() < MAX_SEEN {
                self.seen.push(host);
            }
            return None;
        }
        let port = if port.is_empty() || port == "443" { String::new() } else { format!(":{port}") };
        Some(format!("https://{host}{port}{path}"))
    }
}

/// A line without terminal escapes (ECMA-48 section 5.4) and control characters.
pub fn plain(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' if characters.next_if_eq(&'[').is_some() => {
                // Parameters and intermediates, then one final character.
                while characters.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
                characters.next_if(|c| ('\x40'..='\x7e').contains(c));
            }
            '\t' => shown.push(' '),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(lines: &str, url: Option<&str>) {
        let mut finder = Finder::new(None);
        assert_eq!(lines.lines().find_map(|line| finder.in_line(line)).as_deref(), url, "{finder:?}");
    }

    #[test]
    fn the_url_of_a_cloudflare_quick_tunnel_is_found_and_no_other_of_its_urls() {
        finds(
            "2022-11-11T19:57:55Z INF Thank you for trying Cloudflare Tunnel. … use a named tunnel by following: \
             https://developers.cloudflare.com/cloudflare-one/connections/connect-apps\n\
             2022-11-11T19:57:55Z INF Requesting new quick Tunnel on trycloudflare.com...\n\
             2022-11-11T19:57:58Z INF +--------------------------------------------------------------------+\n\
             2022-11-11T19:57:58Z INF |  Your quick Tunnel has been created! Visit it at (it may take some  |\n\
             2022-11-11T19:57:58Z INF |  https://four-dashed-word-url.trycloudflare.com                    |\n",
            Some("https://four-dashed-word-url.trycloudflare.com"),
        );
        finds(
            "failed to request quick Tunnel: Post \"https://api.trycloudflare.com/tunnel\": dial tcp: lookup \
             api.trycloudflare.com on 127.0.0.11:53: no such host",
            None,
        );
    }

    #[test]
    fn the_url_of_ngrok_is_found_in_its_log_and_in_what_its_agent_answers() {
        finds(
            "t=2026-11-22T09:00:00+0000 lvl=info msg=\"open config file\" path=/root/ngrok.yml\n\
             t=2026-11-22T09:00:01+0000 lvl=info msg=\"started tunnel\" obj=tunnels name=command_line \
             addr=http://localhost:8080 url=https://1a2b-203-0-113-7.ngrok-free.app\n",
            Some("https://1a2b-203-0-113-7.ngrok-free.app"),
        );
        let answer = serde_json::json!({"tunnels": [{
            "name": "command_line", "uri": "/api/tunnels/command_line", "proto": "https",
            "public_url": "https://1a2b-203-0-113-7.ngrok-free.app",
            "config": {"addr": "http://localhost:8080", "inspect": true},
        }], "uri": "/api/tunnels"});
        assert_eq!(Finder::new(None).in_json(&answer).as_deref(), Some("https://1a2b-203-0-113-7.ngrok-free.app"));
        let quick = serde_json::json!({"hostname": "four-dashed-word-url.trycloudflare.com"});
        assert_eq!(
            Finder::new(None).in_json(&quick).as_deref(),
            Some("https://four-dashed-word-url.trycloudflare.com")
        );
        assert_eq!(Finder::new(None).in_json(&serde_json::json!({"hostname": ""})), None);
    }

    #[test]
    fn the_urls_of_tailscale_localhost_run_serveo_and_pinggy_are_found() {
        finds(
            "Available on the internet:\n\nhttps://box.tail1234.ts.net/\n|-- proxy http://127.0.0.1:8080",
            Some("https://box.tail1234.ts.net"),
        );
        finds(
            "** your connection id is 1234, please mention it if you send me a message about an issue. **\n\
             To explore using localhost.run visit https://localhost.run/docs/ and https://admin.localhost.run/\n\
             0a1b2c3d4e5f.lhr.life tunneled with tls termination, https://0a1b2c3d4e5f.lhr.life\n",
            Some("https://0a1b2c3d4e5f.lhr.life"),
        );
        finds("\x1b[32mForwarding HTTP traffic from https://abc.serveo.net\x1b[0m\r\n", Some("https://abc.serveo.net"));
        finds(
            "http://rnabc-203-0-113-7.a.free.pinggy.link\nhttps://rnabc-203-0-113-7.a.free.pinggy.link\n",
            Some("https://rnabc-203-0-113-7.a.free.pinggy.link"),
        );
    }

    #[test]
    fn with_a_pattern_only_what_matches_it_counts_and_without_one_the_error_names_what_was_seen() {
        let mut finder = Finder::new(Some(HostPattern::parse("*.tunnel.example").unwrap()));
        assert_eq!(
            finder.in_line("https://a.trycloudflare.com https://tunnel.example https://x.Tunnel.example:8443/a/"),
            Some("https://x.tunnel.example:8443/a".to_owned())
        );
        let mut finder = Finder::new(None);
        assert_eq!(finder.in_line("listening at https://box.example.org/."), None);
        assert!(finder.advice().contains("url_pattern = \"box.example.org\""), "{}", finder.advice());
    }

    #[test]
    fn what_is_no_url_is_not_found() {
        for line in [
            "https://",
            "https://.",
            "https://a..trycloudflare.com",
            "https://x.ngrok.app:0",
            "https://.ts.net",
            "http://a.trycloudflare.com",
            "https://evil.com/a.trycloudflare.com",
            "https://trycloudflare.com",
            "https://a.trycloudflare.com.evil.com",
            "https://a.ts.net@evil.com:x",
        ] {
            assert_eq!(Finder::new(None).in_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_document_of_any_shape_is_looked_through_without_end() {
        let mut deep = serde_json::json!("https://a.ts.net");
        for _ in 0..100 {
            deep = serde_json::json!([deep]);
        }
        assert_eq!(Finder::new(None).in_json(&deep).as_deref(), Some("https://a.ts.net"));
        let wide = Value::Array(vec![Value::Null; MAX_VALUES + 1]);
        assert_eq!(Finder::new(None).in_json(&wide), None);
    }
}
