//! One question at the servers, one after the other: UDP, and TCP when the answer is too long for it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Edns, Kind, MAX_DATAGRAM, Query, Record, Reply};

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Times that each server is asked.
    pub rounds: usize,
    /// For one server to answer.
    pub each: Duration,
}

/// The records of `name` and how long they hold, from the first server that says; why not, in words, when none does.
pub async fn ask(
    servers: &[SocketAddr],
    patience: Patience,
    name: &str,
    kind: Kind,
) -> Result<(Vec<Record>, Duration), String> {
    let mut faults = Vec::new();
    for _ in 0..patience.rounds {
        faults.clear();
        for server in servers {
            let fault = match timeout(patience.each, ask_one(*server, name, kind)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(fault)) => fault,
                Err(_) => "no answer".to_string(),
            };
            faults.push(format!("{}: {fault}", server.ip()));
        }
    }
    Err(faults.join("; "))
}

async fn ask_one(server: SocketAddr, name: &str, kind: Kind) -> Result<(Vec<Record>, Duration), String> {
    let mut reply = by_udp(server, &query(name, kind)?, Edns::With).await;
    if matches!(reply, Ok(Reply::NoEdns)) {
        reply = by_udp(server, &query(name, kind)?, Edns::Without).await;
    }
    if matches!(reply, Ok(Reply::Truncated)) {
        reply = by_tcp(server, &query(name, kind)?).await;
    }
    match reply {
        Ok(Reply::Found { records, ttl }) => Ok((records, ttl)),
        Ok(Reply::Refused(reason)) => Err(reason.to_string()),
        Ok(Reply::NoEdns) => Err("FORMERR".to_string()),
        Ok(Reply::Truncated | Reply::Stray) => Err("an answer that does not fit the question".to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A number that nobody can guess, and below a port of the kernel's choice: who can not see the question can not answer
/// it (RFC 5452 section 9.2).
fn query(name: &str, kind: Kind) -> Result<Query, String> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| error.to_string())?;
    Query::new(u16::from_be_bytes(id), name, kind).ok_or_else(|| format!("\"{name}\" can not be a name in DNS"))
}

async fn by_udp(server: SocketAddr, query: &Query, edns: Edns) -> io::Result<Reply> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // From now on nothing arrives but from this server.
    socket.connect(server).await?;
    socket.send(&query.octets(edns)).await?;
    let mut octets = [0; MAX_DATAGRAM as usize];
    loop {
        let length = socket.recv(&mut octets).await?;
        let reply = query.read(&octets[..length]);
        if reply != Reply::Stray {
            return Ok(reply);
        }
    }
}

/// Two octets of length before each message (RFC 1035 section 4.2.2).
async fn by_tcp(server: SocketAddr, query: &Query) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(server).await?;
    let question = query.octets(Edns::Without);
    // A name is at most 255 octets, so the length fits.
    let framed = [&(question.len() as u16).to_be_bytes()[..], &question].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut octets = vec![0; length.into()];
    stream.read_exact(&mut octets).await?;
    Ok(query.read(&octets))
}
