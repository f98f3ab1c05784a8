//! `gateway handset EXTENSION`: what to enter into the phone.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;

use super::{Done, failed};

pub(super) fn run(path: &Path, environment: Option<&str>, extension: &str, json: bool, show_password: bool) -> Done {
    let found = super::in_force::find(path, environment)?;
    if let Some(fault) = &found.fault {
        super::warn(&[super::in_force::told(path, fault)]);
    }
    let config = found.config;
    if config.extension(extension).is_none() {
        return Err(failed(super::no_extension(&config, path, extension)));
    }
    let store = super::open_store(&config)?;
    let secrets = super::told(store.secrets().map_err(failed)?);
    let Some(of_extension) = secrets.extensions.get(extension) else {
        return Err(failed(format!("extension {extension} has no password yet; run \"gateway setup\"")));
    };
    let password = of_extension.lan_password.expose();
    let realm = &config.lan.realm;
    if json {
        let listen: Vec<String> = config.lan.listen.iter().map(SocketAddr::to_string).collect();
        let first = config.lan.listen.first();
        let settings = serde_json::json!({
            "server": first.map(|address| address.ip().to_string()),
            "port": first.map(SocketAddr::port),
            "listen": listen,
            "transports": ["udp", "tcp"],
            "username": extension,
            "password": password,
            "realm": realm,
        });
        super::print(&format!("{settings:#}\n"));
        return Ok(());
    }
    let shown = match show_password || std::io::stdout().is_terminal() {
        true => password.as_str(),
        false => "(shown on a terminal, or with --show-password)",
    };
    super::warn_of_lan(&config);
    let servers: Vec<String> = config.lan.listen.iter().map(SocketAddr::to_string).collect();
    super::print(&format!(
        "server     {}\ntransport  UDP or TCP\nusername   {extension}\npassword   {shown}\nrealm      {realm}\n",
        if servers.is_empty() { "none yet".to_owned() } else { servers.join(" or ") }
    ));
    Ok(())
}
