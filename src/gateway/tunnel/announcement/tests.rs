use super::*;

const LISTEN: &str = "127.0.0.1:8080";

/// Whoever may print: a script, whose lines are read in every form.
fn script() -> Reader {
    reader(&["sh", "tunnel.sh"])
}

fn reader(argv: &[&str]) -> Reader {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    Reader::of_program(&argv, LISTEN.parse().unwrap(), None)
}

fn with_pattern(pattern: &str) -> Reader {
    Reader::of_program(&[], LISTEN.parse().unwrap(), Some(HostPattern::parse(pattern).unwrap()))
}

fn server(host: &str) -> Reader {
    Reader::of_server(host, LISTEN.parse().unwrap(), None)
}

fn whole(text: &str) -> Line {
    Line { text: text.to_owned(), is_whole: true }
}

fn found(mut reader: Reader, lines: &str) -> Option<String> {
    lines.lines().find_map(|line| reader.line(&whole(line)))
}

/// The program itself announces it, and so does a script that runs the program.
#[track_caller]
fn announces(own: Reader, lines: &str, url: &str) {
    assert_eq!(found(own, lines).as_deref(), Some(url), "by itself: {lines}");
    assert_eq!(found(script(), lines).as_deref(), Some(url), "by a script: {lines}");
}

