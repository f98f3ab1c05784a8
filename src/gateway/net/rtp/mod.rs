//! The media driver: one thread that waits for RTP and RTCP sockets and runs [`Relay`] on what comes.
//!
//! A packet costs one wake-up, one `recvfrom` and one `sendto`: no tick, no queue, no allocation. `epoll` is level
//! triggered and one packet is read per socket and round, so that no read fails for nothing and no socket starves the
//! others.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::dscp::mark;
use gateway_core::media::packet::BUFFER;
use gateway_core::media::relay::{Forward, Relay, Slot};
use gateway_core::media::{Command, KEPT_CALLS, LastPorts, MediaLeg, Notice};
use gateway_core::random::Random;
use gateway_core::time::Instant;

/// How long a closed port stays unused: what is still on its way to the old call must not reach a new one.
pub const PORT_REST: Duration = Duration::from_secs(2);

/// Sockets that one wait reports at most.
const EVENTS: usize = 64;

/// The epoll number of the command wake-up; no leg has it, since slots are of 32 bits.
const WAKE: u64 = u64::MAX;

/// What the driver is given.
#[derive(Debug)]
pub struct MediaConfig {
    /// First and last port of the range, both usable. RTP takes even ports and RTCP the odd ones above.
    pub ports: (u16, u16),
    /// The class of what is sent; see [`super::dscp`].
    pub dscp: u8,
    /// Origin of [`Instant`]: the same for all drivers.
    pub origin: std::time::Instant,
    /// SSRCs, first sequence numbers, order of ports.
    pub random: Random,
}

/// The running driver. Dropping it stops it.
#[derive(Debug)]
pub struct MediaHandle {
    /// Not bounded by itself: the engine bounds calls, and each has a handful of commands; the thread takes all that
    /// there are at each wake-up. Blocking here would block the engine.
    commands: Option<Sender<Command>>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl MediaHandle {
    /// Hands a command over; never blocks.
    pub fn send(&self, command: Command) {
        self.send_all([command]);
    }

    /// Hands commands over, in order, with one wake-up for all.
    pub fn send_all(&self, all: impl IntoIterator<Item = Command>) {
        // Both fail only when the thread is gone, and then there is nobody to do it.
        for command in all {
            let _ = self.commands.as_ref().map(|commands| commands.send(command));
        }
        let _ = self.wake.write(1);
    }

    /// Closes all legs, with their [`Notice::Closed`], and waits for the thread to end.
    pub fn stop(self) {}
}

impl Drop for MediaHandle {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there.
            let _ = thread.join();
        }
    }
}

/// Starts the thread. `notices` is called on it and must not block; `move |notice| { let _ = sender.send(notice); }`
/// with any unbounded sender fits, since there are as many notices as commands and a few for each leg's life.
pub fn start(config: MediaConfig, notices: impl FnMut(Notice) + Send + 'static) -> io::Result<MediaHandle> {
    let MediaConfig { ports, dscp, origin, mut random } = config;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
    let (commands, inbox) = mpsc::channel();
    let driver = Driver {
        ports: Ports::new(ports, dscp, &mut random),
        relay: Relay::new(random),
        sockets: Vec::new(),
        epoll,
        wake: wake.clone(),
        inbox,
        origin,
        notices,
    };
    let thread = std::thread::Builder::new().name("media".into()).spawn(move || driver.run())?;
    Ok(MediaHandle { commands: Some(commands), wake, thread: Some(thread) })
}

/// Which of a leg's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rtp,
    Rtcp,
}

/// The number by which epoll names a socket.
fn token(slot: Slot, kind: Kind) -> u64 {
    u64::from(slot.0) << 1 | u64::from(kind == Kind::Rtcp)
}

fn from_token(token: u64) -> (Slot, Kind) {
    (Slot((token >> 1) as u32), if token & 1 == 0 { Kind::Rtp } else { Kind::Rtcp })
}

/// A leg's sockets; closing them takes them out of epoll.
struct Sockets {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
}

impl Sockets {
    fn get(&self, kind: Kind) -> &UdpSocket {
        match kind {
            Kind::Rtp => &self.rtp,
            Kind::Rtcp => &self.rtcp,
        }
    }
}

struct Driver<F> {
    relay: Relay,
    sockets: Vec<Option<Sockets>>,
    ports: Ports,
    epoll: Epoll,
    wake: Arc<EventFd>,
    inbox: Receiver<Command>,
    origin: std::time::Instant,
    notices: F,
}

