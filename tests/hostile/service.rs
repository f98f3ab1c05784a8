//! The real binary with broken files, hostile neighbours and garbage at its sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_core::random::Random;

use crate::process::{Box, LIMIT, errors, finish, listening, wait};

#[test]
fn a_broken_config_at_the_start_names_file_line_and_way_out() {
    let office = Box::new();
    let text = office.text();
    for (broken, expected) in [
        (text.replace("name = \"101\"", "name = \"101\"\ncaller_id = \"5035551212\""), "+15035551212"),
        (text.replace("[lan]\n", "[lan]\nlisten_to = 5\n"), "listen"),
        (text.replace("ring = [\"101\"]", "ring = [\"110\"]"), "101"),
        (text.replace("[trunk]\n", "[trunk\n"), "TOML"),
        (text.replace(&format!("listen = [\"{}\"]", office.lan), "listen = [\"0.0.0.0:5060\"]"), "allow_wan"),
        (text.replace(&format!("listen = [\"{}\"]", office.lan), "listen = [\"[::]:5060\"]"), "allow_wan"),
        (text.replace(&format!("listen = [\"{}\"]", office.lan), "listen = [\"198.51.100.1:5060\"]"), "allow_wan"),
    ] {
        assert_ne!(broken, text);
        office.write_config(&broken);
        let output = office.run(&["run", "--log", "stderr"]);
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("gateway.toml:") && told.contains(expected), "{expected}: {told}");
        let place = told.split("gateway.toml:").nth(1).and_then(|rest| rest.split(':').next());
        assert!(place.and_then(|line| line.parse::<u32>().ok()).is_some_and(|line| line > 0), "{told}");
    }
    fs::remove_file(office.config()).expect("it was written above");
    let output = office.run(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("gateway.toml"), "{}", errors(&output));
}

