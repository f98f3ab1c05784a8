//! Reads a description. Lines that we do not need are not looked at, because phones get them wrong: `o=` with spaces in
//! the name, `b=` without a number, `s=` in Latin-1, no `t=` at all.

use std::net::{IpAddr, SocketAddr};

use super::{Codec, Crypto, Direction, MAX_STREAMS, Place, Profile, Remote, RtcpPlace, SdpError, Stream};

/// Most `a=crypto` lines of a stream that are looked at.
const MAX_CRYPTO: usize = 16;
/// Values of `a=ptime` that make sense, ms.
const PTIME: std::ops::RangeInclusive<u32> = 10..=200;
/// The discard port: no address is known yet.
const DISCARD: u16 = 9;

/// Reads an offer or answer. An active audio stream over RTP with a codec of ours is wanted, the first that we can
/// take. ICE, rtcp-mux, feedback and other attributes are ignored: an answer of ours has none of them, and so they are
/// not used (RFC 8839, RFC 5761 section 5.1.1, RFC 4585). **A session without sound is no call**: an audio stream with
/// port 0 is no audio, whatever stands beside it (a fax by T.38), and in an answer as in an offer.
pub fn read(body: &[u8]) -> Result<Remote, SdpError> {
    let text = String::from_utf8_lossy(body);
    let description = Description::split(&text)?;
    let mut refusal = SdpError::NoAudio;
    for (index, section) in description.media.iter().enumerate() {
        if !section.is_audio() || section.stream.port == 0 {
            continue;
        }
        match description.audio(section) {
            Ok(audio) => return Ok(description.into_remote(index, audio)),
            // The first stream's fault is the one to tell.
            Err(error) if refusal == SdpError::NoAudio => refusal = error,
            Err(_) => {}
        }
    }
    Err(refusal)
}

/// Makes what can be made of a description that [`read`] refuses, for a call that must leave whatever its phone offers:
/// the first audio line, active if one is. Where the line names none of our codecs, both are assumed (RFC 3264 section
/// 6.1 lets an answer name more); where its profile cannot be done (DTLS, SRTP without a usable key), plain RTP is put
/// in its place. `None` when there is no audio line.
pub fn salvage(body: &[u8]) -> Option<Remote> {
    let text = String::from_utf8_lossy(body);
    let mut description = Description::split(&text).ok()?;
    let audio_line = |active: bool| {
        description.media.iter().position(|section| section.is_audio() && (section.stream.port != 0) == active)
    };
    let index = audio_line(true).or_else(|| audio_line(false))?;
    let section = &mut description.media[index];
    if !section.is_usable() {
        section.stream.proto = "RTP/AVP".into();
    }
    if section.stream.port == 0 {
        section.stream.port = DISCARD;
    }
    let section = &description.media[index];
    let (codecs, telephone_event) = match section.payload_types() {
        (codecs, event) if codecs.is_empty() => (vec![Codec::Pcmu, Codec::Pcma], event),
        found => found,
    };
    let audio = description.audio_with(section, codecs, telephone_event);
    Some(description.into_remote(index, audio))
}

/// What was found about the stream that we take.
struct Audio {
    place: Place,
    codecs: Vec<Codec>,
    telephone_event: Option<u8>,
    direction: Direction,
    crypto: Option<Vec<Crypto>>,
    beside: Vec<Crypto>,
    ptime: Option<u32>,
    rtcp: Option<RtcpPlace>,
}

/// The lines, sorted to the sections that they belong to.
struct Description<'a> {
    connection: Option<&'a str>,
    attributes: Vec<(&'a str, &'a str)>,
    media: Vec<Section<'a>>,
}

