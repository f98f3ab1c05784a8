//! Golden errors: what is written down here is what a person reads.

use super::*;

const MINIMAL: &str = r#"[site]
name = "office"
[twilio]
account_sid = "AC0123456789abcdef0123456789abcdef"
[trunk]
domain = "office.sip.twilio.com"
[webhook]
public_url = "https://gateway.example.com"
"#;

fn host() -> Host {
    let addresses = ["127.0.0.1", "192.168.1.1", "203.0.113.7", "fd00::1", "fe80::1", "::1", "100.64.0.9"];
    Host { addresses: addresses.iter().map(|text| text.parse().unwrap()).collect() }
}

fn read(text: &str) -> Config {
    parse(text, "gateway.toml", &host()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = parse(text, "gateway.toml", &host()).expect_err("a mistake");
    errors.iter().map(ToString::to_string).collect()
}

/// The minimal file with lines put under one of its headers, and what is said about it.
#[track_caller]
fn says(header: &str, lines: &str, expected: &[&str]) {
    let text = match MINIMAL.contains(header) {
        true => MINIMAL.replace(header, &format!("{header}\n{lines}")),
        false => format!("{MINIMAL}{header}\n{lines}\n"),
    };
    assert_eq!(errors(&text), expected, "\n{text}");
}

/// The minimal file with one line replaced.
#[track_caller]
fn instead(line: &str, other: &str, expected: &[&str]) {
    assert!(MINIMAL.contains(line));
    assert_eq!(errors(&MINIMAL.replace(line, other)), expected);
}

#[test]
fn the_file_that_we_ship_loads_as_it_is() {
    let config = read(include_str!("../../config/gateway.toml"));
    assert_eq!(config.extensions.len(), 2);
    assert_eq!(config.number("+15035551212").unwrap().ring, ["101", "102"]);
}

#[test]
fn the_defaults_shown_in_the_file_that_we_ship_are_the_defaults() {
    let shipped = include_str!("../../config/gateway.toml");
    let uncommented: String = shipped
        .lines()
        // A default line is "#key = …" without a blank; some exclude each other, and some have no default.
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => match rest.split(' ').next() {
                Some("servers" | "server_name" | "ca_file" | "public_address" | "region" | "edge") => line,
                Some("fallback_url" | "networks" | "daily" | "monthly" | "assets" | "name" | "address") => line,
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
    assert_eq!(config.emergency.numbers, ["911", "933"]);
    assert_eq!((config.trunk.secure, config.trunk.expires), (true, Duration::from_secs(600)));
    assert_eq!(config.site.state_dir, Path::new("/var/lib/gateway"));
}

#[test]
fn auto_is_every_private_address_of_this_host_and_no_other() {
    let listen: Vec<String> = read(MINIMAL).lan.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["192.168.1.1:5060", "[fd00::1]:5060"]);
}

#[test]
fn auto_on_a_host_without_a_private_address_says_what_to_write() {
    let errors = parse(MINIMAL, "gateway.toml", &Host::default()).unwrap_err();
    let way = "write the address of the LAN, listen = [\"192.168.1.1\"]";
    assert_eq!(
        errors[0].to_string(),
        format!("gateway.toml:1: lan: listen \"auto\" finds no private address on this host; {way}")
    );
}

#[test]
fn an_address_without_a_port_gets_5060_and_a_repeated_one_counts_once() {
    let text = format!("{MINIMAL}[lan]\nlisten = [\"10.0.0.1\", \"10.0.0.1:5060\", \"10.0.0.1:5070\"]\n");
    let listen: Vec<String> = read(&text).lan.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["10.0.0.1:5060", "10.0.0.1:5070"]);
}

