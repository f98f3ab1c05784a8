//! What the binary tells systemd: that it is ready, that it is alive, again and again, and why a stop takes its time.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[path = "office/mod.rs"]
mod office;

use office::OfficeFile;

/// Longer than any machine takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(30);

/// The service, with systemd's end of its socket.
struct Service {
    folder: PathBuf,
    lan: SocketAddr,
    socket: UnixDatagram,
    gateway: Child,
}

impl Service {
    fn start(name: &str, watchdog: Option<&str>) -> Service {
        let folder = std::env::temp_dir().join(format!("gateway-notify-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let shown = folder.display();
        let lan = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = OfficeFile::new()
            .table("site")
            .with("state_dir", format!("{shown}/state"))
            .with("run_dir", format!("{shown}/run"))
            .table("trunk")
            .with("servers", ["127.0.0.1:9"])
            .table("lan")
            .with("listen", [lan.to_string()])
            .table("webhook")
            .with("listen", "127.0.0.1:0")
            .extensions(["101"])
            .to_string();
        std::fs::write(folder.join("gateway.toml"), config).unwrap();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["run", "--log", "stderr", "--config"]).arg(folder.join("gateway.toml"));
        command.env("NOTIFY_SOCKET", folder.join("notify")).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(micros) = watchdog {
            command.env("WATCHDOG_USEC", micros);
        }
        let gateway = command.stderr(Stdio::null()).spawn().unwrap();
        Service { folder, lan, socket, gateway }
    }

    fn next(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.socket.recv(&mut buffer).expect("the gateway tells nothing");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn systemd_is_told_once_that_handsets_are_answered_and_then_that_the_engine_turns() {
    let service = Service::start("alive", Some("30000"));
    let told = [service.next(), service.next(), service.next()];
    assert_eq!(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
}

#[test]
fn a_stop_that_waits_for_an_emergency_call_asks_systemd_for_time() {
    let service = Service::start("stop", None);
    assert_eq!(service.next(), "READY=1");
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_read_timeout(Some(LONG)).unwrap();
    let (own, lan) = (phone.local_addr().unwrap(), service.lan);
    let invite = format!(
        "INVITE sip:911@{lan} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:101@{lan}>;tag=1\r\nTo: <sip:911@{lan}>\r\nCall-ID: help\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:101@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    phone.send_to(invite.as_bytes(), lan).unwrap();
    let mut answer = [0; 2048];
    let length = phone.recv(&mut answer).expect("the call is taken");
    assert!(answer[..length].starts_with(b"SIP/2.0 100"));
    // Its trunk cannot be reached, and the call waits for it.
    let stopped = Command::new("kill").arg("-TERM").arg(service.gateway.id().to_string()).status().unwrap();
    assert!(stopped.success());
    let asked = service.next();
    assert!(asked.starts_with("EXTEND_TIMEOUT_USEC=30000000\nSTATUS="), "{asked}");
}
