//! A scripted LAN phone: UDP or TCP, digest, plain RTP, one tone out and a meter in.
//!
//! Its calls are [`Leg`]s like those of the simulator, so the same code talks on both ends.

mod call;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::leg::Leg;
use crate::random;
use crate::sip::digest;
use crate::sip::message::{Message, param};
use wire::Wire;

pub use wire::Transport;

/// How long an answer to a REGISTER may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// What a phone is told when it is set up.
#[derive(Clone)]
pub struct Config {
    /// Address of the gateway.
    pub server: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// User part of the AOR, and digest username.
    pub username: String,
    /// Digest password.
    pub password: String,
}

/// A phone.
pub struct Handset {
    phone: Arc<Phone>,
    incoming: Mutex<mpsc::Receiver<Incoming>>,
}

/// A call that comes in and does not ring yet.
pub struct Incoming {
    /// The leg: tell it to ring, answer or refuse.
    pub leg: Leg,
    /// User part of From: the caller ID shown.
    pub caller_id: String,
}

/// What the tasks of a phone share.
struct Phone {
    config: Config,
    wire: Wire,
}

impl Handset {
    /// Opens the phone's socket; it does not register yet.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let (ringing, incoming) = mpsc::channel(8);
        let (wire, mut requests) = Wire::open(config.server, config.transport).await?;
        let phone = Arc::new(Phone { config, wire });
        let own = phone.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                own.on_request(request, &ringing).await;
            }
        });
        Ok(Self { phone, incoming: Mutex::new(incoming) })
    }

    /// Registers for `expires` seconds (0 takes the binding away); gives what the registrar granted.
    pub async fn register(&self, expires: u32) -> Result<u32, String> {
        let (phone, call_id) = (&self.phone, random::uuid());
        let uri = format!("sip:{}", phone.config.server);
        let aor = format!("<sip:{}@{}>", phone.config.username, phone.config.server);
        let mut credentials: Option<(String, String)> = None;
        for cseq in 1..=3 {
            let mut request = phone
                .request("REGISTER", &uri)
                .with("From", format!("{aor};tag={}", random::hex(&random::bytes::<4>())))
                .with("To", aor.clone())
                .with("Call-ID", call_id.clone())
                .with("CSeq", format!("{cseq} REGISTER"))
                .with("Contact", format!("<{}>", phone.contact()))
                .with("Expires", expires.to_string());
            if let Some((name, value)) = &credentials {
                request = request.with(name, value.clone());
            }
            let response = phone.ask(&request).await.ok_or("REGISTER got no answer")?;
            match response.code() {
                200 => {
                    let own = response.list("Contact").into_iter().find(|c| c.contains(&phone.wire.local.to_string()));
                    let granted = own.and_then(|c| param(c, "expires")).or(response.get("Expires"));
                    return Ok(granted.and_then(|v| v.parse().ok()).unwrap_or(expires));
                }
                401 | 407 if credentials.is_none() => {
                    let (username, password) = (&phone.config.username, &phone.config.password);
                    credentials = digest::answer(&response, "REGISTER", &uri, username, password);
                }
                code => return Err(format!("REGISTER got {code}")),
            }
        }
        Err("REGISTER was challenged again and again".to_owned())
    }

    /// Calls a number; the leg's events say what comes of it.
    pub async fn call(&self, number: &str) -> std::io::Result<Leg> {
        call::outgoing(self.phone.clone(), number).await
    }

    /// Waits for a call.
    pub async fn incoming(&self, limit: Duration) -> Option<Incoming> {
        let mut incoming = self.incoming.lock().await;
        timeout(limit, incoming.recv()).await.ok().flatten()
    }

    /// The phone's own address.
    pub fn address(&self) -> SocketAddr {
        self.phone.wire.local
    }
}

impl Phone {
    fn contact(&self) -> String {
        let transport = match self.config.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
        };
        format!("sip:{}@{}{transport}", self.config.username, self.wire.local)
    }

    /// A request with Via, Max-Forwards and User-Agent.
    fn request(&self, method: &str, uri: &str) -> Message {
        let mut request = Message::request(method, uri);
        self.stamp(&mut request);
        request.with("Max-Forwards", "70").with("User-Agent", "scripted handset")
    }

    /// Puts a new Via on top.
    fn stamp(&self, request: &mut Message) {
        let branch = random::hex(&random::bytes::<8>());
        let via = format!("SIP/2.0/{} {};branch=z9hG4bK{branch};rport", self.config.transport, self.wire.local);
        request.headers.insert(0, ("Via".to_owned(), via));
    }

    /// Sends a request and waits for the final response.
    async fn ask(&self, request: &Message) -> Option<Message> {
        let mut responses = self.wire.request(request);
        let last = async {
            loop {
                match responses.recv().await {
                    Some(response) if response.code() >= 200 => return Some(response),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        timeout(ANSWER_LIMIT, last).await.ok().flatten()
    }

    async fn on_request(self: &Arc<Self>, request: Message, ringing: &mpsc::Sender<Incoming>) {
        if self.wire.to_dialog(&request) || request.method() == "ACK" {
            return;
        }
        let tag = random::hex(&random::bytes::<4>());
        match request.method() {
            "INVITE" if request.to_tag().is_none() => match call::incoming(self.clone(), request).await {
                Ok(incoming) => {
                    let _ = ringing.send(incoming).await;
                }
                Err(error) => eprintln!("handset {}: {error}", self.config.username),
            },
            "OPTIONS" | "NOTIFY" => self.wire.respond(&Message::response(&request, 200, "OK").with_to_tag(&tag)),
            _ => {
                let reply = Message::response(&request, 481, "Call/Transaction Does Not Exist");
                self.wire.respond(&reply.with_to_tag(&tag));
            }
        }
    }
}
