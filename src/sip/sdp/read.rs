//! Reads a description. Lines that we do not need are not looked at, because phones get them wrong: `o=` with spaces in
//! the name, `b=` without a number, `s=` in Latin-1, no `t=` at all.

use std::net::{IpAddr, SocketAddr};

use super::{Codec, Crypto, Direction, MAX_STREAMS, Remote, SdpError, Stream};

/// Most `a=crypto` lines of a stream that are looked at.
const MAX_CRYPTO: usize = 16;
/// Values of `a=ptime` that make sense, ms.
const PTIME: std::ops::RangeInclusive<u32> = 10..=200;

/// Reads an offer or answer. An active RTP/AVP or RTP/SAVP audio stream with a codec of ours is wanted, the first that
/// we can take; ICE, DTLS, rtcp-mux and other attributes are ignored. For a session refresh, port 0 of the audio stream
/// is allowed.
pub fn read(body: &[u8]) -> Result<Remote, SdpError> {
    let text = String::from_utf8_lossy(body);
    let description = Description::split(&text)?;
    let mut refusal = SdpError::NoAudio;
    // An active stream first; only if there is none, one with port 0.
    for active in [true, false] {
        for (index, section) in description.media.iter().enumerate() {
            if section.stream.media != "audio" || (section.stream.port != 0) != active {
                continue;
            }
            match description.audio(section) {
                Ok(audio) => {
                    return Ok(Remote {
                        rtp: audio.rtp,
                        codecs: audio.codecs,
                        telephone_event: audio.telephone_event,
                        direction: audio.direction,
                        crypto: audio.crypto,
                        streams: description.media.into_iter().map(|section| section.stream).collect(),
                        audio: index,
                        ptime: audio.ptime,
                    });
                }
                // The first stream's fault is the one to tell.
                Err(error) if refusal == SdpError::NoAudio => refusal = error,
                Err(_) => {}
            }
        }
    }
    Err(refusal)
}

/// What was found about the stream that we take.
struct Audio {
    rtp: Option<SocketAddr>,
    codecs: Vec<Codec>,
    telephone_event: Option<u8>,
    direction: Direction,
    crypto: Option<Vec<Crypto>>,
    ptime: Option<u32>,
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
        let secure = match &*section.stream.proto.to_ascii_uppercase() {
            "RTP/AVP" => false,
            "RTP/SAVP" => true,
            _ => return Err(SdpError::NoAudio),
        };
        let (codecs, telephone_event) = section.payload_types();
        if codecs.is_empty() {
            return Err(SdpError::NoCodec(section.stream.fmt.clone()));
        }
        let crypto = secure.then(|| section.crypto());
        if crypto.as_ref().is_some_and(Vec::is_empty) {
            return Err(SdpError::NoCrypto);
        }
        let mut direction = section.direction().or_else(|| direction(&self.attributes)).unwrap_or(Direction::SendRecv);
        let mut rtp = None;
        if section.stream.port != 0 {
            let connection = section.connection.or(self.connection).ok_or_else(|| malformed("no c= line"))?;
            let address = address(connection).ok_or_else(|| malformed(format!("c={connection}")))?;
            if address.is_unspecified() {
                direction = Direction::new(direction.sends(), false);
            } else {
                rtp = Some(SocketAddr::new(address, section.stream.port));
            }
        }
        let ptime = section.values("ptime").next().and_then(|ms| ms.parse().ok()).filter(|ms| PTIME.contains(ms));
        Ok(Audio { rtp, codecs, telephone_event, direction, crypto, ptime })
    }
}

impl<'a> Section<'a> {
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
