use std::net::SocketAddr;

use super::*;
use crate::store::Store;
use gateway_core::config::tunnel::{Driver, Program, UrlFrom};

const OLD: &str = "https://old.trycloudflare.com";

/// A tunnel whose program is this script, and what was asked of it.
struct Scene {
    tunnel: Tunnel,
    proofs: mpsc::UnboundedReceiver<String>,
    writes: mpsc::UnboundedReceiver<(String, String)>,
    urls: mpsc::UnboundedReceiver<Vec<String>>,
}

fn scene(script: &str, proved: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Scene {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    let driver = Driver::Command(Program { argv, environment: None });
    let settings = Settings { driver, url_from: UrlFrom::Output, ..Settings::default() };
    let store = Store::open(&std::env::temp_dir().join("gateway-net-tunnel-tests")).unwrap();
    let (asked, proofs) = mpsc::unbounded_channel();
    let (wrote, writes) = mpsc::unbounded_channel();
    let (took, urls) = mpsc::unbounded_channel();
    let tunnel = Tunnel::start(Options {
        settings,
        place: Place { local: SocketAddr::from(([127, 0, 0, 1], 8080)), store, clock: Clock::start(None) },
        known_url: OLD.into(),
        seed: [7; 32],
        prove: Arc::new(move |url, _| {
            let _ = asked.send(url.to_owned());
            proved()
        }),
        write_url: Arc::new(move |old, new| wrote.send((old.into(), new.into())).map_err(|error| error.to_string())),
        take_urls: Box::new(move |urls| drop(took.send(urls))),
        events: Arc::new(|_| {}),
    });
    Scene { tunnel, proofs, writes, urls }
}

async fn until(scene: &Scene, state: TunnelState) {
    while scene.tunnel.status().state != state {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_url_that_the_program_announces_is_proved_taken_for_signatures_and_written_to_twilio() {
    let mut scene = scene("echo https://new.trycloudflare.com; exec sleep 1000", || Ok(()));
    let new = "https://new.trycloudflare.com".to_owned();
    until(&scene, TunnelState::Connected).await;
    assert!(scene.writes.try_recv().is_err() && scene.urls.try_recv().is_err(), "it is not proved yet");
    assert_eq!(scene.tunnel.urls(), [OLD]);
    // Some seconds later: a new name may not be in DNS yet.
    assert_eq!(scene.proofs.recv().await.as_deref(), Some(new.as_str()));
    assert_eq!(scene.urls.recv().await, Some(vec![new.clone(), OLD.to_owned()]));
    assert_eq!(scene.writes.recv().await, Some((OLD.to_owned(), new.clone())));
    until(&scene, TunnelState::Proved).await;
    while !scene.tunnel.status().written {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.tunnel.urls(), [new, OLD.to_owned()]);
    scene.tunnel.stop().await;
}

#[tokio::test]
async fn the_known_url_is_proved_at_once_and_stopping_leaves_nothing_behind() {
    let dir = std::env::temp_dir().join(format!("gateway-net-tunnel-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("pid");
    let script = format!("echo $$ > {}; echo {OLD}; exec sleep 1000", file.display());
    let mut scene = scene(&script, || Ok(()));
    assert_eq!(scene.proofs.recv().await.as_deref(), Some(OLD));
    until(&scene, TunnelState::Proved).await;
    let pid = std::fs::read_to_string(&file).unwrap();
    let status = format!("/proc/{}", pid.trim());
    assert!(std::path::Path::new(&status).exists());
    scene.tunnel.stop().await;
    assert!(!std::path::Path::new(&status).exists(), "it was waited for, so that not even a zombie is left");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_told_in_the_status() {
    let scene = scene("echo 'no such tunnel'; exit 7", || Ok(()));
    until(&scene, TunnelState::Waiting).await;
    let reason = scene.tunnel.status().reason.unwrap();
    assert!(reason.contains("exit code 7") && reason.contains("no such tunnel"), "{reason}");
    scene.tunnel.stop().await;
}
