use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::tls::Tls;
use crate::store::Store;
use crate::tunnel::start;
use gateway_core::config::tunnel::{Driver, Settings};
use gateway_core::time::WallClock;

/// A folder with a certificate for `localhost`, gone with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Files {
        let dir = std::env::temp_dir().join(format!("gateway-direct-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let files = Files(dir);
        files.write(2099);
        files
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    fn write(&self, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        std::fs::write(self.certificate(), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    fn direct(&self, listen: std::net::SocketAddr) -> Direct {
        Direct { listen, certificate: self.certificate(), key: self.key() }
    }

    fn load(&self) -> Result<Loaded, Down> {
        files::load(&self.certificate(), &self.key())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
    let files = Files::new("expiry");
    // RFC 5280 section 4.1.2.5: UTCTime until 2049, GeneralizedTime after.
    for (year, seconds) in
        [(2030, 1_893_542_400), (2049, 2_493_158_400), (2050, 2_524_694_400), (2099, 4_070_995_200_u64)]
    {
        files.write(year);
        assert_eq!(files.load().unwrap().not_after, Some(seconds), "{year}");
    }
    for bytes in [&b""[..], b"0", b"0\x84", b"0\x82\xff\xff", b"0\x030\x01", b"0\x050\x03\xa0\x01"] {
        assert_eq!(expiry::not_after(bytes), None);
    }
}

#[test]
fn a_certificate_is_warned_of_in_its_last_two_weeks_and_after() {
    let files = Files::new("warning");
    files.write(2030);
    let loaded = files.load().unwrap();
    let direct = files.direct(([127, 0, 0, 1], 0).into());
    let until = loaded.not_after.unwrap();
    let at = |now| warning(&loaded, &direct, &Clock::with_system(None, move || WallClock(now)));
    assert_eq!(at(until - WARN_BEFORE), None);
    let (day, soon) = at(until - 3 * DAY - 5).unwrap();
    assert!(soon.contains("fullchain.pem expires in 3 days; renew it"), "{soon}");
    assert_eq!(day, (until - 3 * DAY - 5) / DAY);
    assert!(at(until + 1).unwrap().1.contains("has expired"));
}

#[test]
fn a_box_that_does_not_know_the_time_says_nothing_of_certificates_until_it_does() {
    let files = Files::new("no-time");
    files.write(2027);
    let loaded = files.load().unwrap();
    let direct = files.direct(([127, 0, 0, 1], 0).into());
    let clock = Clock::with_system(None, || WallClock(4));
    assert_eq!(warning(&loaded, &direct, &clock), None);
    clock.observe(WallClock(loaded.not_after.unwrap() + 1), "ntp.example.com").unwrap();
    assert!(warning(&loaded, &direct, &clock).unwrap().1.contains("has expired"));
    // A clock that runs years ahead is no reason either, once SNTP has put it right.
    let ahead = Clock::with_system(None, || WallClock(WallClock::RELEASED.0 + 4 * 365 * DAY));
    assert!(warning(&loaded, &direct, &ahead).is_some());
    ahead.question();
    ahead.observe(WallClock::RELEASED, "ntp.example.com").unwrap();
    assert_eq!(warning(&loaded, &direct, &ahead), None);
}

#[test]
fn every_wrong_file_is_named_with_the_way_out() {
    let files = Files::new("wrong");
    let says = |certificate: &Path, key: &Path, expected: &[&str]| {
        let down = files::load(certificate, key).map(|_| ()).expect_err("a mistake");
        assert_eq!(down.culprit, Culprit::Config);
        let text = down.to_string();
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    };
    let missing = files.0.join("missing.pem");
    says(&missing, &files.key(), &["missing.pem cannot be read: No such file", "may the user"]);
    says(&files.key(), &files.key(), &["key.pem holds no certificate", "fullchain.pem"]);
    says(&files.certificate(), &files.certificate(), &["fullchain.pem holds no private key"]);
    let other = Files::new("other");
    says(&files.certificate(), &other.key(), &["is not the key of", "belongs together"]);
    let spoilt = files.0.join("spoilt.pem");
    std::fs::write(&spoilt, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    says(&spoilt, &files.key(), &["spoilt.pem is not PEM"]);
}

#[tokio::test]
async fn a_request_comes_through_tls_to_the_listener_and_the_answer_back() {
    let files = Files::new("served");
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = Store::open(&files.0.join("state")).unwrap();
    let place = Place { local: inside.local_addr().unwrap(), store, clock: Clock::start(None) };
    // A free port, for the moment.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let direct = files.direct(listen);
    let (reports, mut received) = Reports::channel();
    let running = start(&Settings { driver: Driver::Direct(direct), ..Settings::default() }, place, reports);
    assert_eq!(received.recv().await, Some(Report::Connecting));
    assert_eq!(received.recv().await, Some(Report::Up { public_url: None }));

    // Strangers who connect and keep silent, more of them than there are places, lock nobody out.
    let mut silent = Vec::new();
    for _ in 0..2 * MAX_HANDSHAKES {
        silent.push(TcpStream::connect(listen).await.unwrap());
    }
    assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap_or_default(), 0, "the oldest is gone");

    let tls = Tls::new(Some(&files.certificate()), &Clock::start(None)).unwrap();
    let ask = async {
        let stream = TcpStream::connect(listen).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tls.connector().connect(name, stream).await.unwrap();
        stream.write_all(b"question").await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    };
    let serve = async {
        let (mut stream, _) = inside.accept().await.unwrap();
        let mut question = [0; 8];
        stream.read_exact(&mut question).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        question
    };
    let (answer, question) = tokio::join!(ask, serve);
    assert_eq!((&answer, &question), (b"answer", b"question"));

    drop(running);
    while received.recv().await.is_some() {}
    assert!(TcpStream::connect(listen).await.is_err(), "it listens no more");
}
