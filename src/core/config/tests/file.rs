//! The file as a whole: what we ship, defaults, and text that is no config.

use std::path::Path;

use super::*;

#[test]
fn the_file_that_we_ship_loads_as_it_is() {
    let config = read(include_str!("../../../../config/gateway.toml"));
    assert_eq!(config.extensions.len(), 2);
    assert_eq!(config.number("+15035551212").unwrap().ring, ["101", "102"]);
}

#[test]
fn the_defaults_shown_in_the_file_that_we_ship_are_the_defaults() {
    let shipped = include_str!("../../../../config/gateway.toml");
    let uncommented: String = shipped
        .lines()
        // A default line is "#key = …" without a blank; some exclude each other, and some have no default.
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => match rest.split(' ').next() {
                Some("servers" | "server_name" | "ca_file" | "public_address" | "region" | "edge") => line,
                Some("fallback_url" | "networks" | "daily" | "monthly" | "assets" | "name" | "address" | "notify") => {
                    line
                }
                Some("failure_sound" | "memory") => line,
                _ => rest,
            },
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(uncommented, shipped);
    assert_eq!(read(&uncommented), read(shipped));
}

#[test]
fn the_shortest_file_has_the_documented_defaults() {
    let config = read(MINIMAL);
    assert_eq!(config.twilio.api, "https://api.twilio.com");
    let hosts: Vec<&str> = config.trunk.servers.iter().map(|server| server.host.as_str()).collect();
    assert_eq!(hosts, ["office.sip.ashburn.twilio.com", "office.sip.umatilla.twilio.com"]);
    assert_eq!(config.media.ports, (20000, 29999));
    assert_eq!(config.media.trunk_sources, ["168.86.128.0/18".parse().unwrap()]);
    assert_eq!(config.emergency.numbers.list(), ["911", "933"]);
    assert_eq!((config.trunk.secure, config.trunk.expires), (Secure::On, Duration::from_secs(600)));
    assert_eq!(config.site.state_dir, Path::new("/var/lib/gateway"));
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_its_order() {
    let text = r#"[site]
nmae = "office"
[twilio]
account_sid = "AC12"
[trunk]
domain = "office.sip.twilio.com"
expires = 60
[[extension]]
name = "101"
caller_id = "5035551212"
[[number]]
number = "+15035551212"
ring = ["101", "103"]
"#;
    assert_eq!(
        errors(text),
        [
            "gateway.toml:1: site: name is missing; write name = \"office\"",
            "gateway.toml:1: [webhook] is missing; see config/gateway.toml",
            "gateway.toml:2: site: nmae is not a known key; did you mean name?",
            "gateway.toml:4: twilio: account_sid \"AC12\" is not an account SID; copy it from console.twilio.com: \
             AC and 32 hex digits",
            "gateway.toml:7: trunk: expires 60 is out of range; write a whole number from 600 to 3600 (it means seconds)",
            "gateway.toml:10: extension 101: caller_id \"5035551212\" is not E.164; write \"+15035551212\"",
            "gateway.toml:13: number +15035551212: ring \"103\" is no extension; write \"101\", or add an \
             [[extension]] with name = \"103\"",
        ]
    );
}

#[test]
fn a_broken_file_names_the_line() {
    assert_eq!(
        errors("[site]\nname = \n"),
        ["gateway.toml:2: is not TOML: string values must be quoted, expected literal string"]
    );
}

#[test]
fn a_file_of_another_kind_does_not_flood_its_reader() {
    let told = errors(&"a b c d e f g\n".repeat(10_000));
    assert_eq!(told.len(), 51);
    assert_eq!(told[50], "gateway.toml: and 9950 more");
}

#[test]
fn a_key_given_twice_names_the_second_line() {
    let told = errors("[site]\nname = \"a\"\nname = \"b\"\n");
    assert_eq!(told, ["gateway.toml:3: is not TOML: duplicate key"]);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    says(
        "[twilio]",
        "auth_token = \"0123456789abcdef0123456789abcdef\"",
        &["gateway.toml:4: twilio: auth_token does not belong here, this file may be read by others; secrets live in \
           site.state_dir; remove the line and run \"gateway setup\""],
    );
}

#[test]
fn a_value_of_the_wrong_kind_says_which_kind_is_right() {
    says(
        "[limits]",
        "calls = \"ten\"",
        &["gateway.toml:10: limits: calls \"ten\" is not a whole number; write a whole number from 1 to 2000"],
    );
    says(
        "[limits]",
        "calls = -1",
        &["gateway.toml:10: limits: calls -1 is out of range; write a whole number from 1 to 2000"],
    );
    says(
        "[trunk]",
        "secure = \"yes\"",
        &["gateway.toml:6: trunk: secure \"yes\" is none of true, false and \"only\"; write one of them"],
    );
    says("[lan]", "realm = 7", &["gateway.toml:10: lan: realm 7 is not text; put it in quotes"]);
    says(
        "[lan]",
        "listen = \"auto\"",
        &["gateway.toml:10: lan: listen \"auto\" is not a list; write listen = [\"…\", \"…\"]"],
    );
    says(
        "[emergency]",
        "numbers = [\"91a\"]",
        &[
            "gateway.toml:10: emergency: numbers \"91a\" is not a short number of 2 to 6 digits; write \"911\" for example",
        ],
    );
}

#[test]
fn a_table_with_the_wrong_brackets_says_which_are_right() {
    let text = format!("{MINIMAL}[extension]\nname = \"101\"\n");
    assert_eq!(
        errors(&text),
        ["gateway.toml:9: extension is one table of several; write [[extension]] with two brackets"]
    );
    let text = format!("trunk = 1\n{}", MINIMAL.replace("[trunk]\ndomain = \"office.sip.twilio.com\"\n", ""));
    assert_eq!(errors(&text), ["gateway.toml:1: trunk is not a table; write [trunk] on a line of its own"]);
}

#[test]
fn an_unknown_table_is_told_with_the_known_ones() {
    assert_eq!(
        errors(&format!("{MINIMAL}[extention]\nname = \"101\"\n")),
        ["gateway.toml:9: extention is not a known key; did you mean extension?"]
    );
}

#[test]
fn relative_paths_are_meant_from_the_folder_of_the_file() {
    let text = MINIMAL.replace("[twilio]", "state_dir = \"state\"\n[twilio]");
    let config = parse(&text, "/tmp/demo/gateway.toml", &host()).unwrap();
    assert_eq!(config.site.state_dir, Path::new("/tmp/demo/state"));
}

#[test]
fn an_overlong_value_is_not_repeated_in_full() {
    let told = errors(&MINIMAL.replace("\"office\"", &format!("\"{}\"", "x".repeat(5000))));
    assert!(told[0].len() < 300, "{}", told[0]);
}

#[test]
fn any_bytes_are_answered_without_a_panic() {
    let mut random = crate::random::Random::from_number(7);
    let shipped = include_str!("../../../../config/gateway.toml").as_bytes();
    for _ in 0..300 {
        let mut bytes = shipped.to_vec();
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.bytes::<1>()[0] & 0x7f,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(64)),
            }
        }
        let _ = parse(&String::from_utf8_lossy(&bytes), "gateway.toml", &host());
    }
}

#[test]
fn what_the_file_that_we_ship_shows_as_examples_can_be_had() {
    let shipped = include_str!("../../../../config/gateway.toml");
    let example = |line: &str| {
        let line = line.strip_prefix("# ")?;
        let is_key = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        ((line.starts_with('[') && line.ends_with(']')) || is_key).then(|| line.to_owned())
    };
    let shown: Vec<String> = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => match rest.split(' ').next() {
                Some("servers" | "api") => line.to_owned(),
                _ => rest.to_owned(),
            },
            _ => example(line).unwrap_or(line.to_owned()),
        })
        .collect();
    let config = read(&shown.join("\n"));
    assert_eq!(config.environments.len(), 2);
    assert_eq!(config.addresses.len(), 1);
    assert_eq!(config.spend, Spend { daily: Some(1250), monthly: Some(20_000) });
    assert_eq!(config.twilio.api, "https://api.dublin.ie1.twilio.com");
}
