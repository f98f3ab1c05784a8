//! The real `gateway` binary: built, configured, run as child processes.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use twilio_simulator::random;
use twilio_simulator::twilio::Twilio;

use crate::sshd::Sshd;

/// Any single command takes less.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// How long the gateway may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Lines of its log that are shown after a failure.
const LOG_TAIL: usize = 60;

/// Builds the binary with the Cargo that runs us, unless `GATEWAY_BIN` names one.
pub async fn build() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("GATEWAY_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let directory = own.parent().ok_or("the demo has no directory")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Without a package: with the features that this binary was built with, so that nothing is compiled twice.
    command.args(["build", "--quiet", "--bins"]);
    // `cargo run` tells us our own package by these; build scripts that watch them (ring's) would run again, and all
    // that depends on them would be compiled again, each time.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if directory.ends_with("release") {
        command.arg("--release");
    }
    println!("Building the gateway ...");
    let status = command.status().await.map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("cargo build of the gateway failed".to_owned());
    }
    Ok(directory.join("gateway"))
}

/// A directory that goes away with its owner.
pub struct Workplace {
    /// The directory.
    pub path: PathBuf,
}

impl Workplace {
    /// Makes it, readable for the owner only.
    pub fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("gateway-demo-{}", &random::uuid()[..8]));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The binary with its configuration, and the running service once it runs.
pub struct Gateway {
    binary: PathBuf,
    config: PathBuf,
    webhook: u16,
    log: PathBuf,
    token: String,
    service: Option<Child>,
}

/// What a command said.
pub struct Said {
    /// Its exit was a success.
    pub success: bool,
    /// Lines of stdout.
    pub lines: Vec<String>,
    /// All of stderr.
    pub errors: String,
}

impl Gateway {
    /// Writes a configuration that points everything at the simulator; with an sshd, webhooks come in through it.
    pub fn configure(binary: PathBuf, directory: &Path, twilio: &Twilio, sshd: Option<&Sshd>) -> std::io::Result<Self> {
        let config = directory.join("gateway.toml");
        let (lan, webhook) = (free_port()?, free_port()?);
        // Even, below the ephemeral range of Linux (32768 and up), so that nothing else takes a port of it.
        let first = 20_000 + 2 * (u16::from_be_bytes(random::bytes::<2>()) % 5_500);
        let tunnel = sshd.map(|sshd| {
            let Sshd { user, port, forwarded, .. } = sshd;
            format!(
                "\n[tunnel]\ndriver = \"ssh\"\nserver = \"{user}@127.0.0.1:{port}\"\nremote = \"127.0.0.1:{forwarded}\"\n"
            )
        });
        let text = format!(
            r#"[site]
name = "demo"
state_dir = "{directory}/state"
run_dir = "{directory}/run"

[twilio]
account_sid = "{account}"
api = "http://{rest}"

[trunk]
domain = "gateway-demo.sip.twilio.com"
servers = ["{sip}"]
server_name = "gateway-demo.sip.twilio.com"
ca_file = "{ca}"
expires = 600

[lan]
listen = ["127.0.0.1:{lan}"]

[media]
ports = "{first}-{last}"

[webhook]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{webhook}"
{tunnel}
[[extension]]
name = "101"
caller_id = "+15035550101"
emergency = true

[[extension]]
name = "102"
caller_id = "+15035550102"
emergency = true

[[number]]
number = "+15035550100"
ring = ["101", "102"]
"#,
            directory = directory.display(),
            account = twilio.account.sid,
            rest = twilio.rest_address,
            sip = twilio.sip_address,
            ca = twilio.ca_file.display(),
            last = first + 999,
            public = sshd.map_or(webhook, |sshd| sshd.forwarded),
            tunnel = tunnel.unwrap_or_default(),
        );
        std::fs::write(&config, text)?;
        let log = directory.join("gateway.log");
        Ok(Self { binary, config, webhook, log, token: twilio.account.token.clone(), service: None })
    }

