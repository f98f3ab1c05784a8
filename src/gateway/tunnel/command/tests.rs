use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::net::clock::Clock;
use crate::store::Store;
use crate::tunnel::{Running, start};
use gateway_core::config::tunnel::Driver;

fn place() -> Place {
    let store = Store::open(&std::env::temp_dir().join("gateway-command-tests")).unwrap();
    Place { local: SocketAddr::from(([127, 0, 0, 1], 8080)), store, clock: Clock::start(None) }
}

/// A shell script as the program, started.
fn script(text: &str, url_from: UrlFrom) -> (Running, mpsc::Receiver<Report>) {
    script_with(text, url_from, None)
}

fn script_with(text: &str, url_from: UrlFrom, environment: Option<Vec<String>>) -> (Running, mpsc::Receiver<Report>) {
    let argv = ["sh", "-c", text, "cloudflared", "http://{address}", "{port}"].map(str::to_owned).to_vec();
    let driver = Driver::Command(Program { argv, environment });
    let (reports, received) = Reports::channel();
    (start(&Settings { driver, url_from, ..Settings::default() }, place(), reports), received)
}

async fn next(received: &mut mpsc::Receiver<Report>) -> Option<Report> {
    loop {
        match received.recv().await {
            Some(Report::Said(_) | Report::Connecting) => {}
            other => return other,
        }
    }
}

async fn said(received: &mut mpsc::Receiver<Report>) -> String {
    loop {
        match received.recv().await {
            Some(Report::Said(line)) => return line,
            Some(_) => {}
            None => panic!("nothing more is said"),
        }
    }
}

fn is_running(pid: &str) -> bool {
    // A zombie has ended; whoever adopted it has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until_gone(pid: &str) {
    while is_running(pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_url_that_a_program_announces_is_reported_and_nothing_else_that_it_says() {
    let text = "echo 'ERR Request failed dest=https://evil.trycloudflare.com/x'; \
                echo 'INF | https://a.trycloudflare.com |'; echo 'INF | https://b.trycloudflare.com |'; \
                echo https://a.trycloudflare.com; echo https://c.trycloudflare.com; echo done; exec sleep 1000";
    let (_running, mut received) = script(text, UrlFrom::Output);
    let mut urls = Vec::new();
    loop {
        match received.recv().await.expect("it runs on") {
            Report::Up { public_url } => urls.push(public_url),
            Report::Said(line) if line == "done" => break,
            _ => {}
        }
    }
    // What a later one is worth is the watch's business.
    let announced = ["a", "b", "a", "c"].map(|name| Some(format!("https://{name}.trycloudflare.com")));
    assert_eq!(urls, announced);
}

#[tokio::test]
async fn placeholders_stand_for_the_listener_and_no_shell_sees_the_arguments() {
    let (_running, mut received) = script("echo $1 $2; exec sleep 1000", UrlFrom::Config);
    assert_eq!(said(&mut received).await, "http://127.0.0.1:8080 8080");
}

#[tokio::test]
async fn the_end_of_a_program_is_told_with_its_exit_code_and_its_last_line() {
    let (_running, mut received) =
        script("echo working; echo 'no https://u:pw@x/ tunnel' >&2; exit 3", UrlFrom::Output);
    let Some(Report::Down(down)) = next(&mut received).await else { panic!("no end") };
    assert_eq!(down.culprit, Culprit::Program);
    assert!(down.reason.starts_with("sh ended with exit code 3"), "{down}");
    assert!(!down.reason.contains("pw"), "{down}");
    assert_eq!(next(&mut received).await, None);
    let (_running, mut received) = script("kill -9 $$", UrlFrom::Output);
    let Some(Report::Down(down)) = next(&mut received).await else { panic!("no end") };
    assert_eq!(down.reason, "sh was killed by signal 9");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_the_way_out() {
    let argv = vec!["/nonexistent/cloudflared".to_owned()];
    let driver = Driver::Command(Program { argv, environment: None });
    let (reports, mut received) = Reports::channel();
    let _running = start(&Settings { driver, ..Settings::default() }, place(), reports);
    let Some(Report::Down(down)) = next(&mut received).await else { panic!("no end") };
    assert_eq!(down.culprit, Culprit::Config);
    assert!(down.to_string().contains("install it"), "{down}");
}

#[tokio::test]
async fn stopping_ends_the_program_and_all_that_it_has_started() {
    let text = "sleep 1000 & echo $$ $!; wait";
    let (running, mut received) = script(text, UrlFrom::Config);
    let pids = said(&mut received).await;
    let pids: Vec<&str> = pids.split(' ').collect();
    assert!(pids.iter().all(|pid| is_running(pid)), "{pids:?}");
    drop(running);
    while received.recv().await.is_some() {}
    for pid in pids {
        until_gone(pid).await;
    }
}

/// As [`start`] does, with bounds that a test can wait for.
fn run_soon(
    text: &str,
    url_from: UrlFrom,
    limits: Limits,
) -> (tokio::sync::oneshot::Sender<()>, mpsc::Receiver<Report>) {
    let program = Program { argv: ["sh", "-c", text].map(str::to_owned).to_vec(), environment: None };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (reports, received) = Reports::channel();
    tokio::spawn(async move {
        let settings = Settings { url_from, ..Settings::default() };
        if let Err(down) = run_within(limits, &program, &settings, &place(), &reports, Stop(stopped)).await {
            reports.send(Report::Down(down)).await;
        }
    });
    (stop, received)
}

#[tokio::test]
async fn a_program_that_does_not_listen_to_sigterm_is_killed() {
    let limits = Limits { term: Duration::from_millis(20), ..Limits::default() };
    let text = "trap '' TERM; echo $$; while :; do sleep 1000; done";
    let (stop, mut received) = run_soon(text, UrlFrom::Config, limits);
    let pid = said(&mut received).await;
    drop(stop);
    while received.recv().await.is_some() {}
    until_gone(&pid).await;
}

#[tokio::test]
async fn a_program_that_announces_no_url_is_ended_and_that_is_told() {
    let limits = Limits { url: Duration::ZERO, ..Limits::default() };
    let (_stop, mut received) = run_soon("exec sleep 1000", UrlFrom::Output, limits);
    let Some(Report::Down(down)) = next(&mut received).await else { panic!("no end") };
    assert!(down.reason.contains("announced no public URL"), "{down}");
    assert_eq!(next(&mut received).await, None);
}

#[tokio::test]
async fn a_program_that_ends_leaves_nothing_of_what_it_started() {
    let (_running, mut received) = script("sleep 1000 >/dev/null 2>&1 & echo $!", UrlFrom::Config);
    let pid = said(&mut received).await;
    assert!(matches!(next(&mut received).await, Some(Report::Up { .. } | Report::Down(_))));
    while received.recv().await.is_some() {}
    until_gone(&pid).await;
}

#[tokio::test]
async fn only_the_listed_variables_are_passed_on_and_never_those_of_twilio() {
    // Two that this process has, and that a shell does not make itself.
    let own = ["PATH", "PWD", "OLDPWD", "SHLVL", "_"];
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let mut there =
        std::env::vars().filter(|(name, value)| plain(name) && !own.contains(&&**name) && !value.is_empty());
    let (listed, other) = (there.next().unwrap().0, there.next().unwrap().0);
    let show = format!("echo \"[${{{listed}:+listed}}][${{{other}:+other}}][${{PATH:+path}}]\"; exec sleep 1000");
    let (_running, mut received) = script_with(&show, UrlFrom::Config, Some(vec![listed]));
    assert_eq!(said(&mut received).await, "[listed][][path]");
    assert!(OURS.iter().any(|ours| "TWILIO_AUTH_TOKEN".starts_with(ours)));
}

/// An agent of ngrok's that gives these answers, one after the other, the last again and again; where to ask it.
async fn agent(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut answers = answers.into_iter().peekable();
        let mut last = String::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            last = answers.next().unwrap_or(last);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", last.len());
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all((head + &last).as_bytes()).await;
        }
    });
    format!("http://{address}/api/tunnels")
}

