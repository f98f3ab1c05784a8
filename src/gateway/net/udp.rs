//! UDP from handsets.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::UdpSocket;

use super::driver::Driver;
use gateway_core::engine::Input;
use gateway_core::sip::flow::{Flow, Transport};

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

/// Datagrams taken in a row before other tasks have their turn.
const BURST: usize = 64;

/// Reads a socket for ever.
pub async fn receive(driver: Rc<Driver>, local: SocketAddr, socket: Rc<UdpSocket>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        let mut taken = 0;
        while taken < BURST {
            match socket.try_recv_from(&mut buffer) {
                Ok((len, remote)) => {
                    let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
                    driver.input(Input::Received { flow, bytes: buffer[..len].to_vec() });
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier datagram (a phone was unplugged): the socket is as good as before.
                Err(_) => {}
            }
            taken += 1;
        }
        // Who waits for the next datagram lets others work anyway; this would be one more look at all sockets.
        if taken == BURST {
            tokio::task::yield_now().await;
        }
    }
}
