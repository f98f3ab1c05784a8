//! What went wrong, and what a person can do about it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use russh::{AlgorithmKind, Error};

use crate::store::StoreError;
use crate::tunnel::announcement::Reader;
use crate::tunnel::lines::plain;
use crate::tunnel::{Culprit, Down};
use gateway_core::config::tunnel::Ssh;

/// Longest text of a server that is repeated, in characters.
const MAX_TEXT: usize = 200;

pub(super) fn dns(ssh: &Ssh, error: &str) -> Down {
    let next = "does the line work, and is the name right in [tunnel] server?";
    Down::new(Culprit::Network, format!("{} cannot be looked up: {error}", ssh.server.host), next)
}

pub(super) fn connect(ssh: &Ssh, address: SocketAddr, error: &std::io::Error) -> Down {
    let next = match error.kind() {
        ErrorKind::ConnectionRefused => "does sshd run there, and on this port?",
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => "does the line work?",
        _ => "does the line work, and does a firewall let it through?",
    };
    Down::new(Culprit::Network, format!("{} ({address}) cannot be reached: {error}", ssh.server), next)
}

pub(super) fn too_late(ssh: &Ssh, missing: &str, limit: Duration) -> Down {
    let reason = format!("{}: {missing} within {} s", ssh.server, limit.as_secs());
    Down::new(Culprit::Network, reason, "does the line work, and is an SSH server there?")
}

/// The same, of a connection that stood and had not been let in. What looks like the line may be a server that is full
/// or shuts us out (sshd's MaxStartups and PerSourcePenalties end connections without a word).
pub(super) fn before_login(down: Down) -> Down {
    match down.culprit {
        Culprit::Network => Down { culprit: Culprit::Login, ..down },
        _ => down,
    }
}

pub(super) fn host_key(ssh: &Ssh, expected: &str, offered: &str) -> Down {
    let server = &ssh.server;
    let reason = format!("the host key of {server} is {offered} and must be {expected}: nothing was sent to it");
    let by = match ssh.host_key {
        Some(_) => format!("write host_key = \"{offered}\" under [tunnel]"),
        None => "run \"gateway tunnel accept-host-key\"".to_owned(),
    };
    let next = format!("somebody may listen in between; only if the server's owner confirms the new key: {by}");
    Down::new(Culprit::HostKey, reason, next)
}

pub(super) fn refused_key(ssh: &Ssh, line: &str) -> Down {
    let server = &ssh.server;
    let next = format!("add this line to ~{}/.ssh/authorized_keys there: {line}", server.user);
    Down::new(Culprit::Refused, format!("{server} refuses the key of this box"), next)
}

pub(super) fn forward(ssh: &Ssh, error: &Error) -> Down {
    let Error::RequestDenied = error else { return session(ssh, error) };
    let (address, port) = (&ssh.bind_address, ssh.bind_port);
    let listen = if address.is_empty() { format!("port {port}") } else { format!("{address}:{port}") };
    let gateway_ports = match address.as_str() {
        "127.0.0.1" | "localhost" | "::1" => "",
        _ => "; GatewayPorts clientspecified is needed for an address that is not 127.0.0.1",
    };
    let next = format!(
        "in its sshd_config AllowTcpForwarding must allow it, as the key's line in authorized_keys must{gateway_ports}; \
         or the port is taken there (ss -ltnp), perhaps by our last session, which ClientAliveInterval 15 would end"
    );
    // Not Culprit::Refused: the port of a session that was lost becomes free by itself.
    Down::new(Culprit::Network, format!("{} does not listen on {listen} for us", ssh.server), next)
}

pub(super) fn session(ssh: &Ssh, error: &Error) -> Down {
    let server = &ssh.server;
    let (culprit, reason, next) = match error {
        Error::NoCommonAlgo { kind: AlgorithmKind::Key, theirs, .. } => (
            Culprit::Refused,
            format!("{server} has no host key of a kind that we take, ed25519 or ecdsa (it has {})", list(theirs)),
            "make one there: ssh-keygen -A as root, HostKey /etc/ssh/ssh_host_ed25519_key in its sshd_config; or let the \
             system's ssh do it: driver = \"command\"",
        ),
        Error::NoCommonAlgo { kind, theirs, .. } => (
            Culprit::Refused,
            format!("{server} and we have no {kind:?} algorithm in common (it has {})", list(theirs)),
            "is it very old, or its sshd_config very strict? or let the system's ssh do it: driver = \"command\"",
        ),
        Error::KeepaliveTimeout => (
            Culprit::Network,
            format!("{server} has been silent although it was asked"),
            "the line was cut, or the server hangs; it is connected to again",
        ),
        Error::Version => {
            (Culprit::Refused, format!("{server} does not speak SSH"), "is the port right in [tunnel] server?")
        }
        Error::HUP | Error::Disconnect | Error::SendError | Error::RecvError => return closed(ssh),
        Error::IO(error) if error.kind() == ErrorKind::UnexpectedEof => return closed(ssh),
        Error::IO(error) => {
            let reason = format!("the connection to {server} broke: {error}");
            (Culprit::Network, reason, "the line was cut, or the server; it is connected to again")
        }
        other => (Culprit::Network, format!("{server}: {}", text(&other.to_string())), "it is connected to again"),
    };
    Down::new(culprit, reason, next)
}

pub(super) fn closed(ssh: &Ssh) -> Down {
    let next = "was it restarted? its log tells why; it is connected to again";
    Down::new(Culprit::Network, format!("{} closed the connection", ssh.server), next)
}

pub(super) fn disconnected(ssh: &Ssh, message: &str) -> Down {
    let reason = format!("{} ended the session: {}", ssh.server, text(message));
    Down::new(Culprit::Network, reason, "its log tells more; it is connected to again")
}

pub(super) fn shell_ended(ssh: &Ssh, last: Option<String>) -> Down {
    let last = last.map_or(String::new(), |line| format!(": {}", text(&line)));
    let next = "a server of your own prints no URL: write url_from = \"config\" and webhook.public_url";
    Down::new(Culprit::Refused, format!("the shell of {} ended{last}", ssh.server), next)
}

pub(super) fn no_url(ssh: &Ssh, limit: Duration, reader: &Reader) -> Down {
    let reason = format!("{} announced no public URL within {} s", ssh.server, limit.as_secs());
    Down::new(Culprit::Refused, reason, reader.advice())
}

pub(super) fn store(error: &StoreError) -> Down {
    Down::new(Culprit::Config, error.to_string(), "the key and the host keys of the tunnel are kept there")
}

fn list(names: &[String]) -> String {
    text(&names.join(", "))
}

/// What a stranger says, as it may stand in our log.
fn text(said: &str) -> String {
    plain(said).chars().take(MAX_TEXT).collect()
}
