//! Session descriptions by lines: what a call of one audio stream needs, and Twilio's fingerprints
//! (TWILIO.md "Codecs").

use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// RFC 4568 key of one direction: suite, 16 bytes of key and 14 of salt.
#[derive(Clone, PartialEq)]
pub struct Crypto {
    /// The tag that ties answer to offer.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80` or `_32`.
    pub suite: String,
    /// Master key and salt.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crypto({} {} ***)", self.tag, self.suite)
    }
}

/// The two suites that Twilio accepts (TWILIO.md "SRTP").
pub const SUITES: [&str; 2] = ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"];

impl Crypto {
    /// A fresh key.
    pub fn generate(tag: u32, suite: &str) -> Self {
        Self { tag, suite: suite.to_owned(), key: crate::random::bytes::<30>().to_vec() }
    }

    fn line(&self) -> String {
        format!("a=crypto:{} {} inline:{}\r\n", self.tag, self.suite, STANDARD.encode(&self.key))
    }

    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let tag = words.next()?.parse().ok()?;
        let suite = words.next()?.to_owned();
        let key = words.next()?.strip_prefix("inline:")?;
        // Lifetime and MKI may follow after `|`; Twilio knows no MKI, and the lifetime changes nothing here.
        let key = STANDARD.decode(key.split('|').next()?).ok()?;
        (key.len() == 30).then_some(Self { tag, suite, key })
    }
}

/// One audio stream.
#[derive(Clone, Debug)]
pub struct Audio {
    /// Where media is to be sent.
    pub address: SocketAddr,
    /// SAVP instead of AVP.
    pub secure: bool,
    /// Payload types in order of preference.
    pub formats: Vec<u8>,
    /// Payload type of `telephone-event/8000`.
    pub dtmf: Option<u8>,
    /// The keys offered or chosen.
    pub crypto: Vec<Crypto>,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub direction: String,
}

/// Why a body is of no use; the text goes to the journal.
pub type SdpError = &'static str;

impl Audio {
    /// Reads the first audio stream of a description.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        let text = std::str::from_utf8(body).map_err(|_| "SDP is not text")?;
        if !text.starts_with("v=0") {
            return Err("SDP does not begin with v=0");
        }
        let (mut connection, mut media, mut in_audio, mut seen_media) = (None, None, false, false);
        let (mut dtmf, mut crypto, mut direction) = (None, Vec::new(), "sendrecv".to_owned());
        for line in text.lines() {
            let Some((kind, value)) = line.split_once('=') else { continue };
            match kind {
                "m" => {
                    in_audio = value.starts_with("audio ") && media.is_none();
                    seen_media = true;
                    if in_audio {
                        media = Some(value.to_owned());
                    }
                }
                "c" if !seen_media || in_audio => connection = value.split_whitespace().nth(2).map(str::to_owned),
                "a" if !seen_media || in_audio => match value.split_once(':') {
                    Some(("rtpmap", map)) if map.to_ascii_lowercase().contains(" telephone-event/8000") => {
                        dtmf = map.split(' ').next().and_then(|pt| pt.parse().ok());
                    }
                    Some(("crypto", line)) => crypto.extend(Crypto::parse(line)),
                    None if ["sendrecv", "sendonly", "recvonly", "inactive"].contains(&value) => {
                        direction = value.to_owned();
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let media = media.ok_or("SDP has no audio")?;
        let mut words = media.split_whitespace().skip(1);
        let port: u16 = words.next().and_then(|p| p.parse().ok()).ok_or("SDP has no port")?;
        let secure = match words.next() {
            Some("RTP/SAVP") => true,
            Some("RTP/AVP") => false,
            _ => return Err("SDP profile is neither RTP/AVP nor RTP/SAVP"),
        };
        let ip: IpAddr = connection.and_then(|c| c.parse().ok()).ok_or("SDP has no c= address")?;
        let formats = words.filter_map(|w| w.parse().ok()).collect();
        Ok(Self { address: SocketAddr::new(ip, port), secure, formats, dtmf, crypto, direction })
    }

    /// PCMU or PCMA, whichever comes first; Twilio knows no other (TWILIO.md "Codecs").
    pub fn codec(&self) -> Option<u8> {
        self.formats.iter().copied().find(|pt| *pt == 0 || *pt == 8)
    }

    /// Writes the description with Twilio's fingerprints: private `o=`, `s=Twilio Media Gateway`, ptime and maxptime 20.
    pub fn to_text(&self, version: u32) -> String {
        self.write("root", "172.18.155.180", "Twilio Media Gateway", version)
    }

    /// Writes the description as a phone would.
    pub fn to_phone_text(&self, version: u32) -> String {
        self.write("-", &self.address.ip().to_string(), "call", version)
    }

    fn write(&self, user: &str, origin: &str, name: &str, version: u32) -> String {
        let profile = if self.secure { "RTP/SAVP" } else { "RTP/AVP" };
        let formats: Vec<String> = self.formats.iter().chain(&self.dtmf).map(u8::to_string).collect();
        let (ip, port) = (self.address.ip(), self.address.port());
        let mut text = format!(
            "v=0\r\no={user} 1185880108 {version} IN IP4 {origin}\r\ns={name}\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} {profile} {}\r\n",
            formats.join(" ")
        );
        for crypto in &self.crypto {
            text.push_str(&crypto.line());
        }
        for format in &self.formats {
            text.push_str(&format!("a=rtpmap:{format} {}/8000\r\n", if *format == 8 { "PCMA" } else { "PCMU" }));
        }
        if let Some(dtmf) = self.dtmf {
            text.push_str(&format!("a=rtpmap:{dtmf} telephone-event/8000\r\na=fmtp:{dtmf} 0-16\r\n"));
        }
        text.push_str(&format!("a=ptime:20\r\na=maxptime:20\r\na={}\r\n", self.direction));
        text
    }
}

/// The direction that answers a direction (RFC 3264 6.1).
pub fn mirrored(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_that_is_written_reads_back() {
        let audio = Audio {
            address: "127.0.0.1:4000".parse().unwrap(),
            secure: true,
            formats: vec![0, 8],
            dtmf: Some(101),
            crypto: vec![Crypto::generate(1, SUITES[0])],
            direction: "sendrecv".to_owned(),
        };
        let back = Audio::parse(audio.to_text(1).as_bytes()).unwrap();
        assert!(back.secure);
        assert_eq!(back.crypto, audio.crypto);
        assert_eq!((back.codec(), back.dtmf), (Some(0), Some(101)));
    }
}
