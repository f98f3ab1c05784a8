//! What the two ends of one leg have agreed on by offer and answer (RFC 3264), with its SRTP keys (RFC 4568).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::description::{self, Demand};
use crate::media::{LegParams, MasterKey, SrtpKeys, Suite};
use crate::random::Random;
use crate::sip::body::BodyError;
use crate::sip::header::Headers;
use crate::sip::sdp::{self, Codec, Crypto, Direction, Local, Place, Profile, Remote, SdpError, Stream};
use crate::subnet::Subnet;

/// What we offer when nothing else restricts it.
pub const CODECS: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

/// Our telephone-event payload type where they named none: what Twilio uses (TWILIO.md "Codecs").
const TELEPHONE_EVENT: u8 = 101;

/// Packet time that we write, milliseconds (Twilio: `a=ptime:20`, `a=maxptime:20`).
const PTIME: u32 = 20;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Sdp(#[from] SdpError),
    #[error("the answer has no session description")]
    Missing,
    #[error("the answer takes none of the codecs that were offered")]
    NoCommonCodec,
    #[error("the answer is {answered} where {offered} was offered")]
    Profile { offered: &'static str, answered: &'static str },
    #[error("the answer takes no crypto line that was offered")]
    Crypto,
}

/// One leg's media negotiation.
#[derive(Clone, Debug)]
pub struct Negotiation {
    /// Our RTP socket.
    rtp: SocketAddr,
    /// The address that we write for it, and the one that we wrote first.
    address: IpAddr,
    origin: IpAddr,
    demand: Demand,
    /// How a first offer of ours has its keys.
    profile: Profile,
    session_id: u64,
    /// The description that we sent last.
    local: Option<Local>,
    /// The description that they sent last.
    remote: Option<Remote>,
    /// The `m=` lines of their last offer and which of them is the audio stream: an offer of ours keeps them.
    lines: Option<(Vec<Stream>, usize)>,
    /// The keys in use once both are known.
    keys: Option<SrtpKeys>,
}

impl Negotiation {
    /// For a leg whose socket is bound at `rtp` and shown to them as `address`.
    pub fn new(rtp: SocketAddr, address: IpAddr, demand: Demand, random: &mut Random) -> Self {
        // RFC 8866 section 5.2 wants a numeric id; 62 bits keep within what 64-bit signed parsers take.
        let session_id = random.u64() >> 2;
        Negotiation {
            rtp,
            address,
            origin: address,
            demand,
            profile: if demand == Demand::Srtp { Profile::Secure } else { Profile::Plain },
            session_id,
            local: None,
            remote: None,
            lines: None,
            keys: None,
        }
    }

    /// How a first offer of ours has its keys.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Says how a first offer of ours shall have its keys. Where one was made already it has been refused: the next one
    /// begins another session.
    pub fn propose(&mut self, profile: Profile) {
        self.profile = profile;
        if self.local.take().is_some() {
            self.session_id += 1;
        }
    }

    /// The codecs that we described last.
    pub fn described(&self) -> Vec<Codec> {
        self.local.as_ref().map(|local| local.codecs.clone()).unwrap_or_default()
    }

    /// Our RTP socket.
    pub fn rtp(&self) -> SocketAddr {
        self.rtp
    }

    /// Our RTP socket has moved. What was described before is so with the new address, as the next version (RFC 3264
    /// section 8.3.1): whatever is sent next tells them.
    pub fn move_to(&mut self, rtp: SocketAddr, address: IpAddr) {
        (self.rtp, self.address) = (rtp, address);
        if let Some(local) = &mut self.local
            && (local.rtp, local.address) != (rtp, address)
        {
            (local.rtp, local.address) = (rtp, address);
            local.version += 1;
        }
    }

