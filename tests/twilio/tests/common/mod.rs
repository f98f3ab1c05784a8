//! A tiny client of the SIP domain, a webhook server and a configured account, for the tests of the simulator.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use twilio_simulator::sip::digest;
use twilio_simulator::sip::framing::{Frame, Framer};
use twilio_simulator::sip::message::Message;
use twilio_simulator::switches::Switches;
use twilio_simulator::twilio::{Options, Twilio};
use twilio_simulator::{form, random};

pub const DOMAIN: &str = "demo.sip.twilio.com";
pub const NUMBER: &str = "+15035550100";
pub const PASSWORD: &str = "Correct7Horse";
pub const LIMIT: Duration = Duration::from_secs(20);

/// A simulator with one own number.
pub async fn start(switches: Switches) -> Arc<Twilio> {
    let ca_file = std::env::temp_dir().join(format!("twilio-simulator-{}.pem", random::uuid()));
    let options = Options { numbers: vec![NUMBER.to_owned()], switches, ca_file, ..Options::default() };
    let twilio = Twilio::start(options).await.expect("loopback has free ports");
    let _ = std::fs::remove_file(&twilio.ca_file);
    twilio
}

/// One REST request as the account's owner; gives status and body.
pub async fn rest(twilio: &Twilio, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let (name, password) = (twilio.account.sid.clone(), twilio.account.token.clone());
    rest_as(twilio, &name, &password, method, path, fields).await
}

pub async fn rest_as(
    twilio: &Twilio,
    name: &str,
    password: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> (u16, Value) {
    use base64::Engine;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    let path = path
        .strip_prefix('/')
        .map_or_else(|| format!("/2010-04-01/Accounts/{}/{path}", twilio.account.sid), |p| format!("/{p}"));
    let body = form::encode(&fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>());
    let mut stream = TcpStream::connect(twilio.rest_address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
    let text = reply.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(text).unwrap_or(Value::Null))
}

/// Sets an account up as `gateway setup` would; gives the domain's SID.
pub async fn configure(twilio: &Twilio, secure: bool, hook: &str) -> String {
    let url = format!("{hook}/out");
    let secure = secure.to_string();
    let fields = [
        ("DomainName", DOMAIN),
        ("VoiceUrl", url.as_str()),
        ("SipRegistration", "true"),
        ("EmergencyCallingEnabled", "true"),
        ("Secure", &secure),
    ];
    let (status, domain) = rest(twilio, "POST", "SIP/Domains.json", &fields).await;
    assert_eq!(status, 201, "{domain}");
    let sd = domain["sid"].as_str().unwrap().to_owned();
    let (_, list) = rest(twilio, "POST", "SIP/CredentialLists.json", &[("FriendlyName", "handsets")]).await;
    let cl = list["sid"].as_str().unwrap();
    for user in ["101", "102"] {
        let path = format!("SIP/CredentialLists/{cl}/Credentials.json");
        let (status, body) = rest(twilio, "POST", &path, &[("Username", user), ("Password", PASSWORD)]).await;
        assert_eq!(status, 201, "{body}");
    }
    for family in ["Calls", "Registrations"] {
        let path = format!("SIP/Domains/{sd}/Auth/{family}/CredentialListMappings.json");
        assert_eq!(rest(twilio, "POST", &path, &[("CredentialListSid", cl)]).await.0, 201);
    }
    let voice = format!("{hook}/in");
    let (_, app) = rest(twilio, "POST", "Applications.json", &[("FriendlyName", "in"), ("VoiceUrl", &voice)]).await;
    let pn = twilio.store().number(NUMBER).unwrap().sid;
    let path = format!("IncomingPhoneNumbers/{pn}.json");
    let fields = [("VoiceApplicationSid", app["sid"].as_str().unwrap())];
    assert_eq!(rest(twilio, "POST", &path, &fields).await.0, 200);
    sd
}

/// What a webhook server got: path, headers in lower case, form.
pub type Seen = Arc<Mutex<Vec<(String, HashMap<String, String>, Vec<(String, String)>)>>>;

/// A webhook server that answers each path with a fixed document; other paths get 404.
pub async fn hooks(documents: &[(&str, String)]) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let documents: HashMap<String, String> = documents.iter().map(|(p, d)| ((*p).to_owned(), d.clone())).collect();
    let seen = Seen::default();
    let own = seen.clone();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            let (documents, seen) = (documents.clone(), own.clone());
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut buffer = [0u8; 4096];
                let (head, body) = loop {
                    let Ok(n @ 1..) = stream.read(&mut buffer).await else { return };
                    bytes.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|l| {
                        l.to_ascii_lowercase()
                            .strip_prefix("content-length:")
                            .map(|v| v.trim().parse::<usize>().unwrap())
                    });
                    if body.len() >= length.unwrap_or(0) {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let path = head.split(' ').nth(1).unwrap_or("").to_owned();
                let headers = head.lines().skip(1).filter_map(|l| l.split_once(": "));
                let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
                let (status, text) = match documents.get(&path) {
                    Some(document) => (200, document.clone()),
                    None => (404, String::new()),
                };
                seen.lock().unwrap().push((path, headers, form::decode(&body)));
                let reply = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            });
        }
    });
    (base, seen)
}