#[test]
fn nothing_listens_on_an_address_of_the_internet_unless_the_file_says_so() {
    let way = "write a private address or \"auto\", or allow it with allow_wan = true";
    for address in ["203.0.113.7:5060", "0.0.0.0:5060", "[::]:5060", "[2001:db8::1]:5060", "100.64.0.9:5060"] {
        says(
            "[lan]",
            &format!("listen = [\"{address}\"]"),
            &[&format!("gateway.toml:10: lan: listen {address:?} can be reached from the internet; {way}")],
        );
    }
    read(&format!("{MINIMAL}[lan]\nallow_wan = true\nlisten = [\"0.0.0.0\"]\n"));
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
fn numbers_are_mended_as_their_writer_meant_them() {
    for (written, meant) in [
        ("5035551212", "+15035551212"),
        ("503-555-1212", "+15035551212"),
        ("(503) 555 1212", "+15035551212"),
        ("15035551212", "+15035551212"),
        ("+1 503 555 1212", "+15035551212"),
        ("011525555536266", "+525555536266"),
    ] {
        says(
            "[emergency]",
            &format!("caller_id = {written:?}"),
            &[&format!("gateway.toml:10: emergency: caller_id {written:?} is not E.164; write {meant:?}")],
        );
    }
    says(
        "[emergency]",
        "caller_id = \"front desk\"",
        &["gateway.toml:10: emergency: caller_id \"front desk\" is not E.164; write + and the country code before \
           the number, \"+15035551212\""],
    );
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
fn an_extension_name_fits_twilio_and_is_unique_and_no_emergency_number() {
    says(
        "[[extension]]",
        "name = \"front desk\"\nemergency = false",
        &[
            "gateway.toml:10: extension: name \"front desk\" is not 1 to 32 of a-z A-Z 0-9 - _ .; write \"101\" for example",
        ],
    );
    says(
        "[[extension]]",
        "name = \"101\"\nemergency = false\n[[extension]]\nname = \"101\"\nemergency = false",
        &["gateway.toml:13: extension 101: is there twice, first on line 10; give it another name"],
    );
    says(
        "[[extension]]",
        "name = \"911\"\nemergency = false",
        &["gateway.toml:10: extension 911: is an emergency number; give it another name"],
    );
}

#[test]
fn an_extension_that_may_call_911_needs_a_number_to_call_from() {
    says(
        "[[extension]]",
        "name = \"101\"",
        &["gateway.toml:9: extension 101: may call emergency numbers and has no number of its own; write caller_id, \
           or [emergency] caller_id for all, or emergency = false"],
    );
}

#[test]
fn a_number_rings_each_extension_once_and_is_there_once() {
    says(
        "[[number]]",
        "number = \"+15035551212\"\nring = [\"101\",\n\"101\"]\n[[extension]]\nname = \"101\"\nemergency = false",
        &["gateway.toml:12: number +15035551212: ring \"101\" is there twice; keep one of them"],
    );
    says(
        "[[number]]",
        "number = \"+15035551212\"\n[[number]]\nnumber = \"+15035551212\"",
        &["gateway.toml:12: number +15035551212: is there twice, first on line 10; keep one of them"],
    );
}

#[test]
fn a_domain_is_at_twilio_unless_servers_are_named() {
    instead(
        "domain = \"office.sip.twilio.com\"",
        "domain = \"pbx.example.com\"",
        &[
            "gateway.toml:6: trunk: domain \"pbx.example.com\" is not at Twilio; write \"NAME.sip.twilio.com\", or name \
           the servers",
        ],
    );
    let text = MINIMAL.replace("office.sip.twilio.com\"", "pbx.example.com\"\nservers = [\"127.0.0.1:5061\"]");
    assert_eq!(read(&text).trunk.servers, [Server { host: "127.0.0.1".to_owned(), port: Some(5061) }]);
}

#[test]
fn servers_are_hosts_with_or_without_a_port() {
    let read_servers = |list: &str| {
        let text = MINIMAL.replace("[webhook]", &format!("servers = {list}\n[webhook]"));
        read(&text).trunk.servers.into_iter().map(|s| (s.host, s.port)).collect::<Vec<_>>()
    };
    assert_eq!(read_servers("[\"a.example.com\"]"), [("a.example.com".to_owned(), None)]);
    assert_eq!(read_servers("[\"[2001:db8::1]:5061\"]"), [("2001:db8::1".to_owned(), Some(5061))]);
    assert_eq!(read_servers("[\"2001:db8::1\"]"), [("2001:db8::1".to_owned(), None)]);
    for wrong in ["\"a b\"", "\"a:b\"", "\"a.example.com:0\"", "\"\"", "\"-a.example.com\""] {
        assert_eq!(errors(&MINIMAL.replace("[webhook]", &format!("servers = [{wrong}]\n[webhook]"))).len(), 1);
    }
    let both = MINIMAL.replace("[webhook]", "servers = [\"a\"]\nedges = [\"ashburn\"]\n[webhook]");
    assert_eq!(errors(&both), ["gateway.toml:8: trunk: edges and servers say the same thing twice; keep one of them"]);
    let none = MINIMAL.replace("[webhook]", "edges = []\n[webhook]");
    assert_eq!(errors(&none), ["gateway.toml:7: trunk: edges is empty; name one, or remove the line"]);
}

#[test]
fn media_ports_are_pairs_and_enough_for_the_calls() {
    for (ports, wrong) in [
        ("20001-29999", "starts at an odd port, RTP takes even ones; start at 20000"),
        ("20000-29998", "ends at an even port, each pair ends with an odd one; end at 29999"),
        ("30000-29999", "ends before it starts; write \"20000-29999\""),
        ("80-999", "reaches into the reserved ports below 1024; write \"20000-29999\""),
        ("20000", "is not a port range; write \"20000-29999\""),
        ("20000-70001", "is not a port range; write \"20000-29999\""),
    ] {
        says("[media]", &format!("ports = {ports:?}"), &[&format!("gateway.toml:10: media: ports {ports:?} {wrong}")]);
    }
    says(
        "[media]",
        "ports = \"20000-20099\"",
        &[
            "gateway.toml:10: media: ports \"20000-20099\" is too small for 100 calls; write at least 400 ports, or lower \
           limits.calls to 25",
        ],
    );
}

#[test]
fn a_public_url_is_a_base_that_paths_are_put_behind() {
    for (url, wrong) in [
        ("https://gateway.example.com/", "ends with a slash; write \"https://gateway.example.com\""),
        ("gateway.example.com", "is not an http(s) URL; write \"https://…\""),
        (
            "https://gateway.example.com?x=1",
            "has a query, a fragment, a user or a blank; write \"https://host/path\" alone",
        ),
        (
            "https://user:pw@gateway.example.com",
            "has a query, a fragment, a user or a blank; write \"https://host/path\" alone",
        ),
        ("https://:8443", "has no host name; write \"https://host.example.com\""),
        ("https://a.example.com:99999", "has a port that is none; write \"https://host:8443\""),
    ] {
        instead(
            "public_url = \"https://gateway.example.com\"",
            &format!("public_url = {url:?}"),
            &[&format!("gateway.toml:8: webhook: public_url {url:?} {wrong}")],
        );
    }
    read(&MINIMAL.replace("https://gateway.example.com", "http://127.0.0.1:8080/base"));
    read(&MINIMAL.replace("https://gateway.example.com", "https://[2001:db8::1]:8443"));
}

#[test]
fn the_auth_token_is_never_sent_in_clear_beyond_this_network() {
    says(
        "[twilio]",
        "api = \"http://api.example.com\"",
        &["gateway.toml:4: twilio: api \"http://api.example.com\" would send the auth token in clear; write \
           \"https://api.example.com\""],
    );
    read(&MINIMAL.replace("[twilio]", "[twilio]\napi = \"http://127.0.0.1:4010\""));
    read(&MINIMAL.replace("[twilio]", "[twilio]\napi = \"http://[::1]:4010\""));
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
        &["gateway.toml:6: trunk: secure \"yes\" is not a boolean; write true or false"],
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
fn expirations_of_handsets_are_in_order() {
    says(
        "[lan]",
        "min_expires = 600\nmax_expires = 60",
        &["gateway.toml:11: lan: max_expires is below min_expires; write 600 or more"],
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
fn too_many_extensions_are_told_and_not_read() {
    let many: String =
        (0..=MAX_EXTENSIONS).map(|n| format!("[[extension]]\nname = \"e{n}\"\nemergency = false\n")).collect();
    assert_eq!(
        errors(&format!("{MINIMAL}{many}")),
        ["gateway.toml:9: 1001 [[extension]] tables are too many; at most 1000 can be had"]
    );
}

#[test]
fn any_bytes_are_answered_without_a_panic() {
    let mut random = crate::random::Random::from_number(7);
    let shipped = include_str!("../../config/gateway.toml").as_bytes();
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
fn a_file_that_is_missing_or_not_utf_8_is_told_with_its_name() {
    let missing = load(Path::new("/nonexistent/gateway.toml")).unwrap_err();
    assert!(missing[0].to_string().starts_with("/nonexistent/gateway.toml: cannot be read: "), "{}", missing[0]);
    let path = std::env::temp_dir().join(format!("gateway-config-{}.toml", std::process::id()));
    std::fs::write(&path, b"[site]\nname = \"\xff\"\n").unwrap();
    let told = load(&path).unwrap_err()[0].to_string();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told, format!("{}:2: is not UTF-8; save the file as UTF-8", path.display()));
}

/// The minimal file with tables behind it.
#[track_caller]
fn with(tables: &str) -> Config {
    read(&format!("{MINIMAL}{tables}"))
}

/// The minimal file with its domain and URL in tables of their own.
fn tables_alone(tables: &str) -> String {
    let text = MINIMAL.replace("[trunk]\ndomain = \"office.sip.twilio.com\"\n", "");
    text.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", "") + tables
}

const STAGE: &str =
    "[environment.stage]\ndomain = \"office-stage.sip.twilio.com\"\npublic_url = \"https://stage.example.com\"\n";
const DEV: &str =
    "[environment.dev]\ndomain = \"office-dev.sip.twilio.com\"\npublic_url = \"https://dev.example.com\"\n";

#[test]
fn a_file_without_environments_describes_prod() {
    let config = read(MINIMAL);
    assert_eq!(config.site.environment, "prod");
    assert_eq!(config.environments.len(), 1);
    assert_eq!(config.clone().select("prod"), Some(config));
}

#[test]
fn each_environment_has_its_own_domain_and_urls_and_can_be_selected() {
    let config =
        with(&format!("{STAGE}fallback_url = \"https://example.com/down.xml?why=1\"\n{DEV}edges = [\"dublin\"]\n"));
    assert_eq!(config.trunk.domain, "office.sip.twilio.com");
    let names: Vec<&str> = config.environments.iter().map(|environment| environment.name.as_str()).collect();
    assert_eq!(names, ["dev", "prod", "stage"]);
    let stage = config.clone().select("stage").unwrap();
    assert_eq!(stage.trunk.domain, "office-stage.sip.twilio.com");
    assert_eq!(stage.trunk.servers[1].host, "office-stage.sip.umatilla.twilio.com");
    assert_eq!(stage.webhook.public_url, "https://stage.example.com");
    assert_eq!(stage.webhook.fallback_url.as_deref(), Some("https://example.com/down.xml?why=1"));
    assert_eq!(stage.site.environment, "stage");
    assert_eq!(stage.webhook.listen, config.webhook.listen);
    let dev = stage.select("dev").unwrap();
    assert_eq!(dev.webhook.fallback_url, None);
    let server = Server { host: "office-dev.sip.dublin.twilio.com".to_owned(), port: None };
    assert_eq!(dev.trunk.servers, [server]);
    assert_eq!(dev.clone().select("test"), None);
    assert_eq!(dev.select("prod"), Some(config));
}

#[test]
fn selecting_gives_what_a_file_that_names_the_environment_gives() {
    let named = MINIMAL.replace("[twilio]", "environment = \"stage\"\n[twilio]") + STAGE;
    assert_eq!(with(STAGE).select("stage"), Some(read(&named)));
}

#[test]
fn the_servers_of_the_trunk_are_those_of_every_environment_without_its_own() {
    let text =
        MINIMAL.replace("[webhook]", "servers = [\"127.0.0.1:5061\"]\n[webhook]") + STAGE + DEV + "servers = [\"b\"]\n";
    let config = read(&text);
    let host = |name: &str| config.environment(name).unwrap().servers[0].host.clone();
    assert_eq!([host("prod"), host("stage"), host("dev")], ["127.0.0.1", "127.0.0.1", "b"]);
}

#[test]
fn prod_may_stand_in_a_table_of_its_own_but_not_in_two_places() {
    let prod = STAGE.replace("stage", "prod");
    let config = read(&tables_alone(&prod));
    assert_eq!(
        (config.trunk.domain.as_str(), config.site.environment.as_str()),
        ("office-prod.sip.twilio.com", "prod")
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{prod}")),
        [
            "gateway.toml:6: trunk: domain describes environment prod, as does [environment.prod] on line 9; keep one of them",
            "gateway.toml:8: webhook: public_url describes environment prod, as does [environment.prod] on line 9; keep one \
             of them",
        ]
    );
}

#[test]
fn the_only_environment_is_the_one_that_is_run_and_rings() {
    let number = "[[number]]\nnumber = \"+15035551212\"\n";
    let config = read(&tables_alone(&format!("{STAGE}{number}")));
    assert_eq!(config.site.environment, "stage");
    assert_eq!(config.trunk.domain, "office-stage.sip.twilio.com");
    assert_eq!(config.numbers[0].environment, "stage");
    assert_eq!(
        errors(&tables_alone(&format!("{STAGE}{DEV}{number}"))),
        [
            "gateway.toml:1: site: environment is missing, and there is no prod; write one of dev, stage",
            "gateway.toml:11: number +15035551212: environment is missing, and there is no prod; write one of dev, stage",
        ]
    );
}

#[test]
fn an_environment_that_is_not_there_is_told_with_those_that_are() {
    let text = MINIMAL.replace("[twilio]", "environment = \"stge\"\n[twilio]") + STAGE;
    assert_eq!(
        errors(&text),
        [
            "gateway.toml:3: site: environment \"stge\" is not there; write one of prod, stage, or add [environment.NAME]"
        ]
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{STAGE}[[number]]\nnumber = \"+15035551212\"\nenvironment = \"test\"\n")),
        ["gateway.toml:14: number +15035551212: environment \"test\" is not there; write one of prod, stage, or add \
             [environment.NAME]"]
    );
}

#[test]
fn an_environment_that_is_half_there_says_what_is_missing() {
    says(
        "[environment.stage]",
        "domain = \"pbx.example.com\"",
        &[
            "gateway.toml:9: environment stage: public_url is missing; write public_url = \"https://…\"",
            "gateway.toml:10: environment stage: domain \"pbx.example.com\" is not at Twilio; write \
             \"NAME.sip.twilio.com\", or name the servers",
        ],
    );
    let text = MINIMAL.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", STAGE);
    assert_eq!(errors(&text), ["gateway.toml:1: [webhook] is missing; see config/gateway.toml"]);
    assert_eq!(
        errors(&format!("{MINIMAL}[environment]\nstage = 1\n")),
        ["gateway.toml:10: environment: stage is not a table; write [environment.NAME]"]
    );
    assert_eq!(
        errors(&format!("environment = 1\n{MINIMAL}")),
        ["gateway.toml:1: environment is not a table of tables; write [environment.NAME]"]
    );
}

#[test]
fn the_name_of_an_environment_fits_where_it_is_written() {
    for (name, wrong) in [
        ("Stage", "is not 1 to 16 of a-z 0-9; write \"stage\" for example"),
        ("a2345678901234567", "is not 1 to 16 of a-z 0-9; write \"stage\" for example"),
        ("account", "stands for what all environments share; take another name"),
    ] {
        let table = STAGE.replace("[environment.stage]", &format!("[environment.{name}]"));
        let told = format!("gateway.toml:9: environment {name}: the name {wrong}");
        assert_eq!(errors(&format!("{MINIMAL}{table}")), [told]);
    }
}

#[test]
fn two_environments_never_share_a_domain() {
    let table = STAGE.replace("office-stage", "Office");
    assert_eq!(
        errors(&format!("{MINIMAL}{table}")),
        [
            "gateway.toml:10: environment stage: domain \"office.sip.twilio.com\" is that of prod on line 6; each has its \
          own, write another"
        ]
    );
}

#[test]
fn too_many_environments_are_told() {
    let many: String = (0..=MAX_ENVIRONMENTS).map(|n| STAGE.replace("stage", &format!("e{n}"))).collect();
    assert_eq!(
        errors(&format!("{MINIMAL}{many}")),
        ["gateway.toml:9: 11 [environment.NAME] tables are too many; at most 10 can be had"]
    );
}

const ADDRESS: &str = r#"[[address]]
name = "shop"
customer = "Example Ltd"
street = "1 Main St"
city = "Portland"
region = "OR"
postal_code = "97201"
country = "US"
"#;

#[test]
fn a_number_has_a_name_and_an_address() {
    let number = "[[number]]\nnumber = \"+15035551212\"\nname = \"Shop, front\"\naddress = \"shop\"\n";
    let config = with(&format!("{number}{ADDRESS}"));
    let number = config.number("+15035551212").unwrap();
    assert_eq!(number.friendly_name.as_deref(), Some("Shop, front"));
    let address = config.address(number.address.as_deref().unwrap()).unwrap();
    assert_eq!((address.street.as_str(), address.street_secondary.as_deref()), ("1 Main St", None));
}

#[test]
fn a_number_names_an_address_that_is_there_and_can_be_registered() {
    let number = |address: &str| format!("[[number]]\nnumber = \"+15035551212\"\naddress = \"{address}\"\n");
    assert_eq!(
        errors(&format!("{MINIMAL}{ADDRESS}{}", number("shp"))),
        [
            "gateway.toml:19: number +15035551212: address \"shp\" is not there; write \"shop\", or add an [[address]] with \
          name = \"shp\""
        ]
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{}{}", ADDRESS.replace("US", "DE"), number("shop"))),
        [
            "gateway.toml:19: number +15035551212: address \"shop\" is in DE, where Twilio registers none; it does in US, CA, \
          GB; remove the line"
        ]
    );
}

#[test]
fn an_address_is_complete_and_its_name_unique() {
    says(
        "[[address]]",
        "name = \"shop\"\ncustomer = \"\"\nstreet = \"1 Main St\"\ncity = \"Portland\"\nregion = \"OR\"\ncountry = \"us\"",
        &[
            "gateway.toml:9: address shop: postal_code is missing; write postal_code = \"97201\"",
            "gateway.toml:11: address shop: customer \"\" is not 1 to 100 characters",
            "gateway.toml:15: address shop: country \"us\" is not in capitals; write \"US\"",
        ],
    );
    says(
        "[[address]]",
        &ADDRESS.replace("[[address]]\n", "").replace("US", "USA"),
        &[
            "gateway.toml:16: address shop: country \"USA\" is not a country code; write the two letters of ISO 3166, \"US\"",
        ],
    );
    assert_eq!(
        errors(&format!("{MINIMAL}{ADDRESS}{ADDRESS}")),
        ["gateway.toml:18: address shop: is there twice, first on line 10; give it another name"]
    );
}

#[test]
fn access_is_limited_to_networks_written_as_such() {
    let config = with("[access]\nnetworks = [\"203.0.113.7\", \"198.51.100.0/24\"]\n");
    let network = |address: &str, prefix| Ipv4Network { address: address.parse().unwrap(), prefix };
    assert_eq!(config.access.networks, [network("203.0.113.7", 32), network("198.51.100.0", 24)]);
    for (written, wrong) in [
        ("203.0.113.7/24", "is an address inside a network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("0.0.0.0/0", "is the whole internet; remove it"),
        ("203.0.113.0/33", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("2001:db8::1", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
        ("", "is not an IPv4 network; write \"203.0.113.0/24\" or \"203.0.113.7\""),
    ] {
        let told = format!("gateway.toml:10: access: networks {written:?} {wrong}");
        says("[access]", &format!("networks = [{written:?}]"), &[&told]);
    }
    says(
        "[access]",
        "networks = [\"203.0.113.7\",\n\"203.0.113.7/32\"]",
        &["gateway.toml:11: access: networks \"203.0.113.7\" is there twice; keep one of them"],
    );
    let many: Vec<String> = (0..=MAX_NETWORKS).map(|n| format!("\"203.0.113.{n}\"")).collect();
    says(
        "[access]",
        &format!("networks = [{}]", many.join(", ")),
        &["gateway.toml:10: access: networks has 101 entries; at most 100 can be had"],
    );
}

#[test]
fn dialing_is_checked_for_north_america_unless_the_file_says_otherwise() {
    assert_eq!(read(MINIMAL).dialing, Dialing::default());
    let dialing = with("[dialing]\ncountries = [\"US\", \"GB\"]\nmanage = true\n").dialing;
    assert_eq!(dialing, Dialing { countries: vec!["US".to_owned(), "GB".to_owned()], manage: true });
    says(
        "[dialing]",
        "countries = [\"US\", \"mx\", \"US\"]",
        &[
            "gateway.toml:10: dialing: countries \"mx\" is not in capitals; write \"MX\"",
            "gateway.toml:10: dialing: countries \"US\" is there twice; keep one of them",
        ],
    );
}

#[test]
fn a_spend_limit_is_an_amount_with_at_most_two_decimals() {
    for (written, cents) in
        [("\"12.50\"", 1250), ("12.5", 1250), ("12", 1200), ("0.01", 1), ("\"1000000\"", 100_000_000)]
    {
        assert_eq!(with(&format!("[spend]\nmonthly = {written}\n")).spend, Spend { daily: None, monthly: Some(cents) });
    }
    for (written, wrong) in [
        ("\"12.505\"", "is not an amount; write \"12.50\""),
        ("\"$12\"", "is not an amount; write \"12.50\""),
        ("-1", "is not an amount; write \"12.50\""),
        ("1e3", "is not an amount; write \"12.50\""),
        ("true", "is not an amount; write \"12.50\""),
        ("0", "is out of range; write 0.01 to 1000000"),
        ("\"1000000.01\"", "is out of range; write 0.01 to 1000000"),
        ("\"99999999999999999999\"", "is not an amount; write \"12.50\""),
        ("\"999999999999999999\"", "is out of range; write 0.01 to 1000000"),
    ] {
        says("[spend]", &format!("daily = {written}"), &[&format!("gateway.toml:10: spend: daily {written} {wrong}")]);
    }
}

#[test]
fn regions_and_edges_name_the_host_of_the_api() {
    let api = |lines: &str| read(&MINIMAL.replace("[twilio]", &format!("[twilio]\n{lines}"))).twilio.api;
    assert_eq!(api("region = \"us1\""), "https://api.ashburn.us1.twilio.com");
    assert_eq!(api("region = \"ie1\""), "https://api.dublin.ie1.twilio.com");
    assert_eq!(api("region = \"au1\""), "https://api.sydney.au1.twilio.com");
    assert_eq!(api("edge = \"umatilla\""), "https://api.umatilla.us1.twilio.com");
    assert_eq!(api("region = \"de1\"\nedge = \"frankfurt\""), "https://api.frankfurt.de1.twilio.com");
    says(
        "[twilio]",
        "region = \"de1\"",
        &[
            "gateway.toml:4: twilio: region \"de1\" has no edge that is known; write the edge, too, or one of us1, ie1, au1",
        ],
    );
    says(
        "[twilio]",
        "api = \"https://api.twilio.com\"\nregion = \"ie1\"",
        &["gateway.toml:5: twilio: api and region say the same thing twice; keep one of them"],
    );
}

#[test]
fn drift_is_looked_for_once_a_day_unless_the_file_says_otherwise() {
    assert_eq!(read(MINIMAL).twilio.drift_check, Duration::from_secs(86_400));
    says(
        "[twilio]",
        "drift_check = 60",
        &[
            "gateway.toml:4: twilio: drift_check 60 is out of range; write a whole number from 600 to 604800 (it means seconds)",
        ],
    );
}

#[test]
fn the_time_is_asked_of_the_public_pool_of_others_or_of_nobody() {
    let servers = |text: &str| crate::net::sntp::names(&read(&format!("{MINIMAL}{text}")).clock.sntp);
    assert_eq!(servers(""), "0.pool.ntp.org, 1.pool.ntp.org, 2.pool.ntp.org, 3.pool.ntp.org");
    assert_eq!(servers("[clock]\nsntp = [\"192.168.1.1\", \"time.example:1123\"]"), "192.168.1.1, time.example");
    assert_eq!(servers("[clock]\nsntp = []"), "");
    says(
        "[clock]",
        "sntp = [\"time server\"]",
        &["gateway.toml:10: clock: sntp \"time server\" is not a server; write \"host\" or \"host:123\""],
    );
    says(
        "[clock]",
        "sntp = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]",
        &["gateway.toml:10: clock: sntp has too many servers; write at most 8"],
    );
}

#[test]
fn webhooks_are_protected_by_signature_or_credentials() {
    assert_eq!(read(MINIMAL).webhook.protect, Protection::Signature);
    let text = MINIMAL.replace("[webhook]", "[webhook]\nprotect = \"credentials\"");
    assert_eq!(read(&text).webhook.protect, Protection::Credentials);
    says(
        "[webhook]",
        "protect = \"none\"",
        &[
            "gateway.toml:8: webhook: protect \"none\" is no way to protect webhooks; write \"signature\" or \"credentials\"",
        ],
    );
    says(
        "[webhook]",
        "fallback_url = \"https://u:p@example.com/\"",
        &[
            "gateway.toml:8: webhook: fallback_url \"https://u:p@example.com/\" has a query, a fragment, a user or a blank; \
           write \"https://host/path\" alone",
        ],
    );
}

#[test]
fn the_folder_of_assets_is_meant_from_the_folder_of_the_file() {
    let text = format!("{MINIMAL}[hosted]\nassets = \"assets\"\n");
    let config = parse(&text, "/tmp/demo/gateway.toml", &host()).unwrap();
    assert_eq!(config.hosted.assets.as_deref(), Some(Path::new("/tmp/demo/assets")));
    assert_eq!(read(MINIMAL).hosted.assets, None);
}

#[test]
fn what_the_file_that_we_ship_shows_as_examples_can_be_had() {
    let shipped = include_str!("../../config/gateway.toml");
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

#[test]
fn a_public_url_that_the_tunnel_tells_need_not_be_given() {
    let without = MINIMAL.replace("[webhook]\npublic_url = \"https://gateway.example.com\"\n", "");
    let driver = "driver = \"command\"\ncommand = [\"cloudflared\"]\n";
    let config = read(&format!("{without}[tunnel]\n{driver}"));
    assert_eq!((config.webhook.public_url.as_str(), config.environments[0].public_url.as_str()), ("", ""));
    assert!(errors(&format!("{without}[tunnel]\n{driver}url_from = \"config\"\n")).len() == 1);
}

#[test]
fn each_driver_of_the_tunnel_is_read_with_its_defaults() {
    use crate::tunnel::settings::{Direct, Driver, PROVE_EVERY, Program, UrlFrom};
    let tunnel = |lines: &str| read(&format!("{MINIMAL}[tunnel]\n{lines}\n")).tunnel;
    assert_eq!(read(MINIMAL).tunnel, crate::tunnel::Settings::default());
    let ssh = tunnel("driver = \"ssh\"\nserver = \"tunnel@box.example.com\"");
    let Driver::Ssh(driver) = ssh.driver else { panic!("{ssh:?}") };
    assert_eq!((driver.server.to_string().as_str(), driver.host_key), ("tunnel@box.example.com:22", None));
    assert_eq!((driver.bind_address.as_str(), driver.bind_port), ("127.0.0.1", 8080));
    assert_eq!((ssh.url_from, ssh.prove_every), (UrlFrom::Config, PROVE_EVERY));
    let service = tunnel("driver = \"ssh\"\nserver = \"nokey@localhost.run\"\nremote = \"80\"\nurl_from = \"output\"");
    let Driver::Ssh(driver) = service.driver else { panic!("{service:?}") };
    assert_eq!((driver.bind_address.as_str(), driver.bind_port), ("", 80));
    assert_eq!(service.url_from, UrlFrom::Output);
    let command = tunnel("driver = \"command\"\ncommand = [\"ngrok\", \"http\", \"{port}\"]\nprove_every = 30");
    let argv = ["ngrok", "http", "{port}"].map(str::to_owned).to_vec();
    assert_eq!(command.driver, Driver::Command(Program { argv, environment: None }));
    assert_eq!((command.url_from, command.prove_every), (UrlFrom::Output, Duration::from_secs(30)));
    let direct = tunnel("driver = \"direct\"\nlisten = \"0.0.0.0:443\"\ncertificate = \"a.pem\"\nkey = \"/b.pem\"");
    let driver = Direct { listen: ([0, 0, 0, 0], 443).into(), certificate: "a.pem".into(), key: "/b.pem".into() };
    assert_eq!(direct.driver, Driver::Direct(driver));
}

#[test]
fn mistakes_of_the_tunnel_are_told_with_their_line() {
    let says = |lines: &str, expected: &[&str]| says("[tunnel]", lines, expected);
    says(
        "driver = \"shh\"",
        &["gateway.toml:10: tunnel: driver \"shh\" is no driver; write \"ssh\", \"command\", \"direct\" or \"none\""],
    );
    says(
        "server = \"tunnel@box.example.com\"",
        &["gateway.toml:10: tunnel: server is there without a driver; write driver = \"ssh\", too"],
    );
    says(
        "driver = \"ssh\"",
        &["gateway.toml:9: tunnel: server is missing; write server = \"tunnel@server.example.com\""],
    );
    says(
        "driver = \"ssh\"\nserver = \"box.example.com\"\nhost_key = \"MD5:aa\"",
        &[
            "gateway.toml:11: tunnel: server \"box.example.com\" is not an SSH server; write \"user@host\" or \
             \"user@host:22\"",
            "gateway.toml:12: tunnel: host_key \"MD5:aa\" is not a fingerprint; copy SHA256:… from ssh-keygen -lf \
             /etc/ssh/ssh_host_ed25519_key.pub there",
        ],
    );
    says(
        "driver = \"command\"",
        &["gateway.toml:9: tunnel: command is missing; write command = [\"cloudflared\", \"tunnel\", \"--url\", \
           \"http://{address}\"]"],
    );
    says(
        "driver = \"command\"\ncommand = []",
        &["gateway.toml:11: tunnel: command names no program; write the program first, command = [\"cloudflared\", …]"],
    );
    says(
        "driver = \"direct\"\nlisten = \"443\"\ncertificate = \"a.pem\"",
        &[
            "gateway.toml:9: tunnel: key is missing; write key = \"/etc/gateway/….pem\"",
            "gateway.toml:11: tunnel: listen \"443\" is not an address with a port; write \"127.0.0.1:8080\"",
        ],
    );
    says(
        "driver = \"ssh\"\nserver = \"t@box.example.com\"\nurl_from = \"http://127.0.0.1:4040/api/tunnels\"",
        &["gateway.toml:12: tunnel: url_from asks a program of this box, and ssh has none; write \"output\" for a \
           service that prints its URL, or \"config\""],
    );
    says(
        "url_from = \"http://evil.example\"\nurl_pattern = \"*\"\nprove_every = 1",
        &[
            "gateway.toml:10: tunnel: url_from \"http://evil.example\" does not say where the public URL comes from; \
             write \"output\", \"config\" or \"http://127.0.0.1:4040/api/tunnels\"",
            "gateway.toml:11: tunnel: url_pattern \"*\" is not a host; write \"*.example.com\" or \"tunnel.example.com\"",
            "gateway.toml:12: tunnel: prove_every 1 is out of range; write a whole number from 10 to 3600 (it means \
             seconds)",
        ],
    );
}

#[test]
fn metrics_are_served_where_the_file_says_and_never_to_the_internet() {
    assert_eq!(read(MINIMAL).metrics.listen, None);
    let with = |listen: &str| format!("{MINIMAL}[metrics]\nlisten = {listen:?}\n");
    assert_eq!(read(&with("127.0.0.1:9464")).metrics.listen, Some("127.0.0.1:9464".parse().unwrap()));
    let way = "can be reached from the internet; write a private address, \"127.0.0.1:9464\"";
    for public in ["0.0.0.0:9464", "203.0.113.7:9464", "[::]:9464"] {
        says(
            "[metrics]",
            &format!("listen = {public:?}"),
            &[&format!("gateway.toml:10: metrics: listen {public:?} {way}")],
        );
    }
    let way = "is webhook.listen, which the tunnel makes public; write another port, \"127.0.0.1:9464\"";
    says(
        "[metrics]",
        "listen = \"127.0.0.1:8080\"",
        &[&format!("gateway.toml:10: metrics: listen \"127.0.0.1:8080\" {way}")],
    );
}
