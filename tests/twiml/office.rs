//! The office of these tests.

use gateway_core::config::Config;
use gateway_core::secret::Secret;
use gateway_core::secrets::{Credentials, Secrets};

#[path = "../office/mod.rs"]
mod file;

use file::OfficeFile;

/// What Twilio signs with.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What stands in URLs where credentials protect them.
pub const PASSWORD: &str = "Sesame1Sesame1Sesame1Ses";

/// Extensions 101 (its own number), 102 (none), 103 (no emergency right), desk-one (rings with 101), and four numbers;
/// of the environments, prod is run.
pub fn config() -> Config {
    OfficeFile::new()
        .table("lan")
        .with("listen", ["127.0.0.1:0"])
        .table("webhook")
        .with("listen", "127.0.0.1:0")
        .table("environment.stage")
        .with("domain", "office-stage.sip.twilio.com")
        .with("public_url", "https://stage.example.net")
        .extensions(["101"])
        .extension("102")
        .extension("103")
        .with("emergency", false)
        .extension("desk-one")
        .number("+15035550100", &["101", "102"])
        .number("+15035550101", &["101"])
        .number("+15035550199", &[])
        .number("+442071838750", &["desk-one"])
        .config()
}

pub fn secrets() -> Secrets {
    let webhook = Credentials { user: "twilio".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    Secrets { auth_token: Some(Secret::new(TOKEN.to_owned())), webhook: Some(webhook), ..Secrets::default() }
}
