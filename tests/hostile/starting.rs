//! The real binary starts, whatever is broken, and serves what it can: phones and emergency calls before all.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::resource::Resource;

use crate::process::{Box, LIMIT, errors, free, wait};

/// A box that has run with its config once, and stopped.
fn run_once() -> Box {
    let mut office = Box::new();
    office
        .write_config(&office.text().replace("[emergency]\n", "[emergency]\nnumbers = [\"911\", \"933\", \"112\"]\n"));
    office.start();
    wait("the config is kept", || office.folder.join("state/last-good.toml").exists().then_some(()));
    stop(&mut office);
    office
}

fn stop(office: &mut Box) {
    office.signal("-TERM");
    assert!(office.ended().1, "{}", office.log());
}

fn status(office: &Box) -> String {
    String::from_utf8_lossy(&office.run(&["status"]).stdout).into_owned()
}

/// The code of the first final answer, or of any answer, to an INVITE that nobody vouches for.
fn invite(office: &Box, number: &str) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(LIMIT)).expect("not zero");
    let own = socket.local_addr().expect("it is bound");
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        own.port()
    );
    let text = format!(
        "INVITE sip:{number}@{lan} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{port}\r\nMax-Forwards: 70\r\n\
         From: <sip:101@{lan}>;tag=1\r\nTo: <sip:{number}@{lan}>\r\nCall-ID: {port}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:101@{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {len}\r\n\r\n{body}",
        lan = office.lan,
        port = own.port(),
        len = body.len()
    );
    socket.send_to(text.as_bytes(), office.lan).expect("loopback takes it");
    let mut buffer = [0; 4096];
    let len = socket.recv(&mut buffer).expect("an answer");
    let answer = String::from_utf8_lossy(&buffer[..len]).into_owned();
    // A stop would wait for an emergency call.
    let head = text.split("Contact:").next().expect("it is not empty").replace("INVITE sip:", "CANCEL sip:");
    let cancel = head.replace("1 INVITE", "1 CANCEL") + "Content-Length: 0\r\n\r\n";
    socket.send_to(cancel.as_bytes(), office.lan).expect("loopback takes it");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a response")
}

