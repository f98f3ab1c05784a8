//! One leg of the relay: what it takes, and what it sends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::dtmf::{self, Events};
use super::g711::Law;
use super::latch::Latch;
use super::outgoing::{Numbers, Origin, Outgoing};
use super::packet::{self, HEADER, Header, MAX_PACKET, is_rtp_or_rtcp};
use super::quality::{Arrival, Reception};
use super::relay::Slot;
use super::rtcp::{self, Block, CNAME_LEN, Translation};
use super::sound::{Playing, Sound, Step};
use super::srtp::{SrtpError, SrtpReceiver, SrtpSender};
use super::{LegParams, MediaLeg, Notice, Report, SrtpKeys, port_above};
use crate::random::Random;
use crate::time::{Instant, soonest};

/// How long packets under the former key are still opened after a re-key: they were on their way, or their sender has
/// not seen our answer yet.
pub const FORMER_KEY_FOR: Duration = Duration::from_secs(2);

/// A packet that was taken: in clear text, in the numbers of the leg that it came by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    header: Header,
    len: usize,
    origin: Origin,
    extended: u64,
    is_event: bool,
}

/// Both directions' SRTP state.
struct Crypto {
    keys: SrtpKeys,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    /// The receiver before a re-key, and until when it may be used.
    former: Option<(SrtpReceiver, Instant)>,
}

impl Crypto {
    fn new(keys: SrtpKeys) -> Self {
        let sender = SrtpSender::new(keys.suite, &keys.local);
        let receiver = SrtpReceiver::new(keys.suite, &keys.remote);
        Crypto { keys, sender, receiver, former: None }
    }

    /// Opens a packet under the present or, for a while, the former key. A packet that does not open is unchanged.
    fn unprotect(
        &mut self,
        now: Instant,
        mut open: impl FnMut(&mut SrtpReceiver) -> Result<usize, SrtpError>,
    ) -> Result<usize, SrtpError> {
        if self.former.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.former = None;
        }
        match (open(&mut self.receiver), &mut self.former) {
            (Err(_), Some((former, _))) => open(former),
            (result, _) => result,
        }
    }
}

/// State of one leg.
pub(super) struct Leg {
    id: MediaLeg,
    pub(super) partner: Option<Slot>,
    params: Option<LegParams>,
    /// The one law of G.711 that was agreed; what comes in the other is converted. `None`: both or none.
    only: Option<Law>,
    crypto: Option<Box<Crypto>>,

    latch: Latch,
    rtcp_latch: Latch,
    reception: Option<Reception>,
    /// Streams received so far: tells one [`Origin`] from the next.
    streams: u32,
    /// When the last packet came, or when we began to wait for one.
    heard: Instant,
    silent: bool,
    started: bool,

    outgoing: Outgoing,
    cname: [u8; CNAME_LEN],
    events: Events,
    /// A sound of ours that is being sent.
    playing: Option<Box<Playing>>,
    /// Timestamp of the event that is being sent, ours or relayed.
    event_timestamp: Option<u32>,

    /// Counters; loss and jitter are those of former streams.
    report: Report,
}

impl Leg {
    pub(super) fn new(id: MediaLeg, random: &mut Random) -> Self {
        let mut cname = [0; CNAME_LEN];
        cname.copy_from_slice(random.hex(CNAME_LEN / 2).as_bytes());
        Leg {
            id,
            partner: None,
            params: None,
            only: None,
            crypto: None,
            latch: Latch::default(),
            rtcp_latch: Latch::default(),
            reception: None,
            streams: 0,
            heard: Instant::ZERO,
            silent: false,
            started: false,
            outgoing: Outgoing::new(random),
            cname,
            events: Events::default(),
            playing: None,
            event_timestamp: None,
            report: Report::default(),
        }
    }

    /// Takes new parameters. What did not change keeps its state: the same keys keep their rollover counters and
    /// windows over a re-INVITE, the same remote address its latch.
    pub(super) fn set(&mut self, now: Instant, params: LegParams, random: &mut Random) {
        let former = self.params.as_ref();
        if former.is_none_or(|former| former.remote != params.remote) {
            self.latch.release();
        }
        if former.is_none_or(|former| former.declared_rtcp() != params.declared_rtcp()) {
            self.rtcp_latch.release();
        }
        let waited = former.is_some_and(|former| former.receive && former.silence == params.silence);
        if params.receive && !waited {
            self.heard = now;
            self.silent = false;
        }
        self.set_keys(now, params.srtp.as_ref(), random);
        if !params.send || params.dtmf_out.is_none() {
            self.events.clear();
        }
        self.only = match params.payload_types[..] {
            [payload_type] => Law::of_payload_type(payload_type),
            _ => None,
        };
        self.params = Some(params);
    }

