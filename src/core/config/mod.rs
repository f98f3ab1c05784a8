//! `gateway.toml`, parsed into types that cannot be wrong.
//!
//! Parse, don't validate: what stands in [`Config`] has been checked, and nothing later asks again. Unknown keys are
//! errors. Secrets are not in it ([`crate::secrets`]), so that it can sit in git.

mod account;
mod emergency;
mod environment;
mod error;
mod folders;
mod host;
mod own;
mod parse;
mod reader;
pub mod rules;
pub mod tunnel;
pub mod upgrade;
mod value;
mod warnings;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::media::sound::Sound;
use crate::subnet::Subnet;

pub use error::ConfigError;
pub use folders::{Folders, RUN_DIR, STATE_DIR, folders};
pub use host::Host;
pub use parse::parse;

/// Largest config file, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Most `[[extension]]` tables. Twilio keeps them in lists of a thousand (TWILIO.md "Credential lists").
pub const MAX_EXTENSIONS: usize = 5000;

/// Most extensions that one number rings: they ring all at once.
pub const MAX_RING: usize = 100;

/// Most `[[number]]` tables.
pub const MAX_NUMBERS: usize = 1000;

/// Most `[[address]]` tables.
pub const MAX_ADDRESSES: usize = 100;

/// Most entries of `[access] networks`: Twilio's limit of addresses in one list (TWILIO.md "IP access lists").
pub const MAX_NETWORKS: usize = 100;

/// Most entries of `[dialing] countries`: more than there are.
pub const MAX_COUNTRIES: usize = 300;

/// Most entries of `[dialing] prefixes`.
pub const MAX_PREFIXES: usize = 100;

/// Most `[environment.NAME]` tables.
pub const MAX_ENVIRONMENTS: usize = 10;

/// Most entries of `[clock] sntp`.
pub const MAX_TIME_SERVERS: usize = 8;

/// Stands in the place of an environment's name for what all environments share. No environment may be called so.
pub const ACCOUNT: &str = "account";

/// The environment of a config that names none.
pub const DEFAULT_ENVIRONMENT: &str = "prod";

/// Where handsets are listened for when an address comes without a port (RFC 3261 section 19.1.2).
pub const SIP_PORT: u16 = 5060;

/// Where webhooks are listened for by default.
pub const WEBHOOK_PORT: u16 = 8080;

/// What is said of `auto` where there is nothing that it could stand for.
const NO_ADDRESS: &str = "listen \"auto\" finds no private address on this host; handsets are answered as soon as it has \
                          one, or write the address of the LAN, listen = [\"192.168.1.1\"]";

/// The whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub site: Site,
    pub twilio: Twilio,
    pub trunk: Trunk,
    pub lan: Lan,
    pub media: Media,
    pub dscp: Dscp,
    pub webhook: Webhook,
    /// `[tunnel]`
    pub tunnel: tunnel::Settings,
    pub metrics: Metrics,
    pub emergency: Emergency,
    pub clock: Clock,
    pub limits: Limits,
    pub access: Access,
    pub dialing: Dialing,
    pub spend: Spend,
    pub hosted: Hosted,
    /// `[upgrade]`
    pub upgrade: upgrade::Settings,
    pub extensions: Vec<Extension>,
    pub numbers: Vec<Number>,
    pub addresses: Vec<Address>,
    /// All environments, sorted by name; at least the one that [`Site::environment`] names. `trunk` and `webhook` are
    /// already what that one says.
    pub environments: Vec<Environment>,
}

/// `[dscp]`: the class of the packets of calls (RFC 2474), 0 to 63. With 0 they are sent as the system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp {
    /// RTP and RTCP. Default 46, EF (RFC 3246).
    pub rtp: u8,
    /// SIP. Default 24, CS3 (RFC 4594 section 4.3).
    pub sip: u8,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Where a Prometheus of the site may ask, by GET /metrics; without it, nowhere.
    pub listen: Option<SocketAddr>,
}

