//! What is seen of the running service: who answers on the control socket, whether handsets are answered, what is
//! registered at Twilio.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::cli::ask::{self, AskError};
use crate::disk::{Disk, RealDisk};
use crate::upgrade::trial::{Look, Seen};
use gateway_core::status::{RegistrationState, Status, TrunkState};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What a handset could get as an answer is one datagram.
const MAX_DATAGRAM: usize = 65_535;

/// What the service says of itself, and its process id; `Ok(None)` when it does not run.
pub(super) fn status(socket: &Path) -> Result<Option<(Status, u32)>, String> {
    let (answer, pid) = match ask::ask_whom(socket, "status", TIMEOUT) {
        Ok(answer) => answer,
        Err(AskError::NotRunning(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let status = serde_json::from_str(&answer);
    Ok(Some((status.map_err(|error| format!("the service answers something else than its status: {error}"))?, pid)))
}

/// A whole look. `binary` is the one that the service shall run.
pub(super) fn look(socket: &Path, lan: &[SocketAddr], binary: &Path) -> Look {
    let (status, pid) = match status(socket) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Look::Silent("the service does not run, or does not come up".to_owned()),
        Err(error) => return Look::Silent(error),
    };
    let deaf = lan.iter().find(|address| options(**address).is_err());
    Look::Answers(Seen {
        pid,
        is_new: RealDisk.is_same(Path::new(&format!("/proc/{pid}/exe")), binary),
        deaf: deaf.map(ToString::to_string),
        trunk_down: match status.trunk.state {
            TrunkState::Up => None,
            state => Some(status.trunk.reason.unwrap_or_else(|| state.to_string())),
        },
        registered: status
            .extensions
            .iter()
            .filter(|one| one.registration.state == RegistrationState::Registered)
            .count(),
    })
}

/// Asks as a handset does that wants to know whether we are there (RFC 3261 section 11).
fn options(address: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let local = socket.local_addr()?;
    // Unique enough for one question on a socket of its own: the port is in it.
    let branch = format!("z9hG4bK-upgrade-{}-{}", std::process::id(), local.port());
    let request = format!(
        "OPTIONS sip:{address} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {local};rport;branch={branch}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:upgrade@{local}>;tag={branch}\r\n\
         To: <sip:{address}>\r\n\
         Call-ID: {branch}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send(request.as_bytes())?;
    let mut answer = vec![0; MAX_DATAGRAM];
    let length = socket.recv(&mut answer)?;
    match answer.get(..length).is_some_and(|answer| answer.starts_with(b"SIP/2.0 ")) {
        true => Ok(()),
        false => Err(io::Error::other("not SIP")),
    }
}
