//! The office of these tests.

use std::time::Duration;

use gateway::config::*;

/// Extensions 101 (its own number), 102 (none), 103 (no emergency right), desk-one (rings with 101), and four numbers.
pub fn config() -> Config {
    let extension = |name: &str, caller_id: Option<&str>| Extension {
        name: name.to_owned(),
        display_name: None,
        caller_id: caller_id.map(str::to_owned),
        emergency: name != "103",
    };
    let number = |number: &str, ring: &[&str]| Number {
        number: number.to_owned(),
        ring: ring.iter().map(|name| (*name).to_owned()).collect(),
    };
    Config {
        site: Site { name: "office".into(), state_dir: "/var/lib/gateway".into(), run_dir: "/run/gateway".into() },
        twilio: Twilio {
            account_sid: "AC0123456789abcdef0123456789abcdef".into(),
            api: "https://api.twilio.com".into(),
            ca_file: None,
        },
        trunk: Trunk {
            domain: "office.sip.twilio.com".into(),
            servers: Vec::new(),
            server_name: None,
            ca_file: None,
            expires: Duration::from_secs(600),
            secure: true,
            keepalive: Duration::from_secs(25),
        },
        lan: Lan {
            listen: Vec::new(),
            realm: "gateway".into(),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
        },
        media: Media { ports: (20000, 29999), trunk_sources: Vec::new(), public_address: None },
        webhook: Webhook {
            public_url: "https://gw.example.net".into(),
            listen: "127.0.0.1:0".parse().expect("an address"),
        },
        emergency: Emergency { numbers: vec!["911".into(), "933".into()], caller_id: Some("+15035550100".into()) },
        limits: Limits {
            calls: 100,
            bindings_per_extension: 10,
            call_duration: Duration::from_secs(3600),
            ring: Duration::from_secs(30),
        },
        extensions: vec![
            extension("101", Some("+15035550101")),
            extension("102", None),
            extension("103", None),
            extension("desk-one", None),
        ],
        numbers: vec![
            number("+15035550100", &["101", "102"]),
            number("+15035550101", &["101"]),
            number("+15035550199", &[]),
            number("+442071838750", &["desk-one"]),
        ],
    }
}
