//! A throw-away OpenSSH server on loopback: unprivileged, with a host key and a configuration of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::gateway::free_port;

/// sshd wants to be called by its whole path, to start itself again for each session.
const SSHD: [&str; 2] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"];
/// What to do without it.
const MISSING: &str = "--tunnel ssh needs OpenSSH's server, and there is no /usr/sbin/sshd; install it (Debian: apt-get \
                       install openssh-server; it need not run)";
const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The server; it ends with its owner, its sessions when their client goes.
pub struct Sshd {
    child: Child,
    folder: PathBuf,
    /// Whose account the tunnel uses there: ours.
    pub user: String,
    /// Where it listens for SSH.
    pub port: u16,
    /// Where it shall listen for webhooks.
    pub forwarded: u16,
}

impl Sshd {
    /// Starts it with its files in `folder`, and nobody let in.
    pub async fn start(folder: &Path) -> Result<Self, String> {
        let binary = SSHD.into_iter().find(|path| Path::new(path).exists());
        let binary = binary.ok_or(MISSING)?;
        let user = said("id", &["-un"]).await?;
        let folder = folder.join("sshd");
        std::fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        // sshd wants its empty folder where it runs as root; elsewhere it does without, and this may fail.
        let _ = std::fs::create_dir_all("/run/sshd");
        let dir = folder.display().to_string();
        said("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &format!("{dir}/host_key")]).await?;
        let port = free_port().map_err(|e| e.to_string())?;
        let forwarded = free_port().map_err(|e| e.to_string())?;
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nPidFile none\n\
             AuthorizedKeysFile {dir}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\n"
        );
        let file = |name: &str| folder.join(name);
        std::fs::write(file("authorized_keys"), "").map_err(|e| e.to_string())?;
        std::fs::write(file("sshd_config"), text).map_err(|e| e.to_string())?;
        let log = File::create(file("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(binary);
        command.args(["-D", "-e", "-f"]).arg(file("sshd_config")).stdin(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().map_err(|e| format!("{binary}: {e}"))?;
        let sshd = Self { child, folder, user, port, forwarded };
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(POLL).await;
            }
        };
        match timeout(LIMIT, listens).await {
            Ok(()) => Ok(sshd),
            Err(_) => {
                let log = std::fs::read_to_string(sshd.folder.join("log")).unwrap_or_default();
                Err(format!("{binary} does not listen on port {port}: {log}"))
            }
        }
    }

    /// Lets in whom this line of `authorized_keys` names.
    pub fn let_in(&self, line: &str) -> Result<(), String> {
        std::fs::write(self.folder.join("authorized_keys"), format!("{line}\n")).map_err(|e| e.to_string())
    }

    /// Kills the processes of all sessions; how many there were.
    pub async fn kill_sessions(&self) -> Result<usize, String> {
        let mut waiting: Vec<u32> = self.child.id().into_iter().collect();
        let mut found = Vec::new();
        while let Some(parent) = waiting.pop() {
            let path = format!("/proc/{parent}/task/{parent}/children");
            // A process that is gone has no children.
            let children = std::fs::read_to_string(path).unwrap_or_default();
            let children: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
            waiting.extend(&children);
            found.extend(children);
        }
        if found.is_empty() {
            return Err("sshd has no session to kill".to_owned());
        }
        let ids: Vec<String> = found.iter().map(u32::to_string).collect();
        // Of two processes of one session, the second may end before its own signal comes.
        let _ = Command::new("kill").arg("-KILL").args(&ids).stderr(Stdio::null()).status().await;
        Ok(found.len())
    }
}

/// What a program prints, without the line's end.
async fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let output = output.map_err(|e| format!("{program}: {e}; --tunnel ssh needs it (Debian: openssh-client)"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
