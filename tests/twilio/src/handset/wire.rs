//! The phone's socket: framing, retransmission (RFC 3261 17), and who waits for what.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use crate::sip::framing::{Frame, Framer};
use crate::sip::message::{Message, Start};

/// RFC 3261 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Retransmissions end after 64*T1.
const RETRANSMISSIONS: usize = 10;

/// How the phone reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Udp { "UDP" } else { "TCP" })
    }
}

type Queues = Arc<Mutex<HashMap<String, mpsc::Sender<Message>>>>;

/// The socket and the tables around it.
pub struct Wire {
    /// The phone's address.
    pub local: SocketAddr,
    out: mpsc::Sender<Vec<u8>>,
    reliable: bool,
    waiting: Queues,
    dialogs: Queues,
    answered: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

fn key(message: &Message) -> String {
    format!("{} {}", message.branch(), message.method())
}

impl Wire {
    /// Opens a socket to `server`; requests that arrive come out of the queue.
    pub async fn open(server: SocketAddr, transport: Transport) -> std::io::Result<(Self, mpsc::Receiver<Message>)> {
        let (out, mut out_queue) = mpsc::channel::<Vec<u8>>(64);
        let (requests, requests_queue) = mpsc::channel(64);
        let waiting = Queues::default();
        let answered: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
        let inbox = Inbox { waiting: waiting.clone(), answered: answered.clone(), requests, out: out.clone() };
        let local = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let local = socket.local_addr()?;
                tokio::spawn(async move {
                    let mut buffer = vec![0u8; 65_535];
                    loop {
                        tokio::select! {
                            received = socket.recv_from(&mut buffer) => {
                                if let Ok((length, _)) = received
                                    && let Ok(message) = Message::parse(&buffer[..length])
                                {
                                    inbox.take(message);
                                }
                            }
                            bytes = out_queue.recv() => {
                                let Some(bytes) = bytes else { return };
                                let _ = socket.send_to(&bytes, server).await;
                            }
                        }
                    }
                });
                local
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(server).await?;
                let local = stream.local_addr()?;
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.into_split();
                    let (mut framer, mut buffer) = (Framer::default(), vec![0u8; 16 * 1024]);
                    loop {
                        tokio::select! {
                            read = reader.read(&mut buffer) => {
                                let Ok(length @ 1..) = read else { return };
                                framer.push(&buffer[..length]);
                                while let Some(frame) = framer.poll() {
                                    match frame {
                                        Frame::Message(message) => inbox.take(message),
                                        Frame::Broken(_) => return,
                                        Frame::Ping | Frame::Pong => {}
                                    }
                                }
                            }
                            bytes = out_queue.recv() => {
                                let Some(bytes) = bytes else { return };
                                if writer.write_all(&bytes).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                });
                local
            }
        };
        let reliable = transport == Transport::Tcp;
        Ok((Self { local, out, reliable, waiting, dialogs: Queues::default(), answered }, requests_queue))
    }

    /// Sends bytes once.
    pub fn send(&self, message: &Message) {
        let _ = self.out.try_send(message.to_bytes());
    }

    /// Sends a response and keeps it for retransmissions of its request.
    pub fn respond(&self, response: &Message) {
        self.answered.lock().expect("no holder of this lock panics").insert(key(response), response.to_bytes());
        self.send(response);
    }

    /// Sends a request, again and again over UDP until something answers, and gives its responses.
    pub fn request(&self, message: &Message) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(16);
        let key = key(message);
        self.waiting.lock().expect("no holder of this lock panics").insert(key.clone(), sender);
        self.send(message);
        if !self.reliable && message.method() != "ACK" {
            let (out, waiting, bytes) = (self.out.clone(), self.waiting.clone(), message.to_bytes());
            let quiet = format!("{key} answered");
            let invite = message.method() == "INVITE";
            tokio::spawn(async move {
                let mut pause = T1;
                for _ in 0..RETRANSMISSIONS {
                    tokio::time::sleep(pause).await;
                    let table = waiting.lock().expect("no holder of this lock panics");
                    let over = table.contains_key(&quiet) || table.get(&key).is_none_or(mpsc::Sender::is_closed);
                    drop(table);
                    if over {
                        return;
                    }
                    let _ = out.try_send(bytes.clone());
                    pause = if invite { pause * 2 } else { (pause * 2).min(T2) };
                }
            });
        }
        receiver
    }

    /// Opens the queue of a call.
    pub fn open_dialog(&self, call_id: &str) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(16);
        self.dialogs.lock().expect("no holder of this lock panics").insert(call_id.to_owned(), sender);
        receiver
    }

    /// Closes it.
    pub fn close_dialog(&self, call_id: &str) {
        self.dialogs.lock().expect("no holder of this lock panics").remove(call_id);
    }

    /// Hands a request to its call; `false` when it belongs to none.
    pub fn to_dialog(&self, request: &Message) -> bool {
        let dialogs = self.dialogs.lock().expect("no holder of this lock panics");
        dialogs.get(request.call_id()).is_some_and(|queue| queue.try_send(request.clone()).is_ok())
    }
}

/// The receiving side.
struct Inbox {
    waiting: Queues,
    answered: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    requests: mpsc::Sender<Message>,
    out: mpsc::Sender<Vec<u8>>,
}

impl Inbox {
    fn take(&self, message: Message) {
        let key = key(&message);
        if matches!(message.start, Start::Response { .. }) {
            let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
            if let Some(queue) = waiting.get(&key).cloned() {
                // A mark beside the queue tells the retransmitter to stop.
                waiting.insert(format!("{key} answered"), queue.clone());
                let _ = queue.try_send(message);
            }
            return;
        }
        if let Some(bytes) = self.answered.lock().expect("no holder of this lock panics").get(&key) {
            let _ = self.out.try_send(bytes.clone());
            return;
        }
        let _ = self.requests.try_send(message);
    }
}
