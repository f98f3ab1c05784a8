//! Against the real thing: OpenSSH's sshd on a loopback port, unprivileged, with a host key and a configuration of its
//! own. `tests/run tools` installs it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::net::clock::Clock;
use crate::store::Store;
use crate::tunnel::{Culprit, Running, start};
use gateway_core::config::tunnel::Driver;
use gateway_core::config::tunnel::Remote;
use gateway_core::url::HostPattern;

const SSHD: &str = "/usr/sbin/sshd";

/// A server, gone with its folder when dropped.
struct Sshd {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Sshd {
    /// With these lines in its configuration, before the others; the first of a keyword counts.
    fn start(name: &str, lines: &str) -> Sshd {
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: install openssh-server (tests/run tools does)");
        let dir = std::env::temp_dir().join(format!("gateway-sshd-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        // sshd looks for it, where it runs as root.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut sshd = Sshd { dir, port: free_port(), child: None };
        sshd.make_host_key("ed25519");
        std::fs::write(sshd.dir.join("authorized_keys"), "").unwrap();
        let dir = sshd.dir.display();
        let text = format!(
            "{lines}\nPort {}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nPidFile none\n\
             AuthorizedKeysFile {dir}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nLogLevel DEBUG1\n",
            sshd.port
        );
        std::fs::write(sshd.dir.join("sshd_config"), text).unwrap();
        sshd.run();
        sshd
    }

    fn make_host_key(&self, kind: &str) {
        let path = self.dir.join("host_key");
        let _ = std::fs::remove_file(&path);
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&path).status();
        assert!(made.unwrap().success());
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(self.dir.join("sshd_config")).stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let began = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "sshd does not listen: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn ssh(&self) -> Ssh {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        let server = Remote { user, host: "127.0.0.1".into(), port: self.port };
        Ssh { server, bind_address: "127.0.0.1".into(), bind_port: free_port(), host_key: None }
    }

    fn store(&self) -> Store {
        Store::open(&self.dir.join("state")).unwrap()
    }

    /// Lets our key in.
    fn let_in(&self, ssh: &Ssh, url_from: &UrlFrom) {
        let line = public_key_line(&self.store(), ssh, url_from).unwrap();
        std::fs::write(self.dir.join("authorized_keys"), line + "\n").unwrap();
    }

    fn connect(&self, ssh: &Ssh, settings: Settings, local: SocketAddr) -> (Running, mpsc::Receiver<Report>) {
        let (reports, received) = Reports::channel();
        let place = Place { local, store: self.store(), clock: Clock::start(None) };
        (start(&Settings { driver: Driver::Ssh(ssh.clone()), ..settings }, place, reports), received)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Free for the moment; a test that loses it to another fails loudly.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The next report that is not chatter.
async fn next(received: &mut mpsc::Receiver<Report>) -> Option<Report> {
    loop {
        let report =
            tokio::time::timeout(Duration::from_secs(60), received.recv()).await.expect("a report within 60 s");
        if !matches!(report, Some(Report::Connecting | Report::Said(_) | Report::HostKeyPinned { .. })) {
            return report;
        }
    }
}

async fn down(received: &mut mpsc::Receiver<Report>) -> Down {
    match next(received).await {
        Some(Report::Down(down)) => down,
        other => panic!("{other:?}"),
    }
}

const UP: Option<Report> = Some(Report::Up { public_url: None });

/// Answers every connection with what it was sent, after its end.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                let _ = stream.read_to_end(&mut request).await;
                let _ = stream.write_all(&request).await;
            });
        }
    });
    local
}

async fn ask(port: u16, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        writer.write_all(request).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let (read, ()) = tokio::join!(reader.read_to_end(&mut answer), send);
    read.unwrap();
    answer
}

