//! The office of these tests.

use gateway::config::{Config, Host, parse};
use gateway::secret::Secret;
use gateway::store::{Credentials, Secrets};

/// Extensions 101 (its own number), 102 (none), 103 (no emergency right), desk-one (rings with 101), and four numbers;
/// of the environments, prod is run.
const OFFICE: &str = r#"
[site]
name = "office"
[twilio]
account_sid = "AC0123456789abcdef0123456789abcdef"
[trunk]
domain = "office.sip.twilio.com"
[lan]
listen = ["127.0.0.1:0"]
[webhook]
public_url = "https://gw.example.net"
listen = "127.0.0.1:0"
[emergency]
caller_id = "+15035550100"
[environment.stage]
domain = "office-stage.sip.twilio.com"
public_url = "https://stage.example.net"
[[extension]]
name = "101"
caller_id = "+15035550101"
[[extension]]
name = "102"
[[extension]]
name = "103"
emergency = false
[[extension]]
name = "desk-one"
[[number]]
number = "+15035550100"
ring = ["101", "102"]
[[number]]
number = "+15035550101"
ring = ["101"]
[[number]]
number = "+15035550199"
[[number]]
number = "+442071838750"
ring = ["desk-one"]
"#;

/// What Twilio signs with.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What stands in URLs where credentials protect them.
pub const PASSWORD: &str = "Sesame1Sesame1Sesame1Ses";

pub fn config() -> Config {
    parse(OFFICE, "gateway.toml", &Host::default()).expect("the office above has no mistakes")
}

pub fn secrets() -> Secrets {
    let webhook = Credentials { user: "twilio".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    Secrets { auth_token: Some(Secret::new(TOKEN.to_owned())), webhook: Some(webhook), ..Secrets::default() }
}