/// `[site]`
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Names the Twilio resources of this installation (`gateway-NAME-…`).
    pub name: String,
    /// The user name of the box itself at each SIP domain; see [`own::user`].
    pub user: String,
    /// Which environment this box runs. Default `prod`.
    pub environment: String,
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
    /// Base of the 2010 API without the version, default `https://api.twilio.com`; with `edge` and `region`,
    /// `https://api.EDGE.REGION.twilio.com`. The other products' hosts follow from it (TWILIO.md "API hosts").
    pub api: String,
    /// PEM file of roots to trust instead of Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// How often the running service compares the account with the config. Default one day.
    pub drift_check: Duration,
    /// Whether "Enhanced Programmable SIP Features" is on in the console's voice settings: then Twilio rings several
    /// `<Sip>` nouns at once (TWILIO.md "Dial"). Default false.
    pub enhanced_programmable_sip_features: bool,
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
    /// Registration interval asked for, 600–3600 s (TWILIO.md "Registration").
    pub expires: Duration,
    /// SRTP on the trunk, and the domain's Secure flag. Default on.
    pub secure: Secure,
    /// Between keepalives on the flow (CRLF CRLF). Default 25 s.
    pub keepalive: Duration,
}

/// Whether the sound of calls is SRTP on its way to Twilio.
///
/// The rule: what we offer is SRTP unless it is off. What Twilio offers to a registered extension may be plain without
/// our doing, as where somebody's own TwiML lacks `;secure=true` (TWILIO.md "SRTP"): such a call is taken with a warning,
/// unless the config wants SRTP alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secure {
    /// `false`
    Off,
    /// `true`
    #[default]
    On,
    /// `"only"`: a plain offer gets 488.
    Only,
}

impl Secure {
    /// Whether we ask for SRTP.
    pub fn is_on(self) -> bool {
        self != Secure::Off
    }
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
    /// Where handsets reach us, UDP and TCP on each. `auto` was replaced by the private addresses of this host, of which
    /// there may be none yet.
    pub listen: Vec<SocketAddr>,
    /// `auto` was written: private addresses that come later count, too.
    pub auto: bool,
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
    /// Sources that trunk media may come from, beside the SDP address. Default 168.86.128.0/18
    /// (TWILIO.md "Twilio's addresses").
    pub trunk_sources: Vec<Subnet>,
    /// The address to write into trunk SDP and Contact; default that of the TLS socket (Twilio latches).
    pub public_address: Option<std::net::IpAddr>,
}

/// `[webhook]`
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// What Twilio calls: the base that signatures are made over. No trailing slash. Empty while only the tunnel knows
    /// it and has not told yet.
    pub public_url: String,
    /// Where the tunnel delivers it. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// What Twilio asks when we do not answer (TWILIO.md "Webhook fallback").
    pub fallback_url: Option<String>,
    /// How a request proves that it is Twilio's.
    pub protect: Protection,
    /// `http://` may cross the internet: somebody said so by name. Default false.
    pub allow_http: bool,
    /// So may `listen` be an address of the internet. Default false.
    pub allow_wan: bool,
}

/// How a webhook request proves that it is Twilio's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// `X-Twilio-Signature`; needs the auth token on this box.
    #[default]
    Signature,
    /// A name and a password in the URLs that are set at Twilio; the auth token is not kept.
    Credentials,
}

/// `[clock]`
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// Who is asked for the time when the system's clock cannot be right: `host` or `host:port`. None: nobody.
    pub sntp: Vec<Server>,
}

impl Default for Clock {
    /// The public pool; two of these names are asked together.
    fn default() -> Self {
        let name = |number| Server { host: format!("{number}.pool.ntp.org"), port: None };
        Clock { sntp: (0..4).map(name).collect() }
    }
}

