//! An RTP endpoint on loopback, plain or SRTP, that sends back to where media comes from (TWILIO.md "Codecs").

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::g711::{alaw_to_linear, linear_to_alaw, linear_to_ulaw, ulaw_to_linear};
use super::port::{Frame, Port, Sound};
use crate::sip::sdp::{Audio, Crypto};

/// RFC 3711 3.3.2: the replay window must be at least 64.
const REPLAY_WINDOW: usize = 64;
/// How often an even port with a free odd neighbour is tried for.
const PORT_TRIES: usize = 20;

/// Counters of one endpoint.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received and understood.
    pub received: u64,
    /// Packets that failed authentication, came twice, or came plain where SRTP was agreed.
    pub refused: u64,
    /// Packets of a payload type that was not agreed.
    pub foreign: u64,
}

struct Inner {
    remote: Option<SocketAddr>,
    latched: bool,
    encrypt: Option<(Crypto, Context)>,
    decrypt: Option<(Crypto, Context)>,
    codec: u8,
    dtmf: Option<u8>,
    sending: bool,
    counters: Counters,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    marker: bool,
    digit_start: Option<(u32, u32)>,
}

/// A socket, its keys and its counters. Dropping it ends the tasks.
pub struct Endpoint {
    /// Where media for this endpoint is to be sent.
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Endpoint {
    /// Opens a socket of loopback.
    pub async fn open(port: Port, queue: mpsc::Receiver<Frame>) -> std::io::Result<Self> {
        Self::open_at(Ipv4Addr::LOCALHOST.into(), port, queue).await
    }

    /// Opens a socket on an even port (RFC 3550 11) and connects it to `port`; `queue` is what the port wants sent.
    pub async fn open_at(address: IpAddr, port: Port, queue: mpsc::Receiver<Frame>) -> std::io::Result<Self> {
        let socket = Arc::new(even_socket(address).await?);
        let seed = crate::random::bytes::<10>();
        let inner = Arc::new(Mutex::new(Inner {
            remote: None,
            latched: false,
            encrypt: None,
            decrypt: None,
            codec: 0,
            dtmf: None,
            sending: true,
            counters: Counters::default(),
            ssrc: u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]),
            // A start two seconds below the wrap makes every longer call cross it, where rollover counters fail.
            seq: 65_435 - u16::from(seed[4] % 64),
            timestamp: u32::from_be_bytes([seed[6], seed[7], seed[8], seed[9]]),
            marker: true,
            digit_start: None,
        }));
        let tasks = vec![
            tokio::spawn(receive(socket.clone(), inner.clone(), port)),
            tokio::spawn(transmit(socket.clone(), inner.clone(), queue)),
        ];
        Ok(Self { address: socket.local_addr()?, inner, tasks })
    }

    /// Agrees on the far end's description and, with SRTP, on both keys. The same keys again change nothing, so that
    /// the rollover counter survives a re-INVITE.
    pub fn agree(&self, remote: &Audio, keys: Option<(&Crypto, &Crypto)>) -> Result<(), String> {
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        if inner.remote != Some(remote.address) && !inner.latched {
            inner.remote = Some(remote.address);
        }
        inner.codec = remote.codec().ok_or("no common codec")?;
        inner.dtmf = remote.dtmf;
        inner.sending = matches!(remote.direction.as_str(), "sendrecv" | "recvonly");
        if let Some((ours, theirs)) = keys {
            if inner.encrypt.as_ref().is_none_or(|(key, _)| key != ours) {
                inner.encrypt = Some((ours.clone(), context(ours)?));
            }
            if inner.decrypt.as_ref().is_none_or(|(key, _)| key != theirs) {
                inner.decrypt = Some((theirs.clone(), context(theirs)?));
            }
        }
        Ok(())
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        self.inner.lock().expect("no holder of this lock panics").counters
    }
}

async fn even_socket(address: IpAddr) -> std::io::Result<UdpSocket> {
    for _ in 0..PORT_TRIES {
        let socket = UdpSocket::bind((address, 0)).await?;
        if socket.local_addr()?.port() % 2 == 0 {
            return Ok(socket);
        }
    }
    UdpSocket::bind((address, 0)).await
}

fn context(crypto: &Crypto) -> Result<Context, String> {
    let profile = match crypto.suite.as_str() {
        "AES_CM_128_HMAC_SHA1_80" => ProtectionProfile::Aes128CmHmacSha1_80,
        "AES_CM_128_HMAC_SHA1_32" => ProtectionProfile::Aes128CmHmacSha1_32,
        other => return Err(format!("suite {other}")),
    };
    let (key, salt) = crypto.key.split_at(16);
    let rtp = srtp_replay_protection(REPLAY_WINDOW);
    let rtcp = srtcp_replay_protection(REPLAY_WINDOW);
    Context::new(key, salt, profile, Some(rtp), Some(rtcp)).map_err(|e| e.to_string())
}

