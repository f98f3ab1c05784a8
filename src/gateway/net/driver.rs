//! The driver of the engine: inputs go in, outputs are carried out at once, on one thread.
//!
//! Every socket's task calls [`Driver::input`] itself: a message costs no channel and no second wake-up. The `RefCell`
//! is never borrowed across an await, so the one thread owns the engine as surely as one task would.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::clock::Clock;
use super::dns::Resolver;
use super::recorder::Recorder;
use super::rtp::MediaHandle;
use super::tls::{Tls, Trust};
use super::udp::Receiver;
use super::{http, stream, unreachable};
use gateway_core::context::Output;
use gateway_core::engine::{Engine, Input};
use gateway_core::event::Event;
use gateway_core::media::Command;
use gateway_core::sip::flow::{Flow, Transport};
use gateway_core::streams::MAX_STREAMS;
use gateway_core::time::Instant;
use gateway_core::wake::{Counts, Reason};

/// Messages that a slow connection may have waiting, and octets of them; then it is closed.
const STREAM_QUEUE: usize = 256;
const STREAM_OCTETS: usize = 256 * 1024;

/// Octets that wait for all connections together. Beyond it the handset's with the most waiting is closed.
pub const MAX_QUEUED: usize = 512 * 1024;

/// What the kernel is asked to hold of our answers on a handset's connection; it takes twice as much.
pub const SEND_BUFFER: usize = 8 * 1024;

/// What waits for a connection.
struct Waiting {
    queue: mpsc::Sender<Vec<u8>>,
    octets: Queued,
}

/// How many octets wait for a connection; its writer takes them off.
pub type Queued = Rc<Cell<usize>>;

/// The engine with all that it needs to act.
pub struct Driver {
    engine: RefCell<Engine>,
    pub clock: Clock,
    dns: Resolver,
    media: MediaHandle,
    trust: RefCell<Trust>,
    /// The class of SIP; see [`super::dscp`].
    pub sip_class: u8,
    recorder: Recorder,
    receiver: Receiver,
    udp: RefCell<BTreeMap<SocketAddr, Arc<UdpSocket>>>,
    streams: RefCell<BTreeMap<u64, Waiting>>,
    /// The bindings changed since they were written.
    unsaved: Cell<bool>,
    pub bindings_changed: Notify,
    /// The deadline that the timer task sleeps for.
    armed: Cell<Option<(Instant, Reason)>>,
    rearm: Notify,
    /// What that timer fired for.
    wake_ups: Cell<Counts>,
    webhooks: RefCell<Option<Arc<http::Shared>>>,
}

impl Driver {
    /// A driver whose sockets are added by [`Driver::add_udp`].
    pub fn new(
        engine: Engine,
        clock: Clock,
        media: MediaHandle,
        trust: Trust,
        sip_class: u8,
        recorder: Recorder,
        receiver: Receiver,
    ) -> Rc<Self> {
        receiver.set_phones(engine.phones(clock.now()));
        Rc::new(Driver {
            engine: RefCell::new(engine),
            dns: Resolver::new(clock.clone()),
            clock,
            media,
            trust: RefCell::new(trust),
            sip_class,
            recorder,
            receiver,
            udp: RefCell::default(),
            streams: RefCell::default(),
            unsaved: Cell::new(false),
            bindings_changed: Notify::new(),
            armed: Cell::new(None),
            rearm: Notify::new(),
            wake_ups: Cell::default(),
            webhooks: RefCell::default(),
        })
    }

    /// A socket that handsets reach us by.
    pub fn add_udp(&self, local: SocketAddr, socket: UdpSocket) -> std::io::Result<()> {
        let socket = Arc::new(socket);
        self.receiver.add(local, Arc::clone(&socket))?;
        self.udp.borrow_mut().insert(local, socket);
        Ok(())
    }

    /// What datagrams come by.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The webhooks that the emergency service's call back comes by.
    pub fn set_webhooks(&self, webhooks: Arc<http::Shared>) {
        *self.webhooks.borrow_mut() = Some(webhooks);
    }

    /// From the next connection on.
    pub fn set_tls(&self, tls: Tls) {
        *self.trust.borrow_mut() = Trust::of(tls);
    }

    /// What the trunk trusts, or why that cannot be known, for people.
    pub(super) fn tls(&self) -> Result<Tls, String> {
        self.trust.borrow_mut().tls(&self.clock).map_err(|error| error.to_string())
    }