#[tokio::test]
async fn requests_come_through_many_at_once_and_each_half_closes_by_itself() {
    let sshd = Sshd::start("through", "");
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Config);
    let (running, mut received) = sshd.connect(&ssh, Settings::default(), echo().await);
    assert_eq!(next(&mut received).await, UP, "{}", sshd.log());
    // More than windows and buffers hold.
    let request: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = request.clone();
        let port = ssh.bind_port;
        asked.spawn(async move { ask(port, &request).await == request });
    }
    while let Some(same) = asked.join_next().await {
        assert!(same.unwrap());
    }
    // Stopped, the port is free again at the server.
    drop(running);
    assert_eq!(next(&mut received).await, None);
    while TcpStream::connect(("127.0.0.1", ssh.bind_port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_our_key_the_line_for_authorized_keys_is_told() {
    let sshd = Sshd::start("refused", "");
    let ssh = sshd.ssh();
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let down = down(&mut received).await;
    assert_eq!(down.culprit, Culprit::Refused);
    let line = public_key_line(&sshd.store(), &ssh, &UrlFrom::Config).unwrap();
    assert!(down.next_step.contains(&line), "{down}");
    assert_eq!(next(&mut received).await, None);
}

#[tokio::test]
async fn a_server_that_forwards_nothing_is_told_with_the_settings_to_look_at() {
    let sshd = Sshd::start("forward", "AllowTcpForwarding no");
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Config);
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let text = down(&mut received).await.to_string();
    assert!(text.contains("AllowTcpForwarding") && text.contains("does not listen on 127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn a_taken_port_at_the_server_is_told() {
    let sshd = Sshd::start("taken", "");
    let mut ssh = sshd.ssh();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ssh.bind_port = taken.local_addr().unwrap().port();
    sshd.let_in(&ssh, &UrlFrom::Config);
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    assert!(down(&mut received).await.to_string().contains("the port is taken there"));
}

#[tokio::test]
async fn a_host_key_is_pinned_at_the_first_meeting_and_another_one_is_refused_with_both_fingerprints() {
    let mut sshd = Sshd::start("host-key", "");
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Config);
    let (running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let fingerprint = loop {
        match received.recv().await.expect("the host key is reported before the end") {
            Report::HostKeyPinned { fingerprint, .. } => break fingerprint,
            _ => continue,
        }
    };
    assert_eq!(next(&mut received).await, UP);
    drop(running);
    assert_eq!(next(&mut received).await, None);

    sshd.stop();
    sshd.make_host_key("ed25519");
    sshd.run();
    for _ in 0..2 {
        let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
        let down = down(&mut received).await;
        assert_eq!(down.culprit, Culprit::HostKey);
        let text = down.to_string();
        assert!(text.contains(&fingerprint) && text.matches("SHA256:").count() == 2, "{text}");
        assert!(text.contains("gateway tunnel accept-host-key"), "{text}");
    }
    assert!(!sshd.log().contains("Accepted publickey"), "nothing is proved to a stranger");
    // The configured fingerprint is the way to accept it.
    let show = Command::new("ssh-keygen").arg("-lf").arg(sshd.dir.join("host_key.pub")).output().unwrap();
    let shown = String::from_utf8(show.stdout).unwrap();
    let new = shown.split(' ').nth(1).unwrap().to_owned();
    let ssh = Ssh { host_key: Some(new), ..ssh };
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    assert_eq!(next(&mut received).await, UP);
}

#[tokio::test]
async fn a_server_with_an_rsa_key_alone_is_refused_and_both_ways_out_are_told() {
    let mut sshd = Sshd::start("rsa", "");
    sshd.stop();
    sshd.make_host_key("rsa");
    sshd.run();
    let (_running, mut received) = sshd.connect(&sshd.ssh(), Settings::default(), ([127, 0, 0, 1], 9).into());
    let down = down(&mut received).await;
    assert_eq!(down.culprit, Culprit::Refused);
    for part in ["ed25519 or ecdsa (it has rsa-sha2-512", "ssh-keygen -A", "driver = \"command\""] {
        assert!(down.to_string().contains(part), "{part:?} is not in: {down}");
    }
}

#[tokio::test]
async fn the_end_of_a_session_is_noticed_at_once() {
    let mut sshd = Sshd::start("ended", "");
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Config);
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    assert_eq!(next(&mut received).await, UP);
    // The session lives in a child of the listener.
    let listener = sshd.child.as_ref().unwrap().id();
    let ended = Command::new("pkill").args(["-KILL", "-P", &listener.to_string()]).status().unwrap();
    assert!(ended.success());
    let down = down(&mut received).await;
    assert_eq!(down.culprit, Culprit::Network, "{down}");
    sshd.stop();
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let text = self::down(&mut received).await.to_string();
    assert!(text.contains("refused") && text.contains("does sshd run there"), "{text}");
}

#[tokio::test]
async fn the_url_that_a_server_prints_in_its_session_is_found() {
    let script = "printf '\\033[32mwelcome\\033[0m, see https://docs.example.org\\r\\n'; \
                  echo https://abc.tunnel.example; exec sleep 1000";
    let sshd = Sshd::start("printed", &format!("ForceCommand {script}"));
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Output);
    let pattern = HostPattern::parse("*.tunnel.example").unwrap();
    let settings = Settings { url_from: UrlFrom::Output, url_pattern: Some(pattern), ..Settings::default() };
    let (_running, mut received) = sshd.connect(&ssh, settings, echo().await);
    let found = next(&mut received).await;
    assert_eq!(found, Some(Report::Up { public_url: Some("https://abc.tunnel.example".into()) }), "{}", sshd.log());
    assert_eq!(ask(ssh.bind_port, b"hello").await, b"hello");
}

#[tokio::test]
async fn a_shell_that_ends_is_the_end_of_the_tunnel_and_its_reason() {
    let sshd = Sshd::start("shell", "ForceCommand printf 'This account is closed.'");
    let ssh = sshd.ssh();
    sshd.let_in(&ssh, &UrlFrom::Output);
    let settings = Settings { url_from: UrlFrom::Output, ..Settings::default() };
    let (_running, mut received) = sshd.connect(&ssh, settings, ([127, 0, 0, 1], 9).into());
    let text = down(&mut received).await.to_string();
    assert!(text.contains("shell") && text.contains("This account is closed."), "{text}");
}

#[tokio::test]
async fn what_speaks_no_ssh_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let mut sshd = Sshd::start("http", "");
    sshd.stop();
    let mut ssh = sshd.ssh();
    ssh.server.port = port;
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let down = down(&mut received).await;
    assert!(down.to_string().contains("SSH") || down.to_string().contains("closed the connection"), "{down}");
}

#[tokio::test]
async fn a_server_that_ends_connections_before_the_login_is_not_taken_for_a_line_that_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let mut sshd = Sshd::start("full", "");
    sshd.stop();
    let mut ssh = sshd.ssh();
    ssh.server.port = port;
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let down = down(&mut received).await;
    assert_eq!(down.culprit, Culprit::Login, "{down}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told() {
    let sshd = Sshd::start("dns", "");
    let mut ssh = sshd.ssh();
    ssh.server.host = "tunnel.invalid".into();
    let (_running, mut received) = sshd.connect(&ssh, Settings::default(), ([127, 0, 0, 1], 9).into());
    let down = down(&mut received).await;
    assert_eq!(down.culprit, Culprit::Network);
    let text = down.to_string();
    assert!(text.contains("tunnel.invalid cannot be looked up") || text.contains("no connection within"), "{text}");
}
