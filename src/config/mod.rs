//! `gateway.toml`, parsed into types that cannot be wrong.
//!
//! Parse, don't validate: what stands in [`Config`] has been checked, and nothing later asks again. Unknown keys are
//! errors. Secrets are not in it (they live in [`crate::store`]), so that it can sit in git.

mod error;
mod host;
mod parse;
mod reader;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::media::Subnet;

pub use error::ConfigError;
pub use host::Host;
pub use parse::parse;

/// Largest config file, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Most `[[extension]]` tables: Twilio's limit of credentials in one list (twilio.md 2.4).
pub const MAX_EXTENSIONS: usize = 1000;

/// Most `[[number]]` tables.
pub const MAX_NUMBERS: usize = 1000;

/// Where handsets are listened for when an address comes without a port (RFC 3261 section 19.1.2).
pub const SIP_PORT: u16 = 5060;

/// Where webhooks are listened for by default.
pub const WEBHOOK_PORT: u16 = 8080;

/// Reads a config file for this machine. All mistakes are returned, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<ConfigError>> {
    let file = path.display().to_string();
    let whole = |message: String| vec![ConfigError { file: file.clone(), line: 0, message }];
    let size = std::fs::metadata(path).map_err(|error| whole(format!("cannot be read: {error}")))?.len();
    if size > MAX_FILE {
        return Err(whole(format!("is {size} bytes long; at most {MAX_FILE} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        vec![ConfigError { file: file.clone(), line, message: "is not UTF-8; save the file as UTF-8".to_owned() }]
    })?;
    let host = Host::read().map_err(|error| whole(format!("the interfaces of this host cannot be listed: {error}")))?;
    parse(&text, &file, &host)
}

/// The whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub site: Site,
    pub twilio: Twilio,
    pub trunk: Trunk,
    pub lan: Lan,
    pub media: Media,
    pub webhook: Webhook,
    pub emergency: Emergency,
    pub limits: Limits,
    pub extensions: Vec<Extension>,
    pub numbers: Vec<Number>,
}

/// `[site]`
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Names the Twilio resources of this installation (`gateway-NAME-…`).
    pub name: String,
    /// What must survive a restart. Default `/var/lib/gateway`.
    pub state_dir: PathBuf,
    /// The control socket's folder. Default `/run/gateway`.
    pub run_dir: PathBuf,
}

/// `[twilio]`
#[derive(Clone, Debug, PartialEq)]
pub struct Twilio {
    /// `AC…`
    pub account_sid: String,
    /// Base of the 2010 API without the version, default `https://api.twilio.com`.
    pub api: String,
    /// PEM file of roots to trust instead of Mozilla's.
    pub ca_file: Option<PathBuf>,
}

/// `[trunk]`
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// The SIP domain, `NAME.sip.twilio.com`: the host of AORs and Request-URIs.
    pub domain: String,
    /// Next hops in order of preference: `host` (RFC 3263 look-ups) or `host:port` (address look-up only).
    /// Default: the domain's name at each of `edges` (`NAME.sip.ashburn.twilio.com`).
    pub servers: Vec<Server>,
    /// The name that the certificate must carry when it differs from the server's host (from `domain` where that host
    /// is an address).
    pub server_name: Option<String>,
    /// PEM file of roots to trust instead of Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Registration interval asked for, 600–3600 s (twilio.md 4.1).
    pub expires: Duration,
    /// SRTP on the trunk, as the domain's Secure flag demands. Default true.
    pub secure: bool,
    /// Between keepalives on the flow (CRLF CRLF). Default 25 s.
    pub keepalive: Duration,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: Option<u16>,
}

/// `[lan]`
#[derive(Clone, Debug, PartialEq)]
pub struct Lan {
    /// Where handsets reach us, UDP and TCP on each. `auto` was replaced by the private addresses of this host.
    pub listen: Vec<SocketAddr>,
    /// Digest realm. Default `gateway`.
    pub realm: String,
    /// Shortest and longest registration granted to a handset. Defaults 60 s and 3600 s.
    pub min_expires: Duration,
    pub max_expires: Duration,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// First and last UDP port for RTP and RTCP. Default 20000–29999.
    pub ports: (u16, u16),
    /// Sources that trunk media may come from, beside the SDP address. Default 168.86.128.0/18 (twilio.md 4.2).
    pub trunk_sources: Vec<Subnet>,
    /// The address to write into trunk SDP and Contact; default that of the TLS socket (Twilio latches).
    pub public_address: Option<std::net::IpAddr>,
}

/// `[webhook]`
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// What Twilio calls: the base that signatures are made over. No trailing slash.
    pub public_url: String,
    /// Where the tunnel delivers it. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
}

/// `[emergency]`
#[derive(Clone, Debug, PartialEq)]
pub struct Emergency {
    /// Default 911 and 933 (the test line).
    pub numbers: Vec<String>,
    /// E.164 caller ID for extensions without their own, and for handsets that are not registered.
    pub caller_id: Option<String>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Concurrent calls; emergency calls pass it. Default 100.
    pub calls: usize,
    /// Handsets per extension. Default 10.
    pub bindings_per_extension: usize,
    /// Longest call. Default 1 h (futel.md).
    pub call_duration: Duration,
    /// How long an unanswered call rings. Default 30 s.
    pub ring: Duration,
}

/// `[[extension]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// User name at the LAN and at Twilio, 1–32 of `a-z A-Z 0-9 - _ .`.
    pub name: String,
    /// Shown to the called handset.
    pub display_name: Option<String>,
    /// E.164 number shown outside.
    pub caller_id: Option<String>,
    /// May call 911 and 933. Default true.
    pub emergency: bool,
}

/// `[[number]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// E.164.
    pub number: String,
    /// Extensions that ring, all at once.
    pub ring: Vec<String>,
}

impl Config {
    /// The extension of that name.
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.name == name)
    }

    /// The number's entry.
    pub fn number(&self, number: &str) -> Option<&Number> {
        self.numbers.iter().find(|n| n.number == number)
    }
}
