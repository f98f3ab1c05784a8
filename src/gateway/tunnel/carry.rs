//! From the tunnel to the webhook listener and back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Octets that are read at once; all that a connection holds here.
const CHUNK: usize = 8 * 1024;
/// For the connection to the listener, which is on this machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// When the listener has said all, the other direction may take so long to end: others wait for its place.
const LINGER: Duration = Duration::from_secs(1);
/// One write may wait this long for the other end.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// Connects to the webhook listener.
pub(super) async fn connect(local: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(local))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Copies both ways; the end of one direction is passed on and leaves the other open (RFC 4254 section 5.3). Idle
/// connections are the listener's to end: it has the limits.
pub(super) async fn both_ways(outside: impl AsyncRead + AsyncWrite, mut inside: TcpStream) {
    let (from_outside, to_outside) = tokio::io::split(outside);
    let (from_inside, to_inside) = inside.split();
    let inward = one_way(from_outside, to_inside);
    let outward = one_way(from_inside, to_outside);
    tokio::pin!(inward, outward);
    tokio::select! {
        // The request is through; its answer is not.
        _ = &mut inward => drop(outward.await),
        _ = &mut outward => drop(tokio::time::timeout(LINGER, inward).await),
    }
}

async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let len = from.read(&mut buffer).await?;
        let write = async {
            match len {
                0 => to.shutdown().await,
                _ => {
                    to.write_all(&buffer[..len]).await?;
                    to.flush().await
                }
            }
        };
        tokio::time::timeout(WRITE_LIMIT, write).await.map_err(|_| std::io::ErrorKind::TimedOut)??;
        if len == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_request_whose_sender_has_closed_its_half_still_gets_its_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            stream.read_to_end(&mut request).await.unwrap();
            stream.write_all(b"answer to ").await.unwrap();
            stream.write_all(&request).await.unwrap();
        };
        let (mut client, tunnel) = tokio::io::duplex(16);
        let carried = async { both_ways(tunnel, connect(local).await.unwrap()).await };
        let asked = async {
            client.write_all(b"a question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let ((), (), answer) = tokio::join!(served, carried, asked);
        assert_eq!(answer, "answer to a question");
    }
}
