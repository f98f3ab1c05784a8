//! A real TLS server whose certificate is not valid at this time, and a clock that a test sets.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::super::*;
use super::{SID, Script, answer, answer_one};
use crate::net::clock::Clock as Trusted;
use gateway_core::time::WallClock;

/// When a certificate is valid, in years.
type Years = (i32, i32);

const NOT_YET: Years = (4000, 4001);
const EXPIRED: Years = (2000, 2001);
const VALID: Years = (2000, 4000);

/// One connection after the other, each with a certificate of its own.
struct Server {
    base: String,
    ca_file: PathBuf,
    thread: JoinHandle<Vec<Option<String>>>,
}

impl Server {
    fn start(connections: Vec<(Years, Script)>) -> Server {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ca_file = std::env::temp_dir().join(format!("gateway-clock-{}-{}.pem", std::process::id(), address.port()));
        std::fs::write(&ca_file, ca.pem()).unwrap();
        let configs: Vec<_> = connections.iter().map(|(years, _)| config(&issuer, *years)).collect();
        let thread = std::thread::spawn(move || {
            let serve = |(config, (_, script))| {
                let (stream, _) = listener.accept().unwrap();
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                // A client that refuses the certificate ends the handshake, and that is all that comes.
                tls.conn.complete_io(&mut tls.sock).ok()?;
                if tls.conn.process_new_packets().is_err() || tls.conn.is_handshaking() {
                    return None;
                }
                Some(answer_one(tls, &format!("{SID}:sesame"), script))
            };
            configs.into_iter().zip(connections).map(serve).collect()
        });
        Server { base: format!("https://{address}"), ca_file, thread }
    }

    /// What each connection asked, nothing where the certificate was refused.
    fn requests(self) -> Vec<Option<String>> {
        std::fs::remove_file(&self.ca_file).unwrap();
        self.thread.join().unwrap()
    }

    /// A client on a machine whose clock shows `system`, whose pauses let `pass` happen to it instead of waiting, and
    /// whose questions to SNTP are answered by `ask`.
    fn client(
        &self,
        system: WallClock,
        pass: impl Fn(&mut WallClock) + 'static,
        ask: impl FnMut(&Trusted) -> Option<String> + 'static,
    ) -> (Client, Told) {
        let system = Arc::new(Mutex::new(system));
        let told = Told::default();
        let (read, noted) = (Arc::clone(&system), Arc::clone(&told));
        let client = Client::new(Options {
            base: &self.base,
            account_sid: SID,
            user: SID,
            password: &Secret::new("sesame".to_owned()),
            ca_file: Some(&self.ca_file),
            random: Random::from_number(1),
            pause: Box::new(move |pause, reason| {
                noted.lock().unwrap().push((pause, reason.to_owned()));
                pass(&mut system.lock().unwrap());
            }),
            clock: Clock {
                trusted: Trusted::with_system(None, move || *read.lock().unwrap()),
                ask: Box::new(ask),
                servers: "0.pool.ntp.org".to_owned(),
                patience: Duration::from_secs(60),
            },
            trace: None,
        });
        (client.unwrap(), told)
    }
}

type Told = Arc<Mutex<Vec<(Duration, String)>>>;

