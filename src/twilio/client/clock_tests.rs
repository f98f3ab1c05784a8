//! A real TLS server whose certificate is not valid at this time, and a clock that a test sets.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::tests::{SID, Script, answer, answer_one};
use super::*;

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

    /// A client whose clock shows `clock`, whose pauses let `pass` happen to it instead of waiting.
    fn client(&self, clock: WallClock, pass: impl Fn(&mut WallClock) + 'static) -> (Client, Told) {
        let clock = Arc::new(Mutex::new(clock));
        let told = Told::default();
        let (read, noted) = (Arc::clone(&clock), Arc::clone(&told));
        let client = Client::new(Options {
            base: &self.base,
            account_sid: SID,
            user: SID,
            password: &Secret::new("sesame".to_owned()),
            ca_file: Some(&self.ca_file),
            random: Random::from_number(1),
            pause: Box::new(move |pause, reason| {
                noted.lock().unwrap().push((pause, reason.to_owned()));
                pass(&mut clock.lock().unwrap());
            }),
            clock: Clock {
                now: Box::new(move || *read.lock().unwrap()),
                floor: WallClock::RELEASED,
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

#[test]
fn a_clock_that_cannot_be_right_is_waited_for_and_then_the_request_is_made() {
    for years in [NOT_YET, EXPIRED] {
        let server = Server::start(vec![(years, ok()), (VALID, ok())]);
        let hour = |clock: &mut WallClock| clock.0 += WallClock::RELEASED.0 / 2;
        let (mut client, told) = server.client(WallClock(3), hour);
        assert_eq!(create(&mut client).unwrap(), json!({"sid": "AP1"}));
        assert_eq!(client.count, Count { reads: 0, writes: 1 });
        let reason = "this machine's clock says 1970-01-01, which cannot be, and TLS needs the time to check Twilio's \
                      certificate; waiting until the clock is set";
        // 3 s and half of the time since 1970, twice: then it is right.
        assert_eq!(*told.lock().unwrap(), vec![(Duration::from_secs(5), reason.to_owned()); 2]);
        let requests = server.requests();
        assert_eq!((&requests[0], requests[1].is_some()), (&None, true));
    }
}

#[test]
fn a_clock_that_stays_wrong_is_an_error_of_its_own() {
    let server = Server::start(vec![(NOT_YET, ok())]);
    let (mut client, told) = server.client(WallClock(3), |clock| clock.0 += 5);
    let error = create(&mut client).unwrap_err();
    assert_eq!(
        error.to_string(),
        "POST Applications.json: nothing was sent: this machine's clock says 1970-01-01, which cannot be, and TLS needs \
         the time to check Twilio's certificate; set the clock (is NTP on and reachable?) and run the command again"
    );
    assert!(!error.is_uncertain());
    assert_eq!(told.lock().unwrap().len(), 12);
    assert_eq!(client.count, Count::default());
    assert_eq!(server.requests(), [None]);
}

#[test]
fn a_certificate_that_is_not_valid_by_a_plausible_clock_is_refused() {
    for years in [NOT_YET, EXPIRED] {
        let server = Server::start(vec![(years, ok())]);
        let (mut client, told) = server.client(WallClock::RELEASED, |_| {});
        let error = create(&mut client).unwrap_err();
        assert!(matches!(error, ApiError::NoAnswer { .. }), "{error}");
        assert!(told.lock().unwrap().is_empty());
        assert_eq!(server.requests(), [None]);
    }
}

#[test]
fn a_wrong_clock_does_not_stop_a_request_whose_certificate_is_valid() {
    let server = Server::start(vec![(VALID, ok())]);
    let (mut client, told) = server.client(WallClock(3), |_| {});
    create(&mut client).unwrap();
    assert!(told.lock().unwrap().is_empty());
    assert!(server.requests()[0].is_some());
}

#[test]
fn a_clock_behind_the_last_run_cannot_be_right() {
    let later = WallClock(WallClock::RELEASED.0 + 1);
    assert_eq!(Clock::system(Some(later)).floor, later);
    assert_eq!(Clock::system(Some(WallClock(5))).floor, WallClock::RELEASED);
    assert_eq!(Clock::system(None).floor, WallClock::RELEASED);
}
