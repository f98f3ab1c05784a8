//! The real binary as a child process, waited for by looking, never by sleeping for a fixed time.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::office::file::OfficeFile;

/// Nothing that is waited for takes longer.
pub const LIMIT: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A folder with a config and state, and the service that runs with it.
pub struct Box {
    pub folder: PathBuf,
    pub lan: SocketAddr,
    pub webhook: SocketAddr,
    pub trunk: SocketAddr,
    /// Holds the trunk's port, so that connections to it end at once.
    _trunk: TcpListener,
    pub service: Option<Child>,
}

/// Looks again and again until something is so.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Free for UDP and TCP.
pub fn free() -> SocketAddr {
    wait("a free port", || {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let address = udp.local_addr().ok()?;
        TcpListener::bind(address).ok().map(|_| address)
    })
}

impl Box {
    pub fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateway-hostile-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the test");
        let trunk = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = trunk.local_addr().expect("it is bound");
        let made = Box { folder, lan: free(), webhook: free(), trunk: address, _trunk: trunk, service: None };
        made.write_config(&made.text());
        made
    }

    pub fn text(&self) -> String {
        let folder = self.folder.display();
        OfficeFile::new()
            .table("site")
            .with("name", "hostile")
            .with("state_dir", format!("{folder}/state"))
            .with("run_dir", format!("{folder}/run"))
            .table("twilio")
            .with("api", "http://127.0.0.1:9")
            .table("trunk")
            .with("domain", "hostile.sip.twilio.com")
            .with("servers", [self.trunk.to_string()])
            .table("lan")
            .with("listen", [self.lan.to_string()])
            .table("media")
            .with("ports", "20000-20999")
            .table("webhook")
            .with("listen", self.webhook.to_string())
            .extension("101")
            .number("+15035550100", &["101"])
            .to_string()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.config(), text).expect("the folder is ours");
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, bounded.
    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments))
    }

    /// Starts the service and waits until it answers.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the service and waits for nothing.
    pub fn start_blind(&mut self, arguments: &[&str]) {
        let command = self.command(&[&["run", "--log", "stderr"], arguments].concat());
        self.spawn(command);
    }

    /// The same by a script that gets the binary as `$0` and its arguments.
    pub fn start_blind_by(&mut self, script: &str) {
        let own = self.command(&["run", "--log", "stderr"]);
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(own.get_program()).args(own.get_args()).stdin(Stdio::null());
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        let log = File::create(self.log_path()).expect("the folder is ours");
        self.service = Some(command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary was built"));
    }

    /// The same with further arguments.
    pub fn start_with(&mut self, arguments: &[&str]) {
        self.start_blind(arguments);
        let socket = self.folder.join("run/gateway.sock");
        wait("the service answers", || {
            let ended = self.service.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the service ended: {ended:?}\n{}", self.log());
            (socket.exists() && self.run(&["status"]).status.success()).then_some(())
        });
    }

    pub fn id(&self) -> u32 {
        self.service.as_ref().map(Child::id).expect("it runs")
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.id().to_string()]).status().expect("kill is there");
        assert!(status.success());
    }

    /// Waits for the service to end by itself; how long that took, and whether it was well.
    pub fn ended(&mut self) -> (Duration, bool) {
        let began = Instant::now();
        let child = self.service.as_mut().expect("it runs");
        let status = wait("the service ends", || child.try_wait().ok().flatten());
        self.service = None;
        (began.elapsed(), status.success())
    }

    /// Resident memory, KiB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has one");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    pub fn mode(&self, path: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        metadata.permissions().mode() & 0o777
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        if let Some(mut child) = self.service.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command to its end, bounded.
pub fn finish(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command is there");
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = err.read_to_end(&mut bytes);
        bytes
    });
    let until = Instant::now() + LIMIT;
    let killer = child.id();
    let status = loop {
        match child.try_wait().expect("it is our child") {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                panic!("{command:?} ({killer}) does not end");
            }
            None => std::thread::park_timeout(Duration::from_millis(5)),
        }
    };
    let mut stdout = Vec::new();
    let _ = out.read_to_end(&mut stdout);
    Output { status, stdout, stderr: reader.join().unwrap_or_default() }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Local addresses of the listening sockets (UDP: all of them) that a process owns, as (protocol, address).
pub fn listening(id: u32) -> Vec<(String, SocketAddr)> {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{id}/fd"))
        .expect("it runs")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("net").join(protocol));
        for line in text.unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            let listens = protocol.starts_with("udp") || *state == "0A";
            if listens && inodes.iter().any(|own| own == inode) {
                found.push((protocol.to_owned(), read_address(local)));
            }
        }
    }
    found
}

/// `0100007F:13C4`: the address as the machine keeps it, the port as people read it.
fn read_address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').expect("address and port");
    let port = u16::from_str_radix(port, 16).expect("hex");
    match ip.len() {
        8 => {
            let ip = u32::from_str_radix(ip, 16).expect("hex");
            SocketAddr::from((ip.to_ne_bytes(), port))
        }
        _ => {
            let words: Vec<u8> = ip
                .as_bytes()
                .chunks(8)
                .filter_map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
                .flat_map(u32::to_ne_bytes)
                .collect();
            let octets: [u8; 16] = words.try_into().expect("four words");
            SocketAddr::from((octets, port))
        }
    }
}
