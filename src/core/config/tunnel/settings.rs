//! `[tunnel]`: which driver, and where the public URL comes from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Remote;
use crate::url::HostPattern;

/// Between two proofs when the config says nothing.
pub const PROVE_EVERY: Duration = Duration::from_secs(60);

/// `[tunnel]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub driver: Driver,
    pub url_from: UrlFrom,
    /// The host of a URL that is announced must match it. It makes nothing an announcement that is none.
    pub url_pattern: Option<HostPattern>,
    /// Between two proofs that the public URL answers. Default 60 s.
    pub prove_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { driver: Driver::None, url_from: UrlFrom::Config, url_pattern: None, prove_every: PROVE_EVERY }
    }
}

/// What brings Twilio's requests to the webhook listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Somebody else does: a reverse proxy, a tunnel that is not ours.
    #[default]
    None,
    /// A remote forward of an SSH server.
    Ssh(Ssh),
    /// A program that we supervise.
    Command(Program),
    /// TLS on a public address of this box.
    Direct(Direct),
}

impl Driver {
    /// As the config spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Driver::None => "none",
            Driver::Ssh(_) => "ssh",
            Driver::Command(_) => "command",
            Driver::Direct(_) => "direct",
        }
    }

    /// Whether starting it again can help when it says that it is up and nothing comes through.
    pub fn is_restartable(&self) -> bool {
        matches!(self, Driver::Ssh(_) | Driver::Command(_))
    }
}

/// Where the public URL is learnt from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UrlFrom {
    /// `webhook.public_url`; it does not change.
    #[default]
    Config,
    /// What the program, or the server's session, prints.
    Output,
    /// Asked for at a local HTTP URL, such as `http://127.0.0.1:4040/api/tunnels` of ngrok's agent.
    Ask(String),
}

/// `driver = "ssh"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// `user@host:port`
    pub server: Remote,
    /// Where the server listens for us; `""` leaves the address, 0 the port to the server.
    pub bind_address: String,
    pub bind_port: u16,
    /// `SHA256:…`, when the key is not to be taken at the first meeting.
    pub host_key: Option<String>,
}

/// `driver = "command"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments; `{address}` and `{port}` stand for the webhook listener's. Never seen by a shell.
    pub argv: Vec<String>,
    /// The only variables of our environment that it gets. Default: all but Twilio's.
    pub environment: Option<Vec<String>>,
}

/// `driver = "direct"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    pub listen: SocketAddr,
    /// PEM: the certificate and those that lead to a known authority, in this order.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}
