//! Where handsets reach us: UDP and TCP on each address of `lan.listen`, as soon as this machine has it.
//!
//! A bridge, a VLAN or a USB adapter may come up long after the service, and an IPv6 address counts only when its
//! duplicate address detection is through. A socket that is bound stays good when its interface goes and comes back.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};

use super::shell::Shell;
use super::{stream, udp};
use crate::event::{Event, Level};

/// Between two tries to bind an address that no interface has yet.
const RETRY: Duration = Duration::from_secs(2);

/// Listens from now on, or from when the address is there. An error is one that waiting will not mend.
pub async fn listen(shell: &Rc<Shell>, listen: SocketAddr, numbers: &Rc<Cell<u64>>) -> io::Result<()> {
    match open(listen).await {
        Ok(opened) => serve(shell, opened, numbers),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let text = "no interface has this address yet; handsets are answered as soon as one has it";
            shell.tell(&Event::new(Level::Warning, "lan.waiting", listen.to_string(), text));
            tokio::task::spawn_local(wait(Rc::clone(shell), listen, Rc::clone(numbers)));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn wait(shell: Rc<Shell>, listen: SocketAddr, numbers: Rc<Cell<u64>>) {
    let mut told = false;
    loop {
        tokio::time::sleep(RETRY).await;
        match open(listen).await {
            Ok(opened) => return serve(&shell, opened, &numbers),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(error) if !told => {
                told = true;
                shell.tell(&Event::new(Level::Error, "lan.failed", listen.to_string(), error.to_string()));
            }
            Err(_) => {}
        }
    }
}

fn serve(shell: &Rc<Shell>, (local, socket, listener): Opened, numbers: &Rc<Cell<u64>>) {
    shell.add_udp(local, Rc::clone(&socket));
    tokio::task::spawn_local(udp::receive(Rc::clone(shell), local, socket));
    tokio::task::spawn_local(stream::accept(Rc::clone(shell), local, listener, Rc::clone(numbers)));
    shell.tell(&Event::new(Level::Notice, "lan.listening", local.to_string(), "UDP and TCP for handsets"));
}

type Opened = (SocketAddr, Rc<UdpSocket>, TcpListener);

/// UDP and TCP on the same address; port 0 means the same free port for both.
async fn open(listen: SocketAddr) -> io::Result<Opened> {
    let listener = TcpListener::bind(listen).await?;
    let local = listener.local_addr()?;
    let socket = UdpSocket::bind(local).await?;
    Ok((local, Rc::new(socket), listener))
}