/// An `m=` line and what follows it.
struct Section<'a> {
    stream: Stream,
    connection: Option<&'a str>,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Description<'a> {
    fn split(text: &'a str) -> Result<Self, SdpError> {
        let lines =
            || text.split(['\n', '\r']).map(|line| line.trim_matches([' ', '\t', '\0'])).filter(|l| !l.is_empty());
        if lines().next() != Some("v=0") {
            return Err(malformed("it does not begin with v=0"));
        }
        let mut description = Description { connection: None, attributes: Vec::new(), media: Vec::new() };
        for line in lines() {
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            if kind == "m" {
                if description.media.len() == MAX_STREAMS {
                    return Err(malformed(format!("more than {MAX_STREAMS} m= lines")));
                }
                let stream = stream(value).ok_or_else(|| malformed(format!("m={value}")))?;
                description.media.push(Section { stream, connection: None, attributes: Vec::new() });
                continue;
            }
            let (connection, attributes) = match description.media.last_mut() {
                Some(section) => (&mut section.connection, &mut section.attributes),
                None => (&mut description.connection, &mut description.attributes),
            };
            match kind {
                // Several are of layered multicast; the first is the address.
                "c" if connection.is_none() => *connection = Some(value),
                "a" => attributes.push(value.split_once(':').unwrap_or((value, ""))),
                _ => {}
            }
        }
        Ok(description)
    }

    fn audio(&self, section: &Section<'_>) -> Result<Audio, SdpError> {
        let profile = section.profile().ok_or(SdpError::NoAudio)?;
        let (codecs, telephone_event) = section.payload_types();
        if codecs.is_empty() {
            return Err(SdpError::NoCodec(section.stream.fmt.clone()));
        }
        if profile == Profile::Secure && section.crypto().is_empty() {
            return Err(SdpError::NoCrypto);
        }
        Ok(self.audio_with(section, codecs, telephone_event))
    }

    fn audio_with(&self, section: &Section<'_>, codecs: Vec<Codec>, telephone_event: Option<u8>) -> Audio {
        let (crypto, beside) = match section.profile() {
            Some(Profile::Secure) => (Some(section.crypto()), Vec::new()),
            _ => (None, section.crypto()),
        };
        let written = section.direction().or_else(|| direction(&self.attributes)).unwrap_or(Direction::SendRecv);
        let connection = section.connection.or(self.connection);
        let place = match (section.stream.port, connection.and_then(address)) {
            (DISCARD, _) => Place::Unknown,
            (port, None) => Place::Port(port),
            (port, Some(address)) if address.is_unspecified() => Place::Zeros { port, written },
            (port, Some(address)) => Place::At(SocketAddr::new(address, port)),
        };
        let direction = match place {
            Place::Zeros { .. } => Direction::new(written.sends(), false),
            _ => written,
        };
        let ptime = section.values("ptime").next().and_then(|ms| ms.parse().ok()).filter(|ms| PTIME.contains(ms));
        let rtcp = section.values("rtcp").next().and_then(rtcp);
        Audio { place, codecs, telephone_event, direction, crypto, beside, ptime, rtcp }
    }

    fn into_remote(self, index: usize, audio: Audio) -> Remote {
        Remote {
            place: audio.place,
            codecs: audio.codecs,
            telephone_event: audio.telephone_event,
            direction: audio.direction,
            crypto: audio.crypto,
            beside: audio.beside,
            streams: self.media.into_iter().map(|section| section.stream).collect(),
            audio: index,
            ptime: audio.ptime,
            rtcp: audio.rtcp,
        }
    }
}

impl<'a> Section<'a> {
    fn is_audio(&self) -> bool {
        self.stream.media == "audio"
    }

    /// What its name says; `None` for what is not RTP, or RTP with keys of DTLS.
    fn profile(&self) -> Option<Profile> {
        match &*self.stream.proto.to_ascii_uppercase() {
            "RTP/AVP" | "RTP/AVPF" => Some(Profile::Plain),
            "RTP/SAVP" | "RTP/SAVPF" => Some(Profile::Secure),
            _ => None,
        }
    }

