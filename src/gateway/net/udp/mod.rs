//! UDP from handsets: a thread of its own reads, so that the kernel's small buffer is empty whatever the engine does, and
//! [`fair`] says whose datagram the engine gets next.

mod fair;

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, setsockopt, sockopt,
};
use tokio::sync::Notify;

use self::fair::{Datagram, Queues};
use super::clock::Clock;
use super::driver::Driver;
use gateway_core::config::Config;
use gateway_core::engine::Input;
use gateway_core::engine::glance::glance;
use gateway_core::event::{Code, Event};
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::status::DatagramStatus;
use gateway_core::time::Instant;

/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

/// Datagrams read by one call.
const BATCH: usize = 8;

/// Calls in a row for one socket, before another has its turn.
const CALLS: usize = 32;

/// Sockets that one wait reports at most.
const EVENTS: usize = 8;

/// After more than a batch: the next ones may gather, so that a flood does not cost a wake-up each. The kernel's smallest
/// buffer holds several times what comes meanwhile.
const GATHER: Duration = Duration::from_micros(300);

/// Datagrams that the engine takes in a row before other tasks have their turn.
const BURST: usize = 16;

/// What the kernel is asked to hold for each socket; it grants `net.core.rmem_max` at most.
const BUFFER: usize = 512 * 1024;

/// Octets that all of it holds at most, with the kernel's buffer of one socket.
pub const MOST: usize = BATCH * DATAGRAM + fair::LANES * fair::LANE_OCTETS + 2 * BUFFER;

/// Between two lines about a flood.
const REPORT: Duration = Duration::from_secs(32);

/// Dropped since the last line: fewer are a busy moment.
const MANY: u64 = 1000;

