//! The `gateway.toml` of an office, for all tests: a whole one, to which a test adds what it is about; and its passwords.
//!
//! Unit tests of every crate (`use crate::office::OfficeFile`), integration tests and benchmarks
//! (`#[path = "../office/mod.rs"] mod office;`) share it. Nothing of it is in a release.

use std::fmt::{self, Debug, Display, Formatter};

use gateway_core::config::{self, Config, Host};
use gateway_core::secret::Secret;
use gateway_core::secrets::{ExtensionSecrets, Secrets};

/// A config file in the making. What is written goes into the table that was named last.
pub struct OfficeFile {
    tables: Vec<Table>,
    at: usize,
}

struct Table {
    /// With its brackets: `[trunk]`, `[[extension]]`.
    head: String,
    lines: Vec<(String, String)>,
}

#[allow(dead_code, reason = "no crate needs all of it")]
impl OfficeFile {
    /// A domain, a LAN at 192.168.1.1, a public URL and a number for emergency calls; no extension yet.
    pub fn new() -> Self {
        OfficeFile { tables: Vec::new(), at: 0 }
            .table("site")
            .with("name", "office")
            .table("twilio")
            .with("account_sid", "AC0123456789abcdef0123456789abcdef")
            .table("trunk")
            .with("domain", "office.sip.twilio.com")
            .table("lan")
            .with("listen", ["192.168.1.1"])
            .table("webhook")
            .with("public_url", "https://gw.example.net")
            .table("emergency")
            .with("caller_id", "+15035550100")
    }

    /// Goes on in this table, such as `trunk` or `environment.stage`.
    pub fn table(mut self, name: &str) -> Self {
        let head = format!("[{name}]");
        self.at = self.tables.iter().position(|table| table.head == head).unwrap_or(self.tables.len());
        if self.at == self.tables.len() {
            self.tables.push(Table { head, lines: Vec::new() });
        }
        self
    }

    /// Writes a key: a string, a number, a bool, or a list of them. What stood there before is gone.
    pub fn with(mut self, key: &str, value: impl Debug) -> Self {
        let lines = &mut self.tables[self.at].lines;
        lines.retain(|(name, _)| name != key);
        lines.push((key.to_owned(), format!("{value:?}")));
        self
    }

    /// Adds an extension, and goes on in its table.
    pub fn extension(self, name: &str) -> Self {
        self.one_more("extension").with("name", name)
    }

    /// Adds extensions, each with a number of its own: 101 has +15035550101.
    pub fn extensions(self, names: impl IntoIterator<Item: Display>) -> Self {
        names
            .into_iter()
            .fold(self, |file, name| file.extension(&name.to_string()).with("caller_id", format!("+1503555{name:0>4}")))
    }

    /// Adds a number that rings these extensions, and goes on in its table.
    pub fn number(self, number: &str, ring: &[&str]) -> Self {
        self.one_more("number").with("number", number).with("ring", ring)
    }

    /// What the gateway reads in it. The host has no address: `auto` finds none to listen on.
    pub fn config(&self) -> Config {
        let text = self.to_string();
        config::parse(&text, "gateway.toml", &Host::default()).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }

    fn one_more(mut self, name: &str) -> Self {
        self.at = self.tables.len();
        self.tables.push(Table { head: format!("[[{name}]]"), lines: Vec::new() });
        self
    }
}

impl Display for OfficeFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Table { head, lines } in &self.tables {
            writeln!(f, "{head}")?;
            for (key, value) in lines {
                writeln!(f, "{key} = {value}")?;
            }
        }
        Ok(())
    }
}

/// The passwords of all its extensions: `lan-secret-101` for the LAN, `trunk-secret-101` at Twilio.
#[allow(dead_code, reason = "no crate needs all of it")]
pub fn secrets_of(config: &Config) -> Secrets {
    let one = |name: &str| ExtensionSecrets {
        lan_password: Secret::new(format!("lan-secret-{name}")),
        trunk_passwords: [("prod".to_owned(), Secret::new(format!("trunk-secret-{name}")))].into(),
        former_trunk_passwords: Default::default(),
    };
    let extensions = config.extensions.iter().map(|extension| (extension.name.clone(), one(&extension.name))).collect();
    Secrets { extensions, ..Secrets::default() }
}