/// One TLS connection to the domain, with a name to register.
pub struct Client {
    pub stream: TlsStream<TcpStream>,
    pub local: SocketAddr,
    pub user: String,
    framer: Framer,
}

impl Client {
    pub async fn connect(twilio: &Twilio, user: &str) -> Self {
        let tcp = TcpStream::connect(twilio.sip_address).await.unwrap();
        let local = tcp.local_addr().unwrap();
        let connector = TlsConnector::from(twilio.certificates.client().unwrap());
        let stream = connector.connect(ServerName::try_from(DOMAIN).unwrap(), tcp).await.unwrap();
        Self { stream, local, user: user.to_owned(), framer: Framer::default() }
    }

    pub fn contact(&self) -> String {
        format!("sip:{}@{};transport=tls", self.user, self.local)
    }

    pub fn request(&self, method: &str, uri: &str, cseq: u32, call_id: &str) -> Message {
        Message::request(method, uri)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{}@{DOMAIN}>;tag=f{call_id}", self.user))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", call_id)
            .with("CSeq", format!("{cseq} {method}"))
            .with("Contact", format!("<{}>", self.contact()))
    }

    pub fn via(&self) -> String {
        format!("SIP/2.0/TLS {};branch=z9hG4bK{}", self.local, random::hex(&random::bytes::<8>()))
    }

    pub async fn send(&mut self, message: &Message) {
        self.stream.write_all(&message.to_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; `None` when the connection ended.
    pub async fn next(&mut self) -> Option<Message> {
        let read = async {
            loop {
                match self.framer.poll() {
                    Some(Frame::Message(message)) => return Some(message),
                    Some(Frame::Broken(text)) => panic!("{text}"),
                    Some(_) => continue,
                    None => {}
                }
                let mut buffer = [0u8; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(n @ 1..) => self.framer.push(&buffer[..n]),
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("a message in time")
    }

    /// The next final response.
    pub async fn last(&mut self) -> Message {
        loop {
            let message = self.next().await.expect("the connection lives");
            if message.code() >= 200 {
                return message;
            }
        }
    }

    /// REGISTER with one answer to a challenge; gives the final response.
    pub async fn register(&mut self, expires: u32, password: &str) -> Message {
        let (uri, call_id) = (format!("sip:{DOMAIN}"), random::uuid());
        let aor = format!("<sip:{}@{DOMAIN}>", self.user);
        let mut request = self.request("REGISTER", &uri, 1, &call_id).with("Expires", expires.to_string());
        request.set("To", aor.clone());
        self.send(&request).await;
        let challenge = self.last().await;
        if challenge.code() != 407 {
            return challenge;
        }
        let (name, value) = digest::answer(&challenge, "REGISTER", &uri, &self.user, password).unwrap();
        let mut request = self.request("REGISTER", &uri, 2, &call_id).with("Expires", expires.to_string());
        request.set("To", aor);
        self.send(&request.with(&name, value)).await;
        self.last().await
    }

    /// INVITE with one answer to a challenge, up to the first response after it that is not 100; gives the INVITE too.
    pub async fn invite(&mut self, number: &str, sdp: &str) -> (Message, Message) {
        let (uri, call_id) = (format!("sip:{number}@{DOMAIN}"), random::uuid());
        let request = self.request("INVITE", &uri, 1, &call_id).with_body("application/sdp", sdp);
        self.send(&request).await;
        let challenge = self.last().await;
        if challenge.code() != 407 {
            return (request, challenge);
        }
        self.send(&refusal_ack(&request, &challenge)).await;
        let (name, value) = digest::answer(&challenge, "INVITE", &uri, &self.user, PASSWORD).unwrap();
        let request = self.request("INVITE", &uri, 2, &call_id).with(&name, value).with_body("application/sdp", sdp);
        self.send(&request).await;
        loop {
            let response = self.next().await.expect("the connection lives");
            if response.code() > 100 {
                return (request, response);
            }
        }
    }
}

pub fn refusal_ack(invite: &Message, response: &Message) -> Message {
    twilio_simulator::sip::confirmed::ack_of_refusal(invite, response)
}
