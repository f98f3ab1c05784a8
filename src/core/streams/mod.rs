//! The connections of handsets and of the trunk: how many there may be, how long a message may take to come, and how many
//! octets all unfinished messages may hold. Pure; the engine asks who has proved anything.
//!
//! The rules:
//! - Over a limit of connections or octets a stranger's connection goes, never one that the caller says is kept (a call
//!   or a registered handset uses it), and never the trunk's.
//! - Over [`MAX_OF_SOURCE`] strangers' connections from one address its own oldest goes, whatever room there is.
//! - A message that was begun is whole within [`MESSAGE_LIMIT`]: more of its octets do not buy more time. A connection
//!   that a call uses is kept all the same.

pub mod outward;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::sip::flow::Flow;
use crate::sip::wire::{Frame, ReadError, StreamReader};
use crate::time::Instant;
use crate::timers::Timers;

/// Connections at a time, the trunk's among them. For a further one the oldest stranger's goes: strangers who connect and keep
/// silent, or say something harmless once, must not lock handsets out.
pub const MAX_STREAMS: usize = 512;

/// Of them, strangers' from one address: a proxy of many phones has few, and its phones register.
pub const MAX_OF_SOURCE: usize = MAX_STREAMS / 4;

/// How long a new connection may take to say its first whole message: what a SIP timer would wait (64·T1).
pub const STREAM_GRACE: Duration = Duration::from_secs(32);

/// From the first octet of a message to its last. On a LAN that is a moment; a line that loses packets repeats them.
pub const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// Octets that the unfinished messages of all connections may hold together: a dozen of the largest, or two kB of each of
/// [`MAX_STREAMS`]. A message is about 1 kB, and comes whole as a rule.
pub const MAX_UNFINISHED: usize = 1024 * 1024;

/// Whose a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Lan,
    Trunk,
}

#[derive(Debug)]
struct Stream {
    reader: StreamReader,
    side: Side,
    /// The lower, the older.
    number: u64,
    /// When it was accepted.
    since: Instant,
    /// A whole message came.
    has_spoken: bool,
    /// When the unfinished message at its end began.
    begun: Option<Instant>,
    /// What it holds, as counted in [`Streams::unfinished`].
    counted: usize,
}

/// All of them.
#[derive(Debug)]
pub struct Streams {
    table: BTreeMap<Flow, Stream>,
    /// How many there ever were.
    seen: u64,
    /// When each is closed that owes a message.
    owing: Timers<Flow>,
    /// Octets of all unfinished messages.
    unfinished: usize,
    /// How many of handsets there may be; at most [`MAX_STREAMS`].
    places: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Streams { table: BTreeMap::new(), seen: 0, owing: Timers::new(), unfinished: 0, places: MAX_STREAMS }
    }
}

