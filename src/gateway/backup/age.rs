//! The age v1 file format with a passphrase (<https://age-encryption.org/v1>), so that a backup can be opened without us:
//! `age -d FILE | tar x`.
//!
//! Of the format this is the scrypt recipient alone. The `age` crate would bring Fluent, two parser crates and a second
//! generation of every cipher crate; what is used here is linked for TLS and SSH already.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};

use gateway_core::random::Random;

/// The first line.
const VERSION: &str = "age-encryption.org/v1";

/// What stands before the salt of scrypt.
const SCRYPT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";

/// Longest header that is read, in bytes: one scrypt stanza has some 150.
const MAX_HEADER: usize = 1024;

/// Larger work factors are broken headers: no machine has 2⁵⁰ KiB.
const ABSURD_WORK_FACTOR: u8 = 50;

/// Bytes of the payload that are encrypted at once.
const CHUNK: usize = 64 << 10;

/// Bytes of the file key, of salts and of Poly1305's tag.
const KEY: usize = 16;
const SALT: usize = 16;
const TAG: usize = 16;

/// log₂ of scrypt's N in what we write: 32 MiB. The `age` program writes 18, which is 256 MiB, more than many a router
/// has; the three bits that a guesser gains by that are asked of the passphrase's length.
pub const WORK_FACTOR: u8 = 15;

/// Where 32 MiB cannot be spared: 16 MiB.
pub const SMALL_WORK_FACTOR: u8 = 14;

/// The largest that is read: what `age -p` writes. How much memory there is bounds it further, see [`decrypt`].
pub const MAX_WORK_FACTOR: u8 = 18;

/// Why a file cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    #[error("is no backup: it does not begin with \"{VERSION}\"")]
    NotAge,
    #[error("is not encrypted with a passphrase, or with more than that; a backup is")]
    OtherRecipient,
    #[error("was cut or changed: its header is broken")]
    Header,
    /// Numbers are MiB.
    #[error(
        "wants {needs} MB of memory for its passphrase and {most} MB can be spared here; open it on a larger machine (\"age -d\")"
    )]
    WorkFactor { needs: u64, most: u64 },
    #[error("cannot be opened: the passphrase is another one, or the file's first lines were changed")]
    Passphrase,
    #[error("was cut or changed behind byte {0}")]
    Payload(usize),
}

/// Encrypts. `memory` is how many bytes can be spared for the passphrase; randomness must come from the operating
/// system's seed.
pub fn encrypt(plain: &[u8], passphrase: &str, memory: u64, random: &mut Random) -> Result<Vec<u8>, AgeError> {
    match memory_of(WORK_FACTOR) <= memory {
        true => encrypt_with(plain, passphrase, WORK_FACTOR, random),
        false => encrypt_with(plain, passphrase, SMALL_WORK_FACTOR, random),
    }
}

/// What scrypt needs, in bytes: 128 times r, which is 8, times N. [`ABSURD_WORK_FACTOR`] bounds it.
fn memory_of(work_factor: u8) -> u64 {
    1024 << work_factor
}

fn encrypt_with(plain: &[u8], passphrase: &str, work_factor: u8, random: &mut Random) -> Result<Vec<u8>, AgeError> {
    let (file_key, salt, nonce) = (random.bytes::<KEY>(), random.bytes::<SALT>(), random.bytes::<SALT>());
    let mut body = file_key.to_vec();
    let key = wrap_key(passphrase, &salt, work_factor)?;
    seal(&key, [0; 12], &mut body)?;
    let (salt, body) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(body));
    let header = format!("{VERSION}\n-> scrypt {salt} {work_factor}\n{body}\n---");
    let mac = hmac::sign(&mac_key(&file_key), header.as_bytes());
    let mut file = format!("{header} {}\n", STANDARD_NO_PAD.encode(mac)).into_bytes();
    file.extend(nonce);
    let key = aead(&derive(&file_key, &nonce, b"payload"));
    // One empty chunk of an empty payload is the last one, too.
    let last = plain.len().saturating_sub(1) / CHUNK;
    for counter in 0..=last {
        let mut chunk = plain[counter * CHUNK..plain.len().min((counter + 1) * CHUNK)].to_vec();
        seal(&key, chunk_nonce(counter, counter == last), &mut chunk)?;
        file.extend(chunk);
    }
    Ok(file)
}

