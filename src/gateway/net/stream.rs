//! Connections: TCP from and to handsets, TLS to the SIP domain.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::ready;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::descriptors::{Descriptors, Kind};
use super::driver::{Driver, Queued, SEND_BUFFER};
use super::dscp::mark;
use super::tls::{Tls, is_about_time};
use gateway_core::engine::Input;
use gateway_core::sip::flow::{Flow, Transport};

/// TCP and TLS together; more is no line to call over.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A phone of the LAN answers in a moment; others ring meanwhile.
const OPEN_LIMIT: Duration = Duration::from_secs(4);

/// One write may wait this long for the other end; then the connection is dead.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// What is left to say at the end may take this long: others wait for the descriptor.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Octets read at once.
const CHUNK: usize = 8 * 1024;

/// How often it is looked how many connections there may be.
const LOOK: Duration = Duration::from_secs(1);

/// Names of a wrong certificate that are shown.
const MAX_NAMES: usize = 3;

/// Connections that come in are numbered apart from those that the engine asks for.
pub(super) const ACCEPTED: u64 = 1 << 63;

/// What all listeners for handsets share.
#[derive(Clone, Debug, Default)]
pub struct Accepting {
    /// The number of the last connection.
    numbers: Rc<Cell<u64>>,
    /// How many places the engine was told of.
    places: Rc<Cell<Option<usize>>>,
    descriptors: Descriptors,
}

impl Accepting {
    /// Connections count among these.
    pub fn new(descriptors: Descriptors) -> Accepting {
        Accepting { descriptors, ..Accepting::default() }
    }

    /// Tells the engine how many connections there are descriptors for now. Whether some may have to close for it.
    pub fn look(&self, driver: &Rc<Driver>) -> bool {
        let places = self.descriptors.places(Kind::Lan);
        let was = self.places.replace(Some(places));
        if was != Some(places) {
            driver.input(Input::Places(places));
        }
        was.is_some_and(|was| places < was)
    }

    /// Looks again and again: the limit may be lowered while we run, and calls take from strangers.
    pub async fn keep_looking(self, driver: Rc<Driver>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look(&driver);
        }
    }
}

/// Takes handsets' connections, for ever.
pub async fn accept(driver: Rc<Driver>, local: SocketAddr, listener: TcpListener, accepting: Accepting) {
    loop {
        let Ok((socket, remote)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must close first.
            accepting.look(&driver);
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let held = accepting.descriptors.hold(Kind::Lan);
        accepting.look(&driver);
        let number = accepting.numbers.get() + 1;
        accepting.numbers.set(number);
        let _ = socket.set_nodelay(true);
        mark(&socket, local.ip(), driver.sip_class);
        // Who reads nothing holds this much of our memory, not megabytes.
        let _ = setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER);
        let flow = Flow { transport: Transport::Tcp, local, remote, connection: ACCEPTED | number };
        let queue = driver.add_stream(flow.connection);
        driver.input(Input::Accepted { flow });
        let carried = carry(Rc::clone(&driver), flow, socket, queue);
        tokio::task::spawn_local(async move {
            carried.await;
            drop(held);
        });
        // Those that had to go for it close first: what they held counts until then.
        tokio::task::yield_now().await;
    }
}

/// Connects to the SIP domain, tells the engine, and carries the flow until it ends.
pub async fn connect(driver: Rc<Driver>, connection: u64, address: SocketAddr, server_name: String) {
    let tls = match driver.tls() {
        Ok(tls) => tls,
        Err(error) => return driver.input(Input::ConnectFailed { connection, error }),
    };
    let name = server_name.clone();
    match tokio::time::timeout(CONNECT_LIMIT, handshake(&tls, address, server_name, driver.sip_class)).await {
        Ok(Ok((socket, local))) => {
            driver.clock.verified();
            let flow = Flow { transport: Transport::Tls, local, remote: address, connection };
            let queue = driver.add_stream(connection);
            driver.input(Input::Connected { connection, flow });
            carry(driver, flow, socket, queue).await;
        }
        Ok(Err(error)) => {
            let mut text = explain(&error, &name);
            if is_about_time(&error) {
                // rustls shows the seconds since 1970.
                text.push_str(&format!("; it is {} by this box", driver.clock.wall()));
                driver.clock.question();
            }
            driver.input(Input::ConnectFailed { connection, error: text });
        }
        Err(_) => {
            let error = format!("no connection within {} s", CONNECT_LIMIT.as_secs());
            driver.input(Input::ConnectFailed { connection, error });
        }
    }
}

