//! Where sound of one leg leaves and enters, and how two legs are joined.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

/// Frames that wait at most in a port: a second.
pub const QUEUE: usize = 50;

/// 20 ms of sound, or a digit, with the sequence number under which it arrived.
#[derive(Clone, Debug)]
pub struct Frame {
    /// RTP sequence number on the leg where it came from.
    pub seq: u16,
    /// What it carries.
    pub sound: Sound,
}

/// The contents of a frame.
#[derive(Clone, Debug)]
pub enum Sound {
    /// PCMU octets.
    Pcmu(Vec<u8>),
    /// An RFC 4733 event: digit 0-15, the RTP timestamp that names the event, its duration, the end bit.
    Digit { digit: u8, timestamp: u32, duration: u16, end: bool },
}

/// One leg's connection to sound.
#[derive(Clone)]
pub struct Port {
    /// Frames sent here go to the far end of the leg.
    pub out: mpsc::Sender<Frame>,
    sink: Arc<Mutex<Option<mpsc::Sender<Frame>>>>,
}

impl Port {
    /// A port and the queue that its owner sends to the far end.
    pub fn new() -> (Self, mpsc::Receiver<Frame>) {
        let (out, queue) = mpsc::channel(QUEUE);
        (Self { out, sink: Arc::default() }, queue)
    }

    /// A frame that came from the far end; dropped when nobody listens or the listener is late.
    pub fn came(&self, frame: Frame) {
        if let Some(sink) = &*self.sink.lock().expect("no holder of this lock panics") {
            let _ = sink.try_send(frame);
        }
    }

    /// Joins two legs: each hears the other.
    pub fn join(&self, other: &Port) {
        self.listen(Some(other.out.clone()));
        other.listen(Some(self.out.clone()));
    }

    /// Leaves the other leg.
    pub fn part(&self) {
        self.listen(None);
    }

    /// Sends what comes from the far end to `sink`, or nowhere.
    pub fn listen(&self, sink: Option<mpsc::Sender<Frame>>) {
        *self.sink.lock().expect("no holder of this lock panics") = sink;
    }
}
