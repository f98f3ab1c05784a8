//! Offer and answer of an agent.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use gateway_core::media::MasterKey;
use gateway_core::sip::sdp::{self, Direction, Remote};

/// What one call of an agent describes, and what it was told.
#[derive(Clone, Debug)]
pub struct Media {
    pub rtp: SocketAddr,
    pub key: MasterKey,
    pub secure: bool,
    codecs: Vec<u8>,
    version: u64,
    /// We put them on hold.
    pub holding: bool,
    /// The last description of the other end.
    pub theirs: Option<Remote>,
    /// What we wrote last.
    pub direction: Direction,
}

impl Media {
    pub fn new(host: IpAddr, port: u16, key: MasterKey, secure: bool, codecs: &[u8]) -> Self {
        Media {
            rtp: SocketAddr::new(host, port),
            key,
            secure,
            codecs: codecs.to_vec(),
            version: 0,
            holding: false,
            theirs: None,
            direction: Direction::SendRecv,
        }
    }

    pub fn knows_g711(&self) -> bool {
        self.codecs.iter().any(|payload_type| matches!(payload_type, 0 | 8))
    }

    /// An offer.
    pub fn offer(&mut self) -> Vec<u8> {
        self.direction = if self.holding { Direction::SendOnly } else { Direction::SendRecv };
        self.write(&self.codecs.clone(), 1)
    }

    /// Takes their offer and answers it; `Err` is what the offer does wrong.
    pub fn answer(&mut self, offer: &[u8]) -> Result<Vec<u8>, String> {
        let theirs = self.read(offer)?;
        let wanted = if self.holding { Direction::SendOnly } else { Direction::SendRecv };
        let (sends, receives) =
            (wanted.sends() && theirs.direction.receives(), wanted.receives() && theirs.direction.sends());
        self.direction = Direction::new(sends, receives);
        let tag = theirs.crypto.as_ref().and_then(|lines| lines.first()).map_or(1, |line| line.tag);
        let codecs: Vec<u8> =
            theirs.codecs.iter().map(|codec| codec.payload_type()).filter(|pt| self.codecs.contains(pt)).collect();
        self.theirs = Some(theirs);
        if codecs.is_empty() {
            return Err("no codec in common".into());
        }
        Ok(self.write(&codecs, tag))
    }

    /// Takes their answer.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<(), String> {
        let theirs = self.read(answer)?;
        if let Some([_, _, ..]) = theirs.crypto.as_deref() {
            return Err("an answer with two a=crypto lines".into());
        }
        if !theirs.codecs.iter().all(|codec| self.codecs.contains(&codec.payload_type())) {
            return Err(format!("answers {:?}, which was not offered", theirs.codecs));
        }
        if theirs.direction.sends() && !self.direction.receives()
            || theirs.direction.receives() && !self.direction.sends()
        {
            return Err(format!("answers {:?} to {:?}", theirs.direction, self.direction));
        }
        self.theirs = Some(theirs);
        Ok(())
    }

    fn read(&self, body: &[u8]) -> Result<Remote, String> {
        let remote = sdp::read(body).map_err(|error| format!("a description that cannot be used: {error}"))?;
        if remote.crypto.is_some() != self.secure {
            return Err("the wrong profile: RTP/AVP or RTP/SAVP".into());
        }
        Ok(remote)
    }

    fn write(&mut self, codecs: &[u8], tag: u32) -> Vec<u8> {
        self.version += 1;
        let (host, port) = (self.rtp.ip(), self.rtp.port());
        let profile = if self.secure { "RTP/SAVP" } else { "RTP/AVP" };
        let formats: String = codecs.iter().map(|pt| format!(" {pt}")).collect();
        let mut text = format!(
            "v=0\r\no=- 77 {} IN IP4 {host}\r\ns=call\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} {profile}{formats} 101\r\n",
            self.version
        );
        if self.secure {
            let key = base64::engine::general_purpose::STANDARD.encode(self.key.0);
            text += &format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n");
        }
        if codecs.contains(&9) {
            text += "a=rtpmap:9 G722/8000\r\n";
        }
        text += "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n";
        text += &format!("a={}\r\n", self.direction.token());
        text.into_bytes()
    }
}