impl<F: FnMut(Notice)> Driver<F> {
    fn run(mut self) {
        let mut buffer = [0; BUFFER];
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                // Not possible with a valid descriptor and buffer; ending beats spinning.
                Err(_) => return,
            };
            let now = self.now();
            let mut commands = false;
            for event in &events[..count] {
                match event.data() {
                    WAKE => commands = true,
                    token => self.read(now, token, &mut buffer),
                }
            }
            // After the packets: the tokens of this round still mean the sockets that they meant.
            let running = !commands || self.take_commands(now);
            if self.relay.poll_timeout().is_some_and(|due| due <= now) {
                self.relay.handle_timeout(now);
                while let Some(forward) = self.relay.poll_transmit(now, &mut buffer) {
                    self.send(forward, Kind::Rtp, &buffer);
                }
            }
            while let Some(notice) = self.relay.poll_notice() {
                (self.notices)(notice);
            }
            if !running {
                return;
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Until the relay's next timeout, rounded up to what epoll can: milliseconds.
    fn timeout(&self) -> EpollTimeout {
        let Some(due) = self.relay.poll_timeout() else {
            return EpollTimeout::NONE;
        };
        let millis = due.since(self.now()).as_micros().div_ceil(1000);
        EpollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
    }

    /// Reads one packet and sends it on.
    fn read(&mut self, now: Instant, token: u64, buffer: &mut [u8; BUFFER]) {
        let (slot, kind) = from_token(token);
        let Some(sockets) = self.sockets.get(slot.0 as usize).and_then(Option::as_ref) else {
            return;
        };
        // An error is an ICMP message about an earlier packet, or a spurious wake-up: reading it clears it.
        let Ok((len, from)) = sockets.get(kind).recv_from(buffer) else {
            return;
        };
        let forward = match kind {
            Kind::Rtp => self.relay.rtp(now, slot, from, buffer, len),
            Kind::Rtcp => self.relay.rtcp(now, slot, from, buffer, len),
        };
        if let Some(forward) = forward {
            self.send(forward, kind, buffer);
        }
    }

    fn send(&self, forward: Forward, kind: Kind, buffer: &[u8; BUFFER]) {
        if let Some(Some(sockets)) = self.sockets.get(forward.slot.0 as usize) {
            // A packet that cannot leave now is lost, as on the way: media has no use for a late one.
            let _ = sockets.get(kind).send_to(&buffer[..forward.len], forward.to);
        }
    }

    /// Does what the engine asks; false when the handle is gone and all legs are closed.
    fn take_commands(&mut self, now: Instant) -> bool {
        let _ = self.wake.read();
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.command(now, command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => {
                    let mut legs: Vec<_> = self.relay.legs().collect();
                    legs.sort();
                    legs.into_iter().for_each(|leg| self.close(now, leg));
                    return false;
                }
            }
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Open { leg, bind, last } => {
                let notice = match self.open(now, leg, bind, last) {
                    Ok(local) => Notice::Opened { leg, local },
                    Err(error) => Notice::Refused { leg, error },
                };
                (self.notices)(notice);
            }
            Command::Move { leg, bind } => {
                // A leg that is gone has nobody who waits for the answer.
                if let Some(slot) = self.relay.slot(leg) {
                    let to = self.move_to(now, slot, bind);
                    (self.notices)(Notice::Moved { leg, to });
                }
            }
            Command::Set { leg, params } => self.relay.set(now, leg, *params),
            Command::Connect { a, b } => self.relay.connect(a, b),
            Command::Dtmf { leg, digit, duration } => {
                // A digit for a leg that cannot send it has nowhere to go; the engine offers only what was agreed.
                let _ = self.relay.dtmf(leg, digit, duration);
            }
            Command::Play { leg, sound } => self.relay.play(now, leg, sound),
            Command::Close { leg } => self.close(now, leg),
        }
    }

    fn open(&mut self, now: Instant, leg: MediaLeg, bind: IpAddr, last: LastPorts) -> Result<SocketAddr, String> {
        let slot = self.relay.open(leg).map_err(|error| error.to_string())?;
        let opened = self.bind(now, slot, bind, last);
        if opened.is_err() {
            self.relay.close(leg);
        }
        opened
    }

    fn bind(&mut self, now: Instant, slot: Slot, bind: IpAddr, last: LastPorts) -> Result<SocketAddr, String> {
        let sockets = self.ports.bind(now, bind, last)?;
        self.wait_for(now, slot, sockets, bind)
    }

