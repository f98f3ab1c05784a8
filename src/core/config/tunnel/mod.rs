//! `[tunnel]`: keys of drivers that are not chosen are read and checked, too, so that a file may keep them.

mod remote;
mod settings;

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::parse::path;
use super::reader::Section;
use super::value;
use crate::url::{HostPattern, Port, Url};
pub use remote::{Remote, SSH_PORT};
pub use settings::{Direct, Driver, PROVE_EVERY, Program, Settings, Ssh, UrlFrom};

/// What an SSH server listens on for us when the file says nothing: where its own reverse proxy finds it.
const REMOTE: (&str, u16) = ("127.0.0.1", 8080);

/// Keys that say which driver is meant.
const OF_DRIVER: [(&str, &str); 3] = [("server", "ssh"), ("command", "command"), ("certificate", "direct")];

pub(super) fn tunnel(mut section: Section<'_>, folder: &Path) -> Settings {
    let driver = section.optional("driver", driver);
    if !section.has("driver")
        && let Some((key, driver)) = OF_DRIVER.iter().find(|(key, _)| section.has(key))
    {
        let way = format!("write driver = {driver:?}, too");
        section.error(section.line_of(key), format!("{key} is there without a driver; {way}"));
    }
    let driver = driver.unwrap_or_default();
    let needs = |wanted: &str| driver == wanted;

    let server = needed(&mut section, "server", "\"tunnel@server.example.com\"", needs("ssh"), remote);
    let listen_there = section.optional("remote", listen_there);
    let host_key = section.optional("host_key", fingerprint);
    let argv = section.list("command", value::text);
    let environment = section.list("environment", variable);
    let certificate = file(&mut section, "certificate", needs("direct"), folder);
    let key = file(&mut section, "key", needs("direct"), folder);
    let listen = needed(&mut section, "listen", "\"0.0.0.0:443\"", needs("direct"), value::socket_address);
    let url_from = section.optional("url_from", url_from);
    let url_pattern = section.optional("url_pattern", |value| HostPattern::parse(&value::text(value)?));
    let prove_every = section.optional("prove_every", value::seconds(10..=3600)).unwrap_or(PROVE_EVERY);

    let argv: Vec<String> = argv.unwrap_or_default().into_iter().map(|(argument, _)| argument).collect();
    if needs("command") && !section.has("command") {
        let example = "command = [\"cloudflared\", \"tunnel\", \"--url\", \"http://{address}\"]";
        section.error(section.line, format!("command is missing; write {example}"));
    }
    if section.is_empty_list("command") || argv.first().is_some_and(String::is_empty) {
        let way = "write the program first, command = [\"cloudflared\", …]";
        section.error(section.line_of("command"), format!("command names no program; {way}"));
    }
    if needs("ssh") && matches!(url_from, Some(UrlFrom::Ask(_))) {
        let way = "write \"output\" for a service that prints its URL, or \"config\"";
        section.error(
            section.line_of("url_from"),
            format!("url_from asks a program of this box, and ssh has none; {way}"),
        );
    }
    let driver = match (driver.as_str(), server, certificate, key, listen) {
        ("ssh", Some(server), ..) => {
            let (bind_address, bind_port) = listen_there.unwrap_or((REMOTE.0.to_owned(), REMOTE.1));
            Driver::Ssh(Ssh { server, bind_address, bind_port, host_key })
        }
        ("command", ..) => {
            let environment = environment.map(|names| names.into_iter().map(|(name, _)| name).collect());
            Driver::Command(Program { argv, environment })
        }
        ("direct", _, Some(certificate), Some(key), Some(listen)) => {
            Driver::Direct(Direct { listen, certificate, key })
        }
        _ => Driver::None,
    };
    let url_from = match &driver {
        Driver::Ssh(_) => url_from.unwrap_or_default(),
        Driver::Command(_) => url_from.unwrap_or(UrlFrom::Output),
        // Nobody is there to be asked.
        Driver::None | Driver::Direct(_) => UrlFrom::Config,
    };
    section.finish();
    Settings { driver, url_from, url_pattern, prove_every }
}

/// A key that the chosen driver cannot do without.
fn needed<T>(
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
    is_needed: bool,
    read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
) -> Option<T> {
    if is_needed && !section.has(key) {
        section.error(section.line, format!("{key} is missing; write {key} = {example}"));
    }
    section.optional(key, read)
}

fn file(section: &mut Section<'_>, key: &'static str, is_needed: bool, folder: &Path) -> Option<PathBuf> {
    if is_needed && !section.has(key) {
        section.error(section.line, format!("{key} is missing; write {key} = \"/etc/gateway/….pem\""));
    }
    path(section, key, folder)
}

fn driver(value: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(value)?;
    match ["none", "ssh", "command", "direct"].contains(&text.as_str()) {
        true => Ok(text),
        false => Err("is no driver; write \"ssh\", \"command\", \"direct\" or \"none\"".to_owned()),
    }
}

fn remote(value: &DeValue<'_>) -> Result<Remote, String> {
    Remote::parse(&value::text(value)?)
}

/// `address:port`, or the port alone; the server fills in what is left out.
fn listen_there(value: &DeValue<'_>) -> Result<(String, u16), String> {
    let text = value::text(value)?;
    let wrong =
        || "is not where a server listens; write \"127.0.0.1:8080\", or \"80\" for a hosting service".to_owned();
    let (address, port) = text.rsplit_once(':').unwrap_or(("", &text));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let fits =
        address.len() <= 253 && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:*".contains(&byte));
    let port = port.parse().map_err(|_| wrong())?;
    if fits { Ok((address.to_owned(), port)) } else { Err(wrong()) }
}

/// `SHA256:` and 43 characters of base64, as `ssh-keygen -l` shows it.
fn fingerprint(value: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(value)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    match text.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 && hash.bytes().all(is_base64) => Ok(text),
        _ => {
            Err("is not a fingerprint; copy SHA256:… from ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there"
                .into())
        }
    }
}

/// The name of an environment variable.
fn variable(value: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(value)?;
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(text),
        false => Err("is not the name of a variable; write \"HOME\" for example".to_owned()),
    }
}

/// Whether a program of this machine answers there.
fn is_here(url: &Url) -> bool {
    url.scheme() == "http"
        && url.user_info().is_none()
        && ["127.0.0.1", "localhost"].contains(&url.host())
        && matches!(url.port(), Port::Number(_))
}

fn url_from(value: &DeValue<'_>) -> Result<UrlFrom, String> {
    let text = value::text(value)?;
    match text.as_str() {
        "config" => Ok(UrlFrom::Config),
        "output" => Ok(UrlFrom::Output),
        _ if Url::parse(&text).is_some_and(|url| is_here(&url)) => Ok(UrlFrom::Ask(text)),
        _ => {
            let way = "write \"output\", \"config\" or \"http://127.0.0.1:4040/api/tunnels\"";
            Err(format!("does not say where the public URL comes from; {way}"))
        }
    }
}
