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
mod tests {
    use super::*;

    /// A WAV file of one `fmt ` and one `data` part.
    fn wav_file(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut format = Vec::new();
        format.extend(tag.to_le_bytes());
        format.extend(channels.to_le_bytes());
        format.extend(rate.to_le_bytes());
        format.extend((rate * u32::from(channels) * u32::from(bits) / 8).to_le_bytes());
        format.extend((channels * bits / 8).to_le_bytes());
        format.extend(bits.to_le_bytes());
        parts(&[(b"fmt ", &format), (b"data", data)])
    }

    fn parts(list: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, body) in list {
            file.extend(*name);
            file.extend((body.len() as u32).to_le_bytes());
            file.extend(*body);
            file.resize(file.len().next_multiple_of(2), 0);
        }
        file
    }

    #[test]
    fn wav_of_both_laws_and_of_16_bits_and_bare_octets_are_read() {
        let octets: Vec<u8> = (0..=255).collect();
        let linear: Vec<u8> = octets.iter().flat_map(|octet| Law::Mu.decode(*octet).to_le_bytes()).collect();
        let mu = Sound::new(Law::Mu, &octets).unwrap();
        assert_eq!(Sound::read("wav", &wav_file(MU_LAW, 1, 8000, 8, &octets)), Ok(mu.clone()));
        assert_eq!(Sound::read("", &wav_file(MU_LAW, 1, 8000, 8, &octets)), Ok(mu.clone()), "by its content");
        assert_eq!(Sound::read("ulaw", &octets), Ok(mu.clone()));
        let read = Sound::read("wav", &wav_file(PCM, 1, 8000, 16, &linear)).unwrap();
        // Both zeros of the law are one sample.
        let same = read.octets.iter().zip(&octets).all(|(read, octet)| Law::Mu.decode(*read) == Law::Mu.decode(*octet));
        assert!(same && read.octets.len() == 256);
        let a = Sound::new(Law::A, &octets).unwrap();
        assert_eq!(Sound::read("wav", &wav_file(A_LAW, 1, 8000, 8, &octets)), Ok(a.clone()));
        assert_eq!(Sound::read("ALAW", &octets), Ok(a));
        assert_eq!(mu.duration(), Duration::from_millis(40));
    }

    #[test]
    fn parts_that_editors_put_beside_the_sound_do_not_matter() {
        let plain = wav_file(MU_LAW, 1, 8000, 8, b"\x12\x34\x56");
        let format = &plain[20..36];
        let expected = Sound::new(Law::Mu, b"\x12\x34\x56");
        let with = parts(&[(b"LIST", b"odd"), (b"fmt ", format), (b"fact", b"1234"), (b"data", b"\x12\x34\x56")]);
        assert_eq!(Sound::read("wav", &with), expected);
        let mut extensible = format.to_vec();
        extensible[..2].copy_from_slice(&EXTENSIBLE.to_le_bytes());
        extensible.extend([22, 0, 8, 0, 4, 0, 0, 0]);
        extensible.extend(MU_LAW.to_le_bytes());
        extensible.extend([0; 14]);
        assert_eq!(Sound::read("wav", &parts(&[(b"fmt ", &extensible), (b"data", b"\x12\x34\x56")])), expected);
        // From a pipe: a length that nobody knew.
        let mut endless = plain.clone();
        endless.truncate(47);
        endless[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Sound::read("wav", &endless), expected);
    }

    #[test]
    fn what_cannot_be_played_says_why() {
        let format = |file: &[u8]| Sound::read("wav", file).map_err(|error| error.to_string());
        let needs = "not 8000 Hz, one channel, µ-law, A-law or PCM of 16 bits";
        for (file, what) in [
            (wav_file(PCM, 2, 44_100, 16, b"1234"), "PCM, 44100 Hz, 16 bits, channels: 2"),
            (wav_file(PCM, 1, 8000, 8, b"1234"), "PCM, 8000 Hz, 8 bits, channels: 1"),
            (wav_file(85, 1, 8000, 0, b"1234"), "format 85, 8000 Hz, 0 bits, channels: 1"),
        ] {
            assert_eq!(format(&file), Err(format!("is {what}, {needs}")));
        }
        assert_eq!(Sound::read("wav", b"ID3\x03"), Err(SoundError::Kind));
        assert_eq!(Sound::read("mp3", b""), Err(SoundError::Kind));
        assert_eq!(Sound::read("ulaw", b""), Err(SoundError::Empty));
        assert_eq!(Sound::read("wav", &wav_file(MU_LAW, 1, 8000, 8, b"")), Err(SoundError::Empty));
        assert_eq!(Sound::read("alaw", &vec![0; 480_001]), Err(SoundError::Long));
        assert!(Sound::read("alaw", &vec![0; 480_000]).is_ok());
        let whole = wav_file(MU_LAW, 1, 8000, 8, b"1234");
        for cut in 12..44 {
            assert_eq!(Sound::read("wav", &whole[..cut]), Err(SoundError::Broken), "{cut}");
        }
        assert_eq!(Sound::read("wav", &parts(&[(b"data", b"1234")])), Err(SoundError::Broken));
    }

    #[test]
    fn a_packet_is_filled_up_with_silence_and_converted_to_the_other_law() {
        let sound = Sound::new(Law::Mu, &[0x12; FRAME + 1]).unwrap();
        let mut out = [0; FRAME];
        assert_eq!(sound.frame(0, Law::Mu, &mut out), Some(()));
        assert_eq!(out, [0x12; FRAME]);
        assert_eq!(sound.frame(1, Law::A, &mut out), Some(()));
        assert_eq!(out[0], Law::Mu.convert(0x12, Law::A));
        assert_eq!(out[1..], [0xd5; FRAME - 1]);
        assert_eq!(sound.frame(2, Law::A, &mut out), None);
        assert_eq!(sound.frame(usize::MAX, Law::A, &mut out), None);
    }
}