    /// No configuration yet: a file of answers for the first set-up, with two environments.
    pub fn answered(binary: PathBuf, directory: &Path, twilio: &Twilio, number: &str) -> std::io::Result<Self> {
        let config = directory.join("gateway.toml");
        let (lan, webhook) = (free_port()?, free_port()?);
        let text = format!(
            r#"account_sid = "{account}"
site = "demo"
numbers = ["{number}"]
emergency = true
environments = ["prod", "stage"]

[environment.prod]
domain = "gateway-demo.sip.twilio.com"
public_url = "http://127.0.0.1:{webhook}"

[environment.stage]
domain = "gateway-demo-stage.sip.twilio.com"
public_url = "http://localhost:{webhook}"

[[extension]]
name = "101"

[address]
customer = "Demo Inc."
street = "1 Main St"
city = "Portland"
region = "OR"
postal_code = "97201"
country = "US"

[set]
"site.state_dir" = "{directory}/state"
"site.run_dir" = "{directory}/run"
"twilio.api" = "http://{rest}"
"trunk.servers" = ["{sip}"]
"trunk.server_name" = "gateway-demo.sip.twilio.com"
"trunk.ca_file" = "{ca}"
"lan.listen" = ["127.0.0.1:{lan}"]
"webhook.listen" = "127.0.0.1:{webhook}"
"#,
            directory = directory.display(),
            account = twilio.account.sid,
            rest = twilio.rest_address,
            sip = twilio.sip_address,
            ca = twilio.ca_file.display(),
        );
        std::fs::write(directory.join("answers.toml"), text)?;
        let log = directory.join("gateway.log");
        Ok(Self { binary, config, webhook, log, token: twilio.account.token.clone(), service: None })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--config").arg(&self.config).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs one command to its end. The auth token goes by the environment of `setup` alone.
    pub async fn run(&self, arguments: &[&str]) -> Result<Said, String> {
        let mut command = self.command(arguments);
        if arguments.first() == Some(&"setup") {
            command.env("TWILIO_AUTH_TOKEN", &self.token);
        }
        let name = arguments.join(" ");
        let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await;
        let output = output.map_err(|_| format!("gateway {name}: no end after {COMMAND_LIMIT:?}"))?;
        let output = output.map_err(|e| format!("{}: {e}", self.binary.display()))?;
        Ok(Said {
            success: output.status.success(),
            lines: String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
            errors: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs a command that prints JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let said = self.run(arguments).await?;
        let name = arguments.join(" ");
        if !said.success {
            return Err(format!("gateway {name} failed: {}", said.errors));
        }
        serde_json::from_str(&said.lines.join("\n")).map_err(|e| format!("gateway {name} printed no JSON: {e}"))
    }

    /// Starts the service, in the environment that the configuration names.
    pub fn start(&mut self) -> Result<(), String> {
        self.start_with(&["run"])
    }

    /// Starts the service with arguments of its own.
    pub fn start_with(&mut self, arguments: &[&str]) -> Result<(), String> {
        let log = File::create(&self.log).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let mut command = self.command(arguments);
        let child = command.stdout(log).stderr(errors).spawn();
        self.service = Some(child.map_err(|e| format!("{}: {e}", self.binary.display()))?);
        Ok(())
    }

    /// Is the service (still) alive?
    pub fn is_alive(&mut self) -> bool {
        self.service.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Resident memory now and at its peak, in KiB.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let id = self.service.as_ref()?.id()?;
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Asks the service to stop, and makes it stop if it does not. Says whether it stopped by itself.
    pub async fn stop(&mut self) -> bool {
        let Some(mut child) = self.service.take() else { return true };
        if let Some(id) = child.id() {
            let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        }
        let stopped = tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_ok();
        if !stopped {
            let _ = child.kill().await;
        }
        stopped
    }

    /// The last lines of the service's log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Where the configuration is.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The port of loopback where it takes webhooks.
    pub fn webhook_port(&self) -> u16 {
        self.webhook
    }

    /// Which binary it is.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

/// A port that is free for UDP and TCP on loopback right now.
pub fn free_port() -> std::io::Result<u16> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
