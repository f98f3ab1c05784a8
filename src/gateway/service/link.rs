//! Tells the engine how this machine stands in the network, whenever that may have changed.
//!
//! The kernel's route socket (rtnetlink(7)) only wakes us: its messages are thrown away, and what matters is asked anew.
//! So nothing in them has to be believed, and losing some costs nothing. Without such a socket (a container may forbid
//! it) a slow poll does the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::reload::Reloader;
use crate::config_file;
use crate::net::driver::Driver;
use crate::net::lan::Lan;
use gateway_core::engine::Input;
use gateway_core::event::{Code, Event, Level};
use gateway_core::trunk::Link;

/// Changes come in bursts (address gone, routes gone, address there, routes there): one look for all of them.
const SETTLE: Duration = Duration::from_millis(200);

/// Looks are never closer than this: a router that learns routes hears of changes without end.
const SPACING: Duration = Duration::from_secs(1);

/// Without being woken.
const POLL: Duration = Duration::from_secs(30);

/// Messages thrown away in a row before we go on.
const DRAIN: usize = 256;

/// RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR and _IPV6_ROUTE of linux/rtnetlink.h.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Somewhere on the internet (RFC 5737), before any server is known. Nothing is ever sent there.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5061);

/// Watches for ever. `lan` is where handsets reach us: people are told when one of its addresses goes or comes, and
/// `reloader` of those that are new to it.
pub async fn watch(driver: Rc<Driver>, lan: Rc<Lan>, reloader: Rc<Reloader>) {
    let mut routes = match RouteSocket::open() {
        Ok(routes) => Some(routes),
        Err(error) => {
            let text = format!("no route socket: {error}; looking every {} s instead", POLL.as_secs());
            driver.record(&Event::new(Code::LinkPolling, "netlink", text));
            None
        }
    };
    let mut known: Option<Link> = None;
    loop {
        let looked = Instant::now();
        if let Ok(link) = look(driver.look(|engine, _| engine.trunk_remote()))
            && known.as_ref() != Some(&link)
        {
            log_changes(&driver, &lan.addresses(), known.as_ref(), &link);
            if let Some(listen) = lan.follow(&reloader.config().lan, &link.addresses) {
                reloader.listens_on(listen);
            }
            known = Some(link.clone());
            driver.input(Input::LinkChanged(link));
        }
        let woken = match &routes {
            Some(routes) => timeout(POLL, routes.changed()).await.unwrap_or(Ok(())),
            None => {
                sleep(POLL).await;
                Ok(())
            }
        };
        if woken.is_err() {
            routes = None;
        }
        sleep_until((Instant::now() + SETTLE).max(looked + SPACING)).await;
        if let Some(routes) = &routes {
            routes.drain();
        }
    }
}

fn look(remote: Option<SocketAddr>) -> std::io::Result<Link> {
    let addresses = config_file::host()?.addresses;
    Ok(Link { addresses, towards: source(remote.unwrap_or(SOMEWHERE)) })
}

/// The address that the kernel would use towards `remote`. Connecting a datagram socket sends nothing.
fn source(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn log_changes(driver: &Driver, lan: &[SocketAddr], before: Option<&Link>, now: &Link) {
    let Some(before) = before else { return };
    for address in lan {
        let had = before.addresses.contains(&address.ip());
        let (level, text) = match (had, now.addresses.contains(&address.ip())) {
            (true, false) => (Level::Warning, "no interface has this address any more; its handsets get no answer"),
            (false, true) => (Level::Notice, "an interface has this address; its handsets are answered"),
            _ => continue,
        };
        driver.record(&Event::new(Code::LanAddress, address.to_string(), text).at(level));
    }
    if before.towards != now.towards {
        let shown = |from: Option<IpAddr>| from.map_or("no way".to_string(), |from| format!("the way from {from}"));
        let text = format!("{} now, before {}", shown(now.towards), shown(before.towards));
        driver.record(&Event::new(Code::LinkChanged, "towards the SIP domain", text));
    }
}

/// The kernel's messages about links, addresses and routes.
struct RouteSocket(AsyncFd<OwnedFd>);

impl RouteSocket {
    fn open() -> std::io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe, for types whose descriptor can change; this one owns it"
        )]
        let waiting = AsyncFd::new(fd)?;
        Ok(RouteSocket(waiting))
    }

    /// Until something changes. An error means that the socket is of no use any more.
    async fn changed(&self) -> std::io::Result<()> {
        let mut ready = self.0.readable().await?;
        match self.read() {
            Err(Errno::EAGAIN) => ready.clear_ready(),
            // More came than the kernel keeps for us: that something changed is all that we want to know.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Throws away what one look answers. What is left after that wakes us again.
    fn drain(&self) {
        for _ in 0..DRAIN {
            if matches!(self.read(), Err(errno) if errno != Errno::ENOBUFS && errno != Errno::EINTR) {
                return;
            }
        }
    }

    /// A message longer than the buffer is cut off, and nobody misses the rest.
    fn read(&self) -> Result<usize, Errno> {
        recv(self.0.as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_this_machine_begins_on_it() {
        assert_eq!(source("127.0.0.1:5061".parse().unwrap()), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let link = look(Some("127.0.0.1:5061".parse().unwrap())).unwrap();
        assert!(link.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{link:?}");
    }

    #[test]
    fn a_route_socket_with_nothing_to_say_is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let routes = RouteSocket::open().unwrap();
            routes.drain();
            assert!(matches!(routes.read(), Err(Errno::EAGAIN) | Ok(_)));
        });
    }
}
