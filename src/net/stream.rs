//! Connections: TCP from handsets, TLS to the SIP domain.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::shell::Shell;
use super::tls::{Tls, is_about_time};
use crate::engine::Input;
use crate::sip::flow::{Flow, Transport};

/// TCP and TLS together; more is no line to call over.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// One write may wait this long for the other end; then the connection is dead.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Octets read at once.
const CHUNK: usize = 8 * 1024;

/// Connections that come in are numbered apart from those that the engine asks for.
const ACCEPTED: u64 = 1 << 63;

/// Takes handsets' connections, for ever.
pub async fn accept(shell: Rc<Shell>, local: SocketAddr, listener: TcpListener, numbers: Rc<Cell<u64>>) {
    loop {
        let Ok((socket, remote)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must close first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let number = numbers.get() + 1;
        numbers.set(number);
        let _ = socket.set_nodelay(true);
        let flow = Flow { transport: Transport::Tcp, local, remote, connection: ACCEPTED | number };
        let queue = shell.add_stream(flow.connection);
        shell.input(Input::Accepted { flow });
        tokio::task::spawn_local(carry(Rc::clone(&shell), flow, socket, queue));
    }
}

/// Connects to the SIP domain, tells the engine, and carries the flow until it ends.
pub async fn connect(shell: Rc<Shell>, tls: Rc<Tls>, connection: u64, address: SocketAddr, server_name: String) {
    match tokio::time::timeout(CONNECT_LIMIT, handshake(&tls, address, server_name)).await {
        Ok(Ok((socket, local))) => {
            shell.clock.verified();
            let flow = Flow { transport: Transport::Tls, local, remote: address, connection };
            let queue = shell.add_stream(connection);
            shell.input(Input::Connected { connection, flow });
            carry(shell, flow, socket, queue).await;
        }
        Ok(Err(error)) => {
            let mut text = error.to_string();
            if is_about_time(&error) {
                // rustls shows the seconds since 1970.
                text.push_str(&format!("; it is {} by this box", shell.clock.wall()));
                shell.clock.question();
            }
            shell.input(Input::ConnectFailed { connection, error: text });
        }
        Err(_) => {
            let error = format!("no connection within {} s", CONNECT_LIMIT.as_secs());
            shell.input(Input::ConnectFailed { connection, error });
        }
    }
}

async fn handshake(
    tls: &Tls,
    address: SocketAddr,
    server_name: String,
) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, SocketAddr)> {
    let name = ServerName::try_from(server_name)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let local = socket.local_addr()?;
    Ok((tls.connector().connect(name, socket).await?, local))
}

/// Reads and writes until either end closes.
async fn carry<S>(shell: Rc<Shell>, flow: Flow, socket: S, mut queue: mpsc::Receiver<Vec<u8>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(socket);
    let mut buffer = vec![0; CHUNK];
    let reason = loop {
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(0) => break "closed by the other end".to_string(),
                Ok(len) => shell.input(Input::Received { flow, bytes: buffer[..len].to_vec() }),
                Err(error) => break error.to_string(),
            },
            next = queue.recv() => {
                let Some(bytes) = next else { break "closed".to_string() };
                match tokio::time::timeout(WRITE_LIMIT, write(&mut writer, &bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) => break format!("nothing was taken for {} s", WRITE_LIMIT.as_secs()),
                }
            }
        }
    };
    shell.remove_stream(flow.connection);
    // What waits in the queue when we close ourselves (a last refusal) still goes out.
    while let Ok(bytes) = queue.try_recv() {
        if !matches!(tokio::time::timeout(WRITE_LIMIT, write(&mut writer, &bytes)).await, Ok(Ok(()))) {
            break;
        }
    }
    let _ = tokio::time::timeout(WRITE_LIMIT, writer.shutdown()).await;
    shell.input(Input::Disconnected { flow, reason });
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}
