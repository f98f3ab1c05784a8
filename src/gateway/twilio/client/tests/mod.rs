//! The client against a server on loopback that answers what a script says.

mod clock;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::*;

pub(super) const SID: &str = "AC0123456789abcdef0123456789abcdef";

/// What the server does with one connection.
pub(super) enum Script {
    Answer(u16, &'static [&'static str], String),
    /// Reads the request and closes the connection.
    Tear,
}

pub(super) fn answer(status: u16, body: Value) -> Script {
    Script::Answer(status, &[], body.to_string())
}

/// A server that answers one request after the other and gives back what it was asked.
struct Server {
    base: String,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(scripts: Vec<Script>) -> Server {
        Server::start_with(|_| scripts)
    }

    /// `scripts` is told the server's own base URL.
    fn start_with(scripts: impl FnOnce(&str) -> Vec<Script>) -> Server {
        Server::run(format!("{SID}:sesame"), scripts)
    }

    /// Expects these credentials.
    fn start_as(login: &str, scripts: Vec<Script>) -> Server {
        Server::run(login.to_owned(), |_| scripts)
    }

    fn run(login: String, scripts: impl FnOnce(&str) -> Vec<Script>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let scripts = scripts(&base);
        let thread =
            std::thread::spawn(move || scripts.into_iter().map(|script| serve(&listener, &login, script)).collect());
        Server { base, thread }
    }

    /// The requests, all of which must have come.
    fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// One request: its first line, its `Authorization`, its body.
fn serve(listener: &TcpListener, login: &str, script: Script) -> String {
    let (stream, _) = listener.accept().unwrap();
    answer_one(stream, login, script)
}

pub(super) fn answer_one(stream: impl Read + Write, login: &str, script: Script) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let find = |line: &String| {
            line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
        };
        head.iter().find_map(find)
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    assert_eq!(header("authorization").unwrap(), format!("Basic {}", BASE64_STANDARD.encode(login)));
    if let Script::Answer(status, headers, text) = script {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = text.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{text}");
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
    }
    format!("{} {}", head[0].trim_end_matches(" HTTP/1.1"), String::from_utf8(body).unwrap())
}

/// A client and the pauses that it makes (in milliseconds, instead of waiting).
fn client(base: &str) -> (Client, Arc<Mutex<Vec<u128>>>) {
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&pauses);
    let client = Client::new(Options {
        base,
        account_sid: SID,
        user: SID,
        password: &Secret::new("sesame".to_owned()),
        ca_file: None,
        random: Random::from_number(1),
        pause: Box::new(move |pause, _| noted.lock().unwrap().push(pause.as_millis())),
        clock: right_clock(),
        trace: None,
    })
    .unwrap();
    (client, pauses)
}

fn right_clock() -> Clock {
    Clock::new(
        crate::net::clock::Clock::with_system(None, || gateway_core::time::WallClock::RELEASED),
        &[],
        Random::from_number(1),
    )
}

fn core(path: &str) -> Collection {
    Collection::new(Product::Core, path)
}

/// Writes down what is traced.
fn traced(client: &mut Client) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&lines);
    client.trace = Some(Box::new(move |line| noted.lock().unwrap().push(line.to_owned())));
    lines
}

fn list(name: &str, from: u32, to: u32) -> Value {
    json!((from..to).map(|n| json!({"sid": format!("{name}{n}")})).collect::<Vec<_>>())
}

#[test]
fn a_list_is_all_its_pages_of_the_2010_shape() {
    let next = format!("/2010-04-01/Accounts/{SID}/SIP/Domains.json?PageSize=1000&Page=1&PageToken=PASD2");
    let server = Server::start(vec![
        answer(200, json!({"page": 0, "next_page_uri": next, "domains": list("SD", 0, 2)})),
        answer(200, json!({"page": 1, "next_page_uri": null, "domains": list("SD", 2, 3)})),
    ]);
    let (mut client, _) = client(&server.base);
    let all = client.list(&core("SIP/Domains"), "domains").unwrap();
    assert_eq!(json!(all), list("SD", 0, 3));
    assert_eq!(client.count, Count { reads: 2, writes: 0 });
    let first = format!("GET /2010-04-01/Accounts/{SID}/SIP/Domains.json?PageSize=1000 ");
    assert_eq!(server.requests(), [first, format!("GET {next} ")]);
}