fn config(issuer: &Issuer<'_, KeyPair>, (from, to): Years) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    // TLS 1.2: the server sees a refusal in its own handshake.
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

fn ok() -> Script {
    answer(201, json!({"sid": "AP1"}))
}

fn create(client: &mut Client) -> Result<Value, ApiError> {
    client.create(&Collection::new(Product::Core, "Applications"), &Form::default())
}

/// An SNTP that is not reached.
fn silence(_: &Trusted) -> Option<String> {
    Some("0.pool.ntp.org: no answer within 3 s".to_owned())
}

/// Years after this version, in seconds since 1970.
fn ahead(years: u64) -> WallClock {
    WallClock(WallClock::RELEASED.0 + years * 365 * 86_400)
}

#[test]
fn a_clock_that_cannot_be_right_is_waited_for_and_then_the_request_is_made() {
    let server = Server::start(vec![(VALID, ok()), (VALID, ok())]);
    let hour = |clock: &mut WallClock| clock.0 += WallClock::RELEASED.0 / 2;
    let (mut client, told) = server.client(WallClock(3), hour, silence);
    assert_eq!(create(&mut client).unwrap(), json!({"sid": "AP1"}));
    assert_eq!(client.count, Count { reads: 0, writes: 1 });
    let told = told.lock().unwrap().clone();
    // 3 s and half of the time since 1970, twice: then it is right.
    assert_eq!(told.len(), 2);
    let reason = "this machine's clock says 1970-01-01, before this version was made (2026-11-01), and TLS needs the time \
                  to check Twilio's certificate; waiting for it from 0.pool.ntp.org or by \"date -s\"";
    assert_eq!(told[0], (Duration::from_secs(5), reason.to_owned()));
    let requests = server.requests();
    assert_eq!((&requests[0], requests[1].is_some()), (&None, true));
}

#[test]
fn the_time_of_sntp_is_what_certificates_are_judged_by() {
    let server = Server::start(vec![(VALID, ok()), (VALID, ok())]);
    let sntp = |clock: &Trusted| clock.observe(ahead(1), "0.pool.ntp.org").err().map(|doubt| doubt.to_string());
    let (mut client, told) = server.client(WallClock(3), |_| {}, sntp);
    create(&mut client).unwrap();
    assert!(told.lock().unwrap().is_empty());
    assert!(server.requests()[1].is_some());
}

#[test]
fn a_clock_that_stays_wrong_is_an_error_of_its_own() {
    let server = Server::start(vec![(NOT_YET, ok())]);
    let (mut client, told) = server.client(WallClock(3), |clock| clock.0 += 5, silence);
    let error = create(&mut client).unwrap_err();
    assert_eq!(
        error.to_string(),
        "POST Applications.json: nothing was sent: this machine's clock says 1970-01-01, before this version was made \
         (2026-11-01), and TLS needs the time to check Twilio's certificate (0.pool.ntp.org: no answer within 3 s); set \
         it with \"date -s\", or see why SNTP ([clock] sntp) is not reached, and run the command again"
    );
    assert!(!error.is_uncertain());
    assert_eq!(told.lock().unwrap().len(), 12);
    assert_eq!(client.count, Count::default());
    assert_eq!(server.requests(), [None]);
}

#[test]
fn a_certificate_that_is_not_valid_by_a_plausible_clock_is_refused_when_sntp_says_the_same() {
    for years in [NOT_YET, EXPIRED] {
        let server = Server::start(vec![(years, ok())]);
        let same = |clock: &Trusted| clock.observe(ahead(1), "0.pool.ntp.org").err().map(|doubt| doubt.to_string());
        let (mut client, told) = server.client(ahead(1), |_| {}, same);
        let error = create(&mut client).unwrap_err();
        assert!(matches!(error, ApiError::NoAnswer { .. }), "{error}");
        assert!(told.lock().unwrap().is_empty());
        assert_eq!(server.requests(), [None]);
    }
}

#[test]
fn a_clock_that_is_years_ahead_is_put_right_by_sntp_when_the_certificate_has_expired_by_it() {
    let until_2030 = (2000, 2030);
    let server = Server::start(vec![(until_2030, ok()), (until_2030, ok())]);
    let sntp = |clock: &Trusted| clock.observe(ahead(0), "0.pool.ntp.org").err().map(|doubt| doubt.to_string());
    let (mut client, told) = server.client(ahead(9), |_| {}, sntp);
    create(&mut client).unwrap();
    assert!(told.lock().unwrap().is_empty());
    let requests = server.requests();
    assert_eq!((&requests[0], requests[1].is_some()), (&None, true));
}

#[test]
fn a_right_clock_asks_nobody() {
    let server = Server::start(vec![(VALID, ok())]);
    let (mut client, _) = server.client(ahead(1), |_| {}, |_| panic!("SNTP is asked"));
    create(&mut client).unwrap();
    client.wait_for_time("GET /").unwrap();
    assert!(server.requests()[0].is_some());
}
