//! How Twilio reaches this box: the questions about `[tunnel]`, and what a person has to do for it elsewhere. Pure.

use toml::Value;

use super::answers::Answers;
use super::question::{Context, Prompt};
use gateway_core::config::tunnel::Remote;
use gateway_core::config::tunnel::{Driver, UrlFrom};
use gateway_core::config::{Config, WEBHOOK_PORT};

/// A quick tunnel: no account is needed, and it tells its URL.
const QUICK: &str = "cloudflared tunnel --url http://{address}";

/// Servers whose owners let anybody forward, and print the URL.
const SERVICES: &[&str] = &["localhost.run", "serveo.net", "pinggy.io"];

/// What those listen on for us.
const SERVICE_PORT: &str = "80";

/// Something that a driver cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Server,
    Command,
    Certificate,
    PrivateKey,
}

/// Who tells the public URL of the environment that this box runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UrlBy {
    Person,
    /// The person, or else the program.
    Either,
    Tunnel,
}

impl Need {
    /// As `[tunnel]` has it.
    pub fn key(self) -> &'static str {
        match self {
            Need::Server => "server",
            Need::Command => "command",
            Need::Certificate => "certificate",
            Need::PrivateKey => "key",
        }
    }

    /// How it is asked for.
    pub fn prompt(self) -> Prompt {
        let prompt = |text: &str, default: Option<&str>| Prompt {
            text: text.to_owned(),
            default: default.map(str::to_owned),
            ..Prompt::default()
        };
        match self {
            Need::Server => prompt("SSH server (user@host, or user@host:port)", None),
            Need::Command => prompt("Command; {address} stands for where the tunnel ends here", Some(QUICK)),
            Need::Certificate => prompt("Certificate file (PEM, with its chain)", Some("/etc/gateway/fullchain.pem")),
            Need::PrivateKey => prompt("Its private key (PEM)", Some("/etc/gateway/privkey.pem")),
        }
    }

    /// Writes an answer down, or says what is wrong with it.
    pub fn put(self, text: &str, answers: &mut Answers) -> Result<(), String> {
        let table = &mut answers.tunnel;
        match self {
            Need::Server => {
                let remote = Remote::parse(text)?;
                if SERVICES
                    .iter()
                    .any(|service| remote.host == *service || remote.host.ends_with(&format!(".{service}")))
                {
                    table.insert("url_from".to_owned(), "output".into());
                    table.insert("remote".to_owned(), SERVICE_PORT.into());
                }
                table.insert("server".to_owned(), text.into());
            }
            Need::Command => {
                let words: Vec<Value> = text.split_whitespace().map(Value::from).collect();
                if words.is_empty() {
                    return Err(format!("names no program; write \"{QUICK}\" for example"));
                }
                table.insert("command".to_owned(), words.into());
            }
            Need::Certificate | Need::PrivateKey => {
                if !text.starts_with('/') {
                    return Err("is not the whole path of a file; write \"/etc/gateway/…pem\"".to_owned());
                }
                table.insert(self.key().to_owned(), text.into());
                table.entry("listen").or_insert_with(|| "0.0.0.0:443".into());
            }
        }
        Ok(())
    }
}

/// The driver that was chosen.
pub(super) fn driver(answers: &Answers) -> Option<&str> {
    setting(answers, "driver").and_then(Value::as_str)
}

/// A key of `[tunnel]`, also one of `--set`.
fn setting<'a>(answers: &'a Answers, key: &str) -> Option<&'a Value> {
    answers.set.get(&format!("tunnel.{key}")).or_else(|| answers.tunnel.get(key))
}

/// What the chosen driver needs and was not told.
pub(super) fn missing(answers: &Answers) -> Vec<Need> {
    let needed: &[Need] = match driver(answers) {
        Some("ssh") => &[Need::Server],
        Some("command") => &[Need::Command],
        Some("direct") => &[Need::Certificate, Need::PrivateKey],
        _ => &[],
    };
    needed.iter().filter(|key| setting(answers, key.key()).is_none()).copied().collect()
}

/// Who tells the public URL.
pub(super) fn url_by(answers: &Answers) -> UrlBy {
    let driver = driver(answers);
    let url_from = setting(answers, "url_from").and_then(Value::as_str);
    match (driver, url_from) {
        (Some("ssh" | "command"), Some(from)) if from != "config" => UrlBy::Tunnel,
        (Some("command"), None) if is_quick(answers) => UrlBy::Tunnel,
        (Some("command"), None) => UrlBy::Either,
        _ => UrlBy::Person,
    }
}