    /// Whether its profile can be done.
    fn is_usable(&self) -> bool {
        match self.profile() {
            Some(Profile::Plain | Profile::Beside) => true,
            Some(Profile::Secure) => !self.crypto().is_empty(),
            None => false,
        }
    }

    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.trim())
    }

    fn direction(&self) -> Option<Direction> {
        direction(&self.attributes)
    }

    /// Codecs of ours and telephone-event, in the order of the `m=` line. Static payload types need no rtpmap, and G.711
    /// has no others here: who maps it to a dynamic one sends it by that one.
    fn payload_types(&self) -> (Vec<Codec>, Option<u8>) {
        let mut codecs = Vec::new();
        let mut telephone_event = None;
        for payload_type in self.stream.fmt.split_ascii_whitespace().filter_map(|fmt| fmt.parse::<u8>().ok()) {
            let encoding = self.encoding(payload_type);
            let is = |name: &str| encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(name));
            let codec = [Codec::Pcmu, Codec::Pcma]
                .into_iter()
                .find(|codec| codec.payload_type() == payload_type && (encoding.is_none() || is(codec.name())));
            match codec {
                Some(codec) if !codecs.contains(&codec) => codecs.push(codec),
                None if is("telephone-event") && payload_type < 128 && telephone_event.is_none() => {
                    telephone_event = Some(payload_type);
                }
                _ => {}
            }
        }
        (codecs, telephone_event)
    }

    /// The encoding name of a payload type at 8000 Hz in one channel; another rate gives a name that is none.
    fn encoding(&self, payload_type: u8) -> Option<&'a str> {
        self.values("rtpmap").find_map(|rtpmap| {
            let (number, encoding) = rtpmap.split_once([' ', '\t'])?;
            if number.parse() != Ok(payload_type) {
                return None;
            }
            let mut parts = encoding.trim().split('/');
            let name = parts.next().unwrap_or_default();
            let known = parts.next() == Some("8000") && matches!(parts.next(), None | Some("1"));
            Some(if known { name } else { "" })
        })
    }

    /// Lines with suites and parameters that we have; one of each tag.
    fn crypto(&self) -> Vec<Crypto> {
        let mut all: Vec<Crypto> = Vec::new();
        for crypto in self.values("crypto").take(MAX_CRYPTO).filter_map(|value| Crypto::parse(value).ok().flatten()) {
            if all.iter().all(|other| other.tag != crypto.tag) {
                all.push(crypto);
            }
        }
        all
    }
}

fn malformed(what: impl Into<String>) -> SdpError {
    SdpError::Malformed(what.into())
}

/// `audio 5004/1 RTP/AVP 0 8 101`
fn stream(value: &str) -> Option<Stream> {
    let mut words = value.split_ascii_whitespace();
    let (media, port, proto) = (words.next()?, words.next()?, words.next()?);
    let port = port.split('/').next()?.parse().ok()?;
    let fmt = words.collect::<Vec<_>>().join(" ");
    Some(Stream { media: media.to_owned(), port, proto: proto.to_owned(), fmt })
}

/// `53020` or `53020 IN IP4 192.0.2.1` (RFC 3605 section 2.1). The discard port, and an address of zeros, say nothing.
fn rtcp(value: &str) -> Option<RtcpPlace> {
    let (port, connection) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let port = port.parse().ok().filter(|port| ![0, DISCARD].contains(port))?;
    Some(RtcpPlace { port, address: address(connection).filter(|address| !address.is_unspecified()) })
}

/// `IN IP4 192.0.2.1/127`. Unicast or unspecified; names are not looked up.
fn address(value: &str) -> Option<IpAddr> {
    let mut words = value.split_ascii_whitespace();
    let ("IN", "IP4" | "IP6", address) = (words.next()?, words.next()?, words.next()?) else {
        return None;
    };
    let address: IpAddr = address.split('/').next()?.parse().ok()?;
    (!address.is_multicast()).then_some(address)
}

fn direction(attributes: &[(&str, &str)]) -> Option<Direction> {
    attributes.iter().find_map(|(name, _)| Direction::from_token(name))
}