    /// Gives the engine an input and carries out what follows.
    pub fn input(self: &Rc<Self>, input: Input) {
        let now = self.clock.now();
        if let Input::Reload { config, .. } = &input {
            self.receiver.set_config(Arc::clone(config));
        }
        let mut outputs = Vec::new();
        let next = {
            let mut engine = self.engine.borrow_mut();
            engine.handle(now, self.clock.wall(), input);
            outputs.extend(std::iter::from_fn(|| engine.poll_output()));
            engine.poll_timeout()
        };
        // A later deadline needs no waking: the timer fires once for nothing and sleeps again.
        let is_sooner = match (next, self.armed.get()) {
            (Some((next, _)), Some((armed, _))) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_sooner {
            self.armed.set(next);
            self.rearm.notify_one();
        }
        let mut media = Vec::new();
        for output in outputs {
            self.carry_out(output, &mut media);
        }
        // One wake-up of the media thread for all that one input brought about.
        if !media.is_empty() {
            self.media.send_all(media);
        }
    }

    fn carry_out(self: &Rc<Self>, output: Output, media: &mut Vec<Command>) {
        match output {
            Output::Send { flow, bytes } => self.send(flow, bytes),
            Output::Connect { connection, address, server_name } => {
                let driver = Rc::clone(self);
                tokio::task::spawn_local(stream::connect(driver, connection, address, server_name));
            }
            Output::Open { flow } => {
                // What the same turn sends on it waits in the queue.
                let queue = self.add_stream(flow.connection);
                tokio::task::spawn_local(stream::open(Rc::clone(self), flow, queue));
            }
            Output::Close { flow } => {
                // The writer's end of the queue going away closes the connection.
                self.streams.borrow_mut().remove(&flow.connection);
            }
            Output::Resolve { query, question } => {
                let driver = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let answer = driver.dns.resolve(question).await;
                    driver.input(Input::Resolved { query, answer });
                });
            }
            Output::Media(command) => media.push(command),
            Output::Persist => {
                self.receiver.set_phones(self.look(Engine::phones));
                self.unsaved.set(true);
                self.bindings_changed.notify_one();
            }
            Output::CallBack(phone) => {
                if let Some(webhooks) = &*self.webhooks.borrow() {
                    webhooks.expect_call_back(*phone);
                }
            }
            Output::Carrier(user) => {
                if let Some(webhooks) = &*self.webhooks.borrow() {
                    webhooks.set_carrier(user);
                }
            }
            Output::Forward(forward) => {
                if let Some(webhooks) = &*self.webhooks.borrow() {
                    webhooks.expect_forward(*forward);
                }
            }
            Output::Event(event) => self.recorder.record(&event),
        }
    }

    fn send(&self, flow: Flow, bytes: Vec<u8>) {
        if flow.transport == Transport::Udp {
            let socket = self.udp.borrow().get(&flow.local).cloned();
            if let Some(socket) = socket {
                unreachable::send(|| socket.send_to(&bytes, flow.remote));
            }
            return;
        }
        let mut streams = self.streams.borrow_mut();
        let Some(Waiting { queue, octets }) = streams.get(&flow.connection) else { return };
        let waiting = octets.get() + bytes.len();
        if waiting > STREAM_OCTETS || queue.try_send(bytes).is_err() {
            streams.remove(&flow.connection);
            return;
        }
        octets.set(waiting);
        // While each has its part at most, all have their bound.
        let is_over = || streams.values().map(|one| one.octets.get()).sum::<usize>() > MAX_QUEUED;
        if waiting > MAX_QUEUED / MAX_STREAMS && is_over() {
            let handsets = streams.iter().filter(|(connection, _)| **connection & stream::ACCEPTED != 0);
            let slowest = handsets.max_by_key(|(_, one)| one.octets.get()).map(|(connection, _)| *connection);
            slowest.map(|connection| streams.remove(&connection));
        }
    }

    /// The queue of a new connection; the connection ends when the queue is closed from here.
    pub fn add_stream(&self, connection: u64) -> (mpsc::Receiver<Vec<u8>>, Queued) {
        let (queue, receiver) = mpsc::channel(STREAM_QUEUE);
        let octets = Queued::default();
        self.streams.borrow_mut().insert(connection, Waiting { queue, octets: Rc::clone(&octets) });
        (receiver, octets)
    }

    /// A connection is gone.
    pub fn remove_stream(&self, connection: u64) {
        self.streams.borrow_mut().remove(&connection);
    }

    /// Records an event, as the engine's are recorded.
    pub fn record(&self, event: &Event) {
        self.recorder.record(event);
    }

    /// Sleeps until the engine wants to be woken, for ever.
    pub async fn keep_time(self: Rc<Self>) {
        loop {
            let next = self.engine.borrow().poll_timeout();
            self.armed.set(next);
            let Some((at, reason)) = next else {
                self.rearm.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.at(at).into()) => {
                    let mut counts = self.wake_ups.get();
                    counts.add(reason);
                    self.wake_ups.set(counts);
                    self.input(Input::Tick);
                }
                () = self.rearm.notified() => {}
            }
        }
    }

    /// How often each reason has woken the engine since the start.
    pub fn wake_ups(&self) -> Counts {
        self.wake_ups.get()
    }

    /// The bindings that have not been written, if any.
    pub fn take_bindings(&self) -> Option<String> {
        self.unsaved.replace(false).then(|| self.engine.borrow().bindings(self.clock.wall()))
    }

    /// They could not be written: they are still to be.
    pub fn put_back_bindings(&self) {
        self.unsaved.set(true);
        self.bindings_changed.notify_one();
    }

    /// A look at the engine, for `gateway status` and for the end of the service.
    pub fn look<T>(&self, f: impl FnOnce(&Engine, Instant) -> T) -> T {
        f(&self.engine.borrow(), self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::config::{self, Host};
    use gateway_core::random::Random;
    use gateway_core::secrets::Secrets;

    use super::*;
    use crate::net::rtp;
    use crate::office::OfficeFile;
    use crate::store::Store;

    /// A driver of an engine that has had no input yet, and whose trunk leads nowhere.
    fn driver(folder: &std::path::Path) -> Rc<Driver> {
        let file = OfficeFile::new().table("trunk").with("servers", ["127.0.0.1"]).to_string();
        let host = Host { addresses: vec!["192.168.1.1".parse().unwrap()] };
        let config = config::parse(&file, "gateway.toml", &host).unwrap();
        let clock = Clock::start(None);
        let media = rtp::MediaConfig {
            ports: config.media.ports,
            dscp: config.dscp.rtp,
            origin: clock.origin(),
            random: Random::new([1; 32]),
        };
        let media = rtp::start(media, |_| {}).unwrap();
        let recorder = Recorder::open(Store::open(folder).unwrap(), clock.clone());
        let (now, wall) = (clock.now(), clock.wall());
        let config = Arc::new(config);
        let receiver = Receiver::start(clock.clone(), Arc::clone(&config), 3).unwrap();
        let engine = Engine::new(config, Arc::new(Secrets::default()), None, [2; 32], now, wall);
        Driver::new(engine, clock.clone(), media, Trust::new(None, &clock), 0, recorder, receiver)
    }

    #[test]
    fn a_deadline_that_wakes_the_engine_counts_under_its_reason() {
        let folder = std::env::temp_dir().join(format!("gateway-driver-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let driver = driver(&folder);
            assert_eq!(driver.wake_ups(), Counts::default());
            tokio::task::spawn_local(Rc::clone(&driver).keep_time());
            // The search for the SIP domain is due from the start.
            while driver.wake_ups() == Counts::default() {
                tokio::task::yield_now().await;
            }
            let mut once = Counts::default();
            once.add(Reason::Search);
            assert_eq!(driver.wake_ups(), once);
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded_and_cost_slow_handsets_not_the_trunk() {
        let folder = std::env::temp_dir().join(format!("gateway-queued-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let driver = driver(&folder);
            let flow = |connection, transport| {
                let at = "192.168.1.1:5060".parse().unwrap();
                Flow { transport, local: at, remote: at, connection }
            };
            let trunk = flow(1, Transport::Tls);
            let _kept = driver.add_stream(1);
            driver.send(trunk, vec![0; 100_000]);
            let quick = flow(stream::ACCEPTED | 1, Transport::Tcp);
            let _reads = driver.add_stream(quick.connection);
            driver.send(quick, vec![0; 500]);
            let handsets: Vec<_> = (2..400).map(|number| flow(stream::ACCEPTED | number, Transport::Tcp)).collect();
            let queues: Vec<_> = handsets.iter().map(|flow| driver.add_stream(flow.connection)).collect();
            for flow in handsets.iter().cycle().take(20_000) {
                driver.send(*flow, vec![0; 2000]);
                let streams = driver.streams.borrow();
                assert!(streams.values().map(|one| one.octets.get()).sum::<usize>() <= MAX_QUEUED);
                assert!(streams.contains_key(&trunk.connection) && streams.contains_key(&quick.connection));
            }
            drop(queues);
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