/// Decrypts all of a file, or nothing. `memory` is how many bytes can be spared for the passphrase: a file can ask for any
/// power of two, and one that a stranger made must not take the memory that calls need.
pub fn decrypt(file: &[u8], passphrase: &str, memory: u64) -> Result<Vec<u8>, AgeError> {
    let header = Header::parse(file)?;
    // Ours is opened wherever it could be written.
    let most = memory.clamp(memory_of(WORK_FACTOR), memory_of(MAX_WORK_FACTOR));
    let needs = memory_of(header.work_factor);
    if needs > most {
        return Err(AgeError::WorkFactor { needs: needs >> 20, most: most >> 20 });
    }
    let wrap_key = wrap_key(passphrase, &header.salt, header.work_factor)?;
    let mut body = header.body;
    let file_key = open(&wrap_key, [0; 12], &mut body).ok_or(AgeError::Passphrase)?;
    hmac::verify(&mac_key(file_key), &file[..header.signed], &header.mac).map_err(|_| AgeError::Header)?;
    let (nonce, payload) = file[header.length..].split_at_checked(SALT).ok_or(AgeError::Payload(file.len()))?;
    let key = aead(&derive(file_key, nonce, b"payload"));
    let mut plain = Vec::with_capacity(payload.len());
    let last = payload.len().saturating_sub(1) / (CHUNK + TAG);
    for counter in 0..=last {
        let begin = counter * (CHUNK + TAG);
        let mut chunk = payload[begin..payload.len().min(begin + CHUNK + TAG)].to_vec();
        let opened = open(&key, chunk_nonce(counter, counter == last), &mut chunk);
        match opened {
            Some(opened) if !opened.is_empty() || counter == 0 => plain.extend_from_slice(opened),
            _ => return Err(AgeError::Payload(header.length + SALT + begin)),
        }
    }
    Ok(plain)
}

/// The lines before the payload, of a file with one scrypt stanza and nothing else.
struct Header {
    salt: [u8; SALT],
    work_factor: u8,
    /// The file key, encrypted.
    body: [u8; KEY + TAG],
    mac: [u8; 32],
    /// How far the MAC reaches, in bytes.
    signed: usize,
    length: usize,
}

impl Header {
    fn parse(file: &[u8]) -> Result<Header, AgeError> {
        let mut rest = &file[..file.len().min(MAX_HEADER)];
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            Some(line)
        };
        if line() != Some(VERSION) {
            return Err(AgeError::NotAge);
        }
        let recipient: Vec<&str> = line().ok_or(AgeError::Header)?.split(' ').collect();
        let ["->", "scrypt", salt, factor] = recipient[..] else {
            return Err(if recipient[0] == "->" { AgeError::OtherRecipient } else { AgeError::Header });
        };
        let (body, end) = (line().ok_or(AgeError::Header)?, line().ok_or(AgeError::Header)?);
        // A passphrase must be the only recipient.
        let mac = match end.strip_prefix("--- ") {
            Some(mac) => mac,
            None if end.starts_with("-> ") => return Err(AgeError::OtherRecipient),
            None => return Err(AgeError::Header),
        };
        let is_decimal = !factor.starts_with('0') && factor.bytes().all(|byte| byte.is_ascii_digit());
        let work_factor =
            factor.parse().ok().filter(|factor| is_decimal && *factor < ABSURD_WORK_FACTOR).ok_or(AgeError::Header)?;
        let length =
            VERSION.len() + recipient.iter().map(|part| part.len() + 1).sum::<usize>() + body.len() + end.len() + 3;
        let signed = length - mac.len() - 2;
        Ok(Header { salt: decode(salt)?, work_factor, body: decode(body)?, mac: decode(mac)?, signed, length })
    }
}

/// Canonical base64 without padding of exactly so many bytes.
fn decode<const N: usize>(text: &str) -> Result<[u8; N], AgeError> {
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Header)?;
    bytes.try_into().map_err(|_| AgeError::Header)
}

/// The key that the file key is encrypted with.
fn wrap_key(passphrase: &str, salt: &[u8; SALT], work_factor: u8) -> Result<LessSafeKey, AgeError> {
    // r = 8, p = 1, 32 bytes: errors are parameters that do not fit this machine's addresses.
    let parameters = scrypt::Params::new(work_factor, 8, 1).map_err(|_| AgeError::Header)?;
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.as_bytes(), &[SCRYPT_LABEL, salt].concat(), &parameters, &mut key)
        .map_err(|_| AgeError::Header)?;
    Ok(aead(&key))
}

fn mac_key(file_key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &derive(file_key, b"", b"header"))
}

/// HKDF-SHA-256 (RFC 5869), 32 bytes.
fn derive(key: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let mut derived = [0; 32];
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let expanded = pseudorandom.expand(&[info], hkdf::HKDF_SHA256).and_then(|output| output.fill(&mut derived));
    // RFC 5869 section 2.3: up to 255 times the 32 bytes that are asked for.
    expanded.expect("HKDF gives one block");
    derived
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key of ChaCha20 has 32 bytes"))
}

/// Counter, big endian in 11 bytes, and whether it is the last one (STREAM).
fn chunk_nonce(counter: usize, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(counter as u64).to_be_bytes());
    nonce[11] = is_last.into();
    nonce
}

