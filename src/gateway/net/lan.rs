//! Where handsets reach us: UDP and TCP on each address of `lan.listen`, as soon as this machine has it.
//!
//! A bridge, a VLAN or a USB adapter may come up long after the service, and an IPv6 address counts only when its
//! duplicate address detection is through. A socket that is bound stays good when its interface goes and comes back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::descriptors::Descriptors;
use super::driver::Driver;
use super::dscp::mark;
use super::listening::way_out;
use super::stream::Accepting;
use super::{stream, unreachable};
use gateway_core::config;
use gateway_core::event::{Code, Event};
use gateway_core::status::LanStatus;

/// Between two tries to bind an address that no interface has yet.
const RETRY: Duration = Duration::from_secs(2);

/// Most addresses; `auto` takes no further ones.
const MAX_ADDRESSES: usize = 64;

/// All addresses that handsets are listened for on, or shall be.
pub struct Lan {
    driver: Rc<Driver>,
    /// Where each stands: what is bound, or why it is not.
    places: RefCell<BTreeMap<SocketAddr, Result<SocketAddr, String>>>,
    /// What is said while there is none.
    warning: Option<&'static str>,
    accepting: Accepting,
}

impl Lan {
    /// Listens on each address as soon as it exists and is free. One failure stops no other address: the log names it, and
    /// it is tried again.
    pub async fn start(driver: &Rc<Driver>, config: &config::Lan, descriptors: Descriptors) -> Rc<Lan> {
        let (warning, accepting) = (config.warning(), Accepting::new(descriptors));
        accepting.look(driver);
        tokio::task::spawn_local(accepting.clone().keep_looking(Rc::clone(driver)));
        tokio::task::spawn_local(driver.receiver().clone().pass(Rc::clone(driver)));
        let lan = Rc::new(Lan { driver: Rc::clone(driver), places: RefCell::default(), warning, accepting });
        for &address in &config.listen {
            if let Err(error) = lan.listen(address).await {
                let said = lan.say(address, &error);
                tokio::task::spawn_local(Rc::clone(&lan).keep_trying(address, said));
            }
        }
        if let Some(warning) = warning {
            lan.log(Code::LanWaiting, "lan.listen", warning);
        }
        lan
    }

    /// This machine has these addresses now: those that `auto` stands for are listened on from now on, too. All that are
    /// known, when these are more than before.
    pub fn follow(self: &Rc<Self>, config: &config::Lan, addresses: &[IpAddr]) -> Option<Vec<SocketAddr>> {
        let mut places = self.places.borrow_mut();
        let before = places.len();
        for address in config.found(addresses) {
            if places.len() < MAX_ADDRESSES && !places.contains_key(&address) {
                places.insert(address, Err("it has just come".to_owned()));
                tokio::task::spawn_local(Rc::clone(self).keep_trying(address, Some(io::ErrorKind::AddrNotAvailable)));
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
        let mut status = LanStatus { datagrams: self.driver.receiver().status(), ..LanStatus::default() };
        for (address, place) in &*places {
            match place {
                Ok(local) => status.listening.push(local.to_string()),
                Err(reason) => status.waiting.push(format!("{address}: {reason}")),
            }
        }
        status.waiting.extend(self.warning.filter(|_| places.is_empty()).map(str::to_owned));
        status
    }

    /// `said` is what was told of it last.
    async fn keep_trying(self: Rc<Self>, address: SocketAddr, mut said: Option<io::ErrorKind>) {
        while let Err(error) = self.listen(address).await {
            if said != Some(error.kind()) {
                said = self.say(address, &error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Tells why an address is not listened on; what kind of fault was told.
    fn say(&self, address: SocketAddr, error: &io::Error) -> Option<io::ErrorKind> {
        let code = match error.kind() {
            io::ErrorKind::AddrNotAvailable => Code::LanWaiting,
            _ => Code::LanFailed,
        };
        self.log(code, &address.to_string(), &reason(address, error));
        Some(error.kind())
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<()> {
        let opened = open(address, self.driver.sip_class).await.and_then(|(local, socket, listener)| {
            unreachable::watch(&self.driver, local, &socket);
            self.driver.add_udp(local, socket)?;
            Ok((local, listener))
        });
        let (local, listener) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.places.borrow_mut().insert(address, Err(reason(address, &error)));
                return Err(error);
            }
        };
        let (driver, accepting) = (&self.driver, self.accepting.clone());
        tokio::task::spawn_local(stream::accept(Rc::clone(driver), local, listener, accepting));
        self.places.borrow_mut().insert(address, Ok(local));
        self.log(Code::LanListening, &local.to_string(), "UDP and TCP for handsets");
        Ok(())
    }

    fn log(&self, code: Code, subject: &str, text: &str) {
        self.driver.record(&Event::new(code, subject, text));
    }
}

/// Why an address is not listened on, and what helps.
fn reason(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        return "no interface has this address yet; handsets are answered as soon as one has it".to_owned();
    }
    let way = way_out(address, error).map(|way| format!("; {way}")).unwrap_or_default();
    format!("cannot be listened on: {}{way}; it is tried again every {} s", error.kind(), RETRY.as_secs())
}

type Opened = (SocketAddr, UdpSocket, TcpListener);

/// UDP and TCP on the same address; port 0 means the same free port for both.
async fn open(listen: SocketAddr, class: u8) -> io::Result<Opened> {
    let listener = TcpListener::bind(listen).await?;
    let local = listener.local_addr()?;
    let socket = UdpSocket::bind(local)?;
    mark(&socket, local.ip(), class);
    Ok((local, socket, listener))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{getsockopt, sockopt};

    use super::*;

    #[tokio::test]
    async fn what_phones_are_sent_has_the_class_of_sip() {
        for (class, octet) in [(24, 0x60), (46, 0xb8), (0, 0)] {
            let (_, socket, _) = open("127.0.0.1:0".parse().unwrap(), class).await.unwrap();
            assert_eq!(getsockopt(&socket, sockopt::Ipv4Tos), Ok(octet));
        }
    }
}
