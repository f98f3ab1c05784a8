//! What the network says of datagrams to handsets that nobody takes (ICMP): a port that nothing listens on, a machine that
//! is not there. Linux keeps that in a queue of the socket's own (ip(7), `IP_RECVERR`), with the address that it is about.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::driver::Driver;
use gateway_core::engine::Input;
use gateway_core::sip::flow::{Flow, Transport};

/// Reports taken in a row before other tasks have their turn.
const BURST: usize = 64;

/// How often one datagram is sent: each report makes one send fail that has nothing to do with it.
const SENDS: usize = 4;

/// Gives the engine the reports about a socket for as long as the process lives. Where the system gives none, handsets that
/// are gone are found by their silence.
#[allow(deprecated, reason = "its successor is unsafe, for types whose descriptor can change; this one owns it")]
pub fn watch(driver: &Rc<Driver>, local: SocketAddr, socket: &impl AsFd) {
    let asked = match local {
        SocketAddr::V4(_) => setsockopt(&socket.as_fd(), sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket.as_fd(), sockopt::Ipv6RecvErr, &true),
    };
    // Errors alone: a socket that can be read wakes nobody here.
    let own = socket.as_fd().try_clone_to_owned();
    if let (Ok(()), Ok(own)) = (asked, own)
        && let Ok(reports) = AsyncFd::with_interest(own, Interest::PRIORITY)
    {
        tokio::task::spawn_local(pass(Rc::clone(driver), local, reports));
    }
}

async fn pass(driver: Rc<Driver>, local: SocketAddr, reports: AsyncFd<OwnedFd>) {
    while let Ok(mut ready) = reports.ready(Interest::ERROR).await {
        let mut taken = 0;
        while taken < BURST
            && let Ok(remote) = next(reports.get_ref())
        {
            taken += 1;
            if let Some(remote) = remote {
                let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
                driver.input(Input::Unreachable { flow });
            }
        }
        match taken {
            BURST => tokio::task::yield_now().await,
            _ => ready.clear_ready(),
        }
    }
}

/// Where the datagram of the next report was sent to.
fn next(socket: &OwnedFd) -> nix::Result<Option<SocketAddr>> {
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let report = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], None, flags)?;
    Ok(report.address.as_ref().and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
    }))
}

/// Sends a datagram, again where only a report stood in its way.
pub fn send(send: impl Fn() -> std::io::Result<usize>) {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let is_report =
        |error: &std::io::Error| matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable);
    // A full socket buffer loses a datagram, as the network may: SIP repeats it.
    let _ = (0..SENDS).map(|_| send()).find(|sent| !sent.as_ref().is_err_and(is_report));
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_datagram_that_is_refused_is_reported_with_its_address_and_costs_no_other_one() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(ours) = UdpSocket::bind(host) else { continue };
            let asked = match host {
                "[::1]:0" => setsockopt(&ours, sockopt::Ipv6RecvErr, &true),
                _ => setsockopt(&ours, sockopt::Ipv4RecvErr, &true),
            };
            asked.unwrap();
            let closed = UdpSocket::bind(host).unwrap().local_addr().unwrap();
            let open = UdpSocket::bind(host).unwrap();
            ours.send_to(b"1", closed).unwrap();
            send(|| ours.send_to(b"2", open.local_addr().unwrap()));
            let mut octets = [0];
            open.recv(&mut octets).unwrap();
            assert_eq!(&octets, b"2");
            let own = ours.as_fd().try_clone_to_owned().unwrap();
            assert_eq!(next(&own), Ok(Some(closed)));
            assert_eq!(next(&own), Err(nix::errno::Errno::EAGAIN));
        }
    }
}
