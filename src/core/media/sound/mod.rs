//! A recorded sentence: G.711 octets that the relay can send out by a leg.
//!
//! Files: WAV of 8000 Hz, one channel, µ-law, A-law or PCM of 16 bits; or the bare octets, named `.ulaw` or `.alaw`.

mod playing;

use std::sync::Arc;
use std::time::Duration;

pub(super) use playing::{Playing, Step};

use super::g711::Law;
use super::packet::CLOCK_RATE;

/// Largest sound file that is read, in bytes: a minute of PCM of 16 bits, with room for what editors put beside it.
pub const MAX_FILE: u64 = 1 << 20;

/// Longest sound. The caller waits it out before the refusal.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Octets in one packet of 20 ms.
pub const FRAME: usize = 160;

/// Time between two packets.
pub const INTERVAL: Duration = Duration::from_millis(20);

/// A sound. A clone shares its octets.
#[derive(Clone, PartialEq, Eq)]
pub struct Sound {
    law: Law,
    octets: Arc<[u8]>,
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sound({:?}, {} ms)", self.law, self.duration().as_millis())
    }
}

/// Why a file is no sound that can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    #[error("is neither a WAV file nor named .ulaw or .alaw")]
    Kind,
    #[error("is a WAV file that breaks off, or has no \"fmt \" or \"data\" part")]
    Broken,
    #[error("is {0}, not 8000 Hz, one channel, µ-law, A-law or PCM of 16 bits")]
    Format(String),
    #[error("holds no sound")]
    Empty,
    #[error("is longer than {} s", LONGEST.as_secs())]
    Long,
}

impl Sound {
    /// A sound of these octets.
    pub fn new(law: Law, octets: &[u8]) -> Result<Sound, SoundError> {
        if octets.is_empty() {
            return Err(SoundError::Empty);
        }
        if octets.len() as u64 > LONGEST.as_secs() * CLOCK_RATE {
            return Err(SoundError::Long);
        }
        Ok(Sound { law, octets: octets.into() })
    }

    /// Reads a file's content; `extension` is that of its name, without the point.
    pub fn read(extension: &str, bytes: &[u8]) -> Result<Sound, SoundError> {
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") {
            return wav(&bytes[12..]);
        }
        match extension.to_ascii_lowercase().as_str() {
            "ulaw" | "ul" => Sound::new(Law::Mu, bytes),
            "alaw" | "al" => Sound::new(Law::A, bytes),
            _ => Err(SoundError::Kind),
        }
    }

    /// How long it lasts, in whole packets.
    pub fn duration(&self) -> Duration {
        INTERVAL * self.frames() as u32
    }

    fn frames(&self) -> usize {
        self.octets.len().div_ceil(FRAME)
    }

    /// Writes one packet's octets in that law, the last filled up with silence; `None` behind the end.
    fn frame(&self, number: usize, law: Law, out: &mut [u8]) -> Option<()> {
        let start = number.checked_mul(FRAME)?;
        let octets = self.octets.get(start..).filter(|rest| !rest.is_empty())?;
        let octets = octets.iter().map(|octet| self.law.convert(*octet, law)).chain(std::iter::repeat(law.silence()));
        out.iter_mut().zip(octets).for_each(|(out, octet)| *out = octet);
        Some(())
    }
}

/// The format tags of WAV that are read (RFC 2361), and the one that says that the tag stands further on.
const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

/// The parts behind `RIFF....WAVE`.
fn wav(mut rest: &[u8]) -> Result<Sound, SoundError> {
    let mut format = None;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, length @ ..] = *head;
        let length = u32::from_le_bytes(length) as usize;
        match &[a, b, c, d] {
            b"fmt " => format = Some(Format::read(body.get(..length).ok_or(SoundError::Broken)?)?),
            // Programs that write to a pipe do not know the length: then it goes on to the end.
            b"data" => {
                let data = body.get(..length).unwrap_or(body);
                return format.ok_or(SoundError::Broken)?.sound(data);
            }
            _ => {}
        }
        // Parts begin at even places.
        rest = body.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Err(SoundError::Broken)
}

/// What the octets of a WAV file are.
#[derive(Clone, Copy, Debug)]
enum Format {
    Law(Law),
    /// PCM of 16 bits, little endian.
    Linear,
}

impl Format {
    fn read(part: &[u8]) -> Result<Format, SoundError> {
        let word = |at: usize| {
            let octets = part.get(at..)?.first_chunk()?;
            Some(u16::from_le_bytes(*octets))
        };
        let rate = part.get(4..).and_then(<[u8]>::first_chunk).map(|octets| u32::from_le_bytes(*octets));
        let (Some(tag), Some(channels), Some(rate), Some(bits)) = (word(0), word(2), rate, word(14)) else {
            return Err(SoundError::Broken);
        };
        let tag = if tag == EXTENSIBLE { word(24).ok_or(SoundError::Broken)? } else { tag };
        match (tag, channels, u64::from(rate), bits) {
            (MU_LAW, 1, CLOCK_RATE, 8) => Ok(Format::Law(Law::Mu)),
            (A_LAW, 1, CLOCK_RATE, 8) => Ok(Format::Law(Law::A)),
            (PCM, 1, CLOCK_RATE, 16) => Ok(Format::Linear),
            _ => {
                let name = match tag {
                    PCM => "PCM".to_owned(),
                    A_LAW => "A-law".to_owned(),
                    MU_LAW => "µ-law".to_owned(),
                    tag => format!("format {tag}"),
                };
                Err(SoundError::Format(format!("{name}, {rate} Hz, {bits} bits, channels: {channels}")))
            }
        }
    }

    fn sound(self, data: &[u8]) -> Result<Sound, SoundError> {
        match self {
            Format::Law(law) => Sound::new(law, data),
            Format::Linear => {
                let samples = data.as_chunks::<2>().0.iter().map(|octets| i16::from_le_bytes(*octets));
                let octets: Vec<u8> = samples.map(|sample| Law::Mu.encode(sample)).collect();
                Sound::new(Law::Mu, &octets)
            }
        }
    }
}

#[cfg(test)]
mod tests;