/// `[access]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// IPv4 networks that alone may call through the SIP domain, credentials or not (TWILIO.md "IP access lists").
    /// Default: any.
    pub networks: Vec<Ipv4Network>,
}

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ipv4Network {
    pub address: std::net::Ipv4Addr,
    /// 0–32.
    pub prefix: u8,
}

/// `[dialing]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dialing {
    /// Countries that phones may call and that shall be open at Twilio, ISO 3166 codes. Default US CA PR MX.
    pub countries: Vec<String>,
    /// What numbers may begin with besides, `+` and digits: the number rules refuse none of these. Default none.
    pub prefixes: Vec<String>,
    /// Whether set-up opens them where they are closed. Default false: they are checked only.
    pub manage: bool,
}

impl Default for Dialing {
    fn default() -> Self {
        let countries = ["US", "CA", "PR", "MX"].map(str::to_owned).to_vec();
        Dialing { countries, prefixes: Vec::new(), manage: false }
    }
}

/// `[spend]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spend {
    /// Twilio tells us when a day or a month has cost this much, in cents of the account's currency.
    pub daily: Option<u64>,
    pub monthly: Option<u64>,
}

/// `[hosted]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hosted {
    /// A folder whose files Twilio serves: sounds, documents. Default none: no Service is made.
    pub assets: Option<PathBuf>,
}

/// `[[address]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// How numbers refer to it, 1–16 of `a-z 0-9 -`.
    pub name: String,
    /// Who is there: the name that an emergency service sees.
    pub customer: String,
    pub street: String,
    /// Floor, room.
    pub street_secondary: Option<String>,
    pub city: String,
    /// State or province.
    pub region: String,
    pub postal_code: String,
    /// ISO 3166 code, such as `US`.
    pub country: String,
}

/// `[environment.NAME]`: one SIP domain with all that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// 1–16 of `a-z 0-9`.
    pub name: String,
    /// As [`Trunk::domain`].
    pub domain: String,
    /// As [`Trunk::servers`].
    pub servers: Vec<Server>,
    /// As [`Webhook::public_url`].
    pub public_url: String,
    /// As [`Webhook::fallback_url`].
    pub fallback_url: Option<String>,
}

/// An environment was asked for that the config does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no environment {name:?} in the config; it has {}", there.join(", "))]
pub struct NoEnvironment {
    pub name: String,
    /// Those that there are.
    pub there: Vec<String>,
}

/// `[emergency]`
#[derive(Clone, Debug, PartialEq)]
pub struct Emergency {
    /// Which dialled numbers call for help. Default: those of the countries that the site is in.
    pub numbers: crate::emergency::Numbers,
    /// E.164 caller ID for extensions without their own, and for handsets that are not registered.
    pub caller_id: Option<String>,
    /// Extensions that ring when somebody here makes an emergency call. Default none.
    pub notify: Vec<String>,
    /// What a caller hears when an emergency call cannot leave, before the refusal; without it, only the refusal.
    pub failure_sound: Option<PathBuf>,
    /// What is in that file, once it was read.
    pub sound: Option<Sound>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Concurrent calls; emergency calls pass it. Default 100.
    pub calls: usize,
    /// Handsets per extension. Default 10.
    pub bindings_per_extension: usize,
    /// Longest call. Default 1 h.
    pub call_duration: Duration,
    /// How long an unanswered call rings. Default 30 s.
    pub ring: Duration,
    /// What an extension may use that says nothing of its own.
    pub allowance: Allowance,
    /// Minutes outside that all extensions together may use in a day. Default: as many as four extensions, or as a quarter
    /// of all of them.
    pub house_minutes: u32,
    /// New numbers that all extensions together may call in an hour. Default as for minutes.
    pub house_new_numbers: u32,
    /// Octets that all tables together may hold. Default: a quarter of the machine's memory, at least
    /// [`MIN_MEMORY`](Self::MIN_MEMORY).
    pub memory: Option<u64>,
    /// Octets that transactions may hold, of each side. No key: it follows from `memory`.
    pub transactions: usize,
}