#[test]
fn a_reload_of_a_broken_config_keeps_the_old_one_and_says_so_and_a_mended_one_is_taken() {
    let mut office = Box::new();
    office.start();
    let text = office.text();
    let broken = text.replace("ring = [\"101\"]", "ring = [\"110\"]");
    office.write_config(&broken);

    let output = office.run(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let told = errors(&output);
    assert!(told.contains("gateway.toml:") && told.contains("keeps the configuration that it has"), "{told}");

    office.signal("-HUP");
    wait("the log tells of the broken file", || {
        let log = office.log();
        (log.contains("the old configuration stays in force") && log.contains("gateway.toml:")).then_some(())
    });
    office.write_config(&text);
    let status = String::from_utf8_lossy(&office.run(&["status"]).stdout).into_owned();
    assert!(status.contains("101"), "{status}");

    office.write_config(&format!("{text}[[extension]]\nname = \"199\"\n"));
    let output = office.run(&["reload"]);
    assert!(output.status.success(), "{}", errors(&output));
    let status = String::from_utf8_lossy(&office.run(&["status"]).stdout).into_owned();
    assert!(status.contains("199"), "{status}");

    office.write_config(&text);
    office.signal("-HUP");
    wait("SIGHUP takes the mended file", || {
        let status = String::from_utf8_lossy(&office.run(&["status"]).stdout).into_owned();
        (!status.contains("199")).then_some(())
    });
}

#[test]
fn an_environment_of_the_command_line_is_run_and_kept_over_a_reload() {
    let mut office = Box::new();
    let stage = format!(
        "[environment.stage]\ndomain = \"hostile-stage.sip.twilio.com\"\nservers = [\"{}\"]\n\
         public_url = \"https://stage.example.net\"\n",
        office.trunk
    );
    office.write_config(&format!("{}{stage}", office.text()));
    for command in [&["run", "--environment", "test"][..], &["dial", "101", "911", "--environment", "test"]] {
        let output = office.run(command);
        assert_eq!(output.status.code(), Some(1));
        let told = errors(&output);
        assert!(told.contains("there is no environment \"test\" in the config; it has prod, stage"), "{told}");
    }

    office.start_with(&["--environment", "stage"]);
    let status = |office: &Box| String::from_utf8_lossy(&office.run(&["status"]).stdout).into_owned();
    let running = "stage: hostile-stage.sip.twilio.com, webhooks at https://stage.example.net";
    assert!(status(&office).contains(running), "{}", status(&office));
    office.write_config(&format!("{}{stage}[[extension]]\nname = \"199\"\n", office.text()));
    let output = office.run(&["reload"]);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(status(&office).contains(running) && status(&office).contains("199"), "{}", status(&office));

    // A file without it changes nothing.
    office.write_config(&office.text());
    let told = errors(&office.run(&["reload"]));
    assert!(told.contains("there is no environment \"stage\" in the config; it has prod"), "{told}");
    assert!(status(&office).contains(running), "{}", status(&office));
}

#[test]
fn nothing_listens_but_what_the_config_names_and_files_are_for_the_owner_alone() {
    let mut office = Box::new();
    // What set-up would have minted.
    fs::create_dir_all(office.folder.join("state")).expect("the folder is ours");
    let secrets = r#"{"auth_token":"token-not-to-be-seen","extensions":{"101":{"lan_password":"Lan-not-to-be-seen1","trunk_passwords":{"prod":"Trunk-not-to-be-seen1"}}}}"#;
    fs::write(office.folder.join("state/secrets.json"), secrets).expect("the folder is ours");
    office.start();

    let mut found = listening(office.id());
    found.sort();
    let mut expected =
        vec![("tcp".to_owned(), office.lan), ("tcp".to_owned(), office.webhook), ("udp".to_owned(), office.lan)];
    expected.sort();
    assert_eq!(found, expected);

    assert_eq!(office.mode("run/gateway.sock"), 0o600);
    assert_eq!(office.mode("state"), 0o700);
    assert_eq!(office.mode("state/secrets.json"), 0o600, "a file that others could read was closed to them");

    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for password in ["Lan-not-to-be-seen1", "wrong-not-to-be-seen"] {
        let code = if password.starts_with("Lan") { 200 } else { 401 };
        assert_eq!(register(&socket, &office, password), code);
    }
    let command_line = fs::read(format!("/proc/{}/cmdline", office.id())).expect("it runs");
    let environment = fs::read(format!("/proc/{}/environ", office.id())).unwrap_or_default();
    let status = office.run(&["status", "--json"]).stdout;
    let log = wait("the wrong password is told", || Some(office.log()).filter(|log| log.contains("wrong-password")));
    for text in [command_line, environment, status, log.into_bytes()] {
        assert!(!String::from_utf8_lossy(&text).contains("not-to-be-seen"), "a secret is shown");
    }
}

/// Registers as 101 with a password; the code of the answer.
fn register(socket: &UdpSocket, office: &Box, password: &str) -> u16 {
    use gateway_core::sip::wire::{Datagram, read_datagram};
    socket.set_read_timeout(Some(LIMIT)).expect("not zero");
    let own = socket.local_addr().expect("it is bound");
    // No two requests may look like one that came by two ways.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut more = String::new();
    for round in 0..2 {
        let text = format!(
            "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{number}-{round}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:101@127.0.0.1>;tag=1\r\nTo: <sip:101@127.0.0.1>\r\nCall-ID: {number}\r\n\
             CSeq: {round} REGISTER\r\nContact: <sip:101@{own}>\r\nExpires: 60\r\n{more}Content-Length: 0\r\n\r\n"
        );
        socket.send_to(text.as_bytes(), office.lan).expect("loopback takes it");
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).expect("an answer");
        let Ok(Datagram::Message(rsip::SipMessage::Response(response))) = read_datagram(&buffer[..len]) else {
            panic!("{}", String::from_utf8_lossy(&buffer[..len]))
        };
        let Some((challenge, name)) = gateway_core::sip::digest::strongest(&response).filter(|_| round == 0) else {
            return response.status_code.code();
        };
        let answer =
            gateway_core::sip::digest::answer(&challenge, "101", password, "REGISTER", "sip:127.0.0.1", 1, "c");
        more = format!("{name}: {answer}\r\n");
    }
    0
}