async fn receive(socket: Arc<UdpSocket>, inner: Arc<Mutex<Inner>>, port: Port) {
    let mut buffer = [0u8; 2048];
    loop {
        let Ok((length, source)) = socket.recv_from(&mut buffer).await else { continue };
        let frame = inner.lock().expect("no holder of this lock panics").on_packet(&buffer[..length], source);
        if let Some(frame) = frame {
            port.came(frame);
        }
    }
}

async fn transmit(socket: Arc<UdpSocket>, inner: Arc<Mutex<Inner>>, mut queue: mpsc::Receiver<Frame>) {
    while let Some(frame) = queue.recv().await {
        let packet = inner.lock().expect("no holder of this lock panics").packet(&frame.sound);
        if let Some((packet, remote)) = packet {
            let _ = socket.send_to(&packet, remote).await;
        }
    }
}

impl Inner {
    fn on_packet(&mut self, packet: &[u8], source: SocketAddr) -> Option<Frame> {
        let plain = match &mut self.decrypt {
            Some((_, context)) => match context.decrypt_rtp(packet) {
                Ok(plain) => plain.to_vec(),
                Err(_) => {
                    self.counters.refused += 1;
                    return None;
                }
            },
            None => packet.to_vec(),
        };
        let (payload_type, seq, timestamp, payload) = rtp(&plain)?;
        if !self.latched {
            self.latched = true;
            self.remote = Some(source);
        }
        let sound = match payload_type {
            0 => Sound::Pcmu(payload.to_vec()),
            8 => Sound::Pcmu(payload.iter().map(|o| linear_to_ulaw(alaw_to_linear(*o))).collect()),
            pt if Some(pt) == self.dtmf && payload.len() >= 4 => Sound::Digit {
                digit: payload[0],
                timestamp,
                duration: u16::from_be_bytes([payload[2], payload[3]]),
                end: payload[1] & 0x80 != 0,
            },
            _ => {
                self.counters.foreign += 1;
                return None;
            }
        };
        self.counters.received += 1;
        Some(Frame { seq, sound })
    }

    fn packet(&mut self, sound: &Sound) -> Option<(Vec<u8>, SocketAddr)> {
        let remote = self.remote?;
        if !self.sending {
            return None;
        }
        let (payload_type, timestamp, payload) = match sound {
            Sound::Pcmu(octets) => {
                self.digit_start = None;
                self.timestamp = self.timestamp.wrapping_add(octets.len() as u32);
                let octets = match self.codec {
                    8 => octets.iter().map(|o| linear_to_alaw(ulaw_to_linear(*o))).collect(),
                    _ => octets.clone(),
                };
                (self.codec, self.timestamp, octets)
            }
            Sound::Digit { digit, timestamp, duration, end } => {
                let pt = self.dtmf?;
                // All packets of one event carry the timestamp of its beginning (RFC 4733 2.5.1.1).
                let start = match self.digit_start {
                    Some((theirs, ours)) if theirs == *timestamp => ours,
                    _ => {
                        self.timestamp = self.timestamp.wrapping_add(160);
                        self.marker = true;
                        self.digit_start = Some((*timestamp, self.timestamp));
                        self.timestamp
                    }
                };
                let [high, low] = duration.to_be_bytes();
                (pt, start, vec![*digit, if *end { 0x8a } else { 0x0a }, high, low])
            }
        };
        self.seq = self.seq.wrapping_add(1);
        let mut packet = vec![0x80, payload_type | if std::mem::take(&mut self.marker) { 0x80 } else { 0 }];
        packet.extend_from_slice(&self.seq.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(&payload);
        if let Some((_, context)) = &mut self.encrypt {
            packet = context.encrypt_rtp(&packet).ok()?.to_vec();
        }
        self.counters.sent += 1;
        Some((packet, remote))
    }
}

/// Payload type, sequence number, timestamp and payload of an RTP packet (RFC 3550 5.1).
fn rtp(packet: &[u8]) -> Option<(u8, u16, u32, &[u8])> {
    if packet.len() < 12 || packet[0] >> 6 != 2 {
        return None;
    }
    let mut start = 12 + 4 * usize::from(packet[0] & 0x0f);
    if packet[0] & 0x10 != 0 {
        let words = packet.get(start + 2..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let mut end = packet.len();
    if packet[0] & 0x20 != 0 {
        end = end.checked_sub(usize::from(packet[end - 1]))?;
    }
    let payload = packet.get(start..end)?;
    let seq = u16::from_be_bytes([packet[2], packet[3]]);
    let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
    Some((packet[1] & 0x7f, seq, timestamp, payload))
}
