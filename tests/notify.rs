//! What the binary tells systemd: that it is ready, and then, again and again, that it is alive.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longer than any machine takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(30);

fn next(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("the gateway tells nothing");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn systemd_is_told_once_that_handsets_are_answered_and_then_that_the_engine_turns() {
    let folder = std::env::temp_dir().join(format!("gateway-notify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let shown = folder.display();
    let config = format!(
        "[site]\nname = \"notify\"\nstate_dir = \"{shown}/state\"\nrun_dir = \"{shown}/run\"\n\
         [twilio]\naccount_sid = \"AC00000000000000000000000000000000\"\n\
         [trunk]\ndomain = \"notify.sip.twilio.com\"\nservers = [\"127.0.0.1:9\"]\n\
         [lan]\nlisten = [\"127.0.0.1:0\"]\n\
         [webhook]\npublic_url = \"https://notify.example.com\"\nlisten = \"127.0.0.1:0\"\n\
         [emergency]\ncaller_id = \"+15035550100\"\n\
         [[extension]]\nname = \"101\"\ncaller_id = \"+15035550100\"\n"
    );
    std::fs::write(folder.join("gateway.toml"), config).unwrap();
    let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["run", "--log", "stderr", "--config"])
        .arg(folder.join("gateway.toml"))
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .env("WATCHDOG_USEC", "30000")
        .env_remove("WATCHDOG_PID")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    let told = [next(&socket), next(&socket), next(&socket)];

    gateway.kill().unwrap();
    gateway.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
}