    /// What they sent last.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Codecs agreed, ours to them; empty before both descriptions are known.
    pub fn codecs(&self) -> Vec<Codec> {
        match (&self.local, &self.remote) {
            (Some(local), Some(remote)) => {
                local.codecs.iter().copied().filter(|codec| remote.codecs.contains(codec)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The direction that we last wrote.
    pub fn direction(&self) -> Direction {
        self.local.as_ref().map_or(Direction::SendRecv, |local| local.direction)
    }

    /// The direction that they last wrote.
    pub fn remote_direction(&self) -> Direction {
        self.remote.as_ref().map_or(Direction::SendRecv, |remote| remote.direction)
    }

    /// Whether sound from them is agreed on.
    pub fn listens(&self) -> bool {
        self.local.as_ref().is_none_or(|local| local.direction.receives()) && self.remote_direction().sends()
    }

    /// An offer of ours. Codec order is preference; keys of an earlier description are kept, so that a re-INVITE does
    /// not restart SRTP (RFC 4568 section 7.1.4).
    pub fn offer(&mut self, codecs: &[Codec], direction: Direction, random: &mut Random) -> Vec<u8> {
        let crypto = match &self.local {
            Some(local) => local.crypto.clone(),
            None if self.profile != Profile::Plain => offered_crypto(random),
            None => Vec::new(),
        };
        let telephone_event = match (&self.local, &self.remote) {
            (Some(local), _) => local.telephone_event,
            _ => Some(TELEPHONE_EVENT),
        };
        self.put(codecs, telephone_event, direction, crypto);
        self.write(None)
    }

    /// The last description of ours again, unchanged: a session refresh (RFC 4028 section 7.4).
    pub fn repeat(&self) -> Vec<u8> {
        self.write(None)
    }

    /// What an offer on this leg must be.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// Takes their offer. The answer is due.
    pub fn take_offer(&mut self, offer: Remote) {
        self.lines = Some((offer.streams.clone(), offer.audio));
        self.remote = Some(self.placed(offer));
    }

    /// An address of 0.0.0.0 is a hold only where media had an address before (RFC 3264 section 8.4); at the beginning
    /// it means that the address is not known yet.
    fn placed(&self, remote: Remote) -> Remote {
        match &self.remote {
            Some(before) if !before.is_awaiting() => remote,
            _ => remote.awaiting(),
        }
    }

    /// Our answer to the last offer of theirs, taking `codecs` of it: what the other leg takes. Where it offers none of
    /// those, all of it is taken, for the relay converts between the two laws.
    pub fn answer(&mut self, codecs: &[Codec], direction: Direction, random: &mut Random) -> Vec<u8> {
        let Some(remote) = &self.remote else { return Vec::new() };
        let mut taken = remote.codecs.clone();
        if taken.iter().any(|codec| codecs.contains(codec)) {
            taken.retain(|codec| codecs.contains(codec));
        }
        // An unchanged key keeps the roll-over counter where it is; the tag must be the one of their line.
        let crypto = match remote.crypto.as_deref() {
            Some([theirs, ..]) => {
                let key = match self.keys {
                    Some(ref keys) if keys.suite == theirs.suite => keys.local,
                    _ => MasterKey(random.bytes()),
                };
                self.keys = Some(SrtpKeys { suite: theirs.suite, local: key, remote: theirs.key });
                vec![Crypto { tag: theirs.tag, suite: theirs.suite, key }]
            }
            _ => {
                self.keys = None;
                Vec::new()
            }
        };
        let telephone_event = remote.telephone_event;
        let offer = remote.clone();
        self.put(&taken, telephone_event, direction, crypto);
        self.write(Some(&offer))
    }

    /// Takes their answer to our last offer.
    pub fn take_answer(&mut self, headers: &Headers, body: &[u8]) -> Result<(), NegotiationError> {
        let mut remote = self.placed(description::answer(headers, body)?);
        if self.profile == Profile::Beside {
            remote = remote.with_keys_beside();
        }
        let Some(local) = &self.local else { return Err(NegotiationError::NoCommonCodec) };
        if !local.codecs.iter().any(|codec| remote.codecs.contains(codec)) {
            return Err(NegotiationError::NoCommonCodec);
        }
        self.keys = match (local.crypto.is_empty(), remote.crypto.as_deref()) {
            (true, None) => None,
            (false, Some(theirs)) => {
                // RFC 4568 section 5.1.2: the answer repeats the tag of the one line that it takes.
                let pair = theirs.iter().find_map(|line| {
                    let ours = local.crypto.iter().find(|own| own.tag == line.tag && own.suite == line.suite)?;
                    Some(SrtpKeys { suite: line.suite, local: ours.key, remote: line.key })
                });
                Some(pair.ok_or(NegotiationError::Crypto)?)
            }
            (true, Some(_)) => {
                return Err(NegotiationError::Profile { offered: "RTP/AVP", answered: "RTP/SAVP" });
            }
            (false, None) => {
                return Err(NegotiationError::Profile { offered: "RTP/SAVP", answered: "RTP/AVP" });
            }
        };
        self.remote = Some(remote);
        Ok(())
    }

    /// Takes our offer as answered in full where no usable answer came: for a call that must not fail by it. Where
    /// they are is left to their first packet.
    pub fn assume_answer(&mut self) {
        let Some(local) = self.local.as_ref().filter(|local| local.crypto.is_empty()) else { return };
        self.keys = None;
        self.remote = Some(Remote {
            place: Place::Unknown,
            codecs: local.codecs.clone(),
            telephone_event: None,
            direction: Direction::SendRecv,
            crypto: None,
            beside: Vec::new(),
            streams: Vec::new(),
            audio: 0,
            ptime: None,
            rtcp: None,
        });
    }

    /// What the media driver must know; `None` until both descriptions are there. `target` is where RTP goes until
    /// their first packet shows it, `rtcp` where RTCP goes by their `a=rtcp`.
    pub fn params(
        &self,
        target: Option<SocketAddr>,
        rtcp: Option<SocketAddr>,
        latch: Vec<Subnet>,
        silence: Option<Duration>,
    ) -> Option<LegParams> {
        let (local, remote) = (self.local.as_ref()?, self.remote.as_ref()?);
        Some(LegParams {
            remote: target,
            rtcp,
            latch,
            send: local.direction.sends() && remote.direction.receives(),
            receive: self.listens(),
            payload_types: self.codecs().iter().map(|codec| codec.payload_type()).collect(),
            dtmf_in: local.telephone_event,
            dtmf_out: remote.telephone_event,
            srtp: self.keys.clone(),
            silence,
        })
    }

    fn put(&mut self, codecs: &[Codec], telephone_event: Option<u8>, direction: Direction, crypto: Vec<Crypto>) {
        let mut next = Local {
            rtp: self.rtp,
            address: self.address,
            origin: self.origin,
            session_id: self.session_id,
            version: 0,
            codecs: codecs.to_vec(),
            telephone_event,
            direction,
            profile: self.profile,
            crypto,
            ptime: Some(PTIME),
        };
        // RFC 3264 section 8: the version grows by one exactly when the description changes.
        if let Some(last) = &self.local {
            next.version = last.version;
            if next != *last {
                next.version += 1;
            }
        }
        self.local = Some(next);
    }

    /// An answer to `offer`, or an offer with the lines that there are.
    fn write(&self, offer: Option<&Remote>) -> Vec<u8> {
        match (&self.local, offer, &self.lines) {
            (None, _, _) => Vec::new(),
            (Some(local), None, Some((lines, audio))) => sdp::rewrite(local, lines, *audio),
            (Some(local), offer, _) => sdp::write(local, offer),
        }
    }
}

/// What a leg is offered whose other leg takes these codecs: those first, then the others, for the relay converts
/// between the two laws of G.711 where nothing else is left.
pub fn preferring(codecs: &[Codec]) -> Vec<Codec> {
    let others = CODECS.into_iter().filter(|codec| !codecs.contains(codec));
    codecs.iter().copied().chain(others).collect()
}

/// Both suites that Twilio takes, the longer tag first (TWILIO.md "SRTP").
fn offered_crypto(random: &mut Random) -> Vec<Crypto> {
    [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32]
        .into_iter()
        .zip(1..)
        .map(|(suite, tag)| Crypto { tag, suite, key: MasterKey(random.bytes()) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_legs_codecs_are_taken_and_where_none_is_offered_all_that_is() {
        let both = [Codec::Pcmu, Codec::Pcma];
        for (m, other, taken) in [
            ("0 8", &both[..], "0 8 101"),
            ("8 0", &both, "8 0 101"),
            ("0 8", &[Codec::Pcma], "8 101"),
            ("8", &[Codec::Pcmu], "8 101"),
            ("0", &[Codec::Pcma], "0 101"),
        ] {
            let mut random = Random::from_number(1);
            let rtp: SocketAddr = "192.168.1.1:20000".parse().unwrap();
            let mut negotiation = Negotiation::new(rtp, rtp.ip(), Demand::Any, &mut random);
            let offer = format!(
                "v=0\r\nc=IN IP4 192.168.1.20\r\nm=audio 4000 RTP/AVP {m} 101\r\na=rtpmap:101 telephone-event/8000\r\n"
            );
            negotiation.take_offer(sdp::read(offer.as_bytes()).unwrap());
            let answer = negotiation.answer(other, Direction::SendRecv, &mut random);
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains(&format!("m=audio 20000 RTP/AVP {taken}\r\n")), "{m}: {answer}");
        }
        assert_eq!(preferring(&[]), both);
        assert_eq!(preferring(&[Codec::Pcma]), [Codec::Pcma, Codec::Pcmu]);
        assert_eq!(preferring(&[Codec::Pcma, Codec::Pcmu]), [Codec::Pcma, Codec::Pcmu]);
    }

    #[test]
    fn keys_beside_rtp_are_offered_and_taken_both_ways_where_srtp_is_demanded() {
        let mut random = Random::from_number(1);
        let rtp: SocketAddr = "192.168.1.1:20000".parse().unwrap();
        let typed: Headers = vec![crate::sip::header::make("Content-Type", "application/sdp")].into();
        let mut phone = Negotiation::new(rtp, rtp.ip(), Demand::Srtp, &mut random);
        let mut ours = Negotiation::new(rtp, rtp.ip(), Demand::Srtp, &mut random);
        phone.propose(Profile::Beside);
        ours.propose(Profile::Beside);
        let offer = phone.offer(&CODECS, Direction::SendRecv, &mut random);
        assert!(String::from_utf8_lossy(&offer).contains(" RTP/AVP "));
        ours.take_offer(description::offer(&typed, &offer, Demand::Srtp).unwrap().unwrap());
        let answer = ours.answer(&CODECS, Direction::SendRecv, &mut random);
        assert!(String::from_utf8_lossy(&answer).contains(" RTP/AVP "));
        phone.take_answer(&typed, &answer).unwrap();
        let keys = |negotiation: &Negotiation| negotiation.keys.clone().unwrap();
        assert_eq!((keys(&phone).local, keys(&phone).remote), (keys(&ours).remote, keys(&ours).local));
        // Without keys in the answer there is no call.
        let plain = String::from_utf8(answer).unwrap();
        let plain: String = plain.lines().filter(|l| !l.contains("crypto")).map(|l| format!("{l}\r\n")).collect();
        assert!(matches!(phone.take_answer(&typed, plain.as_bytes()), Err(NegotiationError::Profile { .. })));
        // Keys that a plain offer gets back are passed over.
        let mut plain_offer = Negotiation::new(rtp, rtp.ip(), Demand::Any, &mut random);
        plain_offer.offer(&CODECS, Direction::SendRecv, &mut random);
        plain_offer.take_answer(&typed, &ours.repeat()).unwrap();
        assert_eq!(plain_offer.keys, None);
    }

    #[test]
    fn a_refused_offer_in_another_profile_begins_another_session_with_keys_of_its_own() {
        let mut random = Random::from_number(1);
        let rtp: SocketAddr = "192.168.1.1:20000".parse().unwrap();
        let mut negotiation = Negotiation::new(rtp, rtp.ip(), Demand::Any, &mut random);
        let origin = |offer: &[u8]| String::from_utf8_lossy(offer).lines().nth(1).unwrap().to_owned();
        let plain = negotiation.offer(&[Codec::Pcma], Direction::SendRecv, &mut random);
        negotiation.propose(Profile::Secure);
        let described = negotiation.described();
        let secure = negotiation.offer(&CODECS, Direction::SendRecv, &mut random);
        assert!(described.is_empty() && origin(&plain) != origin(&secure));
        let secure = String::from_utf8(secure).unwrap();
        assert!(secure.contains(" RTP/SAVP ") && secure.matches("a=crypto:").count() == 2, "{secure}");
    }

    #[test]
    fn a_socket_that_moved_is_described_by_the_next_version_of_the_same_session() {
        let mut random = Random::from_number(1);
        let rtp = |text: &str| text.parse::<SocketAddr>().unwrap();
        let old = rtp("203.0.113.7:20000");
        let mut negotiation = Negotiation::new(old, old.ip(), Demand::Srtp, &mut random);
        let codecs = [Codec::Pcmu];
        let first = String::from_utf8(negotiation.offer(&codecs, Direction::SendRecv, &mut random)).unwrap();
        let new = rtp("203.0.113.99:20002");
        negotiation.move_to(new, new.ip());
        let second = String::from_utf8(negotiation.offer(&codecs, Direction::SendRecv, &mut random)).unwrap();
        assert_eq!(second.as_bytes(), negotiation.repeat());
        // RFC 3264 section 8: of the origin nothing but the version changes; keys stay (RFC 4568 section 7.1.4).
        let expected = first
            .replacen(" 0 IN IP4 203.0.113.7", " 1 IN IP4 203.0.113.7", 1)
            .replace("c=IN IP4 203.0.113.7", "c=IN IP4 203.0.113.99")
            .replace("m=audio 20000", "m=audio 20002");
        assert!(second.contains("m=audio 20002") && second.contains("c=IN IP4 203.0.113.99"), "{second}");
        assert_eq!(second.replace("a=rtcp:20003", "a=rtcp:20001"), expected.replace("a=rtcp:20003", "a=rtcp:20001"));
    }
}