    fn set_keys(&mut self, now: Instant, keys: Option<&SrtpKeys>, random: &mut Random) {
        match (&mut self.crypto, keys) {
            (None, None) => {}
            (Some(crypto), Some(keys)) if crypto.keys == *keys => {}
            (crypto, None) => *crypto = None,
            (crypto, Some(keys)) => {
                let mut fresh = Crypto::new(keys.clone());
                let former = crypto.take().map(|former| *former);
                let same_sender = |old: &SrtpKeys| (old.suite, old.local) == (keys.suite, keys.local);
                let same_receiver = |old: &SrtpKeys| (old.suite, old.remote) == (keys.suite, keys.remote);
                let keeps_sender = former.as_ref().is_some_and(|former| same_sender(&former.keys));
                if let Some(former) = former {
                    if same_receiver(&former.keys) {
                        (fresh.receiver, fresh.former) = (former.receiver, former.former);
                    } else {
                        fresh.former = Some((former.receiver, now + FORMER_KEY_FOR));
                    }
                    if keeps_sender {
                        fresh.sender = former.sender;
                    }
                }
                if !keeps_sender {
                    // Whether the rollover counter survives a new key is read differently (RFC 3711 section 3.2.1
                    // says yes, most products start at 0). Under a new SSRC there is nothing to misread. It also
                    // keeps the key stream new if an old key ever comes back.
                    self.outgoing = Outgoing::new(random);
                }
                *crypto = Some(Box::new(fresh));
            }
        }
    }

    // What comes in.

