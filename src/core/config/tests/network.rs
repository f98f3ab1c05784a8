//! Where we listen, whom we ask, what is reachable from where.

use super::*;

#[test]
fn auto_is_every_private_address_of_this_host_and_no_other() {
    let listen: Vec<String> = read(MINIMAL).lan.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["192.168.1.1:5060", "[fd00::1]:5060"]);
}

#[test]
fn auto_on_a_host_without_a_private_address_waits_for_one_and_says_so() {
    let lan = parse(MINIMAL, "gateway.toml", &Host::default()).unwrap().lan;
    assert!(lan.listen.is_empty() && lan.auto);
    assert!(lan.warning().unwrap().contains("write the address of the LAN, listen = [\"192.168.1.1\"]"));
    let found: Vec<String> = lan.found(&host().addresses).map(|at| at.to_string()).collect();
    assert_eq!(found, ["192.168.1.1:5060", "[fd00::1]:5060"]);
    assert_eq!(read(MINIMAL).lan.warning(), None);
}

#[test]
fn the_file_says_the_same_with_auto_whatever_addresses_the_host_has() {
    let lan = |listen: &str, host: &Host| {
        parse(&format!("{MINIMAL}[lan]\nlisten = {listen}\n"), "gateway.toml", host).unwrap().lan
    };
    let auto = lan("[\"auto\"]", &host());
    assert!(auto.is_written_as(&lan("[\"auto\"]", &Host::default())));
    assert!(!auto.is_written_as(&lan("[\"auto\", \"127.0.0.1:5070\"]", &host())));
    let written = lan("[\"192.168.1.1\", \"fd00::1\"]", &host());
    assert!(!auto.is_written_as(&written) && !written.is_written_as(&lan("[\"192.168.1.1\"]", &host())));
    // Without auto, an address that comes later is nobody's.
    assert_eq!(written.found(&host().addresses).count(), 0);
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
    read(&MINIMAL.replace("[twilio]", "[twilio]\napi = \"http://[::1]\""));
}

#[test]
fn the_time_is_asked_of_the_public_pool_of_others_or_of_nobody() {
    let servers = |text: &str| {
        let servers = read(&format!("{MINIMAL}{text}")).clock.sntp;
        servers.iter().map(|server| server.host.clone()).collect::<Vec<_>>().join(", ")
    };
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

/// What `gateway check` refuses of a file with these lines of [webhook].
fn doors(public_url: &str, more: &str) -> Vec<String> {
    let text = MINIMAL.replace("https://gateway.example.com", public_url);
    assert!(text.contains(public_url), "{text}");
    read(&text.replacen("[webhook]\n", &format!("[webhook]\n{more}\n"), 1)).open_doors()
}

#[test]
fn webhooks_cross_the_internet_by_https_alone_unless_http_is_allowed_by_name() {
    for url in ["http://shop.example.com", "http://203.0.113.7:8080", "http://[2001:db8::1]"] {
        let told = doors(url, "");
        assert!(told.len() == 1 && told[0].contains(url) && told[0].contains("allow_http = true"), "{told:?}");
        assert!(doors(url, "allow_http = true").is_empty());
        assert_eq!(doors(url, "allow_wan = true").len(), 1, "another door");
    }
    for url in
        ["https://shop.example.com", "http://127.0.0.1:8080", "http://localhost", "http://192.168.1.1", "http://[::1]"]
    {
        assert!(doors(url, "").is_empty(), "{url}");
    }
}

#[test]
fn the_plain_listener_of_webhooks_is_at_a_private_address_unless_the_internet_is_allowed_by_name() {
    let at = |listen: &str, more: &str| doors("https://gateway.example.com", &format!("listen = \"{listen}\"\n{more}"));
    for listen in ["0.0.0.0:8080", "[::]:8080", "203.0.113.7:80", "100.64.0.9:8080"] {
        let told = at(listen, "");
        assert!(told.len() == 1 && told[0].contains(listen) && told[0].contains("allow_wan = true"), "{told:?}");
        assert!(at(listen, "allow_wan = true").is_empty());
        assert_eq!(at(listen, "allow_http = true").len(), 1);
    }
    for listen in ["127.0.0.1:8080", "192.168.1.1:8080", "[::1]:8080", "10.0.0.1:80"] {
        assert!(at(listen, "").is_empty(), "{listen}");
    }
}

#[test]
fn the_class_of_packets_is_ef_and_cs3_and_what_the_file_says() {
    assert_eq!(read(MINIMAL).dscp, Dscp { rtp: 46, sip: 24 });
    let dscp = |rtp, sip| read(&format!("{MINIMAL}[dscp]\nrtp = {rtp}\nsip = {sip}\n")).dscp;
    assert_eq!(dscp(34, 26), Dscp { rtp: 34, sip: 26 });
    assert_eq!(dscp(0, 63), Dscp { rtp: 0, sip: 63 });
    says("[dscp]", "rtp = 64", &["gateway.toml:10: dscp: rtp 64 is out of range; write a whole number from 0 to 63"]);
}

#[test]
fn srtp_on_the_trunk_is_on_off_or_the_only_thing() {
    let secure =
        |text: &str| read(&MINIMAL.replacen("[trunk]\n", &format!("[trunk]\nsecure = {text}\n"), 1)).trunk.secure;
    assert_eq!(read(MINIMAL).trunk.secure, Secure::On);
    assert_eq!([secure("true"), secure("false"), secure("\"only\"")], [Secure::On, Secure::Off, Secure::Only]);
}