impl Streams {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Octets that unfinished messages hold.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// When one is to be closed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.owing.next()
    }

    /// The trunk's connection stands.
    pub fn connected(&mut self, now: Instant, flow: Flow) {
        self.insert(now, flow, Side::Trunk);
    }

    /// A handset connected, or we to it. Those to close for it: strangers' (not in `kept`), the oldest first; the new one
    /// itself where there is none.
    pub fn accepted(&mut self, now: Instant, flow: Flow, kept: impl FnOnce() -> BTreeSet<Flow>) -> Vec<Flow> {
        self.insert(now, flow, Side::Lan);
        self.owing.set(flow, now + STREAM_GRACE);
        let source = |flow: Flow| flow.remote.ip().to_canonical();
        let of_source = self.table.keys().filter(|other| source(**other) == source(flow)).count();
        if of_source <= MAX_OF_SOURCE {
            return self.crowded(kept);
        }
        // One came, so that one goes, and then all have their room again.
        let kept = kept();
        let own = self.strangers(&kept).filter(|(other, _)| source(*other) == source(flow));
        let oldest = own.map(|(other, stream)| (stream.number, other)).collect::<BTreeSet<_>>();
        match oldest.len() > MAX_OF_SOURCE {
            true => oldest.into_iter().take(1).map(|(_, oldest)| oldest).collect(),
            false => self.crowded(|| kept),
        }
    }

    /// From now on there may be so many connections of handsets. Those to close for it, as [`Self::accepted`] has them.
    pub fn set_places(&mut self, places: usize, kept: impl FnOnce() -> BTreeSet<Flow>) -> Vec<Flow> {
        self.places = places.min(MAX_STREAMS);
        self.crowded(kept)
    }

    fn insert(&mut self, now: Instant, flow: Flow, side: Side) {
        self.seen += 1;
        let stream = Stream {
            reader: StreamReader::default(),
            side,
            number: self.seen,
            since: now,
            has_spoken: false,
            begun: None,
            counted: 0,
        };
        self.table.insert(flow, stream);
    }

    fn crowded(&self, kept: impl FnOnce() -> BTreeSet<Flow>) -> Vec<Flow> {
        let of_lan = self.table.values().filter(|stream| stream.side == Side::Lan).count();
        let over = of_lan.saturating_sub(self.places).max(self.table.len().saturating_sub(MAX_STREAMS));
        if over == 0 {
            return Vec::new();
        }
        let kept = kept();
        let mut strangers: Vec<(u64, Flow)> = self.strangers(&kept).map(|(flow, one)| (one.number, flow)).collect();
        strangers.sort_unstable();
        strangers.into_iter().take(over).map(|(_, flow)| flow).collect()
    }

    fn strangers<'a>(&'a self, kept: &'a BTreeSet<Flow>) -> impl Iterator<Item = (Flow, &'a Stream)> {
        let is_stranger = |(flow, stream): &(&Flow, &Stream)| stream.side == Side::Lan && !kept.contains(flow);
        self.table.iter().filter(is_stranger).map(|(flow, stream)| (*flow, stream))
    }

    /// Octets came in. [`Self::next`] gives what they complete; call it until it gives `None`, then [`Self::settle`].
    pub fn push(&mut self, flow: Flow, bytes: &[u8]) {
        if let Some(stream) = self.table.get_mut(&flow) {
            stream.reader.push(bytes);
        }
    }

    /// The next whole frame of a stream; `None` where more octets are needed, or the stream is gone.
    pub fn next(&mut self, flow: Flow) -> Result<Option<Frame>, ReadError> {
        let Some(stream) = self.table.get_mut(&flow) else { return Ok(None) };
        let frame = stream.reader.next()?;
        if frame.is_some() {
            // What follows is another message.
            stream.begun = None;
        }
        stream.has_spoken |= matches!(frame, Some(Frame::Message(_)));
        Ok(frame)
    }

    /// After all that came was taken: what is left is an unfinished message. The streams to close, for too much is
    /// unfinished: of strangers the one that holds most goes first, then of registered handsets (`kept` without a call in
    /// `busy`); what calls and the trunk hold is bounded by their number.
    pub fn settle(&mut self, now: Instant, flow: Flow, kept: impl FnOnce() -> Kept) -> Vec<Flow> {
        let Some(stream) = self.table.get_mut(&flow) else { return Vec::new() };
        let holds = stream.reader.unfinished();
        self.unfinished = self.unfinished - stream.counted + holds;
        stream.counted = holds;
        stream.begun = if holds == 0 { None } else { stream.begun.or(Some(now)) };
        let grace = (!stream.has_spoken).then_some(stream.since + STREAM_GRACE);
        let due = [grace, stream.begun.map(|begun| begun + MESSAGE_LIMIT)].into_iter().flatten().min();
        match due.filter(|_| stream.side == Side::Lan) {
            Some(due) => self.owing.set(flow, due),
            None => self.owing.cancel(flow),
        }
        if self.unfinished <= MAX_UNFINISHED {
            return Vec::new();
        }
        self.largest(kept())
    }

    fn largest(&self, kept: Kept) -> Vec<Flow> {
        let mut holding: Vec<(bool, usize, u64, Flow)> = self
            .table
            .iter()
            .filter(|(flow, stream)| stream.counted > 0 && stream.side == Side::Lan && !kept.busy.contains(flow))
            .map(|(flow, stream)| (!kept.bound.contains(flow), stream.counted, stream.number, *flow))
            .collect();
        // Strangers first, of them whoever holds most, of those the newest.
        holding.sort_unstable_by(|a, b| b.cmp(a));
        let mut left = self.unfinished;
        let mut goes = Vec::new();
        for (_, holds, _, flow) in holding {
            if left <= MAX_UNFINISHED {
                break;
            }
            left -= holds;
            goes.push(flow);
        }
        goes
    }

    /// Takes one that owes a message for too long, unless a call uses it: that one is looked at again later.
    pub fn pop_due(&mut self, now: Instant, busy: impl Fn() -> BTreeSet<Flow>) -> Option<Flow> {
        while let Some(flow) = self.owing.pop_due(now) {
            if !busy().contains(&flow) {
                return Some(flow);
            }
            self.owing.set(flow, now + MESSAGE_LIMIT);
        }
        None
    }

    /// It is closed, or about to be.
    pub fn remove(&mut self, flow: Flow) {
        self.owing.cancel(flow);
        if let Some(stream) = self.table.remove(&flow) {
            self.unfinished -= stream.counted;
        }
    }
}

/// The flows that strangers must not cost.
#[derive(Debug, Default)]
pub struct Kept {
    /// A call uses them.
    pub busy: BTreeSet<Flow>,
    /// A handset is registered by them.
    pub bound: BTreeSet<Flow>,
}

impl Kept {
    /// Both.
    pub fn all(mut self) -> BTreeSet<Flow> {
        self.busy.append(&mut self.bound);
        self.busy
    }
}

#[cfg(test)]
mod tests;
