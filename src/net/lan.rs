//! Where handsets reach us: UDP and TCP on each address of `lan.listen`, as soon as this machine has it.
//!
//! A bridge, a VLAN or a USB adapter may come up long after the service, and an IPv6 address counts only when its
//! duplicate address detection is through. A socket that is bound stays good when its interface goes and comes back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};

use super::shell::Shell;
use super::{stream, udp};
use crate::config;
use crate::event::{Event, Level};
use crate::status::LanStatus;

/// Between two tries to bind an address that no interface has yet.
const RETRY: Duration = Duration::from_secs(2);

/// Most addresses; `auto` takes no further ones.
const MAX_ADDRESSES: usize = 64;

/// All addresses that handsets are listened for on, or shall be.
pub struct Lan {
    shell: Rc<Shell>,
    /// Where each stands: what is bound, or why it is not.
    places: RefCell<BTreeMap<SocketAddr, Result<SocketAddr, String>>>,
    /// What is said while there is none.
    warning: Option<&'static str>,
    /// The number of the last connection.
    numbers: Rc<Cell<u64>>,
}

impl Lan {
    /// Listens from now on, or from when the addresses are there. An error is one that waiting will not mend, with its
    /// address.
    pub async fn start(shell: &Rc<Shell>, config: &config::Lan) -> Result<Rc<Lan>, (SocketAddr, io::Error)> {
        let (warning, numbers) = (config.warning(), Rc::default());
        let lan = Rc::new(Lan { shell: Rc::clone(shell), places: RefCell::default(), warning, numbers });
        for &address in &config.listen {
            match lan.listen(address).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    let text = "no interface has this address yet; handsets are answered as soon as one has it";
                    lan.tell(Level::Warning, "lan.waiting", &address.to_string(), text);
                    tokio::task::spawn_local(Rc::clone(&lan).keep_trying(address));
                }
                Err(error) => return Err((address, error)),
            }
        }
        if let Some(warning) = warning {
            lan.tell(Level::Warning, "lan.waiting", "lan.listen", warning);
        }
        Ok(lan)
    }

    /// This machine has these addresses now: those that `auto` stands for are listened on from now on, too. All that are
    /// known, when these are more than before.
    pub fn follow(self: &Rc<Self>, config: &config::Lan, addresses: &[IpAddr]) -> Option<Vec<SocketAddr>> {
        let mut places = self.places.borrow_mut();
        let before = places.len();
        for address in config.found(addresses) {
            if places.len() < MAX_ADDRESSES && !places.contains_key(&address) {
                places.insert(address, Err("it has just come".to_owned()));
                tokio::task::spawn_local(Rc::clone(self).keep_trying(address));
            }
        }
        (places.len() > before).then(|| places.keys().copied().collect())
    }

    /// All that are known, whether this machine has them or not.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.borrow().keys().copied().collect()
    }

    /// For `gateway status`.
    pub fn status(&self) -> LanStatus {
        let places = self.places.borrow();
        let mut status = LanStatus::default();
        for (address, place) in &*places {
            match place {
                Ok(local) => status.listening.push(local.to_string()),
                Err(reason) => status.waiting.push(format!("{address}: {reason}")),
            }
        }
        status.waiting.extend(self.warning.filter(|_| places.is_empty()).map(str::to_owned));
        status
    }

    async fn keep_trying(self: Rc<Self>, address: SocketAddr) {
        let mut told = false;
        while let Err(error) = self.listen(address).await {
            if error.kind() != io::ErrorKind::AddrNotAvailable && !told {
                told = true;
                self.tell(Level::Error, "lan.failed", &address.to_string(), &error.to_string());
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<()> {
        let (local, socket, listener) = match open(address).await {
            Ok(opened) => opened,
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::AddrNotAvailable => "no interface has this address yet".to_owned(),
                    _ => error.to_string(),
                };
                self.places.borrow_mut().insert(address, Err(reason));
                return Err(error);
            }
        };
        let (shell, numbers) = (&self.shell, Rc::clone(&self.numbers));
        shell.add_udp(local, Rc::clone(&socket));
        tokio::task::spawn_local(udp::receive(Rc::clone(shell), local, socket));
        tokio::task::spawn_local(stream::accept(Rc::clone(shell), local, listener, numbers));
        self.places.borrow_mut().insert(address, Ok(local));
        self.tell(Level::Notice, "lan.listening", &local.to_string(), "UDP and TCP for handsets");
        Ok(())
    }

    fn tell(&self, level: Level, code: &'static str, subject: &str, text: &str) {
        self.shell.tell(&Event::new(level, code, subject, text));
    }
}

type Opened = (SocketAddr, Rc<UdpSocket>, TcpListener);

/// UDP and TCP on the same address; port 0 means the same free port for both.
async fn open(listen: SocketAddr) -> io::Result<Opened> {
    let listener = TcpListener::bind(listen).await?;
    let local = listener.local_addr()?;
    let socket = UdpSocket::bind(local).await?;
    Ok((local, Rc::new(socket), listener))
}