/// Connects to a handset, tells the engine, and carries the flow until it ends.
pub async fn open(driver: Rc<Driver>, flow: Flow, queue: (mpsc::Receiver<Vec<u8>>, Queued)) {
    let reason = match tokio::time::timeout(OPEN_LIMIT, connect_from(flow, driver.sip_class)).await {
        Ok(Ok(socket)) => {
            driver.input(Input::Opened { flow });
            return carry(driver, flow, socket, queue).await;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no connection within {} s", OPEN_LIMIT.as_secs()),
    };
    driver.remove_stream(flow.connection);
    driver.input(Input::Disconnected { flow, reason });
}

/// From the address that the phone knows, by any port.
async fn connect_from(flow: Flow, class: u8) -> std::io::Result<TcpStream> {
    let socket = if flow.remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    mark(&socket, flow.remote.ip(), class);
    socket.bind(SocketAddr::new(flow.local.ip(), 0))?;
    let stream = socket.connect(flow.remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake(
    tls: &Tls,
    address: SocketAddr,
    server_name: String,
    class: u8,
) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, SocketAddr)> {
    let name = ServerName::try_from(server_name)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    mark(&socket, address.ip(), class);
    let local = socket.local_addr()?;
    Ok((tls.connector().connect(name, socket).await?, local))
}

/// What went wrong, for people who look at it in `gateway status`: a certificate that is another's mostly means that a
/// DNS server lied, as those of hotels and captive portals do, or that `trunk.servers` names the wrong host.
fn explain(error: &std::io::Error, name: &str) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(
            fault @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
        )) => {
            let whose = match fault {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    let names: Vec<String> = presented.iter().take(MAX_NAMES).map(|one| shown_name(one)).collect();
                    format!("it is for {}", names.join(", "))
                }
                _ => "it names nobody".into(),
            };
            format!(
                "the certificate there is another's: {whose}, not for {name}; does DNS lie here (a captive portal)?"
            )
        }
        Some(rustls::Error::InvalidCertificate(fault)) => {
            format!("the certificate there, asked for as {name}, is not to be trusted: {fault}")
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            format!(
                "no TLS there, but something else answers in place of {name}; does DNS lie here (a captive portal)?"
            )
        }
        _ => error.to_string(),
    }
}

/// A name in a certificate as rustls shows it, `DnsName("host")`, cut to a name's length: a stranger wrote it.
fn shown_name(name: &str) -> String {
    let inner = name.split('"').nth(1).unwrap_or(name);
    inner.chars().filter(|char| !char.is_control()).take(253).collect()
}

/// Reads and writes until either end closes.
async fn carry<S>(driver: Rc<Driver>, flow: Flow, socket: S, (mut queue, octets): (mpsc::Receiver<Vec<u8>>, Queued))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(socket);
    let reason = loop {
        tokio::select! {
            read = read(&mut reader) => match read {
                Ok(bytes) if bytes.is_empty() => break "closed by the other end".to_string(),
                Ok(bytes) => driver.input(Input::Received { flow, bytes }),
                Err(error) => break error.to_string(),
            },
            next = queue.recv() => {
                let Some(bytes) = next else { break "closed".to_string() };
                match tokio::time::timeout(WRITE_LIMIT, write(&mut writer, &bytes)).await {
                    Ok(Ok(())) => octets.set(octets.get().saturating_sub(bytes.len())),
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) => break format!("nothing was taken for {} s", WRITE_LIMIT.as_secs()),
                }
            }
        }
    };
    driver.remove_stream(flow.connection);
    // What waits in the queue when we close ourselves (a last refusal) still goes out.
    let rest = async {
        while let Ok(bytes) = queue.try_recv() {
            write(&mut writer, &bytes).await?;
        }
        writer.shutdown().await
    };
    let _ = tokio::time::timeout(CLOSE_LIMIT, rest).await;
    driver.input(Input::Disconnected { flow, reason });
}

/// What is there, nothing at the end. A connection that waits has no buffer: there may be hundreds.
async fn read(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    std::future::poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); CHUNK];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *reader).poll_read(context, &mut buffer))?;
        Ok(buffer.filled().to_vec()).into()
    })
    .await
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsAcceptor;

    use super::super::clock::Clock;
    use super::*;

    /// What people read when somebody else answers where `office.sip.twilio.com` should.
    fn shown(speaks_tls: bool) -> String {
        let portal = rcgen::generate_simple_self_signed(vec!["portal.example".to_string()]).unwrap();
        let file = std::env::temp_dir().join(format!("gateway-portal-{}-{speaks_tls}.pem", std::process::id()));
        std::fs::write(&file, portal.cert.pem()).unwrap();
        let tls = Tls::new(Some(&file), &Clock::start(None)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let key = PrivateKeyDer::try_from(portal.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![portal.cert.der().clone()], key)
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let name = "office.sip.twilio.com";
            let server = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                if speaks_tls {
                    let _ = TlsAcceptor::from(Arc::new(config)).accept(socket).await;
                } else {
                    let _ = socket.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n").await;
                    let _ = socket.read(&mut [0; CHUNK]).await;
                }
            };
            let (error, ()) = tokio::join!(handshake(&tls, address, name.into(), 24), server);
            explain(&error.unwrap_err(), name)
        })
    }

    #[test]
    fn a_certificate_of_somebody_else_is_told_by_both_names() {
        let text = shown(true);
        assert!(text.contains("it is for portal.example, not for office.sip.twilio.com"), "{text}");
        assert!(text.contains("does DNS lie"), "{text}");
    }

    #[test]
    fn a_web_server_in_place_of_the_domain_is_told_so() {
        let text = shown(false);
        assert!(text.contains("no TLS there") && text.contains("office.sip.twilio.com"), "{text}");
    }
}
