//! The real endpoint on loopback: signed requests, and everything else that the internet sends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use gateway::net::http::{Limits, MAX_BODY, MAX_HEAD, Rate, Rates, Refusal, Shared, serve};
use gateway_core::config::{Config, Protection};
use gateway_core::secrets::Secrets;
use gateway_core::twiml::proof::proof;
use gateway_core::twiml::{Endpoint, WebhookEvent};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::office;

struct Server {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    events: Arc<Mutex<Vec<WebhookEvent>>>,
}

impl Server {
    async fn start(secrets: Secrets, limits: Limits) -> Self {
        Server::of(office::config(), secrets, limits).await
    }

    async fn of(config: Config, secrets: Secrets, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::with_limits(Arc::new(config), Arc::new(secrets), limits));
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        tokio::spawn(serve(listener, shared.clone(), move |event| sink.lock().unwrap().push(event)));
        Server { address, shared, events }
    }

    async fn usual() -> Self {
        Server::start(office::secrets(), Limits::default()).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and gives all that comes back until the server closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read all.
        let _ = stream.write_all(bytes).await;
        read_to_end(&mut stream).await
    }

    fn events(&self) -> Vec<WebhookEvent> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer ends it too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn signature(path: &str, body: &str) -> String {
    signature_over(&format!("https://gw.example.net{path}"), body)
}

fn signature_over(url: &str, body: &str) -> String {
    let form = gateway_core::twiml::form::Form::decode(body.as_bytes()).unwrap();
    let mut fields: Vec<_> = form.fields().collect();
    fields.sort();
    let mut mac = Hmac::<Sha1>::new_from_slice(office::TOKEN.as_bytes()).unwrap();
    mac.update(url.as_bytes());
    fields.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: anything\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn signed(path: &str, headers: &str, body: &str) -> String {
    post(path, &format!("X-Twilio-Signature: {}\r\n{headers}", signature(path, body)), body)
}

/// The last request of a connection.
const CLOSE: &str = "Connection: close\r\n";
const INCOMING: &str = "CallSid=CA1&CallStatus=ringing&From=%2B12125550111&To=%2B15035550101&FromCity=";

fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "wanted {status}: {answer:?}");
}