#[test]
fn a_second_gateway_on_the_same_run_dir_is_told_and_the_first_goes_on() {
    let mut office = Box::new();
    office.start();
    let other = Box::new();
    let text = other
        .text()
        .replace(&other.folder.join("run").display().to_string(), &office.folder.join("run").display().to_string());
    other.write_config(&text);
    let output = other.run(&["run", "--log", "stderr"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("another gateway is running"), "{}", errors(&output));
    assert!(office.run(&["status"]).status.success(), "the first one's socket is still there");

    // Before it touched anything.
    assert!(!other.folder.join("state/history.jsonl").exists());
}

#[test]
fn a_state_folder_that_cannot_be_used_gives_a_clear_error() {
    let office = Box::new();
    let blocked = office.folder.join("a-file");
    fs::write(&blocked, "not a folder").expect("the folder is ours");
    let text =
        office.text().replace(&format!("{}/state", office.folder.display()), &format!("{}/state", blocked.display()));
    office.write_config(&text);
    let output = office.run(&["run", "--log", "stderr"]);
    assert_eq!(output.status.code(), Some(1));
    let told = errors(&output);
    assert!(told.contains("a-file/state") && told.contains("check the owner"), "{told}");
}

#[test]
fn a_full_disk_is_told_and_handsets_are_served_all_the_same() {
    let mut office = Box::new();
    fs::create_dir_all(office.folder.join("state")).expect("the folder is ours");
    let secrets = r#"{"extensions":{"101":{"lan_password":"Lan-not-to-be-seen1","trunk_passwords":{"prod":"T"}}}}"#;
    fs::write(office.folder.join("state/secrets.json"), secrets).expect("the folder is ours");
    // No file may grow, as if the disk were full; the log goes through a pipe, which is no file.
    let script = "ulimit -f 0; trap '' XFSZ; exec \"$0\" run --log stderr --config \"$1\" 2>&1";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_gateway")]).arg(office.config());
    let mut child =
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).spawn().expect("sh");
    let mut out = child.stdout.take().expect("piped");
    office.service = Some(child);
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = out.read(&mut buffer) {
            let _ = sender.send(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
    });
    wait("the service answers", || office.run(&["status"]).status.success().then_some(()));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    assert_eq!(register(&socket, &office, "Lan-not-to-be-seen1"), 200);
    let mut log = String::new();
    wait("the full disk is told", || {
        log.extend(lines.try_iter());
        (log.contains("store.failed") && log.contains("bindings.json")).then_some(())
    });
    assert_eq!(register(&socket, &office, "Lan-not-to-be-seen1"), 200, "it goes on");
}

#[test]
fn garbage_at_every_socket_neither_ends_the_service_nor_grows_it() {
    let mut office = Box::new();
    office.start();
    let mut random = Random::from_number(42);
    let mut noise = |len: u64| {
        let mut bytes = vec![0; random.below(len) as usize];
        random.fill(&mut bytes);
        bytes
    };
    let mut round = |office: &Box, count: usize| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for _ in 0..count {
            let _ = socket.send_to(&noise(1500), office.lan);
            let _ = socket.send_to(&[b"INVITE sip:1@2 SIP/2.0\r\n", &noise(500)[..]].concat(), office.lan);
        }
        for address in [office.lan, office.webhook] {
            for _ in 0..count / 20 {
                let Ok(mut stream) = TcpStream::connect_timeout(&address, LIMIT) else { continue };
                let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
                let _ = stream.write_all(&noise(40_000));
            }
        }
        for _ in 0..count / 20 {
            let Ok(mut stream) = UnixStream::connect(office.folder.join("run/gateway.sock")) else { continue };
            let _ = stream.write_all(&noise(500));
        }
        assert!(office.run(&["status"]).status.success(), "{}", office.log());
    };
    // The first rounds fill pools and buffers that stay.
    round(&office, 1000);
    let before = office.memory();
    for _ in 0..4 {
        round(&office, 1000);
    }
    let after = office.memory();
    assert!(after < before + 8 * 1024, "{before} KiB grew to {after} KiB");
    let log = office.log();
    assert!(log.lines().count() < 50, "strangers write no log:\n{log}");
}

#[test]
fn sigterm_ends_the_service_within_four_seconds_also_amid_open_connections() {
    let mut office = Box::new();
    office.start();
    let _open: Vec<TcpStream> =
        [office.lan, office.webhook].into_iter().filter_map(|at| TcpStream::connect(at).ok()).collect();
    let _control = UnixStream::connect(office.folder.join("run/gateway.sock"));
    office.signal("-TERM");
    let (took, well) = office.ended();
    assert!(well, "{}", office.log());
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(!office.folder.join("run/gateway.sock").exists());
    let output = office.run(&["status"]);
    assert_eq!(output.status.code(), Some(1), "no service, no status");
}

#[test]
fn commands_name_what_is_wrong_with_their_arguments() {
    let office = Box::new();
    for (arguments, code) in
        [(&["nonsense"][..], 64), (&["dial", "999", "911"], 1), (&["handset", "999"], 1), (&["reload"], 1)]
    {
        let output = finish(office.command(arguments));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", errors(&output));
        assert!(!output.stderr.is_empty());
    }
}