#[test]
fn a_list_is_all_its_pages_of_the_v1_shape() {
    let server = Server::start_with(|base| {
        let next = format!("{base}/v1/Services?PageSize=50&Page=1&PageToken=x");
        let meta = |next: Value| json!({"key": "services", "next_page_url": next});
        vec![
            answer(200, json!({"meta": meta(json!(next)), "services": list("ZS", 0, 1)})),
            answer(200, json!({"meta": meta(Value::Null), "services": list("ZS", 1, 2)})),
        ]
    });
    let (mut client, _) = client(&server.base);
    let services = Collection::new(Product::Serverless, "Services").filtered("Status", "a b");
    assert_eq!(json!(client.list(&services, "ignored").unwrap()), list("ZS", 0, 2));
    let [first, second] = ["PageSize=1000&Status=a%20b", "PageSize=50&Page=1&PageToken=x"];
    assert_eq!(server.requests(), [format!("GET /v1/Services?{first} "), format!("GET /v1/Services?{second} ")]);
}

#[test]
fn the_token_never_follows_a_page_link_to_another_host() {
    for link in ["https://evil.example.com/2010-04-01", "//evil.example.com/", "http://127.0.0.1:1@evil/", "ftp"] {
        let server = Server::start(vec![answer(200, json!({"next_page_uri": link, "domains": []}))]);
        let (mut client, _) = client(&server.base);
        let error = client.list(&core("SIP/Domains"), "domains").unwrap_err();
        assert!(error.to_string().contains("the next page is on another host"), "{error}");
        server.requests();
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let server = Server::start(vec![Script::Answer(302, &["Location: http://127.0.0.1:1/"], String::new())]);
    let (mut client, _) = client(&server.base);
    let error = client.account().unwrap_err();
    assert_eq!(error.to_string(), format!("GET /2010-04-01/Accounts/{SID}.json: Twilio refused, 302: no reason given"));
}

#[test]
fn a_busy_twilio_is_asked_again_later_and_later_also_for_a_creation() {
    let busy = || answer(429, json!({"code": 20429, "message": "Too Many Requests", "status": 429}));
    let server = Server::start(vec![busy(), busy(), busy(), answer(201, json!({"sid": "AP1"}))]);
    let (mut client, pauses) = client(&server.base);
    assert_eq!(client.create(&core("Applications"), &Form::default()).unwrap(), json!({"sid": "AP1"}));
    assert_eq!(client.count, Count { reads: 0, writes: 4 });
    let pauses = pauses.lock().unwrap().clone();
    assert_eq!(pauses.len(), 3);
    for (pause, base) in pauses.into_iter().zip([500, 1000, 2000]) {
        assert!((base..=base + base / 4).contains(&pause), "{pause} {base}");
    }
    server.requests();
}

#[test]
fn retry_after_is_honoured_within_a_bound() {
    let busy = |header: &'static [&'static str]| Script::Answer(503, header, String::new());
    let server = Server::start(vec![busy(&["Retry-After: 7"]), busy(&["Retry-After: 100000"]), answer(200, json!({}))]);
    let (mut client, pauses) = client(&server.base);
    client.account().unwrap();
    assert_eq!(*pauses.lock().unwrap(), [7000, 30000]);
    server.requests();
}