    /// Checks a packet, opens it, and counts it. `None` when it goes no further.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
        notices: &mut VecDeque<Notice>,
    ) -> Option<Received> {
        let Some((params, header)) = self.params.as_ref().zip(readable(buffer, len).and_then(Header::read)) else {
            self.report.foreign += 1;
            return None;
        };
        let is_event = params.takes_event(header.payload_type);
        if !(is_event || params.payload_types.contains(&header.payload_type))
            || !self.latch.admits(now, from, params.remote, &params.latch)
        {
            self.report.foreign += 1;
            return None;
        }
        let len = match &mut self.crypto {
            None => len,
            Some(crypto) => match crypto.unprotect(now, |receiver| receiver.unprotect_rtp(buffer, len)) {
                Ok(len) => len,
                Err(_) => {
                    self.report.rejected += 1;
                    return None;
                }
            },
        };
        let Some(body) = header.body(&buffer[..len]).filter(|body| !is_event || body.len() >= dtmf::PAYLOAD) else {
            self.report.foreign += 1;
            return None;
        };
        let receive = params.receive;

        self.latch.record(now, from);
        self.heard = now;
        if std::mem::take(&mut self.silent) {
            notices.push_back(Notice::Heard { leg: self.id });
        }
        if !self.started {
            self.started = true;
            notices.push_back(Notice::Started { leg: self.id, from });
        }
        self.report.packets_received += 1;
        self.report.octets_received += body.len() as u64;
        let extended = self.arrive(now, &header, is_event)?;
        let origin = Origin { leg: self.id, stream: self.streams };
        receive.then_some(Received { header, len, origin, extended, is_event })
    }

    /// Places a packet in its stream, and begins another one where that is due.
    fn arrive(&mut self, now: Instant, header: &Header, is_event: bool) -> Option<u64> {
        let same = self.reception.as_mut().filter(|reception| reception.ssrc == header.ssrc);
        let arrival = same.map_or(Arrival::Restarted, |reception| reception.arrive(header.sequence));
        let extended = match arrival {
            Arrival::Suspect => return None,
            Arrival::Valid(extended) => extended,
            Arrival::Restarted => {
                if let Some(former) = self.reception.take() {
                    self.report.lost += former.lost();
                    self.report.jitter = former.jitter();
                    self.streams = self.streams.wrapping_add(1);
                }
                let reception = self.reception.insert(Reception::new(header.ssrc, header.sequence));
                match reception.arrive(header.sequence) {
                    Arrival::Valid(extended) => extended,
                    Arrival::Suspect | Arrival::Restarted => return None,
                }
            }
        };
        if let Some(reception) = self.reception.as_mut().filter(|_| !is_event) {
            reception.clock(now, header.timestamp);
        }
        Some(extended)
    }

    /// Checks an RTCP packet and opens it; gives its length in clear text.
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<usize> {
        let declared = self.params.as_ref().and_then(LegParams::declared_rtcp);
        let admitted = self.params.as_ref().is_some_and(|p| self.rtcp_latch.admits(now, from, declared, &p.latch));
        if !admitted || !readable(buffer, len).is_some_and(|packet| is_rtp_or_rtcp(packet[0])) {
            self.report.foreign += 1;
            return None;
        }
        let len = match &mut self.crypto {
            None => len,
            Some(crypto) => match crypto.unprotect(now, |receiver| receiver.unprotect_rtcp(buffer, len)) {
                Ok(len) => len,
                Err(_) => {
                    self.report.rejected += 1;
                    return None;
                }
            },
        };
        self.rtcp_latch.record(now, from);
        Some(len)
    }

    // What goes out.

    /// Sends a packet of the partner's on: where to, and how long it is. Two legs on one law each, and not the same, hear
    /// each other by a table: the one conversion that the relay does.
    pub(super) fn relay(&mut self, now: Instant, packet: Received, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let to = self.destination()?;
        if self.events.is_sending() || self.playing.is_some() {
            return None;
        }
        let payload_type = match (packet.is_event, self.only) {
            (true, _) => self.params.as_ref()?.dtmf_out?,
            (false, Some(only)) if only.payload_type() != packet.header.payload_type => {
                let law = Law::of_payload_type(packet.header.payload_type)?;
                let body = packet.header.body(&buffer[..packet.len])?;
                law.convert_all(&mut buffer[body], only);
                only.payload_type()
            }
            (false, _) => packet.header.payload_type,
        };
        let numbers = self.outgoing.relay(now, packet.origin, packet.extended, packet.header.timestamp)?;
        let numbers = Numbers { begins: numbers.begins || packet.header.marker, ..numbers };
        self.finish(buffer, packet.len, packet.header.payload, payload_type, numbers, packet.is_event, to)
    }

    /// The digit packet that is due, if any.
    pub(super) fn send_digit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let event = self.events.poll(now)?;
        let payload_type = self.params.as_ref()?.dtmf_out?;
        let to = self.destination()?;
        let timestamp = match self.event_timestamp {
            Some(timestamp) if !event.begins => timestamp,
            _ => self.outgoing.now(now),
        };
        if event.begins {
            self.outgoing.set_clock(now, timestamp);
        }
        let numbers = Numbers { sequence: self.outgoing.take(), timestamp, begins: event.begins };
        let len = HEADER + dtmf::PAYLOAD;
        let packet = buffer.get_mut(..len)?;
        packet[0] = 0x80;
        packet[HEADER..].copy_from_slice(&event.payload);
        self.finish(buffer, len, HEADER, payload_type, numbers, true, to)
    }

    /// The packet of a sound that is due, if any. It passes in its time also while they cannot be reached.
    pub(super) fn send_sound(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        notices: &mut VecDeque<Notice>,
    ) -> Option<(SocketAddr, usize)> {
        let law = self.law();
        let begin = self.outgoing.now(now);
        let step = match (self.playing.as_mut()?, law) {
            (playing, Some((_, law))) => playing.step(now, law, begin, buffer)?,
            // Negotiated away.
            (_, None) => Step::Over,
        };
        let Step::Packet { len, timestamp, begins } = step else {
            self.playing = None;
            notices.push_back(Notice::Played { leg: self.id });
            return None;
        };
        let to = self.destination().filter(|_| !self.events.is_sending())?;
        self.outgoing.set_clock(now, timestamp);
        let numbers = Numbers { sequence: self.outgoing.take(), timestamp, begins };
        *buffer.first_mut()? = 0x80;
        self.finish(buffer, len, HEADER, law?.0, numbers, false, to)
    }

    /// Writes the header, protects and counts.
    #[expect(clippy::too_many_arguments, reason = "the fields of one packet, which no other place needs together")]
    fn finish(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        payload: usize,
        payload_type: u8,
        numbers: Numbers,
        is_event: bool,
        to: SocketAddr,
    ) -> Option<(SocketAddr, usize)> {
        let Numbers { sequence, timestamp, begins } = numbers;
        packet::rewrite(buffer.first_chunk_mut()?, begins, payload_type, sequence, timestamp, self.outgoing.ssrc);
        let sent = match &mut self.crypto {
            None => len,
            // A duplicate, or older than the window: its key stream was used.
            Some(crypto) => crypto.sender.protect_rtp(buffer, len).ok()?,
        };
        if is_event && self.event_timestamp.replace(timestamp) != Some(timestamp) {
            self.report.dtmf += 1;
        }
        let octets = len - payload;
        self.outgoing.packets = self.outgoing.packets.wrapping_add(1);
        self.outgoing.octets = self.outgoing.octets.wrapping_add(octets as u32);
        self.report.packets_sent += 1;
        self.report.octets_sent += octets as u64;
        Some((to, sent))
    }

    /// Sends a report of the partner's on, in our numbers.
    pub(super) fn relay_rtcp(&mut self, partner: &Leg, buffer: &mut [u8], len: usize) -> Option<(SocketAddr, usize)> {
        let to = self.rtcp_latch.source().or_else(|| self.rtcp_destination())?;
        let (theirs, ours) = (Origin { leg: partner.id, stream: partner.streams }, self.origin());
        let translation =
            Translation {
                ssrc: self.outgoing.ssrc,
                cname: self.cname,
                packets: self.outgoing.packets,
                octets: self.outgoing.octets,
                sender: partner.reception.as_ref().map(|r| r.ssrc).zip(self.outgoing.timestamp_offset(theirs)),
                block: self.reception.as_ref().zip(partner.outgoing.sequence_back(ours)).map(
                    |(reception, sequence)| Block { ours: partner.outgoing.ssrc, theirs: reception.ssrc, sequence },
                ),
            };
        let len = rtcp::translate(buffer, len, &translation)?;
        match &mut self.crypto {
            None => Some((to, len)),
            Some(crypto) => Some((to, crypto.sender.protect_rtcp(buffer, len).ok()?)),
        }
    }

    /// Where RTCP goes before any came: where their SDP says (RFC 3605), else above the port of RTP. An SDP that is wrong
    /// about RTP is not believed about RTCP, either.
    fn rtcp_destination(&self) -> Option<SocketAddr> {
        let params = self.params.as_ref()?;
        let Some(latched) = self.latch.source() else { return params.declared_rtcp() };
        let believed = params.remote.is_some_and(|remote| remote.ip() == latched.ip());
        params.rtcp.filter(|_| believed).or_else(|| port_above(latched))
    }

    fn origin(&self) -> Origin {
        Origin { leg: self.id, stream: self.streams }
    }

    /// Where RTP goes: to the latched source, before that to the declared address. `None` when we may not send, or while
    /// neither is known.
    fn destination(&self) -> Option<SocketAddr> {
        let params = self.params.as_ref().filter(|params| params.send)?;
        self.latch.source().or(params.remote)
    }

    // Digits and silence.

    /// Queues a digit, if the leg may send it.
    pub(super) fn push_digit(&mut self, digit: char, duration: Duration) -> bool {
        let can = self.destination().is_some() && self.params.as_ref().is_some_and(|params| params.dtmf_out.is_some());
        can && self.events.push(digit, duration)
    }

    /// What the partner says goes out from now on, and no sound any more.
    pub(super) fn connect(&mut self, partner: Slot) {
        self.partner = Some(partner);
        self.playing = None;
    }

    /// Begins a sound; false when no law is agreed in which it could be sent.
    pub(super) fn play(&mut self, now: Instant, sound: Sound) -> bool {
        let can = self.law().is_some();
        self.playing = can.then(|| Box::new(Playing::new(now, sound)));
        can
    }

    /// The first payload type that has a law, and the law.
    fn law(&self) -> Option<(u8, Law)> {
        let types = &self.params.as_ref()?.payload_types;
        types.iter().find_map(|payload_type| Some((*payload_type, Law::of_payload_type(*payload_type)?)))
    }

    /// When the next packet of our own is due: a digit's, or a sound's.
    pub(super) fn own_due(&self) -> Option<Instant> {
        soonest(self.events.due(), self.playing.as_ref().map(|playing| playing.due()))
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// When the leg counts as silent, unless a packet comes. `None` when it is already, or need not receive.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let params = self.params.as_ref().filter(|params| params.receive && !self.silent)?;
        params.silence.map(|silence| self.heard + silence)
    }

    /// Says once that nothing comes; gives the time of the next check.
    pub(super) fn check_silence(&mut self, now: Instant, notices: &mut VecDeque<Notice>) -> Option<Instant> {
        let at = self.silent_at()?;
        if at > now {
            return Some(at);
        }
        self.silent = true;
        notices.push_back(Notice::Silent { leg: self.id });
        None
    }

    /// The figures so far.
    pub(super) fn report(&self) -> Report {
        let mut report = self.report.clone();
        if let Some(reception) = &self.reception {
            report.lost += reception.lost();
            report.jitter = reception.jitter();
        }
        report
    }
}

/// The packet, if it has at least one octet and is not longer than a packet may be.
fn readable(buffer: &[u8], len: usize) -> Option<&[u8]> {
    (1..=MAX_PACKET).contains(&len).then(|| buffer.get(..len)).flatten()
}