fn tunnel(addr: &str, url: &str) -> String {
    serde_json::json!({"public_url": url, "proto": "https", "config": {"addr": addr}}).to_string()
}

#[tokio::test]
async fn of_the_tunnels_that_an_agent_lists_the_one_that_leads_to_the_listener_is_taken() {
    let (shop, ours) = (
        tunnel("http://localhost:3000", "https://shop.ngrok-free.app"),
        tunnel("http://localhost:8080", "https://x.ngrok-free.app"),
    );
    let from = agent(vec![format!("{{\"tunnels\":[{shop},{ours}]}}")]).await;
    let (_running, mut received) = script("echo https://not-this.ts.net; exec sleep 1000", UrlFrom::Ask(from));
    assert_eq!(next(&mut received).await, Some(Report::Up { public_url: Some("https://x.ngrok-free.app".into()) }));
}

#[tokio::test]
async fn an_agent_that_lists_another_programs_tunnel_alone_is_told_with_where_that_leads() {
    let shop = tunnel("http://localhost:3000", "https://shop.ngrok-free.app");
    let from = agent(vec![format!("{{\"tunnels\":[{shop}]}}")]).await;
    let mut asked = Some(Asker::start(from, Reader::of_program(&[], place().local, None)));
    let Answer::Other(seen) = Asker::next(&mut asked).await else { panic!("another program's tunnel is taken") };
    let advice = seen.advice();
    assert!(advice.contains("http://localhost:3000") && advice.contains("127.0.0.1:8080"), "{advice}");
}

#[tokio::test]
async fn an_agent_that_lists_the_tunnel_later_is_asked_until_then() {
    let ours = tunnel("http://localhost:8080", "https://x.ngrok-free.app");
    let from = agent(vec!["{\"tunnels\":[]}".to_owned(), ours]).await;
    let mut asked = Some(Asker::start(from, Reader::of_program(&[], place().local, None)));
    assert!(matches!(Asker::next(&mut asked).await, Answer::Other(_)));
    assert!(matches!(Asker::next(&mut asked).await, Answer::Url(url) if url == "https://x.ngrok-free.app"));
}