/// What the reading thread and the engine share. All clones are the same.
#[derive(Clone, Debug)]
pub struct Receiver(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    epoll: Epoll,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiting {
    queues: Queues,
    config: Arc<Config>,
    sockets: Vec<Socket>,
    received: u64,
    /// Who sent the last one that was dropped.
    crowds: Option<SocketAddr>,
    reported: (u64, Instant),
}

#[derive(Debug)]
struct Socket {
    local: SocketAddr,
    socket: Arc<UdpSocket>,
    /// What the kernel dropped, as it counts.
    lost: u32,
}

impl Receiver {
    /// Starts the thread, which reads as long as the process lives. `seed` is random.
    pub fn start(clock: Clock, config: Arc<Config>, seed: u64) -> io::Result<Receiver> {
        let reported = (0, clock.now());
        let waiting =
            Waiting { queues: Queues::new(seed), config, sockets: Vec::new(), received: 0, crowds: None, reported };
        let shared = Arc::new(Shared {
            clock,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            waiting: Mutex::new(waiting),
            arrived: Notify::new(),
        });
        let reads = Arc::clone(&shared);
        std::thread::Builder::new().name("udp".into()).spawn(move || reads.read())?;
        Ok(Receiver(shared))
    }

    /// Reads this socket from now on, too.
    pub fn add(&self, local: SocketAddr, socket: Arc<UdpSocket>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // For numbers of lost datagrams and for a larger buffer; it works without both.
        let _ = setsockopt(&socket, sockopt::RxqOvfl, &1);
        enlarge(&socket);
        let mut waiting = self.0.waiting();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, waiting.sockets.len() as u64);
        self.0.epoll.add(&*socket, event)?;
        waiting.sockets.push(Socket { local, socket, lost: 0 });
        Ok(())
    }

    /// The configuration in force: it says which numbers call for help.
    pub fn set_config(&self, config: Arc<Config>) {
        self.0.waiting().config = config;
    }

    /// The addresses that phones are registered from now.
    pub fn set_phones(&self, phones: BTreeSet<SocketAddr>) {
        self.0.waiting().queues.set_phones(phones);
    }

    /// For `gateway status` and the metrics.
    pub fn status(&self) -> DatagramStatus {
        let waiting = self.0.waiting();
        let granted = waiting.sockets.iter().filter_map(|one| getsockopt(&one.socket, sockopt::RcvBuf).ok()).min();
        DatagramStatus {
            buffer: granted.map(|octets| octets as u64),
            received: waiting.received,
            dropped: waiting.queues.dropped(),
            lost: waiting.sockets.iter().map(|one| u64::from(one.lost)).sum(),
        }
    }

    /// Hands the engine one datagram after the other, for ever.
    pub async fn pass(self, driver: Rc<Driver>) {
        loop {
            let mut taken = 0;
            while taken < BURST
                && let Some(Datagram { local, remote, bytes }) = self.next(&driver)
            {
                let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
                driver.input(Input::Received { flow, bytes });
                taken += 1;
            }
            match taken {
                // Whoever waits for the next datagram lets others work anyway; this would be one more look at all sockets.
                BURST => tokio::task::yield_now().await,
                _ => self.0.arrived.notified().await,
            }
        }
    }

    /// The next datagram; with it comes a line about a flood, now and then.
    fn next(&self, driver: &Driver) -> Option<Datagram> {
        let mut waiting = self.0.waiting();
        let (dropped, now) = (waiting.queues.dropped(), self.0.clock.now());
        let (told, at) = waiting.reported;
        if dropped - told >= MANY && now.since(at) >= REPORT {
            waiting.reported = (dropped, now);
            let subject = waiting.crowds.map(|remote| remote.to_string()).unwrap_or_default();
            let text = format!(
                "{subject} sends far more than a phone does; {} datagrams were dropped, and others are served before it; \
                 restart that phone, or unplug it",
                dropped - told
            );
            driver.record(&Event::new(Code::SipCrowded, subject, text));
        }
        waiting.queues.pop()
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Queues and numbers are whole after each step; what was behind a panic is worth having.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn read(&self) {
        let mut space = vec![0; BATCH * DATAGRAM];
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // Not possible with a valid descriptor and buffer; ending beats spinning.
                Err(_) => return,
            };
            let mut waits = false;
            for event in &events[..count] {
                let is_report = event.events().contains(EpollFlags::EPOLLERR);
                waits |= self.drain(event.data() as usize, is_report, &mut space);
            }
            if waits {
                std::thread::sleep(GATHER);
            }
        }
    }

    /// Reads what a socket has. Whether the next look can wait: that was much, or only a report.
    fn drain(&self, index: usize, is_report: bool, space: &mut [u8]) -> bool {
        let waiting = self.waiting();
        let Some(Socket { local, socket, .. }) = waiting.sockets.get(index) else { return false };
        let (local, socket, config) = (*local, Arc::clone(socket), Arc::clone(&waiting.config));
        drop(waiting);
        for call in 0..CALLS {
            match self.batch(index, local, &socket, &config, space) {
                Ok(BATCH) => {}
                Ok(_) => return call > 0,
                // Nothing is left, or reports wait that [`super::unreachable`] takes: it needs a moment.
                Err(Errno::EAGAIN) => return call > 0 || is_report,
                // A report about an earlier datagram (a phone was unplugged): reading it clears it.
                Err(_) => {}
            }
        }
        true
    }

    fn batch(
        &self,
        index: usize,
        local: SocketAddr,
        socket: &UdpSocket,
        config: &Config,
        space: &mut [u8],
    ) -> nix::Result<usize> {
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(u32)));
        let mut slices: Vec<_> = space.chunks_exact_mut(DATAGRAM).map(|one| [IoSliceMut::new(one)]).collect();
        let came = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let (mut count, mut lost, mut read) = (0, None, Vec::with_capacity(BATCH));
        for message in came {
            count += 1;
            for control in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(number) = control {
                    lost = Some(number);
                }
            }
            if let (Some(remote), Some(bytes)) = (message.address.as_ref().and_then(address), message.iovs().next()) {
                read.push((glance(config, bytes), Datagram { local, remote, bytes: bytes.to_vec() }));
            }
        }
        let (now, mut is_new, mut waiting) = (self.clock.now(), false, self.waiting());
        waiting.received += read.len() as u64;
        if let Some(lost) = lost {
            waiting.sockets[index].lost = lost;
        }
        for (seems, datagram) in read {
            let remote = datagram.remote;
            match waiting.queues.push(now, seems, datagram) {
                true => is_new = true,
                false => waiting.crowds = Some(remote),
            }
        }
        drop(waiting);
        if is_new {
            self.arrived.notify_one();
        }
        Ok(count)
    }
}

/// Asks for [`BUFFER`], and keeps what there was where the system grants less.
fn enlarge(socket: &UdpSocket) {
    let Ok(before) = getsockopt(&socket, sockopt::RcvBuf) else { return };
    let after = setsockopt(&socket, sockopt::RcvBuf, &BUFFER).and_then(|()| getsockopt(&socket, sockopt::RcvBuf));
    if after.is_ok_and(|after| after < before) {
        // The kernel counts its own part, too, and doubles what is asked for (socket(7)).
        let _ = setsockopt(&socket, sockopt::RcvBuf, &(before / 2));
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}