/// Whether the program is known to tell a URL that is another one each time.
fn is_quick(answers: &Answers) -> bool {
    let argv = setting(answers, "command").and_then(Value::as_array);
    let words: Vec<&str> = argv.into_iter().flatten().filter_map(Value::as_str).collect();
    words.first().is_some_and(|program| program.rsplit('/').next() == Some("cloudflared")) && words.contains(&"--url")
}

/// `[tunnel]` as the file gets it; empty where something else brings the requests.
pub(super) fn table(answers: &Answers) -> toml::Table {
    let mut table = answers.tunnel.clone();
    if driver(answers) == Some("none") {
        table.remove("driver");
    }
    let first = answers.environment_names().into_iter().next().unwrap_or_default();
    let url = answers.of_environment.get(&first).and_then(|of| of.public_url.as_deref()).unwrap_or_default();
    // A program prints many URLs; the one that was told counts.
    if url_by(answers) == UrlBy::Either && !url.is_empty() {
        table.insert("url_from".to_owned(), "config".into());
    }
    table
}

/// Where the tunnel ends here.
fn listen(answers: &Answers) -> String {
    let listen = answers.set.get("webhook.listen").and_then(Value::as_str);
    listen.map_or_else(|| format!("127.0.0.1:{WEBHOOK_PORT}"), str::to_owned)
}

/// The question which way it is.
pub(super) fn ways(answers: &Answers, context: &Context) -> Prompt {
    let here = if context.has_cloudflared { ": cloudflared is here" } else { ", such as cloudflared" };
    Prompt {
        lines: vec![
            "Twilio asks this box what to do with a call. How does it reach this box from outside?".to_owned(),
            format!("  1  a program on this box makes a tunnel{here} (no account needed)"),
            "  2  over SSH to a server of yours that has an https name".to_owned(),
            "  3  directly: this box has a public address, a name and a certificate".to_owned(),
            format!("  4  by an https URL that you have already and that ends here at {}", listen(answers)),
        ],
        text: "Which one (1-4)".to_owned(),
        default: Some(if context.has_cloudflared { "1" } else { "4" }.to_owned()),
    }
}

/// Writes down which way it is.
pub(super) fn choose(text: &str, answers: &mut Answers) -> Result<(), String> {
    let driver = match text {
        "1" | "command" => "command",
        "2" | "ssh" => "ssh",
        "3" | "direct" => "direct",
        "4" | "none" => "none",
        _ => return Err("is none of them; write 1, 2, 3 or 4".to_owned()),
    };
    answers.tunnel = [("driver".to_owned(), driver.into())].into_iter().collect();
    Ok(())
}

/// How the public URL is asked for, ` of NAME` where there are several.
pub(super) fn url_prompt(answers: &Answers, of: &str, is_here: bool) -> Prompt {
    let text = format!("Public URL{of} (https://...)");
    let plain = Prompt { text, ..Prompt::default() };
    let server = setting(answers, "server").and_then(Value::as_str).and_then(|text| Remote::parse(text).ok());
    match (driver(answers), server) {
        _ if !is_here => Prompt {
            lines: vec!["It runs on another box; its URL is where Twilio reaches that one".to_owned()],
            ..plain
        },
        (Some("ssh"), Some(server)) => Prompt {
            lines: vec!["The https name of that server".to_owned()],
            default: server.host.parse::<std::net::IpAddr>().is_err().then(|| format!("https://{}", server.host)),
            ..plain
        },
        (Some("direct"), _) => plain,
        (Some("command"), _) => Prompt {
            text: format!("Public URL{of} (https://...; nothing: the program tells it)"),
            default: Some(String::new()),
            ..plain
        },
        _ => Prompt { lines: vec![format!("Where the way to {} begins", listen(answers))], ..plain },
    }
}