impl Limits {
    /// With less no box works, octets.
    pub const MIN_MEMORY: u64 = 24 << 20;
}

/// What an extension may use: a stolen password costs no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Calls at once that it began or pays for. Default 4.
    pub calls: usize,
    /// Minutes outside in 24 hours. Default 240.
    pub minutes: u32,
    /// Numbers in an hour that nobody here called in the last 30 days. Default 20.
    pub new_numbers: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { calls: 4, minutes: 240, new_numbers: 20 }
    }
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
    /// What it may use.
    pub allowance: Allowance,
    /// How its handsets have their keys. Default `auto`.
    pub srtp: Srtp,
}

/// `srtp` of an extension: SRTP on the LAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// As each of its handsets does: what it offers is taken, and it is called in what it speaks.
    #[default]
    Auto,
    /// SRTP only; a plain offer is refused, but for an emergency.
    Required,
    /// Its handsets are called in plain RTP.
    Off,
}

/// `[[number]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// E.164.
    pub number: String,
    /// Extensions that ring, all at once.
    pub ring: Vec<String>,
    /// Its friendly name at Twilio; absent, that is left as it is.
    pub friendly_name: Option<String>,
    /// The [`Address`] that an emergency service is told when this number calls.
    pub address: Option<String>,
    /// The environment that it rings in. Default `prod`, or the only one that there is.
    pub environment: String,
}

impl Lan {
    /// Those of this host's addresses that `auto` stands for.
    pub fn found<'a>(&self, addresses: &'a [IpAddr]) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let addresses = if self.auto { addresses } else { &[] };
        host::lan_addresses(addresses, SIP_PORT)
    }

    /// Whether the file says the same: what `auto` stands for comes and goes with the interfaces.
    pub fn is_written_as(&self, other: &Lan) -> bool {
        let written = |lan: &Lan| {
            let is_found = |at: &SocketAddr| lan.found(&[at.ip()]).any(|found| found == *at);
            lan.listen.iter().filter(|at| !is_found(at)).copied().collect::<Vec<_>>()
        };
        self.auto == other.auto && written(self) == written(other)
    }

    /// Why handsets cannot reach us at all.
    pub fn warning(&self) -> Option<&'static str> {
        self.listen.is_empty().then_some(NO_ADDRESS)
    }
}

impl Config {
    /// The extension of that name.
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.name == name)
    }

    /// The environment of that name.
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.iter().find(|e| e.name == name)
    }

    /// The address of that name.
    pub fn address(&self, name: &str) -> Option<&Address> {
        self.addresses.iter().find(|a| a.name == name)
    }

    /// This config for a box that runs another environment; `None` when there is none of that name.
    pub fn select(mut self, name: &str) -> Option<Config> {
        let environment = self.environment(name)?.clone();
        self.trunk.domain = environment.domain;
        self.trunk.servers = environment.servers;
        self.webhook.public_url = environment.public_url;
        self.webhook.fallback_url = environment.fallback_url;
        self.site.environment = environment.name;
        Some(self)
    }

    /// From now on the environment's webhooks are there.
    pub fn set_public_url(&mut self, environment: &str, url: &str) {
        if let Some(of) = self.environments.iter_mut().find(|of| of.name == environment) {
            url.clone_into(&mut of.public_url);
        }
        if environment == self.site.environment {
            url.clone_into(&mut self.webhook.public_url);
        }
    }

    /// The same, with an error that names the environments that there are.
    pub fn selected(self, name: &str) -> Result<Config, NoEnvironment> {
        let there = self.environments.iter().map(|environment| environment.name.clone()).collect();
        self.select(name).ok_or_else(|| NoEnvironment { name: name.to_owned(), there })
    }

    /// The number's entry.
    pub fn number(&self, number: &str) -> Option<&Number> {
        self.numbers.iter().find(|n| n.number == number)
    }
}