/// Encrypts in place and puts the tag behind.
fn seal(key: &LessSafeKey, nonce: [u8; 12], data: &mut Vec<u8>) -> Result<(), AgeError> {
    let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), data);
    // Only more than 256 GB fail (RFC 8439 section 2.8); chunks are 64 KiB.
    sealed.map_err(|_| AgeError::Payload(0))
}

/// What was encrypted; `None` when it is not authentic.
fn open<'a>(key: &LessSafeKey, nonce: [u8; 12], data: &'a mut [u8]) -> Option<&'a [u8]> {
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), data);
    opened.ok().map(|plain| &*plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: u64 = 1 << 30;

    /// What we write, with a work factor that a test can pay a thousand times.
    fn cheap(plain: &[u8]) -> Vec<u8> {
        encrypt_with(plain, "sesame", 1, &mut Random::from_number(7)).unwrap()
    }

    /// The number that stands in a header.
    fn factor(file: &[u8]) -> String {
        let header = String::from_utf8_lossy(&file[..120]).into_owned();
        header.lines().nth(1).unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn what_was_encrypted_is_decrypted_at_every_boundary_of_chunks() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert!(decrypt(&cheap(&plain), "sesame", ENOUGH).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn a_file_cut_at_a_boundary_of_chunks_is_refused() {
        let file = cheap(&vec![1; 2 * CHUNK]);
        let cut = file.len() - CHUNK - TAG;
        assert_eq!(decrypt(&file[..cut], "sesame", ENOUGH), Err(AgeError::Payload(cut - CHUNK - TAG)));
    }

    #[test]
    fn a_file_cut_or_changed_at_any_byte_is_refused_with_words() {
        let file = cheap(b"what must be kept");
        assert_eq!(decrypt(&file, "sesame", ENOUGH).unwrap(), b"what must be kept");
        assert_eq!(decrypt(&file, "Sesame", ENOUGH), Err(AgeError::Passphrase));
        for at in 0..file.len() {
            assert!(decrypt(&file[..at], "sesame", 1 << 20).is_err(), "cut at {at}");
            for bit in [1, 0x20, 0x80] {
                let mut changed = file.clone();
                changed[at] ^= bit;
                // Memory for the work factors that a change of one digit makes.
                assert!(decrypt(&changed, "sesame", 1 << 20).is_err(), "{bit:#x} changed at {at}");
            }
        }
        let mut longer = file.clone();
        longer.push(0);
        assert!(decrypt(&longer, "sesame", ENOUGH).is_err());
    }

    #[test]
    fn a_file_that_wants_more_memory_than_there_is_is_refused_before_any_is_taken() {
        let text = String::from_utf8_lossy(&cheap(b"")[..80]).into_owned();
        for (factor, memory, told) in [
            (16, 16 << 20, Err(AgeError::WorkFactor { needs: 64, most: 32 })),
            (19, u64::MAX, Err(AgeError::WorkFactor { needs: 512, most: 256 })),
            (40, u64::MAX, Err(AgeError::WorkFactor { needs: 1 << 30, most: 256 })),
            (99, u64::MAX, Err(AgeError::Header)),
        ] {
            let salt = text.split(' ').nth(2).unwrap();
            let body = STANDARD_NO_PAD.encode([0; KEY + TAG]);
            let mac = STANDARD_NO_PAD.encode([0; 32]);
            let file = format!("{VERSION}\n-> scrypt {salt} {factor}\n{body}\n--- {mac}\n");
            assert_eq!(decrypt(file.as_bytes(), "sesame", memory), told);
        }
    }

    #[test]
    fn the_work_of_a_guess_is_what_the_memory_allows_and_is_opened_wherever_it_is_written() {
        for (memory, expected) in [(0, "14"), (31 << 20, "14"), (32 << 20, "15"), (u64::MAX, "15")] {
            let file = encrypt(b"plain", "sesame", memory, &mut Random::from_number(1)).unwrap();
            assert_eq!(factor(&file), expected);
            assert_eq!(decrypt(&file, "sesame", 0).unwrap(), b"plain");
        }
    }

    #[test]
    fn headers_that_are_not_ours_are_told_apart() {
        let told = |text: &str| decrypt(text.as_bytes(), "sesame", ENOUGH).unwrap_err();
        assert_eq!(told(""), AgeError::NotAge);
        assert_eq!(told("age-encryption.org/v2\n"), AgeError::NotAge);
        assert_eq!(told("age-encryption.org/v1\n"), AgeError::Header);
        assert_eq!(told("age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n"), AgeError::OtherRecipient);
        assert_eq!(told("age-encryption.org/v1\n-> scrypt a 1\nabc\n-> scrypt b 1\n"), AgeError::OtherRecipient);
        assert_eq!(told("age-encryption.org/v1\n-> scrypt a 01\nabc\n--- abc\n"), AgeError::Header);
        assert_eq!(told(&"x".repeat(5000)), AgeError::NotAge);
    }
}