#[test]
fn cloudflared_announces_its_url_in_a_box_whatever_the_version_logs() {
    let url = "https://four-dashed-word-url.trycloudflare.com";
    let boxed = |heading: &str| {
        format!(
            "2022-11-11T19:57:55Z INF Thank you for trying Cloudflare Tunnel. … a named tunnel by following: \
             https://developers.cloudflare.com/cloudflare-one/connections/connect-apps\n\
             2022-11-11T19:57:55Z INF Requesting new quick Tunnel on trycloudflare.com...\n\
             2022-11-11T19:57:58Z INF +--------------------------------------------------------------------+\n\
             2022-11-11T19:57:58Z INF |  {heading}  |\n\
             2022-11-11T19:57:58Z INF |  {url}                    |\n"
        )
    };
    for lines in [
        boxed("Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):"),
        boxed("Your free tunnel has started! Visit it:"),
        boxed("A heading of a later version"),
        format!("INFO[2020-11-17T18:31:22Z] |    {url}   |\n"),
        format!("time=\"2020-11-17T18:31:22Z\" level=info msg=\"|    {url}   |\"\n"),
        format!(r#"{{"level":"info","time":"2026-09-07T07:06:06Z","message":"|  {url}    |"}}"#),
        format!(r#"{{"level":"info","msg":"|  {url}    |","time":"2020-11-17T18:31:22Z"}}"#),
        format!("\x1b[90m2026-09-07T07:06:06Z\x1b[0m \x1b[32mINF\x1b[0m \u{2502}  {url}  \u{2502}\n"),
        format!("|  {url}  |\n"),
    ] {
        announces(reader(&["/usr/local/bin/cloudflared", "tunnel"]), &lines, url);
        announces(reader(&["cloudflared-linux-amd64"]), &lines, url);
    }
}

#[test]
fn ngrok_announces_its_url_in_the_record_of_the_tunnel_that_leads_here() {
    for lines in [
        "t=2026-11-22T09:00:01+0000 lvl=info msg=\"started tunnel\" obj=tunnels name=command_line \
         addr=http://localhost:8080 url=https://a-b.ngrok-free.dev",
        "t=2020 lvl=info msg=\"started tunnel\" obj=tunnels name=\"command_line (http)\" addr=http://localhost:8080 \
         url=http://a-b.ngrok-free.dev\n\
         t=2020 lvl=info msg=\"started tunnel\" obj=tunnels name=command_line addr=http://127.0.0.1:8080 \
         url=https://a-b.ngrok-free.dev",
        "t=2026 lvl=info msg=\"started tunnel\" obj=tunnels name=shop addr=http://localhost:3000 url=https://shop.ngrok.app\n\
         t=2026 lvl=info msg=\"started tunnel\" obj=tunnels name=gw addr=//localhost:8080 url=https://a-b.ngrok-free.dev",
        "t=2026 lvl=info msg=\"started tunnel\" url=https://a-b.ngrok-free.dev",
        r#"{"addr":"http://localhost:8080","lvl":"info","msg":"started tunnel","name":"command_line","obj":"tunnels","t":"2026","url":"https://a-b.ngrok-free.dev"}"#,
        r#"{"t":"2026","lvl":"info","msg":"started tunnel","addr":{"Scheme":"http","Host":"127.0.0.1:8080"},"url":"https://a-b.ngrok-free.dev"}"#,
        "INFO[01-02|15:04:05] started tunnel                           obj=tunnels name=command_line \
         addr=http://localhost:8080 url=https://a-b.ngrok-free.dev",
        "Forwarding                    https://a-b.ngrok-free.dev -> http://localhost:8080",
        "Forwarding  https://a-b.ngrok-free.dev",
    ] {
        announces(reader(&["ngrok", "http", "8080"]), lines, "https://a-b.ngrok-free.dev");
    }
    // A domain of one's own, and one that the service does not have yet.
    for host in ["calls.example.com", "a.ngrok-next.example"] {
        let line = format!("t=2026 lvl=info msg=\"started tunnel\" addr=http://localhost:8080 url=https://{host}");
        announces(reader(&["ngrok"]), &line, &format!("https://{host}"));
    }
}

#[test]
fn tailscale_announces_its_url_above_the_local_end_that_it_leads_to() {
    let own = || reader(&["tailscale", "funnel", "8080"]);
    announces(
        own(),
        "Available on the internet:\n\nhttps://box.tail1234.ts.net/\n|-- proxy http://127.0.0.1:8080\n\n\
         Press Ctrl+C to exit.",
        "https://box.tail1234.ts.net",
    );
    announces(
        own(),
        "Available on the internet:\n\nhttps://box.tail1234.ts.net:8443/\n|-- / proxy http://localhost:8080",
        "https://box.tail1234.ts.net:8443",
    );
    announces(
        own(),
        "# Funnel on:\n#     - https://box.tail1234.ts.net\n\nhttps://shop.tail1234.ts.net (Funnel on)\n\
         |-- / proxy http://127.0.0.1:3000\n\nhttps://box.tail1234.ts.net (Funnel on)\n|-- / proxy http://127.0.0.1:8080",
        "https://box.tail1234.ts.net",
    );
    for lines in [
        "Available within your tailnet:\n\nhttps://box.tail1234.ts.net/\n|-- proxy http://127.0.0.1:8080",
        "https://box.tail1234.ts.net (tailnet only)\n|-- / proxy http://127.0.0.1:8080",
        "Available on the internet:\n\nhttps://box.tail1234.ts.net/\n|-- proxy http://127.0.0.1:3000",
        "Available on the internet:\n\nhttps://box.tail1234.ts.net/shop\n|-- proxy http://127.0.0.1:8080",
        "Available on the internet:\n\nhttps://box.tail1234.ts.net/\n|-- path  /home/office",
        "Funnel is not enabled on your tailnet.\nTo enable, visit:\n\n         https://login.tailscale.com/f/funnel?node=n1",
    ] {
        assert_eq!(found(own(), lines), None, "{lines}");
        assert_eq!(found(script(), lines), None, "{lines}");
    }
}

#[test]
fn services_announce_their_url_in_their_own_words() {
    announces(
        server("localhost.run"),
        "** your connection id is 1234, please mention it if you send me a message about an issue. **\n\
         To explore using localhost.run visit https://localhost.run/docs/ and https://admin.localhost.run/\n\
         0a1b2c3d4e5f.lhr.life tunneled with tls termination, https://0a1b2c3d4e5f.lhr.life\n",
        "https://0a1b2c3d4e5f.lhr.life",
    );
    announces(server("ssh.localhost.run"), "a.lhr.rocks tunneled with tls termination", "https://a.lhr.rocks");
    announces(
        server("serveo.net"),
        "\x1b[32mForwarding HTTP traffic from https://abc.serveousercontent.com\x1b[0m\r",
        "https://abc.serveousercontent.com",
    );
    announces(
        reader(&["lt", "--port", "8080"]),
        "your url is: https://tame-cat-1.loca.lt",
        "https://tame-cat-1.loca.lt",
    );
    for host in ["a-1-2-3-4.free.pinggy.net", "a-1-2-3-4.run.pinggy-free.link", "a.pinggy-of-2030.example"] {
        let lines = format!(
            "You are not authenticated.\nYour tunnel will expire in 60 minutes. Upgrade to Pinggy Pro to get \
             unrestricted tunnels. https://dashboard.pinggy.io\n\nhttp://{host}\nhttps://{host}\n"
        );
        announces(server("a.pinggy.io"), &lines, &format!("https://{host}"));
    }
    announces(server("ssi.sh"), "HTTP: http://box.ssi.sh\nHTTPS: https://box.ssi.sh", "https://box.ssi.sh");
    announces(script(), "HTTPS : https://rnd.a.free.pinggy.link", "https://rnd.a.free.pinggy.link");
    announces(script(), "url=https://1a2b.eu.ngrok.io", "https://1a2b.eu.ngrok.io");
    announces(script(), "Public URL: https://abc123.share.zrok.io", "https://abc123.share.zrok.io");
}

/// A stranger's URL where programs print one: in requests, errors, documents, notices and advertisements.
const STRANGERS: &[&str] = &[
    // cloudflared
    "2026-11-22T08:18:07Z ERR Request failed error=\"Incoming request ended abruptly: context canceled\" connIndex=2 \
     dest=https://evil.trycloudflare.com/x event=0 ip=192.0.2.1 type=http",
    "ERR Request failed dest=https://evil.trycloudflare.com event=0",
    "2026-11-22T08:18:07Z ERR  error=\"Unable to reach the origin service: dial tcp: lookup https://evil.trycloudflare.com\"",
    "2026-11-22T08:18:07Z DBG GET https://evil.trycloudflare.com HTTP/1.1 connIndex=0 content-length=0",
    "2026-11-22T08:18:07Z INF GET https://evil.trycloudflare.com/|  https://evil.trycloudflare.com  | HTTP/1.1",
    "2026-11-22T08:18:07Z ERR |  https://evil.trycloudflare.com  |",
    "2026-11-22T08:18:07Z INF |  https://evil.trycloudflare.com/path  |",
    "2026-11-22T08:18:07Z INF |  https://good.trycloudflare.com@evil.example  |",
    "2026-11-22T08:18:07Z INF |  Visit https://evil.trycloudflare.com  |",
    "2026-11-22T08:18:07Z INF Updated to new configuration config=\"{\\\"ingress\\\":[{\\\"service\\\":\\\"https://evil.example.com\\\"}]}\"",
    r#"{"level":"error","dest":"https://evil.trycloudflare.com","error":"context canceled","message":"Request failed"}"#,
    r#"{"level":"error","message":"|  https://evil.trycloudflare.com  |"}"#,
    r#"{"level":"info","message":"Request failed","error":"|  https://evil.trycloudflare.com  |"}"#,
    r#"{"level":"info","message":"https://evil.trycloudflare.com"}"#,
    r#"{"level":"info","message":["|  https://evil.trycloudflare.com  |"]}"#,
    r#"{"level":"info","message":"|  https://evil.trycloudflare.com  |""#,
    "time=\"2020\" level=error msg=\"|    https://evil.trycloudflare.com   |\"",
    "time=\"2020\" level=info msg=\"GET / msg=\\\"|  https://evil.trycloudflare.com  |\\\"\"",
    "failed to request quick Tunnel: Post \"https://api.trycloudflare.com/tunnel\": dial tcp: i/o timeout",
    // ngrok
    "t=2026 lvl=info msg=\"update available\" obj=updater url=https://dl.ngrok.com",
    "t=2026 lvl=info msg=\"update available\" url=https://evil.ngrok.app",
    "t=2026 lvl=eror msg=\"failed to start tunnel\" err=\"started tunnel url=https://evil.ngrok.app\"",
    "t=2026 lvl=info msg=\"join connections\" obj=join id=1 l=127.0.0.1:8080 r=192.0.2.1:4 url=https://evil.ngrok.app",
    "t=2026 lvl=info msg=\"started tunnel\" obj=tunnels name=shop addr=http://localhost:3000 url=https://evil.ngrok.app",
    "t=2026 lvl=info msg=\"started tunnel\" addr=https://localhost:8080 url=https://evil.ngrok.app",
    "t=2026 lvl=info msg=\"started tunnel\" addr=http://localhost:8080 url=https://evil.ngrok.app/path",
    "t=2026 lvl=info msg=\"started tunnel\" url=https://good.ngrok.app url=https://evil.ngrok.app",
    "t=2026 lvl=info msg=request path=/ msg=\"started tunnel\" url=https://evil.ngrok.app",
    "GET /?x= msg=\"started tunnel\" addr=http://localhost:8080 url=https://evil.ngrok.app",
    "t=2026 lvl=dbug msg=\"started tunnel\" url=https://evil.ngrok.app",
    r#"{"lvl":"info","msg":"started tunnel","addr":"http://localhost:3000","url":"https://evil.ngrok.app"}"#,
    r#"{"lvl":"error","msg":"started tunnel","url":"https://evil.ngrok.app"}"#,
    r#"{"lvl":"info","msg":"request","req":{"msg":"started tunnel","url":"https://evil.ngrok.app"}}"#,
    r#"{"lvl":"info","msg":"started tunnel","addr":8080,"url":"https://evil.ngrok.app"}"#,
    "ERROR:  authentication failed: https://ngrok.com/docs/errors/err_ngrok_4018",
    "Forwarding  https://evil.ngrok.app -> http://localhost:3000",
    // tailscale
    "To authenticate, visit:  https://login.tailscale.com/a/0123456789ab",
    "|-- proxy http://127.0.0.1:8080 https://evil.tail1234.ts.net",
    // localhost.run
    "create an account and add your key for a longer lasting domain name. see https://localhost.run/docs/forever-free/",
    "Follow your favourite reverse tunnel at [https://twitter.com/localhost_run].",
    "good.lhr.life tunneled with tls termination, https://evil.lhr.life",
    "https://evil.lhr.life tunneled with tls termination",
    // serveo
    "HTTP request from 192.0.2.1 to https://evil.serveo.net/",
    "HTTP request from 192.0.2.1 to https://good.serveo.net/Forwarding HTTP traffic from https://evil.serveo.net",
    "Forwarding HTTP traffic from https://evil.serveo.net/x",
    // pinggy
    "Upgrade to Pinggy Pro to get unrestricted tunnels. https://dashboard.pinggy.io",
    "https://dashboard.pinggy.io",
    "https://pinggy.io",
    // localtunnel
    "your cachedUrl is: https://evil.loca.lt",
    "Sun Nov 22 2026 GET https://evil.loca.lt",
    "your url is: https://evil.loca.lt/?x=your url is: https://evil.loca.lt",
    // Anything else
    "https://evil.example.com/webhook",
    "https://evil.example.com?x=1",
    "https://good.example.com@evil.example.com",
    "Need more? Get https://evil.example.com today!",
    "Warning: moved to https://evil.example.com",
    "dest=https://evil.example.com",
    "https://a.example.com https://evil.example.com",
    "https://203.0.113.9",
];

#[test]
fn a_strangers_url_in_fifty_lines_of_six_programs_is_not_taken() {
    let programs: [fn() -> Reader; 7] = [
        script,
        || reader(&["cloudflared"]),
        || reader(&["ngrok"]),
        || reader(&["tailscale"]),
        || reader(&["lt"]),
        || server("localhost.run"),
        || server("serveo.net"),
    ];
    assert!(STRANGERS.len() >= 50, "{}", STRANGERS.len());
    for line in STRANGERS {
        for reader in programs {
            assert_eq!(found(reader(), line), None, "{line}");
        }
    }
    // And all of them before the announcement do not hide it.
    let all = STRANGERS.join("\n") + "\nINF |  https://ours.trycloudflare.com  |";
    assert_eq!(found(script(), &all).as_deref(), Some("https://ours.trycloudflare.com"));
}

#[test]
fn a_program_that_is_known_is_heard_in_its_own_words_alone() {
    for (own, line) in [
        (reader(&["cloudflared"]), "https://evil.example.com"),
        (reader(&["cloudflared"]), "your url is: https://evil.loca.lt"),
        (reader(&["ngrok"]), "INF |  https://evil.trycloudflare.com  |"),
        (reader(&["tailscale"]), "https://evil.tail1234.ts.net"),
        (server("serveo.net"), "https://evil.serveo.net"),
        (server("localhost.run"), "Forwarding HTTP traffic from https://evil.lhr.life"),
    ] {
        assert_eq!(found(own, line), None, "{line}");
    }
    // The end of a name is not the name.
    assert_eq!(server("notserveo.net").speaker, Speaker::Other);
}

#[test]
fn a_part_of_a_line_announces_nothing() {
    for text in ["https://evil.example.com", "INF |  https://evil.trycloudflare.com  |", "url=https://evil.example.com"]
    {
        let part = Line { text: text.to_owned(), is_whole: false };
        assert_eq!(script().line(&part), None, "{text}");
        assert!(script().line(&whole(text)).is_some(), "{text}");
    }
    // As a program prints it: a path that is longer than a line may be.
    let mut lines = super::super::lines::Lines::default();
    let dest = format!("ERR Request failed dest=https://good.example.com/{}", "x".repeat(4096 - 49));
    let printed = [dest.as_bytes(), b"https://evil.example.com\n"].concat();
    let lines = lines.push(&printed);
    assert_eq!(lines.last().map(|line| line.text.as_str()), Some("https://evil.example.com"), "the test cuts there");
    let mut reader = script();
    assert!(lines.iter().all(|line| reader.line(line).is_none()));
}

#[test]
fn the_pattern_narrows_and_does_not_make_a_log_line_an_announcement() {
    let reader = || with_pattern("*.tunnel.example");
    assert_eq!(found(reader(), "https://x.Tunnel.example:8443/").as_deref(), Some("https://x.tunnel.example:8443"));
    assert_eq!(found(reader(), "https://docs.tunnel.example").as_deref(), Some("https://docs.tunnel.example"));
    assert_eq!(found(with_pattern("box.example"), "https://box.example").as_deref(), Some("https://box.example"));
    assert_eq!(
        found(with_pattern("127.0.0.1"), "INF | https://127.0.0.1:8443 |").as_deref(),
        Some("https://127.0.0.1:8443")
    );
    for line in [
        "ERR Request failed dest=https://x.tunnel.example event=0",
        "https://x.tunnel.example/path",
        "INF |  https://four-dashed-word-url.trycloudflare.com  |",
        "https://tunnel.example",
        "https://x.tunnel.example.evil.example",
    ] {
        assert_eq!(found(reader(), line), None, "{line}");
    }
}

fn entry(addr: &str, url: &str) -> Value {
    serde_json::json!({
        "name": "one", "uri": "/api/tunnels/one", "public_url": url, "proto": "https",
        "config": {"addr": addr, "inspect": true},
    })
}

#[test]
fn of_the_tunnels_that_an_agent_lists_the_one_that_leads_here_counts() {
    let answer = |document: Value| script().answer(&document);
    let ours = Some("https://ours.ngrok.app".to_owned());
    let shop = || entry("http://localhost:3000", "https://shop.ngrok.app");
    for addr in ["http://localhost:8080", "localhost:8080", "http://127.0.0.1:8080", "8080"] {
        let own = entry(addr, "https://ours.ngrok.app");
        assert_eq!(answer(serde_json::json!({"tunnels": [shop(), own], "uri": "/api/tunnels"})), ours, "{addr}");
        assert_eq!(answer(own), ours, "{addr}");
    }
    let endpoint = serde_json::json!({"endpoints": [
        {"name": "shop", "url": "https://shop.ngrok.app", "upstream": {"url": "http://localhost:3000"}},
        {"name": "gw", "url": "https://ours.ngrok.app", "upstream": {"url": "http://localhost:8080"}},
    ]});
    assert_eq!(answer(endpoint), ours);
    // http and https of one tunnel, as ngrok 2 lists them.
    let both = [
        entry("http://localhost:8080", "http://ours.ngrok.app"),
        entry("http://localhost:8080", "https://ours.ngrok.app"),
    ];
    assert_eq!(answer(serde_json::json!({"tunnels": both})), ours);
}

#[test]
fn an_answer_without_a_tunnel_that_leads_here_is_no_url() {
    let evil = "https://evil.ngrok.app";
    for document in [
        serde_json::json!({"tunnels": [entry("http://localhost:3000", evil)]}),
        serde_json::json!({"tunnels": [entry("http://127.0.0.2:8080", evil)]}),
        serde_json::json!({"tunnels": [entry("http://192.168.1.9:8080", evil)]}),
        serde_json::json!({"tunnels": [entry("http://localhost:8080", "https://evil.ngrok.app/path")]}),
        serde_json::json!({"tunnels": [{"public_url": evil, "proto": "https"}]}),
        serde_json::json!({"tunnels": []}),
        serde_json::json!({"error": {"msg": evil, "hostname": "evil.ngrok.app"}}),
        serde_json::json!({"hostname": ""}),
        serde_json::json!([entry("http://localhost:8080", evil)]),
        serde_json::json!(evil),
        serde_json::json!(null),
    ] {
        assert_eq!(script().answer(&document), None, "{document}");
    }
    let quick = serde_json::json!({"hostname": "four-dashed-word-url.trycloudflare.com"});
    assert_eq!(script().answer(&quick).as_deref(), Some("https://four-dashed-word-url.trycloudflare.com"));
}

#[test]
fn the_advice_names_what_was_seen_and_what_to_write() {
    let advice = |mut reader: Reader, lines: &str| {
        assert_eq!(lines.lines().find_map(|line| reader.line(&whole(line))), None);
        reader.advice()
    };
    assert!(advice(script(), "hello").contains("look at its output"));
    let seen = advice(script(), "listening at https://box.example.org/, see https://docs.example.org/x");
    assert!(seen.contains("box.example.org, docs.example.org") && seen.contains("url_from = \"config\""), "{seen}");
    let page = advice(script(), "https://app.example.org");
    assert!(page.contains("url_pattern = \"app.example.org\""), "{page}");
    let unmatched = advice(with_pattern("*.a.example"), "INF | https://b.example.org |");
    assert!(unmatched.contains("b.example.org") && unmatched.contains("*.a.example"), "{unmatched}");
    let mut asked = script();
    asked.answer(&serde_json::json!({"tunnels": [entry("http://localhost:3000", "https://shop.ngrok.app")]}));
    let elsewhere = asked.advice();
    assert!(elsewhere.contains("http://localhost:3000") && elsewhere.contains(LISTEN), "{elsewhere}");
}

#[test]
fn lines_of_any_bytes_are_read_without_a_panic() {
    let mut random = gateway_core::random::Random::from_number(11);
    let parts = [
        "https://", "a.b.c", "|", "\u{2502}", "{", "\"", "=", "msg", " ", "[", "] ", "INFO[", "\\", "\u{e9}", "->",
        "\x1b]",
    ];
    for _ in 0..20_000 {
        let count = random.below(12);
        let line: String = (0..count).map(|_| parts[random.below(parts.len() as u64) as usize]).collect();
        let mut reader = script();
        if let Some(url) = reader.line(&whole(&line)) {
            assert!(PublicUrl::parse(&url).is_some(), "{line} gives {url}");
        }
    }
}
