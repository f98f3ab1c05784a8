//! A live TLS connection (a flow, RFC 5626) and the requests that wait on it for responses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc};

use super::message::{Message, Start};
use crate::journal::{Event, Journal};

/// Messages that wait to be written before the flow counts as stuck.
const WRITE_QUEUE: usize = 256;

/// One connection. Cloning gives another handle to the same connection.
#[derive(Clone)]
pub struct Flow {
    /// A number that names it in the journal.
    pub id: u64,
    /// `ip:port` of the client.
    pub source: std::net::SocketAddr,
    writer: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Mutex<HashMap<String, mpsc::Sender<Message>>>>,
    closing: Arc<Notify>,
    journal: Arc<Journal>,
}

/// A request for a dialog, and the connection that it came by: not always the one that the dialog began on.
pub struct Arrived {
    /// Where its response goes, and our next requests.
    pub flow: Flow,
    /// The request.
    pub message: Message,
}

impl Flow {
    /// A flow and the queue of bytes that its owner writes.
    pub fn new(id: u64, source: std::net::SocketAddr, journal: Arc<Journal>) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (writer, queue) = mpsc::channel(WRITE_QUEUE);
        (Self { id, source, writer, waiting: Arc::default(), closing: Arc::default(), journal }, queue)
    }

    /// Sends a message; `false` when the connection is gone.
    pub fn send(&self, message: &Message) -> bool {
        self.note("->", message);
        self.send_bytes(message.to_bytes())
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&self, bytes: Vec<u8>) -> bool {
        self.writer.try_send(bytes).is_ok()
    }

    /// Sends a request and gives the queue of its responses.
    pub fn request(&self, message: &Message) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(16);
        // CANCEL and ACK share the branch of their INVITE, so the method is part of the key (RFC 3261 17.1.3).
        let key = format!("{} {}", message.branch(), message.method());
        self.waiting.lock().expect("no holder of this lock panics").insert(key, sender);
        self.send(message);
        receiver
    }

    /// Hands a response to whoever waits for it; `false` when nobody does.
    pub fn on_response(&self, message: Message) -> bool {
        let key = format!("{} {}", message.branch(), message.method());
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.get(&key).is_some_and(|sender| sender.try_send(message).is_ok())
    }

    /// Is the connection up?
    pub fn is_up(&self) -> bool {
        !self.writer.is_closed()
    }

    /// Cuts the connection, as an edge that goes down does.
    pub fn close(&self) {
        self.closing.notify_waiters();
        self.closing.notify_one();
    }

    /// Resolves when `close` was called.
    pub async fn closed(&self) {
        self.closing.notified().await;
    }

    /// Forgets those who wait; they learn it by the end of their queue.
    pub fn forget_waiting(&self) {
        self.waiting.lock().expect("no holder of this lock panics").clear();
    }

    /// Writes a message into the journal: what, never the keys inside.
    pub fn note(&self, arrow: &'static str, message: &Message) {
        let auth = message.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("Proxy-Authorization"));
        let mut line = message.summary();
        if auth && matches!(message.start, Start::Request { .. }) {
            line.push_str(" (with credentials)");
        }
        let call_id = message.call_id().to_owned();
        self.journal.write(Event::Sip { flow: self.id, arrow, line, call_id });
    }
}
