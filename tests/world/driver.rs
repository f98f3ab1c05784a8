//! A media driver without sockets: it gives out ports and remembers what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_core::media::sound::Sound;
use gateway_core::media::{Command, LegParams, MediaLeg, Notice, Report};
use gateway_core::time::Instant;

/// One open leg.
#[derive(Debug)]
pub struct Port {
    pub local: SocketAddr,
    pub params: Option<LegParams>,
    pub partner: Option<MediaLeg>,
    /// Digits that it was asked to send.
    pub digits: Vec<(char, Duration)>,
    /// When somebody last spoke to it, and whether it was said that nobody does.
    heard: Instant,
    silent: bool,
}

#[derive(Debug, Default)]
pub struct Driver {
    /// All that it was told.
    pub commands: Vec<Command>,
    pub open: BTreeMap<MediaLeg, Port>,
    /// Sounds that it was asked to play.
    pub played: Vec<(MediaLeg, Sound)>,
    /// It does not say when a sound is over.
    pub forgets_sounds: bool,
    /// How many more ports can be had.
    pub room: Option<usize>,
    next: u16,
    /// Legs that got no port: a Close for one may be on the way.
    refused: BTreeSet<MediaLeg>,
    pub faults: Vec<String>,
}

impl Driver {
    pub fn command(&mut self, command: Command) -> Option<Notice> {
        self.commands.push(command.clone());
        match command {
            Command::Open { leg, bind, .. } => return Some(self.open(leg, bind)),
            Command::Move { leg, bind } => match self.open.get_mut(&leg) {
                Some(port) => {
                    port.local.set_ip(bind);
                    return Some(Notice::Moved { leg, to: Ok(port.local) });
                }
                None => self.faults.push(format!("{leg:?} moved, and it is not open")),
            },
            Command::Set { leg, params } => match self.open.get_mut(&leg) {
                Some(port) => port.params = Some(*params),
                None => self.faults.push(format!("parameters for {leg:?}, which is not open")),
            },
            Command::Connect { a, b } => {
                if !self.open.contains_key(&a) || !self.open.contains_key(&b) {
                    self.faults.push(format!("{a:?} connected with {b:?}, and one is not open"));
                }
                for leg in [a, b] {
                    self.disconnect(leg);
                }
                for (leg, partner) in [(a, b), (b, a)] {
                    if let Some(port) = self.open.get_mut(&leg) {
                        port.partner = Some(partner);
                    }
                }
            }
            Command::Dtmf { leg, digit, duration } => match self.open.get_mut(&leg) {
                Some(port) => port.digits.push((digit, duration)),
                None => self.faults.push(format!("a digit for {leg:?}, which is not open")),
            },
            Command::Play { leg, sound } => {
                if !self.open.get(&leg).and_then(|port| port.params.as_ref()).is_some_and(|params| params.send) {
                    self.faults.push(format!("a sound for {leg:?}, which may not send"));
                }
                self.played.push((leg, sound));
            }
            Command::Close { leg } => {
                self.disconnect(leg);
                if self.refused.contains(&leg) {
                    return None;
                }
                if self.open.remove(&leg).is_none() {
                    self.faults.push(format!("{leg:?} closed, and it was not open"));
                }
                return Some(Notice::Closed { leg, report: Report::default() });
            }
        }
        None
    }

    fn open(&mut self, leg: MediaLeg, bind: IpAddr) -> Notice {
        if let Some(room) = &mut self.room {
            if *room == 0 {
                self.refused.insert(leg);
                return Notice::Refused { leg, error: "no port in 20000-20003 is free".into() };
            }
            *room -= 1;
        }
        self.next = (self.next + 2) % 40_000;
        let local = SocketAddr::new(bind, 20_000 + self.next);
        let port = Port { local, params: None, partner: None, digits: Vec::new(), heard: Instant::ZERO, silent: false };
        if self.open.insert(leg, port).is_some() {
            self.faults.push(format!("{leg:?} opened twice"));
        }
        Notice::Opened { leg, local }
    }

    /// Who hears nobody for as long as it was told to bear says so, once. `speaks` tells whether somebody sends there.
    pub fn listen(&mut self, now: Instant, speaks: impl Fn(SocketAddr) -> bool) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (leg, port) in &mut self.open {
            let wait = port.params.as_ref().filter(|params| params.receive).and_then(|params| params.silence);
            if wait.is_none() || port.heard == Instant::ZERO || speaks(port.local) {
                port.heard = now;
                if std::mem::take(&mut port.silent) {
                    notices.push(Notice::Heard { leg: *leg });
                }
            } else if wait.is_some_and(|wait| now.since(port.heard) >= wait) && !port.silent {
                port.silent = true;
                notices.push(Notice::Silent { leg: *leg });
            }
        }
        notices
    }

    fn disconnect(&mut self, leg: MediaLeg) {
        let partner = self.open.get_mut(&leg).and_then(|port| port.partner.take());
        if let Some(port) = partner.and_then(|partner| self.open.get_mut(&partner)) {
            port.partner = None;
        }
    }

    /// The leg at an address that was written into a description.
    pub fn at(&self, local: SocketAddr) -> Option<(MediaLeg, &Port)> {
        self.open.iter().find(|(_, port)| port.local == local).map(|(leg, port)| (*leg, port))
    }
}