/// What remains to be done for the tunnel by a person. `key` is the line for `authorized_keys`.
pub(super) fn to_do(config: &Config, key: Option<&str>, is_program_here: bool) -> Vec<String> {
    match &config.tunnel.driver {
        Driver::None => Vec::new(),
        Driver::Ssh(ssh) => {
            let (server, user) = (&ssh.server, &ssh.server.user);
            let key = format!("    {}", key.unwrap_or("(\"gateway tunnel key\" shows it)"));
            if config.tunnel.url_from != UrlFrom::Config {
                let line = format!("the tunnel goes to {server}; if it wants to know you, this is the public key:");
                return vec![line, key];
            }
            let at = format!("{}:{}", ssh.bind_address, ssh.bind_port);
            vec![
                format!("the tunnel goes to {server}; on that server, once:"),
                format!("  in ~{user}/.ssh/authorized_keys (\"gateway tunnel key\" shows it again):"),
                key,
                "  in sshd_config: AllowTcpForwarding yes, which is its default, or remote".to_owned(),
                format!(
                    "  {} must lead to it, in nginx: location / {{ proxy_pass http://{at}; }}",
                    config.webhook.public_url
                ),
            ]
        }
        Driver::Command(program) => {
            let name = program.argv.first().map(String::as_str).unwrap_or_default();
            let mut lines = Vec::new();
            if !is_program_here {
                lines.push(format!("warning: {name} is not on this box; install it before the service starts"));
            }
            lines.push(format!(
                "under systemd the service starts no other program until you let it: install tunnel-command.conf (see \
                 README.md), or \"systemctl edit gateway\" with [Service] and NoExecPaths= for {name}"
            ));
            lines
        }
        Driver::Direct(direct) => {
            let mut lines = vec![format!("the service, user gateway, must be able to read {}", direct.key.display())];
            if direct.listen.port() < 1024 {
                let port = direct.listen.port();
                lines.push(format!("under systemd port {port} needs low-ports.conf (see README.md)"));
            }
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(way: &str, answered: &[(Need, &str)]) -> Answers {
        let mut answers = Answers::default();
        choose(way, &mut answers).unwrap();
        for (key, text) in answered {
            assert!(missing(&answers).contains(key), "{key:?}");
            key.put(text, &mut answers).unwrap();
        }
        assert_eq!(missing(&answers), []);
        answers
    }

    #[test]
    fn a_quick_tunnel_and_a_hosting_service_tell_their_url_and_nobody_asks_for_it() {
        assert_eq!(url_by(&chosen("1", &[(Need::Command, QUICK)])), UrlBy::Tunnel);
        let answers = chosen("2", &[(Need::Server, "nokey@localhost.run")]);
        assert_eq!(url_by(&answers), UrlBy::Tunnel);
        assert_eq!(table(&answers)["remote"].as_str(), Some("80"));
    }

    #[test]
    fn a_program_that_is_not_known_may_tell_its_url_or_the_person_does() {
        let mut answers = chosen("1", &[(Need::Command, "cloudflared tunnel run office")]);
        assert_eq!(url_by(&answers), UrlBy::Either);
        answers.environment("prod").public_url = Some(String::new());
        assert_eq!(table(&answers).get("url_from"), None);
        answers.environment("prod").public_url = Some("https://office.example.com".to_owned());
        assert_eq!(table(&answers)["url_from"].as_str(), Some("config"));
    }

    #[test]
    fn an_own_server_is_proposed_as_the_public_name_unless_it_is_an_address() {
        let proposal = |server: &str| url_prompt(&chosen("2", &[(Need::Server, server)]), "", true).default;
        assert_eq!(proposal("tunnel@Server.example.com:2222").as_deref(), Some("https://server.example.com"));
        assert_eq!(proposal("tunnel@192.0.2.1"), None);
    }

    #[test]
    fn what_something_else_brings_needs_no_table() {
        let answers = chosen("4", &[]);
        assert!(table(&answers).is_empty());
        assert_eq!(url_by(&answers), UrlBy::Person);
        assert_eq!(url_by(&chosen("3", &[(Need::Certificate, "/c"), (Need::PrivateKey, "/k")])), UrlBy::Person);
    }

    #[test]
    fn wrong_answers_say_the_way_out() {
        let mut answers = Answers::default();
        assert!(choose("5", &mut answers).unwrap_err().contains("write 1, 2, 3 or 4"));
        for (key, text, told) in [
            (Need::Server, "server.example.com", "write \"user@host\""),
            (Need::Command, " ", "names no program"),
            (Need::Certificate, "cert.pem", "whole path"),
        ] {
            assert!(key.put(text, &mut answers).unwrap_err().contains(told), "{key:?}");
        }
        assert_eq!(answers, Answers::default());
    }
}