#[tokio::test]
async fn a_signed_request_gets_its_twiml() {
    let server = Server::usual().await;
    let answer = server.send(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await;
    assert_status(&answer, 200);
    assert!(answer.to_ascii_lowercase().contains("\r\ncontent-type: text/xml"), "{answer}");
    assert!(answer.contains("<Sip>sip:101@office.sip.twilio.com;secure=true?X-Gateway-Parent=CA1</Sip>"), "{answer}");
    assert_eq!(
        server.events(),
        [WebhookEvent::Incoming {
            call_sid: "CA1".into(),
            from: "+12125550111".into(),
            number: "+15035550101".into(),
            ring: vec!["101".into()]
        }]
    );
    assert_eq!(server.shared.counts().answered, 1);
}

#[tokio::test]
async fn the_query_is_signed_as_it_came() {
    let server = Server::usual().await;
    let path = "/twilio/dialed?ext=desk%20one&n=%2B1503&empty=";
    let answer = server.send(signed(path, CLOSE, "CallSid=CA1&DialCallStatus=completed").as_bytes()).await;
    assert_status(&answer, 200);
}

#[tokio::test]
async fn a_get_carries_its_fields_in_the_query() {
    let server = Server::usual().await;
    let path = format!("/twilio/incoming?{INCOMING}");
    let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Twilio-Signature: {}\r\n{CLOSE}\r\n", signature(&path, ""));
    let answer = server.send(get.as_bytes()).await;
    assert_status(&answer, 200);
    assert!(answer.contains("<Sip>sip:101@"), "{answer}");
}

#[tokio::test]
async fn a_status_callback_gets_204() {
    let server = Server::usual().await;
    let answer = server.send(signed("/twilio/status", CLOSE, "CallSid=CA1&CallStatus=completed").as_bytes()).await;
    assert_status(&answer, 204);
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let server = Server::usual().await;
    let two = signed("/twilio/incoming", "", INCOMING) + &signed("/twilio/status", CLOSE, "CallSid=CA1");
    let answer = server.send(two.as_bytes()).await;
    assert_status(&answer, 200);
    assert!(answer.contains("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_read_like_any_other() {
    let server = Server::usual().await;
    let (a, b) = INCOMING.split_at(20);
    let request = format!(
        "POST /twilio/incoming HTTP/1.1\r\nHost: a\r\n{CLOSE}X-Twilio-Signature: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n",
        signature("/twilio/incoming", INCOMING),
        a.len(),
        b.len()
    );
    assert_status(&server.send(request.as_bytes()).await, 200);
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_answer_and_no_second_event() {
    let server = Server::usual().await;
    let headers = format!("I-Twilio-Idempotency-Token: 0b38c5b3\r\n{CLOSE}");
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let request = signed("/twilio/incoming", &headers, INCOMING);
    let first = body(server.send(request.as_bytes()).await);
    let second = body(server.send(request.as_bytes()).await);
    assert_eq!(first, second);
    assert_eq!(server.events().len(), 1);
    // The same token with another content is another request.
    let other = signed("/twilio/incoming", &headers, &INCOMING.replace("0101", "0100"));
    assert_ne!(body(server.send(other.as_bytes()).await), first);
    assert_eq!(server.events().len(), 1);
    // And never an unsigned one.
    assert_status(&server.send(post("/twilio/incoming", &headers, INCOMING).as_bytes()).await, 403);
}

#[tokio::test]
async fn what_twilio_did_not_sign_gets_403_and_the_connection_ends() {
    let server = Server::usual().await;
    let wrong = format!("X-Twilio-Signature: {}\r\n", signature("/twilio/incoming", "CallSid=CA2"));
    for request in [
        post("/twilio/incoming", "", INCOMING),
        post("/twilio/incoming", &wrong, INCOMING),
        post("/twilio/outgoing", &wrong, ""),
        format!("GET /twilio/incoming?{INCOMING} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            .into(),
    ] {
        assert_status(&server.send(request.as_bytes()).await, 403);
    }
    assert_eq!(server.shared.counts().refused, 5);
    // Told at the 1st, 2nd and 4th.
    let events = server.events();
    assert_eq!(events.len(), 3);
    assert!(
        events
            .iter()
            .all(|e| matches!(e, WebhookEvent::Unsigned { endpoint: Endpoint::Incoming | Endpoint::Outgoing, .. }))
    );
}

#[tokio::test]
async fn without_an_auth_token_every_request_gets_503_until_there_is_one() {
    let server = Server::start(Secrets::default(), Limits::default()).await;
    let request = signed("/twilio/incoming", CLOSE, INCOMING);
    assert_status(&server.send(request.as_bytes()).await, 503);
    assert_eq!(server.events(), [WebhookEvent::NoAuthToken { in_a_row: 1 }]);
    server.shared.replace(Arc::new(office::config()), Arc::new(office::secrets()));
    assert_status(&server.send(request.as_bytes()).await, 200);
}

#[tokio::test]
async fn a_replaced_configuration_answers_the_next_request() {
    let server = Server::usual().await;
    let headers = format!("I-Twilio-Idempotency-Token: 0b38c5b3\r\n{CLOSE}");
    let request = signed("/twilio/incoming", &headers, INCOMING);
    assert!(server.send(request.as_bytes()).await.contains("sip:101@"));
    let mut config = office::config();
    config.numbers[1].ring = vec!["102".into()];
    server.shared.replace(Arc::new(config), Arc::new(office::secrets()));
    assert!(server.send(request.as_bytes()).await.contains("sip:102@"));
}

#[tokio::test]
async fn only_the_webhook_paths_and_methods_exist() {
    let server = Server::usual().await;
    for path in ["/", "/twilio", "/twilio/incoming/", "//twilio/incoming", "/twilio/../etc/passwd", "/Twilio/Incoming"]
    {
        assert_status(&server.send(signed(path, "", INCOMING).as_bytes()).await, 404);
    }
    // What there is on other listeners is not here.
    for path in ["/metrics", "/status", "/history", "/provisioning/101.cfg"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_status(&server.send(request.as_bytes()).await, 404);
    }
    assert_eq!(server.shared.counts().of(Refusal::NoSuchPath), 10);
    for method in ["PUT", "DELETE", "OPTIONS", "HEAD", "BREW"] {
        let request = format!("{method} /twilio/incoming HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_status(&server.send(request.as_bytes()).await, 405);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_413_announced_or_not() {
    let server = Server::usual().await;
    let announced = format!("POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
    assert_status(&server.send(announced.as_bytes()).await, 413);
    let mut chunked = b"POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(format!("{:x}\r\n{}\r\n0\r\n\r\n", MAX_BODY + 1, "a".repeat(MAX_BODY + 1)).into_bytes());
    let answer = server.send(&chunked).await;
    // The answer may be lost with what was not read, but never is there a good one.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(server.shared.counts().answered, 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let server = Server::usual().await;
    let long = format!("GET /twilio/incoming HTTP/1.1\r\nX: {}", "a".repeat(2 * MAX_HEAD));
    let many = format!("GET /twilio/incoming HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(500));
    for request in [long, many] {
        let answer = server.send(request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(server.shared.counts().answered, 0);
}

#[tokio::test]
async fn a_form_that_is_none_gets_400() {
    let server = Server::usual().await;
    assert_status(&server.send(post("/twilio/incoming", "", "a=%ff").as_bytes()).await, 400);
    assert_status(&server.send(post("/twilio/incoming", "", &"a=&".repeat(5000)).as_bytes()).await, 400);
}

#[tokio::test]
async fn garbage_is_refused_and_the_next_request_served() {
    let server = Server::usual().await;
    let mut random = gateway_core::random::Random::from_number(1);
    let mut garbage: Vec<Vec<u8>> = (0..200).map(|_| random.bytes::<300>().to_vec()).collect();
    garbage.extend(
        [
            "\r\n\r\n\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "INVITE sip:101@h SIP/2.0\r\n\r\n",
            "POST /twilio/incoming HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST /twilio/incoming HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST /twilio/incoming HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST /twilio/incoming HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /twilio/incoming HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    for bytes in &garbage {
        let mut stream = server.connect().await;
        let _ = stream.write_all(bytes).await;
        // No more will come, so that what could still become a request is given up too.
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{bytes:?}");
    }
    assert_status(&server.send(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await, 200);
    assert_eq!(server.shared.counts().answered, 1);
}

#[tokio::test]
async fn a_request_cut_off_at_any_byte_is_no_request() {
    let server = Server::usual().await;
    let request = signed("/twilio/incoming", "", INCOMING);
    for end in (0..request.len()).step_by(7) {
        let mut stream = server.connect().await;
        stream.write_all(&request.as_bytes()[..end]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{end}: {answer}");
    }
    assert_eq!(server.shared.counts().answered, 0);
    assert_eq!(server.events(), []);
}

#[tokio::test]
async fn a_slow_client_is_cut_off_in_head_and_body_and_between_requests() {
    let short = Duration::from_millis(1);
    let slow_head = Server::start(office::secrets(), Limits { header_timeout: short, ..Limits::default() }).await;
    // The server closes by itself: `send` waits for the end of the stream.
    for begun in ["", "POST /twilio/incoming HTTP/1.1\r\nHost: "] {
        let answer = slow_head.send(begun.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    // A whole request that keeps its connection; the server need not have been quick enough to answer it.
    let limits = Limits { header_timeout: short, idle_timeout: short, ..Limits::default() };
    let slow_head = Server::start(office::secrets(), limits).await;
    slow_head.send(signed("/twilio/status", "", "CallSid=CA1").as_bytes()).await;
    let slow_body = Server::start(office::secrets(), Limits { body_timeout: short, ..Limits::default() }).await;
    let begun = "POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nCallSid=";
    assert_status(&slow_body.send(begun.as_bytes()).await, 408);
    assert_eq!(slow_body.shared.counts().of(Refusal::TooSlow), 1);
}

/// A server that gives a head so little time that a silent connection of a stranger tells when it is over.
async fn hurried() -> Server {
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::default() };
    Server::start(office::secrets(), limits).await
}

/// Sends a request and reads the head of its answer, which has no body.
async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_connection_of_twilios_outlives_the_header_timeout_between_its_requests() {
    let server = hurried().await;
    let mut twilio = server.connect().await;
    for call in 0..3 {
        let answer = exchange(&mut twilio, &signed("/twilio/status", "", &format!("CallSid=CA{call}"))).await;
        assert_status(&answer, 204);
        assert!(!answer.contains("close"), "{answer}");
        assert_eq!(server.send(b"").await, "", "a silent stranger was closed: the header time-out is over");
    }
    assert_status(&exchange(&mut twilio, &signed("/twilio/status", CLOSE, "CallSid=CA9")).await, 204);
}

#[tokio::test]
async fn a_head_that_has_begun_is_cut_off_on_a_connection_of_twilios_too() {
    let server = hurried().await;
    let mut twilio = server.connect().await;
    exchange(&mut twilio, &signed("/twilio/status", "", "CallSid=CA1")).await;
    twilio.write_all(b"POST /twilio/incoming HTTP/1.1\r\nHost: ").await.unwrap();
    let rest = read_to_end(&mut twilio).await;
    assert!(!rest.contains("200"), "{rest}");
}

#[tokio::test]
async fn every_answer_that_is_not_twilios_fresh_one_says_that_its_connection_ends() {
    let server = Server::usual().await;
    let signed_once = signed("/twilio/status", "", "CallSid=CA1");
    assert!(!exchange(&mut server.connect().await, &signed_once).await.contains("close"));
    let head = |answer: String| answer.split("\r\n\r\n").next().unwrap_or_default().to_owned();
    let others = [
        signed_once,
        "GET /twilio/nonce/0123456789abcdef HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        post("/twilio/incoming", "", INCOMING),
    ];
    for request in others {
        let answer = head(server.send(request.as_bytes()).await);
        assert!(answer.contains("connection: close"), "{request}{answer}");
    }
}

#[tokio::test]
async fn a_request_of_another_account_is_refused_though_twilio_signed_it() {
    let ours = "AccountSid=AC0123456789abcdef0123456789abcdef";
    let other = "AccountSid=ACffffffffffffffffffffffffffffffff";
    for (fields, status) in [
        (format!("{ours}&CallSid=CA1"), 204),
        ("CallSid=CA2".to_owned(), 204),
        (format!("{other}&CallSid=CA3"), 403),
        (format!("{ours}&{other}&CallSid=CA4"), 403),
        ("AccountSid=&CallSid=CA5".to_owned(), 403),
    ] {
        let server = Server::usual().await;
        assert_status(&server.send(signed("/twilio/status", CLOSE, &fields).as_bytes()).await, status);
        let refused = WebhookEvent::OtherAccount { endpoint: Endpoint::Status, in_a_row: 1 };
        assert_eq!(server.events().contains(&refused), status == 403, "{fields}");
    }
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_the_others_are_served() {
    let server = Server::start(office::secrets(), Limits { connections: 2, ..Limits::default() }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    // Answered, so both were accepted; the first has the latest request that is fresh.
    for (stream, call) in [(&mut second, "CA1"), (&mut first, "CA2")] {
        stream.write_all(signed("/twilio/status", "", &format!("CallSid={call}")).as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 204");
    }
    server.events();
    let third = signed("/twilio/status", CLOSE, "CallSid=CA3");
    assert_status(&server.send(third.as_bytes()).await, 204);
    assert_eq!(server.events().first(), Some(&WebhookEvent::TooManyConnections { in_a_row: 1 }));
    assert!(!read_to_end(&mut second).await.contains("HTTP/1.1 "), "its last fresh request was the longest ago");
    first.write_all(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await.unwrap();
    assert!(read_to_end(&mut first).await.contains("HTTP/1.1 200 "));
}

/// What a server answers whose URLs hold credentials.
async fn protected() -> Server {
    let mut config = office::config();
    config.webhook.protect = Protection::Credentials;
    Server::of(config, office::secrets(), Limits::default()).await
}

fn basic(both: &str) -> String {
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(both))
}

fn ours() -> String {
    basic(&format!("twilio:{}", office::PASSWORD)) + CLOSE
}

#[tokio::test]
async fn credentials_instead_of_a_signature_get_the_twiml_with_credentials_in_its_urls() {
    let server = protected().await;
    let answer = server.send(post("/twilio/incoming", &ours(), INCOMING).as_bytes()).await;
    assert_status(&answer, 200);
    let action = format!("action=\"https://twilio:{}@gw.example.net/twilio/dialed\"", office::PASSWORD);
    assert!(answer.contains(&action), "{answer}");
    assert!(!format!("{:?} {:?}", server.events(), server.shared).contains(office::PASSWORD));
}

#[tokio::test]
async fn without_the_credentials_a_request_is_asked_for_them_and_the_connection_ends() {
    let server = protected().await;
    for headers in [
        String::new(),
        basic("twilio:wrong"),
        basic(""),
        "Authorization: Bearer x\r\n".to_owned(),
        // The signature alone is nothing here.
        format!("X-Twilio-Signature: {}\r\n", signature("/twilio/incoming", INCOMING)),
    ] {
        let answer = server.send(post("/twilio/incoming", &headers, INCOMING).as_bytes()).await;
        assert_status(&answer, 401);
        let answer = answer.to_ascii_lowercase();
        assert!(answer.contains("\r\nwww-authenticate: basic realm=\"gateway\"\r\n"), "{answer}");
    }
    assert_eq!(server.shared.counts().refused, 5);
    // The first, that showed nothing, may have been Twilio's; then the 2nd and 4th are told.
    let told = server.events();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|event| matches!(event, WebhookEvent::Unauthorized { .. })), "{told:?}");
}

#[tokio::test]
async fn a_signature_does_not_need_credentials_and_credentials_are_no_signature() {
    let server = Server::usual().await;
    assert_status(&server.send(post("/twilio/incoming", &ours(), INCOMING).as_bytes()).await, 403);
}

#[tokio::test]
async fn without_credentials_in_the_secrets_every_request_gets_503() {
    let mut config = office::config();
    config.webhook.protect = Protection::Credentials;
    let token = Secrets { webhook: None, ..office::secrets() };
    let server = Server::of(config, token, Limits::default()).await;
    assert_status(&server.send(signed("/twilio/incoming", &ours(), INCOMING).as_bytes()).await, 503);
    assert_eq!(server.events(), [WebhookEvent::NoCredentials { in_a_row: 1 }]);
}

#[tokio::test]
async fn a_request_repeated_with_credentials_gets_the_same_answer_and_another_one_does_not() {
    let server = protected().await;
    let headers = format!("I-Twilio-Idempotency-Token: 0b38c5b3\r\n{}", ours());
    let request = post("/twilio/incoming", &headers, INCOMING);
    for _ in 0..2 {
        assert!(server.send(request.as_bytes()).await.contains("sip:101@"));
    }
    assert_eq!(server.events().len(), 1);
    let other = post("/twilio/incoming", &headers, &INCOMING.replace("0101", "0100"));
    assert!(server.send(other.as_bytes()).await.contains("X-Gateway-Target=%2B15035550100"));
    assert_eq!(server.events().len(), 1);
}

#[tokio::test]
async fn a_box_that_serves_a_promoted_environment_takes_the_signatures_of_its_own_url_alone() {
    let stage = office::config().select("stage").unwrap();
    let server = Server::of(stage, office::secrets(), Limits::default()).await;
    // Signed over the URL of prod, which Twilio does not call any more.
    assert_status(&server.send(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await, 403);
    let signature = signature_over("https://stage.example.net/twilio/incoming", INCOMING);
    let request = post("/twilio/incoming", &format!("X-Twilio-Signature: {signature}\r\n{CLOSE}"), INCOMING);
    let answer = server.send(request.as_bytes()).await;
    assert_status(&answer, 200);
    assert!(answer.contains("sip:101@office.sip.twilio.com"), "{answer}");
}

#[tokio::test]
async fn after_the_tunnel_has_another_url_signatures_over_it_and_for_a_while_over_the_former_are_good() {
    let server = Server::usual().await;
    let over = |url: &str| {
        let signature = signature_over(&format!("{url}/twilio/incoming"), INCOMING);
        post("/twilio/incoming", &format!("X-Twilio-Signature: {signature}\r\n{CLOSE}"), INCOMING)
    };
    let (old, new) = ("https://gw.example.net", "https://new.ts.net");
    assert_status(&server.send(over(new).as_bytes()).await, 403);
    server.shared.set_public_urls(vec![new.into(), old.into()]);
    for url in [new, old] {
        assert_status(&server.send(over(url).as_bytes()).await, 200);
    }
    // A reload keeps what the tunnel has told.
    server.shared.replace(Arc::new(office::config()), Arc::new(office::secrets()));
    assert_status(&server.send(over(new).as_bytes()).await, 200);
    server.shared.set_public_urls(vec![new.into()]);
    assert_status(&server.send(over(old).as_bytes()).await, 403);
}

#[tokio::test]
async fn a_signature_is_good_over_the_host_as_it_was_written_and_in_small_letters_with_and_without_the_port() {
    let path = "/twilio/incoming";
    let status = async |public_url: &str, signed_over: &str| {
        let mut config = office::config();
        public_url.clone_into(&mut config.webhook.public_url);
        let server = Server::of(config, office::secrets(), Limits::default()).await;
        let signature = signature_over(&format!("{signed_over}{path}"), INCOMING);
        let request = post(path, &format!("X-Twilio-Signature: {signature}\r\n{CLOSE}"), INCOMING);
        server.send(request.as_bytes()).await[9..12].to_owned()
    };
    for signed_over in ["https://GW.Example.NET", "https://gw.example.net", "https://gw.example.net:443"] {
        assert_eq!(status("https://GW.Example.NET", signed_over).await, "200", "{signed_over}");
    }
    assert_eq!(status("https://GW.Example.NET:8443/Base", "https://gw.example.net:8443/Base").await, "200");
    assert_eq!(status("http://Box.LAN:8080", "http://box.lan:8080").await, "200");
    for signed_over in ["http://gw.example.net", "https://gw.example.net:80", "https://gw.example.org"] {
        assert_eq!(status("https://GW.Example.NET", signed_over).await, "403", "{signed_over}");
    }
    assert_eq!(status("https://gw.example.net/Base", "https://gw.example.net/base").await, "403");
}

#[tokio::test]
async fn a_usage_trigger_is_told_once_however_often_it_is_repeated() {
    let server = Server::usual().await;
    let body = |value: &str| {
        format!(
            "UsageTriggerSid=UT1&UsageCategory=totalprice&CurrentValue={value}&IdempotencyToken=AC-FIRES-UT1-2026-11-22"
        )
    };
    for value in ["12.75", "13.10"] {
        assert_status(&server.send(signed("/twilio/usage", CLOSE, &body(value)).as_bytes()).await, 204);
    }
    let next_day = body("12.60").replace("-22", "-23");
    assert_status(&server.send(signed("/twilio/usage", CLOSE, &next_day).as_bytes()).await, 204);
    let told = server.events();
    assert_eq!(told.len(), 2);
    assert!(matches!(&told[0], WebhookEvent::Spend { value, .. } if value == "12.75"), "{told:?}");
    assert_status(&server.send(post("/twilio/usage", "", &body("1")).as_bytes()).await, 403);
}

#[tokio::test]
async fn a_nonce_is_answered_with_the_proof_of_these_secrets() {
    let server = Server::usual().await;
    let get = |nonce: &str| format!("GET /twilio/nonce/{nonce} HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n");
    let nonce = "00112233445566778899aabbccddeeff";
    let answer = server.send(get(nonce).as_bytes()).await;
    assert_status(&answer, 200);
    assert!(answer.to_ascii_lowercase().contains("\r\ncache-control: no-store\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{}", proof(&office::secrets(), nonce).unwrap())), "{answer}");
    for wrong in ["", "0011", "00112233445566778899AABBCCDDEEFF", "00112233445566778899aabbccddeeff/", &"0".repeat(65)]
    {
        assert_status(&server.send(get(wrong).as_bytes()).await, 404);
    }
    assert_status(&server.send(post(&format!("/twilio/nonce/{nonce}"), "", "").as_bytes()).await, 404);
    let bare = Server::start(Secrets::default(), Limits::default()).await;
    assert_status(&bare.send(get(nonce).as_bytes()).await, 404);
}

/// Rates at which nothing comes back, so that what passes does not depend on how fast the test runs.
fn exhaustible() -> Limits {
    let few = Rate { burst: 5, per_minute: 0 };
    Limits { rates: Rates { strangers: few, signed: few, nonces: few, ..Rates::default() }, ..Limits::default() }
}

#[tokio::test]
async fn in_a_flood_of_strangers_every_signed_request_is_answered() {
    const FLOOD: usize = 600;
    let server = Server::start(office::secrets(), exhaustible()).await;
    let strangers = [
        post("/twilio/incoming", "", INCOMING),
        "GET /wp-login.php HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /twilio/incoming?{INCOMING} HTTP/1.1\r\nHost: a\r\n\r\n"),
        post("/twilio/outgoing", "", "a=%ff"),
    ];
    let mut turned_away = 0;
    for i in 0..FLOOD {
        let answer = server.send(strangers[i % strangers.len()].as_bytes()).await;
        if answer.starts_with("HTTP/1.1 429 ") {
            turned_away += 1;
            let answer = answer.to_ascii_lowercase();
            assert!(
                answer.contains("\r\nretry-after: 60\r\n") && answer.contains("\r\nconnection: close\r\n"),
                "{answer}"
            );
        }
        if i % 20 == 0 {
            let body = INCOMING.replace("CA1", &format!("CA{i}"));
            assert_status(&server.send(signed("/twilio/incoming", CLOSE, &body).as_bytes()).await, 200);
        }
    }
    let counts = server.shared.counts();
    assert_eq!((counts.answered, turned_away), (FLOOD as u64 / 20, FLOOD - 5));
    assert_eq!((counts.of(Refusal::TooMany), counts.refused), (FLOOD as u64 - 5, FLOOD as u64));
    // Told at the 1st, 2nd, 4th … 512th of the flood, whatever Twilio sent meanwhile.
    let told = server.events().iter().filter(|event| matches!(event, WebhookEvent::TooMany { .. })).count();
    assert_eq!(told, 10);
}

#[tokio::test]
async fn one_too_many_is_turned_away_before_its_body_is_read() {
    let server = Server::start(office::secrets(), exhaustible()).await;
    for _ in 0..5 {
        assert_status(&server.send(post("/twilio/incoming", "", INCOMING).as_bytes()).await, 403);
    }
    // It waits for no byte of the body that is announced.
    let begun = "POST /twilio/incoming HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    assert_status(&server.send(begun.as_bytes()).await, 429);
}

#[tokio::test]
async fn forged_signatures_have_a_bound_of_their_own_and_good_ones_cost_nothing() {
    let server = Server::start(office::secrets(), exhaustible()).await;
    for _ in 0..20 {
        assert_status(&server.send(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await, 200);
    }
    let forged = post("/twilio/incoming", "X-Twilio-Signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", INCOMING);
    for i in 0..8 {
        assert_status(&server.send(forged.as_bytes()).await, if i < 5 { 403 } else { 429 });
    }
    // Strangers have lost nothing by it.
    assert_status(&server.send(post("/twilio/incoming", "", INCOMING).as_bytes()).await, 403);
}

#[tokio::test]
async fn in_a_flood_of_nonces_our_own_proof_is_answered() {
    let server = Server::start(office::secrets(), exhaustible()).await;
    let get = |nonce: &str| format!("GET /twilio/nonce/{nonce} HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n");
    let (theirs, ours) = ("0".repeat(32), "00112233445566778899aabbccddeeff");
    for i in 0..8 {
        assert_status(&server.send(get(&theirs).as_bytes()).await, if i < 5 { 200 } else { 429 });
    }
    server.shared.expect_nonce(ours, None);
    assert_status(&server.send(get(ours).as_bytes()).await, 200);
}

#[tokio::test]
async fn a_proof_that_comes_in_by_another_host_name_is_none() {
    let server = Server::usual().await;
    let nonce = "00112233445566778899aabbccddeeff";
    server.shared.expect_nonce(nonce, Some("new.ts.net"));
    let get = |headers: &str| format!("GET /twilio/nonce/{nonce} HTTP/1.1\r\n{headers}{CLOSE}\r\n");
    for (headers, status) in [
        ("Host: new.ts.net\r\n", 200),
        ("Host: NEW.ts.net:8443\r\n", 200),
        ("Host: 127.0.0.1:8080\r\nX-Forwarded-Host: new.ts.net\r\n", 200),
        // A front near us that calls the listener by its address names nothing.
        ("Host: 127.0.0.1:8080\r\n", 200),
        ("Host: old.ts.net\r\n", 421),
        ("Host: new.ts.net.evil.example\r\n", 421),
        ("Host: 127.0.0.1:8080\r\nX-Forwarded-Host: old.ts.net\r\n", 421),
        ("Host: new.ts.net\r\nX-Forwarded-Host: old.ts.net\r\n", 421),
    ] {
        assert_status(&server.send(get(headers).as_bytes()).await, status);
    }
    // Of a URL that a person has configured, and of set-up, which this process knows nothing of, the name is not asked.
    let other = nonce.replace("00", "99");
    server.shared.expect_nonce(&other, None);
    let get = format!("GET /twilio/nonce/{other} HTTP/1.1\r\nHost: old.ts.net\r\n{CLOSE}\r\n");
    assert_status(&server.send(get.as_bytes()).await, 200);
}

#[tokio::test]
async fn a_request_of_twilios_is_noted_by_the_url_that_it_is_signed_over_whatever_its_host_says() {
    let server = Server::usual().await;
    let (old, new) = ("https://gw.example.net", "https://new.ts.net");
    server.shared.set_public_urls(vec![new.into(), old.into()]);
    let over = |url: &str, host: &str| {
        let signature = signature_over(&format!("{url}/twilio/incoming"), INCOMING);
        let request = post("/twilio/incoming", &format!("X-Twilio-Signature: {signature}\r\n{CLOSE}"), INCOMING);
        request.replacen("Host: anything", &format!("Host: {host}"), 1)
    };
    assert!(server.shared.came_by().is_empty());
    for _ in 0..2 {
        assert_status(&server.send(over(old, "new.ts.net").as_bytes()).await, 200);
    }
    assert_eq!(server.shared.came_by(), [old]);
    assert_status(&server.send(over(new, "gw.example.net").as_bytes()).await, 200);
    assert_eq!(server.shared.came_by(), [new]);
    assert_status(&server.send(over("https://evil.ts.net", "new.ts.net").as_bytes()).await, 403);
    assert!(server.shared.came_by().is_empty(), "it is nobody's");
}

#[tokio::test]
async fn with_credentials_a_request_is_noted_by_the_url_that_it_names() {
    let mut config = office::config();
    config.webhook.protect = Protection::Credentials;
    let server = Server::of(config, office::secrets(), Limits::default()).await;
    let (old, new) = ("https://gw.example.net", "https://new.ts.net");
    let by = |host: &str, n: u32| {
        let body = INCOMING.replace("CA1", &format!("CA{n}"));
        let request = post("/twilio/incoming", &ours(), &body);
        request.replacen("Host: anything", &format!("Host: {host}"), 1)
    };
    assert_status(&server.send(by("127.0.0.1", 1).as_bytes()).await, 200);
    assert_eq!(server.shared.came_by(), [old], "there is no other");
    server.shared.set_public_urls(vec![new.into(), old.into()]);
    for (n, host, came_by) in [(2, "new.ts.net", Some(new)), (3, "gw.example.net", Some(old)), (4, "127.0.0.1", None)] {
        assert_status(&server.send(by(host, n).as_bytes()).await, 200);
        assert_eq!(server.shared.came_by(), Vec::from_iter(came_by), "{host}");
    }
}

#[tokio::test]
async fn who_is_asked_for_credentials_is_asked_in_a_flood_too() {
    let mut config = office::config();
    config.webhook.protect = Protection::Credentials;
    let server = Server::of(config, office::secrets(), exhaustible()).await;
    for _ in 0..20 {
        assert_status(&server.send(post("/twilio/incoming", "", INCOMING).as_bytes()).await, 401);
    }
    assert_status(&server.send(post("/twilio/incoming", &ours(), INCOMING).as_bytes()).await, 200);
}

#[tokio::test]
async fn strangers_who_connect_and_keep_silent_do_not_lock_twilio_out() {
    let server = Server::start(office::secrets(), Limits { connections: 4, ..Limits::default() }).await;
    let mut silent = Vec::new();
    for i in 0..50 {
        silent.push(server.connect().await);
        if i % 10 == 9 {
            assert_status(&server.send(signed("/twilio/status", CLOSE, "CallSid=CA1").as_bytes()).await, 204);
        }
    }
    // One that is Twilio's and kept open stays, however many come.
    let mut kept = server.connect().await;
    kept.write_all(signed("/twilio/status", "", "CallSid=CA2").as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    kept.read_exact(&mut begin).await.unwrap();
    for _ in 0..20 {
        silent.push(server.connect().await);
    }
    kept.write_all(signed("/twilio/incoming", CLOSE, INCOMING).as_bytes()).await.unwrap();
    assert!(read_to_end(&mut kept).await.contains("HTTP/1.1 200 "));
    // The first of the silent ones are gone, and the count says so.
    assert_eq!(read_to_end(&mut silent[0]).await, "");
    assert!(server.shared.counts().of(Refusal::TooManyConnections) >= 50);
}

#[tokio::test]
async fn who_replays_a_captured_request_on_every_connection_does_not_lock_twilio_out() {
    let server = Server::start(office::secrets(), Limits { connections: 8, ..Limits::default() }).await;
    let captured = signed("/twilio/status", "", "CallSid=CA1&CallStatus=ringing");
    assert_status(
        &server.send(signed("/twilio/status", CLOSE, "CallSid=CA1&CallStatus=ringing").as_bytes()).await,
        204,
    );
    let mut begin = [0; 12];
    let mut replaying = Vec::new();
    for _ in 0..8 {
        let mut stream = server.connect().await;
        stream.write_all(captured.as_bytes()).await.unwrap();
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 204", "Twilio's own repetition is answered like the first");
        replaying.push(stream);
    }
    // Twilio's next call: a connection, and each of its requests on it.
    let mut twilio = server.connect().await;
    for number in 0..20 {
        let body = format!("CallSid=CA{number}&CallStatus=completed");
        twilio.write_all(signed("/twilio/status", "", &body).as_bytes()).await.unwrap();
        twilio.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 204");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            rest.push(twilio.read_u8().await.unwrap());
        }
        let mut stream = server.connect().await;
        // The place of the replay before it is taken; this one may be turned away by its rate.
        let _ = stream.write_all(captured.as_bytes()).await;
        let _ = stream.read_exact(&mut begin).await;
        replaying.push(stream);
    }
    let counts = server.shared.counts();
    assert_eq!((counts.answered, counts.replayed), (counts.replayed + 21, 28), "{counts:?}");
    let told: Vec<_> =
        server.events().into_iter().filter(|event| matches!(event, WebhookEvent::Replayed { .. })).collect();
    let wanted = [8, 16].map(|in_a_row| WebhookEvent::Replayed { endpoint: Endpoint::Status, in_a_row });
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_replay_with_another_token_header_or_parameter_that_nothing_signs_is_still_one() {
    let server = Server::usual().await;
    let body = "CallSid=CA7&CallStatus=completed";
    for number in 0..3 {
        // No signature covers a header.
        let headers = format!("I-Twilio-Idempotency-Token: {number}\r\nX-Other: {number}\r\n{CLOSE}");
        assert_status(&server.send(signed("/twilio/status", &headers, body).as_bytes()).await, 204);
    }
    let signature = format!("X-Twilio-Signature: {}\r\n{CLOSE}", signature("/twilio/status", body));
    // Twilio may leave it out of its signature (TWILIO.md "Signature").
    let more = format!("{body}&CallToken=odd");
    assert_status(&server.send(post("/twilio/status", &signature, &more).as_bytes()).await, 204);
    // Another order of the same fields has the same signature.
    let turned = "CallStatus=completed&CallSid=CA7";
    assert_status(&server.send(post("/twilio/status", &signature, turned).as_bytes()).await, 204);
    let counts = server.shared.counts();
    assert_eq!((counts.answered, counts.replayed), (5, 4));
    let told = server.events().iter().filter(|event| matches!(event, WebhookEvent::Status { .. })).count();
    assert_eq!(told, 1, "what happened once is told once");
}

#[tokio::test]
async fn a_flood_of_replays_is_turned_away_and_fresh_requests_are_answered() {
    let server = Server::start(
        office::secrets(),
        Limits {
            rates: Rates { replays: Rate { burst: 5, per_minute: 0 }, ..exhaustible().rates },
            ..Limits::default()
        },
    )
    .await;
    let captured = signed("/twilio/incoming", CLOSE, INCOMING);
    let mut answers = [0, 0];
    for number in 0..100 {
        let answer = server.send(captured.as_bytes()).await;
        answers[usize::from(answer.starts_with("HTTP/1.1 429 "))] += 1;
        let body = INCOMING.replace("CA1", &format!("CA{number}x"));
        assert_status(&server.send(signed("/twilio/incoming", CLOSE, &body).as_bytes()).await, 200);
    }
    // The first, as many as Twilio repeats, and what the rate lets in.
    assert_eq!(answers, [1 + 4 + 5, 90]);
}