#[test]
fn a_twilio_in_trouble_is_given_up_after_some_attempts() {
    let trouble = || answer(500, json!({"code": 20500, "message": "Internal Server Error", "status": 500}));
    let server = Server::start((0..ATTEMPTS).map(|_| trouble()).collect());
    let (mut client, _) = client(&server.base);
    let error = client.update(&core("Applications"), "AP1", &Form::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "POST Applications/AP1.json: Twilio is in trouble, 500 code 20500: Internal Server Error; run the command again \
         later"
    );
    server.requests();
}

#[test]
fn a_creation_of_unknown_effect_is_not_sent_twice() {
    for script in [answer(500, json!({})), Script::Tear] {
        let server = Server::start(vec![script]);
        let (mut client, pauses) = client(&server.base);
        let error = client.create(&core("Applications"), &Form::default()).unwrap_err();
        assert!(error.is_uncertain(), "{error}");
        assert_eq!(client.count.writes, 1);
        assert!(pauses.lock().unwrap().is_empty());
        server.requests();
    }
}

#[test]
fn a_torn_connection_is_made_again_for_what_may_be_repeated() {
    let server = Server::start(vec![Script::Tear, answer(200, json!({"sid": "AP1"}))]);
    let (mut client, _) = client(&server.base);
    client.update(&core("Applications"), "AP1", &Form::default()).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn both_shapes_of_errors_are_read() {
    let cases = [
        (
            answer(400, json!({"code": 21232, "message": "Domain x already exists.", "more_info": "…", "status": 400})),
            "POST SIP/Domains.json: Twilio refused, 400 code 21232: Domain x already exists.",
            Some(21232),
        ),
        (
            answer(
                400,
                json!({"type": "https://…", "title": "Bad", "detail": "Name is wrong", "status": 400, "code": 20001}),
            ),
            "POST SIP/Domains.json: Twilio refused, 400 code 20001: Name is wrong",
            Some(20001),
        ),
        (
            Script::Answer(404, &["X-Twilio-Error-Code: 20404"], "<html>".to_owned()),
            "POST SIP/Domains.json: Twilio refused, 404 code 20404: no reason given",
            Some(20404),
        ),
        (
            answer(401, json!({"code": 20003, "message": "Authenticate", "status": 401})),
            "POST SIP/Domains.json: Twilio refused, 401 code 20003: Authenticate; this was sent with the auth \
             token of account AC0123456789abcdef0123456789abcdef: check both at console.twilio.com, and that they are of \
             this region",
            Some(20003),
        ),
    ];
    for (script, text, code) in cases {
        let server = Server::start(vec![script]);
        let (mut client, _) = client(&server.base);
        let error = client.create(&core("SIP/Domains"), &Form::default()).unwrap_err();
        assert_eq!((error.to_string(), error.code(), error.is_uncertain()), (text.to_owned(), code, false));
        server.requests();
    }
}

#[test]
fn an_answer_that_is_none_of_twilios_is_told() {
    for (body, text) in [
        (
            "<html>login</html>",
            "GET SIP/Domains.json: the answer cannot be understood: no JSON at line 1; check twilio.api",
        ),
        ("{}", "GET SIP/Domains.json: the answer cannot be understood: no list \"domains\"; check twilio.api"),
    ] {
        let server = Server::start(vec![Script::Answer(200, &[], body.to_owned())]);
        let (mut client, _) = client(&server.base);
        assert_eq!(client.list(&core("SIP/Domains"), "domains").unwrap_err().to_string(), text);
        server.requests();
    }
}

#[test]
fn a_form_keeps_plus_signs_blanks_and_empty_values() {
    let server = Server::start(vec![answer(200, json!({}))]);
    let (mut client, _) = client(&server.base);
    let mut form = Form::default();
    form.plain("PhoneNumber", "+15035551212");
    form.plain("FriendlyName", "a b&c=ü");
    form.plain("VoiceUrl", "");
    client.update(&core("IncomingPhoneNumbers"), "PN1", &form).unwrap();
    assert_eq!(
        server.requests(),
        [format!(
            "POST /2010-04-01/Accounts/{SID}/IncomingPhoneNumbers/PN1.json \
             PhoneNumber=%2B15035551212&FriendlyName=a+b%26c%3D%C3%BC&VoiceUrl="
        )]
    );
}

#[test]
fn removing_what_is_gone_is_done() {
    let server = Server::start(vec![Script::Answer(204, &[], String::new()), answer(404, json!({"code": 20404}))]);
    let (mut client, _) = client(&server.base);
    client.delete(&core("SIP/CredentialLists/CL1/Credentials"), "CR1").unwrap();
    client.delete(&core("SIP/CredentialLists/CL1/Credentials"), "CR1").unwrap();
    server.requests();
}

#[test]
fn secrets_show_neither_in_debug_nor_in_traces_nor_in_errors() {
    let told = json!({
        "code": 21243, "message": "Password pass-word at https://u:sesame@h/ is weak", "auth_token": "sesame",
        "list": [{"secret": "sesame"}], "voice_url": "https://u:sesame@h/p", "echo": "pass-word",
    });
    let upload = Upload { path: "/a.txt", content_type: "text/plain", content: b"sesame" };
    let mut form = Form::default();
    form.plain("Username", "101");
    form.plain("VoiceUrl", "https://u:sesame@h/p");
    form.secret("Password", &Secret::new("pass-word".to_owned()));
    // Every kind of request, with answers that quote what they were sent.
    type Ask<'a> = Box<dyn Fn(&mut Client) -> Option<ApiError> + 'a>;
    let asks: [(&str, Ask<'_>); 7] = [
        ("account", Box::new(|client| client.account().err())),
        ("list", Box::new(|client| client.list(&core("Keys"), "keys").err())),
        ("get", Box::new(|client| client.get(&core("Keys"), "SK1").err())),
        ("create", Box::new(|client| client.create(&core("Keys"), &form).err())),
        ("update", Box::new(|client| client.update(&core("Keys"), "SK1", &form).err())),
        ("delete", Box::new(|client| client.delete(&core("Keys"), "SK1").err())),
        ("upload", Box::new(|client| client.upload("ZS1", "ZH1", &upload).err())),
    ];
    for (name, ask) in asks {
        for script in [
            answer(200, told.clone()),
            answer(400, told.clone()),
            answer(401, told.clone()),
            Script::Answer(404, &[], "sesame".to_owned()),
        ] {
            let server = Server::start(vec![script]);
            let (mut client, _) = client(&server.base);
            let lines = traced(&mut client);
            let error = ask(&mut client);
            server.requests();
            let shown = format!("{:?} {client:?} {form:?} {error:?} {}", lines.lock().unwrap(), text(&error));
            assert_eq!(lines.lock().unwrap().len(), 1);
            assert!(!shown.contains("sesame"), "{name}: {shown}");
            // Where it was not sent, nobody can know that it is one.
            assert!(!shown.contains("pass-word") || !["create", "update"].contains(&name), "{name}: {shown}");
        }
    }
}

fn text(error: &Option<ApiError>) -> String {
    error.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_trace_shows_each_request_and_its_answer() {
    let server = Server::start(vec![
        answer(200, json!({"auth_token": "sesame", "list": [{"secret": "sesame"}]})),
        Script::Answer(400, &[], "sesame".to_owned()),
        answer(201, json!({"sid": "ZN1"})),
    ]);
    let (mut client, _) = client(&server.base);
    let lines = traced(&mut client);
    client.account().unwrap();
    let mut form = Form::default();
    form.plain("Username", "101");
    form.plain("Url", "https://u:p@h/");
    form.secret("Password", &Secret::new("pass-word".to_owned()));
    client.create(&core("SIP/CredentialLists/CL1/Credentials"), &form).unwrap_err();
    let upload = Upload { path: "/a.txt", content_type: "text/plain", content: b"sesame" };
    client.upload("ZS1", "ZH1", &upload).unwrap();
    server.requests();
    assert_eq!(
        *lines.lock().unwrap(),
        [
            format!(
                "GET /2010-04-01/Accounts/{SID}.json -> 200 {{\"auth_token\":\"***\",\"list\":[{{\"secret\":\"***\"}}]}}"
            ),
            "POST SIP/CredentialLists/CL1/Credentials.json Username=101 Url=https://***@h/ Password=*** -> 400 (6 bytes)"
                .to_owned(),
            "POST /v1/Services/ZS1/Assets/ZH1/Versions Path=/a.txt Content=(6 bytes of text/plain) -> 201 \
             {\"sid\":\"ZN1\"}"
                .to_owned(),
        ]
    );
}

#[test]
fn an_upload_is_a_multipart_form_with_its_length_and_is_sent_again_after_a_torn_connection() {
    let server = Server::start(vec![Script::Tear, answer(201, json!({"sid": "ZN1"}))]);
    let (mut client, _) = client(&server.base);
    let upload = Upload { path: "/sounds/busy.mp3", content_type: "audio/mpeg", content: b"ID3\0\r\n" };
    assert_eq!(client.upload("ZS1", "ZH1", &upload).unwrap(), json!({"sid": "ZN1"}));
    assert_eq!(client.count, Count { reads: 0, writes: 2 });
    for request in server.requests() {
        let (line, body) = request.split_once(" --").unwrap();
        assert_eq!(line, "POST /v1/Services/ZS1/Assets/ZH1/Versions");
        assert!(body.contains("name=\"Path\"\r\n\r\n/sounds/busy.mp3\r\n--"), "{body}");
        assert!(body.contains("name=\"Visibility\"\r\n\r\npublic\r\n--"), "{body}");
        let content = "name=\"Content\"; filename=\"busy.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3\0\r\n\r\n--";
        assert!(body.contains(content) && body.ends_with("--\r\n"), "{body}");
    }
}

#[test]
fn a_page_of_its_own_is_asked_for_with_its_filter() {
    let server = Server::start(vec![answer(200, json!({"balance": "1.00"})), answer(200, json!({}))]);
    let (mut client, _) = client(&server.base);
    client.get(&core("Balance"), "").unwrap();
    client.get(&core("IncomingPhoneNumbers").filtered("PageSize", "1"), "").unwrap();
    let account = format!("GET /2010-04-01/Accounts/{SID}");
    assert_eq!(
        server.requests(),
        [format!("{account}/Balance.json "), format!("{account}/IncomingPhoneNumbers.json?PageSize=1 ")]
    );
}

#[test]
fn a_refused_key_is_named_with_what_to_check() {
    let unknown = || answer(401, json!({"code": 20003, "message": "Authenticate", "status": 401}));
    let server = Server::start_as("SK1:open", vec![unknown()]);
    let (mut client, _) = client(&server.base);
    client.authenticate("SK1", &Secret::new("open".to_owned()));
    assert_eq!(
        client.list(&core("Keys"), "keys").unwrap_err().to_string(),
        format!(
            "GET Keys.json: Twilio refused, 401 code 20003: Authenticate; this was sent with API key SK1: check at \
             console.twilio.com that it exists and is of account {SID} and of this region; what concerns the account \
             itself or its keys wants the auth token"
        )
    );
    server.requests();
}

#[test]
fn nobody_there_is_told_with_what_to_check() {
    // Port 1 of loopback: nothing listens there.
    let (mut client, pauses) = client("http://127.0.0.1:1");
    let error = client.account().unwrap_err().to_string();
    assert!(error.starts_with(&format!("GET /2010-04-01/Accounts/{SID}.json: no answer: ")), "{error}");
    assert!(error.ends_with("check the line, the clock (TLS needs it) and twilio.api"), "{error}");
    assert_eq!(pauses.lock().unwrap().len(), 4);
}
