//! `gateway tunnel`: whether Twilio can reach this box, and what the SSH server of the tunnel has to know.

use std::path::Path;

use super::status::span;
use super::{Done, failed};
use gateway_core::plain::plain_lines;
use gateway_core::status::{TunnelState, TunnelStatus};

/// `gateway tunnel status`
pub(super) fn status(path: &Path, json: bool) -> Done {
    let (_, status) = super::status::asked(path)?;
    let Some(tunnel) = status.tunnel else {
        return Err(failed("the service says nothing of a tunnel; is it of the same version?"));
    };
    match json {
        true => super::print(&format!("{:#}\n", serde_json::json!(tunnel))),
        false => {
            // What a server or a program said is not for the terminal to obey.
            super::print(&plain_lines(&text(&tunnel)));
        }
    }
    match tunnel.state {
        TunnelState::Proved => Ok(()),
        _ => Err(failed("it is not proved that Twilio can reach this box")),
    }
}

/// A line for each thing that is known.
fn text(tunnel: &TunnelStatus) -> String {
    let mut lines = vec![format!("state        {} for {}", tunnel.state.name(), span(tunnel.since))];
    lines.push(format!("driver       {}, restarts: {}", tunnel.driver, tunnel.restarts));
    lines.push(match (tunnel.public_url.as_str(), tunnel.written) {
        ("", _) => "public URL   not told yet".to_owned(),
        (url, true) => format!("public URL   {url}"),
        (url, false) => format!("public URL   {url}, Twilio has not been told yet"),
    });
    lines.push(match (tunnel.last_proof, tunnel.latency) {
        (Some(ago), Some(latency)) => format!("last proof   {} ago, in {latency} ms", span(ago)),
        (Some(ago), None) => format!("last proof   {} ago, by a request of Twilio's", span(ago)),
        (None, _) => "last proof   none yet".to_owned(),
    });
    lines.push(format!("proofs       failed: {}, slow: {}", tunnel.failures, tunnel.slow));
    if let Some(reason) = &tunnel.reason {
        lines.push(format!("reason       {reason}"));
    }
    if let Some(retry) = tunnel.retry_in {
        lines.push(format!("next try     in {}; \"gateway reload\" tries at once", span(retry)));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(feature = "ssh-tunnel")]
pub(super) use of_ssh::{accept_host_key, key, key_line};

#[cfg(feature = "ssh-tunnel")]
mod of_ssh {
    use std::path::Path;

    use super::super::{Done, account, failed, reload};
    use crate::store::Store;
    use crate::tunnel::ssh;
    use gateway_core::config::Config;
    use gateway_core::config::tunnel::Driver;
    use gateway_core::config::tunnel::Ssh;

    /// `gateway tunnel key`
    pub fn key(path: &Path) -> Done {
        let config = super::super::load(path)?;
        let line = key_line(&config, &super::super::open_store(&config)?)?;
        super::super::print(&format!("{line}\n"));
        Ok(())
    }

    /// The line for `authorized_keys` on the server.
    pub fn key_line(config: &Config, store: &Store) -> Result<String, Vec<String>> {
        ssh::public_key_line(store, driver(config)?, &config.tunnel.url_from).map_err(failed)
    }

    /// `gateway tunnel accept-host-key`
    pub fn accept_host_key(path: &Path, yes: Option<&str>) -> Done {
        let config = super::super::load(path)?;
        let driver = driver(&config)?;
        if let Some(host_key) = &driver.host_key {
            let way = "write the new one there, and restart the service";
            return Err(failed(format!("[tunnel] host_key says that it must be {host_key}; {way}")));
        }
        let (store, server) = (super::super::open_store(&config)?, driver.server.name());
        let Some(refused) = ssh::refused(&store, &server).map_err(failed)? else {
            super::super::print(&format!("{} has shown no other host key than the known one\n", driver.server));
            return Ok(());
        };
        let known = refused.known.as_deref().unwrap_or("one that cannot be read any more");
        super::super::print(&format!(
            "host key of {}\n  known  {known}\n  new    {}\n",
            driver.server, refused.offered
        ));
        let is_meant = match yes {
            Some(fingerprint) if fingerprint == refused.offered => true,
            Some(fingerprint) => {
                return Err(failed(format!(
                    "--yes {fingerprint}: the new key is {}; nothing was changed",
                    refused.offered
                )));
            }
            None if !account::is_interactive() => {
                let again = format!("gateway tunnel accept-host-key --yes {}", refused.offered);
                return Err(failed(format!("nothing was changed: this is no terminal to ask on; run \"{again}\"")));
            }
            None => account::confirm("Somebody may listen in between. Does the server's owner confirm the new key?"),
        };
        if !is_meant {
            super::super::print("nothing was changed\n");
            return Ok(());
        }
        ssh::accept(&store, &server, &refused).map_err(failed)?;
        super::super::print("the new key is the known one from now on\n");
        // The service tries again at once.
        match reload::if_running(&config) {
            Some(Ok(text)) => super::super::print(&format!("the running service: {text}\n")),
            Some(Err(error)) => super::super::warn(&[format!("the running service did not reload: {error}")]),
            None => {}
        }
        Ok(())
    }

    fn driver(config: &Config) -> Result<&Ssh, Vec<String>> {
        match &config.tunnel.driver {
            Driver::Ssh(ssh) => Ok(ssh),
            other => Err(failed(format!("driver {:?} of [tunnel] has no SSH server; \"ssh\" has", other.name()))),
        }
    }
}

#[cfg(not(feature = "ssh-tunnel"))]
pub(super) fn key(_: &Path) -> Done {
    Err(failed(WITHOUT_SSH))
}

#[cfg(not(feature = "ssh-tunnel"))]
pub(super) fn accept_host_key(_: &Path, _: Option<&str>) -> Done {
    Err(failed(WITHOUT_SSH))
}

#[cfg(not(feature = "ssh-tunnel"))]
pub(super) fn key_line(_: &gateway_core::config::Config, _: &crate::store::Store) -> Result<String, Vec<String>> {
    Err(failed(WITHOUT_SSH))
}

#[cfg(not(feature = "ssh-tunnel"))]
const WITHOUT_SSH: &str = "this gateway was built without the ssh driver; use a build with the feature ssh-tunnel";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_known_of_the_tunnel_is_a_line_each() {
        let down = sample::tunnel();
        assert_eq!(
            text(&down),
            "state        down for 12 s\n\
             driver       ssh, restarts: 3\n\
             public URL   https://gateway.example.com\n\
             last proof   30 s ago, in 80 ms\n\
             proofs       failed: 2, slow: 1\n\
             reason       the server refuses the key of this box; add this line\n\
             next try     in 60 s; \"gateway reload\" tries at once\n"
        );
        let young = TunnelStatus {
            public_url: String::new(),
            last_proof: None,
            latency: None,
            reason: None,
            retry_in: None,
            ..down
        };
        let text = text(&young);
        assert!(
            text.contains("public URL   not told yet\nlast proof   none yet\n") && !text.contains("reason"),
            "{text}"
        );
    }
}