    /// The former sockets close when the new ones are there.
    fn move_to(&mut self, now: Instant, slot: Slot, bind: IpAddr) -> Result<SocketAddr, String> {
        let former = self.sockets.get(slot.0 as usize).and_then(Option::as_ref).map(|sockets| sockets.port);
        // The same numbers, so that a port forwarded by hand still leads here.
        let same = former.and_then(|port| self.ports.pair(bind, port).ok());
        let sockets = match same {
            Some(sockets) => sockets,
            // A call that talks keeps talking.
            None => self.ports.bind(now, bind, LastPorts::Take)?,
        };
        let local = self.wait_for(now, slot, sockets, bind)?;
        if let Some(port) = former.filter(|port| *port != local.port()) {
            self.ports.give_back(now, port);
        }
        Ok(local)
    }

    /// Puts sockets in their slot and waits for what comes to them.
    fn wait_for(&mut self, now: Instant, slot: Slot, sockets: Sockets, bind: IpAddr) -> Result<SocketAddr, String> {
        let wait = |kind| self.epoll.add(sockets.get(kind), EpollEvent::new(EpollFlags::EPOLLIN, token(slot, kind)));
        if let Err(error) = wait(Kind::Rtp).and_then(|()| wait(Kind::Rtcp)) {
            let in_use = self.sockets.get(slot.0 as usize).and_then(Option::as_ref);
            if in_use.is_none_or(|former| former.port != sockets.port) {
                self.ports.give_back(now, sockets.port);
            }
            return Err(format!("media port {bind}:{}: epoll: {error}", sockets.port));
        }
        let at = slot.0 as usize;
        if self.sockets.len() <= at {
            self.sockets.resize_with(at + 1, || None);
        }
        let local = SocketAddr::new(bind, sockets.port);
        self.sockets[at] = Some(sockets);
        Ok(local)
    }

    fn close(&mut self, now: Instant, leg: MediaLeg) {
        let Some((slot, report)) = self.relay.close(leg) else {
            return;
        };
        if let Some(sockets) = self.sockets.get_mut(slot.0 as usize).and_then(Option::take) {
            self.ports.give_back(now, sockets.port);
        }
        (self.notices)(Notice::Closed { leg, report });
    }
}

/// The most that are kept back for emergency calls: two for each.
const KEPT_PAIRS: usize = 2 * KEPT_CALLS;

const EXHAUSTED: &str = "no media port is free; widen [media] ports or end calls";

/// The even ports of the range: used from the front, given back at the end, so that each rests as long as it can.
struct Ports {
    free: VecDeque<(u16, Instant)>,
    /// Pairs that are kept back for emergency calls.
    kept: usize,
    dscp: u8,
}

impl Ports {
    /// All even ports with their odd neighbour inside the range, in random order (RFC 6056: not to be guessed).
    fn new((first, last): (u16, u16), dscp: u8, random: &mut Random) -> Self {
        let mut ports: Vec<_> = (first..last).filter(|port| port % 2 == 0).map(|port| (port, Instant::ZERO)).collect();
        for at in (1..ports.len()).rev() {
            ports.swap(at, random.below(at as u64 + 1) as usize);
        }
        // A range that is as small as can be is not used up by what is kept back.
        let kept = KEPT_PAIRS.min(ports.len() / 8);
        Ports { free: ports.into(), kept, dscp }
    }

    fn give_back(&mut self, now: Instant, port: u16) {
        self.free.push_back((port, now + PORT_REST));
    }

    /// The sockets of these ports.
    fn pair(&self, address: IpAddr, port: u16) -> io::Result<Sockets> {
        let open = |port| socket(address, port, self.dscp);
        Ok(Sockets { rtp: open(port)?, rtcp: open(port + 1)?, port })
    }

    /// The next rested pair that nobody else on this machine uses.
    fn bind(&mut self, now: Instant, address: IpAddr, last: LastPorts) -> Result<Sockets, String> {
        if last == LastPorts::Leave && self.free.len() <= self.kept {
            return Err(EXHAUSTED.into());
        }
        for _ in 0..self.free.len() {
            let Some((port, rested)) = self.free.pop_front() else {
                break;
            };
            if rested > now {
                self.free.push_back((port, rested));
                continue;
            }
            let pair = self.pair(address, port);
            match pair {
                Ok(sockets) => return Ok(sockets),
                Err(error) => {
                    self.free.push_back((port, rested));
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(format!("media port {address}:{port}: {error}"));
                    }
                }
            }
        }
        Err(EXHAUSTED.into())
    }
}

/// A socket that never blocks, with media's class.
fn socket(address: IpAddr, port: u16, dscp: u8) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, port))?;
    socket.set_nonblocking(true)?;
    mark(&socket, address, dscp);
    Ok(socket)
}

#[cfg(test)]
mod tests;