#[test]
fn a_broken_config_at_a_start_runs_the_last_good_one_and_says_so() {
    let mut office = run_once();
    let good = fs::read_to_string(office.config()).expect("it is there");
    let kept = office.folder.join("state/last-good.toml");
    assert_eq!(office.mode("state/last-good.toml"), 0o600);
    let kept_then = fs::read(&kept).expect("it is there");
    let broken: [(&str, Vec<u8>); 6] = [
        ("a mistake", good.replace("ring = [\"101\"]", "ring = [\"110\"]").into_bytes()),
        ("no TOML", good.replace("[trunk]\n", "[trunk\n").into_bytes()),
        ("an unknown key", good.replace("[lan]\n", "[lan]\nlisten_to = 5\n").into_bytes()),
        ("empty", Vec::new()),
        ("cut", good.as_bytes()[..good.len() / 3].to_vec()),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    for (what, bytes) in broken {
        fs::write(office.config(), &bytes).expect("the folder is ours");
        office.start();
        let text = status(&office);
        assert!(text.contains("problem: ") && text.contains("gateway.toml"), "{what}: {text}");
        assert!(text.contains("the last good configuration is used. \"gateway check "), "{what}: {text}");
        assert!(office.log().contains("config.broken"), "{what}: {}", office.log());
        // An emergency number that only the last good one has: tried at once, not challenged. The trunk is not up here.
        assert_eq!(invite(&office, "112"), 100, "{what}");
        assert_eq!(invite(&office, "5551212"), 401, "{what}");
        for command in [&["history"][..], &["status", "--json"], &["metrics"]] {
            let output = office.run(command);
            assert!(output.status.success(), "{what} {command:?}: {}", errors(&output));
        }
        let told = errors(&office.run(&["handset", "101"]));
        assert!(told.contains("the last good configuration is used") && told.contains("has no password yet"), "{told}");
        // A reload of a broken file changes nothing, as ever.
        let output = office.run(&["reload"]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert_eq!(invite(&office, "112"), 100, "{what}");
        assert_eq!(fs::read(&kept).expect("it is there"), kept_then, "{what}: a broken one is never kept");
        stop(&mut office);
    }
    // A fixed one is in force at the next reload, and is the one that is kept.
    fs::write(office.config(), "").expect("the folder is ours");
    office.start();
    office.write_config(&good.replace("\"112\"", "\"113\""));
    let output = office.run(&["reload"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(!status(&office).contains("problem: "), "{}", status(&office));
    assert_eq!(invite(&office, "113"), 100);
    wait("the new one is kept", || fs::read_to_string(&kept).is_ok_and(|text| text.contains("\"113\"")).then_some(()));
}

#[test]
fn a_config_that_is_missing_or_cannot_be_read_is_a_broken_one() {
    let mut office = run_once();
    fs::remove_file(office.config()).expect("it was written above");
    office.start();
    assert!(status(&office).contains("gateway.toml: cannot be read: entity not found"), "{}", status(&office));
    assert_eq!(invite(&office, "112"), 100);
    let output = office.run(&["history"]);
    assert!(output.status.success(), "{}", errors(&output));
    stop(&mut office);
    let output = office.run(&["history"]);
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", errors(&output));

    fs::create_dir(office.config()).expect("nothing has that name");
    office.start();
    assert!(status(&office).contains("problem: "), "{}", status(&office));
    stop(&mut office);
    fs::remove_dir(office.config()).expect("it is empty");

    // One that is another installation's is no good here.
    let other = Box::new();
    fs::create_dir_all(other.folder.join("state")).expect("the folder is ours");
    fs::copy(office.folder.join("state/last-good.toml"), other.folder.join("state/last-good.toml"))
        .expect("it is there");
    other.write_config("");
    assert_eq!(other.run(&["run", "--log", "stderr"]).status.code(), Some(1));
}

#[test]
fn an_environment_that_is_gone_from_the_file_is_run_as_it_was() {
    let mut office = Box::new();
    let stage = format!(
        "[environment.stage]\ndomain = \"hostile-stage.sip.twilio.com\"\nservers = [\"{}\"]\n\
         public_url = \"https://stage.example.net\"\n",
        office.trunk
    );
    let both = format!("{}{stage}", office.text());
    office.write_config(&both);
    office.start_with(&["--environment", "stage"]);
    wait("the config is kept", || office.folder.join("state/last-good.toml").exists().then_some(()));
    stop(&mut office);
    office.write_config(&office.text());
    office.start_with(&["--environment", "stage"]);
    let text = status(&office);
    assert!(text.contains("stage: hostile-stage.sip.twilio.com"), "{text}");
    assert!(text.contains("there is no environment \"stage\" in the config"), "{text}");
    stop(&mut office);
    // One that there never was is a mistake of the command line.
    let output = office.run(&["run", "--environment", "stgae"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("no environment \"stgae\""), "{}", errors(&output));
}

#[test]
fn a_ca_file_that_is_gone_stops_the_trunk_alone_which_says_why() {
    let mut office = Box::new();
    office.write_config(&office.text().replace("[trunk]\n", "[trunk]\nca_file = \"gone.pem\"\n"));
    office.start();
    let text = wait("the trunk says why", || Some(status(&office)).filter(|text| text.contains("gone.pem")));
    assert!(text.contains("entity not found") && text.contains("gateway reload"), "{text}");
    assert_eq!(invite(&office, "911"), 100);
}

#[test]
fn ports_that_are_taken_stop_only_what_needs_them_and_are_taken_when_they_are_free() {
    let mut office = Box::new();
    let (webhook, metrics, other) = (office.webhook, free(), free());
    let held = [webhook, metrics].map(|address| TcpListener::bind(address).expect("it was free"));
    let lan_held = UdpSocket::bind(other).expect("it was free");
    office.write_config(&format!(
        "{}[metrics]\nlisten = \"{metrics}\"\n",
        office
            .text()
            .replace(&format!("listen = [\"{}\"]", office.lan), &format!("listen = [\"{other}\", \"{}\"]", office.lan))
    ));
    office.start();
    let text = status(&office);
    for part in [format!("webhook.listen {webhook}"), format!("metrics.listen {metrics}"), format!("LAN {other}")] {
        let line = text.lines().find(|line| line.contains(&part)).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(line.contains("address in use") && line.contains("ss -lnp shows which"), "{line}");
        assert!(line.contains("tried again"), "{line}");
    }
    assert_eq!(invite(&office, "911"), 100);
    assert_eq!(office.log().matches("webhook.failed").count(), 1, "{}", office.log());
    drop(held);
    drop(lan_held);
    wait("all is well", || {
        let text = status(&office);
        (!text.contains("problem: ") && !text.contains(&format!("LAN {other}"))).then_some(())
    });
    for address in [webhook, metrics] {
        TcpStream::connect(address).expect("it listens now");
    }
}

#[test]
fn a_lan_address_that_is_taken_is_waited_for() {
    let mut office = Box::new();
    let held = TcpListener::bind(office.lan).expect("it was free");
    office.start();
    assert!(status(&office).contains(&format!("LAN {}: ", office.lan)), "{}", status(&office));
    drop(held);
    wait("handsets are answered", || (!status(&office).contains(&format!("LAN {}: ", office.lan))).then_some(()));
    assert_eq!(invite(&office, "911"), 100);
}

#[test]
fn a_control_socket_that_cannot_be_made_stops_nothing_else() {
    let mut office = Box::new();
    let blocked = office.folder.join("run");
    fs::write(&blocked, "not a folder").expect("the folder is ours");
    office.start_blind(&[]);
    wait("911 is tried", || office.log().contains("lan.listening").then_some(()));
    assert_eq!(invite(&office, "911"), 100);
    assert!(office.log().contains("control.failed"), "{}", office.log());
    fs::remove_file(&blocked).expect("it is there");
    wait("the service answers", || office.run(&["status"]).status.success().then_some(()));
}

#[test]
fn damaged_state_is_told_and_emergency_calls_are_tried() {
    let damaged: [(&str, &[u8]); 3] =
        [("secrets.json", b"{\"extensions\": nonsense"), ("history.jsonl", b"\xff\xfe\0"), ("bindings.json", b"[[[")];
    let mut office = Box::new();
    fs::create_dir_all(office.folder.join("state")).expect("the folder is ours");
    for (file, bytes) in damaged {
        fs::write(office.folder.join("state").join(file), bytes).expect("the folder is ours");
    }
    office.start();
    let text = status(&office);
    assert!(text.contains("problem: ") && text.contains("secrets.json") && text.contains("gateway restore"), "{text}");
    assert_eq!(invite(&office, "911"), 100);
    stop(&mut office);

    // A folder where a file should be is no file that can be read.
    let mut office = Box::new();
    for (file, _) in damaged {
        fs::create_dir_all(office.folder.join("state").join(file)).expect("the folder is ours");
    }
    office.start();
    let text = status(&office);
    assert!(text.contains("problem: ") && text.contains("secrets.json"), "{text}");
    assert_eq!(invite(&office, "911"), 100);
    stop(&mut office);

    // A restore that was cut.
    let mut office = Box::new();
    fs::create_dir_all(office.folder.join("state")).expect("the folder is ours");
    fs::write(office.folder.join("state/restoring"), "").expect("the folder is ours");
    office.start();
    assert!(status(&office).contains("gateway restore FILE"), "{}", status(&office));
    assert_eq!(invite(&office, "911"), 100);
}

#[test]
fn too_few_descriptors_are_told_with_what_is_needed_and_the_command() {
    let mut office = Box::new();
    office.start_blind_by("ulimit -n 96; exec \"$0\" \"$@\"");
    let text = wait("the service answers", || Some(status(&office)).filter(|text| text.contains("problem: ")));
    for part in ["1056 file descriptors are needed for 100 calls", "allows 96", "ulimit -n 16384", "LimitNOFILE=16384"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(office.log().contains("system.descriptors"), "{}", office.log());
}

#[test]
fn strangers_connections_leave_the_trunk_a_call_and_the_status_their_descriptors() {
    for lowered in [true, false] {
        let mut office = Box::new();
        office.start();
        let id = i32::try_from(office.id()).expect("a process id");
        let lower = || {
            let limit = nix::libc::rlimit { rlim_cur: 64, rlim_max: 64 };
            #[expect(unsafe_code, reason = "nix lowers limits of this process alone")]
            // SAFETY: the structure outlives the call, and the old limit is not asked for.
            let done = unsafe { nix::libc::prlimit(id, Resource::RLIMIT_NOFILE as _, &limit, std::ptr::null_mut()) };
            assert_eq!(done, 0);
        };
        if lowered {
            lower();
        }
        let mut kept = Vec::new();
        for number in 0..220 {
            let address = if number % 3 == 0 { office.webhook } else { office.lan };
            kept.extend(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
        }
        if !lowered {
            lower();
        }
        wait("there is room again", || {
            let open = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
            let low =
                open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok()).filter(|fd| *fd < 64);
            (low.count() <= 64 - 16).then_some(())
        });
        assert!(office.run(&["status"]).status.success(), "{}", office.log());
        assert_eq!(invite(&office, "911"), 100);
        wait("the shortage is told", || status(&office).contains("file descriptors are needed").then_some(()));
        // A phone by TCP, and Twilio, still find a place.
        for address in [office.lan, office.webhook] {
            answered(address);
        }
        assert!(!office.log().contains("Too many open files"), "{}", office.log());
    }
}

/// A connection on which something is answered.
fn answered(address: std::net::SocketAddr) {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("not zero");
    stream.write_all(b"\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is open");
    assert!(stream.read(&mut [0; 64]).is_ok_and(|len| len > 0), "{address}");
}

#[test]
fn a_last_good_config_that_cannot_be_kept_is_told_and_stops_nothing() {
    let mut office = Box::new();
    office.start();
    wait("the config is kept", || office.folder.join("state/last-good.toml").exists().then_some(()));
    stop(&mut office);
    let state = office.folder.join("state");
    // A folder in the way of each file that is written.
    for file in ["last-good.toml.new", "history.jsonl.new", "bindings.json.new", "time.json.new"] {
        fs::create_dir_all(state.join(file).join("in-the-way")).expect("the folder is ours");
    }
    office.write_config(&office.text().replace("[lan]\n", "# another text\n[lan]\n"));
    office.start();
    wait("it is told", || office.log().contains("a later start with a broken config").then_some(()));
    assert_eq!(invite(&office, "911"), 100);
}
